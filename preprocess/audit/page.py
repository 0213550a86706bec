"""The page of an audit: every finding with its clip to play. It needs nothing but itself and the films where they lie."""

import os
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader

from preprocess.audit.findings import FAULT, Check, Finding
from preprocess.corpus import Clip

TEMPLATE = "page.html"


def write(path: Path, findings: list[Finding], clips: list[Clip], root: Path) -> None:
    """Write the page; films are named by their path from there, so it shows them while both stay where they are."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    by_id = {clip.clip_id: clip for clip in clips}
    rows = [(finding, by_id[finding.clip_id], film(by_id[finding.clip_id], root, path.parent)) for finding in findings]
    faults = [finding for finding in findings if finding.level == FAULT]
    counts = [(check, count) for check in Check if (count := sum(finding.check == check for finding in faults))]
    accused = len({finding.clip_id for finding in faults})
    page = environment.get_template(TEMPLATE).render(rows=rows, counts=counts, accused=accused, clips=len(clips), fault=FAULT)
    path.write_text(page + "\n", encoding="utf-8")


def film(clip: Clip, root: Path, folder: Path) -> str:
    """The URL of a clip's part of its medium, relative to the page's folder; "" for a text."""
    if not clip.media:
        return ""
    end = "" if clip.end is None else f",{clip.end:g}"
    return f"{quote(os.path.relpath(root / clip.media, folder))}#t={clip.start:g}{end}"
