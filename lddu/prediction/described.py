"""What the network said of an utterance, as formats write it."""

from collections.abc import Iterable

from lddu.formats import document
from lddu.prediction.inference import Utterance
from preprocess.refusals import Refused
from preprocess.speech.words import Transcript


def described(utterance: Utterance) -> document.Utterance:
    transcript = utterance.transcript
    return document.Utterance(
        utterance.start,
        utterance.end,
        utterance.labels,
        utterance.modalities,
        transcript.text if transcript else None,
        transcript.transcribed if transcript else None,
        words_of(transcript),
        channels=utterance.channels,
        novelty=utterance.novelty,
        unlike=utterance.unlike,
        missing=missing_of(utterance.refused),
    )


def words_of(transcript: Transcript | None) -> tuple[document.Word, ...]:
    words = transcript.words if transcript else []
    return tuple(document.Word(word.word, word.start, word.end, word.confidence, word.spoken) for word in words)


def missing_of(refused: Iterable[Refused]) -> tuple[document.Missing, ...]:
    return tuple(document.Missing(row.stage, str(row.code), row.detail) for row in refused)
