"""Stage `report`: one page to look at, which needs nothing but itself.

It reads what evaluate wrote, and shows a choice of clips with the media that preprocess left of them. A corpus of tensors
alone has no such media; its page says so and shows the rest.
"""

from collections import Counter
from pathlib import Path

from tqdm import tqdm

import params
from contract import TENSOR_SPLITS
from lddu.page import html as page
from lddu.page import scoreboard
from lddu.page.card import card, decisions
from lddu.page.choice import Chosen, choose
from lddu.page.footage import FOLDER, Archive
from lddu.page.html import folded, listed, number, several, text
from lddu.page.results import SHOWN_FIRST, Clip, Results, read
from lddu.page.timeline import Axis, draw

PAGE = Path("report/index.html")
PLOTS = Path("data/plots")
CURVES = Path("data/training/curves.png")
# Rows of the table of refusals; the rest is in its file.
REFUSALS = 200
SECONDS_AN_HOUR = 3600

# Title of a picture, and how to read it.
READINGS = {
    "curves": (
        "Training curves",
        "Train against valid over the epochs; where valid turns away from train, the network has begun to learn by heart. "
        "The dotted line is the epoch that was kept.",
    ),
    "baselines": (
        "Micro F1 beside simpler models",
        "A network that does not clearly pass the probes (logistic regression on mean features) has not earned its size.",
    ),
    "precision_recall": (
        "Precision and recall",
        "The further the curve bends to the upper right, the better a label is ranked; the dashed line is guessing, "
        "the dot where the threshold puts the decisions.",
    ),
    "confusion": (
        "Confusion",
        "Rows are what is true, columns what was decided; upper right are false alarms, lower left what was missed.",
    ),
    "calibration": (
        "Calibration",
        "Points on the diagonal: of all decisions with probability p, a share p came true. Below it the network is too sure "
        "of yes, above it too sure of no; the bars say how many decisions each point stands on.",
    ),
    "uncertainty": (
        "Known noise against reported σ",
        "A clip a dot. A σ worth reporting rises from left to right: the noisier a modality, the larger its σ.",
    ),
}
FILES = {
    "metrics/<split>.json": "every score of a split, as numbers",
    "data/predictions/<split>.csv": "each clip: probability, decision, truth and σ a label",
    "data/plots/": "the pictures above, and the tables that they are drawn from",
    "data/training/curves.csv": "loss and scores of each epoch",
    "data/refused.csv": "what each stage could not do, and why",
    "data/manifest/": "the checked clip list",
}


def head(results: Results) -> str:
    """What this is, the corpus in numbers, and what was refused."""
    channels = {"text": "what a person says", "audio": "how it sounds", "vision": "how the face moves"}
    inputs = listed(channels[m] for m in results.modalities) or "clips"
    return (
        f"<h1>LDDU on the corpus <em>{text(results.corpus)}</em></h1>"
        f'<p class="lead">LDDU reads {inputs}, and gives each of {several(len(results.labels), "label")} a probability of its '
        "own, and beside it how uncertain each modality is. This page shows what it learned from this corpus, where it fails, "
        f"and how far its numbers can be trusted.</p>{_facts(results)}{_refusals(results)}"
    )


def _facts(results: Results) -> str:
    clips = len(results.everyone)
    hours = sum(clip.seconds for clip in results.clips.values()) / SECONDS_AN_HOUR
    facts = {"clips": str(clips), "hours": number(hours, 2 if hours < 10 else 0) if hours else "unknown"}
    if results.speakers and any(results.speakers.values()):
        facts["speakers"] = str(len({name for name in results.speakers.values() if name}))
    facts["splits"] = _splits(results)
    for m in results.modalities:
        count = sum(m in one.modalities for one in results.everyone)
        facts[f"with {m}"] = f"{count}<small> {_percent(count, clips)}</small>"
    facts["labels"] = f'<span class="names">{listed(map(text, results.labels))}</span>'
    body = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())
    return f'<dl class="facts">{body}</dl>'


def _splits(results: Results) -> str:
    """Clips a split, and a bar of their shares."""
    counts = {split: len(found) for split, found in results.predictions.items()}
    bar = "".join(f'<u class="{split}" style="flex:{count}"></u>' for split, count in counts.items())
    names = ", ".join(f"{count} {'without split' if split == 'other' else split}" for split, count in counts.items())
    return f'<span class="splits" aria-hidden="true">{bar}</span><span class="names">{names or "none"}</span>'


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.0f} %"


def _refusals(results: Results) -> str:
    if results.speakers is None:
        return '<p class="quiet">These tensors did not come from clips on this machine, so nothing is known of refusals.</p>'
    if not results.refused:
        return '<p class="refused">Nothing was refused: every stage could do every clip.</p>'
    counts = Counter(row.code for row in results.refused)
    named = listed(f"{count} × {text(code.replace('_', ' '))}" for code, count in sorted(counts.items()))
    rows = [[text(row.clip_id), text(row.stage), text(row.code), text(row.detail)] for row in results.refused[:REFUSALS]]
    more = len(results.refused) - REFUSALS
    caption = f"the first {REFUSALS}; {more} more in data/refused.csv" if more > 0 else "all of them, as in data/refused.csv"
    listing = page.table(caption, ["clip", "stage", "code", "detail"], rows, "plain")
    return (
        f'<div class="refused"><p>{several(len(results.refused), "refusal")}: {named}. A clip keeps the modalities that '
        f"are left to it.</p>{folded('Which clips, and why', listing)}</div>"
    )


def scores(results: Results) -> str:
    """The tables of each scored split, the most telling one open."""
    if not results.scores:
        return "<p>No split is labelled, so nothing could be scored.</p>"
    first, *others = [split for split in SHOWN_FIRST if split in results.scores]
    beside = "".join(folded(f"The same on {name}", _split_scores(results, name)) for name in others)
    return _split_scores(results, first) + beside


def _split_scores(results: Results, split: str) -> str:
    found = results.scores[split]
    lines = "".join(f"<li>{line}</li>" for line in scoreboard.follows(found))
    noise = f"<h3>Does σ know the noise?</h3><ul>{lines}</ul>" if lines else ""
    labels = scoreboard.per_label(found, results.predictions.get(split, []))
    return f'{scoreboard.overview(found, split)}<div class="pair"><div>{labels}</div><div>{noise}</div></div>'


def pictures() -> str:
    """Every picture of training and evaluation that is there."""
    known = [CURVES, *(PLOTS / f"{name}.png" for name in READINGS)]
    others = sorted(set(PLOTS.glob("*.png")) - set(known))
    found = [path for path in [*known, *others] if path.is_file()]
    if not found:
        return "<p>There are no pictures.</p>"
    unknown = "Its table lies beside it."
    return "".join(page.figure(path, *READINGS.get(path.stem, (path.stem.replace("_", " "), unknown))) for path in found)


def clips(results: Results, archive: Archive, settings: params.Report) -> str:
    """A card a chosen clip."""
    chosen = choose(results.predictions.get(results.shown, []), results.modalities, settings.clips, settings.seed)
    if not chosen:
        return "<p>No clip is shown.</p>"
    note = "" if any(archive.knows(one.prediction.clip_id) for one in chosen) else _no_media()
    return note + "".join(_card(one, results, archive) for one in tqdm(chosen, desc="report", unit="clip"))


def _no_media() -> str:
    folders = listed(f"<code>{FOLDER}/{name}</code>" for name in ("faces", "audio", "transcripts"))
    return f'<p class="refused">There are no time lines: of these clips there is nothing in {folders}.</p>'


def _card(chosen: Chosen, results: Results, archive: Archive) -> str:
    found = chosen.prediction
    clip = results.clips.get(found.clip_id, Clip(0.0, {}))
    line, said, seconds = "", "", clip.seconds
    if archive.knows(found.clip_id):
        footage = archive.footage(found.clip_id, Axis(clip.seconds).pictures)
        seconds = clip.seconds or footage.seconds
        line, said = draw(footage, seconds), footage.transcript.text if footage.transcript else ""
    speaker = (results.speakers or {}).get(found.clip_id)
    facts = [f"{number(seconds, 1)} s" if seconds else "", f"spoken by {speaker}" if speaker else ""]
    beside = decisions(found, results.modalities, results.thresholds, clip.intensities)
    return card(chosen, " · ".join(filter(None, facts)), said, line + beside)


def foot(results: Results) -> str:
    """What was measured of probability and σ, and where the tables are."""
    split = next((split for split in SHOWN_FIRST if split in results.scores), "")
    found = results.scores.get(split, {})
    error = found.get("calibration_error")
    off = f"On {split}, probabilities are off by {number(error, 2)} on average (calibration error)."
    measured = [*([] if error is None else [off]), *scoreboard.follows(found)]
    lines = "".join(f"<li>{line}</li>" for line in measured) or "<li>nothing: no split is labelled</li>"
    there = {path: what for path, what in FILES.items() if _is_there(path)}
    files = "".join(f"<dt><code>{text(path)}</code></dt><dd>{text(what)}</dd>" for path, what in there.items())
    return f'<h3>Measured on this corpus</h3><ul>{lines}</ul><h3>Where the numbers are</h3><dl class="files">{files}</dl>'


def _is_there(path: str) -> bool:
    return any(Path(path.replace("<split>", split)).exists() for split in TENSOR_SPLITS)


def report(settings: params.Params) -> None:
    """The stage."""
    archive = Archive()
    results = read(settings, sorted(archive.refused.values()))
    page.write(
        PAGE,
        title=text(results.corpus),
        head=head(results),
        scores=scores(results),
        pictures=pictures(),
        shown=f" of {results.shown}" if results.shown in results.scores else "",
        clips=clips(results, archive, settings.report),
        foot=foot(results),
    )
    print(f"report: {PAGE}, {PAGE.stat().st_size / 1e6:.1f} MB")
