"""One specification, three doors: the table of settings, the command, the keywords and the models agree."""

from __future__ import annotations

import typing
from collections.abc import Iterator

import typer
from pydantic import BaseModel

from qa_eval.cli.main import app
from qa_eval.cli.run_experiment import OWN_OPTIONS, SWITCHED_OFF
from qa_eval.run import ResumeKeywords
from qa_eval.spec import model
from qa_eval.spec.base import Parameters
from qa_eval.spec.keywords import ExperimentKeywords
from qa_eval.spec.metrics import JudgesSpec
from qa_eval.spec.model import ExperimentSpec
from qa_eval.spec.ray import RaySpec
from qa_eval.spec.settings import BY_KEYWORD, SETTINGS, name_flags

FILE_ONLY = {"systems", "dataset.path", "dataset.hub", "dataset.phoenix"} | {
    f"ray.{name}" for name in ("tasks", "metrics", "embed", "runtime_env", "environment", "wait")
}
"""What flags and keywords give in another way, or not: systems as models and prompts, the dataset by its address."""
PARTS = (
    model.DatasetSpec,
    model.LimitsSpec,
    model.StopSpec,
    model.GateSpec,
    model.RecordingSpec,
    model.ServersSpec,
    JudgesSpec,
    Parameters,
    RaySpec,
)


def leaves(part: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in part.model_fields.items():
        inner = next((each for each in PARTS if each in (field.annotation, *typing.get_args(field.annotation))), None)
        if inner is None:
            yield path + name
        else:
            yield from leaves(inner, f"{path}{name}.")


def test_every_setting_has_its_place_and_every_place_its_setting() -> None:
    places = {setting.path for setting in SETTINGS} - {"dataset", "parameters"}
    assert places | FILE_ONLY == set(leaves(ExperimentSpec))


def test_the_keywords_are_those_of_the_table() -> None:
    assert list(ExperimentKeywords.__annotations__) == [setting.keyword for setting in SETTINGS]


def test_the_command_has_a_flag_for_every_setting() -> None:
    command = typer.main.get_command(app).commands["run-experiment"]  # type: ignore[attr-defined]
    options = {parameter.name: parameter for parameter in command.params if parameter.name not in OWN_OPTIONS}
    assert options.keys() == BY_KEYWORD.keys()
    for keyword, option in options.items():
        setting = BY_KEYWORD[keyword]
        assert option.opts[0] == setting.flag
        assert option.help.startswith(setting.help)
        assert option.default in (None, False), "the specification alone knows defaults"
    assert {keyword for keyword in options if BY_KEYWORD[keyword].flag.startswith("--no-")} == set(SWITCHED_OFF)


def test_messages_name_flags_in_the_command() -> None:
    flags = {"max_cost": "--max-cost", "record": "--no-phoenix"}
    assert name_flags("`max_cost` is wrong, `record=False` helps, `other` stays", flags) == (
        "`--max-cost` is wrong, `--no-phoenix` helps, `other` stays"
    )


def test_resume_offers_in_python_what_its_flags_do() -> None:
    command = typer.main.get_command(app).commands["resume"]  # type: ignore[attr-defined]
    flags = {parameter.name for parameter in command.params} - {"run", "as_json"}
    assert flags <= ResumeKeywords.__annotations__.keys()
    assert ResumeKeywords.__annotations__.keys() - flags == {"task", "metrics", "observer", "on_progress"}
