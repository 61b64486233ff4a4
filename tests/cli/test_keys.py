"""`qa-eval gateway keys` where there is no gateway, or one without a database. With one: stack/test_options.py."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from qa_eval.cli.main import app
from qa_eval.errors import GatewayError, InputError
from qa_eval.stack import RunningStack

EVERY_COMMAND = (("create",), ("create", "team", "--budget", "5"), ("list",), ("list", "--json"), ("delete", "team"))


def keys(*arguments: str) -> None:
    result = CliRunner().invoke(app, ["gateway", "keys", *arguments])
    assert result.stdout == ""
    assert isinstance(result.exception, Exception)
    raise result.exception


@pytest.mark.parametrize("arguments", EVERY_COMMAND)
def test_a_gateway_without_a_database_says_how_to_get_one(
    in_stack_folder: RunningStack, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(GatewayError) as caught:
        keys(*arguments)
    assert str(caught.value) == (
        f"The gateway at {in_stack_folder.gateway_url} has no database, where virtual keys are: `qa-eval stack up "
        "--database` gives the local one its own."
    )


@pytest.mark.parametrize("arguments", EVERY_COMMAND)
def test_without_a_gateway_it_is_one_sentence(arguments: tuple[str, ...]) -> None:
    with pytest.raises(
        GatewayError, match=r"^No gateway is running: give `gateway`, or start one with `qa-eval stack up`"
    ):
        keys(*arguments)
    with pytest.raises(GatewayError, match=r"^No gateway answers at http://127\.0\.0\.1:9: "):
        keys(*arguments, "--gateway", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="'nonsense' is not the address of a server"):
        keys(*arguments, "--gateway", "nonsense")


@pytest.mark.parametrize("budget", ["0", "-1", "nan", "inf"])
def test_a_budget_that_is_none_is_refused_before_anything_is_sent(budget: str) -> None:
    with pytest.raises(InputError, match="`budget` must be a number of US dollars greater than 0"):
        keys("create", "--budget", budget, "--gateway", "http://127.0.0.1:9")


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "a/b", "a\n", "ä", "a" * 65])
def test_a_name_that_cannot_be_typed_is_refused_before_anything_is_sent(name: str) -> None:
    with pytest.raises(InputError, match="is not the name of a key"):
        keys("create", "--gateway", "http://127.0.0.1:9", "--", name)


def test_a_key_that_no_header_can_carry_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", "sk-ä")
    with pytest.raises(InputError, match="set QA_EVAL_GATEWAY_KEY to a valid one"):
        keys("list", "--gateway", "http://127.0.0.1:9")
