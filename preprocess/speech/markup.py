"""What a transcript holds beside the words that are said: noises, stage directions, names of speakers, tags, addresses.

People write `[laughter]`, `(sighs)`, `{cough}`, `*laughs*`, `Mary:`, `<i>`, `https://…` and `♪`. None of it is spoken, so none
of it is searched for in the sound. Round brackets and asterisks also stand around words that are said, `(umm)` and `*really*`
for instance: they count only where they name a noise.
"""

import re
import unicodedata
from itertools import chain

BRACKETS = re.compile(r"\[[^\[\]]*\]|\{[^{}]*\}|</?[A-Za-z][^<>]*>|\b(?:https?://|www\.)\S+")
NOISE = re.compile(r"\(([^()]*)\)|\*([^*]+)\*")
NOISE_WORD = re.compile(
    r"\b(?:laugh|chuckl|giggl|cry\b|cries|crying|sob|sigh|cough|sneez|gasp|groan|moan|yawn|snor|sniff|clears?\b|clearing|stutter"
    r"|stammer|pause|silence|music|applau|cheer|clap|inaudible|unintelligible|indistinct|crosstalk|noise|beep|whisper|sing|hums?\b"
    r"|humming|mumbl|mutter|shout|scream|breath|inhal|exhal|foreign|speaks?\b|speaking|voices?\b|rings?\b|ringing|knock)",
    re.IGNORECASE,
)
NOISE_WORDS = 5  # a longer text in round brackets is said

NAME = r"[^\W\d_][\w.'’-]*"
SPEAKER = re.compile(rf"(?:^|(?<=\n)|(?<=[.?!…]\s)|(?<=>>)|(?<=>>\s))({NAME}(?: (?:{NAME}|\d+)){{0,2}}):(?=\s|$)")
NUMBERED = frozenset(["speaker", "person", "voice", "interviewer", "interviewee", "participant", "man", "woman"])
# Words that open a sentence before a colon, and are said.
OPENERS = frozenset(
    re.findall(
        r"\w+",
        """
        again also and answer attention because but chapter conclusion day example fact finally first guess here hint
        how last lastly listen look next no note now ok okay one or part please plus question reason remember result
        right rule second so step that then there third this three tip two warning well what when where which who why
        yeah yes
        """,
    )
)
SAID_SYMBOLS = frozenset("%&@#+=°")  # and those of currencies

# What Whisper writes of sounds that are no words. It does not write brackets for words.
HEARD = re.compile(r"\[[^\]]*(?:\]|$)|\([^)]*(?:\)|$)|\*[^*]+\*|[])*♪♫]")
FOREIGN = re.compile(r"foreign|non-english|(?:speak|talk)(?:s|ing) (?:in )?[a-z]+ ?(?:language)?[])*]?$", re.IGNORECASE)


def spoken_characters(text: str) -> list[bool]:
    """For each character of a transcript that somebody wrote whether it can belong to a word that is said."""
    spoken = [True] * len(text)
    for match in chain(
        BRACKETS.finditer(text), filter(is_noise, NOISE.finditer(text)), filter(is_name, SPEAKER.finditer(text))
    ):
        spoken[match.start() : match.end()] = [False] * len(match.group())
    return spoken


def is_noise(brackets: re.Match[str]) -> bool:
    """Whether round brackets, or asterisks, name a noise rather than what is said."""
    inside = brackets[1] or brackets[2] or ""
    return len(inside.split()) <= NOISE_WORDS and bool(NOISE_WORD.search(inside))


def is_name(opening: re.Match[str]) -> bool:
    """Whether the words before a colon name the speaker, and do not open a sentence ("Listen: …")."""
    first, *others = opening[1].split()
    if opening[1].isupper():
        return not others or not others[-1].isdigit() or first.lower() in NUMBERED
    names = [word for word in others if not word.isdigit()]
    numbered = len(names) < len(others)
    capitals = all(word[0].isupper() for word in (first, *names))
    return capitals and first.lower() not in OPENERS and (not numbered or first.lower() in NUMBERED)


def has_sound(text: str) -> bool:
    """Whether anything of a text is pronounced: a letter, a digit, or a symbol that has a name when it is read."""
    return any(letter.isalnum() or letter in SAID_SYMBOLS or unicodedata.category(letter) == "Sc" for letter in text)


def heard_characters(text: str) -> list[bool]:
    """For each character of a text by Whisper whether it can belong to a word, and not to the name of a noise."""
    spoken = [True] * len(text)
    for match in HEARD.finditer(text):
        spoken[match.start() : match.end()] = [False] * len(match.group())
    return spoken


def is_foreign(text: str) -> bool:
    """Whether a text by Whisper says that somebody speaks another language."""
    return any(FOREIGN.search(match.group()) for match in HEARD.finditer(text))
