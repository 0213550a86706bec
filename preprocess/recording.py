"""A new recording (a film, a sound or a text, of no corpus) becomes rows of features, by the functions of the stages.

Each utterance is treated as a corpus of one clip, in a temporary folder: each stage's function is called as the stage calls
it, and writes its output as the stage does, for the next one. Modules are imported where they are needed: a text does not
wait for MediaPipe, nor a sound for OpenCV. While the networks read one utterance, or are still being imported, another thread
decodes the next.
"""

import logging
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import params
from params import ParameterError
from preprocess.clips import Medium, Task
from preprocess.downloads.problem import ModelError
from preprocess.encoders import states
from preprocess.encoders.pooling import Rows
from preprocess.encoders.speakers import Usual
from preprocess.media import header
from preprocess.media.notes import Note
from preprocess.media.probe import MediaError, Streams
from preprocess.refusals import Code, Refusal, Refused
from preprocess.speech import pauses, words
from preprocess.speech.words import Transcript
from preprocess.stages import align
from preprocess.store import shards
from preprocess.store.entries import Store
from preprocess.store.shards import Shards

TEXTS = (".txt",)
CLIP = "clip"  # the id of the one clip


class RecordingError(ValueError):
    """A file cannot be used; the message names it, what was found in it and what is accepted."""


# Errors that are the fault of no recording: every other one would meet them too.
SETUP_ERRORS = (ParameterError, ModelError, ImportError)


@dataclass(frozen=True)
class Tools:
    """Parameters, networks and device that recordings are prepared with."""

    settings: params.Preparation
    network: Callable[[str], Path]  # folder of a role's network; called only when the network is needed
    modalities: tuple[str, ...]  # that the model uses
    device: Callable[[], str]  # called only when a network is loaded, because it imports torch
    usual: dict[str, Usual] = field(default_factory=dict)  # in the training split, by modality of align.normalise
    watch: "Callable[[Clip], None] | None" = None  # is shown every part of a film or sound with what the stages made of it


@dataclass(frozen=True)
class Utterance:
    """A part of a recording, or all of it."""

    start: float  # seconds into the recording
    end: float  # equal to start for text alone
    transcript: Transcript | None  # None: nothing was said; times count from the recording's start
    rows: dict[str, Rows]  # by modality; an absent one has no entry; times count from the utterance's start
    refused: list[Refused]  # what the stages could not do
    notes: list[Note] = field(default_factory=list)  # what is strange about the recording, of which nothing is missing


@dataclass
class Clip:
    """An utterance while the stages work on it."""

    name: str  # of the recording
    folder: Path  # has a folder for the output of each stage that could do the clip
    start: float = 0.0  # seconds into the recording
    end: float = 0.0
    text: str = ""  # "": it is transcribed
    refused: list[Refused] = field(default_factory=list)

    def has(self, stage: str) -> bool:
        return (self.folder / stage).is_dir()

    def shards(self, stage: str) -> Shards:
        return Shards(self.folder / stage)

    def run(self, stage: str, work: Callable[[Task, Path], None], content: dict[str, Any], source: Path) -> None:
        """Do a stage's work and write its output as the stage would; where it refuses the clip or fails, keep the reason."""
        with TemporaryDirectory(dir=self.folder) as folder:
            files = Path(folder) / "entry"
            files.mkdir()
            try:
                work(Task(CLIP, content, self.end - self.start, str(source)), files)
            except Refusal as refusal:
                self.refused.append(Refused(self.name, stage, refusal.code, refusal.detail))
                return
            except (*SETUP_ERRORS, OSError):
                raise
            except Exception as error:
                logging.getLogger(__name__).exception("%s: stage %s failed", self.name, stage)
                self.refused.append(Refused(self.name, stage, Code.FAILED, f"{type(error).__name__}: {error}".splitlines()[0]))
                return
            store = Store(Path(folder))
            store.add(CLIP, files)
            shards.write(self.folder / stage, {CLIP: store.path(CLIP)})


@contextmanager
def _working_folder() -> Iterator[Path]:
    """A temporary folder; the archives in it are closed before it is deleted."""
    with TemporaryDirectory(prefix="lddu-") as folder:
        try:
            yield Path(folder)
        finally:
            shards.close(Path(folder))


@contextmanager
def _blamed_on(name: str) -> Iterator[None]:
    """An unforeseen error becomes a RecordingError with the recording's name, so that it does not cost other recordings."""
    try:
        yield
    except (RecordingError, *SETUP_ERRORS):
        raise
    except MediaError as error:
        raise RecordingError(f"{name}: {error}") from None
    except Exception as error:
        raise RecordingError(f"{name}: an error that nobody foresaw: {type(error).__name__}: {error}") from error


def of_text(text: str, tools: Tools) -> Utterance:
    """One utterance without sound or picture."""
    with _blamed_on(f"text {text[:40]!r}"):
        return _of_text(text, tools)


def _of_text(text: str, tools: Tools) -> Utterance:
    with _working_folder() as folder:
        return encode(Clip("text", folder, text=text), tools)


def of_file(path: Path, tools: Tools, text: str = "", whole: bool = False) -> Iterator[Utterance]:
    """The utterances of a film, a sound, or a text file with one utterance a line.

    `text` is what is said, if it is known. A recording of more than 15 s is cut at pauses, unless `text` or `whole` is given.
    Raises RecordingError where the file cannot be read at all, or an unforeseen error ends it.
    """
    with _blamed_on(str(path)):
        if path.suffix.lower() in TEXTS:
            yield from (_of_text(line, tools) for line in read_lines(path))
        else:
            yield from _of_medium(path, tools, text, whole)


def _of_medium(path: Path, tools: Tools, text: str, whole: bool) -> Iterator[Utterance]:
    file = header.Unchanged(path)
    streams = streams_in(path)
    notes = [Note(path.name, code, detail) for code, detail in streams.notes]
    load_decoders(streams, tools)
    with _working_folder() as folder, ThreadPoolExecutor(1) as ahead:
        file.require()
        parts = spans(path, streams, tools, whole or bool(text))
        clips = (Clip(path.name, folder / str(i), start, end, text) for i, (start, end) in enumerate(parts))
        decoding = ahead.submit(decode, next(clips), path, streams, tools)
        load_encoders(streams, tools)
        for following in chain(clips, [None]):
            clip = decoding.result()
            if following:
                file.require()
                decoding = ahead.submit(decode, following, path, streams, tools)
            utterance = replace(encode(clip, tools), notes=notes)
            if tools.watch:
                tools.watch(clip)
            yield utterance
            shards.close(clip.folder)
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


def streams_in(path: Path) -> Streams:
    if not path.is_file():
        raise RecordingError(f"{path}: {'a folder; name the files in it' if path.is_dir() else 'there is no such file'}")
    try:
        streams = header.streams_of(path)
    except MediaError as error:
        raise RecordingError(f"{path}: no film or sound that can be read ({error}); texts end in {', '.join(TEXTS)}") from None
    if not streams.width and not streams.sample_rate:
        raise RecordingError(f"{path}: neither picture nor sound in it")
    if not streams.duration:
        raise RecordingError(f"{path}: lasts 0 s")
    return streams


def load_decoders(streams: Streams, tools: Tools) -> None:
    """Import what `decode` needs in this thread: two threads that import the same module at once may see half of it."""
    from preprocess.stages import audio  # noqa: F401

    if streams.width and "vision" in tools.modalities:
        from preprocess.face import finder  # noqa: F401
        from preprocess.stages import encode_vision, frames  # noqa: F401


def load_encoders(streams: Streams, tools: Tools) -> None:
    """Import torch, which takes longest, while the first utterance is decoded."""
    if streams.sample_rate:
        from preprocess.encoders import sound_encoder, text_encoder  # noqa: F401


def spans(path: Path, streams: Streams, tools: Tools, whole: bool) -> list[tuple[float, float]]:
    """Start and end of each utterance in seconds; the whole recording if it is short, has no sound, or nobody speaks."""
    everything = [(0.0, round(streams.duration, 6))]
    if whole or streams.duration <= pauses.LONGEST or not streams.sample_rate:
        return everything
    try:
        activity = pauses.activity_of(path, streams.duration, tools.settings.decoder, streams.reading)
    except MediaError:
        return everything
    return pauses.utterances(activity) or everything


def decode(clip: Clip, path: Path, streams: Streams, tools: Tools) -> Clip:
    """Decode the sound and the pictures, and find the face; none of this needs torch."""
    settings, decoder = tools.settings, tools.settings.decoder
    clip.folder.mkdir()
    has_sound, wants_faces = bool(streams.sample_rate), bool(streams.width) and "vision" in tools.modalities
    medium = Medium(
        CLIP,
        path.name,
        digest="",
        start=clip.start,
        end=clip.end,
        picture=bool(streams.width),
        sound=has_sound,
        reading=streams.reading.to_json(),
        **{name: getattr(streams, name) for name in ("width", "height", "frame_rate", "sample_rate", "channels")},
    )
    task = medium.decoding(path.parent)
    if has_sound:
        from preprocess.stages import audio

        clip.run("audio", partial(audio.audio_of, decoder=decoder), task.content, Path(task.source))
    if wants_faces:
        from preprocess.stages import faces, frames

        decode_frames = partial(frames.frames_of, settings=settings.frames, decoder=decoder)
        clip.run("frames", decode_frames, task.content, Path(task.source))
        if clip.has("frames"):
            stored, sounds = clip.folder / "frames", clip.folder / "audio"
            find_face = partial(faces.faces_of, settings=settings, model=tools.network("face"), frames=stored, sounds=sounds)
            content = {"frames": CLIP, "sound": CLIP if clip.has("audio") else ""}
            clip.run("faces", find_face, content | faces.original_content(medium, settings, ""), Path(task.source))
    return clip


def encode(clip: Clip, tools: Tools) -> Utterance:
    """Words, states and aligned rows of what was decoded."""
    if clip.text or clip.has("audio"):
        transcribe(clip, tools)
    if clip.has("transcripts") and "text" in tools.modalities:
        encode_text(clip, tools)
    if clip.has("audio") and "audio" in tools.modalities:
        encode_audio(clip, tools)
    if clip.has("faces"):
        encode_vision(clip, tools)
    transcript = words.read(clip.shards("transcripts"), CLIP) if clip.has("transcripts") else None
    aligned = align.Clip(
        clip.name,
        clip.end - clip.start,
        transcript.words if transcript else [],
        states.read_words(clip.shards("encode_text"), CLIP) if clip.has("encode_text") else None,
        states.read_timed(clip.shards("encode_audio"), CLIP) if clip.has("encode_audio") else None,
        states.read_timed(clip.shards("encode_vision"), CLIP) if clip.has("encode_vision") else None,
    )
    rows = align.rows(aligned, tools.settings.align)
    rows |= {m: usual.apply(rows[m]) for m, usual in tools.usual.items() if m in rows}
    if not rows:
        clip.refused.append(Refused(clip.name, "align", Code.NOTHING_LEFT, "no text, no sound, no face"))
    return Utterance(clip.start, clip.end, transcript and moved(transcript, clip.start), rows, clip.refused)


def transcribe(clip: Clip, tools: Tools) -> None:
    from preprocess.stages import transcripts

    role = transcripts.ROLES[tools.settings.transcripts.aligner]
    work = partial(
        transcripts.transcript_of,
        settings=tools.settings.transcripts,
        model=Path() if clip.text else tools.network("asr"),
        aligner=tools.network(role) if role else Path(),
        device=tools.device(),
    )
    content = {"text": clip.text, "sound": CLIP if clip.has("audio") else ""}
    clip.run("transcripts", work, content, clip.folder / "audio")
    if clip.has("transcripts"):
        note = transcripts.incomplete(clip.name, words.read(clip.shards("transcripts"), CLIP))
        clip.refused += [note] if note else []


def encode_text(clip: Clip, tools: Tools) -> None:
    from preprocess.stages import encode_text as stage

    settings = tools.settings.encode.text
    work = partial(stage.states_of, settings=settings, model=tools.network("text"), device=tools.device())
    clip.run("encode_text", work, {"words": CLIP}, clip.folder / "transcripts")


def encode_audio(clip: Clip, tools: Tools) -> None:
    from preprocess.stages import encode_audio as stage

    settings = tools.settings.encode.audio
    model = Path() if settings.features == "prosody" else tools.network("audio")
    work = partial(stage.states_of, settings=settings, model=model, device=tools.device())
    clip.run("encode_audio", work, {"audio": CLIP}, clip.folder / "audio")


def encode_vision(clip: Clip, tools: Tools) -> None:
    from preprocess.stages import encode_vision as stage

    settings = tools.settings.encode.vision
    model = Path() if settings.features == "blendshapes" else tools.network("vision")
    rate = tools.settings.frames.rate
    work = partial(stage.states_of, rate=rate, settings=settings, model=model, device=tools.device())
    clip.run("encode_vision", work, {"faces": CLIP}, clip.folder / "faces")


def moved(transcript: Transcript, start: float) -> Transcript:
    """A copy of the transcript whose times count from the recording's start; `start` and the times are in seconds."""
    words = [
        word
        if word.start is None or word.end is None
        else replace(word, start=round(word.start + start, 3), end=round(word.end + start, 3))
        for word in transcript.words
    ]
    return replace(transcript, words=words)
