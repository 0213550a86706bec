"""Stage `report`: one page to look at, which needs nothing but itself.

It reads what evaluate wrote, and shows some clips with the faces, sounds and words that preprocess kept of them. A corpus of
tensors alone has no such media; its page says so and shows the rest.
"""

import shutil
from pathlib import Path

from tqdm import tqdm

import params
from contract import TENSOR_SPLITS
from lddu.novelty import UNLIKE
from lddu.page import html, workbench
from lddu.page.card import Card
from lddu.page.choice import Chosen, choose
from lddu.page.footage import FOLDER, Archive
from lddu.page.html import number
from lddu.page.picture import Picture
from lddu.page.results import SHOWN_FIRST, Clip, Results, read
from lddu.page.scoreboard import Board, board_of
from lddu.page.screening import FOLDER as FOLDER_OF_CLIPS
from lddu.page.timeline import Axis, timeline_of

PAGE = Path("report/index.html")
STYLES = ("style.css", "player.css", "workbench.css")
SCRIPTS = ("player.js", "timeline.js", "table.js", "corrections.js", "workbench.js")
PLOTS = Path("data/plots")
CURVES = Path("data/training/curves.png")
# Rows of the table of refusals; the rest is in its file.
REFUSALS = 200

# Title of a picture, and how to read it.
READINGS = {
    "curves": (
        "Training curves",
        "Train against valid over the epochs; where valid turns away from train, the network has begun to learn by heart. "
        "The dotted line is the epoch that was kept.",
    ),
    "baselines": (
        "Micro F1 beside simpler models",
        "A network that does not clearly pass the probes (logistic regression on mean features) and the MLP has not earned its "
        "size.",
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
UNEXPLAINED = "Its table lies beside it."
FILES = {
    "metrics/<split>.json": "every score of a split, as numbers",
    "data/predictions/<split>.csv": "each clip: probability, decision, truth and σ a label",
    "data/plots/": "the pictures above, and the tables that they are drawn from",
    "data/training/curves.csv": "loss and scores of each epoch",
    "data/refused.csv": "what each stage could not do, and why",
    "data/manifest/": "the checked clip list",
}


def boards_of(results: Results) -> list[Board]:
    """The scores of each scored split, that of the shown clips first."""
    splits = [split for split in SHOWN_FIRST if split in results.scores]
    return [board_of(split, results.scores[split], results.predictions.get(split, [])) for split in splits]


def pictures() -> list[Picture]:
    """Every picture of training and evaluation that is there."""
    explained = [CURVES, *(PLOTS / f"{name}.png" for name in READINGS)]
    others = sorted(set(PLOTS.glob("*.png")) - set(explained))
    return [
        Picture(*READINGS.get(path.stem, (path.stem.replace("_", " "), UNEXPLAINED)), path.read_bytes())
        for path in [*explained, *others]
        if path.is_file()
    ]


def card_of(chosen: Chosen, results: Results, archive: Archive) -> Card:
    """What the page shows of a clip."""
    clip_id = chosen.prediction.clip_id
    clip = results.clips.get(clip_id, Clip(0.0, {}))
    line, said, seconds = None, "", clip.seconds
    if archive.knows(clip_id):
        footage = archive.footage(clip_id, Axis(clip.seconds).pictures)
        seconds = clip.seconds or footage.seconds
        line, said = timeline_of(footage, seconds), footage.transcript.text if footage.transcript else ""
    speaker = (results.speakers or {}).get(clip_id)
    facts = [f"{number(seconds, 1)} s" if seconds else "", f"spoken by {speaker}" if speaker else ""]
    return Card(chosen, [fact for fact in facts if fact], said, line, clip.intensities)


def _is_there(path: str) -> bool:
    return any(Path(path.replace("<split>", split)).exists() for split in TENSOR_SPLITS)


def report(settings: params.Params) -> None:
    """The stage."""
    archive = Archive()
    results = read(settings, sorted(archive.refused.values()))
    shown = results.predictions.get(results.shown, [])
    shutil.rmtree(FOLDER_OF_CLIPS, ignore_errors=True)  # its files may be hard links to files in DVC's cache
    tree = workbench.tree(results, archive, settings, PAGE)
    workbench.write_index(FOLDER_OF_CLIPS, tree)
    chosen = choose(shown, results.modalities, settings.report.clips, settings.report.seed)
    html.write(
        PAGE,
        styles=STYLES,
        scripts=SCRIPTS,
        data=html.data(tree),
        results=results,
        refusals=REFUSALS,
        boards=boards_of(results),
        risk=settings.evaluate.risk or 0.0,
        unlike=UNLIKE,
        pictures=pictures(),
        cards=[card_of(clip, results, archive) for clip in tqdm(chosen, desc="report", unit="clip")],
        has_media=any(archive.knows(clip.prediction.clip_id) for clip in chosen),
        media=FOLDER,
        files={path: content for path, content in FILES.items() if _is_there(path)},
    )
    print(f"report: {PAGE}, {PAGE.stat().st_size / 1e6:.1f} MB")
