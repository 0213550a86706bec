"""`lddu predict FILE...`: emotions, and how uncertain they are, of films, sounds and texts that nobody labelled."""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lddu.inference import Predictor, Utterance

FOLDER = "data/predictor"
FAILED = 1  # exit status where a file could not be read; 2 where nothing could be done at all
INTERRUPTED = 130
WIDTH, BAR = 100, 12  # characters of a line of words, and of the bar of a probability


def main(arguments: list[str] | None = None) -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in lddu/__main__.py
    asked = parser().parse_args(arguments)
    if not asked.files and not asked.text:
        parser().error("a FILE or --text is needed")
    silence_libraries()
    try:
        sys.exit(run(asked))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def silence_libraries() -> None:
    """Native libraries write to the terminal past Python; what this program has to say still reaches it."""
    sys.stderr = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="lddu predict", description=__doc__)
    made.add_argument("files", nargs="*", metavar="FILE", help="film, sound, or .txt with an utterance a line")
    made.add_argument("--text", action="append", default=[], help="an utterance without sound; may be given several times")
    made.add_argument("--model", default=FOLDER, metavar="FOLDER", help="what the stage predictor or `lddu export` made")
    made.add_argument("--json", action="store_true", help="everything, as one JSON document")
    made.add_argument("--full", action="store_true", help="the table of labels for each utterance, not a row each")
    made.add_argument("--whole", action="store_true", help="take long recordings whole instead of by utterances")
    made.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return made


def run(asked: argparse.Namespace) -> int:
    """Exit status: 0, FAILED where some file could not be read, or 2 with the reason printed."""
    from params import ParameterError
    from preprocess.models import ModelError

    try:
        return predict(asked)
    except (ParameterError, ModelError) as error:
        return _stop(error)
    except ValueError as error:  # PredictorError, WeightsError: of modules that take seconds to import
        if type(error).__module__.partition(".")[0] != "lddu":
            raise
        return _stop(error)


def _stop(error: Exception) -> int:
    print(f"lddu predict: {error}", file=sys.stderr)
    return 2


def predict(asked: argparse.Namespace) -> int:
    from lddu.inference import Predictor
    from preprocess.recording import RecordingError

    predictor = Predictor(Path(asked.model), asked.device)
    recordings: list[dict] = []
    for name, utterances in sources(asked, predictor):
        recording: dict = {"file": name, "utterances": []}
        recordings.append(recording)
        try:
            show = nothing if asked.json else Terminal(name, predictor.modalities, asked.full).show
            for utterance in ahead(utterances):
                recording["utterances"].append(tree_of(utterance[0]))
                show(*utterance)
            if not any(found["modalities"] for found in recording["utterances"]):
                raise RecordingError(f"{name}: there is no text, no sound and no face in it that could be judged")
        except RecordingError as error:
            recording["error"] = str(error)
            print(f"lddu predict: {error}", file=sys.stderr)
    if asked.json:
        tree = {"thresholds": predictor.thresholds, "recordings": recordings}
        print(json.dumps(tree, indent=2, ensure_ascii=False))
    return FAILED if any("error" in recording for recording in recordings) else 0


def ahead(utterances: Iterable["Utterance"]) -> "Iterator[tuple[Utterance, bool]]":
    """Every utterance, and whether it is the only one."""
    rest = iter(utterances)
    first, second = next(rest, None), next(rest, None)
    if first:
        yield first, second is None
    if second:
        yield from ((utterance, False) for utterance in chain([second], rest))


def nothing(*_: object) -> None:
    """What --json shows of an utterance before all are there."""


def sources(asked: argparse.Namespace, predictor: "Predictor") -> "Iterator[tuple[str, Iterator[Utterance]]]":
    """The utterances of each file and text, by its name."""
    for file in asked.files:
        yield file, predictor.follow(file, whole=asked.whole)
    for text in asked.text:
        yield text, map(predictor.predict_text, [text])


def tree_of(utterance: "Utterance") -> dict:
    transcript = utterance.transcript
    return {
        "start": round(utterance.start, 3),
        "end": round(utterance.end, 3),
        "modalities": list(utterance.modalities),
        "labels": {
            label: {
                "probability": round(decision.probability, 6),
                "present": decision.predicted,
                "uncertainty": {m: round(share, 4) for m, share in decision.sigma.items()},
            }
            for label, decision in utterance.labels.items()
        },
        "text": transcript.text if transcript else None,
        "transcribed": transcript.transcribed if transcript else None,
        "words": [vars(word) for word in transcript.words] if transcript else [],
        "missing": [{"stage": row.stage, "code": str(row.code), "detail": row.detail} for row in utterance.refused],
    }


class Terminal:
    """What a person reads of a recording: a table of its labels, or of several utterances a time line, a row each."""

    def __init__(self, name: str, modalities: tuple[str, ...], full: bool) -> None:
        self.name, self.modalities, self.full = name, modalities, full
        self.shown = 0

    def show(self, utterance: "Utterance", alone: bool) -> None:
        lines = [] if self.shown else ["", self.name]
        if alone or self.full:
            lines += self.table(utterance)
        else:
            lines += [*([] if self.shown else [self.head(utterance)]), self.row(utterance)]
        print("\n".join(lines), flush=True)
        self.shown += 1

    def table(self, utterance: "Utterance") -> list[str]:
        when = f"{utterance.start:.2f} to {utterance.end:.2f} s, " if utterance.end > utterance.start else ""
        lines = [f"  {when}from {', '.join(utterance.modalities) or 'nothing that could be judged'}", *words(utterance)]
        lines += [f"    missing: {row.stage}: {row.detail}" for row in utterance.refused]
        if not utterance.modalities:
            return lines
        width = max(len("label"), *map(len, utterance.labels))
        lines.append(f"    {'label':{width}}  probability        decision" + "".join(f"  σ {m:>6}" for m in self.modalities))
        for label, decision in utterance.labels.items():
            bar = "█" * round(decision.probability * BAR)
            sigma = "".join(f"  {percent(decision.sigma.get(m)):>8}" for m in self.modalities)
            said = "yes" if decision.predicted else "no"
            lines.append(f"    {label:{width}}  {decision.probability:.2f}  {bar:{BAR}} {said:>8}{sigma}")
        return lines

    def head(self, utterance: "Utterance") -> str:
        sigma = "".join(f" {f'σ {m}':>8}" for m in self.modalities)
        return f"  {'start':>8} {'end':>8} " + "".join(f" {column(label)}" for label in utterance.labels) + f"{sigma}  words"

    def row(self, utterance: "Utterance") -> str:
        timed = utterance.end > utterance.start
        start, end = (f"{seconds:.2f}" if timed else "" for seconds in (utterance.start, utterance.end))
        cells = [f"{found.probability:.2f}{'*' if found.predicted else ' '}" for found in utterance.labels.values()]
        cells = cells if utterance.modalities else ["– "] * len(cells)
        labels = "".join(f" {cell:>{len(column(label))}}" for cell, label in zip(cells, utterance.labels, strict=True))
        sigma = "".join(f" {percent(mean_sigma(utterance, m)):>8}" for m in self.modalities)
        return f"  {start:>8} {end:>8} {labels}{sigma}  {utterance.transcript.text if utterance.transcript else ''}"


def column(label: str) -> str:
    return f"{label:>6}"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def mean_sigma(utterance: "Utterance", modality: str) -> float | None:
    """Over the labels; None where the modality is absent."""
    found = [decision.sigma[modality] for decision in utterance.labels.values() if modality in decision.sigma]
    return sum(found) / len(found) if found else None


def words(utterance: "Utterance") -> list[str]:
    """The words, each behind the second at which it begins."""
    if utterance.transcript is None:
        return []
    lines = [""]
    for word in utterance.transcript.words:
        shown = word.word if word.start is None else f"{word.start:.2f} {word.word}"
        if lines[-1] and len(lines[-1]) + len(shown) > WIDTH:
            lines.append("")
        lines[-1] += ("  " if lines[-1] else "") + shown
    return [f"    {line}" for line in lines]


if __name__ == "__main__":
    main()
