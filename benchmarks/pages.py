"""How large and how fluid the pages are: that of a film of an hour, and a report of 20,000 clips.

    python -m benchmarks.pages    # in a checkout with report/index.html; it needs Chromium on the PATH

A page is loaded three times: "first_paint" is when something is to be seen, "ready" when its script has drawn everything, each
the slowest. Then it is scrolled, frame by frame and in jumps: "longest_frame" is the longest time from one frame to the next,
"jump_processor" the most that the page computed for a jump, which is nearly the same on a busy machine. The command ends with
an error where a limit is passed.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from benchmarks.records import Figures, Record
from docs import browser
from lddu.channels import Channel
from lddu.decisions import Decision
from lddu.formats.document import Document, Glimpse, Recording, Utterance, Word
from lddu.page import film, html
from preprocess.media.decoder import ffmpeg_path

LARGEST, PAINT, FRAME = 20.0, 2.0, 0.1  # megabytes without the film, seconds, seconds
SECONDS, PACE, SPOKEN = 3600, 4, 3.5  # of the film; from one utterance to the next; of an utterance
LABELS = ("happy", "sad", "anger", "surprise", "disgust", "fear")
MODALITIES = ("text", "audio", "vision")
SAID = ("so", "this", "is", "what", "people", "say", "in", "four", "seconds", "now")
LOADS, FRAMES, JUMPS, STEP = 3, 120, 40, 90  # STEP: pixels from frame to frame
PICTURE = ["-f", "lavfi", "-i", f"testsrc=size=320x180:rate=5:duration={SECONDS}"]
SOUND = ["-f", "lavfi", "-i", f"anoisesrc=color=pink:sample_rate=16000:duration={SECONDS}"]
ENCODED = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k"]
DATA = re.compile(r'(<script type="application/json" id="data">)(.*?)(</script>)', re.S)
# Seconds of every frame while an element is scrolled.
SCROLL = """async ([selector, side, frames, jumps, step]) => {
  const node = document.querySelector(selector), long = side === "scrollLeft" ? node.scrollWidth : node.scrollHeight;
  const frame = () => new Promise(requestAnimationFrame), times = [];
  let before = await frame();
  for (let i = 0; i < frames + jumps; i++) {
    if (i < frames) node[side] += step; // pixels; of a jump its number
    else node[side] = long * ((step * 0.618) % 1);
    const now = await frame();
    times.push((now - before) / 1000);
    before = now;
  }
  return [...times, (await frame() - before) / 1000]; // with the frame in which the last of it was drawn
}"""
PRESS = """async (selector) => {
  const begin = performance.now();
  document.querySelector(selector).click();
  await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return (performance.now() - begin) / 1000;
}"""


def utterances(rng: np.random.Generator) -> Iterator[Utterance]:
    """What is said in an hour, without a long pause."""
    for start in range(0, SECONDS, PACE):
        edges = np.linspace(start, start + SPOKEN, len(SAID) + 1).round(3).tolist()
        words = tuple(Word(word, a, b, 1.0) for word, a, b in zip(SAID, edges[:-1], edges[1:], strict=True))
        labels = {
            label: Decision(p, p > 0.6, None, dict.fromkeys(MODALITIES, 1 - p), 0.5 - abs(p - 0.5), p > 0.7, {})
            for label, p in zip(LABELS, rng.random(len(LABELS)).round(4).tolist(), strict=True)
        }
        channels = {m: Channel(0.5, 0.2) for m in MODALITIES}
        yield Utterance(start, start + SPOKEN, labels, MODALITIES, " ".join(SAID), True, words, channels=channels)


def faces(rng: np.random.Generator) -> Iterator[Glimpse]:
    """A picture for every second, as large as one of a face."""
    for time in range(SECONDS):
        picture = cv2.resize(rng.integers(0, 255, (12, 12, 3), np.uint8), (96, 96), interpolation=cv2.INTER_LINEAR)
        yield Glimpse(float(time), cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes())


def hour(folder: Path) -> Path:
    """The page of a film of an hour."""
    source, page, rng = folder / "hour.mp4", folder / "hour.html", np.random.default_rng(1)
    subprocess.run(
        [ffmpeg_path("bundled"), "-nostdin", "-loglevel", "error", *PICTURE, *SOUND, *ENCODED, str(source)], check=True
    )
    recording = Recording(str(source), tuple(utterances(rng)), source, glimpses=tuple(faces(rng)))
    film.write(Document(LABELS, MODALITIES, (recording,), {}, dict.fromkeys(LABELS, 0.6)), page)
    return page


def report(source: Path, folder: Path, clips: int) -> Path:
    """A report whose clips come again and again, each time with another id, until there are so many."""
    page, text = folder / "report.html", source.read_text(encoding="utf-8")
    found = DATA.search(text)
    if not found:
        sys.exit(f"{source} is no report with a table of clips")
    tree = json.loads(found[2])
    rows, place = tree["clips"], tree["columns"].index("id")
    tree["clips"] = [
        [f"{value}-{i}" if k == place else value for k, value in enumerate(rows[i % len(rows)])] for i in range(clips)
    ]
    page.write_text(text[: found.start(2)] + str(html.data(tree)) + text[found.end(2) :], encoding="utf-8")
    return page


def loaded(window: Any, page: Path) -> Figures:
    """The slowest of LOADS, in seconds."""
    paints, ready = [], []
    for _ in range(LOADS):
        window.goto(page.as_uri())
        paints.append(window.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"))
        ready.append(window.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventStart / 1000"))
    return {"megabytes": page.stat().st_size / 1e6, "first_paint": max(paints), "ready": max(ready)}


def scrolled(window: Any, selector: str, side: str) -> Figures:
    """How an element scrolls; `side` is scrollLeft or scrollTop."""
    session = window.context.new_cdp_session(window)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def computed() -> float:
        found = {item["name"]: item["value"] for item in session.send("Performance.getMetrics")["metrics"]}
        return float(found["TaskDuration"])

    times = window.evaluate(SCROLL, [selector, side, FRAMES, 0, STEP])
    work = []
    for i in range(JUMPS):
        before = computed()
        times += window.evaluate(SCROLL, [selector, side, 0, 1, i])
        work.append(computed() - before)
    session.detach()
    return {"longest_frame": max(times), "median_frame": float(np.median(times)), "jump_processor": max(work)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--report", type=Path, default=Path("report/index.html"), help="of a finished run")
    parser.add_argument("--clips", type=int, default=20_000)
    options = parser.parse_args()
    program = browser.program()
    if program is None:
        sys.exit("there is no Chromium on the PATH")
    record, figures = Record("pages", f"an hour of film, {options.clips} clips"), dict[str, Figures]()
    with TemporaryDirectory() as temporary, browser.opened(program) as launched:
        folder, window = Path(temporary), launched.new_page()
        figures["film"] = loaded(window, hour(folder))
        figures["film, time line"] = scrolled(window, ".tl-scroll", "scrollLeft")
        figures["film, words"] = scrolled(window, ".transcript", "scrollTop")
        figures["report"] = loaded(window, report(options.report, folder, options.clips))
        figures["report, table"] = scrolled(window, ".long-scroll", "scrollTop")
        figures["report, sorting"] = {"seconds": window.evaluate(PRESS, "table.long th:nth-child(6) button")}
    for case, of in figures.items():
        record.add(case, of)
    record.write()
    slow = [case for case, of in figures.items() if of.get("longest_frame", 0) > FRAME or of.get("first_paint", 0) > PAINT]
    if slow or figures["film"]["megabytes"] > LARGEST:
        sys.exit(f"too slow: {', '.join(slow) or 'nothing'}; the film's page has {figures['film']['megabytes']:.1f} MB")


if __name__ == "__main__":
    main()
