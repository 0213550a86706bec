"""The report in a real browser: its table, what plays in it, and corrections that come back into a real corpus."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import params
from lddu import report
from preprocess.corpora import __main__ as corpora
from tests.conftest import ROOT, Workspace, set_params
from tests.lddu.page.conftest import until
from tests.lddu.page.films import HOSTILE, beeping
from tests.lddu.page.test_film import serious
from tests.lddu.page.test_report import HAS, LABELS, write_media, write_results

HEAD = ["clip_id", "media", "start", "end", "text", "split", "speaker", *LABELS]


def rows_of(table: Path) -> dict[str, dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return {row["clip_id"]: row for row in csv.DictReader(file)}


def clip_row(clip_id: str) -> list[str]:
    media = "" if HAS[clip_id] == ["text"] else "film.mp4"
    text = HOSTILE if clip_id == "hostile" else "" if clip_id == "silent-noise" else "good morning"
    return [clip_id, media, *(["0.5", "2.5"] if media else ["", ""]), text, "test", "Ann, <b>", "0", "1.5"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on a corpus of real films: the manifest is the stage's own."""
    folder = tmp_path_factory.mktemp("run")
    write_results(folder)
    write_media(folder)
    (folder / "films").mkdir()
    beeping(folder / "films/film.mp4")
    with (folder / "films/clips.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEAD, *map(clip_row, HAS)])
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    set_params(folder / "params.yaml", **{"corpus.root": "films", "corpus.labels": LABELS})
    Workspace(folder).stages("manifest")
    return folder


@pytest.fixture
def made(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(run)
    report.report(params.load())
    return run / "report/index.html"


def ids(page: Any) -> list[str]:
    return page.locator("table.long tbody th").all_text_contents()


def test_the_table_sorts_filters_and_shows_views(made: Path, visit: Callable[..., Any]) -> None:
    page = visit(made)
    assert ids(page) == sorted(HAS)
    page.get_by_role("button", name="Most doubtful first").click()
    assert page.locator("th[aria-sort=descending]").text_content().startswith("doubt")
    page.locator("thead button", has_text="error").click()
    errors = [float(text) for text in page.locator("table.long tbody td:nth-child(5)").all_text_contents()]
    assert errors == sorted(errors, reverse=True)
    page.locator("#search").fill("no face")
    assert ids(page) == ["faceless"]
    assert page.locator("#count").inner_text() == f"1 of {len(HAS)} clips"
    page.locator("#search").fill("")
    page.locator("#shown").select_option("something missing")
    assert set(ids(page)) == {clip_id for clip_id, has in HAS.items() if len(has) < 3}


def test_a_click_plays_the_clip_s_part_of_its_film_and_keys_go_on(made: Path, visit: Callable[..., Any]) -> None:
    page = visit(made)
    page.locator("table.long tbody tr", has_text="whole").click()
    until(page, "document.querySelector('#screen video')?.currentTime > 0.6")
    assert page.locator("#clip").inner_text() == "whole"
    page.locator(".long-scroll").focus()
    page.keyboard.press("ArrowUp")
    assert page.locator("#clip").inner_text() == "text-only"
    assert "only text" in page.locator("#screen").inner_text()


def test_nothing_of_a_corpus_is_run_and_axe_finds_nothing_serious(made: Path, visit: Callable[..., Any]) -> None:
    page = visit(made)
    page.locator("table.long tbody tr", has_text="hostile").click()
    assert page.locator("#clip-said").text_content().count("<img") == 1
    assert page.locator(".bench img").count() == 0
    assert page.title() != "run"
    assert serious(page) == []


def test_corrections_are_kept_saved_and_come_back(
    made: Path, visit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = visit(made)
    page.locator("table.long tbody tr", has_text="whole").click()
    new = 'He said, "no" <b>,\nand went'
    page.locator("textarea[name=text]").fill(new)
    page.locator("input[name=end]").fill("0.4")
    page.locator("input[name=end]").blur()
    assert "the end must be after the start" in page.locator(".message").inner_text()
    page.locator("input[name=end]").fill("2.25")
    page.locator("input[name=happy]").fill("2")
    page.locator("select[name=split]").select_option("valid")
    page = visit(made)  # as if the browser had been closed
    assert "(4)" in page.locator("#save").inner_text()
    with page.expect_download() as download:
        page.locator("#save").click()
    download.value.save_as(made.parents[1] / "corrections.csv")
    before = (made.parents[1] / "films/clips.csv").read_text(encoding="utf-8").splitlines()
    monkeypatch.setattr("sys.argv", ["corpora", "correct", "corrections.csv"])
    with pytest.raises(SystemExit) as ended:
        corpora.main()
    assert ended.value.code == 0, capsys.readouterr()
    row = rows_of(Path("films/clips.csv"))["whole"]
    assert (row["text"], row["end"], row["happy"], row["split"]) == (new, "2.25", "2", "valid")
    after = (made.parents[1] / "films/clips.csv").read_text(encoding="utf-8").splitlines()
    assert [line for line in before if not line.startswith("whole,")] == [
        line for line in after if not line.startswith(("whole,", "and went"))
    ]
    assert rows_of(Path("films/history.csv"))["whole"]
    Workspace(made.parents[1]).stages("manifest")
    report.report(params.load())
    page = visit(made)
    assert "4 corrections made here before are in the corpus now." in page.locator("#corrections-note").inner_text()


@pytest.fixture
def put_back(run: Path) -> Iterator[None]:
    """The parameters and the corpus of the run, for the tests after this one."""
    files = {path: path.read_bytes() for path in (run / "params.yaml", run / "films/clips.csv", run / "films/film.mp4")}
    yield
    (run / "films/film.avi").unlink(missing_ok=True)
    for path, content in files.items():
        path.write_bytes(content)
    Workspace(run).stages("manifest")


@pytest.mark.usefixtures("put_back")
def test_clips_play_from_copies_where_that_is_asked_for(
    run: Path, monkeypatch: pytest.MonkeyPatch, visit: Callable[..., Any]
) -> None:
    set_params(run / "params.yaml", **{"report.media": "copy"})
    monkeypatch.chdir(run)
    report.report(params.load())
    (run / "films/film.mp4").unlink()  # nothing but the copies is played
    page = visit(run / "report/index.html")
    page.locator("table.long tbody tr", has_text="whole").click()
    until(page, "document.querySelector('#screen video')?.currentTime > 0.3")
    media = page.locator("#screen video")
    assert media.get_attribute("src") == "clips/whole.mp4"
    with (run / "films/clips.csv").open(encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["clip_id"] == "whole")
    assert media.evaluate("film => film.duration") == pytest.approx(float(row["end"]) - float(row["start"]), abs=0.1)
    assert page.locator("#remark").inner_text() == "played from a copy, since report.media is copy"


@pytest.mark.usefixtures("put_back")
def test_a_film_that_browsers_do_not_play_gets_a_copy_and_it_is_said(
    run: Path, monkeypatch: pytest.MonkeyPatch, visit: Callable[..., Any]
) -> None:
    beeping(run / "films/film.avi", "-c:v", "mpeg4", "-c:a", "pcm_s16le")
    table = run / "films/clips.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("film.mp4", "film.avi"), encoding="utf-8")
    Workspace(run).stages("manifest")
    monkeypatch.chdir(run)
    report.report(params.load())
    page = visit(run / "report/index.html")
    page.locator("table.long tbody tr", has_text="whole").click()
    until(page, "document.querySelector('#screen video')?.currentTime > 0.3")
    assert page.locator("#screen video").evaluate("film => film.error") is None
    assert "played from a copy, since files ending in .avi are not played everywhere" in page.locator("#remark").inner_text()
    with (run / "report/clips/index.csv").open(encoding="utf-8", newline="") as file:
        plays = {row["clip_id"]: row["plays"] for row in csv.DictReader(file)}
    assert plays["whole"] == "clips/whole.mp4"


def test_of_twenty_thousand_clips_those_in_sight_are_drawn(made: Path, visit: Callable[..., Any]) -> None:
    """The page itself, with the clips of the run again and again."""
    text = made.read_text(encoding="utf-8")
    head, rest = text.split('"clips":[', 1)
    rows, tail = rest.split("]}</script>", 1)
    each = rows.replace('"whole"', '"whole-§"')
    many = ",".join(each.replace("§", str(i)) for i in range(20_000 // len(HAS)))
    large = made.with_name("large.html")
    large.write_text(f'{head}"clips":[{many}]}}</script>{tail}', encoding="utf-8")
    page = visit(large)
    assert page.locator("table.long").get_attribute("aria-rowcount") == str(20_000 // len(HAS) * len(HAS) + 1)
    for share in (0.0, 0.5, 1.0):
        page.evaluate(
            "share => { const n = document.querySelector('.long-scroll'); n.scrollTop = share * n.scrollHeight; }", share
        )
        page.evaluate("() => new Promise(requestAnimationFrame)")
        assert 0 < page.locator("table.long tbody tr").count() < 60
