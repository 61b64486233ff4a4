"""Checks the servers' readiness from outside every minute, and writes a metric for the alarms."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from typing import Any


def lambda_handler(event: Any, context: Any) -> None:
    """Check each server in `PROBES` (JSON, name to URL); the metric `Ready` is 1 or 0."""
    for server, url in json.loads(os.environ["PROBES"]).items():
        print(json.dumps(metric(server, int(is_ready(url)))))  # noqa: T201  # the function's log


def is_ready(url: str) -> bool:
    """Whether the URL answers 200 in time."""
    try:
        with urllib.request.urlopen(url, timeout=15) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def metric(server: str, value: int) -> dict[str, Any]:
    """A metric in CloudWatch's embedded metric format."""
    described = {"Namespace": os.environ["NAMESPACE"], "Dimensions": [["Server"]], "Metrics": [{"Name": "Ready"}]}
    return {
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [described]},
        "Server": server,
        "Ready": value,
    }
