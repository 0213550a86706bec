"""The page of a film, in a real browser."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lddu.formats.document import Document, Recording
from lddu.page import film
from tests.lddu.page import films
from tests.lddu.page.conftest import until
from tests.lddu.page.films import BEEP, BEEPS, HOSTILE, SECONDS, beeping, document

ELEMENTS = 20_000  # on the page of an hour, at most
# Where the cursor is, in seconds.
CURSOR = """() => {
  const line = document.querySelector('.tl-scroll'), left = (node) => node.getBoundingClientRect().left;
  return (left(line.querySelector('.tl-cursor')) + 1 - left(line.querySelector('.tl-space'))) / Number(line.dataset.scale);
}"""
# An ear at the film's sound, asked whenever the page is told of a new moment while it plays: the cursor's and the film's time
# there, and whether a tone is heard.
LISTEN = (
    """async () => {
  const media = document.querySelector('video'), context = new AudioContext(), ear = context.createAnalyser();
  ear.fftSize = 2048;
  const source = context.createMediaElementSource(media), samples = new Float32Array(ear.fftSize), found = [];
  source.connect(ear);
  ear.connect(context.destination);
  await context.resume();
  const cursor = """
    + CURSOR
    + """;
  view.player.follow(() => {
    if (media.paused) return;
    ear.getFloatTimeDomainData(samples);
    found.push([cursor(), media.currentTime, samples.some((x) => Math.abs(x) > 0.1)]);
  });
  await media.play();
  while (!media.ended && media.currentTime < 5) await new Promise(requestAnimationFrame);
  media.pause();
  return found;
}"""
)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return beeping(tmp_path_factory.mktemp("films") / "talk.mp4")


@pytest.fixture
def written(talk: Path, tmp_path: Path) -> Path:
    film.write(document(talk), tmp_path / "talk.html")
    return tmp_path / "talk.html"


def test_it_plays_with_the_cursor_where_the_sound_is(written: Path, visit: Callable[..., Any]) -> None:
    page = visit(written)
    until(page, "document.querySelector('video').readyState >= 3")
    assert page.evaluate("document.querySelector('video').duration") == pytest.approx(SECONDS, abs=0.1)
    found = page.evaluate(LISTEN)
    assert max(abs(cursor - played) for cursor, played, _ in found) < 0.05
    heard = [played for _, played, loud in found if loud]
    # What is heard has gone through the buffers of the output: it is late by as much as these are long.
    assert all(any(beep - 0.05 < played < beep + BEEP + 0.4 for beep in BEEPS) for played in heard)
    found_beeps = [beep for beep in BEEPS if any(beep - 0.05 < played < beep + BEEP + 0.4 for played in heard)]
    assert len(found_beeps) >= 2  # a machine that is busy with something else may drop one


def test_a_click_on_a_word_a_curve_or_a_line_goes_there(written: Path, visit: Callable[..., Any]) -> None:
    page = visit(written)
    until(page, "document.querySelector('video').readyState >= 1")
    page.get_by_role("button", name="three", exact=True).nth(1).click()
    word = films.document(None).recordings[0].utterances[1].words[2]
    assert page.evaluate(CURSOR) == pytest.approx(word.start, abs=0.02)
    assert page.evaluate("document.querySelector('video').currentTime") == pytest.approx(word.start, abs=0.02)
    assert page.locator(".now-said").inner_text() == "three"
    assert "one two three" in page.locator("#now").inner_text()
    scale = float(page.locator(".tl-scroll").get_attribute("data-scale"))
    page.locator(".tl-scroll canvas").click(position={"x": 1.5 * scale, "y": 250})
    assert page.evaluate(CURSOR) == pytest.approx(1.5, abs=0.02)


def test_between_two_utterances_the_last_one_is_shown_as_past(written: Path, visit: Callable[..., Any]) -> None:
    page = visit(written)
    until(page, "document.querySelector('video').readyState >= 1")
    for time, shown in ((0.2, BEEPS[0]), (3.8, BEEPS[1]), (2.3, BEEPS[0])):
        page.evaluate("time => { view.player.time = time; }", time)
        assert page.locator("#now h2").inner_text().startswith(f"0:0{shown}")
        assert "past" in page.locator("#now").get_attribute("class")
    page.evaluate("view.player.time = 2.6")
    assert page.locator("#now").get_attribute("class") == "now"


def test_keys_play_seek_and_step(written: Path, visit: Callable[..., Any]) -> None:
    page = visit(written)
    until(page, "document.querySelector('video').readyState >= 1")
    page.keyboard.press("k")
    assert page.evaluate(CURSOR) == pytest.approx(BEEPS[0], abs=0.02)
    page.keyboard.press("k")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(CURSOR) == pytest.approx(BEEPS[1] + 1, abs=0.02)
    page.keyboard.press("j")
    page.keyboard.press(" ")
    until(page, "!document.querySelector('video').paused")
    page.keyboard.press(" ")
    until(page, "document.querySelector('video').paused")
    assert "nobody speaks" in page.locator(".transcript").text_content()


def test_nothing_of_a_hostile_name_or_text_is_run(talk: Path, tmp_path: Path, visit: Callable[..., Any]) -> None:
    film.write(document(talk, source=HOSTILE.replace("/", "_"), hostile=True), tmp_path / "hostile.html")
    page = visit(tmp_path / "hostile.html")
    until(page, "document.querySelectorAll('.transcript li').length === 3")
    assert page.title() != "run"
    assert HOSTILE.split()[0] in page.locator(".transcript").text_content()
    assert page.locator(".transcript img, .transcript script").count() == 0
    with pytest.raises(Exception, match="TrustedHTML"):
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<b>x</b>')")
    page.evaluate("""() => { const s = document.createElement('style'); s.textContent = 'body { color: rgb(1, 2, 3) }';
        document.head.append(s); }""")
    assert page.evaluate("getComputedStyle(document.body).color") != "rgb(1, 2, 3)"
    assert len(visit.errors) == 2  # what the policy refused, and nothing else
    visit.errors.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(written: Path, visit: Callable[..., Any], scheme: str) -> None:
    page = visit(written, color_scheme=scheme)
    assert serious(page) == []


def serious(page: Any) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(page).response["violations"]
    return [f"{rule['id']}: {rule['nodes'][0]['html']}" for rule in found if rule["impact"] in ("serious", "critical")]


def test_a_film_that_browsers_do_not_play_is_copied_and_that_is_said(
    tmp_path: Path, visit: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    old = beeping(tmp_path / "old.avi", "-c:v", "mpeg4", "-c:a", "pcm_s16le")
    film.write(document(old), tmp_path / "old.html")
    assert "old.avi is played from a copy, H.264 and AAC, since files ending in .avi" in capsys.readouterr().err
    page = visit(tmp_path / "old.html")
    until(page, "document.querySelector('video').readyState >= 1")
    assert page.evaluate("document.querySelector('video').duration") == pytest.approx(SECONDS, abs=0.1)
    assert "played from a copy" in page.locator("#remarks").inner_text()


def test_a_large_film_stays_where_it_is_whatever_its_name(
    talk: Path, tmp_path: Path, visit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "EMBEDDED", 1000)
    named = tmp_path / 'a film, "it\'s" 100 % #1?.mp4'
    named.write_bytes(talk.read_bytes())
    (tmp_path / "pages").mkdir()
    film.write(document(named), tmp_path / "pages/talk.html")
    page = visit(tmp_path / "pages/talk.html")
    until(page, "document.querySelector('video').readyState >= 1")
    assert page.evaluate("document.querySelector('video').duration") == pytest.approx(SECONDS, abs=0.1)


def test_texts_scroll_and_a_page_may_hold_several_recordings(talk: Path, tmp_path: Path, visit: Callable[..., Any]) -> None:
    of_film = document(talk)
    text = replace(films.utterance(0, 0, "words without sound"), words=(), modalities=("text",))
    recordings = (Recording("notes.txt", (text, text)), of_film.recordings[0])
    film.write(replace(of_film, recordings=recordings), tmp_path / "both.html")
    page = visit(tmp_path / "both.html")
    assert page.locator("video").count() == 0
    page.locator("#play").click()
    until(page, "document.getElementById('spoken').textContent.includes('words without sound')")
    page.locator("#recording").select_option("1")
    until(page, "document.querySelector('video') !== null")
    assert page.locator("h1").inner_text() == "talk.mp4"


def hour(talk: Path) -> Document:
    of_film = document(talk)
    utterances = [
        films.utterance(at, at + 3.5, "so this is what people say in four seconds now", at) for at in range(0, 3600, 4)
    ]
    glimpses = [films.glimpse(float(at)) for at in range(0, 3600)]
    recording = replace(of_film.recordings[0], utterances=tuple(utterances), glimpses=tuple(glimpses))
    return replace(of_film, recordings=(recording,))


def test_the_page_of_an_hour_is_small_and_draws_what_is_in_sight(
    talk: Path, tmp_path: Path, visit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "EMBEDDED", 0)
    film.write(hour(talk), tmp_path / "hour.html")
    assert (tmp_path / "hour.html").stat().st_size < 20e6
    page = visit(tmp_path / "hour.html")
    until(page, "document.querySelectorAll('.transcript *').length > 0")
    for share in (0.0, 0.5, 1.0):
        page.evaluate(
            """share => {
              for (const node of document.querySelectorAll('.tl-scroll, .transcript')) {
                node.scrollLeft = share * node.scrollWidth;
                node.scrollTop = share * node.scrollHeight;
              }
            }""",
            share,
        )
        page.evaluate("() => new Promise(requestAnimationFrame)")
        elements = page.evaluate("document.querySelectorAll('*').length")
        assert elements < ELEMENTS
