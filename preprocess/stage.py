"""What every stage over clips does: fill its output from the store, computing only what is missing."""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import params
from preprocess import refusals, shards, sources, store, work
from preprocess.progress import track
from preprocess.refusals import Code, Refusal, Refused
from preprocess.store import Store


@dataclass(frozen=True)
class Task:
    """One clip to be done by one stage."""

    clip_id: str
    content: dict[str, Any]  # plain JSON: all of the clip that can change the result; enters the store's key
    seconds: float  # of media, for the progress bar
    source: str = ""  # where the content is read from, if it is not in `content` itself; never enters the key


@dataclass(frozen=True)
class Stage:
    """A stage over clips: what one clip becomes, and what that depends on."""

    name: str
    module: str
    work: Callable[[Task, Path], None]  # writes the clip's files into a folder; raises Refusal
    parameters: dict[str, Any]
    models: list[Path] = field(default_factory=list)  # folders under data/models
    environment: str = ""  # what else can change bytes: device, ffmpeg binary

    @property
    def folder(self) -> Path:
        return Path("data") / self.name


@dataclass(frozen=True)
class Missing:
    """A clip whose entry is not in the store yet."""

    task: Task
    key: str

    @property
    def clip_id(self) -> str:
        return self.task.clip_id


def fill(stage: Stage, tasks: list[Task], run: params.Run) -> None:
    """Make the stage's output of these clips, and say how many were computed, reused and refused."""
    kept = Store(store.root(run.store) / stage.name)
    with work.alone(stage.name):
        kept.sweep()
        keys = _keys(stage, tasks)
        missing = [Missing(task, keys[task.clip_id]) for task in tasks if not _is_done(kept, keys[task.clip_id])]
        _compute_all(stage, missing, kept, run)
        refused = _publish(stage, {task.clip_id: kept.path(keys[task.clip_id]) for task in tasks})
        kept.use(stage.name, sorted(set(keys.values())))
    reused = len(tasks) - len(missing)
    print(f"{stage.name}: {len(tasks)} clips, {len(missing)} computed, {reused} reused, {len(refused)} refused")
    refusals.announce(refused)


def _is_done(kept: Store, key: str) -> bool:
    """Whether the clip need not be tried: a worker may have died for want of memory, so that is tried in every run."""
    if not kept.has(key):
        return False
    refusal = _refusal(kept.path(key))
    return refusal is None or refusal["code"] != Code.WORKER_DIED


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
    """Longest clips first, so that no worker is left with a long one at the end."""
    if not missing:
        return
    compute = partial(_compute, work=stage.work, kept=kept)
    todo = sorted(missing, key=lambda item: (-item.task.seconds, item.clip_id))
    done = work.each(compute, todo, min(work.workers(run.workers), len(todo)), stage.module, partial(_refuse_deadly, kept=kept))
    for _ in track(done, stage.name, len(todo), {item.clip_id: item.task.seconds for item in todo}):
        pass


def _compute(item: Missing, work: Callable[[Task, Path], None], kept: Store) -> Missing:
    """In a worker: make one clip's entry. A refusal is a result too, and as final, unless the disk is full."""
    with kept.workplace() as workplace:
        folder = Path(workplace) / "entry"
        folder.mkdir()
        try:
            work(item.task, folder)
        except Refusal as refusal:
            kept.require_space()  # else the failure was the disk's
            _refuse(item, kept, refusal)
        else:
            kept.add(item.key, folder)
    return item


def _refuse_deadly(item: Missing, kept: Store) -> Missing:
    _refuse(item, kept, Refusal(Code.WORKER_DIED, "its worker process died, tried with others and alone"))
    return item


def _refuse(item: Missing, kept: Store, refusal: Refusal) -> None:
    with kept.workplace() as workplace:
        text = json.dumps({"code": refusal.code, "detail": refusal.detail}, ensure_ascii=False)
        folder = Path(workplace) / "entry"
        folder.mkdir()
        (folder / shards.REFUSED).write_text(text, encoding="utf-8")
        kept.add(item.key, folder)


def _publish(stage: Stage, entries: dict[str, Path]) -> list[Refused]:
    """Write shards, index and table of refusals."""
    refused = {clip_id: found for clip_id, entry in entries.items() if (found := _refusal(entry))}
    if stage.folder.exists():
        shutil.rmtree(stage.folder)
    shards.write(stage.folder, {clip_id: entry for clip_id, entry in entries.items() if clip_id not in refused})
    rows = [Refused(clip_id, stage.name, found["code"], found["detail"]) for clip_id, found in sorted(refused.items())]
    refusals.write(stage.folder / "refused.csv", rows)
    return rows


def _refusal(entry: Path) -> dict[str, str] | None:
    with zipfile.ZipFile(entry) as archive:
        return json.loads(archive.read(shards.REFUSED)) if shards.REFUSED in archive.namelist() else None
