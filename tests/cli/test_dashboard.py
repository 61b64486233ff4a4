"""The Phoenix dashboard as a person sees it: the experiment's page in a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

import qa_eval
from qa_eval.stack import RunningStack

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


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    executable = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if executable is None:
        pytest.skip("no Chromium or Chrome is installed: the dashboard was not looked at")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=QUIET)
        yield browser.new_page(viewport={"width": 1600, "height": 1000})
        browser.close()


def record_requests(page: Page) -> tuple[list[str], list[str]]:
    """Where the page's requests go, and those that failed."""
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


# Playwright leaves its loop's sockets to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_experiment_shows_scores_answers_and_the_gateways_spans(page: Page, in_stack_folder: RunningStack) -> None:
    dataset = qa_eval.load_dataset("sample", examples=6, name="seen-in-a-browser")
    result = qa_eval.run_experiment(dataset, models=["claude-haiku"], local=True)
    (experiment,) = result.experiments
    asked, failed = record_requests(page)

    page.goto(f"{result.url}".replace("/compare?", "/experiments?"))
    for name in ("exact_match", "f1", "semantic_similarity"):
        expect(page.get_by_text(name).first).to_be_visible(timeout=60_000)
    expect(page.get_by_text(f"{experiment.mean('f1'):.2f}"[:4]).first).to_be_visible()
    screenshot(page, "experiments")

    page.goto(str(experiment.url))
    first = experiment.entries[0]
    expect(page.get_by_text(first.example.question).first).to_be_visible(timeout=60_000)
    answered = next(entry for entry in experiment.entries if entry.reply.outcome.is_answer)
    expect(page.get_by_text(answered.reply.text, exact=True).first).to_be_visible()
    screenshot(page, "experiment")

    page.goto(f"{in_stack_folder.phoenix_url}/redirects/traces/{answered.reply.trace_id}")
    expect(page.get_by_text("litellm_request").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("question").first).to_be_visible()
    screenshot(page, "trace")

    # The edge shows Phoenix under a prefix: its scripts, lazy chunks and queries must all keep to it.
    assert all(url.startswith((f"{in_stack_folder.phoenix_url}/", "data:", "blob:")) for url in asked), asked
    assert any("/assets/" in url for url in asked)
    assert any("graphql" in url for url in asked)
    # A navigation cuts off the queries of the page that is left.
    assert [line for line in failed if "ERR_ABORTED" not in line] == []
