"""Every number in params.yaml works at both ends of its range; what lies beyond is refused before any work.

The sections train and evaluate have their own tests; those of transcripts, encode and align stand beside these stages.
"""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import annotated_types
import numpy as np
import pytest
import skimage.data
from pydantic import BaseModel, ValidationError

import params
from preprocess import corpus, recording
from preprocess.corpus import Clip
from preprocess.encoders import tuning
from preprocess.media import arrays
from preprocess.recording import Tools
from preprocess.refusals import Code
from preprocess.run import work
from sample.plan import plan
from tests.conftest import ROOT
from tests.preprocess.encoders.test_tuning import example
from tests.preprocess.run.tasks import square

TREE = params.load(ROOT / params.PATH).model_dump()
ELSEWHERE = ("train", "evaluate")
# Numbers that need no upper end, and why.
UNBOUNDED = {
    "align.hop": "more than a clip lasts is one row",
    "align.max_rows": "at most train.model.positions",
}
# What else has to change so that the other parameters allow an end.
ALONG = {
    ("sample.speakers", 64): {"sample.clips": 64},
    ("sample.clips", 12): {"sample.speakers": 12},
    ("corpus.fold", 10_000): None,  # more folds than that are not allowed
    ("corpus.folds", 1): None,
}


def numbers(model: type[BaseModel] = params.Params, above: str = "") -> Iterator[tuple[str, type, list[Any]]]:
    """Key, type and limits of every number of a section and of those in it."""
    for name, field in model.model_fields.items():
        key, kind = f"{above}{name}", field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel) and key not in ELSEWHERE:
            yield from numbers(kind, f"{key}.")
        elif kind in (int, float):
            yield key, kind, list(field.metadata)


NUMBERS = {key: (kind, limits) for key, kind, limits in numbers()}


def end(key: str, closed: type, attribute: str, other: type, outwards: float) -> float | None:
    """The last value that is allowed on one side; None where there is none."""
    kind, limits = NUMBERS[key]
    for limit in limits:
        if isinstance(limit, closed):
            return getattr(limit, attribute)
        if isinstance(limit, other):
            value = getattr(limit, "gt" if other is annotated_types.Gt else "lt")
            return beyond(value, kind, -outwards)
    return None


def beyond(value: float, kind: type, outwards: float) -> float:
    """The next number in a direction."""
    return int(value + outwards) if kind is int else math.nextafter(value, outwards * math.inf)


def lowest(key: str) -> float | None:
    return end(key, annotated_types.Ge, "ge", annotated_types.Gt, -1)


def highest(key: str) -> float | None:
    return end(key, annotated_types.Le, "le", annotated_types.Lt, 1)


ENDS = [(key, value) for key in NUMBERS for value in (lowest(key), highest(key)) if value is not None]


def changed(values: dict[str, Any]) -> params.Params:
    """The repository's parameters with some values changed."""
    tree = params.Params.model_validate(TREE).model_dump()
    for key, value in values.items():
        *above, leaf = key.split(".")
        section = tree
        for name in above:
            section = section[name]
        section[leaf] = value
    return params.Params.model_validate(tree)


def test_every_number_has_two_ends() -> None:
    assert len(NUMBERS) > 25
    assert {key for key in NUMBERS if highest(key) is None or lowest(key) is None} <= set(UNBOUNDED)


@pytest.mark.parametrize(("key", "value"), ENDS)
def test_the_ends_are_allowed_and_what_is_beyond_is_not(key: str, value: float) -> None:
    along = ALONG.get((key, value), {})
    if along is not None:
        changed({key: value} | along)
    outside = beyond(value, NUMBERS[key][0], -1 if value == lowest(key) else 1)
    with pytest.raises(ValidationError, match=key.rpartition(".")[2]):
        changed({key: outside})


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of a face that does not move."""
    face = np.ascontiguousarray(skimage.data.astronaut()[:240, 100:420])
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    arrays.write(path, None, 16000, np.stack([face] * 5), 10.0)
    return path


@pytest.mark.parametrize(("key", "value"), [item for item in ENDS if item[0].split(".")[0] in ("decoder", "frames", "faces")])
def test_a_film_is_prepared_at_both_ends_of_what_decoders_and_faces_take(
    models: Path, film: Path, key: str, value: float
) -> None:
    tools = Tools(changed({key: value}), lambda role: models / role, ("vision",), lambda: "cpu")
    (utterance,) = recording.of_file(film, tools)
    assert Code.FAILED not in {row.code for row in utterance.refused}
    assert "vision" in utterance.rows or {row.code for row in utterance.refused} & {Code.NO_FACE, Code.DECODER_STOPPED}


@pytest.mark.parametrize(("key", "value"), [item for item in ENDS if item[0].startswith("sample.") and item[1] < 1_000_000])
def test_the_sample_is_planned_at_both_ends(key: str, value: float) -> None:
    sample = changed({"sample.clips": 120} | {key: value} | (ALONG.get((key, value)) or {})).sample
    assert len(plan(sample)) == sample.clips


TUNED = ("tune.text.lr", "tune.text.batch_size", "tune.text.dropout", "tune.text.seed")


@pytest.mark.parametrize(("key", "value"), [item for item in ENDS if item[0] in TUNED])
def test_the_text_encoder_is_tuned_at_both_ends(key: str, value: float) -> None:
    encoder, ids, targets = example()
    settings = changed({"tune.text.epochs": 1, key: value}).tune.text
    tuning.tune(encoder, ids[:20], targets[:20], settings, "cpu")


@pytest.mark.parametrize("folds", [3, 10_000])
def test_speakers_are_dealt_to_as_many_folds_as_there_can_be(folds: int) -> None:
    clips = [Clip(f"c{i}", speaker=f"s{i}", labels={"happy": 1.0}) for i in range(5)]
    assert {clip.split for clip in corpus.folded(clips, folds, 0)} == {"train", "valid", "test"}


def test_more_workers_than_tasks_are_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = work.each(partial(square), range(3), work.workers(1024), "tests.preprocess.run.tasks")
    assert sorted(results) == [0, 1, 4]
