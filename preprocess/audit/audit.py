"""`python -m preprocess audit`: look for faults in the corpus, and propose what to do about each.

Are the texts what is said, are the faces those of the speakers, is the sound whole, are two clips the same recording, do labels
contradict those of the clips that are most alike? It reads what the stages up to `align` have made of the corpus, and computes
what is missing, clip by clip, into the store. Its results are report/audit.csv, a row for each finding; report/audit.html, the
same with the clips to play; and report/corrections.csv, for `python -m preprocess.corpora correct`, with the cells of clips.csv
that have a proposal: delete the rows that you do not agree with.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import params
from preprocess import corpus
from preprocess.audit import evidence, faces, findings, labels, marks, page, texts
from preprocess.audit.evidence import Evidence, Sources
from preprocess.audit.findings import FAULT, NOTE, Check, Finding
from preprocess.audit.margins import Margins, extent, usual
from preprocess.audit.signal import QUIET
from preprocess.clips import Medium, Task, read_media, read_texts
from preprocess.corpora.correct import Correction
from preprocess.corpus import Clip, CorpusError
from preprocess.encoders.networks import device as resolve
from preprocess.refusals import Code, Refused
from preprocess.run.stage import Job, Stage, fill
from preprocess.speech import words
from preprocess.stages.transcripts import ALIGNING, MODEL, MODELS, ROLES
from preprocess.store.shards import Shards

DATA, REPORT = Path("data"), Path("report")
NEEDED = ("manifest", "frames", "audio", "faces", "transcripts", "tensors")  # outputs of stages
BESIDE = (-2, -1, 1, 2)  # clips before and after one, in the order of files and times, whose texts are tried
CLIPPED = 0.02  # share of samples near the loud level; of ordinary speech, with noise or without, less than 0.01
DENSE = 0.55  # of the loud level, which a tenth of the samples reach: more than noise does
MOST_SHARED = 0.5  # of the shorter one of two neighbours in a file, up to which they only overlap
UNEQUAL = 0.35  # seconds by which sound and picture may differ: a codec's block, a picture's time


def in_order(clips: list[Clip]) -> list[Clip]:
    return sorted(clips, key=lambda clip: (clip.media, clip.start, clip.clip_id))


def tasks(clips: list[Clip], said: dict[str, str], media: dict[str, Medium], root: Path, squeezed: set[str]) -> Iterator[Task]:
    """The task of each clip with sound or a face; `said` are the texts, given or transcribed, `squeezed` the clips whose words
    touch one end."""
    sounds, faces = (Shards(DATA / stage).digests for stage in ("audio", "faces"))
    ordered = [clip for clip in in_order(clips) if clip.clip_id in media]
    for i, clip in enumerate(ordered):
        has = {"sound": sounds.get(clip.clip_id, ""), "faces": faces.get(clip.clip_id, "")}
        if any(has.values()):
            beside = [ordered[i + step].clip_id for step in BESIDE if 0 <= i + step < len(ordered)] if clip.text else []
            near = {name: said[name] for name in beside if said.get(name) and said[name] != clip.text}
            medium = media[clip.clip_id].decoding(root)
            content = has | {"text": clip.text, "near": near, "medium": medium.content, "squeezed": clip.clip_id in squeezed}
            yield Task(clip.clip_id, content, medium.seconds, medium.source)


def of_signal(clip: Clip, known: Evidence, medium: Medium, rate: float) -> Iterator[Finding]:
    """What is wrong with the sound of a clip, of which at most `rate` pictures a second are kept."""
    sound = known.signal
    if not sound:
        return
    if sound.level < QUIET:
        yield Finding(clip.clip_id, Check.SILENT, FAULT, f"root mean square {sound.level:.4f} of full scale", "leave it out")
    if sound.clipped > CLIPPED or sound.dense > DENSE:
        yield Finding(
            clip.clip_id, Check.CLIPPED, FAULT, f"{sound.clipped:.1%} of the samples are at the limit", "look for the original"
        )
    if sound.gaps:
        spans = ", ".join(f"{start:.2f} to {end:.2f} s" for start, end in sound.gaps)
        yield Finding(clip.clip_id, Check.GAP, FAULT, f"digital silence beside sound: {spans}", "look for the original")
    if known.pictured is not None and medium.frame_rate:
        pictured = known.pictured + 1 / min(medium.frame_rate, rate)
        ahead = sound.seconds - pictured
        if abs(ahead) > UNEQUAL:
            longer = "sound" if ahead > 0 else "picture"
            found = f"the {longer} is {abs(ahead):.2f} s longer"
            end = f"{medium.start + min(sound.seconds, pictured):.3f}"
            correction = Correction(clip.clip_id, "end", texts.written(clip.end), end)
            yield Finding(clip.clip_id, Check.LENGTHS, FAULT, found, f"end at {end} s", (correction,))


def of_refusals(refused: list[Refused]) -> Iterator[Finding]:
    """What the stages have already said of clips that they could not do."""
    for row in refused:
        if row.code == Code.SILENT:
            yield Finding(row.clip_id, Check.SILENT, FAULT, row.detail, "leave it out, or look for the original")
        elif row.code == Code.NO_FACE:
            yield Finding(row.clip_id, Check.FACE, NOTE, row.detail, "look at the film")


def overlap(one: Medium, other: Medium) -> float:
    """The share of the shorter one's time that two parts of one file have in common; 1 where they are of different files."""
    if one.digest != other.digest:
        return 1.0
    return (min(one.end, other.end) - max(one.start, other.start)) / min(one.end - one.start, other.end - other.start)


def of_copies(known: dict[str, Evidence], clips: dict[str, Clip], media: dict[str, Medium]) -> Iterator[Finding]:
    """Pairs of clips that are the same recording. The second of two in different splits is proposed to leave its split.

    Neighbours in one file whose times overlap by less than half of the shorter one are no copies.
    """
    for first, second, lag in marks.copies({clip_id: item.marks for clip_id, item in known.items()}):
        if overlap(media[first], media[second]) < MOST_SHARED:
            continue
        found = (
            f"the recording of {first}, {abs(lag):.1f} s {'later' if lag > 0 else 'earlier'}"
            if lag
            else f"the recording of {first}"
        )
        split, other = clips[second].split, clips[first].split
        leaks = bool(split and other and split != other)
        corrections = (Correction(second, "split", split, ""),) if leaks else ()
        proposal = f"leave one out: they are in {other} and {split}" if leaks else "leave one out"
        yield Finding(second, Check.SAME, FAULT, found, proposal, corrections)


def judge(
    clips: list[Clip], known: dict[str, Evidence], said: dict[str, str], margins: dict[str, Margins], settings: params.Params
) -> list[Finding]:
    """Every finding, in order."""
    media = {medium.clip_id: medium for medium in read_media()}
    middle = usual(margins.values())
    found = [*of_refusals(Shards(DATA / "audio").refused), *of_refusals(Shards(DATA / "faces").refused)]
    for clip in clips:
        item = known.get(clip.clip_id)
        if item:
            medium = media[clip.clip_id]
            sound = list(of_signal(clip, item, medium, settings.frames.rate))
            spans = medium.start, medium.end
            own = margins.get(clip.clip_id)
            text = texts.judge(clip, item.hearing, said, spans, middle, own) if item.hearing else None
            text = texts.judge_long(clip, item.heard, said) if item.heard else text
            found += sound + ([text] if text else [])
    by_id = {clip.clip_id: clip for clip in clips}
    found += of_copies(known, by_id, media)
    found += faces.judge(
        {name: item.look for name, item in known.items() if item.look}, {clip.clip_id: clip.speaker for clip in clips}
    )
    features = labels.read(DATA / "tensors", settings.corpus.present_above)
    found += labels.judge(features, settings.corpus.labels)
    return sorted(found, key=findings.order)


def require_stages(clips: list[Clip]) -> None:
    """CorpusError where the stages have not run, or have run on another table."""
    missing = [name for name in NEEDED if not (DATA / name).is_dir()]
    if missing:
        raise CorpusError(f"data/ has no {', '.join(missing)}: run `dvc repro align` first")
    if read_texts() != {clip.clip_id: clip.text for clip in clips}:
        raise CorpusError("clips.csv has changed since the stages ran: run `dvc repro align` first")


def texts_of(clips: list[Clip]) -> dict[str, str]:
    """What is said in each clip, as far as known: its text, or what was transcribed."""
    transcripts = Shards(DATA / "transcripts")
    return {
        clip.clip_id: clip.text or words.read(transcripts, clip.clip_id).text
        for clip in clips
        if clip.text or clip.clip_id in transcripts.digests
    }


def margins_of(clips: list[Clip], media: dict[str, Medium]) -> dict[str, Margins]:
    """The pauses around the words of each clip with a text whose first and last word were found in its sound."""
    transcripts, found = Shards(DATA / "transcripts"), dict[str, Margins]()
    for clip in clips:
        if clip.text and clip.clip_id in media and clip.clip_id in transcripts.digests:
            spoken = extent(words.read(transcripts, clip.clip_id).words)
            if spoken:
                found[clip.clip_id] = Margins(spoken[0], media[clip.clip_id].duration - spoken[1])
    return found


def summarise(found: list[Finding], clips: int, corrections: int) -> None:
    faults = [finding for finding in found if finding.level == FAULT]
    accused = len({finding.clip_id for finding in faults})
    print(f"audit: {len(faults)} faults in {accused} of {clips} clips, {len(found) - len(faults)} notes; {REPORT}/audit.html")
    for check, count in sorted(Counter(finding.check for finding in faults).items(), key=lambda item: -item[1]):
        print(f"  {count} x {check}: {check.meaning}")
    print(
        f"{corrections} cells with a proposal in {REPORT}/corrections.csv: read it, delete what you do not agree with, and run"
    )
    print(f"  python -m preprocess.corpora correct {REPORT}/corrections.csv")


def main() -> None:
    settings = params.load()
    root, device = Path(settings.corpus.root), resolve(settings.run.device)
    clips = corpus.read(root, settings.corpus.labels)
    require_stages(clips)
    said = texts_of(clips)
    media = {medium.clip_id: medium for medium in read_media()}
    margins = margins_of(clips, media)
    middle = usual(margins.values())
    squeezed = {clip_id for clip_id, item in margins.items() if item.is_squeezed(middle)}
    aligner = MODELS / (ROLES[settings.transcripts.aligner] or "asr")
    sources = Sources(DATA / "audio", DATA / "frames", DATA / "faces", MODEL, aligner, device)
    stage = Stage(
        name="audit",
        module="preprocess.audit.evidence",
        work=partial(evidence.collect, settings=settings, sources=sources),
        parameters={"transcripts": settings.transcripts.model_dump()},
        models=sorted({MODEL, aligner}),
        environment=device,
        preload=["preprocess.audit.hearing", *ALIGNING[settings.transcripts.aligner]]
        if any(clip.text for clip in clips)
        else [],
    )
    todo = list(tasks(clips, said, media, root, squeezed))
    fill(Job(stage, todo), settings.run)
    kept = Shards(stage.folder)
    found = judge(clips, {clip_id: evidence.read(kept, clip_id) for clip_id in kept.digests}, said, margins, settings)
    REPORT.mkdir(exist_ok=True)
    findings.write(REPORT / "audit.csv", found)
    count = findings.write_corrections(REPORT / "corrections.csv", found)
    page.write(REPORT / "audit.html", found, clips, root)
    summarise(found, len(clips), count)
