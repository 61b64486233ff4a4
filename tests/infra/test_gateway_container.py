"""The gateway's containers as they are deployed, started from the synthesised task definitions on real PostgreSQL.

The migration and the gateway; then virtual keys as `deploy` makes them, with Secrets Manager stood in at its edge. What
differs from AWS is named in `gateway_container`.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from aws_edge import Asked, AwsEdge, no_account
from fake_bedrock import FakeBedrock
from gateway_container import (
    ACCOUNT,
    SECRETS,
    Surroundings,
    run_bucket,
    run_gateway,
    run_migration,
    run_postgres,
)
from templates import Platform

from qa_eval.blueprint.guardrail import BLOCKED_CANARY
from qa_eval.deployment import keys
from qa_eval.deployment.keys import VirtualKey
from qa_eval.stack import processes, servers
from qa_eval.virtual_keys import VirtualKeys, new_key

MASTER = SECRETS["LITELLM_MASTER_KEY"]
QUESTION, ANSWER = "Who wrote the tragedy of Hamlet?", "William Shakespeare of Stratford"
CHATBOT, EXPERIMENTS = "qa-chatbot", "qa-experiments"
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
AHEAD = "29990101000000_of_a_later_version"


class Rig:
    """The gateway on its migrated database; it can be restarted."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self._running = ExitStack()
        self.start()

    def start(self, master: str = MASTER) -> None:
        self.master = master
        self.url = self._running.enter_context(run_gateway(self.around, LITELLM_MASTER_KEY=master))

    def stop(self) -> None:
        self._running.close()

    def ask(self, question: str, key: str = MASTER, model: str = "qa") -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": question}]}
        return self.post("/v1/chat/completions", body, key)

    def post(self, path: str, body: dict[str, Any], key: str) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", headers={"Authorization": f"Bearer {key}"}, json=body, timeout=60)

    def spend(self, name: str) -> float:
        with VirtualKeys(self.url, self.master) as running:
            return next(each.spend_usd for each in running.list() if each.name == name)


@pytest.fixture(scope="module")
def bedrock() -> Iterator[FakeBedrock]:
    fake = FakeBedrock(lambda prompt: ANSWER)
    yield fake
    fake.close()


@pytest.fixture(scope="module")
def bucket(platform: Platform) -> Iterator[tuple[str, list[str]]]:
    with run_bucket(platform) as running:
        yield running


@pytest.fixture(scope="module")
def around(
    platform: Platform, bedrock: FakeBedrock, bucket: tuple[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Surroundings]:
    folder = tmp_path_factory.mktemp("containers")
    with run_postgres(folder) as database:
        yield Surroundings(platform, folder, bedrock.url, bucket[0], database)


@dataclass(frozen=True)
class Migrated:
    """How the migration of one database ended."""

    code: int | None
    log: str


@pytest.fixture(scope="module")
def started(around: Surroundings) -> Iterator[dict[str, Future[Migrated]]]:
    """The migration in every case, under way: the first one has made the database that the others are copies of."""
    first: Future[Migrated] = Future()
    first.set_result(migrate(around, "first"))
    database = around.database
    database.copy("qa_eval", "ahead")
    database.query(
        "INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count) "
        f"VALUES ('of-the-test', 'x', '{AHEAD}', now(), 1); "
        'CREATE TABLE "LiteLLM_OfALaterVersion" (id int); INSERT INTO "LiteLLM_OfALaterVersion" VALUES (1)',
        "ahead",
    )
    database.query("CREATE DATABASE occupied", "postgres")
    database.query("CREATE TABLE datasets (id int); INSERT INTO datasets VALUES (7)", "occupied")
    cases = {
        "ahead": {"DATABASE_NAME": "ahead"},
        "occupied": {"DATABASE_NAME": "occupied"},
        "locked-out": {"DATABASE_PASSWORD": "not-the-password"},
    }
    with ThreadPoolExecutor(2) as pool:
        yield {"first": first} | {name: pool.submit(migrate, around, name, **each) for name, each in cases.items()}


def migrate(around: Surroundings, case: str, **changed: str) -> Migrated:
    return Migrated(*run_migration(around, case, **changed))


@pytest.fixture(scope="module")
def rig(around: Surroundings, started: dict[str, Future[Migrated]]) -> Iterator[Rig]:
    first = started["first"].result()
    assert first.code == 0, first.log
    running = Rig(around)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def migrations(rig: Rig, started: dict[str, Future[Migrated]]) -> dict[str, Migrated]:
    """How every migration ended; the gateway has been started meanwhile."""
    return {name: each.result() for name, each in started.items()}


# The migration


def shipped_migrations() -> int:
    folder = servers.environment("litellm").packages / "litellm_proxy_extras" / "migrations"
    return len(list(folder.glob("*/migration.sql")))


def test_the_migration_applies_every_migration_to_an_empty_database(
    around: Surroundings, migrations: dict[str, Migrated]
) -> None:
    assert migrations["first"].code == 0, migrations["first"].log
    applied = around.database.query("SELECT count(*) FROM _prisma_migrations WHERE finished_at IS NOT NULL")
    assert int(applied) == shipped_migrations() > 200
    assert around.database.query("""SELECT count(*) FROM "LiteLLM_VerificationToken" """) is not None


def test_a_wrong_password_fails_and_is_not_logged(migrations: dict[str, Migrated]) -> None:
    assert migrations["locked-out"].code == 2, migrations["locked-out"].log
    assert "uthentication failed" in migrations["locked-out"].log
    assert "not-the-password" not in migrations["locked-out"].log


def test_a_database_with_foreign_tables_is_refused_and_left_as_it_is(
    around: Surroundings, migrations: dict[str, Migrated]
) -> None:
    assert migrations["occupied"].code == 2, migrations["occupied"].log
    assert "its schema has not been verified" in migrations["occupied"].log
    assert around.database.query(TABLES, "occupied") == "1"
    assert around.database.query("SELECT id FROM datasets", "occupied") == "7"


def test_a_second_run_on_a_database_of_a_later_version_changes_and_drops_nothing(
    around: Surroundings, migrations: dict[str, Migrated]
) -> None:
    assert migrations["ahead"].code == 0, migrations["ahead"].log
    assert "No pending migrations to apply" in migrations["ahead"].log
    assert AHEAD in migrations["ahead"].log
    assert around.database.query('SELECT id FROM "LiteLLM_OfALaterVersion"', "ahead") == "1"
    assert int(around.database.query(TABLES, "ahead")) == int(around.database.query(TABLES)) + 1


# The gateway


def test_it_fetches_its_configuration_from_the_assets_bucket(
    rig: Rig, platform: Platform, bucket: tuple[str, list[str]]
) -> None:
    environment = {each["Name"]: each["Value"] for each in platform.container("GatewayTask")["Environment"]}
    key = environment["LITELLM_CONFIG_BUCKET_OBJECT_KEY"]
    assert f"/cdk-hnb659fds-assets-{ACCOUNT}-us-east-1/{key}" in bucket[1]


def test_it_answers_through_bedrock_with_the_cheapest_model(rig: Rig, bedrock: FakeBedrock) -> None:
    answer = rig.ask(QUESTION)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == ANSWER
    assert bedrock.asked[-1] == "us.amazon.nova-micro-v1:0"


def test_its_guardrail_is_armed(rig: Rig, bedrock: FakeBedrock) -> None:
    asked = len(bedrock.asked)
    answer = rig.ask(BLOCKED_CANARY)
    assert answer.status_code == 400
    assert "guardrail" in answer.text
    assert len(bedrock.asked) == asked, "no model was called"


def test_its_health_check_says_that_it_lives(rig: Rig, platform: Platform) -> None:
    kind, _, *arguments = platform.container("GatewayTask")["HealthCheck"]["Command"]
    assert kind == "CMD"
    python = servers.environment("litellm").python
    here = [argument.replace("4000", rig.url.rpartition(":")[2]) for argument in arguments]
    assert subprocess.run([str(python), *here], check=False).returncode == 0
    gone = [argument.replace("4000", "9") for argument in arguments]
    assert subprocess.run([str(python), *gone], check=False, capture_output=True).returncode == 1


def test_it_is_ready_with_its_database(rig: Rig) -> None:
    assert httpx.get(f"{rig.url}/health/readiness").json()["db"] == "connected"


def test_its_database_variables_are_those_that_litellm_reads(rig: Rig, platform: Platform) -> None:
    environment = {each["Name"]: each["Value"] for each in platform.container("GatewayTask")["Environment"]}
    assert environment["DATABASE_SSLMODE"] == "require"
    (members,) = processes._members({str(rig.around.folder / "litellm"): None}).values()
    # LiteLLM makes an address of them, which its query engine inherits.
    engine = next(each for each in members if any("query-engine" in argument for argument in each.cmdline()))
    database = rig.around.database
    assert engine.environ()["DATABASE_URL"].partition("&")[0] == (
        f"postgresql://phoenix:{database.password}@127.0.0.1:{database.server.port}/qa_eval?sslmode=disable"
    )


# Virtual keys


@pytest.fixture(scope="module")
def vault() -> Iterator[dict[str, str]]:
    """Secrets Manager at its network edge, with what it generated itself."""
    kept = {"arn:experiments": "A" * 43, "arn:chatbot": "B" * 43}

    def answer(asked: Asked) -> tuple[int, dict[str, str]]:
        body = json.loads(asked.body)
        if asked.headers["x-amz-target"] == "secretsmanager.PutSecretValue":
            kept[body["SecretId"]] = body["SecretString"]
            return 200, {}
        assert asked.headers["x-amz-target"] == "secretsmanager.GetSecretValue"
        return 200, {"SecretString": kept[body["SecretId"]]}

    edge = AwsEdge(answer)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**no_account(), "AWS_ENDPOINT_URL_SECRETS_MANAGER": edge.url}.items():
            patch.setenv(name, value)
        yield kept
    edge.close()


@pytest.fixture(scope="module")
def provide(rig: Rig, vault: dict[str, str]) -> Callable[..., None]:
    """Makes the keys as `deploy` does."""

    def run(chatbot_budget: float = 20) -> None:
        wanted = [
            VirtualKey(EXPERIMENTS, "arn:experiments", ("qa", "claude-haiku", "titan-text"), 100),
            VirtualKey(CHATBOT, "arn:chatbot", ("qa",), chatbot_budget),
        ]
        keys.provide(rig.url, MASTER, wanted, "us-east-1")

    run()
    return run


def test_a_second_deployment_keeps_the_keys(
    rig: Rig, provide: Callable[..., None], vault: dict[str, str], around: Surroundings
) -> None:
    before = dict(vault)
    provide()
    assert vault == before
    assert all(value.startswith("sk-") for value in vault.values())
    with VirtualKeys(rig.url, MASTER) as running:
        assert {each.name for each in running.list()} == {EXPERIMENTS, CHATBOT}
    for value in vault.values():
        assert rig.ask(QUESTION, value).status_code == 200


def test_a_wrong_key_is_refused(rig: Rig) -> None:
    assert rig.ask(QUESTION, "sk-of-nobody").status_code == 401


@pytest.mark.parametrize(("model", "status"), [("qa", 200), ("claude-haiku", 403), ("nova-micro", 403)])
@pytest.mark.usefixtures("provide")
def test_a_key_opens_its_own_models_alone(rig: Rig, vault: dict[str, str], model: str, status: int) -> None:
    assert rig.ask(QUESTION, vault["arn:chatbot"], model).status_code == status


@pytest.mark.usefixtures("provide")
def test_an_old_name_of_a_model_opens_with_its_key(rig: Rig, vault: dict[str, str]) -> None:
    assert rig.ask(QUESTION, vault["arn:experiments"], "titan-text").status_code == 200


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/responses", "/key/generate", "/key/update"])
@pytest.mark.usefixtures("provide")
def test_a_key_opens_the_guarded_routes_alone(rig: Rig, vault: dict[str, str], path: str) -> None:
    reply = rig.post(path, {"model": "qa", "prompt": QUESTION, "input": QUESTION}, vault["arn:chatbot"])
    assert reply.status_code == 403, reply.text


def wait_for(condition: Callable[[], bool], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.3)


def test_a_replaced_key_works_beside_its_former_value_until_that_is_retired(
    rig: Rig, provide: Callable[..., None], vault: dict[str, str]
) -> None:
    former, new = vault["arn:chatbot"], new_key()
    wait_for(lambda: rig.spend(CHATBOT) > 0)
    spent = rig.spend(CHATBOT)

    keys.succeed(rig.url, MASTER, VirtualKey(CHATBOT, "arn:chatbot", ("qa",), 20), former, new)
    assert [rig.ask(QUESTION, key).status_code for key in (former, new)] == [200, 200]
    assert rig.spend(CHATBOT) >= spent, "the new value begins with what the former has spent"

    keys.retire(rig.url, MASTER, former, now=True)
    vault["arn:chatbot"] = new
    assert [rig.ask(QUESTION, key).status_code for key in (former, new)] == [401, 200]


def test_a_spent_budget_is_refused(rig: Rig, provide: Callable[..., None], vault: dict[str, str]) -> None:
    assert rig.ask(QUESTION, vault["arn:chatbot"]).status_code == 200
    provide(chatbot_budget=1e-6)
    wait_for(lambda: rig.ask(QUESTION, vault["arn:chatbot"]).status_code == 422)
    assert "budget_exceeded" in rig.ask(QUESTION, vault["arn:chatbot"]).text
    assert rig.ask(QUESTION, vault["arn:experiments"]).status_code == 200, "the other key's budget is its own"


def test_keys_and_spend_are_kept_over_a_restart_with_another_master_key_and_no_text_or_key_is_in_the_database(
    rig: Rig, provide: Callable[..., None], vault: dict[str, str], around: Surroundings
) -> None:
    provide(chatbot_budget=1e-6)
    for key in vault.values():
        rig.ask(QUESTION, key)
    # The gateway writes what was spent every few seconds, and when it ends.
    wait_for(lambda: rig.spend(CHATBOT) > 0 and rig.spend(EXPERIMENTS) > 0)
    wait_for(lambda: around.database.query('SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE spend > 0') != "0")

    rig.stop()
    dump = around.database.program("pg_dump", "--inserts", "qa_eval")
    rig.start(master=new_key())  # as `infra rotate master-key` replaces the tasks

    assert rig.ask(QUESTION, MASTER).status_code == 401
    assert rig.spend(CHATBOT) >= 0.0005, "the guardrail's share is counted too"
    assert rig.ask(QUESTION, vault["arn:chatbot"]).status_code == 422
    assert rig.ask(QUESTION, vault["arn:experiments"]).status_code == 200
    assert CHATBOT in dump, "the dump holds what is in the tables"
    for text in (QUESTION, "Hamlet", ANSWER, "Shakespeare", MASTER, *vault.values()):
        assert text not in dump
