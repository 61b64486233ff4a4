"""Everyone waits longer than all that they wait for."""

from __future__ import annotations

from qa_eval.blueprint import budgets
from qa_eval.blueprint.gateway import read_config


def test_lex_outlasts_the_function_which_outlasts_the_gateway() -> None:
    tries = budgets.gateway_seconds(budgets.CHATBOT_TRY, budgets.CHATBOT_RETRIES)
    assert budgets.LEX > budgets.LAMBDA > budgets.CHATBOT_REQUEST > tries


def test_the_edge_outlasts_every_try_of_the_gateway() -> None:
    router = read_config().router_settings
    assert router.num_retries == 3
    tries = budgets.gateway_seconds(router.timeout, router.num_retries)
    assert tries == 96
    assert budgets.CLOUDFRONT_READ > budgets.LOAD_BALANCER_IDLE > tries


def test_idle_connections_are_closed_from_the_outside_in() -> None:
    assert budgets.SERVER_KEEPALIVE > budgets.LOAD_BALANCER_IDLE > budgets.CLOUDFRONT_KEEPALIVE
