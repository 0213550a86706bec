"""The corpus folder: its form, its films, and the promise that the same seed gives the same bytes."""

from collections.abc import Callable
from itertools import pairwise

import av
import numpy as np
import pytest

from contract import NOISE_COLUMNS
from preprocess import corpus as clips_table
from sample.emotion import LABELS
from tests.conftest import Workspace
from tests.sample.conftest import Look, SampleCorpus, pictures, sound


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(corpus: SampleCorpus, again: SampleCorpus) -> None:
    assert again.files() == corpus.files()


@pytest.mark.slow
def test_what_is_made_already_is_not_made_again(corpus: SampleCorpus, again: SampleCorpus) -> None:
    for lost in sorted((again.workspace.folder / ".store/sample").rglob("*.zip"))[:3]:
        lost.unlink()
    (again.folder / "clips.csv").unlink()
    assert f"3 made, {len(corpus.rows()) - 3} reused" in again.workspace.run("sample.corpus")
    assert again.files() == corpus.files()


def test_without_the_face_model_it_says_what_to_do(make_workspace: Callable[..., Workspace]) -> None:
    workspace = make_workspace()
    (workspace.folder / "data/models").unlink()
    assert "python -m preprocess models" in workspace.run("sample.corpus", fails=True)


def test_the_table_keeps_the_contract_of_a_corpus(corpus: SampleCorpus) -> None:
    clips = clips_table.read(corpus.folder, list(LABELS))
    assert len(clips) == len(corpus.rows())
    assert not any(clips_table.leakage(clips, column) for column in ("speaker", "media"))
    assert {clip.split for clip in clips} == {"train", "valid", "test"}
    assert not [clip.note for clip in clips if clip.note]
    assert all((corpus.folder / clip.media).is_file() for clip in clips)
    assert all(set(clip.noise) == set(NOISE_COLUMNS) for clip in clips)


def test_a_film_is_h264_and_aac_of_two_to_five_seconds(corpus: SampleCorpus) -> None:
    for row in corpus.rows():
        with av.open(corpus.film(row)) as film:
            picture, heard = film.streams.video[0], film.streams.audio[0]
            assert (picture.codec_context.name, heard.codec_context.name) == ("h264", "aac")
            assert (picture.width, picture.height, picture.average_rate) == (320, 240, 20)
            seconds = [float(stream.duration * stream.time_base) for stream in (picture, heard)]
        assert 2 <= seconds[0] <= 5
        assert seconds[1] == pytest.approx(seconds[0], abs=0.05)


def test_a_film_names_neither_its_maker_nor_its_date(corpus: SampleCorpus) -> None:
    content = b"".join(content for name, content in corpus.files().items() if name.endswith(".mp4"))
    assert b"Lavf" not in content
    assert b"creation_time" not in content


def test_every_word_is_in_the_film_and_in_order(corpus: SampleCorpus) -> None:
    said = corpus.words()
    for row in corpus.rows():
        with av.open(corpus.film(row)) as film:
            duration = film.duration / av.time_base
        times = [(float(word["start"]), float(word["end"])) for word in said[row["clip_id"]]]
        assert all(0 <= start < end <= duration + 0.025 for start, end in times)
        assert all(before[1] <= after[0] + 1e-9 for before, after in pairwise(times))
        if row["text"]:
            assert [word["word"] for word in said[row["clip_id"]]] == [word.strip(",.") for word in row["text"].split()]


def test_true_word_times_are_those_of_a_forced_alignment(corpus: SampleCorpus) -> None:
    from pocketsphinx import Decoder

    said, differences = corpus.words(), []
    for row in [row for row in corpus.rows() if float(row["noise_audio"]) == 0]:
        decoder = Decoder(samprate=16000, loglevel="FATAL", lm=None, bestpath=False, beam=0.0, pbeam=0.0, wbeam=0.0)
        decoder.set_align_text(" ".join(word["word"].lower() for word in said[row["clip_id"]]))
        decoder.start_utt()
        decoder.process_raw(sound(corpus.film(row)).tobytes(), full_utt=True)
        decoder.end_utt()
        starts = [segment.start_frame * 0.01 for segment in decoder.seg() if segment.word[0] not in "<["]
        differences += [start - float(word["start"]) for start, word in zip(starts, said[row["clip_id"]], strict=True)]
    assert len(differences) > 30
    assert np.median(np.abs(differences)) < 0.06


def test_a_face_is_seen_in_every_picture_without_noise(corpus: SampleCorpus, look: Look) -> None:
    seen = [
        look(picture) is not None
        for row in corpus.rows()
        if float(row["noise_vision"]) == 0
        for picture in pictures(corpus.film(row))[::10]
    ]
    assert len(seen) > 20
    assert np.mean(seen) >= 0.98


def test_the_lips_follow_the_sound(corpus: SampleCorpus, look: Look) -> None:
    together = []
    for row in [row for row in corpus.rows() if float(row["noise_vision"]) == 0 and row["kind_audio"] in ("", "monotony")]:
        faces = [look(picture) for picture in pictures(corpus.film(row))]
        gaps = np.array([np.nan if face is None else face.landmarks[14, 1] - face.landmarks[13, 1] for face in faces])
        known = ~np.isnan(gaps)
        together.append(np.corrcoef(gaps[known], loudness(sound(corpus.film(row)), len(gaps))[known])[0, 1])
    assert len(together) >= 2
    assert np.mean(together) > 0.35


def loudness(wave: np.ndarray, count: int, step: int = 800) -> np.ndarray:
    """Square root of the effective value of the `step` samples around each of `count` pictures."""
    padded = np.pad(wave.astype(float), (step // 2, count * step))[: count * step]
    return (padded.reshape(count, step) ** 2).mean(1) ** 0.25
