"""How much time and memory a million clips take around the work on them: the manifest, the store's keys, the index.

`python -m benchmarks.million --clips 1000000` writes a clips.csv of so many rows, which are parts of 1,000 small sounds, and
runs the stage manifest. Then it makes the keys of a stage over all clips, looks for each of them in a store that has none,
and writes the archives and the index of an output in which every clip has the same stub of an entry. Each of these runs in a
process of its own. The command ends with an error where one held more than MOST megabytes.
"""

import argparse
import csv
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ruamel.yaml import YAML

import params
from benchmarks import processes
from benchmarks.many import sound
from benchmarks.records import Record
from preprocess.overview.foreseen import glance
from preprocess.run.inputs import Inputs
from preprocess.run.stage import keys_of
from preprocess.stages import audio
from preprocess.store import shards
from preprocess.store.entries import Store

MEDIA = 1000
MOST = 2000  # MB that a process may hold
WORDS = ["so", "this", "is", "what", "it", "has", "come", "to"]


def prepare(folder: Path, clips: int) -> None:
    """A workspace with a corpus of so many clips."""
    films = folder / "films"
    films.mkdir()
    for i in range(min(MEDIA, clips)):
        sound(films / f"{i:04d}.wav", seed=i)
    with (films / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip_id", "media", "start", "end", "text", "split", "speaker", "happy", "sad"])
        for i in range(clips):
            start = i // MEDIA * 1e-4  # seconds
            split = ("train", "train", "train", "valid", "test")[i % 5]
            table.writerow(
                [
                    f"clip{i:07d}",
                    f"{i % MEDIA:04d}.wav",
                    f"{start:.4f}",
                    "",
                    " ".join(WORDS[: 2 + i % 6]),
                    split,
                    f"speaker{i % 5}",
                    i % 2,
                    0,
                ]
            )
    editor = YAML()
    tree = editor.load(Path("params.yaml"))
    tree["corpus"].update(root="films", labels=["happy", "sad"])
    tree["run"]["store"] = ".store"
    editor.dump(tree, folder / "params.yaml")


def keys() -> None:
    """Make the keys of the stage audio, look for all in the store, and note them as in use."""
    settings = params.load()
    made = keys_of(audio.job(settings, Inputs()))
    store = Store(settings.run.store_folder / "audio")
    there = sum(bool(glance(store.path(key))[0]) for key in made.values())
    store.use(sorted(made.values()))
    print(f"{len(made)} keys, {there} entries")


def index() -> None:
    """Write an output with a stub for every clip, and read its index."""
    settings = params.load()
    store = Store(settings.run.store_folder / "stub")
    with store.workplace() as workplace:
        entry = Path(workplace) / "entry"
        entry.mkdir()
        (entry / "txt").write_text("a stub")
        store.add("stub", entry)
    clip_ids = Inputs().texts()
    shards.write(Path("data/stub"), dict.fromkeys(clip_ids, store.path("stub")))
    print(f"{len(shards.Shards(Path('data/stub')).digests)} clips in the index")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    parser.add_argument("--clips", type=int, default=1_000_000)
    clips = parser.parse_args().clips
    record = Record("million", f"{clips} clips")
    too_large = []
    with TemporaryDirectory() as temporary:
        prepare(Path(temporary), clips)
        steps = {
            "manifest": ["-m", "preprocess", "manifest"],
            "manifest, again": ["-m", "preprocess", "manifest"],
            "keys": ["-c", "from benchmarks import million; million.keys()"],
            "index": ["-c", "from benchmarks import million; million.index()"],
        }
        for name, arguments in steps.items():
            program = processes.run([sys.executable, *arguments], Path(temporary))
            record.add(name, program.figures() | {"clips_per_second": clips / program.seconds})
            too_large += [f"{name}: {kind} {peak:.0f} MB" for kind, peak in program.peaks.items() if peak > MOST]
        record.add("table", {"megabytes": (Path(temporary) / "films/clips.csv").stat().st_size / 1e6})
    record.write()
    if too_large:
        sys.exit(f"more than {MOST} MB: {', '.join(too_large)}")


if __name__ == "__main__":
    main()
