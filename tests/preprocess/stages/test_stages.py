"""Stages as users run them: on the sample corpus, and on a corpus with everything wrong that a corpus can have."""

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors import safe_open
from safetensors.numpy import load_file

import params
from preprocess.encoders import states
from preprocess.encoders.networks import numbers
from preprocess.face.track import read_track
from preprocess.media import decoder, film, sound
from preprocess.speech import words
from sample import voice
from sample.speaker import Voice
from tests.conftest import DEVICES, ROOT, STAGES, Workspace

WALL = ["-f", "lavfi", "-i", "testsrc=s=320x240:d=3"]
SOUND = params.load(ROOT / "params.yaml").encode.audio
MODALITIES = {"text": 384, "audio": 2 * 384 * len(numbers(SOUND.layer)), "vision": 58}  # of the word, and of the clip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([decoder.ffmpeg_path("bundled"), "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def clips_without(workspace: Workspace, *noises: str) -> list[dict[str, str]]:
    """The clips of the sample without any of these noises."""
    found = rows(workspace.folder / "data/sample/clips.csv")
    return [row for row in found if not any(float(row[noise]) for noise in noises)]


def tensors(workspace: Workspace) -> dict[str, dict[str, np.ndarray]]:
    folder = workspace.folder / "data" / "tensors"
    return {split: load_file(folder / f"{split}.safetensors") for split in ("train", "valid", "test", "other")}


def test_every_clip_of_the_sample_has_a_row_in_the_tensors_of_its_split(sample_run: Workspace) -> None:
    corpus = rows(sample_run.folder / "data/sample/clips.csv")
    for split, found in tensors(sample_run).items():
        ids = [row["clip_id"] for row in rows(sample_run.folder / f"data/tensors/{split}.csv")]
        assert ids == sorted(row["clip_id"] for row in corpus if (row["split"] or "other") == split)
        assert len(found["labels"]) == len(ids)


def test_tensors_have_the_shapes_and_types_of_the_contract(sample_run: Workspace) -> None:
    for found in tensors(sample_run).values():
        count, length = found["text_mask"].shape
        for name, width in MODALITIES.items():
            assert (found[name].shape, found[name].dtype) == ((count, length, width), np.float32)
            assert (found[f"{name}_mask"].shape, found[f"{name}_mask"].dtype) == ((count, length), bool)
            assert (found[f"{name}_time"].shape, found[f"{name}_time"].dtype) == ((count, length, 2), np.float32)
            assert not found[name][~found[f"{name}_mask"]].any()
            assert np.isfinite(found[name]).all()


def test_the_summary_says_how_many_features_a_row_has(sample_run: Workspace) -> None:
    summary = json.loads((sample_run.folder / "data/tensors/summary.json").read_text(encoding="utf-8"))
    assert summary["features"] == MODALITIES


def test_labels_are_the_intensities_of_the_table_in_the_order_of_the_parameter(sample_run: Workspace) -> None:
    by_id = {row["clip_id"]: row for row in rows(sample_run.folder / "data/sample/clips.csv")}
    path = sample_run.folder / "data/tensors/train.safetensors"
    with safe_open(path, "numpy") as file:
        names = json.loads(file.metadata()["labels"])
    for row, values in zip(rows(path.with_suffix(".csv")), load_file(path)["labels"], strict=True):
        assert values.tolist() == pytest.approx([float(by_id[row["clip_id"]][name]) for name in names], abs=1e-4)


def test_every_word_has_a_row_and_its_time_in_all_modalities(sample_run: Workspace) -> None:
    transcripts = sample_run.shards("transcripts")
    for split, found in tensors(sample_run).items():
        for i, row in enumerate(rows(sample_run.folder / f"data/tensors/{split}.csv")):
            if row["clip_id"] not in transcripts.digests:
                continue
            spoken = words.read(transcripts, row["clip_id"]).words
            assert found["text_mask"][i].sum() == len(spoken)
            expected = np.array([[word.start, word.end] for word in spoken], np.float32)
            assert found["text_time"][i, : len(spoken)] == pytest.approx(expected)
            assert found["audio_mask"][i, : len(spoken)].all()


def test_a_frame_has_a_row_in_the_faces_whether_a_face_was_seen_or_not(sample_run: Workspace) -> None:
    for clip_id in sample_run.shards("faces").digests:
        track = read_track(sample_run.shards("faces"), clip_id)
        with sample_run.shards("frames").open(clip_id, film.FILE) as frames:
            times = [seconds for seconds, _ in film.read(frames)]
        assert track.times.tolist() == pytest.approx(times)
        assert np.isfinite(track.landmarks).all(axis=(1, 2)).tolist() == track.present.tolist()
        with sample_run.shards("faces").open(clip_id, film.FILE) as crops:
            for (_, picture), present in zip(film.read(crops), track.present, strict=True):
                assert picture.any() == present


def test_faces_are_found_where_nothing_hides_them(sample_run: Workspace) -> None:
    clean = [row["clip_id"] for row in clips_without(sample_run, "noise_vision")]
    present = np.concatenate([read_track(sample_run.shards("faces"), clip_id).present for clip_id in clean])
    assert present.mean() >= 0.98


def test_a_head_before_the_camera_looks_at_it_from_less_than_two_metres(sample_run: Workspace) -> None:
    clean = [row["clip_id"] for row in clips_without(sample_run, "noise_vision")]
    for clip_id in clean:
        found = states.read_timed(sample_run.shards("encode_vision"), clip_id)
        rotation, translation = found.states[found.observed, 52:55], found.states[found.observed, 55:]
        assert np.abs(rotation).max() < 0.6
        assert -200 < translation[:, 2].min() <= translation[:, 2].max() < -10


def test_texts_that_are_blank_are_heard_as_they_were_said(sample_run: Workspace) -> None:
    import torchaudio

    clean = [row["clip_id"] for row in clips_without(sample_run, "noise_audio") if not row["text"]]
    truth: dict[str, list[str]] = {}
    for row in rows(sample_run.folder / "data/sample/truth.csv"):
        truth.setdefault(row["clip_id"], []).append(row["word"])
    errors = total = 0
    for clip_id in clean:
        found = words.read(sample_run.shards("transcripts"), clip_id)
        assert found.transcribed
        errors += torchaudio.functional.edit_distance(plain(truth[clip_id]), plain([word.word for word in found.words]))
        total += len(truth[clip_id])
    assert total
    assert errors / total <= 0.05


def plain(spoken: list[str]) -> list[str]:
    return ["".join(letter for letter in word.lower() if letter.isalnum()) for word in spoken]


def test_words_begin_when_the_synthesiser_says_them(sample_run: Workspace) -> None:
    truth: dict[str, list[float]] = {}
    for row in rows(sample_run.folder / "data/sample/truth.csv"):
        truth.setdefault(row["clip_id"], []).append(float(row["start"]))
    differences = []
    for row in rows(sample_run.folder / "data/sample/clips.csv"):
        if row["text"]:
            found = words.read(sample_run.shards("transcripts"), row["clip_id"])
            differences += [abs(word.start - start) for word, start in zip(found.words, truth[row["clip_id"]], strict=True)]
    assert np.median(differences) <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_clips_in_batches_have_the_states_of_single_ones(
    sample_run: Workspace, make_workspace: Callable[..., Workspace], device: str
) -> None:
    """At most 0.1 % of their deviation away, as params.yaml says."""
    made = make_workspace(**{"run.device": device, "encode.text.batch_size": 3, "encode.audio.batch_size": 3})
    for name in ("manifest", "audio", "transcripts", "text_model"):
        (made.folder / "data" / name).symlink_to(sample_run.folder / "data" / name)
    for stage, read in (("encode_text", states.read_words), ("encode_audio", states.read_timed)):
        printed = made.stages(stage)
        assert "0 reused, 0 refused" in printed
        assert "one by one" not in printed
        single, together = (workspace.shards(stage) for workspace in (sample_run, made))
        assert list(single.digests) == list(together.digests)
        for clip_id in single.digests:
            (expected, *others), (found, *same) = (vars(read(of, clip_id)).values() for of in (single, together))
            assert np.abs(expected - found).max() <= 0.001 * expected.std()
            assert all(map(np.array_equal, others, same))


@pytest.fixture(scope="module")
def troubled(sample_run: Workspace, make_workspace: Callable[..., Workspace]) -> Workspace:
    """A corpus of one good film and of most things that can be wrong, taken to tensors."""
    made = make_workspace(**{"corpus.root": "films", "corpus.labels": ["happy"]})
    films = made.folder / "films"
    films.mkdir()
    row = next(row for row in clips_without(sample_run, "noise_vision", "noise_audio") if row["text"])
    shutil.copy(sample_run.folder / "data/sample" / row["media"], films / "good.mp4")
    ffmpeg("-i", films / "good.mp4", "-vn", films / "sound.wav")
    ffmpeg("-i", films / "good.mp4", "-an", "-c", "copy", films / "silent.mp4")
    ffmpeg(
        "-i", films / "good.mp4", "-f", "lavfi", "-i", "testsrc=s=320x240:d=3", "-map", "1:v", "-map", "0:a", films / "wall.mp4"
    )
    ffmpeg("-f", "lavfi", "-i", "anullsrc=d=2", films / "nothing.wav")
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=2:c=pink:a=0.1:seed=1", films / "noise.wav")
    still = "[0:v]scale=320:-2,fps=20,setpts=N/20/TB,split[a][b];[b]hflip,trim=end_frame=1,loop=99:1,setpts=N/20/TB[c]"
    pair = ["-filter_complex", f"{still};[c][a]hstack=shortest=1", "-map", "0:a", films / "two.mp4"]
    ffmpeg("-i", films / "good.mp4", *pair)
    gone = "drawbox=enable='between(t,0.7,1.3)':color=gray:t=fill"
    ffmpeg("-i", films / "good.mp4", "-vf", gone, films / "vanishes.mp4")
    (films / "broken.mp4").write_bytes((films / "good.mp4").read_bytes()[:2000])
    (films / "text.mp4").write_text("no film at all", encoding="utf-8")
    text = row["text"].replace('"', "")
    table = [
        f'good,good.mp4,,,"{text}",train,1',
        f'sound,sound.wav,,,"{text}",train,0',
        "sound_heard,sound.wav,,,,train,0",
        f'silent,silent.mp4,,,"{text}",train,0',
        "silent_without_text,silent.mp4,,,,train,0",
        f'wall,wall.mp4,,,"{text}",valid,1',
        f'text_alone,,,,"{text}",test,0',
        "nothing_said,noise.wav,,,,test,0",
        "digital_silence,nothing.wav,,,,test,0",
        f'silence_with_text,nothing.wav,,,"{text}",test,0',
        f'broken,broken.mp4,,,"{text}",test,0',
        "broken_without_text,broken.mp4,,,,test,0",
        "text_file,text.mp4,,,,test,0",
        "missing,gone.mp4,,,,test,0",
        f'backwards,good.mp4,2,1,"{text}",test,0',
        "past_the_end,good.mp4,100,101,,test,0",
        "segment,good.mp4,0.5,1.5,,,",
        "two,two.mp4,,,,,",
        f'vanishes,vanishes.mp4,,,"{text}",,',
        f"wordy,good.mp4,,,{'word ' * 300},,",
        "wrong,good.mp4,,,我今天 42% 🙂 nothing of this was said,,",
    ]
    (films / "clips.csv").write_text("clip_id,media,start,end,text,split,happy\n" + "\n".join(table) + "\n", encoding="utf-8")
    made.stages(*STAGES)
    return made


def present(workspace: Workspace, split: str) -> dict[str, set[str]]:
    """The modalities of each clip of a split."""
    found = tensors(workspace)[split]
    ids = [row["clip_id"] for row in rows(workspace.folder / f"data/tensors/{split}.csv")]
    return {clip_id: {name for name in MODALITIES if found[f"{name}_mask"][i].any()} for i, clip_id in enumerate(ids)}


def test_what_a_clip_has_is_kept_and_what_it_lacks_is_masked(troubled: Workspace) -> None:
    assert present(troubled, "train") == {
        "good": {"text", "audio", "vision"},
        "silent": {"text", "vision"},
        "silent_without_text": {"vision"},
        "sound": {"text", "audio"},
        "sound_heard": {"text", "audio"},
    }
    assert present(troubled, "valid") == {"wall": {"text", "audio"}}
    assert present(troubled, "test") == {
        "backwards": {"text"},
        "broken": {"text"},
        "nothing_said": {"audio"},
        "silence_with_text": {"text"},
        "text_alone": {"text"},
    }
    assert present(troubled, "other") == {
        "segment": {"audio", "vision"},  # it is cut out of the middle of words, which nobody can understand
        **{clip_id: {"text", "audio", "vision"} for clip_id in ("two", "vanishes", "wordy", "wrong")},
    }


def test_every_refusal_is_listed_with_its_stage_and_reason(troubled: Workspace) -> None:
    found = {(row["clip_id"], row["stage"]): row["code"] for row in rows(troubled.folder / "data/refused.csv")}
    assert found == {
        ("backwards", "manifest"): "empty_span",
        ("broken", "manifest"): "media_unreadable",
        ("broken_without_text", "align"): "nothing_left",
        ("broken_without_text", "manifest"): "media_unreadable",
        ("missing", "align"): "nothing_left",
        ("missing", "manifest"): "media_missing",
        ("digital_silence", "align"): "nothing_left",
        ("digital_silence", "audio"): "silent",
        ("nothing_said", "transcripts"): "no_speech",
        ("past_the_end", "align"): "nothing_left",
        ("past_the_end", "manifest"): "empty_span",
        ("segment", "transcripts"): "unsure_text",
        ("silence_with_text", "audio"): "silent",
        ("text_file", "align"): "nothing_left",
        ("text_file", "manifest"): "media_unreadable",
        ("wall", "faces"): "no_face",
        ("wordy", "transcripts"): "text_unplaced",
    }
    assert json.loads((troubled.folder / "data/tensors/summary.json").read_text())["refused"]["no_face"] == 1


def test_no_refusal_names_a_path_of_the_machine(troubled: Workspace) -> None:
    assert str(troubled.folder) not in (troubled.folder / "data/refused.csv").read_text()


def test_an_unlabelled_clip_has_no_number_as_label(troubled: Workspace) -> None:
    assert np.isnan(tensors(troubled)["other"]["labels"]).all()


def test_a_segment_lasts_as_long_as_it_says(troubled: Workspace) -> None:
    assert len(sound.wave(troubled.shards("audio"), "segment")) / sound.SAMPLE_RATE == pytest.approx(1.0, abs=0.05)
    assert rows(troubled.folder / "data/tensors/other.csv")[0]["duration"] == "1.0"


@pytest.mark.slow
def test_what_changed_of_the_corpus_is_done_again_alone_and_the_way_back_costs_nothing(troubled: Workspace) -> None:
    """One clip encoded again, one added, one removed, one with another text; then all as it was."""
    films = troubled.folder / "films"
    original, table = (films / "wall.mp4").read_bytes(), (films / "clips.csv").read_text(encoding="utf-8")
    before = troubled.bytes_of(*STAGES, "tensors")
    known = set(troubled.shards("transcripts").digests.values())
    ffmpeg("-i", films / "good.mp4", "-vf", "hflip", "-af", "volume=0.5", films / "wall.mp4")
    rows_now = [line for line in table.splitlines() if not line.startswith("vanishes,")] + ["added,good.mp4,0.5,1.4,so it is,,"]
    rows_now = [line.replace('sound,sound.wav,,,"', 'sound,sound.wav,,,"so ') for line in rows_now]
    (films / "clips.csv").write_text("\n".join(rows_now) + "\n", encoding="utf-8")
    printed = troubled.stages(*STAGES)
    other_words = len(set(troubled.shards("transcripts").digests.values()) - known)
    assert other_words in (2, 3)  # another voice may keep its times
    computed = {"frames": (9, 2), "audio": (12, 2), "faces": (9, 2), "transcripts": (15, 3), "encode_text": (13, other_words)}
    for stage, (clips, count) in (computed | {"encode_audio": (10, 2), "encode_vision": (9, 2)}).items():
        assert f"\n{stage}: {clips} clips, {count} computed, {clips - count} reused" in printed, printed
    assert present(troubled, "valid") == {"wall": {"text", "audio", "vision"}}
    (films / "wall.mp4").write_bytes(original)
    lines = table.splitlines()
    (films / "clips.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n", encoding="utf-8")  # in any order
    assert troubled.stages(*STAGES).count(" 0 computed") == len(STAGES) - 2
    assert troubled.bytes_of(*STAGES, "tensors") == before


def test_of_two_faces_the_one_whose_mouth_moves_with_the_sound_is_taken(troubled: Workspace) -> None:
    (row,) = rows(troubled.folder / "data/faces/speakers.csv")
    assert (row["clip_id"], row["faces"], row["by"]) == ("two", "2", "sound")
    assert float(row["margin"]) > 0.1
    track = read_track(troubled.shards("faces"), "two")
    assert track.present.mean() > 0.9
    assert track.landmarks[track.present][:, :, 0].min() > 320  # the still one is on the left


def test_a_face_that_leaves_and_returns_is_missing_meanwhile_alone(troubled: Workspace) -> None:
    track = read_track(troubled.shards("faces"), "vanishes")
    hidden = (track.times > 0.75) & (track.times < 1.25)
    assert not track.present[hidden].any()
    assert track.present[track.times < 0.6].all()
    assert track.present[track.times > 1.6].all()


def test_a_text_that_nobody_can_have_said_keeps_every_word(troubled: Workspace) -> None:
    found = {clip_id: words.read(troubled.shards("transcripts"), clip_id).words for clip_id in ("wordy", "wrong")}
    assert {clip_id: len(spoken) for clip_id, spoken in found.items()} == {"wordy": 300, "wrong": 10}
    seconds = float(
        next(row["duration"] for row in rows(troubled.folder / "data/tensors/other.csv") if row["clip_id"] == "wordy")
    )
    for spoken in found.values():
        assert all(0 <= word.start <= word.end <= seconds + 0.1 for word in spoken)


def test_the_run_ends_with_what_was_refused_in_words(troubled: Workspace) -> None:
    printed = troubled.run("preprocess", "align")
    assert "1 x no_face in faces, no face in any frame: wall" in printed
    assert "2 x empty_span in manifest, nothing of the medium lies between start and end: backwards, past_the_end" in printed


def test_too_many_refusals_stop_the_run_and_are_shown(troubled: Workspace) -> None:
    troubled.set(**{"corpus.max_refused": 0.15})  # of 21 clips; "broken" and "backwards" have their texts still
    stopped = {stage: troubled.run("preprocess", stage, fails=True) for stage in ("manifest", "align")}
    troubled.set(**{"corpus.max_refused": 0.9})
    assert "4 of 21 clips were refused: more than corpus.max_refused (0.15) allows" in stopped["manifest"]
    assert "wall: faces: no_face" in stopped["align"]
    assert "Traceback" not in stopped["manifest"] + stopped["align"]


def test_a_corpus_of_text_alone_reaches_tensors_without_the_other_modalities(make_workspace: Callable[..., Workspace]) -> None:
    made = make_workspace(**{"corpus.root": "texts", "corpus.labels": ["happy"]})
    (made.folder / "texts").mkdir()
    (made.folder / "texts/clips.csv").write_text("clip_id,text,split,happy\na,I am glad,train,1\nb,So am I,valid,1\n")
    made.stages(*STAGES)
    found = tensors(made)["train"]
    assert {name for name in MODALITIES if name in found} == {"text"}
    assert found["text"].shape == (1, 3, 384)
    assert set(load_file(made.folder / "data/tensors/statistics.safetensors")) == {"text_mean", "text_deviation"}


def test_speech_in_another_language_is_no_fluent_english_and_keeps_its_own_text(
    make_workspace: Callable[..., Workspace],
) -> None:
    """Spanish words; the recogniser and the aligner that come with the project know English."""
    made = make_workspace(**{"corpus.root": "films", "corpus.labels": ["happy"]})
    (made.folder / "films").mkdir()
    text = "Buenos dias senor, como esta usted esta manana."
    spoken = voice.say(text, Voice(pitch=1, range=1, tract=1, speed=1, tilt=0, level=-6, breath=0), np.random.default_rng(0))
    soundfile.write(made.folder / "films/spoken.wav", spoken.wave, voice.RATE)
    table = f'clip_id,media,text,split,happy\ngiven,spoken.wav,"{text}",train,1\nheard,spoken.wav,,train,0\n'
    (made.folder / "films/clips.csv").write_text(table, encoding="utf-8")
    made.stages("manifest", "audio", "transcripts")
    transcripts = made.shards("transcripts")
    assert set(transcripts.digests) == {"given"}
    given = words.read(transcripts, "given").words
    assert [word.word for word in given] == text.split()
    assert all(0 <= word.start <= word.end <= spoken.duration + 0.1 for word in given)
    assert [row.code for row in transcripts.refused if row.clip_id == "heard"] == ["unsure_text"]


def test_a_wrong_table_stops_before_any_work_and_without_a_traceback(make_workspace: Callable[..., Workspace]) -> None:
    made = make_workspace(**{"corpus.root": "texts", "corpus.labels": ["happy"]})
    (made.folder / "texts").mkdir()
    (made.folder / "texts/clips.csv").write_text("clip_id,text,split,happy\na,hi,train,much\na,hi,dev,1\n")
    printed = made.run("preprocess", "manifest", fails=True)
    assert "3 problem(s)" in printed
    assert "Traceback" not in printed
    assert not (made.folder / "data/manifest").exists()


def test_a_layer_that_the_network_lacks_is_named(troubled: Workspace) -> None:
    troubled.set(**{"encode.text.layer": 9})
    printed = troubled.run("preprocess", "encode_text", fails=True)
    troubled.set(**{"encode.text.layer": params.load().encode.text.layer})
    troubled.stages("encode_text")
    assert "encode.text.layer is 9" in printed
    assert "takes -7 to 6" in printed
    assert "Traceback" not in printed
