"""Templates of the platform, synthesised once for each choice of settings. Node.js is started once for all."""

from __future__ import annotations

import pytest
from templates import DOMAIN, Platform, Synthesise

from qa_eval_infra.app import prepare
from qa_eval_infra.settings import load_settings


@pytest.fixture(scope="session")
def synthesise(tmp_path_factory: pytest.TempPathFactory) -> Synthesise:
    """Synthesises with settings; `checked` by cdk-nag and cdk-preflight, whose findings raise an error."""
    prepare()
    import aws_cdk as cdk
    from cdk_nag import AwsSolutionsChecks
    from cdk_preflight import Preflight

    from qa_eval_infra.stacks import build

    made: dict[tuple[object, ...], Platform] = {}

    def make(*flags: str, checked: bool = False) -> Platform:
        key = (checked, *sorted(flags))
        if key not in made:
            settings = load_settings(assignments=flags)
            folder = tmp_path_factory.mktemp("cdk")
            app = build(settings, str(folder))
            if checked:
                cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
                Preflight.apply(app)
            app.synth()
            made[key] = Platform(settings, folder)
        return made[key]

    return make


@pytest.fixture(scope="session")
def platform(synthesise: Synthesise) -> Platform:
    """The platform without any setting."""
    return synthesise()


@pytest.fixture(scope="session")
def named_platform(synthesise: Synthesise) -> Platform:
    """The platform with a domain."""
    return synthesise(*DOMAIN)
