"""Clips of a kind that was never seen are told from new ones of a known kind, and absence is no novelty."""

from pathlib import Path

import numpy as np
import pytest

from lddu import novelty
from lddu.novelty import Novelty

WIDTHS = {"audio": 30, "vision": 6}
PEOPLE = 12


def clips(count: int, seed: int, shift: float = 0.0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Mean rows by modality, and who each is of: people differ, and share a narrow set of directions."""
    rng = np.random.default_rng(seed)
    people = np.arange(count) % PEOPLE
    rows = {}
    for m, width in WIDTHS.items():
        common = np.random.default_rng(width).standard_normal((3, width))
        of_person = rng.standard_normal((PEOPLE, 3)) @ common
        rows[m] = 5 + of_person[people] + rng.standard_normal((count, 3)) @ common + 0.3 * rng.standard_normal((count, width))
        rows[m] += shift * np.random.default_rng(99).standard_normal(width)
    return rows, people


@pytest.fixture(scope="module")
def learned() -> Novelty:
    return novelty.fit(*clips(300, 0))


def test_new_people_are_usual_and_another_kind_of_clip_is_not(learned: Novelty) -> None:
    of_modality, of_clip = learned.of(clips(200, 1)[0])
    assert (of_clip > novelty.UNLIKE).mean() <= 0.1
    assert all(0.2 < share.mean() < 0.8 for share in of_modality.values())
    _, of_other = learned.of(clips(200, 2, shift=2.0)[0])
    assert (of_other > novelty.UNLIKE).mean() >= 0.95


def test_one_unusual_modality_is_enough(learned: Novelty) -> None:
    usual, other = clips(100, 3)[0], clips(100, 4, shift=3.0)[0]
    _, of_clip = learned.of({"audio": other["audio"], "vision": usual["vision"]})
    assert (of_clip > novelty.UNLIKE).mean() > 0.6


def test_an_absent_modality_is_not_novel(learned: Novelty) -> None:
    rows = clips(100, 5)[0]
    rows["vision"][:50] = np.nan
    rows["audio"][0] = np.nan
    of_modality, of_clip = learned.of(rows)
    assert np.isnan(of_modality["vision"][:50]).all()
    assert np.isnan(of_clip[0])
    assert not np.isnan(of_clip[1:]).any()
    assert (of_clip[1:] > novelty.UNLIKE).mean() <= 0.1


def test_distances_are_from_other_people() -> None:
    """Compared with clips of the same person, a new person would always be novel."""
    rng = np.random.default_rng(6)
    people = np.repeat(np.arange(10), 20)
    rows = 5 * rng.standard_normal((10, 8))[people] + 0.1 * rng.standard_normal((200, 8))
    by_person = novelty.distances_from_others(rows, people)
    by_clip = novelty.distances_from_others(rows, np.arange(200))
    assert np.median(by_person) > 1.2 * np.median(by_clip)


def test_few_clips_constant_features_and_a_single_person_are_no_error() -> None:
    rows = {"audio": np.ones((9, 4)), "vision": np.full((9, 3), np.nan)}
    rows["audio"][:, 0] = np.arange(9)
    known = novelty.fit(rows, np.zeros(9, int))
    assert set(known.known) == {"audio"}
    assert np.isfinite(known.of({"audio": rows["audio"] * 100})[1]).all()
    none = novelty.fit({"audio": rows["audio"][:3]}, np.zeros(3, int))
    assert np.isnan(none.of({"audio": rows["audio"]})[1]).all()


@pytest.mark.parametrize("points", [2, 3])
def test_clips_that_are_a_few_points_are_no_error(points: int) -> None:
    """A corpus of two sentences, which all speakers say."""
    generator = np.random.default_rng(0)
    places = generator.normal(size=(points, 40))
    said = np.arange(200) % points
    known = novelty.fit({"text": places[said]}, np.arange(200) // 10)
    quantiles, _ = known.of({"text": np.concatenate([places, generator.normal(size=(3, 40))])})
    assert np.isfinite(quantiles["text"]).all()
    assert (quantiles["text"][points:] == 1).all()


def test_what_is_read_back_judges_the_same(learned: Novelty, tmp_path: Path) -> None:
    novelty.write(tmp_path / novelty.FILE, learned)
    rows = clips(40, 7)[0]
    first, again = learned.of(rows), novelty.read(tmp_path / novelty.FILE).of(rows)
    assert np.array_equal(first[1], again[1])
    one = learned.of({m: x[:1] for m, x in rows.items()})
    assert one[1][0] == pytest.approx(first[1][0], abs=0.01)
