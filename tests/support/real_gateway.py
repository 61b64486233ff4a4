"""Real LiteLLM, started as the local stack starts it, with a configuration and a Bedrock of the test's own."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from qa_eval.blueprint.environment import gateway_environment
from qa_eval.blueprint.gateway import config_path
from qa_eval.stack import environments, health, ports, processes, servers
from qa_eval.stack.processes import Server

KEY = "sk-of-a-test-1b1e8f0c5a2d4e7f9a6b3c8d"

_NOWHERE = "http://127.0.0.1:9"
"""The discard port: nobody listens."""


@dataclass(frozen=True)
class RealGateway:
    """A LiteLLM that runs."""

    url: str
    log: Path
    _server: Server

    def ask(
        self, prompt: str = "Who wrote Hamlet?", model: str = "qa", timeout: float = 60.0, **more: Any
    ) -> httpx.Response:
        """One question, tried once from this side."""
        headers = {"Authorization": f"Bearer {KEY}", **more.pop("headers", {})}
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 16, **more}
        return httpx.post(f"{self.url}/v1/chat/completions", json=body, headers=headers, timeout=timeout)

    def embed(self, text: str, **more: str) -> httpx.Response:
        """One embedding."""
        headers = {"Authorization": f"Bearer {KEY}", **more}
        return httpx.post(
            f"{self.url}/v1/embeddings", json={"model": "titan-embed", "input": text}, headers=headers, timeout=60
        )

    def get(self, path: str) -> httpx.Response:
        """One of the gateway's own pages."""
        return httpx.get(f"{self.url}{path}", headers={"Authorization": f"Bearer {KEY}"}, timeout=30)

    def stop(self) -> None:
        """End the process."""
        processes.stop({self._server.mark: None})


def blueprint_config() -> dict[str, Any]:
    """The deployed configuration, for a test to change."""
    content: dict[str, Any] = copy.deepcopy(yaml.safe_load(config_path().read_text(encoding="utf-8")))
    return content


def start_gateway(
    folder: Path, config: dict[str, Any], bedrock_url: str, phoenix_url: str = _NOWHERE, **settings: str
) -> RealGateway:
    """Start LiteLLM and wait until it is ready.

    Args:
        folder: where its configuration, its home and its log go.
        config: its configuration.
        bedrock_url: the Bedrock that it calls.
        phoenix_url: the Phoenix that its traces go to.
        settings: more of its environment.
    """
    environment = servers.environment("litellm")
    environments.ensure(environment, lambda line: None)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    port = ports._free_port([])
    launch = Path(str(servers.__file__)).with_name("launch.py")
    server = Server(
        name="litellm",
        title="LiteLLM",
        command=(
            *(str(environment.python), "-P", str(launch), "litellm", "--config", str(path)),
            *("--host", "127.0.0.1", "--port", str(port)),
        ),
        settings={**_settings(bedrock_url, phoenix_url), **settings},
        port=port,
        health="/health/readiness",
        home=folder / "home",
        log=folder / "litellm.log",
        version="",
    )
    record = processes.start(server)
    try:
        health.wait_until_healthy([(server, record)], lambda line: None)
    except BaseException:
        processes.stop({server.mark: record})
        raise
    return RealGateway(f"http://127.0.0.1:{port}", server.log, server)


def _settings(bedrock_url: str, phoenix_url: str) -> dict[str, str]:
    described = gateway_environment(
        region="us-east-1", guardrail_id="of-the-test", guardrail_version="1", phoenix_url=phoenix_url
    )
    return {
        **described,
        "LITELLM_MASTER_KEY": KEY,
        "AWS_BEDROCK_RUNTIME_ENDPOINT": bedrock_url,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
