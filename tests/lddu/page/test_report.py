"""The report page: a run with every kind of clip in it, made of small real media."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
import yaml
from safetensors.numpy import save_file

import params
from lddu import report
from preprocess import refusals
from preprocess.face.track import FaceTrack
from preprocess.media import film
from preprocess.media.sound import SAMPLE_RATE
from preprocess.refusals import Code, Refused
from preprocess.speech.words import Transcript, Word
from preprocess.store import shards
from preprocess.store.entries import Store
from tests.conftest import ROOT

LABELS = ["happy", "sad"]
MODALITIES = ["text", "audio", "vision"]
SECONDS, RATE, SIDE = 2.0, 10, 64
HOSTILE = "</span><script>alert(1)</script><img src=x onerror=alert(2)> \"'&\ud800"
# What each clip has, and how long it is.
HAS = {
    "whole": MODALITIES,
    "hostile": MODALITIES,
    "faceless": ["text", "audio"],
    "mute-film": ["text", "vision"],
    "sound-only": ["text", "audio"],
    "silent-noise": ["audio", "vision"],
    "text-only": ["text"],
}
FETCHED = ("src", "href", "srcset", "data", "action", "poster", "xlink:href")


def crops(path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    film.write(path, ((i / RATE, noise) for i in range(int(SECONDS * RATE))), SIDE)


def track() -> FaceTrack:
    """Twenty frames; no face in the last five."""
    count = int(SECONDS * RATE)
    return FaceTrack(
        times=np.arange(count, dtype=np.float32) / RATE,
        present=np.arange(count) < count - 5,
        others=np.zeros(count, np.int32),
        height=np.full(count, 100, np.float32),
        landmarks=np.zeros((count, 478, 3), np.float32),
        blendshapes=np.zeros((count, 52), np.float32),
        pose=np.zeros((count, 4, 4), np.float32),
    )


def tone() -> bytes:
    seconds = np.arange(int(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    target = io.BytesIO()
    soundfile.write(target, 0.5 * np.sin(440 * 2 * np.pi * seconds), SAMPLE_RATE, format="flac")
    return target.getvalue()


def transcript(clip_id: str) -> Transcript:
    text = f"hello {HOSTILE}" if clip_id == "hostile" else "good morning dear listeners"
    words = text.split()
    if "audio" not in HAS[clip_id]:
        return Transcript(text, False, [Word(word, None, None, 0.0) for word in words])
    times = np.linspace(0.2, 1.8, len(words) + 1)
    return Transcript(text, True, [Word(w, a, b, 0.5) for w, a, b in zip(words, times[:-1], times[1:], strict=True)])


def write_stage(folder: Path, name: str, clip_ids: list[str]) -> None:
    """The output of one stage of preprocess, through its own store and shards."""
    kept = Store(folder / ".store" / name)
    for clip_id in clip_ids:
        with kept.workplace() as workplace:
            files = Path(workplace) / "entry"
            files.mkdir()
            if name in ("frames", "faces"):
                crops(files / film.FILE)
            if name == "faces":
                save_file(vars(track()), files / "safetensors")
            if name == "audio":
                (files / "flac").write_bytes(tone())
            if name == "transcripts":
                (files / "words.json").write_text(json.dumps(json.loads(transcript(clip_id).to_json())), encoding="utf-8")
            kept.add(clip_id, files)
    shards.write(folder / "data" / name, {clip_id: kept.path(clip_id) for clip_id in clip_ids})


def write_media(folder: Path) -> None:
    write_stage(folder, "faces", [clip_id for clip_id, has in HAS.items() if "vision" in has])
    write_stage(folder, "frames", [clip_id for clip_id, has in HAS.items() if "vision" in has or clip_id == "faceless"])
    write_stage(folder, "audio", [clip_id for clip_id, has in HAS.items() if "audio" in has])
    write_stage(folder, "transcripts", [clip_id for clip_id, has in HAS.items() if "text" in has])
    refused = [
        Refused("faceless", "faces", Code.NO_FACE, "none in 20 frames"),
        Refused("silent-noise", "transcripts", Code.NO_SPEECH, HOSTILE.replace("\ud800", "")),
    ]
    refusals.write(folder / "data" / "refused.csv", refused)
    (folder / "data" / "manifest").mkdir()
    write_rows(folder / "data/manifest/labels.csv", [{"clip_id": i, "split": "test", "speaker": "<ann>"} for i in HAS])


def write_rows(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def prediction(clip_id: str, place: int) -> dict[str, object]:
    row: dict[str, object] = {"clip_id": clip_id, "modalities": " ".join(HAS[clip_id])}
    for i, label in enumerate(LABELS):
        probability = (0.9, 0.2, 0.6)[(place + i) % 3]
        row |= {f"{label}_probability": probability, f"{label}_predicted": int(probability > 0.5), f"{label}_true": i}
        row |= {f"{label}_sigma_{m}": 0.5 if m in HAS[clip_id] else "" for m in MODALITIES}
    for block, share in (("noise", 0.93), ("ambiguity", 0.41)):
        row |= {f"{block}_{m}": share if m in HAS[clip_id] else "" for m in MODALITIES}
    return row


def write_results(folder: Path) -> None:
    """What evaluate writes, and the tensors' tables."""
    for name in ("data/predictions", "data/tensors", "metrics"):
        (folder / name).mkdir(parents=True)
    ids = sorted(HAS)
    write_rows(folder / "data/predictions/test.csv", [prediction(clip_id, i) for i, clip_id in enumerate(ids)])
    seconds = {clip_id: 0.0 if has == ["text"] else SECONDS for clip_id, has in HAS.items()}
    write_rows(folder / "data/tensors/test.csv", [{"clip_id": clip_id, "duration": seconds[clip_id]} for clip_id in ids])
    save_file({"labels": np.tile(np.float32([0, 1.5]), (len(ids), 1))}, folder / "data/tensors/test.safetensors")
    scores = {
        **{"clips": len(ids), "epoch": 3, "threshold": 0.5, "micro_f1": 0.4, "calibration_error": 0.1},
        "per_label": {label: {"f1": 0.5, "ap": 0.6} for label in LABELS},
        "baselines": {"prior": {"threshold": 0.2, "micro_f1": 0.5}},
        "uncertainty": {"audio": {"noise_spearman": 0.9, "clips": 40}, "text": {"noise_spearman": 0.1, "clips": 40}},
    }
    (folder / "metrics/test.json").write_text(json.dumps(scores), encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in a folder of its own."""
    folder = tmp_path_factory.mktemp("run")
    write_results(folder)
    write_media(folder)
    return folder


def page_of(folder: Path, monkeypatch: pytest.MonkeyPatch, clips: int = len(HAS)) -> str:
    tree = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    tree["corpus"] |= {"root": "films/<my> corpus", "labels": LABELS}
    tree["report"]["clips"] = clips
    monkeypatch.chdir(folder)
    report.report(params.Params.model_validate(tree))
    return (folder / "report/index.html").read_text(encoding="utf-8")


def article(page: str, clip_id: str) -> str:
    return next(part for part in page.split("<article>") if part.startswith(f"<header><h3>{clip_id}</h3>"))


class Links(HTMLParser):
    """Whatever a browser could fetch or run, and whether tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in FETCHED]


def test_the_page_needs_nothing_but_itself(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(run, monkeypatch)
    links = Links()
    links.feed(page)
    assert links.found
    assert all(link.startswith(("#", "data:image/")) for link in links.found)
    assert not {"link", "iframe", "object"} & set(links.tags)
    assert links.tags.count("script") == 2  # the data, and the page's own
    assert not re.search(r"https?://|url\(|@import", page)
    assert str(run) not in page


def test_a_hostile_transcript_is_text(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(run, monkeypatch)
    assert page.count("<script") == 2
    assert "<img src=x" not in page
    assert "&lt;/span&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img" in article(page, "hostile")
    assert "<ann>" not in page
    assert "<my>" not in page


def test_a_clip_without_a_face_keeps_its_words_and_says_so(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = article(page_of(run, monkeypatch), "faceless")
    assert "absent – no face: none in 20 frames" in shown
    assert shown.count('class="unseen"') > 5
    assert shown.count('class="word ') == 4


def test_frames_without_a_face_are_boxes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = article(page_of(run, monkeypatch), "whole")
    assert "face seen in 15 of 20 frames" in shown
    assert 'aria-label="no face seen at' in shown
    assert 'alt="the face at' in shown
    assert "heard by Whisper" in shown


def test_every_kind_of_clip_says_what_it_lacks(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(run, monkeypatch)
    assert "their times are unknown: spread evenly" in article(page, "mute-film")
    assert "the clip has no sound" in article(page, "mute-film")
    assert "the clip has no picture" in article(page, "sound-only")
    assert "no speech" in article(page, "silent-noise")
    assert 'class="flow"' in article(page, "text-only")
    assert 'class="axis"' not in article(page, "text-only")


@pytest.mark.parametrize("clips", [0, 1, 5, len(HAS), 100])
def test_as_many_clips_as_asked_for_are_shown_once_each(run: Path, monkeypatch: pytest.MonkeyPatch, clips: int) -> None:
    shown = re.findall(r"<article><header><h3>(.*?)</h3>", page_of(run, monkeypatch, clips))
    assert len(shown) == len(set(shown)) == min(clips, len(HAS))


def test_the_choice_shows_every_reason(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(run, monkeypatch, clips=5)
    for reason in ("Right and sure|Nearly right", "Wrong and sure", "Most uncertain", "Incomplete", "By chance"):
        assert len(re.findall(f"<b>({reason})</b>", page)) == 1


def test_the_same_run_gives_the_same_bytes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert page_of(run, monkeypatch) == page_of(run, monkeypatch)


def test_sigma_that_follows_noise_is_told_from_one_that_does_not(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(run, monkeypatch)
    assert "<b>audio</b>: σ rises with its noise: Spearman +0.90 over 40 clips" in page
    assert "<b>text</b>: σ does not follow its noise" in page


def test_noise_and_ambiguity_of_each_modality_are_told_in_words(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = article(page_of(run, monkeypatch), "faceless")
    assert '<span class="m audio">audio</span> noise 93, ambiguity 41: <b>little can be heard</b>' in page
    assert "seen</b>" not in page


def test_refusals_are_counted_and_listed(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(run, monkeypatch)
    assert "2 refusals: 1 × no face and 1 × no speech" in page
    assert "none in 20 frames" in page


def test_tensors_without_media_still_have_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_results(tmp_path)
    page = page_of(tmp_path, monkeypatch)
    assert "There are no time lines" in page
    assert page.count("<article>") == len(HAS)
    assert "0.90" in article(page, "faceless") + article(page, "whole")
    assert "LDDU on the corpus <em>tensors</em>" in page


def test_nothing_at_all_still_has_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(tmp_path, monkeypatch)
    assert "nothing could be scored" in page
    assert "No clip is shown" in page


def test_pictures_are_inside_the_page(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "data/plots").mkdir(exist_ok=True)
    cv2.imwrite(str(run / "data/plots/calibration.png"), np.zeros((20, 60, 3), np.uint8))
    cv2.imwrite(str(run / "data/plots/new_one.png"), np.zeros((20, 20, 3), np.uint8))
    page = page_of(run, monkeypatch)
    assert "<b>Calibration.</b> Points on the diagonal" in page
    assert "<b>new one.</b>" in page
