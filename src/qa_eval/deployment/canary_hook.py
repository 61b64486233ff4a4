"""The lifecycle hook of a canary deployment: ECS calls it when the new gateway has the test traffic.

In: ECS's event. Out: `hookStatus`, `SUCCEEDED` or `FAILED`; ECS then shifts the traffic, or rolls back. It always
returns within Lambda's time, and whatever goes wrong is `FAILED`. One line of the log has the reason.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from typing import Any, Final, Protocol

from pydantic import BaseModel, ConfigDict

from qa_eval.analysis.gate import OnInconclusive
from qa_eval.aws.client import aws_errors, client
from qa_eval.aws.deployed import read_secret
from qa_eval.blueprint.canary import HEADER, HOOK_VARIABLE, RELEASE_VARIABLE
from qa_eval.deployment.canary import CanaryRules, CanaryVerdict, Release, compare_releases
from qa_eval.errors import DeploymentError, QaEvalError

MARGIN_S: Final = 30.0
"""Time that is kept of Lambda's, for the response."""

_log = logging.getLogger("qa_eval.canary")
_log.setLevel(logging.INFO)


class LambdaContext(Protocol):
    """The used part of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends this call."""
        ...


class HookSettings(BaseModel):
    """What the deployment gives the function; no value of a secret is part of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gateway_url: str
    key_secret: str
    """The secret with the experiments' virtual key."""
    header_secret: str
    """The secret with the value of `HEADER`."""
    fail_on: tuple[str, ...]
    examples: int
    budget_usd: float
    inconclusive: OnInconclusive

    @property
    def rules(self) -> CanaryRules:
        """What the new release has to show."""
        return CanaryRules(self.fail_on, self.examples, self.budget_usd, self.inconclusive)


def lambda_handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, str]:
    """Decide on the deployment of an event; Lambda calls this."""
    seconds = context.get_remaining_time_in_millis() / 1000 - MARGIN_S
    try:
        verdict = decide(event, HookSettings.model_validate_json(os.environ[HOOK_VARIABLE]), seconds)
    except TimeoutError:
        verdict = CanaryVerdict(False, f"There is no verdict within {seconds:.0f} s.")
    except QaEvalError as error:
        verdict = CanaryVerdict(False, str(error))
    except Exception as error:
        _log.exception("The canary's function failed")
        verdict = CanaryVerdict(False, f"The canary's function failed: {type(error).__name__}.")
    status = "SUCCEEDED" if verdict.passed else "FAILED"
    _log.info(json.dumps({"hookStatus": status, "reason": verdict.reason}))
    return {"hookStatus": status}


def decide(event: Mapping[str, Any], settings: HookSettings, seconds: float) -> CanaryVerdict:
    """Compare the release that has the traffic with the one that wants it.

    Raises:
        QaEvalError: A release cannot be found or asked.
        TimeoutError: The time is over.
    """
    new, old = read_revisions(event)
    if not settings.fail_on:
        return CanaryVerdict(True, "There is no rule: every release is admitted.")
    if old is None:
        return CanaryVerdict(True, "No release has traffic yet: there is nothing to compare with.")
    new_task, old_task = task_of(new), task_of(old)
    if new_task == old_task:
        return CanaryVerdict(True, "Both releases have the same task definition: nothing but the tasks is replaced.")
    headers = {HEADER: read_secret(settings.header_secret)}
    key = read_secret(settings.key_secret)
    wanted, current = read_release(new_task, headers), read_release(old_task, {}, otherwise=new_task)
    return asyncio.run(compare_releases(settings.gateway_url, key, current, wanted, settings.rules, seconds))


def read_revisions(event: Mapping[str, Any]) -> tuple[str, str | None]:
    """The ARNs of the new service revision, and of the one that has most of the traffic; None if there is none.

    Raises:
        DeploymentError: The event is not that of a new revision with all of the test traffic.
    """
    try:
        new = str(event["targetServiceRevisionArn"])
        test = {str(arn): float(weight) for arn, weight in event["testTrafficWeights"].items()}
        production = {str(arn): float(weight) for arn, weight in event["productionTrafficWeights"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DeploymentError("The event is not one of an ECS deployment: attach the function to its hook.") from None
    others = {arn: weight for arn, weight in production.items() if arn != new and weight > 0}
    old = max(others, key=lambda arn: others[arn], default=None)
    if old is not None and test.get(new) != 100:
        raise DeploymentError(
            f"The new release has {test.get(new, 0):g} % of the test traffic: attach the function to the stage "
            "POST_TEST_TRAFFIC_SHIFT."
        )
    return new, old


def task_of(revision: str) -> str:
    """The ARN of a service revision's task definition.

    Raises:
        DeploymentError: AWS refuses.
    """
    with aws_errors():
        (found,) = client("ecs").describe_service_revisions(serviceRevisionArns=[revision])["serviceRevisions"]
    return str(found["taskDefinition"])


def read_release(task: str, headers: Mapping[str, str], otherwise: str | None = None) -> Release:
    """How the chatbot asks a release of the gateway, as its task definition says.

    Args:
        task: The task definition's ARN.
        headers: What leads a request to the release.
        otherwise: The task definition that counts for one that was deployed without a canary.

    Raises:
        DeploymentError: AWS refuses, or neither task definition says it.
    """
    with aws_errors():
        found = client("ecs").describe_task_definition(taskDefinition=task)["taskDefinition"]
    for container in found["containerDefinitions"]:
        for variable in container.get("environment", []):
            if variable["name"] == RELEASE_VARIABLE:
                return Release(**json.loads(variable["value"]), headers=headers)
    if otherwise is not None:
        return read_release(otherwise, headers)
    raise DeploymentError(f"{task} has no variable {RELEASE_VARIABLE}: deploy with the setting `canary`.")
