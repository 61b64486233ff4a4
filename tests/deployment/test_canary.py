"""The canary's verdict on real gateways with replayed answers, and the hook as ECS calls it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from aws_edge import Asked, AwsEdge, no_account
from canary_edge import SECRET, CanaryEdge
from fake_gateway import KEY as FAKE_KEY
from fake_gateway import FakeGateway, completion, error
from real_gateway import KEY, RealGateway, blueprint_config, start_gateway

from qa_eval.blueprint.canary import HEADER, HOOK_VARIABLE, RELEASE_VARIABLE, release
from qa_eval.data import load_dataset
from qa_eval.deployment.canary import CanaryRules, CanaryVerdict, Release, compare_releases
from qa_eval.deployment.canary_hook import lambda_handler
from qa_eval.stack import ports
from qa_eval.stack.bedrock import LOCAL_GUARDRAIL_ID, LOCAL_GUARDRAIL_VERSION
from qa_eval.stack.bedrock.replay import ReplayEntry, write_replay

RULE = ("f1 < -0.05",)
QUESTIONS = load_dataset("sample", examples=100)
OLD, NEW = Release("nova-micro", "Be brief."), Release("nova-micro", "Be brief.", {HEADER: SECRET})


def rules(inconclusive: str = "fail", fail_on: tuple[str, ...] = RULE, **more: Any) -> CanaryRules:
    return CanaryRules(**{"fail_on": fail_on, "examples": 100, "budget_usd": 1, "inconclusive": inconclusive, **more})


def verdict(url: str, chosen: CanaryRules, key: str = KEY, seconds: float = 120) -> CanaryVerdict:
    return asyncio.run(compare_releases(url, key, OLD, NEW, chosen, seconds))


# --- on the local stack's gateway and Bedrock, with replayed answers -------------------------------------------------


@contextlib.contextmanager
def replaying(folder: Path, wrong: Sequence[int]) -> Iterator[RealGateway]:
    """A gateway that answers every question of the sample rightly but those at some places."""
    folder.mkdir()
    table = folder / "replay.jsonl"
    write_replay(
        table,
        [
            ReplayEntry(example.context, example.question, "nothing" if place in wrong else example.references[0])
            for place, example in enumerate(QUESTIONS.examples)
        ],
    )
    port = ports._free_port([])
    command = [sys.executable, "-P", "-m", "qa_eval.stack.bedrock", "--port", str(port)]
    command += ["--model-url", "http://127.0.0.1:9", "--replay", str(table)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as bedrock:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(200):
                with contextlib.suppress(httpx.TransportError):
                    httpx.get(f"{url}/health")
                    break
                time.sleep(0.1)
            gateway = start_gateway(
                folder,
                blueprint_config(),
                url,
                BEDROCK_GUARDRAIL_ID=LOCAL_GUARDRAIL_ID,
                BEDROCK_GUARDRAIL_VERSION=LOCAL_GUARDRAIL_VERSION,
            )
            yield gateway
            gateway.stop()
        finally:
            bedrock.terminate()


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    """A release that answers everything rightly."""
    with replaying(tmp_path_factory.mktemp("right") / "gateway", ()) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    """A release that is worse by 10 points."""
    with replaying(tmp_path_factory.mktemp("worse") / "gateway", range(0, 100, 10)) as gateway:
        yield gateway


@pytest.fixture
def edge() -> Iterator[Callable[[str, str], CanaryEdge]]:
    started: list[CanaryEdge] = []

    def start(old: str, new: str) -> CanaryEdge:
        started.append(CanaryEdge(old, new))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_a_release_that_is_worse_by_ten_points_fails(right: RealGateway, worse: RealGateway, edge: Any) -> None:
    reached = edge(right.url, worse.url)
    found = verdict(reached.url, rules())
    assert not found.passed
    assert "fail-on f1 < -0.05" in found.reason
    assert "difference -0.1" in found.reason
    assert reached.new_asked >= 100
    assert reached.old_asked >= 100


def test_it_fails_whatever_becomes_of_the_inconclusive_where_the_rule_is_broken(
    right: RealGateway, worse: RealGateway, edge: Any
) -> None:
    found = verdict(edge(right.url, worse.url).url, rules("pass", ("f1 < -0.02",)))
    assert not found.passed
    assert "FAILED" in found.reason


def test_the_same_release_passes(right: RealGateway, edge: Any) -> None:
    found = verdict(edge(right.url, right.url).url, rules())
    assert found.passed, found.reason
    assert "gate passed: 0 inconclusive" in found.reason


def test_a_better_release_passes(right: RealGateway, worse: RealGateway, edge: Any) -> None:
    assert verdict(edge(worse.url, right.url).url, rules()).passed


@pytest.mark.parametrize(("setting", "passed"), [("pass", True), ("fail", False)])
def test_what_cannot_be_told_is_decided_by_the_setting(
    right: RealGateway, worse: RealGateway, edge: Any, setting: str, passed: bool
) -> None:
    found = verdict(edge(right.url, worse.url).url, rules(setting, ("f1 < -0.1",)))
    assert found.passed == passed
    assert "1 inconclusive" in found.reason


# --- the hook, as ECS calls it ---------------------------------------------------------------------------------------

SERVICE = "arn:aws:ecs:us-east-1:1:service-revision/cluster/gateway"
OLD_ARN, NEW_ARN = f"{SERVICE}/1", f"{SERVICE}/2"
EVENT = {
    "serviceArn": "arn:aws:ecs:us-east-1:1:service/cluster/gateway",
    "targetServiceRevisionArn": NEW_ARN,
    "testTrafficWeights": {NEW_ARN: 100, OLD_ARN: 0},
    "productionTrafficWeights": {NEW_ARN: 0, OLD_ARN: 100},
}


class Lambda:
    """Lambda's context, with so much time left."""

    def __init__(self, seconds: float = 120) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (self._end - time.monotonic()))


class Account:
    """An account with two service revisions and two secrets."""

    def __init__(self) -> None:
        self.releases = {OLD_ARN: release("qa", chatbot=True), NEW_ARN: release("qa", chatbot=True)}
        self.secrets = {"key-arn": FAKE_KEY, "header-arn": SECRET}
        self.tasks = {OLD_ARN: OLD_ARN, NEW_ARN: NEW_ARN}
        self.refuses = ""

    def answer(self, asked: Asked) -> tuple[int, Any]:
        operation, body = asked.headers["x-amz-target"].rpartition(".")[2], json.loads(asked.body)
        if operation == self.refuses:
            return 400, {"__type": "AccessDeniedException", "message": "not allowed"}
        if operation == "GetSecretValue":
            return 200, {"SecretString": self.secrets[body["SecretId"]]}
        if operation == "DescribeServiceRevisions":
            return 200, {"serviceRevisions": [{"taskDefinition": self.tasks[body["serviceRevisionArns"][0]]}]}
        assert operation == "DescribeTaskDefinition"
        told = self.releases[body["taskDefinition"]]
        variables = [{"name": "AWS_REGION", "value": "us-east-1"}]
        variables += [{"name": RELEASE_VARIABLE, "value": told}] if told else []
        return 200, {"taskDefinition": {"containerDefinitions": [{"name": "litellm", "environment": variables}]}}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    here = Account()
    aws = AwsEdge(here.answer)
    for name, value in {**no_account(), "AWS_ENDPOINT_URL": aws.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_REGION", raising=False)
    yield here
    aws.close()


@pytest.fixture
def hook(account: Account, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Any:
    """Calls the hook on a gateway; its status and its reason."""

    def call(url: str, event: Any = EVENT, seconds: float = 120, **more: Any) -> tuple[str, str]:
        settings = {"gateway_url": url, "key_secret": "key-arn", "header_secret": "header-arn", "fail_on": RULE}
        settings |= {"examples": 30, "budget_usd": 1, "inconclusive": "fail", **more}
        monkeypatch.setenv(HOOK_VARIABLE, json.dumps(settings))
        caplog.set_level("INFO")
        answer = lambda_handler(event, Lambda(seconds))
        assert answer.keys() == {"hookStatus"}
        assert SECRET not in caplog.text
        assert FAKE_KEY not in caplog.text
        return answer["hookStatus"], caplog.text

    return call


@pytest.fixture
def two(serve: Any, edge: Any) -> Any:
    """Two gateways behind the edge."""

    def start(old: Any, new: Any) -> tuple[CanaryEdge, FakeGateway, FakeGateway]:
        gateways = serve(old), serve(new)
        return edge(*(each.url for each in gateways)), *gateways

    return start


def right_answer(_: FakeGateway, prompt: str) -> str:
    return next(each.references[0] for each in QUESTIONS.examples if each.question in prompt)


def test_the_same_release_succeeds_and_each_is_asked_as_the_chatbot_does(hook: Any, account: Account, two: Any) -> None:
    account.releases[NEW_ARN] = json.dumps({"model": "other", "instruction": "Answer {briefly}."})
    reached, old, new = two(right_answer, right_answer)
    assert hook(reached.url)[0] == "SUCCEEDED"
    for gateway, model, instruction in ((old, "qa", json.loads(release("qa", True))["instruction"]),
                                        (new, "other", "Answer {briefly}.")):  # fmt: skip
        assert {each["model"] for each in gateway.requests} == {model}
        assert {each["messages"][0]["content"] for each in gateway.requests} == {instruction}
        assert len(gateway.requests) == 30


def test_a_worse_release_fails_and_says_by_how_much(hook: Any, two: Any) -> None:
    status, reason = hook(two(right_answer, lambda *_: "nothing").__getitem__(0).url)
    assert status == "FAILED"
    assert "fail-on f1 < -0.05" in reason


def test_a_release_that_was_deployed_without_a_canary_is_asked_like_the_new_one(
    hook: Any, account: Account, two: Any
) -> None:
    account.releases[OLD_ARN] = ""
    reached, old, _ = two(right_answer, right_answer)
    assert hook(reached.url)[0] == "SUCCEEDED"
    assert old.requests[0]["messages"][0]["role"] == "system"


def test_the_first_release_has_nothing_to_be_compared_with(hook: Any, account: Account) -> None:
    first = {**EVENT, "productionTrafficWeights": {NEW_ARN: 0}, "testTrafficWeights": {}}
    status, reason = hook("http://127.0.0.1:9", first)
    assert (status, "nothing to compare with" in reason) == ("SUCCEEDED", True)


def test_tasks_that_are_only_replaced_are_admitted(hook: Any, account: Account) -> None:
    """A replaced secret must not be undone because a sample of answers was inconclusive."""
    account.tasks[NEW_ARN] = account.tasks[OLD_ARN]
    status, reason = hook("http://127.0.0.1:9")
    assert (status, "the same task definition" in reason) == ("SUCCEEDED", True)


def test_without_a_rule_every_release_is_admitted(hook: Any) -> None:
    status, reason = hook("http://127.0.0.1:9", fail_on=[])
    assert (status, "There is no rule" in reason) == ("SUCCEEDED", True)


def test_with_the_gateway_away_it_fails_within_its_time(hook: Any) -> None:
    began = time.monotonic()
    status, reason = hook("http://127.0.0.1:9", seconds=60)
    assert (status, "No gateway answers" in reason) == ("FAILED", True)
    assert time.monotonic() - began < 20


def test_with_only_the_new_gateway_away_it_fails(hook: Any, serve: Any, edge: Any) -> None:
    status, reason = hook(edge(serve(right_answer).url, "http://127.0.0.1:9").url)
    assert (status, "503" in reason) == ("FAILED", True)


def test_a_gateway_that_hangs_costs_no_more_than_the_time(hook: Any, two: Any) -> None:
    async def hang(*_: Any) -> Any:
        await asyncio.sleep(60)

    began = time.monotonic()
    status, reason = hook(two(right_answer, hang)[0].url, seconds=36)
    assert (status, "no verdict within 6 s" in reason) == ("FAILED", True)
    assert time.monotonic() - began < 30


def test_a_release_whose_answers_fail_is_not_judged_by_the_rest(hook: Any, two: Any) -> None:
    status, reason = hook(two(right_answer, lambda *_: error(400, "no")).__getitem__(0).url, inconclusive="pass")
    assert (status, "The new release cannot be judged" in reason) == ("FAILED", True)


@pytest.mark.parametrize(("setting", "status"), [("pass", "SUCCEEDED"), ("fail", "FAILED")])
def test_a_budget_that_does_not_suffice_is_decided_by_the_setting(
    hook: Any, two: Any, setting: str, status: str
) -> None:
    def now_and_then(gateway: FakeGateway, prompt: str) -> Any:
        answer = right_answer(gateway, prompt)
        return completion("nothing" if len(gateway.requests) == 3 else answer, **{"x-litellm-response-cost": "0.1"})

    found, reason = hook(two(right_answer, now_and_then)[0].url, budget_usd=1, inconclusive=setting)
    assert found == status
    assert "1 inconclusive" in reason
    assert "the cost limit of 0.5 USD is reached" in reason


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({}, "not one of an ECS deployment"),
        ({**EVENT, "testTrafficWeights": {NEW_ARN: 0}}, "0 % of the test traffic"),
        ({**EVENT, "productionTrafficWeights": None}, "not one of an ECS deployment"),
    ],
)
def test_an_event_of_another_kind_fails(hook: Any, event: Any, words: str) -> None:
    status, reason = hook("http://127.0.0.1:9", event)
    assert (status, words in reason) == ("FAILED", True)


@pytest.mark.parametrize("operation", ["GetSecretValue", "DescribeServiceRevisions", "DescribeTaskDefinition"])
def test_what_aws_refuses_fails(hook: Any, account: Account, operation: str) -> None:
    account.refuses = operation
    status, reason = hook("http://127.0.0.1:9")
    assert (status, f"AWS refuses {operation}" in reason) == ("FAILED", True)


def test_a_function_without_its_settings_fails(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOOK_VARIABLE, raising=False)
    assert lambda_handler(EVENT, Lambda()) == {"hookStatus": "FAILED"}
