"""A real browser; tests that need one are skipped where there is none."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from docs.browser import opened, program

NETWORK = ("http:", "https:", "ws:", "wss:", "ftp:")
PATIENCE = 60_000  # milliseconds that a busy machine may take for one step


def until(page: Any, expression: str) -> None:
    """Wait until an expression holds. Playwright's own way evaluates text in the page, which its policy forbids."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        time.sleep(0.02)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = program()
    if path is None:
        pytest.skip("no Chromium: on Debian, apt-get install chromium")
    with opened(path) as launched:
        yield launched


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a file in a new window; at the end no request went to a network and no script failed."""
    asked: list[str] = []
    errors: list[str] = []
    contexts: list[Any] = []

    def goto(path: Path, **options: Any) -> Any:
        context = contexts[0] if contexts and not options else browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(path.resolve().as_uri())
        return page

    goto.errors = errors  # type: ignore[attr-defined]
    yield goto
    for context in {id(context): context for context in contexts}.values():
        context.close()
    assert [url for url in asked if url.startswith(NETWORK)] == []
    assert errors == []
