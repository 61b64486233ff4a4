"""The real stack: real Phoenix, LiteLLM, local Bedrock and model, as a user has them."""

import ipaddress
import subprocess
import sys
import time

import httpx
import psutil
import pytest

import qa_eval
from qa_eval import stack as local_stack
from qa_eval.blueprint.health import HEALTH, container_check
from qa_eval.stack import processes, servers, state
from qa_eval.stack.bedrock.guardrail import TRIGGER_PHRASES
from qa_eval.stack.bedrock.replay import ReplayEntry, write_replay

pytestmark = pytest.mark.usefixtures("in_stack_folder")


def members():
    """Every process of the stack."""
    found = processes._members({str(state.home(name)): None for name in servers.SERVERS})
    assert found.keys() >= {str(state.home(name)) for name in ("edge", "litellm", "bedrock", "model", "phoenix")}
    return [process for each in found.values() for process in each]


def pids():
    return {name: record.pid for name, record in state.load().servers.items()}


def chat(stack, content, **more):
    return httpx.post(
        f"{stack.gateway_url}/v1/chat/completions",
        headers={"Authorization": f"Bearer {stack.gateway_key}"},
        json={"model": "claude-haiku", "messages": [{"role": "user", "content": content}], "max_tokens": 16, **more},
        timeout=120,
    )


def test_every_listening_socket_is_on_loopback():
    listening = [c.laddr for p in members() for c in p.net_connections("all") if c.status == psutil.CONN_LISTEN]

    addresses = {ipaddress.ip_address(address.ip) for address in listening}
    plain = {getattr(address, "ipv4_mapped", None) or address for address in addresses}
    assert len(listening) >= 6, "edge, gateway, Phoenix (HTTP and gRPC), local Bedrock, model"
    assert plain <= {ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")}


def test_up_again_changes_nothing(stack):
    before = pids()

    again = local_stack.up(on_progress=pytest.fail)

    assert not again.started_here
    assert (again.gateway_url, again.phoenix_url) == (stack.gateway_url, stack.phoenix_url)
    assert pids() == before


def test_find_and_status_agree_with_up(stack):
    found, status = local_stack.find(), local_stack.status()

    assert found is not None
    assert (found.gateway_url, found.gateway_key) == (stack.gateway_url, stack.gateway_key)
    assert status.healthy
    assert [server.name for server in status.servers][:5] == ["edge", "litellm", "bedrock", "model", "phoenix"]
    for server in status.servers:
        assert server.state == "healthy"
        assert server.memory_bytes > 1e6
        assert server.uptime_seconds > 0
        assert server.log.exists()


def test_the_model_answers_through_the_gateway_and_the_trace_is_in_phoenix(stack):
    question = f"What is the capital of France? ({time.time()})"

    answer = chat(stack, question)

    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"]
    assert answer.json()["usage"]["completion_tokens"] > 0
    assert any(question in str(span) for span in spans(stack, question))


def spans(stack, needle, seconds=30):
    """The gateway's spans, once one of them holds `needle`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        reply = httpx.get(f"{stack.phoenix_url}/v1/projects/litellm-gateway/spans", params={"limit": 100})
        found = reply.json()["data"] if reply.status_code == 200 else []
        if any(needle in str(span) for span in found):
            return found
        time.sleep(0.25)
    return []


def test_the_guardrail_is_armed(stack):
    phrase = next(iter(TRIGGER_PHRASES.values()))
    address = f"jane.{time.time_ns()}@example.org"

    blocked = chat(stack, f"Please: {phrase}.")
    masked = chat(stack, f"Repeat this: {address}")

    assert blocked.status_code == 400
    assert blocked.json()["error"]["message"] == "Violated guardrail policy"
    assert masked.status_code == 200
    assert spans(stack, "[EMAIL_REDACTED]")
    assert not any(address in str(span) for span in spans(stack, "[EMAIL_REDACTED]"))


@pytest.mark.parametrize("server", ["litellm", "phoenix"])
def test_a_container_of_the_real_server_is_alive_and_ready_without_a_key(server):
    port = state.load().ports[server]
    _, *check = container_check(server, port=port)

    assert subprocess.run([sys.executable, *check], check=False).returncode == 0
    for path in (HEALTH[server].liveness, HEALTH[server].readiness):
        reply = httpx.get(f"http://127.0.0.1:{port}{path}")
        assert reply.status_code == 200
        assert not reply.headers["content-type"].startswith("text/html"), "a page says nothing about the server"


def test_an_experiment_through_the_one_address_alone(stack, monkeypatch):
    edge = f"http://127.0.0.1:{state.load().ports['edge']}"
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", stack.gateway_key)
    dataset = qa_eval.load_dataset("sample", examples=3, name="through-the-edge")

    result = qa_eval.run_experiment(dataset, models=["nova-micro"], gateway=edge, phoenix=f"{edge}/phoenix")

    (experiment,) = result.experiments
    recorded = httpx.get(f"{edge}/phoenix/v1/experiments/{experiment.phoenix_id}/json").json()
    assert len(recorded) == 3
    assert str(result.url).startswith(f"{edge}/phoenix/")
    trace = recorded[0]["trace_id"]
    end = time.monotonic() + 30
    while {"question", "chat nova-micro"} - names_in_trace(edge, trace) and time.monotonic() < end:
        time.sleep(0.25)
    assert {"question", "chat nova-micro"} <= names_in_trace(edge, trace)


def names_in_trace(edge, trace):
    """The spans of one trace: the client's own were posted through the edge, the gateway's by the gateway."""
    query = "query ($id: String!) { getTraceByOtelId(traceId: $id) { spans(first: 50) { edges { node { name } } } } }"
    answer = httpx.post(f"{edge}/phoenix/graphql", json={"query": query, "variables": {"id": trace}}).json()
    found = answer["data"]["getTraceByOtelId"]
    return {each["node"]["name"] for each in found["spans"]["edges"]} if found else set()


def test_a_wrong_key_is_refused(stack):
    reply = httpx.get(f"{stack.gateway_url}/v1/models", headers={"Authorization": "Bearer sk-wrong"})

    # LiteLLM without a database answers 400 "No connected db." to a key that it does not know.
    assert reply.status_code in (400, 401)
    assert "claude-haiku" not in reply.text


def test_the_key_is_in_no_log_no_command_line_and_no_output(stack, capfd):
    chat(stack, "Hello")
    for log in state.log_file("litellm").parent.iterdir():
        assert stack.gateway_key not in log.read_text(errors="replace"), log
    for process in members():
        assert stack.gateway_key not in " ".join(process.cmdline())
    assert stack.gateway_key not in repr(stack) + repr(local_stack.status())


def test_a_replay_restarts_the_local_bedrock_alone(stack, tmp_path):
    table = tmp_path / "replay.jsonl"
    write_replay(table, [ReplayEntry("Paris is a city.", "What is Paris?", "a city")])
    before = pids()

    replaying = local_stack.up(replay=table, on_progress=lambda line: None)
    during = pids()
    local_stack.up(on_progress=lambda line: None)

    assert replaying.started_here
    assert replaying.bedrock_url == stack.bedrock_url
    assert {name for name in before if before[name] != during[name]} == {"bedrock"}
    assert {name for name in before if before[name] != pids()[name]} == {"bedrock"}


def test_an_edge_that_was_killed_comes_back_on_its_port(in_stack_folder):
    """Its worker outlives it, and listens on."""
    (pid,) = [server.pid for server in local_stack.status().servers if server.name == "edge"]
    edge = psutil.Process(pid)
    (worker,) = edge.children()
    edge.kill()
    edge.wait(10)
    assert worker.is_running()

    lines = []
    again = local_stack.up(on_progress=lines.append)

    assert again.gateway_url == in_stack_folder.gateway_url
    assert not [line for line in lines if "in use by another program" in line]
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
