"""Corruptions of words: those that are left, with their times."""

from dataclasses import replace

import numpy as np

from preprocess.speech.words import Word

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def corrupted(words: list[Word], kind: str, share: float, rng: np.random.Generator) -> list[Word]:
    """A share of the words lost or misspelt; the number of them is rounded, and at least 1."""
    count = min(len(words), max(1, round(share * len(words))))
    chosen = set(rng.permutation(len(words))[:count].tolist())
    if kind == "lost_words":
        return [word for i, word in enumerate(words) if i not in chosen]
    changed = {i: misspelt(words[i].word, rng) for i in sorted(chosen)}
    return [replace(word, word=changed.get(i, word.word)) for i, word in enumerate(words)]


def misspelt(word: str, rng: np.random.Generator) -> str:
    """The word with two slips of the finger, or one if it is short: a letter left out, doubled, exchanged or wrong."""
    for _ in range(1 if len(word) < 5 else 2):
        at = int(rng.integers(len(word)))
        slip = str(rng.choice(["left out", "doubled", "exchanged", "wrong"]))
        before, letter, after = word[:at], word[at], word[at + 1 :]
        if slip == "left out" and len(word) > 1:
            word = before + after
        elif slip == "doubled":
            word = before + letter + letter + after
        elif slip == "exchanged" and after and after[0] != letter:
            word = before + after[0] + letter + after[1:]
        else:
            word = before + str(rng.choice([other for other in LETTERS if other != letter.lower()])) + after
    return word
