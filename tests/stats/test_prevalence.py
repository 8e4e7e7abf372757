"""Rates and intervals of clustered, weighted outcomes: worked examples, invariances, edges, and coverage."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta, t

from resample.stats.outcomes import Outcomes, Prefixes
from resample.stats.prevalence import Prevalence, Rule, estimate, prevalence, zero_event_upper


def outcomes(rows: Sequence[tuple[int, ...]], k: int, cluster: Any = None, weight: Any = None) -> Outcomes:
    """One row per prefix: 1 flagged, 0 clean, -1 missing."""
    entries = [(i, value) for i, row in enumerate(rows) for value in row]
    prefix = np.array([i for i, _ in entries], dtype=int)
    values = np.array([value for _, value in entries], dtype=int)
    clusters = np.arange(len(rows)) if cluster is None else np.asarray(cluster)
    weights = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=float)
    return Outcomes(values == 1, values >= 0, prefix, clusters[prefix], weights[prefix], k)


def drawn(
    rng: np.random.Generator, rate: float, clusters: int, k: int, correlation: float = 0.3, missing: float = 0.0,
    per_cluster: int = 1, spread: float = 0.0,
) -> Outcomes:  # fmt: skip
    """Beta-binomial clusters; log-normal weights of that spread; some rollouts missing at random."""
    chance = np.full(clusters, rate)
    if correlation:
        size = 1 / correlation - 1
        chance = rng.beta(rate * size, (1 - rate) * size, clusters)
    cluster = np.repeat(np.arange(clusters), per_cluster)
    prefix = np.repeat(np.arange(cluster.size), k)
    weight = rng.lognormal(0, spread, cluster.size)
    return Outcomes(
        rng.random(prefix.size) < chance[cluster[prefix]],
        rng.random(prefix.size) >= missing,
        prefix,
        cluster[prefix],
        weight[prefix],
        k,
    )


def numbers(result: Prevalence) -> list[float]:
    return [*result.ci, *result.bounds, result.effective_n, result.rate if result.rate is not None else -1.0]


# --- worked examples ---


def test_rate_is_the_weighted_mean_of_the_prefixes_means() -> None:
    result = prevalence(outcomes([(1, 0, 0, 0), (1, -1, -1, -1), (0, 0, -1, -1)], k=4, weight=[2, 1, 1]))
    assert result.rate == pytest.approx((2 * 0.25 + 1 * 1 + 1 * 0) / 4)
    assert (result.flagged, result.rollouts, result.missing) == (2, 7, 5)
    assert (result.prefixes, result.clusters) == (3, 3)


@pytest.mark.parametrize(
    ("n", "sides", "printed"), [(1000, 1, "0.30%"), (1000, 2, "0.37%"), (300, 1, "0.99%"), (1, 2, "97.50%")]
)
def test_zero_event_upper(n: float, sides: int, printed: str) -> None:
    assert f"{zero_event_upper(n, 0.95, sides):.2%}" == printed


def test_zero_events_count_clusters_not_rollouts() -> None:
    result = prevalence(outcomes([(0,) * 10] * 1000, k=10))
    assert result.method is Rule.ZERO_EVENTS
    assert result.ci == pytest.approx((0, zero_event_upper(1000)), rel=1e-12)


def test_few_events_by_hand() -> None:
    """5 of 100 clusters with 1 of 4 flagged: design effect 1 + 3 x 0.5, and no estimate below it."""
    result = prevalence(outcomes([(1, 0, 0, 0)] * 5 + [(0, 0, 0, 0)] * 95, k=4))
    n = 400 / 2.5
    x = 5 / 400 * n
    assert result.method is Rule.FEW_EVENTS
    assert result.effective_n == pytest.approx(n)
    assert result.ci == pytest.approx((beta.ppf(0.025, x, n - x + 1), beta.ppf(0.975, x + 1, n - x)), rel=1e-9)


def test_few_events_never_claim_more_than_the_variance_does() -> None:
    """Samples that all agree are worth one each, though the assumed correlation of 0.5 would say more."""
    result = prevalence(outcomes([(1,) * 10] * 5 + [(0,) * 10] * 95, k=10))
    rate, m, rollouts = 0.05, 100, 1000
    variance = rate * (1 - rate) / (m - 1)
    adjusted = rate * (1 - rate) / variance * (t.ppf(0.975, rollouts - 1) / t.ppf(0.975, m - 1)) ** 2
    assert result.effective_n == pytest.approx(adjusted, rel=1e-9)


def test_korn_graubard_by_hand() -> None:
    """50 clusters of 4, half with one flagged and half with all but one: equal scores, so all m - 1 degrees stand."""
    result = prevalence(outcomes([(1, 1, 1, 0), (1, 0, 0, 0)] * 25, k=4))
    variance = 0.25**2 / 49
    n = 0.25 / variance * (t.ppf(0.975, 199) / t.ppf(0.975, 49)) ** 2
    assert result.method is Rule.KORN_GRAUBARD
    assert result.effective_n == pytest.approx(min(n, 200 * (t.ppf(0.975, 199) / t.ppf(0.975, 49)) ** 2), rel=1e-9)
    assert sum(result.ci) == pytest.approx(1)


# --- edges ---

EDGES: list[tuple[str, Outcomes, float | None, Rule, float]] = [
    ("no entries", outcomes([], 4), None, Rule.NOTHING_KNOWN, 0),
    ("nothing known", outcomes([(-1, -1), (-1, -1)], 2), None, Rule.NOTHING_KNOWN, 0),
    ("one rollout, clean", outcomes([(0,)], 1), 0, Rule.ZERO_EVENTS, 1),
    ("one rollout, flagged", outcomes([(1,)], 1), 1, Rule.ALL_EVENTS, 1),
    ("one cluster, clean", outcomes([(0, 0), (0, 0)], 2, cluster=[7, 7]), 0, Rule.ZERO_EVENTS, 1),
    ("one cluster, mixed", outcomes([(1, 0, 0, 0)], 4), 0.25, Rule.FEW_EVENTS, 1),
    ("all flagged", outcomes([(1, 1)] * 30, 2), 1, Rule.ALL_EVENTS, 30),
    ("unequal weights, clean", outcomes([(0,)] * 3, 1, weight=[2, 1, 1]), 0, Rule.ZERO_EVENTS, 16 / 6),
    ("one weight dwarfs the rest", outcomes([(0,)] * 50, 1, weight=[1e12] + [1] * 49), 0, Rule.ZERO_EVENTS, 1),
]


@pytest.mark.parametrize(("data", "rate", "rule", "n"), [e[1:] for e in EDGES], ids=[e[0] for e in EDGES])
def test_edges(data: Outcomes, rate: float | None, rule: Rule, n: float) -> None:
    result = prevalence(data)
    assert (result.rate, result.method) == (rate, rule)
    assert result.effective_n == pytest.approx(n, rel=1e-6)
    assert np.isfinite(numbers(result)).all()
    if rate is None:
        assert result.ci == result.bounds == (0, 1)


def test_two_clusters_that_contradict_each_other_leave_everything_open() -> None:
    result = prevalence(outcomes([(1, 1), (0, 0)], 2))
    assert result.ci == pytest.approx((0, 1), abs=1e-3)


def test_planned_rollouts_without_an_entry_are_missing() -> None:
    assert numbers(prevalence(outcomes([(0,), (1, 0)], 3))) == numbers(
        prevalence(outcomes([(0, -1, -1), (1, 0, -1)], 3))
    )


def test_worst_case_bounds_count_the_missing_both_ways() -> None:
    rows = [(1, 0)] * 3 + [(0, 0)] * 90 + [(-1, -1)] * 5 + [(0, -1)] * 2
    result = prevalence(outcomes(rows, 2))
    clean = prevalence(outcomes([tuple(max(v, 0) for v in row) for row in rows], 2))
    flagged = prevalence(outcomes([tuple(abs(v) for v in row) for row in rows], 2))
    assert result.bounds == (clean.ci.low, flagged.ci.high)
    assert result.bounds.high > 2 * result.ci.high


@pytest.mark.parametrize("seed", range(40))
def test_bounds_contain_the_interval_and_the_interval_the_rate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = drawn(
        rng,
        rate=float(rng.choice([0.001, 0.02, 0.3, 0.95])),
        clusters=int(rng.integers(1, 80)),
        k=int(rng.integers(1, 12)),
        missing=float(rng.choice([0, 0.01, 0.4])),
        per_cluster=int(rng.integers(1, 4)),
        spread=float(rng.choice([0, 1, 3])),
    )
    result = prevalence(data)
    low, high = result.ci
    assert 0 <= result.bounds.low <= low <= high <= result.bounds.high <= 1
    assert result.rate is not None
    assert low <= result.rate <= high
    assert result.flagged + result.missing <= data.k * data.prefixes.code.size
    wider = prevalence(data, 0.99)
    assert wider.ci.low <= low
    assert wider.ci.high >= high


def test_the_first_events_do_not_tighten_the_upper_limit() -> None:
    rows = [(0,) * 10] * 200
    limits = [prevalence(outcomes([(1,) + (0,) * 9] * events + rows[events:], 10)).ci.high for events in range(19)]
    assert limits == sorted(limits)


# --- invariances ---


def replaced(data: Outcomes, **columns: Any) -> Outcomes:
    return Outcomes(**{f.name: columns.get(f.name, getattr(data, f.name)) for f in fields(data)})


@pytest.mark.parametrize("rate", [0.01, 0.2])
def test_invariances(rate: float) -> None:
    rng = np.random.default_rng(5)
    data = drawn(rng, rate, clusters=60, k=5, missing=0.1, per_cluster=2, spread=1)
    expected = pytest.approx(numbers(prevalence(data)), rel=1e-9)
    order = rng.permutation(data.prefix.size)
    names = rng.permutation(1000)
    columns = {f.name: getattr(data, f.name) for f in fields(data) if f.name != "k"}
    variants = {
        "order of rows": Outcomes(**{name: column[order] for name, column in columns.items()}, k=data.k),
        "scale of weights": replaced(data, weight=data.weight * 1e-7),
        "names of clusters": replaced(data, cluster=names[data.cluster] - 500),
        "names of prefixes": replaced(data, prefix=names[data.prefix] - 500),
        "what missing entries say": replaced(data, flagged=data.flagged | ~data.known),
    }
    for name, variant in variants.items():
        assert numbers(prevalence(variant)) == expected, name


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.3])
def test_flagged_and_clean_mirror_each_other(rate: float) -> None:
    data = drawn(np.random.default_rng(11), rate, clusters=80, k=6, missing=0.05, spread=0.5)
    here, there = prevalence(data), prevalence(replaced(data, flagged=~data.flagged))
    assert here.rate is not None
    assert there.rate == pytest.approx(1 - here.rate)
    assert there.ci == pytest.approx((1 - here.ci.high, 1 - here.ci.low), abs=1e-9)
    assert there.bounds == pytest.approx((1 - here.bounds.high, 1 - here.bounds.low), abs=1e-9)


def test_naming_every_prefix_one_cluster_widens_the_interval() -> None:
    data = drawn(np.random.default_rng(3), 0.2, clusters=40, k=4, per_cluster=4, correlation=0.5)
    apart = prevalence(replaced(data, cluster=data.prefix))
    assert prevalence(data).effective_n < apart.effective_n


# --- what is refused ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"known": [True]}, "one entry per rollout"),
        ({"weight": [1.0, 1.0, 0.0]}, "finite and above 0"),
        ({"weight": [1.0, 1.0, float("nan")]}, "finite and above 0"),
        ({"weight": [1.0, 2.0, 1.0]}, "prefix 0 has more than one weight"),
        ({"cluster": [0, 1, 1]}, "prefix 0 lies in more than one cluster"),
        ({"flagged": [2, 0, 0]}, "flagged must be true or false"),
        ({"known": [0.5, 1, 1]}, "known must be true or false"),
        ({"prefix": [0.0, 0.0, 1.0]}, "prefix must be integer codes"),
        ({"k": 1}, "more than k = 1 rollouts"),
        ({"k": 0}, "k must be at least 1"),
    ],
)
def test_refuses_what_makes_no_sense(changes: dict[str, Any], message: str) -> None:
    valid: dict[str, Any] = {
        "flagged": [1, 0, 0], "known": [1, 1, 1], "prefix": [0, 0, 1], "cluster": [0, 0, 1],
        "weight": [1.0, 1.0, 3.0], "k": 2,
    }  # fmt: skip
    Outcomes(**valid)
    with pytest.raises(ValueError, match=message):
        Outcomes(**(valid | changes))


@pytest.mark.parametrize(("n", "sides"), [(0, 2), (-1, 1), (10, 3), (float("nan"), 1)])
def test_zero_event_upper_refuses(n: float, sides: int) -> None:
    with pytest.raises(ValueError, match="n must be above 0 and sides 1 or 2"):
        zero_event_upper(n, 0.95, sides)


def test_the_room_is_light_to_import() -> None:
    heavy = "import sys, resample.stats; sys.exit(bool({'numpy', 'scipy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", heavy], check=False).returncode == 0


# --- coverage ---

STUDIES = 400


@pytest.mark.parametrize("spread", [0.0, 1.0], ids=["equal", "lognormal"])
@pytest.mark.parametrize("correlation", [0.0, 0.3])
@pytest.mark.parametrize(("rate", "clusters", "k"), [(0.01, 24, 4), (0.01, 100, 10), (0.1, 24, 10), (0.1, 100, 4)])
def test_each_limit_errs_in_at_most_2_5_percent_of_studies(
    rate: float, clusters: int, k: int, correlation: float, spread: float
) -> None:
    rng = np.random.default_rng([clusters, k, int(10 * correlation), int(spread)])
    too_high = too_low = 0
    codes = np.arange(clusters)
    for _ in range(STUDIES):
        chance = np.full(clusters, rate)
        if correlation:
            size = 1 / correlation - 1
            chance = rng.beta(rate * size, (1 - rate) * size, clusters)
        weight = rng.lognormal(0, spread, clusters)
        table = Prefixes(codes, codes, weight, rng.binomial(k, chance), np.full(clusters, k), k)
        low, high = estimate(table, 0.025).ci
        too_high += low > rate
        too_low += high < rate
    allowed = STUDIES * 0.025 + 3 * (STUDIES * 0.025 * 0.975) ** 0.5
    assert max(too_high, too_low) <= allowed
