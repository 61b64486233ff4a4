"""A dataset of numbered questions, and what a right answer is: a gateway at its edge needs no model."""

from __future__ import annotations

from typing import Any

from fake_gateway import KEY, FakeGateway

import qa_eval
from qa_eval.data import Dataset, Example
from qa_eval.experiment.metadata import Servers
from qa_eval.experiment.results import RunResult

PROMPT = "{context}\n\nQuestion: {question}\n\nAnswer:"


def dataset(count: int, name: str = "numbers") -> Dataset:
    """Questions whose answers follow from their number."""
    examples = [
        Example(
            id=f"{name}-{i}",
            question=f"What is number {i}?",
            context=f"Number {i} is item-{i}.",
            references=(f"item-{i}",),
            group=f"Article {i % 7}",
            metadata={"source": "test", "difficulty": "easy"},
        )
        for i in range(count)
    ]
    return Dataset(name, tuple(examples))


def right(_: FakeGateway | None, prompt: str) -> str:
    """The right answer."""
    return "item-" + prompt.rsplit("number ", 1)[1].rstrip("?\nAnswer:")


def number(prompt: str) -> int:
    """Which question a prompt asks."""
    return int(right(None, prompt).removeprefix("item-"))


def servers(gateway: FakeGateway, phoenix: str | None = None) -> Servers:
    """A gateway that answers as told, and Phoenix."""
    return Servers(gateway.url, KEY, phoenix)


def run(data: Dataset, gateway: FakeGateway, *, phoenix: str | None = None, **keywords: Any) -> RunResult:
    """A whole run against a gateway that answers as told."""
    keywords = {"prompts": PROMPT, "record": phoenix is not None, **keywords}
    return qa_eval.run_experiment(data, servers=servers(gateway, phoenix), **keywords)
