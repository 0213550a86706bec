"""How time and memory of the pipeline itself (store, archives, DVC) grow with the number of clips; and one clip changed.

`python -m benchmarks.many --clips 20000` makes two corpora of tiny sounds, of 2,000 and of 20,000 clips, and runs the stages
on each in a repository of its own. `manifest` and `align` are the real ones. The others are stubs (benchmarks/stubs.py), which
do almost no work.
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
WORDS = 8, 32  # of a clip: at least so many, and fewer than so many


def corpus(folder: Path, clips: int) -> None:
    """Write a corpus of so many clips, each with a sound and a text of random words."""
    (folder / "films").mkdir()
    generator = np.random.default_rng(0)
    with (folder / "films" / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip_id", "media", "start", "end", "text", "split", "happy"])
        for i in range(clips):
            count = int(generator.integers(*WORDS))
            sound(folder / "films" / f"{i:06d}.wav", seed=i)
            text = " ".join(f"word{number}" for number in generator.integers(0, 1000, count))
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
    """Make a repository with a corpus and the stages of dvc.yaml, without what they depend on of code and networks."""
    corpus(folder, clips)
    editor = YAML()
    tree = editor.load(Path("params.yaml"))
    tree["corpus"].update(root="films", labels=["happy"])
    tree["run"]["store"] = ".store"
    editor.dump(tree, folder / "params.yaml")
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    pipeline = {}
    for name, command in COMMANDS.items():
        deps = [path for path in stages[name]["deps"] if path.startswith(("data/", "${")) and "models" not in path]
        pipeline[name] = {
            "cmd": command,
            "deps": [path for path in deps if "text_model" not in path],
            "outs": stages[name]["outs"],
        }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": pipeline}), encoding="utf-8")
    (folder / ".gitignore").write_text("/films\n.store/\nlogs/\n", encoding="utf-8")
    shutil.copytree(".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    shutil.copy(".dvcignore", folder)
    processes.run(["git", "init", "--quiet"], folder)
    processes.run(["dvc", "config", "cache.type", link], folder)


def measure(clips: int, link: str) -> dict[str, Figures]:
    """The figures of every step, for a corpus of so many clips."""
    figures = {}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, clips, link)
        for name in ORDER:
            figures[f"{name}, first"] = processes.run(shlex.split(COMMANDS[name]), folder).figures()
        sizes = [path.stat().st_size for path in folder.glob("data/*/*.zip")]
        figures["outputs"] = {"megabytes": sum(sizes) / 1e6, "shards": len(sizes)}
        figures["dvc commit"] = processes.run(["dvc", "commit", "--force"], folder).figures()
        figures["dvc repro, nothing changed"] = processes.run(["dvc", "repro"], folder).figures()
        for name in ORDER:
            figures[f"{name}, again"] = processes.run(shlex.split(COMMANDS[name]), folder).figures()
        original = (folder / "films" / "000000.wav").read_bytes()
        sound(folder / "films" / "000000.wav", seed=-1 % 2**32)
        repro = processes.run(["dvc", "repro"], folder)
        require(repro.printed, f"{clips} clips, 1 computed, {clips - 1} reused", 3)
        figures["dvc repro, one clip changed"] = repro.figures()
        (folder / "films" / "000000.wav").write_bytes(original)
        figures["dvc repro, changed back"] = processes.run(["dvc", "repro"], folder).figures()
    return figures


def require(printed: str, line: str, least: int) -> None:
    """Stop the benchmark where fewer than `least` stages printed this line: it would measure something else."""
    if printed.count(line) < least:
        print(printed, file=sys.stderr)
        sys.exit(f"expected at least {least} stages that say: {line}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many", description=__doc__)
    parser.add_argument("--clips", type=int, default=20000)
    parser.add_argument("--link", default="copy", help="DVC's cache.type: copy, its default, or hardlink,copy")
    clips, link = vars(parser.parse_args()).values()
    record = Record("many", f"{clips} clips, {link}")
    few, many = (measure(count, link) for count in (max(1, clips // 10), clips))
    for case, figures in many.items():
        record.add(case, figures | {f"{key}_of_a_tenth": value for key, value in few[case].items()})
    record.write()


if __name__ == "__main__":
    main()
