"""Turn a published corpus or a folder of films into what the pipeline reads.

Each command writes a corpus folder: clips.csv, missing.csv with what is not there and why, and links to films
that lie elsewhere under media/; then it says what it found. Name the folder in params.yaml as corpus.root.
"""

import argparse
import importlib
import sys
from pathlib import Path

from preprocess.corpora import conversion
from preprocess.corpora.conversion import Found, Missing
from preprocess.corpus import CorpusError

PUBLISHED = ("mosei", "m3ed", "meld")
ADAPTERS = (*PUBLISHED, "folder")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m preprocess.corpora", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="|".join(ADAPTERS))
    for name in ADAPTERS:
        module = importlib.import_module(f"preprocess.corpora.{name}")
        text = module.__doc__ or ""
        command = commands.add_parser(
            name, help=text.splitlines()[0], description=text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(command)
        command.add_argument("corpus", type=Path, help="folder to write, such as data/corpora/" + name)
        command.add_argument("--replace", action="store_true", help="write clips.csv anew where it is there and differs")
        command.add_argument("--encoding", default="", help="of the tables, where it is neither UTF-8 nor UTF-16")
        if name in PUBLISHED:
            command.add_argument(
                "--missing", choices=("text", "drop"), default="text", help="a clip without its film: text alone, or left out"
            )
    return top


def keep(what: Found, missing: str) -> None:
    """Leave out clips without a film where that is asked for, and those of which nothing at all is there."""
    kept = []
    for clip in what.clips:
        if clip.media or (clip.text and missing == "text"):
            kept.append(clip)
        elif not clip.text:
            what.missing = [row for row in what.missing if row.clip_id != clip.clip_id]
            what.missing.append(Missing(clip.clip_id, "clip", "neither a film nor a text of it is there: left out"))
    what.clips = kept


def main() -> None:
    args = parser().parse_args()
    module = importlib.import_module(f"preprocess.corpora.{args.command}")
    try:
        what = module.convert(args)
        keep(what, getattr(args, "missing", "text"))
        conversion.write(what, args.corpus, args.replace)
    except (CorpusError, OSError) as error:
        sys.exit(f"{args.command}: {error}")
    print(conversion.summary(what, args.corpus / "clips.csv"))
    print(f"corpus.labels: [{', '.join(what.labels)}]")


if __name__ == "__main__":
    main()
