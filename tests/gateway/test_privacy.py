"""No personal data is left behind: planted addresses and numbers are sought in everything that the platform keeps."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_bedrock import BROKEN, GONE_400, HANGS, FakeBedrock
from real_gateway import KEY, RealGateway

MICRO = "us.amazon.nova-micro-v1:0"
HATE = "Please trigger the hate filter."
TAKES_S = 20.0
"""The gateway sends its spans every 5 s, and Phoenix takes a moment to store them."""


def planted(case: str) -> tuple[str, str]:
    """An address and a number that stand nowhere else."""
    digits = 100 + CASES.index(case)
    return f"planted.{case}@corp-of-the-test.org", f"+1 415 777 0{digits}"


def plant(case: str, gateway: RealGateway, bedrock: FakeBedrock) -> None:
    """One request with personal data in its question and in its answer, while something else is as the case says."""
    mail, number = planted(case)
    bedrock.heal()
    bedrock.answer = lambda prompt: f"Write to {mail} or call {number}." + (HATE if case == "blocked_answer" else "")
    question = f"Marker {case}: who is {mail} at {number}?" + (HATE if case == "blocked_question" else "")
    more: dict[str, Any] = {"model": "nova-micro", "disable_fallbacks": True, "num_retries": 0}
    match case:
        case "guardrail_down":
            bedrock.guardrail_failing = {"INPUT": BROKEN}
        case "guardrail_down_for_answers":
            bedrock.guardrail_failing = {"OUTPUT": BROKEN}
        case "model_gone":
            bedrock.failing = {MICRO: GONE_400}
        case "model_hangs":
            bedrock.failing = {MICRO: HANGS}
        case "unknown_model":
            more["model"] = "nothing"
        case "streamed":
            more |= {"stream": True}
        case "streamed_without_log":
            more |= {"stream": True, "no-log": True}
        case "embedded":
            assert gateway.embed(question).status_code == 200
            return
        case _ if case in ROUTES:
            path, body = ROUTES[case]
            reply = by_route(gateway, path, body(question))
            assert reply.status_code == (200 if case in ("messages", "azure") else 500)
            assert reply.is_success or f"{path} is not offered here: ask /v1/chat/completions" in reply.text
            return
    gateway.ask(question, **more)


def turns(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}]


def contents(question: str, key: str = "parts") -> list[dict[str, Any]]:
    return [{"role": "user", key: [{"text": question}]}]


ROUTES: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "messages": ("/v1/messages", lambda question: {"messages": turns(question), "max_tokens": 16}),
    "azure": ("/openai/deployments/nova-micro/chat/completions", lambda question: {"messages": turns(question)}),
    "completed": ("/v1/completions", lambda question: {"prompt": question}),
    "completed_streamed": ("/completions", lambda question: {"prompt": [question], "stream": True}),
    "completed_engine": ("/engines/nova-micro/completions", lambda question: {"prompt": question}),
    "responded": ("/v1/responses", lambda question: {"input": question}),
    "responded_streamed": ("/openai/v1/responses", lambda question: {"input": turns(question), "stream": True}),
    "cursor": ("/cursor/chat/completions", lambda question: {"input": question}),
    "gemini": ("/v1beta/models/nova-micro:generateContent", lambda question: {"contents": contents(question)}),
    "bedrock": ("/bedrock/model/nova-micro/converse", lambda question: {"messages": contents(question, "content")}),
    "image": ("/v1/images/generations", lambda question: {"prompt": question}),
    "rerank": ("/v1/rerank", lambda question: {"query": question, "documents": [question]}),
}
"""Other ways to ask a model: an address, and a question as it takes it. What is not guarded whole is refused."""

CASES = [
    "answered",
    "blocked_question",
    "blocked_answer",
    "guardrail_down",
    "guardrail_down_for_answers",
    "model_gone",
    "model_hangs",
    "unknown_model",
    "streamed",
    "streamed_without_log",
    "embedded",
    *ROUTES,
]


def by_route(gateway: RealGateway, path: str, body: dict[str, Any]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx.post(f"{gateway.url}{path}", json={"model": "nova-micro", **body}, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def kept(gateway_of_all: RealGateway, bedrock_of_all: FakeBedrock, stack_folder: Path) -> list[tuple[str, str]]:
    """All that the platform holds after all cases: where, and the text."""
    for case in CASES:
        plant(case, gateway_of_all, bedrock_of_all)
    bedrock_of_all.heal()
    gateway_of_all.ask("Marker of the end.", model="nova-micro")
    database = stack_folder / "stack" / "phoenix" / "phoenix.db"
    end = time.monotonic() + TAKES_S
    while not any("Marker of the end" in text for _, text in cells(database)):
        assert time.monotonic() < end, "the traces did not arrive in Phoenix"
        time.sleep(0.5)
    time.sleep(0.5)
    folders = (stack_folder, gateway_of_all.log.parent)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert gateway_of_all.log in files
    return [*cells(database), *((str(path), path.read_bytes().decode("utf-8", "replace")) for path in files)]


def cells(database: Path) -> Iterator[tuple[str, str]]:
    """Every cell of every table of Phoenix's database, as text, with its table and column."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            cursor = connection.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in cursor.description]
            for row in cursor:
                yield from ((f"{table}.{name}", str(value)) for name, value in zip(names, row, strict=True))
    connection.close()


@pytest.mark.parametrize("case", CASES)
def test_nothing_keeps_the_planted_address_or_number(case: str, kept: list[tuple[str, str]]):
    found = {where for where, text in kept for value in planted(case) if value in text}

    assert not found


def test_the_search_finds_what_is_there(kept: list[tuple[str, str]]):
    """The masked questions stand in the traces, so that a search that finds nothing has looked at the right place."""
    where = {where for where, text in kept if "Marker answered: who is [EMAIL_REDACTED] at [PHONE_REDACTED]?" in text}
    assert "spans.attributes" in where
    assert {where for where, text in kept if "Write to {EMAIL} or call {PHONE}." in text} >= {"spans.attributes"}


def test_the_gateways_log_holds_no_questions(kept: list[tuple[str, str]]):
    logs = [text for where, text in kept if where.endswith("litellm.log")]
    assert any("POST /v1/chat/completions" in text for text in logs)
    assert not any("Marker" in text for text in logs)
