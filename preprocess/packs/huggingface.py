"""A dataset folder as Hugging Face's datasets load it: Parquet files with typed features, a card, and the passport.

A row is a clip: `clip_id`, `speaker`, `text`, each label (null where unlabelled), and for each modality m of it `m_features`
(rows, D), `m_mask` (rows) and `m_time` (rows, 2), up to its last observed row.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from preprocess.packs.content import Split

SPLITS = {"train": "train", "valid": "validation", "test": "test"}
CLIPS = 256  # of a row group
TEXTS = ("clip_id", "speaker", "text")


def write(folder: Path, splits: dict[str, Split]) -> list[str]:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    written = {name: split for name, split in splits.items() if split.clip_ids}
    for name, split in written.items():
        schema = schema_of(split)
        with parquet.ParquetWriter(folder / path_of(name), schema, compression="zstd") as file:
            for begin in range(0, len(split.clip_ids), CLIPS):
                count = min(CLIPS, len(split.clip_ids) - begin)
                file.write_table(pa.Table.from_pylist([row(split, begin + i) for i in range(count)], schema))
    (folder / "README.md").write_text(card(list(written)), encoding="utf-8")
    return []


def path_of(split: str) -> str:
    return f"data/{SPLITS[split]}-00000-of-00001.parquet"


def columns(split: Split) -> Iterator[tuple[str, pa.DataType, dict[str, Any]]]:
    """Name, type in Parquet, and type as datasets writes it."""
    number = {"dtype": "float32", "_type": "Value"}
    for name in TEXTS:
        yield name, pa.string(), {"dtype": "string", "_type": "Value"}
    for label in split.label_names:
        yield label, pa.float32(), number
    for m, states in split.states.items():
        for column, width in ((f"{m}_features", states.shape[2]), (f"{m}_time", 2)):
            inner = {"feature": number, "length": width, "_type": "List"}
            yield column, pa.list_(pa.list_(pa.float32(), width)), {"feature": inner, "_type": "List"}
        yield f"{m}_mask", pa.list_(pa.bool_()), {"feature": {"dtype": "bool", "_type": "Value"}, "_type": "List"}


def schema_of(split: Split) -> pa.Schema:
    found = list(columns(split))
    features = {name: described for name, _, described in found}
    metadata = {"huggingface": json.dumps({"info": {"features": features}}, ensure_ascii=False)}
    return pa.schema([(name, kind) for name, kind, _ in found], metadata)


def row(split: Split, i: int) -> dict[str, Any]:
    values = {"clip_id": split.clip_ids[i], "speaker": split.speakers[i], "text": split.texts[i]}
    known = {
        label: None if np.isnan(value) else value
        for label, value in zip(split.label_names, split.labels[i].tolist(), strict=True)
    }
    arrays: dict[str, list] = {}
    for m in split.states:
        count = split.rows_of(m, i)
        arrays |= {
            f"{m}_features": list(split.states[m][i, :count]),
            f"{m}_time": list(split.times[m][i, :count]),
            f"{m}_mask": split.masks[m][i, :count].tolist(),
        }
    return values | known | arrays


def card(splits: list[str]) -> str:
    files = "".join(f"  - split: {SPLITS[name]}\n    path: {path_of(name)}\n" for name in splits)
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n\n"
        "Rows of features of clips; `passport.json` says of which corpus, by which networks, and what each number is.\n"
    )
