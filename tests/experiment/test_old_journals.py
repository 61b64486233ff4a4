"""Journals of this format that a version before a column wrote: read without a change, resumed with the column.

`format-4.sql` was made by the version before answers were streamed: four questions, of which number 2 failed, a judge.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fake_gateway import KEY, Serve
from fake_judge import answers_and_judges

import qa_eval
from qa_eval.experiment.journal_file import JournalFile
from qa_eval.experiment.journal_schema import ADDED_COLUMNS, CALL_COLUMNS, COLUMNS, SCHEMA
from qa_eval.paths import data_dir

RUN = "20261127-104939-659c87"


@pytest.fixture(autouse=True)
def journal(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The old journal among the runs of this machine."""
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", KEY)
    path = data_dir() / "runs" / RUN / "journal.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.executescript((Path(__file__).parent / "format-4.sql").read_text())
    return path


def columns(path: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [name for (name,) in database.execute("SELECT name FROM pragma_table_info(?)", (table,))]


def test_it_is_read_where_nothing_can_be_written(journal: Path) -> None:
    before = hashlib.sha256(journal.read_bytes()).digest()
    journal.chmod(0o400)
    journal.parent.chmod(0o500)
    try:
        result = qa_eval.open_run(RUN)
    finally:
        journal.parent.chmod(0o700)
    (experiment,) = result.experiments
    assert experiment.outcomes == {"answered": 3, "gateway_error": 1}
    assert experiment.mean("correctness") == 0.75
    assert {answer.reply.first_token_s for answer in experiment.answers} == {None}
    assert experiment.to_json()["first_token_s"] == {"p50": None, "p95": None}
    (judge,) = result.judges
    assert judge.calls == 3
    assert hashlib.sha256(journal.read_bytes()).digest() == before


def test_it_can_be_resumed_with_its_failures_and_its_judge(journal: Path, serve: Serve) -> None:
    gateway = serve(answers_and_judges())
    result = qa_eval.resume(RUN, retry_failed=True, gateway=gateway.url)
    (experiment,) = result.experiments
    assert (experiment.answered, experiment.mean("correctness")) == (4, 1.0)
    assert len(gateway.requests) == 2, "one question and its judgement"
    for table, name, _ in ADDED_COLUMNS:
        assert name in columns(journal, table)
    assert qa_eval.open_run(RUN).experiments[0].answered == 4
    with closing(sqlite3.connect(journal)) as database:
        assert database.execute("SELECT example_id, outcome FROM retried").fetchall() == [
            ("numbers-2", "gateway_error")
        ]


def test_an_upgrade_that_was_interrupted_is_completed(journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as database:
        database.execute("ALTER TABLE answers ADD COLUMN first_token_s REAL")
    reading = JournalFile.open(journal)
    assert len(reading.answers()) == 4
    assert len(reading.calls()) == 3
    reading.close()
    writing = JournalFile.open(journal, write=True)
    assert all(name in columns(journal, table) for table, name, _ in ADDED_COLUMNS)
    writing.close()


def test_a_new_journal_has_every_column(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "new.sqlite")) as database:
        database.executescript(SCHEMA)
    for table in ("answers", "retried"):
        assert columns(tmp_path / "new.sqlite", table) == ["seq", *COLUMNS]
    assert {name for _, name, _ in ADDED_COLUMNS} <= {*CALL_COLUMNS}
