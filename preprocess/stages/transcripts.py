"""Stage transcripts: the words of each clip with start, end and confidence.

A blank text is transcribed by Whisper. Every text is aligned with the sound, in the way that transcripts.aligner names. The
words of a text without sound have no times.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import params
from preprocess import refusals
from preprocess.clips import Task, durations
from preprocess.encoders.networks import device as resolve
from preprocess.media import sound
from preprocess.refusals import Code, Refusal, Refused
from preprocess.run.inputs import Inputs
from preprocess.run.stage import Job, Stage, fill
from preprocess.speech import activity, words
from preprocess.speech.characters import in_one_form
from preprocess.speech.words import FILE, INTERPOLATED, OPEN, Span, Transcript, Word, read, split
from preprocess.store.shards import Shards

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = Path("data/transcripts")
MODELS = Path("data/models")
MODEL = MODELS / "asr"
ROLES = {"pocketsphinx": "", "attention": "asr", "ctc": "aligner"}  # whose network an aligner needs; pocketsphinx has its own
ALIGNING = {  # modules that an aligner imports
    "pocketsphinx": ["preprocess.speech.alignment"],
    "attention": ["preprocess.encoders.attention", "preprocess.speech.alignment"],
    "ctc": ["preprocess.encoders.ctc"],
}


def hear(shards: Shards, clip_id: str, settings: params.Transcripts, model: Path, aligner: Path, device: str) -> Transcript:
    """Transcribe a clip; Refusal where nothing is said, or nothing that is recognised with confidence.

    The words of a window are aligned with the sound of that window, so that the cost grows linearly with the length.
    """
    from preprocess.encoders import transcription  # imports torch, which a corpus with texts does without

    blocks = sound.blocks(shards, clip_id, sound.WINDOW)
    texts, timed, doubts, left_out, begin = [], list[Word](), list[Refusal](), list[Span](), 0.0
    for heard in transcription.transcribe(model, blocks, device, settings):
        end = begin + len(heard.wave) / sound.SAMPLE_RATE
        if heard.text:
            texts.append(heard.text)
            of_window = align(heard.wave, heard.text, settings, aligner, device, heard.states)
            timed += [later(doubted(word, score), begin) for word, score in zip(of_window, heard.scores, strict=True)]
        elif heard.doubt:
            doubts.append(heard.doubt)
            left_out += [(round(begin, 3), round(end, 3))] if heard.doubt.code != Code.NO_SPEECH else []
        begin = end
    if not timed:
        raise most_telling(doubts)
    return Transcript(" ".join(texts), True, timed, left_out)


def most_telling(doubts: list[Refusal]) -> Refusal:
    """Of the reasons why the windows of a clip have no text, the first that is not silence."""
    spoken = [doubt for doubt in doubts if doubt.code != Code.NO_SPEECH]
    return (spoken or doubts or [Refusal(Code.NO_SPEECH, "nobody speaks")])[0]


def doubted(word: Word, score: float) -> Word:
    """A transcribed word, with less confidence where its tokens have a low mean log-probability."""
    from preprocess.encoders.transcription import UNSURE_WORD

    return word if score >= UNSURE_WORD else replace(word, confidence=min(word.confidence, OPEN))


def align(
    wave: np.ndarray,
    text: str,
    settings: params.Transcripts,
    folder: Path,
    device: str,
    states: "Tensor | None" = None,
) -> list[Word]:
    """Times of the words of a text in a wave (n,) at 16 kHz. `folder` has the aligner's network, if it needs one.

    What is written and not said, as [laughter], is not searched for and gets the time between its neighbours. Where nobody
    speaks at all, no word is searched for: they share the time evenly. `states` are those of Whisper's encoder, if known.
    """
    speech = activity.of_wave(wave)
    said = words.said(text) if activity.is_spoken(speech) else [""] * len(split(text))
    if any(said):
        from preprocess.encoders.aligners import Aligner  # imports torch, which a corpus without sound does without

        times = Aligner(settings.aligner, folder, device, settings.language).align(wave, said, speech, states)
    else:
        times = unsearched(said, len(wave) / sound.SAMPLE_RATE)
    return [
        replace(placed(time, speech), word=written.word, spoken=written.spoken)
        for time, written in zip(times, without_sound(text), strict=True)
    ]


def unsearched(said: list[str], seconds: float) -> list[Word]:
    """Words that share the time evenly."""
    times = words.interpolate([None] * len(said), seconds)
    return [Word(word, round(start, 3), round(end, 3), INTERPOLATED) for word, (start, end) in zip(said, times, strict=True)]


def placed(word: Word, speech: np.ndarray) -> Word:
    """A word, with less confidence where nobody speaks at its time; `speech` (T,) is the voice activity."""
    if word.start is None or word.end is None or activity.is_spoken_from(speech, word.start, word.end):
        return word
    return replace(word, confidence=min(word.confidence, OPEN))


def without_sound(text: str) -> list[Word]:
    """The words of a text, without times."""
    return [Word(word, None, None, INTERPOLATED, bool(said)) for word, said in zip(split(text), words.said(text), strict=True)]


def later(word: Word, seconds: float) -> Word:
    """A word whose times are from the start of a window that begins so many seconds into the clip."""
    if word.start is None or word.end is None:
        return word
    return replace(word, start=round(word.start + seconds, 3), end=round(word.end + seconds, 3))


def transcript_of(task: Task, folder: Path, settings: params.Transcripts, model: Path, aligner: Path, device: str) -> None:
    """One clip's words. `model` and `aligner` are the folders of the networks that transcribe and that time the words."""
    shards, text = Shards(Path(task.source)), in_one_form(task.content["text"], settings.characters)
    if not split(text):
        transcript = hear(shards, task.clip_id, settings, model, aligner, device)
    elif task.content["sound"]:
        transcript = Transcript(text, False, align(sound.wave(shards, task.clip_id), text, settings, aligner, device))
    else:
        transcript = Transcript(text, False, without_sound(text))
    (folder / FILE).write_text(transcript.to_json(), encoding="utf-8")


def unplaced(clip_id: str, seconds: float, transcript: Transcript) -> Refused | None:
    """A note where the alignment found no word of a text of clips.csv in its sound, which lasts so many seconds."""
    spoken = [word for word in transcript.words if word.spoken]
    if transcript.transcribed or not spoken or any(word.confidence > INTERPOLATED or word.start is None for word in spoken):
        return None
    detail = (
        f"{len(spoken)} words in {seconds:.1f} s of sound: "
        "nobody speaks, or there are too many, other ones, or words of a language unknown to the aligner"
    )
    return Refused(clip_id, "transcripts", Code.TEXT_UNPLACED, detail)


def incomplete(clip_id: str, transcript: Transcript) -> Refused | None:
    """A note where parts of a long clip were spoken, but not recognised with confidence."""
    if not transcript.left_out:
        return None
    spans = ", ".join(f"{start:.1f} to {end:.1f} s" for start, end in transcript.left_out)
    return Refused(clip_id, "transcripts", Code.UNSURE_TEXT, f"no words are kept of {spans}, of the rest they are")


def note_doubts(shards: Shards, seconds: dict[str, float]) -> None:
    """Add rows to the stage's table of refusals: texts that were not found in their sound, or are not whole."""
    rows = []
    for clip_id in shards.digests:
        transcript = read(shards, clip_id)
        notes = unplaced(clip_id, seconds.get(clip_id, 0.0), transcript), incomplete(clip_id, transcript)
        rows += [note for note in notes if note]
    refusals.write(shards.folder / "refused.csv", [*shards.refused, *rows])
    if rows:
        print(f"transcripts: {len(rows)} texts were not found in their sound, or are not whole")
        refusals.announce(rows)


def job(settings: params.Params, inputs: Inputs) -> Job:
    device = resolve(settings.run.device, settings.run.engine == "ray")
    aligner = MODELS / (ROLES[settings.transcripts.aligner] or "asr")
    texts = inputs.texts()
    hearing = [] if all(texts.values()) else ["preprocess.encoders.transcription"]
    sounds = inputs.output("audio")
    seconds = inputs.durations()
    stage = Stage(
        name="transcripts",
        module="preprocess.stages.transcripts",
        work=partial(transcript_of, settings=settings.transcripts, model=MODEL, aligner=aligner, device=device),
        parameters=settings.transcripts.model_dump(),
        models=sorted({MODEL, aligner}),
        environment=device,
        preload=["onnxruntime", "scipy.signal", *ALIGNING[settings.transcripts.aligner], *hearing],
    )
    todo = [
        Task(clip_id, {"text": text, "sound": sounds.digests.get(clip_id, "")}, seconds.get(clip_id, 0.0), str(sounds.folder))
        for clip_id, text in texts.items()
        if text or clip_id in sounds.digests
    ]
    return Job(stage, todo)


def main() -> None:
    settings = params.load()
    fill(job(settings, Inputs()), settings.run)
    note_doubts(Shards(FOLDER), durations())
