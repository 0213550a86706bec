"""Whether a clip's text is what is said: judged by how much the sound says for the text, for others, and for parts of it."""

from collections.abc import Mapping
from typing import Any

from preprocess.audit.findings import FAULT, NOTE, Check, Finding
from preprocess.audit.margins import DISPLACED, EDGE, Margins
from preprocess.corpora.correct import Correction
from preprocess.corpus import Clip
from preprocess.speech import words

SAID = 3.2  # mean gain over the words of a text from which it is said
LEADS = 1.5  # how much larger the gain of another text must be
SHORTER = 4.0  # log-probability by which a text must be likelier without some of its words
UNHEARD = 4.0  # mean gain of these words, above which they are said nevertheless: in noise every shorter text is likelier
CLEAR = 4.0  # mean gain of the other words, from which the sound is clear enough for words to be missed in it
ELSEWHERE = 8.0  # log-probability by which a text must be likelier at another time
PAUSE = 0.2  # seconds between a clip's end and its words, from which on they are not cut off there
SAME_WORDS = 0.5  # word error rate up to which two texts are the same sentence


def error_rate(text: str, heard: str) -> float:
    """The word error rate of a text against what is heard: words to replace, remove or add, divided by the words heard."""
    from torchaudio.functional import edit_distance  # takes a second

    said = _plain(heard)
    return edit_distance(_plain(text), said) / max(1, len(said))


def _plain(text: str) -> list[str]:
    """Its spoken words in small letters, without punctuation."""
    bare = ("".join(letter for letter in word.casefold() if letter.isalnum()) for word in words.said(text))
    return [word for word in bare if word]


def judge(
    clip: Clip,
    hearing: Mapping[str, Any],
    texts: Mapping[str, str],
    span: tuple[float, float],
    margins: Margins,
    own: Margins | None = None,
) -> Finding | None:
    """What is wrong with the text of a clip that is from `span[0]` to `span[1]` (seconds) in its medium; None: nothing.

    `hearing` has the fields of hearing.Hearing, `texts` the text of every clip; `margins` are the usual ones, `own` those of
    this clip, None where its words were not found in it.
    """
    hearing = _placed(hearing, span, margins, own)
    if hearing["gain"] > 0 and (hearing["better"] > ELSEWHERE or _is_displaced(hearing, span, margins)):
        return _moved(clip, hearing, span, margins)
    near = max(hearing["near"], key=lambda name: hearing["near"][name], default="")
    if near and hearing["near"][near] >= max(SAID, hearing["gain"] + LEADS):
        found = f"what is said is the text of {near}: {texts[near]!r}"
        return Finding(clip.clip_id, Check.TEXT, FAULT, found, f"text of {near}", (_text(clip, texts[near]),))
    heard = hearing["heard"]
    if heard and hearing["gain"] < SAID and hearing["heard_gain"] >= max(SAID, hearing["gain"] + LEADS):
        return _other(clip, heard, texts)
    if hearing["gain"] < SAID:
        found = f"the sound says little for the text (gain {hearing['gain']:.1f} a word), and for no other"
        return Finding(clip.clip_id, Check.TEXT, NOTE, found, "listen to it")
    return _cut(clip, hearing, own)


def _other(clip: Clip, heard: str, texts: Mapping[str, str]) -> Finding | None:
    rate = error_rate(clip.text, heard)
    if rate <= SAME_WORDS:
        return None
    rates = {name: error_rate(text, heard) for name, text in texts.items() if text and name != clip.clip_id}
    best = min(rates, key=lambda name: rates[name], default="")
    if best and rates[best] <= SAME_WORDS / 2:
        proposal, new = f"text of {best}", texts[best]
    else:
        proposal, new = "what is heard", heard
    found = f"word error rate {rate:.2f}, heard: {heard!r}"
    return Finding(clip.clip_id, Check.TEXT, FAULT, found, proposal, (_text(clip, new),))


def _away(hearing: Mapping[str, Any], span: tuple[float, float], margins: Margins) -> tuple[float, float] | None:
    """Seconds by which start and end should move to be as far from the words as is usual; None where these were not found."""
    if not (hearing["spoken"] and hearing["room"]):
        return None
    (first, last), (before, after) = hearing["spoken"], hearing["room"]
    start, end = first - margins.before, last + margins.after - (span[1] - span[0])
    return max(start, -before), min(end, after)


def _placed(hearing: Mapping[str, Any], span: tuple[float, float], margins: Margins, own: Margins | None) -> Mapping[str, Any]:
    """The hearing with the words where they are in the clip itself, if they touch one end of it, and if what was found around
    the clip does not move it: an aligner puts the first word or the last one into the sound of a neighbour."""
    if not own or not own.is_squeezed(margins) or _is_displaced(hearing, span, margins):
        return hearing
    return {**hearing, "spoken": [own.before, span[1] - span[0] - own.after]}


def _is_displaced(hearing: Mapping[str, Any], span: tuple[float, float], margins: Margins) -> bool:
    """Whether the words touch one end of the clip, and start and end should move in one direction."""
    away = _away(hearing, span, margins)
    if not away:
        return False
    first, last = hearing["spoken"]
    touch = first < EDGE or last > span[1] - span[0] - EDGE
    return touch and (min(away) > DISPLACED or max(away) < -DISPLACED)


def move(hearing: Mapping[str, Any], span: tuple[float, float], margins: Margins) -> tuple[float, float]:
    """Seconds by which start and end should move for all words to be in the clip.

    Two errors can lose the same words: times that are shifted, and a clip that is cut at one end. In a shifted clip both ends
    are about equally far from where they usually are, in a cut one the other end is where it should be.
    """
    away = _away(hearing, span, margins)
    if not away:
        return hearing["start"], hearing["end"]
    start, end = away
    least, most = sorted(away, key=abs)
    if least * most > 0 and abs(least) > abs(most) / 2:
        return (mean := round((start + end) / 2, 2)), mean
    if abs(least) > DISPLACED:  # words are lost, or foreign ones are there, at both ends
        return round(start, 2), round(end, 2)
    return (round(start, 2), 0.0) if most == start else (0.0, round(end, 2))


def _moved(clip: Clip, hearing: Mapping[str, Any], span: tuple[float, float], margins: Margins) -> Finding:
    first, last = move(hearing, span, margins)
    corrections = []
    if first:
        corrections.append(Correction(clip.clip_id, "start", written(clip.start), f"{span[0] + first:.3f}"))
    if last:
        corrections.append(Correction(clip.clip_id, "end", written(clip.end), f"{span[1] + last:.3f}"))
    if first == last:
        proposal = f"shift by {first:+.1f} s"
    else:
        moves = (("start", first), ("end", last))
        proposal = ", ".join(f"{name} {abs(by):.1f} s {'earlier' if by < 0 else 'later'}" for name, by in moves if by)
    if hearing["better"] > ELSEWHERE:
        found = f"the text is e^{hearing['better']:.0f} times as likely there"
    else:
        found = f"its words are from {hearing['spoken'][0]:.1f} to {hearing['spoken'][1]:.1f} s of {span[1] - span[0]:.1f} s"
    return Finding(clip.clip_id, Check.TIMES, FAULT, found, proposal, tuple(corrections))


def written(seconds: float | None) -> str:
    """A time as a cell of clips.csv, blank where it is the medium's own end."""
    return "" if seconds is None else f"{round(seconds, 6)}"


def _cut(clip: Clip, hearing: Mapping[str, Any], own: Margins | None) -> Finding | None:
    """Words that are not in the sound at an end of it, where the medium has no more of it.

    A pause at that end, as far as the words could be placed, says that noise has made them unlikely, and nothing is cut off.
    """
    pauses = {"start": own.before, "end": own.after} if own else {"start": 0.0, "end": 0.0}
    said = [word for word, is_said in zip(words.split(clip.text), words.said(clip.text), strict=True) if is_said]
    for end, values in (("start", hearing["first"]), ("end", hearing["last"])):
        count = 1 + values.index(max(values)) if values else 0
        at = count if end == "start" else len(said) - count
        parts = [(said[:at], hearing["gains"][:at]), (said[at:], hearing["gains"][at:])]
        (lost, gains), (left, others) = parts if end == "start" else parts[::-1]
        if not count or max(values) <= SHORTER or sum(gains) > UNHEARD * count or pauses[end] > PAUSE:
            continue
        found = f"at the {end} {' '.join(lost)!r} is not heard"
        if sum(others) < CLEAR * len(others):
            return Finding(clip.clip_id, Check.CUT_WORDS, NOTE, f"{found}, and the rest hardly", "listen to it")
        proposal = f"text without {' '.join(lost)!r}"
        return Finding(clip.clip_id, Check.CUT_WORDS, FAULT, found, proposal, (_text(clip, " ".join(left)),))
    return None


def judge_long(clip: Clip, heard: str, texts: Mapping[str, str]) -> Finding | None:
    """The same for a clip of several windows, of which only a transcription is known."""
    return _other(clip, heard, texts) if heard else None


def _text(clip: Clip, new: str) -> Correction:
    return Correction(clip.clip_id, "text", clip.text, new)
