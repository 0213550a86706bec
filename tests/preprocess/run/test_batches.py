"""Clips that a stage does together: each has its own entry and its own refusal, and none costs another."""

import os
import signal
from pathlib import Path

import pytest

import params
from params import ParameterError
from preprocess.clips import Task
from preprocess.refusals import Code, Refusal, TooManyError
from preprocess.run import sources, stage
from preprocess.run.stage import Job, Stage

MODULE = "tests.preprocess.run.test_batches"
RUN = params.load(sources.ROOT / params.PATH).run.model_copy(update={"workers": 2, "device": "cpu", "store": "store"})
TEXTS = {f"clip{i}": "a" * (7 * i % 9 + 1) for i in range(8)}


def shout(task: Task, folder: Path) -> None:
    """A stage's work: the text in capitals. Some texts say what goes wrong."""
    if task.content["text"] == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    if task.content["text"] == "silent":
        raise Refusal(Code.NO_SPEECH, "nothing was said")
    if task.content["text"].startswith("misnamed"):
        with Path("tried").open("a", encoding="utf-8") as file:
            file.write(task.clip_id)
        raise ParameterError("encode.shout.layer is 99")
    if task.content["text"] == "impossible" and not Path("mended").exists():
        raise ValueError("impossible")
    (folder / "txt").write_text(task.content["text"].upper(), encoding="utf-8")


def shout_together(tasks: list[Task], folders: list[Path]) -> None:
    with Path("together").open("a", encoding="utf-8") as file:
        file.write(" ".join(task.clip_id for task in tasks) + "\n")
    for task, folder in zip(tasks, folders, strict=True):
        shout(task, folder)


def fill(texts: dict[str, str], batch_size: int) -> list[list[str]]:
    """Fill data/shout; the clips of each batch that was tried."""
    Path("together").unlink(missing_ok=True)
    made = Stage("shout", MODULE, shout, {"batch_size": batch_size}, together=shout_together, batch_size=batch_size)
    tasks = [Task(clip_id, {"text": text}, 0.0, size=len(text)) for clip_id, text in texts.items()]
    stage.fill(Job(made, tasks), RUN)
    return sorted(line.split() for line in Path("together").read_text().splitlines()) if Path("together").exists() else []


def output() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path("data/shout").iterdir()}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_batches_are_of_similar_lengths_and_change_no_entry() -> None:
    assert fill(TEXTS, 1) == []
    alone = output()
    batches = fill(TEXTS, 3)
    assert output() == alone
    lengths = sorted(sorted(len(TEXTS[clip_id]) for clip_id in batch) for batch in batches)
    assert lengths == [[1, 2], [4, 5, 6], [7, 8, 9]]


def test_a_clip_that_is_refused_costs_no_other_of_its_batch(capsys: pytest.CaptureFixture[str]) -> None:
    texts = TEXTS | {"bad": "silent"}
    fill(texts, 1)
    alone = output()
    fill(texts, 3)
    assert output() == alone
    said = capsys.readouterr().out
    assert "shout: 3 clips were done one by one, since their batches failed: Refusal: no_speech: nothing was said" in said
    assert said.endswith("shout: 9 clips, 9 computed, 0 reused, 1 refused\n  bad: no_speech: nothing was said\n")


def test_a_clip_that_ends_its_worker_costs_no_other_of_its_batch(capsys: pytest.CaptureFixture[str]) -> None:
    fill(TEXTS | {"bad": "deadly"}, 3)
    assert "9 computed, 0 reused, 1 refused\n  bad: worker_died" in capsys.readouterr().out


def test_what_a_worker_had_finished_before_it_died_counts_as_computed(capsys: pytest.CaptureFixture[str]) -> None:
    """The batch fails, so that its clips are done one by one: the last one ends the worker when the others are there."""
    fill({"a-long": "a" * 9, "refused": "silent", "z-bad": "deadly"}, 3)
    said = capsys.readouterr().out
    assert "shout: 3 clips, 3 computed, 0 reused, 2 refused" in said
    assert "z-bad: worker_died" in said


def test_an_error_that_nobody_foresaw_costs_its_clip_alone_and_is_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    texts = {"a": "one", "bad": "impossible", "c": "three"}
    fill(texts, 3)
    said = capsys.readouterr().out
    assert "shout: 3 clips, 3 computed, 0 reused, 1 refused\n  bad: failed: ValueError: impossible" in said
    assert "Traceback" in Path(f"logs/{MODULE}.log").read_text()
    Path("mended").touch()
    assert fill(texts | {"d": "four"}, 3) == [["bad", "d"]]
    assert "4 clips, 2 computed, 2 reused, 0 refused" in capsys.readouterr().out


def test_an_error_of_every_clip_is_none_of_theirs() -> None:
    with pytest.raises(TooManyError, match="every clip failed, the first with ValueError: impossible"):
        fill({"a": "impossible", "b": "impossible"}, 1)


def test_a_wrong_parameter_is_met_once_rather_than_by_every_clip() -> None:
    with pytest.raises(ParameterError, match=r"layer is 99"):
        fill({clip_id: f"misnamed {clip_id}" for clip_id in "abc"}, 3)
    assert Path("tried").read_text() == "a"
