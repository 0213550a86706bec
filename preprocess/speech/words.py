"""Words of an utterance with their times, and how a text is cut into them."""

import json
import re
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from preprocess.store.shards import Shards

FILE = "words.json"

# Chinese and Japanese are written without spaces: there a word is one character, with the punctuation after it. Other
# text is cut at white space.
IDEOGRAPH = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(rf"[{IDEOGRAPH}][^\w\s]*|[^\s{IDEOGRAPH}]+")

STRICT, OPEN, INTERPOLATED = 1.0, 0.5, 0.0  # confidence in a word's times

Span = tuple[float, float]  # start and end, seconds


@dataclass(frozen=True)
class Word:
    """A word as written, and when it is said."""

    word: str
    start: float | None  # seconds from the clip's start; None without sound
    end: float | None
    confidence: float  # STRICT, OPEN or INTERPOLATED


@dataclass(frozen=True)
class Transcript:
    """What is said in a clip."""

    text: str
    transcribed: bool  # by speech recognition; False: the text is that of clips.csv
    words: list[Word]

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)


def split(text: str) -> list[str]:
    """The words of a text; every character that is not white space is in exactly one of them."""
    return WORD.findall(text)


def read(shards: Shards, clip_id: str) -> Transcript:
    tree = json.loads(shards.read(clip_id, FILE))
    return Transcript(tree["text"], tree["transcribed"], [Word(**word) for word in tree["words"]])


def is_ideograph(character: str) -> bool:
    return bool(re.match(f"[{IDEOGRAPH}]", character))


def interpolate(spans: list[Span | None], duration: float) -> list[Span]:
    """Give each run of missing spans equal shares of the time between the neighbours that have one."""
    times: list[Span] = []
    i = 0
    while i < len(spans):
        span = spans[i]
        if span is not None:
            times.append((min(span[0], duration), min(span[1], duration)))
            i += 1
            continue
        stop = next((k for k in range(i, len(spans)) if spans[k] is not None), len(spans))
        after = spans[stop] if stop < len(spans) else None
        low = times[-1][1] if times else 0.0
        edges = np.linspace(low, max(low, after[0] if after else duration), stop - i + 1).tolist()
        times += pairwise(edges)
        i = stop
    return times
