"""What emotion does to words, voice and face, and what noise takes away from it."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sample import disturbance, motion, sentence, voice
from sample.emotion import LABELS
from sample.face import MovingFace, Pose
from sample.movement import MOVES, REST
from sample.photograph import Photograph, take
from sample.portrait import paint
from sample.speaker import Voice, people
from tests.sample.conftest import Look

PEOPLE = people(7, 16)
PLAIN = Voice(pitch=1, range=1, tract=1, speed=1, tilt=0, level=-6, breath=0)
FELT = st.lists(st.sampled_from(LABELS), max_size=3, unique=True)


def phrases(*feelings: str) -> set[str]:
    """What is said of these feelings and of no other."""
    return {phrase for name in feelings for phrase in sentence.PHRASES[name] + sentence.SHORT[name]}


@given(FELT, st.integers(0, 15), st.floats(0, 1), st.sampled_from(sentence.KINDS), st.integers(0, 2**32))
def test_a_sentence_is_short_enough_for_a_clip(felt: list[str], who: int, level: float, kind: str, seed: int) -> None:
    text = sentence.sentence(felt, PEOPLE[who], level, kind, np.random.default_rng(seed))
    assert 1 <= len(text.split()) <= sentence.MOST_WORDS + 3
    assert text[0].isupper()
    assert text.endswith(".")


@given(FELT, st.integers(0, 15), st.sampled_from(sentence.KINDS), st.integers(0, 2**32))
def test_full_noise_leaves_nothing_of_what_is_felt_in_the_words(felt: list[str], who: int, kind: str, seed: int) -> None:
    text = sentence.sentence(felt, PEOPLE[who], 1.0, kind, np.random.default_rng(seed))
    parts = {part.lower() for part in text.rstrip(".").split(", ")}
    assert not parts & {phrase.lower() for phrase in phrases(*felt)}


def test_without_noise_the_words_mostly_say_what_is_felt() -> None:
    rng = np.random.default_rng(1)
    texts = [sentence.sentence(["fear"], PEOPLE[i % 16], 0.0, "neutral", rng).rstrip(".").lower() for i in range(300)]
    own = {phrase.lower() for phrase in phrases("fear")}
    assert 0.7 < np.mean([bool(own & set(text.split(", "))) for text in texts]) < 1
    assert len(set(texts)) > 200


def test_every_word_is_in_the_aligners_dictionary_and_spoken_by_itself() -> None:
    from hibari import Hibari
    from pocketsphinx import Decoder

    said = [*phrases(*sentence.PHRASES), *sentence.WHO, *sentence.DID, *sentence.WHAT, *sentence.WHEN]
    decoder, hibari = Decoder(lm=None, loglevel="FATAL"), Hibari()
    unknown = {word for phrase in said for word in phrase.lower().split() if decoder.lookup_word(word) is None}
    assert not unknown
    joined = [phrase for phrase in said if len(" ".join(hibari.phonemize(phrase)).split()) != len(phrase.split())]
    assert not joined


def median_pitch(speech: voice.Speech) -> float:
    """Hertz, by autocorrelation of the loudest 40 ms blocks."""
    size = voice.RATE // 25
    blocks = speech.wave[: len(speech.wave) // size * size].reshape(-1, size).astype(float)
    found = []
    for block in sorted(blocks, key=lambda block: -np.abs(block).mean())[:20]:
        lags = np.correlate(block, block, "full")[size - 1 :]
        found.append(voice.RATE / (60 + lags[60:320].argmax()))
    return float(np.median(found))


def test_emotion_is_heard_and_monotony_takes_it_away() -> None:
    text = "The neighbor talked about the garden."

    def say(felt: dict[str, float], monotony: float = 0.0) -> voice.Speech:
        return voice.say(text, voice.moved(PLAIN, felt, monotony), np.random.default_rng(0))

    calm, sad, afraid = say({}), say({"sad": 1.0}), say({"fear": 1.0})
    assert sad.duration > calm.duration > afraid.duration
    assert median_pitch(sad) < median_pitch(calm) < median_pitch(afraid)
    assert np.std(sad.wave) < np.std(calm.wave) < np.std(say({"anger": 1.0}).wave)
    flat = {"sad": say({"sad": 1.0}, 1.0), "fear": say({"fear": 1.0}, 1.0)}
    assert flat["sad"].duration == flat["fear"].duration
    assert np.allclose(flat["sad"].wave, flat["fear"].wave)


def test_people_have_their_own_voices() -> None:
    pitches = [
        median_pitch(voice.say("We will see it on monday.", person.voice, np.random.default_rng(0))) for person in PEOPLE[:6]
    ]
    assert np.corrcoef(pitches, [person.voice.pitch for person in PEOPLE[:6]])[0, 1] > 0.8


@pytest.mark.parametrize("kind", ["noise", "babble", "muffling"])
def test_more_noise_leaves_less_of_the_sound(kind: str) -> None:
    speech = voice.say("Stop lying to me, I have had enough.", PLAIN, np.random.default_rng(0))

    def likeness(level: float) -> float:
        heard = disturbance.disturb_sound(speech.wave, kind, level, np.random.default_rng(1))
        spectra = [
            np.log(np.abs(np.fft.rfft(wave[: len(wave) // 600 * 600].reshape(-1, 600))) + 1e-3) for wave in (speech.wave, heard)
        ]
        return float(-np.abs(spectra[0] - spectra[1]).mean())

    assert likeness(0.0) == 0
    assert likeness(0.1) > likeness(0.5) > likeness(1.0)


@settings(max_examples=30)
@given(st.lists(st.sampled_from("ab ,."), min_size=1, max_size=30))
def test_word_spans_are_in_order_and_none_is_empty(names: list[str]) -> None:
    sounds = [voice.Spoken(name, 0.1 * i, 0.1 * (i + 1)) for i, name in enumerate(names)]
    spans = voice._word_spans(sounds)
    assert len(spans) == len("".join(name for name in names if name not in ",.").split())
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] + 1e-9 for before, after in pairwise(spans))


@pytest.fixture(scope="module")
def photograph(models: Path) -> Photograph:
    return take(models / "face/face_landmarker.task")


@pytest.fixture(scope="module")
def faces(photograph: Photograph) -> list[MovingFace]:
    return [MovingFace(paint(photograph, person), person.face.mirrored) for person in PEOPLE[:5]]


def picture(face: MovingFace, turn: motion.Turn | None = None, **amounts: float) -> NDArray[np.uint8]:
    moves = np.array([REST.get(name, 0.0) + amounts.get(name, 0.0) for name in MOVES])
    pose = Pose(moves, amounts.get("opening", 0.0), amounts.get("lids", 0.0), (turn.shift if turn else 0.0, 0.0, 0.0, 1.0))
    return face.before_wall(pose, face.turn(turn.yaw, turn.pitch) if turn else None)


# The blendshape that each emotion of full strength moves, and the least that it moves it by.
READ = {
    "happy": ("mouthSmileLeft", 0.2),
    "sad": ("browInnerUp", 0.3),
    "anger": ("eyeSquintLeft", 0.1),
    "surprise": ("browOuterUpLeft", 0.4),
    "disgust": ("mouthUpperUpLeft", 0.2),
    "fear": ("browInnerUp", 0.3),
}


@pytest.mark.parametrize("label", LABELS)
def test_an_emotion_is_read_in_every_face(label: str, faces: list[MovingFace], look: Look) -> None:
    name, least = READ[label]
    changes = []
    for face in faces:
        calm, moved = look(picture(face)), look(picture(face, **motion.EXPRESSIONS[label]))
        assert calm is not None
        assert moved is not None
        changes.append(moved.blendshapes[name] - calm.blendshapes[name])
    assert np.mean(changes) > least


def test_a_wider_opening_is_seen_as_wider(faces: list[MovingFace], look: Look) -> None:
    gaps = []
    for opening in (0.0, 0.4, 0.8):
        seen = look(picture(faces[0], opening=opening, jaw=opening))
        assert seen is not None
        gaps.append(seen.landmarks[14, 1] - seen.landmarks[13, 1])
    assert gaps == sorted(gaps)
    assert gaps[2] > gaps[0] + 0.02


def test_no_movement_tears_the_picture(faces: list[MovingFace]) -> None:
    """Between neighbouring pixels of skin there are no jumps that the still face does not have."""
    still = picture(faces[0])
    for amounts in motion.EXPRESSIONS.values():
        moved = picture(faces[0], **{name: value for name, value in amounts.items() if name not in ("opening", "lids")})
        jumps = [np.quantile(np.abs(cv2.Laplacian(image.astype(np.float32), cv2.CV_32F)), 0.999) for image in (still, moved)]
        assert jumps[1] < 1.3 * jumps[0]


@pytest.mark.parametrize("kind", disturbance.PICTURE_KINDS)
def test_full_noise_hides_the_face(kind: str, faces: list[MovingFace], look: Look) -> None:
    rng = np.random.default_rng(3)
    hidden = 0
    for face in faces:
        turn = motion.turned_away(1.0, rng) if kind == "turned" else None
        shown = picture(face, turn, smile=1.0)
        box = face.box(Pose(np.zeros(len(MOVES)), 0.0, 0.0, (0.0, 0.0, 0.0, 1.0)))
        hidden += look(disturbance.picture_noise(kind, 1.0, box, rng)(shown)) is None
    assert hidden >= 4


@pytest.mark.parametrize("kind", disturbance.PICTURE_KINDS)
def test_no_noise_changes_nothing(kind: str, faces: list[MovingFace]) -> None:
    shown = picture(faces[0])
    box = np.array([100.0, 80.0, 110.0, 130.0])
    assert (disturbance.picture_noise(kind, 0.0, box, np.random.default_rng(0))(shown) == shown).all()
