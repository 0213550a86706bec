"""What a person reads on a terminal of any width, and in a file."""

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from lddu.channels import Channel
from lddu.decisions import Decision
from lddu.prediction.inference import Utterance
from lddu.prediction.terminal import Terminal
from preprocess.media.notes import About, Note
from preprocess.refusals import Code, Refused
from preprocess.speech.words import Transcript, Word

LABELS = ["happy", "sad", "anger", "surprise", "disgust", "fear"]
MODALITIES = ("text", "audio", "vision")
SENTENCE = "I am [bold] so very glad that you came 你好 to\x1b[31m see me here today my old friend"
WIDTHS = [36, 60, 80, 120, 200, None]


def utterance(start: float, end: float) -> Utterance:
    labels = {
        label: Decision(0.07 + 0.15 * i, i > 2, None, {"text": 0.11 + i / 50, "audio": 0.9}) for i, label in enumerate(LABELS)
    }
    words = [Word(word, start + i / 5, start + i / 5 + 0.1, 1.0) for i, word in enumerate(SENTENCE.split())]
    refused = [Refused("film", "faces", Code.NO_FACE, "none in 20 frames")]
    notes = [Note("film", About.CLOCK_JUMP, "by -9 s at 9 s")]
    return Utterance(labels, ("text", "audio"), start, end, Transcript(SENTENCE, True, words), refused, notes)


def shown(width: int | None, utterances: list[Utterance], full: bool = False) -> list[str]:
    """The lines; of a file where there is no width."""
    target = io.StringIO()
    options: dict = {"width": width, "force_terminal": True, "color_system": None} if width else {"width": 100_000}
    console = Console(file=target, markup=False, emoji=False, highlight=False, **options)
    terminal = Terminal("film [1].mp4", MODALITIES, full, console)
    for each in utterances:
        terminal.show(each, alone=len(utterances) == 1)
    return target.getvalue().splitlines()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", [1, 3])
def test_every_fact_is_there_at_any_width(width: int | None, count: int) -> None:
    utterances = [utterance(i * 4.0, i * 4.0 + 3.5) for i in range(count)]
    lines = shown(width, utterances)
    assert not width or max(map(cell_len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert "film [1].mp4" in text
    for each in utterances:
        assert f"{each.end:.2f}" in text
        for decision in each.labels.values():
            assert f"{decision.probability:.2f}" in text
    assert text.count("yes") + text.count("*") >= count * 3
    assert text.count("–") >= count  # no vision
    assert text.count("note: ") == 1
    assert "as in joined recordings: it is read in order, as one recording (by -9 s at 9 s)" in text
    assert "[bold]" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_has_sigma_and_decision_of_each_label(width: int | None) -> None:
    text = " ".join(" ".join(shown(width, [utterance(0, 3.5)])).split())
    for label, decision in utterance(0, 3.5).labels.items():
        of_label = text[text.index(f" {label} ") :][: len(label) + 60]
        assert f"{decision.probability:.2f}" in of_label
        assert ("yes" if decision.predicted else "no") in of_label
        assert f"{decision.sigma['text']:.0%}" in of_label
    assert "missing: faces: none in 20 frames" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_noise_and_ambiguity_are_said_of_each_modality(width: int | None) -> None:
    of_modality = {"text": Channel(0.12, 0.95), "audio": Channel(0.93, 0.34)}
    text = " ".join(" ".join(shown(width, [replace(utterance(0, 3.5), channels=of_modality)])).split())
    assert "text: what can be read is mixed" in text
    assert "audio: little can be heard" in text
    assert "noise: text 12%, audio 93%" in text
    assert "ambiguity: text 95%, audio 34%" in text


def test_columns_of_a_time_line_stand_below_each_other() -> None:
    _, _, _, head, *rows = shown(None, [utterance(i * 40.0, i * 40.0 + 3.5) for i in range(3)])
    assert len(rows) == 3
    for label, decision in utterance(0, 1).labels.items():
        place = head.index(label) + len(label)
        cell = f"{decision.probability:.2f}" + ("*" if decision.predicted else " ")
        assert {row[place - 5 : place] for row in rows} == {cell}


def test_a_file_has_no_colours_and_a_line_a_row() -> None:
    lines = shown(None, [utterance(0, 3.5), utterance(4, 7.5)])
    assert not [line for line in lines if "\x1b" in line]
    assert lines[-1].endswith("my old friend")
