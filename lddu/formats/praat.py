"""`.TextGrid`: the tiers of a recording for Praat, in its long text form and UTF-8."""

from pathlib import Path

from pympi import TextGrid

from lddu.formats import tiers
from lddu.formats.document import Document


def write(document: Document, path: Path) -> None:
    (recording,) = document.recordings
    found = tiers.of(recording, document.labels)
    end = max([recording.end * 1000, *(end for tier in found for _, end, _ in tier.spans)]) / 1000
    grid = TextGrid(xmax=end)
    for tier in found:
        grid_tier = grid.add_tier(tier.name)
        for begin, stop, text in tier.spans:
            if text:  # an interval without text is none
                grid_tier.add_interval(begin / 1000, stop / 1000, text, check=False)
    grid.to_file(path)
