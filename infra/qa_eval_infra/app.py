"""From settings to a cloud assembly, the folder that the CDK command deploys.

No account, no network, no look-up: what is written there is what is deployed. The work is done by aws-cdk-lib, which
runs on Node.js.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from qa_eval.errors import DeploymentError
from qa_eval_infra.settings import QaEvalSettings


def synth(settings: QaEvalSettings, output: Path) -> Path:
    """Write the stacks' templates and assets.

    Args:
        settings: What was chosen.
        output: A folder; the templates that an earlier call left in it are replaced.

    Returns:
        The folder.

    Raises:
        DeploymentError: The extra `infra` or Node.js is missing, or the folder cannot be written.
    """
    prepare()
    from qa_eval_infra.stacks import build

    try:
        output.mkdir(parents=True, exist_ok=True)
        for old in (*output.glob("*.template.json"), *output.glob("*.assets.json")):
            old.unlink()  # a stack that these settings do not have
    except OSError as error:
        raise DeploymentError(f"{output} cannot be written ({error.strerror}): give another --output.") from None
    # Absolute, because Node.js stays in the folder in which it was first started.
    build(settings, str(output.absolute())).synth()
    return output


def prepare() -> None:
    """Look whether CDK can run here, and keep it quiet about what the user cannot help.

    Raises:
        DeploymentError: The extra `infra` or Node.js is missing.
    """
    if find_spec("aws_cdk") is None:
        raise DeploymentError("Deploying needs the extra `infra`: pip install 'qa-eval[infra]'.")
    node = shutil.which(os.environ.get("JSII_NODE", "node"))
    if node is None:
        raise DeploymentError("Node.js is missing, on which CDK runs: install version 20 or newer.")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    if found := re.match(r"v(\d+)", version):
        # A page of red for a Node.js past its end of life, which works.
        os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", found[1])
    # CDK's own check of the templates takes three times as long as all the rest; the tests run the same check.
    os.environ.setdefault("CDK_VALIDATION", "false")
