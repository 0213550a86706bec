"""Texts and names as files of one line a value can hold them."""

import re

from lddu.decisions import Decision

# XML 1.0 has no other characters; the rest of control characters would break lines.
FORBIDDEN = re.compile("[^\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def line(text: str) -> str:
    """The text in one line: white space becomes one space, a character that no XML may hold becomes U+FFFD."""
    return FORBIDDEN.sub(REPLACEMENT, " ".join(text.split()))


def decision(of: Decision) -> str:
    """A decision in one line, as "yes 0.832; doubt 0.12; σ text 0.31, audio 0.80"."""
    parts = [f"{of.answer} {of.probability:.3f}"]
    if of.doubt is not None:
        parts.append(f"doubt {of.doubt:.2f}")
    if of.sigma:
        parts.append("σ " + ", ".join(f"{m} {share:.2f}" for m, share in of.sigma.items()))
    return "; ".join(parts)
