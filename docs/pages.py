"""Pictures of the pages, from a finished run on the sample corpus, in a real browser: report.png, clips.png and film.png.

Part of `python -m docs.pictures`; alone: `python -m docs.pages`. The film is made of films of the sample, one after another,
and takes a minute to predict.
"""

import csv
import io
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from docs import browser
from preprocess.media.decoder import ffmpeg_path

TARGET = Path(__file__).resolve().parent
PAGE = Path("report/index.html")
COLOURS = 160  # of a picture's palette: few, so that the file is small
WIDTH, HEIGHT = 1280, 980
# Hides most of the report, so that its head, the scores and two clips make one picture.
SHORT = """nav, #bench, #pictures, #reading, details, .legend,
article:not(:nth-of-type(3n + 1)), article:nth-of-type(n + 5) { display: none }
h2 { margin: 1.5rem 0 0.5rem }"""
SPEAKER, FILMS, MOMENT = "speaker10", 16, 18.2  # whose films make the talk, how many, and the second that is shown
LOUD = 0.3  # noise of sound and picture up to which a film is taken
EDGE = 24  # pixels around what is shown


def shrink(picture: Image.Image, name: str) -> None:
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(TARGET / name, optimize=True)
    print(f"{TARGET / name}: {(TARGET / name).stat().st_size / 1000:.0f} kB")


def shot(page: Any, **options: Any) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot(**options))).convert("RGB")


def when(page: Any, expression: str) -> None:
    """Wait until an expression holds; Playwright's own way is against the page's policy."""
    deadline = time.monotonic() + 30
    while not page.evaluate(expression):
        if time.monotonic() > deadline:
            sys.exit(f"the page does not come to {expression}")
        time.sleep(0.1)


def draw_report(launched: Any) -> None:
    """Head, scores and two clips of the report."""
    page = launched.new_page(bypass_csp=True, viewport={"width": WIDTH, "height": HEIGHT})
    page.goto(PAGE.resolve().as_uri())
    page.add_style_tag(content=SHORT)
    picture = shot(page, full_page=True)
    filled = np.flatnonzero((np.asarray(picture) != np.asarray(picture)[-1, -1]).any(axis=(1, 2)))
    shrink(picture.crop((0, 0, WIDTH, min(picture.height, int(filled[-1]) + EDGE))), "report.png")


def draw_clips(launched: Any) -> None:
    """The report's table, the most doubtful clips first, and one of them beside it."""
    page = launched.new_page(viewport={"width": WIDTH, "height": 860})
    page.goto(PAGE.resolve().as_uri())
    page.get_by_role("button", name="Most doubtful first").click()
    page.locator("table.long tbody tr:not(.spacer)").nth(1).click()
    when(page, "document.querySelector('#screen video').currentTime > 0.8")
    page.evaluate("document.querySelector('#screen video').pause()")
    page.locator("#bench").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#bench').scrollIntoView()")
    time.sleep(1)  # the pictures of the time line are taken from the film
    shrink(shot(page), "clips.png")


def draw_film(launched: Any) -> None:
    with TemporaryDirectory() as folder:
        talk, written = Path(folder) / "talk.mp4", Path(folder) / "talk.html"
        join(talk)
        subprocess.run([sys.executable, "-m", "lddu", "predict", str(talk), "-o", str(written)], check=True)
        page = launched.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(written.as_uri())
        when(page, "document.querySelector('video').readyState >= 2")
        page.evaluate("time => { view.player.time = time; }", MOMENT)
        when(page, "!document.querySelector('video').seeking")
        time.sleep(1)
        shrink(shot(page), "film.png")


def join(target: Path) -> None:
    """One film of clips of SPEAKER in which face and voice are clear."""
    with Path("data/sample/clips.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["speaker"] == SPEAKER]
    clear = [row["media"] for row in rows if max(float(row["noise_audio"]), float(row["noise_vision"])) <= LOUD][:FILMS]
    inputs = [part for media in clear for part in ("-i", f"data/sample/{media}")]
    streams = "".join(f"[{i}:v][{i}:a]" for i in range(len(clear)))
    graph = ["-filter_complex", f"{streams}concat=n={len(clear)}:v=1:a=1"]
    encoded = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart"]
    command = [ffmpeg_path("bundled"), "-nostdin", "-loglevel", "error", *inputs, *graph, *encoded, str(target)]
    subprocess.run(command, check=True)


def draw() -> None:
    program = browser.program()
    if program is None:
        sys.exit("no Chromium on the PATH: the pictures of the pages are left as they are")
    with browser.opened(program) as launched:
        draw_report(launched)
        draw_clips(launched)
        draw_film(launched)


if __name__ == "__main__":
    draw()
