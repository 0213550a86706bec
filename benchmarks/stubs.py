"""Stages that do almost no work, so that a benchmark measures the pipeline around the work.

`main` fills the output of a stage from the same inputs as the real one. Word times and states are made up; states have the
real widths.
"""

import wave
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np

import params
from preprocess.clips import Task, read_media, read_texts
from preprocess.encoders import states
from preprocess.encoders.states import TimedStates, WordStates
from preprocess.run.stage import Job, Stage, fill
from preprocess.speech import words
from preprocess.speech.words import Transcript, Word
from preprocess.store.shards import Shards

RATE, WORD, WIDTH = 8000, 0.25, 384  # hertz of the sounds, seconds of a word, features of a state


def rows(count: int, *seed: str) -> np.ndarray:
    """States (count, WIDTH) that depend on the seed alone."""
    number = int.from_bytes(sha256("".join(seed).encode()).digest()[:8])
    return np.random.default_rng(number).standard_normal((count, WIDTH), np.float32)


def nothing(task: Task, folder: Path) -> None:
    """The work of a stage without work."""
    (folder / "txt").write_text(task.clip_id, encoding="utf-8")


def audio(task: Task, folder: Path) -> None:
    with wave.open(task.source) as file:
        (folder / "flac").write_bytes(file.readframes(file.getnframes()))


def transcripts(task: Task, folder: Path) -> None:
    spoken = words.split(task.content["text"])
    timed = [Word(word, round(i * WORD, 3), round((i + 1) * WORD, 3), 1.0) for i, word in enumerate(spoken)]
    (folder / words.FILE).write_text(Transcript(task.content["text"], False, timed).to_json(), encoding="utf-8")


def encode_text(task: Task, folder: Path) -> None:
    spoken = words.read(Shards(Path(task.source)), task.clip_id).words
    states.write(folder, WordStates(rows(len(spoken), task.content["words"]), np.arange(len(spoken), dtype=np.int32)))


def encode_audio(task: Task, folder: Path) -> None:
    count = max(1, round(task.seconds / WORD))
    times = np.arange(count + 1, dtype=np.float32) * WORD
    sound = rows(count, task.content["audio"])
    states.write(folder, TimedStates(sound, np.stack([times[:-1], times[1:]], 1), np.ones(count, bool)))


def tasks(stage: str, root: Path) -> list[Task]:
    """The clips that the stage of this name works on; none has a picture."""
    if stage == "audio":
        return [item.decoding(root) for item in read_media()]
    if stage == "transcripts":
        sounds = Shards(Path("data/audio"))
        return [Task(clip_id, {"text": text, "sound": sounds.digests[clip_id]}, 0.0) for clip_id, text in read_texts().items()]
    if stage == "encode_text":
        spoken = Shards(Path("data/transcripts"))
        return [Task(clip_id, {"words": digest}, 0.0, str(spoken.folder)) for clip_id, digest in spoken.digests.items()]
    if stage == "encode_audio":
        seconds = {item.clip_id: item.duration for item in read_media()}
        return [Task(k, {"audio": digest}, seconds[k]) for k, digest in Shards(Path("data/audio")).digests.items()]
    return []


WORK: dict[str, Callable[[Task, Path], None]] = {
    work.__name__: work for work in (audio, transcripts, encode_text, encode_audio)
}


def main(name: str) -> None:
    settings = params.load()
    stage = Stage(name, "benchmarks.stubs", WORK.get(name, audio), parameters={})
    fill(Job(stage, tasks(name, Path(settings.corpus.root))), settings.run)
