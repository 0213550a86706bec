"""A name in a table is the name of one film, or it is refused with the films that it may mean."""

import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.corpora.films import Films, table_name


def films_in(folder: Path, *names: str) -> Films:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return Films(folder, folder.parent / "corpus")


def name_of(films: Films, written: str, *table: str) -> str:
    film = films.of_table(written, {table_name(name).removeprefix("./") for name in (written, *table)})
    return film.relative_to(films.folder).as_posix() if film else ""


@pytest.mark.parametrize(
    ("files", "written"),
    [
        (["day1/a.mp4", "day2/a.mp4"], "a.mp4"),
        (["day1/a.mp4", "day2/a.mp4"], "a"),
        (["day1/a.mp4", "day1/a.mkv"], "day1/a"),
        (["x/day1/a.mp4", "y/day1/a.mp4"], "day1/a.mp4"),
        (["a.mp4", "day1/a.mp4"], "a.mp4"),
        (["day1/a.wav", "day2/a.wav"], "a.wav"),
        ([f"day1/{unicodedata.normalize('NFC', 'é')}.mp4", f"day2/{unicodedata.normalize('NFD', 'é')}.mp4"], "é.mp4"),
    ],
)
def test_a_name_of_several_films_is_refused_with_all_of_them(tmp_path: Path, files: list[str], written: str) -> None:
    films = films_in(tmp_path, *files)
    with pytest.raises(ValueError, match=f"is the name of {len(files)} files") as error:
        name_of(films, written)
    assert all(f"./{name}" in str(error.value) for name in files)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("day1/a.mp4", "day1/a.mp4"),
        (r"day2\a.mp4", "day2/a.mp4"),
        ("./a.mp4", "a.mp4"),
        ("b", "day2/b.mkv"),
        ("b.wav", "day2/b.wav"),  # with its ending it is the sound
        ("day2/b", "day2/b.mkv"),  # without, a film comes before a sound
        ("ay2/b", ""),
        ("day3/b", ""),
        ("../a.mp4", ""),
        ("", ""),
    ],
)
def test_a_path_says_which_film_is_meant(tmp_path: Path, written: str, expected: str) -> None:
    films = films_in(tmp_path, "a.mp4", "day1/a.mp4", "day2/a.mp4", "day2/b.mkv", "day2/b.wav")
    assert name_of(films, written) == expected


def test_a_path_from_the_root_of_the_disk_is_read_where_it_leads_into_the_folder(tmp_path: Path) -> None:
    films = films_in(tmp_path, "a.mp4", "day1/a.mp4")
    assert name_of(films, str(tmp_path.absolute() / "a.mp4")) == "a.mp4"
    assert name_of(films, "/elsewhere/a.mp4") == ""


def test_a_film_at_the_top_has_its_name_where_the_table_has_the_paths_of_the_others(tmp_path: Path) -> None:
    films = films_in(tmp_path, "a.mp4", "day1/a.mp4")
    assert name_of(films, "a.mp4", "day1/a.mp4") == "a.mp4"
    assert name_of(films, "day1/a.mp4", "a.mp4") == "day1/a.mp4"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_match_in_either_unicode_form(tmp_path: Path, form: str) -> None:
    name = unicodedata.normalize(form, "Überraschung/é한.mp4")
    films = films_in(tmp_path, name)
    for other in ("NFC", "NFD"):
        for written in ("Überraschung/é한.mp4", "é한.mp4", "é한"):
            assert name_of(films, unicodedata.normalize(other, written)) == name
    assert films.find(unicodedata.normalize("NFD", "é한")) == tmp_path / name


PARTS = st.sampled_from(["a", "b", "é", "e\u0301"])
FILES = st.lists(PARTS, min_size=1, max_size=3).map("/".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(FILES, min_size=1, max_size=6, unique=True), FILES)
def test_a_name_never_means_a_film_while_another_one_has_it_too(stems: list[str], written: str) -> None:
    with TemporaryDirectory() as folder:
        films = films_in(Path(folder), *(f"{stem}.mp4" for stem in stems))
        name = unicodedata.normalize("NFC", written)
        having = [stem for stem in stems if f"/{unicodedata.normalize('NFC', stem)}".endswith(f"/{name}")]
        try:
            film = name_of(films, written)
        except ValueError:
            assert len(having) > 1
        else:
            assert [f"{stem}.mp4" for stem in having] == ([film] if film else [])
