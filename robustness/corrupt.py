"""Stage corrupt: clips whose raw sound, pictures or words are corrupted go through every stage again, to rows of features.

    python -m robustness corrupt

An entry has the rows of the modalities that changed. Sound and pictures keep the words' times of the clean clip; words that
are heard from corrupted sound have times of their own, by which the rows of the other modalities are cut again.
"""

import json
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from safetensors.numpy import save_file

import params
from contract import MODALITIES
from preprocess.clips import Medium, Task, read_media
from preprocess.encoders import states
from preprocess.encoders.networks import device as resolve
from preprocess.encoders.states import TimedStates
from preprocess.media import failure, sound
from preprocess.media.decoder import ffmpeg_version, limits_of
from preprocess.refusals import Code, Refused
from preprocess.run.inputs import model_digest
from preprocess.run.stage import Job, Stage, fill
from preprocess.speech import words
from preprocess.speech.words import Word
from preprocess.stages import align
from preprocess.store import shards
from preprocess.store.shards import Shards
from robustness import cases
from robustness.bench import NETWORKS, TEXT_MODEL, Bench
from robustness.cases import FOLDER, NOTE, ROWS, Case
from robustness.kinds import KINDS, of_modality

PRELOAD = ["robustness.picture", "robustness.raw", "robustness.sound", "preprocess.encoders.sound_encoder"]
BABBLE, OTHERS = "babble", 4  # the kind in which other clips are heard, and how many of them


@dataclass(frozen=True)
class Corruption(Stage):
    """A stage whose output lies in a folder of its choice."""

    target: Path = FOLDER

    @property
    def folder(self) -> Path:
        return self.target


@cache
def media() -> dict[str, Medium]:
    return {medium.clip_id: medium for medium in read_media()}


@cache
def output(stage: str) -> Shards:
    """What a stage made of the corpus as it is."""
    return Shards(Path("data") / stage)


def spoken(clip_id: str) -> list[Word]:
    """The words of the clip as it is."""
    return words.read(output("transcripts"), clip_id).words if clip_id in output("transcripts").digests else []


def timed(stage: str, clip_id: str) -> TimedStates | None:
    return states.read_timed(output(stage), clip_id) if clip_id in output(stage).digests else None


def corrupt(task: Task, folder: Path, settings: params.Params, device: str) -> None:
    """In a worker: the rows of one case."""
    case = Case(task.content["clip_id"], task.content["kind"], task.content["level"])
    with TemporaryDirectory(dir=folder) as place:
        bench = Bench(case.clip_id, Path(place), settings, device, [])
        try:
            changed, clip = _rows(case, bench, [clip_id for clip_id, _ in task.content["others"]])
        finally:
            shards.close(Path(place))
    rows = align.rows(clip, settings.align)
    arrays = {
        f"{m}{suffix}": value
        for m in changed
        if m in rows
        for suffix, value in (("", rows[m].states), ("_mask", rows[m].mask), ("_time", rows[m].times))
    }
    save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, folder / ROWS)
    note = {
        "changed": changed,
        "text": " ".join(word.word for word in clip.words),
        "refused": [[row.stage, row.code, row.detail] for row in bench.refused],
    }
    (folder / NOTE).write_text(json.dumps(note, ensure_ascii=False, indent=1), encoding="utf-8")


def _rows(case: Case, bench: Bench, others: list[str]) -> tuple[list[str], align.Clip]:
    """The modalities that change, and the clip with their states; what does not change has none."""
    medium, own = media().get(case.clip_id), spoken(case.clip_id)
    clip = align.Clip(case.clip_id, medium.duration if medium else 0.0, own, None, None, None)
    modality = case.what.modality
    if modality == "audio":
        return ["audio"], replace(clip, audio=_sound(case, bench, others))
    if modality == "vision":
        return ["vision"], replace(clip, vision=_vision(case, bench))
    if modality == "text":
        new = _words(case, bench, others, own)
        encoded = bench.encode_words(new)
        heard, seen = (timed(stage, case.clip_id) for stage in ("encode_audio", "encode_vision"))
        return list(MODALITIES), replace(clip, words=new, text=encoded, audio=heard, vision=seen)
    return list(MODALITIES), _everything(case, bench, others, clip)


def _sound(case: Case, bench: Bench, others: list[str]) -> TimedStates | None:
    """States of the corrupted sound, which `bench` has heard afterwards."""
    _hear(case, case.kind, bench, others)
    return bench.encode_sound()


def _hear(case: Case, kind: str, bench: Bench, others: list[str]) -> None:
    from robustness import raw
    from robustness import sound as sounds  # imports torch, which the parent process does without

    medium, root, decoder = media()[case.clip_id], Path(bench.settings.corpus.root), bench.settings.decoder
    with failure.refused(Code.NO_SAMPLES):
        wave = raw.read_sound(medium, root, decoder, bench.folder)
    waves = (sound.wave(output("audio"), clip_id) for clip_id in (others if kind == BABBLE else ()))
    voices = [sounds.at_rate(voice, sound.SAMPLE_RATE, medium.sample_rate) for voice in waves]
    rng = cases.generator(bench.settings.robustness.seed, case.clip_id, kind, case.level)
    wave = sounds.corrupted(wave, medium.sample_rate, kind, KINDS[kind].strength(case.level), rng, voices)
    bench.hear(raw.write_sound(bench.folder, wave, medium.sample_rate), medium)


def _vision(case: Case, bench: Bench, kind: str = "") -> TimedStates | None:
    """States of the corrupted pictures."""
    from robustness import picture, raw  # imports OpenCV

    kind = kind or case.kind
    medium, settings = media()[case.clip_id], bench.settings
    rng = cases.generator(settings.robustness.seed, case.clip_id, kind, case.level)
    with failure.refused(Code.NO_FRAMES):
        pictures = raw.read_pictures(medium, Path(settings.corpus.root), settings.frames.rate, settings.decoder, bench.folder)
        changed = picture.corrupted(pictures, medium.duration, kind, KINDS[kind].strength(case.level), rng)
        film, *size = raw.write_pictures(bench.folder, changed)
    if not any(size):
        bench.refused.append(Refused(case.clip_id, "frames", Code.NO_FRAMES, "every picture is lost"))
        return None
    return bench.look(film, medium, (size[0], size[1]), medium.sound and case.clip_id in output("audio").digests)


def _words(case: Case, bench: Bench, others: list[str], own: list[Word]) -> list[Word]:
    """The words that are left."""
    from robustness import text

    if case.what.sound:
        _hear(case, case.what.sound, bench, others)
        return bench.transcribe()
    rng = cases.generator(bench.settings.robustness.seed, case.clip_id, case.kind, case.level)
    return text.corrupted(own, case.kind, case.what.strength(case.level), rng)


def _everything(case: Case, bench: Bench, others: list[str], clip: align.Clip) -> align.Clip:
    """One sound and one picture corruption, drawn for the clip whatever the level; the words are heard from that sound."""
    from robustness import text

    rng = cases.generator(bench.settings.robustness.seed, case.clip_id, case.kind, 0)
    drawn = {m: str(rng.choice(of_modality(m))) for m in ("audio", "vision")}
    new, audio, vision = clip.words, None, None
    if case.clip_id in output("audio").digests:
        _hear(case, drawn["audio"], bench, others)
        new, audio = bench.transcribe(), bench.encode_sound()
    elif new:
        new = text.corrupted(new, "lost_words", KINDS["lost_words"].strength(case.level), rng)
    if case.clip_id in output("frames").digests:
        vision = _vision(case, bench, drawn["vision"])
    return replace(clip, words=new, text=bench.encode_words(new), audio=audio, vision=vision)


def tasks(settings: params.Params, found: list[Case]) -> list[Task]:
    """A task for each case; its content is all that its rows depend on."""
    networks = {folder.name: model_digest(folder) for folder in sorted(NETWORKS.iterdir()) if (folder / "model.json").is_file()}
    networks["text"] = model_digest(TEXT_MODEL)
    return [_task(case, settings, networks) for case in found]


def _task(case: Case, settings: params.Params, networks: dict[str, str]) -> Task:
    medium, modality = media().get(case.clip_id), case.what.modality
    hears = modality in ("audio", "all") or bool(case.what.sound)
    looks = modality in ("vision", "all")
    reads = modality in ("text", "all")
    encode = settings.encode
    used = {
        "align": settings.align.model_dump(exclude={"normalise"}),
        "encode": [x.model_dump() for x, uses in ((encode.text, reads), (encode.audio, hears), (encode.vision, looks)) if uses],
        "pictures": [settings.frames.model_dump(), settings.faces.model_dump()] if looks else [],
        "transcripts": settings.transcripts.model_dump() if hears and reads else {},
    }
    needed = ["transcripts", *(["encode_audio", "encode_vision"] if reads else []), *(["audio"] if looks else [])]
    roles = {"text": reads, "audio": hears, "asr": hears and reads, "aligner": hears and reads, "face": looks, "vision": looks}
    content = {
        "clip_id": case.clip_id,
        "kind": case.kind,
        "level": case.level,
        "seed": settings.robustness.seed,
        "medium": medium.decoding(Path()).content if medium and (hears or looks) else {},
        "clean": {stage: output(stage).digests.get(case.clip_id, "") for stage in needed},
        "others": others_of(case, settings.robustness.seed)
        if BABBLE in (case.kind, case.what.sound) or modality == "all"
        else [],
        "settings": used,
        "networks": [networks.get(role, "") for role, uses in roles.items() if uses],
    }
    return Task(case.name, content, medium.duration if medium else 0.0)


@cache
def _speakers() -> dict[str, str]:
    return cases.speakers()


def others_of(case: Case, seed: int) -> list[list[str]]:
    """Id and digest of other clips with sound, for their voices: of other speakers, if there are any."""
    digests, who, own = output("audio").digests, _speakers(), case.clip_id
    others = [other for other in digests if other != own]
    strangers = [other for other in others if who.get(other, other) != who.get(own, own)]
    found = strangers or others or [own]
    order = cases.generator(seed, own, "others", 0).permutation(len(found))
    return [[found[i], digests.get(found[i], "")] for i in order[:OTHERS].tolist()]


def make(settings: params.Params, found: list[Case], folder: Path) -> None:
    """Fill a folder with the rows of these cases."""
    device = resolve(settings.run.device, settings.run.engine == "ray")
    stage = Corruption(
        name="corrupt",
        module="robustness.corrupt",
        work=partial(corrupt, settings=settings, device=device),
        parameters={},
        environment=f"{device} {ffmpeg_version(settings.decoder.ffmpeg)}",
        limits=limits_of(settings.decoder),
        preload=PRELOAD,
        target=folder,
    )
    fill(Job(stage, tasks(settings, found)), settings.run)


def main() -> None:
    settings = params.load()
    make(settings, cases.planned(settings), FOLDER)
