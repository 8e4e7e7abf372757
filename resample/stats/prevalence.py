"""How often something was found: a rate over prefixes with an interval that holds for clustered, weighted, rare events.

The estimator is Hajek's: the weighted mean over prefixes of each prefix's mean over its known rollouts. Its variance is
linearised over clusters (Binder 1983; Särndal, Swensson & Wretman 1992, 5.6). The interval is Clopper & Pearson's (1934)
at an effective sample size: estimated from the variance where events are many (Korn & Graubard 1998), bounded from
above by an assumed intra-cluster correlation where they are too few for an estimate, with Kish's (1965) allowance
for unequal weights.
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
    """Fewer than 20 clusters with an event: Kish's n under an assumed correlation of 0.5, or less if the data say so."""
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
    observed = estimate(prefixes, confidence)
    low = estimate(prefixes.filled(flagged=False), confidence).ci.low
    high = estimate(prefixes.filled(flagged=True), confidence).ci.high
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


def estimate(prefixes: Prefixes, confidence: float) -> Estimate:
    alpha = tail(confidence)
    prefixes = prefixes.answered()
    if not prefixes.code.size:
        return Estimate(None, Interval(0.0, 1.0), 0.0, Rule.NOTHING_KNOWN)
    design = _Design.of(prefixes)
    flagged, known = int(prefixes.flagged.sum()), int(prefixes.known.sum())
    if flagged == 0 or flagged == known:
        rule = Rule.ALL_EVENTS if flagged else Rule.ZERO_EVENTS
        rate, n = float(flagged > 0), design.kish_clusters
        return Estimate(rate, clopper_pearson(rate * n, n, alpha, alpha), n, rule)
    rate = design.rate
    few = design.events < MANY
    n = design.few_events_n(alpha) if few else design.korn_graubard_n(alpha)
    low, high = clopper_pearson(rate * n, n, alpha, alpha)
    if few:
        least = zero_event_upper(design.kish_clusters, confidence)
        low, high = min(low, 1 - least), max(high, least)
    return Estimate(rate, Interval(min(low, rate), max(high, rate)), n, Rule.FEW_EVENTS if few else Rule.KORN_GRAUBARD)


class _Design(NamedTuple):
    """What the sample size rules need to know of the data."""

    rate: float
    rollouts: int
    clusters: int
    events: int
    """Clusters with an event, counted on the rarer side."""
    variance: float
    """Of the rate, linearised over clusters; NaN with one cluster."""
    kish_rollouts: float
    kish_clusters: float

    @classmethod
    def of(cls, prefixes: Prefixes) -> _Design:
        _, cluster = np.unique(prefixes.cluster, return_inverse=True)
        m = int(cluster.max()) + 1

        def by_cluster(values: FloatArray) -> FloatArray:
            return np.bincount(cluster, weights=values, minlength=m)

        share = prefixes.weight / prefixes.weight.sum()
        mean = prefixes.flagged / prefixes.known
        rate = float(share @ mean)
        scores = by_cluster(share * (mean - rate))
        flagged = by_cluster(prefixes.flagged > 0)
        clean = by_cluster(prefixes.flagged < prefixes.known)
        return cls(
            rate=min(max(rate, 0.0), 1.0),
            rollouts=int(prefixes.known.sum()),
            clusters=m,
            events=int(min(np.count_nonzero(flagged), np.count_nonzero(clean))),
            variance=float(scores @ scores) * m / (m - 1) if m > 1 else math.nan,
            kish_rollouts=float(1 / (share**2 / prefixes.known).sum()),
            kish_clusters=float(1 / (by_cluster(share) ** 2).sum()),
        )

    def korn_graubard_n(self, alpha: float) -> float:
        n = float(self.rollouts)
        binomial = self.rate * (1 - self.rate)
        if n * self.variance > binomial:
            n = binomial / self.variance
        return n * float(stdtrit(self.rollouts - 1, 1 - alpha) / stdtrit(self.clusters - 1, 1 - alpha)) ** 2

    def few_events_n(self, alpha: float) -> float:
        if self.clusters == 1:
            return 1.0
        size = max(self.rollouts / self.clusters, self.kish_rollouts / self.kish_clusters)
        n = self.kish_rollouts / (1 + (size - 1) * ASSUMED_CORRELATION)
        return min(n, self.korn_graubard_n(alpha))


def zero_event_upper(n: float, confidence: float = 0.95, sides: int = 2) -> float:
    alpha = (1 - confidence) / sides
    return -math.expm1(math.log(alpha) / n)
