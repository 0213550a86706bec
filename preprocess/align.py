"""Stage align: aligned tensors, the door between media and training.

With `words`, row i of every modality is the same word: its tokens' states, and the states of sound and face weighted by
how much of the word's time they cover. With `none`, words stay a row each, and sound and picture get a row every hop.
"""

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import params
from preprocess import refusals, states, words
from preprocess.clips import FOLDER as MANIFEST
from preprocess.clips import Label, read_labels, read_media
from preprocess.progress import track
from preprocess.refusals import Code, Refused
from preprocess.shards import Shards
from preprocess.states import TimedStates, WordStates
from preprocess.words import Word

FOLDER = Path("data/tensors")
SPLITS = ("train", "valid", "test", "other")  # other: clips with a blank split
MODALITIES = ("text", "audio", "vision")
STAGES = ("manifest", "frames", "audio", "faces", "transcripts", "encode_text", "encode_audio", "encode_vision")
UNKNOWN = -1.0  # the time of a word without sound
HAIR = 0.01  # share of a row's best covered state that another must have to be in its maximum


@dataclass(frozen=True)
class Rows:
    """One modality of one clip."""

    states: np.ndarray  # (L, D) float32, 0 where masked
    mask: np.ndarray  # (L,) bool: something was observed in the row's span
    times: np.ndarray  # (L, 2) float32, seconds from the clip's start, or UNKNOWN


@dataclass(frozen=True)
class Clip:
    """What the stages before left of one clip; None where a modality is absent."""

    clip_id: str
    duration: float  # seconds; 0 for text alone
    words: list[Word]
    text: WordStates | None
    audio: TimedStates | None
    vision: TimedStates | None


def spans(clip: Clip, settings: params.Align) -> tuple[np.ndarray, list[np.ndarray]]:
    """The rows of a clip: their times (L, 2), and for each the indices of its words.

    More than max_rows words are merged with their neighbours into max_rows rows of nearly equal counts; a clip without
    words is one row over its whole length. A text without sound but with picture is spread evenly over the clip.
    """
    if not clip.words:
        return np.array([[0, clip.duration]], np.float32), [np.array([], int)]
    groups = np.array_split(np.arange(len(clip.words)), min(len(clip.words), settings.max_rows))
    if clip.words[0].start is not None:
        times = [[clip.words[group[0]].start, clip.words[group[-1]].end] for group in groups]
    elif clip.duration:
        edges = np.linspace(0, clip.duration, len(clip.words) + 1)
        times = [[edges[group[0]], edges[group[-1] + 1]] for group in groups]
    else:
        times = [[UNKNOWN, UNKNOWN]] * len(groups)
    return np.array(times, np.float32), groups


def pool_words(found: WordStates | None, groups: list[np.ndarray], times: np.ndarray) -> Rows | None:
    """Mean of the token states of each row's words."""
    if found is None:
        return None
    member = np.array([np.isin(found.words, group) for group in groups])  # (L, T)
    return _rows(member.astype(np.float32), found.states, times)


def pool_times(found: TimedStates | None, times: np.ndarray, pooling: str = "mean") -> Rows | None:
    """Mean of the observed states of each row's span, weighted by the time that they share with it, or their maximum.

    A span shorter than the grid of the states takes the state that covers its middle, at the clip's very end the last.
    """
    if found is None:
        return None
    pooled = np.zeros((len(times), found.states.shape[1]), np.float32)
    mask = np.zeros(len(times), bool)
    last = np.nextafter(found.times[:, 1].max(), 0, dtype=np.float32)
    for row, span in enumerate(times):
        near = _near(found.times, np.minimum(span, last))
        weights = _shared(found.times[near], span, last) * found.observed[near]
        total = weights.sum()
        mask[row] = total > 0
        if total > 0 and pooling == "max":
            pooled[row] = found.states[near][weights > HAIR * weights.max()].max(0)
        elif total > 0:
            pooled[row] = weights @ found.states[near] / total
    return Rows(pooled, mask, times)


def _near(grid: np.ndarray, span: np.ndarray) -> slice:
    """Where states (T, 2), which are in order of time, may share time with a span, or cover its middle."""
    return slice(
        max(0, int(np.searchsorted(grid[:, 0], span[0], "right")) - 2), int(np.searchsorted(grid[:, 0], span[1], "right"))
    )


def _shared(grid: np.ndarray, span: np.ndarray, last: float) -> np.ndarray:
    """Seconds (T,) that states (T, 2) share with a span; where that is none, 1 for the one that covers its middle.

    A middle behind the `last` moment that any state covers is taken to be there.
    """
    shared = np.minimum(span[1], grid[:, 1]) - np.maximum(span[0], grid[:, 0])
    if shared.max(initial=0) > 0:
        return np.maximum(shared, 0)
    middle = min(np.float32(span.mean()), np.float32(last))
    return ((grid[:, 0] <= middle) & (middle < grid[:, 1])).astype(np.float32)


def _rows(weights: np.ndarray, found: np.ndarray, times: np.ndarray) -> Rows:
    total = weights.sum(1, keepdims=True)
    mask = total[:, 0] > 0
    pooled = (weights / np.where(total > 0, total, 1)) @ found
    return Rows(pooled.astype(np.float32), mask, times)


def hops(clip: Clip, settings: params.Align) -> np.ndarray:
    """Times (L, 2) of a row every hop, of at most max_rows rows."""
    count = min(max(1, int(np.ceil(clip.duration / settings.hop - 1e-6))), settings.max_rows)
    edges = np.linspace(0, clip.duration, count + 1) if count == settings.max_rows else np.arange(count + 1) * settings.hop
    return np.stack([edges[:-1], np.minimum(edges[1:], clip.duration)], 1).astype(np.float32)


def rows(clip: Clip, settings: params.Align) -> dict[str, Rows]:
    """Every modality of a clip that is there."""
    times, groups = spans(clip, settings)
    other = times if settings.mode == "words" else hops(clip, settings)
    found = {
        "text": pool_words(clip.text, groups, times),
        "audio": pool_times(clip.audio, other, settings.pooling),
        "vision": pool_times(clip.vision, other, settings.pooling),
    }
    return {name: value for name, value in found.items() if value is not None and value.mask.any()}


def pad(clips: list[dict[str, Rows]], modality: str, length: int, width: int) -> dict[str, np.ndarray]:
    """One modality of many clips as tensors: states (N, L, D), mask (N, L), times (N, L, 2)."""
    found = np.zeros((len(clips), length, width), np.float32)
    mask = np.zeros((len(clips), length), bool)
    times = np.full((len(clips), length, 2), UNKNOWN, np.float32)
    for i, clip in enumerate(clips):
        if modality in clip:
            own, count = clip[modality], len(clip[modality].mask)
            found[i, :count], mask[i, :count], times[i, :count] = own.states, own.mask, own.times
    return {modality: found, f"{modality}_mask": mask, f"{modality}_time": times}


def tensors(clips: list[dict[str, Rows]], widths: dict[str, int], mode: str) -> dict[str, np.ndarray]:
    """All modalities that the corpus has; with `words` they share one length, the longest clip's."""
    lengths = {name: max((len(clip[name].mask) for clip in clips if name in clip), default=1) for name in widths}
    if mode == "words":
        lengths = dict.fromkeys(widths, max(lengths.values(), default=1))
    return {key: value for name in widths for key, value in pad(clips, name, lengths[name], widths[name]).items()}


def statistics(train: dict[str, np.ndarray], widths: dict[str, int]) -> dict[str, np.ndarray]:
    """Mean and deviation of every feature over the rows of the training split; 0 and 1 where it has none."""
    found = {}
    for name, width in widths.items():
        values = train[name][train[f"{name}_mask"]].astype(np.float64)
        found[f"{name}_mean"] = (values.mean(0) if len(values) else np.zeros(width)).astype(np.float32)
        found[f"{name}_deviation"] = (values.std(0) if len(values) else np.ones(width)).astype(np.float32)
    return found


def read_clips(labels: list[Label]) -> Iterator[Clip]:
    """Every clip of the corpus with what the stages left of it."""
    shards = {name: Shards(Path("data") / name) for name in STAGES if name != "manifest"}
    media = {item.clip_id: item for item in read_media()}
    for label in labels:
        clip_id = label.clip_id
        has = {name: clip_id in found.digests for name, found in shards.items()}
        yield Clip(
            clip_id=clip_id,
            duration=media[clip_id].duration if clip_id in media else 0.0,
            words=words.read(shards["transcripts"], clip_id).words if has["transcripts"] else [],
            text=states.read_words(shards["encode_text"], clip_id) if has["encode_text"] else None,
            audio=states.read_timed(shards["encode_audio"], clip_id) if has["encode_audio"] else None,
            vision=states.read_timed(shards["encode_vision"], clip_id) if has["encode_vision"] else None,
        )


def write_split(split: str, found: dict[str, np.ndarray], labels: list[Label], names: list[str]) -> None:
    """`<split>.safetensors`, and `<split>.csv` with the clip of each row."""
    values = np.array([label.values for label in labels], np.float32).reshape(len(labels), len(names))
    save_file({**found, "labels": values}, FOLDER / f"{split}.safetensors", metadata={"labels": json.dumps(names)})
    media = {item.clip_id: item for item in read_media()}
    with (FOLDER / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["clip_id", "start", "end", "duration"])
        for label in labels:
            item = media.get(label.clip_id)
            table.writerow([label.clip_id, *([item.start, item.end, round(item.duration, 6)] if item else ["", "", 0.0])])


def main() -> None:
    settings = params.load()
    names = settings.corpus.labels
    labels = read_labels(names)
    pooled: dict[str, dict[str, Rows]] = {}
    merged = 0
    for clip in track(read_clips(labels), "align", len(labels)):
        pooled[clip.clip_id] = rows(clip, settings.align)
        merged += len(clip.words) > settings.align.max_rows
    refused = [row for stage in STAGES for row in refusals.read(Path("data") / stage / "refused.csv")]
    refused += [
        Refused(k, "align", Code.NOTHING_LEFT, "no text, no sound, no face") for k, found in pooled.items() if not found
    ]
    refusals.require_few(refused, len(labels), settings.corpus.max_refused)
    write(settings, [label for label in labels if pooled[label.clip_id]], pooled)
    refusals.write(Path("data/refused.csv"), refused)
    summarise(pooled, refused, merged)


def write(settings: params.Params, labels: list[Label], pooled: dict[str, dict[str, Rows]]) -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)  # its files may be names of those in DVC's cache
    FOLDER.mkdir(parents=True)
    widths = {
        name: next(found[name].states.shape[1] for found in pooled.values() if name in found)
        for name in MODALITIES
        if any(name in found for found in pooled.values())
    }
    for split in SPLITS:
        own = [label for label in labels if label.split == split]
        found = tensors([pooled[label.clip_id] for label in own], widths, settings.align.mode)
        write_split(split, found, own, settings.corpus.labels)
        if split == "train":
            save_file(statistics(found, widths), FOLDER / "statistics.safetensors")
    shutil.copyfile(MANIFEST / "noise.csv", FOLDER / "noise.csv")


def summarise(pooled: dict[str, dict[str, Rows]], refused: list[Refused], merged: int) -> None:
    """Counts for `dvc metrics`, and the same in words."""
    present = {name: sum(name in found for found in pooled.values()) for name in MODALITIES}
    counts = {
        "clips": sum(bool(found) for found in pooled.values()),
        **{f"with_{name}": count for name, count in present.items()},
        "merged": merged,
        "refused": {code.value: sum(row.code == code for row in refused) for code in Code},
    }
    (FOLDER / "summary.json").write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    parts = ", ".join(f"{count} with {name}" for name, count in present.items())
    print(f"align: {counts['clips']} of {len(pooled)} clips have tensors: {parts}; {merged} had neighbouring rows merged")
    print(f"{len(refused)} refusals, each with its reason in data/refused.csv" + (":" if refused else ""))
    print(*refusals.in_words(refused), sep="\n")
