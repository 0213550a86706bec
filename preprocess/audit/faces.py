"""Whether the face of a clip is its speaker's: the face as the speaker's other clips show it, and as those of others do."""

import numpy as np

from preprocess.audit.findings import FAULT, NOTE, Check, Finding
from preprocess.audit.looks import Look
from preprocess.face.people import ALIKE

NEAREST = 3  # clips of another speaker, the most alike ones, whose median difference counts
UNLIKE = 4.0  # times as far from the nearest of the speaker's clips as from another one's; light alone makes it up to 3
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
    colours = np.array([looks[clip_id].colours for clip_id in known])
    voices = np.array([speakers[clip_id] for clip_id in known])
    for i, clip_id in enumerate(known):
        far = np.sqrt(np.square(colours - colours[i]).mean(1))
        of_speaker = {
            str(name): np.sort(np.delete(far, i)[np.delete(voices, i) == name])[:NEAREST] for name in np.unique(voices)
        }
        enough = {name: values for name, values in of_speaker.items() if len(values) == NEAREST}
        middle = {name: float(np.median(values)) for name, values in enough.items()}
        own = float(enough[speakers[clip_id]][0]) if middle.pop(speakers[clip_id], None) is not None else None
        other = min(middle, key=lambda name: middle[name], default="")
        if own is not None and other and own > UNLIKE * middle[other] and own > ALIKE > middle[other]:
            found = f"{middle[other]:.0f} from the faces of {other}, {own:.0f} from those of {speakers[clip_id]}"
            findings.append(
                Finding(clip_id, Check.FACE, FAULT, found, f"the face of {other}? look at the film, or its speaker")
            )
    return findings


def _is_lit(seen: Look) -> bool:
    """Whether a face is bright enough for its colours to say something."""
    return float(np.mean(seen.colours[::3])) >= LIT
