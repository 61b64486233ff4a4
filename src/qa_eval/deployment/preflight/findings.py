"""What a check of the account finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PreflightFinding:
    """One thing that would fail in a deployment, or that could not be checked."""

    sentence: str
    """What is wrong, and what to do."""
    kind: Literal["fails", "unchecked"] = "fails"


@dataclass(frozen=True)
class CheckResult:
    """What one check found; nothing, if it passed."""

    check: str
    """The name of the check."""
    findings: tuple[PreflightFinding, ...]

    @property
    def fails(self) -> bool:
        """Whether the deployment would fail."""
        return any(finding.kind == "fails" for finding in self.findings)
