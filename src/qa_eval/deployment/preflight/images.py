"""Whether the registries have the servers' images for the deployment's architecture; no AWS is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qa_eval.deployment import images as registry
from qa_eval.deployment.preflight.account import Account
from qa_eval.deployment.preflight.findings import PreflightFinding
from qa_eval.errors import DeploymentError

if TYPE_CHECKING:
    from qa_eval_infra.settings import QaEvalSettings


def images(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """Both images can be pinned; an image given by its digest is not looked up."""
    for image in (settings.litellm_image, settings.phoenix_image):
        try:
            registry.pin(image, settings.architecture)
        except DeploymentError as error:
            yield PreflightFinding(str(error))
