"""Two arms over shared prefixes: worked examples, invariances, edges, and false alarms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import fisher_exact

from resample.stats.comparison import paired, permutation_p
from resample.stats.outcomes import Outcomes
from resample.stats.prevalence import prevalence


def arm(
    flagged: list[int],
    k: int,
    known: list[int] | None = None,
    first: int = 0,
    weight: float = 1.0,
    per_cluster: int = 1,
) -> Outcomes:
    """Prefix by prefix: how many of its rollouts are flagged, of how many known."""
    known = [k] * len(flagged) if known is None else known
    prefix = np.repeat(np.arange(len(flagged)), k)
    sample = np.tile(np.arange(k), len(flagged))
    return Outcomes(
        sample < np.array(flagged, dtype=int)[prefix],
        sample < np.array(known, dtype=int)[prefix],
        prefix + first,
        (prefix + first) // per_cluster,
        np.full(prefix.size, weight),
        k,
    )


def test_difference_by_hand() -> None:
    """Square-and-add of the two arms' own limits."""
    first, second = arm([1] * 30 + [0] * 70, 4), arm([1] * 10 + [0] * 90, 4)
    result = paired(first, second).difference
    a, b = prevalence(first), prevalence(second)
    assert result.estimate == pytest.approx(0.05)
    assert result.ci.low == pytest.approx(0.05 - math.hypot(0.075 - a.ci.low, b.ci.high - 0.025))
    assert result.ci.high == pytest.approx(0.05 + math.hypot(a.ci.high - 0.075, 0.025 - b.ci.low))
    assert result.prefixes == 100


def test_ratio_limits_by_hand() -> None:
    """Donner & Zou's closed form (2012)."""
    first, second = arm([1] * 30 + [0] * 70, 4), arm([1] * 10 + [0] * 90, 4)
    ratio = paired(first, second).ratio
    (l1, u1), (l2, u2) = prevalence(first).ci, prevalence(second).ci
    p, q = 0.075, 0.025
    low = (p * q - math.sqrt((p * q) ** 2 - l1 * u2 * (2 * p - l1) * (2 * q - u2))) / (u2 * (2 * q - u2))
    high = (p * q + math.sqrt((p * q) ** 2 - u1 * l2 * (2 * p - u1) * (2 * q - l2))) / (l2 * (2 * q - l2))
    assert ratio.estimate == pytest.approx(3)
    assert ratio.ci == pytest.approx((low, high), rel=1e-9)
    assert ratio.lower is None


@pytest.mark.parametrize("seed", range(30))
def test_difference_and_ratio_never_contradict_each_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rates = rng.choice([0, 0.02, 0.1, 0.5], 2)
    first, second = (arm(rng.binomial(4, rate, 60).tolist(), 4) for rate in rates)
    result = paired(first, second, draws=10)
    difference, ratio = result.difference, result.ratio
    assert difference.estimate is not None
    assert difference.bounds.low <= difference.ci.low <= difference.estimate <= difference.ci.high
    assert difference.ci.high <= difference.bounds.high
    assert 0 <= ratio.bounds.low <= ratio.ci.low <= ratio.ci.high <= ratio.bounds.high
    assert (ratio.ci.low > 1, ratio.ci.high < 1) == (difference.ci.low > 0, difference.ci.high < 0)
    if ratio.estimate is not None:
        assert ratio.ci.low <= ratio.estimate <= ratio.ci.high


def test_exchanging_the_arms_mirrors_the_comparison() -> None:
    first, second = arm([1] * 12 + [0] * 28, 3), arm([2] * 9 + [0] * 31, 3)
    there, back = paired(first, second), paired(second, first)
    assert there.difference.estimate is not None
    assert back.difference.estimate == pytest.approx(-there.difference.estimate)
    assert back.difference.ci == pytest.approx((-there.difference.ci.high, -there.difference.ci.low))
    assert back.ratio.ci == pytest.approx((1 / there.ratio.ci.high, 1 / there.ratio.ci.low))


@pytest.mark.parametrize(("events", "positive"), [(0, False), (1, True), (40, True)])
def test_without_baseline_events_the_ratio_has_a_lower_bound_only(events: int, positive: bool) -> None:
    ratio = paired(arm([1] * events + [0] * (100 - events), 4), arm([0] * 100, 1)).ratio
    assert ratio.estimate is None
    assert ratio.ci.high == math.inf
    assert ratio.lower is not None
    assert (ratio.lower > 0) is positive
    assert ratio.ci.low <= ratio.lower
    if events == 40:
        assert ratio.lower > 1


def test_no_candidate_events_give_ratio_zero_with_an_upper_limit() -> None:
    ratio = paired(arm([0] * 100, 4), arm([1] * 50 + [0] * 50, 4)).ratio
    assert ratio.estimate == 0
    assert ratio.ci.low == 0
    assert 0 < ratio.ci.high < 1


def test_unshared_and_missing_prefixes_are_left_out_and_counted() -> None:
    """Prefixes 0-59 against 10-69; then the baseline knows nothing about four of the shared 50."""
    result = paired(arm([1] * 60, 2), arm([0] * 60, 1, known=[1] * 50 + [0] * 4 + [1] * 6, first=10))
    shared = paired(arm([1] * 50, 2, first=10), arm([0] * 50, 1, first=10))
    assert (result.unpaired, result.missing, result.difference.prefixes) == (20, 0, 50)
    assert result.difference == shared.difference
    result = paired(arm([1] * 60, 2), arm([0] * 60, 1, known=[0] * 4 + [1] * 56, first=10))
    assert (result.unpaired, result.missing, result.difference.prefixes) == (20, 4, 46)
    assert result.difference.estimate == pytest.approx(0.5)
    assert result.difference.bounds.low < result.difference.ci.low


def test_worst_case_bounds_oppose_the_missing_of_the_two_arms() -> None:
    first, second = arm([1] * 40 + [0] * 60, 2, known=[1] * 100), arm([0] * 100, 2, known=[1] * 100)
    bounds = paired(first, second).difference.bounds
    clean, flagged = arm([1] * 40 + [0] * 60, 2), arm([1] * 100, 2)
    assert bounds.low == paired(clean, flagged).difference.ci.low
    assert bounds.high == paired(arm([2] * 40 + [1] * 60, 2), arm([0] * 100, 2)).difference.ci.high


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (arm([1, 0], 1), arm([1, 0], 1, first=9)),
        (arm([1, 0], 1, known=[0, 0]), arm([1, 0], 1)),
        (arm([], 1), arm([], 1)),
    ],
    ids=["nothing shared", "nothing known", "empty"],
)
def test_without_paired_prefixes_nothing_is_claimed(first: Outcomes, second: Outcomes) -> None:
    result = paired(first, second)
    assert (result.difference.estimate, result.ratio.estimate, result.ratio.lower) == (None, None, None)
    assert (result.difference.ci, result.ratio.ci) == ((-1, 1), (0, math.inf))
    assert (result.difference.p, result.difference.prefixes) == (1.0, 0)


def test_a_tiny_lower_limit_is_no_division_by_zero() -> None:
    one_of_many = arm([1] + [0] * 1999, 10)
    assert paired(one_of_many, arm([0] * 2000, 1)).ratio.ci.low >= 0
    assert paired(arm([0] * 2000, 1), one_of_many).ratio.ci.high > 1


@pytest.mark.parametrize("other", [arm([1, 0], 1, weight=2.0), arm([1, 0], 1, per_cluster=2)])
def test_arms_that_disagree_about_a_prefix_are_refused(other: Outcomes) -> None:
    with pytest.raises(ValueError, match="another cluster or weight"):
        paired(arm([1, 0], 1), other)


# --- permutation ---


def test_p_of_one_prefix_is_fishers() -> None:
    """One prefix: the permutation distribution is that of Fisher's exact test, symmetric with equal arms."""
    exact = fisher_exact([[9, 3], [3, 9]]).pvalue
    assert permutation_p(arm([9], 12), arm([3], 12), seed=1, draws=200_000) == pytest.approx(exact, abs=0.003)


def test_p_against_one_original_by_hand() -> None:
    """3 prefixes with 4 of 5 turns flagged, the clean one always the original: (1/5)^3, and the other tail is empty."""
    assert permutation_p(arm([4] * 3, 4), arm([0] * 3, 1), seed=1, draws=200_000) == pytest.approx(0.008, abs=0.001)


@pytest.mark.parametrize(
    ("first", "second"),
    [(arm([0] * 9, 4), arm([0] * 9, 1)), (arm([4] * 9, 4), arm([1] * 9, 1)), (arm([], 4), arm([], 1))],
)
def test_p_is_exactly_1_without_mixed_prefixes(first: Outcomes, second: Outcomes) -> None:
    assert permutation_p(first, second, seed=1) == 1.0


def test_p_never_reaches_0_and_follows_its_seed() -> None:
    first, second = arm([10] * 50, 10), arm([0] * 50, 1)
    assert permutation_p(first, second, seed=1, draws=99) == 0.01
    first, second = arm([1, 0, 2, 0, 1] * 9, 4), arm([0, 0, 0, 1, 0] * 3 + [0] * 30, 1)
    values = [permutation_p(first, second, seed=seed) for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    assert values[0] == pytest.approx(values[2], abs=0.02)
    assert paired(first, second, seed=1).difference.p == values[0]


def test_p_is_two_sided() -> None:
    more, fewer = arm([2] * 15 + [0] * 15, 4), arm([1] * 5 + [0] * 25, 4)
    assert permutation_p(more, fewer, 1) == pytest.approx(permutation_p(fewer, more, 1), abs=0.005)


@pytest.mark.parametrize("draws", [0, -5])
def test_draws_must_be_positive(draws: int) -> None:
    with pytest.raises(ValueError, match="draws must be at least 1"):
        permutation_p(arm([1], 1), arm([0], 1), 1, draws)


@pytest.mark.parametrize(("k", "baseline_k"), [(4, 1), (10, 1), (4, 4)])
@pytest.mark.parametrize("per_cluster", [1, 4])
def test_false_alarms(k: int, baseline_k: int, per_cluster: int) -> None:
    """At intra-cluster correlation 0.3, a cluster's prefixes sharing their chance, at most 5 % of equal arms differ."""
    rng = np.random.default_rng([k, baseline_k, per_cluster])
    studies, alarms = 300, 0
    for seed in range(studies):
        chance = np.repeat(rng.beta(0.1 * 7 / 3, 0.9 * 7 / 3, 60 // per_cluster), per_cluster)
        first, second = (arm(rng.binomial(n, chance).tolist(), n, per_cluster=per_cluster) for n in (k, baseline_k))
        alarms += permutation_p(first, second, seed, draws=499) <= 0.05
    assert alarms <= studies * 0.05 + 3 * (studies * 0.05 * 0.95) ** 0.5


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(8)
    chance = rng.beta(0.1 * 7 / 3, 0.9 * 7 / 3, 200)
    first = arm(rng.binomial(10, np.minimum(1, 3 * chance)).tolist(), 10)
    second = arm(rng.binomial(10, chance).tolist(), 10)
    result = paired(first, second)
    assert result.difference.p < 0.001
    assert result.difference.ci.low > 0
