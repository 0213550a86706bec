"""Some clips are taken through every stage, so that their times are known; what is computed stays in the store."""

import csv
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ruamel.yaml import YAML

import csv_table
import params
from preprocess.clips import FOLDER as MANIFEST
from preprocess.corpus import CorpusError
from preprocess.overview import foreseen
from preprocess.overview.foreseen import BY_CLIP
from preprocess.run.sources import ROOT
from preprocess.stages import models
from preprocess.store import entries

TABLES = ("media.csv", "texts.csv")
TUNED = Path("data/text_model")  # of tune_text; the network as it came, where `tune.text.epochs` is 0


def run(settings: params.Params, clips: int) -> None:
    """Compute so many clips, of those that some stage lacks, in a folder that is removed again.

    CorpusError where `manifest` or `models` has not run yet, or `tune_text` where it tunes: that needs all clips.
    """
    needed = {MANIFEST / name: "manifest" for name in TABLES} | {models.FOLDER / "text": "models"}
    needed |= {TUNED: "tune_text"} if settings.tune.text.epochs else {}
    absent = {path: stage for path, stage in needed.items() if not path.exists()}
    if absent:
        raise CorpusError(
            f"{', '.join(map(str, absent))} must be there before clips can be timed: "
            f"dvc repro {' '.join(dict.fromkeys(absent.values()))}, or time none"
        )
    chosen = choose(settings, clips)
    with TemporaryDirectory(prefix="plan-") as temporary:
        folder = Path(temporary)
        prepare(folder, settings, chosen)
        for stage in BY_CLIP:
            variables = os.environ | {"PYTHONPATH": str(ROOT)}
            no_output = ["--share", "1/1"] if stage == BY_CLIP[-1] else []  # none of these reads it
            done = subprocess.run(
                [sys.executable, "-m", "preprocess", stage, *no_output],
                cwd=folder,
                env=variables,
                text=True,
                capture_output=True,
                check=False,
            )
            if done.returncode:
                raise CorpusError(f"a sample of {len(chosen)} clips ended with an error:\n{done.stderr or done.stdout}")
        for path in settings.run.store_folder.glob(f"*/{entries.place(folder)}.*"):  # this folder's notes
            path.unlink(missing_ok=True)


def choose(settings: params.Params, clips: int) -> set[str]:
    """Clips that are missing somewhere, in an order that has nothing to do with their names."""
    sights = foreseen.look(settings, foreseen.published(settings))
    missing = {task.clip_id for sight in sights for task in sight.todo}
    return set(sorted(missing, key=lambda clip_id: hashlib.sha256(clip_id.encode()).digest())[:clips])


def prepare(folder: Path, settings: params.Params, chosen: set[str]) -> None:
    """Make a workspace with these clips of the manifest alone, and links to the networks."""
    (folder / MANIFEST).mkdir(parents=True)
    for name in TABLES:
        with (MANIFEST / name).open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        csv_table.write(folder / MANIFEST / name, header, (row for row in rows if row[0] in chosen))
    text = TUNED if settings.tune.text.epochs else models.FOLDER / "text"
    for name, network in {"models": models.FOLDER, TUNED.name: text}.items():
        (folder / "data" / name).symlink_to(network.resolve())
    editor = YAML()
    tree = editor.load(params.PATH)
    tree["corpus"]["root"] = str(Path(settings.corpus.root).resolve())
    tree["run"]["store"] = str(settings.run.store_folder)
    editor.dump(tree, folder / params.PATH)
