"""What can be chosen, from where, and what is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import botocore.session
import pytest

from qa_eval.blueprint.bot import REGIONS
from qa_eval.errors import InputError
from qa_eval_infra.settings import QaEvalSettings, load_settings

ROOT = Path(__file__).parents[2]


def test_a_flag_goes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("name: from-file\nregion: us-east-2\nwaf: false\ntags: {team: qa}\n")
    settings = load_settings(
        file,
        ["name=from-flag", "log-retention-days=7"],
        {"QA_EVAL_INFRA_NAME": "x", "QA_EVAL_INFRA_REGION": "us-west-2"},
    )
    assert (settings.name, settings.region, settings.waf) == ("from-flag", "us-west-2", False)
    assert (settings.log_retention_days, settings.tags) == (7, {"team": "qa"})


def test_every_setting_is_documented_in_the_text_and_in_the_docs() -> None:
    documented = (ROOT / "docs" / "infra.md").read_text()
    for name, field in QaEvalSettings.model_fields.items():
        assert field.description, name
        assert f"| `{name}` | {_shown(field.default)} | {field.description} |" in documented, name


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return ", ".join(map(_shown, default))
    return (
        ""
        if default is None or default == {}
        else f"`{str(default).lower() if isinstance(default, bool) else default}`"
    )


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["nme=x"], "There is no setting 'nme'"),
        (["waf"], "The setting 'waf' has no value: write waf=VALUE"),
        (["name=Bad_Name"], "`name` cannot be 'Bad_Name'"),
        (["domain=qa.example.org"], "`domain` and `hosted_zone_id` belong together"),
        (["domain=http://x", "hosted_zone_id=Z1"], "`domain` cannot be 'http://x'"),
        (["load_balancer=public"], "would be unencrypted"),
        (["region=eu-west-1"], "`region` eu-west-1 cannot call us."),
        (
            ["region=us-east-2"],
            "`region` us-east-2 has no Amazon Lex: give `chatbot: false`, or one of us-east-1, us-west-2",
        ),
        (["region=us-west-1"], "`region` us-west-1 has no Amazon Lex"),
        (["gateway_cpu=300"], "`gateway_cpu` 300 is not a Fargate size: give one of 256, 512"),
        (["phoenix_memory=512"], "`phoenix_memory` 512 is not available with 512 CPU units: give 1024 to 4096 MiB"),
        (["gateway_tasks_min=9"], "`gateway_tasks_min` is above"),
        (["database_min_acu=8"], "`database_min_acu` is above"),
        (["vpc_cidr=10.0.0.0/30"], "is not a network of /16 to /22"),
        (["chatbot_model=gpt"], "`chatbot_model` gpt is not a model group: give one of claude-sonnet"),
        (["config=/nowhere.yaml"], "cannot be read"),
        (["litellm_image=litellm"], "`litellm_image` cannot be 'litellm'"),
        (["alarm_email=nobody"], "`alarm_email` cannot be"),
        (["log_retention_days=8"], "`log_retention_days` cannot be"),
        (["tags=[a]"], "`tags` cannot be"),
        (["monthly_budget=0"], "`monthly_budget` cannot be"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(flags: list[str], sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        load_settings(assignments=flags)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", ["a: [", "- a", "just text"])
def test_files_that_hold_no_settings(content: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(content)
    with pytest.raises(InputError, match=r"are not YAML|are not a mapping"):
        load_settings(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_settings(tmp_path / "none.yaml")


def test_the_regions_of_lex_are_those_that_aws_publishes() -> None:
    assert set(REGIONS) == set(botocore.session.get_session().get_available_regions("lexv2-models"))
