"""Boundaries of a group-sequential design: how large a statistic must be at each look for a test to end there.

A statistic that is looked at several times crosses a fixed limit more often than once by chance. Here each look has a
limit of its own: the error rate is spent over the looks, little of it early. All is computed on Brownian motion: at
information fraction t the sum of what was seen is normal with mean drift x t and variance t, and the mass that has
crossed no boundary is carried from look to look by Gauss-Legendre quadrature.

Source: Lan and DeMets, 1983, doi:10.1093/biomet/70.3.659 (spending); O'Brien and Fleming, 1979, doi:10.2307/2530245;
Armitage, McPherson and Rowe, 1969, doi:10.2307/2343787 (the recursion); Jennison and Turnbull, 2000, "Group
Sequential Methods with Applications to Clinical Trials", chapters 7 and 19.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from qa_eval.statistics.clusters import Floats

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_REACH = 9.0
"""Standard deviations beyond which there is no mass to speak of."""


@dataclass(frozen=True, slots=True)
class Paths:
    """What has crossed no boundary so far: mass at points of the sum."""

    fraction: float
    """Of the information, 0 to 1."""
    points: Floats
    masses: Floats

    @classmethod
    def start(cls) -> Paths:
        """Nothing is seen yet: all mass is at 0."""
        return cls(0.0, np.zeros(1), np.ones(1))

    def above(self, fraction: float, z: float, drift: float = 0.0) -> float:
        """The probability that the standardised statistic at a later look is above `z`."""
        step = fraction - self.fraction
        off = (z * math.sqrt(fraction) - self.points - drift * step) / math.sqrt(step)
        return float(self.masses @ special.ndtr(-off))

    def below(self, fraction: float, z: float, drift: float = 0.0) -> float:
        """The probability that it is below `z`."""
        mirrored = Paths(self.fraction, -self.points, self.masses)
        return mirrored.above(fraction, -z, -drift)

    def within(self, fraction: float, low: float, high: float, drift: float = 0.0) -> Paths:
        """What is between two limits of the standardised statistic at a later look."""
        step, root = fraction - self.fraction, math.sqrt(fraction)
        low = max(low * root, drift * fraction - _REACH * root)
        high = min(high * root, drift * fraction + _REACH * root)
        half = max(0.0, high - low) / 2
        points = (low + high) / 2 + half * _POINTS
        off = (points[:, None] - self.points - drift * step) / math.sqrt(step)
        density = np.exp(-0.5 * off**2) @ self.masses / math.sqrt(2 * math.pi * step)
        return Paths(fraction, points, half * _WEIGHTS * density)


def spent(fraction: float, alpha: float) -> float:
    """The error rate, of two sides together, that is spent when a fraction of the information is there.

    Lan and DeMets' function of the O'Brien-Fleming type, for each side with half of `alpha`.
    """
    return float(4 * special.ndtr(special.ndtri(alpha / 4) / math.sqrt(fraction)))


@lru_cache(maxsize=256)
def boundaries(fractions: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """The limit of the standardised statistic at each look, the same on both sides.

    Args:
        fractions: The information at each look as a fraction of all, rising to 1.
        alpha: The error rate of both sides together.
    """
    limits: list[float] = []
    paths, before = Paths.start(), 0.0
    for fraction in fractions:
        total = spent(fraction, alpha)
        side, before = (total - before) / 2, total
        limits.append(_limit(paths, fraction, side))
        paths = paths.within(fraction, -limits[-1], limits[-1])
    return tuple(limits)


def _limit(paths: Paths, fraction: float, side: float) -> float:
    """The limit that one side crosses at a look with the given probability."""
    if paths.above(fraction, _REACH) >= side:
        return _REACH
    return float(optimize.brentq(lambda z: paths.above(fraction, z) - side, 0.0, _REACH, xtol=1e-10))


def crossings(fractions: Sequence[float], limits: Sequence[float], drift: float = 0.0) -> Floats:
    """(looks, 2): the probability that the lower, and the upper, boundary is crossed first at each look."""
    found = np.empty((len(limits), 2))
    paths = Paths.start()
    for place, (fraction, limit) in enumerate(zip(fractions, limits, strict=True)):
        found[place] = paths.below(fraction, -limit, drift), paths.above(fraction, limit, drift)
        paths = paths.within(fraction, -limit, limit, drift)
    return found
