"""Exact binomial limits: printed values, an independent implementation, and the range of what is accepted."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from resample.stats.binomial import clopper_pearson, proportion, tail


@pytest.mark.parametrize(
    ("x", "n", "confidence", "low", "high"),
    [
        (0, 10, 0.95, 0.0, 0.3085),
        (1, 10, 0.95, 0.0025, 0.4450),
        (4, 20, 0.95, 0.0573, 0.4366),
        (5, 10, 0.95, 0.1871, 0.8129),
        (10, 10, 0.95, 0.6915, 1.0),
        (81, 263, 0.95, 0.2527, 0.3676),  # Newcombe (1998), single proportion
        (15, 148, 0.95, 0.0578, 0.1617),
        (12, 13, 0.95, 0.640, 0.998),
    ],
)
def test_printed_values(x: int, n: int, confidence: float, low: float, high: float) -> None:
    alpha = tail(confidence)
    digits = 5e-5 if n != 13 else 5e-4
    assert clopper_pearson(x, n, alpha, alpha) == pytest.approx((low, high), abs=digits)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize(("x", "n"), [(0, 1), (1, 1), (0, 1000), (1, 1000), (37, 100), (999, 1000), (3, 100_000)])
def test_agrees_with_scipy(x: int, n: int, confidence: float) -> None:
    expected = binomtest(x, n).proportion_ci(confidence, method="exact")
    assert proportion(x, n, confidence).ci == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_real_counts_lie_between_the_whole_ones() -> None:
    limits = [clopper_pearson(x, 50.5, 0.025, 0.025) for x in (2, 2.3, 2.9, 3)]
    assert limits == sorted(limits)
    assert [high for _, high in limits] == sorted(high for _, high in limits)


@pytest.mark.parametrize("n", [1e-6, 0.3, 1, 2.5, 40, 1e7])
@pytest.mark.parametrize("rate", [0, 1e-9, 0.003, 0.5, 0.9, 1])
def test_limits_enclose_the_rate(n: float, rate: float) -> None:
    low, high = clopper_pearson(rate * n, n, 0.025, 0.025)
    assert 0 <= low <= rate <= high <= 1


def test_each_side_keeps_its_own_error() -> None:
    assert clopper_pearson(3, 30, 0.05, 0.01).low == clopper_pearson(3, 30, 0.05, 0.05).low
    assert clopper_pearson(3, 30, 0.05, 0.01).high == clopper_pearson(3, 30, 0.01, 0.01).high


def test_without_trials_everything_is_possible() -> None:
    assert proportion(0, 0) == (None, (0.0, 1.0), 0, 0)


@pytest.mark.parametrize("arguments", [(-1, 5, 0.1, 0.1), (6, 5, 0.1, 0.1), (1, 5, 0, 0.1), (1, 5, 0.1, 0.6)])
def test_refuses_what_is_out_of_range(arguments: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="must lie"):
        clopper_pearson(*arguments)


@pytest.mark.parametrize("confidence", [0, 0.5, 1, 95, float("nan")])
def test_refuses_a_confidence_out_of_range(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence must lie between"):
        proportion(1, 2, confidence)
