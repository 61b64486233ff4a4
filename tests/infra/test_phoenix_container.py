"""Phoenix's container as it is deployed: started here from the synthesised task definition.

What must differ on this machine is named in `ADDED`, `REPLACED` and `LEFT_OUT`, and nothing else does.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from templates import Platform

from qa_eval.blueprint import secrets
from qa_eval.blueprint.budgets import LOAD_BALANCER_IDLE, SERVER_KEEPALIVE
from qa_eval.stack import environments, health, ports, processes, servers
from qa_eval.stack.processes import Server

ADDED = {
    "PHOENIX_HOST": "loopback only",
    "PHOENIX_GRPC_PORT": "a free one; nobody uses it on AWS",
}
REPLACED = {
    "PHOENIX_PORT": "a free one",
    "PHOENIX_WORKING_DIR": "the volume is a folder of the test",
    "PHOENIX_ROOT_URL": "holds CloudFront's name",
}
LEFT_OUT = {
    "PHOENIX_POSTGRES_DB": "SQLite in place of Aurora; the local stack's tests run Phoenix on PostgreSQL",
    "PHOENIX_SQL_DATABASE_SCHEMA": "as above",
    "PHOENIX_POSTGRES_HOST": "as above",
    "PHOENIX_POSTGRES_PORT": "as above",
    "PHOENIX_POSTGRES_USER": "as above",
    "PHOENIX_POSTGRES_PASSWORD": "as above",
}


@dataclass(frozen=True)
class Container:
    """Phoenix as the template describes it, running."""

    url: str
    described: dict[str, Any]
    python: Path
    admin_secret: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is kept when a task is replaced: in place of the database, Phoenix's working folder."""
    return tmp_path_factory.mktemp("phoenix")


@pytest.fixture(scope="module")
def container(platform: Platform, folder: Path) -> Iterator[Container]:
    with running(platform, folder) as started:
        yield started


@contextmanager
def running(platform: Platform, folder: Path) -> Iterator[Container]:
    """Phoenix as the template describes it, with newly generated secrets."""
    described = platform.container("PhoenixTask")
    environment = servers.environment("phoenix")
    environments.ensure(environment, lambda line: None)
    port = ports._free_port([])
    generated = {each.read_as["phoenix"]: each.generate() for each in secrets.SECRETS if "phoenix" in each.read_as}
    given = {each["Name"]: each["Value"] for each in described["Environment"]}
    assert {each["Name"] for each in described["Secrets"]} == generated.keys() | (LEFT_OUT.keys() - given.keys())
    here = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_GRPC_PORT": str(ports._free_port([port])),
        "PHOENIX_PORT": str(port),
        "PHOENIX_WORKING_DIR": str(folder / "work"),
        "PHOENIX_ROOT_URL": f"http://127.0.0.1:{port}/phoenix",
    }
    assert here.keys() == ADDED.keys() | REPLACED.keys()
    kept = {name: value for name, value in given.items() if name not in LEFT_OUT}
    assert described["EntryPoint"] == ["python3"]
    option, start = described["Command"]
    launch = str(Path(str(servers.__file__)).with_name("launch.py"))
    server = Server(
        name="phoenix",
        title="Phoenix",
        command=(
            str(environment.python),
            option,
            f"import runpy; runpy.run_path({launch!r})['keep_grpc_on_loopback']()\n{start}",
        ),
        settings={**kept, **here, **generated},
        port=port,
        health="/healthz",
        home=folder / "home",
        log=folder / "phoenix.log",
        version="",
    )
    record = processes.start(server)
    try:
        health.wait_until_healthy([(server, record)], lambda line: None)
        yield Container(f"http://127.0.0.1:{port}", described, environment.python, generated["PHOENIX_ADMIN_SECRET"])
    finally:
        processes.stop({server.mark: record})


def test_it_asks_for_a_key_and_takes_the_administrators(container: Container) -> None:
    asked = f"{container.url}/v1/datasets"
    assert httpx.get(asked).status_code == 401
    key = {"Authorization": f"Bearer {container.admin_secret}"}
    assert httpx.get(asked, headers=key).status_code == 200


def test_health_and_readiness_need_no_key(container: Container) -> None:
    for path in ("/healthz", "/readyz"):
        answer = httpx.get(f"{container.url}{path}")
        assert (answer.status_code, "html" in answer.headers.get("content-type", "")) == (200, False)


def test_its_pages_point_below_the_prefix_that_the_load_balancer_strips(container: Container) -> None:
    page = httpx.get(f"{container.url}/login").text
    assert '"/phoenix/assets/' in page or "'/phoenix/assets/" in page


def test_its_health_check_says_that_it_lives(container: Container) -> None:
    kind, _, *arguments = container.described["HealthCheck"]["Command"]
    assert kind == "CMD"
    here = [argument.replace("6006", container.url.rpartition(":")[2]) for argument in arguments]
    assert subprocess.run([str(container.python), *here], check=False).returncode == 0


def test_it_keeps_an_idle_connection_longer_than_uvicorn_does_by_itself(container: Container) -> None:
    """The load balancer, which keeps it for 110 s, would otherwise answer 502 now and then."""
    with closing(HTTPConnection("127.0.0.1", int(container.url.rpartition(":")[2]), timeout=10)) as kept:
        for pause in (6, 0):  # uvicorn closes after 5 s
            kept.request("GET", "/healthz")
            assert kept.getresponse().read() is not None
            first = kept.sock
            time.sleep(pause)
        assert kept.sock is first, "http.client opens another connection where the server closed this one"


def test_it_outlasts_the_load_balancer(platform: Platform) -> None:
    assert SERVER_KEEPALIVE > LOAD_BALANCER_IDLE
    assert f"timeout_keep_alive={SERVER_KEEPALIVE}" in platform.container("PhoenixTask")["Command"][1]


def test_other_secrets_open_the_same_data_and_the_former_key_nothing(
    container: Container, platform: Platform, folder: Path
) -> None:
    """What `qa-eval infra rotate` does to Phoenix: a task with new secrets beside the one with the former."""
    dataset = {"name": "kept", "inputs": [{"question": "Who?"}], "outputs": [{"answer": "She."}]}
    former = {"Authorization": f"Bearer {container.admin_secret}"}
    httpx.post(f"{container.url}/v1/datasets/upload?sync=true", headers=former, json=dataset).raise_for_status()
    with running(platform, folder) as successor:
        asked = f"{successor.url}/v1/datasets"
        new = {"Authorization": f"Bearer {successor.admin_secret}"}
        assert [each["name"] for each in httpx.get(asked, headers=new).json()["data"]] == ["kept"]
        assert httpx.get(asked, headers=former).status_code == 401
