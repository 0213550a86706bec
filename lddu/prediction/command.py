"""`lddu predict FILE...`: emotions of new films, sounds and texts, and how uncertain they are."""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from lddu.formats.endings import FormatError
from lddu.prediction import output

if TYPE_CHECKING:
    from lddu.formats.document import Recording
    from lddu.page.glimpses import Glimpses
    from lddu.prediction.inference import Predictor, Utterance

FOLDER = "data/predictor"
FAILED, UNABLE, INTERRUPTED = 1, 2, 130  # exit status: a file could not be read; nothing can be done at all; Ctrl-C


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    if not options.files and not options.text:
        parser().error("a FILE or --text is needed")
    silence_libraries()
    try:
        sys.exit(run(options))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of the output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)


def silence_libraries() -> None:
    """Native libraries write to the terminal without Python: drop that, and keep Python's own standard error."""
    sys.stderr = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1)
    with Path(os.devnull).open("w") as null:
        os.dup2(null.fileno(), 2)


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="lddu predict", description=__doc__)
    options.add_argument("files", nargs="*", metavar="FILE", help="film, sound, or .txt with an utterance on each line")
    options.add_argument("--text", action="append", default=[], help="an utterance without sound; may be given several times")
    options.add_argument("--model", default=FOLDER, metavar="FOLDER", help="what the stage predictor or `lddu export` made")
    options.add_argument("--json", action="store_true", help="everything, as one JSON document")
    options.add_argument("--full", action="store_true", help="the table of labels for each utterance, not a row each")
    options.add_argument("--whole", action="store_true", help="take long recordings whole instead of by utterances")
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    output.add_argument(options)
    return options


def run(options: argparse.Namespace) -> int:
    """Exit status: 0, FAILED where some file could not be read, or UNABLE with the reason printed."""
    from lddu.predictor import PredictorError
    from params import ParameterError
    from preprocess.downloads.problem import ModelError

    try:
        output.require_writable(options.output, len(options.files) + len(options.text))
        return predict(options)
    except (FormatError, ModelError, ParameterError, PredictorError) as error:
        print(f"lddu predict: {error}", file=sys.stderr)
        return UNABLE


def predict(options: argparse.Namespace) -> int:
    from lddu.formats import json_document
    from lddu.formats.document import Document
    from lddu.prediction.inference import Predictor

    predictor = Predictor(Path(options.model), options.device)
    print(f"{options.model}: {predictor.learned}", file=sys.stderr)
    glimpses = kept_glimpses(options.output)
    recordings = []
    for name, utterances in sources(options, predictor, glimpses):
        recording = predict_one(options, predictor, name, utterances)
        recordings.append(glimpses.given(recording) if glimpses else recording)
    document = Document(
        tuple(predictor.labels), predictor.modalities, tuple(recordings), dict(vars(predictor.learned)), predictor.thresholds
    )
    if options.json:
        print(json_document.dumps(document))
    problems = output.write(document, options.output)
    for problem in problems:
        print(f"lddu predict: {problem}", file=sys.stderr)
    return FAILED if problems or any(recording.error for recording in recordings) else 0


def predict_one(
    options: argparse.Namespace, predictor: "Predictor", name: str, utterances: Iterable["Utterance"]
) -> "Recording":
    """A recording; shown on the way. An error, foreseen or not, costs this recording alone."""
    from lddu.formats.document import Recording
    from lddu.prediction.described import described
    from lddu.prediction.terminal import Terminal
    from lddu.predictor import PredictorError
    from preprocess.recording import SETUP_ERRORS, TEXTS, RecordingError

    terminal = None if options.json else Terminal(name, predictor.modalities, options.full)
    path = Path(name) if name in options.files and Path(name).suffix.lower() not in TEXTS else None
    recording, found = Recording(name, (), path), []
    try:
        for utterance, alone in ahead(utterances):
            recording = replace(recording, notes=tuple((str(note.code), note.detail) for note in utterance.notes))
            found.append(described(utterance))
            if terminal:
                terminal.show(utterance, alone)
        if not any(utterance.modalities for utterance in found):
            raise RecordingError(f"{name}: there is no text, no sound and no face in it that could be judged")
        return replace(recording, utterances=tuple(found))
    except RecordingError as error:
        message = str(error)
    except (*SETUP_ERRORS, PredictorError, BrokenPipeError):  # every other recording would meet them too
        raise
    except Exception as error:
        message = f"{name}: an error that nobody foresaw: {type(error).__name__}: {error}"
    print(f"lddu predict: {message}", file=sys.stderr)
    return replace(recording, utterances=tuple(found), error=message)


def ahead(utterances: Iterable["Utterance"]) -> "Iterator[tuple[Utterance, bool]]":
    """Every utterance, and whether it is the only one; it waits for the second before it gives the first."""
    rest = iter(utterances)
    first, second = next(rest, None), next(rest, None)
    if first:
        yield first, second is None
    if second:
        yield from ((utterance, False) for utterance in chain([second], rest))


def kept_glimpses(outputs: list[str]) -> "Glimpses | None":
    """What keeps pictures of faces, where a page is written."""
    if not any(output.lower().endswith(".html") for output in outputs):
        return None
    from lddu.page.glimpses import Glimpses

    return Glimpses()


def sources(
    options: argparse.Namespace, predictor: "Predictor", glimpses: "Glimpses | None" = None
) -> "Iterator[tuple[str, Iterator[Utterance]]]":
    """The utterances of each file and text, by its name."""
    for file in options.files:
        yield file, predictor.follow(file, whole=options.whole, watch=glimpses.watch if glimpses else None)
    for text in options.text:
        yield text, map(predictor.predict_text, [text])


def copy(source: Path, target: Path) -> None:
    """`lddu export`."""
    from lddu.prediction.inference import export
    from lddu.predictor import PredictorError
    from preprocess.downloads.problem import ModelError

    try:
        roles = export(source, target)
    except (ModelError, PredictorError) as error:
        sys.exit(f"export: {error}")
    print(f"export: {target} has the weights, the parameters and {len(roles)} pretrained networks: {', '.join(roles)}")
