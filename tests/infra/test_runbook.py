"""The runbook knows every alarm, by the words that it comes with."""

from __future__ import annotations

from pathlib import Path

from templates import Platform

RUNBOOK = Path(__file__).parents[2] / "docs" / "operations.md"


def test_every_alarm_is_in_the_runbook(platform: Platform) -> None:
    alarms = platform.all("AWS::CloudWatch::Alarm")
    told = {alarm["AlarmDescription"] for alarm in alarms.values()}
    assert len(told) >= 16
    rows = {line.split("|")[1].strip() for line in RUNBOOK.read_text().splitlines() if line.startswith("| ")}
    assert told - rows == set()
    assert {row for row in rows if row.endswith(".")} - told == set()
