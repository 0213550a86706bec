"""Media as users bring them, made with the pinned ffmpeg."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

import params
from preprocess.media import decoder, film, probe
from preprocess.media.probe import MediaError
from preprocess.stages import audio, frames

FRAME = 0.039  # seconds: less than from one frame of the clock to the next
SETTINGS, DECODER = params.load().frames, params.load().decoder


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([decoder.ffmpeg_path("bundled"), "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds at 25 frames a second whose brightness is 40 a second, with a beep from 2 s to 3 s."""
    path = tmp_path_factory.mktemp("clock") / "clock.mp4"
    picture = "color=black:s=320x240:r=25:d=5,geq=lum='16+40*T':cb=128:cr=128"
    sound = "sine=f=440:r=48000:d=5,volume='between(t,2,3)':eval=frame"
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-c:v", "libx264", "-g", "50", "-c:a", "aac", path)
    return path


def pictures(source: Path, start: float, end: float, target: Path, **changes: object) -> list[tuple[float, np.ndarray]]:
    frames.write(source, start, end, SETTINGS.model_copy(update=changes), DECODER, target)
    with target.open("rb") as file:
        return list(film.read(file))


def brightness(picture: np.ndarray) -> float:
    """Seconds on the clock's face."""
    return float(picture.mean()) / 255 * 219 / 40


def test_frames_come_at_the_rate_with_their_true_times(clock: Path, tmp_path: Path) -> None:
    shots = pictures(clock, 0, 5, tmp_path / "a.mkv")
    times = [seconds for seconds, _ in shots]
    assert len(times) == 50
    assert times[:6] == [0.0, 0.12, 0.2, 0.32, 0.4, 0.52]
    for seconds, picture in shots:
        assert brightness(picture) == pytest.approx(seconds, abs=FRAME)


def test_a_segment_begins_on_its_own_frame_and_its_clock_at_zero(clock: Path, tmp_path: Path) -> None:
    shots = pictures(clock, 2.4, 4.0, tmp_path / "a.mkv")
    assert len(shots) == 16
    assert shots[0][0] == pytest.approx(0, abs=0.001)
    for seconds, picture in shots:
        assert brightness(picture) == pytest.approx(2.4 + seconds, abs=FRAME)


def test_a_film_with_fewer_frames_keeps_those_that_it_has(tmp_path: Path) -> None:
    slow = tmp_path / "slow.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=320x240:r=4:d=2", "-c:v", "libx264", slow)
    assert [seconds for seconds, _ in pictures(slow, 0, 2, tmp_path / "a.mkv")] == [0.25 * i for i in range(8)]


def test_an_uneven_frame_rate_keeps_true_times(tmp_path: Path) -> None:
    uneven = tmp_path / "uneven.mkv"
    choose = "testsrc=s=320x240:r=20:d=2,select='lt(t,0.5)+gt(t,1.5)'"
    ffmpeg("-f", "lavfi", "-i", choose, "-fps_mode", "passthrough", "-c:v", "libx264", uneven)
    times = [seconds for seconds, _ in pictures(uneven, 0, 2, tmp_path / "a.mkv")]
    assert times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 1.55, 1.6, 1.7, 1.8, 1.9], abs=0.002)


def test_two_pictures_on_the_same_millisecond_do_not_cost_the_film(tmp_path: Path) -> None:
    """One late in a tenth of a second, one early in the next; also far into the film, where a part begins."""
    uneven = tmp_path / "uneven.mp4"
    times = "N/10+if(eq(mod(N,3),1),0.0996,if(eq(mod(N,3),2),0.0004,0))"
    timed = ["-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-video_track_timescale", "90000"]
    source = f"testsrc=s=320x240:r=10:d=3,settb=1/90000,setpts='({times})/TB'"
    ffmpeg("-f", "lavfi", "-i", source, *timed, "-c:v", "libx264", uneven)
    for start, end in ((0.0, 3.0), (1.0, 2.5)):
        kept = [seconds for seconds, _ in pictures(uneven, start, end, tmp_path / "a.mkv")]
        assert len(kept) > 6 * (end - start)
        assert kept == sorted(set(kept))


@pytest.mark.parametrize(
    ("size", "sar", "expected"), [("1920x1080", "1", (360, 640)), ("300x1000", "1", (640, 192)), ("360x240", "2", (213, 640))]
)
def test_large_pictures_are_scaled_and_pixels_made_square(
    tmp_path: Path, size: str, sar: str, expected: tuple[int, int]
) -> None:
    source = tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", f"testsrc=s={size}:r=10:d=0.3,setsar={sar}", "-c:v", "libx264", "-pix_fmt", "yuv420p", source)
    shape = pictures(source, 0, 1, tmp_path / "a.mkv")[0][1].shape
    assert np.abs(np.array(shape[:2]) - expected).max() <= 2


def test_a_film_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=320x240:r=10:d=0.3", "-c:v", "libx264", tmp_path / "a.mp4")
    ffmpeg("-display_rotation", "90", "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "turned.mp4")
    assert pictures(tmp_path / "turned.mp4", 0, 1, tmp_path / "a.mkv")[0][1].shape == (320, 240, 3)


@pytest.mark.parametrize("transfer", ["bt709", "smpte2084", "arib-std-b67"])
def test_skin_has_its_colour_in_films_of_high_definition_and_of_high_dynamic_range(tmp_path: Path, transfer: str) -> None:
    light, dark = (190, 130, 105), (90, 60, 45)
    patches = ",".join(f"drawbox=x={x}:y=0:w=64:h=64:t=fill:color=0x{bytes(rgb).hex()}" for x, rgb in ((0, light), (64, dark)))
    named = "scale=out_color_matrix=bt709,format=yuv444p,setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    bright = f",zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=2020:m=2020_ncl:r=limited:t={transfer}:npl=203"
    source = f"color=black:s=128x64:r=10:d=0.2,{patches},{named}{'' if transfer == 'bt709' else bright},format=yuv420p10"
    ffmpeg("-f", "lavfi", "-i", source, "-c:v", "ffv1", tmp_path / "a.mkv")
    shown = pictures(tmp_path / "a.mkv", 0, 1, tmp_path / "b.mkv")[-1][1]
    assert shown[8:56, 8:56].mean((0, 1)) == pytest.approx(light, abs=3 if transfer == "bt709" else 10)
    assert shown[8:56, 72:120].mean((0, 1)) == pytest.approx(dark, abs=4)


def test_the_same_film_gives_the_same_bytes(clock: Path, tmp_path: Path) -> None:
    for name in ("a.mkv", "b.mkv"):
        frames.write(clock, 0.3, 4, SETTINGS, DECODER, tmp_path / name)
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


def wave(source: Path, start: float, end: float, target: Path) -> np.ndarray:
    audio.write(source, start, end, DECODER, target)
    samples, rate = soundfile.read(target, dtype="float32")
    assert rate == 16000
    assert samples.ndim == 1
    return samples


def loud(samples: np.ndarray) -> tuple[float, float]:
    """When the sound begins and ends, seconds."""
    at = np.flatnonzero(np.abs(samples) > 0.02) / 16000
    return float(at[0]), float(at[-1])


def test_sound_is_mono_at_16_khz_and_keeps_its_time(clock: Path, tmp_path: Path) -> None:
    samples = wave(clock, 0, 5, tmp_path / "a.flac")
    assert len(samples) / 16000 == pytest.approx(5, abs=0.05)
    assert loud(samples) == pytest.approx((2, 3), abs=0.03)


def test_the_sound_of_a_segment_begins_at_its_start(clock: Path, tmp_path: Path) -> None:
    samples = wave(clock, 1.5, 4, tmp_path / "a.flac")
    assert len(samples) / 16000 == pytest.approx(2.5, abs=0.05)
    assert loud(samples) == pytest.approx((0.5, 1.5), abs=0.03)


def test_sound_that_begins_after_the_picture_waits_in_silence(tmp_path: Path) -> None:
    late = tmp_path / "late.mkv"
    inputs = ["-f", "lavfi", "-i", "testsrc=s=320x240:r=10:d=3", "-itsoffset", "1", "-f", "lavfi", "-i", "sine=f=440:d=2"]
    ffmpeg(*inputs, "-c:v", "libx264", "-c:a", "flac", late)
    assert loud(wave(late, 0, 3, tmp_path / "a.flac"))[0] == pytest.approx(1, abs=0.03)


def test_a_header_says_what_a_film_holds(clock: Path) -> None:
    streams = probe.streams_of(clock)
    assert (streams.width, streams.height, streams.frame_rate) == (320, 240, 25)
    assert (streams.sample_rate, streams.channels) == (48000, 1)
    assert streams.duration == pytest.approx(5, abs=0.05)


def test_cover_art_is_no_picture(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:d=0.1", "-frames:v", "1", tmp_path / "cover.png")
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", tmp_path / "tone.mp3")
    covered = tmp_path / "covered.mp3"
    ffmpeg("-i", tmp_path / "tone.mp3", "-i", tmp_path / "cover.png", "-map", "0", "-map", "1", "-c", "copy", covered)
    with av.open(str(covered)) as container:
        assert container.streams.video
    assert probe.streams_of(covered).width == 0


@pytest.mark.parametrize("name", ["a b'c\".mp4", "-dash.mp4", "100%d.mp4", "中文.mp4", "line\nbreak.mp4", "concat:x.mp4"])
def test_no_name_of_a_file_bends_a_command(clock: Path, tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    source.write_bytes(clock.read_bytes())
    assert probe.streams_of(source).width == 320
    assert len(pictures(source, 0, 1, tmp_path / "a.mkv")) == 10


READERS: list[Callable[[Path, Path], object]] = [
    lambda source, _: probe.streams_of(source),
    lambda source, target: frames.write(source, 0, 1, SETTINGS, DECODER, target),
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", ["playlist", "remote", "dash", "sdp", "asx", "concat", "text", "empty"])
def test_what_is_no_recording_is_refused_and_nothing_it_names_is_read(
    clock: Path, tmp_path: Path, kind: str, read: Callable[[Path, Path], object]
) -> None:
    source = tmp_path / "a.mp4"
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{clock}\n#EXT-X-ENDLIST\n"
    content = {
        "playlist": playlist,
        "remote": "#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n",
        "dash": f"<?xml version='1.0'?><MPD><Period><BaseURL>{clock}</BaseURL></Period></MPD>",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
        "asx": f"[Reference]\nRef1={clock}\n",
        "concat": f"ffconcat version 1.0\nfile {clock}\n",
        "text": "no film",
        "empty": "",
    }
    source.write_text(content[kind], encoding="utf-8")
    with pytest.raises(MediaError) as error:
        read(source, tmp_path / "a.mkv")
    assert str(tmp_path) not in str(error.value)
    assert "0x" not in str(error.value)


def test_another_ffmpeg_that_does_not_start_is_named() -> None:
    with pytest.raises(MediaError, match=r"decoder\.ffmpeg: /nowhere/ffmpeg does not start"):
        decoder.ffmpeg_version("/nowhere/ffmpeg")
