"""Kinds of files: those that are read, each at its own time, and the names of those that are not."""

from pathlib import Path

import pytest
import soundfile

from preprocess.media import probe
from preprocess.media.probe import MediaError
from tests import clock
from tests.preprocess.media.test_parts import heard, seen

VOICE = 0.1  # seconds: codecs for telephones keep the pitch of a sound less exactly
SOUNDS: dict[str, tuple[int, list[str]]] = {
    "a.amr": (8000, ["-c:a", "libopencore_amrnb", "-b:a", "12.2k"]),
    "a.ac3": (48000, []),
    "a.eac3": (48000, []),
    "a.au": (8000, ["-c:a", "pcm_mulaw"]),
    "a.caf": (44100, ["-c:a", "alac"]),
    "a.aiff": (44100, []),
    "a.voc": (8000, ["-c:a", "pcm_u8"]),
    "a.w64": (48000, []),
    "a.wv": (48000, []),
    "a.tta": (48000, []),
    "a.wma": (44100, []),
    "a.dts": (48000, ["-strict", "-2", "-c:a", "dca"]),
    "a.m4a": (44100, ["-c:a", "alac"]),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds_of_many_kinds_are_read(tmp_path: Path, name: str) -> None:
    rate, codec = SOUNDS[name]
    source = clock.write_sound(tmp_path / name, 14.0, codec, rate=rate)
    assert probe.streams_of(source).duration == pytest.approx(14.0, abs=0.2)
    for start, end in ((0.0, 2.0), (12.2, 13.4)):
        samples = heard(source, start, end, tmp_path / "a.flac")
        assert len(samples) / 16000 == pytest.approx(end - start, abs=0.05)
        times = (0.3, 0.7, 1.0)
        assert [clock.moment(samples, at) for at in times] == pytest.approx([start + at for at in times], abs=VOICE)


def test_a_gif_is_read_from_its_first_picture_on(tmp_path: Path) -> None:
    """Each picture is drawn over those before."""
    source = clock.write_film(tmp_path / "a.mkv", 14.0, ["-c:v", "ffv1", "-c:a", "flac"])
    clock.ffmpeg("-i", source, "-an", tmp_path / "a.gif")
    assert probe.streams_of(tmp_path / "a.gif").sample_rate == 0
    pictures = seen(tmp_path / "a.gif", 12.2, 13.2, tmp_path / "b.mkv")
    assert len(pictures) == 10
    assert all(12.2 + at == pytest.approx(number / 25, abs=0.05) for at, number in pictures)


def test_dv_of_a_camera_is_read_with_its_sound(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", clock.wave(4.0, 48000), 48000)
    pictures = ["-f", "lavfi", "-i", "testsrc=s=720x576:r=25:d=4"]
    clock.ffmpeg(*pictures, "-i", tmp_path / "a.wav", "-ac", "2", "-target", "pal-dv", tmp_path / "a.dv")
    streams = probe.streams_of(tmp_path / "a.dv")
    assert (streams.width, streams.duration) == (720, pytest.approx(4.0, abs=0.1))
    assert clock.drift(heard(tmp_path / "a.dv", 1.0, 3.0, tmp_path / "a.flac"), 1.0) < 0.05


def still(path: Path) -> None:
    clock.ffmpeg("-f", "lavfi", "-i", "testsrc=d=0.1", "-frames:v", "1", path)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.png", None, "png_pipe (piped png sequence)"),
        ("a.jpg", None, "a still picture"),
        ("a.bmp", None, "bmp_pipe (piped bmp sequence)"),
        ("a.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nother.ts\n#EXT-X-ENDLIST\n", "a playlist (HLS)"),
        ("a.txt", b"hello\nworld\n" * 100, "plain text"),
        ("a.srt", b"1\n00:00:00,000 --> 00:00:02,000\nhello\n", "srt (SubRip subtitle)"),
    ],
)
def test_a_kind_that_is_not_read_is_named_with_those_that_are(
    tmp_path: Path, name: str, content: bytes | None, kind: str
) -> None:
    if content is None:
        still(tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError) as error:
        probe.streams_of(tmp_path / name)
    assert str(error.value).startswith(f"it is of the kind {kind}, which is not read; these are: 3g2, 3gp, aac, ac3, ")


@pytest.mark.parametrize("content", [b"%PDF-1.4\n" + bytes(3000), b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk" + bytes(300), b""])
def test_what_ffmpeg_does_not_know_is_said_to_be_no_recording(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pdf").write_bytes(content)
    with pytest.raises(MediaError, match="FFmpeg finds no kind of recording in it; those it reads are: 3g2, "):
        probe.streams_of(tmp_path / "a.pdf")


def test_a_broken_film_is_not_said_to_be_of_another_kind(tmp_path: Path) -> None:
    whole = clock.write_film(tmp_path / "a.mp4", 2.0, ["-c:v", "libx264", "-c:a", "aac"])
    whole.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(MediaError, match=r"^Invalid data found when processing input$"):
        probe.streams_of(whole)
