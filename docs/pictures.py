"""Make the pictures of README.md from a finished run on the sample corpus: `python -m docs.pictures`.

Run it in the folder that has data/ and report/. frames.png shows frames with landmarks and crops. words.png shows aligned words
over their sound, with the true times. The pictures of the pages (docs/pages.py) need Chromium on the PATH.
"""

import csv
import io
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import params
from docs import pages
from docs.pages import shrink
from preprocess.face.crops import crop
from preprocess.face.track import Face, FaceTrack, read_track
from preprocess.media import film, sound
from preprocess.speech import words
from preprocess.store.shards import Shards

DATA = Path("data")
MOMENTS = 3  # frames of a clip that are shown
CROP = 360  # pixels of a crop's side
DOT = (0, 255, 140)  # RGB
KINDS = {"": "undisturbed", "blur": "blur", "darkness": "dark", "occlusion": "occluded", "turned": "turned"}
NOISE = 0.6  # clips whose noise is nearest to this are chosen
ALIGNED = {words.STRICT: ("#3f6fc4", "strict"), words.OPEN: ("#e0a030", "open beams")}
INTERPOLATED = ("#b0b0b0", "interpolated")


@dataclass(frozen=True)
class Clip:
    """A row of the sample's clips.csv."""

    clip_id: str
    speaker: str
    kind: str
    noise: float


def read(name: str) -> list[dict[str, str]]:
    with (DATA / "sample" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def save(figure: Figure, name: str) -> None:
    target = io.BytesIO()
    figure.savefig(target, dpi=110, metadata={"Software": None})
    shrink(Image.open(target), name)


def disturbed() -> list[Clip]:
    """A clip with a face for each kind of disturbance, each of another speaker."""
    with_face = Shards(DATA / "faces").digests
    clips = [Clip(r["clip_id"], r["speaker"], r["kind_vision"], float(r["noise_vision"])) for r in read("clips.csv")]
    by_kind: dict[str, Clip] = {}
    for clip in sorted(clips, key=lambda clip: (abs(clip.noise - NOISE), clip.clip_id)):
        speakers = {chosen.speaker for chosen in by_kind.values()}
        if clip.clip_id in with_face and clip.kind not in by_kind and clip.speaker not in speakers:
            by_kind[clip.kind] = clip
    return sorted(by_kind.values(), key=lambda clip: (clip.noise, clip.kind))


def draw_frames() -> None:
    clips = disturbed()
    figure = Figure(figsize=(11, 1.42 * len(clips)), layout="constrained")
    panels = figure.subplots(len(clips), 2 * MOMENTS, squeeze=False, width_ratios=[4, 3] * MOMENTS)
    for row, clip in zip(panels, clips, strict=True):
        for panel, picture in zip(row, moments(clip.clip_id), strict=True):
            panel.imshow(picture)
            panel.set_xticks([])
            panel.set_yticks([])
        row[0].set_ylabel(f"{KINDS.get(clip.kind, clip.kind)}\nnoise {clip.noise:.2f}", fontsize=9)
    save(figure, "frames.png")


def moments(clip_id: str) -> list[np.ndarray]:
    """Frame and crop at even times, both with the landmarks."""
    track = read_track(Shards(DATA / "faces"), clip_id)
    with Shards(DATA / "frames").open(clip_id, film.FILE) as stream:
        frames = [picture for _, picture in film.read(stream)]
    places = np.linspace(0, len(frames) - 1, MOMENTS + 2).astype(int)[1:-1]
    return [picture for i in places for picture in marked(frames[i], track, i)]


def marked(frame: np.ndarray, track: FaceTrack, i: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame at twice its size with a dot on each landmark, and its crop; without dots where there is no face."""
    settings = params.load().faces.model_copy(update={"crop_size": CROP})
    large = cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    if not track.present[i]:
        return large, crop(large, None, settings)
    face = Face(2 * track.landmarks[i], track.blendshapes[i], track.pose[i])
    for x, y in face.landmarks[:, :2]:
        cv2.circle(large, (round(float(x)), round(float(y))), 2, DOT, -1, cv2.LINE_AA)
    return large, crop(large, face, settings)


def draw_words() -> None:
    """The clip with the most strictly aligned words, and the one with the most that needed open beams."""
    transcripts = Shards(DATA / "transcripts")
    spoken = {clip_id: words.read(transcripts, clip_id).words for clip_id in sorted(transcripts.digests)}
    counts = {
        confidence: {clip_id: sum(word.confidence == confidence for word in said) for clip_id, said in spoken.items()}
        for confidence in ALIGNED
    }
    truth: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in read("truth.csv"):
        truth[row["clip_id"]].append((float(row["start"]), float(row["end"])))
    figure = Figure(figsize=(11, 5), layout="constrained")
    for panel, count in zip(figure.subplots(2, 1), counts.values(), strict=True):
        clip_id = max(count, key=lambda clip_id: count[clip_id])
        draw_line(panel, clip_id, spoken[clip_id], truth[clip_id])
    key: list[Any] = [mpl.patches.Patch(color=colour, label=name) for colour, name in (*ALIGNED.values(), INTERPOLATED)]
    key.append(mpl.lines.Line2D([], [], color="black", linewidth=3, label="as synthesised"))
    figure.legend(handles=key, loc="outside lower center", ncols=4, frameon=False)
    save(figure, "words.png")


def draw_line(panel: Any, clip_id: str, spoken: list[words.Word], truth: list[tuple[float, float]]) -> None:
    wave = sound.wave(Shards(DATA / "audio"), clip_id)
    seconds = np.arange(len(wave)) / sound.SAMPLE_RATE
    panel.plot(seconds, wave / max(np.abs(wave).max(), 1e-9), color="#0b7468", linewidth=0.4)
    for i, word in enumerate(spoken):
        if word.start is None or word.end is None:
            continue
        colour, _ = ALIGNED.get(word.confidence, INTERPOLATED)
        low = -1.55 - 0.42 * (i % 2)
        panel.broken_barh([(word.start, word.end - word.start)], (low, 0.38), color=colour, alpha=0.35)
        panel.text(word.start + 0.01, low + 0.19, word.word, va="center", fontsize=9)
    panel.hlines([-1.1] * len(truth), *zip(*truth, strict=True), color="black", linewidth=3)
    panel.set(title=clip_id, xlim=(0, seconds[-1]), ylim=(-2.1, 1.05), yticks=[], xlabel="seconds")
    panel.spines[["left", "top", "right"]].set_visible(False)


def main() -> None:
    mpl.rcParams["font.family"] = "DejaVu Sans"
    draw_frames()
    draw_words()
    pages.draw()


if __name__ == "__main__":
    main()
