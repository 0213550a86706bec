"""What every stage over clips does: fill its output from the store, computing only what is missing.

A clip is computed again when the store has no entry under its key. The key is a digest of everything that can change the
result: the clip's content, the stage's parameters, the networks, the source files and libraries (`sources.py` beside this
file), the decoder or device, the processor's vector instructions and the kind of GPU.
"""

import json
import sys
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import params
from preprocess import refusals
from preprocess.clips import Task
from preprocess.refusals import Code, Refusal, Refused, TooManyError
from preprocess.run import kinds, machine, sources, work
from preprocess.run.inputs import Inputs
from preprocess.run.known import Known
from preprocess.run.progress import track
from preprocess.run.records import Record, measured
from preprocess.store import entries, shards
from preprocess.store.entries import Store
from preprocess.store.written import Written

RETRIED = (Code.WORKER_DIED, Code.FAILED)  # refusals that the next run tries again
IN_DATA = Inputs()
RUN_ERRORS = (params.ParameterError, OSError, ImportError)  # errors that are no clip's fault: they end the run


# Writes a stage's output: of the entries by clip id, and of what was refused, but for what was written of the same before.
Publish = Callable[[dict[str, Path], list[Refused], Written], None]


@dataclass(frozen=True)
class Stage:
    """A stage over clips: the function that does one clip, and everything that its result depends on."""

    name: str
    module: str  # where `work` is defined
    work: Callable[[Task, Path], None]  # writes the clip's files into a folder; raises Refusal
    parameters: dict[str, Any]
    models: list[Path] = field(default_factory=list)  # folders under data/models
    environment: str = ""  # what else can change bytes: device, ffmpeg binary
    limits: dict[str, Any] = field(default_factory=dict)  # time and memory a clip may take; they change no finished clip
    together: Callable[[list[Task], list[Path]], None] | None = None  # does several clips at once; any exception: one by one
    batch_size: int = 1  # how many clips of similar length `together` gets
    preload: list[str] = field(default_factory=list)  # modules that `work` imports later; loaded once for all workers
    publish: Publish | None = None  # writes the output; None: archives, index and table of refusals, in `folder`

    @property
    def folder(self) -> Path:
        return Path("data") / self.name


@dataclass(frozen=True)
class Job:
    """A stage, and the clips that it has to do."""

    stage: Stage
    tasks: list[Task]


@dataclass(frozen=True)
class Missing:
    """A clip whose entry is not in the store yet."""

    task: Task
    key: str
    batch_error: str = ""  # why its batch failed, so that it was done alone
    is_again: bool = False  # a worker of this run had it in hand when it died; it may have finished it before
    is_done: bool = False  # another process had made its entry meanwhile

    @property
    def clip_id(self) -> str:
        return self.task.clip_id


@dataclass(frozen=True)
class Outcome:
    """What an entry of the store holds: a clip's files, or a refusal."""

    refusal: dict[str, Any] | None  # content of shards.REFUSED


def fill(job: Job, run: params.Run) -> None:
    """Make the stage's output of these clips, and print how many were computed, reused and refused."""
    stage, tasks = job.stage, job.tasks
    store = Store(run.store_folder / stage.name)
    with work.alone(stage.name):
        store.sweep(alone=True)
        gpu = work.gpu_kind(run, stage.environment)
        keys = keys_of(job, gpu=gpu)
        store.use(sorted(set(keys.values())))
        _note_machine(stage, store, gpu)
        computed, refused = _make(stage, tasks, keys, store, run)
    reused = len(tasks) - computed
    print(f"{stage.name}: {len(tasks)} clips, {computed} computed, {reused} reused, {len(refused)} refused")
    refusals.announce(refused)


def _note_machine(stage: Stage, store: Store, gpu: str) -> None:
    """Note on which kind of machine the stage runs; say so where shares ran on another one, since their clips are not found."""
    own, earlier = kinds.here(stage.module, gpu), kinds.noted(store)
    if earlier and earlier.by_share and (others := kinds.differences(earlier, own)):
        print(
            f"{stage.name}: {own.node} {others}. This is compared with {earlier.node}, where a share ran: clips of such shares "
            "are not found here and are computed again. It may be better to stop, and run the stage on a machine like that one",
            file=sys.stderr,
        )
    kinds.note(store, own)


def _make(stage: Stage, tasks: list[Task], keys: dict[str, str], store: Store, run: params.Run) -> tuple[int, list[Refused]]:
    """Compute what is missing and write the output: how many clips were computed, and what was refused.

    Starts again where entries vanish meanwhile: another checkout with the same store removes those that are damaged.
    """
    computed: set[str] = set()
    known = Known(store)
    while True:
        outcomes = {key: found for key in set(keys.values()) if (found := _look_up(stage, store, key, known))}
        missing = {key: Missing(task, key) for task in tasks if (key := keys[task.clip_id]) not in outcomes}
        with Record(store, keys.values(), stage.environment) as record:
            computed |= compute(stage, list(missing.values()), store, run, record)
        try:
            outcomes |= {key: outcome(store.path(key)) for key in missing}
            require_some(outcomes)
            refused = _publish(stage, keys, outcomes, store)
        except (FileNotFoundError, *entries.DAMAGE):
            if all(store.has(key) for key in keys.values()):
                raise
            known.forget()
        else:
            known.save(key for key, found in outcomes.items() if not found.refusal)
            return len(computed), refused


def _look_up(stage: Stage, store: Store, key: str, known: Known) -> Outcome | None:
    """`finished`, without reading an entry that this checkout has found whole, and no refusal, before."""
    return Outcome(None) if known.has(key) else finished(stage, store, key)


def finished(stage: Stage, store: Store, key: str) -> Outcome | None:
    """What a whole entry holds; None where the clip has to be computed.

    A refusal counts only under the limits that it was made under. A worker may have died because memory was short, and an
    unforeseen error may be gone with its cause: these refusals are tried again in every run.
    """
    try:
        members = store.members(key)
        if members is None:
            return None
        known = outcome(store.path(key)) if shards.REFUSED in members else Outcome(None)
    except (FileNotFoundError, *entries.DAMAGE):  # another checkout with the same store removed it just now
        return None
    refusal = known.refusal
    is_final = refusal is None or (refusal["code"] not in RETRIED and refusal["limits"] == stage.limits)
    return known if is_final else None


def require_some(outcomes: dict[str, Outcome]) -> None:
    """Raises TooManyError where every clip failed: then the program is at fault, and not the clips."""
    failed = [outcome.refusal for outcome in outcomes.values() if outcome.refusal and outcome.refusal["code"] == Code.FAILED]
    if failed and len(failed) == len(outcomes):
        raise TooManyError(f"every clip failed, the first with {failed[0]['detail']}")


def keys_of(job: Job, inputs: Inputs = IN_DATA, gpu: str = "") -> dict[str, str]:
    """The store's key of every clip. `gpu` is the kind of GPU that the stage computes on, by `work.gpu_kind`."""
    stage = job.stage
    shared = {
        "stage": stage.name,
        "sources": sources.digest(stage.module),
        "parameters": stage.parameters,
        "models": [inputs.model(folder) for folder in stage.models],
        "environment": stage.environment,
        "capability": machine.capability(gpu),
    }
    return {task.clip_id: entries.key(content=task.content, **shared) for task in job.tasks}


def compute(stage: Stage, missing: list[Missing], store: Store, run: params.Run, record: Record) -> set[str]:
    """Make the entries of these clips; the keys of those that no other process made meanwhile.

    Longest clips first: no long one is left for one worker at the end, and a batch has clips of similar lengths.
    """
    if not missing:
        return set()
    todo = sorted(missing, key=lambda item: (-item.task.seconds, -item.task.size, item.clip_id))
    batches = [todo[i : i + stage.batch_size] for i in range(0, len(todo), stage.batch_size)]
    function, refuse = (partial(measured, partial(each, stage=stage, store=store)) for each in (_compute, _refuse_deadly))
    engine = work.engine(run, stage.name, work.gpu_kind(run, stage.environment))
    count = min(engine.workers(), len(batches))
    record.begin(len(todo), count, stage.batch_size)
    results = work.each(
        function, batches, engine, stage.module, refuse, _one_by_one, stage.preload, log_name(stage, record.share)
    )
    seconds = {item.clip_id: item.task.seconds for item in todo}
    clips = track(chain.from_iterable(map(record.add, results)), stage.name, len(todo), seconds)
    made, alone = set(), []
    for item in clips:
        if not item.is_done:
            made.add(item.key)
        if item.batch_error:
            alone.append(item)
    if alone:
        print(f"{stage.name}: {len(alone)} clips were done one by one, since their batches failed: {alone[0].batch_error}")
    return made


def log_name(stage: Stage, share: str) -> str:
    """Shares of a stage, which may run at once in one checkout, have a log each."""
    return f"{stage.module}.{share.replace('/', '-of-')}" if share else stage.module


def _one_by_one(batch: list[Missing]) -> list[list[Missing]]:
    return [[replace(item, is_again=True)] for item in batch]


def _compute(batch: list[Missing], stage: Stage, store: Store) -> list[Missing]:
    """In a worker: make the clips' entries, one by one where the batch fails. An error of one clip costs no other."""
    there = {item.key for item in batch if finished(stage, store, item.key)}  # since this process looked
    todo = [item for item in batch if item.key not in there]
    known = [replace(item, is_done=not item.is_again) for item in batch if item.key in there]
    return known + (_make_entries(todo, stage, store) if todo else [])


def _make_entries(batch: list[Missing], stage: Stage, store: Store) -> list[Missing]:
    batch_error = ""
    if stage.together and len(batch) > 1:
        try:
            _compute_together(batch, stage.together, store)
            return batch
        except RUN_ERRORS:
            raise
        except Exception as error:
            traceback.print_exc()  # goes to logs/
            batch_error = f"{type(error).__name__}: {error}".splitlines()[0]
    errors = []
    for item in batch:
        try:
            _compute_alone(item, stage, store)
        except Exception as error:  # raised below, after the other clips
            errors.append(error)
    if errors:
        raise errors[0]
    return [replace(item, batch_error=batch_error) for item in batch]


def _compute_together(batch: list[Missing], work: Callable[[list[Task], list[Path]], None], store: Store) -> None:
    with store.workplace() as workplace:
        folders = [Path(workplace) / str(i) for i in range(len(batch))]
        for folder in folders:
            folder.mkdir()
        work([item.task for item in batch], folders)
        for item, folder in zip(batch, folders, strict=True):
            store.add(item.key, folder)


def _compute_alone(item: Missing, stage: Stage, store: Store) -> None:
    """Make one clip's entry: its files or its refusal. An unforeseen error becomes a refusal that the next run tries again."""
    with store.workplace() as workplace:
        folder = Path(workplace) / "entry"
        folder.mkdir()
        try:
            stage.work(item.task, folder)
        except Refusal as refusal:
            store.require_space()  # on a full disk the clip is not at fault
            _refuse(item, stage, store, refusal)
        except RUN_ERRORS:
            raise
        except Exception as error:
            traceback.print_exc()  # goes to logs/
            store.require_space()
            _refuse(item, stage, store, Refusal(Code.FAILED, f"{type(error).__name__}: {error}".splitlines()[0]))
        else:
            store.add(item.key, folder)


def _refuse_deadly(batch: list[Missing], stage: Stage, store: Store) -> list[Missing]:
    for item in batch:
        _refuse(item, stage, store, Refusal(Code.WORKER_DIED, "its worker process died, tried with others and alone"))
    return batch


def _refuse(item: Missing, stage: Stage, store: Store, refusal: Refusal) -> None:
    with store.workplace() as workplace:
        content = {"code": refusal.code, "detail": refusal.detail, "limits": stage.limits}
        folder = Path(workplace) / "entry"
        folder.mkdir()
        (folder / shards.REFUSED).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        store.add(item.key, folder)


def _publish(stage: Stage, keys: dict[str, str], outcomes: dict[str, Outcome], store: Store) -> list[Refused]:
    """Write the output; returns what was refused, sorted by clip."""
    found = {clip_id: refusal for clip_id, key in sorted(keys.items()) if (refusal := outcomes[key].refusal)}
    refused = [Refused(clip_id, stage.name, refusal["code"], refusal["detail"]) for clip_id, refusal in found.items()]
    publish, written = stage.publish or partial(_write_archives, stage.folder), Written(store)
    publish({clip_id: store.path(key) for clip_id, key in keys.items() if clip_id not in found}, refused, written)
    written.save()
    return refused


def _write_archives(folder: Path, entries: dict[str, Path], refused: list[Refused], written: Written) -> None:
    """Write shards, index and the table of refusals."""
    shards.write(folder, entries, written)
    refusals.write(folder / shards.REFUSALS, refused)


def outcome(entry: Path) -> Outcome:
    """What an entry holds; FileNotFoundError where it is not there any more."""
    with entries.gone_if_replaced(), zipfile.ZipFile(entry) as archive:
        return Outcome(json.loads(archive.read(shards.REFUSED)) if shards.REFUSED in archive.namelist() else None)
