"""The gateway's container as it is deployed: started here from the synthesised task definition.

Command, environment and configuration are the template's. What must differ on this machine is named in `ADDED`,
`REPLACED` and `LEFT_OUT`, and nothing else does.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_bedrock import FakeBedrock
from templates import Platform

from qa_eval.blueprint.guardrail import BLOCKED_CANARY
from qa_eval.stack import environments, health, ports, processes, servers
from qa_eval.stack.processes import Server

ACCOUNT = "123456789012"

ADDED = {
    "AWS_BEDROCK_RUNTIME_ENDPOINT": "Bedrock is a local server",
    "AWS_ENDPOINT_URL_S3": "the bucket of CDK's assets is a local server",
    "AWS_ACCESS_KEY_ID": "there is no task role",
    "AWS_SECRET_ACCESS_KEY": "there is no task role",
    "AWS_CONFIG_FILE": "the developer's own account stays out of it",
    "AWS_SHARED_CREDENTIALS_FILE": "the developer's own account stays out of it",
    "AWS_EC2_METADATA_DISABLED": "there is no metadata service",
}
REPLACED = {
    "PHOENIX_COLLECTOR_HTTP_ENDPOINT": "there is no Service Connect: traces go nowhere",
    "BEDROCK_GUARDRAIL_ID": "known when it is deployed",
    "BEDROCK_GUARDRAIL_VERSION": "known when it is deployed",
    "LITELLM_CONFIG_BUCKET_NAME": "holds the account's number",
}
LEFT_OUT = {
    "DATABASE_HOST": "LiteLLM's database client needs programs that no Python package ships",
    "DATABASE_USERNAME": "as above",
    "DATABASE_PASSWORD": "as above",
    "REDIS_HOST": "Valkey has a test of its own with the local stack",
    "REDIS_PASSWORD": "as above",
}
SECRETS = {
    "LITELLM_MASTER_KEY": "of-the-test-1b1e8f0c5A2d4e7f9a6b3c8d",
    "LITELLM_SALT_KEY": "salt",
    "PHOENIX_API_KEY": "x",
}
ARGUMENTS = ["--host", "127.0.0.1", "--port"]
"""Loopback and a free port; the container listens on 4000 of its own address."""


@dataclass(frozen=True)
class Container:
    """The gateway as the template describes it, running."""

    url: str
    described: dict[str, Any]
    python: Path
    asked_bucket: list[str]

    def ask(self, content: str) -> httpx.Response:
        return httpx.post(
            f"{self.url}/v1/chat/completions",
            headers={"Authorization": f"Bearer {SECRETS['LITELLM_MASTER_KEY']}"},
            json={"model": "qa", "messages": [{"role": "user", "content": content}]},
            timeout=60,
        )


@pytest.fixture(scope="module")
def bedrock() -> Iterator[FakeBedrock]:
    fake = FakeBedrock(lambda prompt: "Shakespeare")
    yield fake
    fake.close()


@pytest.fixture(scope="module")
def bucket(platform: Platform) -> Iterator[tuple[str, list[str]]]:
    """The assets' bucket: what CDK would upload, by its key."""
    asked: list[str] = []

    class Bucket(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = (platform.folder / f"asset.{self.path.rpartition('/')[2]}").read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def container(
    platform: Platform, bedrock: FakeBedrock, bucket: tuple[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    described = platform.container("GatewayTask")
    environment = servers.environment("litellm")
    environments.ensure(environment, lambda line: None)
    port = ports._free_port([])
    folder = tmp_path_factory.mktemp("container")
    launch = Path(str(servers.__file__)).with_name("launch.py")
    arguments = [*described["Command"], *ARGUMENTS, str(port)]
    server = Server(
        name="litellm",
        title="LiteLLM",
        command=(str(environment.python), "-P", str(launch), "litellm", *arguments),
        settings=settings_here(described, bedrock.url, bucket[0]),
        port=port,
        health="/health/readiness",
        home=folder / "home",
        log=folder / "litellm.log",
        version="",
    )
    record = processes.start(server)
    try:
        health.wait_until_healthy([(server, record)], lambda line: None)
        yield Container(f"http://127.0.0.1:{port}", described, environment.python, bucket[1])
    finally:
        processes.stop({server.mark: record})


def settings_here(described: dict[str, Any], bedrock: str, bucket: str) -> dict[str, str]:
    """The template's environment with the named differences."""
    given = {each["Name"]: each["Value"] for each in described["Environment"]}
    secret = {each["Name"] for each in described["Secrets"]}
    assert secret == SECRETS.keys() | (LEFT_OUT.keys() & secret)
    here = {
        "AWS_BEDROCK_RUNTIME_ENDPOINT": bedrock,
        "AWS_ENDPOINT_URL_S3": bucket,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PHOENIX_COLLECTOR_HTTP_ENDPOINT": "http://127.0.0.1:9/v1/traces",
        "BEDROCK_GUARDRAIL_ID": "of-the-test",
        "BEDROCK_GUARDRAIL_VERSION": "1",
        "LITELLM_CONFIG_BUCKET_NAME": f"cdk-hnb659fds-assets-{ACCOUNT}-us-east-1",
    }
    assert here.keys() == ADDED.keys() | REPLACED.keys()
    assert not ADDED.keys() & given.keys()
    assert REPLACED.keys() <= given.keys()
    kept = {name: value for name, value in given.items() if name not in LEFT_OUT}
    settings = {**kept, **here, **SECRETS}
    assert all(isinstance(value, str) for value in settings.values()), "no reference is left"
    return settings


def test_it_fetches_its_configuration_from_the_assets_bucket(container: Container) -> None:
    environment = {each["Name"]: each["Value"] for each in container.described["Environment"]}
    key = environment["LITELLM_CONFIG_BUCKET_OBJECT_KEY"]
    assert f"/cdk-hnb659fds-assets-{ACCOUNT}-us-east-1/{key}" in container.asked_bucket


def test_it_answers_through_bedrock_with_the_cheapest_model(container: Container, bedrock: FakeBedrock) -> None:
    answer = container.ask("Who wrote Hamlet?")
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "Shakespeare"
    assert bedrock.asked[-1] == "us.amazon.nova-micro-v1:0"


def test_its_guardrail_is_armed(container: Container, bedrock: FakeBedrock) -> None:
    asked = len(bedrock.asked)
    answer = container.ask(BLOCKED_CANARY)
    assert answer.status_code == 400
    assert "guardrail" in answer.text
    assert len(bedrock.asked) == asked, "no model was called"


def test_its_health_check_says_that_it_lives(container: Container) -> None:
    kind, _, *arguments = container.described["HealthCheck"]["Command"]
    assert kind == "CMD"
    port = container.url.rpartition(":")[2]
    here = [argument.replace("4000", port) for argument in arguments]
    assert subprocess.run([str(container.python), *here], check=False).returncode == 0
    gone = [argument.replace("4000", "9") for argument in arguments]
    assert subprocess.run([str(container.python), *gone], check=False, capture_output=True).returncode == 1


def test_it_knows_no_other_key(container: Container) -> None:
    reply = httpx.get(f"{container.url}/v1/models", headers={"Authorization": "Bearer sk-other"})
    assert reply.status_code in (400, 401)


def test_its_database_variables_are_those_that_litellm_reads(container: Container) -> None:
    named = {each["Name"]: f"the-{each['Name'].lower()}" for each in container.described["Secrets"]}
    settings = {**{each["Name"]: str(each["Value"]) for each in container.described["Environment"]}, **named}
    code = "from litellm.proxy.utils import construct_database_url_from_env_vars as url; print(url())"
    done = subprocess.run(
        [str(container.python), "-P", "-W", "ignore", "-c", code],
        env={**settings, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == (
        "postgresql://the-database_username:the-database_password@the-database_host/qa_eval?sslmode=require"
    )
