"""A recording that belongs to no corpus – a film, a sound, a text – as rows of features, by the stages' own functions.

Modules are imported where they are needed: a text does not wait for MediaPipe, nor a sound for OpenCV. While the networks
read one utterance, or are still being imported, another thread decodes the next.
"""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np

import params
from preprocess import align, media, sound
from preprocess.align import Rows
from preprocess.corpora import speech
from preprocess.media import MediaError, Streams
from preprocess.refusals import Code, Refusal, Refused
from preprocess.states import TimedStates, WordStates
from preprocess.words import Transcript

TEXTS = (".txt",)
PICTURES, CROPS = "pictures", "crops"  # folders of a clip in work
Found = TypeVar("Found")


class RecordingError(ValueError):
    """Nothing can be made of a file; the message names it, what was found and what would be accepted."""


@dataclass(frozen=True)
class Tools:
    """What recordings are prepared with."""

    settings: params.Preparation
    network: Callable[[str], Path]  # the folder of a role's network, which is only asked for when it is needed
    modalities: tuple[str, ...]  # those that are wanted
    device: Callable[[], str]  # asked for when a network is loaded: to know takes torch


@dataclass(frozen=True)
class Utterance:
    """A part of a recording, or all of it."""

    start: float  # seconds into the recording
    end: float  # equal to start for text alone
    transcript: Transcript | None  # None: nothing was said; its words' times are from the recording's start
    rows: dict[str, Rows]  # by modality that is there; times from the utterance's start
    refused: list[Refused]  # what the stages could not do


@dataclass
class Clip:
    """An utterance in work: what was decoded of it, and what could not be done."""

    name: str
    start: float = 0.0
    end: float = 0.0
    text: str = ""  # "": to be heard
    folder: Path = Path()  # with the film of its face under CROPS, where one was seen
    wave: np.ndarray | None = None  # (n,) at 16 kHz
    face: bool = False
    refused: list[Refused] = field(default_factory=list)

    def attempt(self, stage: str, work: Callable[[], Found]) -> Found | None:
        """The work's result; None, with the reason kept, where the stage refuses."""
        try:
            return work()
        except Refusal as refusal:
            self.refused.append(Refused(self.name, stage, refusal.code, refusal.detail))
            return None


def of_text(text: str, tools: Tools) -> Utterance:
    """One utterance without sound or picture."""
    return encode(Clip("text", text=text), tools)


def of_file(path: Path, tools: Tools, text: str = "", whole: bool = False) -> Iterator[Utterance]:
    """The utterances of a film, a sound, or a text file of one utterance a line.

    `text` is what is said, where it is known. A recording of more than 15 s is cut at pauses, unless its text is given or
    it is to be taken whole. RecordingError where the file cannot be read at all.
    """
    if path.suffix.lower() in TEXTS:
        yield from (of_text(line, tools) for line in read_lines(path))
        return
    streams = probe(path)
    load_decoders(streams, tools)
    with TemporaryDirectory(prefix="lddu-") as folder, ThreadPoolExecutor(1) as ahead:
        found = spans(path, streams, tools, whole or bool(text))
        clips = (Clip(path.name, start, end, text, Path(folder) / str(i)) for i, (start, end) in enumerate(found))
        decoding = ahead.submit(decode, next(clips), path, streams, tools)
        load_encoders(streams, tools)
        for following in chain(clips, [None]):
            clip = decoding.result()
            if following:
                decoding = ahead.submit(decode, following, path, streams, tools)
            yield encode(clip, tools)
            shutil.rmtree(clip.folder)


def read_lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except FileNotFoundError:
        raise RecordingError(f"{path}: there is no such file") from None
    except (UnicodeDecodeError, OSError) as error:
        raise RecordingError(f"{path}: cannot be read as text in UTF-8 ({error})") from None
    if not any(lines):
        raise RecordingError(f"{path}: no text in it; a line an utterance is expected")
    return [line for line in lines if line]


def probe(path: Path) -> Streams:
    if not path.is_file():
        raise RecordingError(f"{path}: {'a folder; name the files in it' if path.is_dir() else 'there is no such file'}")
    try:
        streams = media.probe(path)
    except MediaError as error:
        raise RecordingError(f"{path}: no film or sound that can be read ({error}); texts end in {', '.join(TEXTS)}") from None
    if not streams.width and not streams.sample_rate:
        raise RecordingError(f"{path}: neither picture nor sound in it")
    if not streams.duration:
        raise RecordingError(f"{path}: lasts 0 s")
    return streams


def load_decoders(streams: Streams, tools: Tools) -> None:
    """Import what `decode` needs in this thread: two that import the same at once may see halves of modules."""
    from preprocess import audio  # noqa: F401

    if streams.width and "vision" in tools.modalities:
        from preprocess import encode_vision, frames  # noqa: F401


def load_encoders(streams: Streams, tools: Tools) -> None:
    """Import what takes longest, torch, while the first utterance is decoded."""
    if streams.sample_rate:
        from preprocess import encode_audio, encode_text, whisper  # noqa: F401


def spans(path: Path, streams: Streams, tools: Tools, whole: bool) -> list[tuple[float, float]]:
    """Start and end of each utterance; the whole recording where it is short, has no sound, or nobody speaks."""
    everything = [(0.0, round(streams.duration, 6))]
    if whole or streams.duration <= speech.LONGEST or not streams.sample_rate:
        return everything
    try:
        levels = speech.levels(path, streams.duration, tools.settings.decoder.ffmpeg)
    except MediaError:
        return everything
    return speech.utterances(levels) or everything


def decode(clip: Clip, path: Path, streams: Streams, tools: Tools) -> Clip:
    """The clip with its sound, and the film of its face in its folder; neither needs a network of torch's."""
    clip.folder.mkdir()
    if streams.sample_rate:
        clip.wave = clip.attempt("audio", lambda: hear(path, clip, tools))
    if streams.width and "vision" in tools.modalities:
        watched = clip.attempt("frames", lambda: watch(path, clip, tools))
        clip.face = bool(watched and clip.attempt("faces", lambda: find_face(clip, tools)))
    return clip


def hear(path: Path, clip: Clip, tools: Tools) -> np.ndarray:
    from preprocess import audio

    audio.extract(path, clip.start, clip.end, tools.settings.decoder.ffmpeg, clip.folder / sound.FILE)
    return sound.parse((clip.folder / sound.FILE).read_bytes())


def watch(path: Path, clip: Clip, tools: Tools) -> bool:
    from preprocess import frames

    settings = tools.settings
    frames.extract(path, clip.start, clip.end, settings.frames, settings.decoder.ffmpeg, clip.folder / PICTURES)
    return True


def find_face(clip: Clip, tools: Tools) -> bool:
    from preprocess import faces

    (clip.folder / CROPS).mkdir()
    with (clip.folder / PICTURES).open("rb") as film:
        faces.write(film, clip.folder / CROPS, tools.settings.faces, tools.network("face"))
    return True


def encode(clip: Clip, tools: Tools) -> Utterance:
    """Words, states and rows of what was decoded."""
    transcript = clip.attempt("transcripts", partial(transcribe, clip, tools)) if clip.text or clip.wave is not None else None
    words = transcript.words if transcript else []
    found = align.Clip(
        clip.name,
        clip.end - clip.start,
        words,
        encode_text(transcript, tools) if transcript and "text" in tools.modalities else None,
        encode_audio(clip.wave, tools) if clip.wave is not None and "audio" in tools.modalities else None,
        encode_vision(clip, tools) if clip.face else None,
    )
    rows = align.rows(found, tools.settings.align)
    if not rows:
        clip.refused.append(Refused(clip.name, "align", Code.NOTHING_LEFT, "no text, no sound, no face"))
    return Utterance(clip.start, clip.end, transcript and moved(transcript, clip.start), rows, clip.refused)


def transcribe(clip: Clip, tools: Tools) -> Transcript:
    from preprocess import transcripts

    settings = tools.settings
    recogniser = Path() if clip.text else tools.network("asr")
    aligner = tools.network("aligner") if settings.models.aligner else None
    return transcripts.transcript(clip.text, clip.wave, settings.transcripts, recogniser, aligner, tools.device())


def encode_text(transcript: Transcript, tools: Tools) -> WordStates:
    from preprocess import encode_text as stage

    spoken = [word.word for word in transcript.words]
    return stage.encode([spoken], tools.network("text"), tools.device(), tools.settings.encode.text)[0]


def encode_audio(wave: np.ndarray, tools: Tools) -> TimedStates:
    from preprocess import encode_audio as stage

    settings = tools.settings.encode.audio
    folder = Path() if settings.features == "prosody" else tools.network("audio")
    return stage.encode([wave], folder, tools.device(), settings)[0]


def encode_vision(clip: Clip, tools: Tools) -> TimedStates:
    from preprocess import encode_vision as stage
    from preprocess import faces, film

    settings = tools.settings.encode.vision
    folder = Path() if settings.features == "blendshapes" else tools.network("vision")
    track = faces.parse((clip.folder / CROPS / faces.TABLE).read_bytes())
    with (clip.folder / CROPS / film.FILE).open("rb") as crops:
        pictures = (picture for _, picture in film.read(crops))
        return stage.encode(track, pictures, tools.settings.frames.rate, settings, folder, tools.device())


def moved(transcript: Transcript, start: float) -> Transcript:
    """With times from the recording's start."""
    words = [
        word
        if word.start is None or word.end is None
        else replace(word, start=round(word.start + start, 3), end=round(word.end + start, 3))
        for word in transcript.words
    ]
    return replace(transcript, words=words)
