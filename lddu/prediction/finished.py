"""`lddu write`: the pipeline's own predictions, of the clips of the corpus, as films with their utterances."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import params
from contract import MODALITIES, TENSOR_SPLITS
from lddu import decisions, novelty
from lddu.decisions import ClipDecisions, DecisionsError
from lddu.formats.document import Document, Recording, Utterance
from lddu.formats.endings import FormatError
from lddu.page import glimpses, results
from lddu.prediction import output
from lddu.prediction.described import missing_of, words_of
from preprocess import clips, refusals
from preprocess.clips import Medium
from preprocess.recording import moved
from preprocess.refusals import Refused
from preprocess.speech import words
from preprocess.store.shards import Shards

CARD = Path("data/model/config.json")  # has what the network was trained on
REFUSED = Path("data/refused.csv")
TRANSCRIPTS = Path("data/transcripts")
FAILED, UNABLE = 1, 2  # exit status, as of `lddu predict`


class Clips:
    """What the stages know of each clip; nothing where their output is not on this machine, or is of other clips."""

    def __init__(self) -> None:
        known = (clips.FOLDER / "media.csv").is_file()
        self.media: dict[str, Medium] = {item.clip_id: item for item in clips.read_media()} if known else {}
        self.speakers = self._speakers()
        self.refused: dict[str, list[Refused]] = {}
        for row in refusals.read(REFUSED) if REFUSED.is_file() else []:
            self.refused.setdefault(row.clip_id, []).append(row)
        self.transcripts = Shards(TRANSCRIPTS) if (TRANSCRIPTS / "index.csv").is_file() else None

    def _speakers(self) -> dict[str, str]:
        if not results.CLIP_LIST.is_file():
            return {}
        with results.CLIP_LIST.open(encoding="utf-8", newline="") as file:
            return {row["clip_id"]: row["speaker"] for row in csv.DictReader(file)}

    def utterance(self, clip: ClipDecisions, split: str) -> Utterance:
        """Its times count from the start of the medium."""
        medium = self.media.get(clip.clip_id)
        start, end = (medium.start, medium.end) if medium else (0.0, 0.0)
        has_words = self.transcripts is not None and clip.clip_id in self.transcripts.digests
        transcript = moved(words.read(self.transcripts, clip.clip_id), start) if has_words and self.transcripts else None
        return Utterance(
            start,
            end,
            clip.decisions,
            clip.modalities,
            transcript.text if transcript else None,
            transcript.transcribed if transcript else None,
            words_of(transcript),
            self.speakers.get(clip.clip_id, ""),
            clip.channels,
            {} if clip.novelty is None else {"clip": clip.novelty},
            (clip.novelty or 0.0) > novelty.UNLIKE,
            missing_of(self.refused.get(clip.clip_id, [])),
            clip.clip_id,
            split,
        )


def document(settings: params.Params, splits: Iterable[str], wanted: Iterable[str] = ()) -> Document:
    """The clips of some splits, or of those the `wanted` ones; clips of one medium are utterances of one recording.

    DecisionsError where there are no predictions, or none of a wanted clip.
    """
    tables = {split: decisions.FOLDER / f"{split}.csv" for split in splits}
    known, labels = Clips(), settings.corpus.labels
    found = [(clip, split) for split, path in tables.items() if path.is_file() for clip in decisions.read(path, labels)]
    chosen = set(wanted) or {clip.clip_id for clip, _ in found}
    if unknown := sorted(chosen - {clip.clip_id for clip, _ in found}):
        raise DecisionsError(f"{', '.join(map(str, tables.values()))} have no clip {', '.join(unknown[:8])}")
    if not found:
        raise DecisionsError(f"no predictions in {', '.join(map(str, tables.values()))}: run evaluate")
    by_source: dict[str, list[Utterance]] = {}
    for clip, split in found:
        if clip.clip_id in chosen:
            medium = known.media.get(clip.clip_id)
            by_source.setdefault(medium.media if medium else "", []).append(known.utterance(clip, split))
    return Document(
        tuple(labels),
        tuple(m for m in MODALITIES if any(m in clip.modalities for clip, _ in found)),
        tuple(_recordings(by_source, Path(settings.corpus.root))),
        json.loads(CARD.read_text(encoding="utf-8"))["learned"] if CARD.is_file() else {},
        _thresholds(labels),
    )


def _recordings(by_source: dict[str, list[Utterance]], root: Path) -> Iterable[Recording]:
    """A recording for each medium, and for each clip without one."""
    for source, utterances in sorted(by_source.items()):
        if source:
            in_order = sorted(utterances, key=lambda utterance: (utterance.start, utterance.clip_id))
            yield Recording(source, tuple(in_order), root / source)
        else:
            yield from (Recording(utterance.clip_id, (utterance,)) for utterance in utterances)


def _thresholds(labels: list[str]) -> dict[str, float]:
    path = results.METRICS / "valid.json"
    scores = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return scores.get("thresholds") or (dict.fromkeys(labels, scores["threshold"]) if scores else {})


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="lddu write", description=__doc__)
    output.add_argument(options)
    options.add_argument("--split", action="append", choices=TENSOR_SPLITS, help="test if left out; may be given several times")
    options.add_argument("--clip", action="append", default=[], metavar="ID", help="only this clip; may be given several times")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    if not options.output:
        parser().error("-o FILE is needed")
    try:
        output.require_writable(options.output)
        found = document(params.load(), options.split or (TENSOR_SPLITS if options.clip else ("test",)), options.clip)
        output.require_writable(options.output, len(found.recordings))
    except (DecisionsError, FormatError, params.ParameterError) as error:
        print(f"lddu write: {error}", file=sys.stderr)
        sys.exit(UNABLE)
    problems = output.write(glimpses.added(found) if glimpses.wanted(options.output) else found, options.output)
    for problem in problems:
        print(f"lddu write: {problem}", file=sys.stderr)
    sys.exit(FAILED if problems else 0)
