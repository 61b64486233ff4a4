"""A dataset of numbered questions, and what a right answer is: a gateway at its edge needs no model."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fake_gateway import KEY, FakeGateway

from qa_eval.data import Dataset, Example
from qa_eval.experiment.execute import Servers, execute
from qa_eval.experiment.plan import Settings
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
            metadata={"difficulty": "easy", "source": "test"},
        )
        for i in range(count)
    ]
    return Dataset(name=name, version="1.1", examples=tuple(examples))


def right(_: FakeGateway | None, prompt: str) -> str:
    """The right answer."""
    return "item-" + prompt.rsplit("number ", 1)[1].rstrip("?\nAnswer:")


def number(prompt: str) -> int:
    """Which question a prompt asks."""
    return int(right(None, prompt).removeprefix("item-"))


def run(data: Dataset, gateway: FakeGateway, folder: Path, *, phoenix: str | None = None, **settings: Any) -> RunResult:
    """A whole run against a gateway that answers as told."""
    chosen = Settings(**({"prompt": PROMPT, "models": ("qa",)} | settings))
    return asyncio.run(execute(data, chosen, Servers(gateway.url, KEY, phoenix), runs_folder=folder))
