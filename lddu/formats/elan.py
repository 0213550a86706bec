"""`.eaf`: an annotation document of ELAN, with the film linked."""

import os
from pathlib import Path

from pympi import Eaf

from lddu.formats import tiers
from lddu.formats.document import Document

DATE = "1970-01-01T00:00:00+00:00"  # ELAN wants one; the same predictions give the same bytes
MIMES = {".wav": "audio/x-wav", ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".mpg": "video/mpeg"}


def write(document: Document, path: Path) -> None:
    (recording,) = document.recordings
    eaf = Eaf(author="lddu")
    eaf.adocument["DATE"] = DATE
    eaf.remove_tier("default")
    for tier in tiers.of(recording, document.labels):
        eaf.add_tier(tier.name)
        for start, end, text in tier.spans:
            eaf.add_annotation(tier.name, start, end, text)
    if recording.path:
        film = recording.path.resolve()
        mime = MIMES.get(film.suffix.lower(), "unknown")
        eaf.add_linked_file(film.as_uri(), os.path.relpath(film, path.resolve().parent), mime)
    eaf.to_file(path)
