"""Words of an utterance with their times, and how a text is cut into them."""

import json
import re
from dataclasses import asdict, dataclass

from preprocess.store.shards import Shards

FILE = "words.json"

# Chinese and Japanese write no spaces: there a word is a character, with the marks behind it. Everything else is cut at
# white space.
IDEOGRAPH = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(rf"[{IDEOGRAPH}][^\w\s]*|[^\s{IDEOGRAPH}]+")

STRICT, OPEN, INTERPOLATED = 1.0, 0.5, 0.0  # confidence in a word's times


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
    transcribed: bool  # by the recogniser; otherwise the text was given
    words: list[Word]

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)


def split(text: str) -> list[str]:
    """The words of a text; every character that is no white space is in exactly one of them."""
    return WORD.findall(text)


def read(shards: Shards, clip_id: str) -> Transcript:
    tree = json.loads(shards.read(clip_id, FILE))
    return Transcript(tree["text"], tree["transcribed"], [Word(**word) for word in tree["words"]])


def is_ideograph(character: str) -> bool:
    return bool(re.match(f"[{IDEOGRAPH}]", character))
