"""How the pipeline around the work grows with the number of clips: store, shards, DVC, and one clip changed.

`python -m benchmarks.many --clips 20000` takes corpora of tiny sounds, a tenth of the number and the number, through the
stages in a repository of its own. manifest and align are the real ones; what recognises and encodes is a stub.
"""

import argparse
import csv
import shlex
import shutil
import sys
import wave
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml
from ruamel.yaml import YAML

from benchmarks import processes
from benchmarks.records import Figures, Record
from benchmarks.stubs import RATE, WORD

STUBS = ["frames", "audio", "faces", "transcripts", "encode_text", "encode_audio", "encode_vision"]
COMMANDS = {name: f"python -c \"from benchmarks import stubs; stubs.main('{name}')\"" for name in STUBS} | {
    name: f"python -m preprocess {name}" for name in ("manifest", "align")
}
ORDER = ["manifest", *STUBS, "align"]
WORDS = 8, 32  # of a clip, at least and at most


def corpus(folder: Path, clips: int) -> None:
    (folder / "films").mkdir()
    drawn = np.random.default_rng(0)
    with (folder / "films" / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip_id", "media", "start", "end", "text", "split", "happy"])
        for i in range(clips):
            count = int(drawn.integers(*WORDS))
            sound(folder / "films" / f"{i:06d}.wav", seed=i)
            text = " ".join(f"word{number}" for number in drawn.integers(0, 1000, count))
            split = ("train", "train", "train", "valid", "test")[i % 5]
            table.writerow([f"clip{i:06d}", f"{i:06d}.wav", "", "", text, split, i % 2])


def sound(path: Path, seed: int) -> None:
    samples = np.random.default_rng(seed).integers(-3000, 3000, int(RATE * WORD * 2)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())


def prepare(folder: Path, clips: int, link: str) -> None:
    """A repository with a corpus and the pipeline's own stages, but for their sources and the networks."""
    corpus(folder, clips)
    editor = YAML()
    tree = editor.load(Path("params.yaml"))
    tree["corpus"].update(root="films", labels=["happy"])
    tree["run"]["store"] = ".store"
    editor.dump(tree, folder / "params.yaml")
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    own = {}
    for name, command in COMMANDS.items():
        deps = [path for path in stages[name]["deps"] if path.startswith(("data/", "${")) and "models" not in path]
        own[name] = {"cmd": command, "deps": [path for path in deps if "text_model" not in path], "outs": stages[name]["outs"]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": own}), encoding="utf-8")
    (folder / ".gitignore").write_text("/films\n.store/\nlogs/\n", encoding="utf-8")
    shutil.copytree(".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    shutil.copy(".dvcignore", folder)
    processes.run(["git", "init", "--quiet"], folder)
    processes.run(["dvc", "config", "cache.type", link], folder)


def written(folder: Path, before: dict[Path, int]) -> int:
    """How many shards of all stages are other files than before."""
    return sum(before.get(path) != inode for path, inode in shards(folder).items())


def shards(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_ino for path in folder.glob("data/*/*.zip")}


def measure(clips: int, link: str) -> dict[str, Figures]:
    """Every step's figures for a corpus of so many clips."""
    found = {}
    with TemporaryDirectory() as made:
        folder = Path(made)
        prepare(folder, clips, link)
        for name in ORDER:
            taken = processes.run(shlex.split(COMMANDS[name]), folder)
            found[f"{name}, first"] = taken.figures()
        size = sum(path.stat().st_size for path in shards(folder))
        found["outputs"] = {"megabytes": size / 1e6, "shards": len(shards(folder))}
        found["dvc commit"] = processes.run(["dvc", "commit", "--force"], folder).figures()
        found["dvc repro, nothing changed"] = processes.run(["dvc", "repro"], folder).figures()
        for name in ORDER:
            found[f"{name}, again"] = processes.run(shlex.split(COMMANDS[name]), folder).figures()
        before = shards(folder)
        original = (folder / "films" / "000000.wav").read_bytes()
        sound(folder / "films" / "000000.wav", seed=-1 % 2**32)
        taken = processes.run(["dvc", "repro"], folder)
        require(taken.printed, f"{clips} clips, 1 computed, {clips - 1} reused", 3)
        found["dvc repro, one clip changed"] = taken.figures() | {"shards_written": written(folder, before)}
        (folder / "films" / "000000.wav").write_bytes(original)
        found["dvc repro, changed back"] = processes.run(["dvc", "repro"], folder).figures()
    return found


def require(printed: str, line: str, least: int) -> None:
    if printed.count(line) < least:
        print(printed, file=sys.stderr)
        sys.exit(f"expected at least {least} stages that say: {line}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many", description=__doc__)
    parser.add_argument("--clips", type=int, default=20000)
    parser.add_argument("--link", default="hardlink,copy", help="DVC's cache.type; copy is its own default")
    clips, link = vars(parser.parse_args()).values()
    record = Record("many", f"{clips} clips, {link}")
    few, many = (measure(count, link) for count in (max(1, clips // 10), clips))
    for case, figures in many.items():
        record.add(case, figures | {f"{key}_of_a_tenth": value for key, value in few[case].items()})
    record.write()


if __name__ == "__main__":
    main()
