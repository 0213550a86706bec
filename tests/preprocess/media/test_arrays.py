from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

import params
from preprocess.media import arrays, probe
from preprocess.stages import audio
from tests.conftest import ROOT


@pytest.mark.parametrize("seen", [True, False])
def test_arrays_come_back_from_the_file_as_they_were(tmp_path: Path, seen: bool) -> None:
    generator = np.random.default_rng(0)
    wave = generator.normal(0, 0.1, 32001).astype(np.float32)
    pictures = generator.integers(0, 256, (20, 48, 64, 3), np.uint8) if seen else None
    arrays.write(tmp_path / "a.mkv", wave, 16000, pictures, 10.0)
    streams = probe.streams_of(tmp_path / "a.mkv")
    assert (streams.sample_rate, streams.width, streams.frame_rate) == ((16000, 64, 10.0) if seen else (16000, 0, 0.0))
    assert streams.duration == pytest.approx(2.0, abs=0.01)
    audio.write(tmp_path / "a.mkv", 0.0, streams.duration, params.load(ROOT / "params.yaml").decoder, tmp_path / "a.flac")
    heard, _ = soundfile.read(tmp_path / "a.flac", dtype="float32")
    assert len(heard) == pytest.approx(len(wave), abs=16)
    assert heard == pytest.approx(wave[: len(heard)], abs=2e-5)  # of 16 bits
    if pictures is not None:
        with av.open(str(tmp_path / "a.mkv")) as film:
            assert np.array_equal(np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]), pictures)
