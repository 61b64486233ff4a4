"""Each timeout is longer than everything inside it; the chatbot's own are tested with its handler."""

from __future__ import annotations

from qa_eval.blueprint import budgets
from qa_eval.blueprint.gateway import read_config


def test_the_edge_outlasts_every_try_of_the_gateway() -> None:
    router = read_config().router_settings
    assert router.num_retries == 3
    tries = router.timeout * (1 + router.num_retries)
    assert tries == 96
    assert budgets.CLOUDFRONT_READ > budgets.LOAD_BALANCER_IDLE > tries


def test_idle_connections_are_closed_from_the_outside_in() -> None:
    assert budgets.SERVER_KEEPALIVE > budgets.LOAD_BALANCER_IDLE > budgets.CLOUDFRONT_KEEPALIVE
