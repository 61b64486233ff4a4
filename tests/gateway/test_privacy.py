"""No personal data is left behind: planted addresses and numbers are sought in everything that the platform keeps."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
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
        case "messages":
            _message(gateway, question)
            return
    gateway.ask(question, **more)


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
    "messages",
]


def _message(gateway: RealGateway, question: str) -> None:
    """The route of Anthropic's clients."""
    body = {"model": "nova-micro", "max_tokens": 16, "messages": [{"role": "user", "content": question}]}
    headers = {"Authorization": f"Bearer {KEY}"}
    assert httpx.post(f"{gateway.url}/v1/messages", json=body, headers=headers, timeout=30).status_code == 200


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
