"""Two gateways on one Valkey: what one learns, the other knows, and neither needs it.

Real LiteLLM with the deployed configuration, real Valkey; Bedrock is a stand-in that can be told to fail. Only what
makes a test quick is changed in the configuration: one failure is enough for a cooldown. One gateway reaches Valkey
as on AWS, by TLS, in a tunnel because this build of Valkey has none; the other reaches it directly.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import psutil
import pytest
import yaml
from tls import TlsFront, make_certificate

from qa_eval.blueprint.gateway import config_path
from qa_eval.blueprint.secrets import VALKEY_PASSWORD
from qa_eval.stack import environments, health, ports, processes, servers, state
from qa_eval.stack.processes import Server

ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Paris"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7},
    "metrics": {"latencyMs": 1},
}
LIMIT = 8
"""Requests a minute to the cheaper deployment of the limited groups."""
UNHARMED = {"action": "NONE", "outputs": [], "assessments": [], "usage": {}}


class FakeBedrock(ThreadingHTTPServer):
    """Answers every model but those that are down, and keeps what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), BedrockHandler)
        self.asked: list[str] = []
        self.down: set[str] = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class BedrockHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeBedrock

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(self.path)
        if path.startswith("/guardrail/"):
            return self.reply(200, UNHARMED)
        model = path.split("/")[2].removeprefix("us.amazon.").removesuffix("-v1:0")
        self.server.asked.append(model)
        if model in self.server.down:
            return self.reply(503, {"message": "The model is down."})
        return self.reply(200, ANSWER)

    def reply(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@dataclass
class Platform:
    """Two gateways, and what is behind them."""

    bedrock: FakeBedrock
    valkey: Server
    gateways: list[Server]
    front: TlsFront
    key: str = field(repr=False)

    def ask(self, gateway: int, group: str) -> tuple[list[str], float]:
        """Ask one gateway; the models that were tried, and the seconds it took."""
        before, begun = len(self.bedrock.asked), time.monotonic()
        reply = httpx.post(
            f"http://127.0.0.1:{self.gateways[gateway].port}/v1/chat/completions",
            headers={"Authorization": f"Bearer {self.key}"},
            json={"model": group, "messages": [{"role": "user", "content": "What is the capital of France?"}]},
            timeout=60,
        )
        took = time.monotonic() - begun
        assert reply.status_code == 200, reply.text
        assert reply.json()["choices"][0]["message"]["content"] == "Paris"
        return self.bedrock.asked[before:], took


def deployment(group: str, model: str, **limits: int) -> dict[str, Any]:
    params = {"model": f"bedrock/us.amazon.{model}-v1:0", "aws_region_name": "us-east-1", **limits}
    return {"model_name": group, "litellm_params": params, "model_info": {"base_model": f"us.amazon.{model}-v1:0"}}


def quick_configuration(folder: Path) -> Path:
    """The deployed file, with groups of this test and cooldowns that one failure brings about."""
    config = yaml.safe_load(config_path().read_text())
    config["model_list"] = [deployment("cooled", "nova-micro"), deployment("cooled", "nova-lite")]
    for group in ("limited", "limited after it is gone", "limited after it hangs", "limited by two passwords"):
        config["model_list"] += [deployment(group, "nova-lite", rpm=LIMIT), deployment(group, "nova-pro")]
    config["router_settings"] |= {"allowed_fails": 0, "cooldown_time": 300}
    config["router_settings"].pop("fallbacks", None)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def gateway(number: int, chosen: dict[str, int], config: Path, **more: str) -> Server:
    """One of several gateways as the stack runs one, with a folder of its own."""
    port = ports._free_port(chosen.values())
    plan = servers.StackPlan({**chosen, "litellm": port}, state.StackFeatures(valkey=True))
    described = next(server for server in servers.describe(plan) if server.name == "litellm")
    command = tuple(str(config) if part == str(config_path()) else part for part in described.command)
    assert str(config) in command
    # Valkey is tried again after a second, not after a minute.
    settings = {**described.settings, "REDIS_CIRCUIT_BREAKER_RECOVERY_TIMEOUT": "1", **more}
    name = f"litellm-{number}"
    return replace(described, command=command, settings=settings, home=state.home(name), log=state.log_file(name))


@pytest.fixture(scope="module")
def platform(tmp_path_factory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("shared")
    bedrock = FakeBedrock()
    for name in ("litellm", "valkey"):
        environments.ensure(servers.environment(name), lambda line: None)
    certificate = make_certificate(servers.environment("litellm").python, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QA_EVAL_DATA_DIR", str(folder))
        with state.stack_lock(lambda line: None):
            key = state.master_key()
            chosen = {
                **dict.fromkeys(ports.DEFAULTS, 1),
                "bedrock": bedrock.server_port,
                "valkey": ports._free_port([]),
            }
            plan = servers.StackPlan(chosen, state.StackFeatures(valkey=True))
            valkey = next(server for server in servers.describe(plan) if server.name == "valkey")
            front = TlsFront(certificate, chosen["valkey"])
            as_deployed = {"REDIS_HOST": "localhost", "REDIS_PORT": str(front.port), "REDIS_SSL": "true"}
            config = quick_configuration(folder)
            by_tls = gateway(0, chosen, config, **as_deployed, SSL_CERT_FILE=str(certificate))
            gateways = [by_tls, gateway(1, chosen, config)]
    everyone = [valkey, *gateways]
    try:
        health.wait_until_healthy([(server, processes.start(server)) for server in everyone], lambda line: None)
        yield Platform(bedrock, valkey, gateways, front, key)
    finally:
        processes.stop({server.mark: None for server in everyone})
        for server in (bedrock, front):
            server.shutdown()
            server.server_close()


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def signal_valkey(platform: Platform, number: int) -> None:
    (members,) = processes._members({platform.valkey.mark: None}).values()
    for process in members:
        os.kill(process.pid, number)


def test_a_deployment_that_failed_at_one_gateway_is_passed_over_by_the_other(platform: Platform) -> None:
    platform.bedrock.down.add("nova-micro")
    try:
        tried_first, _ = platform.ask(0, "cooled")
    finally:
        platform.bedrock.down.clear()

    assert tried_first == ["nova-micro", "nova-lite"], "the cheapest is tried first, and fails"
    # It never failed at the other gateway, where it would answer; that gateway reads the shared state once a second.
    wait_for(lambda: platform.ask(1, "cooled")[0] == ["nova-lite"])


def use_up(platform: Platform, group: str) -> list[str]:
    """Use up the cheaper deployment's limit at one gateway; then ask the other until it takes another deployment.

    The other gateway reads the shared state once a second. It is asked too rarely to reach the limit by itself.
    LiteLLM counts by the minute of the clock, so all of it is done within one.
    """
    if (left := 60 - time.time() % 60) < 15:
        time.sleep(left + 1)
    for _ in range(LIMIT):
        assert platform.ask(0, group)[0] == ["nova-lite"]
    tried: list[str] = []
    for _ in range(LIMIT - 1):
        if (tried := platform.ask(1, group)[0]) != ["nova-lite"]:
            break
        time.sleep(0.5)
    return tried


def test_what_one_gateway_used_of_a_limit_counts_at_the_other(platform: Platform) -> None:
    assert use_up(platform, "limited") == ["nova-pro"]


def test_the_first_gateway_speaks_tls(platform: Platform) -> None:
    assert platform.front.protocols
    assert set(platform.front.protocols) <= {"TLSv1.2", "TLSv1.3"}


def test_valkey_wants_the_password(platform: Platform) -> None:
    assert health.is_healthy(platform.valkey.port, servers.HEALTH["valkey"])
    refused = processes.TcpProbe(b"KEYS *\r\n", b"-NOAUTH ")
    assert health.is_healthy(platform.valkey.port, refused)


@pytest.mark.parametrize("how", ["is gone", "hangs"])
def test_without_valkey_requests_are_answered_nearly_as_fast_and_then_they_share_again(
    platform: Platform, how: str
) -> None:
    before = statistics.median(platform.ask(1, "cooled")[1] for _ in range(5))
    signal_valkey(platform, {"is gone": signal.SIGKILL, "hangs": signal.SIGSTOP}[how])

    after = [platform.ask(1, "cooled")[1] for _ in range(12)]

    figures = f"{before:.3f} s before; {statistics.median(after):.3f} s in the median, {max(after):.3f} s at most"
    assert max(after) < before + 1.5, figures
    assert statistics.median(after) < before + 0.3, figures
    revive_valkey(platform)
    assert use_up(platform, f"limited after it {how}") == ["nova-pro"]


def revive_valkey(platform: Platform) -> None:
    """Start it anew, and wait until both gateways have connected to it again."""
    processes.stop({platform.valkey.mark: None}, timeout=0)
    health.wait_until_healthy([(platform.valkey, processes.start(platform.valkey))], lambda line: None)
    for gateway in (0, 1):
        wait_for(lambda gateway=gateway: bool(platform.ask(gateway, "cooled")) and is_connected(platform, gateway))


def is_connected(platform: Platform, gateway: int) -> bool:
    """Whether a gateway has a connection to Valkey; the first one's is the tunnel's, in this process."""
    if gateway == 0:
        clients = [psutil.Process()]
    else:
        clients = list(*processes._members({platform.gateways[gateway].mark: None}).values())
    return any(
        connection.status == psutil.CONN_ESTABLISHED and connection.raddr.port == platform.valkey.port
        for client in clients
        for connection in client.net_connections("tcp")
    )


def tell_valkey(platform: Platform, password: str, command: str) -> bool:
    """Send one command with a password; whether both are taken."""
    with socket.create_connection(("127.0.0.1", platform.valkey.port), timeout=5) as connection:
        connection.sendall(f"AUTH {password}\r\n{command}\r\n".encode())
        replies = connection.makefile("rb")
        return [replies.readline() for _ in range(2)] == [b"+OK\r\n", b"+OK\r\n"]


def test_a_new_password_is_taken_beside_the_former_and_then_alone(platform: Platform) -> None:
    """The order of `infra rotate valkey-password`, with Valkey's own commands in place of ElastiCache's."""
    former, new = platform.gateways[1].settings["REDIS_PASSWORD"], VALKEY_PASSWORD.generate()
    assert tell_valkey(platform, former, f"ACL SETUSER default >{new}")

    gateway = platform.gateways[1]
    replaced = replace(gateway, settings={**gateway.settings, "REDIS_PASSWORD": new})
    processes.stop({gateway.mark: None})
    health.wait_until_healthy([(replaced, processes.start(replaced))], lambda line: None)
    wait_for(lambda: bool(platform.ask(1, "cooled")) and is_connected(platform, 1))
    assert use_up(platform, "limited by two passwords") == ["nova-pro"], "both gateways share, each by its password"

    assert tell_valkey(platform, new, f"ACL SETUSER default <{former}")
    assert not tell_valkey(platform, former, "SELECT 0")
    assert tell_valkey(platform, new, "SELECT 0")
