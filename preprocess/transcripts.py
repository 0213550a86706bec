"""Stage transcripts: the words of each clip with start, end and confidence.

The text is transcribed where it is unknown, and aligned with the sound always. Without sound a text keeps its words,
without times.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import params
from preprocess import sound
from preprocess.clips import durations, read_texts
from preprocess.networks import device as resolve
from preprocess.refusals import Code, Refusal
from preprocess.shards import Shards
from preprocess.stage import Stage, Task, fill
from preprocess.words import FILE, INTERPOLATED, Transcript, Word, split

MODEL = Path("data/models/asr")


def hear(shards: Shards, clip_id: str, settings: params.Transcripts, model: Path, device: str) -> Transcript:
    """What is said in a clip of which the text is unknown; Refusal where nothing is.

    Each window's words are aligned with its own sound, so that the cost grows with the length alone.
    """
    from preprocess import whisper  # needs torch, which a corpus with texts does not
    from preprocess.alignment import align

    blocks = sound.blocks(shards, clip_id, whisper.WINDOW)
    texts, found, begin = [], list[Word](), 0.0
    for part, text in whisper.transcribe(model, blocks, device, settings.silence, settings.tokens_per_second):
        if words := split(text):
            texts.append(text)
            found += [later(word, begin) for word in align(part, words)]
        begin += len(part) / sound.SAMPLE_RATE
    if not found:
        raise Refusal(Code.NO_SPEECH, "no word was heard")
    return Transcript(" ".join(texts), True, found)


def later(word: Word, seconds: float) -> Word:
    """A word of a window in the time of the clip."""
    if word.start is None or word.end is None:
        return word
    return replace(word, start=round(word.start + seconds, 3), end=round(word.end + seconds, 3))


def transcript_of(task: Task, folder: Path, settings: params.Transcripts, model: Path, device: str) -> None:
    """One clip's words."""
    from preprocess.alignment import align

    shards, text = Shards(Path(task.source)), task.content["text"]
    words = split(text)
    if not words:
        found = hear(shards, task.clip_id, settings, model, device)
    elif task.content["sound"]:
        found = Transcript(text, False, align(sound.wave(shards, task.clip_id), words))
    else:
        found = Transcript(text, False, [Word(word, None, None, INTERPOLATED) for word in words])
    (folder / FILE).write_text(found.to_json(), encoding="utf-8")


def main() -> None:
    settings = params.load()
    device = resolve(settings.run.device)
    sounds = Shards(Path("data/audio"))
    seconds = durations()
    stage = Stage(
        name="transcripts",
        module="preprocess.transcripts",
        work=partial(transcript_of, settings=settings.transcripts, model=MODEL, device=device),
        parameters=settings.transcripts.model_dump(),
        models=[MODEL],
        environment=device,
    )
    todo = [
        Task(clip_id, {"text": text, "sound": sounds.digests.get(clip_id, "")}, seconds.get(clip_id, 0.0), str(sounds.folder))
        for clip_id, text in read_texts().items()
        if text or clip_id in sounds.digests
    ]
    fill(stage, todo, settings.run)
