"""An account to ask, and what a check of it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from stubbed_account import StubbedAccount, stubbed_account

from qa_eval.deployment.preflight.account import Account
from qa_eval.deployment.preflight.checks import CHECKS, DOMAIN_CHECKS, run_checks
from qa_eval_infra.settings import load_settings

DIGEST = f"registry.example.org/server@sha256:{'0' * 64}"
PINNED = (f"litellm_image={DIGEST}", f"phoenix_image={DIGEST}")
"""Images for which no registry is asked."""

Find = Callable[..., list[tuple[str, str]]]
"""Runs a check with settings; returns kind and sentence of each finding."""


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubbedAccount]:
    with stubbed_account(monkeypatch) as stubbed:
        yield stubbed


@pytest.fixture
def find(account: StubbedAccount) -> Find:
    def run(check: str, *flags: str) -> list[tuple[str, str]]:
        settings = load_settings(assignments=[*PINNED, *flags])
        others = (CHECKS | DOMAIN_CHECKS).keys() - {check}
        (result,) = run_checks(settings, Account(settings.name, settings.region), others)
        assert result.check == check
        assert result.fails == any(finding.kind == "fails" for finding in result.findings)
        return [(finding.kind, finding.sentence) for finding in result.findings]

    return run
