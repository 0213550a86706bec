"""What is written in a transcript and not said, and scripts without spaces."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from preprocess.speech import markup, words

SPOKEN = [
    ("[laughter] I know (sighs) that.", ["", "I", "know", "", "that."]),
    ("[she gets up and leaves] Wait!", ["", "", "", "", "", "Wait!"]),
    ("{clears throat} Right", ["", "", "Right"]),
    ("I *laughs* can't", ["I", "", "can't"]),
    ("I *really* can't", ["I", "*really*", "can't"]),
    ("(umm) I was (stutter) there (and I liked it)", ["(umm)", "I", "was", "", "there", "(and", "I", "liked", "it)"]),
    ("Mary: Hello. John: Hi!", ["", "Hello.", "", "Hi!"]),
    ("MALE SPEAKER: Go", ["", "", "Go"]),
    ("SPEAKER 2: Go", ["", "", "Go"]),
    (">> Dr. House: Go", ["", "", "", "Go"]),
    ("Listen: I am here", ["Listen:", "I", "am", "here"]),
    ("Step 2: go on, at 10:30", ["Step", "2:", "go", "on,", "at", "10:30"]),
    ("<i>Hello</i>, you", ["Hello,", "you"]),
    ('<font color="red">No</font>', ["", "No"]),
    ("see https://example.org/a?b=1 or www.example.org now", ["see", "", "or", "", "now"]),
    ("♪ la la ♪", ["", "la", "la", ""]),
    ("— 5 % & $3 🙂 ...", ["", "5", "%", "&", "$3", "", ""]),
    ("我[笑]很高兴", ["我", "", "很", "高", "兴"]),
]


@pytest.mark.parametrize(("text", "expected"), SPOKEN)
def test_noises_names_tags_and_addresses_are_not_said(text: str, expected: list[str]) -> None:
    assert len(words.split(text)) == len(expected)
    assert [said.strip("[") for said in words.said(text)] == expected


@given(some.text(alphabet="ab Ab1:.[](){}<>*♪/我ก\n") | some.text())
def test_what_is_said_of_a_word_is_a_part_of_it(text: str) -> None:
    written, said = words.split(text), words.said(text)
    assert len(written) == len(said)
    for word, spoken in zip(written, said, strict=True):
        letters = iter(word)
        assert all(letter in letters for letter in spoken)
        assert not spoken or markup.has_sound(spoken)


@given(some.lists(some.sampled_from(["I", "know,", "10:30", "don't", "$5"]), min_size=1))
def test_plain_words_are_all_said(text: list[str]) -> None:
    assert words.said(" ".join(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ฉันเห็นเขาที่นี่", ["ฉั", "น", "เห็", "น", "เขา", "ที่", "นี่"]),
        ("ข้อยฮักເຈົ້າ", ["ข้", "อ", "ย", "ฮั", "ก", "ເຈົ້າ"]),
        ("きゃっと、ラーメン。", ["きゃ", "っ", "と、", "ラー", "メ", "ン。"]),
        ("ｶﾞｷﾞ 々・", ["ｶﾞ", "ｷﾞ", "々・"]),
        ("ខ្ញុំស្រលាញ់", ["ខ្ញុំ", "ស្រ", "លា", "ញ់"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("한국어 말", ["한국어", "말"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
    ],
)
def test_a_script_without_spaces_is_split_at_its_characters_and_no_mark_stands_alone(text: str, expected: list[str]) -> None:
    assert words.split(text) == expected


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        ("[BLANK_AUDIO]", False),
        ("(upbeat music)", False),
        ("*laughs*", False),
        ("[", False),
        ("( ( ( (", False),
        ("♪♪♪", False),
        ("(speaking in foreign language)", True),
        ("[Speaking Spanish]", True),
    ],
)
def test_what_whisper_writes_of_noises_holds_no_word(text: str, foreign: bool) -> None:
    spoken = markup.heard_characters(text)
    assert not markup.has_sound("".join(letter for letter, kept in zip(text, spoken, strict=True) if kept))
    assert markup.is_foreign(text) == foreign
