"""A journal that an older version wrote: made by that version, kept as SQL, read by this one.

Two models on twelve questions asked twice; number 3 is blocked, 5 refused, 7 answered in other words; two custom
metrics, one of which fails on number 2.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

import qa_eval
from qa_eval.errors import InputError
from qa_eval.paths import data_dir

RUN = "20260101-120000-aaaaaa"


@pytest.fixture(autouse=True)
def journal() -> Path:
    """The old journal among the runs of this machine."""
    path = data_dir() / "runs" / RUN / "journal.sqlite"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as database:
        database.executescript((Path(__file__).parent / "format-3.sql").read_text())
    database.close()
    return path


def test_it_opens_with_all_scores_and_outcomes() -> None:
    result = qa_eval.open_run(RUN)
    assert [(each.system, each.model, len(each.answers)) for each in result.experiments] == [
        ("qa", "qa", 24),
        ("other", "other", 24),
    ]
    for experiment in result.experiments:
        assert experiment.outcomes == {"answered": 20, "blocked_input": 2, "refused": 2}
        assert experiment.mean("exact_match") == experiment.mean("f1") == 0.75
        assert experiment.mean("semantic_similarity") == pytest.approx(0.818, abs=1e-3)
        brevity, broken = experiment.summary("brevity"), experiment.summary("broken")
        assert (brevity.scored, brevity.errors) == (20, 0)
        assert (broken.scored, broken.errors, broken.error) == (18, 2, "ValueError: no two")
    frame = result.to_pandas()
    assert set(frame["brevity.label"].dropna()) == {"short", "long"}
    assert set(frame["metadata.difficulty"]) == {"easy"}
    assert set(frame["group"]) == {f"Article {i}" for i in range(7)}
    assert result.metadata.embedder.startswith("all-MiniLM-L6-v2")
    assert json.dumps(result.to_json())


def test_it_can_be_listed_compared_and_reported(tmp_path: Path) -> None:
    (summary,) = qa_eval.list_runs()
    assert (summary.systems, summary.planned, summary.answered) == (("qa", "other"), 48, 48)
    comparison = qa_eval.compare(RUN)
    assert "identical scores" in comparison.verdicts[0] or "scores as" in comparison.verdicts[0]
    assert "<html" in qa_eval.report(RUN, output=tmp_path / "report.html").read_text()
    specification = qa_eval.open_run(RUN).metadata.spec
    assert specification.systems[0].prompt is not None
    assert "{question}" in specification.systems[0].prompt.messages[0].content


def test_it_cannot_be_resumed_and_says_so() -> None:
    with pytest.raises(InputError, match="written by an older version of qa-eval, whose runs can be shown"):
        qa_eval.resume(RUN, gateway="http://127.0.0.1:9")
