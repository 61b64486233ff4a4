"""Templates of the platform, synthesised once for each choice of settings. Node.js is started once for all."""

from __future__ import annotations

import zipfile

import pytest
from templates import DOMAIN, Platform, Synthesise

from qa_eval.deployment import package
from qa_eval_infra.app import prepare
from qa_eval_infra.settings import load_settings


@pytest.fixture(scope="session")
def synthesise(tmp_path_factory: pytest.TempPathFactory) -> Synthesise:
    """Synthesises with settings; `checked` by cdk-nag and cdk-preflight, whose findings raise an error.

    The archive of the canary's function is an empty one: `tests/deployment/test_package.py` runs the real one.
    """
    prepare()
    import aws_cdk as cdk
    from cdk_nag import AwsSolutionsChecks
    from cdk_preflight import Preflight

    from qa_eval_infra.stacks import build

    made: dict[tuple[object, ...], Platform] = {}
    empty = tmp_path_factory.mktemp("functions") / "canary.zip"
    zipfile.ZipFile(empty, "w").close()

    def make(*flags: str, checked: bool = False) -> Platform:
        key = (checked, *sorted(flags))
        if key not in made:
            settings = load_settings(assignments=flags)
            folder = tmp_path_factory.mktemp("cdk")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(package, "find", lambda architecture: empty)
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
