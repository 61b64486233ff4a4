"""The platform's own functions, called as Lambda calls them; AWS is stood in for at its edge."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

import qa_eval_infra

FOLDER = Path(str(qa_eval_infra.__file__)).parent / "functions"


def load(name: str) -> ModuleType:
    """A function's file, which stands alone."""
    spec = importlib.util.spec_from_file_location(f"{name}_handler", FOLDER / name / "handler.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Server:
    """Answers GET as told, and keeps what is PUT."""

    def __init__(self) -> None:
        self.status = {"/ready": 200, "/not-ready": 503}
        self.put: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(outer.status[self.path])
                self.end_headers()

            def do_PUT(self) -> None:
                outer.put.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def test_readiness_leaves_one_metric_a_server(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    probes = {"litellm": f"{server.url}/ready", "phoenix": f"{server.url}/not-ready", "gone": "http://127.0.0.1:9/"}
    monkeypatch.setenv("PROBES", json.dumps(probes))
    monkeypatch.setenv("NAMESPACE", "qa-eval/test")
    load("readiness").lambda_handler({}, None)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["Server"]: line["Ready"] for line in lines} == {"litellm": 1, "phoenix": 0, "gone": 0}
    (described,) = lines[0]["_aws"]["CloudWatchMetrics"]
    assert described == {"Namespace": "qa-eval/test", "Dimensions": [["Server"]], "Metrics": [{"Name": "Ready"}]}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> dict[str, Stubber]:
    """ECS's and CloudFormation's clients, with their answers written down beforehand."""
    clients = {
        service: boto3.client(service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
        for service in ("ecs", "cloudformation")
    }
    monkeypatch.setattr(boto3, "client", clients.__getitem__)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    stubbers = {service: Stubber(client) for service, client in clients.items()}
    for stubber in stubbers.values():
        stubber.activate()
    return stubbers


@pytest.fixture
def ecs(aws: dict[str, Stubber]) -> Stubber:
    """ECS's client, while CloudFormation updates the stack."""
    stack_is(aws, "UPDATE_IN_PROGRESS")
    return aws["ecs"]


def stack_is(aws: dict[str, Stubber], status: str) -> None:
    stack = {"StackName": "qa-eval", "CreationTime": datetime(2026, 11, 26, tzinfo=UTC), "StackStatus": status}
    aws["cloudformation"].add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": "stack"})


PROPERTIES = {
    "Cluster": "arn:cluster",
    "TaskDefinition": "arn:definition:7",
    "Subnets": ["subnet-1"],
    "SecurityGroups": ["sg-1"],
    "AssignPublicIp": "DISABLED",
}
RUN = {
    "cluster": "arn:cluster",
    "taskDefinition": "arn:definition:7",
    "launchType": "FARGATE",
    "networkConfiguration": {
        "awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"}
    },
}


def event(server: Server, kind: str) -> dict[str, Any]:
    return {
        "RequestType": kind,
        "ResponseURL": f"{server.url}/answer",
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "Run",
        "ResourceProperties": PROPERTIES,
    }


@pytest.mark.parametrize(("code", "status"), [(0, "SUCCESS"), (1, "FAILED")])
def test_a_migration_ends_as_its_task_did(server: Server, ecs: Stubber, code: int, status: str) -> None:
    task = {"taskArn": "arn:task", "lastStatus": "STOPPED", "stoppedReason": "done", "containers": [{"exitCode": code}]}
    ecs.add_response("run_task", {"tasks": [{"taskArn": "arn:task"}], "failures": []}, RUN)
    for _ in ("the waiter", "the look at its end"):
        ecs.add_response("describe_tasks", {"tasks": [task]}, {"cluster": "arn:cluster", "tasks": ["arn:task"]})
    load("run_task").lambda_handler(event(server, "Create"), None)
    (answer,) = server.put
    assert (answer["Status"], answer["RequestId"], answer["PhysicalResourceId"]) == (status, "request", "Run")
    ecs.assert_no_pending_responses()


def test_a_task_that_does_not_start_is_told(server: Server, ecs: Stubber) -> None:
    ecs.add_response("run_task", {"tasks": [], "failures": [{"reason": "RESOURCE:CPU"}]}, RUN)
    load("run_task").lambda_handler(event(server, "Update"), None)
    assert server.put[0]["Status"] == "FAILED"
    assert "RESOURCE:CPU" in server.put[0]["Reason"]


def test_a_permission_that_is_on_its_way_is_waited_for(server: Server, ecs: Stubber) -> None:
    for _ in range(3):
        ecs.add_client_error("run_task", "AccessDeniedException", "not allowed yet")
    ecs.add_response("run_task", {"tasks": [], "failures": [{"reason": "RESOURCE:CPU"}]}, RUN)
    load("run_task").lambda_handler(event(server, "Update"), None)
    assert "RESOURCE:CPU" in server.put[0]["Reason"], "it was asked until it was allowed"
    ecs.assert_no_pending_responses()


@pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"])
def test_a_rollback_runs_no_migration_and_does_not_fail(server: Server, aws: dict[str, Stubber], status: str) -> None:
    """A second failure would leave the stack in UPDATE_ROLLBACK_FAILED."""
    stack_is(aws, status)
    load("run_task").lambda_handler(event(server, "Update"), None)
    assert server.put[0]["Status"] == "SUCCESS"
    aws["ecs"].assert_no_pending_responses()


def test_whatever_happens_cloudformation_gets_an_answer(server: Server, ecs: Stubber) -> None:
    for _ in range(7):
        ecs.add_client_error("run_task", "AccessDeniedException", "not allowed")
    load("run_task").lambda_handler(event(server, "Create"), None)
    assert server.put[0]["Status"] == "FAILED"
    assert "not allowed" in server.put[0]["Reason"]


def test_nothing_runs_when_the_stack_goes(server: Server, ecs: Stubber) -> None:
    load("run_task").lambda_handler(event(server, "Delete"), None)
    assert server.put[0]["Status"] == "SUCCESS"
    ecs.assert_no_pending_responses()
