"""Synthesise settings into a cloud assembly, the folder that the CDK command deploys.

It needs no account, no network and no look-ups. aws-cdk-lib runs on Node.js.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from qa_eval.errors import DeploymentError
from qa_eval_infra.settings import QaEvalSettings


def synth(settings: QaEvalSettings, output: Path) -> Path:
    """Write the stacks' templates and assets.

    Args:
        settings: The settings.
        output: A folder; templates of an earlier call in it are replaced.

    Returns:
        The folder.

    Raises:
        DeploymentError: The extra `infra` or Node.js is missing, or the folder cannot be written.
    """
    prepare()
    try:
        output.mkdir(parents=True, exist_ok=True)
        for old in (*output.glob("*.template.json"), *output.glob("*.assets.json")):
            old.unlink()  # a stack that these settings do not have
    except OSError as error:
        raise DeploymentError(f"{output} cannot be written ({error.strerror}): give another `output`.") from None
    # Absolute, because Node.js stays in the folder in which it was first started.
    with _uncollected():
        from qa_eval_infra.stacks import build

        build(settings, str(output.absolute())).synth()
    return output


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: CDK keeps its objects, and looking through them takes a tenth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def prepare() -> None:
    """Check that CDK can run, and disable warnings that the user cannot act on.

    Raises:
        DeploymentError: The extra `infra` or Node.js is missing.
    """
    if find_spec("aws_cdk") is None:
        raise DeploymentError("Deploying needs the extra `infra`: pip install 'qa-eval[infra]'.")
    node = shutil.which(os.environ.get("JSII_NODE", "node"))
    if node is None:
        raise DeploymentError("Node.js is missing, which CDK needs: install version 20 or newer.")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    if found := re.match(r"v(\d+)", version):
        # It prints a long warning for a Node.js past its end of life, which works.
        os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", found[1])
    # CDK's validation takes three times as long as the rest of the synthesis; the tests run the same validation.
    os.environ.setdefault("CDK_VALIDATION", "false")
