"""Runs whose answers are known: made from predictions, with latencies, costs and failures from a fixed seed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from shared_data import squad_file

from qa_eval.data import Dataset, load_dataset
from qa_eval.data.examples import Example
from qa_eval.experiment.answers import Answer
from qa_eval.experiment.metadata import DatasetMetadata, RunMetadata
from qa_eval.experiment.results import RunResult
from qa_eval.experiment.summary import ExperimentResult
from qa_eval.metrics import exact_match, f1
from qa_eval.metrics.base import Score
from qa_eval.spec.metrics import DEFAULT_METRICS
from qa_eval.spec.model import ExperimentSpec
from qa_eval.spec.systems import resolve_systems
from qa_eval.targets.outcome import Outcome, Reply

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FAILURES = (Outcome.BLOCKED_INPUT, Outcome.TIMEOUT, Outcome.GATEWAY_ERROR, Outcome.EMPTY)


def made_run(
    dataset: Dataset,
    answers: Mapping[str, Mapping[str, str]],
    *,
    run_id: str = "20260102-030405-abcdef",
    latency_s: Mapping[str, float] | None = None,
    cost_usd: Mapping[str, float] | None = None,
    failing: float = 0.0,
) -> RunResult:
    """A run of models that gave these answers, by example id; `latency_s` is each one's median."""
    spec = ExperimentSpec.model_validate({"models": list(answers), "prompts": ["{context}\n{question}"]})
    metadata = RunMetadata(
        run_id=run_id,
        spec=resolve_systems(spec),
        dataset=DatasetMetadata(name=dataset.name, version=dataset.version),
        embedder="minilm-of-the-test",
    )
    experiments = []
    for number, (model, texts) in enumerate(answers.items()):
        rng = np.random.default_rng(number)
        made = []
        for example in dataset:
            failed = rng.random() < failing
            reply = Reply(
                outcome=FAILURES[int(rng.integers(len(FAILURES)))] if failed else Outcome.ANSWERED,
                text="" if failed else texts.get(example.id, ""),
                started_at=STARTED,
                latency_s=float(rng.lognormal(0, 0.4)) * (latency_s or {}).get(model, 0.5),
                message="it failed" if failed else "",
                cost_usd=None if failed else (cost_usd or {}).get(model, 0.0001) * float(rng.uniform(0.8, 1.2)),
            )
            made.append(Answer(model, example, reply, _scores(example, reply), scored=True))
        experiments.append(ExperimentResult(model, tuple(made), metadata.definitions, model=model))
    return RunResult(
        metadata=metadata,
        experiments=tuple(experiments),
        journal=Path("journal.sqlite"),
        planned=len(dataset),
        wall_s=12.5,
    )


def _scores(example: Example, reply: Reply) -> tuple[Score, ...]:
    if not reply.outcome.is_answer:
        return tuple(Score(0.0, name=name) for name in DEFAULT_METRICS)
    exact, partial = exact_match(reply.text, example.references), f1(reply.text, example.references)
    values = (exact, partial, 0.2 + 0.8 * partial)
    return tuple(Score(value, name=name) for name, value in zip(DEFAULT_METRICS, values, strict=True))


def right(dataset: Dataset, but_for: int = 0, seed: int = 0) -> dict[str, str]:
    """The first reference of every question, but a wrong word for some."""
    wrong = set(np.random.default_rng(seed).permutation(len(dataset))[:but_for].tolist())
    return {e.id: "nonsense" if place in wrong else e.references[0] for place, e in enumerate(dataset)}


def published(examples: int = 200) -> RunResult:
    """Two published systems, and one between them, on the real development set."""
    dataset = load_dataset(squad_file("dev-v1.1.json"), examples=examples)
    bert, regression = (
        json.loads(squad_file(f"predictions/{name}-v1.1.json").read_text())
        for name in ("bert-ensemble", "logistic-regression")
    )
    between = {key: (bert if place % 3 else regression).get(key, "") for place, key in enumerate(bert)}
    return made_run(
        dataset,
        {"logistic-regression": regression, "every-third": between, "bert-ensemble": bert},
        latency_s={"logistic-regression": 0.3, "every-third": 0.8, "bert-ensemble": 1.4},
        cost_usd={"logistic-regression": 0.00002, "every-third": 0.0021, "bert-ensemble": 0.0018},
        failing=0.03,
    )
