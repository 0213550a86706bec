"""LDDU: multimodal, multi-label emotion recognition that says how uncertain it is.

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

    The folder is what the stage `predictor` or `lddu export` made. Raises PredictorError where it cannot be used.
    """
    from lddu.prediction.inference import Predictor

    predictor = Predictor(Path(folder), device)
    predictor.network  # noqa: B018 – loaded now, since what is wrong with it should be told now
    return predictor


__all__ = ["load"]
