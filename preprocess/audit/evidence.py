"""What is known of one clip before anything is judged: the work of the audit that is done in workers and kept in the store."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile

import params
from preprocess.audit import margins, marks, signal
from preprocess.audit.looks import Look, of_clip
from preprocess.audit.signal import Signal
from preprocess.clips import Task
from preprocess.face.track import TABLE
from preprocess.media import sound
from preprocess.media.probe import MediaError, Reading
from preprocess.speech import words
from preprocess.speech.words import Span
from preprocess.stages import audio, transcripts
from preprocess.store import tables
from preprocess.store.shards import Shards

FILE = "evidence.json"
AROUND = 1.6  # seconds of the medium before and after a clip in which a doubted text is looked for


@dataclass(frozen=True)
class Evidence:
    """What is known of a clip; None where there is no such modality."""

    hearing: dict[str, Any] | None  # fields of hearing.Hearing
    heard: str | None  # of a clip that is too long for a hearing: the transcription
    signal: Signal | None
    marks: list[tuple[int, int]]
    look: Look | None
    pictured: float | None  # seconds from the clip's start to its last picture


@dataclass(frozen=True)
class Sources:
    """Where a worker reads what the stages have made."""

    sounds: Path
    frames: Path
    faces: Path
    model: Path
    aligner: Path
    device: str


def collect(task: Task, folder: Path, settings: params.Preparation, sources: Sources) -> None:
    """Write what is known of a clip. The task's content says which modalities it has, and the texts."""
    content = task.content
    wave = sound.wave(Shards(sources.sounds), task.clip_id) if content["sound"] else None
    frames, faces = Shards(sources.frames), Shards(sources.faces)
    look = of_clip(frames, faces, task.clip_id) if content["faces"] else None
    hearing, heard = None, None
    if wave is not None and any(words.said(content["text"])):
        hearing, heard = _hear(task, wave, settings, sources)
    evidence = Evidence(
        hearing,
        heard,
        None if wave is None else signal.of_wave(wave),
        [] if wave is None else marks.of_wave(wave),
        look,
        _pictured(faces, task.clip_id) if content["faces"] else None,
    )
    (folder / FILE).write_text(json.dumps(asdict(evidence)), encoding="utf-8")


def _hear(
    task: Task, wave: np.ndarray, settings: params.Preparation, sources: Sources
) -> tuple[dict[str, Any] | None, str | None]:
    from preprocess.audit import hearing  # imports torch, which a corpus without given texts does without

    ear = hearing.Ear(sources.model, settings.transcripts, sources.device)
    if not hearing.fits(len(wave) / sound.SAMPLE_RATE, settings.transcripts):
        return None, ear.transcribe(wave)
    heard = hearing.hear(ear, wave, task.content["text"], task.content["near"])
    if hearing.is_doubted(heard) or task.content["squeezed"]:
        wide, span = around(task, settings)
        align = partial(_extent, text=task.content["text"], settings=settings, sources=sources)
        heard = hearing.look_around(ear, heard, wide, span, task.content["text"], align)
    return heard.to_dict(), None


def _extent(wave: np.ndarray, text: str, settings: params.Preparation, sources: Sources) -> Span | None:
    """The start of a text's first word and the end of its last one, seconds into a wave (n,) at 16 kHz; None: not found."""
    return margins.extent(transcripts.align(wave, text, settings.transcripts, sources.aligner, sources.device))


def around(task: Task, settings: params.Preparation) -> tuple[np.ndarray, tuple[float, float]]:
    """The sound of a clip with that around it (n,) at 16 kHz, and where the clip is in it, in seconds."""
    medium = task.content["medium"]
    begin = max(0.0, medium["start"] - AROUND)
    with TemporaryDirectory() as folder:
        target = Path(folder) / sound.FILE
        try:
            audio.write(
                Path(task.source), begin, medium["end"] + AROUND, settings.decoder, target, Reading(**medium["reading"])
            )
            wide = soundfile.read(target, dtype="float32")[0]
        except (MediaError, soundfile.LibsndfileError):  # what is around the clip is broken: its text is not looked for there
            wide = np.zeros(0, np.float32)
    return wide, (medium["start"] - begin, medium["end"] - begin)


def _pictured(faces: Shards, clip_id: str) -> float:
    """The time of a clip's last picture, in seconds from its start."""
    times = [rows["times"] for rows in tables.read(lambda: faces.open(clip_id, TABLE))]
    return round(float(np.concatenate(times).max(initial=0.0)), 3)


def read(shards: Shards, clip_id: str) -> Evidence:
    tree = json.loads(shards.read(clip_id, FILE))
    of_signal, look = tree["signal"], tree["look"]
    return Evidence(
        tree["hearing"],
        tree["heard"],
        Signal(**of_signal | {"gaps": [(start, end) for start, end in of_signal["gaps"]]}) if of_signal else None,
        [(mark, at) for mark, at in tree["marks"]],
        Look(**look) if look else None,
        tree["pictured"],
    )
