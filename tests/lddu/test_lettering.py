"""Labels in any script stand in the pictures, or a number with a note does; nothing warns, and ASCII looks as it did."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given
from hypothesis import strategies as st

from lddu import lettering, metrics, plots
from tests.conftest import ROOT

# Characters for private use, of which one gets a font in these tests, and the other is in none.
IN_OUR_FONT, IN_NO_FONT = "\U000f0a51", "\U000f0a52"


def font(path: Path, character: str) -> None:
    """A font called Test Sans, which has a square for one character."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, 800), (900, 800), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(character): "square"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 100)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Test Sans", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(path)


def draw(folder: Path, labels: list[str]) -> None:
    """Both pictures that show labels, with every warning an error."""
    true = np.arange(40 * len(labels)).reshape(40, -1) % 3 == 0
    probs = np.linspace(0.1, 0.9, true.size).reshape(true.shape)
    thresholds = np.full(len(labels), 0.5)
    scores = metrics.scores(true, probs, thresholds, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.precision_recall(true, probs, thresholds, scores, folder)
        plots.confusion(true, probs, thresholds, scores, folder)


SCRIPTS = [
    "glücklich",
    "χαρούμενος",
    "счастливый",
    "سعيد جدا",
    "שמח",
    "ख़ुश",
    "มีความสุข",
    "高兴",
    "嬉しい",
    "행복",
    "e\u0301tonne\u0301",
]


def test_labels_in_any_script_are_drawn_without_a_warning(tmp_path: Path) -> None:
    draw(tmp_path, SCRIPTS)
    assert sorted(path.stem for path in (tmp_path / "confusion").iterdir()) == sorted(SCRIPTS)
    names = lettering.lettering(tuple(SCRIPTS)).names
    assert [names[label] for label in SCRIPTS[:5]] == SCRIPTS[:5]  # the font that matplotlib brings has these


def test_a_label_that_no_font_has_is_drawn_as_its_number_and_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lettering.lettering.cache_clear()
    labels = ["happy", f"x{IN_NO_FONT}"]
    draw(tmp_path, labels)
    letters = lettering.lettering(tuple(labels))
    assert letters.names == {"happy": "happy", labels[1]: "label #2"}
    assert letters.note.startswith("label #2: ")
    assert capsys.readouterr().out.count("drawn as label #2") == 1


def test_a_font_of_the_system_is_used_for_what_the_default_lacks(tmp_path: Path) -> None:
    font(tmp_path / "fonts/test.ttf", IN_OUR_FONT)
    program = (
        "from lddu.lettering import lettering\n"
        f"letters = lettering(({IN_OUR_FONT!r}, 'sad'))\n"
        f"assert letters.names[{IN_OUR_FONT!r}] == {IN_OUR_FONT!r} and letters.families[-1] == 'Test Sans', letters\n"
        "from pathlib import Path; from tests.lddu.test_lettering import draw\n"
        f"draw(Path({str(tmp_path)!r}), [{IN_OUR_FONT!r}, 'sad'])"
    )
    environment = os.environ | {"XDG_DATA_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_labels_in_ascii_are_drawn_with_the_font_that_matplotlib_brings() -> None:
    letters = lettering.lettering(("happy", "not at all sad"))
    assert (letters.families, letters.note) == ((lettering.DEFAULT,), "")
    assert letters.names == {"happy": "happy", "not at all sad": "not at all sad"}
    assert lettering.title("happy", "AP 0.86, 30 of 100 clips") == "happy: AP 0.86, 30 of 100 clips"


LABELS = st.text(st.characters(categories=["L", "Nd"], include_characters=" -_", codec="utf-8"), min_size=1, max_size=150)


@given(st.lists(LABELS.map(str.strip).filter(bool), min_size=1, max_size=5, unique=True))
def test_names_stay_different_and_short_whatever_the_labels_are(labels: list[str]) -> None:
    names = [lettering._in_lines(label, lettering.number_of(label, labels)) for label in labels]
    for name in names:
        lines = name.split("\n")
        assert len(lines) <= lettering.LINES
    files = [lettering.file_name(label) for label in labels]
    assert len(set(files)) == len(files)
    assert max(len(f"{name}.csv".encode()) for name in files) <= 255


def test_long_labels_do_not_stop_the_plots(tmp_path: Path) -> None:
    labels = ["I feel happy about the way things went " * 8 + end for end in "ab"] + ["高" * 200]
    draw(tmp_path, labels)
    assert len(list((tmp_path / "precision_recall").iterdir())) == 3
    assert len(set(lettering.lettering(tuple(labels)).names.values())) == 3
