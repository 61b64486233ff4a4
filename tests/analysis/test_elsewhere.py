"""Results of other tools: files that inspect_ai and promptfoo wrote, cut to what matters (tests/analysis/elsewhere)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import qa_eval

from qa_eval.analysis.observations import Observations
from qa_eval.analysis.sources import observe
from qa_eval.errors import InputError
from qa_eval.targets.outcome import Outcome

FILES = Path(__file__).parent / "elsewhere"


def by_question(system: Observations) -> dict[str, list[str]]:
    return {item.question.text: [answer.text for answer in item.answers] for item in system.items.values()}


def test_a_log_of_inspect_ai_is_one_system_with_its_epochs() -> None:
    (system,) = observe([FILES / "inspect.json"])
    assert system.name == "openai-api/local/qa"
    assert by_question(system) == {
        "Largest planet?": ["Jupiter", "Paris"],
        "Capital of France?": ["Paris", "Paris", ""],
        "2+2?": ["five", "four"],
    }
    capital = system.items["q1"]
    assert (capital.question.references, capital.question.metadata) == (("Paris",), {"topic": "geo"})
    assert capital.scores == {"exact_match": 2 / 3, "f1": 2 / 3, "exact": 1.0, "inspect_f1": 1.0, "includes": 1.0}
    assert capital.answers[2].outcome is Outcome.TASK_ERROR
    assert capital.answers[2].message == "ConnectionError: the connection was cut"
    assert system.items["q2"].scores["exact"] == 0.5
    assert all(0 < latency < 1 for latency in capital.latencies)


def test_a_file_of_promptfoo_is_a_system_for_each_prompt_of_a_provider() -> None:
    systems = observe([FILES / "promptfoo.json"])
    assert sorted(system.name for system in systems) == [
        "qa Please: {{question}}",
        "qa short: p1.txt: Answer shortly: {{question}}",
    ]
    long, _ = sorted(systems, key=lambda system: system.name)
    assert {question: len(answers) for question, answers in by_question(long).items()} == {
        "Capital of France?": 2,
        "2+2?": 2,
        "Largest planet?": 2,
    }
    capital = next(item for item in long.items.values() if item.question.text == "Capital of France?")
    assert (capital.question.context, capital.question.references) == ("France has Paris.", ("Paris",))
    assert capital.scores == {"exact_match": 0.5, "f1": 0.5, "passed": 0.5, "score": 0.5}
    sums = next(item for item in long.items.values() if item.question.text == "2+2?")
    assert [answer.outcome for answer in sums.answers] == [Outcome.GATEWAY_ERROR, Outcome.ANSWERED]
    assert sums.answers[0].message == "API error: 500 Internal Server Error"
    assert sums.scores["exact"] == 0.0


def test_they_are_compared_and_reported_by_the_command(tmp_path: Path) -> None:
    done = qa_eval("compare", FILES / "promptfoo.json", "--primary", "f1", "--json")
    assert done.returncode == 0, done.stderr
    both = qa_eval("compare", FILES / "promptfoo.json", FILES / "inspect.json")
    assert both.returncode == 2  # other tools number their questions in other ways
    assert "Traceback" not in both.stderr
    report = tmp_path / "report.html"
    assert qa_eval("report", FILES / "inspect.json", "--output", report).returncode == 0
    assert "Largest planet?" in report.read_text()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"eval": {"model": "m"}, "status": "success", "samples": []}, "holds no answers"),
        ({"eval": {"model": "m"}, "status": "success", "samples": [{}]}, "not in inspect's form"),
        ({"evalId": "e", "results": {"results": [{"vars": {}}]}}, "not in promptfoo's form"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, content: object, sentence: str) -> None:
    (tmp_path / "log.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=sentence):
        observe([tmp_path / "log.json"])


def test_a_compressed_log_is_to_be_converted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="convert it with `inspect log convert"):
        observe([tmp_path / "log.eval"])
