"""`qa-eval stack`: what a user reads, and the exit codes. The servers are stand-ins."""

import json
import subprocess
import sys
import threading
import time

import pytest
import typer
from typer.testing import CliRunner

from qa_eval.blueprint.secrets import MASTER_KEY, PHOENIX_ADMIN_PASSWORD, PHOENIX_ADMIN_SECRET
from qa_eval.cli import stack as command
from qa_eval.errors import QaEvalError
from qa_eval.stack import ServerStatus, StackStatus, local, processes, servers, state
from qa_eval.stack.health import PortTaken

SERVERS = ("edge", "litellm", "bedrock", "phoenix")


@pytest.fixture
def standins(standin, monkeypatch, tmp_path):
    """The stack, with stand-ins for the servers."""
    monkeypatch.setenv("QA_EVAL_CACHE_DIR", str(tmp_path / "cache"))

    def describe(plan):
        return [standin(name) for name in (*SERVERS, *(["postgres"] if plan.features.postgres else []))]

    monkeypatch.setattr(local, "describe", describe)
    monkeypatch.setattr(local.environments, "ensure", lambda environment, report: None)


def run(*arguments):
    result = CliRunner().invoke(command.app, arguments)
    if isinstance(result.exception, QaEvalError):
        raise result.exception
    return result


def test_up_status_down(standins):
    up = run("up")
    assert up.exit_code == 0, up.stderr
    assert "Gateway  http://127.0.0.1:" in up.stdout
    assert str(state.key_file()) in up.stdout
    assert state.master_key() not in up.output
    assert "Starting Edge, Litellm, Bedrock, Phoenix ..." in up.stderr

    status = run("status")
    assert status.exit_code == 0
    assert status.stdout.count("healthy") == 4

    document = json.loads(run("status", "--json").stdout)
    assert document["healthy"]
    assert document["key_file"] == str(state.key_file())
    assert {server["name"]: server["state"] for server in document["servers"]} == {
        "edge": "healthy",
        "litellm": "healthy",
        "bedrock": "healthy",
        "model": "stopped",
        "phoenix": "healthy",
    }

    assert "Stopped litellm, edge, bedrock, phoenix." in run("down").stderr
    assert "Nothing was running." in run("down").stderr
    assert run("status").exit_code == 1


def test_the_table_of_all_servers_fits_into_80_columns_and_nothing_is_cut(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    urls = {"phoenix": "http://127.0.0.1:65535/phoenix", "postgres": "postgresql://127.0.0.1:65535"}
    versions = {name: servers.version(name) for name in servers.SERVERS}
    shown = tuple(
        ServerStatus(
            name=name,
            state="not answering",
            version=version,
            log=tmp_path / "log",
            url=urls.get(name, "http://127.0.0.1:65535"),
            pid=4194304,
            memory_bytes=12_345_000_000,
            uptime_seconds=100 * 3600 - 1,
        )
        for name, version in versions.items()
    )
    monkeypatch.setattr(local, "status", lambda: StackStatus(shown, tmp_path / "key"))

    lines = run("status").stdout.splitlines()

    table = "\n".join(lines[: lines.index(f"The gateway's key: {tmp_path / 'key'}")])
    assert max(map(len, table.splitlines())) <= 80
    words = [*(each.name for each in shown), *(each.url for each in shown)]
    words += [part for version in versions.values() for part in version.split(", ")]
    assert [word for word in words if word not in table] == []
    assert table.count("99 h 59 min") == " ".join(table.split()).count("pid 4194304, 12345 MB") == len(shown)
    assert "…" not in table


def test_up_twice_says_so(standins):
    run("up")

    assert "All servers were already running." in run("up").stderr


def names_in_status():
    return [server["name"] for server in json.loads(run("status", "--json").stdout)["servers"]]


def test_an_option_stays_until_a_command_says_otherwise(standins):
    run("up", "--postgres")
    assert "postgres" in names_in_status()

    assert "All servers were already running." in run("up").stderr
    assert "postgres" in names_in_status()
    record = state.load().servers["postgres"]

    run("up", "--no-postgres")
    assert "postgres" not in names_in_status()
    assert processes.find(record) is None


def test_with_auth_the_commands_say_where_the_password_is_and_not_what(standins):
    up = run("up", "--auth")
    status, document = run("status"), run("status", "--json")

    path, key = state.secret_file(PHOENIX_ADMIN_PASSWORD), state.secret_file(PHOENIX_ADMIN_SECRET)
    for said in (up.stdout, status.stdout, document.stdout):
        assert str(path) in said
        assert str(key) in said
    assert json.loads(document.stdout)["password_file"] == str(path)
    for secret in (MASTER_KEY, PHOENIX_ADMIN_PASSWORD, PHOENIX_ADMIN_SECRET):
        assert state.read_secret(secret) not in up.output + status.output + document.output
    assert str(path) not in run("up", "--no-auth").output


def test_a_stack_of_an_older_version_is_shown_and_stopped(standins):
    run("up")
    older = state.load()
    del older.ports["edge"], older.servers["edge"]
    state.save(older)

    assert "not answering" not in run("status").stdout
    assert run("status").exit_code == 1
    assert "phoenix" in run("down").stderr


def test_a_port_that_is_taken_while_servers_start_is_replaced(standins, monkeypatch):
    """Two stacks that start at once both find 4000 free."""
    bring_up, calls = local.supervisor.bring_up, []

    def beaten_once(servers, report):
        calls.append(servers)
        if len(calls) == 1:
            raise PortTaken("Another program took port 4000 during the start of LiteLLM.")
        return bring_up(servers, report)

    monkeypatch.setattr(local.supervisor, "bring_up", beaten_once)

    up = run("up")

    assert up.exit_code == 0
    assert "Another program took port 4000 during the start of LiteLLM. Trying another port ..." in up.stderr
    assert len(calls) == 2


def test_logs_of_one_server_and_of_all(standins):
    run("up")

    one = run("logs", "phoenix", "--lines", "1").stdout
    every = run("logs").stdout

    assert one.count("\n") == 1
    assert all(f"{name:8}| well on" in every for name in SERVERS)


def test_logs_follow_what_comes_and_a_log_that_begins_anew(standins):
    run("up")
    log = state.log_file("phoenix")
    program = "import sys; from qa_eval.cli.stack import app; app(['logs', 'phoenix', '--follow', '--lines', '0'])"
    with subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True) as follower:
        seen = []
        reader = threading.Thread(target=lambda: seen.extend(follower.stdout))
        reader.start()
        deadline = time.monotonic() + 20
        while "fresh\n" not in seen and time.monotonic() < deadline:
            with log.open("a") as file:
                file.write("appended\n")
            if "appended\n" in seen:
                log.write_text("fresh\n")
            time.sleep(0.1)
        follower.terminate()
        reader.join(10)

    assert "appended\n" in seen
    assert "fresh\n" in seen


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["logs", "nosuch"], "There is no server 'nosuch': choose from edge, litellm, bedrock, model, phoenix."),
        (["logs"], "There is no log yet: start the servers with `qa-eval stack up`."),
    ],
)
def test_mistakes_are_one_sentence(arguments, sentence):
    with pytest.raises(QaEvalError) as caught:
        run(*arguments)

    assert str(caught.value) == sentence
    assert caught.value.exit_code == 2


def test_the_command_is_a_part_of_qa_eval():
    main = typer.Typer()
    main.add_typer(command.app, name="stack")

    assert "Run the platform on this machine" in CliRunner().invoke(main, ["--help"]).stdout
