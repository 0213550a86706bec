"""Films of faces whose truth is known, and what the stage faces makes of them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from safetensors.numpy import load

import params
from preprocess.clips import Task
from preprocess.face.track import CHOICE, TABLE, FaceTrack
from preprocess.media import film, pictures, sound
from preprocess.stages import audio, faces
from preprocess.store import shards
from preprocess.store.entries import Store
from tests.conftest import ROOT

SETTINGS = params.load(ROOT / "params.yaml")
RATE = 10  # pictures a second
SIDE = 640  # pixels, frames.max_side


@dataclass(frozen=True)
class Watched:
    """What the stage faces made of a film."""

    track: FaceTrack
    choice: dict[str, Any]
    crops: list[np.ndarray]


def write_film(path: Path, frames: Iterable[np.ndarray], voice: np.ndarray | None = None) -> None:
    """Pictures (height, width, 3) uint8 RGB, RATE a second, and a sound (n,) float32 at 16 kHz, as MP4."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"crf": "18", "preset": "veryfast"})
        spoken = container.add_stream("aac", rate=sound.SAMPLE_RATE) if voice is not None else None
        for number, picture in enumerate(frames):
            if not number:
                video.height, video.width, video.pix_fmt = *picture.shape[:2], "yuv420p"
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        if spoken is not None:
            samples = av.AudioFrame.from_ndarray(voice[None].astype(np.float32), format="fltp", layout="mono")
            samples.sample_rate = sound.SAMPLE_RATE
            container.mux(spoken.encode(samples))
            container.mux(spoken.encode(None))


def watch(path: Path, seconds: float, model: Path, folder: Path, heard: bool = False) -> Watched:
    """Run frames, audio if the film is `heard`, and faces on a film."""
    content: dict[str, Any] = {"digest": "", "start": 0.0, "end": seconds, "reading": {}}
    stored = folder / "stored"
    store = Store(folder / "store")
    for name in ["frames", *(["audio"] if heard else [])]:
        entry = folder / name
        entry.mkdir(parents=True)
        if name == "frames":
            pictures.write(path, 0.0, seconds, SETTINGS.frames, SETTINGS.decoder, entry / film.FILE)
        else:
            audio.audio_of(Task("clip", content, seconds, str(path)), entry, decoder=SETTINGS.decoder)
        store.add(name, entry)
        shards.write(stored / name, {"clip": store.path(name)})
    with av.open(str(path)) as container:
        larger = max(container.streams.video[0].width, container.streams.video[0].height) > SIDE
    task = Task("clip", {"frames": "", "sound": "x" * heard} | ({"original": content} if larger else {}), seconds, str(path))
    target = folder / "faces"
    target.mkdir()
    faces.faces_of(task, target, SETTINGS, model, stored / "frames", stored / "audio")
    with (target / film.FILE).open("rb") as file:
        crops = [picture for _, picture in film.read(file)]
    table = load((target / TABLE).read_bytes())
    return Watched(FaceTrack(**table), json.loads((target / CHOICE).read_text(encoding="utf-8")), crops)


def paste(picture: np.ndarray, head: np.ndarray, left: int, top: int, height: int) -> np.ndarray:
    """A picture with another one, scaled to a height, at some place in it."""
    scale = height / head.shape[0]
    small = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    pasted = picture.copy()
    pasted[top : top + small.shape[0], left : left + small.shape[1]] = small
    return pasted
