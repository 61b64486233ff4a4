"""The real stack: real Phoenix, LiteLLM, local Bedrock and model, as a user has them."""

import ipaddress
import time

import httpx
import psutil
import pytest

from qa_eval import stack as local_stack
from qa_eval.stack import processes, state
from qa_eval.stack.bedrock.guardrail import TRIGGER_PHRASES
from qa_eval.stack.bedrock.replay import ReplayEntry, write_replay

pytestmark = pytest.mark.usefixtures("in_stack_folder")


def members():
    """Every process of the stack."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(processes.MARK, "").startswith(str(state.folder())):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


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
    assert len(listening) >= 5, "gateway, Phoenix (HTTP and gRPC), local Bedrock, model"
    assert plain <= {ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")}


def test_up_again_changes_nothing(stack):
    before = pids()

    again = local_stack.up(report=pytest.fail)

    assert not again.started_here
    assert (again.gateway_url, again.phoenix_url) == (stack.gateway_url, stack.phoenix_url)
    assert pids() == before


def test_find_and_status_agree_with_up(stack):
    found, status = local_stack.find(), local_stack.status()

    assert found is not None
    assert (found.gateway_url, found.gateway_key) == (stack.gateway_url, stack.gateway_key)
    assert status.healthy
    assert [server.name for server in status.servers] == ["litellm", "bedrock", "model", "phoenix"]
    for server in status.servers:
        assert server.state == "healthy"
        assert server.memory_bytes > 1e7
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

    replaying = local_stack.up(replay=table, report=lambda line: None)
    during = pids()
    local_stack.up(report=lambda line: None)

    assert replaying.started_here
    assert replaying.bedrock_url == stack.bedrock_url
    assert {name for name in before if before[name] != during[name]} == {"bedrock"}
    assert {name for name in before if before[name] != pids()[name]} == {"bedrock"}
