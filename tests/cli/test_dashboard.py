"""The Phoenix dashboard as a person sees it: the experiment's page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import litellm
import pytest
from browser import open_page, record_requests, screenshot
from playwright.sync_api import Page, expect

import qa_eval
from qa_eval.phoenix.prompts import push_prompt
from qa_eval.spec.model import DatasetSpec, Message, PromptSpec, SystemSpec
from qa_eval.stack import RunningStack


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with open_page() as page:
        yield page


def pipeline(example: qa_eval.Example) -> str:
    messages = [{"role": "user", "content": example.question}]
    answer = litellm.completion("openai/gpt-4o-mini", messages, mock_response=example.references[0])
    return str(answer.choices[0].message.content)


# Playwright leaves its loop's sockets to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_experiment_shows_scores_answers_and_the_gateways_spans(page: Page, in_stack_folder: RunningStack) -> None:
    url, key = in_stack_folder.phoenix_url, in_stack_folder.phoenix_key
    prompt = PromptSpec(messages=(Message(role="user", content="{context} In one word: {question}"),))
    stored = push_prompt(url, key, prompt, "one-word")
    spec = qa_eval.ExperimentSpec(
        name="seen",
        dataset=DatasetSpec(path="sample", examples=4, name="seen-in-a-browser"),
        systems=(
            SystemSpec(name="haiku", model="claude-haiku"),
            SystemSpec(name="one-word", model="nova-micro", prompt=PromptSpec(source="phoenix:one-word")),
            SystemSpec(name="pipeline", task="pipeline"),
        ),
    )
    result = qa_eval.run_experiment(spec, task={"pipeline": pipeline}, local=True)
    haiku, _, own = result.experiments
    asked, failed = record_requests(page)

    page.set_viewport_size({"width": 3200, "height": 800})  # the table has a column for each score
    page.goto(f"{result.url}".replace("/compare?", "/experiments?"))
    for name in ("exact_match", "f1", "semantic_similarity", "seen / haiku", "seen / one-word"):
        expect(page.get_by_text(name).first).to_be_visible(timeout=60_000)
    screenshot(page, "experiments")
    expect(page.get_by_text(f"{int(100 * (haiku.mean('f1') or 0)) / 100:.2f}").first).to_be_visible()  # it cuts
    expect(page.get_by_text("$").first).to_be_visible()
    page.set_viewport_size({"width": 1600, "height": 1000})

    page.goto(str(haiku.url))
    first = haiku.answers[0]
    expect(page.get_by_text(first.example.question).first).to_be_visible(timeout=60_000)
    answered = next(answer for answer in haiku.answers if answer.reply.outcome.is_answer)
    expect(page.get_by_text(answered.reply.text, exact=True).first).to_be_visible()
    screenshot(page, "experiment")

    page.goto(str(result.url))
    expect(page.get_by_text(first.example.question).first).to_be_visible(timeout=60_000)
    screenshot(page, "comparison")

    page.goto(f"{url}/redirects/traces/{answered.reply.trace_id}")
    expect(page.get_by_text("chat ").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("question").first).to_be_visible()
    screenshot(page, "trace")

    page.goto(f"{url}/redirects/traces/{own.answers[0].reply.trace_id}")
    expect(page.get_by_text("completion").first).to_be_visible(timeout=60_000)
    screenshot(page, "trace-of-a-task")

    page.goto(stored.url)
    expect(page.get_by_text("one-word").first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("In one word").first).to_be_visible()
    screenshot(page, "prompt")

    # The edge shows Phoenix under a prefix: its scripts, lazy chunks and queries must all keep to it.
    assert all(url.startswith((f"{in_stack_folder.phoenix_url}/", "data:", "blob:")) for url in asked), asked
    assert any("/assets/" in url for url in asked)
    assert any("graphql" in url for url in asked)
    # A navigation cuts off the queries of the page that is left.
    assert [line for line in failed if "ERR_ABORTED" not in line] == []
