"""What the report plays of a clip: its film where it lies, or a small copy of the clip where browsers cannot play that."""

import os
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tqdm import tqdm

import params
from preprocess.clips import Medium
from preprocess.media import playback
from preprocess.media.probe import MediaError, Reading
from preprocess.run import work
from preprocess.store import entries
from preprocess.store.entries import Store

NAME = "playback"  # of the copies in the store
FILE = "mp4"
FOLDER = Path("report/clips")
INDEX = "index.csv"


@dataclass(frozen=True)
class Shown:
    """What a page plays of a clip."""

    source: str  # as seen from the page; "" where nothing can be played
    start: float  # seconds into it
    picture: bool
    remark: str = ""  # why it is a copy, or why there is nothing


class Screening:
    """Of a corpus; `media` is `film`, `copy` or `none` (params.yaml)."""

    def __init__(self, root: Path, page: Path, media: str, run: params.Run) -> None:
        self.root, self.page, self.media = root, page, media
        self.store, self.workers = Store(run.store_folder / NAME), work.workers(run.workers)

    def of(self, clips: Iterable[Medium]) -> dict[str, Shown]:
        """By clip id. Copies that were not made before are made, and written below the page's folder."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        clips = [] if self.media == "none" else list(clips)
        reasons = {clip.clip_id: self._reason(clip) for clip in clips}
        copied = [clip for clip in clips if reasons[clip.clip_id]]
        keys = {clip.clip_id: self._key(clip) for clip in copied}
        if copied:
            self.store.use(sorted(set(keys.values())))
        with ThreadPoolExecutor(self.workers) as threads:
            problems = threads.map(lambda clip: self._copied(clip, keys[clip.clip_id]), copied)
            failed = {clip.clip_id: why for clip, why in zip(copied, tqdm(problems, "copies", len(copied)), strict=True) if why}
        return {clip.clip_id: self._shown(clip, reasons[clip.clip_id], failed.get(clip.clip_id, "")) for clip in clips}

    def _key(self, clip: Medium) -> str:
        return entries.key(stage=NAME, content=clip.decoding(self.root).content, kind=playback.KIND)

    def _reason(self, clip: Medium) -> str:
        """Why a clip is played from a copy."""
        if self.media == "copy":
            return "report.media is copy"
        try:
            return playback.unplayable(self.root / clip.media, Reading(**clip.reading))
        except (MediaError, OSError) as error:
            return str(error)

    def _copied(self, clip: Medium, key: str) -> str:
        """Why there is no copy of a clip; "" where it is there."""
        target = FOLDER / f"{clip.clip_id}.{FILE}"
        try:
            if not self.store.has(key):
                with self.store.workplace() as workplace:
                    files = Path(workplace) / "entry"
                    files.mkdir()
                    reading = Reading(**clip.reading)
                    playback.copy(self.root / clip.media, clip.start, clip.end, reading, files / FILE)
                    self.store.add(key, files)
            with zipfile.ZipFile(self.store.path(key)) as archive:
                target.write_bytes(archive.read(FILE))
        except (MediaError, FileNotFoundError) as error:
            return f"{clip.media} cannot be played: {error}"
        return ""

    def _shown(self, clip: Medium, reason: str, problem: str) -> Shown:
        if problem:
            return Shown("", 0.0, clip.picture, problem)
        if reason:
            return Shown(f"{FOLDER.name}/{clip.clip_id}.{FILE}", 0.0, clip.picture, f"played from a copy, since {reason}")
        film = os.path.relpath((self.root / clip.media).resolve(), self.page.resolve().parent)
        return Shown(quote(Path(film).as_posix()), clip.start, clip.picture)
