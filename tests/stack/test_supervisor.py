"""The supervisor: whatever the last command left, `bring_up` ends with what was asked for, or with nothing."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

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
server = Server(
    name="phoenix", title="Phoenix", command=(sys.executable, {str(STANDIN)!r}, "{sick.port}", "sick"), settings={{}},
    port={sick.port}, health="/health", home=state.home("phoenix"), log=state.log_file("phoenix"), version="1",
)
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


def prepared(server, script, version="1", **settings):
    """The server with a preparation that is a Python script."""
    program = processes.Program(
        name="migration",
        title="migration of a test",
        command=(sys.executable, "-I", "-S", "-c", script),
        settings=settings,
        home=state.home("migration"),
        log=state.log_file("migration"),
    )
    return replace(server, preparation=processes.Preparation(program, version, state.folder() / "migrated"))


def runs_of(server):
    return len((server.preparation.program.home / "runs").read_text())


COUNTED = "open('runs', 'a').write('x')"


def test_a_server_is_prepared_before_it_starts_and_once_for_each_version(standin):
    server = prepared(standin("litellm"), f"{COUNTED}; assert not __import__('os').path.exists('../litellm')")

    bring_up(server)
    supervisor.take_down(["litellm"])
    bring_up(server)
    assert runs_of(server) == 1

    later = prepared(standin("litellm", SETTING="another"), COUNTED, version="2")
    bring_up(later)
    assert runs_of(later) == 2


def test_a_preparation_that_fails_is_one_sentence_with_its_log_and_is_tried_again(standin):
    failing = prepared(standin("litellm"), f"{COUNTED}; print('no such table'); raise SystemExit(3)")

    for _ in range(2):
        with pytest.raises(
            StackError, match=r"^The migration of a test failed with exit code 3; (?s:.*)no such table"
        ) as caught:
            bring_up(failing)
    assert str(state.log_file("migration")) in str(caught.value)
    assert runs_of(failing) == 2
    assert not running([failing])
    assert state.load().servers == {}


def test_a_preparation_that_hangs_is_stopped_with_all_that_it_started(standin, monkeypatch):
    monkeypatch.setattr(supervisor, "_PREPARATION_TIMEOUT_S", 1.0)
    sleep = "__import__('subprocess').run(['sleep', '600'])"

    with pytest.raises(StackError, match="The migration of a test did not end in 1 s"):
        bring_up(prepared(standin("litellm"), sleep))

    assert not processes._members({str(state.home("migration")): None})


def test_what_a_killed_command_left_of_a_preparation_is_stopped_first(standin):
    server = prepared(standin("litellm"), COUNTED)
    left = processes._start(replace(server.preparation.program, command=("sleep", "600")))

    bring_up(server)

    assert left.wait(5) == -signal.SIGTERM
