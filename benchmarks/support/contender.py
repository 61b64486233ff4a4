"""One harness asks the fixed gateway the same questions and records in the same Phoenix, in a process of its own.

    python benchmarks/support/contender.py {qa-eval|judged|litellm|phoenix|inspect} GATEWAY PHOENIX EXAMPLES CONCURRENCY

`judged` is qa-eval with a judge, which the same gateway answers. `litellm` is qa-eval without a gateway: the LiteLLM
SDK asks the same server.
Prints one JSON line: when it began and ended, its processor time, its event loop's lag, its peak memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from typing import Any

PROMPT = "Context: {context}\n\nQuestion: {question}\n\nAnswer:"


class LoopLag:
    """How much later than asked for a sleeping task wakes up, and the processor time, from the run's start."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.cpu_s = 0.0

    async def watch(self) -> None:
        self.cpu_s = cpu_s()
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.1)
            self.lags.append(time.perf_counter() - start - 0.1)

    def p95_ms(self) -> float:
        return 1000 * sorted(self.lags)[int(0.95 * len(self.lags))] if self.lags else float("nan")


def cpu_s() -> float:
    """Processor time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def questions(count: int) -> list[dict[str, Any]]:
    text = "The Broncos of Denver won the game on a cold day in February before a large crowd. " * 6
    return [
        {
            "id": f"bench-{i}",
            "question": f"Who won game number {i}?",
            "context": text,
            "references": ("Denver", "The Broncos"),
            "group": f"Article {i % 20}",
        }
        for i in range(count)
    ]


async def litellm_run(gateway: str, phoenix: str | None, count: int, concurrency: int, lag: LoopLag) -> dict[str, Any]:
    os.environ["OPENAI_API_KEY"] = "none"
    system = {"models": "openai/qa", "via": "litellm", "parameters": {"api_base": f"{gateway}/v1"}}
    return await qa_eval_run("", phoenix, count, concurrency, lag, **system)


async def judged_run(gateway: str, phoenix: str | None, count: int, concurrency: int, lag: LoopLag) -> dict[str, Any]:
    judge = {"metrics": ["judge:correctness"], "judge_model": "qa", "planted": 0}
    return await qa_eval_run(gateway, phoenix, count, concurrency, lag, **judge)


async def qa_eval_run(
    gateway: str, phoenix: str | None, count: int, concurrency: int, lag: LoopLag, **system: Any
) -> dict[str, Any]:
    import qa_eval
    import qa_eval.experiment.execute as room
    from qa_eval.data import Dataset, Example
    from qa_eval.experiment.observer import NullObserver
    from qa_eval.experiment.scoring import SimilarityScorer

    # Three evaluators as for the others: Exact Match, F1, and one that costs nothing.
    vars(room)["load_similarity"] = lambda *_: SimilarityScorer("constant", lambda texts, _: [1.0] * len(texts))

    class Clock(NullObserver):
        recorded_at = 0.0

        def started(self, *_: object) -> None:
            self.watcher = asyncio.create_task(lag.watch())

        def recorded(self, count: int) -> None:
            self.recorded_at = time.time()

    clock = Clock()
    dataset = Dataset(f"bench-{os.getpid()}", tuple(Example(**each) for each in questions(count)))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["QA_EVAL_DATA_DIR"] = folder
        result = await qa_eval.async_run_experiment(
            dataset,
            servers=qa_eval.Servers(gateway, None, phoenix),
            prompts=PROMPT,
            concurrency=concurrency,
            record=phoenix is not None,
            observer=clock,
            **system,
        )
        clock.watcher.cancel()
    (experiment,) = result.experiments
    assert experiment.answered == count
    assert result.unrecorded == 0
    return {"recorded": clock.recorded_at or time.time(), "experiment": experiment.phoenix_id}


async def phoenix_run(gateway: str, phoenix: str, count: int, concurrency: int, lag: LoopLag) -> dict[str, Any]:
    import aiohttp
    from phoenix.client import AsyncClient

    from qa_eval.metrics import exact_match, f1

    client = AsyncClient(base_url=phoenix)
    dataset = await client.datasets.create_dataset(
        name=f"bench-{os.getpid()}",
        examples=[
            {
                "id": each["id"],
                "input": {"question": each["question"], "context": each["context"]},
                "output": {"answer": each["references"][0]},
                "metadata": {"references": list(each["references"])},
            }
            for each in questions(count)
        ],
    )
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def task(input: dict[str, str]) -> str:
        body = {"model": "qa", "messages": [{"role": "user", "content": PROMPT.format(**input)}]}
        async with session.post(f"{gateway}/v1/chat/completions", json=body) as response:
            return str((await response.json())["choices"][0]["message"]["content"])

    def em(output: str, metadata: dict[str, Any]) -> float:
        return float(exact_match(output, metadata["references"], "1.1"))

    def word_overlap(output: str, metadata: dict[str, Any]) -> float:
        return float(f1(output, metadata["references"], "1.1"))

    def constant(output: str) -> float:
        return 1.0

    watcher = asyncio.create_task(lag.watch())
    experiment = await client.experiments.run_experiment(
        dataset=dataset,
        task=task,
        evaluators=[em, word_overlap, constant],
        concurrency=concurrency,
        print_summary=False,
    )
    watcher.cancel()
    await session.close()
    return {"recorded": time.time(), "experiment": experiment["experiment_id"]}


async def inspect_run(gateway: str, phoenix: str, count: int, concurrency: int, lag: LoopLag) -> dict[str, Any]:
    from inspect_ai import Task, eval_async
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import get_model
    from inspect_ai.scorer import exact, f1

    samples = [
        Sample(id=each["id"], input=PROMPT.format(**each), target=list(each["references"])) for each in questions(count)
    ]
    model = get_model("openai-api/bench/qa", base_url=f"{gateway}/v1", api_key="none")
    watcher = asyncio.create_task(lag.watch())
    with tempfile.TemporaryDirectory() as folder:
        await eval_async(
            Task(dataset=MemoryDataset(samples), scorer=[exact(), f1()]),
            model=model,
            max_connections=concurrency,
            max_samples=concurrency,
            log_dir=folder,
        )
    watcher.cancel()
    return {"recorded": time.time(), "experiment": None}


RUNS: dict[str, Any] = {
    "qa-eval": qa_eval_run,
    "judged": judged_run,
    "litellm": litellm_run,
    "phoenix": phoenix_run,
    "inspect": inspect_run,
}


def main() -> None:
    name, gateway, phoenix, count, concurrency = sys.argv[1:]
    lag = LoopLag()
    found = asyncio.run(RUNS[name](gateway, phoenix or None, int(count), int(concurrency), lag))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found |= {"ended": time.time(), "cpu_s": cpu_s() - lag.cpu_s, "lag_p95_ms": lag.p95_ms(), "peak_mb": peak_mb}
    print("RESULT " + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
