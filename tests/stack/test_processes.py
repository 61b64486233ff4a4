"""Processes: started clean, watched, explained when they die, and never left behind."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

from qa_eval.errors import StackError
from qa_eval.stack import health, logs, processes
from qa_eval.stack.state import ProcessRecord

from .conftest import running


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def started(server):
    record = processes.start(server)
    health.wait_until_healthy([(server, record)], lambda line: None, timeout=20)
    return record


def environment_of(server):
    without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with without_proxy.open(f"http://127.0.0.1:{server.port}/", timeout=5) as answer:
        return json.load(answer)


def test_a_server_becomes_healthy_and_is_stopped(standin):
    server = standin()

    record = started(server)
    assert processes.find(record).pid == record.pid
    assert processes.stop({server.mark: record}) == [server.mark]

    assert processes.find(record) is None
    assert not running([server])


def test_a_server_sees_nothing_of_the_users_environment_but_the_allow_list(standin, monkeypatch):
    for name in ("OPENAI_API_KEY", "DATABASE_URL", "HTTP_PROXY", "PHOENIX_API_KEY", "AWS_PROFILE", "PYTHONPATH"):
        monkeypatch.setenv(name, "the user's")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    server = standin(SETTING="ours", PATH="settings win")

    started(server)
    seen = environment_of(server)

    own = {"HOME", "NO_PROXY", "PYTHONUNBUFFERED", "PYTHONUTF8", processes.MARK, "SETTING"}
    assert seen.keys() <= own | set(processes.INHERITED)
    assert "the user's" not in seen.values()
    assert seen["SETTING"] == "ours"
    assert seen["PATH"] == "settings win"
    assert seen["HOME"] == str(server.home)


def test_a_server_has_a_session_of_its_own(standin):
    record = started(standin())

    assert os.getsid(record.pid) == record.pid


def test_the_last_log_is_kept(standin):
    server = standin()
    for _ in range(2):
        processes.stop({server.mark: started(server)})

    assert server.log.with_suffix(".previous.log").read_text().startswith("well on")
    assert server.log.read_text().count("well on") == 1


def test_a_server_that_dies_is_reported_at_once_with_the_end_of_its_log(standin):
    server = standin(mode="dying")
    begun = time.monotonic()

    with pytest.raises(StackError) as caught:
        health.wait_until_healthy([(server, processes.start(server))], lambda line: None)

    message = str(caught.value)
    assert message.startswith("Phoenix exited with exit code 7 during its start")
    assert str(server.log) in message
    assert "last words 29" in message
    assert "last words 15" in message
    assert "last words 14" not in message
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("mode", ["well", "elsewhere"])
def test_another_program_on_the_port_is_not_taken_for_the_server(standin, mode):
    server = standin(mode=mode)
    started(standin("bedrock", port=server.port))

    with pytest.raises(health.PortTaken, match=f"^Another program took port {server.port} during the start of Phoenix"):
        health.wait_until_healthy([(server, processes.start(server))], lambda line: None)


def test_a_server_that_never_gets_well_is_given_up(standin):
    server = standin(mode="sick")

    with pytest.raises(StackError, match=r"is not healthy after 1 s.*\n  sick on"):
        health.wait_until_healthy([(server, processes.start(server))], lambda line: None, timeout=0.6)


def test_a_server_that_ignores_the_polite_signal_is_killed(standin):
    server = standin(mode="deaf")
    record = started(server)

    processes.stop({server.mark: record}, timeout=0.2)

    assert not running([server])


def test_children_are_stopped_too(standin):
    server = standin(mode="mother")
    record = started(server)
    assert len(running([server])) == 2

    processes.stop({server.mark: record})

    assert not running([server])


def test_orphans_of_a_killed_server_are_found_by_their_mark(standin):
    server = standin(mode="mother")
    record = started(server)
    os.kill(record.pid, signal.SIGKILL)
    wait_for(lambda: processes.find(record) is None)
    assert running([server])

    assert processes.stop({server.mark: None}) == [server.mark]

    assert not running([server])


def test_a_recycled_process_id_is_never_taken_for_ours():
    innocent = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    try:
        created = psutil.Process(innocent.pid).create_time()
        record = ProcessRecord(pid=innocent.pid, created=created - 1000, port=1, fingerprint="", version="")

        assert processes.find(record) is None
        assert processes.stop({"some mark": record}) == []
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


@pytest.mark.parametrize(
    ("count", "end", "expected"),
    [(2, None, ["line 98", "line 99"]), (0, None, []), (1, 14, ["line 1"]), (1000, 14, ["line 0", "line 1"])],
)
def test_the_last_lines_of_a_log(tmp_path, count, end, expected):
    log = tmp_path / "log"
    log.write_text("".join(f"line {n}\n" for n in range(100)))

    assert logs.last_lines(log, count, end) == expected


def test_a_server_whose_program_is_gone_is_one_sentence(standin):
    from dataclasses import replace

    server = replace(standin(), command=("/no/such/program",))

    with pytest.raises(StackError, match=r"^Phoenix cannot be started \(No such file or directory\)\.$"):
        processes.start(server)


def test_secrets_are_not_shown(standin):
    assert "sk-secret" not in repr(standin(KEY="sk-secret"))
