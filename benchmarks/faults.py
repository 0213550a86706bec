"""Faults that are put into a copy of the sample corpus at known places, for `python -m benchmarks.audit` and the tests.

Each kind is a function that changes rows of clips.csv, and writes another film where the fault is in the medium. The clip is
chosen at random, whatever its noise. A fault of two copies of one recording may be found in either.
"""

import csv
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from preprocess.media import probe
from preprocess.media.decoder import ffmpeg_path

LABELS = ("happy", "sad", "anger", "surprise", "disgust", "fear")
EXACT = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags", "+bitexact", "-threads", "1"]
ENCODED = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "80k"]
BOTH = "[0:v][0:a][1:v][1:a][2:v][2:a]concat=n=3:v=1:a=1"


@dataclass(frozen=True)
class Fault:
    """Where a fault is: in one of these clips it has to be found."""

    kind: str
    clip_ids: tuple[str, ...]
    span: tuple[float, float] | None = None  # the right start and end, seconds into the film, where the fault is in the times


@dataclass
class Corpus:
    """A copy of the sample corpus, while faults are put into it."""

    folder: Path
    rows: dict[str, dict[str, str]]
    words: dict[str, list[tuple[str, float, float]]]  # what is said in each clip: word, start, end
    rng: np.random.Generator
    taken: set[str] = field(default_factory=set)  # clips that a fault has touched

    def choose(self, accepts: Callable[[str], bool] = bool) -> str:
        """A clip that no fault has touched, from now on taken."""
        free = [clip_id for clip_id in sorted(self.rows) if clip_id not in self.taken and accepts(clip_id)]
        chosen = str(self.rng.choice(free))
        self.taken.add(chosen)
        return chosen

    def choose_written(self) -> str:
        """The same of those with a text."""
        return self.choose(lambda clip_id: bool(self.rows[clip_id]["text"]))

    def beside(self, clip_id: str, step: int) -> str:
        """The next clip of the same speaker, for -1 the one before; in a circle. Itself, where the speaker has no other."""
        of_speaker = [name for name in sorted(self.rows) if self.rows[name]["speaker"] == self.rows[clip_id]["speaker"]]
        return of_speaker[(of_speaker.index(clip_id) + step) % len(of_speaker)]

    def text(self, clip_id: str) -> str:
        return self.rows[clip_id]["text"] or " ".join(word for word, _, _ in self.words[clip_id])

    def film(self, clip_id: str) -> Path:
        return self.folder / self.rows[clip_id]["media"]

    def seconds(self, clip_id: str) -> float:
        return probe.streams_of(self.film(clip_id)).duration

    def remake(self, clip_id: str, *options: str, of: tuple[str, ...] = ()) -> str:
        """Write another film of the films of the clips `of` (of its own, if none are named); its name for the table."""
        media = f"films/{clip_id}_changed.mp4"
        inputs = [part for name in of or (clip_id,) for part in ("-i", str(self.film(name)))]
        command = [ffmpeg_path("bundled"), "-loglevel", "error", *inputs, *options, *ENCODED, *EXACT, str(self.folder / media)]
        subprocess.run(command, check=True)
        return media


def text_of_neighbour(corpus: Corpus) -> Fault:
    clip_id = corpus.choose(lambda name: bool(corpus.rows[name]["text"]) and corpus.beside(name, 1) != name)
    corpus.rows[clip_id]["text"] = corpus.text(corpus.beside(clip_id, 1))
    return Fault("text_of_neighbour", (clip_id,))


def shifted_times(corpus: Corpus) -> Fault:
    """Three clips of one speaker become one film, and the times of the middle one are wrong."""

    def accepts(clip_id: str) -> bool:
        beside = {corpus.beside(clip_id, step) for step in (-1, 1)}
        return bool(corpus.rows[clip_id]["text"]) and not beside & {clip_id, *corpus.taken}

    middle = corpus.choose(accepts)
    names = (corpus.beside(middle, -1), middle, corpus.beside(middle, 1))
    corpus.taken.update(names)
    edges = np.cumsum([0.0, *(corpus.seconds(name) for name in names)])
    media = corpus.remake(middle, "-filter_complex", BOTH, of=names)
    shift = float(corpus.rng.choice([-1, 1]) * corpus.rng.uniform(0.6, 1.2))
    for name, start, end in zip(names, edges[:-1], edges[1:], strict=True):
        moved = shift if name == middle else 0.0
        corpus.rows[name] |= {"media": media, "start": f"{start + moved:.3f}", "end": f"{end + moved:.3f}"}
    return Fault("shifted_times", (middle,), (float(edges[1]), float(edges[2])))


def cut_words(corpus: Corpus) -> Fault:
    """The clip begins after its first words, or ends before its last ones; about half a second of speech is lost."""
    clip_id = corpus.choose_written()
    words = corpus.words[clip_id]
    if corpus.rng.random() < 0.5:
        corpus.rows[clip_id]["start"] = f"{next(end for _, _, end in words if end >= words[0][1] + 0.4):.3f}"
    else:
        corpus.rows[clip_id]["end"] = f"{next(start for _, start, _ in words[::-1] if start <= words[-1][2] - 0.4):.3f}"
    return Fault("cut_words", (clip_id,))


def clipped(corpus: Corpus) -> Fault:
    """The recording was made much too loud."""
    clip_id = corpus.choose()
    corpus.rows[clip_id]["media"] = corpus.remake(clip_id, "-af", "volume=26dB:precision=float,asoftclip=type=hard,volume=0.7")
    return Fault("clipped", (clip_id,))


def silent(corpus: Corpus) -> Fault:
    clip_id = corpus.choose()
    corpus.rows[clip_id]["media"] = corpus.remake(clip_id, "-af", "volume=0")
    return Fault("silent", (clip_id,))


def broken_sound(corpus: Corpus) -> Fault:
    """The sound is gone for a part of the time that is spoken."""
    clip_id = corpus.choose()
    words = corpus.words[clip_id]
    begin = float(corpus.rng.uniform(words[0][1] + 0.2, words[-1][2] - 0.6))
    end = begin + float(corpus.rng.uniform(0.3, 3))
    corpus.rows[clip_id]["media"] = corpus.remake(clip_id, "-af", f"volume=0:enable='between(t,{begin:.3f},{end:.3f})'")
    return Fault("broken_sound", (clip_id,))


def copied(corpus: Corpus) -> Fault:
    """A clip has another one's recording in another encoding, from a little later on, with its text and speaker."""
    source, clip_id = corpus.choose(), corpus.choose()
    media = corpus.remake(clip_id, "-ss", "0.13", "-crf", "30", "-af", "volume=-3dB", of=(source,))
    corpus.rows[clip_id] |= {"media": media, "text": corpus.rows[source]["text"], "speaker": corpus.rows[source]["speaker"]}
    corpus.rows[clip_id] |= {label: corpus.rows[source][label] for label in LABELS}
    return Fault("copied", (source, clip_id))


def other_length(corpus: Corpus) -> Fault:
    """The picture, or the sound, ends 0.6 to 1 s before the other."""
    clip_id = corpus.choose()
    kept = f"{corpus.seconds(clip_id) - corpus.rng.uniform(0.6, 1):.3f}"
    kind = "-vf" if corpus.rng.random() < 0.5 else "-af"
    corpus.rows[clip_id]["media"] = corpus.remake(clip_id, kind, f"{'a' if kind == '-af' else ''}trim=end={kept}")
    return Fault("other_length", (clip_id,))


def flipped_labels(corpus: Corpus) -> Fault:
    """What is present becomes absent, and the reverse."""
    clip_id = corpus.choose()
    corpus.rows[clip_id] |= {label: "0.0000" if float(corpus.rows[clip_id][label]) else "1.0000" for label in LABELS}
    return Fault("flipped_labels", (clip_id,))


def wrong_face(corpus: Corpus) -> Fault:
    """The picture is that of a clip of another speaker that is at least as long."""
    clip_id = corpus.choose()
    seconds, speaker = corpus.seconds(clip_id), corpus.rows[clip_id]["speaker"]
    others = [name for name in sorted(corpus.rows) if corpus.rows[name]["speaker"] != speaker and name not in corpus.taken]
    other = next(name for name in corpus.rng.permutation(others).tolist() if corpus.seconds(name) >= seconds)
    options = ("-map", "1:v", "-map", "0:a", "-t", f"{seconds:.3f}")
    corpus.rows[clip_id]["media"] = corpus.remake(clip_id, *options, of=(clip_id, other))
    return Fault("wrong_face", (clip_id,))


Kind = Callable[[Corpus], Fault]
KINDS: tuple[Kind, ...] = (  # that of three clips side by side first, while they are free
    shifted_times,
    text_of_neighbour,
    cut_words,
    clipped,
    silent,
    broken_sound,
    copied,
    other_length,
    flipped_labels,
    wrong_face,
)


def put(source: Path, target: Path, seed: int, each: int, clips: int = 0, kinds: Sequence[Kind] = KINDS) -> list[Fault]:
    """Copy a sample corpus, or its first clips, and put so many faults of each kind into it."""
    with (source / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["clip_id"]: row for row in list(csv.DictReader(file))[: clips or None]}
    words: dict[str, list[tuple[str, float, float]]] = {}
    with (source / "truth.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            words.setdefault(row["clip_id"], []).append((row["word"], float(row["start"]), float(row["end"])))
    (target / "films").mkdir(parents=True)
    for row in rows.values():
        shutil.copyfile(source / row["media"], target / row["media"])
    corpus = Corpus(target, rows, words, np.random.default_rng(seed))
    faults = [kind(corpus) for kind in kinds for _ in range(each)]
    with (target / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(next(iter(rows.values()))), lineterminator="\n")
        table.writeheader()
        table.writerows(rows.values())
    return faults
