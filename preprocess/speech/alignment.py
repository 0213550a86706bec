"""Forced alignment: when each word of a known English text is said, with pocketsphinx.

A word that its dictionary lacks gets a pronunciation from letters, digits and symbols; one that has none (an emoji) is
left out and interpolated. Where the strict search finds no path, one with open beams is taken, with less confidence.
"""

import os
import re
from collections.abc import Iterator
from functools import cache
from itertools import count, takewhile
from pathlib import Path

import numpy as np
from hibari.g2p import G2P
from pocketsphinx import Decoder, get_model_path

from preprocess.media.sound import SAMPLE_RATE
from preprocess.speech.words import INTERPOLATED, OPEN, STRICT, Span, Word, interpolate

FRAME = 0.01  # seconds, the grid of the times
# Time and memory of a search grow with words times seconds: about 25 us and 0.15 kB, and without beams, where every state
# of every word is kept at all times, 20 kB. A text beyond the limits gets no search.
STRICT_LIMIT = 3_000_000  # words times seconds: twenty minutes of fluent speech
OPEN_LIMIT = 30_000
OPEN_BEAMS = {"beam": 0.0, "pbeam": 0.0, "wbeam": 0.0}

# Phoneme letters of the G2P against the phones of the acoustic model; two-letter symbols first.
PHONES = {
    "əɹ": "ER", "ɜɹ": "ER", "A": "EY", "I": "AY", "O": "OW", "W": "AW", "Y": "OY", "æ": "AE", "ɑ": "AA", "ɔ": "AO",
    "ə": "AH", "ᵊ": "AH", "ʌ": "AH", "ɛ": "EH", "ɜ": "ER", "ɪ": "IH", "ᵻ": "IH", "i": "IY", "ʊ": "UH", "u": "UW",
    "b": "B", "d": "D", "f": "F", "h": "HH", "j": "Y", "k": "K", "l": "L", "m": "M", "n": "N", "p": "P", "s": "S",
    "t": "T", "v": "V", "w": "W", "z": "Z", "ð": "DH", "ŋ": "NG", "ɡ": "G", "ɹ": "R", "ɾ": "D", "ʃ": "SH", "ʒ": "ZH",
    "ʔ": "T", "ʤ": "JH", "ʧ": "CH", "θ": "TH",
}  # fmt: skip
PHONE = re.compile("|".join(PHONES))


@cache
def dictionary() -> dict[str, str]:
    """Phones by word of pocketsphinx's dictionary; further ones of a word follow as `word(2)`, `word(3)`."""
    text = Path(get_model_path("en-us/cmudict-en-us.dict")).read_text(encoding="utf-8")
    return dict(line.split(" ", 1) for line in text.splitlines())


@cache
def pronouncer() -> G2P:
    return G2P()


def pronunciation(word: str) -> str:
    """Phones of a word as it is written, digits and symbols spoken out; "" where nothing is said, or the G2P knows no way."""
    try:
        spoken = pronouncer()(word) or ""
    except Exception:  # of numbers beyond its names for them, raised digits, and more
        return ""
    return " ".join(PHONES[symbol] for symbol in PHONE.findall(spoken))


def align(wave: np.ndarray, words: list[str]) -> list[Word]:
    """Times of the words in a wave (n,) float32 at 16 kHz; every word gets some, its confidence says how good.

    Where no search finds them, or would take too much, they share the time evenly.
    """
    sound = b"".join((np.clip(part, -1, 1) * 32767).astype("<i2").tobytes() for part in _parts(wave))
    cost = len(words) * len(wave) / SAMPLE_RATE
    confidence, spans = STRICT, _search(sound, words, {}) if cost <= STRICT_LIMIT else None
    if spans is None and cost <= OPEN_LIMIT:
        confidence, spans = OPEN, _search(sound, words, OPEN_BEAMS)
    spans = spans or [None] * len(words)
    times = interpolate(spans, len(wave) / SAMPLE_RATE)
    return [
        Word(word, round(start, 3), round(end, 3), confidence if span else INTERPOLATED)
        for word, span, (start, end) in zip(words, spans, times, strict=True)
    ]


def _parts(wave: np.ndarray, size: int = 1 << 20) -> Iterator[np.ndarray]:
    return (wave[begin : begin + size] for begin in range(0, len(wave), size))


def _search(sound: bytes, words: list[str], beams: dict[str, float]) -> list[Span | None] | None:
    """The best path through the words; None where there is none.

    A decoder remembers, so each clip gets a new one, which is told the clip's words alone: the whole dictionary would take
    longer to read than the clip.
    """
    decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", lm=None, dict=os.devnull, bestpath=False, **beams)
    entries = [_entry(decoder, word, i) for i, word in enumerate(words)]
    said = [i for i, entry in enumerate(entries) if entry]
    if not said or not sound:
        return None
    decoder.set_align_text(" ".join(entries[i] for i in said))
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()
    if decoder.hyp() is None:
        return None
    found = [(s.start_frame * FRAME, (s.end_frame + 1) * FRAME) for s in decoder.seg() if s.word[0] not in "<["]
    if len(found) != len(said):
        return None
    spans: list[Span | None] = [None] * len(words)
    for i, span in zip(said, found, strict=True):
        spans[i] = span
    return spans


def _entry(decoder: Decoder, word: str, i: int) -> str:
    """The decoder's entry for a word, with the dictionary's phones where that has it; "" for a word without sound."""
    plain = re.sub(r"[^a-z']", "", word.lower().replace("’", "'")).strip("'")
    if re.sub(r"[\W_]", "", word.lower()) == plain.replace("'", "") and plain in dictionary():
        if not decoder.lookup_word(plain):
            for name in takewhile(dictionary().__contains__, (f"{plain}({n})" if n > 1 else plain for n in count(1))):
                decoder.add_word(name, dictionary()[name], False)
        return plain
    phones = pronunciation(word)
    if not phones:
        return ""
    decoder.add_word(f"word_{i}", phones, False)
    return f"word_{i}"
