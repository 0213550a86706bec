"""A trained network on films, sounds and texts that are in no corpus."""

import csv
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file, save_file

import params
from lddu import doubt, judgement, load, novelty, predictor, quantiles, weights
from lddu.doubt import Signs
from lddu.judgement import Judge
from lddu.model import LDDU, LDDUConfig
from lddu.prediction import command
from lddu.prediction.inference import Predictor, export
from preprocess.encoders import speakers
from preprocess.media import decoder, sound
from preprocess.recording import RecordingError
from tests.conftest import ROOT, Workspace
from tests.preprocess import voice

MODALITIES = ["text", "audio", "vision"]
SECTIONS = ("models", "decoder", "frames", "faces", "transcripts", "encode", "align")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([decoder.ffmpeg_path("bundled"), "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def unlearned(modalities: list[str], labels: int) -> Judge:
    """A judge that had no clips to learn from."""
    signs, none = np.zeros((0, labels)), np.zeros(0)
    learned, _ = doubt.fit(
        Signs(signs, dict.fromkeys(modalities, signs), {f"sigma {m}": signs for m in modalities}), signs > 0, none
    )
    return Judge(learned, novelty.fit({m: np.zeros((0, 1)) for m in modalities}, none), None)


@pytest.fixture(scope="module")
def trained(sample_run: Workspace) -> Predictor:
    return load(sample_run.folder / predictor.FOLDER)


@pytest.fixture(scope="module")
def unheard(sample_run: Workspace) -> dict[str, str]:
    """The row of a clip of the sample corpus that was transcribed, and that has all modalities."""
    corpus = rows(sample_run.folder / "data/sample/clips.csv")
    blank = {row["clip_id"]: row for row in corpus if not row["text"]}
    complete = [
        row["clip_id"] for row in rows(sample_run.folder / "data/predictions/train.csv") if row["modalities"].count(" ") == 2
    ]
    return next(blank[clip_id] for clip_id in complete if clip_id in blank)


def predicted(workspace: Workspace, clip_id: str, split: str) -> dict[str, str]:
    return next(row for row in rows(workspace.folder / f"data/predictions/{split}.csv") if row["clip_id"] == clip_id)


def agrees(tree: dict, row: dict[str, str]) -> None:
    """The labels of a JSON document against a row of the pipeline's predictions."""
    for label, said in tree.items():
        assert said["probability"] == pytest.approx(float(row[f"{label}_probability"]), abs=1e-4)
        assert said["present"] == (row[f"{label}_predicted"] == "1")
        expected = {m: float(row[f"{label}_sigma_{m}"]) for m in MODALITIES if row[f"{label}_sigma_{m}"]}
        assert said["uncertainty"] == pytest.approx(expected, abs=0.06)  # the clip is one of the 20 that it is ranked among


def test_a_film_a_sound_and_a_text_are_predicted_and_a_broken_film_is_named(
    sample_run: Workspace, unheard: dict[str, str], tmp_path: Path
) -> None:
    film = sample_run.folder / "data/sample" / unheard["media"]
    ffmpeg("-i", film, "-vn", tmp_path / "sound.wav")
    (tmp_path / "sound.wav").write_bytes((tmp_path / "sound.wav").read_bytes() * 2)  # of which the header says one
    (tmp_path / "words.txt").write_text("I am so glad\n\nI hate it 🙂\n", encoding="utf-8")
    (tmp_path / "broken.mp4").write_bytes(film.read_bytes()[:1000])
    files = [str(film), *(str(tmp_path / name) for name in ("sound.wav", "words.txt", "broken.mp4"))]
    done = subprocess.run(
        ["python", "-m", "lddu", "predict", "--json", *files],
        cwd=sample_run.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    learned, problem = done.stderr.splitlines()
    assert re.fullmatch(r"\S*: trained on the corpus sample: 20 clips of 10 people; its people are synthetic, .+", learned)
    assert re.fullmatch(r"lddu predict: \S*broken\.mp4: no film or sound that can be read \(.+", problem)
    found = {Path(recording["source"]).name: recording for recording in json.loads(done.stdout)["recordings"]}
    (whole,) = found[film.name]["utterances"]
    agrees(whole["labels"], predicted(sample_run, unheard["clip_id"], unheard["split"] or "other"))
    assert whole["modalities"] == MODALITIES
    assert whole["transcribed"]
    assert [word["word"] for word in whole["words"]] == whole["text"].split()
    assert all(0 <= word["start"] <= word["end"] <= whole["end"] for word in whole["words"])
    assert found["sound.wav"]["utterances"][0]["modalities"] == ["text", "audio"]
    assert [note["code"] for note in found["sound.wav"]["notes"]] == ["unread"]
    assert found[film.name]["notes"] == []
    assert [one["text"] for one in found["words.txt"]["utterances"]] == ["I am so glad", "I hate it 🙂"]
    assert found["words.txt"]["utterances"][0]["modalities"] == ["text"]
    assert found["broken.mp4"]["error"]


def test_a_known_text_is_not_transcribed_and_gives_what_the_pipeline_gave(sample_run: Workspace, trained: Predictor) -> None:
    row = next(row for row in rows(sample_run.folder / "data/sample/clips.csv") if row["text"] and row["split"] == "test")
    (found,) = trained.predict(sample_run.folder / "data/sample" / row["media"], text=row["text"])
    assert found.transcript.text == row["text"]
    assert not found.transcript.transcribed
    of_pipeline = predicted(sample_run, row["clip_id"], "test")
    probabilities = {label: said.probability for label, said in found.labels.items()}
    assert probabilities == pytest.approx(
        {label: float(of_pipeline[f"{label}_probability"]) for label in probabilities}, abs=1e-4
    )


def test_rows_of_features_are_predicted_as_the_pipeline_did(sample_run: Workspace, trained: Predictor) -> None:
    tensors = load_file(sample_run.folder / "data/tensors/test.safetensors")
    found = trained.predict_features({m: tensors[m] for m in MODALITIES}, {m: tensors[f"{m}_mask"] for m in MODALITIES})
    table = rows(sample_run.folder / "data/predictions/test.csv")
    for one, row in zip(found, table, strict=True):
        assert list(one.modalities) == row["modalities"].split()
        for label, said in one.labels.items():
            assert said.probability == pytest.approx(float(row[f"{label}_probability"]), abs=1e-4)


def test_features_of_another_shape_are_refused_with_what_is_taken(trained: Predictor) -> None:
    with pytest.raises(ValueError, match=r"'text' have shape \(1, 2, 5\).*'text': 384"):
        trained.predict_features({"text": np.zeros((1, 2, 5))})
    with pytest.raises(ValueError, match=r"masks have no 'text' of shape \(1, 2\)"):
        trained.predict_features({"text": np.zeros((1, 2, 384))}, {"text": np.ones((1, 3), bool)})


def test_a_wave_is_predicted_as_its_file_and_a_long_one_as_a_time_line(
    sample_run: Workspace, trained: Predictor, unheard: dict[str, str], tmp_path: Path
) -> None:
    wave = sound.wave(sample_run.shards("audio"), unheard["clip_id"])
    (alone,) = trained.predict_arrays(wave)
    soundfile.write(tmp_path / "recording.wav", wave, 16000, subtype="FLOAT")
    (of_file,) = trained.predict(tmp_path / "recording.wav")
    assert (alone.labels, alone.transcript) == (of_file.labels, of_file.transcript)
    long = np.concatenate([wave, np.zeros(7 * 16000, np.float32), wave, np.zeros(7 * 16000, np.float32)])
    found, seconds = trained.predict_arrays(long), len(wave) / 16000
    halves = [[one for one in found if one.end <= seconds + 0.2], [one for one in found if one.start >= seconds + 6.8]]
    assert all(halves)
    assert [*halves[0], *halves[1]] == found
    for one in found:
        assert all(one.start <= word.start <= word.end <= one.end for word in (one.transcript.words if one.transcript else []))
    (whole,) = trained.predict_arrays(long, text="Well", whole=True)
    assert whole.end == pytest.approx(len(long) / 16000, abs=0.01)


def test_pictures_in_memory_are_seen_as_those_of_a_film(
    sample_run: Workspace, trained: Predictor, unheard: dict[str, str]
) -> None:
    with av.open(str(sample_run.folder / "data/sample" / unheard["media"])) as film:
        rate = float(film.streams.video[0].average_rate)
        pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)])
    (found,) = trained.predict_arrays(pictures=pictures, frame_rate=rate, text="I am so glad")
    assert found.modalities == ("text", "vision")
    assert found.end == pytest.approx(len(pictures) / rate, abs=0.1)
    assert found.transcript.words[0].start is None


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({}, "a wave, pictures, or both"),
        ({"wave": np.zeros((2, 100))}, r"wave is float64 of shape \(2, 100\): floats of shape \(samples,\)"),
        ({"wave": np.zeros(100, np.int16)}, "wave is int16"),
        ({"pictures": np.zeros((3, 8, 8), np.uint8)}, r"pictures are uint8 of shape \(3, 8, 8\)"),
        ({"pictures": np.zeros((3, 8, 8, 3))}, "pictures are float64"),
    ],
)
def test_arrays_of_another_kind_are_refused_with_what_is_taken(trained: Predictor, arrays: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        trained.predict_arrays(**arrays)


def test_noise_has_no_words_and_is_still_sound(trained: Predictor) -> None:
    (found,) = trained.predict_arrays(voice.hum(3))
    assert found.modalities == ("audio",)
    assert found.transcript is None
    assert [(row.stage, row.code) for row in found.refused] == [("transcripts", "no_speech")]


def test_digital_silence_is_no_sound_and_no_label_is_predicted_from_nothing(trained: Predictor) -> None:
    (found,) = trained.predict_arrays(np.zeros(16000, np.float32))
    assert found.modalities == ()
    assert [(row.stage, row.code) for row in found.refused] == [("audio", "silent"), ("align", "nothing_left")]
    assert [said.probability for said in found.labels.values()] == pytest.approx(trained.network.prior.tolist())
    assert not any(said.predicted for said in found.labels.values())


def test_a_recording_of_which_nothing_is_left_has_the_labels_shares_in_training(trained: Predictor, tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:d=0.3", tmp_path / "wall.mp4")
    (found,) = trained.predict(tmp_path / "wall.mp4")
    assert found.modalities == ()
    assert {row.code for row in found.refused} == {"no_face", "nothing_left"}
    prior = trained.network.prior.tolist()
    assert [said.probability for said in found.labels.values()] == pytest.approx(prior)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone.mp4", "there is no such file"),
        ("gone.txt", "there is no such file"),
        (".", "a folder; name the files in it"),
        ("empty.txt", "no text in it"),
        ("latin.txt", "cannot be read as text in UTF-8"),
        ("text.mp4", r"no film or sound that can be read \(.*\); texts end in \.txt"),
        ("list.m3u8", "no film or sound that can be read"),
    ],
)
def test_a_file_of_which_nothing_can_be_made_is_named_with_the_reason(
    trained: Predictor, tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    (tmp_path / "text.mp4").write_text("no film")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")
    with pytest.raises(RecordingError, match=f"^{re.escape(str(tmp_path / name))}: {reason}"):
        trained.predict(tmp_path / name)


def test_the_exported_folder_works_elsewhere_with_nothing_of_the_project_at_hand(
    trained: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert export(trained.folder, tmp_path / "copy") == ["face", "asr", "audio", "text"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert load("copy").predict_text("I am so glad") == trained.predict_text("I am so glad")
    assert not (tmp_path / "cache").exists()


def test_a_person_reads_a_table_of_one_utterance_and_a_time_line_of_several(
    trained: Predictor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "words.txt").write_text("I am so glad\nI hate it\n")
    said = trained.predict_text("I am so glad").labels
    asked = ["--model", str(trained.folder), str(tmp_path / "words.txt"), "--text", "I am so glad"]
    assert command.predict(command.parser().parse_args(asked)) == 0
    head, first, second, table = capsys.readouterr().out.strip().partition("words.txt")[2].strip().split("\n", 3)
    assert head.split()[:5] == ["start", "end", *list(said)[:3]]
    assert first.endswith("  I am so glad")
    assert second.endswith("  I hate it")
    marks = {"yes": "*", "no": "", "unsure": "?"}
    cells = [f"{one.probability:.2f}{marks[one.answer]}" for one in said.values()]
    assert first.split()[: len(said)] == cells
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines() if "%" in line}
    assert rows.keys() == {*said, "noise:", "ambiguity:"}
    for label, one in said.items():
        assert rows[label][0] == f"{one.probability:.2f}"
        assert rows[label][-3:] == [f"{one.sigma['text']:.0%}", "–", "–"]


def test_a_network_of_sound_alone_does_without_the_picture(
    sample_run: Workspace, trained: Predictor, unheard: dict[str, str], tmp_path: Path
) -> None:
    config = LDDUConfig(dims={"audio": trained.network.config.dims["audio"]}, labels=1, layers=1)
    card = weights.Card(["glad"], 1, [0.5], weights.Learned("films", False, 3, 1))
    weights.save(tmp_path, LDDU(config).state_dict(), config, card)
    quantiles.write(tmp_path, {name: np.zeros((1, 1)) for name in ("audio", "noise_audio", "ambiguity_audio")})
    judgement.write(tmp_path, unlearned(["audio"], 1))
    manual = json.loads((sample_run.folder / predictor.FOLDER / predictor.FILE).read_text())
    (tmp_path / predictor.FILE).write_text(json.dumps(manual | {"thresholds": {"glad": 0.4}}))
    (tmp_path.parent / "models").symlink_to(sample_run.folder / "data/models")
    (found,) = load(tmp_path).predict(sample_run.folder / "data/sample" / unheard["media"])
    assert found.modalities == ("audio",)
    assert found.refused == []
    assert found.transcript is not None
    assert predictor.roles(params.load(ROOT / "params.yaml"), ["audio"]) == ["asr", "audio"]


def test_a_network_of_published_features_says_that_it_takes_no_recordings(trained: Predictor, tmp_path: Path) -> None:
    shutil.copytree(trained.folder, tmp_path / "published")
    path = tmp_path / "published" / predictor.FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"preparation": None}))
    with pytest.raises(RecordingError, match="was trained on published features"):
        load(tmp_path / "published").predict("any.mp4")


@pytest.mark.parametrize("tuned", [True, False])
def test_the_stage_takes_a_threshold_a_label_and_the_text_encoder_that_no_source_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tuned: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = params.load(ROOT / "params.yaml")
    labels = settings.corpus.labels
    thresholds = {label: 0.1 + i / 10 for i, label in enumerate(labels)}
    files = {
        "data/model/weights.safetensors": "",
        "data/model/config.json": "",
        "data/predictions/train.csv": "",
        "metrics/valid.json": json.dumps({"threshold": 0.35, "thresholds": thresholds} if tuned else {"threshold": 0.35}),
        "data/text_model/model.json": json.dumps({"source": "hub:a/b@c", **({"tuned": {}} if tuned else {})}),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    quantiles.write(tmp_path / "data/predictions", {"text": np.zeros((1, len(labels)))})
    judgement.write(tmp_path / "data/predictions", unlearned(["text"], len(labels)))
    predictor.predictor(settings)
    manual = predictor.read(predictor.FOLDER)
    assert manual.thresholds == (thresholds if tuned else dict.fromkeys(labels, 0.35))
    assert [getattr(manual.preparation, name) for name in SECTIONS] == [getattr(settings, name) for name in SECTIONS]
    assert (predictor.FOLDER / "networks/text/model.json").is_file() == tuned
    assert not (predictor.FOLDER / speakers.FILE).exists()
    (tmp_path / "data/tensors").mkdir()
    save_file({"audio_usual_mean": np.ones(2)}, tmp_path / "data/tensors" / speakers.FILE)
    predictor.predictor(settings.model_copy(update={"align": settings.align.model_copy(update={"normalise": ["audio"]})}))
    with pytest.raises(predictor.PredictorError, match=r"statistics\.safetensors is missing or damaged.*audio_usual_deviation"):
        Predictor(predictor.FOLDER, "cpu").predict("any.wav")
    predictor.predictor(settings.model_copy(update={"tensors": "data/features/mosei"}))
    assert predictor.read(predictor.FOLDER).preparation is None
    assert not (predictor.FOLDER / "networks").exists()


def test_a_folder_that_is_no_predictor_is_named_with_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(predictor.PredictorError, match=r"predictor\.json is not there: .*dvc repro predictor"):
        load(tmp_path)
    (tmp_path / predictor.FILE).write_text('{"thresholds": {"glad": 0.5}, "preparation": {"models": {}}}')
    with pytest.raises(predictor.PredictorError, match="another version of this program"):
        load(tmp_path)


def test_a_folder_that_was_copied_in_part_is_named_with_what_is_missing(trained: Predictor, tmp_path: Path) -> None:
    for name in (predictor.FILE, quantiles.FILE, *judgement.FILES):
        with pytest.raises(predictor.PredictorError, match=f"{name} is not there"):
            load(tmp_path)
        shutil.copy(trained.folder / name, tmp_path)
    with pytest.raises(predictor.PredictorError, match=r"config\.json is not there"):
        load(tmp_path)


def test_the_example_of_the_readme_runs(
    sample_run: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(sample_run.folder)
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    (utterance,) = Predictor(Path("data/predictor")).predict("data/sample/films/speaker00_0000.mp4")
    is_heard = not [row for row in utterance.refused if row.stage == "transcripts"]  # a text is there, or why it is not
    modalities = ["text"] * is_heard + ["audio", "vision"]
    assert re.search(rf"^0\.0 to \d+\.\d s, from {', '.join(modalities)}$", printed, re.MULTILINE)
    assert set(re.findall(r"^(\w+): 0\.\d\d, (?:yes|no|unsure), doubt 0\.\d", printed, re.MULTILINE)) == set(
        params.load().corpus.labels
    )


def test_the_installed_command_is_the_modules(sample_run: Workspace) -> None:
    import tomllib
    from importlib.metadata import EntryPoint

    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    from lddu.__main__ import main

    assert EntryPoint("lddu", scripts["lddu"], "console_scripts").load() is main


def test_tensors_are_predicted_and_those_of_another_kind_refused(
    sample_run: Workspace, trained: Predictor, tmp_path: Path
) -> None:
    folder = tmp_path / "tensors"
    shutil.copytree(sample_run.folder / "data/tensors", folder)
    found = trained.predict_tensors(folder, "test")
    for row in rows(sample_run.folder / "data/predictions/test.csv"):
        for label, said in found[row["clip_id"]].labels.items():
            assert said.probability == pytest.approx(float(row[f"{label}_probability"]), abs=1e-4)
    other = json.loads((folder / "passport.json").read_text(encoding="utf-8"))
    other["modalities"]["audio"]["encoder"]["layer"] = [1, -1]
    (folder / "passport.json").write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(
        predictor.PredictorError, match=r"features of another kind .*\n.*audio\.encoder\.layer: \[2, -1\] \| \[1, -1\]"
    ):
        trained.predict_tensors(folder, "test")
    (folder / "passport.json").unlink()
    with pytest.raises(predictor.PredictorError, match=r"passport\.json is not there"):
        trained.predict_tensors(folder, "test")


def test_files_for_other_programs_are_written_by_predict_and_by_write(
    sample_run: Workspace, unheard: dict[str, str], tmp_path: Path
) -> None:
    film = sample_run.folder / "data/sample" / unheard["media"]
    outputs = [str(tmp_path / f"talk.{ending}") for ending in ("json", "csv", "parquet", "vtt", "srt", "TextGrid", "eaf")]
    options = [option for output in outputs for option in ("-o", output)]
    sample_run.program("python", "-m", "lddu", "predict", str(film), *options)
    assert all(Path(output).stat().st_size for output in outputs)
    printed = sample_run.program("python", "-m", "lddu", "predict", str(film), "-o", str(tmp_path / "talk.docx"), fails=True)
    assert "nobody knows this ending; known are .html, .json, .csv" in printed
    names = ["-o", str(tmp_path / "all.json"), "-o", str(tmp_path / "{name}.eaf")]
    assert "all.json: everything" in sample_run.program("python", "-m", "lddu", "write", *names)
    written = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))["recordings"]
    table = {row["clip_id"]: row for row in rows(sample_run.folder / "data/predictions/test.csv")}
    utterances = [utterance for recording in written for utterance in recording["utterances"]]
    assert {utterance["clip_id"] for utterance in utterances} == set(table)
    for utterance in utterances:
        agrees(utterance["labels"], table[utterance["clip_id"]])
    assert len(list(tmp_path.glob("*.eaf"))) == 1 + sum(bool(recording["utterances"][0]["end"]) for recording in written)
