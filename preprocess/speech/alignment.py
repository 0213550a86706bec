"""Forced alignment of English with pocketsphinx: when each word of a text is said.

A word that is not in pocketsphinx's dictionary gets its pronunciation from a G2P (grapheme-to-phoneme) model. A word that
has no pronunciation, as an emoji, is not searched for: its time is interpolated between its neighbours. Where the search
with pruning finds no path, it is repeated without pruning (open beams), and its words get a lower confidence.
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
# Time and memory of a search grow with words times seconds: 25 us and 0.15 kB each with pruning, 20 kB without it, where
# every state of every word is kept for all frames. A text beyond these limits is not searched for.
STRICT_LIMIT = 3_000_000  # words times seconds: twenty minutes of fluent speech
OPEN_LIMIT = 30_000
OPEN_BEAMS = {"beam": 0.0, "pbeam": 0.0, "wbeam": 0.0}

# The phone of the acoustic model for each phoneme symbol of the G2P; symbols of two letters first.
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
    """Phones by word of pocketsphinx's dictionary; more pronunciations of a word are entries `word(2)`, `word(3)`."""
    text = Path(get_model_path("en-us/cmudict-en-us.dict")).read_text(encoding="utf-8")
    return dict(line.split(" ", 1) for line in text.splitlines())


@cache
def pronouncer() -> G2P:
    return G2P()


def pronunciation(word: str) -> str:
    """Phones of a word as written, digits and symbols read aloud; "" where the G2P has no pronunciation for it."""
    g2p = pronouncer()  # an installation that lacks its files must not look like words without a pronunciation
    try:
        phonemes = g2p(word) or ""
    except (ValueError, IndexError):  # from raised and circled digits, and numbers of more than 36 digits
        return ""
    return " ".join(PHONES[symbol] for symbol in PHONE.findall(phonemes))


def align(wave: np.ndarray, words: list[str]) -> list[Word]:
    """Times of the words in a wave (n,) float32 at 16 kHz; every word gets a time, and a confidence in it.

    Where no search finds a path, or the text is too long to be searched for, the words share the time evenly.
    """
    sound = b"".join((np.clip(block, -1, 1) * 32767).astype("<i2").tobytes() for block in _blocks(wave))
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


def _blocks(wave: np.ndarray, size: int = 1 << 20) -> Iterator[np.ndarray]:
    return (wave[begin : begin + size] for begin in range(0, len(wave), size))


def _search(sound: bytes, words: list[str], beams: dict[str, float]) -> list[Span | None] | None:
    """Start and end of each word on the best path; None where there is no path.

    A decoder adapts to what it has heard, so each clip gets a new one. It is given the words of the clip alone, since the
    whole dictionary would take longer to load than the clip takes to align.
    """
    decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", lm=None, dict=os.devnull, bestpath=False, **beams)
    entries = [_entry(decoder, word, i) for i, word in enumerate(words)]
    pronounced = [i for i, entry in enumerate(entries) if entry]
    if not pronounced or not sound:
        return None
    decoder.set_align_text(" ".join(entries[i] for i in pronounced))
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()
    if decoder.hyp() is None:
        return None
    segments = [(s.start_frame * FRAME, (s.end_frame + 1) * FRAME) for s in decoder.seg() if s.word[0] not in "<["]
    if len(segments) != len(pronounced):
        return None
    spans: list[Span | None] = [None] * len(words)
    for i, span in zip(pronounced, segments, strict=True):
        spans[i] = span
    return spans


def _entry(decoder: Decoder, word: str, i: int) -> str:
    """The name under which a word is in the decoder, added to it if need be; "" for a word without a pronunciation."""
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
