"""Which of the people in a clip speaks: the one whose mouth moves with the sound, never one whose mouth is still."""

import numpy as np

from preprocess.face.track import SpeakerChoice
from preprocess.face.tracklets import Tracklet

MOVES = 0.005  # standard deviation of the opening below which a mouth is still; a speaker's is 0.01 to 0.04
ABOVE_TREMBLE = 2.5  # times the tremble of the landmarks, from which on a mouth moves; a speaker's moves 3 to 9 times as far
AGREES = 0.3  # correlation with the sound from which on a mouth is taken to speak
LEADS = 0.2  # correlation by which a mouth that moves must be ahead of all others to be taken to speak although it agrees less
CLOSE = 0.05  # margin below which the choice says that it is undecided

Person = list[Tracklet]  # of one face, in the order of their frames; a cut ends a tracklet


def moves(person: Person) -> bool:
    """Whether a mouth moves by more than the landmarks tremble, which the distance of the eyes' inner corners shows."""
    tremble = _deviation([tracklet.eyes for tracklet in person])
    return _deviation([tracklet.openings for tracklet in person]) >= max(MOVES, ABOVE_TREMBLE * tremble)


def _deviation(values: list[list[float]]) -> float:
    """Standard deviation from the mean of each tracklet, since another camera or distance is no movement."""
    return float(np.sqrt(np.mean(np.square(np.concatenate([_centred(np.array(of_one)) for of_one in values])))))


def agreement(person: Person, energy: np.ndarray) -> float:
    """How well a mouth follows the sound's level (T,): -1 to 1, and 0 where the mouth is still or the level constant.

    The larger of two Pearson correlations with the level: that of the mouth's opening, and that of the change of the
    opening from frame to frame, since some mouths open with the voice and others move while there is one. A frame without
    the face counts as the mean, so a face that is seen briefly has a low correlation.
    """
    if sum(len(tracklet.frames) for tracklet in person) < 2 or _deviation([tracklet.openings for tracklet in person]) < MOVES:
        return 0.0
    frames = [frame for tracklet in person for frame in tracklet.frames]
    openings = np.concatenate([_centred(np.array(tracklet.openings)) for tracklet in person])
    changes = np.concatenate([_centred(_changes(np.array(tracklet.openings))) for tracklet in person])
    return max(_correlation(openings, frames, energy), _correlation(changes, frames, energy))


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean()


def _changes(openings: np.ndarray) -> np.ndarray:
    """The mean change of an opening towards the frame before and the frame behind, (n,) of (n,)."""
    steps = np.abs(np.diff(openings))
    return (np.append(steps, 0) + np.append(0, steps)) / 2


def _correlation(values: np.ndarray, frames: list[int], energy: np.ndarray) -> float:
    mouth = np.zeros(len(energy))
    mouth[frames] = values
    level = energy - energy.mean()
    spread = np.linalg.norm(mouth) * np.linalg.norm(level)
    return float(mouth @ level / spread) if spread > 1e-6 else 0.0


def is_heard(people: list[Person], energy: np.ndarray) -> bool:
    """Whether the mouth of one of these people follows the sound's level (T,) so well that it is taken to speak."""
    return _follows([0.0, *(agreement(person, energy) for person in people)])


def _follows(correlations: list[float]) -> bool:
    """Whether the largest of two or more correlations with the sound is a speaker's."""
    second, first = sorted(correlations)[-2:]
    return first >= AGREES or (first > 0 and first - second >= LEADS)


def choose(people: list[Person], energy: np.ndarray | None) -> SpeakerChoice:
    """The speaker among the people; energy (T,) is the sound's level at every frame, None where there is no sound.

    A mouth that follows the sound speaks. Where none does, the speaker is the largest face among those whose mouths move,
    and among all where no mouth moves.
    """
    if not people:
        return SpeakerChoice(0, -1, "only", 0.0, 0.0)
    correlations = [agreement(person, energy) if energy is not None else 0.0 for person in people]
    if len(people) == 1:
        return SpeakerChoice(1, 0, "only", round(correlations[0], 4), 1.0)
    by, scores = _scores(people, correlations)
    order = sorted(range(len(people)), key=lambda k: (-scores[k], k))
    best, margin = order[0], round(scores[order[0]] - scores[order[1]], 4)
    return SpeakerChoice(len(people), best, by if margin >= CLOSE else "undecided", round(correlations[best], 4), margin)


def _scores(people: list[Person], correlations: list[float]) -> tuple[str, list[float]]:
    """By what the speaker is chosen, and how each person scores."""
    if _follows(correlations):
        return "sound", correlations
    sizes = [sum(sum(tracklet.sides) for tracklet in person) for person in people]
    moving = [moves(person) for person in people]
    if not any(moving):
        return "size", [size / sum(sizes) for size in sizes]
    sizes = [size if is_moving else 0.0 for size, is_moving in zip(sizes, moving, strict=True)]
    return "movement", [size / sum(sizes) for size in sizes]
