"""Stage align: the aligned tensors that training reads.

With `words`, row i of every modality is the same word: the mean of its tokens' states, and the states of sound and face
pooled over the word's time. With `none`, a row of text is a word, and a row of sound or picture is a hop.
"""

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
from safetensors.numpy import save_file

import params
from contract import MODALITIES, TENSOR_SPLITS, UNKNOWN_TIME
from preprocess import refusals
from preprocess.clips import FOLDER as MANIFEST
from preprocess.clips import Label, read_labels, read_media
from preprocess.encoders import ages, pooling, speakers, states
from preprocess.encoders.pooling import Rows
from preprocess.encoders.speakers import Speakers
from preprocess.encoders.states import TimedStates, WordStates
from preprocess.packs import passport
from preprocess.refusals import Code, Refused
from preprocess.run import work
from preprocess.run.progress import track
from preprocess.speech import words
from preprocess.speech.words import Word
from preprocess.store import tables
from preprocess.store.shards import Shards

FOLDER = Path("data/tensors")
STAGES = ("manifest", "frames", "audio", "faces", "transcripts", "encode_text", "encode_audio", "encode_vision")


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


def pad(clips: list[dict[str, Rows]], modality: str, length: int, width: int) -> dict[str, np.ndarray]:
    """One modality of many clips as tensors: states (N, L, D), mask (N, L), times (N, L, 2)."""
    states = np.zeros((len(clips), length, width), np.float32)
    mask = np.zeros((len(clips), length), bool)
    times = np.full((len(clips), length, 2), UNKNOWN_TIME, np.float32)
    for i, clip in enumerate(clips):
        if modality in clip:
            rows, count = clip[modality], len(clip[modality].mask)
            states[i, :count], mask[i, :count], times[i, :count] = rows.states, rows.mask, rows.times
    return {modality: states, f"{modality}_mask": mask, f"{modality}_time": times}


def lengths(shapes: Iterable[dict[str, tuple[int, int]]], widths: dict[str, int], mode: str) -> dict[str, int]:
    """The length that each modality's tensor needs for clips of these shapes (L, D); with `words`, the same for all."""
    most = dict.fromkeys(widths, 0)
    for shape in shapes:
        most |= {name: max(most[name], rows) for name, (rows, _) in shape.items()}
    if mode == "words":
        most = dict.fromkeys(widths, max(most.values(), default=0))
    return {name: length or 1 for name, length in most.items()}


def tensors(clips: list[dict[str, Rows]], widths: dict[str, int], lengths: dict[str, int]) -> dict[str, np.ndarray]:
    """The tensors of all modalities that the corpus has."""
    return {key: value for name in widths for key, value in pad(clips, name, lengths[name], widths[name]).items()}


def statistics(train: Callable[[], Iterator[dict[str, Rows]]], widths: dict[str, int]) -> dict[str, np.ndarray]:
    """Mean and deviation of every feature over the observed rows of the training split; 0 and 1 where it has none.

    `train` gives the clips of the split; it is called twice.
    """
    count = dict.fromkeys(widths, 0)
    total, squares = ({name: np.zeros(width) for name, width in widths.items()} for _ in range(2))
    for clip in train():
        for name, rows in clip.items():
            count[name] += int(rows.mask.sum())
            total[name] = _sum(total[name], rows.states[rows.mask].astype(np.float64))
    mean = {name: total[name] / max(count[name], 1) for name in widths}
    for clip in train():
        for name, rows in clip.items():
            squares[name] = _sum(squares[name], (rows.states[rows.mask] - mean[name]) ** 2)
    values: dict[str, np.ndarray] = {}
    for name, width in widths.items():
        deviation = np.sqrt(squares[name] / count[name]) if count[name] else np.ones(width)
        values |= {f"{name}_mean": mean[name].astype(np.float32), f"{name}_deviation": deviation.astype(np.float32)}
    return values


def _sum(total: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A sum (D,) plus the sum of more values (n, D)."""
    return np.add.reduce(np.concatenate([total[None], values]), axis=0)


class Spool:
    """The rows of every clip in a temporary file, since those of a large corpus do not fit in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.shapes: dict[str, dict[str, tuple[int, int]]] = {}  # of the states (L, D) by clip and modality
        self.speakers: dict[str, Speakers] = {}  # by modality that is read relative to what is usual for the speaker
        self._places: dict[str, int] = {}  # in the file, by clip

    def add(self, clip_id: str, modalities: dict[str, Rows]) -> None:
        self._places[clip_id] = self.file.seek(0, os.SEEK_END)
        self.shapes[clip_id] = {name: (rows.states.shape[0], rows.states.shape[1]) for name, rows in modalities.items()}
        for rows in modalities.values():
            for values in (rows.states, rows.times, rows.mask):
                self.file.write(values.tobytes())

    def read(self, clip_id: str) -> dict[str, Rows]:
        self.file.seek(self._places[clip_id])
        modalities = {}
        for name, (length, width) in self.shapes[clip_id].items():
            states, times = self._take(np.float32, length, width), self._take(np.float32, length, 2)
            modalities[name] = Rows(states, self._take(bool, length), times)
        return modalities | {m: of.apply(clip_id, modalities[m]) for m, of in self.speakers.items() if m in modalities}

    def of(self, modality: str) -> Iterator[tuple[str, Rows]]:
        """The clips that have a modality, and its rows."""
        having = (clip_id for clip_id, shapes in self.shapes.items() if modality in shapes)
        return ((clip_id, self.read(clip_id)[modality]) for clip_id in having)

    def _take(self, kind: type, *shape: int) -> np.ndarray:
        return np.frombuffer(self.file.read(int(np.prod(shape)) * np.dtype(kind).itemsize), kind).reshape(shape)


def read_clips(labels: list[Label]) -> Iterator[Clip]:
    """Every clip of the corpus with what the stages before made of it."""
    shards = {name: Shards(Path("data") / name) for name in STAGES if name != "manifest"}
    media = {item.clip_id: item for item in read_media()}
    for label in labels:
        clip_id = label.clip_id
        has = {name: clip_id in output.digests for name, output in shards.items()}
        yield Clip(
            clip_id=clip_id,
            duration=media[clip_id].duration if clip_id in media else 0.0,
            words=words.read(shards["transcripts"], clip_id).words if has["transcripts"] else [],
            text=states.read_words(shards["encode_text"], clip_id) if has["encode_text"] else None,
            audio=states.read_timed(shards["encode_audio"], clip_id) if has["encode_audio"] else None,
            vision=states.read_timed(shards["encode_vision"], clip_id) if has["encode_vision"] else None,
        )


def write_split(split: str, spool: Spool, labels: list[Label], widths: dict[str, int], settings: params.Params) -> None:
    """`<split>.safetensors`, and `<split>.csv` with the clip of each row."""
    names = settings.corpus.labels
    length = lengths((spool.shapes[label.clip_id] for label in labels), widths, settings.align.mode)
    with tables.Writer(FOLDER / f"{split}.safetensors", labels=json.dumps(names)) as table:
        table.append(tensors([], widths, length) | {"labels": np.zeros((0, len(names)), np.float32)})
        for label in labels:
            row = tensors([spool.read(label.clip_id)], widths, length)
            table.append(row | {"labels": np.array([label.values], np.float32)})
    media = {item.clip_id: item for item in read_media()}
    with (FOLDER / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
        listing = csv.writer(file, lineterminator="\n")
        listing.writerow(["clip_id", "start", "end", "duration"])
        for label in labels:
            item = media.get(label.clip_id)
            span = [item.start, item.end, round(item.duration, 6)] if item else ["", "", 0.0]
            listing.writerow([label.clip_id, *span])


def write_speakers(path: Path, kept: set[str]) -> None:
    """The speaker of every clip that was kept, blank where it is unknown."""
    with (MANIFEST / "labels.csv").open(encoding="utf-8", newline="") as file:
        names = {row["clip_id"]: row["speaker"] for row in csv.DictReader(file)}
    with path.open("w", encoding="utf-8", newline="") as file:
        listing = csv.writer(file, lineterminator="\n")
        listing.writerow(["clip_id", "speaker"])
        listing.writerows(sorted((clip_id, names[clip_id]) for clip_id in kept))


def main() -> None:
    settings = params.load()
    labels = read_labels(settings.corpus.labels)
    merged, old = 0, []
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=FOLDER.parent) as file:
        spool = Spool(file)
        for clip in track(read_clips(labels), "align", len(labels)):
            of_clip = rows(clip, settings.align)
            spool.add(clip.clip_id, of_clip)
            old += (
                ages.of_rows(clip.clip_id, clip.vision, of_clip["vision"].times) if clip.vision and "vision" in of_clip else []
            )
            merged += is_merged(clip, settings.align)
        refused = [row for stage in STAGES for row in refusals.read(Path("data") / stage / "refused.csv")]
        empty = [clip_id for clip_id, shapes in spool.shapes.items() if not shapes]
        refused += [Refused(clip_id, "align", Code.NOTHING_LEFT, "no text, no sound, no face") for clip_id in empty]
        refusals.require_few(refused, len(empty), len(labels), settings.corpus.max_refused)
        voices = speakers.read_voices(MANIFEST / "labels.csv") if settings.align.normalise else {}
        spool.speakers = {m: Speakers(voices, partial(spool.of, m)) for m in settings.align.normalise}
        with work.alone("align"):
            write(settings, [label for label in labels if spool.shapes[label.clip_id]], spool)
            ages.write(FOLDER / "ages.csv", old)
            refusals.write(Path("data/refused.csv"), refused)
            summarise(spool.shapes, refused, merged)


def write(settings: params.Params, labels: list[Label], spool: Spool) -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)  # its files may be hard links to those of DVC's cache
    FOLDER.mkdir(parents=True)
    width_of = {name: width for shapes in spool.shapes.values() for name, (_, width) in shapes.items()}
    widths = {name: width_of[name] for name in MODALITIES if name in width_of}
    for split in TENSOR_SPLITS:
        of_split = [label for label in labels if label.split == split]
        write_split(split, spool, of_split, widths, settings)
        if split == "train":
            values = statistics(partial(_clips, spool, of_split), widths)
            for m, of_modality in spool.speakers.items():
                values |= of_modality.tensors(m)
            save_file(values, FOLDER / speakers.FILE)
    shutil.copyfile(MANIFEST / "noise.csv", FOLDER / "noise.csv")
    passport.write(FOLDER, settings, widths)
    write_speakers(FOLDER / "speakers.csv", {label.clip_id for label in labels})


def _clips(spool: Spool, labels: list[Label]) -> Iterator[dict[str, Rows]]:
    return (spool.read(label.clip_id) for label in labels)


def summarise(shapes: dict[str, dict[str, tuple[int, int]]], refused: list[Refused], merged: int) -> None:
    """Counts for `dvc metrics`, and the same in words."""
    present = {name: sum(name in of_clip for of_clip in shapes.values()) for name in MODALITIES}
    counts = {
        "clips": sum(bool(of_clip) for of_clip in shapes.values()),
        **{f"with_{name}": count for name, count in present.items()},
        "features": {name: width for of_clip in shapes.values() for name, (_, width) in of_clip.items()},
        "merged": merged,
        "refused": {code.value: sum(row.code == code for row in refused) for code in Code},
    }
    (FOLDER / "summary.json").write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    with_each = ", ".join(f"{count} with {name}" for name, count in present.items())
    print(f"align: {counts['clips']} of {len(shapes)} clips have tensors: {with_each}; {merged} had neighbouring rows merged")
    print(f"{len(refused)} refusals, each with its reason in data/refused.csv" + (":" if refused else ""))
    print(*refusals.in_words(refused), sep="\n")
