"""How well the words of the sample are heard and timed, against what was said and when, which `data/sample/truth.csv` has.

`python -m benchmarks.words`, after `make repro` (with any preset that transcribes). A heard text is that of a clip whose text
is blank; one that was refused as too unsure is not kept. Errors of word starts are of texts that were given.
"""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

import params
from preprocess.audit.texts import error_rate
from preprocess.speech import words
from preprocess.store.shards import Shards

ROOT = Path("data/sample")
CLEAN = 0.1  # level of noise in the sound up to which it counts as clean


def rows(name: str) -> list[dict[str, str]]:
    with (ROOT / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def starts(found: list[words.Word], true: list[dict[str, str]]) -> list[float]:
    """Absolute errors of the words' starts, seconds; none where a text has other words than were said."""
    timed = [word for word in found if word.start is not None]
    if len(timed) != len(true):
        return []
    return [abs(word.start - float(of["start"])) for word, of in zip(timed, true, strict=True) if word.start is not None]


def main() -> None:
    clips = {row["clip_id"]: row for row in rows("clips.csv")}
    said: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows("truth.csv"):
        said[row["clip_id"]].append(row)
    shards = Shards(Path("data/transcripts"))
    transcripts = {clip_id: words.read(shards, clip_id) for clip_id in sorted(shards.digests)}
    settings = params.load(params.PATH)
    print(f"{settings.models.asr}\naligner: {settings.transcripts.aligner}")
    for name, most in (("clean sound", CLEAN), ("all", 1.0)):
        chosen = [clip_id for clip_id, row in clips.items() if float(row["noise_audio"]) <= most]
        blank = [clip_id for clip_id in chosen if not clips[clip_id]["text"]]
        kept = [clip_id for clip_id in blank if clip_id in transcripts]
        pairs = [(transcripts[i].text, " ".join(word["word"] for word in said[i])) for i in kept]
        errors = sum(error_rate(heard, true) * len(true.split()) for heard, true in pairs)
        rate = errors / max(1, sum(len(true.split()) for _, true in pairs))
        given = [i for i in chosen if clips[i]["text"] and i in transcripts]
        off = np.array([error for i in given for error in starts(transcripts[i].words, said[i])])
        middle, most_of = (1000 * np.quantile(off, share) for share in (0.5, 0.9))
        print(f"{name}: {len(kept)} of {len(blank)} heard texts kept, word error rate {rate:.3f}")
        print(f"{name}: starts of {len(off)} words, error {middle:.0f} ms (median), {most_of:.0f} ms (90 %)")


if __name__ == "__main__":
    main()
