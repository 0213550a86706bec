"""Encoders of every kind that users name: what they give, in either precision, alone and together."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import soundfile
import torch
import transformers as hf
from safetensors.numpy import load_file
from safetensors.torch import save_file

import params
from params import ParameterError
from preprocess.clips import Task
from preprocess.encoders import image_encoder as crops
from preprocess.encoders import prosody, sound_encoder, text_encoder, transcription, whisper
from preprocess.encoders.networks import CLASSIFIER, device, require_layer
from preprocess.encoders.states import FILE, TimedStates, WordStates
from preprocess.face.track import FaceTrack
from preprocess.media import sound as sounds
from preprocess.media.sound import FILE as FLAC
from preprocess.stages import encode_audio, encode_text, encode_vision
from preprocess.store import shards
from preprocess.store.entries import Store
from preprocess.store.shards import Shards
from tests.preprocess import networks

# How far states of clips that are read together may be from those of single ones, as a share of their deviation.
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.05}
PRECISIONS = list(TOLERANCE)
WORDS = [["I", "am", "glad"], ["so"], list("我很高兴吗"), ["so", "am", "I"] * 12]

Network = Callable[..., Path]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """The folder of a small network of a kind, made once."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            made[kind] = networks.seeded(getattr(networks, kind), tmp_path_factory.mktemp("networks") / kind)
        return made[kind]

    return make


def text(
    precision: str = "float32", layer: params.Layers = 1, pooling: str = "mean", classifier: bool = False
) -> params.EncodeText:
    return params.EncodeText(layer=layer, classifier=classifier, pooling=pooling, precision=precision, batch_size=1)


def sound(precision: str = "float32", layer: params.Layers = 1, features: str = "network") -> params.EncodeAudio:
    return params.EncodeAudio(features=features, layer=layer, padded=False, precision=precision, batch_size=1)


def vision(
    precision: str = "float32", features: str = "network", pooling: str = "first", layer: params.Layers = 1
) -> params.EncodeVision:
    return params.EncodeVision(
        features=features, dynamics=False, layer=layer, pooling=pooling, precision=precision, batch_size=16
    )


def transcripts(language: str) -> params.Transcripts:
    return params.Transcripts(
        language=language, aligner="pocketsphinx", characters="as_written", silence=5.0, tokens_per_second=10.0
    )


def waves(*samples: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.normal(0, 0.1, count).astype(np.float32) for count in samples]


def agree(one: WordStates | TimedStates, other: WordStates | TimedStates, precision: str) -> None:
    assert one.states.dtype == other.states.dtype == np.float32
    assert one.states.shape == other.states.shape
    assert np.abs(one.states - other.states).max() <= TOLERANCE[precision] * one.states.std()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_texts_read_together_have_the_states_of_single_ones(network: Network, kind: str, precision: str) -> None:
    folder = network(kind)
    together = text_encoder.encode(WORDS, folder, "cpu", text(precision), together=3)
    for spoken, found in zip(WORDS, together, strict=True):
        (alone,) = text_encoder.encode([spoken], folder, "cpu", text(precision))
        agree(alone, found, precision)
        assert found.words.tolist() == alone.words.tolist()
        assert set(found.words.tolist()) == set(range(len(spoken)))  # long ones too, read in windows


def test_a_hidden_layer_of_a_text_is_that_of_the_stock_network(network: Network) -> None:
    folder = network("bert")
    tokens = hf.AutoTokenizer.from_pretrained(folder)("I am glad", return_tensors="pt")
    with torch.inference_mode():
        stock = hf.AutoModel.from_pretrained(folder)(**tokens, output_hidden_states=True).hidden_states
    for layer in (0, 1, -1):
        (found,) = text_encoder.encode([["I", "am", "glad"]], folder, "cpu", text(layer=layer))
        torch.testing.assert_close(torch.from_numpy(found.states), stock[layer][0, 1:-1])


def test_logits_of_the_tuned_classifier_stand_beside_the_states(network: Network, tmp_path: Path) -> None:
    folder = shutil.copytree(network("bert"), tmp_path / "tuned")
    with pytest.raises(params.ParameterError, match=r"tuned has none; tune\.text\.epochs must be above 0"):
        list(text_encoder.encode([["glad"]], folder, "cpu", text(classifier=True)))
    (last,) = text_encoder.encode([["so", "glad"]], folder, "cpu", text(layer=-1))
    tensors = {"weight": torch.randn(2, last.states.shape[1]), "bias": torch.randn(2)}
    save_file(tensors, folder / CLASSIFIER)
    (plain,) = text_encoder.encode([["so", "glad"]], folder, "cpu", text(layer=1))
    (found,) = text_encoder.encode([["so", "glad"]], folder, "cpu", text(layer=1, classifier=True))
    assert np.array_equal(found.states[:, :-2], plain.states)
    logits = torch.from_numpy(last.states) @ tensors["weight"].T + tensors["bias"]
    torch.testing.assert_close(torch.from_numpy(found.states[:, -2:]), logits)


def test_a_word_is_all_its_tokens_or_the_first_or_the_last(network: Network) -> None:
    found = {}
    for pooling in ("mean", "first", "last"):
        (found[pooling],) = text_encoder.encode([["I", "glad", "so"]], network("bert"), "cpu", text(pooling=pooling))
    assert found["mean"].words.tolist() == [0, 1, 1, 2]
    assert found["first"].words.tolist() == found["last"].words.tolist() == [0, 1, 2]
    assert np.array_equal(found["first"].states, found["mean"].states[[0, 1, 3]])
    assert np.array_equal(found["last"].states, found["mean"].states[[0, 2, 3]])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm", "whisper"])
def test_sounds_read_together_have_the_states_of_single_ones(network: Network, kind: str, precision: str) -> None:
    clips = waves(16000, 12345, 12345, 40, 30 * 16000)
    together = sound_encoder.encode(clips, network(kind), "cpu", sound(precision), together=3)
    for wave, found in zip(clips, together, strict=True):
        (alone,) = sound_encoder.encode([wave], network(kind), "cpu", sound(precision))
        agree(alone, found, precision)
        assert found.times[0, 0] == 0
        assert found.times[-1, 1] == pytest.approx(len(wave) / 16000)
        assert np.array_equal(found.times, alone.times)


@pytest.mark.parametrize("kind", ["wav2vec2", "whisper"])
def test_a_sound_longer_than_the_window_is_read_in_windows_beside_short_ones(
    network: Network, tmp_path: Path, kind: str
) -> None:
    samples = {"long": 61 * 16000, "short": 12345, "window": 30 * 16000}
    kept = Store(tmp_path / "store")
    for clip_id, wave in zip(samples, waves(*samples.values()), strict=True):
        with kept.workplace() as workplace:
            entry = Path(workplace) / "entry"
            entry.mkdir()
            soundfile.write(entry / FLAC, wave, 16000, format="FLAC")
            kept.add(clip_id, entry)
    shards.write(tmp_path / "audio", {clip_id: kept.path(clip_id) for clip_id in samples})
    tasks = [Task(clip_id, {}, 0.0, str(tmp_path / "audio")) for clip_id in samples]
    folders = [tmp_path / "together" / clip_id for clip_id in samples]
    for folder in folders:
        folder.mkdir(parents=True)
    encode_audio.states_of_several(tasks, folders, sound(), network(kind), "cpu", together=3)
    for task, folder in zip(tasks, folders, strict=True):
        encode_audio.states_of(task, tmp_path, sound(), network(kind), "cpu")
        alone, found = (TimedStates(**load_file(path / FILE)) for path in (tmp_path, folder))
        agree(alone, found, "float32")
        assert np.array_equal(found.times, alone.times)
        assert np.diff(found.times[:, 0]).min() > 0
        assert found.times[-1, 1] == pytest.approx(samples[task.clip_id] / 16000)
    lengths = {folder.name: len(load_file(folder / FILE)["states"]) for folder in folders}
    assert lengths["long"] == pytest.approx(61 / 30 * lengths["window"], abs=2)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", ["clip", "vit"])
def test_a_picture_has_the_states_of_the_stock_network(network: Network, kind: str, precision: str) -> None:
    folder = network(kind)
    pictures = list(np.random.default_rng(0).integers(0, 256, (vision().batch_size + 2, 40, 40, 3), np.uint8))
    processor = hf.AutoImageProcessor.from_pretrained(folder)
    stock = crops.kind(folder).from_pretrained(folder)
    with torch.inference_mode():
        pixels = processor(images=pictures, return_tensors="pt").pixel_values
        hidden = stock(pixel_values=pixels, output_hidden_states=True).hidden_states[1].numpy()
    for pooling, expected in (("first", hidden[:, 0]), ("mean", hidden.mean(1))):
        found = crops.encode(iter(pictures), folder, "cpu", vision(precision, pooling=pooling))
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() <= TOLERANCE[precision] * hidden.std()


def test_a_face_is_its_blendshapes_its_picture_or_both_and_frames_without_one_are_not_looked_at(network: Network) -> None:
    present = np.array([True, False, True])
    track = FaceTrack(
        times=np.array([0, 0.1, 0.2], np.float32),
        present=present,
        others=np.zeros(3, np.int32),
        height=np.full(3, 100, np.float32),
        landmarks=np.zeros((3, 478, 3), np.float32),
        blendshapes=np.full((3, 52), 0.5, np.float32),
        pose=np.tile(np.eye(4, dtype=np.float32), (3, 1, 1)),
    )
    pictures = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), np.uint8)
    widths = {"blendshapes": 58, "network": 16, "both": 74}
    found = {
        features: encode_vision.encode(track, iter(pictures), vision(features=features), network("vit"))[0]
        for features in widths
    }
    assert {features: states.shape for features, states in found.items()} == {k: (3, n) for k, n in widths.items()}
    assert np.array_equal(found["both"], np.hstack([found["blendshapes"], found["network"]]))
    assert not found["both"][1].any()
    pictures[1] = 0
    again, seen = encode_vision.encode(track, iter(pictures), vision(), network("vit"))
    assert np.array_equal(again, found["network"])
    assert seen.tolist() == present.tolist()


Encode = Callable[[Path, params.Layers], np.ndarray]


def of_a_text(folder: Path, layer: params.Layers) -> np.ndarray:
    (found,) = text_encoder.encode(WORDS[:1], folder, "cpu", text(layer=layer))
    return found.states


def of_a_sound(folder: Path, layer: params.Layers) -> np.ndarray:
    (found,) = sound_encoder.encode(waves(16000), folder, "cpu", sound(layer=layer, features="both"))
    return found.states[:, : -len(prosody.NAMES)]


def of_pictures(folder: Path, layer: params.Layers) -> np.ndarray:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), np.uint8)
    return crops.encode(iter(pictures), folder, "cpu", vision(layer=layer))


@pytest.mark.parametrize(
    ("encode", "kind"),
    [(of_a_text, "bert"), (of_a_sound, "whisper"), (of_a_sound, "wavlm"), (of_pictures, "clip")],
)
def test_several_layers_are_the_single_ones_side_by_side_in_their_order(network: Network, encode: Encode, kind: str) -> None:
    folder = network(kind)
    single = {layer: encode(folder, layer) for layer in (0, 1, -1)}
    assert not np.array_equal(single[1], single[-1])
    assert np.array_equal(encode(folder, [-1, 0]), np.hstack([single[-1], single[0]]))
    assert np.array_equal(encode(folder, [1]), single[1])


def test_no_picture_has_the_width_of_all_layers(network: Network) -> None:
    assert crops.encode(iter([]), network("clip"), "cpu", vision(layer=[0, 1, 2])).shape == (0, 48)


def test_a_layer_is_checked_against_the_part_of_a_network_that_sees(network: Network) -> None:
    require_layer("encode.vision.layer", -3, network("clip"))
    with pytest.raises(ParameterError, match=r"encode\.vision\.layer is 3: .* takes -3 to 2"):
        require_layer("encode.vision.layer", 3, network("clip"))
    with pytest.raises(ParameterError, match=r"encode\.vision\.layer is 4: .* takes -3 to 2"):
        require_layer("encode.vision.layer", [0, 4], network("clip"))
    with pytest.raises(ParameterError, match=r"encode\.text\.layer is 9: .* has 2 layers"):
        encode_text.states_of_several([], [], text(layer=9), network("bert"), "cpu")
    with pytest.raises(ParameterError, match=r"encode\.audio\.layer is 9: .* has 2 layers"):
        encode_audio.states_of_several([], [], sound(layer=9), network("whisper"), "cpu")


def test_a_network_of_another_kind_is_refused_by_its_role(network: Network, tmp_path: Path) -> None:
    folder = networks.seeded(networks.bert, tmp_path / "aligner")
    from preprocess.encoders import ctc

    with pytest.raises(ParameterError, match=r"models\.aligner: .*AutoModelForCTC"):
        ctc.align(waves(16000)[0], ["hi"], folder, "cpu")


def decoded(folder: Path, language: str) -> str:
    """What a network with random weights makes of noise: some letters, of which it is never sure."""
    (states,) = whisper.encode(folder, [whisper.mel(folder, waves(16000)[0], "cpu")], "cpu")
    text, scores = transcription._decode(folder, states, "cpu", language, max_new_tokens=20)
    assert len(scores) == len(text)
    assert max(scores) < 0
    return text


def test_a_multilingual_whisper_is_told_its_language_or_finds_it_out(network: Network) -> None:
    texts = {language: decoded(network("multilingual"), language) for language in ("auto", "zh", "en")}
    assert all(set(text) <= set("abcdefgh ") and text for text in texts.values())
    assert texts["auto"] in (texts["zh"], texts["en"])


def test_a_multilingual_whisper_says_when_another_language_is_spoken(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = network("multilingual")
    (states,) = whisper.encode(folder, [whisper.mel(folder, waves(16000)[0], "cpu")], "cpu")
    monkeypatch.setattr(transcription, "SURE_OF_LANGUAGE", 0.5)  # one of two languages is always that likely
    others = {language: transcription.other_language(folder, states, "cpu", language) for language in ("auto", "zh", "en")}
    assert not others["auto"]
    assert sorted(map(bool, (others["zh"], others["en"]))) == [False, True]
    assert "is spoken, with probability" in others["zh"] + others["en"]


@pytest.mark.parametrize(("kind", "known"), [("multilingual", "en, zh"), ("whisper", "en alone")])
def test_a_language_that_the_transcriber_lacks_is_named_with_those_that_it_has(network: Network, kind: str, known: str) -> None:
    with pytest.raises(ParameterError, match=rf"transcripts\.language is 'fr', but models\.asr knows {known}"):
        transcription.task_of(hf.WhisperForConditionalGeneration.from_pretrained(network(kind)), "fr")


@pytest.mark.parametrize(("asked", "reason"), [("gpu", "auto, cpu, cuda or cuda:N is expected"), ("cuda:99", "torch sees")])
def test_a_device_that_is_not_there_is_named(asked: str, reason: str) -> None:
    with pytest.raises(ParameterError, match=f"device '?{asked}'?: {reason}"):
        device(asked)


# Prosody


def voice(hertz: np.ndarray, seconds: float = 1.0) -> np.ndarray:
    """A buzz of this pitch, with a little noise."""
    phase = np.cumsum(np.broadcast_to(hertz, int(seconds * 16000))) / 16000
    buzz = sum(np.sin(2 * np.pi * k * phase) / k for k in range(1, int(5000 / np.max(hertz))))
    return (0.2 * buzz + np.random.default_rng(0).normal(0, 0.002, len(phase))).astype(np.float32)


def described(wave: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(prosody.NAMES, prosody.encode(wave).states.T, strict=True))


@pytest.mark.parametrize("hertz", [75, 110, 220, 330, 470])
def test_the_pitch_of_a_voice_is_heard_to_a_twentieth_of_a_semitone(hertz: float) -> None:
    found = described(voice(np.array(hertz)))
    assert found["pitch"][3:-3] == pytest.approx(12 * np.log2(hertz / 27.5), abs=0.05)
    assert found["voicing"][3:-3].min() > 0.9


def test_a_rising_pitch_rises_and_is_carried_through_a_pause() -> None:
    wave = voice(np.linspace(100, 200, 16000))
    wave[6400:9600] = 0
    found = described(wave)
    expected = 12 * np.log2(np.linspace(100, 200, 100) / 27.5)
    assert found["pitch"][5:-5] == pytest.approx(expected[5:-5], abs=0.3)
    assert found["pitch_change"][65:-5].mean() == pytest.approx(np.diff(expected)[65:-5].mean() * 100, rel=0.1)
    assert found["voicing"][45:55].max() < 0.5


def test_energy_is_that_of_the_samples() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    assert described(tone)["energy"][3:-3] == pytest.approx(10 * np.log10(0.125), abs=0.05)
    assert described(tone / 10)["energy"][3:-3] == pytest.approx(10 * np.log10(0.00125), abs=0.05)


def test_a_bright_sound_differs_from_a_dark_one_in_the_spectrum_alone() -> None:
    times = np.arange(16000) / 16000
    dark, bright = (
        described((np.sin(2 * np.pi * 200 * times) + level * np.sin(2 * np.pi * 3000 * times)).astype(np.float32) * 0.1)
        for level in (0.01, 1.0)
    )
    assert dark["alpha_ratio"].mean() == pytest.approx(40, abs=1)
    assert bright["alpha_ratio"].mean() == pytest.approx(0, abs=1)
    assert dark["centroid"].mean() < 0.25 < 1.5 < bright["centroid"].mean()


@pytest.mark.parametrize("samples", [0, 1, 159, 161, 16000])
def test_silence_of_any_length_has_finite_descriptors_that_cover_it(samples: int) -> None:
    found = prosody.encode(np.zeros(samples, np.float32))
    assert np.isfinite(found.states).all()
    assert found.states.shape == (max(1, -(-samples // 160)), len(prosody.NAMES))
    assert found.times[-1, 1] == pytest.approx(max(samples, 1) / 16000)


@pytest.mark.parametrize("features", ["prosody", "both"])
def test_the_prosody_of_a_long_clip_is_that_of_one_pass_through_it(network: Network, tmp_path: Path, features: str) -> None:
    """The stage reads 30 s at a time; the loudest voice, and pitch on both sides of a pause, may lie in other pieces."""
    quiet, loud = voice(np.array(120.0), 32) / 80, voice(np.linspace(150, 250, 16000 * 6), 6)
    wave = np.concatenate([quiet, np.zeros(16000 * 25, np.float32), loud])
    with TemporaryDirectory(dir=tmp_path) as made:
        soundfile.write(Path(made) / FLAC, wave, 16000, format="FLAC")
        kept = Store(tmp_path / "store")
        kept.add("long", Path(made))
    shards.write(tmp_path / "audio", {"long": kept.path("long")})
    (heard,) = sounds.blocks(Shards(tmp_path / "audio"), "long", 63)
    one_pass = prosody.describe([heard])
    entry = tmp_path / "entry"
    entry.mkdir()
    task = Task("long", {}, 63, str(tmp_path / "audio"))
    encode_audio.states_of(task, entry, sound(features=features), network("whisper"), "cpu")
    found = load_file(entry / "safetensors")
    assert found["times"][-1, 1] == pytest.approx(63)
    if features == "both":
        one_pass = one_pass.reshape(len(found["states"]), 2, -1).mean(1)
    assert found["states"][:, -len(prosody.NAMES) :] == pytest.approx(one_pass, abs=0.01)


def test_prosody_stands_behind_a_networks_states_as_the_mean_over_their_time(network: Network) -> None:
    (wave,) = waves(16000)
    folder = network("whisper")
    (alone,), (own,), (both,) = (
        sound_encoder.encode([wave], folder, "cpu", sound(features=features)) for features in ("network", "prosody", "both")
    )
    assert np.array_equal(both.states[:, :16], alone.states)
    assert both.states[:, 16:] == pytest.approx(own.states.reshape(50, 2, -1).mean(1), abs=1e-3)
