"""`.labelstudio.json`: tasks for Label Studio's import, a recording each, with what was predicted as prelabels.

The page on which they are corrected, a labelling configuration, is written beside it as `.labelstudio.xml`. An utterance is a
region with its labels, its text and its speaker; probability, doubt and σ are in the region's `meta`. The media are named as
Label Studio's local storage does (`/data/local-files/?d=PATH`).
"""

import json
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from lddu.formats.document import Document, Recording, Utterance
from lddu.formats.text import decision, line

ENDING = ".labelstudio.json"
NONE = "(none)"  # the label of a region with no emotion: a region must have one
WHOLE = "text"  # of an utterance without time
MODEL = "lddu"


def write(document: Document, path: Path) -> None:
    tasks = [task for recording in document.recordings for task in tasks_of(recording)]
    path.write_text(json.dumps(tasks, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    beside = path.with_name(path.name[: -len(ENDING)] + ".labelstudio.xml")
    timed = any(recording.timed for recording in document.recordings)
    beside.write_text(configuration(document.labels, timed) + "\n", encoding="utf-8")


def tasks_of(recording: Recording) -> list[dict]:
    """One task of a recording with a time line; of text alone one for each utterance."""
    if recording.timed:
        media = "/data/local-files/?d=" + quote(str(recording.path or recording.source))
        results = [result for i, utterance in enumerate(recording.utterances) for result in _region(f"u{i}", utterance)]
        return [_task({"media": media, "source": recording.source}, results)]
    return [
        _task({"text": utterance.text or "", "source": recording.source}, [_choices(f"u{i}", utterance)])
        for i, utterance in enumerate(recording.utterances)
    ]


def _task(data: dict, results: list[dict]) -> dict:
    return {"data": data, "predictions": [{"model_version": MODEL, "result": results}]}


def _present(utterance: Utterance) -> list[str]:
    return [label for label, of in utterance.labels.items() if of.predicted] or [NONE]


def _meta(utterance: Utterance) -> dict:
    return {"text": [f"{label}: {decision(of)}" for label, of in utterance.labels.items()]}


def _region(name: str, utterance: Utterance) -> list[dict]:
    span = {"start": round(utterance.start, 3), "end": round(utterance.end, 3)}
    common = {"id": name, "to_name": "media"}
    texts = {"transcript": line(utterance.text or ""), "speaker": line(utterance.speaker)}
    return [
        common
        | {
            "from_name": "emotions",
            "type": "labels",
            "value": span | {"labels": _present(utterance)},
            "meta": _meta(utterance),
        },
        *(
            common | {"from_name": field, "type": "textarea", "value": span | {"text": [text]}}
            for field, text in texts.items()
            if text
        ),
    ]


def _choices(name: str, utterance: Utterance) -> dict:
    common = {"id": name, "from_name": "emotions", "to_name": WHOLE, "type": "choices", "meta": _meta(utterance)}
    return common | {"value": {"choices": _present(utterance)}}


def configuration(labels: tuple[str, ...], timed: bool) -> str:
    """The labelling configuration: a sound track with regions, or a text with choices."""
    view = ElementTree.Element("View")
    if timed:
        group = ElementTree.SubElement(view, "Labels", name="emotions", toName="media", choice="multiple")
        ElementTree.SubElement(view, "Audio", name="media", value="$media")
        for field in ("transcript", "speaker"):
            options = {"name": field, "toName": "media", "perRegion": "true", "editable": "true"}
            ElementTree.SubElement(view, "TextArea", options)
    else:
        ElementTree.SubElement(view, "Text", name=WHOLE, value="$text")
        group = ElementTree.SubElement(view, "Choices", name="emotions", toName=WHOLE, choice="multiple")
    for label in (*labels, NONE):
        ElementTree.SubElement(group, "Label" if timed else "Choice", value=label)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode")
