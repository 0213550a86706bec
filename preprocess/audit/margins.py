"""The pauses of a clip before its first word and after its last one: those of a clip with wrong times are not as usual."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from preprocess.speech.words import INTERPOLATED, Span, Word

EDGE = 0.1  # seconds: words that begin or end nearer to the clip's start or end may be cut off there
DISPLACED = 0.3  # seconds by which both start and end must be away from the words as usual, in one direction
SHORT, APART = 0.25, 0.6  # seconds: a word, and the pause between it and the others, of which one is too long


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
    """The start of the first spoken word and the end of the last one; None where they were not found.

    A short word far from all others is not where it was found: an aligner puts it into any sound that it must explain.
    """
    spoken = [word for word in found if word.spoken and word.start is not None and word.end is not None]
    if not spoken or min(spoken[0].confidence, spoken[-1].confidence) <= INTERPOLATED:
        return None
    spans = [(word.start or 0.0, word.end or 0.0) for word in spoken]
    (start, first), (last, end) = spans[0], spans[-1]
    if len(spans) > 1:
        after, before = spans[1][0], spans[-2][1]
        if first - start < SHORT and after - first > APART:
            start = after - (first - start)
        if end - last < SHORT and last - before > APART:
            end = before + (end - last)
    return start, end
