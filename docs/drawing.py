"""Draw map.png, how a clip flows and which folder rests on which: `python -m docs.drawing`.

Stages and arrows are read from the pipeline files, the floors from the imports of the code. What was drawn is also kept as
text in the picture (`Description`), so that a test can tell whether the picture is still true.
"""

import json
import re
import textwrap
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import matplotlib as mpl
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from preprocess.run import sources

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "map.png"
PIPELINES = ("dvc.yaml", "sample/dvc.yaml", "preprocess/packs/dvc.yaml", "robustness/dvc.yaml")
NETWORKS = "data/models"
# Which stages stand above each other, from left to right: what is made for words, for sound, for the picture.
COLUMNS = {
    "models": 0, "transcripts": 0, "tune_text": 0, "encode_text": 0,
    "sample": 1, "manifest": 1, "audio": 1, "encode_audio": 1, "align": 1, "train": 1, "evaluate": 1,
    "frames": 2, "faces": 2, "encode_vision": 2, "features": 2, "corrupt": 2,
    "predictor": 0, "report": 1, "score": 2,
}  # fmt: skip
INSTEAD = {"features": "align"}  # makes what the other one makes; `tensors` in params.yaml says which of both is read
COLOURS = {"text": "#f6d9b0", "audio": "#bfe3da", "vision": "#c5d8f3", "": "#ebebeb"}
MODALITIES = {
    "text": ("transcripts", "tune_text", "encode_text"),
    "audio": ("audio", "encode_audio"),
    "vision": ("frames", "faces", "encode_vision"),
}
EDGE, INK = "#6a6a6a", "#1c1c1c"
BOX = 1.74, 0.72  # width and height, in steps of STEP
STEP = 2.0, 1.02  # inches from box to box
BAND, HEIGHT = 5.2, 0.215  # inches of a floor's width and of a line in it
NOTES = """Left: an arrow goes from a stage to one that reads its output; where it
also reads earlier outputs, those arrows are left out. A dashed arrow is a
choice in params.yaml: corpus.root names the corpus, tensors the features."""
LINE = 48  # characters of a line of a floor
SIZE = 12.2, 11.0  # inches


@cache
def stages() -> dict[str, dict[str, list[str]]]:
    """The stages of all pipeline files by name: `deps` and `outs`, with the values of params.yaml filled in."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    found = {}
    for name in PIPELINES:
        for stage, written in yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))["stages"].items():
            content = written.get("do", written)  # `do`: a stage for each item of params.yaml
            listed = content["outs"] + content.get("metrics", [])  # a path, or a path with its settings
            outs = [path for item in listed for path in ([item] if isinstance(item, str) else item)]
            paths = {"deps": content["deps"], "outs": outs}
            found[stage] = {kind: [filled(path, settings) for path in of_kind] for kind, of_kind in paths.items()}
    return found


def filled(path: str, settings: dict[str, Any]) -> str:
    """A path that may begin with ${corpus.root}, with the parameter's value; the items of a `foreach` have none."""
    path = path.replace("${key}", "<name>")
    if not path.startswith("${") or path.startswith("${item."):
        return path
    name, _, rest = path.removeprefix("${").partition("}")
    value: Any = settings
    for key in name.split("."):
        value = value[key]
    return f"{value}{rest}"


def inputs() -> dict[str, list[str]]:
    """The stages that each stage reads, without those that it also reads through another one, and without `models`."""
    direct = {name: {other for other in stages() if other != "models" and reads(name, other)} for name in stages()}
    above: dict[str, set[str]] = {}
    for name in TopologicalSorter(direct).static_order():
        above[name] = direct[name].union(*(above[other] for other in direct[name]))
    return {name: sorted(o for o in direct[name] if not any(o in above[x] for x in direct[name])) for name in direct}


def reads(stage: str, other: str) -> bool:
    pairs = [(Path(dep), Path(out)) for dep in stages()[stage]["deps"] for out in stages()[other]["outs"]]
    return stage != other and any(dep.is_relative_to(out) or out.is_relative_to(dep) for dep, out in pairs)


def networks(stage: str) -> list[str]:
    """The roles of the pretrained networks that a stage reads."""
    return [dep.removeprefix(f"{NETWORKS}/") for dep in stages()[stage]["deps"] if dep.startswith(f"{NETWORKS}/")]


def modules(package: str) -> dict[str, list[str]]:
    """The modules of each folder of a package; a module that stands in no folder has an empty list."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        folder, *file = path.relative_to(ROOT / package).with_suffix("").parts
        if path.name != "__init__.py":
            found.setdefault(folder, []).extend(file)
    return found


def floors() -> list[list[str]]:
    """Folders and modules of preprocess/ from the ground up: each stands one floor above the highest that it imports."""
    below: dict[str, set[str]] = {}
    for folder, files in modules("preprocess").items():
        names = [f"preprocess.{folder}.{file}" for file in files] or [f"preprocess.{folder}"]
        imported = {sources.module_of(item) for name in names for item in sources.imports(name)}
        below[folder] = {name.split(".")[1] for name in imported if name.startswith("preprocess.")} - {folder}
    sorter = TopologicalSorter(below)
    sorter.prepare()
    found = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        sorter.done(*ready)
        found.append(ready)
    return found


def description() -> str:
    """All that the picture shows, as JSON."""
    shown = {"stages": inputs(), "networks": {name: networks(name) for name in stages()}, "floors": floors()}
    return json.dumps(shown | {"modules": [modules("preprocess"), modules("lddu")]}, sort_keys=True)


def places() -> dict[str, tuple[float, float]]:
    """Where the middle of each stage's box is, in inches from the upper left: below all that it reads."""
    rows: dict[str, int] = {}
    for name in TopologicalSorter(inputs()).static_order():
        rows[name] = 1 + max((rows[other] for other in inputs()[name]), default=-1)
    rows |= {name: rows[other] for name, other in INSTEAD.items()}
    return {name: (STEP[0] * (COLUMNS[name] + 0.5), STEP[1] * (row + 0.9)) for name, row in rows.items()}


def draw_flow(panel: Axes) -> None:
    where = places()
    for name, read in inputs().items():
        for other in read:
            arrow(panel, where[other], where[name])
    for name, other in INSTEAD.items():
        for reader in (x for x, read in inputs().items() if other in read):
            arrow(panel, where[name], where[reader], dashed=True)
    for name, place in where.items():
        modality = next((m for m, names in MODALITIES.items() if name in names), "")
        made = ", ".join(dict.fromkeys(short(out) for out in stages()[name]["outs"]))
        box(panel, place, name, made, networks(name), COLOURS[modality])
    corpus = where["sample"][0] + STEP[0], where["sample"][1]
    arrow(panel, corpus, where["manifest"], dashed=True)
    box(panel, corpus, "or your corpus", "clips.csv and its media", [], "white", dashed=True)
    for name, text in (
        ("models", "read by stages with networks"),
        ("predictor", "read by lddu predict"),
        ("report", "report/index.html"),
    ):
        panel.text(where[name][0], where[name][1] + 0.49, text, ha="center", va="center", fontsize=9, style="italic")


def short(out: str) -> str:
    """An output as the picture names it."""
    return NETWORKS if out.startswith(f"{NETWORKS}/") else re.sub(r"\$\{.*\}", "<name>", out)


def arrow(panel: Axes, start: tuple[float, float], end: tuple[float, float], dashed: bool = False) -> None:
    """From the lower edge of one box to the upper edge of another."""
    half = BOX[1] / 2
    look = {
        "arrowstyle": "-|>",
        "color": EDGE,
        "linestyle": "--" if dashed else "-",
        "linewidth": 1.2,
        "shrinkA": 0,
        "shrinkB": 1,
    }
    panel.annotate("", (end[0], end[1] - half), (start[0], start[1] + half), arrowprops=look)


def box(
    panel: Axes, place: tuple[float, float], name: str, made: str, roles: list[str], colour: str, dashed: bool = False
) -> None:
    """A stage: its name, what it makes, and the roles of the networks that it reads."""
    corner = place[0] - BOX[0] / 2, place[1] - BOX[1] / 2
    shape = FancyBboxPatch(corner, *BOX, boxstyle="round,pad=0,rounding_size=0.08", facecolor=colour, edgecolor=EDGE)
    shape.set_linestyle("--" if dashed else "-")
    panel.add_patch(shape)
    lines = [*textwrap.wrap(made, 29), *([f"networks: {', '.join(roles)}"] if roles else [])]
    panel.text(place[0], place[1] - 0.13 * len(lines) / 2, name, ha="center", va="center", fontsize=11, weight="bold")
    panel.text(place[0], place[1] + 0.13, "\n".join(lines), ha="center", va="center", fontsize=8, color=INK)


def draw_code(panel: Axes) -> None:
    """The modules of both packages, preprocess/ as floors with the highest first; in a floor a line a folder."""
    top = 0.45
    for package, note, colour, levels in (
        ("lddu", "page/ and prediction/ also import preprocess/", "#f5e1e1", lddu_folders()),
        ("preprocess", "each floor imports only floors below it", "#eceff5", reversed(floors())),
    ):
        files = modules(package)
        panel.text(0, top + 0.3, f"{package}/", fontsize=12, weight="bold")
        panel.text(1.2, top + 0.3, note, fontsize=10, style="italic")
        top += 0.4
        for floor in levels:
            loose = [f"{room}.py" for room in floor if not files[room]]
            top = draw_floor(panel, top, {f"{room}/": files[room] for room in floor if files[room]}, loose, colour)
    for i, (modality, names) in enumerate({"text": "words", "audio": "sound", "vision": "picture", "": "all or none"}.items()):
        panel.add_patch(
            FancyBboxPatch(
                (1.3 * i, top + 0.4), 0.25, 0.2, facecolor=COLOURS[modality], edgecolor=EDGE, boxstyle="square,pad=0"
            )
        )
        panel.text(1.3 * i + 0.33, top + 0.5, names, va="center", fontsize=9.5)
    panel.text(0, top + 0.85, NOTES, va="top", fontsize=9.5, linespacing=1.5)


def draw_floor(panel: Axes, top: float, folders: dict[str, list[str]], loose: list[str], colour: str) -> float:
    """Draw one band, and return where it ends; `loose` are modules that stand in no folder."""
    blocks = [
        (name, textwrap.wrap(", ".join(files), LINE)) for name, files in (folders | ({"": loose} if loose else {})).items()
    ]
    height = sum(HEIGHT * len(lines) for _, lines in blocks) + 0.16
    panel.add_patch(FancyBboxPatch((0, top), BAND, height, facecolor=colour, edgecolor=EDGE, boxstyle="square,pad=0"))
    line = top + 0.08
    for name, lines in blocks:
        panel.text(0.1, line + HEIGHT / 2, name, va="center", fontsize=9.5, weight="bold")
        for text in lines:
            panel.text(1.05, line + HEIGHT / 2, text, va="center", fontsize=9.5)
            line += HEIGHT
    return top + height


def lddu_folders() -> list[list[str]]:
    """The folders of lddu/, then its other modules."""
    files = modules("lddu")
    return [[room for room in files if files[room]], [room for room in files if not files[room]]]


def draw() -> Figure:
    figure = Figure(figsize=SIZE)
    flow, code = figure.add_axes((0, 0, 0.53, 1)), figure.add_axes((0.55, 0, 0.44, 1))
    for panel, title in ((flow, "How a clip flows: the stages of dvc.yaml"), (code, "Where the code is")):
        panel.set(xlim=(0, panel.get_position().width * SIZE[0]), ylim=(SIZE[1], 0))
        panel.axis("off")
        panel.text(0.05, 0.22, title, fontsize=13, weight="bold", va="center")
    draw_flow(flow)
    draw_code(code)
    return figure


def main() -> None:
    with mpl.rc_context({"font.family": "DejaVu Sans"}):
        draw().savefig(TARGET, dpi=110, metadata={"Software": None, "Description": description()})


if __name__ == "__main__":
    main()
