"""`python -m preprocess status`: how far each stage is, and what the runs do that are at work, on which machine.

Counts are those of the store. "In hand" is what the workers of a run have, at most. A run that was killed counts as at work
until nothing has been heard of it for a minute. The clocks of the machines must agree to within some seconds.
"""

import time
from collections.abc import Iterator

import params
from preprocess.clips import FOLDER as MANIFEST
from preprocess.overview import foreseen
from preprocess.overview.foreseen import Sight
from preprocess.overview.words import duration, plural
from preprocess.run import records
from preprocess.run.records import Done, Run


def main() -> None:
    settings = params.load()
    print(f"store: {settings.run.store_folder}")
    if not (MANIFEST / "texts.csv").is_file():
        print("manifest has not run yet: dvc repro manifest")
        return
    for sight in foreseen.look(settings, foreseen.published(settings)):
        print(*lines(sight, time.time()), sep="\n")


def lines(sight: Sight, now: float) -> Iterator[str]:
    """A line for the stage, and one for each machine that has worked on these clips."""
    work = records.digest(sight.keys.values())
    runs = [run for run in records.read(sight.store.folder) if run.work == work]
    live = [run for run in runs if run.is_live(now)]
    left = f"{len(sight.todo):7} left" + ("" if sight.is_known else " at most")
    done = sight.there - sight.refused
    yield f"{sight.stage.name:14}{len(sight.keys):8} clips {done:8} done {sight.refused:6} refused {left}{_ahead(sight, live)}"
    for machine in sorted({name for run in runs for name in [*run.nodes, run.machine]}):
        yield f"  {machine}: {_of_machine(machine, runs, now)}"


def _ahead(sight: Sight, live: list[Run]) -> str:
    """What is in hand, how fast, and how long it will take."""
    if not live:
        return ""
    speed = sum(_speed(run, run.done) for run in live)
    in_hand = f", {min(sum(run.in_hand for run in live), len(sight.todo))} in hand"
    return in_hand + (f", {speed:.2g} clips/s, {duration(len(sight.todo) / speed)} left" if speed else "")


def _speed(run: Run, done: Done) -> float:
    """Clips a second."""
    return (done.clips + done.elsewhere) / max(run.seconds, 1e-3)


def _of_machine(machine: str, runs: list[Run], now: float) -> str:
    parts = [(run, run.nodes[machine]) for run in runs if machine in run.nodes]
    here = [run for run in runs if run.machine == machine]
    clips, busy = sum(done.clips for _, done in parts), sum(done.busy for _, done in parts)
    words = [f"{plural(clips, 'clip')} computed in {duration(busy)} of work"]
    live = [run for run in here if run.is_live(now)]
    speed = sum(_speed(run, done) for run, done in parts if run.is_live(now))
    if live or speed:
        in_hand = sum(run.in_hand for run in live)
        words.append(f"{plural(len(live), 'run')} at work{_shares(live)}, {in_hand} in hand, {speed:.2g} clips/s")
    stopped = [run for run in here if run.state == records.STOPPED]
    lost = [run for run in here if run.state == records.RUNNING and not run.is_live(now)]
    words += (
        [f"{plural(len(lost), 'run')} not heard of for {duration(now - max(run.updated for run in lost))}{_shares(lost)}"]
        if lost
        else []
    )
    words += [f"{plural(len(stopped), 'run')} stopped{_shares(stopped)}"] if stopped else []
    return "; ".join(words)


def _shares(runs: list[Run]) -> str:
    shares = sorted({run.share for run in runs if run.share}, key=lambda share: int(share.partition("/")[0]))
    return f" ({', '.join(shares[:8])}{', …' if len(shares) > 8 else ''})" if shares else ""
