"""The page of the report about corrupted clips."""

from dataclasses import dataclass
from pathlib import Path

import params
from lddu.page import html
from lddu.page.picture import Picture
from robustness.curves import SCORES, named
from robustness.kinds import KINDS
from robustness.rows import Row

PAGE = Path("report/robustness.html")
COMPARED = ("micro F1", "cross-entropy")
READING = "From left to right the corruption grows, from none at level 0; each kind in its own panel."


@dataclass(frozen=True)
class Cell:
    """How much worse than without the modality."""

    value: float
    error: float
    fails: bool


@dataclass(frozen=True)
class Line:
    """A kind at a level."""

    title: str
    strength: str
    cells: list[Cell]


@dataclass(frozen=True)
class Response:
    """How σ of each modality follows a kind."""

    title: str
    modality: str
    values: list[float | None]


def lines_of(rows: list[Row], networks: list[str]) -> list[Line]:
    by_case: dict[tuple[str, int], dict[str, Row]] = {}
    for row in rows:
        if row.cost:
            by_case.setdefault((row.kind, row.level), {})[row.network] = row
    return [
        Line(
            f"{kind.replace('_', ' ')} {level}",
            f"{KINDS[kind].strength(level):g} {KINDS[kind].unit}",
            [
                Cell(found[network].cost[score], found[network].cost[f"{score}_error"], not found[network].holds[score])
                for network in networks
                for score in ("micro_f1", "bce")
            ],
        )
        for (kind, level), found in by_case.items()
    ]


def write(settings: params.Params, tree: dict, rows: list[Row], folder: Path) -> None:
    """Of what stands in metrics/robustness.json, the rows that it is made of, and the pictures in a folder."""
    networks = list(dict.fromkeys(row.network for row in rows))
    modalities = list(next(iter(tree["sigma"].values()), {"spearman": {}})["spearman"])
    pictures = {**SCORES, "sigma": "σ as a quantile of the training split"}
    html.write(
        PAGE,
        "robustness.html",
        corpus=Path(settings.corpus.root).name,
        split=settings.robustness.split,
        clips=tree["clips"],
        refused=tree["refused"],
        holds={named(network): held for network, held in tree["held"].items()},
        head=["", "strength", *(f"{named(network)}: {score}" for network in networks for score in COMPARED)],
        rows=lines_of(rows, networks),
        pictures=[Picture(title, READING, (folder / f"{name}.png").read_bytes()) for name, title in pictures.items()],
        modalities=modalities,
        sigma=[
            Response(kind.replace("_", " "), KINDS[kind].modality, [found["spearman"].get(m) for m in modalities])
            for kind, found in tree["sigma"].items()
        ],
    )
