"""CREMA-D becomes a corpus folder: shares of the votes on both, entropies of those on one channel, one medium a clip."""

import math
from pathlib import Path

import pytest

from preprocess import corpus
from preprocess.corpora import cremad
from preprocess.media import probe
from tests import clock
from tests.preprocess.corpora.commands import refusal, rows, run, touch, write

HEAD = '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"\n'
LABELS = ("anger", "disgust", "fear", "happy", "neutral", "sad")


def line(number: int, votes: str, name: str, raters: int | None = None) -> str:
    """A row as published; `votes` has a digit for each of A, D, F, H, N, S, and `raters` is their sum."""
    cells = [str(number), *votes, name, str(sum(map(int, votes)) if raters is None else raters), "0.5", "A"]
    return ",".join(f'"{cell}"' for cell in cells) + "\n"


def table(folder: Path, *lines: str) -> Path:
    return write(folder / "tabulatedVotes.csv", HEAD + "".join(lines))


def clip(number: int, name: str, voice: str = "600000", face: str = "060000", both: str = "330000") -> list[str]:
    return [line(channel * 100000 + number, votes, name) for channel, votes in ((1, voice), (2, face), (3, both))]


def test_labels_are_shares_of_both_and_noise_is_the_entropy_of_one_channel(tmp_path: Path) -> None:
    votes = table(tmp_path, *clip(1, "1003_DFA_ANG_XX", voice="002222", face="111111", both="510002"))
    run("cremad", "--votes", votes, tmp_path / "corpus")
    row = rows(tmp_path / "corpus/clips.csv")["1003_DFA_ANG_XX"]
    assert [float(row[label]) for label in LABELS] == pytest.approx([5 / 8, 1 / 8, 0, 0, 0, 2 / 8])
    assert float(row["noise_audio"]) == pytest.approx(math.log(4) / math.log(6), abs=1e-6)
    assert float(row["noise_vision"]) == pytest.approx(1)
    assert (row["speaker"], row["text"], row["intended"]) == ("1003", "Don't forget a jacket.", "anger")
    read = corpus.read(tmp_path / "corpus", list(LABELS))[0]  # as the pipeline reads it
    assert read.noise == {"noise_audio": pytest.approx(0.773706), "noise_vision": 1.0}
    assert read.labels["anger"] == 0.625


def test_raters_who_agree_leave_no_noise(tmp_path: Path) -> None:
    run("cremad", "--votes", table(tmp_path, *clip(1, "1003_IEO_SAD_HI", voice="000009")), tmp_path / "corpus")
    assert float(rows(tmp_path / "corpus/clips.csv")["1003_IEO_SAD_HI"]["noise_audio"]) == 0


def test_a_label_counts_as_present_if_a_fifth_chose_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    votes = table(tmp_path, *clip(1, "1003_DFA_ANG_XX", both="820000"), *clip(2, "1004_DFA_ANG_XX", both="910000"))
    run("cremad", "--votes", votes, tmp_path / "corpus")
    said = capsys.readouterr().out
    assert "labels per clip: 1: 1, 2: 1" in said
    assert "corpus.present_above: 0.19" in said


def test_an_actor_has_one_split_whatever_other_actors_are_there(tmp_path: Path) -> None:
    names = [f"{actor}_DFA_ANG_XX" for actor in range(1001, 1012)]
    every = table(tmp_path / "a", *(row for i, name in enumerate(names) for row in clip(i, name)))
    few = table(tmp_path / "b", *clip(3, names[6]), *clip(4, names[2]))
    run("cremad", "--votes", every, tmp_path / "every")
    run("cremad", "--votes", few, tmp_path / "few")
    split = {row["speaker"]: row["split"] for row in rows(tmp_path / "every/clips.csv").values()}
    assert [actor for actor, name in split.items() if name == "test"] == ["1001", "1006", "1011"]
    assert [actor for actor, name in split.items() if name == "valid"] == ["1002", "1007"]
    assert all(row["split"] == split[row["speaker"]] for row in rows(tmp_path / "few/clips.csv").values())


def test_actors_that_are_named_make_the_splits(tmp_path: Path) -> None:
    votes = table(tmp_path, *(row for i in range(4) for row in clip(i, f"{1001 + i}_DFA_ANG_XX")))
    run("cremad", "--votes", votes, "--valid", "1001, 1003", "--test", "1002", tmp_path / "corpus")
    splits = [row["split"] for row in rows(tmp_path / "corpus/clips.csv").values()]
    assert splits == ["valid", "test", "valid", "train"]
    message = refusal("cremad", "--votes", votes, "--valid", "1001,1099,x", tmp_path / "other")
    assert "--valid: no clip of 1099, x; there are the actors 1001 to 1004" in message
    message = refusal("cremad", "--votes", votes, "--valid", "1001", "--test", "1001,1002", tmp_path / "other")
    assert "--valid and --test both name 1001" in message


def test_rows_that_cannot_be_used_cost_only_themselves_and_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = clip(1, "1003_DFA_ANG_XX")
    bad = [
        line(400002, "100000", "1003_DFA_DIS_XX"),
        line(300003, "100000", "../1003_DFA_FEA_XX"),
        line(300004, "1-0000", "1003_DFA_HAP_XX", raters=1),
        line(300005, "110000", "1003_DFA_NEU_XX", raters=3),
        line(300006, "000000", "1003_DFA_SAD_XX"),
        line(300007, "100000", "1003_DFA_ANG_XX"),
    ]
    lone = line(300008, "500000", "1004_DFA_ANG_XX")
    run("cremad", "--votes", table(tmp_path, *good, *bad, lone), tmp_path / "corpus")
    found = rows(tmp_path / "corpus/clips.csv")
    assert [float(found["1003_DFA_ANG_XX"][label]) for label in LABELS[:2]] == [0.5, 0.5]
    assert found["1004_DFA_ANG_XX"]["noise_audio"] == ""
    missing = (tmp_path / "corpus/missing.csv").read_text(encoding="utf-8")
    for said in (
        "expected 1xxxxx for the voice", "expected a name such as", "D = '-'", "expected the sum of the votes, 2",
        "the sum of the votes, 0, which is above 0", "one row of a clip with the votes on both",
        "1004_DFA_ANG_XX,noise_audio,no votes on audio in the table",
    ):  # fmt: skip
        assert said in missing
    assert "missing: votes of 6, row unused" in capsys.readouterr().out


def test_a_clip_without_votes_on_both_is_unlabelled_and_says_so(tmp_path: Path) -> None:
    run("cremad", "--votes", table(tmp_path, *clip(1, "1003_DFA_ANG_XX")[:2]), tmp_path / "corpus")
    row = rows(tmp_path / "corpus/clips.csv")["1003_DFA_ANG_XX"]
    assert [row[label] for label in LABELS] == [""] * 6
    assert "1003_DFA_ANG_XX,labels,no votes on both" in (tmp_path / "corpus/missing.csv").read_text(encoding="utf-8")


def test_media_are_found_by_name_and_a_film_is_taken_before_a_sound(tmp_path: Path) -> None:
    """As published: films as .flv in one folder, sounds as .wav and .mp3 in two others."""
    names = [f"1003_DFA_{emotion}_XX" for emotion in ("ANG", "DIS", "FEA", "HAP")]
    films = tmp_path / "CREMA-D"
    for folder in ("VideoFlash", "AudioWAV", "AudioMP3"):
        (films / folder).mkdir(parents=True)
    voice, face = ("-f", "lavfi", "-i", "sine=220:duration=1"), ("-f", "lavfi", "-i", "testsrc=duration=1:size=48x32:rate=10")
    clock.ffmpeg(*face, *voice, "-c:v", "flv1", "-ar", "44100", "-c:a", "libmp3lame", films / f"VideoFlash/{names[0]}.flv")
    clock.ffmpeg(*voice, "-ar", "16000", films / f"AudioWAV/{names[0]}.wav")
    clock.ffmpeg(*voice, "-ar", "16000", films / f"AudioWAV/{names[1]}.wav")
    clock.ffmpeg(*voice, films / f"AudioMP3/{names[1]}.mp3")
    touch(films / f"VideoFlash/{names[2]}.flv", films / f"VideoMP4/{names[2]}.mp4")
    votes = table(tmp_path, *(row for i, name in enumerate(names) for row in clip(i, name)))
    run("cremad", "--votes", votes, "--videos", films, "--missing", "drop", tmp_path / "corpus")
    found = rows(tmp_path / "corpus/clips.csv")
    assert {name: row["media"] for name, row in found.items()} == {
        names[0]: f"media/VideoFlash/{names[0]}.flv",
        names[1]: f"media/AudioWAV/{names[1]}.wav",
        names[2]: f"media/VideoMP4/{names[2]}.mp4",
    }
    streams = probe.streams_of(tmp_path / "corpus" / found[names[0]]["media"])
    assert (streams.width, streams.sample_rate) == (48, 44100)
    assert f"{names[3]},film,left out" in (tmp_path / "corpus/missing.csv").read_text(encoding="utf-8")


def test_two_films_of_one_clip_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "films/a/1003_DFA_ANG_XX.flv", tmp_path / "films/b/1003_DFA_ANG_XX.flv")
    votes = table(tmp_path, *clip(1, "1003_DFA_ANG_XX"))
    message = refusal("cremad", "--votes", votes, "--videos", tmp_path / "films", tmp_path / "corpus")
    assert "'1003_DFA_ANG_XX' is the name of 2 files" in message
    touch(tmp_path / "others/1004_DFA_ANG_XX.flv")
    message = refusal("cremad", "--votes", votes, "--videos", tmp_path / "others", tmp_path / "corpus")
    assert "none of the 1 media" in message
    assert "such as 1003_DFA_ANG_XX" in message


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    other = write(tmp_path / "other.csv", "clip,votes\na,1\n")
    assert "has no column A, D, F, H, N, S" in refusal("cremad", "--votes", other, tmp_path / "corpus")
    message = refusal("cremad", "--votes", table(tmp_path, line(1, "100000", "film.mp4")), tmp_path / "corpus")
    assert "no row that can be used" in message
    assert "expected 1xxxxx" not in message
    assert "expected a name such as" in message


def test_every_sentence_has_its_text() -> None:
    assert len(cremad.SENTENCES) == 12
    assert cremad.clip_of("1001_XYZ_ANG_XX", {}, "train").notes == ["unknown sentence: XYZ, which is transcribed"]
