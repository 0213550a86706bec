"""How much time and memory a film of an hour takes in every stage.

`python -m benchmarks.hour --clips FOLDER` repeats the films of a corpus folder until they make an hour. The long film is two
clips of one corpus: one with a blank text, one with the texts of its films joined. The command ends with an error where a
process held more than MOST megabytes.
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import imageio_ffmpeg
from ruamel.yaml import YAML

import params
from benchmarks import processes
from benchmarks.records import Record
from preprocess.media import probe

STAGES = ["manifest", "frames", "audio", "faces", "transcripts"]
STAGES += ["tune_text", "encode_text", "encode_audio", "encode_vision", "align"]
MOST = 1500  # MB that a process of a stage may hold
PICTURE = "scale=1280:720:force_original_aspect_ratio=decrease,pad=1280:720:-1:-1,fps=25,setsar=1,format=yuv420p"
FILM = ["-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac", "-ar", "48000", "-ac", "2"]


def films(corpus: Path) -> list[dict[str, str]]:
    """The rows of a corpus whose media have picture and sound."""
    with (corpus / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["media"]]
    streams = [probe.streams_of(corpus / row["media"]) for row in rows]
    return [row for row, stream in zip(rows, streams, strict=True) if stream.width and stream.sample_rate]


def ffmpeg(*arguments: str | int | Path) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *map(str, arguments)], check=True)


def loop(corpus: Path, rows: list[dict[str, str]], seconds: float, target: Path) -> int:
    """Write a film of about `seconds` in which the corpus' films follow each other; returns how often each one comes."""
    parts = [target.with_name(f"part{i}.mkv") for i in range(len(rows))]
    for row, part in zip(rows, parts, strict=True):
        ffmpeg("-i", corpus / row["media"], "-vf", PICTURE, *FILM, part)
    listed = target.with_name("parts.txt")
    listed.write_text("".join(f"file '{part.name}'\n" for part in parts), encoding="utf-8")
    once = target.with_name("once.mkv")
    ffmpeg("-f", "concat", "-i", listed, "-c", "copy", once)
    times = max(1, round(seconds / probe.streams_of(once).duration))
    ffmpeg("-stream_loop", times - 1, "-i", once, "-c", "copy", target)
    for path in (*parts, listed, once):
        path.unlink()
    return times


def prepare(folder: Path, corpus: Path, seconds: float, rate: float) -> None:
    """Make a workspace with the long film, and a link to the networks of this checkout."""
    (folder / "films").mkdir()
    rows = films(corpus)
    times = loop(corpus, rows, seconds, folder / "films" / "long.mkv")
    text = " ".join([row["text"] for row in rows] * times)
    with (folder / "films" / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerows([["clip_id", "media", "start", "end", "text", "split", "happy"]])
        table.writerows(
            [["blank_text", "long.mkv", "", "", "", "train", 1], ["known_text", "long.mkv", "", "", text, "train", 0]]
        )
    (folder / "data").mkdir()
    (folder / "data" / "models").symlink_to(Path("data/models").resolve())
    editor = YAML()
    tree = editor.load(Path("params.yaml"))
    tree["corpus"].update(root="films", labels=["happy"])
    tree["frames"]["rate"] = rate
    tree["run"]["store"] = ".store"
    editor.dump(tree, folder / "params.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hour", description=__doc__)
    parser.add_argument("--clips", type=Path, help="corpus folder whose films are looped; that of params.yaml by default")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--rate", type=float, default=10, help="pictures a second that are kept")
    options = parser.parse_args()
    record = Record("hour", f"{options.seconds:g} s, {options.rate:g} pictures a second")
    too_large = []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, options.clips or Path(params.load().corpus.root), options.seconds, options.rate)
        for stage in STAGES:
            program = processes.run([sys.executable, "-m", "preprocess", stage], folder)
            record.add(stage, program.figures())
            print(*(line for line in program.printed.splitlines() if line.startswith((stage, " "))), sep="\n", flush=True)
            too_large += [f"{stage}: {kind} {peak:.0f} MB" for kind, peak in program.peaks.items() if peak > MOST]
    record.write()
    if too_large:
        sys.exit(f"more than {MOST} MB: {', '.join(too_large)}")


if __name__ == "__main__":
    main()
