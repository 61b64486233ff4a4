"""Wait for a deployed platform to answer: DNS, CloudFront and new tasks need minutes after CloudFormation is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import httpx

from qa_eval.blueprint.health import readiness_urls
from qa_eval.errors import DeploymentError

PATIENCE_S: Final = 600.0
_PAUSE_S: Final = 5.0
_TIMEOUT_S: Final = 15.0


def wait_until_ready(platform: str, on_progress: Callable[[str], None], patience_s: float = PATIENCE_S) -> None:
    """Wait until both servers say that they are ready, including their database.

    Args:
        platform: The platform's public URL.
        on_progress: Called with one line if there is something to wait for, and with each change of the answer.
        patience_s: Seconds to wait at most, for both together.

    Raises:
        DeploymentError: A server is not ready in time.
    """
    end = time.monotonic() + patience_s
    with httpx.Client(timeout=_TIMEOUT_S) as client:
        for server, url in readiness_urls(platform).items():
            told = ""
            while problem := _problem(client, url):
                if time.monotonic() > end:
                    raise DeploymentError(
                        f"{server} is not ready after {patience_s / 60:.0f} minutes ({problem} at {url}): see its log, "
                        "then run `qa-eval infra deploy` again."
                    )
                if problem != told:
                    on_progress(f"Waiting for {server} to be ready ({problem}), at most 10 minutes ...")
                    told = problem
                time.sleep(_PAUSE_S)


def _problem(client: httpx.Client, url: str) -> str:
    """What is wrong in a few words, or an empty string."""
    try:
        answer = client.get(url)
    except httpx.HTTPError as error:
        return type(error).__name__
    return "" if answer.status_code == 200 else f"HTTP {answer.status_code}"
