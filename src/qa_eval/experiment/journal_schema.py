"""The tables of a journal, and how answers and judges' calls become rows and are read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from qa_eval.experiment.answers import JudgeCall
from qa_eval.targets.outcome import Outcome, Reply

FORMAT = 4
_REPLY = """
    outcome TEXT NOT NULL, text TEXT NOT NULL, started_at TEXT NOT NULL, latency_s REAL NOT NULL,
    message TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER, cost_usd REAL,
    deployment TEXT, deployment_model TEXT, fallbacks INTEGER, gateway_retries INTEGER, tries INTEGER NOT NULL,
    trace_id TEXT, span_id TEXT, first_token_s REAL"""
_ANSWER = f"""
    seq INTEGER PRIMARY KEY AUTOINCREMENT, system TEXT NOT NULL, example_id TEXT NOT NULL, repetition INTEGER NOT NULL,
    {_REPLY}"""
SCHEMA = f"""
CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE examples (id TEXT PRIMARY KEY, position INTEGER NOT NULL, content TEXT NOT NULL) STRICT;
CREATE TABLE answers ({_ANSWER}, UNIQUE (system, example_id, repetition)) STRICT;
CREATE TABLE retried ({_ANSWER}) STRICT;
CREATE TABLE scored (answer INTEGER PRIMARY KEY) STRICT;
CREATE TABLE scores (
    answer INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL,
    value REAL, label TEXT, explanation TEXT, error TEXT, PRIMARY KEY (answer, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE recorded (answer INTEGER PRIMARY KEY, phoenix_run_id TEXT NOT NULL) STRICT;
"""
ADDED = f"""
CREATE TABLE IF NOT EXISTS judge_calls (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, metric TEXT NOT NULL, model TEXT NOT NULL,
    system TEXT, parent_span_id TEXT, failure TEXT, {_REPLY}
) STRICT;
CREATE TABLE IF NOT EXISTS labels (
    answer INTEGER NOT NULL, metric TEXT NOT NULL, label TEXT NOT NULL, annotator TEXT NOT NULL,
    PRIMARY KEY (answer, metric, annotator)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS looks (
    candidate TEXT NOT NULL, number INTEGER NOT NULL, examples INTEGER NOT NULL, estimate REAL NOT NULL,
    low REAL, high REAL, decision TEXT, taken_at TEXT NOT NULL, PRIMARY KEY (candidate, number)
) STRICT, WITHOUT ROWID;
"""
"""Tables that later versions of this format added: a journal without them has none of their rows."""
ADDED_COLUMNS = tuple((table, "first_token_s", "REAL") for table in ("answers", "retried", "judge_calls"))
"""Columns that later versions of this format added, as table, name and type: NULL in the rows before them."""
REPLY_FIELDS = tuple(field.name for field in fields(Reply))
COLUMNS = ("system", "example_id", "repetition", *REPLY_FIELDS)
_CALL_FIELDS = ("key", "metric", "model", "system", "parent_span_id", "failure")
CALL_COLUMNS = (*_CALL_FIELDS, *REPLY_FIELDS)
ERRORS = tuple(str(outcome) for outcome in Outcome if outcome.is_error)
FAILED = f"outcome IN ({', '.join('?' * len(ERRORS))})"


def answer_row(system: str, example_id: str, repetition: int, reply: Reply) -> tuple[Any, ...]:
    """An answer as a row of `COLUMNS`."""
    return (system, example_id, repetition, *_reply_row(reply))


def call_row(call: JudgeCall) -> tuple[Any, ...]:
    """A judge's call as a row of `CALL_COLUMNS`."""
    return (*(getattr(call, name) for name in _CALL_FIELDS), *_reply_row(call.reply))


def read_call(row: Sequence[Any]) -> JudgeCall:
    """A judge's call from its number and the columns `CALL_COLUMNS`."""
    seq, *rest = row
    own = dict(zip(_CALL_FIELDS, rest, strict=False))
    return JudgeCall(**own, reply=read_reply(rest[len(_CALL_FIELDS) :]), seq=seq)


def read_reply(row: Sequence[Any]) -> Reply:
    """A reply from the columns `REPLY_FIELDS`."""
    values = dict(zip(REPLY_FIELDS, row, strict=True))
    values["outcome"] = Outcome(values["outcome"])
    values["started_at"] = datetime.fromisoformat(values["started_at"])
    return Reply(**values)


def _reply_row(reply: Reply) -> tuple[Any, ...]:
    values: Mapping[str, Any] = {
        **{name: getattr(reply, name) for name in REPLY_FIELDS},
        "outcome": reply.outcome.value,
        "started_at": reply.started_at.isoformat(),
    }
    return tuple(values[name] for name in REPLY_FIELDS)
