"""The report: what it says, that foreign text stays text, and how it looks in a real browser."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import open_browser
from hypothesis import given
from hypothesis import strategies as st
from made_runs import made_run, published, right
from playwright.sync_api import Browser

import qa_eval
from qa_eval.analysis.observations import from_run
from qa_eval.data import Dataset, Example, load_dataset
from qa_eval.errors import InputError
from qa_eval.reporting.charts import Axis
from qa_eval.reporting.front import pareto
from qa_eval.reporting.highlight import highlight
from qa_eval.reporting.report import render

EVIL = "</p><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\" {{ 7 * 7 }}"


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample", examples=60)


class Tags(HTMLParser):
    """Collects the tags of a page with their attributes, and checks that they close."""

    VOID = frozenset({"meta", "br", "img", "link", "input"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)).split())


def test_the_page_needs_nothing_from_outside_and_no_script(sample: Dataset) -> None:
    page = render(from_run(made_run(sample, {"A": right(sample, 9), "B": right(sample, 20)}, failing=0.1)))
    for tag, attributes in Tags(page).seen:
        assert tag not in {"script", "img", "link", "iframe", "object"}
        assert not attributes.keys() & {"src", "href", "style"}
        assert not any(name.startswith("on") for name in attributes)
    assert "http" not in re.sub(r"http-equiv", "", page.split("</style>")[0].split("<style>")[1])
    assert "default-src 'none'" in page


def test_foreign_text_is_shown_as_it_is(sample: Dataset) -> None:
    first = sample.examples[0]
    evil = Example(
        first.id, f"Why {EVIL}?", f"It is {EVIL}.", (EVIL,), f"T {EVIL}", {f"m {EVIL}": EVIL, "difficulty": "easy"}
    )
    dataset = Dataset(f"d {EVIL}", (evil, *sample.examples[1:]))
    wrong = "<img src=y onerror=nothing>"
    answers = {f"m {EVIL}": {**right(dataset), evil.id: wrong}, "B": right(dataset)}
    page = render(from_run(made_run(dataset, answers)))
    assert not {tag for tag, _ in Tags(page).seen} & {"script", "img"}
    assert "{{ 7 * 7 }}" in text_of(page)
    assert wrong in text_of(page)
    assert "It is <mark>&lt;/p&gt;&lt;script&gt;" in page


def test_the_page_says_what_the_comparison_says(sample: Dataset) -> None:
    run = made_run(sample, {"A": right(sample, 40), "B": right(sample, 2)})
    comparison = qa_eval.compare(run)
    told = text_of(render(from_run(run)))
    assert comparison.verdicts[0] in told
    assert comparison.describe_questions() in told
    assert f"{100 * run.experiments[0].mean('f1'):.1f}" in told  # type: ignore[operator]
    for heading in ("Scores", "Cost and quality", "Latency", "Outcomes", "What changed most", "What went worst"):
        assert heading in told
    for word in ("easy", "medium", "hard", "minilm-of-the-test", "temperature"):
        assert word in told


def test_what_is_not_known_is_said(sample: Dataset) -> None:
    from qa_eval.analysis.observations import from_predictions

    told = text_of(render([from_predictions("mine", right(sample, 9), sample)]))
    assert "What the answers cost is not known" in told
    assert "How long the answers took is not known" in told
    assert "What changed most" not in told


@pytest.mark.parametrize("models", [("A",), ("A", "B")])
def test_a_run_that_ended_early_says_so_first(sample: Dataset, models: tuple[str, ...]) -> None:
    run = made_run(sample, {model: right(sample, 5) for model in models})
    short = dataclasses.replace(run.experiments[0], answers=run.experiments[0].answers[:30])
    page = render(from_run(dataclasses.replace(run, experiments=(short, *run.experiments[1:]))))
    first = page.split('class="lead"')[1].split("</p>")[0]
    assert "A is NOT A WHOLE RESULT: 30 of 60 questions asked." in first


def test_a_run_without_answers_is_refused(sample: Dataset) -> None:
    with pytest.raises(InputError, match="There is nothing to report"):
        render([])


def test_a_file_that_cannot_be_written_is_one_sentence(sample: Dataset, tmp_path: Path) -> None:
    run = made_run(sample, {"A": right(sample)})
    with pytest.raises(InputError, match="cannot be written"):
        qa_eval.report(run, output=tmp_path / "no" / "folder.html")
    assert qa_eval.report(run, output=tmp_path / "report.html") == tmp_path / "report.html"


def test_the_front_is_whom_nobody_beats() -> None:
    assert pareto({0: (1, 0.5), 1: (2, 0.9), 2: (3, 0.8), 3: (2, 0.7)}) == {0, 1}
    assert pareto({0: (1, 0.5), 1: (1, 0.5)}) == {0, 1}


@given(st.dictionaries(st.integers(0, 9), st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1))
def test_everyone_off_the_front_is_beaten_by_someone_on_it(systems: dict[int, tuple[float, float]]) -> None:
    """Feature: litellm-ecs-demo, Property: the front is never empty, and each other system is beaten by one on it."""
    front = pareto(systems)
    assert front
    for index, (cost, quality) in systems.items():
        if index not in front:
            assert any(systems[each][0] <= cost and systems[each][1] >= quality for each in front)


@given(context=st.text("ab<&> ", max_size=40), references=st.lists(st.text("ab<&> ", max_size=5), max_size=3))
def test_highlighting_keeps_the_text(context: str, references: list[str]) -> None:
    """Feature: litellm-ecs-demo, Property: without its marks, a highlighted context is the escaped context."""
    marked = str(highlight(context, references))
    assert unescape(re.sub("</?mark>", "", marked)) == context
    for reference in references:
        if reference.strip() and reference in context:
            assert "<mark>" in marked


def test_references_are_marked_wherever_they_stand() -> None:
    assert str(highlight("a <b> and <b>c", ["<b>", "<b>c"])) == "a <mark>&lt;b&gt;</mark> and <mark>&lt;b&gt;c</mark>"


@given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=5))
def test_an_axis_holds_its_values(values: list[float]) -> None:
    """Feature: litellm-ecs-demo, Property: every value lies on the axis, whose ticks are few and in order."""
    axis = Axis.over(values, str)
    slack = 1e-6 * (abs(axis.low) + abs(axis.high))
    assert axis.low - slack <= min(values)
    assert max(values) <= axis.high + slack
    assert 2 <= len(axis.ticks) <= 8
    assert list(axis.ticks) == sorted(set(axis.ticks))


# --- in a browser -------------------------------------------------------------------------------------------------

VIEWS = {"phone": (390, 844), "desktop": (1200, 900)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as started:
        yield started


@pytest.fixture(scope="module")
def real_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qa_eval.report(published(), output=tmp_path_factory.mktemp("report") / "report.html")


# Playwright leaves its loop's sockets to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read(browser: Browser, real_report: Path, view: str, scheme: str) -> None:
    width, height = VIEWS[view]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("request", lambda request: problems.append(request.url) if "file:" not in request.url else None)
    page.goto(real_report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (
        page.evaluate("Math.min(...[...document.querySelectorAll('td.range, td.number')].map(e => e.offsetWidth))") > 20
    )
    assert page.evaluate("[...document.querySelectorAll('svg text')].every(t => t.getBoundingClientRect().height > 10)")
    assert page.evaluate(_CONTRAST) >= 4.5
    if folder := os.environ.get("QA_EVAL_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"report-{view}-{scheme}.png", full_page=True)
    page.close()
    assert problems == []


_CONTRAST = """() => {
  const parts = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = color => { const [r, g, b] = parts(color).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126*r + 0.7152*g + 0.0722*b; };
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (c !== 'rgba(0, 0, 0, 0)') return c; } return 'rgb(255, 255, 255)'; };
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  return Math.min(...[...document.querySelectorAll('p, td, th, dd, dt, small, h1, h2, li, mark, summary, span')]
    .map(e => ratio(getComputedStyle(e).color, ground(e))));
}"""
