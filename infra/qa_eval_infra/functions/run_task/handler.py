"""A CloudFormation custom resource: run an ECS task once and report its result."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import boto3

WAITER: Any = {"Delay": 10, "MaxAttempts": 80}
"""Polling of the task: shorter than the function's own 15 minutes, so that a failure is reported."""


def lambda_handler(event: dict[str, Any], context: Any) -> None:
    """Run the task for a new or changed resource; a deletion needs nothing."""
    reason = None
    if event["RequestType"] != "Delete":
        try:
            reason = run(event["ResourceProperties"])
        except Exception as error:
            reason = f"The task could not be run: {error}"
    respond(event, reason)


def run(wanted: dict[str, Any]) -> str | None:
    """Run the task to completion; return why it failed, or None."""
    ecs = boto3.client("ecs")
    network = {
        "subnets": wanted["Subnets"],
        "securityGroups": wanted["SecurityGroups"],
        "assignPublicIp": wanted["AssignPublicIp"],
    }
    started = ecs.run_task(
        cluster=wanted["Cluster"],
        taskDefinition=wanted["TaskDefinition"],
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": network},
    )
    if started["failures"]:
        return f"The task did not start: {started['failures'][0].get('reason')}"
    where = {"cluster": wanted["Cluster"], "tasks": [started["tasks"][0]["taskArn"]]}
    ecs.get_waiter("tasks_stopped").wait(**where, WaiterConfig=WAITER)
    task = ecs.describe_tasks(**where)["tasks"][0]
    if all(container.get("exitCode") == 0 for container in task["containers"]):
        return None
    return f"The task failed ({task.get('stoppedReason')}): see the log streams that begin with migration/"


def respond(event: dict[str, Any], reason: str | None) -> None:
    """Send the result to CloudFormation's URL."""
    answer: dict[str, Any] = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": reason or "done",
        "PhysicalResourceId": event.get("PhysicalResourceId", event["LogicalResourceId"]),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    request = urllib.request.Request(  # noqa: S310
        event["ResponseURL"], data=json.dumps(answer).encode(), method="PUT", headers={"Content-Type": ""}
    )
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310
