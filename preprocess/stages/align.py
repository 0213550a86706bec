"""Stage align: the aligned tensors that training reads.

With `words`, row i of every modality is the same word: the mean of its tokens' states, and the states of sound and face
pooled over the word's time. With `none`, a row of text is a word, and a row of sound or picture is a hop.
"""

import csv
import json
import shutil
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import csv_table
import params
from contract import MODALITIES, TENSOR_SPLITS, UNKNOWN_TIME
from preprocess import refusals
from preprocess.clips import FOLDER as MANIFEST
from preprocess.clips import Label, Medium, Task, read_labels, read_media
from preprocess.encoders import ages, clip_rows, pooling, speakers, splits, states
from preprocess.encoders.ages import Age
from preprocess.encoders.clip_rows import Note
from preprocess.encoders.pooling import Rows
from preprocess.encoders.speakers import Speakers
from preprocess.encoders.splits import Kept, Sizes
from preprocess.encoders.states import TimedStates, WordStates
from preprocess.packs import passport
from preprocess.refusals import Code, Refusal, Refused
from preprocess.run.inputs import Inputs
from preprocess.run.progress import track
from preprocess.run.stage import Job, Stage, fill
from preprocess.speech import words
from preprocess.speech.words import Word
from preprocess.store.shards import Shards
from preprocess.store.written import Written, clear, digest

FOLDER = Path("data/tensors")
READ = ("transcripts", "encode_text", "encode_audio", "encode_vision")
STAGES = ("manifest", "frames", "audio", "faces", *READ)


@dataclass(frozen=True)
class Clip:
    """What the stages before made of one clip; None where a modality is absent."""

    clip_id: str
    duration: float  # seconds; 0 for text alone
    words: list[Word]
    text: WordStates | None
    audio: TimedStates | None
    vision: TimedStates | None


def spans(clip: Clip, settings: params.Align) -> tuple[np.ndarray, list[np.ndarray]]:
    """The rows of a clip: their times (L, 2), and for each the indices of its words.

    More than max_rows words are merged with their neighbours into max_rows rows of nearly equal counts. A clip without
    words is one row over its whole length. When the words of a text without sound are said is unknown: in a film they are
    spread evenly over its length, so that the rows of the face have times.
    """
    if not clip.words:
        return np.array([[0, clip.duration]], np.float32), [np.array([], int)]
    groups = _merged(len(clip.words), settings)
    if clip.words[0].start is not None:
        times = [[clip.words[group[0]].start, clip.words[group[-1]].end] for group in groups]
    elif clip.duration:
        edges = np.linspace(0, clip.duration, len(clip.words) + 1)
        times = [[edges[group[0]], edges[group[-1] + 1]] for group in groups]
    else:
        times = [[UNKNOWN_TIME, UNKNOWN_TIME]] * len(groups)
    return np.array(times, np.float32), groups


def hops(clip: Clip, settings: params.Align) -> np.ndarray:
    """Times (L, 2) of a row for each hop; more than max_rows are merged with their neighbours, as words are in `spans`."""
    groups = _merged(hops_in(clip, settings), settings)
    edges = [*(group[0] * settings.hop for group in groups), clip.duration]
    return np.stack([edges[:-1], edges[1:]], 1).astype(np.float32)


def hops_in(clip: Clip, settings: params.Align) -> int:
    return max(1, int(np.ceil(clip.duration / settings.hop - 1e-6)))


def _merged(count: int, settings: params.Align) -> list[np.ndarray]:
    """The indices of the words or hops, of `count`, that each row consists of."""
    return np.array_split(np.arange(count), min(count, settings.max_rows))


def is_merged(clip: Clip, settings: params.Align) -> bool:
    """Whether a row of the clip has more than one word, or more than one hop."""
    timed = settings.mode == "none" and (clip.audio is not None or clip.vision is not None)
    return max(len(clip.words), hops_in(clip, settings) if timed else 0) > settings.max_rows


def rows(clip: Clip, settings: params.Align) -> dict[str, Rows]:
    """The rows of every modality that the clip has."""
    times, groups = spans(clip, settings)
    media_times = times if settings.mode == "words" else hops(clip, settings)
    word_times = times if not clip.words or clip.words[0].start is not None else np.full_like(times, UNKNOWN_TIME)
    modalities = {
        "text": pooling.of_words(clip.text, groups, word_times),
        "audio": pooling.in_context(clip.audio, pooling.of_times(clip.audio, media_times, settings.pooling), settings.context),
        "vision": pooling.of_times(clip.vision, media_times, settings.pooling),
    }
    return {name: pooled for name, pooled in modalities.items() if pooled is not None and pooled.mask.any()}


def tasks(inputs: Inputs) -> list[Task]:
    """A task for every clip; its content is all that its rows depend on."""
    seconds = inputs.durations()
    digests = {stage: inputs.output(stage).digests for stage in READ}
    return [
        Task(
            clip_id,
            {"duration": seconds.get(clip_id, 0.0)} | {stage: of_stage.get(clip_id, "") for stage, of_stage in digests.items()},
            seconds.get(clip_id, 0.0),
        )
        for clip_id in inputs.texts()
    ]


def output(stage: str) -> Shards:
    return Shards(Path("data") / stage)


def read_clip(task: Task) -> Clip:
    """The clip with what the stages before made of it."""
    clip_id, has = task.clip_id, {stage: bool(task.content[stage]) for stage in READ}
    return Clip(
        clip_id=clip_id,
        duration=task.content["duration"],
        words=words.read(output("transcripts"), clip_id).words if has["transcripts"] else [],
        text=states.read_words(output("encode_text"), clip_id) if has["encode_text"] else None,
        audio=states.read_timed(output("encode_audio"), clip_id) if has["encode_audio"] else None,
        vision=states.read_timed(output("encode_vision"), clip_id) if has["encode_vision"] else None,
    )


def rows_of(task: Task, folder: Path, settings: params.Align) -> None:
    """Write the rows of one clip, for the store; Refusal where nothing of it is left."""
    clip = read_clip(task)
    of_clip = rows(clip, settings)
    if not of_clip:
        raise Refusal(Code.NOTHING_LEFT, "no text, no sound, no face")
    old = ages.of_rows(clip.clip_id, clip.vision, of_clip["vision"].times) if clip.vision and "vision" in of_clip else []
    clip_rows.write(folder, of_clip, is_merged(clip, settings), old)


def write_listing(path: Path, labels: list[Label], media: dict[str, Medium]) -> None:
    """`<split>.csv`: the clip of each row."""
    items = ((label.clip_id, media.get(label.clip_id)) for label in labels)
    spans = ([clip_id, *([x.start, x.end, round(x.duration, 6)] if x else ["", "", 0.0])] for clip_id, x in items)
    csv_table.write(path, ["clip_id", "start", "end", "duration"], spans)


def write_speakers(path: Path, kept: set[str]) -> None:
    """The speaker of every clip that was kept, blank where it is unknown."""
    with (MANIFEST / "labels.csv").open(encoding="utf-8", newline="") as file:
        names = {row["clip_id"]: row["speaker"] for row in csv.DictReader(file)}
    csv_table.write(path, ["clip_id", "speaker"], sorted((clip_id, names[clip_id]) for clip_id in kept))


def job(settings: params.Params, inputs: Inputs) -> Job:
    stage = Stage(
        name="align",
        module="preprocess.stages.align",
        work=partial(rows_of, settings=settings.align),
        parameters=settings.align.model_dump(exclude={"normalise"}),
        publish=partial(publish, settings=settings),
    )
    return Job(stage, tasks(inputs))


def main() -> None:
    settings = params.load()
    fill(job(settings, Inputs()), settings.run)


def publish(entries: dict[str, Path], refused: list[Refused], written: Written, settings: params.Params) -> None:
    """Write the output: the tensors of clips whose rows are these entries of the store, but for splits that did not change."""
    labels = read_labels(settings.corpus.labels)
    everything = [row for stage in STAGES for row in refusals.read(Path("data") / stage / "refused.csv")] + refused
    refusals.require_few(everything, len(refused), len(labels), settings.corpus.max_refused)
    kept = Kept(entries)
    if settings.align.normalise:
        voices = speakers.read_voices(MANIFEST / "labels.csv")
        kept.speakers = {m: Speakers(voices, partial(kept.sums_of, m)) for m in settings.align.normalise}
    write(settings, [label for label in labels if label.clip_id in entries], kept, written)
    ages.write(FOLDER / "ages.csv", (Age(clip_id, *age) for clip_id, note in kept.notes.items() for age in note.ages))
    refusals.write(Path("data/refused.csv"), everything)
    summarise(kept.notes, everything, len(labels))


def write(settings: params.Params, labels: list[Label], kept: Kept, written: Written) -> None:
    clear(FOLDER, keep=[*(f"{split}.safetensors" for split in TENSOR_SPLITS), speakers.FILE])
    width_of = {name: width for note in kept.notes.values() for name, (_, width) in note.shapes.items()}
    widths = {name: width_of[name] for name in MODALITIES if name in width_of}
    media = {item.clip_id: item for item in read_media()}
    for split in TENSOR_SPLITS:
        of_split = [label for label in labels if label.split == split]
        write_listing(FOLDER / f"{split}.csv", of_split, media)
        length = splits.lengths((kept.notes[label.clip_id].shapes for label in of_split), widths, settings.align.mode)
        write_split(split, of_split, settings.corpus.labels, splits.Sizes(widths, length), kept, written)
    shutil.copyfile(MANIFEST / "noise.csv", FOLDER / "noise.csv")
    passport.write(FOLDER, settings, widths)
    write_speakers(FOLDER / "speakers.csv", {label.clip_id for label in labels})


def write_split(split: str, labels: list[Label], names: list[str], sizes: Sizes, kept: Kept, written: Written) -> None:
    """The tensors of a split and, of train, the statistics; they stay where they are there, `written` of the same rows."""
    paths = [FOLDER / f"{split}.safetensors", *([FOLDER / speakers.FILE] if split == "train" else [])]
    of = digest(kept.digest(labels), names, sizes)
    if all(written.of(path) == of for path in paths):
        return
    for path in paths:
        path.unlink(missing_ok=True)
    statistics = splits.Statistics(sizes.widths)
    clips = (kept.read(label.clip_id) for label in track(labels, f"align, {split}", len(labels)))
    splits.write(paths[0], statistics.counted(clips), labels, names, sizes)
    if split == "train":
        usual = [of_modality.tensors(m) for m, of_modality in kept.speakers.items()]
        save_file(reduce(or_, usual, statistics.tensors()), FOLDER / speakers.FILE)
    for path in paths:
        written.add(path, of)


def summarise(notes: dict[str, Note], refused: list[Refused], clips: int) -> None:
    """Counts for `dvc metrics`, and the same in words."""
    present = {name: sum(name in note.shapes for note in notes.values()) for name in MODALITIES}
    merged = sum(note.merged for note in notes.values())
    counts = {
        "clips": len(notes),
        **{f"with_{name}": count for name, count in present.items()},
        "features": {name: width for note in notes.values() for name, (_, width) in note.shapes.items()},
        "merged": merged,
        "refused": {code.value: sum(row.code == code for row in refused) for code in Code},
    }
    (FOLDER / "summary.json").write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    with_each = ", ".join(f"{count} with {name}" for name, count in present.items())
    print(f"align: {len(notes)} of {clips} clips have tensors: {with_each}; {merged} had neighbouring rows merged")
    print(f"{len(refused)} refusals, each with its reason in data/refused.csv" + (":" if refused else ""))
    print(*refusals.in_words(refused), sep="\n")
