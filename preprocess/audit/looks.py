"""Whether the face of a clip is its speaker's: the face as the speaker's other clips show it, and as those of others do."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from preprocess.audit.findings import FAULT, NOTE, Check, Finding
from preprocess.face.people import ALIKE, look, patch
from preprocess.face.track import TABLE, Face, read_choice
from preprocess.media import film
from preprocess.store import tables
from preprocess.store.shards import Shards

PICTURES = 8  # of a clip, evenly spread over those with a face, by which it is compared
NEAREST = 3  # clips of another speaker, the most alike ones, whose median difference counts
UNLIKE = 4.0  # times as far from the nearest of the speaker's clips as from another one's; light alone makes it up to 3
LIT = 40.0  # mean lightness of a face, of 255


@dataclass(frozen=True)
class Look:
    """What a clip shows of its speaker's face."""

    share: float  # of the pictures in which it is
    people: int
    chosen_by: str  # of several people, as SpeakerChoice.by
    margin: float
    correlation: float  # of the mouth with the sound
    colours: list[float]  # (6 * 6 * 3,) CIELAB of eyes, forehead and hair; none without a face


def of_clip(frames: Shards, faces: Shards, clip_id: str) -> Look:
    """The look of a clip, from the stages' pictures and faces."""
    choice = read_choice(faces, clip_id)
    columns = ("present", "landmarks")
    parts = [{key: rows[key] for key in columns} for rows in tables.read(partial(faces.open, clip_id, TABLE))]
    present = np.concatenate([rows["present"] for rows in parts])
    seen = np.flatnonzero(present)
    chosen = (
        set(seen[np.linspace(0, len(seen) - 1, min(PICTURES, len(seen))).astype(int)].tolist()) if len(seen) else set[int]()
    )
    landmarks = np.concatenate([rows["landmarks"] for rows in parts]) if chosen else np.zeros((0, 478, 3))
    patches = []
    with frames.open(clip_id, film.FILE) as stream:
        for i, (_, picture) in enumerate(film.read(stream) if chosen else ()):
            if i in chosen:
                patches.append(patch(picture, Face(landmarks[i], np.zeros(52), np.eye(4))))
    colours = look(patches).reshape(-1).round(1).tolist() if patches else []
    share = round(float(present.mean()), 3)
    return Look(share, choice.faces, choice.by, choice.margin, choice.correlation, colours)


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
