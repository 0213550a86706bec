"""The table of refusals has a row for each of them, whatever the messages of decoders are."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from preprocess import refusals
from preprocess.refusals import Code, Refused

DETAILS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(st.lists(DETAILS, max_size=4))
def test_every_refusal_is_read_as_it_was_written(details: list[str]) -> None:
    rows = [Refused(f"clip{i}", "audio", Code.NO_SAMPLES, detail) for i, detail in enumerate(details)]
    with TemporaryDirectory() as folder:
        refusals.write(Path(folder) / "refused.csv", rows)
        written = refusals.read(Path(folder) / "refused.csv")
    assert [(row.clip_id, row.detail) for row in written] == [(row.clip_id, row.detail) for row in rows]
