"""Which systems are on the front of cost and quality."""

from __future__ import annotations

from collections.abc import Mapping


def pareto(systems: Mapping[int, tuple[float, float]]) -> set[int]:
    """Which systems no other beats: none is as cheap and as good, and cheaper or better.

    Args:
        systems: The cost and the quality of each.
    """
    return {
        index
        for index, (cost, quality) in systems.items()
        if not any(
            other_cost <= cost and other_quality >= quality and (other_cost, other_quality) != (cost, quality)
            for other_cost, other_quality in systems.values()
        )
    }
