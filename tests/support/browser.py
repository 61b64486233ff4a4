"""A real browser for the tests that look at Phoenix, and what it asked for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser; the test is skipped where none is installed."""
    executable = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if executable is None:
        pytest.skip("no Chromium or Chrome is installed: the pages were not looked at")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=QUIET)
        yield browser
        browser.close()


@contextmanager
def open_page() -> Iterator[Page]:
    """An empty page of a browser of its own."""
    with open_browser() as browser:
        yield browser.new_page(viewport={"width": 1600, "height": 1000})


def record_requests(page: Page) -> tuple[list[str], list[str]]:
    """Where the page's requests go, and those that failed; both grow as the page is used."""
    asked: list[str] = []
    failed: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda reply: failed.append(f"{reply.status} {reply.url}") if reply.status >= 400 else None)
    page.on("requestfailed", lambda request: failed.append(f"{request.failure} {request.url}"))
    page.on("pageerror", lambda error: failed.append(str(error)))
    return asked, failed


def screenshot(page: Page, name: str) -> None:
    """Keep a picture where the environment says; a person looks at it."""
    if folder := os.environ.get("QA_EVAL_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")
