"""Joined recordings, clocks that jump, and headers that lie: all that is there is read in order, and noted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from preprocess.media import probe
from preprocess.media.notes import About
from tests import clock
from tests.preprocess.media.test_parts import AAC, MPEG2, OPUS, X264, heard, seen

VORBIS = ["-c:a", "libvorbis"]


def codes(path: Path) -> list[str]:
    return [code for code, _ in probe.streams_of(path).notes]


def require_order(samples, length: float, second: float) -> None:  # type: ignore[no-untyped-def]
    """Samples that are a recording of `second` seconds, and another one from its beginning on."""
    assert len(samples) / 16000 == pytest.approx(length, abs=0.05)
    for at in (1.0, second - 0.5, second + 0.5, length - 1.0):
        assert clock.moment(samples, at) == pytest.approx(at % second, abs=0.05)


@pytest.mark.parametrize(("name", "codecs"), [("a.ts", [*X264, *AAC]), ("a.mpg", MPEG2)])
@pytest.mark.parametrize("later", [0, 300])
def test_joined_films_are_read_in_order(tmp_path: Path, name: str, codecs: list[str], later: int) -> None:
    """Both begin at the same time of the clock, or the second one five minutes behind the first."""
    if later and name == "a.mpg":
        pytest.skip("ffmpeg's muxer writes no offset into it")
    first = clock.write_film(tmp_path / f"first-{name}", 9.0, codecs)
    second = tmp_path / f"second-{name}"
    clock.ffmpeg("-i", first, "-c", "copy", "-output_ts_offset", str(later), second)
    source = tmp_path / name
    source.write_bytes(first.read_bytes() + (second if later else first).read_bytes())
    streams = probe.streams_of(source)
    assert streams.duration == pytest.approx(18.0, abs=0.1)
    assert codes(source) == [About.CLOCK_JUMP]
    require_order(heard(source, 0.0, 18.0, tmp_path / "a.flac"), 18.0, 9.0)
    part = heard(source, 10.0, 14.0, tmp_path / "part.flac")
    assert len(part) == 64000
    assert clock.drift(part, 1.0) < 0.05
    pictures = seen(source, 7.0, 11.0, tmp_path / "a.mkv")
    assert len(pictures) == 40
    assert all((7.0 + seconds) % 9.0 == pytest.approx(number / 25, abs=0.08) for seconds, number in pictures)


def test_sound_that_comes_late_stays_late_in_a_joined_film(tmp_path: Path) -> None:
    one = clock.write_film(tmp_path / "one.ts", 9.0, [*X264, *AAC], late=1.48)
    (tmp_path / "a.ts").write_bytes(one.read_bytes() * 2)
    part = heard(tmp_path / "a.ts", 9.0, 16.0, tmp_path / "a.flac")
    assert clock.moment(part, 1.0) != clock.moment(part, 1.0)  # NaN: silent
    assert clock.drift(part, 0.0) < 0.06


@pytest.mark.parametrize(("name", "codec"), [("a.opus", OPUS), ("a.ogg", VORBIS)])
def test_chained_sounds_are_read_in_order(tmp_path: Path, name: str, codec: list[str]) -> None:
    first = clock.write_sound(tmp_path / f"first-{name}", 9.0, codec)
    second = clock.write_sound(tmp_path / f"second-{name}", 7.0, codec)
    (tmp_path / name).write_bytes(first.read_bytes() + second.read_bytes())
    assert codes(tmp_path / name) == [About.CLOCK_JUMP]
    require_order(heard(tmp_path / name, 0.0, 16.0, tmp_path / "a.flac"), 16.0, 9.0)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.flv"])
def test_five_minutes_of_nothing_are_skipped_and_noted(tmp_path: Path, name: str) -> None:
    """On the clock of the film, as players show it; a part is shorter by what it skips."""
    source, rate = tmp_path / name, 44100
    film = clock.write_film(tmp_path / "film.mkv", 6.0, [*X264, "-bf", "0", *AAC], rate=rate)
    jump = r"setts=ts='TS+if(gt(TS*TB\,3)\,288/TB\,0)'"
    clock.ffmpeg("-i", film, "-c", "copy", "-bsf", jump, source)
    streams = probe.streams_of(source)
    assert streams.duration == pytest.approx(294.0, abs=0.2)
    assert codes(source) == [About.CLOCK_GAP]
    for start, end, seconds in ((0.0, streams.duration, 6.0), (2.0, 292.5, 2.5), (292.0, 293.0, 1.0)):
        samples = heard(source, start, end, tmp_path / "a.flac")
        begin = start - 288 if start > 290 else start
        assert len(samples) / 16000 == pytest.approx(seconds, abs=0.2)
        assert clock.drift(samples, begin) < 0.12
        pictures = seen(source, start, end, tmp_path / "pictures.mkv")
        assert len(pictures) == pytest.approx(10 * seconds, abs=2)
        assert all(begin + at == pytest.approx(number / 25, abs=0.12) for at, number in pictures)


def half(folder: Path) -> Path:
    """A download that was broken off."""
    film = clock.write_film(folder / "whole.mp4", 14.0, [*X264, *AAC, "-movflags", "+faststart"])
    (folder / "half.mp4").write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    return folder / "half.mp4"


def later_fragments(folder: Path) -> Path:
    """The beginning of a fragmented film and its later fragments alone, as a live stream is caught."""
    fragmented = "+frag_keyframe+empty_moov+default_base_moof"
    data = clock.write_film(folder / "whole.mp4", 14.0, [*X264, *AAC, "-movflags", fragmented]).read_bytes()
    fragments = [at - 4 for at in range(len(data)) if data[at : at + 4] == b"moof"]
    (folder / "late.mp4").write_bytes(data[: fragments[0]] + data[fragments[3] : data.rfind(b"mfra") - 4])
    return folder / "late.mp4"


def late_subtitle(folder: Path) -> Path:
    (folder / "a.srt").write_text("1\n00:01:00,000 --> 00:01:02,000\nhello\n", encoding="utf-8")
    film = clock.write_film(folder / "whole.mkv", 6.0, [*X264, *AAC])
    clock.ffmpeg("-i", film, "-i", folder / "a.srt", "-c", "copy", "-c:s", "srt", folder / "subtitled.mkv")
    return folder / "subtitled.mkv"


@pytest.mark.parametrize(
    ("make", "said", "there"), [(half, 14.0, 6.4), (later_fragments, 14.1, 8.1), (late_subtitle, 62.0, 6.0)]
)
def test_a_header_that_says_another_duration_is_not_believed(
    tmp_path: Path, make: Callable[[Path], Path], said: float, there: float
) -> None:
    source = make(tmp_path)
    streams = probe.streams_of(source)
    assert streams.duration == pytest.approx(there, abs=0.1)
    assert streams.notes == ((About.DURATION, f"its header says {said} s, {there} s are there"),)
    samples = heard(source, 0.0, streams.duration, tmp_path / "a.flac")
    assert len(samples) / 16000 == pytest.approx(there, abs=0.1)


def test_sound_and_pictures_of_later_fragments_belong_together(tmp_path: Path) -> None:
    source = later_fragments(tmp_path)
    samples = heard(source, 2.0, 4.0, tmp_path / "a.flac")
    begin = clock.moment(samples, 0.5) - 0.5
    assert begin > 7
    assert all(begin + at == pytest.approx(number / 25, abs=0.06) for at, number in seen(source, 2.0, 4.0, tmp_path / "a.mkv"))


def test_an_ordinary_film_has_no_notes(tmp_path: Path) -> None:
    assert codes(clock.write_film(tmp_path / "a.mp4", 3.0, [*X264, *AAC])) == []


def test_a_picture_that_stands_for_long_is_no_gap(tmp_path: Path) -> None:
    clock.ffmpeg("-f", "lavfi", "-i", "testsrc=r=1/30:d=120", "-c:v", "libx264", tmp_path / "a.mkv")
    assert codes(tmp_path / "a.mkv") == []
    assert len(seen_at(tmp_path / "a.mkv", tmp_path / "b.mkv")) == 4


def seen_at(source: Path, target: Path) -> list[float]:
    from preprocess.media import film
    from preprocess.stages import frames
    from tests.preprocess.media.test_parts import SETTINGS

    frames.write(source, 0.0, 120.0, SETTINGS.frames, SETTINGS.decoder, target)
    with target.open("rb") as file:
        return [seconds for seconds, _ in film.read(file)]
