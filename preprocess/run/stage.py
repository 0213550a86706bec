"""What every stage over clips does: fill its output from the store, computing only what is missing."""

import json
import shutil
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
from preprocess.run import sources, work
from preprocess.run.progress import track
from preprocess.store import entries as store
from preprocess.store import shards
from preprocess.store.entries import Store
from preprocess.store.shards import Content, Ready, Shelf

TRIED_AGAIN = (Code.WORKER_DIED, Code.FAILED)
OF_THE_RUN = (params.ParameterError, OSError, ImportError)  # errors that are the fault of no clip


@dataclass(frozen=True)
class Stage:
    """A stage over clips: what one clip becomes, and what that depends on."""

    name: str
    module: str
    work: Callable[[Task, Path], None]  # writes the clip's files into a folder; raises Refusal
    parameters: dict[str, Any]
    models: list[Path] = field(default_factory=list)  # folders under data/models
    environment: str = ""  # what else can change bytes: device, ffmpeg binary
    limits: dict[str, Any] = field(default_factory=dict)  # may stop a clip, and leave no trace in one that is finished
    together: Callable[[list[Task], list[Path]], None] | None = None  # `work` on several clips at once, or an exception
    batch_size: int = 1  # clips that `together` is given, of similar lengths
    preload: list[str] = field(default_factory=list)  # modules that `work` imports as it goes, for workers to share

    @property
    def folder(self) -> Path:
        return Path("data") / self.name


@dataclass(frozen=True)
class Missing:
    """A clip whose entry is not in the store yet."""

    task: Task
    key: str
    trouble: str = ""  # why it was done alone rather than in its batch

    @property
    def clip_id(self) -> str:
        return self.task.clip_id


def fill(stage: Stage, tasks: list[Task], run: params.Run) -> None:
    """Make the stage's output of these clips, and say how many were computed, reused and refused."""
    kept = Store(store.root(run.store) / stage.name)
    with work.alone(stage.name):
        kept.sweep(alone=True)
        keys = _keys(stage, tasks)
        kept.use(stage.name, sorted(set(keys.values())))
        shelf = Shelf(kept)
        noted = {
            key: content for key, content in shelf.contents().items() if kept.path(key).is_file() and _is_final(stage, content)
        }
        ready = shelf.ready(keys, noted)
        found = {keys[clip_id]: content for clip_id, content in ready.contents.items()}
        found |= {key: content for key in set(keys.values()) - found.keys() if (content := _look(stage, kept, key))}
        missing = {key: Missing(task, key) for task in tasks if (key := keys[task.clip_id]) not in found}
        _compute_all(stage, list(missing.values()), kept, run)
        found |= {key: _content(kept.path(key)) for key in missing}
        _require_some(found)
        refused = _publish(stage, keys, found, kept, ready)
        shelf.keep(stage.folder, {clip_id: key for clip_id, key in keys.items() if not found[key].refusal}, found)
    reused = len(tasks) - len(missing)
    print(f"{stage.name}: {len(tasks)} clips, {len(missing)} computed, {reused} reused, {len(refused)} refused")
    refusals.announce(refused)


def _look(stage: Stage, kept: Store, key: str) -> Content | None:
    """What a whole entry holds; None where the clip has to be tried."""
    content = _content(kept.path(key)) if kept.has(key) else None
    return content if content and _is_final(stage, content) else None


def _is_final(stage: Stage, content: Content) -> bool:
    """Whether the clip need not be tried.

    A refusal holds for the limits that it was met under. Where a worker died, it may have been for want of memory, and an
    error that nobody foresaw may be gone with its cause, so these are tried in every run.
    """
    refusal = content.refusal
    return refusal is None or (refusal["code"] not in TRIED_AGAIN and refusal["limits"] == stage.limits)


def _require_some(found: dict[str, Content]) -> None:
    """TooManyError where every clip failed, which is no fault of theirs."""
    failed = [content.refusal for content in found.values() if content.refusal and content.refusal["code"] == Code.FAILED]
    if failed and len(failed) == len(found):
        raise TooManyError(f"every clip failed, the first with {failed[0]['detail']}")


def _keys(stage: Stage, tasks: list[Task]) -> dict[str, str]:
    fixed = {
        "stage": stage.name,
        "sources": sources.digest(stage.module),
        "parameters": stage.parameters,
        "models": [model_digest(folder) for folder in stage.models],
        "environment": stage.environment,
        "capability": store.capability(),
    }
    return {task.clip_id: store.key(content=task.content, **fixed) for task in tasks}


def model_digest(folder: Path) -> str:
    """What the stage models wrote about the network in a folder, its digests included."""
    return (folder / "model.json").read_text(encoding="utf-8")


def _compute_all(stage: Stage, missing: list[Missing], kept: Store, run: params.Run) -> None:
    """Longest clips first, so that no worker is left with a long one at the end, and batches are of similar lengths."""
    if not missing:
        return
    todo = sorted(missing, key=lambda item: (-item.task.seconds, -item.task.size, item.clip_id))
    batches = [todo[i : i + stage.batch_size] for i in range(0, len(todo), stage.batch_size)]
    compute, refuse = (partial(function, stage=stage, kept=kept) for function in (_compute, _refuse_deadly))
    count = min(work.workers(run.workers), len(batches))
    done = work.each(compute, batches, count, stage.module, refuse, _one_by_one, stage.preload)
    clips = chain.from_iterable(done)
    seconds = {item.clip_id: item.task.seconds for item in todo}
    alone = [item for item in track(clips, stage.name, len(todo), seconds) if item.trouble]
    if alone:
        print(f"{stage.name}: {len(alone)} clips were done one by one, since their batches failed: {alone[0].trouble}")


def _one_by_one(batch: list[Missing]) -> list[list[Missing]]:
    return [[item] for item in batch]


def _compute(batch: list[Missing], stage: Stage, kept: Store) -> list[Missing]:
    """In a worker: make the clips' entries, one by one where they cannot be made together. What one raises costs no other."""
    trouble = ""
    if stage.together and len(batch) > 1:
        try:
            _compute_together(batch, stage.together, kept)
            return batch
        except OF_THE_RUN:
            raise
        except Exception as error:
            traceback.print_exc()  # to the log
            trouble = f"{type(error).__name__}: {error}".splitlines()[0]
    errors = []
    for item in batch:
        try:
            _compute_alone(item, stage, kept)
        except Exception as error:  # raised when the others are done
            errors.append(error)
    if errors:
        raise errors[0]
    return [replace(item, trouble=trouble) for item in batch]


def _compute_together(batch: list[Missing], work: Callable[[list[Task], list[Path]], None], kept: Store) -> None:
    with kept.workplace() as workplace:
        folders = [Path(workplace) / str(i) for i in range(len(batch))]
        for folder in folders:
            folder.mkdir()
        work([item.task for item in batch], folders)
        for item, folder in zip(batch, folders, strict=True):
            kept.add(item.key, folder)


def _compute_alone(item: Missing, stage: Stage, kept: Store) -> None:
    """Make one clip's entry. A refusal is a result too, and as final, unless the disk is full; an error is one for now."""
    with kept.workplace() as workplace:
        folder = Path(workplace) / "entry"
        folder.mkdir()
        try:
            stage.work(item.task, folder)
        except Refusal as refusal:
            kept.require_space()  # else the failure was the disk's
            _refuse(item, stage, kept, refusal)
        except OF_THE_RUN:
            raise
        except Exception as error:
            traceback.print_exc()  # to the log
            kept.require_space()
            _refuse(item, stage, kept, Refusal(Code.FAILED, f"{type(error).__name__}: {error}".splitlines()[0]))
        else:
            kept.add(item.key, folder)


def _refuse_deadly(batch: list[Missing], stage: Stage, kept: Store) -> list[Missing]:
    for item in batch:
        _refuse(item, stage, kept, Refusal(Code.WORKER_DIED, "its worker process died, tried with others and alone"))
    return batch


def _refuse(item: Missing, stage: Stage, kept: Store, refusal: Refusal) -> None:
    with kept.workplace() as workplace:
        found = {"code": refusal.code, "detail": refusal.detail, "limits": stage.limits}
        folder = Path(workplace) / "entry"
        folder.mkdir()
        (folder / shards.REFUSED).write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
        kept.add(item.key, folder)


def _publish(stage: Stage, keys: dict[str, str], found: dict[str, Content], kept: Store, ready: Ready) -> list[Refused]:
    """Write shards, index and table of refusals."""
    if stage.folder.exists():
        shutil.rmtree(stage.folder)
    results = {clip_id: kept.path(key) for clip_id, key in keys.items() if not found[key].refusal}
    shards.write(stage.folder, results, ready)
    refused = {clip_id: refusal for clip_id, key in sorted(keys.items()) if (refusal := found[key].refusal)}
    rows = [Refused(clip_id, stage.name, refusal["code"], refusal["detail"]) for clip_id, refusal in refused.items()]
    refusals.write(stage.folder / "refused.csv", rows)
    return rows


def _content(entry: Path) -> Content:
    with zipfile.ZipFile(entry) as archive:
        refusal = json.loads(archive.read(shards.REFUSED)) if shards.REFUSED in archive.namelist() else None
        return Content(archive.comment.decode(), refusal)
