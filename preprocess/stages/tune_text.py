"""Stage tune_text: the text encoder that encode_text uses, tuned on the labels of the training split or unchanged."""

import hashlib
import json
import shutil
from pathlib import Path

import params
from preprocess.encoders.networks import device

SOURCE = Path("data/models/text")
TARGET = Path("data/text_model")
SCORES = Path("data/tuning.json")  # of the tuned encoder's own classifier, on valid


def main() -> None:
    parameters = params.load()
    shutil.rmtree(TARGET, ignore_errors=True)
    shutil.copytree(SOURCE, TARGET, copy_function=shutil.copyfile)  # writable, unlike files of DVC's cache
    scores = tune(parameters) if parameters.tune.text.epochs else {}
    SCORES.unlink(missing_ok=True)  # DVC may have linked it to its cache
    SCORES.write_text(json.dumps({"text": scores}, indent=2) + "\n", encoding="utf-8")


def tune(parameters: params.Params) -> dict[str, float]:
    """Write the tuned encoder over the copy, and say so on its card; the scores of its classifier."""
    from preprocess.encoders.tuning import tuned  # imports torch, which takes seconds and is not needed for a copy

    model, scores = tuned(SOURCE, parameters, device(parameters.run.device))
    model.save(TARGET)
    card = json.loads((SOURCE / "model.json").read_text(encoding="utf-8"))
    card["tuned"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(TARGET.glob("*.safetensors"))}
    (TARGET / "model.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return scores
