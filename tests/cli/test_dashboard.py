"""The Phoenix dashboard as a person sees it: the experiment's page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import open_page, record_requests, screenshot
from playwright.sync_api import Page, expect

import qa_eval
from qa_eval.stack import RunningStack


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with open_page() as page:
        yield page


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
    first = experiment.answers[0]
    expect(page.get_by_text(first.example.question).first).to_be_visible(timeout=60_000)
    answered = next(answer for answer in experiment.answers if answer.reply.outcome.is_answer)
    expect(page.get_by_text(answered.reply.text, exact=True).first).to_be_visible()
    screenshot(page, "experiment")

    page.goto(f"{in_stack_folder.phoenix_url}/redirects/traces/{answered.reply.trace_id}")
    expect(page.get_by_text("chat ").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("question").first).to_be_visible()
    screenshot(page, "trace")

    # The edge shows Phoenix under a prefix: its scripts, lazy chunks and queries must all keep to it.
    assert all(url.startswith((f"{in_stack_folder.phoenix_url}/", "data:", "blob:")) for url in asked), asked
    assert any("/assets/" in url for url in asked)
    assert any("graphql" in url for url in asked)
    # A navigation cuts off the queries of the page that is left.
    assert [line for line in failed if "ERR_ABORTED" not in line] == []
