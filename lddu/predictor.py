"""Stage `predictor`: all that a prediction needs in one folder, which may be copied to another machine.

`weights.safetensors` and `config.json` as train left them, `quantiles.safetensors` and the files of the judge as evaluate did,
the tensors' `passport.json`, and `predictor.json`: the thresholds, and how clips were prepared, with the source and digest of
every pretrained network. Where features are relative to the speaker, `statistics.safetensors` of align too: the speaker of a
new recording is unknown.
The networks themselves are fetched when they are needed, except a tuned one, which no source has and which is copied;
`python -m lddu export FOLDER` copies all of them.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError

import params
from lddu import judgement, quantiles
from lddu.judgement import Judge

FOLDER = Path("data/predictor")
FILE = "predictor.json"
NETWORKS = "networks"  # folder with a folder for each role, where they were copied
MODEL, SCORES, PREDICTIONS = Path("data/model"), Path("metrics/valid.json"), Path("data/predictions")
TEXT_MODEL = Path("data/text_model")  # as the clips' texts were encoded with: tuned, or as it came
STATISTICS = "statistics.safetensors"  # has what is usual for the training split
PASSPORT = "passport.json"  # how the features were made that the network learned from
OWN_TENSORS = Path("data/tensors")  # made from clips by this pipeline; all others are published features


class PredictorError(ValueError):
    """A predictor's folder cannot be used; the message names the file and what to do."""


@dataclass(frozen=True)
class Manual:
    """What a prediction needs beside the weights."""

    thresholds: dict[str, float]  # by label: probability from which it is decided to be present
    preparation: params.Preparation | None  # None: the network was trained on published features
    quantiles: quantiles.Reference  # of the training split's σ
    judge: Judge


def predictor(parameters: params.Params) -> None:
    """The stage."""
    of_evaluate = [PREDICTIONS / name for name in (quantiles.FILE, *judgement.FILES)]
    files = [MODEL / "weights.safetensors", MODEL / "config.json", *of_evaluate]
    missing = [str(path) for path in (*files, SCORES) if not path.is_file()]
    if missing:
        raise PredictorError(f"{', '.join(missing)} is not there: run train and evaluate")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for source in files:
        shutil.copyfile(source, FOLDER / source.name)
    preparation = {name: getattr(parameters, name).model_dump() for name in params.Preparation.model_fields}
    from_clips = Path(parameters.tensors) == OWN_TENSORS
    scores = json.loads(SCORES.read_text(encoding="utf-8"))
    thresholds = {label: scores.get("thresholds", {}).get(label, scores["threshold"]) for label in parameters.corpus.labels}
    tree = {"thresholds": thresholds, "preparation": preparation if from_clips else None}
    if from_clips and "tuned" in json.loads((TEXT_MODEL / "model.json").read_text(encoding="utf-8")):
        shutil.copytree(TEXT_MODEL, FOLDER / NETWORKS / "text", dirs_exist_ok=True)  # no source has it
    if from_clips and parameters.align.normalise:
        shutil.copyfile(OWN_TENSORS / STATISTICS, FOLDER / STATISTICS)
    if (passport := Path(parameters.tensors) / PASSPORT).is_file():
        shutil.copyfile(passport, FOLDER / PASSPORT)
    (FOLDER / FILE).write_text(json.dumps(tree, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read(folder: Path) -> Manual:
    """PredictorError where a file is missing or of another version."""
    path = folder / FILE
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        prepared = tree["preparation"]
        thresholds = {str(label): float(value) for label, value in tree["thresholds"].items()}
        preparation = None if prepared is None else params.Preparation.model_validate(prepared)
        return Manual(thresholds, preparation, quantiles.read(folder), judgement.read(folder))
    except FileNotFoundError as error:
        missing = error.filename or folder / quantiles.FILE
        raise PredictorError(
            f"{missing} is not there: name the folder of a trained network, or make {FOLDER} with `dvc repro predictor`"
        ) from None
    except (AttributeError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise PredictorError(f"{folder} is of another version of this program, or damaged: {error}") from None


def roles(preparation: params.Preparation, modalities: list[str]) -> list[str]:
    """The pretrained networks that clips of these modalities need."""
    unused = {role for role in params.Models.model_fields if getattr(preparation.models, role) is None}
    if "vision" not in modalities:
        unused |= {"face", "vision"}
    if "audio" not in modalities or preparation.encode.audio.features == "prosody":
        unused.add("audio")
    if "text" not in modalities:
        unused.add("text")
    if preparation.encode.vision.features == "blendshapes":
        unused.add("vision")
    return [role for role in params.Models.model_fields if role not in unused]
