"""Pictures and sound into a film: H.264 and AAC in MP4, the same bytes each time."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

import ffmpeg
import numpy as np
import soundfile
from numpy.typing import NDArray

from preprocess.media.decoder import BITEXACT, ffmpeg_path
from sample.photograph import HEIGHT, WIDTH
from sample.voice import RATE, Wave

PROGRAM = "bundled"  # ffmpeg of the pinned wheel, whatever the stages use: another one writes other bytes


class FilmError(RuntimeError):
    """ffmpeg did not write a film; the message is its own."""


def write(path: Path, pictures: Iterable[NDArray[np.uint8]], frame_rate: int, wave: Wave) -> None:
    """Write a film of (240, 320, 3) BGR pictures, and its sound, which should last as long."""
    sound = path.with_suffix(".wav")
    soundfile.write(sound, np.clip(wave, -1, 1), RATE, subtype="PCM_16")
    pictured = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="bgr24", s=f"{WIDTH}x{HEIGHT}", framerate=frame_rate)
    codecs = {
        "vcodec": "libx264",
        "preset": "veryfast",
        "crf": 22,
        "pix_fmt": "yuv420p",
        "acodec": "aac",
        "audio_bitrate": "80k",
    }
    graph = ffmpeg.output(pictured, ffmpeg.input(str(sound)), str(path), **codecs, **BITEXACT).global_args("-loglevel", "error")
    command = ffmpeg.compile(graph, cmd=ffmpeg_path(PROGRAM), overwrite_output=True)
    done = subprocess.run(command, input=b"".join(picture.tobytes() for picture in pictures), capture_output=True)
    if done.returncode:
        raise FilmError(f"{path.name}: {done.stderr.decode(errors='replace').strip()}")
    sound.unlink()
