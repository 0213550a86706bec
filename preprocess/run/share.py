"""A share of a stage's clips: what `python -m preprocess STAGE --share 3/16` does.

Any batch scheduler can start the shares, on any machine that sees the checkout and the store. A share computes what is missing
of its clips and writes no output; the stage itself, run afterwards, finds them all.
"""

import hashlib
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass

import params
from preprocess.run import kinds, records, work
from preprocess.run.records import Record
from preprocess.run.stage import Job, Missing, Stage, compute, finished, keys_of, outcome, require_some
from preprocess.store.entries import DAMAGE, Store


class ShareError(RuntimeError):
    """Shares that do not fit together; the message says which, and what to do."""


@dataclass(frozen=True)
class Share:
    """The `number`-th of `total` shares. A hash of its id decides which share a clip is in, so no clip is in two."""

    number: int  # from 1
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def __contains__(self, clip_id: str) -> bool:
        digest = hashlib.sha256(f"share of {clip_id}".encode()).digest()
        return int.from_bytes(digest[:8]) % self.total == self.number - 1


def parse(text: str) -> Share:
    """The share that is written as 3/16; ValueError says what is wrong with it."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"{text!r} is no share: expected a number from 1 to the number of shares, and that number, as in 3/16")
    return Share(int(found[1]), int(found[2]))


def fill(job: Job, run: params.Run, share: Share) -> None:
    """Compute what the store lacks of a share's clips, and print how many were computed, there, and refused."""
    stage = job.stage
    store = Store(run.store_folder / stage.name, is_shared=True)
    store.sweep()
    run = run.model_copy(update={"engine": "processes", "workers": workers(run)})
    gpu = work.gpu_kind(run, stage.environment)
    require_same_kind(stage, store, gpu, share)
    keys = keys_of(job, gpu=gpu)
    store.use(sorted(set(keys.values())))
    mine = {key: Missing(task, key) for task in job.tasks if task.clip_id in share and (key := keys[task.clip_id])}
    missing = [item for key, item in mine.items() if not finished(stage, store, key)]
    require_same_total(store, records.digest(keys.values()), share)
    with Record(store, keys.values(), stage.environment, str(share)) as record:
        computed = compute(stage, missing, store, run, record)
    outcomes = {}
    for key in computed:
        with suppress(FileNotFoundError, *DAMAGE):  # removed meanwhile: the stage makes it again
            outcomes[key] = outcome(store.path(key))
    require_some(outcomes)
    refused = sum(item.refusal is not None for item in outcomes.values())
    there = len(mine) - len(computed)
    print(f"{stage.name}, share {share}: {len(mine)} clips, {len(computed)} computed, {there} there, {refused} refused")
    print(f"{stage.name}: shares write no output; when all have ended, dvc repro --single-item {stage.name} does")


def workers(run: params.Run) -> int:
    """`run.workers`; where that is 0, the cores that Slurm gave to this job, if it says."""
    return run.workers or int(os.environ.get("SLURM_CPUS_PER_TASK", 0))


def note_machine(job: Job, run: params.Run) -> None:
    """Say that the stage itself is going to run here: shares on machines of another kind then decline."""
    stage = job.stage
    kind = kinds.here(stage.module, work.gpu_kind(run, stage.environment))
    kinds.note(Store(run.store_folder / stage.name, is_shared=True), kind)
    print(f"{stage.name}: shares run on machines like {kind.node}: {kinds.in_words(kind)}")


def require_same_kind(stage: Stage, store: Store, gpu: str, share: Share) -> None:
    """ShareError where this machine's clips would not be those for which the stage looks."""
    own = kinds.here(stage.module, gpu, by_share=True)
    wanted = kinds.noted(store) or kinds.note_first(store, own)
    if others := kinds.differences(wanted, own):
        what = "a share that ran before" if wanted.by_share else "the stage itself"
        raise ShareError(
            f"share {share}: {own.node} {others}. This is compared with {wanted.node}, the machine of {what}. If the stage "
            f"is to run on another one, say so there: python -m preprocess {stage.name} --note-machine"
        )


def require_same_total(store: Store, work_digest: str, share: Share) -> None:
    """ShareError where another number of shares is at work on the same clips: together they would do some clips twice."""
    for run in records.read(store.folder):
        total = run.share.partition("/")[2]
        if total and int(total) != share.total and run.work == work_digest and run.is_live(time.time()):
            raise ShareError(
                f"share {share}: share {run.share} of the same clips is at work on {run.machine} (process {run.pid}). Give all "
                f"shares the same total. If that one was killed, wait {records.LOST:g} s and start this one again"
            )
