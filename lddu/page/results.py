"""What a run produced, except the media: predictions, scores, and what the tensors and the clip list say of each clip."""

import csv
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

import params
from contract import MODALITIES, TENSOR_SPLITS
from lddu import decisions
from lddu.decisions import ClipDecisions
from preprocess.refusals import Refused

METRICS = Path("metrics")
CLIP_LIST = Path("data/manifest/labels.csv")
SHOWN_FIRST = ("test", "valid", "other", "train")
SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class Clip:
    """What the tensors say of a clip beside its features."""

    seconds: float  # 0 for text alone
    intensities: dict[str, float]  # by label, where annotated


@dataclass(frozen=True)
class Results:
    """Everything that a run produced, without the media."""

    corpus: str
    labels: list[str]
    predictions: dict[str, list[ClipDecisions]]  # by split, those with clips
    scores: dict[str, dict]  # by split
    clips: dict[str, Clip]
    speakers: dict[str, str] | None  # by clip id; None where the manifest is not of these clips
    refused: list[Refused]

    @property
    def shown(self) -> str:
        """The split that clips are taken from."""
        return next((split for split in SHOWN_FIRST if split in self.predictions), "")

    @property
    def thresholds(self) -> dict[str, float]:
        """Of each label, the same for all splits; empty where nothing was scored."""
        scores = next(iter(self.scores.values()), None)
        return {} if scores is None else scores.get("thresholds") or dict.fromkeys(self.labels, scores["threshold"])

    @property
    def everyone(self) -> list[ClipDecisions]:
        return [clip for split in self.predictions.values() for clip in split]

    @property
    def modalities(self) -> list[str]:
        return [m for m in MODALITIES if any(m in clip.modalities for clip in self.everyone)]

    @property
    def clips_with(self) -> dict[str, int]:
        """How many clips have each modality."""
        return {m: sum(m in clip.modalities for clip in self.everyone) for m in self.modalities}

    @property
    def hours(self) -> float:
        """0 where the clips' durations are unknown."""
        return sum(clip.seconds for clip in self.clips.values()) / SECONDS_AN_HOUR

    @property
    def speaker_count(self) -> int:
        """0 where the corpus names none."""
        return len({name for name in (self.speakers or {}).values() if name})

    @property
    def refusal_counts(self) -> list[str]:
        """As "2 × no face", in the order of the codes."""
        counts = Counter(row.code for row in self.refused)
        return [f"{count} × {code.replace('_', ' ')}" for code, count in sorted(counts.items())]


def read(settings: params.Params, refused: list[Refused]) -> Results:
    """Read whatever is there; `refused` rows count only where the clip list is of these clips."""
    labels, tensors = settings.corpus.labels, Path(settings.tensors)
    tables = {split: decisions.FOLDER / f"{split}.csv" for split in TENSOR_SPLITS}
    by_split = {split: decisions.read(path, labels) for split, path in tables.items() if path.is_file()}
    by_split = {split: clips for split, clips in by_split.items() if clips}
    ids = {clip.clip_id for clips in by_split.values() for clip in clips}
    speakers = read_speakers(ids)
    return Results(
        corpus=Path(settings.corpus.root).name if speakers is not None else tensors.name,
        labels=labels,
        predictions=by_split,
        scores={
            split: scores
            for split in TENSOR_SPLITS
            if (path := _metrics(split)).is_file() and (scores := json.loads(path.read_text(encoding="utf-8")))
        },
        clips={clip_id: clip for split in by_split for clip_id, clip in read_clips(tensors, split, labels).items()},
        speakers=speakers,
        refused=refused if speakers is not None else [],
    )


def _metrics(split: str) -> Path:
    return METRICS / f"{split}.json"


def read_clips(tensors: Path, split: str, labels: list[str]) -> dict[str, Clip]:
    """Duration and annotated intensities of each clip of a split; none where its tensors are not here."""
    table, file = tensors / f"{split}.csv", tensors / f"{split}.safetensors"
    if not table.is_file() or not file.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as rows, safe_open(file, framework="numpy") as tensor:
        values = tensor.get_tensor("labels")
        return {
            row["clip_id"]: Clip(
                float(row.get("duration") or 0),
                {label: float(x) for label, x in zip(labels, values[i], strict=True) if x == x},
            )
            for i, row in enumerate(csv.DictReader(rows))
        }


def read_speakers(ids: set[str]) -> dict[str, str] | None:
    """Speaker by clip id of the whole clip list, which has to know every one of these clips."""
    if not CLIP_LIST.is_file():
        return None
    with CLIP_LIST.open(encoding="utf-8", newline="") as file:
        speakers = {row["clip_id"]: row["speaker"] for row in csv.DictReader(file)}
    return speakers if ids <= set(speakers) else None
