"""People's labels of a run's answers, out to be filled in, and in again from a sheet or from Phoenix."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from qa_eval.errors import InputError
from qa_eval.experiment.answers import Answer
from qa_eval.experiment.functions import find_judges
from qa_eval.experiment.journal_file import JournalFile
from qa_eval.experiment.labels import Label, as_csv, draw, read_csv
from qa_eval.experiment.plan import Plan
from qa_eval.experiment.results import RunResult
from qa_eval.experiment.runs import find_run, read_result
from qa_eval.metrics.judges import Judge
from qa_eval.phoenix.annotations import human_labels
from qa_eval.run.prepared import runs_folder


def export_labels(
    run: str = "latest", *, metric: str, count: int = 100, system: str | None = None, seed: int = 0
) -> str:
    """A sheet for people to label answers that a judge has decided on, as CSV text; the column `label` is empty.

    Args:
        run: As for `open_run`.
        metric: The judge's name.
        count: How many answers: drawn at random within each system and verdict.
        system: Only this system's.
        seed: Of the draw.

    Raises:
        InputError: There is no such run, judge or system, or nothing is judged.
    """
    journal = JournalFile.open(find_run(runs_folder(), run))
    try:
        plan, answers = journal.plan(), journal.answers()
    finally:
        journal.close()
    _judge(plan, metric)
    if system is not None and system not in plan.metadata.system_names:
        raise InputError(f"The run has no system {system!r}: use one of {', '.join(plan.metadata.system_names)}.")
    drawn = draw([answer for answer in answers if system in (None, answer.system)], metric, count, seed)
    if not drawn:
        raise InputError(f"Nothing is judged by {metric}: `qa-eval evaluate` adds a judge to a run.")
    return as_csv(drawn)


def import_labels(
    run: str = "latest", *, metric: str, path: str | Path | None = None, phoenix: str | None = None
) -> RunResult:
    """Keep people's labels of a run's answers, and return the run with what they say of the judge.

    Args:
        run: As for `open_run`.
        metric: The judge's name.
        path: The sheet that `export_labels` wrote, filled in.
        phoenix: In place of a sheet, Phoenix's base URL: annotations of people on the questions' spans, whose name is
            the judge's and whose labels are its choices. `PHOENIX_API_KEY` is the key.

    Raises:
        InputError: There is no such run or judge, another process is at work on the run, or a label is wrong.
        PhoenixError: Phoenix is not there, or refuses.
    """
    journal = JournalFile.open(find_run(runs_folder(), run), write=True)
    try:
        judge, answers = _judge(journal.plan(), metric), {answer.seq: answer for answer in journal.answers()}
        if path is not None:
            labels = read_csv(Path(path), metric, judge.labels, answers)
        elif phoenix is not None:
            labels = _from_phoenix(journal, judge, answers, phoenix)
        else:
            raise InputError("No labels given. Use `path` for a sheet, or `phoenix` for annotations in Phoenix.")
        if not labels:
            raise InputError("There are no labels: fill in the column `label`, or annotate the questions' spans.")
        journal.add_labels(labels)
        return read_result(journal)
    finally:
        journal.close()


def _judge(plan: Plan, metric: str) -> Judge:
    judges = {judge.name: judge for judge in find_judges(plan.spec, plan.dataset.fields) if isinstance(judge, Judge)}
    if metric not in judges:
        known = ", ".join(judges) or "none"
        raise InputError(f"The run has no judge {metric!r} of single answers (it has {known}): name one of its judges.")
    return judges[metric]


def _from_phoenix(journal: JournalFile, judge: Judge, answers: Mapping[int, Answer], url: str) -> list[Label]:
    recording = journal.recording()
    if recording is None:
        raise InputError("The run is not in Phoenix: give a sheet with `path`.")
    by_span = {answer.reply.span_id: answer for answer in answers.values() if answer.reply.span_id}
    projects = [experiment.project for experiment in recording.experiments.values()]
    found = human_labels(url, os.environ.get("PHOENIX_API_KEY"), projects, list(by_span), judge.name)
    unknown = next((each for each in found if each.label not in judge.labels), None)
    if unknown is not None:
        choices = ", ".join(judge.labels)
        raise InputError(f"Phoenix has the label {unknown.label!r} for {judge.name}, which is none of {choices}.")
    return [Label(by_span[each.span_id].seq, judge.name, each.label, each.annotator) for each in found]
