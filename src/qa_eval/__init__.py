"""Measure question answering through an LLM gateway, and trust the answer.

    import qa_eval

    dataset = qa_eval.load_dataset("sample", examples=20)
    result = qa_eval.run_experiment(dataset, models=["claude-haiku"], local=True)
    result                 # a table
    result.to_pandas()     # every answer

Everything is loaded when first used, so that importing the package stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qa_eval._version import __version__

if TYPE_CHECKING:
    from qa_eval.analysis.comparison import Comparison, compare
    from qa_eval.analysis.gate import GateFailed, GateResult, gate
    from qa_eval.data import Dataset, Example, load_dataset
    from qa_eval.errors import QaEvalError
    from qa_eval.experiment.estimate import CostEstimate
    from qa_eval.experiment.metadata import Servers
    from qa_eval.experiment.results import RunResult
    from qa_eval.experiment.runs import RunSummary
    from qa_eval.experiment.summary import ExperimentResult
    from qa_eval.metrics.base import Score
    from qa_eval.metrics.phoenix_evals import judge_llm
    from qa_eval.reporting.report import report
    from qa_eval.run import (
        async_evaluate,
        async_load_dataset,
        async_resume,
        async_run_experiment,
        estimate_experiment,
        evaluate,
        list_runs,
        open_run,
        resume,
        run_experiment,
    )
    from qa_eval.run.labels import export_labels, import_labels
    from qa_eval.spec.metrics import MetricSpec, RubricSpec
    from qa_eval.targets.outcome import Outcome

_HOMES = {
    "Comparison": "qa_eval.analysis.comparison",
    "CostEstimate": "qa_eval.experiment.estimate",
    "Dataset": "qa_eval.data.examples",
    "Example": "qa_eval.data.examples",
    "ExperimentKeywords": "qa_eval.spec.keywords",
    "ExperimentSpec": "qa_eval.spec.model",
    "ExperimentResult": "qa_eval.experiment.summary",
    "GateFailed": "qa_eval.analysis.gate",
    "GateResult": "qa_eval.analysis.gate",
    "Outcome": "qa_eval.targets.outcome",
    "QaEvalError": "qa_eval.errors",
    "RunResult": "qa_eval.experiment.results",
    "RunSummary": "qa_eval.experiment.runs",
    "Servers": "qa_eval.experiment.metadata",
    "Score": "qa_eval.metrics.base",
    "MetricSpec": "qa_eval.spec.metrics",
    "RubricSpec": "qa_eval.spec.metrics",
    "async_evaluate": "qa_eval.run",
    "async_load_dataset": "qa_eval.run",
    "async_resume": "qa_eval.run",
    "async_run_experiment": "qa_eval.run",
    "compare": "qa_eval.analysis.comparison",
    "estimate_experiment": "qa_eval.run",
    "evaluate": "qa_eval.run",
    "export_labels": "qa_eval.run.labels",
    "import_labels": "qa_eval.run.labels",
    "judge_llm": "qa_eval.metrics.phoenix_evals",
    "gate": "qa_eval.analysis.gate",
    "list_runs": "qa_eval.run",
    "load_dataset": "qa_eval.data.load",
    "load_spec": "qa_eval.spec.load",
    "open_run": "qa_eval.run",
    "report": "qa_eval.reporting.report",
    "resume": "qa_eval.run",
    "run_experiment": "qa_eval.run",
}

__all__ = [
    "Comparison",
    "CostEstimate",
    "Dataset",
    "Example",
    "ExperimentKeywords",
    "ExperimentResult",
    "ExperimentSpec",
    "GateFailed",
    "GateResult",
    "MetricSpec",
    "Outcome",
    "QaEvalError",
    "RubricSpec",
    "RunResult",
    "RunSummary",
    "Score",
    "Servers",
    "__version__",
    "async_evaluate",
    "async_load_dataset",
    "async_resume",
    "async_run_experiment",
    "compare",
    "estimate_experiment",
    "evaluate",
    "export_labels",
    "gate",
    "import_labels",
    "judge_llm",
    "list_runs",
    "load_dataset",
    "load_spec",
    "open_run",
    "report",
    "resume",
    "run_experiment",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'qa_eval' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
