"""From raw clips to the scores of corrupted ones, as users run it."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from preprocess.store import tables
from preprocess.store.shards import Shards
from tests.conftest import Workspace
from tests.test_dvc import ran

KINDS = ["dropouts", "frozen", "lost_words", "heard_noise", "everything"]
ASKED = {"robustness.clips": 2, "robustness.kinds": KINDS, "robustness.levels": [5]}


@pytest.fixture(scope="module")
def arena(sample_run: Workspace) -> Iterator[Workspace]:
    """The run of the sample, and then that of its corrupted clips."""
    before = (sample_run.folder / "params.yaml").read_bytes()
    sample_run.set(**ASKED)
    assert ran(sample_run.program("dvc", "repro", "robustness/dvc.yaml")) == ["corrupt", "score"]
    yield sample_run
    (sample_run.folder / "params.yaml").write_bytes(before)


def scores(arena: Workspace) -> dict:
    return json.loads((arena.folder / "metrics/robustness.json").read_text())


def cases(arena: Workspace) -> list[str]:
    return sorted(arena.shards("robustness/rows").digests)


@pytest.mark.slow
def test_it_runs_once_and_leaves_the_other_stages_alone(arena: Workspace) -> None:
    assert ran(arena.program("dvc", "repro", "robustness/dvc.yaml")) == []
    assert ran(arena.program("dvc", "repro")) == []


@pytest.mark.slow
def test_every_kind_and_network_is_scored_beside_the_absence_of_the_modality(arena: Workspace) -> None:
    tree = scores(arena)
    assert tree["clips"] == 2
    assert set(tree["kinds"]) == set(KINDS)
    for of_kind in tree["kinds"].values():
        for network in ("lddu", "centre", "mlp", "joined"):
            assert {"micro_f1", "bce", "calibration_error", "risk_coverage", "cost_bce"} <= set(of_kind["level_5"][network])
    assert tree["held"]["lddu"]["tried"] == len(KINDS)
    with (arena.folder / "data/robustness/scores/refused.csv").open() as file:
        refused = {row["clip_id"] for row in csv.DictReader(file)}
    assert tree["refused"] == len(refused)
    assert refused <= set(cases(arena))
    assert any(".heard_noise." in name for name in refused)  # nobody understands a word at -5 dB
    with (arena.folder / "data/robustness/scores/absence.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(KINDS) * len(tree["held"])
    page = (arena.folder / "report/robustness.html").read_text(encoding="utf-8")
    assert all(kind.replace("_", " ") in page for kind in KINDS)


@pytest.mark.slow
def test_at_level_0_the_scores_are_those_of_the_clips_as_they_are(arena: Workspace) -> None:
    clips = {name.rpartition(".everything")[0] for name in cases(arena) if ".everything." in name}
    with (arena.folder / "data/predictions/test.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["clip_id"] in clips]
    labels = [column.removesuffix("_true") for column in rows[0] if column.endswith("_true")]
    true, said = (
        np.array([[int(row[f"{label}_{what}"]) for label in labels] for row in rows]) for what in ("true", "predicted")
    )
    expected = f1_score(true.ravel(), said.ravel(), zero_division=0)
    assert scores(arena)["kinds"]["everything"]["level_0"]["lddu"]["micro_f1"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_one_modality_changes_and_the_others_keep_their_rows(arena: Workspace) -> None:
    shards = arena.shards("robustness/rows")
    changed = {name.split(".")[-2]: json.loads(shards.read(name, "case.json"))["changed"] for name in cases(arena)}
    assert changed["dropouts"] == ["audio"]
    assert changed["frozen"] == ["vision"]
    for name in cases(arena):
        clip_id, kind, _ = name.rsplit(".", 2)
        if kind == "dropouts":
            entry = tables.whole(lambda: shards.open(name, "safetensors"))  # noqa: B023 – called at once
            clean = Shards(arena.folder / "data/transcripts")
            times = [(word["start"], word["end"]) for word in json.loads(clean.read(clip_id, "words.json"))["words"]]
            assert entry["audio_time"] == pytest.approx(np.array(times, np.float32).reshape(-1, 2))


@pytest.mark.slow
def test_the_same_bytes_come_out_again_with_another_number_of_workers(arena: Workspace, tmp_path: Path) -> None:
    before = arena.bytes_of("robustness/rows")
    arena.set(**{"run.workers": 1, "run.store": str(tmp_path / "store")})
    printed = arena.run("robustness", "corrupt")
    arena.set(**{"run.workers": 0, "run.store": ".store"})
    assert f"{len(cases(arena))} computed" in printed
    assert arena.bytes_of("robustness/rows") == before
