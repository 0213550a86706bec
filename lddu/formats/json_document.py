"""`.json`: everything, as `lddu predict --json` prints it."""

import json
from pathlib import Path

from lddu.decisions import Decision
from lddu.formats.document import Document, Recording, Utterance


def write(document: Document, path: Path) -> None:
    path.write_text(dumps(document) + "\n", encoding="utf-8")


def dumps(document: Document) -> str:
    tree = {
        "learned": document.learned,
        "thresholds": document.thresholds,
        "recordings": [_recording(recording) for recording in document.recordings],
    }
    return json.dumps(tree, indent=2, ensure_ascii=False)


def _recording(recording: Recording) -> dict:
    notes = [{"code": code, "detail": detail} for code, detail in recording.notes]
    utterances = [_utterance(utterance) for utterance in recording.utterances]
    error = {} if recording.error is None else {"error": recording.error}
    return {"source": recording.source, "notes": notes, "utterances": utterances, **error}


def _utterance(utterance: Utterance) -> dict:
    where = {"clip_id": utterance.clip_id, "split": utterance.split} if utterance.clip_id else {}
    return {
        **where,
        "start": round(utterance.start, 3),
        "end": round(utterance.end, 3),
        "speaker": utterance.speaker or None,
        "modalities": list(utterance.modalities),
        "novelty": {name: round(share, 4) for name, share in utterance.novelty.items()},
        "unlike": utterance.unlike,
        "channels": {
            m: {"noise": round(channel.noise, 4), "ambiguity": round(channel.ambiguity, 4), "says": channel.sentence(m)}
            for m, channel in utterance.channels.items()
        },
        "labels": {label: _decision(of) for label, of in utterance.labels.items()},
        "text": utterance.text,
        "transcribed": utterance.transcribed,
        "words": [
            {"word": word.text, "start": word.start, "end": word.end, "confidence": word.confidence, "spoken": word.spoken}
            for word in utterance.words
        ],
        "missing": [vars(missing) for missing in utterance.missing],
    }


def _decision(of: Decision) -> dict:
    true = {} if of.true is None else {"true": of.true}
    return {
        "probability": round(of.probability, 6),
        "present": of.predicted,
        "answer": of.answer,
        "doubt": None if of.doubt is None else round(of.doubt, 4),
        "uncertainty": {m: round(share, 4) for m, share in of.sigma.items()},
        **true,
    }
