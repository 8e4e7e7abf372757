"""How often something was found: a rate over prefixes with an interval that holds for clustered, weighted, rare events.

The estimator is Hajek's: the weighted mean over prefixes of each prefix's mean over its known rollouts. Its variance is
linearised over clusters (Binder 1983; Särndal, Swensson & Wretman 1992). The interval is Clopper & Pearson's (1934) at
an effective sample size: estimated from the variance where events are many (Korn & Graubard 1998), bounded from above
by an assumed intra-cluster correlation where they are too few for an estimate, with Kish's (1965) allowance for unequal
weights.

Coverage at 95 %, found by simulation of beta-binomial clusters (24 to 3,000 clusters, 1 to 10 samples a prefix, up to
10 prefixes a cluster, rates 0.001 to 0.5, correlations 0 to 0.9, equal and log-normal weights; 4,000 studies a cell):
each limit errs in at most 2.5 % of studies plus Monte Carlo error, on average in 0.6 to 1.0 %. With 30 samples a prefix
it errs a little more often, up to 2.8 % (20,000 studies of the worst cells), the upper limit more than the lower one.

It does not hold where weights go with the outcome: with clusters above the mean rate weighing four times the others,
the upper limit was too low in up to 9 % of studies (300 clusters, rate near 0.01, correlation 0.6), for Kish's n takes
the weights to be unrelated to what is found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from resample.stats.binomial import Interval, clopper_pearson, tail
from resample.stats.outcomes import FloatArray, Outcomes, Prefixes

__all__ = ["Estimate", "Outcomes", "Prevalence", "Rule", "estimate", "prevalence", "zero_event_upper"]

MANY = 20
"""From this many clusters with an event on, the variance is estimated rather than bounded."""
ASSUMED_CORRELATION = 0.5
"""Within a cluster, where events are too few to estimate it."""


class Rule(StrEnum):
    """Which rule gave the effective sample size of an interval."""

    NOTHING_KNOWN = "nothing_known"
    """No rollout is known: the interval is all of 0 to 1."""
    ZERO_EVENTS = "zero_events"
    """Nothing was flagged: Kish's number of clusters."""
    ALL_EVENTS = "all_events"
    """Everything was flagged: Kish's number of clusters."""
    FEW_EVENTS = "few_events"
    """Fewer than 20 clusters with an event: Kish's n under a correlation of 0.5, or a higher one if it shows."""
    KORN_GRAUBARD = "korn_graubard"
    """At least 20 clusters with an event: n from the linearised variance."""


class Estimate(NamedTuple):
    """A rate and its interval."""

    rate: float | None
    ci: Interval
    effective_n: float
    rule: Rule


@dataclass(frozen=True, slots=True)
class Prevalence:
    """A rate of findings with its interval, as fractions."""

    rate: float | None
    """None if nothing is known."""
    ci: Interval
    """Two-sided: each side errs in at most (1 - confidence) / 2 of all studies."""
    bounds: Interval
    """Worst case: the lower limit with everything missing counted clean, the upper one with it counted flagged."""
    flagged: int
    """Flagged rollouts."""
    rollouts: int
    """Known rollouts."""
    missing: int
    """Planned rollouts that are not known."""
    prefixes: int
    """Prefixes with a known rollout."""
    clusters: int
    """Clusters with a known rollout."""
    effective_n: float
    """The number of independent rollouts that the interval takes the data to be worth."""
    method: Rule


def prevalence(outcomes: Outcomes, confidence: float = 0.95) -> Prevalence:
    """The rate of flagged rollouts and its interval, by the rules of `estimate`, and worst-case bounds beside it.

    The bounds never lie inside the interval: where counting the missing would move a limit inwards (the larger sample,
    or a change of rule, can outweigh the moved rate), the interval's own limit stands. Nothing known: rate None,
    interval (0, 1).
    """
    prefixes = outcomes.prefixes
    alpha = tail(confidence)
    observed = estimate(prefixes, alpha)
    low = estimate(prefixes.filled(flagged=False), alpha).ci.low
    high = estimate(prefixes.filled(flagged=True), alpha).ci.high
    answered = prefixes.answered()
    known = int(answered.known.sum())
    return Prevalence(
        rate=observed.rate,
        ci=observed.ci,
        bounds=Interval(min(low, observed.ci.low), max(high, observed.ci.high)),
        flagged=int(answered.flagged.sum()),
        rollouts=known,
        missing=prefixes.k * prefixes.code.size - known,
        prefixes=answered.code.size,
        clusters=np.unique(answered.cluster).size,
        effective_n=observed.effective_n,
        method=observed.rule,
    )


def zero_event_upper(n: float, confidence: float = 0.95, sides: int = 2) -> float:
    """The upper limit of a rate when none of n independent clusters (n > 0, may be real) had an event.

    `sides` 1: the rate is below it in at least `confidence` of all studies. `sides` 2: it is the upper end of a
    two-sided interval, which errs half as often on this side. 0 of 1,000: 0.30 % one-sided, 0.37 % two-sided at 95 %.
    Raises ValueError for anything out of range.
    """
    if sides not in (1, 2) or not n > 0:
        raise ValueError(f"zero events: n must be above 0 and sides 1 or 2, not {n}, {sides}")
    alpha = tail(confidence) * (3 - sides)
    return -math.expm1(math.log(alpha) / n)


def estimate(prefixes: Prefixes, alpha: float) -> Estimate:
    """The rate over the prefixes with a known rollout, and limits that err in at most `alpha` each (0 < alpha < 0.5).

    The limits are Clopper & Pearson's for x = rate x n successes in n trials. Which n (events are counted on the rarer
    side, as clusters with a flagged or with a clean rollout, so that rates near 1 mirror those near 0):

    - no event, or no other: Kish's number of clusters, (sum of w)^2 / sum of w^2 over the clusters' weights;
    - events in fewer than 20 clusters: Kish's number of rollouts over a design effect of 1 + (size - 1) x 0.5, where
      size is the mean known rollouts a cluster or Kish's rollouts over Kish's clusters, whichever is larger; or Korn &
      Graubard's n where that is smaller. The interval also covers what zero events would leave open: one event more
      must not tighten the upper limit;
    - otherwise Korn & Graubard: rate (1 - rate) / variance, adjusted by (t of rollouts - 1 / t of the variance's own
      degrees of freedom)^2. Those are Satterthwaite's (1946), at most clusters - 1: a variance that rests on few or
      unequal clusters is less certain than their number says. n is limited to what the weights and the clusters leave
      under the intra-cluster correlation of the unweighted data (analysis of variance; Ridout et al. 1999), which
      is never more than the number of rollouts: with unequal weights the linearised variance is too small in just those
      studies in which the heavy clusters happen to be clean.

    One cluster: there is no variance between clusters, so n = 1, whatever it holds. One rollout: likewise. Weights on
    any scale give the same result. The limits enclose the rate. Nothing known: rate None, limits (0, 1), n 0.
    """
    prefixes = prefixes.answered()
    if not prefixes.code.size:
        return Estimate(None, Interval(0.0, 1.0), 0.0, Rule.NOTHING_KNOWN)
    design = _Design.of(prefixes)
    flagged = int(prefixes.flagged.sum())
    if flagged in (0, design.rollouts):
        rule = Rule.ALL_EVENTS if flagged else Rule.ZERO_EVENTS
        rate, n = float(flagged > 0), design.kish_clusters
        return Estimate(rate, clopper_pearson(rate * n, n, alpha, alpha), n, rule)
    rate = design.rate
    if design.events >= MANY:
        n = design.estimated_n(alpha, design.freedom)
        low, high = clopper_pearson(rate * n, n, alpha, alpha)
        return Estimate(rate, Interval(min(low, rate), max(high, rate)), n, Rule.KORN_GRAUBARD)
    n = design.few_events_n(alpha)
    low, high = clopper_pearson(rate * n, n, alpha, alpha)
    least = clopper_pearson(0, design.kish_clusters, alpha, alpha).high
    return Estimate(rate, Interval(min(low, 1 - least, rate), max(high, least, rate)), n, Rule.FEW_EVENTS)


class _Design(NamedTuple):
    """What the rules need to know of data with events and non-events."""

    rate: float
    rollouts: int
    clusters: int
    events: int
    """Clusters with an event, counted on the rarer side."""
    variance: float
    """Of the rate, linearised over clusters; infinite with one cluster."""
    freedom: float
    """Degrees of freedom of the variance."""
    correlation: float
    """Within clusters, from 0 to 1."""
    kish_rollouts: float
    kish_clusters: float

    @classmethod
    def of(cls, prefixes: Prefixes) -> _Design:
        _, cluster = np.unique(prefixes.cluster, return_inverse=True)
        flagged = np.bincount(cluster, prefixes.flagged).astype(np.float64)
        known = np.bincount(cluster, prefixes.known).astype(np.float64)
        share = prefixes.weight / prefixes.weight.sum()
        mean = prefixes.flagged / prefixes.known
        rate = float(share @ mean)
        variance, freedom = _linearised(np.bincount(cluster, share * (mean - rate)).astype(np.float64))
        return cls(
            rate=min(max(rate, 0.0), 1.0),
            rollouts=int(prefixes.known.sum()),
            clusters=known.size,
            events=int(min(np.count_nonzero(flagged), np.count_nonzero(known - flagged))),
            variance=variance,
            freedom=freedom,
            correlation=_correlation(flagged, known),
            kish_rollouts=float(1 / (share**2 / prefixes.known).sum()),
            kish_clusters=float(1 / (np.bincount(cluster, share) ** 2).sum()),
        )

    def estimated_n(self, alpha: float, freedom: float) -> float:
        """Korn & Graubard's n."""
        n = 1 / ((1 - self.correlation) / self.kish_rollouts + self.correlation / self.kish_clusters)
        binomial = self.rate * (1 - self.rate)
        if n * self.variance > binomial:
            n = binomial / self.variance
        return n * float(stdtrit(self.rollouts - 1, alpha) / stdtrit(freedom, alpha)) ** 2

    def few_events_n(self, alpha: float) -> float:
        """Kish's n under the assumed correlation, or the estimated one where that is smaller."""
        if self.clusters == 1:
            return 1.0
        size = max(self.rollouts / self.clusters, self.kish_rollouts / self.kish_clusters)
        n = self.kish_rollouts / (1 + (size - 1) * ASSUMED_CORRELATION)
        return min(n, self.estimated_n(alpha, self.clusters - 1))


def _linearised(scores: FloatArray) -> tuple[float, float]:
    """Variance of a sum of the clusters' scores (clusters,), which add up to 0, and its degrees of freedom."""
    m = scores.size
    square, fourth = float(scores @ scores), float((scores**4).sum())
    if m == 1 or square == 0:
        return (math.inf if m == 1 else 0.0), m - 1
    excess = fourth - square**2 / m
    freedom = 2 * square**2 / excess if excess > 0 else math.inf
    return square * m / (m - 1), min(m - 1, freedom)


def _correlation(flagged: FloatArray, known: FloatArray) -> float:
    """Intra-cluster correlation of flagged of known rollouts (clusters,), by analysis of variance; 0 if none shows."""
    m, total, events = known.size, float(known.sum()), float(flagged.sum())
    if m == 1 or total == m or events in (0, total):
        return 0.0
    within = float((flagged * (known - flagged) / known).sum()) / (total - m)
    between = float((known * (flagged / known - events / total) ** 2).sum()) / (m - 1)
    size = (total - float((known**2).sum()) / total) / (m - 1)
    spread = between + (size - 1) * within
    return max(0.0, (between - within) / spread) if spread > 0 else 0.0
