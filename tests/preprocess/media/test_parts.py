"""The sound and the pictures of a part are those of the recording there, in every container, rate and layout."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import params
from preprocess.media import film, probe
from preprocess.stages import audio, frames
from tests import clock
from tests.conftest import ROOT

SETTINGS = params.load(ROOT / "params.yaml")
X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-bf", "2"]
MPEG2 = ["-c:v", "mpeg2video", "-b:v", "2M", "-g", "50", "-c:a", "mp2"]
AAC, OPUS = ["-c:a", "aac"], ["-c:a", "libopus"]
FILMS: dict[str, list[str]] = {
    "a.mp4": [*X264, *AAC],
    "a.mov": [*X264, "-c:a", "pcm_s16le"],
    "a.mkv": [*X264, "-c:a", "flac"],
    "a.webm": ["-c:v", "libvpx", "-b:v", "1M", "-deadline", "realtime", "-cpu-used", "8", *OPUS],
    "a.avi": ["-c:v", "mpeg4", "-q:v", "2", "-c:a", "libmp3lame"],
    "a.ts": [*X264, *AAC],
    "a.mts": ["-f", "mpegts", *X264, "-c:a", "ac3"],
    "a.mpg": MPEG2,
    "a.flv": [*X264, *AAC],
    "a.3gp": ["-c:v", "mpeg4", "-q:v", "2", *AAC],
    "fragmented.mp4": [*X264, *AAC, "-movflags", "+frag_keyframe+delay_moov"],
    "live.mkv": [*X264, *AAC, "-live", "1"],
}  # fmt: skip
SOUNDS: dict[str, list[str]] = {
    "a.wav": [],
    "a.flac": [],
    "a.mp3": ["-c:a", "libmp3lame"],
    "a.ogg": ["-c:a", "libvorbis"],
    "a.opus": OPUS,
    "a.m4a": AAC,
    "a.aac": AAC,
    "a.mka": ["-c:a", "libvorbis"],
    "a.au": [],
    "a.caf": [],
    "a.wv": [],
}
PRIMING = 0.07  # seconds: no codec here has a longer frame


def heard(source: Path, start: float, end: float, target: Path) -> np.ndarray:
    """The samples (n,) of a part."""
    audio.write(source, start, end, SETTINGS.decoder, target, probe.streams_of(source).reading)
    return soundfile.read(target, dtype="float32")[0]


def seen(source: Path, start: float, end: float, target: Path) -> list[tuple[float, int]]:
    """Seconds and number of each picture of a part."""
    frames.write(source, start, end, SETTINGS.frames, SETTINGS.decoder, target, probe.streams_of(source).reading)
    with target.open("rb") as file:
        return [(seconds, clock.number_of(shown)) for seconds, shown in film.read(file)]


def require_in_time(source: Path, start: float, end: float, late: float = 0.0) -> None:
    """Sound and pictures of a part say the moment at which they stand, and none is missing."""
    samples = heard(source, start, end, source.with_name("part.flac"))
    assert len(samples) / 16000 == pytest.approx(end - start, abs=PRIMING)
    assert clock.drift(samples, start) < PRIMING
    times = np.arange(0.2, end - start - 0.2, 0.25)
    assert all(np.isfinite(clock.moment(samples, at)) for at in times if start + at > late + 0.2)
    pictures = seen(source, start, end, source.with_name("part.mkv"))
    assert len(pictures) == pytest.approx((end - start) * SETTINGS.frames.rate, abs=1)
    for seconds, number in pictures:
        assert start + seconds == pytest.approx(number / 25, abs=0.041)


@pytest.mark.parametrize("name", FILMS)
def test_a_part_of_a_film_is_what_the_film_is_there(tmp_path: Path, name: str) -> None:
    rate = 44100 if name == "a.flv" else 48000
    source = clock.write_film(tmp_path / name, 15.0, FILMS[name], rate=rate)
    assert probe.streams_of(source).duration == pytest.approx(15.0, abs=0.1)
    for start, end in ((0.0, 1.0), (1.3, 3.0), (12.6, 14.2)):
        require_in_time(source, start, end)


def delay_in_avi(path: Path, late: float) -> None:
    """Write into a header when the sound begins, as ffmpeg does not: dwStart of its stream, in the stream's unit of time."""
    data = bytearray(path.read_bytes())
    times = data.index(b"auds") + 20  # scale, rate, start
    scale, rate = struct.unpack_from("<II", data, times)
    struct.pack_into("<I", data, times + 8, round(late * rate / scale))
    path.write_bytes(data)


@pytest.mark.parametrize("name", FILMS)
def test_sound_that_comes_late_stays_late(tmp_path: Path, name: str) -> None:
    rate = 44100 if name == "a.flv" else 48000
    source = clock.write_film(tmp_path / name, 5.0, FILMS[name], rate=rate, late=1.48)
    if name == "a.avi":
        delay_in_avi(source, 1.48)
    for start, end in ((0.0, 2.5), (2.6, 4.2)):
        require_in_time(source, start, end, late=1.48)


def require_equal(part: np.ndarray, whole: np.ndarray, start: float) -> None:
    """The samples of a part are those of the whole recording there, but for the codec's priming at its beginning."""
    there = whole[round(start * 16000) :][: len(part)]
    skipped = round(PRIMING * 16000)
    assert np.abs(part[: len(there)] - there)[skipped:].max() < 0.02


@pytest.mark.parametrize("name", SOUNDS)
def test_a_part_of_a_sound_is_what_the_sound_is_there(tmp_path: Path, name: str) -> None:
    source = clock.write_sound(tmp_path / name, 30.0, SOUNDS[name])
    whole = heard(source, 0.0, 30.0, tmp_path / "whole.flac")
    assert clock.drift(whole, 0.0, every=2.0) < PRIMING
    for start, end in ((3.21, 5.0), (25.5, 27.0)):
        part = heard(source, start, end, tmp_path / "part.flac")
        assert len(part) == round((end - start) * 16000)
        assert clock.drift(part, start) < PRIMING
        require_equal(part, whole, start)


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000])
def test_a_part_of_a_sound_at_any_rate_is_what_the_sound_is_there(tmp_path: Path, rate: int) -> None:
    source = clock.write_sound(tmp_path / "a.wav", 16.0, rate=rate)
    whole = heard(source, 0.0, 16.0, tmp_path / "whole.flac")
    assert len(whole) == pytest.approx(256000, abs=2)
    for start, end in ((2.5, 4.0), (13.25, 15.0)):
        part = heard(source, start, end, tmp_path / "part.flac")
        assert len(part) == round((end - start) * 16000)
        assert clock.drift(part, start) < 0.005
        require_equal(part, whole, start)


@pytest.mark.parametrize("layout", [layout for layout in clock.CHANNELS if layout != "mono"])
def test_a_part_of_a_sound_of_many_channels_is_what_the_sound_is_there(tmp_path: Path, layout: str) -> None:
    source = clock.write_sound(tmp_path / "a.flac", 12.0, rate=16000, layout=layout)
    part = heard(source, 11.0, 12.0, tmp_path / "part.flac")
    assert len(part) == 16000
    assert clock.drift(part, 11.0) < 0.005


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour and ten seconds of silence, but for ten seconds at 2395 and at 3595 s that tell their time."""
    samples = np.zeros(3610 * 8000, np.int16)
    for begin in (2395, 3595):
        samples[begin * 8000 : (begin + 10) * 8000] = 32767 * clock.wave(10.0, 8000, begin)
    path = tmp_path_factory.mktemp("hour") / "a.wav"
    soundfile.write(path, samples, 8000)
    return path


@pytest.mark.parametrize(("name", "codec"), [("a.wav", ["-c", "copy"]), ("a.flac", []), ("a.m4a", [*AAC, "-b:a", "24k"])])
def test_a_part_an_hour_into_a_sound_is_what_the_sound_is_there(
    hour: Path, tmp_path: Path, name: str, codec: list[str]
) -> None:
    clock.ffmpeg("-i", hour, *codec, tmp_path / name)
    for start in (2399.0, 3600.0):
        audio.write(tmp_path / name, start, start + 2, SETTINGS.decoder, tmp_path / "part.flac")
        part = soundfile.read(tmp_path / "part.flac", dtype="float32")[0]
        assert len(part) == 32000
        assert clock.drift(part, start) < PRIMING


@pytest.mark.parametrize("rate", [8000, 44100])
def test_memory_and_work_of_a_decoder_do_not_grow_with_where_a_part_begins(tmp_path: Path, rate: int) -> None:
    write_silence(tmp_path / "a.wav", 3600, rate)
    early, late = (decoder_use(tmp_path, start) for start in (10, 3500))
    assert late[0] < early[0] + 5000  # kB
    assert late[1] < early[1] + 0.3  # seconds of processor time; to decode an hour takes ten times that


def write_silence(path: Path, seconds: int, rate: int) -> None:
    """A WAV in stereo whose samples are a hole in the file, which takes no room on the disk."""
    size = 4 * seconds * rate
    form = struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 2, rate, 4 * rate, 4, 16, b"data", size)
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form)
    os.truncate(path, 44 + size)


def decoder_use(folder: Path, start: float) -> tuple[int, float]:
    """Peak memory (kB) and processor time (seconds) of the decoder of ten seconds from `start` on."""
    program = f"""
import resource, params
from pathlib import Path
from preprocess.stages import audio
audio.write(Path("a.wav"), {start}, {start + 10}, params.load(Path({str(ROOT / "params.yaml")!r})).decoder, Path("a.flac"))
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss, used.ru_utime + used.ru_stime)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    memory, seconds = done.stdout.split()
    return int(memory), float(seconds)
