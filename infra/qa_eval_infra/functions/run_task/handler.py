"""A CloudFormation custom resource: run an ECS task once and report its result."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

import boto3
from botocore.exceptions import ClientError

WAITER: Any = {"Delay": 10, "MaxAttempts": 80}
"""Polling of the task: shorter than the function's own 15 minutes, so that a failure is reported."""
PERMISSION_TRIES = 7
PERMISSION_PAUSE_S = 10
"""IAM passes a new permission on within about a minute."""


def lambda_handler(event: dict[str, Any], context: Any) -> None:
    """Run the task for a new or changed resource; a deletion and a rollback need nothing."""
    reason = None
    if event["RequestType"] != "Delete":
        try:
            # A rollback brings back an older task, and the database, which is ahead of it, stays as it is. A failure
            # here would leave the stack in a state that only support can mend.
            if not is_rolling_back(event["StackId"]):
                reason = run(event["ResourceProperties"])
        except Exception as error:
            reason = f"The task could not be run: {error}"
    respond(event, reason)


def is_rolling_back(stack: str) -> bool:
    """Whether CloudFormation brings back the stack's last version."""
    (described,) = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return "ROLLBACK" in described["StackStatus"]


def run(wanted: dict[str, Any]) -> str | None:
    """Run the task to completion; return why it failed, or None."""
    ecs = boto3.client("ecs")
    started = start(ecs, wanted)
    if started["failures"]:
        return f"The task did not start: {started['failures'][0].get('reason')}"
    where = {"cluster": wanted["Cluster"], "tasks": [started["tasks"][0]["taskArn"]]}
    ecs.get_waiter("tasks_stopped").wait(**where, WaiterConfig=WAITER)
    task = ecs.describe_tasks(**where)["tasks"][0]
    if all(container.get("exitCode") == 0 for container in task["containers"]):
        return None
    return f"The task failed ({task.get('stoppedReason')}): see the log streams that begin with migration/"


def start(ecs: Any, wanted: dict[str, Any]) -> Any:
    """Start the task, waiting for a permission that is still on its way."""
    network = {
        "subnets": wanted["Subnets"],
        "securityGroups": wanted["SecurityGroups"],
        "assignPublicIp": wanted["AssignPublicIp"],
    }
    tries = 0
    while True:
        tries += 1
        try:
            return ecs.run_task(
                cluster=wanted["Cluster"],
                taskDefinition=wanted["TaskDefinition"],
                launchType="FARGATE",
                networkConfiguration={"awsvpcConfiguration": network},
            )
        except ClientError as error:
            if tries == PERMISSION_TRIES or error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            time.sleep(PERMISSION_PAUSE_S)


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
