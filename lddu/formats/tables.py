"""`.csv` and `.parquet`: a row an utterance, with the columns of data/predictions/<split>.csv behind those of the recording.

A blank cell is what is unknown. `words` and `missing` are JSON in CSV, and lists of records in Parquet.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

import csv_table
from lddu.channels import BLOCKS
from lddu.formats.document import Document, Recording, Utterance

WORD = pa.struct(
    {"word": pa.string(), "start": pa.float64(), "end": pa.float64(), "confidence": pa.float64(), "spoken": pa.bool_()}
)
MISSING = pa.struct({"stage": pa.string(), "code": pa.string(), "detail": pa.string()})


def schema(document: Document) -> pa.Schema:
    """The columns and their types."""
    text, number, flag = pa.string(), pa.float64(), pa.bool_()
    columns: dict[str, pa.DataType] = dict.fromkeys(("source", "clip_id", "split"), text)
    columns |= {"start": number, "end": number, "speaker": text, "text": text, "transcribed": flag}
    columns |= {"modalities": pa.list_(text), "unlike": flag, "novelty": number}
    columns |= {f"{name}_{m}": number for name in ("novelty", *BLOCKS) for m in document.modalities}
    for label in document.labels:
        columns |= {f"{label}_probability": number, f"{label}_predicted": flag, f"{label}_true": flag}
        columns |= {f"{label}_doubt": number, f"{label}_sure": flag}
        columns |= {f"{label}_sigma_{m}": number for m in document.modalities}
    columns |= {"words": pa.list_(WORD), "missing": pa.list_(MISSING)}
    metadata = {"learned": json.dumps(document.learned), "thresholds": json.dumps(document.thresholds)}
    return pa.schema(list(columns.items()), metadata)


def rows(document: Document) -> Iterator[dict[str, Any]]:
    for recording, utterance in document.utterances():
        yield _row(recording, utterance)


def _row(recording: Recording, utterance: Utterance) -> dict[str, Any]:
    row: dict[str, Any] = {
        "source": recording.source,
        "clip_id": utterance.clip_id or None,
        "split": utterance.split or None,
        "start": utterance.start,
        "end": utterance.end,
        "speaker": utterance.speaker or None,
        "text": utterance.text,
        "transcribed": utterance.transcribed,
        "modalities": list(utterance.modalities),
        "unlike": utterance.unlike,
        "novelty": utterance.novelty.get("clip"),
        "words": [{"word": word.text, **{k: v for k, v in vars(word).items() if k != "text"}} for word in utterance.words],
        "missing": [vars(missing) for missing in utterance.missing],
    }
    row |= {f"novelty_{m}": share for m, share in utterance.novelty.items() if m != "clip"}
    row |= {f"{block}_{m}": getattr(channel, block) for m, channel in utterance.channels.items() for block in BLOCKS}
    for label, of in utterance.labels.items():
        row |= {f"{label}_probability": of.probability, f"{label}_predicted": of.predicted, f"{label}_true": of.true}
        row |= {f"{label}_doubt": of.doubt, f"{label}_sure": of.sure}
        row |= {f"{label}_sigma_{m}": share for m, share in of.sigma.items()}
    return row


def write(document: Document, path: Path) -> None:
    if path.suffix.lower() == ".parquet":
        parquet.write_table(pa.Table.from_pylist(list(rows(document)), schema(document)), path)
        return
    cells = ({name: _cell(name, value) for name, value in row.items()} for row in rows(document))
    csv_table.write_named(path, schema(document).names, cells)


def _cell(name: str, value: Any) -> object:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return " ".join(value) if name == "modalities" else json.dumps(value, ensure_ascii=False)
    return "" if value is None else value
