"""The arena's curves as pictures: a panel for each kind of corruption, a line for each network."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from lddu.plots import LINE, QUIET, STRONG, STYLE, save
from lddu.titles import title_of
from robustness.answers import LDDU
from robustness.kinds import KINDS
from robustness.rows import Row

SCORES = {
    "micro_f1": "micro F1",
    "bce": "cross-entropy",
    "calibration_error": "calibration error",
    "risk_coverage": "risk-coverage area",
}
COLUMNS = 4
COLOURS = {LDDU: STRONG, "centre": QUIET, "joined": "#4f9d69"}
MODALITY_COLOURS = {"text": "#d99a2b", "audio": "#3f9b86", "vision": "#3d6fb4"}


def draw(rows: list[Row], sigma: dict[str, dict], folder: Path) -> None:
    """<score>.png for each score, and sigma.png."""
    for score, title in SCORES.items():
        with mpl.rc_context(STYLE):
            _scores(rows, score, title, folder / f"{score}.png")
    with mpl.rc_context(STYLE):
        _sigma(sigma, folder / "sigma.png")


def named(network: str) -> str:
    """What a network is called where people read of it."""
    return "LDDU" if network == LDDU else title_of(network)


def _panels(kinds: list[str]) -> tuple[Figure, dict]:
    columns = min(COLUMNS, len(kinds))
    lines = -(-len(kinds) // columns)
    figure = Figure(figsize=(columns * 3.1, lines * 2.4 + 0.5))
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for empty in axes[len(kinds) :]:
        empty.set_visible(False)
    return figure, dict(zip(kinds, axes, strict=False))


def _scores(rows: list[Row], score: str, title: str, path: Path) -> None:
    kinds = list(dict.fromkeys(row.kind for row in rows))
    figure, panels = _panels(kinds)
    for kind, panel in panels.items():
        for network in dict.fromkeys(row.network for row in rows):
            line = [row for row in rows if row.kind == kind and row.network == network]
            look = {"color": COLOURS.get(network, LINE), "marker": "."}
            panel.plot([row.level for row in line], [row.scores[score] for row in line], **look, label=named(network))
            if network == LDDU and score in ("bce", "micro_f1"):
                absent = {row.level: row.absent[score] for row in line if row.absent}
                panel.plot(list(absent), list(absent.values()), color=STRONG, linestyle=":", label="LDDU without the modality")
        panel.set(title=f"{KINDS[kind].modality}: {kind.replace('_', ' ')}", xlabel="level")
        panel.set_xticks(range(6))
    figure.supylabel(title)
    figure.legend(*next(iter(panels.values())).get_legend_handles_labels(), loc="outside lower center", ncols=5)
    save(figure, path)


def _sigma(sigma: dict[str, dict], path: Path) -> None:
    figure, panels = _panels(list(sigma))
    for kind, panel in panels.items():
        levels = [name for name in sigma[kind] if name.startswith("level_")]
        for m in sigma[kind]["spearman"]:
            own = KINDS[kind].modality in (m, "all")
            at = [int(name.removeprefix("level_")) for name in levels]
            values = [sigma[kind][name][m] for name in levels]
            panel.plot(at, values, color=MODALITY_COLOURS[m], label=m, marker=".", linewidth=2 if own else 1)
        panel.set(title=f"{KINDS[kind].modality}: {kind.replace('_', ' ')}", xlabel="level", ylim=(0, 1))
        panel.set_xticks(range(6))
    figure.supylabel("mean quantile of the noise in σ")
    figure.legend(*next(iter(panels.values())).get_legend_handles_labels(), loc="outside lower center", ncols=3)
    save(figure, path)
