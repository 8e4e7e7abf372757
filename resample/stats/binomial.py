"""Exact binomial limits, also for the non-integer counts that an effective sample size leads to."""

from __future__ import annotations

from typing import NamedTuple

from scipy.special import betainccinv, betaincinv


class Interval(NamedTuple):
    """Confidence limits."""

    low: float
    high: float


class Proportion(NamedTuple):
    """A plain proportion of independent trials."""

    rate: float | None
    """None without trials."""
    ci: Interval
    successes: int
    trials: int


def tail(confidence: float) -> float:
    """The error allowed on each side of a two-sided interval. Raises ValueError unless 0.5 < confidence < 1."""
    if not 0.5 < confidence < 1:
        raise ValueError(f"confidence must lie between 0.5 and 1, not {confidence}")
    return (1 - confidence) / 2


def clopper_pearson(x: float, n: float, alpha_low: float, alpha_high: float) -> Interval:
    """Exact limits for x successes in n trials (Clopper & Pearson 1934), by quantiles of the beta distribution.

    x and n may be real numbers (Korn & Graubard 1998). `alpha_low` is the error allowed to the lower limit,
    `alpha_high` to the upper one. At x = 0 the lower limit is 0, at x = n the upper limit is 1, without trials both
    hold. Raises ValueError unless 0 <= x <= n and both errors lie in (0, 0.5]; in that range the limits always enclose
    x / n.
    """
    if not 0 <= x <= n:
        raise ValueError(f"successes must lie between 0 and the trials ({n}), not {x}")
    if not (0 < alpha_low <= 0.5 and 0 < alpha_high <= 0.5):
        raise ValueError(f"errors must lie above 0 and up to 0.5, not {alpha_low}, {alpha_high}")
    low = float(betaincinv(x, n - x + 1, alpha_low)) if x > 0 else 0.0
    high = float(betainccinv(x + 1, n - x, alpha_high)) if x < n else 1.0
    return Interval(low, high)


def proportion(successes: int, trials: int, confidence: float = 0.95) -> Proportion:
    """The share of successes among independent trials with its exact two-sided interval; without trials (0, 1).

    Raises ValueError for counts out of range.
    """
    alpha = tail(confidence)
    ci = clopper_pearson(successes, trials, alpha, alpha)
    return Proportion(successes / trials if trials else None, ci, successes, trials)
