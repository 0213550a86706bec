"""Write the tensors in the form that other models read, or say in what two packs differ.

`mmsa`: the pickle of MMSA. `lddu`: that of LDDU, CARAT and TAILOR. `hf`: a folder of Hugging Face's datasets. `webdataset`: tar
shards. Each folder has a passport and a clips.csv with texts, splits, speakers and labels, which `features` can name.
`compare A B` prints in what the passports of two folders differ.
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path

import csv_table
import params
from contract import COLUMNS, NOISE_COLUMNS
from preprocess.packs import content, passport
from preprocess.packs.content import Split
from preprocess.packs.passport import Passport
from preprocess.packs.problem import PackError

FORMS = ("mmsa", "lddu", "hf", "webdataset")
COMPARE = "compare"
UNKNOWN = "(unknown)"  # the text of a clip of which none is known: a row without media must have one
DIFFERENT = 1  # exit status of compare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("form", choices=(*FORMS, COMPARE), metavar="|".join((*FORMS, COMPARE)))
    parser.add_argument("paths", nargs="+", type=Path, metavar="FOLDER", help="the pack to write; for compare two folders")
    parser.add_argument("--tensors", type=Path, metavar="FOLDER", help="what is packed; `tensors` of params.yaml if left out")
    parser.add_argument("--rows", type=int, default=0, metavar="N", help="mmsa, lddu: rows that each clip is padded to, as 50")
    parser.add_argument("--sentiment", default="", metavar="LABEL", help="mmsa: the label that is its sentiment, from -3 to 3")


def main(arguments: argparse.Namespace) -> None:
    """PackError where something cannot be packed, or compared."""
    if arguments.form == COMPARE:
        sys.exit(compare(arguments.paths))
    if len(arguments.paths) != 1:
        raise PackError(f"{arguments.form}: one FOLDER is expected, not {len(arguments.paths)}")
    settings = params.load()
    pack(arguments, settings, arguments.tensors or Path(settings.tensors), arguments.paths[0])


def compare(paths: list[Path]) -> int:
    if len(paths) != 2:
        raise PackError(f"{COMPARE}: two folders are expected, not {len(paths)}")
    first, second = map(passport.read, paths)
    unlike = passport.differences(first, second)
    print(f"{paths[0]} | {paths[1]}")
    print("\n".join(unlike) if unlike else "no difference")
    if unlike and not passport.differences(first, second, passport.OF_FEATURES):
        print("the features are of one kind: a network that reads one of them reads the other")
    return DIFFERENT if unlike else 0


def pack(arguments: argparse.Namespace, settings: params.Params, tensors: Path, folder: Path) -> None:
    splits = content.read(tensors)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / passport.FILE).is_file():
        raise PackError(f"{folder} holds other files, and no pack: name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    of = passport.read(tensors) | {"packed": {"form": arguments.form, "rows": arguments.rows, "commit": commit()}}
    remarks = _write(arguments, settings, splits, folder, of)
    write_table(folder, splits, tensors)
    passport.save(folder, of)
    counts = ", ".join(f"{len(split.clip_ids)} {name}" for name, split in splits.items())
    print("\n".join([f"{folder}: {counts} clips of {tensors}, as {arguments.form} reads them", *remarks]))


def _write(
    arguments: argparse.Namespace, settings: params.Params, splits: dict[str, Split], folder: Path, of: Passport
) -> list[str]:
    """Imports what the form needs alone."""
    if arguments.form == "hf":
        from preprocess.packs import huggingface

        return huggingface.write(folder, splits)
    if arguments.form == "webdataset":
        from preprocess.packs import webdataset

        return webdataset.write(folder, splits)
    from preprocess.packs import published

    if arguments.form == "mmsa":
        return published.mmsa(folder, splits, arguments.rows, arguments.sentiment, of)
    return published.lddu(folder, splits, arguments.rows, settings.corpus.present_above, of)


def write_table(folder: Path, splits: dict[str, Split], tensors: Path) -> None:
    """clips.csv: what the pack's arrays do not say, for the stage features and for readers."""
    labels = next(iter(splits.values())).label_names
    noise = _noise(tensors)
    rows: list[list[object]] = []
    for name, split in splits.items():
        for i, clip_id in enumerate(split.clip_ids):
            values = ["" if value != value else value for value in split.labels[i].tolist()]
            known = [noise.get(clip_id, {}).get(column, "") for column in NOISE_COLUMNS]
            rows.append([clip_id, "", "", "", split.texts[i] or UNKNOWN, name, split.speakers[i], *known, *values])
    csv_table.write(folder / "clips.csv", [*COLUMNS, *NOISE_COLUMNS, *labels], rows)


def _noise(tensors: Path) -> dict[str, dict[str, str]]:
    path = tensors / "noise.csv"
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["clip_id"]: row for row in csv.DictReader(file)}


def commit() -> str | None:
    """Of the program that packs, with -dirty where it was changed; None where that is unknown."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None
