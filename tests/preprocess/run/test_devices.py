"""Which GPU each worker is given; eight of them are simulated by what CUDA_VISIBLE_DEVICES names."""

from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from params import ParameterError
from preprocess.run import devices, work
from tests.preprocess.run.conftest import RUN
from tests.preprocess.run.tasks import gpu_of_worker

MODULE = "tests.preprocess.run.tasks"
EIGHT = [str(i) for i in range(8)]
ON_GPU = RUN.model_copy(update={"device": "cuda", "workers": 8})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(devices.VISIBLE, ",".join(EIGHT))
    (tmp_path / "began").mkdir()
    return tmp_path


@pytest.mark.parametrize(("workers", "each"), [(8, 1), (16, 2)])
def test_workers_are_pinned_to_their_own_gpus_before_anything_is_imported(folder: Path, workers: int, each: int) -> None:
    engine = work.engine(ON_GPU.model_copy(update={"workers": workers}), "gpus", "simulated")
    task = partial(gpu_of_worker, folder=folder / "began", count=workers)
    reported = list(work.each(task, range(workers), engine, MODULE, preload=["tests.preprocess.run.imported"]))
    assert Counter(now for now, _ in reported) == Counter(EIGHT * each)
    assert all(now == at_import for now, at_import in reported)


def test_run_devices_names_those_that_are_used_as_they_are_numbered_here(monkeypatch: pytest.MonkeyPatch) -> None:
    run = ON_GPU.model_copy(update={"devices": [0, 3], "workers": 4})
    assert devices.spread(run, 2) == ["0", "3", "0", "3"]
    monkeypatch.setenv(devices.VISIBLE, "4,5,6,GPU-7")
    assert devices.spread(run, 2) == ["4", "GPU-7", "4", "GPU-7"]


@given(st.integers(1, 8), st.integers(0, 40), st.integers(1, 40), st.sampled_from([1.0, 0.5, 0.34, 0.3, 0.25, 0.1]))
def test_no_gpu_has_more_workers_than_its_shares_and_all_have_as_many(
    count: int, workers: int, cores: int, share: float
) -> None:
    run = ON_GPU.model_copy(update={"devices": list(range(count)), "workers": workers, "gpus": share})
    with pytest.MonkeyPatch.context() as context:
        context.setenv(devices.VISIBLE, ",".join(EIGHT))
        given_out = Counter(devices.spread(run, cores))
    assert sum(given_out.values()) == min(workers or cores, count * int(1 / share))
    assert max(given_out.values()) - min(given_out[str(i)] for i in range(count)) <= 1
    assert max(given_out.values()) * share <= 1


def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(ParameterError, match=r"run\.devices names 8, 12, and .* has 8 GPUs numbered 0 to 7: name those, or"):
        devices.chosen(ON_GPU.model_copy(update={"devices": [1, 8, 12]}))


def test_gpus_of_two_kinds_do_not_work_together() -> None:
    kinds = ["A100"] * 6 + ["T4", "T4"]
    with pytest.raises(ParameterError, match=r"several kinds.*0, 1, 2, 3, 4, 5: A100; 6, 7: T4.*name those of one kind"):
        devices.kind(ON_GPU, kinds)
    assert devices.kind(ON_GPU.model_copy(update={"devices": [6, 7]}), kinds) == "T4"
    assert devices.kind(ON_GPU.model_copy(update={"device": "cuda:2"}), kinds) == "A100"


def test_a_gpu_that_the_user_chose_is_that_of_all_workers() -> None:
    engine = work.engine(ON_GPU.model_copy(update={"device": "cuda:1"}), "gpus", "simulated")
    assert engine == work.Processes(8)
