"""Secrets are long, random and of the shape that every server takes."""

from __future__ import annotations

import math
import re
from typing import get_args

import pytest

from qa_eval.blueprint.gateway import read_config
from qa_eval.blueprint.routes import Server
from qa_eval.blueprint.secrets import ALPHABET, PHOENIX_ADMIN_SECRET, PHOENIX_SECRET, SECRETS, Secret


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret.name)
def test_a_secret_has_256_bits_and_the_shape_that_phoenix_wants(secret: Secret) -> None:
    values = {secret.generate() for _ in range(200)}

    assert len(values) == 200
    assert secret.length * math.log2(len(ALPHABET)) > 256
    for value in values:
        assert re.fullmatch(rf"[A-Za-z0-9]{{{secret.length}}}", value)
        assert len(value) >= 32
        assert re.search("[a-z]", value)
        assert re.search("[A-Z]", value)
        assert re.search("[0-9]", value)


def test_names_are_unique_and_every_reader_is_a_server() -> None:
    assert len({secret.name for secret in SECRETS}) == len(SECRETS)
    for secret in SECRETS:
        assert secret.read_as.keys() <= set(get_args(Server))
    variables = [(server, name) for secret in SECRETS for server, name in secret.read_as.items()]
    assert len(set(variables)) == len(variables)


def test_phoenix_and_the_gateway_share_one_secret_that_is_not_the_signing_one() -> None:
    assert PHOENIX_ADMIN_SECRET.read_as == {"phoenix": "PHOENIX_ADMIN_SECRET", "litellm": "PHOENIX_API_KEY"}
    assert "litellm" not in PHOENIX_SECRET.read_as


def test_every_secret_that_the_configuration_asks_for_is_described() -> None:
    described = {secret.read_as["litellm"] for secret in SECRETS if "litellm" in secret.read_as}
    asked = {name for name in read_config().environment() if re.search("KEY|SECRET|PASSWORD", name)}

    assert asked
    assert asked <= described
