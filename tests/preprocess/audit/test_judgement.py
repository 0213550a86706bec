"""What is concluded from what was heard, seen and labelled."""

import csv
from pathlib import Path

import numpy as np
import pytest

from preprocess.audit import audit, faces, findings, labels, texts
from preprocess.audit.findings import FAULT, NOTE, Check, Finding
from preprocess.audit.labels import Features
from preprocess.audit.looks import Look
from preprocess.audit.margins import Margins, extent, usual
from preprocess.clips import Medium
from preprocess.corpora.correct import Correction
from preprocess.corpus import Clip
from preprocess.speech.words import Word

CLIP = Clip("a", "a.mp4", text="I am so glad")
NOTHING = {
    "gain": 6.0,
    "likelihood": -3.0,
    "gains": [6.0, 6.0, 6.0, 6.0],
    "first": [-5.0],
    "last": [-5.0],
    "near": {},
    "heard": "",
    "heard_gain": 0.0,
    "start": 0.0,
    "end": 0.0,
    "better": 0.0,
    "spoken": [],
    "room": [],
}
MARGINS = Margins(0.3, 0.5)
TEXTS = {"a": "I am so glad", "b": "she passed away", "c": ""}


def judged(**heard: object) -> Finding:
    finding = texts.judge(CLIP, NOTHING | heard, TEXTS, (0.0, 3.0), MARGINS)
    assert finding
    return finding


def test_a_text_that_is_said_is_no_fault() -> None:
    assert texts.judge(CLIP, NOTHING, TEXTS, (0.0, 3.0), MARGINS) is None


def test_the_text_of_the_clip_beside_it_is_proposed() -> None:
    finding = judged(gain=0.5, near={"b": 5.0})
    assert (finding.check, finding.level, finding.proposal) == (Check.TEXT, FAULT, "text of b")
    assert finding.corrections == (Correction("a", "text", "I am so glad", "she passed away"),)


def test_what_is_heard_is_proposed_where_no_clip_has_it_as_text() -> None:
    assert judged(gain=0.5, heard="we lost everything", heard_gain=6.0).corrections[0].new == "we lost everything"
    assert judged(gain=0.5, heard="she passed away.", heard_gain=6.0).proposal == "text of b"


def test_a_text_that_nobody_can_hear_is_noted_and_not_accused() -> None:
    finding = judged(gain=1.0, near={"b": 2.0})
    assert (finding.level, finding.corrections) == (NOTE, ())


def test_a_text_that_is_likelier_elsewhere_shifts_the_times() -> None:
    finding = judged(better=20.0, start=0.4, end=0.4)
    assert finding.proposal == "shift by +0.4 s"
    assert [(item.column, item.old, item.new) for item in finding.corrections] == [
        ("start", "0.0", "0.400"),
        ("end", "", "3.400"),
    ]
    assert judged(better=20.0, end=0.6).proposal == "end 0.6 s later"


SPANS = (10.0, 13.0)  # of a clip whose words would be from 0.3 to 2.5 s of it


@pytest.mark.parametrize(
    ("spoken", "proposal", "times"),
    [
        ([-0.1, 2.1], "shift by -0.4 s", {"start": "9.600", "end": "12.600"}),  # found by steps of 0.2 s, the least of which do
        ([0.9, 3.1], "shift by +0.6 s", {"start": "10.600", "end": "13.600"}),
        ([0.35, 3.0], "end 0.5 s later", {"end": "13.500"}),
        ([-0.2, 2.5], "start 0.5 s earlier", {"start": "9.500"}),
        ([-0.4, 3.1], "start 0.7 s earlier, end 0.6 s later", {"start": "9.300", "end": "13.600"}),
    ],
)
def test_times_are_proposed_with_the_pauses_that_clips_have_around_their_words(
    spoken: list[float], proposal: str, times: dict[str, str]
) -> None:
    heard = NOTHING | {"better": 20.0, "start": 0.2, "end": 0.2, "spoken": spoken, "room": [1.6, 1.6]}
    finding = texts.judge(CLIP, heard, TEXTS, SPANS, MARGINS)
    assert finding
    assert finding.proposal == proposal
    assert {item.column: item.new for item in finding.corrections} == times


def test_times_stay_within_the_medium() -> None:
    heard = NOTHING | {"better": 20.0, "end": 0.2, "spoken": [0.3, 3.1], "room": [1.6, 0.25]}
    assert texts.move(heard, SPANS, MARGINS) == (0.0, 0.25)


def test_a_shift_that_cuts_no_word_is_found_by_the_pauses() -> None:
    heard = NOTHING | {"spoken": [0.9, 2.98], "room": [1.6, 1.6]}
    finding = texts.judge(CLIP, heard, TEXTS, SPANS, MARGINS)
    assert finding
    assert (finding.check, finding.proposal) == (Check.TIMES, "shift by +0.5 s")
    for other in ([0.35, 2.98], [0.9, 2.5], [0.0, 2.5]):  # one end alone is no sign: people cut as they like
        assert texts.judge(CLIP, heard | {"spoken": other}, TEXTS, SPANS, MARGINS) is None


def test_a_shift_is_seen_in_the_clip_itself_where_the_medium_has_more() -> None:
    """Around the clip a neighbour's sound was taken for the first word."""
    heard, own = NOTHING | {"spoken": [-0.2, 3.1], "room": [1.6, 1.6]}, Margins(0.9, 0.02)
    finding = texts.judge(CLIP, heard, TEXTS, SPANS, MARGINS, own)
    assert finding
    assert finding.proposal == "shift by +0.5 s"
    assert texts.judge(CLIP, heard | {"room": [0.0, 0.0]}, TEXTS, SPANS, MARGINS, own) is None
    assert texts.judge(CLIP, heard | {"room": []}, TEXTS, SPANS, MARGINS, own) is None
    assert texts.judge(CLIP, heard, TEXTS, SPANS, MARGINS, Margins(0.9, 0.4)) is None


def test_which_words_touch_an_end() -> None:
    found = [Word("[laughs]", 0.0, 0.1, 0.0, False), Word("so", 0.31, 0.5, 1.0), Word("glad", 0.6, 2.4, 1.0)]
    assert extent(found) == (0.31, 2.4)
    assert extent([*found, Word("here", 2.4, 3.0, 0.0)]) is None
    lost = [Word("the", 0.0, 0.2, 0.5), Word("landlord", 1.1, 1.6, 0.5), Word("sent", 1.6, 2.9, 0.5)]
    assert extent(lost) == pytest.approx((0.9, 2.9))
    assert extent([*lost[1:], Word("it", 3.6, 3.8, 0.5)]) == pytest.approx((1.1, 3.1))
    assert extent(found[:1]) is None
    assert usual([Margins(0.2, 0.5), Margins(0.3, 0.4), Margins(2.0, 3.0)]) == Margins(0.3, 0.5)
    assert Margins(0.9, 0.05).is_squeezed(MARGINS)
    assert Margins(0.02, 1.1).is_squeezed(MARGINS)
    assert not Margins(0.02, 0.6).is_squeezed(MARGINS)
    assert not Margins(0.9, 0.4).is_squeezed(MARGINS)


def test_words_that_the_sound_does_not_have_are_cut_off_the_text() -> None:
    assert judged(first=[2.0, 9.0], gains=[0.0, 1.0, 9.0, 9.0]).corrections[0].new == "so glad"
    assert judged(last=[9.0, 2.0], gains=[9.0, 9.0, 9.0, 0.0]).corrections[0].new == "I am so"


def test_words_that_noise_makes_unlikely_are_not_cut_off() -> None:
    assert texts.judge(CLIP, NOTHING | {"first": [9.0]}, TEXTS, (0.0, 3.0), MARGINS) is None


def test_a_pause_where_words_should_be_cut_off_says_that_they_are_not() -> None:
    heard = NOTHING | {"last": [9.0], "gains": [9.0, 9.0, 9.0, 0.0]}
    touching, apart = Margins(0.3, 0.02), Margins(0.02, 0.5)
    assert texts.judge(CLIP, heard, TEXTS, (0.0, 3.0), MARGINS, touching)
    assert texts.judge(CLIP, heard, TEXTS, (0.0, 3.0), MARGINS, apart) is None


def test_words_are_not_cut_off_where_the_others_are_hardly_heard_either() -> None:
    finding = judged(gain=3.5, last=[9.0], gains=[3.0, 3.5, 3.0, 0.0])
    assert (finding.check, finding.level, finding.corrections) == (Check.CUT_WORDS, NOTE, ())


@pytest.mark.parametrize(
    ("text", "heard", "rate"), [("I am", "i am.", 0), ("I am", "I was", 0.5), ("", "I", 1), ("a b", "", 2)]
)
def test_word_error_rates(text: str, heard: str, rate: float) -> None:
    assert texts.error_rate(text, heard) == rate


def test_a_clip_with_two_proposals_for_a_cell_is_left_to_a_person(tmp_path: Path) -> None:
    def finding(clip_id: str, new: str, column: str = "text") -> Finding:
        return Finding(clip_id, Check.TEXT, FAULT, "", "", (Correction(clip_id, column, 'x, "y"', new),))

    found = [finding("b", "1"), finding("a", "1"), finding("b", "2"), finding("b", "3", "speaker")]
    assert findings.write_corrections(tmp_path / "c.csv", found) == 1
    with (tmp_path / "c.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["clip_id", "column", "old", "new"], ["a", "text", 'x, "y"', "1"]]


def pictured(shown: dict[str, np.ndarray]) -> dict[str, Look]:
    return {clip_id: Look(1.0, 1, "only", 1.0, 0.4, colours.tolist()) for clip_id, colours in shown.items()}


def in_any_light(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Faces of three speakers, sixty clips each, (108,): what differs between people is less than what light changes."""
    people = {name: rng.uniform(100, 140, 108) for name in ("ann", "bob", "eve")}
    light = np.tile([1.0, 0.2, 0.2], 36)
    return {
        f"{name}{i:02}": face + light * rng.uniform(-40, 40) + rng.normal(0, 3, 108)
        for name, face in people.items()
        for i in range(60)
    }


def test_the_face_of_another_speaker_is_found_in_any_light() -> None:
    shown = in_any_light(np.random.default_rng(0))
    speakers = {clip_id: clip_id[:3] for clip_id in shown}
    assert faces.judge(pictured(shown), speakers) == []
    shown["ann02"] = shown["eve02"]
    (finding,) = faces.judge(pictured(shown), speakers)
    assert (finding.clip_id, finding.level) == ("ann02", FAULT)
    assert "faces of eve" in finding.found
    assert faces.judge(pictured(shown), {}) == []


def test_few_faces_and_dark_ones_accuse_nobody() -> None:
    rng = np.random.default_rng(0)
    shown = in_any_light(rng)
    shown["ann02"] = shown["eve02"]
    speakers = {clip_id: clip_id[:3] for clip_id in shown}
    assert faces.judge(pictured(dict(list(shown.items())[: faces.FEWEST - 1])), speakers) == []
    dark = shown | {"ann02": rng.normal(20, 3, 108)}
    assert faces.judge(pictured(dark), speakers) == []


def medium(clip_id: str, start: float, end: float, digest: str = "1") -> Medium:
    return Medium(clip_id, "a.mp4", digest, start, end, True, True, 64, 64, 25.0, 16000, 1)


def test_neighbours_that_overlap_a_little_are_no_copies() -> None:
    assert audit.overlap(medium("a", 0, 4), medium("b", 3, 6)) == pytest.approx(1 / 3)
    assert audit.overlap(medium("a", 0, 4), medium("b", 5, 6)) < 0
    assert audit.overlap(medium("a", 0, 4), medium("b", 1, 3)) == 1
    assert audit.overlap(medium("a", 0, 4), medium("b", 3, 6, "2")) == 1


def test_labels_that_are_turned_round_are_found() -> None:
    rng = np.random.default_rng(0)
    present = rng.random((200, 4)) < 0.4
    rows = {"text": present @ rng.normal(0, 1, (4, 20)) + rng.normal(0, 0.3, (200, 20)), "audio": rng.normal(0, 1, (200, 5))}
    present[7], present[90] = ~present[7], ~present[90]
    found = labels.judge(Features([f"{i:03}" for i in range(200)], rows, present), list("abcd"))
    assert [finding.clip_id for finding in found] == ["007", "090"]
