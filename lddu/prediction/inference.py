"""A trained network at work on what it has never seen: films, sounds, texts, or rows of features.

Torch is imported when the network is first asked: until then a film's face may already have been found.
"""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from platformdirs import user_cache_path

import params
from contract import MODALITIES
from lddu import predictor, quantiles
from lddu.predictions import Decision
from preprocess import recording
from preprocess.media import arrays
from preprocess.recording import RecordingError, Tools
from preprocess.refusals import Refused
from preprocess.speech.words import Transcript
from preprocess.stages import models

if TYPE_CHECKING:
    from torch import Tensor

    from lddu.model import LDDU

BATCH = 64  # clips of features that the network reads at once


@dataclass(frozen=True)
class Prediction:
    """What is said of one utterance, or of one clip of features."""

    labels: dict[str, Decision]
    modalities: tuple[str, ...]  # those that were there; without any, probabilities are the labels' shares in training


@dataclass(frozen=True)
class Utterance(Prediction):
    """A part of a recording, or all of it."""

    start: float  # seconds into the recording
    end: float
    transcript: Transcript | None  # None: nothing was said
    refused: list[Refused]  # what could not be had of it, and why


class Predictor:
    """A predictor's folder, loaded when it is first used. `load` makes one that is ready."""

    def __init__(self, folder: Path, device: str = "auto") -> None:
        self.folder = folder
        self._asked = device
        manual = predictor.read(folder)
        self.thresholds, self.preparation, self.known = manual.thresholds, manual.preparation, manual.quantiles
        self.labels = list(self.thresholds)
        self.modalities = tuple(m for m in MODALITIES if m in self.known)  # that the network knows

    @cached_property
    def device(self) -> str:
        from preprocess.encoders.networks import device

        return device(self._asked)

    @cached_property
    def network(self) -> "LDDU":
        from lddu import weights

        try:
            network, card = weights.load(self.folder)
        except weights.WeightsError as error:
            raise predictor.PredictorError(str(error)) from None
        if card.labels != self.labels or set(network.config.dims) != set(self.modalities):
            raise predictor.PredictorError(f"{self.folder}: its files are of different networks; copy the folder whole")
        return network.to(self.device)

    def predict(self, source: str | Path, text: str = "", whole: bool = False) -> list[Utterance]:
        """Every utterance of a file: a film, a sound, or a `.txt` with an utterance a line.

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

    def follow(self, source: str | Path, text: str = "", whole: bool = False) -> Iterator[Utterance]:
        """As `predict` of a file, an utterance at a time."""
        return map(self._say, recording.of_file(Path(source), self._tools(), text, whole))

    def predict_text(self, text: str) -> Utterance:
        """Words alone."""
        return self._say(recording.of_text(text, self._tools()))

    def predict_features(self, features: dict[str, np.ndarray], masks: dict[str, np.ndarray] | None = None) -> list[Prediction]:
        """N clips as rows of features, (N, L, D) a modality, as align or a published file has them.

        `masks` (N, L) say which rows were observed; without them, all were. A modality may be missing.
        """
        masks = masks or {m: np.ones(x.shape[:2], bool) for m, x in features.items()}
        self._check(features, masks)
        count = len(next(iter(features.values())))
        found: list[Prediction] = []
        for begin in range(0, count, BATCH):
            part = slice(begin, begin + BATCH)
            found += self._decide({m: x[part] for m, x in features.items()}, {m: x[part] for m, x in masks.items()})
        return found

    def _decide(self, features: dict[str, np.ndarray], masks: dict[str, np.ndarray]) -> list[Prediction]:
        import torch

        def moved(arrays: dict[str, np.ndarray]) -> "dict[str, Tensor]":
            return {m: torch.from_numpy(np.ascontiguousarray(x)).to(self.device) for m, x in arrays.items()}

        with torch.inference_mode():
            output = self.network(moved({m: x.astype(np.float32) for m, x in features.items()}), moved(masks))
        probs = output.log_probs.double().exp().cpu().numpy()
        shares = {
            m: quantiles.shares(values.double().cpu().numpy(), self.known[m]) for m, values in output.log_sigma_norm().items()
        }
        present = {m: there.cpu().numpy() for m, there in output.present.items()}
        return [
            Prediction(
                {
                    label: Decision(
                        probability=float(probs[i, c]),
                        predicted=bool(probs[i, c] >= self.thresholds[label]),
                        true=None,
                        sigma={m: float(share[i, c]) for m, share in shares.items() if present[m][i]},
                    )
                    for c, label in enumerate(self.labels)
                },
                tuple(m for m in self.modalities if present[m][i]),
            )
            for i in range(len(probs))
        ]

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

    def _say(self, part: recording.Utterance) -> Utterance:
        """Without any modality the network is asked all the same: it answers with the labels' shares in training."""
        features = {m: found.states[None] for m, found in part.rows.items()}
        masks = {m: found.mask[None] for m, found in part.rows.items()}
        if not features:
            first, width = next(iter(self.network.config.dims.items()))
            features, masks = {first: np.zeros((1, 1, width))}, {first: np.zeros((1, 1), bool)}
        (said,) = self.predict_features(features, masks)
        return Utterance(said.labels, said.modalities, part.start, part.end, part.transcript, part.refused)

    def _tools(self) -> Tools:
        if self.preparation is None:
            raise RecordingError(
                f"{self.folder} was trained on published features, which no recording can be turned into here: "
                "give it rows of features (predict_features), or train on a corpus of your own"
            )
        return Tools(self.preparation, self._pretrained, self.modalities, lambda: self.device)

    def _pretrained(self, role: str) -> Path:
        """The folder of a role's network: copied in beside the weights, or that of the project, or fetched and kept."""
        assert self.preparation is not None
        wanted: params.Model = getattr(self.preparation.models, role)
        kept = user_cache_path("lddu") / wanted.sha256[:16]
        for folder in (self.folder / predictor.NETWORKS / role, self.folder.parent / "models" / role, kept / role):
            if models.is_laid(folder, wanted):
                return folder
        print(f"fetching models.{role} into {kept}: {wanted.source} …", file=sys.stderr)
        return models.lay(role, wanted, user_cache_path("lddu") / "downloads", kept)


def export(source: Path, target: Path) -> list[str]:
    """Copy a predictor's folder with the pretrained networks that it needs; the roles that were copied."""
    found = Predictor(source, "cpu")
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.is_file():
            shutil.copy(path, target / path.name)
    roles = predictor.roles(found.preparation, list(found.modalities)) if found.preparation else []
    for role in roles:
        shutil.copytree(found._pretrained(role), target / predictor.NETWORKS / role, dirs_exist_ok=True)
    return roles
