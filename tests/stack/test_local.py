"""What the servers are told: the blueprint's own files, loopback, nothing of the user's, no secret in a command."""

import sys
from pathlib import Path

import pytest

import qa_eval
from qa_eval.blueprint.secrets import SECRETS
from qa_eval.errors import InputError
from qa_eval.stack import ports, servers, state

PORTS = dict(zip(ports.DEFAULTS, range(5001, 5010), strict=False))
EVERYTHING = {"auth": True, "postgres": True, "database": True, "valkey": True}


@pytest.fixture(autouse=True)
def stack_folder():
    with state.stack_lock(lambda line: None):
        return


def describe(replay=None, chosen=PORTS, **options):
    plan = servers.StackPlan(chosen, state.StackFeatures(**options), replay)
    return {server.name: server for server in servers.describe(plan)}


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

    server = describe(**EVERYTHING)["litellm"]
    config = Path(server.command[server.command.index("--config") + 1])

    asked = set(re.findall(r"os\.environ/(\w+)", config.read_text()))
    assert asked
    assert asked <= server.settings.keys()


def test_secrets_are_in_the_environments_of_their_readers_and_in_no_command_line():
    described = describe(**EVERYTHING)

    for secret in (*SECRETS, servers.POSTGRES_PASSWORD):
        value = state.read_secret(secret)
        for name, variable in secret.read_as.items():
            assert described[name].settings[variable] == value
        for server in described.values():
            assert not any(value in argument for argument in server.command)
            assert value not in repr(server) + server.fingerprint


def test_servers_call_each_other_on_loopback():
    described = describe(**EVERYTHING)

    assert described["litellm"].settings["AWS_BEDROCK_RUNTIME_ENDPOINT"] == f"http://127.0.0.1:{PORTS['bedrock']}"
    assert described["litellm"].settings["PHOENIX_COLLECTOR_HTTP_ENDPOINT"].startswith("http://127.0.0.1:")
    assert described["litellm"].settings["REDIS_HOST"] == "127.0.0.1"
    assert f"http://127.0.0.1:{PORTS['model']}" in described["bedrock"].command
    assert described["phoenix"].settings["PHOENIX_HOST"] == "127.0.0.1"
    assert described["phoenix"].settings["PHOENIX_POSTGRES_HOST"] == "127.0.0.1"
    assert "bind 127.0.0.1\n" in described["valkey"].files["valkey.conf"]
    assert f"listen 127.0.0.1:{PORTS['edge']}" in described["edge"].files["nginx.conf"]


def test_only_the_local_bedrock_runs_in_the_callers_environment():
    interpreters = {name: server.command[0] for name, server in describe(**EVERYTHING).items()}

    assert interpreters.pop("bedrock") == sys.executable
    assert interpreters == {name: str(servers.environment(name).python) for name in interpreters}


def test_what_nobody_asked_for_is_not_there():
    plain = describe()

    assert plain.keys() == {"edge", "litellm", "bedrock", "model", "phoenix"}
    assert not {"PHOENIX_API_KEY", "REDIS_HOST", "REDIS_PASSWORD"} & plain["litellm"].settings.keys()
    assert not any("DATABASE" in name or "PRISMA" in name for name in plain["litellm"].settings)
    assert plain["litellm"].preparation is None
    assert not any("AUTH" in name or "SECRET" in name or "POSTGRES" in name for name in plain["phoenix"].settings)


@pytest.mark.parametrize(
    ("option", "changed"),
    [
        ("auth", {"litellm", "phoenix"}),
        ("postgres", {"phoenix", "postgres"}),
        ("database", {"litellm", "postgres"}),
        ("valkey", {"litellm", "valkey"}),
    ],
)
def test_an_option_changes_only_those_whom_it_concerns(option, changed):
    plain, other = describe(), describe(**{option: True})

    assert {n for n in other if n not in plain or plain[n].fingerprint != other[n].fingerprint} == changed


def test_the_gateway_is_migrated_by_its_own_command_before_it_starts_and_does_not_migrate_itself():
    gateway = describe(database=True)["litellm"]

    migration = gateway.preparation.program
    assert migration.command == (*gateway.command, "--skip_server_startup")
    assert gateway.settings == {**migration.settings, "DISABLE_SCHEMA_UPDATE": "true"}
    assert migration.mark != gateway.mark
    assert gateway.settings["DATABASE_HOST"] == f"127.0.0.1:{PORTS['postgres']}"


def test_the_gateways_database_is_not_phoenixs():
    both = describe(postgres=True, database=True)

    assert both["litellm"].settings["DATABASE_NAME"] == "qa_eval"
    assert both["phoenix"].settings["PHOENIX_POSTGRES_DB"] != "qa_eval"
    assert not any("POSTGRES" in name for name in describe(database=True)["phoenix"].settings)


def test_the_users_path_does_not_restart_the_gateway(monkeypatch):
    before = describe(database=True)["litellm"].fingerprint
    monkeypatch.setenv("PATH", "/elsewhere")

    assert describe(database=True)["litellm"].fingerprint == before


def test_databases_stand_before_those_who_need_them_start():
    assert {name for name, server in describe(**EVERYTHING).items() if server.first} == {"valkey", "postgres"}


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
    state.key_file().write_text("another")
    rekeyed = describe()

    assert {n for n in first if first[n].fingerprint != moved[n].fingerprint} == {"phoenix", "litellm", "edge"}
    assert {n for n in first if first[n].fingerprint != rekeyed[n].fingerprint} == {"litellm"}


def test_two_servers_cannot_be_given_one_port():
    from qa_eval import stack

    with pytest.raises(InputError, match="cannot share a port"):
        stack.up(gateway_port=5000, phoenix_port=5000, on_progress=pytest.fail)


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
