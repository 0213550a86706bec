"""Whether the face of a clip is its speaker's: the face as the speaker's other clips show it, and as those of others do."""

import numpy as np

from preprocess.audit.findings import FAULT, NOTE, Check, Finding
from preprocess.audit.looks import Look

NEAREST = 3  # clips of a speaker, the most alike ones, whose mean difference counts
FEWEST = 50  # clips with a face below which nothing is said
UNLIKE = 1.3  # times as far from the speaker's clips as from another one's
SURELY = 20.0  # by how much the squared difference, in deviations, must be larger
LIT = 40.0  # mean lightness of a face, of 255


def judge(looks: dict[str, Look], speakers: dict[str, str]) -> list[Finding]:
    """Faces that are unlike the speaker's and like another one's, and notes where the choice among several is doubtful.

    `speakers` has the speaker of each clip, where known.
    """
    findings = []
    for clip_id, seen in looks.items():
        if seen.people > 1 and seen.chosen_by in ("size", "undecided"):
            found = f"of {seen.people} people none moves the mouth with the sound more than the others"
            findings.append(Finding(clip_id, Check.FACE, NOTE, found, "look whose face was taken"))
    known = sorted(clip_id for clip_id, seen in looks.items() if seen.colours and speakers.get(clip_id) and _is_lit(seen))
    if len(known) < FEWEST:
        return findings
    voices = np.array([speakers[clip_id] for clip_id in known])
    points = in_deviations(np.array([looks[clip_id].colours for clip_id in known]), voices)
    for i, clip_id in enumerate(known):
        near = nearest(points, voices, i)
        own, other = near.pop(speakers[clip_id], None), min(near, key=lambda name: near[name], default="")
        if own is not None and other and own > UNLIKE * near[other] and own**2 - near[other] ** 2 > SURELY:
            found = f"{near[other]:.1f} deviations from faces of {other}, {own:.1f} from those of {speakers[clip_id]}"
            findings.append(
                Finding(clip_id, Check.FACE, FAULT, found, f"the face of {other}? look at the film, or its speaker")
            )
    return findings


def in_deviations(colours: np.ndarray, voices: np.ndarray) -> np.ndarray:
    """Colours (N, D) such that every direction has the deviation 1 among clips of one speaker.

    What light, camera and expression change in one person's face then counts little, and what they do not change counts much.
    """
    from sklearn.covariance import ledoit_wolf  # takes a second

    of_speakers = [colours[voices == name] for name in np.unique(voices)]
    residuals = np.concatenate([of - np.median(of, axis=0) for of in of_speakers])
    covariance, _ = ledoit_wolf(residuals, assume_centered=True)
    return colours @ np.linalg.cholesky(np.linalg.inv(covariance))


def nearest(points: np.ndarray, voices: np.ndarray, i: int) -> dict[str, float]:
    """How far clip i is from the NEAREST other clips of each speaker who has as many."""
    far = np.linalg.norm(points - points[i], axis=1)
    far[i] = np.inf
    of_speakers = {str(name): np.sort(far[voices == name])[:NEAREST] for name in np.unique(voices)}
    return {name: float(of.mean()) for name, of in of_speakers.items() if len(of) == NEAREST and np.isfinite(of).all()}


def _is_lit(seen: Look) -> bool:
    """Whether a face is bright enough for its colours to say something."""
    return float(np.mean(seen.colours[::3])) >= LIT
