"""Two arms over the same prefixes: difference, ratio, and a permutation test.

The intervals come from the two arms' own ones by MOVER, square-and-add: Newcombe (1998, method 10 without the
correlation) for the difference, Donner & Zou (2012) for the ratio. Both arms share their prefixes, so they are
positively correlated as a rule; leaving the correlation out makes both intervals conservative. The limits of the
ratio are the values t at which the limits of (candidate - t x baseline) reach 0, so the two answers never contradict
each other: the ratio's interval excludes 1 exactly when the difference's excludes 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import comb

from resample.stats.binomial import Interval, tail
from resample.stats.outcomes import FloatArray, IntArray, Outcomes, Prefixes
from resample.stats.prevalence import Estimate, estimate


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate rate minus baseline rate."""

    estimate: float | None
    """None without paired prefixes."""
    ci: Interval
    """Two-sided; (-1, 1) without paired prefixes."""
    bounds: Interval
    """Worst case, as for a single rate: what is missing in one arm and the other counted in opposite ways."""
    p: float
    """Of the permutation test, two-sided."""
    method: str
    prefixes: int
    """Paired prefixes the estimate rests on."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Candidate rate over baseline rate."""

    estimate: float | None
    """None without baseline events: then the data bound it on one side only."""
    ci: Interval
    """Two-sided; the upper limit is infinite without baseline events."""
    bounds: Interval
    """Worst case, as for the difference."""
    lower: float | None
    """Without baseline events: a one-sided lower bound. It errs in at most 1 - `confidence` of all studies; among those
    that happen to have no baseline events, which are few where the baseline rate is not small, it may err more often.
    """
    method: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The candidate arm against a baseline arm over the prefixes they share."""

    difference: Difference
    ratio: Ratio
    unpaired: int
    """Prefixes of one arm only: left out."""
    missing: int
    """Shared prefixes of which one arm knows no rollout: left out of the estimates, inside the worst-case bounds."""


def paired(
    candidate: Outcomes, baseline: Outcomes, confidence: float = 0.95, *, seed: int = 0, draws: int = 20_000
) -> Comparison:
    """Compare two arms over the prefixes they share, matched by prefix code; `seed` and `draws` are the test's.

    The estimates rest on the shared prefixes of which both arms know a rollout. Without one both are None and their
    intervals are (-1, 1) and (0, infinity). Worst-case bounds never lie inside the interval. Raises ValueError where
    a shared prefix has another cluster or weight in the other arm, or `confidence` is out of range.
    """
    alpha = tail(confidence)
    first, second = _shared(candidate, baseline)
    both = (first.known > 0) & (second.known > 0)
    known = first.keep(both), second.keep(both)
    arms = estimate(known[0], alpha), estimate(known[1], alpha)
    low = estimate(first.filled(False), alpha), estimate(second.filled(True), alpha)
    high = estimate(first.filled(True), alpha), estimate(second.filled(False), alpha)
    lower = None
    if arms[1].rate == 0:
        lower = _ratio(*(estimate(arm, 2 * alpha) for arm in known)).low
    return Comparison(
        Difference(
            estimate=None if arms[0].rate is None or arms[1].rate is None else arms[0].rate - arms[1].rate,
            ci=_difference(*arms),
            bounds=_widened(_difference(*arms), _difference(*low).low, _difference(*high).high),
            p=_permutation_p(*known, seed, draws),
            method="mover",
            prefixes=int(both.sum()),
        ),
        Ratio(
            estimate=arms[0].rate / arms[1].rate if arms[0].rate is not None and arms[1].rate else None,
            ci=_ratio(*arms),
            bounds=_widened(_ratio(*arms), _ratio(*low).low, _ratio(*high).high),
            lower=lower,
            method="mover",
        ),
        unpaired=candidate.prefixes.code.size + baseline.prefixes.code.size - 2 * both.size,
        missing=int((~both).sum()),
    )


def permutation_p(candidate: Outcomes, recorded: Outcomes, seed: int, draws: int = 20_000) -> float:
    """Two-sided p-value of "the baseline turns are no different from the candidate's", by permutation within prefix.

    Under the null any of a prefix's turns may be the baseline's: with k rollouts and one original turn, each of the
    k + 1 is the original with the same chance. The statistic is the weighted mean over prefixes of the candidate's mean
    minus the baseline's; given a prefix's number of flagged turns, the baseline's share of them is hypergeometric (with
    one original turn of k + 1, s of them flagged: flagged with probability s / (k + 1)). p = (1 + draws at least as
    far from 0) / (1 + draws) (Phipson & Smyth 2010); exactly 1 where no prefix has mixed outcomes.

    Prefixes are permuted independently of each other also within a cluster. That is valid: what makes a cluster's
    prefixes alike (user, task) is common to both arms, so that given it, and given which turns of a prefix are flagged,
    the labels within each prefix are still exchangeable, independently of all other prefixes. The test thus
    conditions on all that clusters share, and needs no model of it. Nor does it matter how much the samples of a prefix
    resemble each other. What it does not allow for is a cause that strikes one arm's turns of several prefixes
    together: that is a difference between the arms, and found as one. (A sign-flip test of one turn against the mean of
    k treats the two as exchangeable, which they are not, and raises false alarms.)

    Raises ValueError as `paired` does, and unless `draws` is at least 1.
    """
    first, second = _shared(candidate, recorded)
    both = (first.known > 0) & (second.known > 0)
    return _permutation_p(first.keep(both), second.keep(both), seed, draws)


def _shared(candidate: Outcomes, baseline: Outcomes) -> tuple[Prefixes, Prefixes]:
    """Both arms' prefixes, cut down to those they share, in the same order."""
    first, second = candidate.prefixes, baseline.prefixes
    first = first.keep(np.isin(first.code, second.code))
    second = second.keep(np.isin(second.code, first.code))
    bad = (first.cluster != second.cluster) | (first.weight != second.weight)
    if bad.any():
        raise ValueError(f"comparison: prefix {first.code[bad][0]} has another cluster or weight in the other arm")
    return first, second


def _difference(first: Estimate, second: Estimate) -> Interval:
    """MOVER limits of first - second."""
    if first.rate is None or second.rate is None:
        return Interval(-1.0, 1.0)
    difference = first.rate - second.rate
    return Interval(
        difference - math.hypot(first.rate - first.ci.low, second.ci.high - second.rate),
        difference + math.hypot(first.ci.high - first.rate, second.rate - second.ci.low),
    )


def _ratio(first: Estimate, second: Estimate) -> Interval:
    """MOVER limits of first / second: where the limits of first - t x second are 0."""
    if first.rate is None or second.rate is None:
        return Interval(0.0, math.inf)
    p, q = first.rate, second.rate
    (low_p, high_p), (low_q, high_q) = first.ci, second.ci
    # The roots t of (p - t q)^2 = d^2 + t^2 e^2, with d and e the distances from the rates to the limits; p^2 - d^2 and
    # q^2 - e^2 are written as products with the limit, which may be far smaller than the rate.
    d, e = p - low_p, high_q - q
    product = low_p * (p + d)
    low = product / (p * q + math.hypot(e * math.sqrt(product), d * q)) if product > 0 else 0.0
    d, e = high_p - p, q - low_q
    product = low_q * (q + e)
    high = (p * q + math.hypot(d * math.sqrt(product), p * e)) / product if product > 0 else math.inf
    return Interval(low, high)


def _widened(ci: Interval, low: float, high: float) -> Interval:
    return Interval(min(ci.low, low), max(ci.high, high))


def _permutation_p(first: Prefixes, second: Prefixes, seed: int, draws: int) -> float:
    if draws < 1:
        raise ValueError(f"permutation: draws must be at least 1, not {draws}")
    turns, flagged = first.known + second.known, first.flagged + second.flagged
    mixed = (flagged > 0) & (flagged < turns)
    if not mixed.any():
        return 1.0
    # One flagged turn more among the baseline's, and so one less among the candidate's, moves the statistic by this.
    effect = (first.weight / first.weight[mixed].mean() * (1 / first.known + 1 / second.known))[mixed]
    expected = (flagged * second.known / turns)[mixed]
    observed = float(effect @ (second.flagged[mixed] - expected))
    drawn = np.full(draws, -float(effect @ expected))
    rng = np.random.default_rng(seed)
    columns = np.stack([effect, first.known[mixed], second.known[mixed], flagged[mixed]])
    kinds, prefixes = np.unique(columns, axis=1, return_counts=True)
    for (step, rollouts, originals, hits), count in zip(kinds.T.tolist(), prefixes.tolist(), strict=True):
        values, chances = _hypergeometric(int(rollouts), int(originals), int(hits))
        drawn += step * (rng.multinomial(count, chances, size=draws) @ values)
    tolerance = 1e-9 * float(effect @ expected)
    extreme = int(np.count_nonzero(np.abs(drawn) >= abs(observed) - tolerance))
    return (1 + extreme) / (1 + draws)


def _hypergeometric(first: int, second: int, hits: int) -> tuple[IntArray, FloatArray]:
    """How many of `hits` flagged turns fall to the second of two arms: the values (n,), and their chances (n,)."""
    values = np.arange(max(0, hits - first), min(hits, second) + 1)
    chances = comb(second, values) * comb(first, hits - values)
    return values, chances / chances.sum()
