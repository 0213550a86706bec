"""Stage manifest: the checked clip list, and what each media file holds."""

import hashlib
import json
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import csv_table
import params
from contract import NOISE_COLUMNS, SPLITS
from preprocess import corpus, refusals
from preprocess.clips import FOLDER, Medium
from preprocess.corpus import Clip
from preprocess.media import notes, probe
from preprocess.media.notes import About, Note
from preprocess.media.probe import MediaError, Streams
from preprocess.refusals import Code, Refused
from preprocess.run import sources, work
from preprocess.run.progress import track
from preprocess.store import entries as store

SETTLED = 2.0  # seconds since a file's last change, after which another change would show in its times


@dataclass(frozen=True)
class Probed:
    """The result of reading one file: its digest and streams, or why it cannot be read."""

    media: str
    digest: str = ""
    streams: Streams | None = None
    code: str = ""
    detail: str = ""


def probe_medium(name: str, root: Path) -> Probed:
    path = root / name
    if not path.is_file():
        problem = "is no file" if path.exists() else "is not in the corpus folder"
        return Probed(name, code=Code.MEDIA_MISSING, detail=f"{name} {problem}")
    try:
        streams = probe.streams_of(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except MediaError as error:
        return Probed(name, code=Code.MEDIA_UNREADABLE, detail=f"{name}: {error}")
    except OSError as error:  # a disk that fails
        return Probed(name, code=Code.MEDIA_UNREADABLE, detail=f"{name}: {error.strerror}")
    if not streams.width and not streams.sample_rate:
        return Probed(name, code=Code.NO_STREAM, detail=f"{name} has neither picture nor sound")
    return Probed(name, digest, streams)


def killed_worker(name: str) -> Probed:
    """The result for a file that crashes the process that reads it."""
    return Probed(name, code=Code.WORKER_DIED, detail=f"{name}: the worker that read it died, tried with others and alone")


def state(path: Path) -> list[int] | None:
    """Size, times and inode, which change with a file's content; None for a missing file or one that has only just changed."""
    try:
        status = path.stat()
    except OSError:
        return None
    if time.time() - status.st_ctime < SETTLED:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


class Seen:
    """The results of reading a corpus' files in an earlier run, so that unchanged files are not read again."""

    def __init__(self, root: Path, kept: Path) -> None:
        self.root = root
        self.path = kept / f"{store.place(root)}.json"
        self.made_by = sources.digest("preprocess.stages.manifest")

    def of(self, states: dict[str, list[int] | None]) -> dict[str, Probed]:
        """The earlier results of the files that still have these states; none where the stored table is damaged."""
        try:
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            same = {name: item for name, item in stored["media"].items() if item["state"] == states.get(name, [])}
            return {name: _probed(**item["probed"]) for name, item in same.items()} if stored["by"] == self.made_by else {}
        except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
            return {}

    def store(self, states: dict[str, list[int] | None], results: dict[str, Probed]) -> None:
        """Keep the results of settled files; a crashed worker is tried again."""
        rows = {
            name: {"state": states[name], "probed": vars(probed)}
            for name, probed in results.items()
            if states[name] and probed.code != Code.WORKER_DIED
        }
        store.Store(self.path.parent).write(self.path, json.dumps({"by": self.made_by, "media": rows}, default=vars))


def _probed(streams: dict[str, Any] | None, **texts: str) -> Probed:
    return Probed(streams=Streams.from_json(streams) if streams else None, **texts)


def medium(clip: Clip, probed: Probed) -> Medium | Refused:
    """The part of the file that the clip is, or why there is none."""
    if probed.streams is None:
        return Refused(clip.clip_id, "manifest", probed.code, probed.detail)
    streams = probed.streams
    end = min(clip.end, streams.duration) if clip.end is not None else streams.duration
    if end <= clip.start:
        asked = f"from {clip.start:g} s to {'its end' if clip.end is None else f'{clip.end:g} s'}"
        return Refused(clip.clip_id, "manifest", Code.EMPTY_SPAN, f"{asked}: {probed.media} lasts {streams.duration:g} s")
    return Medium(
        clip_id=clip.clip_id,
        media=probed.media,
        digest=probed.digest,
        start=clip.start,
        end=round(end, 6),
        picture=streams.width > 0,
        sound=streams.sample_rate > 0,
        width=streams.width,
        height=streams.height,
        frame_rate=round(streams.frame_rate, 6),
        sample_rate=streams.sample_rate,
        channels=streams.channels,
        reading=streams.reading.to_json(),
    )


def notes_on(clip: Clip, medium: Medium | None, probed: Probed | None) -> list[Note]:
    """What was corrected in a clip's row, and what is worth knowing of its medium, where it has one that can be read."""
    corrected = [Note(clip.clip_id, About.TABLE, clip.note)] if clip.note else []
    if not medium or not probed or not probed.streams:
        return corrected
    remarks = list(probed.streams.notes)
    if clip.end is not None and clip.end - medium.end > probe.DIFFERENT:
        remarks.append((About.CUT_SHORT, f"the clip's end is {clip.end:g} s, the file's {medium.end:g} s"))
    return corrected + [Note(clip.clip_id, code, f"{probed.media}: {detail}") for code, detail in remarks]


def summary(clips: list[Clip], media: list[Medium], refused: list[Refused], noted: list[Note], above: float) -> dict[str, Any]:
    """Counts of the corpus for `dvc metrics`: clips, hours, streams, splits, labels that are above `above`, and notes and
    refusals by code."""
    labelled = [clip for clip in clips if clip.labels]
    names = sorted({label for clip in labelled for label in clip.labels})
    return {
        "clips": len(clips),
        "hours": round(sum(medium.duration for medium in media) / 3600, 4),
        "with_picture": sum(medium.picture for medium in media),
        "with_sound": sum(medium.sound for medium in media),
        "without_text": sum(not clip.text for clip in clips),
        "splits": {split: sum(clip.split == split for clip in clips) for split in SPLITS},
        "without_split": sum(not clip.split for clip in clips),
        "labelled": len(labelled),
        "positives": {name: sum(clip.labels[name] > above for clip in labelled) for name in names},
        "notes": notes.counts(noted),
        "speakers_in_two_splits": len(corpus.leakage(clips, "speaker")),
        "media_in_two_splits": len(corpus.leaking_media(clips, {item.media: item.digest for item in media})),
        "refused": dict(sorted(Counter(row.code for row in refused).items())),
    }


def write(clips: list[Clip], settings: params.Corpus, media: list[Medium], refused: list[Refused], noted: list[Note]) -> None:
    """One table for each thing that later stages need, so that a new label or text does not decode anything again."""
    shutil.rmtree(FOLDER, ignore_errors=True)  # never written through: its files may be links into DVC's cache
    FOLDER.mkdir(parents=True)
    media_rows = [[_cell(value) for value in vars(medium).values()] for medium in media]
    csv_table.write(FOLDER / "media.csv", [f.name for f in fields(Medium)], media_rows)
    csv_table.write(FOLDER / "texts.csv", ["clip_id", "text"], ([clip.clip_id, clip.text] for clip in clips))
    label_rows = (
        [clip.clip_id, clip.split, clip.speaker, *(clip.labels.get(name, "") for name in settings.labels)] for clip in clips
    )
    csv_table.write(FOLDER / "labels.csv", ["clip_id", "split", "speaker", *settings.labels], label_rows)
    noise_rows = ([clip.clip_id, *(clip.noise.get(name, "") for name in NOISE_COLUMNS)] for clip in clips if clip.noise)
    csv_table.write(FOLDER / "noise.csv", ["clip_id", *NOISE_COLUMNS], noise_rows)
    notes.write(FOLDER / "notes.csv", noted)
    refusals.write(FOLDER / "refused.csv", refused)
    text = json.dumps(summary(clips, media, refused, noted, settings.present_above), indent=2)
    (FOLDER / "summary.json").write_text(text + "\n", encoding="utf-8")


def _cell(value: Any) -> Any:
    """A field of Medium as `clips.read_media` reads it."""
    return (json.dumps(value) if value else "") if isinstance(value, dict) else int(value) if isinstance(value, bool) else value


def probe_all(names: list[str], root: Path, run: params.Run) -> tuple[dict[str, Probed], int]:
    """The result of each file, and how many of them come from an earlier run."""
    seen = Seen(root, run.store_folder / "manifest")
    states = {name: state(root / name) for name in names}
    cached = seen.of(states)
    todo = [name for name in names if name not in cached]
    engine = work.engine(run, "manifest")
    probing = work.each(partial(probe_medium, root=root), todo, engine, "preprocess.stages.manifest", died=killed_worker)
    probed = cached | {item.media: item for item in track(probing, "manifest", len(todo))}
    seen.store(states, probed)
    return probed, len(cached)


def main() -> None:
    settings = params.load()
    root = Path(settings.corpus.root)
    clips = corpus.read(root, settings.corpus.labels)
    if settings.corpus.folds:
        clips = corpus.folded(clips, settings.corpus.folds, settings.corpus.fold)
    names = sorted({clip.media for clip in clips if clip.media})
    probed, cached = probe_all(names, root, settings.run)
    digests = {name: item.digest for name, item in probed.items()}
    leaks = {"speaker": corpus.leakage(clips, "speaker"), "media": corpus.leaking_media(clips, digests)}
    for column, shared in leaks.items():
        for name, splits in shared.items():
            print(f"leakage: {column} {name} is in the splits {', '.join(splits)}", file=sys.stderr)
    items = [medium(clip, probed[clip.media]) for clip in clips if clip.media]
    refused = [item for item in items if isinstance(item, Refused)]
    media = {item.clip_id: item for item in items if isinstance(item, Medium)}
    noted = [note for clip in clips for note in notes_on(clip, media.get(clip.clip_id), probed.get(clip.media))]
    with work.alone("manifest"):
        write(clips, settings.corpus, list(media.values()), refused, noted)
    print(f"manifest: {len(clips)} clips, {len(names) - cached} media read, {cached} known, {len(refused)} refused")
    refusals.announce(refused)
    if noted:
        print(f"{len(noted)} notes on clips from which nothing is missing, in {FOLDER}/notes.csv:")
        print(*notes.in_words(noted), sep="\n")
    with_text = {clip.clip_id for clip in clips if clip.text}
    lost = sum(row.clip_id not in with_text for row in refused)
    refusals.require_few(refused, lost, len(clips), settings.corpus.max_refused)
