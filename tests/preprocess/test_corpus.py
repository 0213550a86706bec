import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess import corpus
from preprocess.corpus import Clip, CorpusError, folded, leakage

LABELS = ["happy", "sad"]
HEADER = "clip_id,media,start,end,text,split,speaker,noise_text,noise_audio,noise_vision,happy,sad"


def table(folder: Path, *rows: str, header: str = HEADER) -> Path:
    (folder / "clips.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder


def problems(folder: Path, *rows: str, header: str = HEADER) -> str:
    with pytest.raises(CorpusError) as error:
        corpus.read(table(folder, *rows, header=header), LABELS)
    return str(error.value)


def test_a_folder_without_a_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"corpus\.root: .*nowhere holds no clips\.csv"):
        corpus.read(tmp_path / "nowhere", LABELS)


def test_a_full_row_is_read_as_written(tmp_path: Path) -> None:
    (clip,) = corpus.read(table(tmp_path, '-a.b,films/x.mp4,1.5,3,"Hi, you",train,Ann,0.5,,1,2.67,0'), LABELS)
    assert (clip.clip_id, clip.media, clip.start, clip.end) == ("-a.b", "films/x.mp4", 1.5, 3.0)
    assert (clip.text, clip.split, clip.speaker) == ("Hi, you", "train", "Ann")
    assert clip.noise == {"noise_text": 0.5, "noise_vision": 1.0}
    assert clip.labels == {"happy": 2.67, "sad": 0.0}


def test_blank_cells_have_their_meaning(tmp_path: Path) -> None:
    (clip,) = corpus.read(table(tmp_path, "a,,,,hello,,,,,,,"), LABELS)
    assert (clip.start, clip.end, clip.split, clip.labels, clip.noise) == (0.0, None, "", {}, {})


def test_optional_columns_may_be_missing_and_others_are_ignored(tmp_path: Path) -> None:
    (clip,) = corpus.read(table(tmp_path, "a,hello,1,0,anything", header="clip_id,text,happy,sad,mood"), LABELS)
    assert clip.labels == {"happy": 1.0, "sad": 0.0}


def test_a_start_before_the_medium_is_taken_as_zero_and_noted(tmp_path: Path) -> None:
    (clip,) = corpus.read(table(tmp_path, "a,x.mp4,-0.49,3,,,,,,,,"), LABELS)
    assert clip.start == 0.0
    assert "-0.49" in clip.note


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a b,x.mp4,,,,,,,,,,", "row 2, clip_id = 'a b': expected letters"),
        (".a,x.mp4,,,,,,,,,,", "clip_id = '.a'"),
        ("é,x.mp4,,,,,,,,,,", "clip_id = 'é'"),
        (",x.mp4,,,,,,,,,,", "clip_id = ''"),
        ("a,../x.mp4,,,,,,,,,,", "media = '../x.mp4': expected a path inside"),
        ("a,/etc/passwd,,,,,,,,,,", "media = '/etc/passwd': expected a path inside"),
        ("a,link/x.mp4,,,,,,,,,,", "media = 'link/x.mp4': expected a path inside"),
        ("a,,,,,,,,,,,", "media = '': expected a file, since the row has no text"),
        ("a,x.mp4,one,,,,,,,,,", "start = 'one': expected a number, or blank"),
        ("a,x.mp4,,inf,,,,,,,,", "end = 'inf': expected a number of at least 0"),
        ("a,x.mp4,,,,dev,,,,,,", "split = 'dev': expected train, valid, test, or blank"),
        ("a,x.mp4,,,,,,1.1,,,,", "noise_text = '1.1': expected a number from 0 to 1"),
        ("a,x.mp4,,,,,,,,,yes,0", "happy = 'yes': expected a number"),
        ("a,x.mp4,,,,,,,,,,1", "happy = '': expected a number, since other labels"),
        ("a,x.mp4,,,,,,,,,1", "row 2 has 11 cells: expected 12"),
        ("a,x.mp4,,,,,,,,,1,1,1", "row 2 has 13 cells: expected 12"),
    ],
)
def test_a_problem_is_named_with_row_column_value_and_what_is_expected(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "link").symlink_to("/tmp")
    assert message in problems(tmp_path, row)


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "a,x.mp4,one,,,dev,,,,,,", "a,x.mp4,,,,,,,,,,", "?,x.mp4,,,,,,,,,,")
    assert "4 problem(s)" in found
    for part in ("row 2, start", "row 2, split", "row 4, clip_id", "clip_id 'a' is in more than one row"):
        assert part in found


def test_a_missing_label_column_and_an_empty_table_are_named(tmp_path: Path) -> None:
    found = problems(tmp_path, header="clip_id,media,happy")
    assert "no column 'sad'" in found
    assert "there is no row" in found


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_bytes(b"\xef\xbb\xbfclip_id,text,happy,sad\r\na,hi,0,1\r\n")
    assert corpus.read(tmp_path, LABELS)[0].labels == {"happy": 0.0, "sad": 1.0}


def test_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_bytes("clip_id,text,happy,sad\na,schön,0,1\n".encode("latin-1"))
    with pytest.raises(CorpusError, match="no CSV table in UTF-8"):
        corpus.read(tmp_path, LABELS)


def test_a_speaker_in_two_splits_is_leakage(tmp_path: Path) -> None:
    rows = ["a,,,,hi,train,Ann,,,,,", "b,,,,hi,test,Ann,,,,,", "c,,,,hi,train,Bob,,,,,", "d,,,,hi,,Bob,,,,,"]
    assert corpus.leakage(corpus.read(table(tmp_path, *rows), LABELS), "speaker") == {"Ann": ["test", "train"]}


def test_a_medium_in_two_splits_is_leakage(tmp_path: Path) -> None:
    rows = ["a,film.mp4,0,1,,train,,,,,,", "b,film.mp4,1,2,,test,,,,,,", "c,other.mp4,,,,test,,,,,,"]
    assert corpus.leakage(corpus.read(table(tmp_path, *rows), LABELS), "media") == {"film.mp4": ["test", "train"]}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_medium_is_found_in_either_unicode_form_of_its_name(tmp_path: Path, form: str) -> None:
    name = unicodedata.normalize(form, "café/übung.mp4")
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).touch()
    for written in ("NFC", "NFD"):
        (clip,) = corpus.read(table(tmp_path, f"a,{unicodedata.normalize(written, name)},,,,,,,,,,"), LABELS)
        assert clip.media == name


@pytest.mark.parametrize(("name", "written"), [("a.mp4 ", "a.mp4 "), ("b /a.mp4", "b /a.mp4"), ("b/a.mp4", r"b\a.mp4")])
def test_a_medium_is_found_whatever_spaces_and_slashes_its_name_has(tmp_path: Path, name: str, written: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    (clip,) = corpus.read(table(tmp_path, f"a,{written},,,,,,,,,,"), LABELS)
    assert clip.media == name


def test_a_text_is_read_in_composed_unicode(tmp_path: Path) -> None:
    rows = [f"{form},,,,{unicodedata.normalize(form, 'é 한국어')},,,,,,," for form in ("NFC", "NFD")]
    assert {clip.text for clip in corpus.read(table(tmp_path, *rows), LABELS)} == {"é 한국어"}


def test_two_files_that_differ_only_in_unicode_form_are_not_taken_for_one_another(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "ồ.mp4") for form in ("NFC", "NFD")]
    mixed = "o\u0302\u0300.mp4".replace("o\u0302", "ô")
    for name in names:
        (tmp_path / name).touch()
    assert [corpus.read(table(tmp_path, f"a,{name},,,,,,,,,,"), LABELS)[0].media for name in names] == names
    assert "expected the name of one file" in problems(tmp_path, f"a,{mixed},,,,,,,,,,")


def test_a_path_that_leaves_the_corpus_in_another_spelling_is_refused(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "x.mp4").touch()
    (tmp_path / "corpus/ü").symlink_to(tmp_path)
    for written in (unicodedata.normalize("NFD", "ü/x.mp4"), r"ü\x.mp4", r"..\x.mp4"):
        (tmp_path / "corpus/clips.csv").write_text(f"clip_id,media,happy,sad\na,{written},1,0\n", encoding="utf-8")
        try:
            (clip,) = corpus.read(tmp_path / "corpus", LABELS)
        except CorpusError as error:
            assert "expected a path inside" in str(error)  # noqa: PT017 – either is safe
        else:
            assert not (tmp_path / "corpus" / clip.media).exists()


def test_a_speaker_is_the_same_in_capitals_and_in_either_unicode_form(tmp_path: Path) -> None:
    forms = [unicodedata.normalize(form, "Zoé") for form in ("NFC", "NFD")]
    rows = [f"a,,,,hi,train,{forms[0]},,,,,", f"b,,,,hi,valid,{forms[1]},,,,,", f"c,,,,hi,test,{forms[0].lower()} ,,,,,"]
    assert leakage(corpus.read(table(tmp_path, *rows), LABELS), "speaker") == {"Zoé": ["test", "train", "valid"]}


def test_speakers_that_differ_only_in_capitals_are_in_one_fold() -> None:
    clips = spoken(4) + [replace(clip, clip_id=f"{clip.clip_id}x", speaker=clip.speaker.upper()) for clip in spoken(4)]
    for fold in range(4):
        assert not leakage(folded(clips, 4, fold), "speaker")


def test_files_of_the_same_content_in_two_splits_are_leakage() -> None:
    clips = [Clip("a", "x.mp4", split="train"), Clip("b", "copy/y.mp4", split="test"), Clip("c", "z.mp4", split="test")]
    digests = {"x.mp4": "1", "copy/y.mp4": "1", "z.mp4": "2"}
    assert corpus.leaking_media(clips, digests) == {"copy/y.mp4 = x.mp4": ["test", "train"]}
    assert corpus.leaking_media([replace(clip, split="train") for clip in clips], digests) == {}


def test_files_that_cannot_be_read_are_not_taken_for_the_same() -> None:
    clips = [Clip("a", "x.mp4", split="train"), Clip("b", "y.mp4", split="test")]
    assert corpus.leaking_media(clips, {"x.mp4": "", "y.mp4": ""}) == {}
    assert corpus.leaking_media([*clips, Clip("c", "x.mp4", split="valid")], {}) == {"x.mp4": ["train", "valid"]}


def test_every_problem_of_a_long_table_is_listed(tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        corpus.read(table(tmp_path, *(f"a b{i},,,,hi,,,,,,," for i in range(80))), LABELS)
    assert all(f"'a b{i}'" in str(caught.value) for i in range(80))


def test_columns_that_nobody_reads_may_be_there_twice(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("clip_id,text,happy,sad,note,note,,\na,hi,1,0,x,y,,\n")
    assert [clip.clip_id for clip in corpus.read(tmp_path, ["happy", "sad"])] == ["a"]
    (tmp_path / "clips.csv").write_text("clip_id,text,happy,happy\na,hi,1,0\n")
    with pytest.raises(CorpusError, match="column 'happy' is there 2 times"):
        corpus.read(tmp_path, ["happy"])


def spoken(speakers: int, clips: int = 3) -> list[Clip]:
    labelled = [
        Clip(f"{s}-{i}", text="so", speaker=f"s{s}", labels={"happy": 1.0}) for s in range(speakers) for i in range(clips)
    ]
    return [*labelled, Clip("unlabelled", text="so", split="train")]


@given(speakers=st.integers(3, 12), folds=st.integers(3, 15))
def test_every_speaker_is_tested_once_and_never_in_two_splits(speakers: int, folds: int) -> None:
    tested: list[str] = []
    for fold in range(min(folds, speakers)):
        found = folded(spoken(speakers), folds, fold)
        assert not leakage(found, "speaker")
        assert {clip.split for clip in found if clip.labels} == {"train", "valid", "test"}
        assert [clip.split for clip in found if not clip.labels] == [""]
        tested += sorted({clip.speaker for clip in found if clip.split == "test"})
    assert sorted(tested) == sorted({clip.speaker for clip in spoken(speakers)} - {""})


def test_folds_that_cannot_be_made_are_named() -> None:
    with pytest.raises(CorpusError, match=r"2 speakers make 2 folds, of which at least 3 are needed"):
        folded(spoken(2), 5, 0)
    with pytest.raises(CorpusError, match=r"these labelled clips have no speaker: a; fill the column"):
        folded([*spoken(3), Clip("a", text="so", labels={"happy": 1.0})], 3, 0)
