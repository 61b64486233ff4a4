"""From what a user names to observations: a run, an exported file, a predictions file, or a Phoenix experiment.

main, 20261122-101500-ab12cd       a run, by its name, its id or the start of it, or `latest`; RUN:SYSTEM is one system
answers.jsonl, .csv, .parquet      an export, one row an answer
predictions.json                   an official predictions file, with the dataset that it answers
log.json                           a log of inspect_ai, or an output file of promptfoo
RXhwZXJpbWVudDox, http://...       an experiment in Phoenix, by its id or its page
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from qa_eval.analysis.observations import Observations, from_experiment, from_predictions, from_run
from qa_eval.analysis.sources.elsewhere import INSPECT_ARCHIVE, read_elsewhere
from qa_eval.analysis.sources.export import EXPORTS, read_export
from qa_eval.analysis.sources.phoenix import is_experiment, parse_page, read_experiment
from qa_eval.data.examples import Dataset
from qa_eval.data.load import load_dataset
from qa_eval.data.predictions import read_predictions
from qa_eval.errors import InputError
from qa_eval.experiment.results import RunResult
from qa_eval.experiment.runs import open_run
from qa_eval.experiment.summary import ExperimentResult
from qa_eval.paths import data_dir

Source = str | Path | RunResult | ExperimentResult | Observations
"""What can be compared and reported: results in hand, or what the user names."""


def observe(
    sources: Sequence[Source], *, dataset: Dataset | str | Path | None = None, phoenix: str | None = None
) -> list[Observations]:
    """All systems that the sources hold, in their order, each under a name of its own.

    Args:
        sources: Results, or runs, files and Phoenix experiments by name. A run of several systems is several here.
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
            return from_run(source)
        case ExperimentResult():
            return [from_experiment(source)]
        case _:
            return _read(str(source), dataset, phoenix)


def _read(name: str, dataset: Dataset | None, phoenix: str | None) -> list[Observations]:
    path = Path(name)
    if path.suffix in EXPORTS:
        return read_export(path)
    if path.suffix in (".json", INSPECT_ARCHIVE):
        elsewhere = read_elsewhere(path)
        if elsewhere is not None:
            return elsewhere
        if dataset is None:
            raise InputError(f"{name} is a predictions file: give the questions that it answers with `dataset`.")
        return [from_predictions(path.stem, read_predictions(path), dataset)]
    if name.startswith(("http://", "https://")):
        return [read_experiment(*parse_page(name))]
    if is_experiment(name):
        if phoenix is None:
            raise InputError(f"{name} is an experiment in Phoenix: say in which one with `phoenix`.")
        return [read_experiment(phoenix, name)]
    return _read_run(name)


def _read_run(name: str) -> list[Observations]:
    run, colon, system = (name, "", "") if Path(name).exists() else name.partition(":")
    systems = from_run(open_run(data_dir() / "runs", run))
    chosen = [each for each in systems if each.name == system] if colon else systems
    if not chosen:
        raise InputError(f"Run {run} has no system {system!r}: it has {', '.join(each.name for each in systems)}.")
    return chosen


def _named_apart(systems: Sequence[Observations]) -> list[Observations]:
    """Names that come twice get their run's name, then its id, and where that is not enough, their place."""
    for rename in (_with_run_name, _with_run_id, _with_place):
        systems = _where_twice(systems, rename)
    return list(systems)


def _with_run_name(place: int, system: Observations) -> str:
    return f"{system.name} ({system.config['name']})" if system.config.get("name") else system.name


def _with_run_id(place: int, system: Observations) -> str:
    return f"{system.name} ({system.config['run']})" if "run" in system.config else system.name


def _with_place(place: int, system: Observations) -> str:
    return f"{system.name} #{place}"


def _where_twice(systems: Sequence[Observations], name: Callable[[int, Observations], str]) -> list[Observations]:
    counts = Counter(each.name for each in systems)
    return [
        replace(each, name=name(place, each)) if counts[each.name] > 1 else each
        for place, each in enumerate(systems, 1)
    ]
