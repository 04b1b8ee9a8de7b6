"""Numbers that are not known exactly: low, likely and high."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SPREAD_UNKNOWN = 2.0  # factor around an assumed number


@dataclass(frozen=True)
class Amount:
    """A number that is not known exactly: `likely`, and with near certainty between `low` and `high`."""

    low: float = 0.0
    likely: float = 0.0
    high: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def __mul__(self, other: "Amount | float") -> "Amount":
        if not isinstance(other, Amount):
            other = exact(other)
        return Amount(self.low * other.low, self.likely * other.likely, self.high * other.high)


def exact(value: float) -> Amount:
    """Return an amount that is known."""
    return Amount(value, value, value)


def about(value: float, factor: float = SPREAD_UNKNOWN) -> Amount:
    """Return an amount that may be wrong by a factor."""
    return Amount(value / factor, value, value * factor)


def total(amounts: Iterable[Amount]) -> Amount:
    """Add amounts up."""
    return sum(amounts, Amount())


def ratio(weights: Sequence[float], values: Sequence[float], population: float) -> Amount:
    """Estimate (sum of values) / (sum of weights) of a population from a random sample of it, +- two standard errors.

    Source: the ratio estimator with its finite population correction (Cochran, Sampling Techniques, chapter 6).
    """
    n, weight = len(values), sum(weights)
    likely = sum(values) / weight
    if n >= population:
        return exact(likely)
    if n < 2:
        return about(likely)
    residuals = sum((value - likely * one) ** 2 for value, one in zip(values, weights, strict=True))
    error = 2 * math.sqrt(n * residuals / (n - 1) * (1 - n / population)) / weight
    return Amount(max(likely - error, 0.0), likely, likely + error)
