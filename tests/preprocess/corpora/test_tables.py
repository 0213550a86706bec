"""Tables from elsewhere are read whatever their encoding and line ends are, or named with what would be."""

from pathlib import Path

import pytest

from preprocess.corpora import tables
from preprocess.corpus import CorpusError
from tests.preprocess.corpora.commands import write


def test_cleaning_leaves_what_other_languages_need() -> None:
    assert tables.clean("می\u200cخواهم  \x07 déjà\u200b “你好”……\ufeff") == "می\u200cخواهم déjà “你好”……"


def column(path: Path, encoding: str = "") -> list[str]:
    return [row["b"] for row in tables.read(path, ("a", "b"), encoding)]


@pytest.mark.parametrize(
    ("encoding", "end"), [("utf-8", "\n"), ("utf-8-sig", "\r\n"), ("utf-16", "\n"), ("utf-16", "\r\n"), ("utf-8", "\r")]
)
def test_a_table_is_read_whatever_marks_and_line_ends_it_has(tmp_path: Path, encoding: str, end: str) -> None:
    text = end.join(["a , b,more", "1,é好,x", '2," ""q"", z ",y', ""])
    assert column(write(tmp_path / "t.csv", text, encoding)) == ["é好", '"q", z']


def test_another_encoding_is_named_or_can_be(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "a,b\n1,é\n", "cp1252")
    with pytest.raises(CorpusError, match=r"t\.csv is no text in UTF-8.*--encoding cp1252"):
        column(path)
    assert column(path, "cp1252") == ["é"]
    with pytest.raises(CorpusError, match="no text in latin-9000"):
        column(path, "latin-9000")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,c\n1,2\n", "has no column b: it has a, c; expected a, b"),
        ("", "has no column a, b: it has none"),
        ("a;b\n1;2\n", r"separated by semicolons \(';'\): save it with commas"),
        ("a,b\n1,2,3\n", r"row 2 has not as many cells"),
        ("a,b\n1\n", r"row 2 has not as many cells"),
    ],
)
def test_a_table_of_another_form_says_what_was_found_and_what_is_accepted(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        column(write(tmp_path / "t.csv", text))


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"t\.csv: No such file.*expected a CSV table with the columns a, b"):
        column(tmp_path / "t.csv")
    with pytest.raises(CorpusError, match="Is a directory"):
        column(tmp_path)
