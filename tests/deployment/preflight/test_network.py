"""The zones that the deployment uses, in the account."""

from __future__ import annotations

from typing import Any

import pytest
from stubbed_account import StubbedAccount

from qa_eval_infra.zones import ZONES

FIRST, SECOND = ZONES["us-east-1"]


def zones(**states: str) -> dict[str, Any]:
    listed = {name.replace("_", "-"): state for name, state in states.items()}
    return {"AvailabilityZones": [{"ZoneId": name, "State": state} for name, state in listed.items()]}


def test_a_zone_that_the_account_does_not_have(account: StubbedAccount, find: Any) -> None:
    assert find("zones") == []
    account.answers["ec2:DescribeAvailabilityZones"] = zones(**{FIRST: "available"})
    assert find("zones") == [
        ("fails", f"The account has no zone {SECOND}: use another `region`, or another account."),
    ]


@pytest.mark.parametrize(
    ("state", "fails"), [("unavailable", True), ("constrained", True), ("impaired", False), ("information", False)]
)
def test_a_zone_that_accepts_nothing_new(account: StubbedAccount, find: Any, state: str, fails: bool) -> None:
    account.answers["ec2:DescribeAvailabilityZones"] = zones(**{FIRST: state, SECOND: "available"})
    expected = [("fails", f"The zone {FIRST} is {state}: wait, or use another `region`.")]
    assert find("zones") == (expected if fails else [])
