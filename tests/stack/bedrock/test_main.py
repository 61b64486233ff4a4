"""The process: up at once, on loopback alone, plain about what it is, gone when told to go."""

import socket
import subprocess
import sys
import time

import psutil
import pytest

from qa_eval.stack.bedrock.guardrail import TRIGGER_PHRASES


def test_it_starts_with_little_work_and_without_the_embedding_model(start_bedrock):
    with start_bedrock("http://127.0.0.1:9") as running:
        process = psutil.Process(running.process.pid)
        times = process.cpu_times()
        listening = [each.laddr.ip for each in process.net_connections() if each.status == "LISTEN"]

        assert listening == ["127.0.0.1"]
        assert times.user + times.system < 1.5  # CPU seconds: what else the machine does must not matter
        assert not [each.path for each in process.memory_maps() if "onnxruntime" in each.path]


def test_it_says_that_the_guardrail_is_a_stand_in_and_nobody_is_authenticated(start_bedrock):
    with start_bedrock("http://127.0.0.1:9") as running:
        said = running.log.read_text()

    assert "The guardrail is a substitute" in said
    assert all(phrase in said for phrase in TRIGGER_PHRASES.values())
    assert "does not authenticate requests" in said


@pytest.mark.parametrize("asked", [False, True])
def test_sigterm_ends_it_at_once_even_with_a_call_open(start_bedrock, asked):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        with start_bedrock(f"http://127.0.0.1:{deaf.getsockname()[1]}") as running:
            if asked:
                call = _open_call(running.url)
            began = time.monotonic()
            running.process.terminate()
            assert running.process.wait(5) == 0
            assert time.monotonic() - began < 2
            if asked:
                call.close()


def _open_call(url):
    host, port = url.removeprefix("http://").split(":")
    body = b'{"messages": [{"role": "user", "content": [{"text": "x"}]}]}'
    head = f"POST /model/us.amazon.nova-lite-v1:0/converse HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    call = socket.create_connection((host, int(port)))
    call.sendall(head.encode() + body)
    time.sleep(0.2)  # it has no way to say that it waits for the model
    return call


def run(*arguments):
    command = [sys.executable, "-P", "-m", "qa_eval.stack.bedrock", "--model-url", "http://127.0.0.1:9", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_a_port_in_use_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("--port", str(port))

    assert done.returncode == 2
    assert f"The local Bedrock cannot listen on port {port}" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_broken_replay_table_is_one_sentence(tmp_path):
    table = tmp_path / "table.jsonl"
    table.write_text("no JSON\n")
    done = run("--port", "1", "--replay", str(table))

    assert done.returncode == 2
    assert "Line 1 of the replay table" in done.stderr
    assert len(done.stderr.splitlines()) == 1
