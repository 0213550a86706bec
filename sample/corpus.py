"""Stage sample: the corpus that comes with the project, synthetic people who speak, in `data/sample/`.

    python -m sample.corpus

Each clip depends on the seed and its own number alone, so the bytes do not depend on who makes it, or when.
"""

import csv
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np

import params
from preprocess import media, sources, store, work
from preprocess.progress import track
from preprocess.store import Store
from sample import disturbance, emotion, film, motion, sentence, speaker, voice
from sample.emotion import LABELS
from sample.face import MovingFace
from sample.photograph import Photograph, take
from sample.portrait import paint
from sample.speaker import CHANNELS, Speaker

OUT = Path("data/sample")
MODEL = Path("data/models/face/face_landmarker.task")
KINDS = {"text": sentence.KINDS, "audio": disturbance.SOUND_KINDS, "vision": disturbance.PICTURE_KINDS}
NOISELESS = 0.4  # share of the clips that are free of noise, for each channel by itself
SHORTEST, LONGEST = 2.0, 5.0  # seconds
HIDDEN = 0.15  # chance that next to nothing of an emotion shows in a channel


@dataclass(frozen=True)
class Clip:
    """What is decided about a clip before it is made."""

    clip_id: str
    number: int
    speaker: Speaker
    intensities: tuple[float, ...]  # in the order of LABELS
    noise: dict[str, float]  # by channel, 0 to 1
    kind: dict[str, str]  # by channel, also where the noise is 0
    blank: bool  # whether clips.csv leaves the text out

    @property
    def felt(self) -> dict[str, float]:
        """How strong each present emotion is, 0 to 1."""
        strengths = emotion.strength(np.array(self.intensities))
        return {label: float(value) for label, value in zip(LABELS, strengths, strict=True) if value > 0}


def plan(sample: params.Sample) -> list[Clip]:
    """Every clip of the corpus."""
    people = speaker.people(sample.seed, sample.speakers)
    rng = np.random.default_rng([sample.seed, 5])
    spoken_by = [people[i % len(people)] for i in range(sample.clips)]
    sets: dict[int, tuple[str, ...]] = {}
    blank: set[int] = set()
    for split in speaker.SPLIT_SHARES:
        numbers = [i for i, person in enumerate(spoken_by) if person.split == split]
        sets |= dict(zip(numbers, emotion.label_sets(len(numbers), rng), strict=True))
        blank |= set(rng.permutation(numbers)[: int(np.ceil(sample.blank_text * len(numbers)))].tolist())
    return [_clip(sample.seed, i, spoken_by[i], sets[i], i in blank) for i in range(sample.clips)]


def _clip(seed: int, number: int, person: Speaker, labels: tuple[str, ...], blank: bool) -> Clip:
    rng = np.random.default_rng([seed, 6, number])
    return Clip(
        clip_id=f"{person.name}_{number:04d}",
        number=number,
        speaker=person,
        intensities=tuple(emotion.intensities(labels, rng).tolist()),
        noise={channel: 0.0 if rng.random() < NOISELESS else round(float(rng.uniform(0.02, 1)), 2) for channel in CHANNELS},
        kind={channel: str(rng.choice(KINDS[channel])) for channel in CHANNELS},
        blank=blank,
    )


def make(clip: Clip, photograph: Path, sample: params.Sample, program: str, folder: Path) -> float:
    """Write a clip's film and what is said in it, `clip.mp4` and `words.json`, into a folder; its length in seconds."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([sample.seed, 7, clip.number])
    text = sentence.sentence(list(clip.felt), clip.speaker, clip.noise["text"], clip.kind["text"], rng)
    speech = _speech(clip, text, sample.frame_rate, rng)
    wave = disturbance.disturb_sound(speech.wave, clip.kind["audio"], clip.noise["audio"], rng)
    pictures = _pictures(clip, speech, photograph, sample, rng)
    film.write(folder / "clip.mp4", pictures, sample.frame_rate, wave, program)
    words = {"text": text, "words": [asdict(word) for word in speech.words]}
    (folder / "words.json").write_text(json.dumps(words), encoding="utf-8")
    return speech.duration


def _shown(clip: Clip, channel: str, rng: np.random.Generator) -> dict[str, float]:
    """How much of each emotion shows in a channel: people differ, and so do moments."""
    person, amounts = clip.speaker, {}
    for label, strength in clip.felt.items():
        moment = 0.2 if rng.random() < HIDDEN else float(np.exp(rng.normal(0, 0.25)))
        amounts[label] = min(1.3, strength * moment * person.shows[channel] * person.colours[channel][label])
    return amounts


def _speech(clip: Clip, text: str, frame_rate: int, rng: np.random.Generator) -> voice.Speech:
    """The text as the speaker says it now, in the length of a clip and a whole number of pictures."""
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
    """The face of one speaker; a worker keeps those that it has painted."""
    person = speaker.people(seed, speakers)[number]
    return MovingFace(paint(Photograph.load(photograph), person), person.face.mirrored)


@dataclass(frozen=True)
class Made:
    clip_id: str
    seconds: float


def _make(task: tuple[Clip, str], photograph: Path, sample: params.Sample, program: str, kept: Store) -> Made:
    """In a worker: make one clip's entry in the store."""
    clip, key = task
    with kept.workplace() as workplace:
        folder = Path(workplace) / "entry"
        folder.mkdir()
        seconds = make(clip, photograph, sample, program, folder)
        kept.add(key, folder)
    return Made(clip.clip_id, seconds)


def fill(clips: list[Clip], settings: params.Params) -> dict[str, Path]:
    """The store's entry of each clip by id; what is missing is made."""
    kept = Store(store.root(settings.run.store) / "sample")
    keys = _keys(clips, settings)
    missing = [(clip, keys[clip.clip_id]) for clip in clips if not kept.has(keys[clip.clip_id])]
    if missing:
        photograph = _photograph(kept)
        function = partial(_make, photograph=photograph, sample=settings.sample, program="bundled", kept=kept)
        made = work.each(function, missing, min(work.workers(settings.run.workers), len(missing)), "sample.corpus")
        seconds: dict[str, float] = {}
        for _ in track(_noted(made, seconds), "sample", len(missing), seconds):
            pass
    print(f"sample: {len(clips)} clips, {len(missing)} made, {len(clips) - len(missing)} reused")
    return {clip.clip_id: kept.path(keys[clip.clip_id]) for clip in clips}


def _noted(made: Iterator[Made], seconds: dict[str, float]) -> Iterator[Made]:
    """Pass clips on, their lengths noted for the progress bar."""
    for item in made:
        seconds[item.clip_id] = item.seconds
        yield item


def _keys(clips: list[Clip], settings: params.Params) -> dict[str, str]:
    fixed = {
        "stage": "sample",
        "sources": sources.digest("sample.corpus"),
        "seed": [settings.sample.seed, settings.sample.speakers],
        "frame_rate": settings.sample.frame_rate,
        "model": sha256(MODEL.read_bytes()).hexdigest(),
        "ffmpeg": media.version("bundled"),
        "capability": store.capability(),
    }
    return {clip.clip_id: store.key(clip=asdict(clip) | {"blank": None}, **fixed) for clip in clips}


def _photograph(kept: Store) -> Path:
    """A file with the photograph as all workers use it."""
    kept.folder.mkdir(parents=True, exist_ok=True)
    path = kept.folder / "photograph.npz"
    with kept.workplace() as workplace:
        unfinished = Path(workplace) / "photograph.npz"
        take(MODEL).save(unfinished)
        unfinished.replace(path)
    return path.resolve()


def assemble(clips: list[Clip], entries: dict[str, Path], out: Path) -> None:
    """Write the corpus folder: films, clips.csv, and truth.csv with the true time of every word."""
    if out.exists():
        shutil.rmtree(out)
    (out / "films").mkdir(parents=True)
    rows, truth = [], []
    for clip in clips:
        with zipfile.ZipFile(entries[clip.clip_id]) as entry:
            (out / _media(clip)).write_bytes(entry.read("clip.mp4"))
            said = json.loads(entry.read("words.json"))
        rows.append(_row(clip, said["text"]))
        truth += [
            {"clip_id": clip.clip_id, "word": word["name"], "start": f"{word['start']:.3f}", "end": f"{word['end']:.3f}"}
            for word in said["words"]
        ]
    _write(out / "clips.csv", rows)
    _write(out / "truth.csv", truth)


def _media(clip: Clip) -> str:
    return f"films/{clip.clip_id}.mp4"


def _row(clip: Clip, text: str) -> dict[str, str]:
    """The clip's row of clips.csv; the kinds of noise are columns of this corpus alone."""
    known = {"clip_id": clip.clip_id, "media": _media(clip), "start": "", "end": "", "text": "" if clip.blank else text}
    known |= {"split": clip.speaker.split, "speaker": clip.speaker.name}
    known |= {f"noise_{channel}": f"{clip.noise[channel]:.2f}" for channel in CHANNELS}
    known |= {label: f"{value:.4f}" for label, value in zip(LABELS, clip.intensities, strict=True)}
    return known | {f"kind_{channel}": clip.kind[channel] if clip.noise[channel] else "" for channel in CHANNELS}


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def main() -> None:
    settings = params.load()
    clips = plan(settings.sample)
    assemble(clips, fill(clips, settings), OUT)


if __name__ == "__main__":
    main()
