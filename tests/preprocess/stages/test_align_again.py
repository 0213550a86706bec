"""One changed clip is aligned alone, and the output has the bytes of a run from nothing."""

import csv
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from contract import NOISE_COLUMNS
from preprocess import refusals
from preprocess.clips import Medium
from preprocess.encoders import states
from preprocess.encoders.states import WordStates
from preprocess.refusals import Code, Refused
from preprocess.speech import words
from preprocess.speech.words import Transcript, Word
from preprocess.stages import align
from preprocess.store import inventory, shards
from preprocess.store.entries import Store
from tests.conftest import ROOT, set_params

CLIPS = 12
SPLITS = ("train", "train", "valid", "test")


def table(path: Path, *rows: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def manifest(clips: list[str]) -> None:
    table(Path("data/manifest/media.csv"), [field.name for field in fields(Medium)])
    table(Path("data/manifest/noise.csv"), ["clip_id", *NOISE_COLUMNS])
    labels = ([clip_id, SPLITS[i % 4], "", i % 2] for i, clip_id in enumerate(clips))
    table(Path("data/manifest/labels.csv"), ["clip_id", "split", "speaker", "happy"], *labels)
    table(Path("data/manifest/texts.csv"), ["clip_id", "text"], *([clip_id, ""] for clip_id in clips))


def output(stage: str, clips: dict[str, int]) -> None:
    """The output of a stage: of each clip a text of words that its number decides, and their states."""
    store = Store(Path("made") / stage)
    for clip_id, number in clips.items():
        with store.workplace() as workplace:
            folder = Path(workplace) / "entry"
            folder.mkdir()
            spoken = [Word(f"w{number}", None, None, 1.0)] * (1 + number % 5)
            if stage == "transcripts":
                (folder / words.FILE).write_text(Transcript("", False, spoken).to_json(), encoding="utf-8")
            else:
                made = np.random.default_rng(number).normal(size=(len(spoken), 3)).astype(np.float32)
                states.write(folder, WordStates(made, np.arange(len(spoken), dtype=np.int32)))
            store.add(clip_id, folder)
    shards.close(Path("data") / stage)
    for path in sorted((Path("data") / stage).glob("*")):
        path.unlink()
    shards.write(Path("data") / stage, {clip_id: store.path(clip_id) for clip_id in clips})


def prepare(clips: dict[str, int], left_out: str = "") -> None:
    """What the stages before align leave of a corpus of texts."""
    manifest(list(clips))
    for stage in align.STAGES[1:]:
        has_text = stage in ("transcripts", "encode_text")
        output(stage, {clip_id: number for clip_id, number in clips.items() if clip_id != left_out} if has_text else {})
    for stage in align.STAGES:
        refusals.write(Path("data") / stage / "refused.csv", [])
    if left_out:
        refusals.write(Path("data/transcripts/refused.csv"), [Refused(left_out, "transcripts", Code.NO_SPEECH, "")])


def tensors() -> dict[str, bytes]:
    files = [*sorted(Path("data/tensors").iterdir()), Path("data/refused.csv")]
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    set_params(tmp_path / "params.yaml", **{"corpus.labels": ["happy"], "run.workers": 1, "run.store": ".store"})
    return tmp_path


def test_a_changed_clip_is_aligned_alone_and_a_damaged_entry_again(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = {f"clip{i:02d}": i for i in range(CLIPS)}
    prepare(clips)
    align.main()
    assert f"align: {CLIPS} clips, {CLIPS} computed, 0 reused, 0 refused" in capsys.readouterr().out
    first = tensors()
    prepare(clips | {"clip04": 44}, left_out="clip07")
    align.main()
    assert f"align: {CLIPS} clips, 2 computed, {CLIPS - 2} reused, 1 refused" in capsys.readouterr().out
    changed = tensors()
    assert changed["train.safetensors"] != first["train.safetensors"]
    assert changed["valid.safetensors"] == first["valid.safetensors"]
    assert b"clip07,align,nothing_left" in changed["refused.csv"]
    prepare(clips)
    entry = inventory.entries(checkout / ".store/align")[0]
    entry.write_bytes(entry.read_bytes()[:300])
    align.main()
    assert tensors() == first


@pytest.mark.parametrize("normalise", [[], ["text"]])
def test_a_split_whose_clips_did_not_change_is_not_written_again(checkout: Path, normalise: list[str]) -> None:
    set_params(checkout / "params.yaml", **{"align.normalise": normalise})
    clips = {f"clip{i:02d}": i for i in range(CLIPS)}

    def run(changed: dict[str, int]) -> set[str]:
        """The files that were written of those which hold tensors."""
        prepare(clips | changed)
        before = {path.name: path.stat().st_mtime_ns for path in Path("data/tensors").glob("*.safetensors")}
        align.main()
        return {
            path.name for path in Path("data/tensors").glob("*.safetensors") if path.stat().st_mtime_ns != before.get(path.name)
        }

    of_train = {"train.safetensors", "statistics.safetensors"}
    assert run({}) == of_train | {"valid.safetensors", "test.safetensors", "other.safetensors"}
    first = tensors()
    assert run({}) == set()
    assert run({"clip03": 33}) == {"test.safetensors"}
    # Nobody's name is known: all clips are measured by the training split, of which one changed.
    assert run({"clip04": 44}) == of_train | {"test.safetensors"} | ({"valid.safetensors"} if normalise else set())
    again = tensors()
    shutil.rmtree(checkout / ".store")
    shutil.rmtree("data/tensors")
    run({"clip04": 44})
    assert tensors() == again
    run({})
    assert tensors() == first


def test_statistics_have_the_same_bytes_in_a_store_of_their_own(checkout: Path) -> None:
    clips = {f"clip{i:02d}": i for i in range(CLIPS)}
    prepare(clips | {"clip04": 44})
    align.main()
    changed = tensors()
    set_params(checkout / "params.yaml", **{"run.store": "elsewhere", "run.workers": 3})
    align.main()
    assert tensors() == changed
