"""What Ray costs and what it gives: each run in a process of its own, on a cluster of its own.

    python benchmarks/distributed.py [--only tasks gateway limit]      exit code 1 where a bound is missed

    tasks    an own task of 20 ms processor time, by 1 and by 2 workers of one core: answers a second
    gateway  a gateway of 50 ms, 64 at once, without Ray and with it: answers a second at the gateway, and the driver's
             processor time an answer, journal and scores included
    limit    a token bucket of 50 requests a second that answers 429, asked by 4 workers: the share that is refused

The file is not called `ray.py`: it would hide the package.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fixed_gateway import gateway, get

TASK_S, LATENCY_S, AT_ONCE = 0.02, 0.05, 64
PER_SECOND = 50.0
SPEEDUP, RATE, DRIVER_MS, REFUSED = 1.8, 0.9, 0.5, 0.03
PROMPT = "{context}\n\nQuestion: {question}\n\nAnswer:"


def burn(example: Any) -> str:
    """An own task: processor time, then the answer."""
    end = time.thread_time() + TASK_S
    while time.thread_time() < end:
        pass
    return "Denver"


def child(what: dict[str, Any]) -> None:
    """One run; prints its answers a second and the driver's processor time an answer, from the first tenth on."""
    sys.path.remove(str(Path(__file__).parent))
    import qa_eval
    from qa_eval.data import Example
    from qa_eval.experiment.observer import NullObserver

    class Clock(NullObserver):
        seen: list[tuple[float, float]] = []  # noqa: RUF012

        def answered(self, *_: object) -> None:
            self.seen.append((time.monotonic(), cpu_s()))

    text = "The Broncos of Denver won the game on a cold day in February before a large crowd. " * 6
    examples = (Example(f"b-{i}", f"Who won game {i}?", text, ("Denver",), f"g{i % 20}") for i in range(what["count"]))
    task = {"task": burn} if what.get("task") else {"prompts": PROMPT}
    clock = Clock()
    spec = qa_eval.ExperimentSpec.model_validate({"metrics": ["exact_match", "f1"], "ray": what["ray"]})
    result = qa_eval.run_experiment(
        spec,
        dataset=str(_written(list(examples))),
        examples="all",
        servers=qa_eval.Servers(what.get("url", ""), None, None),
        concurrency=what.get("concurrency", "auto"),
        observer=clock,
        **task,
    )
    assert result.experiments[0].answered == what["count"], result.experiments[0].outcomes
    # The first tenth starts workers' threads and connections.
    begin = len(clock.seen) // 10
    count = len(clock.seen) - 1 - begin
    wall_s, used_s = (last - first for first, last in zip(clock.seen[begin], clock.seen[-1], strict=True))
    print("RESULT " + json.dumps({"rate": count / wall_s, "cpu_ms": 1000 * used_s / count}), flush=True)


def _written(examples: list[Any]) -> Path:
    path = Path(os.environ["QA_EVAL_DATA_DIR"]) / "bench.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ("id", "question", "context", "references", "group")
    path.write_text("".join(json.dumps({name: getattr(e, name) for name in names}) + "\n" for e in examples))
    return path


def cpu_s() -> float:
    """Processor time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def run(**what: Any) -> dict[str, Any]:
    """One run in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        # Ray lets its workers yield to all other processes, which on a machine that others use measures those.
        environment = {**os.environ, "QA_EVAL_DATA_DIR": folder, "RAY_worker_niceness": "0"}
        command = [sys.executable, __file__, "--child", json.dumps(what)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise SystemExit(f"{what} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return found


def tasks() -> bool:
    """Own tasks by 1 and by 2 workers."""
    rates = []
    for workers in (1, 2):
        ray = {"address": "local", "tasks": {"workers": workers}}
        rates.append(run(count=1200, task=True, concurrency=4 * workers, ray=ray)["rate"])
    ratio = rates[1] / rates[0]
    print(f"a task of 20 ms: {rates[0]:.1f} a second by 1 worker, {rates[1]:.1f} by 2: {ratio:.2f} times, at least 1.8")
    return bool(ratio >= SPEEDUP)


def through_gateway() -> bool:
    """The same gateway without Ray and with it."""
    found = {}
    for name, ray in (("alone", None), ("ray", {"address": "local", "tasks": {"workers": 1}})):
        with gateway(LATENCY_S) as url:
            found[name] = run(count=8000, concurrency=AT_ONCE, url=url, ray=ray)
    alone, on_ray = found["alone"], found["ray"]
    ratio = on_ray["rate"] / alone["rate"]
    print(
        f"a gateway of 50 ms, 64 at once: {alone['rate']:.0f} a second alone, {on_ray['rate']:.0f} on Ray: {ratio:.2f}"
    )
    print(f"driver's processor time an answer: {alone['cpu_ms']:.2f} ms alone, {on_ray['cpu_ms']:.2f} ms on Ray")
    return bool(ratio >= RATE and on_ray["cpu_ms"] <= DRIVER_MS)


def limit() -> bool:
    """A rate limit, kept by workers together."""
    with gateway(LATENCY_S, PER_SECOND) as url:
        run(count=3000, url=url, ray={"address": "local", "tasks": {"workers": 4, "num_cpus": 0}})
        seen = get(f"{url}/stats")
    share = seen["refused"] / (seen["refused"] + len(seen["answers"]))
    rate = len(seen["answers"]) / (seen["answers"][-1] - seen["answers"][0])
    print(f"50 requests a second, 4 workers: {rate:.1f} answers a second, {100 * share:.1f} % refused, at most 3 %")
    return bool(share <= REFUSED)


PARTS = {"tasks": tasks, "gateway": through_gateway, "limit": limit}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS])
    parser.add_argument("--child", type=json.loads)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child)
    else:
        kept = [PARTS[name]() for name in arguments.only]
        sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
