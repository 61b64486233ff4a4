"""From what a user names to observations: a run, an exported file, a predictions file, or a Phoenix experiment.

20261122-101500-ab12cd, latest     a run, by its id or the start of it; RUN:MODEL is one model of it
answers.jsonl, .csv, .parquet      an export, one row an answer
predictions.json                   an official predictions file, with the dataset that it answers
RXhwZXJpbWVudDox, http://...       an experiment in Phoenix, by its id or its page
"""

from __future__ import annotations

import ast
import base64
import binascii
import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from qa_eval.analysis.observations import (
    Answer,
    Asked,
    Observations,
    Question,
    gather,
    of_experiment,
    of_predictions,
    of_run,
)
from qa_eval.data.examples import Dataset
from qa_eval.data.load import load_dataset
from qa_eval.data.predictions import read_predictions
from qa_eval.errors import InputError, PhoenixError
from qa_eval.experiment.plan import SCORES
from qa_eval.experiment.results import ExperimentResult, RunResult
from qa_eval.experiment.runs import open_run
from qa_eval.paths import data_dir
from qa_eval.targets.outcome import Outcome

Source = str | Path | RunResult | ExperimentResult | Observations
"""What can be compared and reported: results in hand, or what the user names."""

EXPORTS = (".jsonl", ".csv", ".parquet")
_PHOENIX_ID = re.compile(r"Experiment:\d+")


def observe(
    sources: Sequence[Source], *, dataset: Dataset | str | Path | None = None, phoenix: str | None = None
) -> list[Observations]:
    """All systems that the sources hold, in their order, each under a name of its own.

    Args:
        sources: Results, or runs, files and Phoenix experiments by name. A run of several models is several systems.
        dataset: The questions that predictions files answer.
        phoenix: The base URL of the Phoenix that holds experiments named by their id; `PHOENIX_API_KEY` is its key.

    Raises:
        InputError: A source cannot be found or read, or lacks what it takes.
        PhoenixError: Phoenix is not there, or has no such experiment.
    """
    loaded = load_dataset(dataset, examples=None) if isinstance(dataset, str | Path) else dataset
    return _named_apart([each for source in sources for each in _observe(source, loaded, phoenix)])


def _observe(source: Source, dataset: Dataset | None, phoenix: str | None) -> list[Observations]:
    match source:
        case Observations():
            return [source]
        case RunResult():
            return of_run(source)
        case ExperimentResult():
            return [of_experiment(source)]
        case _:
            return _read(str(source), dataset, phoenix)


def _read(name: str, dataset: Dataset | None, phoenix: str | None) -> list[Observations]:
    path = Path(name)
    if path.suffix in EXPORTS:
        return read_export(path)
    if path.suffix == ".json":
        if dataset is None:
            raise InputError(f"{name} is a predictions file: give the questions that it answers with --dataset FILE.")
        return [of_predictions(path.stem, read_predictions(path), dataset)]
    if name.startswith(("http://", "https://")):
        return [read_experiment(*_page(name))]
    if is_experiment(name):
        if phoenix is None:
            raise InputError(f"{name} is an experiment in Phoenix: say in which one with --phoenix URL.")
        return [read_experiment(phoenix, name)]
    return _read_run(name)


def _read_run(name: str) -> list[Observations]:
    run, colon, model = (name, "", "") if Path(name).exists() else name.partition(":")
    systems = of_run(open_run(data_dir() / "runs", run))
    chosen = [each for each in systems if each.name == model] if colon else systems
    if not chosen:
        raise InputError(f"Run {run} has no model {model!r}: it has {', '.join(each.name for each in systems)}.")
    return chosen


def _named_apart(systems: Sequence[Observations]) -> list[Observations]:
    """Names that come twice get their run, and where that does not tell them apart, their place."""
    by_run = _where_twice(
        systems, lambda place, each: f"{each.name} ({each.config['run']})" if "run" in each.config else each.name
    )
    return _where_twice(by_run, lambda place, each: f"{each.name} #{place}")


def _where_twice(systems: Sequence[Observations], name: Callable[[int, Observations], str]) -> list[Observations]:
    counts = Counter(each.name for each in systems)
    return [
        replace(each, name=name(place, each)) if counts[each.name] > 1 else each
        for place, each in enumerate(systems, 1)
    ]


# --- exported files -----------------------------------------------------------------------------------------------


def read_export(path: Path) -> list[Observations]:
    """The systems of an exported file, one row an answer, as `RunResult.to_pandas` has them.

    Raises:
        InputError: The file cannot be read, or lacks a column.
    """
    rows = _rows(path)
    missing = {"model", "example_id", "title", "answer", "outcome"} - set(rows[0] if rows else ())
    if missing:
        raise InputError(
            f"{path} is no export of a run: it lacks {', '.join(sorted(missing))}; `qa-eval runs export` writes one."
        )
    models = dict.fromkeys(str(row["model"]) for row in rows)
    return [
        gather(
            model,
            (_of_row(path, number, row) for number, row in enumerate(rows, 1) if str(row["model"]) == model),
            config=_export_facts(path, rows, model),
        )
        for model in models
    ]


def _export_facts(path: Path, rows: Sequence[Mapping[str, Any]], model: str) -> dict[str, Any]:
    runs = dict.fromkeys(str(row["run"]) for row in rows if row["model"] == model and row.get("run"))
    return {"export": path.name, "model": model, **({"run": ", ".join(runs)} if runs else {})}


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".jsonl":
            lines = path.read_text(encoding="utf-8").split("\n")  # answers may hold other line ends
            return [json.loads(line) for line in lines if line.strip()]
        import pandas as pd

        table = (
            pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str, keep_default_na=False)
        )
        return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): check the path.") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is not {path.suffix[1:]} ({error}).") from None


def _of_row(path: Path, number: int, row: Mapping[str, Any]) -> Asked:
    try:
        outcome = Outcome(str(row["outcome"]))
        scores = {name: score for name in SCORES if (score := _number(row.get(name))) is not None}
        answer = Answer(
            _text(row["answer"]),
            outcome,
            _text(row.get("message")),
            _number(row.get("latency_s")),
            _number(row.get("cost_usd")),
        )
    except ValueError as error:
        raise InputError(f"{path}: row {number} is broken ({error}).") from None
    question = Question(
        _text(row["example_id"]),
        _text(row["title"]),
        _text(row.get("question")),
        _text(row.get("context")),
        _texts(row.get("references")),
        _text(row.get("difficulty")),
    )
    return Asked(question, answer, scores)


def _number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    number = float(value)
    return None if math.isnan(number) else number


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _texts(value: Any) -> tuple[str, ...]:
    """A list of texts, which a CSV file holds as JSON or as Python writes it."""
    if isinstance(value, str):
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(value)
                break
            except (ValueError, SyntaxError):
                continue
        else:
            return (value,) if value else ()
    return () if value is None else tuple(str(each) for each in value)


# --- experiments in Phoenix ---------------------------------------------------------------------------------------


def is_experiment(name: str) -> bool:
    """Whether a name is the id of an experiment in Phoenix."""
    try:
        return bool(_PHOENIX_ID.fullmatch(base64.b64decode(name, validate=True).decode()))
    except (binascii.Error, ValueError):
        return False


def _page(address: str) -> tuple[str, str]:
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
    name = str(metadata.get("model") or about.get("name") or experiment)
    config = {"experiment": experiment, "phoenix": url, **{k: v for k, v in metadata.items() if k != "models"}}
    return gather(
        name,
        (_of_phoenix(questions[run["example_id"]], run) for run in runs if run["example_id"] in questions),
        similarity=str(metadata.get("similarity", "")),
        config=config,
    )


def _get(url: str, path: str, **query: str) -> Any:
    import httpx

    key = os.environ.get("PHOENIX_API_KEY")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        response = httpx.get(f"{url.rstrip('/')}/{path}", params=query, headers=headers, timeout=60.0)
        return response.raise_for_status().json()
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise PhoenixError(f"Phoenix at {url} refuses the key: set PHOENIX_API_KEY to a valid one.") from None
        raise PhoenixError(f"Phoenix at {url} has no {path} (HTTP {status}): check the experiment's id.") from None
    except (httpx.HTTPError, httpx.InvalidURL):
        raise PhoenixError(f"No Phoenix answers at {url}: start it, or check --phoenix.") from None
    except ValueError:
        raise PhoenixError(f"{url} does not answer as Phoenix: check --phoenix.") from None


def _question(example: Mapping[str, Any]) -> Question:
    """An example as `qa_eval.data.phoenix_records` makes it; of a foreign one, what can be found."""
    metadata, asked = example.get("metadata") or {}, example.get("input") or {}
    answer = (example.get("output") or {}).get("answer")
    return Question(
        str(example.get("id") or example["node_id"]),
        str(metadata.get("group") or metadata.get("title") or example["node_id"]),
        str(asked.get("question", "")),
        str(asked.get("context", "")),
        tuple(metadata.get("references") or ([str(answer)] if answer else [])),
        str(metadata.get("difficulty", "")),
    )


def _of_phoenix(question: Question, run: Mapping[str, Any]) -> Asked:
    output, error = run.get("output"), run.get("error")
    text = str(output.get("answer", "")) if isinstance(output, dict) else str(output or "")
    latency = run.get("latency_ms")
    answer = Answer(
        text,
        _failure(str(error)) if error else Outcome.ANSWERED,
        str(error or ""),
        None if latency is None else latency / 1000,
    )
    return Asked(question, answer, dict(_annotations(run.get("annotations") or ())))


def _failure(error: str) -> Outcome:
    """The outcome that qa-eval wrote before the colon; a foreign error is the gateway's."""
    try:
        return Outcome(error.split(":", 1)[0])
    except ValueError:
        return Outcome.GATEWAY_ERROR


def _annotations(annotations: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, float]]:
    for each in annotations:
        name = "semantic_similarity" if each["name"].startswith("semantic_similarity") else str(each["name"])
        if each.get("score") is not None and name in SCORES:
            yield name, float(each["score"])
