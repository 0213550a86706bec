"""What the store has of every stage, and what it lacks, without computing anything.

What a stage reads of those before it is taken from the store. Where a clip is not made there yet, its content is unknown: the
clip then counts as to be done in the later stages too.
"""

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import params
from preprocess import corpus
from preprocess.clips import Medium, Task, read_media, read_texts
from preprocess.corpus import Clip
from preprocess.refusals import Refused
from preprocess.run import work
from preprocess.run.inputs import Inputs, model_digest
from preprocess.run.stage import Stage, finished, keys_of
from preprocess.stages import manifest, models
from preprocess.store.entries import Store
from preprocess.store.shards import REFUSED, Shards

BY_CLIP = ("frames", "audio", "faces", "transcripts", "encode_text", "encode_audio", "encode_vision", "align")
UNKNOWN = "not made yet"  # in place of a digest
COMMENT, END = 64, 22  # bytes at the end of an entry: its digest, and the zip archive's last record before it


class Foretold(Shards):
    """What the output of a stage would hold: digests alone."""

    def __init__(self, folder: Path, digests: dict[str, str]) -> None:
        super().__init__(folder)
        self.digests = digests

    def size(self, clip_id: str, name: str) -> int:
        return 0


class Foreseen(Inputs):
    """What the stages would read, if those before them had run."""

    def __init__(self, settings: params.Params, media: list[Medium], texts: dict[str, str], retuned: bool = False) -> None:
        self.settings = settings
        self.retuned = retuned  # whether the text encoder will be tuned anew
        self._media = media
        self._texts = texts
        self.outputs: dict[str, Shards] = {}

    def media(self) -> list[Medium]:
        return self._media

    def texts(self) -> dict[str, str]:
        return self._texts

    def output(self, stage: str) -> Shards:
        return self.outputs[stage]

    def model(self, folder: Path) -> str:
        tuned = folder.name == "text_model"
        role = "text" if tuned else folder.name
        is_laid = models.is_laid(models.FOLDER / role, getattr(self.settings.models, role))
        if not is_laid or (tuned and (self.retuned or (self.settings.tune.text.epochs and not folder.is_dir()))):
            return UNKNOWN
        return model_digest(folder if tuned and self.settings.tune.text.epochs else models.FOLDER / role)


@dataclass(frozen=True)
class Sight:
    """How far a stage is."""

    stage: Stage
    store: Store
    keys: dict[str, str]  # of its clips
    refused: int
    todo: list[Task]
    is_known: bool  # whether everything that the stage reads is there; otherwise some of `todo` may turn out to be done

    @property
    def there(self) -> int:
        """Clips that are finished, those included that were refused."""
        return len(self.keys) - len(self.todo)


def look(settings: params.Params, inputs: Foreseen) -> Iterator[Sight]:
    """The state of every stage over clips, in the order of the pipeline."""
    for name in BY_CLIP:
        job = importlib.import_module(f"preprocess.stages.{name}").job(settings, inputs)
        store = Store(settings.run.store_folder / name)
        keys = keys_of(job, inputs, work.gpu_kind(settings.run, job.stage.environment))
        digests: dict[str, str] = {}
        refused, todo, is_known = 0, [], all(inputs.model(folder) != UNKNOWN for folder in job.stage.models)
        for task in job.tasks:
            digest, is_refusal = glance(store.path(keys[task.clip_id]))
            if is_refusal and finished(job.stage, store, keys[task.clip_id]):
                refused += 1
                continue
            if not digest or is_refusal:
                todo.append(task)
                is_known &= UNKNOWN not in task.content.values()
            digests[task.clip_id] = (not is_refusal and digest) or UNKNOWN
        inputs.outputs[name] = Foretold(job.stage.folder, digests)
        yield Sight(job.stage, store, keys, refused, todo, is_known)


def glance(entry: Path) -> tuple[str, bool]:
    """The digest of an entry, "" where there is none, and whether it is a refusal: its last bytes say so, the rest is not
    read."""
    size = len(REFUSED) + END + COMMENT
    try:
        with entry.open("rb") as file:
            file.seek(-size, os.SEEK_END)
            last = file.read()
    except OSError:
        return "", False
    return last[-COMMENT:].decode("ascii", "replace"), last.startswith(REFUSED.encode())


def published(settings: params.Params) -> Foreseen:
    """The clips of the manifest as it was written last."""
    return Foreseen(settings, read_media(), read_texts())


def planned(settings: params.Params, retuned: bool) -> tuple[Foreseen, int, int]:
    """The clips of clips.csv as it is now, how many media there are, and how many of them have to be read first.

    Of those it is unknown what they hold: they count as films with sound.
    """
    root = Path(settings.corpus.root)
    clips = corpus.read(root, settings.corpus.labels)
    names = sorted({clip.media for clip in clips if clip.media})
    known = manifest.Seen(root, settings.run.store_folder / "manifest").of(
        {name: manifest.state(root / name) for name in names}
    )
    items = [manifest.medium(clip, known[clip.media]) if clip.media in known else _unread(clip) for clip in clips if clip.media]
    media = [item for item in items if not isinstance(item, Refused)]
    texts = {clip.clip_id: clip.text for clip in clips}
    return Foreseen(settings, media, texts, retuned), len(names), len(names) - len(known)


def _unread(clip: Clip) -> Medium:
    length = {"start": clip.start, "end": clip.end or clip.start, "frame_rate": 0.0}
    pictures = {"picture": True, "sound": True, "width": 0, "height": 0, "sample_rate": 0, "channels": 0}
    return Medium(clip_id=clip.clip_id, media=clip.media, digest=UNKNOWN, **length, **pictures)  # type: ignore[arg-type]
