"""Stage transcripts: the words of each clip with start, end and confidence.

A blank text is transcribed by Whisper. Every text is aligned with the sound: by the network under models.aligner, or by
pocketsphinx where there is none. The words of a text without sound have no times.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

import params
from preprocess import refusals
from preprocess.clips import Task, durations, read_texts
from preprocess.encoders.networks import device as resolve
from preprocess.media import sound
from preprocess.refusals import Code, Refusal, Refused
from preprocess.run.stage import Stage, fill
from preprocess.speech.words import FILE, INTERPOLATED, Transcript, Word, read, split
from preprocess.store.shards import Shards

MODEL, ALIGNER = Path("data/models/asr"), Path("data/models/aligner")


def hear(
    shards: Shards, clip_id: str, settings: params.Transcripts, model: Path, aligner: Path | None, device: str
) -> Transcript:
    """Transcribe a clip; Refusal where no word is heard.

    The words of a window are aligned with the sound of that window, so that the cost grows linearly with the length.
    """
    from preprocess.encoders import transcription  # imports torch, which a corpus with texts does without

    blocks = sound.blocks(shards, clip_id, sound.WINDOW)
    texts, timed, begin = [], list[Word](), 0.0
    for wave, text in transcription.transcribe(model, blocks, device, settings):
        if words := split(text):
            texts.append(text)
            timed += [later(word, begin) for word in align(wave, words, aligner, device)]
        begin += len(wave) / sound.SAMPLE_RATE
    if not timed:
        raise Refusal(Code.NO_SPEECH, "no word was heard")
    return Transcript(" ".join(texts), True, timed)


def align(wave: np.ndarray, words: list[str], aligner: Path | None, device: str) -> list[Word]:
    """Times of the words in a wave (n,) at 16 kHz. `aligner` is the folder of a network; None: pocketsphinx."""
    if aligner:
        from preprocess.encoders import ctc

        return ctc.align(wave, words, aligner, device)
    from preprocess.speech import alignment

    return alignment.align(wave, words)


def later(word: Word, seconds: float) -> Word:
    """A word whose times are from the start of a window that begins so many seconds into the clip."""
    if word.start is None or word.end is None:
        return word
    return replace(word, start=round(word.start + seconds, 3), end=round(word.end + seconds, 3))


def transcript_of(
    task: Task, folder: Path, settings: params.Transcripts, model: Path, aligner: Path | None, device: str
) -> None:
    """One clip's words."""
    shards, text = Shards(Path(task.source)), task.content["text"]
    words = split(text)
    if not words:
        transcript = hear(shards, task.clip_id, settings, model, aligner, device)
    elif task.content["sound"]:
        transcript = Transcript(text, False, align(sound.wave(shards, task.clip_id), words, aligner, device))
    else:
        transcript = Transcript(text, False, [Word(word, None, None, INTERPOLATED) for word in words])
    (folder / FILE).write_text(transcript.to_json(), encoding="utf-8")


def unplaced(clip_id: str, seconds: float, transcript: Transcript) -> Refused | None:
    """A note where the alignment found no word of a text of clips.csv in its sound, which lasts so many seconds."""
    if transcript.transcribed or any(word.confidence > INTERPOLATED or word.start is None for word in transcript.words):
        return None
    detail = (
        f"{len(transcript.words)} words in {seconds:.1f} s of sound: "
        "too many, other ones, or in a language unknown to the aligner"
    )
    return Refused(clip_id, "transcripts", Code.TEXT_UNPLACED, detail)


def note_unplaced(shards: Shards, clips: list[str], seconds: dict[str, float]) -> None:
    """Add a row to the stage's table of refusals for each of these clips whose text was not found in its sound."""
    notes = [unplaced(clip_id, seconds[clip_id], read(shards, clip_id)) for clip_id in clips if clip_id in shards.digests]
    rows = [note for note in notes if note]
    refusals.write(shards.folder / "refused.csv", [*shards.refused, *rows])
    if rows:
        print(f"transcripts: {len(rows)} texts were not found in their sound")
        refusals.announce(rows)


def main() -> None:
    settings = params.load()
    device = resolve(settings.run.device)
    aligner = ALIGNER if (ALIGNER / "config.json").is_file() else None
    texts = read_texts()
    hearing = [] if all(texts.values()) else ["preprocess.encoders.transcription"]
    sounds = Shards(Path("data/audio"))
    seconds = durations()
    stage = Stage(
        name="transcripts",
        module="preprocess.stages.transcripts",
        work=partial(transcript_of, settings=settings.transcripts, model=MODEL, aligner=aligner, device=device),
        parameters=settings.transcripts.model_dump(),
        models=[MODEL, aligner] if aligner else [MODEL],
        environment=device,
        preload=["preprocess.encoders.ctc" if aligner else "preprocess.speech.alignment", *hearing],
    )
    todo = [
        Task(clip_id, {"text": text, "sound": sounds.digests.get(clip_id, "")}, seconds.get(clip_id, 0.0), str(sounds.folder))
        for clip_id, text in texts.items()
        if text or clip_id in sounds.digests
    ]
    fill(stage, todo, settings.run)
    aligned = [task.clip_id for task in todo if task.content["text"] and task.content["sound"]]
    note_unplaced(Shards(stage.folder), aligned, seconds)
