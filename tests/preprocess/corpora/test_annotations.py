"""Tiers of ELAN and Praat become a corpus, and what `-o` writes is read as it was meant."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, assume, given, settings
from pympi import Eaf, TextGrid

from lddu.formats import document, text
from lddu.prediction import output
from preprocess import corpus
from preprocess.corpora import annotations, tables
from tests.lddu.formats.documents import LABELS as WRITTEN
from tests.lddu.formats.documents import documents
from tests.preprocess.corpora.commands import refusal, rows, run

LABELS = ["happy", "sad", "wistful joy"]
Tiers = dict[str, list[tuple[float, float, str]]]


def eaf(path: Path, tiers: Tiers, film: str = "", participant: str = "") -> Path:
    made = Eaf()
    made.remove_tier("default")
    for name, spans in tiers.items():
        made.add_tier(name, part=participant or None)
        for start, end, value in spans:
            made.add_annotation(name, round(start * 1000), round(end * 1000), value)
    if film:
        made.add_linked_file(f"file:///home/someone/{film}", mimetype="video/mp4")
    made.to_file(path)
    return path


def grid(path: Path, tiers: Tiers, codec: str = "utf-8") -> Path:
    made = TextGrid(xmax=60.0)
    for name, spans in tiers.items():
        tier = made.add_tier(name)
        for start, end, value in spans:
            tier.add_interval(start, end, value, check=False)
    made.to_file(path, codec=codec)
    return path


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("talk", "my day, 1"):
        soundfile.write(folder / f"{name}.wav", np.zeros(160), 16000)
    return folder


def converted(films: Path, table: Path, *options: object) -> dict[str, dict[str, str]]:
    target = films.parent / "corpus"
    run("folder", "--media", films, "--table", table, "--labels", ",".join(LABELS), *options, "--replace", target)
    corpus.read(target, LABELS)
    return rows(target / "clips.csv")


def cells(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("start", "end", "text", "speaker", *LABELS))


def test_tiers_of_elan_are_texts_segments_speakers_and_labels(films: Path) -> None:
    tiers = {
        "Text@Ann": [(1.0, 3.0, 'I am "so" glad, <b>really</b>'), (4.0, 6.5, "")],
        "text@Bob": [(2.0, 5.0, "No")],
        "Happy@Ann": [(0.9, 2.6, "")],
        "sad@Ann": [(0.0, 1.2, "yes"), (4.0, 7.0, "0.5")],
        "Wistful_Joy@Bob": [(2.0, 5.0, "no 0.1; doubt 0.2")],
        "notes": [(0.0, 1.0, "ignored")],
    }
    found = converted(films, eaf(films / "annotated.eaf", tiers, "talk.wav"))
    assert list(map(cells, found.values())) == [
        ("1.0", "3.0", 'I am "so" glad, <b>really</b>', "Ann", "1.0", "0.0", "0.0"),
        ("2.0", "5.0", "No", "Bob", "0.0", "0.0", "0.0"),
        ("4.0", "6.5", "", "Ann", "0.0", "0.5", "0.0"),
    ]
    assert {row["media"] for row in found.values()} == {"media/talk.wav"}


def test_a_textgrid_in_utf_16_and_a_folder_of_both_are_read(films: Path) -> None:
    tiers: Tiers = {
        "utterance": [(0.5, 2.25, "喜ぶ"), (3.0, 4.0, "so")],
        "emotion": [(0.4, 2.0, "Happy, SAD"), (3, 4, "neutral")],
    }
    folder = films.parent / "tiers"
    folder.mkdir()
    for codec in ("utf-16", "utf-16-be", "utf-8-sig"):
        path = grid(folder / "my day, 1.TextGrid", tiers, codec)
        if codec == "utf-16-be":
            path.write_bytes(b"\xfe\xff" + path.read_bytes())
        eaf(folder / "talk.eaf", {"happy": [(1.0, 2.0, "2.5")]}, participant="Ann")
        found = converted(films, folder)
        assert [cells(row) for row in found.values()] == [
            ("0.5", "2.25", "喜ぶ", "", "1.0", "1.0", "0.0"),
            ("3.0", "4.0", "so", "", "0.0", "0.0", "0.0"),
            ("1.0", "2.0", "", "", "2.5", "0.0", "0.0"),
        ]


def test_an_utterance_without_labels_or_with_an_unsure_one_is_unlabelled(films: Path) -> None:
    tiers: Tiers = {"text": [(0, 1, "a"), (1, 2, "b")], "happy": [(1, 2, "unsure 0.51; doubt 0.5")], "sad": [(1, 2, "yes")]}
    found = list(converted(films, grid(films / "talk.TextGrid", tiers)).values())
    assert [cells(row)[4:] for row in found] == [("", "", ""), ("", "", "")]
    assert [row["note"] for row in found] == ["", "unlabelled: unsure of happy"]


@pytest.mark.parametrize(
    ("tiers", "options", "problem"),
    [
        (
            {"gloss": [(0, 1, "a")]},
            (),
            r"talk\.eaf has no tier text, .*: it has gloss; name the one with the utterances: --tier",
        ),
        ({"text": [(0, 1, "a")]}, ("--tier", "Gloss"), r"talk\.eaf has no tier Gloss, .*it has text"),
        (
            {"text": [(0, 2, "a, 'b'"), (1, 3, "c")]},
            (),
            r"tier text: .*a, 'b'.* \(0 to 2 s\) and 'c' \(1 to 3 s\) overlap: move",
        ),
        (
            {"text": [(0, 1, "a")], "sad": [(0, 1, "very")]},
            (),
            r"tier sad, 0 to 1 s: 'very': expected a number, yes, no or unsure",
        ),
        (
            {"text": [(0, 1, "a")], "emotion": [(0, 1, "hapy")]},
            (),
            r"tier emotion, 0 to 1 s: 'hapy': expected some of happy, sad",
        ),
        ({"text": []}, (), "no utterance is annotated in it"),
    ],
)
def test_mistakes_of_the_annotation_are_named(films: Path, tiers: Tiers, options: tuple, problem: str) -> None:
    path = eaf(films / "talk.eaf", tiers)
    said = refusal("folder", "--media", films, "--table", path, "--labels", ",".join(LABELS), *options, films.parent / "corpus")
    assert re.search(problem, said), said
    assert not (films.parent / "corpus/clips.csv").exists()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("talk.eaf", b"<ANNOTATION_DOCUMENT", "cannot be read as annotation document of ELAN"),
        ("talk.TextGrid", b'File type = "ooTextFile"\nObject class', "cannot be read as TextGrid of Praat"),
        ("talk.TextGrid", b"", "cannot be read as TextGrid of Praat"),
        ("talk.TextGrid", 'File type = "ooTextFile" ü'.encode("cp1252"), "is no text in UTF-8 .*--encoding cp1252"),
    ],
)
def test_files_that_are_no_annotation_are_refused(films: Path, name: str, content: bytes, problem: str) -> None:
    (films / name).write_bytes(content)
    said = refusal("folder", "--media", films, "--table", films / name, "--labels", "happy", films.parent / "corpus")
    assert re.search(problem, said), said


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(found=documents())
def test_what_was_written_is_read_as_it_was_meant(found: document.Document, tmp_path: Path) -> None:
    utterances = sorted(found.recordings[0].utterances, key=lambda utterance: utterance.start)
    gap = all(before.end < after.start for before, after in pairwise(utterances))
    assume(gap)  # those at one time are on tiers of their own, which the next test has
    for name in ("talk.eaf", "talk.TextGrid"):
        assert output.write(found, [str(tmp_path / name)]) == []
        read = annotations.rows(tmp_path / name, list(WRITTEN))
        assert [(float(row["start"]), float(row["end"])) for row in read] == [(u.start, u.end) for u in utterances]
        for row, utterance in zip(read, utterances, strict=True):
            assert tables.clean(row["text"]) == tables.clean(text.line(utterance.text or ""))
            assert row["speaker"] == text.line(utterance.speaker)
            answers = {label: of.answer for label, of in utterance.labels.items()}
            expected = ["" if "unsure" in answers.values() else repr(float(answers[label] == "yes")) for label in WRITTEN]
            assert [row[label] for label in WRITTEN] == expected
