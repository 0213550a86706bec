"""Films that tell their time: the picture spells its frame's number in bars, the pitch of the sound tells the second.

Any stretch of picture or sound thus says from which moment of the recording it is, in any container, codec, size or rate.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from preprocess.media.decoder import ffmpeg_path

BITS = 12  # of a frame's number
SIZE = (16 * BITS, 64)  # pixels, width and height
MOST = 4096  # frames

# Three tones at once: one that rises for SWEEP seconds and starts again, one for the number of the sweep modulo 16, and one
# for the number of 16 sweeps. All lie below the 4 kHz that a sound of 8 kHz can hold.
SWEEP, LOW, HIGH = 16.0, 600.0, 2600.0  # seconds, hertz
MINUTES, HOURS = (150.0, 25.0, 16), (2800.0, 40.0, 16)  # hertz of number 0, hertz from one number to the next, numbers
WINDOW = 0.2  # seconds from which the time is read
LOUD = 0.25  # amplitude of each tone


def ffmpeg(*arguments: str | Path) -> None:
    command = [ffmpeg_path("bundled"), "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def picture(number: int) -> np.ndarray:
    """Frame `number` (height, width) uint8: its bits in the upper half, their complement in the lower one."""
    bits = np.repeat([(number >> i) & 1 for i in range(BITS)], SIZE[0] // BITS)
    rows = np.where(np.arange(SIZE[1])[:, None] < SIZE[1] // 2, bits, 1 - bits)
    return (16 + 219 * rows).astype(np.uint8)


def number_of(shown: np.ndarray) -> int:
    """The number that a picture (height, width, 3) spells; ValueError where it spells none."""
    grey = shown.mean(2)
    height, width = grey.shape
    middles = (np.arange(BITS) + 0.5) * width / BITS
    upper, lower = (
        np.array([grey[int(height * y) - 2 : int(height * y) + 3, int(x) - 2 : int(x) + 3].mean() for x in middles])
        for y in (0.25, 0.75)
    )
    if np.abs(upper - lower).min() < 80:
        raise ValueError("the picture spells no number")
    return int(((upper > lower) << np.arange(BITS)).sum())


def wave(seconds: float, rate: int, begin: float = 0.0) -> np.ndarray:
    """Sound (n,) float32 from `begin` on that tells its time."""
    at = begin + np.arange(round(seconds * rate)) / rate
    sweep = (at // SWEEP).astype(int)
    within = at - sweep * SWEEP
    total = np.sin(2 * np.pi * (LOW * within + (HIGH - LOW) / (2 * SWEEP) * within**2))
    for (base, step, numbers), number in ((MINUTES, sweep % 16), (HOURS, sweep // 16)):
        total += np.sin(2 * np.pi * (base + step * (number % numbers)) * at)
    return (LOUD * total).astype(np.float32)


def moment(samples: np.ndarray, at: float, rate: int = 16000) -> float:
    """Of which second of the recording the sound `at` seconds into some samples (n,) is; NaN where they are silent."""
    begin = round((at - WINDOW / 2) * rate)
    piece = samples[max(begin, 0) : begin + round(WINDOW * rate)]
    if len(piece) < WINDOW * rate / 2 or np.sqrt(np.square(piece).mean()) < 0.003:
        return float("nan")
    middle = (max(begin, 0) + len(piece) / 2) / rate
    number = _number(piece, rate, HOURS) * 16 + _number(piece, rate, MINUTES)
    return number * SWEEP + (_pitch(piece, rate, LOW, HIGH) - LOW) * SWEEP / (HIGH - LOW) + at - middle


def _number(piece: np.ndarray, rate: int, tones: tuple[float, float, int]) -> int:
    base, step, numbers = tones
    return round((_pitch(piece, rate, base, base + step * (numbers - 1)) - base) / step)


def _pitch(piece: np.ndarray, rate: int, low: float, high: float) -> float:
    """The frequency in the middle of a piece that is loudest between two, hertz."""
    size = 16 * len(piece)
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), size))
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    inside = np.flatnonzero((frequencies >= low - 12) & (frequencies <= high + 12))
    return float(frequencies[inside[spectrum[inside].argmax()]])


def drift(samples: np.ndarray, start: float, rate: int = 16000, every: float = 0.25) -> float:
    """How far sound that should begin at `start` is off its time at worst, seconds, read `every` so many; silence is left out.

    Where a sweep ends, two pitches are heard at once: what is read there is left out too.
    """
    errors = []
    for at in np.arange(WINDOW / 2, len(samples) / rate - WINDOW / 2 + 1e-9, every):
        distance = abs((start + at + SWEEP / 2) % SWEEP - SWEEP / 2)
        error = moment(samples, at, rate) - (start + at)
        if distance > WINDOW and np.isfinite(error):
            errors.append(abs(error))
    return max(errors, default=float("nan"))


def write_film(
    path: Path,
    seconds: float,
    codecs: Sequence[str],
    *,
    rate: int = 48000,
    frame_rate: int = 25,
    late: float = 0.0,
    options: Sequence[str] = (),
) -> Path:
    """A film with picture and sound; the sound's stream begins `late` seconds after the picture's, its clock is the same."""
    sound, raw = path.with_name(path.name + ".wav"), path.with_name(path.name + ".gray")
    soundfile.write(sound, wave(seconds - late, rate, late), rate)
    raw.write_bytes(b"".join(picture(i).tobytes() for i in range(round(seconds * frame_rate))))
    pictures = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", "{}x{}".format(*SIZE), "-r", str(frame_rate), "-i", raw]
    ffmpeg(*pictures, "-itsoffset", str(late), "-i", sound, "-pix_fmt", "yuv420p", *codecs, *options, path)
    sound.unlink()
    raw.unlink()
    return path


def write_sound(path: Path, seconds: float, codecs: Sequence[str] = (), *, rate: int = 48000, layout: str = "mono") -> Path:
    """A sound whose channels all tell the time."""
    source = path.with_name(path.name + ".source.wav")
    soundfile.write(source, wave(seconds, rate), rate)
    channels = [] if layout == "mono" else ["-af", f"pan={layout}|" + "|".join(f"c{i}=c0" for i in range(CHANNELS[layout]))]
    ffmpeg("-i", source, *channels, *codecs, path)
    source.unlink()
    return path


CHANNELS = {"mono": 1, "stereo": 2, "2.1": 3, "quad": 4, "5.0": 5, "5.1": 6, "6.1": 7, "7.1": 8}
