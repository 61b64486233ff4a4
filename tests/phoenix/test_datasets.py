"""Datasets in a real Phoenix: loading twice changes nothing, one change is one change, nothing is deleted."""

from __future__ import annotations

import asyncio
import itertools
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qa_eval.data import Dataset, Example
from qa_eval.errors import PhoenixAway, PhoenixError
from qa_eval.phoenix import client as room
from qa_eval.phoenix.client import Phoenix, PhoenixDataset, upload_dataset
from qa_eval.stack import RunningStack

_names = (f"uploaded-{number}" for number in itertools.count())


def example(i: int, text: str = "x") -> Example:
    return Example(f"id-{i}", f"Question {i}?", f"Context {text}", (text, "y"), "T", {"difficulty": "medium"})


def dataset(name: str, *examples: Example) -> Dataset:
    return Dataset(name, examples, description="for a test")


def upload(stack: RunningStack, data: Dataset, reports: list[tuple[int, int]] | None = None) -> PhoenixDataset:
    async def run() -> PhoenixDataset:
        async with Phoenix(stack.phoenix_url, None) as server:
            report = (lambda done, total: reports.append((done, total))) if reports is not None else lambda *_: None
            return await upload_dataset(server.client, data, report=report)

    return asyncio.run(run())


def stored(stack: RunningStack, identifier: str) -> list[dict[str, Any]]:
    url = f"{stack.phoenix_url}/v1/datasets/{identifier}/examples"
    examples: list[dict[str, Any]] = httpx.get(url, timeout=30).raise_for_status().json()["data"]["examples"]
    return examples


def test_the_schema(stack: RunningStack) -> None:
    uploaded = upload(stack, dataset(next(_names), example(1)))
    (found,) = stored(stack, uploaded.id)
    assert found["input"] == {"question": "Question 1?", "context": "Context x"}
    assert found["output"] == {"answer": "x"}
    assert found["metadata"] == {"difficulty": "medium", "group": "T", "references": ["x", "y"]}
    splits = httpx.get(
        f"{stack.phoenix_url}/v1/datasets/{uploaded.id}/examples", params={"split": "medium"}, timeout=30
    )
    assert len(splits.raise_for_status().json()["data"]["examples"]) == 1


def test_a_changed_example_is_exactly_one_change(stack: RunningStack) -> None:
    name = next(_names)
    first = upload(stack, dataset(name, *(example(i) for i in range(5))))
    second = upload(stack, dataset(name, *(example(i, "new" if i == 3 else "x") for i in range(5))))
    assert (first.changed, second.changed) == (5, 1)
    assert first.version_id != second.version_id
    assert first.node_ids == second.node_ids


def test_other_examples_are_never_deleted(stack: RunningStack) -> None:
    name = next(_names)
    first = upload(stack, dataset(name, *(example(i) for i in range(5))))
    with pytest.raises(PhoenixError, match=r"2 examples that are not in this one .*--dataset-name"):
        upload(stack, dataset(name, *(example(i) for i in range(3))))
    assert len(stored(stack, first.id)) == 5


def test_large_datasets_go_in_bounded_batches(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BATCH", 10)
    reports: list[tuple[int, int]] = []
    uploaded = upload(stack, dataset(next(_names), *(example(i) for i in range(25))), reports)
    assert reports == [(10, 25), (20, 25), (25, 25)]
    assert len(uploaded.node_ids) == 25


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)


@given(contents=st.lists(texts, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_loading_the_same_again_makes_no_new_version(stack: RunningStack, contents: list[str]) -> None:
    """Feature: qa-eval, Property: upload idempotence"""
    data = dataset(next(_names), *(replace(example(i, text), context=text) for i, text in enumerate(contents)))
    first, second = upload(stack, data), upload(stack, data)
    assert (second.changed, second.version_id, second.node_ids) == (0, first.version_id, first.node_ids)


def test_a_phoenix_that_is_none() -> None:
    async def check(url: str) -> None:
        async with Phoenix(url, None) as server:
            await server.check()

    with pytest.raises(PhoenixError, match=r"No Phoenix answers at http://127.0.0.1:9: start it"):
        asyncio.run(check("http://127.0.0.1:9"))


@pytest.mark.parametrize("status", [200, 302, 500])
def test_a_page_in_phoenixs_place_is_no_answer(status: int) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None:
            pass

    async def get(url: str) -> Any:
        async with Phoenix(url, None) as server:
            return await server.get("v1/experiments/x/json")

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(PhoenixAway, match="does not say what it has"):
            asyncio.run(get(f"http://127.0.0.1:{server.server_address[1]}"))
        server.shutdown()
