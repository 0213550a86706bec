"""Turn a published corpus, or a folder of films, into a corpus folder that the pipeline reads.

Each command writes clips.csv, and missing.csv with what the corpus lacks and why. Films that lie outside of the corpus folder
are linked into its media/. Then it prints a summary. Name the folder in params.yaml as corpus.root.
"""

import argparse
import importlib
import sys
from pathlib import Path

import params
from preprocess.corpora import conversion, correct
from preprocess.corpora.conversion import Conversion, Missing
from preprocess.corpus import CorpusError

# To add a corpus, write a module beside this one with a docstring of its rules (the text of --help), `add_arguments` and
# `convert`, and put its name here.
PUBLISHED = ("mosei", "m3ed", "meld", "cremad")
ADAPTERS = (*PUBLISHED, "folder")
CORRECT = "correct"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m preprocess.corpora", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="|".join([*ADAPTERS, CORRECT]))
    for name in [*ADAPTERS, CORRECT]:
        module = importlib.import_module(f"preprocess.corpora.{name}")
        text = module.__doc__ or ""
        command = commands.add_parser(
            name, help=text.splitlines()[0], description=text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(command)
        if name == CORRECT:
            continue
        command.add_argument("corpus", type=Path, help="folder to write, such as data/corpora/" + name)
        command.add_argument("--replace", action="store_true", help="write over a clips.csv that is there and differs")
        command.add_argument("--encoding", default="", help="of the tables, if it is neither UTF-8 nor UTF-16")
        if name in PUBLISHED:
            command.add_argument(
                "--missing",
                choices=("text", "drop"),
                default="text",
                help="keep the text of a clip without its film, or leave the clip out",
            )
    return top


def leave_out(result: Conversion, missing: str) -> None:
    """Leave out clips that have neither film nor text and, where `missing` is "drop", those without a film."""
    kept = []
    for clip in result.clips:
        if clip.media or (clip.text and missing == "text"):
            kept.append(clip)
        elif not clip.text:
            result.missing = [row for row in result.missing if row.clip_id != clip.clip_id]
            result.missing.append(Missing(clip.clip_id, "clip", "neither a film nor a text of it is there: left out"))
    result.clips = kept


def correct_corpus(args: argparse.Namespace) -> int:
    try:
        return correct.run(args)
    except (CorpusError, params.ParameterError, OSError) as error:
        print(f"{CORRECT}: {error}", file=sys.stderr)
        return correct.UNABLE


def main() -> None:
    args = parser().parse_args()
    if args.command == CORRECT:
        sys.exit(correct_corpus(args))
    module = importlib.import_module(f"preprocess.corpora.{args.command}")
    try:
        result = module.convert(args)
        leave_out(result, getattr(args, "missing", "text"))
        conversion.write(result, args.corpus, args.replace)
    except (CorpusError, params.ParameterError, OSError) as error:
        sys.exit(f"{args.command}: {error}")
    print(conversion.summary(result, args.corpus / "clips.csv"))
    print(f"corpus.labels: [{', '.join(result.labels)}]")


if __name__ == "__main__":
    main()
