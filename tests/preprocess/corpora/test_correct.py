"""Corrections that the report or the audit saved, taken into clips.csv."""

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csv_table import line
from preprocess.corpora import __main__ as command
from preprocess.corpora import correct
from preprocess.corpora.correct import Correction
from tests.conftest import ROOT, set_params

LABELS = ["joy", "grief"]
HEAD = "clip_id,media,start,end,text,split,speaker,joy,grief,colour\n"
ROWS = [
    'a,film.mp4,,,"So, ""well""",train,Ann,1.0,0.0,red\n',
    "b,film.mp4,1.5,3,,valid,Bo,,,\n",
    'c,,,,"two\nlines",,,0.50,0.25,"x, y"\n',
]


@pytest.fixture
def corpus_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    set_params(tmp_path / "params.yaml", **{"corpus.root": "films", "corpus.labels": LABELS})
    (tmp_path / "films").mkdir()
    (tmp_path / "films/film.mp4").write_bytes(b"")
    (tmp_path / "films/clips.csv").write_text(HEAD + "".join(ROWS), encoding="utf-8", newline="")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "films"


def save(*rows: tuple[str, str, str, str]) -> None:
    with Path("corrections.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("clip_id", "column", "old", "new"), *rows])


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr("sys.argv", ["corpora", "correct", "corrections.csv", *options])
    with pytest.raises(SystemExit) as ended:
        command.main()
    return int(ended.value.code or 0)


def rows_of(folder: Path) -> list[str]:
    return (folder / "clips.csv").read_bytes().decode().splitlines(keepends=True)


def test_corrected_cells_are_written_and_every_other_row_stays_as_it_was(
    corpus_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(("b", "text", "", 'Oh, "no" <b>'), ("b", "joy", "", "0"), ("b", "grief", "", "2"), ("b", "end", "3", "2.75"))
    before = rows_of(corpus_folder)
    assert run(monkeypatch, "--show") == 0
    assert rows_of(corpus_folder) == before
    assert run(monkeypatch) == 0
    said = capsys.readouterr().out
    assert "b, end: '3' becomes '2.75'" in said
    assert "4 cells of 1 clips changed" in said
    after = rows_of(corpus_folder)
    assert after[:2] + after[3:] == before[:2] + before[3:]
    assert after[2] == 'b,film.mp4,1.5,2.75,"Oh, ""no"" <b>",valid,Bo,0,2,\n'
    history = (corpus_folder / "history.csv").read_text(encoding="utf-8")
    assert "b,end,3,2.75\n" in history
    assert run(monkeypatch) == 0  # it says so already: nothing is written twice
    assert (corpus_folder / "history.csv").read_text(encoding="utf-8") == history
    assert rows_of(corpus_folder) == after


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("gone", "text", "", "x")], "has no such clip: it is gone"),
        ([("a", "colour", "red", "blue")], "no column that can be corrected; these can: media, start"),
        ([("a", "clip_id", "a", "b")], "no column that can be corrected"),
        ([("a", "joy", "1", "2"), ("a", "joy", "1", "3")], "another correction of the same cell wants '3'"),
        ([("a", "joy", "0.2", "2")], "the cell says '1.0' now, and said '0.2' when it was corrected"),
        ([("a", "joy", "1", "much")], "expected a number"),
        ([("a", "joy", "1", "")], "other labels of the row have one"),
        ([("a", "split", "train", "dev")], "expected train, valid, test, or blank"),
        ([("b", "end", "3", "1.5")], "the clip would end at 1.5 s, and start at 1.5 s"),
        ([("a", "media", "film.mp4", "../film.mp4")], "a path inside the corpus folder"),
        ([("c", "text", "two\nlines", "")], "expected a file, since the row has no text either"),
        ([("a", "text", 'So, "well"', "#NAME?")], "spreadsheet program"),
    ],
)
def test_what_the_rules_refuse_is_refused_and_costs_no_other_clip(
    corpus_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rows: list[tuple[str, str, str, str]],
    reason: str,
) -> None:
    if "#NAME?" in rows[0]:
        save(*rows)
        assert run(monkeypatch) == correct.UNABLE
        assert reason in capsys.readouterr().err
        return
    other = ("c", "joy", "0.5", "0.75") if rows[0][0] != "c" else ("a", "joy", "1", "0.75")
    save(*rows, other)
    assert run(monkeypatch) == correct.FAILED
    assert reason in capsys.readouterr().err
    table = (corpus_folder / "clips.csv").read_text(encoding="utf-8")
    assert "0.75" in table
    assert "gone" not in table
    assert "much" not in table
    assert sum(line in table for line in ROWS) == 2


def test_of_two_equal_corrections_one_counts_and_blank_times_may_become_seconds(
    corpus_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(("a", "joy", "1", "2"), ("a", "joy", "1", "2"), ("a", "start", "0", "0.5"), ("a", "end", "9.25", "8"))
    assert run(monkeypatch) == 0
    assert rows_of(corpus_folder)[1] == 'a,film.mp4,0.5,8,"So, ""well""",train,Ann,2,0.0,red\n'


def test_a_column_that_the_table_lacks_is_added(corpus_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (corpus_folder / "clips.csv").write_text("\ufeffclip_id,text,joy,grief\r\na,so,1,0\r\nb,no,0,1\r\n", "utf-8", newline="")
    save(("a", "split", "", "test"))
    assert run(monkeypatch) == 0
    assert (corpus_folder / "clips.csv").read_bytes().decode() == (
        "\ufeffclip_id,text,joy,grief,split\r\na,so,1,0,test\r\nb,no,0,1,\r\n"
    )


def test_the_sample_corpus_and_a_file_that_is_no_table_are_refused_without_a_trace(
    corpus_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("corrections.csv").write_text("clip;column\n", encoding="utf-8")
    assert run(monkeypatch) == correct.UNABLE
    assert "corrections.csv has no column clip_id" in capsys.readouterr().err
    save(("a", "joy", "1", "2"))
    set_params(Path("params.yaml"), **{"corpus.root": "data/sample"})
    assert run(monkeypatch) == correct.UNABLE
    assert "made by the stage sample" in capsys.readouterr().err


def test_a_lone_carriage_return_is_part_of_a_text(tmp_path: Path) -> None:
    rows = [["clip_id", "text", *LABELS], ["c0", "one\rtwo", "1", "0"], ["c1", "x", "1", "0"]]
    (tmp_path / "clips.csv").write_text("".join(map(line, rows)), encoding="utf-8", newline="")
    known = correct.read_table(tmp_path, LABELS)
    correct.write(known, correct.apply([Correction("c0", LABELS[0], "1", "2")], known, LABELS)[0])
    assert correct.read_table(tmp_path, LABELS).rows["c0"]["text"] == "one\rtwo"


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8), min_size=2, max_size=5),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).map(str.strip).filter(bool),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_text_goes_in_and_rows_that_are_not_meant_keep_their_bytes(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], new: str, end: str
) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    rows = [["clip_id", "text", *LABELS], *([f"c{i}", text or "x", "1", "0"] for i, text in enumerate(texts))]
    if any(not (text.strip() or not text) or text.strip() in correct.header.FORMULA_ERRORS for text in [*texts, new]):
        return
    (folder / "clips.csv").write_text("".join(line(row, end) for row in rows), encoding="utf-8", newline="")
    known = correct.read_table(folder, LABELS)
    lines, (begin, after) = known.lines, known.records[1]
    taken, refused = correct.apply([Correction("c1", "text", texts[1] or "x", new)], known, LABELS)
    assert refused == []
    correct.write(known, taken)
    again = correct.read_table(folder, LABELS)
    assert again.rows["c1"]["text"].strip() == (new if taken else texts[1] or "x").strip()
    assert again.lines[:begin] == lines[:begin]
    assert again.lines[again.records[1][1] :] == lines[after:]
