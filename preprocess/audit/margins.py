"""The pauses of a clip before its first word and after its last one: those of a clip with wrong times are not as usual."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from preprocess.speech.words import STRICT, Span, Word

EDGE = 0.1  # seconds: words that begin or end nearer to the clip's start or end may be cut off there
DISPLACED = 0.3  # seconds by which both start and end must be away from the words as usual, in one direction


@dataclass(frozen=True)
class Margins:
    """The pauses of a clip before its first word and after its last one, in seconds."""

    before: float
    after: float

    def is_squeezed(self, usual: "Margins") -> bool:
        """Whether the words touch one end, and the pause at the other end is longer than usual."""
        return (self.before < EDGE and self.after > usual.after + DISPLACED) or (
            self.after < EDGE and self.before > usual.before + DISPLACED
        )


def usual(margins: Iterable[Margins]) -> Margins:
    """Those of half of the clips are longer, of half shorter."""
    of_clips = list(margins)
    before, after = ([getattr(item, name) for item in of_clips] or [0.0] for name in ("before", "after"))
    return Margins(float(np.median(before)), float(np.median(after)))


def extent(found: list[Word]) -> Span | None:
    """The start of the first spoken word and the end of the last one; None where they were not found with confidence."""
    spoken = [word for word in found if word.spoken]
    if not spoken or min(spoken[0].confidence, spoken[-1].confidence) < STRICT:
        return None
    first, last = spoken[0].start, spoken[-1].end
    return None if first is None or last is None else (first, last)
