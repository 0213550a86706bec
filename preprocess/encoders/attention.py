"""Word times from Whisper's cross-attention, in every language that it knows: at which sound it looks for each token.

The decoder is given the text. Some of its attention heads follow the speech; a network's settings name them. For each token
they say how much the decoder looked at each state of the encoder when it had to find this token, and the times are those of
the best path through tokens and states (dynamic time warping, as OpenAI's Whisper does it). A text over several windows of
sound is cut where the decoder finds it likeliest that the window's text ends.

In Chinese and other scripts without spaces a word is a character. A token with several of them is divided evenly.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from math import ceil
from pathlib import Path
from typing import Any
from unicodedata import category

import numpy as np
import torch
from scipy.ndimage import median_filter
from torch import Tensor
from transformers import AutoTokenizer, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from preprocess.encoders.networks import inference, load, preparer
from preprocess.encoders.whisper import STATE, language_of, listen
from preprocess.media.sound import SAMPLE_RATE, WINDOW, windows
from preprocess.speech.activity import HOP, SPEECH
from preprocess.speech.words import INTERPOLATED, OPEN, STRICT, Span, Word, interpolate, is_unspaced, join

SILENCE = 2.0  # seconds of silence after the speech
MAX_TOKENS = 440  # of a window, beside those that begin and end it; the decoder has 448 positions
SMOOTH = 7  # states over which attention is smoothed by its median, as OpenAI's Whisper does it
PACE = 0.1  # deviation of the logarithm of how fast people speak in a window
LIKELY = -5.0  # mean log-probability of a word's tokens below which it may not be what is said


@dataclass(frozen=True)
class Text:
    """The tokens of a text, and to which of its words they belong."""

    tokens: list[int]
    characters: list[tuple[int, int]]  # of each token: the first, and the one after the last
    owners: list[int]  # of each character: its word; -1: of none, as spaces and punctuation
    cuts: list[int]  # numbers of tokens that end with a word's end


@dataclass(frozen=True)
class Reading:
    """What the decoder did with a text in a window."""

    looked: np.ndarray  # (tokens + 1, states): where it looked for each token, and for the end
    scores: np.ndarray  # (tokens,) log-probability of each token
    ends: np.ndarray  # (tokens + 1,) log-probability that the text ends before each token, and after the last


def align(
    wave: np.ndarray,
    words: list[str],
    speech: np.ndarray,
    folder: Path,
    device: str,
    language: str,
    states: Tensor | None = None,
) -> tuple[list[Word], str]:
    """Times of the words in a wave (n,) float32 at 16 kHz, and the language; every word gets a time, and a confidence in it.

    `speech` (T,) is the voice activity, `language` as in params.yaml; auto: as it is heard. The encoder's `states` (T, D) of
    a wave that fits into one window are computed unless they are given.
    """
    text = spell(words, preparer(AutoTokenizer, folder))
    times: list[Span] = []
    scores, begin = list[float](), 0.0
    parts = [wave] if states is not None else list(windows([wave], WINDOW - SILENCE))
    for i, part in enumerate(parts):
        end = begin + len(part) / SAMPLE_RATE
        heard = listen(folder, part, SILENCE, device) if states is None else states
        language = spoken(folder, heard, device, language)
        rest = text.tokens[len(times) :]
        reading = read(folder, heard, rest[:MAX_TOKENS], device, language)
        cuts = [cut - len(times) for cut in text.cuts]
        is_last = i == len(parts) - 1
        count = len(reading.scores) if is_last else until(reading, cuts, len(rest) * share(speech, begin, end))
        looked = reading.looked[: count + 1, : max(1, round((end - begin) / STATE))]
        scores += reading.scores[:count].tolist()
        times += [(begin + first * STATE, min(begin + last * STATE, end)) for first, last in path(looked)[:count]]
        begin = end
    return of_words(words, text, times, scores, begin), language


def spell(words: list[str], tokenizer: Any) -> Text:
    """The tokens of the words that are not empty, joined as their script joins them.

    A token of punctuation alone belongs to no word: the decoder looks at the pause for it.
    """
    kept = [i for i, word in enumerate(words) if word]
    joined, owners = join([words[i] for i in kept])
    owners = [
        kept[owner] if owner >= 0 and (has_sound(letter) or not has_sound(words[kept[owner]])) else -1
        for letter, owner in zip(joined, owners, strict=True)
    ]
    lead = "" if not joined or is_unspaced(joined[0]) else " "  # as Whisper writes
    encoded = tokenizer(lead + joined, add_special_tokens=False, return_offsets_mapping=True)
    characters = [(max(0, a - len(lead)), b - len(lead)) for a, b in encoded.offset_mapping]
    reached = list(accumulate((max(owners[a:b], default=-1) for a, b in characters), max))
    cuts = [i for i in range(1, len(reached)) if reached[i] > reached[i - 1]]
    return Text(encoded.input_ids, characters, owners, [0, *cuts, len(reached)])


@contextmanager
def attentive(network: WhisperForConditionalGeneration) -> Iterator[None]:
    """Let a network tell its attention, which its fast implementations do not."""
    before = network.config._attn_implementation
    network.set_attn_implementation("eager")
    try:
        yield
    finally:
        network.set_attn_implementation(before)


@inference()
def read(folder: Path, states: Tensor, tokens: list[int], device: str, language: str) -> Reading:
    """What the decoder does when it is given a text for a window with these states (T, D) of the encoder."""
    network = load(WhisperForConditionalGeneration, folder, device)
    start, end = prompt(network, language), network.config.eos_token_id
    ids = torch.tensor([[*start, *tokens]], device=device)
    with attentive(network):
        output = network(
            encoder_outputs=BaseModelOutput(last_hidden_state=states[None]), decoder_input_ids=ids, output_attentions=True
        )
    heads = torch.stack([output.cross_attentions[layer][0, head] for layer, head in heads_of(network)]).float()
    heads = (heads - heads.mean(-2, keepdim=True)) / heads.std(-2, keepdim=True).clamp(min=1e-6)
    looked = median_filter(heads.cpu().numpy(), (1, 1, SMOOTH)).mean(0)[len(start) - 1 :]
    likely = output.logits[0, len(start) - 1 :].float().log_softmax(-1).cpu().numpy()
    return Reading(looked, likely[np.arange(len(tokens)), tokens], likely[:, end])


def heads_of(network: WhisperForConditionalGeneration) -> list[tuple[int, int]]:
    """Layer and number of the heads that follow the speech: those that the network's settings name, or the upper half."""
    named = getattr(network.generation_config, "alignment_heads", None)
    layers, heads = network.config.decoder_layers, network.config.decoder_attention_heads
    return [tuple(pair) for pair in named] if named else [(i, k) for i in range(layers // 2, layers) for k in range(heads)]


def spoken(folder: Path, states: Tensor, device: str, language: str) -> str:
    """The language of a text: the one that is asked for, or heard; English where the network knows no other."""
    network = load(WhisperForConditionalGeneration, folder, device)
    if not getattr(network.generation_config, "lang_to_id", None):
        return "en"
    return language_of(network, states, device).strip("<|>") if language == "auto" else language


def prompt(network: WhisperForConditionalGeneration, language: str) -> list[int]:
    """The tokens before the text: start, language and task of a multilingual network, no times."""
    settings, start = network.generation_config, [network.config.decoder_start_token_id]
    languages = getattr(settings, "lang_to_id", None) or {}
    if languages:
        start += [languages[f"<|{language}|>"], settings.task_to_id["transcribe"]]
    without_times = getattr(settings, "no_timestamps_token_id", None)
    return start if without_times is None else [*start, without_times]


def share(speech: np.ndarray, begin: float, end: float) -> float:
    """How much of the speech from `begin` on is before `end` (seconds)."""
    active = speech[int(begin / HOP) :] >= SPEECH
    return float(active[: round((end - begin) / HOP)].sum() / max(1, active.sum()))


def until(reading: Reading, cuts: list[int], expected: float) -> int:
    """How many tokens of a text belong to a window, of several numbers: the likeliest text that ends there.

    Of a text that repeats itself the decoder finds every number likely. So the number is also compared with the one that
    people who always speak equally fast would need; its logarithm is taken to be distributed normally, with deviation PACE.
    """
    likely = np.concatenate([[0.0], np.cumsum(reading.scores, dtype=np.float64)]) + reading.ends
    likely -= (np.log((np.arange(len(likely)) + 1) / (expected + 1)) / PACE) ** 2 / 2
    possible = [cut for cut in cuts if 0 <= cut < len(likely)]
    return max(possible, key=lambda cut: likely[cut], default=0)


def path(looked: np.ndarray) -> list[tuple[int, int]]:
    """The first state of each row, and the one after the last, on the monotone path with the largest sum through (N, T).

    Each row has a state at least. Where there are fewer states than rows, they are shared evenly.
    """
    rows, columns = looked.shape
    if columns < rows:
        return list(pairwise(np.linspace(0, columns, rows + 1).astype(int).tolist()))
    total = np.full(rows, -np.inf)
    total[0] = looked[0, 0]
    came = np.zeros((columns, rows), bool)  # whether the best way to a row at a state came from the row before
    for t in range(1, columns):
        before = np.concatenate([[-np.inf], total[:-1]])
        came[t] = before > total
        total = np.maximum(before, total) + looked[:, t]
    edges, row = [columns], rows - 1
    for t in range(columns - 1, 0, -1):
        if came[t, row]:
            edges.append(t)
            row -= 1
    edges.append(0)
    edges.reverse()
    return list(pairwise(edges))


def has_sound(text: str) -> bool:
    """Whether a text has a letter, a digit or a vowel sign, and not punctuation alone."""
    return any(category(letter)[0] in "LNM" for letter in text)


def of_words(words: list[str], text: Text, times: list[Span], scores: list[float], duration: float) -> list[Word]:
    """Words with the time from their first token to their last; one without tokens lies between its neighbours."""
    spans: list[Span | None] = [None] * len(words)
    of_word: list[list[float]] = [[] for _ in words]
    for (begin, end), (first, last), score in zip(times, text.characters, scores, strict=False):
        owners = [owner for owner in text.owners[first:last] if owner >= 0]
        share = (end - begin) / max(1, len(owners))
        for k, word in enumerate(owners):
            start, stop = begin + k * share, begin + (k + 1) * share
            known = spans[word]
            spans[word] = (min(known[0], start), max(known[1], stop)) if known else (start, stop)
            of_word[word].append(score)
    found = [bool(of_word[i]) for i in range(len(words))]
    return [
        Word(word, round(start, 3), round(end, 3), confidence(of_word[i]) if found[i] else INTERPOLATED)
        for i, (word, (start, end)) in enumerate(zip(words, interpolate(spans, duration), strict=True))
    ]


def confidence(scores: list[float]) -> float:
    return STRICT if np.mean(scores) >= LIKELY else OPEN


def voiced(word: Word, speech: np.ndarray) -> Word:
    """A word without the silence around it: the decoder looks at the first word from the beginning of the sound on.

    `speech` (T,) is the voice activity. A word at whose time nobody speaks stays as it is.
    """
    if word.start is None or word.end is None:
        return word
    first = int(word.start / HOP)
    active = first + np.flatnonzero(speech[first : ceil(word.end / HOP)] >= SPEECH)
    if not len(active):
        return word
    start, end = max(word.start, float(active[0]) * HOP), min(word.end, float(active[-1] + 1) * HOP)
    return replace(word, start=round(start, 3), end=round(end, 3))
