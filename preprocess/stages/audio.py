"""Stage audio: the sound of each clip, mono at 16 kHz, in FLAC; its first sample is the clip's start."""

from pathlib import Path

import params
from preprocess.clips import Task
from preprocess.media import probe
from preprocess.media.decoder import BITEXACT, errors_as_refusals, part_of, run_ffmpeg
from preprocess.media.sound import FILE, SAMPLE_RATE
from preprocess.refusals import Code, Refusal
from preprocess.run import decoding


def write(source: Path, start: float, end: float, decoder: params.Decoder, target: Path) -> None:
    """Write the sound of a medium from start to end (seconds).

    Where the sound begins after the picture, or has a gap, silence keeps the time. MediaError where it cannot be decoded.
    """
    part = part_of(source, start, end)
    sound = part.source["a:0"].filter("aresample", SAMPLE_RATE, **{"async": 1, "first_pts": round(part.begin * SAMPLE_RATE)})
    even = part.cut(sound, "a").filter("asetnsamples", n=4096, p=0)  # FLAC takes no short block at the beginning
    output = even.output(str(target), format="flac", acodec="flac", ac=1, ar=SAMPLE_RATE, sample_fmt="s16", **BITEXACT)
    run_ffmpeg(output, decoder)


def audio_of(task: Task, folder: Path, decoder: params.Decoder) -> None:
    """Write one clip's sound into a folder; Refusal where it has no sample."""
    target = folder / FILE
    with errors_as_refusals(Code.NO_SAMPLES):
        write(Path(task.source), task.content["start"], task.content["end"], decoder, target)
        if probe.streams_of(target).duration == 0:
            raise Refusal(Code.NO_SAMPLES, "no sample between start and end")


def main() -> None:
    decoding.run("audio", audio_of, params.load(), {}, "sound")
