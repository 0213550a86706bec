"""What README.md and docs/ say is there is there, and the map shows the stages and folders of today."""

import re
from pathlib import Path

import pytest
from matplotlib.text import Text
from PIL import Image

from docs import drawing
from tests.conftest import ROOT
from tests.test_layout import HEIGHT
from tests.test_pipeline_files import STAGES

PAGES = ["README.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md")))]
CODE = re.compile(r"`((?:preprocess|lddu|sample|benchmarks|presets|docs|tests)/[\w./]*)`")


def test_the_map_has_a_box_for_every_stage() -> None:
    words = {text.get_text() for text in drawing.draw().findobj(Text)}
    assert set(STAGES) <= words
    assert set(drawing.COLUMNS) == set(STAGES)


def test_the_map_has_every_folder_on_its_floor() -> None:
    floors = drawing.floors()
    assert {room for floor in floors for room in floor} == set(HEIGHT)
    assert max(map(len, floors)) < len(HEIGHT) / 2


def test_the_map_that_is_checked_in_shows_what_is_there_today() -> None:
    with Image.open(drawing.TARGET) as picture:
        assert picture.text["Description"] == drawing.description(), "run python -m docs.drawing, and commit docs/map.png"


@pytest.mark.parametrize("page", PAGES)
def test_headings_that_a_page_links_to_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, heading in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", text):
        target = (ROOT / page).parent / name if name else ROOT / page
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        assert heading in [re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in headings]


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    linked = [(ROOT / page).parent / path for path in re.findall(r"\]\((?!https?:)([^)#]+)", text)]
    named = [ROOT / path for path in CODE.findall(text)]
    assert linked + named
    assert not [str(path.relative_to(ROOT)) for path in linked + named if not Path(path).exists()]
