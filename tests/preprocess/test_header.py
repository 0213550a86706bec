"""A table's columns that are nearly right, and tables in another form, are named before any work."""

import csv
import io
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import COLUMNS
from preprocess import corpus, header
from preprocess.corpus import CorpusError

LABELS = ["happy", "fröhlich"]
ROW = {"clip_id": "a", "media": "x.mp4", "text": "hi", "split": "train", "speaker": "Ann", "happy": "1", "fröhlich": "0"}


def saved(folder: Path, names: dict[str, str], separator: str = ",", encoding: str = "utf-8", before: str = "") -> Path:
    """clips.csv with ROW, its columns renamed by `names`."""
    text = io.StringIO()
    table = csv.writer(text, delimiter=separator, lineterminator="\n")
    table.writerows([[names.get(name, name) for name in ROW], list(ROW.values())])
    (folder / "clips.csv").write_bytes((before + text.getvalue()).encode(encoding))
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(CorpusError) as error:
        corpus.read(folder, LABELS)
    return str(error.value)


@pytest.mark.parametrize(
    ("column", "written"),
    [
        ("media", "Media"),
        ("media", "file"),
        ("media", "File Name"),
        ("text", " text"),
        ("text", "Transcript"),
        ("split", "Split"),
        ("speaker", "SPEAKER "),
        ("clip_id", "Clip ID"),
        ("happy", "Happy"),
        ("fröhlich", "Fröhlich"),
    ],
)
def test_a_column_that_is_nearly_a_known_one_is_named_with_what_was_meant(tmp_path: Path, column: str, written: str) -> None:
    message = refusal(saved(tmp_path, {column: written}))
    assert f"row 1: there is no column {column!r}, but {written!r}: rename it to {column!r}" in message
    assert "1 problem(s)" in message


SPELLINGS: list[Callable[[str], str]] = [str.upper, str.title, lambda name: f" {name}", lambda name: f"{name}\u00a0"]


@given(st.lists(st.sampled_from(sorted(ROW)), min_size=1, unique=True), st.sampled_from(SPELLINGS))
def test_every_misspelt_column_is_in_the_message_and_no_other(columns: list[str], spelling: Callable[[str], str]) -> None:
    names = [spelling(name) if name in columns else name for name in ROW]
    assert set(header.misspelt(names, [*COLUMNS, *LABELS])) == set(columns)


def test_a_missing_label_column_is_named_with_what_is_like_it(tmp_path: Path) -> None:
    assert "row 1: there is no column 'happy': is 'hapy' meant?" in refusal(saved(tmp_path, {"happy": "hapy"}))


def test_two_columns_that_are_nearly_the_same_are_named(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("clip_id,text,Text,happy,fröhlich\na,,hi,1,0\n", encoding="utf-8")
    assert "columns 'text' and 'Text' are nearly the same" in refusal(tmp_path)


def test_a_column_that_says_more_than_a_known_one_is_another_column(tmp_path: Path) -> None:
    text = "clip_id,text,text (raw),happy,happy 2,fröhlich,fröhlich [old]\na,hi,HI,1,3,0,4\n"
    (tmp_path / "clips.csv").write_text(text, encoding="utf-8")
    (clip,) = corpus.read(tmp_path, LABELS)
    assert (clip.text, clip.labels) == ("hi", {"happy": 1.0, "fröhlich": 0.0})


@pytest.mark.parametrize(("separator", "called"), [(";", "semicolons (';')"), ("\t", r"tabs ('\t')"), ("|", "vertical bars")])
def test_a_table_without_commas_is_named_by_what_it_has(tmp_path: Path, separator: str, called: str) -> None:
    message = refusal(saved(tmp_path, {}, separator))
    assert f"clips.csv: its cells are separated by {called}" in message
    assert "row" not in message  # not also every cell of every row


@pytest.mark.parametrize(
    ("encoding", "before", "said"),
    [
        ("utf-16", "", "it is UTF-16: save it as CSV UTF-8"),
        ("latin-1", "PK\x03\x04", "it is a workbook of a spreadsheet program"),
        ("latin-1", "", "is no CSV table in UTF-8"),
        ("utf-8", "sep=,\n", "its first line, 'sep=,', is for a spreadsheet program: delete it"),
    ],
)
def test_what_a_spreadsheet_saved_in_another_form_is_named(tmp_path: Path, encoding: str, before: str, said: str) -> None:
    assert said in refusal(saved(tmp_path, {}, encoding=encoding, before=before))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_label_is_found_in_either_unicode_form(tmp_path: Path, form: str) -> None:
    names = {"fröhlich": unicodedata.normalize(form, "fröhlich")}
    for other in ("NFC", "NFD"):
        label = unicodedata.normalize(other, "fröhlich")
        (clip,) = corpus.read(saved(tmp_path, names), ["happy", label])
        assert clip.labels == {"happy": 1.0, label: 0.0}


def test_a_quotation_mark_that_is_never_closed_does_not_swallow_the_rows_below_it(tmp_path: Path) -> None:
    rows = ['a,"Hi,1,0', "b,so,1,0", "c,no,0,1"]
    (tmp_path / "clips.csv").write_text("\n".join(["clip_id,text,happy,fröhlich", *rows]) + "\n", encoding="utf-8")
    assert "row 2: unexpected end of data: a quotation mark inside a cell is written twice" in refusal(tmp_path)


def test_rows_of_blank_cells_are_no_clips(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("clip_id,text,happy,fröhlich\n,,,\na,hi,1,0\n,,,\n , ,,\n\n", encoding="utf-8")
    assert [clip.clip_id for clip in corpus.read(tmp_path, LABELS)] == ["a"]


@pytest.mark.parametrize("cell", ["#NAME?", "#REF!"])
def test_a_text_that_a_spreadsheet_took_for_a_formula_is_not_read_as_words(tmp_path: Path, cell: str) -> None:
    (tmp_path / "clips.csv").write_text(f"clip_id,text,happy,fröhlich\na,{cell},1,0\n", encoding="utf-8")
    assert f"row 2, text = {cell!r}: expected what was there before" in refusal(tmp_path)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(CELLS, min_size=1, max_size=5),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    mark=st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_every_text_comes_out_as_it_was_written(texts: list[str], end: str, quoting: Literal[0, 1, 2], mark: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clips.csv"
        with path.open("w", encoding=mark, newline="") as file:
            # This writer quotes the signs of its own end of a row alone, and the others would be ends of rows.
            unquoted = any((set("\r\n") - set(end)) & set(text) for text in texts)
            table = csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL if unquoted else quoting)
            table.writerow(["clip_id", "media", "text", *LABELS])
            table.writerows([str(i), "x.mp4", text, "1", "0"] for i, text in enumerate(texts))
        clips = corpus.read(Path(folder), LABELS)
    assert [clip.text for clip in clips] == [header.nfc("\n".join(re.split("\r\n|\r", text)).strip()) for text in texts]
