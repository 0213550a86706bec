"""Broken, odd and hostile media: each case names the code of its refusal, or what can be read of it."""

import errno
import math
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import ffmpeg as ffmpeg_python
import numpy as np
import pytest
import soundfile

import params
from preprocess import corpus
from preprocess.clips import Task
from preprocess.corpus import Clip, CorpusError
from preprocess.media import decoder, film, messages, part, probe, sound
from preprocess.media.probe import DecoderStoppedError, MediaError
from preprocess.refusals import Code, Refusal, Refused
from preprocess.stages import audio, frames, manifest
from tests.conftest import ROOT, set_params

SETTINGS = params.load()
GREY = "color=gray:s=160x120:r=25:d=2"
CLOCK = "color=black:s=160x120:r=25:d=5,geq=lum='16+40*T':cb=128:cr=128"  # brightness tells the time, as in test_media.py
X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
TONE = ["-f", "lavfi", "-i", "sine=d=2:r=48000"]

Outcome = tuple[Code | int | None, Code | float | None]  # frames, seconds of sound; None where there is no such stream


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([decoder.ffmpeg_path("bundled"), "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def picture(source: str = GREY) -> list[str]:
    return ["-f", "lavfi", "-i", source]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of picture and sound in the containers that the cases break; the picture is noisy, so it has bytes."""
    folder = tmp_path_factory.mktemp("good")
    noisy = f"{GREY},noise=alls=20:allf=t:all_seed=1"
    ffmpeg(*picture(noisy), *TONE, *X264, "-g", "10", "-c:a", "aac", folder / "good.mp4")
    ffmpeg("-i", folder / "good.mp4", "-c", "copy", "-movflags", "+faststart", folder / "front.mp4")
    for name in ("good.mkv", "good.ts"):
        ffmpeg("-i", folder / "good.mp4", "-c", "copy", folder / name)
    return folder


def outcome(path: Path, start: float = 0, end: float | None = None, **limits: int) -> Outcome:
    """What manifest, frames and audio make of a medium."""
    decoder = SETTINGS.decoder.model_copy(update=limits)
    medium = manifest.medium(Clip("clip", path.name, start, end), manifest.probe_medium(path.name, path.parent))
    if isinstance(medium, Refused):
        return Code(medium.code), Code(medium.code)
    task = medium.decoding(path.parent)
    folder = path.parent / "entry"
    folder.mkdir(exist_ok=True)
    pictures: Code | int | None = None
    seconds: Code | float | None = None
    if medium.picture:
        try:
            frames.frames_of(task, folder, SETTINGS.frames, decoder)
            with (folder / film.FILE).open("rb") as file:
                times = [at for at, _ in film.read(file)]
            assert times == sorted(set(times))
            assert max(times) < medium.duration
            pictures = len(times)
        except Refusal as refusal:
            pictures = code_of(refusal, path)
    if medium.sound:
        try:
            audio.audio_of(task, folder, decoder)
            seconds = round(soundfile.info(folder / "flac").duration, 1)
        except Refusal as refusal:
            seconds = code_of(refusal, path)
    return pictures, seconds


def code_of(refusal: Refusal, path: Path) -> Code:
    """The code of a refusal whose detail names no path or address of this machine."""
    assert str(path.parent) not in refusal.detail
    assert "0x" not in refusal.detail
    return refusal.code


UNREADABLE: Outcome = (Code.MEDIA_UNREADABLE, Code.MEDIA_UNREADABLE)


@pytest.mark.parametrize(
    ("name", "percent", "expected"),
    [
        ("good.mp4", 0, UNREADABLE),
        ("good.mp4", 10, UNREADABLE),  # its index stood at the end
        ("good.mp4", 50, UNREADABLE),
        ("good.mp4", 90, UNREADABLE),
        ("front.mp4", 10, (1, 0.1)),
        ("front.mp4", 50, (9, 1.0)),
        ("front.mp4", 90, (18, 1.8)),
        ("good.mkv", 50, (9, 1.0)),
        ("good.ts", 50, (10, 0.9)),
    ],
)
def test_of_a_truncated_film_is_kept_what_can_be_decoded(
    good: Path, tmp_path: Path, name: str, percent: int, expected: Outcome
) -> None:
    whole = (good / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * percent // 100])
    result = outcome(tmp_path / name)
    if expected == UNREADABLE:
        assert result == expected
    else:
        assert result == (pytest.approx(expected[0], abs=1), pytest.approx(expected[1], abs=0.15))


@pytest.mark.parametrize("name", ["good.mp4", "good.mkv", "good.ts"])
def test_flipped_bytes_cost_the_frames_that_they_hit(good: Path, tmp_path: Path, name: str) -> None:
    data = np.frombuffer((good / name).read_bytes(), np.uint8).copy()
    data[len(data) // 2 : len(data) // 2 + 2000] ^= 0x5A
    (tmp_path / name).write_bytes(data.tobytes())
    frames_kept, seconds = outcome(tmp_path / name)
    assert isinstance(frames_kept, int)
    assert 10 <= frames_kept <= 20
    assert seconds == pytest.approx(2, abs=0.1)


def from_good(arguments: str, before: str = "") -> Callable[[Path, Path], None]:
    return lambda good, target: ffmpeg(*before.split(), "-i", good / "good.mp4", *arguments.split(), target)


def made(*arguments: str) -> Callable[[Path, Path], None]:
    return lambda good, target: ffmpeg(*arguments, target)


def turned(good: Path, target: Path) -> None:
    ffmpeg("-display_rotation", "90", "-i", good / "good.mp4", "-c", "copy", target)


def covered(good: Path, target: Path) -> None:
    cover = target.with_suffix(".png")
    ffmpeg(*picture("testsrc=s=64x64"), "-frames:v", "1", cover)
    ffmpeg(
        "-i", good / "good.mp4", "-i", cover, "-map", "1", "-map", "0", "-c", "copy", "-disposition:v:0", "attached_pic", target
    )


def subtitled(good: Path, target: Path) -> None:
    target.with_suffix(".srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nhello\n", encoding="utf-8")
    ffmpeg("-i", good / "good.mp4", "-i", target.with_suffix(".srt"), "-c", "copy", "-c:s", "mov_text", target)


def unknown_codec(good: Path, target: Path) -> None:
    target.write_bytes((good / "good.mp4").read_bytes().replace(b"avc1", b"zzzz"))


def twice(good: Path, target: Path) -> None:
    target.write_bytes((good / "good.ts").read_bytes() * 2)


def subtitles_alone(good: Path, target: Path) -> None:
    target.with_suffix(".srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nhello\n", encoding="utf-8")
    ffmpeg("-i", target.with_suffix(".srt"), target)


def attached(good: Path, target: Path) -> None:
    note = target.with_suffix(".txt")
    note.write_text("not a film", encoding="utf-8")
    named = ["-metadata:s:t", "mimetype=text/plain", "-metadata:s:t", "filename=../attached.txt"]
    ffmpeg("-i", good / "good.mp4", "-c", "copy", "-attach", note, *named, target)


def grows(good: Path, target: Path) -> None:
    larger = target.with_name("larger.ts")
    ffmpeg("-i", good / "good.mp4", "-an", "-vf", "scale=640:480", "-output_ts_offset", "2", *X264, larger)
    target.write_bytes((good / "good.ts").read_bytes() + larger.read_bytes())


def lasting(seconds: float) -> Callable[[Path, Path], None]:
    def make(good: Path, target: Path) -> None:
        data = bytearray((good / "good.mkv").read_bytes())
        at = data.index(b"\x44\x89\x88") + 3  # Matroska's Duration, of eight bytes
        data[at : at + 8] = struct.pack(">d", seconds * 1000)
        target.write_bytes(data)

    return make


def endless(good: Path, target: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=2:r=8000", "-bitexact", target)
    data = bytearray(target.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"  # of the file and of the samples, 4 GB
    target.write_bytes(data)


def many_channels(good: Path, target: Path) -> None:
    soundfile.write(target, np.full((32000, 32), 0.1), 16000)


def enciphered(good: Path, target: Path) -> None:
    key, name = "76a6c65c5ea762046bd749a2e632ccbb", "a7e61c373e219033c21091fa607bf3b8"
    cipher = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", key, "-encryption_kid", name]
    ffmpeg("-i", good / "good.mp4", "-c", "copy", *cipher, target)


HDR = ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"]
JUMP = r"setts=ts='TS+if(gt(N\,24)\,10/TB\,0)'"
BACK = r"setts=ts='TS-if(gt(N\,24)\,0.5/TB\,0)'"
ALL_FOUR = ["-map", "0", "-map", "1", "-map", "2", "-map", "3"]
ODD: dict[str, tuple[str, Callable[[Path, Path], None], Outcome]] = {
    "no picture": ("a.mp4", made(*TONE, "-c:a", "aac"), (None, 2.0)),
    "no sound": ("a.mp4", made(*picture(), *X264), (20, None)),
    "digital silence": ("a.mkv", made(*picture(), "-f", "lavfi", "-i", "anullsrc=d=2", *X264), (20, Code.SILENT)),
    "subtitles alone": ("a.mkv", subtitles_alone, (Code.NO_STREAM, Code.NO_STREAM)),
    "an unknown codec": ("a.mp4", unknown_codec, (None, 2.0)),
    "variable frame rate": (
        "a.mkv", made(*picture(f"{GREY},select='lt(t,0.5)+gt(t,1.5)'"), "-fps_mode", "passthrough", *X264), (10, None),
    ),
    "rotation": ("a.mp4", turned, (20, 2.0)),
    "one pixel": ("a.mkv", made(*picture("testsrc=s=1x1:d=1"), "-c:v", "ffv1"), (10, None)),
    "an odd size": ("a.mkv", made(*picture("testsrc=s=161x33:d=1"), "-c:v", "ffv1"), (10, None)),
    "8K": ("a.mkv", made(*picture("color=gray:s=7680x4320:d=0.04"), *X264), (1, None)),
    "pixels a thousand times as wide as high": ("a.mp4", made(*picture(f"{GREY},setsar=1000"), *X264), (20, None)),
    "interlaced": ("a.mp4", made(*picture(f"{GREY},interlace"), *X264, "-flags", "+ilme+ildct"), (20, None)),
    "10 bit": ("a.mp4", made(*picture(), *X264[:-1], "yuv420p10le"), (20, None)),
    "HDR": ("a.mkv", made(*picture(), "-c:v", "ffv1", "-pix_fmt", "yuv420p10le", *HDR), (20, None)),
    "HDR that does not name its colours": (
        "a.mkv", made(*picture("testsrc=s=33x1:d=1"), "-c:v", "ffv1", "-pix_fmt", "gray10le", *HDR[2:4]), (10, None),
    ),
    "one frame": ("a.mp4", made(*picture(), *X264, "-frames:v", "1"), (1, None)),
    "120 frames a second": ("a.mp4", made(*picture("color=gray:s=160x120:r=120:d=1"), *X264), (10, None)),
    "a clock that starts at an hour": ("a.mkv", from_good("-c copy -output_ts_offset 3600"), (20, 2.0)),
    "a clock that jumps": ("a.mkv", from_good(f"-c copy -bsf:v {JUMP} -an"), (20, None)),
    "a clock that goes back": ("a.ts", from_good(f"-c copy -bsf:v {BACK} -an"), (15, None)),
    "a film behind itself": ("a.ts", twice, (40, 4.1)),
    "8 kHz": ("a.wav", made("-f", "lavfi", "-i", "sine=d=2:r=8000"), (None, 2.0)),
    "96 kHz": ("a.wav", made("-f", "lavfi", "-i", "sine=d=2:r=96000", "-c:a", "pcm_f32le"), (None, 2.0)),
    "5.1": ("a.mkv", made(*TONE, "-ac", "6", "-c:a", "ac3"), (None, 2.0)),
    "several streams": (
        "a.mkv", made(*picture(), *picture("testsrc=d=1"), *TONE, *TONE, *ALL_FOUR, *X264), (20, 2.0),
    ),
    "subtitles": ("a.mp4", subtitled, (20, 2.0)),
    "cover art": ("a.mp4", covered, (20, 2.0)),
    "an attachment with a path": ("a.mkv", attached, (20, 2.0)),
    "a size that changes half-way": ("a.ts", grows, (40, 2.0)),
    "an edit list": ("a.mp4", from_good("-c copy", "-ss 0.9"), (11, 1.1)),
    "a duration that is no number": ("a.mkv", lasting(math.nan), (20, 2.0)),
    "a duration below zero": ("a.mkv", lasting(-5), (20, 2.0)),
    "a duration of thirty years": ("a.mkv", lasting(1e9), (20, 2.0)),
    "no duration and no index, as browsers record": ("a.mkv", from_good("-c copy -live 1"), (20, 2.0)),
    "a length of four gigabytes": ("a.wav", endless, (None, 2.0)),
    "32 channels, no one says which": ("a.wav", many_channels, (None, 2.0)),
    "a sound of no samples": (
        "a.mkv", made(*picture(), "-f", "lavfi", "-i", "anullsrc,atrim=end_sample=0", *X264), (20, Code.NO_SAMPLES),
    ),
    "thousands of tiny frames": ("a.mkv", made(*picture("color=gray:s=16x16:r=2000:d=2"), "-c:v", "ffv1"), (20, None)),
    "a cipher": ("a.mp4", enciphered, (Code.NO_FRAMES, Code.NO_SAMPLES)),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_odd_media_keep_what_they_have(good: Path, tmp_path: Path, kind: str) -> None:
    name, make, expected = ODD[kind]
    make(good, tmp_path / name)
    result = outcome(tmp_path / name)
    if isinstance(expected[0], int) and isinstance(result[0], int):  # codecs differ by a frame at their ends
        assert result[0] == pytest.approx(expected[0], abs=1)
        assert result[1] == expected[1]
    else:
        assert result == expected


@pytest.mark.parametrize(
    ("sound", "begin", "expected"),
    [("1", 0, (20, 1.0)), ("1", 1.2, (8, Code.NO_SAMPLES)), ("3", 0, (20, 3.0)), ("3", 2.5, (Code.NO_FRAMES, 0.5))],
)
def test_a_stream_that_ends_early_is_missing_behind_its_end_alone(
    tmp_path: Path, sound: str, begin: float, expected: Outcome
) -> None:
    ffmpeg(*picture(), "-f", "lavfi", "-i", f"sine=d={sound}", *X264, "-c:a", "flac", tmp_path / "a.mkv")
    assert outcome(tmp_path / "a.mkv", begin) == expected


@pytest.mark.parametrize(("start", "end"), [(1.5, 1.0), (9.0, None), (2.0, None), (1.0, 1.0)])
def test_a_span_of_nothing_is_refused(good: Path, start: float, end: float | None) -> None:
    assert outcome(good / "good.mp4", start, end) == (Code.EMPTY_SPAN, Code.EMPTY_SPAN)


@pytest.mark.parametrize(
    ("name", "start", "end", "expected"),
    [
        ("good.mp4", 5.55e-17, None, (20, 2.0)),
        ("good.mp4", 1e-05, 1.5, (15, 1.5)),
        ("good.ts", part.LEAD + 2e-15, part.LEAD + 1, (10, 1.0)),
    ],
)
def test_times_may_be_as_small_as_the_numbers_of_a_table(
    good: Path, tmp_path: Path, name: str, start: float, end: float | None, expected: Outcome
) -> None:
    source = good / name
    if start > part.LEAD:
        source = tmp_path / name
        ffmpeg("-stream_loop", "5", "-i", good / name, "-c", "copy", source)
    assert outcome(source, start, end) == (pytest.approx(expected[0], abs=1), expected[1])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mpg", "a.flv", "live.mkv", "late.ts", "late.mkv"])
def test_a_segment_in_any_container_begins_on_the_right_frame(tmp_path: Path, name: str) -> None:
    """Sought, not decoded from the beginning: what a seek finds too early or too late must not show."""
    codecs = ["-c:v", "mpeg2video", "-c:a", "mp2"] if name == "a.mpg" else [*X264, "-bf", "2", "-c:a", "aac"]
    beep = "sine=f=440:r=48000:d=5,volume='between(t,2,3)':eval=frame"
    muxer = {"late": ["-output_ts_offset", "3600"], "live": ["-live", "1"]}.get(Path(name).stem, [])
    ffmpeg(*picture(CLOCK), *picture(beep), *codecs, "-g", "50", *muxer, tmp_path / name)
    pictures, sound = tmp_path / "pictures.mkv", tmp_path / "sound.flac"
    frames.write(tmp_path / name, 1.3, 3.7, SETTINGS.frames, SETTINGS.decoder, pictures)
    with pictures.open("rb") as file:
        result = list(film.read(file))
    assert len(result) == 24
    for seconds, shown in result:
        assert 1.3 + seconds == pytest.approx(shown.mean() / 255 * 219 / 40, abs=0.06)
    audio.write(tmp_path / name, 1.3, 3.7, SETTINGS.decoder, sound)
    samples = soundfile.read(sound)[0]
    assert len(samples) / 16000 == pytest.approx(2.4, abs=0.03)
    heard = np.flatnonzero(np.abs(samples) > 0.02) / 16000
    assert (heard[0], heard[-1]) == pytest.approx((0.7, 1.7), abs=0.06)


@pytest.mark.parametrize("begin", [21, 31, 45])
def test_a_segment_far_behind_its_key_frame_begins_on_the_right_frame(sparse: Path, tmp_path: Path, begin: float) -> None:
    frames.write(sparse, begin, begin + 2, SETTINGS.frames, SETTINGS.decoder, tmp_path / "a.mkv")
    with (tmp_path / "a.mkv").open("rb") as file:
        result = list(film.read(file))
    assert len(result) == 20
    for seconds, shown in result:
        assert begin + seconds == pytest.approx(shown.mean() / 255 * 219 / 4, abs=0.4)


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty seconds whose brightness is 4 a second, with a key frame every 16.7 of them, as x264 has it of itself."""
    path = tmp_path_factory.mktemp("sparse") / "a.ts"
    clock = "color=black:s=64x64:r=15:d=50,geq=lum='16+4*T':cb=128:cr=128"
    ffmpeg(*picture(clock), *X264, "-sc_threshold", "0", path)
    return path


NOISE, SILENCE = "anoisesrc=d=6:r=48000:a=0.9", "anoisesrc=d=24:r=48000:a=0.002:c=brown"
GUESSED: dict[str, list[str]] = {  # seconds differ in size, so that the first ones tell nothing of all
    "loud.aac": [NOISE, SILENCE, "-c:a", "aac", "-b:a", "192k"],
    "quiet.aac": [SILENCE, NOISE, "-c:a", "aac", "-b:a", "192k"],
    "loud.mp3": [NOISE, SILENCE, "-c:a", "libmp3lame", "-q:a", "4", "-write_xing", "0"],
    "quiet.mp3": [SILENCE, NOISE, "-c:a", "libmp3lame", "-q:a", "4", "-write_xing", "0"],
}


@pytest.mark.parametrize("name", GUESSED)
def test_a_sound_whose_duration_would_be_guessed_is_read_to_its_end(tmp_path: Path, name: str) -> None:
    first, second, *codec = GUESSED[name]
    both = ["-filter_complex", "[0][1]concat=n=2:v=0:a=1"]
    ffmpeg("-f", "lavfi", "-i", first, "-f", "lavfi", "-i", second, *both, *codec, tmp_path / name)
    assert probe.streams_of(tmp_path / name).duration == pytest.approx(30, abs=0.1)
    assert outcome(tmp_path / name, 25, 28) == (None, 3.0)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.h264", [*X264, "-bf", "2"]), ("a.m1v", ["-c:v", "mpeg1video"]), ("a.m2v", ["-c:v", "mpeg2video"])]
)
def test_pictures_without_a_container_have_a_duration_and_segments(tmp_path: Path, name: str, codec: list[str]) -> None:
    ffmpeg(*picture(GREY.replace("d=2", "d=15")), *codec, tmp_path / name)
    assert probe.streams_of(tmp_path / name).duration == pytest.approx(15, abs=0.1)
    assert outcome(tmp_path / name, 12.5, 14) == (15, None)


def test_a_decoder_that_writes_too_much_is_stopped(tmp_path: Path) -> None:
    ffmpeg(*picture("nullsrc=s=640x480:d=4,geq=random(1)*255:128:128"), "-c:v", "mjpeg", tmp_path / "a.mkv")
    assert outcome(tmp_path / "a.mkv", max_output=1) == (Code.DECODER_STOPPED, None)


def test_a_decoder_that_works_too_long_is_stopped(tmp_path: Path) -> None:
    ffmpeg(*picture("color=gray:s=1920x1080:r=25:d=1"), *X264, tmp_path / "short.mp4")
    ffmpeg("-stream_loop", "200", "-i", tmp_path / "short.mp4", "-c", "copy", tmp_path / "a.mp4")
    assert outcome(tmp_path / "a.mp4", max_seconds=1) == (Code.DECODER_STOPPED, None)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of which a decoder keeps sixteen large pictures in mind."""
    path = tmp_path_factory.mktemp("crowded") / "a.mp4"
    ffmpeg(*picture("testsrc=s=1920x1080:r=10:d=6"), *X264, "-refs", "16", "-bf", "3", path)
    return path


@pytest.mark.parametrize("memory", [500, 460, 440, 360, 300])
def test_a_decoder_that_goes_without_memory_never_leaves_a_part_of_a_film(crowded: Path, memory: int) -> None:
    """It may go on without the pictures that it had no room for, and end well."""
    frames_kept, _ = outcome(crowded, max_memory=memory)
    assert frames_kept in {Code.DECODER_STOPPED, 60}
    assert memory > 300 or frames_kept == Code.DECODER_STOPPED


@pytest.mark.parametrize(("status", "memory_used", "lacked"), [(69, 0.95, True), (69, 0.3, False), (0, 0.95, False)])
def test_a_decoder_that_failed_with_its_memory_nearly_used_up_had_too_little(
    status: int, memory_used: float, lacked: bool
) -> None:
    signs, cause = messages.read(["[h264 @ 0x5571] no frame!\n", "Decode error rate 0.9 exceeds maximum 0.666667\n"])
    assert decoder._Ended(status, 0.0, False, signs, cause, memory_used).lacked_memory == lacked


def test_memory_that_lacked_is_found_anywhere_in_what_the_decoder_wrote() -> None:
    def lacked_memory(written: str) -> bool:
        return decoder._Ended(0, 0.0, False, *messages.read(written.splitlines())).lacked_memory

    shapeless = "[vp9 @ 0x5571] video_get_buffer: image parameters invalid\n[vp9 @ 0x5571] get_buffer() failed\n"
    assert lacked_memory("[h264 @ 0x5571] get_buffer() failed\n" + "[h264 @ 0x5571] no frame!\n" * 3000)
    assert lacked_memory("[in#0/matroska,webm @ 0x5571] Error during demuxing: Cannot allocate memory\n" + shapeless)
    assert not lacked_memory(shapeless + "[aac @ 0x5571] channel element 2.4 is not allocated\n")


@pytest.mark.parametrize("stage", ["frames", "audio"])
def test_a_full_disk_is_no_fact_about_a_medium(good: Path, tmp_path: Path, stage: str) -> None:
    """Even if there is room again when the stage looks."""
    work, name = {
        "frames": (partial(frames.frames_of, settings=SETTINGS.frames), film.FILE),
        "audio": (audio.audio_of, sound.FILE),
    }[stage]
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as error:
        work(
            Task("clip", {"start": 0.0, "end": 2.0, "reading": {}}, 2.0, str(good / "good.mp4")),
            tmp_path,
            decoder=SETTINGS.decoder,
        )
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(tmp_path / name))


def test_what_a_medium_is_called_says_nothing_of_the_machine(tmp_path: Path) -> None:
    source = tmp_path / "Cannot allocate memory: No space left on device"
    source.write_text("no film", encoding="utf-8")
    graph = ffmpeg_python.input(probe.url(source)).output(str(tmp_path / "a.flac"))
    with pytest.raises(MediaError, match="Invalid data found"):
        decoder.run_ffmpeg(graph, SETTINGS.decoder, tmp_path / "a.flac")


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "zeros": lambda data: bytes(len(data)),
    "noise": lambda data: np.random.default_rng(0).bytes(len(data)),
    "cut": lambda data: data[:40],
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_film_has_one_reason_however_often_it_is_tried(good: Path, tmp_path: Path, kind: str) -> None:
    """Threads of the decoder write their messages in another order each time."""
    whole = (good / "front.mp4").read_bytes()
    begin = whole.index(b"mdat") + 4
    (tmp_path / "a.mp4").write_bytes(whole[:begin] + BROKEN[kind](whole[begin:]))
    reasons = set()
    for _ in range(12):
        with pytest.raises(MediaError) as error:
            frames.write(tmp_path / "a.mp4", 0, 2, SETTINGS.frames, SETTINGS.decoder, tmp_path / "a.mkv")
        reasons.add(str(error.value))
    assert len(reasons) == 1


def test_other_limits_try_what_was_stopped_again_and_keep_what_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for seconds in (1, 60):
        ffmpeg("-f", "lavfi", "-i", f"anoisesrc=d={seconds}:r=16000", tmp_path / f"{seconds}.wav")
    (tmp_path / "clips.csv").write_text("clip_id,media,happy\nshort,1.wav,\nlong,60.wav,\n", encoding="utf-8")

    def stage(**values: object) -> str:
        set_params(tmp_path / "params.yaml", **values)
        audio.main()
        return capsys.readouterr().out

    set_params(tmp_path / "params.yaml", **{"corpus.root": ".", "corpus.labels": ["happy"]})
    manifest.main()
    capsys.readouterr()
    stopped = "1 refused\n  long: decoder_stopped: it wrote more than decoder.max_output (1 MB)\n"
    assert stage(**{"decoder.max_output": 1}) == f"audio: 2 clips, 2 computed, 0 reused, {stopped}"
    assert stage() == f"audio: 2 clips, 0 computed, 2 reused, {stopped}"
    assert stage(**{"decoder.max_output": 100}) == "audio: 2 clips, 1 computed, 1 reused, 0 refused\n"
    assert stage(**{"decoder.max_output": 1}) == "audio: 2 clips, 0 computed, 2 reused, 0 refused\n"


@pytest.mark.parametrize(
    ("number", "times", "expected"),
    [
        (signal.SIGKILL, 1, (20, None)),
        (signal.SIGKILL, 9, (Code.WORKER_DIED, None)),
        *((number, 1, (20, None)) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) for _ in range(3)),
    ],
)
def test_a_decoder_that_something_kills_is_tried_once_more_and_none_ends_before_it_is_done(
    good: Path, tmp_path: Path, times: int, expected: Outcome, number: int
) -> None:
    ffmpeg("-i", good / "good.mp4", "-an", "-vf", "scale=1280:720", *X264, tmp_path / "a.mp4")
    killing = threading.Thread(target=kill_decoders, args=(times, number), daemon=True)
    killing.start()
    try:
        assert outcome(tmp_path / "a.mp4") == expected
    finally:  # or it would go on with the decoders of other tests
        ENOUGH.set()
        killing.join()


ENOUGH = threading.Event()


def kill_decoders(times: int, number: int) -> None:
    """Send a signal to so many decoders of this process as they come, until it is enough."""
    ENOUGH.clear()
    killed: set[str] = set()
    while len(killed) < times and not ENOUGH.wait(0.01):
        children = [child for task in Path("/proc/self/task").glob("*/children") for child in task.read_text().split()]
        for child in set(children) - killed:
            if Path(f"/proc/{child}/cmdline").read_bytes().startswith(decoder.ffmpeg_path("bundled").encode()):
                os.kill(int(child), number)
                killed.add(child)


def test_a_header_that_asks_for_too_much_memory_is_not_believed(tmp_path: Path) -> None:
    """Nine thousand pixels square, one colour, in a few kilobytes."""
    ffmpeg(*picture("color=black:s=9000x9000:d=0.04"), "-c:v", "png", "-frames:v", "1", tmp_path / "a.mkv")
    assert outcome(tmp_path / "a.mkv")[0] in (Code.NO_STREAM, Code.NO_FRAMES)


def naming(film: bytes, reference: bytes) -> bytes:
    """A QuickTime film of one stream that has nothing of its own: its data reference names where the rest would be."""
    begin, index = film.index(b"mdat") + 4, film.index(b"moov") - 4
    moov = bytearray(film[index:])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = moov.index(name) - 4
        (size,) = struct.unpack_from(">I", moov, at)
        struct.pack_into(">I", moov, at, size - 12 + len(reference))
    own = moov.index(b"dref") + 12
    return film[:begin] + bytes(index - begin) + moov[:own] + reference + moov[own + 12 :]


def alias(path: bytes) -> bytes:
    """A reference of Macintosh to another file in the same folder."""
    path += bytes(len(path) % 2)
    level = struct.pack(">HH", 1, 1)
    body = bytes(130) + level + bytes(16) + struct.pack(">HH", 2, len(path)) + path + struct.pack(">hH", -1, 0)
    return struct.pack(">I4sI", 12 + len(body), b"alis", 0) + body


@pytest.fixture
def quicktime(tmp_path: Path) -> bytes:
    ffmpeg(*picture(), *X264, tmp_path / "other.mov")
    return (tmp_path / "other.mov").read_bytes()


def test_a_film_that_lies_in_another_file_is_not_read_from_there(quicktime: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mov").write_bytes(naming(quicktime, alias(b"/folder/other.mov")))
    assert outcome(tmp_path / "a.mov") == (Code.NO_FRAMES, None)
    ffmpeg("-enable_drefs", "1", "-i", tmp_path / "a.mov", tmp_path / "followed.mkv")
    assert outcome(tmp_path / "followed.mkv") == (20, None)


def test_a_film_that_lies_on_a_server_is_not_asked_for(quicktime: bytes, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/other.mov".encode() + b"\0"
        for reference in (struct.pack(">I4sI", 12 + len(address), b"url ", 0) + address, alias(address)):
            (tmp_path / "a.mov").write_bytes(naming(quicktime, reference))
            assert outcome(tmp_path / "a.mov") == (Code.NO_FRAMES, None)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_is_no_film(good: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.mp4").write_bytes(Path(shutil.make_archive(str(tmp_path / "packed"), kind, good)).read_bytes())
    assert outcome(tmp_path / "a.mp4") == UNREADABLE


def test_a_decoder_that_waits_too_long_is_stopped(good: Path, tmp_path: Path) -> None:
    ffmpeg("-i", good / "good.mp4", "-an", "-vf", "scale=1280:720", *X264, tmp_path / "a.mp4")
    stopping = threading.Thread(target=kill_decoders, args=(1, signal.SIGSTOP), daemon=True)
    stopping.start()
    assert outcome(tmp_path / "a.mp4", max_seconds=1) == (Code.DECODER_STOPPED, None)
    ENOUGH.set()
    stopping.join()


@pytest.mark.slow
def test_an_index_of_millions_in_a_few_kilobytes_takes_no_memory(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=1:r=8000", "-c:a", "pcm_s16le", tmp_path / "a.mov")
    data = bytearray((tmp_path / "a.mov").read_bytes())
    many = 80_000_000
    struct.pack_into(">II", data, data.index(b"stsz") + 8, 1, many)  # samples of one byte
    struct.pack_into(">II", data, data.index(b"stts") + 12, many, 2)
    struct.pack_into(">I", data, data.index(b"stsc") + 16, many)
    (tmp_path / "a.mov").write_bytes(data)
    # Not ru_maxrss: a new program starts with the peak of the process that started it, here of all tests before.
    program = "from pathlib import Path; from preprocess.media import header; header.main(Path('a.mov'))"
    program += "; print(Path('/proc/self/status').read_text())"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    peak = next(line for line in done.stdout.splitlines() if line.startswith("VmHWM:"))
    assert int(peak.split()[1]) * 1024 < probe.HEADER_MEMORY * 1e6
    assert outcome(tmp_path / "a.mov")[1] == Code.NO_SAMPLES


def test_memory_is_limited_while_a_header_is_read_and_not_afterwards(good: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(DecoderStoppedError, match="more than 1000 MB"), probe.limited_memory(), probe.opened(good / "good.mp4"):
        np.empty(1_500_000_000, np.uint8)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    np.empty(1_500_000_000, np.uint8)


@pytest.mark.parametrize("at", [22, 24, 28, 40])
def test_a_wav_whose_header_lies_is_refused_or_read_as_far_as_it_goes(tmp_path: Path, at: int) -> None:
    """Channels, sample rate, bytes a second and length, each as large as it can be."""
    ffmpeg("-f", "lavfi", "-i", "sine=d=1:r=8000", "-bitexact", tmp_path / "whole.wav")
    data = bytearray((tmp_path / "whole.wav").read_bytes())
    data[at : at + 2] = b"\xff\xff"
    data[at + 2 : at + 4] = b"\xff\x7f" if at > 22 else data[at + 2 : at + 4]
    (tmp_path / "a.wav").write_bytes(data)
    assert outcome(tmp_path / "a.wav")[1] in {1.0, Code.MEDIA_UNREADABLE, Code.NO_SAMPLES, Code.EMPTY_SPAN}


@pytest.mark.parametrize(
    "media", ["../out.mp4", "a/../../out.mp4", "{root}/out.mp4", "link.mp4", "folder/out.mp4", "circle.mp4", "x" * 300]
)
def test_a_path_out_of_the_corpus_stops_before_any_work(tmp_path: Path, media: str) -> None:
    root = tmp_path / "films"
    root.mkdir()
    (tmp_path / "out.mp4").write_bytes(b"")
    (root / "link.mp4").symlink_to(tmp_path / "out.mp4")
    (root / "folder").symlink_to(tmp_path)
    (root / "circle.mp4").symlink_to("circle.mp4")
    (root / "clips.csv").write_text(f"clip_id,media,happy\na,{media.format(root=tmp_path)},1\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="expected a path inside the corpus folder"):
        corpus.read(root, ["happy"])


def test_what_is_no_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as served:
        served.bind(str(tmp_path / "socket.mp4"))
    for name in ("folder.mp4", "pipe.mp4", "device.mp4", "socket.mp4", "gone.mp4"):
        assert outcome(tmp_path / name) == (Code.MEDIA_MISSING, Code.MEDIA_MISSING)
