"""States become rows: those of the tokens of a row's words, and those of the sound or the face in a row's time."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from preprocess.encoders.states import TimedStates, WordStates

LEAST_COVERED = 0.01  # of the state that a span covers longest; a state that it covers less is left out of a maximum


@dataclass(frozen=True)
class Rows:
    """One modality of one clip."""

    states: np.ndarray  # (L, D) float32, 0 where masked
    mask: np.ndarray  # (L,) bool: something was observed in the row's span
    times: np.ndarray  # (L, 2) float32, seconds from the clip's start, or UNKNOWN_TIME


def mean(states: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(D,): mean of states (T, D) with weights (T,) that are not all 0."""
    return weights @ states / weights.sum()


def highest(states: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(D,): the maximum of each feature over the states that count."""
    return states[weights > LEAST_COVERED * weights.max()].max(0)


def mean_and_deviation(states: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(2 D,): the mean, and beside it the standard deviation from it with the same weights; 0 for a single state."""
    centre = mean(states, weights)
    return np.concatenate([centre, np.sqrt(mean((states - centre) ** 2, weights))])


POOLINGS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": mean,
    "max": highest,
    "mean_deviation": mean_and_deviation,
}


def of_words(tokens: WordStates | None, groups: list[np.ndarray], times: np.ndarray) -> Rows | None:
    """Mean of the token states of each row's words."""
    if tokens is None:
        return None
    member = np.array([np.isin(tokens.words, group) for group in groups], np.float32)  # (L, T)
    total = member.sum(1, keepdims=True)
    pooled = (member / np.where(total > 0, total, 1)) @ tokens.states
    return Rows(pooled.astype(np.float32), total[:, 0] > 0, times)


def of_times(timed: TimedStates | None, times: np.ndarray, pooling: str = "mean") -> Rows | None:
    """The observed states in each row's span, pooled in one of POOLINGS; a state counts by the time that it shares with it.

    A span that shares no time with a state takes the state that covers its middle; at the end of the clip, the last one.
    """
    if timed is None:
        return None
    pool = POOLINGS[pooling]
    width = len(pool(timed.states[:1], np.ones(1, np.float32)))
    pooled, mask = np.zeros((len(times), width), np.float32), np.zeros(len(times), bool)
    last = np.nextafter(timed.times[:, 1].max(), 0, dtype=np.float32)
    for row, span in enumerate(times):
        near = _near(timed.times, np.minimum(span, last))
        weights = _shared(timed.times[near], span, last) * timed.observed[near]
        mask[row] = weights.sum() > 0
        if mask[row]:
            pooled[row] = pool(timed.states[near], weights)
    return Rows(pooled, mask, times)


def in_context(timed: TimedStates | None, rows: Rows | None, pooling: str) -> Rows | None:
    """Rows, each followed by the observed states of the whole clip, pooled in one of POOLINGS; "none": rows as they are.

    The same for all rows of the clip. Masked rows stay zeros.
    """
    if timed is None or rows is None or pooling == "none" or not timed.observed.any():
        return rows
    lengths = np.where(timed.observed, np.diff(timed.times, axis=1)[:, 0], 0)
    whole = POOLINGS[pooling](timed.states, lengths.astype(np.float32))
    beside = np.where(rows.mask[:, None], whole, 0).astype(np.float32)
    return replace(rows, states=np.concatenate([rows.states, beside], axis=1))


def _near(grid: np.ndarray, span: np.ndarray) -> slice:
    """The states, of those with times (T, 2) in order, that may share time with a span or cover its middle."""
    return slice(
        max(0, int(np.searchsorted(grid[:, 0], span[0], "right")) - 2), int(np.searchsorted(grid[:, 0], span[1], "right"))
    )


def _shared(grid: np.ndarray, span: np.ndarray, last: float) -> np.ndarray:
    """Seconds (T,) that states (T, 2) share with a span; if none does, 1 for the state that covers its middle, else 0.

    A middle after `last`, the last moment that a state covers, is moved there.
    """
    shared = np.minimum(span[1], grid[:, 1]) - np.maximum(span[0], grid[:, 0])
    if shared.max(initial=0) > 0:
        return np.maximum(shared, 0)
    middle = min(np.float32(span.mean()), np.float32(last))
    return ((grid[:, 0] <= middle) & (middle < grid[:, 1])).astype(np.float32)
