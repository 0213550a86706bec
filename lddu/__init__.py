"""LDDU: multimodal, multi-label emotion recognition with an uncertainty for each modality and label.

from lddu import load

predictor = load("data/predictor")
for utterance in predictor.predict("film.mp4"):
    print(utterance.start, utterance.labels["happy"].probability)
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lddu.prediction.inference import Predictor


def load(folder: str | Path = "data/predictor", device: str = "auto") -> "Predictor":
    """A trained network, ready to predict, on `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`.

    The folder comes from the stage `predictor` or from `lddu export`. Raises PredictorError where it cannot be used.
    """
    from lddu.prediction.inference import Predictor

    predictor = Predictor(Path(folder), device)
    predictor.network  # noqa: B018 – loaded now, so that a broken folder is reported here
    return predictor


__all__ = ["load"]
