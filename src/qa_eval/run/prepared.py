"""A run that only has to be executed, and what was started for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa_eval.experiment.execute import Run
from qa_eval.experiment.observer import NullObserver, RunContext, ignore
from qa_eval.paths import data_dir
from qa_eval.servers import LocalStack


@dataclass(frozen=True)
class Prepared:
    """A run, and the local stack where it was started for it."""

    run: Run
    stack: LocalStack | None

    def abandon(self) -> None:
        """After an interruption: stop what was started for this run alone."""
        if self.stack is not None:
            self.stack.stop(self.run.context.on_progress)


def context_of(keywords: Mapping[str, Any]) -> RunContext:
    """Who is informed of the run."""
    return RunContext(keywords.get("observer") or NullObserver(), keywords.get("on_progress") or ignore)


def runs_folder() -> Path:
    """Where the journals of this machine's runs are."""
    return data_dir() / "runs"
