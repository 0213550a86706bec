"""`python -m preprocess plan`: what a run would compute, and what it would cost, before anything is computed.

For each stage over clips: how many clips are there and how many would be computed, with the time, disk and GPU hours that this
takes at the rates that earlier runs with this store had. Where no run has been seen, `--sample` first computes 20 clips of
those that are missing, which are kept. Also the parameters that differ from the last run, and the stages that DVC runs for it.
"""

import os
import shutil
from dataclasses import dataclass

import params
from preprocess.overview import changes, foreseen, sample
from preprocess.overview.foreseen import Sight
from preprocess.overview.words import duration, size
from preprocess.run import records, work
from preprocess.run.records import Run

RUNS = 50  # the latest ones of which the rates are taken


@dataclass(frozen=True)
class Cost:
    """What some clips take: seconds of workers, bytes in the store, hours of GPUs."""

    busy: float
    size: float
    gpu: float


def main(clips: int) -> None:
    """Print the plan; `clips` are timed first where that is above 0."""
    settings = params.load()
    changed = changes.changed(settings)
    if clips:
        sample.run(settings, clips)
    inputs, media, unread = foreseen.planned(settings, retuned="tune_text" in changed)
    workers = work.workers(settings.run.workers)
    print(f"store: {settings.run.store_folder}; time with {workers} workers, as run.workers says, on {_device(settings)}")
    print(f"{'manifest':14}{media:8} media {unread:8} to read" + (", they count as films with sound below" if unread else ""))
    sights = list(foreseen.look(settings, inputs))
    costs = [cost(sight, records.read(sight.store.folder)) for sight in sights]
    for sight, of_stage in zip(sights, costs, strict=True):
        print(line(sight, of_stage, workers))
    print(_total(costs, workers, settings))
    for stage, lines in changed.items():
        print(f"changed for {stage}: {', '.join(lines)}")
    if changed:
        print(f"stages that DVC runs for these parameters: {', '.join(changes.after(set(changed), settings))}")


def line(sight: Sight, cost: Cost | None, workers: int) -> str:
    """A stage in one line."""
    counts = f"{sight.stage.name:14}{sight.there:8} there {len(sight.todo):8} to compute" + (
        "" if sight.is_known else " at most"
    )
    if not sight.todo:
        return counts
    if cost is None:
        return f"{counts}; how long is unknown"
    return f"{counts}; {_in_words(cost, workers)}"


def _in_words(cost: Cost, workers: int) -> str:
    gpu = f", {cost.gpu:.2g} GPU hours" if cost.gpu else ""
    return f"about {duration(cost.busy / workers)}, {size(cost.size)}{gpu}"


def cost(sight: Sight, runs: list[Run]) -> Cost | None:
    """What the clips that are missing take at the rates of earlier runs, with the same device if there are some; None where
    there are none."""
    seen = [run for run in runs if run.nodes and run.done.clips]
    same = [run for run in seen if run.device == sight.stage.environment] or seen
    done = [run.done for run in same[-RUNS:]]
    if not sight.todo or not done:
        return None if sight.todo else Cost(0, 0, 0)
    clips, media = sum(item.clips for item in done), sum(item.media for item in done)
    seconds = sum(task.seconds for task in sight.todo)
    share = seconds / media if media and seconds else len(sight.todo) / clips  # of what those runs did
    on_gpu = sum(run.seconds for run in same[-RUNS:] if run.device.startswith("cuda")) / 3600
    return Cost(*(share * amount for amount in (sum(item.busy for item in done), sum(item.size for item in done), on_gpu)))


def _total(costs: list[Cost | None], workers: int, settings: params.Params) -> str:
    known = [cost for cost in costs if cost]
    hint = (
        "" if len(known) == len(costs) else "\nunknown: this store has seen no run of that stage; plan --sample times 20 clips"
    )
    if not any(cost.busy for cost in known):
        return f"in all: {'unknown' if hint else 'nothing to compute'}{hint}"
    total = Cost(*(sum(getattr(cost, name) for cost in known) for name in ("busy", "size", "gpu")))
    folder = next(path for path in (settings.run.store_folder, *settings.run.store_folder.parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    short = " - TOO LITTLE" if free < total.size else ""
    least = "" if len(known) == len(costs) else "at least "
    return (
        f"in all {least}{_in_words(total, workers)} in the store, where {size(free)} are free{short}; "
        f"outputs take as much again in data/, and in DVC's cache unless it links{hint}"
    )


def _device(settings: params.Params) -> str:
    return f"{os.uname().nodename}, run.device {settings.run.device}"
