"""Every format is read back by its own library, and equals what was written."""

import csv
import html
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
import webvtt
from hypothesis import HealthCheck, given, settings
from pyarrow import parquet
from pympi import Eaf, TextGrid

from lddu.formats import endings, label_studio, subtitles, tables, tiers
from lddu.formats.document import Document, Recording, Word
from lddu.formats.endings import FormatError
from lddu.formats.text import decision, line
from lddu.prediction import output
from tests.lddu.formats.documents import LABELS, NASTY, documents, text_alone

few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def written(document: Document, path: Path) -> Path:
    assert output.write(document, [str(path)]) == []
    assert [item.name for item in path.parent.iterdir() if item.name.startswith(".")] == []
    return path


def tiers_of(document: Document) -> dict[str, list[tuple[int, int, str]]]:
    return {tier.name: tier.spans for tier in tiers.of(document.recordings[0], document.labels)}


@few
@given(document=documents())
def test_elan_reads_the_tiers(document: Document, tmp_path: Path) -> None:
    eaf = Eaf(written(document, tmp_path / "talk.eaf"))
    expected = tiers_of(document)
    assert {name: sorted(eaf.get_annotation_data_for_tier(name)) for name in eaf.get_tier_names()} == expected
    assert eaf.media_descriptors[0]["MEDIA_URL"].endswith("/films/talk.mp4")


@few
@given(document=documents())
def test_praat_reads_the_tiers(document: Document, tmp_path: Path) -> None:
    grid = TextGrid(written(document, tmp_path / "talk.TextGrid"))
    read = {
        tier.name: [(round(start * 1000), round(end * 1000), text) for start, end, text in tier.get_intervals() if text]
        for tier in grid.get_tiers()
    }
    assert read == {name: [span for span in spans if span[2]] for name, spans in tiers_of(document).items()}


@few
@given(document=documents())
def test_tiers_have_every_word_and_decision_and_no_two_spans_at_once(document: Document) -> None:
    found, (recording,) = tiers_of(document), document.recordings
    for spans in found.values():
        assert all(start < end for start, end, _ in spans)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))

    def values(name: str) -> list[str]:
        return sorted(text for key, spans in found.items() if key.partition("#")[0] == name for _, _, text in spans)

    words = [word for utterance in recording.utterances for word in utterance.words if word.start is not None]
    assert values("words") == sorted(line(word.text) for word in words)
    assert values("confidence") == sorted(f"{word.confidence:g}" for word in words)
    assert values("text") == sorted(line(utterance.text or "") for utterance in recording.utterances)
    for label in LABELS:
        assert values(tiers.label_tier(label)) == sorted(decision(u.labels[label]) for u in recording.utterances)


@few
@given(document=documents())
def test_subtitles_are_read_back(document: Document, tmp_path: Path) -> None:
    shown = [u for u in document.recordings[0].utterances if subtitles.lines_of(u)]
    times = [(subtitles.timestamp(u.start), subtitles.timestamp(u.end)) for u in shown]
    vtt = webvtt.read(str(written(document, tmp_path / "talk.vtt")))
    assert [(caption.start, caption.end) for caption in vtt] == times
    assert [[html.unescape(text) for text in caption.lines] for caption in vtt] == [subtitles.lines_of(u) for u in shown]
    assert not [text for caption in vtt for text in caption.lines if "<" in text or "-->" in text]
    path = written(document, tmp_path / "talk.srt")
    srt = webvtt.from_srt(str(path)) if shown else path.read_text(encoding="utf-8")  # the library reads no empty file
    assert [(caption.start, caption.end) for caption in srt] == times
    assert [caption.lines for caption in srt] == [[subtitles.unmarked(text) for text in subtitles.lines_of(u)] for u in shown]


@few
@given(document=documents(most=3))
def test_tables_are_read_back(document: Document, tmp_path: Path) -> None:
    expected = list(tables.rows(document))
    table = parquet.read_table(written(document, tmp_path / "talk.parquet"))
    schema = tables.schema(document)
    assert table.schema.metadata == schema.metadata
    assert table.cast(schema).equals(table)  # the same types; the items of its lists have another name
    blank = dict.fromkeys(table.column_names)
    assert table.to_pylist() == [blank | row for row in expected]
    with written(document, tmp_path / "talk.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, of in zip(rows, expected, strict=True):
        assert row["text"] == (of["text"] or "")
        assert json.loads(row["words"]) == of["words"]
        assert row["modalities"].split() == of["modalities"]
        assert [float(row[f"{label}_probability"]) for label in LABELS] == [of[f"{label}_probability"] for label in LABELS]
        assert {name for name, cell in row.items() if cell == ""} >= {name for name, value in of.items() if value is None}


@few
@given(document=documents(most=3))
def test_json_and_label_studio_have_everything(document: Document, tmp_path: Path) -> None:
    tree = json.loads(written(document, tmp_path / "talk.json").read_text(encoding="utf-8"))
    for recording, found in zip(document.recordings, tree["recordings"], strict=True):
        assert found["source"] == recording.source
        for utterance, of in zip(recording.utterances, found["utterances"], strict=True):
            assert (of["text"], of["start"], of["end"]) == (utterance.text, utterance.start, utterance.end)
            assert [word["word"] for word in of["words"]] == [word.text for word in utterance.words]
            assert {name: said["probability"] for name, said in of["labels"].items()} == {
                name: said.probability for name, said in utterance.labels.items()
            }
    tasks = json.loads(written(document, tmp_path / "talk.labelstudio.json").read_text(encoding="utf-8"))
    form = ElementTree.parse(tmp_path / "talk.labelstudio.xml").getroot()
    names = {tag.get("name") for tag in form if tag.get("name")}
    choices = {tag.get("value") for tag in form.iter("Label")}
    for recording, task in zip(document.recordings, tasks, strict=True):
        results = task["predictions"][0]["result"]
        assert {result["from_name"] for result in results} <= names
        regions = [result["value"] for result in results if result["type"] == "labels"]
        assert [(region["start"], region["end"]) for region in regions] == [(u.start, u.end) for u in recording.utterances]
        for region, utterance in zip(regions, recording.utterances, strict=True):
            present = [label for label, of in utterance.labels.items() if of.predicted]
            assert region["labels"] == (present or [label_studio.NONE])
            assert set(region["labels"]) <= choices


def test_text_alone_has_no_time_line_but_tables_and_tasks(tmp_path: Path) -> None:
    document = Document(LABELS, ("text",), (text_alone('a "quoted" <b>'),))
    names = [f"out{of.ending}" for of in endings.FORMATS]
    problems = output.write(document, [str(tmp_path / name) for name in names])
    made = {path.name for path in tmp_path.iterdir()}
    assert {"out.json", "out.csv", "out.parquet", "out.labelstudio.json", "out.labelstudio.xml"} <= made
    assert not {"out.vtt", "out.srt", "out.eaf", "out.TextGrid"} & made
    assert sum("no time line" in problem for problem in problems) >= 4
    (task,) = json.loads((tmp_path / "out.labelstudio.json").read_text(encoding="utf-8"))
    assert task["data"]["text"] == 'a "quoted" <b>'


def test_an_unknown_ending_lists_the_known_ones() -> None:
    for name in ("talk.docx", "talk", ".eaf"):
        with pytest.raises(FormatError, match=r"known are \.html, \.json, \.csv, .*\.TextGrid, \.eaf, \.labelstudio\.json"):
            output.require_writable([name])
    output.require_writable(["TALK.TEXTGRID", "a.labelstudio.json"])
    assert endings.of(Path("a.labelstudio.json")).module == "lddu.formats.label_studio"


def test_one_file_of_tiers_holds_one_recording_and_a_name_makes_one_each(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"holds one recording, and there are 2: write \{name\} in its name"):
        output.require_writable([str(tmp_path / "all.eaf")], 2)
    recordings = tuple(
        Recording(source, (replace(text_alone().utterances[0], end=1.0, words=(Word("so", 0.1, 0.4, 1.0),)),))
        for source in ("a/talk.mp4", "b/talk.wav", f"c/{'x' * 300}.mp4", *(f"d/{text}" for text in NASTY if "\x00" not in text))
    )
    document = Document(LABELS, ("text",), recordings)
    pattern = str(tmp_path / "made" / "{name}.TextGrid")
    output.require_writable([pattern], len(recordings))
    assert output.write(document, [pattern]) == []
    made = sorted((tmp_path / "made").iterdir())
    assert len(made) == len(recordings)
    assert {"talk.TextGrid", "talk-2.TextGrid"} <= {path.name for path in made}


def test_the_same_predictions_give_the_same_bytes(tmp_path: Path) -> None:
    recording = Recording("talk.mp4", (replace(text_alone().utterances[0], end=1.0),), Path("talk.mp4"))
    document = Document(LABELS, ("text",), (recording,))
    for of in endings.FORMATS:
        first, second = (written(document, tmp_path / f"out{of.ending}").read_bytes() for _ in range(2))
        assert first == second


def test_an_hour_of_words_is_written_in_seconds(tmp_path: Path) -> None:
    labels = text_alone().utterances[0].labels
    part = replace(text_alone().utterances[0], labels=labels)
    utterances = tuple(
        replace(
            part,
            start=i * 5.0,
            end=i * 5.0 + 4.9,
            words=tuple(Word("so", i * 5 + k / 3, i * 5 + k / 3 + 0.3, 1.0) for k in range(14)),
        )
        for i in range(720)
    )
    document = Document(LABELS, ("text",), (Recording("hour.mp4", utterances, Path("hour.mp4")),))
    written(document, tmp_path / "hour.eaf")
    assert len(Eaf(tmp_path / "hour.eaf").get_annotation_data_for_tier("words")) == 10_080
    written(document, tmp_path / "hour.TextGrid")
