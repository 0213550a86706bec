"""What every stage over clips does: fill its output from the store, computing only what is missing."""

import errno
import json
import os
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
from preprocess.shards import Content, Ready, Shelf
from preprocess.store import Store

SPARE = 64 << 20  # bytes free on the disk below which a failure is the disk's rather than the clip's


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
        shelf = Shelf(kept)
        noted = {key: content for key, content in shelf.contents().items() if kept.path(key).is_file() and _is_final(content)}
        ready = shelf.ready(keys, noted)
        found = {keys[clip_id]: content for clip_id, content in ready.contents.items()}
        found |= {key: content for key in set(keys.values()) - found.keys() if (content := _look(kept, key))}
        missing = {key: Missing(task, key) for task in tasks if (key := keys[task.clip_id]) not in found}
        _compute_all(stage, list(missing.values()), kept, run)
        found |= {key: _content(kept.path(key)) for key in missing}
        refused = _publish(stage, keys, found, kept, ready)
        shelf.keep(stage.folder, {clip_id: key for clip_id, key in keys.items() if not found[key].refusal}, found)
        kept.use(stage.name, sorted(set(keys.values())))
    reused = len(tasks) - len(missing)
    print(f"{stage.name}: {len(tasks)} clips, {len(missing)} computed, {reused} reused, {len(refused)} refused")
    refusals.announce(refused)


def _look(kept: Store, key: str) -> Content | None:
    """What a whole entry holds; None where the clip has to be tried."""
    content = _content(kept.path(key)) if kept.has(key) else None
    return content if content and _is_final(content) else None


def _is_final(content: Content) -> bool:
    """Whether the clip need not be tried: a worker may have died for want of memory, so that is tried in every run."""
    return content.refusal is None or content.refusal["code"] != Code.WORKER_DIED


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
            if shutil.disk_usage(folder).free < SPARE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(kept.folder)) from refusal
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
