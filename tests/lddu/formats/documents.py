"""Documents of predictions with nasty names and texts, for property tests."""

from pathlib import Path

from hypothesis import strategies as st

from lddu.channels import Channel
from lddu.decisions import Decision
from lddu.formats.document import Document, Missing, Recording, Utterance, Word

LABELS = ("happy", "words", "wistful joy")
MODALITIES = ("text", "audio", "vision")
NASTY = [
    '"quoted" and ""twice""', "<b>bold</b> & <script>alert(1)</script>", "a, b; c\td", "1\n00:00:01,000 --> 00:00:02,000\nno",
    "item [1]:", 'intervals [2]:\n text = "x"', "=cmd()", "]]>", "\u202e right", "喜ぶ 🙂", "\x00\x1b[31m", "-->", "2024", "  ",
    "\u2028",
    "NOTE x", "WEBVTT", "&amp;lt;", "<v Bob>", "\ufeffbom", "é", "\ud7ff\ufffe", "'; DROP TABLE clips; --", "#", "{name}",
]  # fmt: skip
texts = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
shares = st.integers(0, 10_000).map(lambda n: n / 10_000)
probabilities = st.integers(0, 1_000_000).map(lambda n: n / 1_000_000)


def decisions(modalities: tuple[str, ...]) -> st.SearchStrategy[Decision]:
    return st.builds(
        Decision,
        probability=probabilities,
        predicted=st.booleans(),
        true=st.none() | st.booleans(),
        sigma=st.fixed_dictionaries(dict.fromkeys(modalities, shares)),
        doubt=st.none() | shares,
        sure=st.none() | st.booleans(),
    )


@st.composite
def utterances(draw: st.DrawFn) -> Utterance:
    start = draw(st.integers(0, 3_600_000))
    end = start + draw(st.integers(1, 20_000))
    words = []
    for text in draw(st.lists(texts, max_size=4)):
        begin = draw(st.integers(start, end))
        times = (begin / 1000, (begin + draw(st.integers(0, 900))) / 1000) if draw(st.booleans()) else (None, None)
        words.append(Word(text, *times, draw(st.sampled_from([0.0, 0.5, 1.0])), draw(st.booleans())))
    modalities = tuple(m for m in MODALITIES if draw(st.booleans()))
    return Utterance(
        start / 1000,
        end / 1000,
        {label: draw(decisions(modalities)) for label in LABELS},
        modalities,
        draw(st.none() | texts),
        draw(st.none() | st.booleans()),
        tuple(words),
        draw(st.just("") | texts),
        {m: Channel(draw(shares), draw(shares)) for m in modalities},
        {name: draw(shares) for name in ("clip", *modalities)},
        draw(st.booleans()),
        tuple(draw(st.lists(st.builds(Missing, st.just("faces"), st.just("no_face"), texts), max_size=1))),
        draw(st.sampled_from(["", "clip.1"])),
        draw(st.sampled_from(["", "test"])),
    )


@st.composite
def documents(draw: st.DrawFn, most: int = 1) -> Document:
    names = st.sampled_from(["talk", "a b&c", 'q"<x>', "ü,;"])
    recordings = [
        Recording(
            f"films/{draw(names)}.mp4",
            tuple(draw(st.lists(utterances(), min_size=1, max_size=4))),
            Path("films/talk.mp4"),
            (("unread", draw(texts)),),
        )
        for _ in range(draw(st.integers(1, most)))
    ]
    learned: dict[str, object] = {"corpus": "sample", "clips": 3}
    return Document(LABELS, MODALITIES, tuple(recordings), learned, dict.fromkeys(LABELS, 0.5))


def text_alone(text: str = "so glad") -> Recording:
    labels = {label: Decision(0.25, False, None, {"text": 0.5}) for label in LABELS}
    return Recording("notes.txt", (Utterance(0.0, 0.0, labels, ("text",), text, False),))
