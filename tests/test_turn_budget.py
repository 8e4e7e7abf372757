"""A budget admits whole turns: what was spent, what those at work may still use, and the next one."""

from __future__ import annotations

import pytest

from resample.models.budget import Budget, TurnBudget, total
from resample.types import Role, Usage


def used(tokens: int, usd: float | None = None) -> Usage:
    return Usage(prompt_tokens=tokens, usd=usd)


def test_the_guess_counts_until_a_turn_has_ended() -> None:
    budget = Budget(tokens=1000)
    turns = TurnBudget(budget, used(400))
    admitted = 0
    while turns.fits(played=True):
        turns.begin(played=True)
        admitted += 1
    assert admitted == 2
    for _ in range(2):
        budget.add(used(100), Role.CANDIDATE)
        turns.end(played=True, used=used(100))
    assert turns.fits(played=True), "they turned out cheaper"


def test_what_those_at_work_have_spent_is_not_counted_twice() -> None:
    budget = Budget(tokens=1000)
    turns = TurnBudget(budget, used(400))
    turns.begin(played=True)
    budget.add(used(390), Role.CANDIDATE)
    assert turns.fits(played=True)
    turns.begin(played=True)
    assert not turns.fits(played=True)


def test_one_that_used_more_than_expected_leaves_less() -> None:
    budget = Budget(usd=1.0)
    turns = TurnBudget(budget, used(0, 0.1))
    turns.begin(played=True)
    budget.add(used(0, 0.6), Role.CANDIDATE)
    turns.end(played=True, used=used(0, 0.6))
    assert not turns.fits(played=True)


@pytest.mark.parametrize("spent", [0, 900])
def test_what_an_earlier_start_has_spent_counts_and_belongs_to_no_turn(spent: int) -> None:
    budget = Budget(tokens=1000)
    budget.add(used(spent))
    turns = TurnBudget(budget, used(200))
    assert turns.fits(played=True) is (spent == 0)


def test_turns_that_are_only_judged_are_another_kind() -> None:
    budget = Budget(tokens=1000)
    turns = TurnBudget(budget, used(900))
    turns.begin(played=True)
    turns.end(played=True, used=used(900))
    budget.add(used(900), Role.CANDIDATE)
    assert not turns.fits(played=True)
    assert turns.fits(played=False)


def test_without_a_limit_everything_fits() -> None:
    assert TurnBudget(Budget(), used(10**12)).fits(played=True)


def test_a_total_has_no_price_to_miss() -> None:
    assert total([used(1, 0.5), used(2)]) == Usage(prompt_tokens=3, usd=0.5)
