"""The cost of a stage's bare work on a clip: ffmpeg, face landmarker, Whisper, aligner and encoders without the pipeline.

Their input is in memory and the networks are loaded before the clock starts. Their results are thrown away.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np

import params
from params import Params
from preprocess import clips
from preprocess.clips import Medium
from preprocess.media import sound
from preprocess.speech import words
from preprocess.store.shards import Shards

Work = Callable[[], object]
DATA = Path("data")


@dataclass(frozen=True)
class Spent:
    """How long some work took, in seconds."""

    wall: float
    cpu: float  # user and system, of all its processes

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(self.wall - other.wall, self.cpu - other.cpu)


def ffmpeg(medium: Medium, settings: Params, *options: str) -> Work:
    """Decode a clip on one thread with these options, and write nothing."""
    film = str(Path(settings.corpus.root) / medium.media)
    span = ["-ss", str(medium.start), "-t", str(medium.duration)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-threads", "1", *span, "-i", film]
    return lambda: subprocess.run([*command, *options, "-f", "null", "-"], check=True, capture_output=True)


def pictures(medium: Medium, settings: Params) -> Work:
    return ffmpeg(medium, settings, "-an")


def samples(medium: Medium, settings: Params) -> Work:
    return ffmpeg(medium, settings, "-vn")


def frames(medium: Medium, settings: Params) -> Work:
    """Decode pictures; choose, scale and compress them as the stage does."""
    rate, side = settings.frames.rate, settings.frames.max_side
    chosen = f"select='isnan(prev_selected_t)+gt(floor(t*{rate}+0.001),floor(prev_selected_t*{rate}+0.001))'"
    graph = f"{chosen},scale='min({side},iw)':-2:flags=area+accurate_rnd,format=yuvj420p"
    return ffmpeg(medium, settings, "-an", "-vf", graph, "-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v", "3")


def audio(medium: Medium, settings: Params) -> Work:
    """Decode sound; resample and compress it as the stage does."""
    return ffmpeg(medium, settings, "-vn", "-ac", "1", "-ar", str(sound.SAMPLE_RATE), "-c:a", "flac")


def faces(medium: Medium, settings: Params) -> Work:
    """Run one landmarker on every frame."""
    import mediapipe as mp

    from preprocess.face import landmarks
    from preprocess.media import film
    from preprocess.stages.faces import MODEL

    with Shards(DATA / "frames").open(medium.clip_id, film.FILE) as stream:
        frames = [(round(seconds * 1000), np.ascontiguousarray(picture)) for seconds, picture in film.read(stream)]

    def work() -> None:
        with landmarks.landmarker(MODEL, settings.faces) as landmarker:
            for milliseconds, picture in frames:
                landmarker.detect_for_video(mp.Image(image_format=mp.ImageFormat.SRGB, data=picture), milliseconds)

    return work


def transcripts(medium: Medium, settings: Params) -> Work:
    """Run Whisper where the text is blank, and the aligner."""
    from preprocess.encoders import transcription
    from preprocess.stages import transcripts as stage

    wave = sound.wave(Shards(DATA / "audio"), medium.clip_id)
    blank = not clips.read_texts()[medium.clip_id]
    text = words.read(Shards(DATA / "transcripts"), medium.clip_id).text
    aligner = stage.MODELS / (stage.ROLES[settings.transcripts.aligner] or "asr")

    def work() -> None:
        if blank:
            list(transcription.transcribe(stage.MODEL, [wave], "cpu", settings.transcripts))
        stage.align(wave, text, settings.transcripts, aligner, "cpu")

    return work


def encode_text(medium: Medium, settings: Params) -> Work:
    from preprocess.encoders import text_encoder
    from preprocess.stages.encode_text import MODEL

    spoken = [word.word for word in words.read(Shards(DATA / "transcripts"), medium.clip_id).words]
    return lambda: list(text_encoder.encode([spoken], MODEL, "cpu", settings.encode.text))


def encode_audio(medium: Medium, settings: Params) -> Work:
    from preprocess.encoders import sound_encoder
    from preprocess.stages.encode_audio import MODEL

    wave = sound.wave(Shards(DATA / "audio"), medium.clip_id)
    return lambda: list(sound_encoder.encode([wave], MODEL, "cpu", settings.encode.audio))


def encode_vision(medium: Medium, settings: Params) -> Work:
    from preprocess.face.track import read_track
    from preprocess.media import film
    from preprocess.stages import encode_vision as stage

    tracks = Shards(DATA / "faces")
    track = read_track(tracks, medium.clip_id)
    with tracks.open(medium.clip_id, film.FILE) as stream:
        crops = [picture for _, picture in film.read(stream)]
    return lambda: stage.encode(track, iter(crops), settings.encode.vision)


WORK = {work.__name__: work for work in (frames, audio, faces, transcripts, encode_text, encode_audio, encode_vision)}
# faces works on all clips of frames, also on those that it refuses; other stages refuse next to none of their own output.
WORKED_ON = {"faces": "frames"}
DECODING = {"frames": pictures, "audio": samples}


def cpu() -> float:
    """Processor seconds of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(works: list[Work]) -> Spent:
    """The time of all of them, after one call that does not count and loads the network."""
    works[0]()
    wall_before, cpu_before = time.perf_counter(), cpu()
    for work in works:
        work()
    return Spent(time.perf_counter() - wall_before, cpu() - cpu_before)


def main() -> None:
    """Measure the bare work of a stage on the clips that standard input names; where the stage decodes, decoding alone too.

    It reads the outputs under data/ of the folder that it is started in, and prints JSON.
    """
    stage, clip_ids = sys.argv[1], set(sys.stdin.read().split())
    settings, outputs = params.load(), Shards(DATA / WORKED_ON.get(stage, stage)).digests
    media = [medium for medium in clips.read_media() if medium.clip_id in clip_ids and medium.clip_id in outputs]
    kinds = [WORK[stage], *([DECODING[stage]] if stage in DECODING else [])]
    print(json.dumps([asdict(measure([kind(medium, settings) for medium in media])) for kind in kinds]))
