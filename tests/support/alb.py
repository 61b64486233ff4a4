"""How an Application Load Balancer decides: listener rules with path patterns, and the rewrite of a path.

Path patterns are compared with the path as the client sent it, case-sensitively and without the query: `*` stands for
any number of characters, slashes included, `?` for exactly one, and every other character, `[` too, for itself.
(Elastic Load Balancing API Reference, PathPatternConditionConfig and UrlRewriteConfig.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One listener rule: any of its patterns is enough; `target` is whatever it forwards to."""

    priority: int
    patterns: tuple[str, ...]
    target: str


def matches(pattern: str, path: str) -> bool:
    """Whether a path pattern fits the whole path."""
    wildcards = {"*": ".*", "?": "."}
    regex = "".join(wildcards.get(character) or re.escape(character) for character in pattern)
    return re.fullmatch(regex, path, flags=re.DOTALL) is not None


def decide(rules: Iterable[Rule], path: str) -> str | None:
    """The target of the rule that decides; None where only the default action is left."""
    for rule in sorted(rules, key=lambda rule: rule.priority):
        if any(matches(pattern, path) for pattern in rule.patterns):
            return rule.target
    return None


def rewrite(regex: str, replace: str, path: str) -> str:
    """The path after a `url-rewrite` transform: a path that the regex does not find passes as it is."""
    return re.sub(regex, re.sub(r"\$(\d)", r"\\\1", replace), path, count=1)
