"""All clips of the report's splits, as its script reads them: what was decided, what is true, what is said, what is played.

A clip is a list in the order of COLUMNS, and numbers are thousandths, so that a page of 20,000 clips stays small.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

import csv_table
import params
from lddu.decisions import ClipDecisions
from lddu.page.footage import Archive
from lddu.page.html import thousandths
from lddu.page.results import Clip, Results
from lddu.page.screening import Screening, Shown
from lddu.page.timeline import timed_words
from preprocess import clips as manifest
from preprocess.media import sound
from preprocess.speech import words

COLUMNS = (
    "id", "split", "table_split", "speaker", "seconds", "text", "heard", "given", "start", "end", "source", "from", "picture",
    "remark", "intensities", "modalities", "novelty", "p", "yes", "sure", "doubt", "true", "sigma", "alone", "channels",
    "missing", "words", "peaks",
)  # fmt: skip
BUCKETS = 96  # of the drawing of a clip's sound
LOUDEST = 255


@dataclass(frozen=True)
class Known:
    """What the manifest says of the clips, where it is of these clips."""

    media: dict[str, manifest.Medium]
    texts: dict[str, str]  # of clips.csv; "" where the words were heard
    labels: dict[str, dict[str, float]]  # intensities of clips.csv
    splits: dict[str, str]  # of clips.csv; predictions may be older


def known(results: Results) -> Known:
    if results.speakers is None or not (manifest.FOLDER / "media.csv").is_file():
        return Known({}, {}, {}, {})
    rows = manifest.read_labels(results.labels)
    values = {row.clip_id: dict(zip(results.labels, row.values, strict=True)) for row in rows}
    media, splits = {item.clip_id: item for item in manifest.read_media()}, {row.clip_id: row.split for row in rows}
    return Known(media, manifest.read_texts(), values, splits)


def tree(results: Results, archive: Archive, settings: params.Params, page: Path) -> dict:
    """What the script of the report reads."""
    splits = {split: clips for split in settings.report.splits if (clips := results.predictions.get(split))}
    of_manifest = known(results)
    wanted = [of_manifest.media[clip.clip_id] for of in splits.values() for clip in of if clip.clip_id in of_manifest.media]
    shown = Screening(Path(settings.corpus.root), page, settings.report.media, settings.run).of(wanted)
    maker = Rows(results, archive, of_manifest, shown)
    every = [(split, clip) for split, clips in splits.items() for clip in clips]
    return {
        "corpus": results.corpus,
        "labels": results.labels,
        "thresholds": [results.thresholds.get(label) for label in results.labels],
        "modalities": results.modalities,
        "splits": list(splits),
        "correctable": ["text", "start", "end", *([] if settings.corpus.folds else ["split"]), *results.labels]
        if of_manifest.labels
        else [],
        "columns": COLUMNS,
        "clips": [maker.row(split, clip) for split, clip in tqdm(every, desc="clips", unit="clip")],
    }


class Rows:
    """The clips as lists."""

    def __init__(self, results: Results, archive: Archive, of_manifest: Known, shown: dict[str, Shown]) -> None:
        self.results, self.archive, self.manifest, self.shown = results, archive, of_manifest, shown
        self.missing: dict[str, list[str]] = {}
        for row in results.refused:
            self.missing.setdefault(row.clip_id, []).append(f"{row.stage}: {row.code.replace('_', ' ')}, {row.detail}")

    def row(self, split: str, clip: ClipDecisions) -> list:
        values = self._about(split, clip) | self._played(clip.clip_id) | _decided(clip) | self._heard(clip.clip_id)
        return [values[name] for name in COLUMNS]

    def _about(self, split: str, clip: ClipDecisions) -> dict:
        clip_id, values = clip.clip_id, self.manifest.labels.get(clip.clip_id, {})
        return {
            "id": clip_id,
            "split": split,
            "table_split": self.manifest.splits.get(clip_id, split),
            "speaker": (self.results.speakers or {}).get(clip_id, ""),
            "seconds": round(self.results.clips.get(clip_id, Clip(0.0, {})).seconds, 3),
            "given": self.manifest.texts.get(clip_id, ""),
            "intensities": [None if value != value else value for value in values.values()],
            "novelty": thousandths(clip.novelty),
            "missing": self.missing.get(clip_id, []),
        }

    def _played(self, clip_id: str) -> dict:
        medium, shown = self.manifest.media.get(clip_id), self.shown.get(clip_id, Shown("", 0.0, False))
        span = {"start": medium.start, "end": medium.end} if medium else {"start": None, "end": None}
        return span | {"source": shown.source, "from": shown.start, "picture": int(shown.picture), "remark": shown.remark}

    def _heard(self, clip_id: str) -> dict:
        """Words, and the loudest sample of every bucket of the sound."""
        peaks = ""
        if self.archive.holds("audio", clip_id):
            wave = np.abs(sound.wave(self.archive.shards["audio"], clip_id))
            loudest = np.array([bucket.max(initial=0.0) for bucket in np.array_split(wave, BUCKETS)])
            of_peak = np.round(LOUDEST * loudest / (loudest.max() or 1.0)).astype(np.uint8)
            peaks = base64.b64encode(of_peak.tobytes()).decode()
        if not self.archive.holds("transcripts", clip_id):
            return {"text": self.manifest.texts.get(clip_id, ""), "heard": 0, "words": [], "peaks": peaks}
        transcript = words.read(self.archive.shards["transcripts"], clip_id)
        seconds = self.results.clips.get(clip_id, Clip(0.0, {})).seconds
        timed = timed_words(transcript, seconds) if seconds else []
        rows = [[word.word, round(word.start or 0.0, 2), round(word.end or 0.0, 2), word.confidence] for word in timed]
        return {"text": transcript.text, "heard": int(transcript.transcribed), "words": rows, "peaks": peaks}


def _decided(clip: ClipDecisions) -> dict:
    decisions = list(clip.decisions.values())
    return {
        "modalities": clip.modalities,
        "p": [thousandths(decision.probability) for decision in decisions],
        "yes": [int(decision.predicted) for decision in decisions],
        "sure": [_flag(decision.sure) for decision in decisions],
        "doubt": [thousandths(decision.doubt) for decision in decisions],
        "true": [_flag(decision.true) for decision in decisions],
        "sigma": {m: [thousandths(decision.sigma.get(m)) for decision in decisions] for m in clip.modalities},
        "alone": {m: [thousandths(decision.alone.get(m)) for decision in decisions] for m in clip.modalities},
        "channels": {m: [thousandths(of.noise), thousandths(of.ambiguity)] for m, of in clip.channels.items()},
    }


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def write_index(folder: Path, tree: dict) -> None:
    """What is played of each clip; so that the folder is never empty, which DVC could not keep."""
    folder.mkdir(parents=True, exist_ok=True)
    places = [COLUMNS.index(name) for name in ("id", "source", "from", "remark")]
    rows = ([row[place] for place in places] for row in _sorted(tree["clips"]))
    csv_table.write(folder / "index.csv", ["clip_id", "plays", "start", "remark"], rows)


def _sorted(rows: Iterable[list]) -> list[list]:
    return sorted(rows, key=lambda row: row[0])
