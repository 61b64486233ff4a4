"""Who is asking, and whether CDK can deploy with that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from qa_eval.deployment.preflight.account import Account
from qa_eval.deployment.preflight.findings import PreflightFinding
from qa_eval.deployment.preflight.names import stack_names

if TYPE_CHECKING:
    from qa_eval_infra.settings import QaEvalSettings

BOOTSTRAP_PARAMETER: Final = "/cdk-bootstrap/hnb659fds/version"
BOOTSTRAP_VERSION: Final = 6
"""Where CDK's bootstrap stack keeps its version, and the oldest version that CDK accepts for our stacks."""


def identity(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """The root user cannot assume CDK's roles."""
    if account.sign_in().endswith(":root"):
        yield PreflightFinding(
            "The caller is the account's root user, which cannot assume CDK's roles: sign in as a user or role with "
            "administrator permissions."
        )


def bootstrap(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """CDK needs its bootstrap stack in each region that has a stack."""
    for region in sorted({*stack_names(settings).values()}):
        answer = account.ask(
            "ssm", "get_parameter", region=region, missing=("ParameterNotFound",), Name=BOOTSTRAP_PARAMETER
        )
        version = int(answer["Parameter"]["Value"]) if answer else 0
        if not version:
            yield PreflightFinding(f"{region} is not bootstrapped for CDK: run `qa-eval infra deploy --bootstrap`.")
        elif version < BOOTSTRAP_VERSION:
            yield PreflightFinding(
                f"{region} has version {version} of CDK's bootstrap stack, and {BOOTSTRAP_VERSION} is needed: run "
                "`qa-eval infra deploy --bootstrap`."
            )
