"""What a store key is made of: every source and library that can change a byte of a clip, and nothing that cannot."""

from importlib import metadata
from pathlib import Path

import pytest

from preprocess.run import sources
from preprocess.stages.manifest import Seen

STAGES = ("frames", "audio", "faces", "transcripts", "encode_text", "encode_audio", "encode_vision")


def digests() -> dict[str, str]:
    return {stage: sources.digest(f"preprocess.stages.{stage}") for stage in STAGES}


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    """The digests of the sources and libraries as they are."""
    return digests()


def changed(before: dict[str, str]) -> set[str]:
    return {stage for stage, digest in digests().items() if digest != before[stage]}


def raised(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """Have a library of another version installed."""
    monkeypatch.setattr(sources, "version", lambda name: metadata.version(name) + ("+next" if name == library else ""))


def edited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """Have another comment in a module of the repository."""
    copy = tmp_path / "edited.py"
    copy.write_bytes(sources.file_of(name).read_bytes() + b"# edited\n")
    original = sources.file_of
    monkeypatch.setattr(sources, "file_of", lambda asked: copy if asked == name else original(asked))


@pytest.mark.parametrize(
    ("library", "stages"),
    [
        ("tokenizers", {"transcripts", "encode_text"}),  # the stages of texts, to hear and to encode them
        ("onnxruntime", {"transcripts"}),  # beneath the G2P
        ("tqdm", set()),
        ("mediapipe", {"faces"}),
        ("imageio-ffmpeg", {"frames", "audio", "faces"}),
        ("nvidia-cublas", {"transcripts", "encode_text", "encode_audio", "encode_vision"}),
    ],
)
def test_a_library_asks_again_for_what_it_can_change(
    before: dict[str, str], monkeypatch: pytest.MonkeyPatch, library: str, stages: set[str]
) -> None:
    raised(monkeypatch, library)
    assert changed(before) == stages


@pytest.mark.parametrize("name", ["progress", "work", "stage", "sources"])
def test_how_work_is_done_and_shown_asks_for_nothing(
    before: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    edited(monkeypatch, tmp_path, f"preprocess.run.{name}")
    assert changed(before) == set()


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("preprocess.stages.frames", {"frames"}),
        ("preprocess.media.decoder", {"frames", "audio", "faces"}),
        ("preprocess.face.landmarks", {"faces"}),
        ("preprocess.encoders.text_encoder", {"encode_text"}),
        ("preprocess.store.entries", set(STAGES)),
    ],
)
def test_a_source_asks_again_for_what_rests_on_it(
    before: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, stages: set[str]
) -> None:
    edited(monkeypatch, tmp_path, name)
    assert changed(before) == stages


def test_an_aligner_for_chinese_brings_neither_pocketsphinx_nor_whisper() -> None:
    assert not {"preprocess.speech.alignment", "preprocess.encoders.whisper"} & sources.modules("preprocess.encoders.ctc")
    assert not {"pocketsphinx", "hibari-tts"} & {name for name, _ in sources.libraries("preprocess.encoders.ctc")}


def test_a_recording_reaches_into_no_corpus_adapter() -> None:
    assert not [module for module in sources.modules("preprocess.recording") if module.startswith("preprocess.corpora")]


def test_the_manifest_s_notes_are_of_these_sources(tmp_path: Path) -> None:
    assert Seen(tmp_path, tmp_path).made_by == sources.digest("preprocess.stages.manifest")
