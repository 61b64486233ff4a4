"""The gateway's containers as the synthesised task definitions describe them, started here on real PostgreSQL.

Command, environment and configuration are the template's. What must differ on this machine is named in `ADDED`,
`REPLACED` and `LEFT_OUT`, and nothing else does.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from templates import Platform

from qa_eval.stack import environments, health, ports, postgres_server, prisma, processes, servers
from qa_eval.stack.processes import Program, Server

ACCOUNT = "123456789012"

ADDED = {
    "AWS_BEDROCK_RUNTIME_ENDPOINT": "Bedrock is a local server",
    "AWS_ENDPOINT_URL_S3": "the bucket of CDK's assets is a local server",
    "AWS_ACCESS_KEY_ID": "there is no task role",
    "AWS_SECRET_ACCESS_KEY": "there is no task role",
    "AWS_CONFIG_FILE": "the developer's own account stays out of it",
    "AWS_SHARED_CREDENTIALS_FILE": "the developer's own account stays out of it",
    "AWS_EC2_METADATA_DISABLED": "there is no metadata service",
    "PROXY_BATCH_WRITE_AT": "what was spent is written every second, not every ten",
    "CHECKPOINT_DISABLE": "here and below: the database client, which the image has in itself",
    "PRISMA_HIDE_UPDATE_MESSAGE": "as above",
    "PRISMA_QUERY_ENGINE_BINARY": "as above",
    "PRISMA_SCHEMA_ENGINE_BINARY": "as above",
    "PRISMA_QUERY_ENGINE_LIBRARY": "as above",
    "PYTHONPATH": "as above",
}
REPLACED = {
    "PHOENIX_COLLECTOR_HTTP_ENDPOINT": "there is no Service Connect: traces go nowhere",
    "BEDROCK_GUARDRAIL_ID": "known when it is deployed",
    "BEDROCK_GUARDRAIL_VERSION": "known when it is deployed",
    "LITELLM_CONFIG_BUCKET_NAME": "holds the account's number",
    "DATABASE_SSLMODE": "this build of PostgreSQL has no TLS",
}
LEFT_OUT = {
    "REDIS_HOST": "Valkey has a test of its own with the local stack",
    "REDIS_PASSWORD": "as above",
}
SECRETS = {
    "LITELLM_MASTER_KEY": "of-the-test-1b1e8f0c5A2d4e7f9a6b3c8d",
    "LITELLM_SALT_KEY": "salt",
    "PHOENIX_API_KEY": "x",
}
LOOPBACK = ["--host", "127.0.0.1", "--port"]
"""Loopback and a free port; the container listens on 4000 of its own address."""
_LAUNCH = Path(str(servers.__file__)).with_name("launch.py")


@dataclass(frozen=True)
class Database:
    """A PostgreSQL server."""

    server: Server
    password: str = field(repr=False)

    def program(self, name: str, *arguments: str) -> str:
        """The output of one of PostgreSQL's programs; a database is its last argument."""
        command = next(servers.environment("postgres").folder.rglob(f"pginstall/bin/{name}"))
        place = ["-h", "127.0.0.1", "-p", str(self.server.port), "-U", postgres_server.USER, "-w"]
        done = subprocess.run(
            [str(command), *place, *arguments],
            env={**os.environ, "PGPASSWORD": self.password},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def query(self, statement: str, database: str = "qa_eval") -> str:
        """What a database answers to a statement."""
        return self.program("psql", "-Atc", statement, database)

    def copy(self, source: str, name: str) -> None:
        """Copy a database that nobody uses."""
        self.query(f"CREATE DATABASE {name} TEMPLATE {source}", "postgres")


@dataclass(frozen=True)
class Surroundings:
    """What a container needs around it."""

    platform: Platform
    folder: Path
    bedrock: str
    bucket: str
    database: Database


@contextmanager
def run_postgres(folder: Path) -> Iterator[Database]:
    """PostgreSQL with the gateway's empty database."""
    environment = servers.environment("postgres")
    environments.ensure(environment, lambda line: None)
    port, password = ports._free_port([]), servers.POSTGRES_PASSWORD.generate()
    script = str(postgres_server.__file__)
    server = Server(
        name="postgres",
        title="PostgreSQL",
        command=(str(environment.python), "-P", script, "--port", str(port), "--data", str(folder / "postgres/data")),
        settings={"POSTGRES_PASSWORD": password},
        port=port,
        health=servers.HEALTH["postgres"],
        home=folder / "postgres",
        log=folder / "postgres.log",
        version="",
    )
    record = processes.start(server)
    try:
        health.wait_until_healthy([(server, record)], lambda line: None)
        yield Database(server, password)
    finally:
        processes.stop({server.mark: record})


@contextmanager
def run_bucket(platform: Platform) -> Iterator[tuple[str, list[str]]]:
    """The assets' bucket: what CDK would upload, by its key; and the paths that were asked for."""
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


@contextmanager
def run_gateway(around: Surroundings, **changed: str) -> Iterator[str]:
    """The gateway's container; yields its address.

    Args:
        around: What it needs.
        changed: Variables that differ from the template's.
    """
    port = ports._free_port([])
    described = around.platform.container("GatewayTask")
    program = _program(around, "litellm", described, [*LOOPBACK, str(port)], changed)
    server = Server(**vars(program), port=port, health="/health/readiness", version="")
    record = processes.start(server)
    try:
        health.wait_until_healthy([(server, record)], lambda line: None)
        yield f"http://127.0.0.1:{port}"
    finally:
        processes.stop({server.mark: record})


def run_migration(around: Surroundings, case: str, **changed: str) -> tuple[int | None, str]:
    """Run the migration's container to its end; return exit code and log.

    Args:
        around: What it needs.
        case: A name for its folder.
        changed: Variables of this case.
    """
    program = _program(around, case, around.platform.container("GatewayMigrate"), [], changed)
    code = processes.run(program, 120)
    return code, program.log.read_text(errors="replace")


def _program(
    around: Surroundings,
    name: str,
    described: dict[str, Any],
    arguments: list[str],
    changed: Mapping[str, str] = {},  # never changed
) -> Program:
    for needed in ("litellm", "prisma"):
        environments.ensure(servers.environment(needed), lambda line: None)
    python = servers.environment("litellm").python
    return Program(
        name=name,
        title=name,
        command=(str(python), "-P", str(_LAUNCH), "litellm", *described["Command"], *arguments),
        settings={**_settings(described, around), **changed},
        home=around.folder / name,
        log=around.folder / f"{name}.log",
        path=prisma.programs(servers.environment("prisma")),
    )


def _settings(described: dict[str, Any], around: Surroundings) -> dict[str, str]:
    """The template's environment with the named differences."""
    given = {each["Name"]: each["Value"] for each in described["Environment"]}
    secrets = {
        **SECRETS,
        "DATABASE_HOST": f"127.0.0.1:{around.database.server.port}",
        "DATABASE_USERNAME": postgres_server.USER,
        "DATABASE_PASSWORD": around.database.password,
    }
    secret = {each["Name"] for each in described["Secrets"]}
    assert secret == secrets.keys() | (LEFT_OUT.keys() & secret)
    here = {
        "AWS_BEDROCK_RUNTIME_ENDPOINT": around.bedrock,
        "AWS_ENDPOINT_URL_S3": around.bucket,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PROXY_BATCH_WRITE_AT": "1",
        **prisma.settings(servers.environment("prisma")),
        "PHOENIX_COLLECTOR_HTTP_ENDPOINT": "http://127.0.0.1:9/v1/traces",
        "BEDROCK_GUARDRAIL_ID": "of-the-test",
        "BEDROCK_GUARDRAIL_VERSION": "1",
        "LITELLM_CONFIG_BUCKET_NAME": f"cdk-hnb659fds-assets-{ACCOUNT}-us-east-1",
        "DATABASE_SSLMODE": "disable",
    }
    assert here.keys() == ADDED.keys() | REPLACED.keys()
    assert not ADDED.keys() & given.keys()
    assert REPLACED.keys() <= given.keys()
    kept = {name: value for name, value in given.items() if name not in LEFT_OUT}
    settings = {**kept, **here, **secrets}
    assert all(isinstance(value, str) for value in settings.values()), "no reference is left"
    return settings
