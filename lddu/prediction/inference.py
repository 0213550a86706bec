"""A trained network on new recordings: films, sounds, texts, or rows of features.

Torch, which takes seconds to import, is imported when the network is first used: faces are found in the meantime.
"""

import csv
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from platformdirs import user_cache_path
from safetensors import SafetensorError
from safetensors.numpy import load_file

import params
from contract import MODALITIES
from lddu import channels, predictor, quantiles
from lddu.channels import Channel
from lddu.decisions import Decision
from lddu.doubt import Signs
from lddu.judgement import Judgement
from lddu.novelty import UNLIKE
from lddu.rows import mean_rows
from preprocess import recording
from preprocess.encoders import speakers
from preprocess.media import arrays
from preprocess.media.notes import Note
from preprocess.packs import passport as passports
from preprocess.packs.problem import PackError
from preprocess.recording import RecordingError, Tools
from preprocess.refusals import Refused
from preprocess.speech.words import Transcript
from preprocess.stages import models

if TYPE_CHECKING:
    from torch import Tensor

    from lddu.model import LDDU
    from lddu.weights import Learned

BATCH = 64  # clips of features that the network reads at once


@dataclass(frozen=True)
class Prediction:
    """The network's answer for one utterance, or for one clip of features."""

    labels: dict[str, Decision]
    modalities: tuple[str, ...]  # that are present; without any, probabilities are the labels' shares in training
    # How unlike the training split's clips it is, as a quantile of these, by modality; "clip" is that of all together.
    novelty: dict[str, float] = field(default_factory=dict, kw_only=True)
    channels: dict[str, Channel] = field(default_factory=dict, kw_only=True)  # noise and ambiguity, by modality that is present

    @property
    def unlike(self) -> bool:
        """Is it unlike anything that the network learned from? Then neither probabilities nor doubts can be trusted."""
        return self.novelty.get("clip", 0.0) > UNLIKE


@dataclass(frozen=True)
class Utterance(Prediction):
    """A part of a recording, or all of it."""

    start: float  # seconds into the recording
    end: float
    transcript: Transcript | None  # None: there are no words
    refused: list[Refused]  # what the stages could not do, and why
    notes: list[Note] = field(default_factory=list)  # what is strange about the recording, of which nothing is missing


class Predictor:
    """The network of a predictor's folder, loaded when it is first used; `lddu.load` gives one that is loaded."""

    def __init__(self, folder: Path, device: str = "auto") -> None:
        self.folder = folder
        self._device = device
        manual = predictor.read(folder)
        self.thresholds, self.preparation, self.quantiles = manual.thresholds, manual.preparation, manual.quantiles
        self.judge = manual.judge
        self.labels = list(self.thresholds)
        self.modalities = tuple(m for m in MODALITIES if m in self.quantiles)  # that the network knows

    @cached_property
    def device(self) -> str:
        from preprocess.encoders.networks import device

        return device(self._device)

    @property
    def network(self) -> "LDDU":
        return self._loaded[0]

    @property
    def learned(self) -> "Learned":
        """What the network was trained on; `str` of it is a sentence."""
        return self._loaded[1]

    @cached_property
    def _loaded(self) -> "tuple[LDDU, Learned]":
        from lddu import weights

        try:
            network, card = weights.load(self.folder)
        except weights.WeightsError as error:
            raise predictor.PredictorError(str(error)) from None
        if card.labels != self.labels or set(network.config.dims) != set(self.modalities):
            raise predictor.PredictorError(f"{self.folder}: its files are of different networks; copy the folder whole")
        return network.to(self.device), card.learned

    def predict(self, source: str | Path, text: str = "", whole: bool = False) -> list[Utterance]:
        """Every utterance of a file: a film, a sound, or a `.txt` with an utterance on each line.

        `text` is what is said, where it is known; otherwise it is transcribed. A recording of more than 15 s is cut at
        pauses, unless its text is given or it is to be taken `whole`. RecordingError where it cannot be read.
        """
        return list(self.follow(source, text, whole))

    def predict_arrays(
        self,
        wave: np.ndarray | None = None,
        rate: int = 16000,
        pictures: np.ndarray | None = None,
        frame_rate: float = 25.0,
        text: str = "",
        whole: bool = False,
    ) -> list[Utterance]:
        """As `predict`, of a wave (n,) float from -1 to 1 at `rate` hertz, pictures (T, height, width, 3) uint8 RGB, or both.

        ValueError where an array has another shape or kind.
        """
        with TemporaryDirectory(prefix="lddu-") as folder:
            path = Path(folder) / "recording.mkv"
            arrays.write(path, wave, rate, pictures, frame_rate)
            return self.predict(path, text, whole)

    def follow(
        self, source: str | Path, text: str = "", whole: bool = False, watch: Callable[[recording.Clip], None] | None = None
    ) -> Iterator[Utterance]:
        """As `predict` of a file, an utterance at a time; `watch` is shown what the stages made of each part of it."""
        return map(self._predict, recording.of_file(Path(source), replace(self._tools(), watch=watch), text, whole))

    def predict_text(self, text: str) -> Utterance:
        """Words alone."""
        return self._predict(recording.of_text(text, self._tools()))

    def predict_features(
        self,
        features: dict[str, np.ndarray],
        masks: dict[str, np.ndarray] | None = None,
        passport: str | Path | None = None,
    ) -> list[Prediction]:
        """N clips as rows of features, (N, L, D) by modality, as the stage align or a published file has them.

        `masks` (N, L) are true where a row was observed; without masks all were. A modality may be missing. `passport` is that
        of the features, or its folder: PredictorError where they were made in another way than those of training.
        """
        if passport is not None:
            self.require_same(Path(passport))
        masks = masks or {m: np.ones(x.shape[:2], bool) for m, x in features.items()}
        self._check(features, masks)
        count = len(next(iter(features.values())))
        predictions: list[Prediction] = []
        for begin in range(0, count, BATCH):
            batch = slice(begin, begin + BATCH)
            predictions += self._decide({m: x[batch] for m, x in features.items()}, {m: x[batch] for m, x in masks.items()})
        return predictions

    def predict_tensors(self, folder: str | Path, split: str = "test") -> dict[str, Prediction]:
        """The clips of a split of a folder of tensors, by their ids. PredictorError where its passport is another one."""
        folder = Path(folder)
        try:
            tensors = load_file(folder / f"{split}.safetensors")
            clip_ids = [row["clip_id"] for row in csv.DictReader((folder / f"{split}.csv").read_text("utf-8").splitlines())]
        except (OSError, SafetensorError, KeyError) as error:
            raise predictor.PredictorError(f"{folder} has no tensors of {split} that can be read: {error}") from None
        modalities = [m for m in self.modalities if m in tensors]
        masks = {m: tensors[f"{m}_mask"] for m in modalities}
        found = self.predict_features({m: tensors[m] for m in modalities}, masks, folder)
        return dict(zip(clip_ids, found, strict=True))

    def require_same(self, path: Path) -> None:
        """PredictorError where features with this passport were made in another way than those of training."""
        try:
            passports.require_same(passports.read(self.folder), passports.read(path), str(path))
        except PackError as error:
            raise predictor.PredictorError(str(error)) from None

    def _decide(self, features: dict[str, np.ndarray], masks: dict[str, np.ndarray]) -> list[Prediction]:
        import torch

        from lddu.unimodal import alone

        def moved(arrays: dict[str, np.ndarray]) -> "dict[str, Tensor]":
            return {m: torch.from_numpy(np.ascontiguousarray(x)).to(self.device) for m, x in arrays.items()}

        tensors, observed = moved({m: x.astype(np.float32) for m, x in features.items()}), moved(masks)
        with torch.inference_mode():
            output = self.network(tensors, observed)
            readings = alone(self.network, tensors, observed)
        probs = output.log_probs.double().exp().cpu().numpy()
        log_norms = {part: {m: x.double().cpu().numpy() for m, x in of.items()} for part, of in output.log_norms().items()}
        shares = {m: quantiles.shares(values, self.quantiles[m]) for m, values in log_norms["log_sigma"].items()}
        of_clip = channels.shares(log_norms, self.quantiles)
        present = {m: is_present.cpu().numpy() for m, is_present in output.present.items()}
        odds = (output.log_probs - output.log_not_probs).double().cpu().numpy()
        signs = Signs(odds, readings, {f"sigma {m}": share for m, share in shares.items()})
        judgement = self.judge.of(signs, self._mean_rows(features, masks), np.array(list(self.thresholds.values())))
        return [self._prediction(i, probs, shares, of_clip, present, judgement) for i in range(len(probs))]

    def _prediction(
        self,
        i: int,
        probs: np.ndarray,
        shares: dict[str, np.ndarray],
        of_clip: dict[str, np.ndarray],
        present: dict[str, np.ndarray],
        judgement: Judgement,
    ) -> Prediction:
        """Of one clip. Without any modality it has no label, only probabilities."""
        modalities = tuple(m for m in self.modalities if present[m][i])
        labels = {
            label: Decision(
                probability=float(probs[i, c]),
                predicted=bool(modalities and probs[i, c] >= self.thresholds[label]),
                true=None,
                sigma={m: float(shares[m][i, c]) for m in modalities},
                doubt=float(judgement.doubt[i, c]) if modalities else None,
                sure=None if judgement.sure is None else bool(judgement.sure[i, c]),
                alone={m: float(judgement.alone[m][i, c]) for m in modalities},
            )
            for c, label in enumerate(self.labels)
        }
        novelty = {m: float(share[i]) for m, share in judgement.novelty.items() if m in modalities}
        if not np.isnan(judgement.clip_novelty[i]):
            novelty["clip"] = float(judgement.clip_novelty[i])
        found = channels.channels({name: x[i] for name, x in of_clip.items()}, modalities)
        return Prediction(labels, modalities, novelty=novelty, channels=found)

    def _mean_rows(self, features: dict[str, np.ndarray], masks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Of every modality that the network knows; NaN where it is absent."""
        count = len(next(iter(features.values())))
        absent = {m: np.full((count, width), np.nan) for m, width in self.network.config.dims.items() if m not in features}
        return absent | {m: mean_rows(x, masks[m]) for m, x in features.items()}

    def _check(self, features: dict[str, np.ndarray], masks: dict[str, np.ndarray]) -> None:
        dims = self.network.config.dims
        for m, x in features.items():
            if m not in dims or x.ndim != 3 or x.shape[2] != dims[m]:
                raise ValueError(
                    f"features {m!r} have shape {x.shape}; the network takes (clips, rows, width) with width {dims}"
                )
            if m not in masks or masks[m].shape != x.shape[:2]:
                raise ValueError(f"masks have no {m!r} of shape {x.shape[:2]}")
        counts = {m: len(x) for m, x in features.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(f"features have {counts} clips: one number of them, and at least one modality, is expected")

    def _predict(self, utterance: recording.Utterance) -> Utterance:
        """Without any modality the answer is the labels' shares in training."""
        features = {m: rows.states[None] for m, rows in utterance.rows.items()}
        masks = {m: rows.mask[None] for m, rows in utterance.rows.items()}
        if not features:
            first, width = next(iter(self.network.config.dims.items()))
            features, masks = {first: np.zeros((1, 1, width))}, {first: np.zeros((1, 1), bool)}
        (answer,) = self.predict_features(features, masks)
        return Utterance(
            **vars(answer),
            start=utterance.start,
            end=utterance.end,
            transcript=utterance.transcript,
            refused=utterance.refused,
            notes=utterance.notes,
        )

    def _tools(self) -> Tools:
        if self.preparation is None:
            raise RecordingError(
                f"{self.folder} was trained on published features, which no recording can be turned into here: "
                "give it rows of features (predict_features), or train on a corpus of your own"
            )
        try:
            usual = speakers.read_usual(self.folder, relative) if (relative := self.preparation.align.normalise) else {}
        except (OSError, KeyError, SafetensorError) as error:
            raise predictor.PredictorError(f"{self.folder / speakers.FILE} is missing or damaged ({error})") from None
        return Tools(self.preparation, self._pretrained, self.modalities, lambda: self.device, usual)

    def _pretrained(self, role: str) -> Path:
        """The folder of a role's network: beside the weights, in the project, or in the cache, where it is fetched to."""
        assert self.preparation is not None
        network: params.Pretrained = getattr(self.preparation.models, role)
        first, *_ = params.models_of(network)
        cache = user_cache_path("lddu") / first.sha256[:16]
        for folder in (self.folder / predictor.NETWORKS / role, self.folder.parent / "models" / role, cache / role):
            if models.is_laid(folder, network):
                return folder
        print(f"fetching models.{role} into {cache}: {models.named(first.source)} …", file=sys.stderr)
        return models.lay(role, network, user_cache_path("lddu") / "downloads", cache)


def export(source: Path, target: Path) -> list[str]:
    """Copy a predictor's folder with the pretrained networks that it needs; the roles of these networks."""
    loaded = Predictor(source, "cpu")
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.is_file():
            shutil.copy(path, target / path.name)
    roles = predictor.roles(loaded.preparation, list(loaded.modalities)) if loaded.preparation else []
    for role in roles:
        shutil.copytree(loaded._pretrained(role), target / predictor.NETWORKS / role, dirs_exist_ok=True)
    return roles
