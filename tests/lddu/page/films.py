"""Small real films, and documents of what was predicted of them."""

import subprocess
from pathlib import Path

import cv2
import numpy as np
import soundfile

from lddu.channels import Channel
from lddu.decisions import Decision
from lddu.formats.document import Document, Glimpse, Missing, Recording, Utterance, Word
from preprocess.media import decoder

LABELS = ("happy", "sad")
MODALITIES = ("text", "audio", "vision")
BEEPS = (1.0, 2.5, 4.0)  # seconds at which a tone begins
SECONDS, BEEP, RATE = 6.0, 0.4, 16000
HOSTILE = "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\"> , \"'&"


def beeping(path: Path, *options: str) -> Path:
    """A film of SECONDS with a tone at BEEPS; `options` are ffmpeg's, of the encoding."""
    seconds = np.arange(int(SECONDS * RATE)) / RATE
    wave = sum(np.where((seconds >= at) & (seconds < at + BEEP), 0.6, 0.0) for at in BEEPS) * np.sin(880 * 2 * np.pi * seconds)
    sound = path.with_suffix(".beeps.wav")
    soundfile.write(sound, wave, RATE)
    picture = ["-f", "lavfi", "-i", f"testsrc=size=160x120:rate=25:duration={SECONDS}"]
    encoding = options or (
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv420p",
        "-preset",
        "ultrafast",
        "-c:a",
        "aac",
        "-movflags",
        "+faststart",
    )
    command = [decoder.ffmpeg_path("bundled"), "-nostdin", "-loglevel", "error", "-y", *picture, "-i", str(sound), *encoding]
    subprocess.run([*command, str(path)], check=True)
    sound.unlink()
    return path


def utterance(start: float, end: float, words: str, place: int = 0) -> Utterance:
    said = words.split()
    edges = np.linspace(start, end, len(said) + 1).round(3).tolist()
    found = tuple(Word(word, a, b, 1.0) for word, a, b in zip(said, edges[:-1], edges[1:], strict=True))
    sigma = dict.fromkeys(MODALITIES, 0.4)
    labels = {
        label: Decision(0.9 if (place + i) % 2 else 0.2, bool((place + i) % 2), None, sigma, 0.1 * (1 + i), bool(i), sigma)
        for i, label in enumerate(LABELS)
    }
    channels = {"audio": Channel(0.95, 0.2)}
    return Utterance(start, end, labels, MODALITIES, words, True, found, channels=channels)


def glimpse(time: float) -> Glimpse:
    noise = np.random.default_rng(round(100 * time)).integers(0, 255, (12, 12, 3), np.uint8)
    picture = cv2.resize(noise, (96, 96), interpolation=cv2.INTER_LINEAR)
    return Glimpse(time, cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes())


def document(path: Path | None, source: str = "", hostile: bool = False) -> Document:
    """Three utterances, at the beeps; the last one lacks its words."""
    spoken = [utterance(at, at + 1.2, "one two three" if not hostile else f"one {HOSTILE}", i) for i, at in enumerate(BEEPS)]
    missing = (Missing("transcripts", "no_speech", "nobody speaks" if not hostile else HOSTILE),)
    last = Utterance(**{**vars(spoken[-1]), "words": (), "text": None, "missing": missing, "modalities": MODALITIES[1:]})
    glimpses = tuple(map(glimpse, np.arange(1.0, 5.0, 0.5).tolist()))
    recording = Recording(source or str(path), (*spoken[:-1], last), path, (("unread", "a part"),), None, glimpses)
    learned = {"corpus": "films", "clips": 3, "speakers": 2, "synthetic": False}
    return Document(LABELS, MODALITIES, (recording,), learned, dict.fromkeys(LABELS, 0.5))
