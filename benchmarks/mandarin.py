"""What the multilingual preset makes of 30 Mandarin sentences: `python -m benchmarks.mandarin` runs the stages up to align.

The sentences are spoken by eSpeak NG, a robot's voice, in three episodes in the published form of M3ED. Every second text is
blank, to be transcribed. The command prints the character error rate of what is kept, and what was refused.
"""

import csv
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
from torchaudio.functional import edit_distance

import params
from benchmarks import processes, voices
from benchmarks.records import Record
from preprocess.speech import words
from preprocess.store.shards import Shards
from preset import apply

TEXT = """
今天天气很好。 我们一起去公园玩吧。 他昨天买了一本新书。 这个问题非常重要。 你为什么不高兴？ 我不知道该怎么办。
老师让学生回答问题。 妈妈做的菜很好吃。 火车马上就要开了。 请把窗户打开。 她的声音很好听。 我明天要去北京开会。
孩子们在外面踢足球。 你能帮我一个忙吗？ 医生说他需要休息。 我已经等了两个小时。 这件衣服太贵了。 昨天晚上下了一场大雨。
他从来没有说过谎。 我们的计划成功了！ 冬天的早晨非常冷。 我喜欢听古典音乐。 别担心，一切都会好的。 他们在讨论新的方案。
这里的风景真美。 请问图书馆在哪里？ 我忘记带手机了。 她终于找到了工作。 大家都在等你的消息。 祝你生日快乐！
"""
SENTENCES = TEXT.split()
SERIES = {"train": "yi", "val": "er", "test": "san"}
VOICE = "cmn+f5"  # of those that were tried, the one that Whisper base understands best
EMOTIONS = ("Happy", "Sad", "Anger,Surprise")
RATE, FRAMES = voices.RATE, 25  # FRAMES: of the times in M3ED's annotation
PAUSE = 0.6  # seconds between two sentences
STAGES = ["models", "manifest", "frames", "audio", "faces", "transcripts"]
STAGES += ["tune_text", "encode_text", "encode_audio", "encode_vision", "align"]


def published(folder: Path, count: int) -> dict[str, str]:
    """M3ED's files for so many sentences, and three episodes; the sentence of each utterance."""
    said: dict[str, str] = {}
    tree: dict = {}
    for i, (name, series) in enumerate(SERIES.items()):
        dialog, waves, begin = {}, list[np.ndarray](), 0
        for k, sentence in enumerate(SENTENCES[i:count:3]):
            wave = voices.say(sentence, VOICE, speed=130)
            utterance, length = f"{series}_1_{k}", len(wave) + (-len(wave)) % (RATE // FRAMES)
            said[utterance] = sentence
            emotion = {"final_mul_emo": EMOTIONS[k % 3], "final_main_emo": EMOTIONS[k % 3].partition(",")[0]}
            times = {"StartTime": time(begin), "EndTime": time(begin + length)}
            dialog[utterance] = times | {"Text": sentence, "Speaker": "AB"[k % 2], "EmoAnnotation": emotion}
            waves.append(np.pad(wave, (0, length - len(wave) + int(PAUSE * RATE))))
            begin += len(waves[-1])
        tree[series] = {f"{series}_1": {"SpeakerInfo": {"A": {"Name": "房似锦"}, "B": {"Name": "徐文昌"}}, "Dialog": dialog}}
        (folder / "films" / series).mkdir(parents=True)
        soundfile.write(folder / "films" / series / "01.wav", np.concatenate(waves), RATE)
        (folder / f"movie_list_{name}.txt").write_text(f"{series}\n", encoding="utf-8")
    (folder / "annotation.json").write_text(json.dumps(tree, ensure_ascii=False), encoding="utf-8")
    episodes = {series: {f"{series}_1": {"episode": 1}} for series in SERIES.values()}
    (folder / "episodes.json").write_text(json.dumps(episodes), encoding="utf-8")
    return said


def time(samples: int) -> str:
    """HH:MM:SS:FF"""
    seconds, frames = divmod(samples * FRAMES // RATE, FRAMES)
    return f"00:{seconds // 60:02}:{seconds % 60:02}:{frames:02}"


def conversion(folder: Path, target: str) -> list[str]:
    """The command that makes a corpus folder of these files."""
    files = ["--annotation", f"{folder}/annotation.json", "--splits", str(folder), "--episodes", f"{folder}/episodes.json"]
    return ["-m", "preprocess.corpora", "m3ed", *files, "--videos", f"{folder}/films", target]


def blank(table: Path) -> None:
    """Leave out every second text of a corpus."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[1::2]:
        row["text"] = ""
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@dataclass(frozen=True)
class Heard:
    """A clip's words beside what was said."""

    clip_id: str
    said: str  # characters that are pronounced
    text: str
    transcribed: bool
    ordered: bool  # every word has a time, and none begins before the one before it ends
    errors: int  # characters that are wrong, missing or too many


def heard(transcripts: Path, said: dict[str, str]) -> Iterator[Heard]:
    shards = Shards(transcripts)
    for clip_id in sorted(shards.digests):
        found = words.read(shards, clip_id)
        times = [(word.start, word.end) for word in found.words]
        ordered = all(start is not None and end is not None and start < end for start, end in times)
        ordered = ordered and all((before[1] or 0) <= (after[0] or 0) + 1e-6 for before, after in pairwise(times))
        sentence, text = (re.sub(r"[\W\d]", "", written) for written in (said[clip_id], found.text))
        yield Heard(clip_id, sentence, text, found.transcribed, ordered, edit_distance(sentence, text))


def main() -> None:
    record = Record("mandarin", f"{len(SENTENCES)} sentences, presets/multilingual.yaml")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        said = published(folder / "m3ed", len(SENTENCES))
        path = folder / "params.yaml"
        path.write_bytes(params.PATH.read_bytes())
        for preset in ("multilingual", "m3ed"):
            apply(Path("presets") / f"{preset}.yaml", path)
        print(processes.run([sys.executable, *conversion(Path("m3ed"), "data/corpora/m3ed")], folder).printed)
        blank(folder / "data/corpora/m3ed/clips.csv")
        for stage in STAGES:
            program = processes.run([sys.executable, "-m", "preprocess", stage], folder)
            record.add(stage, program.figures())
            print(*(line for line in program.printed.splitlines() if line.startswith((stage, " "))), sep="\n", flush=True)
        clips = list(heard(folder / "data/transcripts", said))
    kept = [clip for clip in clips if clip.transcribed]
    for clip in kept:
        print(clip.said, clip.text, sep="\t")
    characters = sum(len(clip.said) for clip in kept)
    figures: dict[str, float] = {
        "texts kept": len(kept),
        "of": len(said) // 2,
        "clips in order": sum(clip.ordered for clip in clips),
    }
    figures["character error rate"] = sum(clip.errors for clip in kept) / max(1, characters)
    record.add("heard", {name: float(value) for name, value in figures.items()})
    record.write()


if __name__ == "__main__":
    main()
