"""Noise and ambiguity as a person is told them: places among the training clips, and sentences where they stand out."""

import numpy as np
import pytest

from lddu.channels import HIGH, Channel, channels, reference_of, shares

MODALITIES = ("text", "audio", "vision")
# Of four training clips; the second has no sound. The labels' means are 1 to 4, in another order for the ambiguity.
NOISE = np.array([[1.0, 1.0], [1.5, 2.5], [3.0, 3.0], [4.0, 4.0]])
AMBIGUITY = -NOISE
PRESENT = {"text": np.array([True] * 4), "audio": np.array([True, False, True, True])}
ABSENT = np.where(PRESENT["audio"], 1.0, np.nan)[:, None]
LOG_NORMS = {
    "log_noise": {"text": NOISE, "audio": NOISE * ABSENT},
    "log_ambiguity": {"text": AMBIGUITY, "audio": AMBIGUITY * ABSENT},
}


def test_each_block_is_a_place_among_the_training_clips_that_have_the_modality() -> None:
    found = shares(LOG_NORMS, reference_of(LOG_NORMS, PRESENT))
    np.testing.assert_allclose(found["noise_text"], [1 / 4, 2 / 4, 3 / 4, 1])
    np.testing.assert_allclose(found["ambiguity_text"], [1, 3 / 4, 2 / 4, 1 / 4])
    np.testing.assert_allclose(found["noise_audio"], [1 / 3, np.nan, 2 / 3, 1])
    np.testing.assert_allclose(found["ambiguity_audio"], [1, np.nan, 2 / 3, 1 / 3])


def test_a_modality_of_which_nothing_is_known_has_no_channel() -> None:
    found = channels({"noise_text": 0.2, "ambiguity_text": 0.4, "noise_audio": 0.1, "ambiguity_audio": None}, MODALITIES)
    assert found == {"text": Channel(0.2, 0.4)}


@pytest.mark.parametrize(
    ("noise", "ambiguity", "sentence"),
    [
        (HIGH, HIGH, "little can be heard, and that is mixed"),
        (HIGH, 0.89, "little can be heard"),
        (0.89, HIGH, "what can be heard is mixed"),
        (0.89, 0.89, ""),
    ],
)
def test_what_stands_out_is_said_in_words(noise: float, ambiguity: float, sentence: str) -> None:
    assert Channel(noise, ambiguity).sentence("audio") == sentence
    for m, sense in (("text", "read"), ("vision", "seen")):
        assert Channel(noise, ambiguity).sentence(m) == sentence.replace("heard", sense)
