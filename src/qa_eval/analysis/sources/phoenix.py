"""Experiments in Phoenix, by their id or the address of their page."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from qa_eval.analysis.observations import Observations, ObservedAnswer, Question, ScoredAnswer, gather
from qa_eval.errors import InputError, PhoenixError
from qa_eval.metrics.definition import MetricDefinition
from qa_eval.metrics.registry import SIMILARITY, definition_of
from qa_eval.spec.model import ExperimentSpec
from qa_eval.targets.outcome import Outcome

_PHOENIX_ID = re.compile(r"Experiment:\d+")


def is_experiment(name: str) -> bool:
    """Whether a name is the id of an experiment in Phoenix."""
    try:
        return bool(_PHOENIX_ID.fullmatch(base64.b64decode(name, validate=True).decode()))
    except (binascii.Error, ValueError):
        return False


def parse_page(address: str) -> tuple[str, str]:
    """The Phoenix and the one experiment of a page's address."""
    parts = urlsplit(address)
    ids = parse_qs(parts.query).get("experimentId") or re.findall(r"/experiments/([^/]+)", parts.path)
    if len(ids) != 1 or not is_experiment(ids[0]):
        raise InputError(f"{address} does not name one experiment: give a page with one experimentId=... in it.")
    root = re.split(r"/(?:datasets|experiments|v1|projects)/", parts.path)[0]
    return f"{parts.scheme}://{parts.netloc}{root}", ids[0]


def read_experiment(url: str, experiment: str) -> Observations:
    """One experiment as Phoenix holds it. Its REST interface tells no cost, so there is none.

    Raises:
        PhoenixError: Phoenix is not there, refuses the key, or has no such experiment.
    """
    about = _get(url, f"v1/experiments/{experiment}")["data"]
    runs = _get(url, f"v1/experiments/{experiment}/json")
    stored = _get(url, f"v1/datasets/{about['dataset_id']}/examples", version_id=about["dataset_version_id"])
    questions = {each["node_id"]: _question(each) for each in stored["data"]["examples"]}
    metadata = about.get("metadata") or {}
    if "(failures+" in str(metadata.get("recorded", "")):
        raise InputError(
            f"The experiment {experiment} holds mostly failures: name its run {metadata.get('run')} instead."
        )
    name = str(metadata.get("system") or metadata.get("model") or about.get("name") or experiment)
    config = {"experiment": experiment, "phoenix": url}
    config |= {key: value for key, value in metadata.items() if key not in ("models", "spec", "system")}
    definitions = _definitions(metadata.get("spec"))
    return gather(
        name,
        (_of_phoenix(questions[run["example_id"]], run, definitions) for run in runs if run["example_id"] in questions),
        similarity=str(metadata.get("embedder") or metadata.get("similarity", "")),
        config=config,
        definitions=definitions,
    )


def _get(url: str, path: str, **query: str) -> Any:
    from qa_eval.phoenix.rest import read

    found = read(url, os.environ.get("PHOENIX_API_KEY"), path, **query)
    if found is None:
        raise PhoenixError(f"Phoenix at {url} has no {path}: check the experiment's id.")
    return found


def _question(example: Mapping[str, Any]) -> Question:
    """An example as `qa_eval.phoenix.client` stores it; of a foreign one, what can be found."""
    metadata, asked = example.get("metadata") or {}, example.get("input") or {}
    answer = (example.get("output") or {}).get("answer")
    return Question(
        str(example.get("id") or example["node_id"]),
        str(metadata.get("group") or metadata.get("title") or example["node_id"]),
        str(asked.get("question", "")),
        str(asked.get("context", "")),
        tuple(metadata.get("references") or ([str(answer)] if answer else [])),
        {key: value for key, value in metadata.items() if key not in ("group", "title", "references")},
    )


def _definitions(spec: Any) -> dict[str, MetricDefinition]:
    """The metrics of the experiment's specification; those of every run where it has none that can be read."""
    try:
        metrics = ExperimentSpec.model_validate(spec or {}).metrics
    except ValidationError:
        metrics = ExperimentSpec().metrics
    return {metric.name: definition_of(metric) for metric in metrics}


def _of_phoenix(
    question: Question, run: Mapping[str, Any], definitions: Mapping[str, MetricDefinition]
) -> ScoredAnswer:
    output, error = run.get("output"), run.get("error")
    text = str(output.get("answer", "")) if isinstance(output, dict) else str(output or "")
    latency, annotations = run.get("latency_ms"), run.get("annotations") or ()
    answer = ObservedAnswer(
        text,
        _failure(str(error)) if error else Outcome.ANSWERED,
        str(error or ""),
        None if latency is None else latency / 1000,
        first_token_s=next((a["score"] for a in annotations if a["name"] == "first_token_s"), None),
    )
    return ScoredAnswer(question, answer, dict(_annotations(annotations, definitions)))


def _failure(error: str) -> Outcome:
    """The outcome that qa-eval wrote before the colon; a foreign error is the gateway's."""
    try:
        return Outcome(error.split(":", 1)[0])
    except ValueError:
        return Outcome.GATEWAY_ERROR


def _annotations(
    annotations: Iterable[Mapping[str, Any]], definitions: Mapping[str, MetricDefinition]
) -> Iterator[tuple[str, float]]:
    for each in annotations:
        name = SIMILARITY if each["name"].startswith(SIMILARITY) else str(each["name"])
        if each.get("score") is not None and name in definitions:
            yield name, float(each["score"])
