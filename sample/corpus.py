"""Stage sample: the corpus that comes with the project, synthetic people who speak, in `data/sample/`.

    python -m sample.corpus

A clip depends on the seed and its own number alone: its bytes do not depend on which worker makes it, or when.
"""

import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import numpy as np

import csv_table
import params
import pipeline
import process
from preprocess.media import decoder
from preprocess.run import sources, work
from preprocess.run.progress import track
from preprocess.store import entries
from preprocess.store.entries import Store
from sample import disturbance, film, motion, sentence, speaker, voice
from sample.emotion import LABELS
from sample.face import MovingFace
from sample.photograph import Photograph, take
from sample.plan import Clip, plan
from sample.portrait import paint
from sample.speaker import CHANNELS

OUT = Path("data/sample")
MODEL = Path("data/models/face/face_landmarker.task")
SHORTEST, LONGEST = 2.0, 5.0  # seconds
HIDDEN = 0.15  # chance that almost nothing of an emotion shows in a channel


def make(clip: Clip, photograph: Path, sample: params.Sample, folder: Path) -> float:
    """Write a clip's film and what is said in it, `clip.mp4` and `words.json`, into a folder; its length in seconds."""
    rng = np.random.default_rng([sample.seed, 7, clip.number])
    text = sentence.sentence(list(clip.felt), clip.speaker, clip.noise["text"], clip.kind["text"], rng)
    speech = _speech(clip, text, sample.frame_rate, rng)
    wave = disturbance.disturb_sound(speech.wave, clip.kind["audio"], clip.noise["audio"], rng)
    pictures = _pictures(clip, speech, photograph, sample, rng)
    film.write(folder / "clip.mp4", pictures, sample.frame_rate, wave)
    words = {"text": text, "words": [asdict(word) for word in speech.words]}
    (folder / "words.json").write_text(json.dumps(words), encoding="utf-8")
    return speech.duration


def _shown(clip: Clip, channel: str, rng: np.random.Generator) -> dict[str, float]:
    """How much of each emotion shows in a channel; it differs between people and between moments."""
    person, amounts = clip.speaker, {}
    for label, strength in clip.felt.items():
        moment = 0.2 if rng.random() < HIDDEN else float(np.exp(rng.normal(0, 0.25)))
        amounts[label] = min(1.3, strength * moment * person.shows[channel] * person.colours[channel][label])
    return amounts


def _speech(clip: Clip, text: str, frame_rate: int, rng: np.random.Generator) -> voice.Speech:
    """The text as the speaker says it in this mood, cut to a clip's length and a whole number of pictures."""
    monotony = clip.noise["audio"] if clip.kind["audio"] == "monotony" else 0.0
    manner = voice.moved(clip.speaker.voice, _shown(clip, "audio", rng), monotony)
    speech = voice.say(text, manner, rng)
    if speech.duration > LONGEST:
        speech = voice.say(text, voice.faster(manner, 1.03 * speech.duration / LONGEST), rng)
    length = min(LONGEST, max(SHORTEST, speech.duration + float(rng.uniform(0, 0.2))))
    return voice.fitted(speech, round(length * frame_rate) / frame_rate, rng)


def _pictures(
    clip: Clip, speech: voice.Speech, photograph: Path, sample: params.Sample, rng: np.random.Generator
) -> list[np.ndarray]:
    """(240, 320, 3) BGR pictures of the speaker saying this."""
    face = _face(photograph, sample.seed, sample.speakers, clip.speaker.number)
    away = clip.noise["vision"] if clip.kind["vision"] == "turned" else 0.0
    turn = motion.turned_away(away, rng)
    turned = face.turn(turn.yaw, turn.pitch) if away else None
    count = round(speech.duration * sample.frame_rate)
    poses = motion.poses(speech, count, sample.frame_rate, clip.speaker.face.habit, _shown(clip, "vision", rng), turn, rng)
    disturb = disturbance.picture_noise(clip.kind["vision"], clip.noise["vision"], face.box(poses[count // 2]), rng)
    return [disturb(face.before_wall(pose, turned)) for pose in poses]


@cache
def _face(photograph: Path, seed: int, speakers: int, number: int) -> MovingFace:
    """The face of one speaker; a worker keeps the faces that it has drawn."""
    person = speaker.people(seed, speakers)[number]
    return MovingFace(paint(Photograph.load(photograph), person), person.face.mirrored)


@dataclass(frozen=True)
class Finished:
    """A clip that a worker has made."""

    clip_id: str
    seconds: float


def _make(task: tuple[Clip, str], photograph: Path, sample: params.Sample, store: Store) -> Finished:
    """In a worker: make one clip's entry in the store."""
    clip, key = task
    with store.workplace() as workplace:
        folder = Path(workplace) / "entry"
        folder.mkdir()
        seconds = make(clip, photograph, sample, folder)
        store.add(key, folder)
    return Finished(clip.clip_id, seconds)


def fill(clips: list[Clip], settings: params.Params) -> dict[str, Path]:
    """The store's entry of each clip by id; what is missing is made."""
    store = Store(settings.run.store_folder / "sample")
    shared = _determined_by(settings.sample)
    keys = {clip.clip_id: entries.key(clip=asdict(clip) | {"blank": None}, **shared) for clip in clips}
    missing = [(clip, keys[clip.clip_id]) for clip in clips if not store.has(keys[clip.clip_id])]
    if missing:
        photograph = _photograph(store, entries.key(**shared))
        function = partial(_make, photograph=photograph, sample=settings.sample, store=store)
        finished = work.each(function, missing, min(work.workers(settings.run.workers), len(missing)), "sample.corpus")
        seconds: dict[str, float] = {}
        for _ in track(_with_lengths(finished, seconds), "sample", len(missing), seconds):
            pass
    print(f"sample: {len(clips)} clips, {len(missing)} made, {len(clips) - len(missing)} reused")
    return {clip_id: store.path(key) for clip_id, key in keys.items()}


def _with_lengths(clips: Iterator[Finished], seconds: dict[str, float]) -> Iterator[Finished]:
    """Yield the clips, and put their lengths into `seconds` for the progress bar."""
    for item in clips:
        seconds[item.clip_id] = item.seconds
        yield item


def _determined_by(sample: params.Sample) -> dict[str, object]:
    """Everything except its plan that can change a clip's bytes."""
    return {
        "stage": "sample",
        "sources": sources.digest("sample.corpus"),
        "parameters": [sample.seed, sample.speakers, sample.frame_rate],
        "model": sha256(MODEL.read_bytes()).hexdigest(),
        "ffmpeg": decoder.ffmpeg_version(film.PROGRAM),
        "capability": entries.capability(),
    }


def _photograph(store: Store, key: str) -> Path:
    """The file with the cut-out photograph that all workers read."""
    path = (store.folder / f"photograph-{key}.npz").resolve()
    if not path.exists():
        with store.workplace() as workplace:
            unfinished = Path(workplace) / path.name
            take(MODEL).save(unfinished)
            unfinished.replace(path)
    return path


def assemble(clips: list[Clip], finished: dict[str, Path], out: Path) -> None:
    """Write the corpus folder: films, clips.csv, and truth.csv with the true time of every word."""
    if out.exists():
        shutil.rmtree(out)
    (out / "films").mkdir(parents=True)
    rows, truth = [], []
    for clip in clips:
        with zipfile.ZipFile(finished[clip.clip_id]) as entry:
            (out / _media(clip)).write_bytes(entry.read("clip.mp4"))
            spoken = json.loads(entry.read("words.json"))
        rows.append(_row(clip, spoken["text"]))
        truth += [
            {"clip_id": clip.clip_id, "word": word["name"], "start": f"{word['start']:.3f}", "end": f"{word['end']:.3f}"}
            for word in spoken["words"]
        ]
    csv_table.write_named(out / "clips.csv", list(rows[0]), rows)
    csv_table.write_named(out / "truth.csv", list(truth[0]), truth)


def _media(clip: Clip) -> str:
    return f"films/{clip.clip_id}.mp4"


def _row(clip: Clip, text: str) -> dict[str, str]:
    """The clip's row of clips.csv; only this corpus has columns with the kind of noise."""
    row = {"clip_id": clip.clip_id, "media": _media(clip), "start": "", "end": "", "text": "" if clip.blank else text}
    row |= {"split": clip.speaker.split, "speaker": clip.speaker.name}
    row |= {f"noise_{channel}": f"{clip.noise[channel]:.2f}" for channel in CHANNELS}
    row |= {label: f"{value:.4f}" for label, value in zip(LABELS, clip.intensities, strict=True)}
    return row | {f"kind_{channel}": clip.kind[channel] if clip.noise[channel] else "" for channel in CHANNELS}


def main() -> None:
    settings = params.load()
    if not MODEL.is_file():
        raise SystemExit(f"{MODEL} is not here: run `python -m preprocess models` first")
    clips = plan(settings.sample)
    process.end_with_parent()
    try:
        with work.alone("sample"):
            assemble(clips, fill(clips, settings), OUT)
        pipeline.require_unchanged(settings, "sample")
    except params.ParameterError as error:
        raise SystemExit(f"sample: {error}") from None
    except KeyboardInterrupt:
        work.stop()
        raise SystemExit("sample: stopped; finished clips are kept, run again to go on") from None


if __name__ == "__main__":
    main()
