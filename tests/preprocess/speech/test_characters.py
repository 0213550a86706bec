import pytest

from preprocess.speech.characters import in_one_form

SIMPLIFIED, TRADITIONAL = "他们头发干了,皇后在后面。", "他們頭髮幹了,皇后在後面。"


def test_a_chinese_text_is_written_in_one_form() -> None:
    """By words, not by characters: 皇后, the empress, keeps the 后 that is 後 in 後面, behind."""
    assert in_one_form(TRADITIONAL, "simplified") == SIMPLIFIED
    assert "頭髮" in in_one_form(SIMPLIFIED, "traditional")
    assert "皇后在後面" in in_one_form(SIMPLIFIED, "traditional")
    assert in_one_form("他們在后面", "as_written") == "他們在后面"


@pytest.mark.parametrize("text", ["東京の発展を見る", "大韓民國은 民主共和國이다", "So am I."])
def test_japanese_korean_and_other_texts_stay_as_they_are(text: str) -> None:
    assert in_one_form(text, "simplified") == text


def test_every_character_keeps_its_place() -> None:
    for form in ("simplified", "traditional"):
        assert len(in_one_form(SIMPLIFIED + TRADITIONAL + " OK,這裏", form)) == len(SIMPLIFIED + TRADITIONAL + " OK,這裏")
