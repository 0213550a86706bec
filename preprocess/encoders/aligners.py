"""The three ways to find the times of a text's words in its sound: pocketsphinx, Whisper's attention, a network with CTC."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import params
from preprocess.speech.words import INTERPOLATED, OPEN, Word

if TYPE_CHECKING:
    from torch import Tensor

AGREEMENT = 0.2  # seconds between the starts that two aligners find for a word, up to which they confirm each other


@dataclass(frozen=True)
class Aligner:
    """One of the ways, and what it needs."""

    kind: params.Aligning
    folder: Path  # of its network; pocketsphinx has its own
    device: str
    language: str  # as in params.yaml

    def align(self, wave: np.ndarray, words: list[str], speech: np.ndarray, states: "Tensor | None" = None) -> list[Word]:
        """Times of the words, of which "" are not searched for, in a wave (n,) float32 at 16 kHz.

        `speech` (T,) is the voice activity, `states` (T, D) are those of the encoder under models.asr if they are known.
        """
        if self.kind == "ctc":
            from preprocess.encoders import ctc

            return ctc.align(wave, words, self.folder, self.device)
        from preprocess.speech import alignment

        if self.kind == "pocketsphinx":
            return alignment.align(wave, words)
        from preprocess.encoders import attention

        found, language = attention.align(wave, words, speech, self.folder, self.device, self.language, states)
        found = [attention.voiced(word, speech) for word in found]
        return confirmed(found, alignment.align(wave, words)) if language == "en" else found


def confirmed(words: list[Word], others: list[Word]) -> list[Word]:
    """Words with less confidence where another aligner finds another start, or nothing."""
    return [
        word if other.confidence > INTERPOLATED and _apart(word, other) <= AGREEMENT else _doubtful(word)
        for word, other in zip(words, others, strict=True)
    ]


def _apart(word: Word, other: Word) -> float:
    return abs((word.start or 0.0) - (other.start or 0.0))


def _doubtful(word: Word) -> Word:
    return replace(word, confidence=min(word.confidence, OPEN))
