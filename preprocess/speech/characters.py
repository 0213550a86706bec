"""Simplified and traditional Chinese characters in one form. Whisper mixes both, even in one sentence."""

import re
from functools import cache
from typing import TYPE_CHECKING

import params

if TYPE_CHECKING:
    from opencc import OpenCC

HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
OTHERS = re.compile("[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")  # kana, hangul
TABLES = {"simplified": "t2s", "traditional": "s2t"}


@cache
def converter(table: str) -> "OpenCC":
    from opencc import OpenCC

    return OpenCC(table)


def in_one_form(text: str, form: params.Characters) -> str:
    """A Chinese text with all its characters in one form, each in its place; Japanese and Korean texts stay as they are."""
    if form == "as_written" or not HAN.search(text) or OTHERS.search(text):
        return text
    return converter(TABLES[form]).convert(text)
