"""The real stack with all of its options on: authentication, PostgreSQL, the gateway's database and Valkey.

A table answers for the model.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from browser import open_page, record_requests, screenshot
from playwright.sync_api import expect

import qa_eval
from qa_eval import stack as local_stack
from qa_eval.blueprint.secrets import PHOENIX_ADMIN_PASSWORD, SECRETS
from qa_eval.stack import environments, processes, servers, state

EXAMPLES = 8
SECRET_FILES = (*SECRETS, servers.POSTGRES_PASSWORD)


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("options")


@pytest.fixture(scope="module")
def outcome(data_folder) -> Iterator[tuple[local_stack.RunningStack, qa_eval.RunResult]]:
    """The stack, and an experiment on it that was told nothing but `local`; its answers are the references."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QA_EVAL_DATA_DIR", str(data_folder))
        patch.delenv("PHOENIX_API_KEY", raising=False)
        dataset = qa_eval.load_dataset("sample", examples=EXAMPLES, name="with-options")
        answers = data_folder / "answers.json"
        answers.write_text(json.dumps({example.id: example.references[0] for example in dataset}))
        half_made = data_folder / "stack" / "postgres" / "data.new"  # as a kill in the middle leaves it
        half_made.mkdir(parents=True, mode=0o700)
        (half_made / "PG_VERSION").write_text("18")
        try:
            local_stack.up(auth=True, postgres=True, database=True, valkey=True, replay=empty_table(data_folder))
            result = qa_eval.run_experiment(dataset, models=["nova-micro"], local=True, replay=answers)
            found = local_stack.find()
            assert found is not None
            yield found, result
        finally:
            local_stack.down()
    assert not members(data_folder), "`down` leaves nothing, whatever a program made of its environment"


@pytest.fixture
def stack(outcome, data_folder, monkeypatch) -> local_stack.RunningStack:
    monkeypatch.setenv("QA_EVAL_DATA_DIR", str(data_folder))
    return outcome[0]


def empty_table(folder: Path) -> Path:
    """A replay without answers, so that no model is started."""
    table = folder / "empty.jsonl"
    table.write_text("")
    return table


def members(folder: Path) -> list[psutil.Process]:
    """Every process of the stack in this data folder, by either of its marks."""
    found = processes._members({str(folder / "stack" / name): None for name in (*servers.SERVERS, servers.MIGRATION)})
    return [process for each in found.values() for process in each]


def psql(query: str) -> str:
    """What the database answers, asked as Phoenix asks."""
    program = next(servers.environment("postgres").folder.rglob("pginstall/bin/psql"))
    port = state.load().servers["postgres"].port
    done = subprocess.run(
        [program, "-h", "127.0.0.1", "-p", str(port), "-U", "phoenix", "-d", "postgres", "-Atc", query],
        env={**os.environ, "PGPASSWORD": state.read_secret(servers.POSTGRES_PASSWORD)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_experiment_found_the_key_and_its_runs_are_in_postgres(stack, outcome) -> None:
    (experiment,) = outcome[1].experiments

    assert experiment.mean("exact_match") == 1.0
    assert psql("SELECT count(*) FROM experiment_runs") == str(EXAMPLES)
    assert psql("SELECT count(*) FROM experiment_run_annotations WHERE name = 'f1' AND score = 1") == str(EXAMPLES)
    assert not (state.home("phoenix") / "phoenix.db").exists()


def test_the_gateways_spans_arrive_although_phoenix_asks_who_you_are(stack) -> None:
    end = time.monotonic() + 30
    while int(psql("SELECT count(*) FROM spans WHERE name LIKE 'chat %'")) < EXAMPLES and time.monotonic() < end:
        time.sleep(0.25)

    assert int(psql("SELECT count(*) FROM spans WHERE name LIKE 'chat %'")) >= EXAMPLES


@pytest.mark.parametrize("key", [None, "wrong", "the gateway's"])
@pytest.mark.parametrize("path", ["/v1/datasets", "/v1/projects", "/graphql", "/v1/traces"])
def test_phoenix_refuses_whoever_has_not_its_key(stack, path: str, key: str | None) -> None:
    token = stack.gateway_key if key == "the gateway's" else key
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    reply = httpx.request(
        "POST" if path in ("/graphql", "/v1/traces") else "GET", stack.phoenix_url + path, headers=headers
    )

    assert reply.status_code in (401, 403)


def test_phoenix_takes_its_key_and_the_administrators_first_password(stack) -> None:
    headers = {"Authorization": f"Bearer {stack.phoenix_key}"}
    password = state.secret_file(PHOENIX_ADMIN_PASSWORD).read_text()
    login = {"email": "admin@localhost", "password": password}

    assert httpx.get(f"{stack.phoenix_url}/v1/datasets", headers=headers).status_code == 200
    assert httpx.post(f"{stack.phoenix_url}/auth/login", json=login).status_code == 204
    assert httpx.post(f"{stack.phoenix_url}/auth/login", json={**login, "password": "admin"}).status_code == 401


# Playwright leaves its loop's sockets to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_person_logs_in_below_the_prefix(stack) -> None:
    with open_page() as page:
        asked, failed = record_requests(page)
        page.goto(stack.phoenix_url)
        page.get_by_label("Email").fill("admin@localhost")
        page.get_by_label("Password").fill(state.secret_file(PHOENIX_ADMIN_PASSWORD).read_text())
        screenshot(page, "login")
        page.get_by_role("button", name="Log In").click()
        expect(page.get_by_text("New Password").first).to_be_visible(timeout=30_000)
        screenshot(page, "first-login")

        assert page.url.startswith(f"{stack.phoenix_url}/reset-password")
    assert all(url.startswith((stack.phoenix_url, "data:")) for url in asked), asked
    # Before the login Phoenix says 401; a navigation cuts off the queries of the page that is left.
    assert {line.split()[0] for line in failed} <= {"401", "net::ERR_ABORTED"}


def test_no_secret_is_in_a_log_a_command_line_or_what_is_shown(stack, data_folder) -> None:
    values = {state.read_secret(secret) for secret in SECRET_FILES}
    shown = repr(stack) + repr(local_stack.status()) + (state.folder() / "state.json").read_text()
    shown += "".join(" ".join(process.cmdline()) for process in members(data_folder))
    logs = list((state.folder() / "logs").iterdir())

    assert len(values) == len(SECRET_FILES)
    assert {log.stem for log in logs} >= {"edge", "litellm", "phoenix", "postgres", "valkey"}
    shown += "".join(log.read_text(errors="replace") for log in logs)
    assert not [value for value in values if value in shown]
    for secret in SECRET_FILES:
        assert state.secret_file(secret).stat().st_mode & 0o777 == 0o600


def test_every_listening_socket_is_on_loopback(stack, data_folder) -> None:
    listening = [
        each.laddr.ip
        for process in members(data_folder)
        for each in process.net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    ]

    assert len(listening) >= 6, "edge, gateway, Phoenix (HTTP and gRPC), local Bedrock, Valkey, PostgreSQL"
    for address in map(ipaddress.ip_address, listening):
        assert (getattr(address, "ipv4_mapped", None) or address).is_loopback


def test_status_knows_all_servers(stack) -> None:
    status = local_stack.status()

    assert status.healthy
    healthy = [server.name for server in status.servers if server.state == "healthy"]
    assert healthy == ["edge", "litellm", "valkey", "bedrock", "phoenix", "postgres"]


def keys(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`qa-eval gateway keys` with the stack's own master key."""
    command = [sys.executable, "-m", "qa_eval.cli.main", "gateway", "keys", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"})


def ask(stack, key: str, model: str = "nova-micro") -> int:
    """The status of the reply to a question."""
    body = {"model": model, "messages": [{"role": "user", "content": "Who wrote Hamlet?"}]}
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(f"{stack.gateway_url}/v1/chat/completions", json=body, headers=headers, timeout=60).status_code


def listed() -> dict[str, dict[str, Any]]:
    """The virtual keys by their names."""
    return {each["name"]: each for each in json.loads(keys("list", "--json").stdout)}


@pytest.fixture(scope="module")
def team_key(outcome, data_folder) -> str:
    """A key that the command has created, and its own process has printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QA_EVAL_DATA_DIR", str(data_folder))
        done = keys("create", "team", "--model", "nova-micro", "--budget", "5")
    assert done.returncode == 0, done.stderr
    (value,) = done.stdout.splitlines()
    assert value not in done.stderr
    return value


def test_a_virtual_key_opens_its_models_and_a_wrong_key_nothing(stack, team_key) -> None:
    assert ask(stack, team_key) == 200
    assert ask(stack, team_key, "claude-haiku") == 403
    assert ask(stack, "sk-of-nobody") == 401
    reply = httpx.get(f"{stack.gateway_url}/key/list", headers={"Authorization": f"Bearer {team_key}"})
    assert reply.status_code == 403


def test_the_list_has_models_budget_and_spend_and_no_value(stack, team_key) -> None:
    assert ask(stack, team_key) == 200
    end = time.monotonic() + 40  # the gateway writes what was spent every few seconds
    while not listed()["team"]["spend_usd"] and time.monotonic() < end:
        time.sleep(0.5)

    key = listed()["team"]
    assert (key["models"], key["budget_usd"]) == (["nova-micro"], 5)
    assert key["spend_usd"] > 0
    table = keys("list")
    assert "team" in table.stdout
    assert max(map(len, table.stdout.splitlines())) <= 80
    assert team_key not in table.stdout + keys("list", "--json").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("create", "team"), "The gateway already has a key 'team': choose another name, or delete it with"),
        (("create", "a b"), "'a b' is not the name of a key"),
        (("create", "--budget", "0"), "`--budget` must be a number of US dollars greater than 0, not 0."),
        (("create", "--model", "gpt"), "The gateway has no model 'gpt': choose from claude-"),
        (("delete", "nobodys"), "The gateway has no key 'nobodys': `qa-eval gateway keys list` shows its keys."),
    ],
)
@pytest.mark.usefixtures("stack", "team_key")
def test_a_mistake_with_keys_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    done = keys(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_deleted_key_is_refused(stack) -> None:
    created = json.loads(keys("create", "--json").stdout)
    assert ask(stack, created["key"]) == 200

    assert keys("delete", created["name"]).returncode == 0

    assert ask(stack, created["key"]) == 401
    assert created["name"] not in listed()


def test_another_key_than_the_master_key_manages_none(stack, team_key, monkeypatch) -> None:
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", team_key)

    done = keys("list", "--gateway", stack.gateway_url)

    assert done.returncode == 2
    assert "refuses the key: set QA_EVAL_GATEWAY_KEY to its master key" in done.stderr


def test_status_says_which_engines_the_database_client_has(stack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "qa_eval.cli.main", "stack", "status"], capture_output=True, text=True, check=True
    )
    assert re.search("The gateway's database: PostgreSQL, through Prisma's (native|WebAssembly) engines", done.stdout)


def test_a_killed_database_and_gateway_come_back_with_all_that_was_recorded(stack, data_folder, team_key) -> None:
    spent = listed()["team"]["spend_usd"]
    os.kill(state.load().servers["litellm"].pid, signal.SIGKILL)
    for process in members(data_folder):
        with contextlib.suppress(psutil.NoSuchProcess):  # a database's processes end with the first of them
            if process.name() in ("postgres", "valkey-server"):
                process.kill()

    said: list[str] = []
    again = local_stack.up(replay=empty_table(data_folder), on_progress=said.append)

    assert again.started_here
    assert not [line for line in said if "migration" in line], "it is not repeated"
    assert listed()["team"]["spend_usd"] >= spent > 0
    assert ask(again, team_key) == 200
    assert psql("SELECT count(*) FROM experiment_runs") == str(EXAMPLES)
    headers = {"Authorization": f"Bearer {again.phoenix_key}"}
    names = [each["name"] for each in httpx.get(f"{again.phoenix_url}/v1/datasets", headers=headers).json()["data"]]
    assert names == ["with-options"]


@pytest.mark.parametrize(
    ("moment", "option"),
    [
        ("PostgreSQL is up", "--postgres"),
        ("Running the migration", "--database"),
        ("Starting Edge", "--postgres"),
        ("Edge is up", "--postgres"),
    ],
)
def test_after_a_killed_command_down_leaves_nothing(tmp_path, moment: str, option: str) -> None:
    """Killed at any moment, and its notes lost as well: `stack down` still finds all of it."""
    for name in ("postgres", "valkey", "litellm", "prisma"):
        environments.ensure(servers.environment(name), lambda line: None)
    command = [sys.executable, "-m", "qa_eval.cli.main", "stack"]
    with subprocess.Popen([*command, "up", "--auth", option, "--valkey"], stderr=subprocess.PIPE, text=True) as killed:
        while moment not in (line := killed.stderr.readline()):
            assert line, "the command ended"
        killed.send_signal(signal.SIGKILL)
    left = members(tmp_path / "data")
    assert {process.name() for process in left} >= {"postgres", "valkey-server"}
    (tmp_path / "data" / "stack" / "state.json").unlink()

    done = subprocess.run([*command, "down"], capture_output=True, text=True, check=True)

    assert "Stopped" in done.stderr
    assert not members(tmp_path / "data")
