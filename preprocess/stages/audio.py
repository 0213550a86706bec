"""Stage audio: the sound of each clip, mono at 16 kHz, in FLAC; its first sample is the clip's start."""

from functools import partial
from pathlib import Path

import params
from preprocess.clips import Task, read_media
from preprocess.media import probe
from preprocess.media.decoder import BITEXACT, DecoderKilledError, ffmpeg_version, limits_of, part_of, run_ffmpeg
from preprocess.media.probe import DecoderStoppedError, MediaError
from preprocess.media.sound import FILE, SAMPLE_RATE
from preprocess.refusals import Code, Refusal
from preprocess.run.stage import Stage, fill


def write(source: Path, start: float, end: float, decoder: params.Decoder, target: Path) -> None:
    """Write the sound of a medium from start to end (seconds).

    Where the sound begins after the picture, or has a gap, silence keeps the clock. MediaError where it cannot be decoded.
    """
    span = part_of(source, start, end)
    sound = span.source["a:0"].filter("aresample", SAMPLE_RATE, **{"async": 1, "first_pts": round(span.begin * SAMPLE_RATE)})
    even = span.cut(sound, "a").filter("asetnsamples", n=4096, p=0)  # FLAC takes no short block at the beginning
    output = even.output(str(target), format="flac", acodec="flac", ac=1, ar=SAMPLE_RATE, sample_fmt="s16", **BITEXACT)
    run_ffmpeg(output, decoder)


def audio_of(task: Task, folder: Path, decoder: params.Decoder) -> None:
    """One clip's sound."""
    target = folder / FILE
    try:
        write(Path(task.source), task.content["start"], task.content["end"], decoder, target)
        empty = probe.streams_of(target).duration == 0
    except DecoderStoppedError as error:
        raise Refusal(Code.DECODER_STOPPED, str(error)) from None
    except DecoderKilledError as error:
        raise Refusal(Code.WORKER_DIED, str(error)) from None
    except MediaError as error:
        raise Refusal(Code.NO_SAMPLES, str(error)) from None
    if empty:
        raise Refusal(Code.NO_SAMPLES, "no sample between start and end")


def main() -> None:
    settings = params.load()
    root = Path(settings.corpus.root)
    limits = limits_of(settings.decoder)
    stage = Stage(
        name="audio",
        module="preprocess.stages.audio",
        work=partial(audio_of, decoder=settings.decoder),
        parameters=settings.decoder.model_dump(exclude=set(limits)),
        environment=ffmpeg_version(settings.decoder.ffmpeg),
        limits=limits,
    )
    fill(stage, [item.decoding(root) for item in read_media() if item.sound], settings.run)
