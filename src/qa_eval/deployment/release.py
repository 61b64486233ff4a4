"""The steps of a deployment around CDK's own: what is checked before it, and made and verified after it.

In: the settings of a deployment, and AWS credentials from the SDK's usual sources. Each step reads what it needs from
the deployed stack by the stack's name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from qa_eval.aws import deployed
from qa_eval.aws.client import aws_errors, client
from qa_eval.aws.lex import LexBot
from qa_eval.blueprint import outputs
from qa_eval.blueprint.gateway import load_content
from qa_eval.blueprint.prices import load_price_map
from qa_eval.deployment import cdk, images, keys, package, readiness, smoke
from qa_eval.experiment import prices
from qa_eval.experiment.metadata import Servers
from qa_eval.gateway_check.lint import lint

if TYPE_CHECKING:
    from qa_eval_infra.settings import QaEvalSettings

EXPERIMENT_KEY: Final = "experiment-key"
CHATBOT_KEY: Final = "chatbot-key"

OnProgress = Callable[[str], None]
"""Called with one line about each step that takes time."""


def configuration_findings(settings: QaEvalSettings) -> tuple[str, ...]:
    """The findings of the gateway's configuration, one sentence each."""
    findings = lint(load_content(settings.config_file), load_price_map(), datetime.now(UTC).date())
    return tuple(f"{finding.rule}: {finding.message}" for finding in findings)


def pin_images(settings: QaEvalSettings, on_progress: OnProgress) -> QaEvalSettings:
    """The settings with image digests in place of tags.

    Raises:
        DeploymentError: A registry cannot be reached, or does not have the image for the architecture.
    """
    on_progress("Looking up the images' digests ...")
    wanted = {"litellm_image": settings.litellm_image, "phoenix_image": settings.phoenix_image}
    pinned = {name: images.pin(image, settings.architecture) for name, image in wanted.items()}
    return settings.model_copy(update=pinned)


def bootstrap(settings: QaEvalSettings) -> None:
    """Prepare the account's regions for CDK.

    Raises:
        DeploymentError: AWS or the CDK command refuses.
    """
    from qa_eval_infra.settings import CLOUDFRONT_REGION

    with aws_errors():
        account = client("sts", settings.region).get_caller_identity()["Account"]
    places = dict.fromkeys(f"aws://{account}/{region}" for region in (settings.region, CLOUDFRONT_REGION))
    cdk.call(["bootstrap", *places], "bootstrap")


def is_first(settings: QaEvalSettings) -> bool:
    """Whether no earlier deployment of the stack was completed.

    Raises:
        DeploymentError: AWS refuses.
    """
    status = deployed.stack_status(settings.name, settings.region)
    return status is None or status.startswith(("CREATE_FAILED", "ROLLBACK", "REVIEW"))


def first(settings: QaEvalSettings) -> QaEvalSettings:
    """The settings of a first deployment: a failure can only be rolled back while nothing is protected, and a canary
    has nothing to compare with."""
    return settings.model_copy(update={"deletion_protection": False, "canary": False})


def admitted(settings: QaEvalSettings) -> QaEvalSettings:
    """The settings of a rollback: no canary may keep a broken release, with which it would be compared."""
    return settings.model_copy(update={"canary_fail_on": ()})


def pack_canary(settings: QaEvalSettings, on_progress: OnProgress) -> None:
    """Pack the function of the canary, where there is one.

    Raises:
        DeploymentError: uv is missing or fails.
    """
    if settings.canary:
        package.build(settings.architecture, on_progress)


def wait_until_ready(settings: QaEvalSettings, on_progress: OnProgress) -> None:
    """Wait until both servers answer through CloudFront.

    Raises:
        DeploymentError: They do not in ten minutes, or AWS refuses.
    """
    readiness.wait_until_ready(gateway_url(settings), on_progress)


def remove_edge(settings: QaEvalSettings, on_progress: OnProgress) -> None:
    """Delete the stack in CloudFront's region, where an earlier deployment left one.

    Raises:
        DeploymentError: AWS refuses.
    """
    from qa_eval_infra.settings import CLOUDFRONT_REGION

    if deployed.delete_stack(settings.edge_stack, CLOUDFRONT_REGION):
        on_progress(f"Deleted the stack {settings.edge_stack} in {CLOUDFRONT_REGION}, which is not needed any more.")


def provide_keys(settings: QaEvalSettings, on_progress: OnProgress) -> None:
    """Make the virtual keys of experiments and chatbot, or update their limits.

    Raises:
        DeploymentError: AWS or the gateway refuses.
    """
    on_progress("Providing virtual keys ...")
    found = deployed.platform_outputs(settings.name, settings.region)
    wanted = virtual_keys(settings, found)
    if not settings.chatbot:
        del wanted[CHATBOT_KEY]
    keys.provide(found[outputs.GATEWAY_URL], _master_key(settings), list(wanted.values()), settings.region)


def virtual_keys(settings: QaEvalSettings, found: Mapping[str, str]) -> dict[str, keys.VirtualKey]:
    """The two virtual keys with their limits.

    Args:
        settings: The settings.
        found: The stack's outputs.
    """
    experiments, chatbot = found[outputs.EXPERIMENT_KEY_SECRET], found[outputs.CHATBOT_KEY_SECRET]
    return {
        EXPERIMENT_KEY: keys.VirtualKey(
            f"{settings.name}-experiments", experiments, settings.model_groups, settings.experiment_budget
        ),
        CHATBOT_KEY: keys.VirtualKey(
            f"{settings.name}-chatbot", chatbot, (settings.chatbot_model,), settings.chatbot_budget
        ),
    }


def price_models(settings: QaEvalSettings) -> str:
    """Give the deployed Phoenix the gateway's prices; return what went wrong, or an empty string."""
    stack = deployed.find(settings.name, settings.region)
    servers = Servers(stack.gateway_url, _master_key(settings), stack.phoenix_url, stack.phoenix_key)
    return asyncio.run(prices.price_gateway(servers))


def verify(settings: QaEvalSettings, min_f1: float, on_progress: OnProgress) -> tuple[str, ...]:
    """Verify the deployment from outside; return the findings, one sentence each.

    Args:
        settings: The settings.
        min_f1: The gate on the small experiment's F1, 0 to 1.
        on_progress: Called with one line about each step that takes time.

    Raises:
        DeploymentError: The stack does not exist, or AWS refuses.
    """
    stack = deployed.find(settings.name, settings.region)
    master = _master_key(settings)
    checks = [
        lambda: smoke.verify_gateway(stack.gateway_url, master, settings.gateway_config, on_progress),
        lambda: smoke.run_smoke_experiment(stack, settings.chatbot_model, min_f1, on_progress),
    ]
    if settings.chatbot:
        checks.append(lambda: smoke.check_chatbot(LexBot.from_stack(settings.name, settings.region), on_progress))
    return smoke.run_checks(*checks)


def gateway_url(settings: QaEvalSettings) -> str:
    """The gateway's public URL."""
    return deployed.platform_outputs(settings.name, settings.region)[outputs.GATEWAY_URL]


def _master_key(settings: QaEvalSettings) -> str:
    found = deployed.platform_outputs(settings.name, settings.region)
    return deployed.read_secret(found[outputs.MASTER_KEY_SECRET], settings.region)
