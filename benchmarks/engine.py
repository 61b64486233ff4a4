"""The engine beside its rivals: the same 500 questions of 0.5 s, three evaluators, one fixed gateway, a real Phoenix.

    python benchmarks/engine.py [--examples 500] [--concurrency 20 100] [--rival inspect]
    python benchmarks/engine.py --judge    # each answer is judged by a call of 0.5 s too: how long both take together
    python benchmarks/engine.py --long     # 20,000 questions of 5 ms, no Phoenix: memory, and whether the rate holds

Every harness runs in a process of its own, one after the other, and is timed at the gateway. "Answered" is the time
from the first question's arrival to the last answer, "recorded" to the last run and evaluation in Phoenix; "ideal"
is what the gateway's 0.5 s and the concurrency allow. The processor time is the harness's own from the run's start,
the event loop's lag that of a task that sleeps 20 ms. `inspect` (inspect_ai) keeps a log file and records nothing in
Phoenix; its scorers are not SQuAD's. It is installed into an environment of its own, which needs the package registry.
`litellm` is qa-eval with `via: litellm`: the LiteLLM SDK asks the same server.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from fixed_gateway import gateway, get

SUPPORT = Path(__file__).parent / "support"
LATENCY_S = 0.5
RIVAL = ("inspect-ai==0.3.285", "openai")


def run(python: str, name: str, url: str, phoenix: str, examples: int, concurrency: int) -> dict[str, Any]:
    """One harness once; its own figures and the gateway's."""
    get(f"{url}/stats")
    command = [python, str(SUPPORT / "contender.py"), name, url, phoenix, str(examples), str(concurrency)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise SystemExit(f"{name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    seen = get(f"{url}/stats")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return found | {"seen": seen}


def row(name: str, found: dict[str, Any], examples: int, concurrency: int, latencies: list[float]) -> str:
    ideal = examples * LATENCY_S / concurrency
    seen = found["seen"]
    answered, recorded = seen["last"] - seen["first"], found["recorded"] - seen["first"]
    shown = f"{median(latencies):.3f}/{sorted(latencies)[int(0.95 * len(latencies))]:.3f}" if latencies else "-"
    return (
        f"{name:>8} {concurrency:>5} {answered:>9.2f} {answered / ideal:>6.2f} {recorded:>9.2f} "
        f"{1000 * found['cpu_s'] / examples:>9.2f} {found['lag_p95_ms']:>8.1f} {found['peak_mb']:>7.0f} "
        f"{seen['asked']:>6} {shown:>13}"
    )


def latencies_s(phoenix: str, experiment: str | None) -> list[float]:
    """What Phoenix shows as the runs' latencies."""
    if experiment is None:
        return []
    return [run["latency_ms"] / 1000 for run in get(f"{phoenix}/v1/experiments/{experiment}/json")]


def rival_python(folder: Path) -> str:
    """An environment of the rival's own."""
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", str(folder)], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *RIVAL]
    subprocess.run(install, check=True)
    return str(folder / "bin" / "python")


def beside_rivals(examples: int, levels: list[int], rival: bool) -> None:
    from qa_eval import stack

    with tempfile.TemporaryDirectory() as folder, gateway(LATENCY_S) as url:
        pythons = dict.fromkeys(("qa-eval", "litellm", "phoenix"), sys.executable)
        if rival:
            pythons["inspect"] = rival_python(Path(folder) / "rival")
        os.environ["QA_EVAL_DATA_DIR"] = str(Path(folder) / "data")
        phoenix = stack.up().phoenix_url
        print(f"{examples} questions of {LATENCY_S} s")
        print("    name  conc  answered ×ideal  recorded CPU ms/ex lag ms95 peak MB  asked  latency 50/95")
        try:
            for concurrency in levels:
                for name, python in pythons.items():
                    found = run(python, name, url, phoenix, examples, concurrency)
                    latencies = latencies_s(phoenix, found["experiment"])
                    print(row(name, found, examples, concurrency, latencies), flush=True)
        finally:
            stack.down()


def judged_run(examples: int, concurrency: int) -> None:
    with gateway(LATENCY_S) as url:
        seen = run(sys.executable, "judged", url, "", examples, concurrency)["seen"]
    # The last answer can only be judged when it is there.
    ideal = examples * LATENCY_S / concurrency + LATENCY_S
    began, answers, judgements = seen["first"], seen["answers"], seen["judgements"]
    beside = sum(each < answers[-1] for each in judgements) / len(judgements)
    print(f"{examples} questions of {LATENCY_S} s, each judged by a call of {LATENCY_S} s, {concurrency} at once")
    print(f"answered after {answers[-1] - began:.2f} s, judged after {judgements[-1] - began:.2f} s")
    print(f"ideal {ideal:.2f} s, ratio {(judgements[-1] - began) / ideal:.2f}")
    print(f"{len(judgements)} judgements, {100 * beside:.0f} % of them before the last answer")


def long_run(examples: int) -> None:
    with gateway(0.005) as url:
        found = run(sys.executable, "qa-eval", url, "", examples, 64)
    answers = found["seen"]["answers"]
    tenth = len(answers) // 10
    rates = [tenth / (answers[i * tenth + tenth - 1] - answers[i * tenth]) for i in range(10)]
    print(f"{examples} questions of 5 ms, no Phoenix: {examples / (answers[-1] - answers[0]):.0f} a second")
    print("a second, by tenths of the run: " + " ".join(f"{rate:.0f}" for rate in rates))
    print(f"peak memory {found['peak_mb']:.0f} MB, processor time {1000 * found['cpu_s'] / examples:.2f} ms a question")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=0)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--rival", choices=["inspect"])
    parser.add_argument("--judge", action="store_true")
    parser.add_argument("--long", action="store_true")
    arguments = parser.parse_args()
    if arguments.judge:
        judged_run(arguments.examples or 500, arguments.concurrency[0])
    elif arguments.long:
        long_run(arguments.examples or 20_000)
    else:
        beside_rivals(arguments.examples or 500, arguments.concurrency, arguments.rival is not None)


if __name__ == "__main__":
    main()
