"""Words of an utterance with their times, and how a text is cut into them."""

import json
import re
from dataclasses import asdict, dataclass, field
from itertools import pairwise

import numpy as np

from preprocess.speech import markup
from preprocess.store.shards import Shards

FILE = "words.json"

# Scripts that are written without spaces: Thai and Lao, Burmese, Khmer, Japanese, Chinese. There a word is one character, with
# all that cannot stand without it: marks, vowels, the second of two joined consonants, and the punctuation after it. Other
# text is cut at white space.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f\u1780-\u17ff\u19e0-\u19ff"
    "\u3005-\u3007\u3031-\u3035\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
VOWEL_BEFORE = "\u0e40-\u0e44\u0ec0-\u0ec4"  # Thai and Lao write some vowels before their consonant
DEPENDENT = (
    "\u0e2f\u0e30\u0e32\u0e33\u0e45\u0e46\u0eb0\u0eb2\u0eb3\u0ebd\u0ec6"  # Thai and Lao vowels, sign of repetition
    "ぁぃぅぇぉゃゅょゎゕゖゝゞァィゥェォャュョヮヵヶーヽヾ\u31f0-\u31ff"  # small kana, long vowels
    "\uff67-\uff6e\uff70\uff9e\uff9f"  # the same of half width, and their sound marks
)
JOINER = "\u1039\u17d2"  # Burmese and Khmer put the next consonant under the one before
WORD = re.compile(rf"[{VOWEL_BEFORE}]?[{UNSPACED}](?:[{JOINER}][{UNSPACED}]|[{DEPENDENT}]|[^\w\s])*|[^\s{UNSPACED}]+")

STRICT, OPEN, INTERPOLATED = 1.0, 0.5, 0.0  # confidence that a word is said, and when: found, doubtful, not found

Span = tuple[float, float]  # start and end, seconds


@dataclass(frozen=True)
class Word:
    """A word as written, and when it is said."""

    word: str
    start: float | None  # seconds from the clip's start; None without sound
    end: float | None
    confidence: float  # STRICT, OPEN or INTERPOLATED
    spoken: bool = True  # False: written, and not said, as [laughter] or the name of the speaker


@dataclass(frozen=True)
class Transcript:
    """What is said in a clip."""

    text: str
    transcribed: bool  # by speech recognition; False: the text is that of clips.csv
    words: list[Word]
    left_out: list[Span] = field(default_factory=list)  # seconds of which the text was too unsure to be kept

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)


def split(text: str) -> list[str]:
    """The words of a text; every character that is not white space is in exactly one of them."""
    return WORD.findall(text)


def said(text: str) -> list[str]:
    """For each word of `split(text)` what is said of it; "" for a word that is only written."""
    spoken = markup.spoken_characters(text)
    kept = (
        "".join(text[i] for i in range(*match.span()) if spoken[i])  # of <i>Hello</i>, Hello
        for match in WORD.finditer(text)
    )
    return [word if markup.has_sound(word) else "" for word in kept]


def read(shards: Shards, clip_id: str) -> Transcript:
    tree = json.loads(shards.read(clip_id, FILE))
    left_out = [(start, end) for start, end in tree["left_out"]]
    return Transcript(tree["text"], tree["transcribed"], [Word(**word) for word in tree["words"]], left_out)


def is_unspaced(character: str) -> bool:
    """Whether a character is of a script that is written without spaces."""
    return bool(re.match(f"[{UNSPACED}]", character))


def join(spoken: list[str]) -> tuple[str, list[int]]:
    """Words as one text, and the word of each character (-1: of none). Scripts without spaces get none."""
    pieces, owner = list[str](), list[int]()
    for i, word in enumerate(spoken):
        if i and not (is_unspaced(spoken[i - 1][-1]) and is_unspaced(word[0])):
            pieces.append(" ")
            owner.append(-1)
        pieces.append(word)
        owner += [i] * len(word)
    return "".join(pieces), owner


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
