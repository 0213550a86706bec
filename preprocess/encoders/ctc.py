"""Forced alignment with a CTC network, of the language that it was trained on: when each word of a text is said.

A word is spelled with the letters of the network's vocabulary, in the other case or without accents if necessary. A word
of which the vocabulary has no letter (in most networks digits and symbols) is not searched for: its time is interpolated
between its neighbours.
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
from preprocess.speech.words import INTERPOLATED, OPEN, STRICT, Span, Word, interpolate, is_unspaced

LIKELY = 0.25  # mean probability of a word's tokens; below it the word may not be what is said
LIMIT = 200_000_000  # tokens times frames; the search for the best path keeps two bytes for each
REACH = 0.1  # seconds by which a word is widened on either side, at most: the network marks only the core of each letter


def align(wave: np.ndarray, words: list[str], folder: Path, device: str) -> list[Word]:
    """Times of the words in a wave (n,) float32 at 16 kHz; every word gets a time, and a confidence in it."""
    tokenizer = preparer(AutoTokenizer, folder)
    delimiter = getattr(tokenizer, "word_delimiter_token_id", None)
    spelled, before, blank = spell(words, tokenizer), gaps(words, delimiter), tokenizer.pad_token_id
    vocabulary = sorted({blank, *chain(*spelled), *(token for token in before if token is not None)})
    log_probs, edges = emissions(wave, folder, device, vocabulary)
    column = {token: i for i, token in enumerate(vocabulary)}
    spelled = [[column[token] for token in word] for word in spelled]
    places = place(log_probs, spelled, [None if token is None else column[token] for token in before], column[blank])
    duration = len(wave) / SAMPLE_RATE
    spans: list[Span | None] = [(float(edges[word[0]]), float(edges[word[1]])) if word else None for word in places]
    times = interpolate(widen(spans, duration), duration)
    return [
        Word(word, round(start, 3), round(end, 3), confidence(place))
        for word, place, (start, end) in zip(words, places, times, strict=True)
    ]


def confidence(place: tuple[int, int, float] | None) -> float:
    if place is None:
        return INTERPOLATED
    return STRICT if place[2] >= LIKELY else OPEN


def emissions(wave: np.ndarray, folder: Path, device: str, tokens: list[int]) -> tuple[Tensor, np.ndarray]:
    """Log-probabilities (T, V) of the given tokens alone, and the edges (T + 1,) of their frames in seconds.

    A Chinese vocabulary has thousands of tokens: all of them over a long clip would fill the memory.
    """
    waves = list(windows([wave], WINDOW))
    read = wav2vec.read(
        AutoModelForCTC, folder, waves, device, lambda output: output.logits.float().log_softmax(-1)[..., tokens]
    )
    rows = list(read)
    begins = np.cumsum([0, *map(len, waves)]) / SAMPLE_RATE
    edges = [np.linspace(begins[i], begins[i + 1], len(row) + 1)[:-1] for i, row in enumerate(rows)]
    return torch.from_numpy(np.concatenate(rows)), np.append(np.concatenate(edges), begins[-1])


def spell(words: list[str], tokenizer: Any) -> list[list[int]]:
    """Tokens of each word; no token where the vocabulary has no letter of it."""
    silent = {None, *tokenizer.all_special_ids, getattr(tokenizer, "word_delimiter_token_id", None)}

    def tokens(form: str) -> tuple[int, list[int]]:
        ids = tokenizer(form, add_special_tokens=False).input_ids
        letters = [token for token in ids if token not in silent]
        return len(ids) - len(letters), letters

    return [min((tokens(form) for form in forms(word)), key=lambda spelled: spelled[0])[1] for word in words]


def forms(word: str) -> list[str]:
    """How a word may be written: as it is, in either case, and in either case without accents."""
    plain = unicodedata.normalize("NFKC", word)
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))
    return [word, plain.lower(), plain.upper(), bare.lower(), bare.upper()]


def gaps(words: list[str], delimiter: int | None) -> list[int | None]:
    """The token that stands before each word: the delimiter, but none at the beginning and in scripts without spaces."""
    return [
        None if i == 0 or (is_unspaced(word[:1]) and is_unspaced(words[i - 1][:1])) else delimiter
        for i, word in enumerate(words)
    ]


def place(
    log_probs: Tensor, spelled: list[list[int]], before: list[int | None], blank: int
) -> list[tuple[int, int, float] | None]:
    """First frame, frame after the last, and mean probability of each word on the best path through all words.

    None for a word without tokens; None for all words where there are fewer frames than tokens, or where tokens times
    frames is above LIMIT.
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
    places: list[tuple[int, int, float] | None] = [None] * len(spelled)
    for i, pairs in groupby(zip(spans, owners, strict=True), key=lambda pair: pair[1]):
        letters = [span for span, _ in pairs]
        if i >= 0:
            places[i] = (letters[0].start, letters[-1].end, float(np.mean([span.score for span in letters])))
    return places


def widen(spans: list[Span | None], duration: float) -> list[Span | None]:
    """Widen each word by half of the pause to each neighbour, at most by REACH; at the ends of the clip by all of it.

    A pause stays as it is where a word without a place stands in it.
    """
    places = [i for i, span in enumerate(spans) if span]
    placed = [span for span in spans if span]
    pauses = [(after[0] - before[1]) / 2 for before, after in pairwise(placed)]
    room = [placed[0][0], *pauses, duration - placed[-1][1]] if placed else []
    needed = [after - before > 1 for before, after in pairwise([-1, *places, len(spans)])]  # by a word without a place
    reach = [0.0 if need else min(REACH, max(0.0, seconds)) for need, seconds in zip(needed, room, strict=False)]
    widened = iter((start - reach[i], end + reach[i + 1]) for i, (start, end) in enumerate(placed))
    return [next(widened) if span else None for span in spans]
