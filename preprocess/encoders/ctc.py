"""Forced alignment in any language: when each word of a known text is said, by a network with a CTC head that spells it.

A word is spelled with what the network's vocabulary has of it, in either case and without accents if need be. One of
which it has nothing – digits and symbols, in most – has no sound here and gets the time that its neighbours leave.
"""

import unicodedata
from itertools import chain, groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchaudio.functional as audio
from torch import Tensor
from transformers import AutoModelForCTC, AutoTokenizer

from preprocess.encoders import wav2vec
from preprocess.encoders.networks import preparer
from preprocess.media.sound import SAMPLE_RATE, WINDOW, windows
from preprocess.speech.words import INTERPOLATED, OPEN, STRICT, Span, Word, interpolate, is_ideograph

LIKELY = 0.25  # mean probability of a word's tokens below which the text may not be what is said
LIMIT = 200_000_000  # tokens times frames, for each of which the search for the best path keeps two bytes
REACH = 0.1  # seconds; the network marks a letter where it is surest, and a word goes on at most this far on either side


def align(wave: np.ndarray, words: list[str], folder: Path, device: str) -> list[Word]:
    """Times of the words in a wave (n,) float32 at 16 kHz; every word gets some, its confidence says how good."""
    tokenizer = preparer(AutoTokenizer, folder)
    delimiter = getattr(tokenizer, "word_delimiter_token_id", None)
    spelled, before, blank = spell(words, tokenizer), gaps(words, delimiter), tokenizer.pad_token_id
    used = sorted({blank, *chain(*spelled), *(token for token in before if token is not None)})
    log_probs, edges = emissions(wave, folder, device, used)
    column = {token: i for i, token in enumerate(used)}
    spelled = [[column[token] for token in word] for word in spelled]
    found = place(log_probs, spelled, [None if token is None else column[token] for token in before], column[blank])
    duration = len(wave) / SAMPLE_RATE
    spans: list[Span | None] = [(float(edges[word[0]]), float(edges[word[1]])) if word else None for word in found]
    times = interpolate(widen(spans, duration), duration)
    return [
        Word(word, round(start, 3), round(end, 3), confidence(own))
        for word, own, (start, end) in zip(words, found, times, strict=True)
    ]


def confidence(found: tuple[int, int, float] | None) -> float:
    if found is None:
        return INTERPOLATED
    return STRICT if found[2] >= LIKELY else OPEN


def emissions(wave: np.ndarray, folder: Path, device: str, tokens: list[int]) -> tuple[Tensor, np.ndarray]:
    """Log-probabilities (T, V) of some tokens of the vocabulary, and the edges (T + 1,) of their frames in seconds.

    Chinese has thousands of tokens; those that a text has no use for would fill the memory.
    """
    parts = list(windows([wave], WINDOW))
    read = wav2vec.read(
        AutoModelForCTC, folder, parts, device, lambda output: output.logits.float().log_softmax(-1)[..., tokens]
    )
    rows = list(read)
    begins = np.cumsum([0, *map(len, parts)]) / SAMPLE_RATE
    edges = [np.linspace(begins[i], begins[i + 1], len(row) + 1)[:-1] for i, row in enumerate(rows)]
    return torch.from_numpy(np.concatenate(rows)), np.append(np.concatenate(edges), begins[-1])


def spell(words: list[str], tokenizer: Any) -> list[list[int]]:
    """Tokens of each word, none where the vocabulary has nothing of it."""
    silent = {None, *tokenizer.all_special_ids, getattr(tokenizer, "word_delimiter_token_id", None)}

    def tokens(form: str) -> tuple[int, list[int]]:
        found = tokenizer(form, add_special_tokens=False).input_ids
        kept = [token for token in found if token not in silent]
        return len(found) - len(kept), kept

    return [min((tokens(form) for form in forms(word)), key=lambda spelled: spelled[0])[1] for word in words]


def forms(word: str) -> list[str]:
    """How a word may be written: as it is, in either case, and in either case without accents."""
    plain = unicodedata.normalize("NFKC", word)
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))
    return [word, plain.lower(), plain.upper(), bare.lower(), bare.upper()]


def gaps(words: list[str], delimiter: int | None) -> list[int | None]:
    """The token that stands before each word: the delimiter, but not at the beginning and not between ideographs."""
    return [
        None if i == 0 or (is_ideograph(word[0]) and is_ideograph(words[i - 1][0])) else delimiter
        for i, word in enumerate(words)
    ]


def place(
    log_probs: Tensor, spelled: list[list[int]], before: list[int | None], blank: int
) -> list[tuple[int, int, float] | None]:
    """First frame, frame behind the last, and mean probability of each word on the best path through all of them.

    None for a word without tokens, and for all words where there are more tokens than frames to say them in, or more of both
    than LIMIT.
    """
    owners, tokens = list[int](), list[int]()
    for i, word in enumerate(spelled):
        gap = [before[i]] if word and tokens and before[i] is not None else []
        tokens += [token for token in gap if token is not None] + word
        owners += [-1] * len(gap) + [i] * len(word)
    repeats = sum(a == b for a, b in pairwise(tokens))
    if not tokens or len(tokens) + repeats > len(log_probs) or len(tokens) * len(log_probs) > LIMIT:
        return [None] * len(spelled)
    path, scores = audio.forced_align(log_probs[None], torch.tensor([tokens], dtype=torch.int32), blank=blank)
    spans = audio.merge_tokens(path[0], scores[0].exp(), blank)
    found: list[tuple[int, int, float] | None] = [None] * len(spelled)
    for i, owned in groupby(zip(spans, owners, strict=True), key=lambda pair: pair[1]):
        own = [span for span, _ in owned]
        if i >= 0:
            found[i] = (own[0].start, own[-1].end, float(np.mean([span.score for span in own])))
    return found


def widen(spans: list[Span | None], duration: float) -> list[Span | None]:
    """Let each word take half of the pause to its neighbours, at most REACH of it; the first and the last, all of theirs.

    A pause in which a word without a place has to be is left to that word.
    """
    places = [i for i, span in enumerate(spans) if span]
    known = [span for span in spans if span]
    pauses = [(after[0] - before[1]) / 2 for before, after in pairwise(known)]
    free = [known[0][0], *pauses, duration - known[-1][1]] if known else []
    taken = [after - before > 1 for before, after in pairwise([-1, *places, len(spans)])]
    reach = [0.0 if missing else min(REACH, max(0.0, seconds)) for missing, seconds in zip(taken, free, strict=False)]
    widened = iter((start - reach[i], end + reach[i + 1]) for i, (start, end) in enumerate(known))
    return [next(widened) if span else None for span in spans]
