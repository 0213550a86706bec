"""A real browser without a window, for the pictures of the pages, their measurements and their tests."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# A film may play without a click; for root Chromium has no sandbox.
OPTIONS = ["--autoplay-policy=no-user-gesture-required", *(["--no-sandbox"] if os.geteuid() == 0 else [])]


def program() -> str | None:
    """The path of Chromium; None where there is none."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


@contextmanager
def opened(path: str) -> Iterator[Any]:
    """The browser at this path, as Playwright drives it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield launched
        launched.close()
