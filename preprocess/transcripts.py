"""Stage transcripts: the words of each clip with start, end and confidence.

The text is transcribed where it is unknown, and aligned with the sound always: by the network under models.aligner, or
for want of one by pocketsphinx. Without sound a text keeps its words, without times.
"""

from functools import partial
from pathlib import Path

import numpy as np

import params
from preprocess import sound
from preprocess.clips import durations, read_texts
from preprocess.networks import device as resolve
from preprocess.refusals import Code, Refusal
from preprocess.shards import Shards
from preprocess.stage import Stage, Task, fill
from preprocess.words import FILE, INTERPOLATED, Transcript, Word, split

MODEL, ALIGNER = Path("data/models/asr"), Path("data/models/aligner")
SILENCE = 0.001  # peak amplitude below which nothing can have been said


def hear(wave: np.ndarray, settings: params.Transcripts, model: Path, device: str) -> str:
    """The text of a wave (n,) at 16 kHz; "" where nothing was said."""
    from preprocess import whisper  # needs torch, which a corpus with texts does not

    if np.abs(wave).max(initial=0.0) < SILENCE:
        return ""
    return whisper.transcribe(model, wave, device, settings)


def align(wave: np.ndarray, spoken: list[str], aligner: Path | None, device: str) -> list[Word]:
    """Times of the words in a wave (n,) at 16 kHz; an aligner is a network's folder."""
    if aligner:
        from preprocess import ctc

        return ctc.align(wave, spoken, aligner, device)
    from preprocess import alignment

    return alignment.align(wave, spoken)


def transcript(
    text: str, wave: np.ndarray | None, settings: params.Transcripts, model: Path, aligner: Path | None, device: str
) -> Transcript:
    """The words of a text that is known, or "" to be heard in the wave; None: there is no sound."""
    transcribed = not text and wave is not None
    if not text and wave is not None:
        text = hear(wave, settings, model, device)
    words = split(text)
    if not words:
        raise Refusal(Code.NO_SPEECH, "no word was heard")
    if wave is None:
        return Transcript(text, transcribed, [Word(word, None, None, INTERPOLATED) for word in words])
    return Transcript(text, transcribed, align(wave, words, aligner, device))


def transcript_of(
    task: Task, folder: Path, settings: params.Transcripts, model: Path, aligner: Path | None, device: str
) -> None:
    """One clip's words."""
    heard = sound.wave(Shards(Path(task.source)), task.clip_id) if task.content["sound"] else None
    found = transcript(task.content["text"], heard, settings, model, aligner, device)
    (folder / FILE).write_text(found.to_json(), encoding="utf-8")


def main() -> None:
    settings = params.load()
    device = resolve(settings.run.device)
    aligner = ALIGNER if (ALIGNER / "config.json").is_file() else None
    sounds = Shards(Path("data/audio"))
    seconds = durations()
    stage = Stage(
        name="transcripts",
        module="preprocess.transcripts",
        work=partial(transcript_of, settings=settings.transcripts, model=MODEL, aligner=aligner, device=device),
        parameters=settings.transcripts.model_dump(),
        models=[MODEL, aligner] if aligner else [MODEL],
        environment=device,
    )
    todo = [
        Task(clip_id, {"text": text, "sound": sounds.digests.get(clip_id, "")}, seconds.get(clip_id, 0.0), str(sounds.folder))
        for clip_id, text in read_texts().items()
        if text or clip_id in sounds.digests
    ]
    fill(stage, todo, settings.run)
