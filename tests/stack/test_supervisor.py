"""The supervisor: whatever the last command left, `bring_up` ends with what was asked for, or with nothing."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from qa_eval.errors import StackError
from qa_eval.stack import health, ports, processes, state, supervisor

from .conftest import STANDIN, running


@pytest.fixture(autouse=True)
def stack_folder():
    with state.stack_lock(lambda line: None):
        return


def bring_up(*servers):
    return supervisor.bring_up(servers, lambda line: None)


def pids():
    return {name: record.pid for name, record in state.load().servers.items()}


def test_bringing_up_twice_keeps_what_runs(standin):
    servers = [standin("phoenix"), standin("litellm")]

    assert sorted(bring_up(*servers)) == ["litellm", "phoenix"]
    before = pids()
    assert bring_up(*servers) == []

    assert pids() == before
    assert len(running(servers)) == 2


def test_a_killed_server_is_started_again_and_the_others_are_kept(standin):
    servers = [standin("phoenix"), standin("litellm")]
    bring_up(*servers)
    before = pids()
    os.kill(before["phoenix"], signal.SIGKILL)

    assert bring_up(*servers) == ["phoenix"]

    assert pids()["litellm"] == before["litellm"]
    assert health.is_healthy(servers[0].port, "/health")


@pytest.mark.parametrize("change", [{"SETTING": "another"}, {"mode": "mother"}])
def test_only_a_server_that_shall_be_different_is_replaced(standin, change):
    phoenix = standin("phoenix")
    bring_up(phoenix, standin("litellm"))
    before = pids()

    assert bring_up(phoenix, standin("litellm", **change)) == ["litellm"]

    assert pids()["phoenix"] == before["phoenix"]
    assert pids()["litellm"] != before["litellm"]


def test_a_server_that_runs_but_does_not_answer_is_replaced(standin):
    server = standin("phoenix")
    sick = standin("phoenix", mode="sick")
    record = processes.start(sick)
    state.save(state.StackState(servers={"phoenix": record.model_copy(update={"fingerprint": server.fingerprint})}))

    assert bring_up(server) == ["phoenix"]

    assert processes.find(record) is None


def test_a_server_of_a_lost_state_file_is_found_and_replaced(standin):
    server = standin("phoenix")
    bring_up(server)
    lost = pids()["phoenix"]
    (state.folder() / "state.json").write_text('{"ports": {')

    assert bring_up(server) == ["phoenix"]

    assert [process.pid for process in running([server])] == [pids()["phoenix"]]
    assert pids()["phoenix"] != lost


def test_one_that_dies_takes_down_what_was_started_with_it_and_nothing_else(standin):
    kept, started, dying = standin("phoenix"), standin("bedrock"), standin("litellm", mode="dying")
    bring_up(kept)

    with pytest.raises(StackError, match="Litellm exited with exit code 7"):
        bring_up(kept, started, dying)

    assert [process.pid for process in running([kept, started, dying])] == [pids()["phoenix"]]


def test_taking_down_leaves_nothing_and_may_be_repeated(standin):
    servers = [standin("phoenix"), standin("litellm", mode="mother")]
    bring_up(*servers)

    assert supervisor.take_down(["litellm"], ["phoenix", "bedrock"]) == ["litellm", "phoenix"]
    assert supervisor.take_down(["litellm"], ["phoenix", "bedrock"]) == []

    assert not running(servers)
    assert state.load().servers == {}


def test_ctrl_c_while_servers_start_leaves_no_process(standin, tmp_path):
    sick = standin("phoenix", mode="sick")
    program = f"""
import sys
from qa_eval.stack import state, supervisor
from qa_eval.stack.processes import Server
server = Server("phoenix", "Phoenix", (sys.executable, {str(STANDIN)!r}, "{sick.port}", "sick"), {{}}, {sick.port},
                "/health", state.home("phoenix"), state.log_file("phoenix"), "1")
supervisor.bring_up([server], lambda line: print(line, flush=True))
"""
    command = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with command:
        assert command.stdout.readline() == b"Starting Phoenix ...\n"
        while ports.is_free(sick.port):
            assert command.poll() is None
            time.sleep(0.02)
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=20)

    assert b"KeyboardInterrupt" in said
    assert not running([sick])
    assert state.load().servers == {}


def test_of_two_commands_at_once_the_second_waits_and_finds_all_done(standin):
    server = standin("phoenix")
    started, said = [], []

    def up():
        with state.stack_lock(said.append):
            started.append(bring_up(server))

    commands = [threading.Thread(target=up) for _ in range(2)]
    for command in commands:
        command.start()
    for command in commands:
        command.join(30)

    assert started == [["phoenix"], []]
    assert said == ["Another qa-eval command is changing the stack; waiting for it ..."]
    assert len(running([server])) == 1
