"""How fast each stage takes clips, with one worker and with two, and how that compares with decoding to nowhere.

`python -m benchmarks.stages` takes clips of the corpus that params.yaml names through the stages with empty stores.
Times include the start of a stage, which `start` gives alone: a run that finds every clip done.
"""

import argparse
import csv
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import imageio_ffmpeg
from ruamel.yaml import YAML

import params

STAGES = ["frames", "audio", "faces", "transcripts", "tune_text", "encode_text", "encode_audio", "encode_vision"]
COPIES = {"tune_text"}  # does no work of single clips, and is not timed
BARE = {"frames": "-an", "audio": "-vn"}  # what ffmpeg alone leaves out of the same work


def prepare(folder: Path, corpus: Path, clips: int) -> None:
    """A workspace with the first clips of the corpus, whose media and networks are linked to."""
    with (corpus / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:clips]
    films = folder / "films"
    for row in rows:
        if row["media"]:
            (films / row["media"]).parent.mkdir(parents=True, exist_ok=True)
            (films / row["media"]).write_bytes((corpus / row["media"]).read_bytes())
    with (films / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    (folder / "data").mkdir()
    (folder / "data" / "models").symlink_to(Path("data/models").resolve())


def set_run(folder: Path, workers: int) -> None:
    editor = YAML()
    tree = editor.load(Path("params.yaml"))
    tree["corpus"]["root"] = "films"
    tree["run"].update(workers=workers, store=f"store{workers}")
    editor.dump(tree, folder / "params.yaml")


def run(stage: str, folder: Path) -> float:
    """Seconds of one stage."""
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    environment.pop("DVC_ROOT", None)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "preprocess", stage], cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def bare(stage: str, films: list[Path]) -> float:
    """Seconds in which ffmpeg, on one thread, decodes the same films to nowhere."""
    start = time.perf_counter()
    for film in films:
        command = [
            imageio_ffmpeg.get_ffmpeg_exe(),
            "-v",
            "error",
            "-threads",
            "1",
            "-i",
            str(film),
            BARE[stage],
            "-f",
            "null",
            "-",
        ]
        subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=48)
    clips = parser.parse_args().clips
    with TemporaryDirectory() as made:
        folder = Path(made)
        prepare(folder, Path(params.load().corpus.root), clips)
        set_run(folder, 1)
        run("manifest", folder)
        with (folder / "data/manifest/media.csv").open(encoding="utf-8", newline="") as file:
            media = list(csv.DictReader(file))
        films = [folder / "films" / row["media"] for row in media]
        seconds = sum(float(row["end"]) - float(row["start"]) for row in media)
        print(f"{len(media)} clips, {seconds:.0f} s of media; times in seconds")
        print(f"{'stage':14}{'one':>8}{'two':>8}{'start':>8}{'x real':>8}{'two/one':>9}{'bare':>8}")
        for stage in STAGES:
            taken = {}
            for workers in (1, 2):
                set_run(folder, workers)
                taken[workers] = run(stage, folder)
            start = run(stage, folder)
            if stage in COPIES:
                continue
            gain = (taken[1] - start) / max(taken[2] - start, 1e-9)
            alone = f"{bare(stage, films):8.2f}" if stage in BARE else f"{'':>8}"
            print(
                f"{stage:14}{taken[1]:8.2f}{taken[2]:8.2f}{start:8.2f}{seconds / taken[2]:8.1f}{gain:9.2f}{alone}", flush=True
            )


if __name__ == "__main__":
    main()
