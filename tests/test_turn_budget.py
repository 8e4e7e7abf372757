"""A budget admits the turns of whole prefixes: with what was spent, and what open ones may still use."""

from __future__ import annotations

import pytest

from resample.models.budget import Budget, TurnAtWork, TurnBudget, Turns, total
from resample.types import Role, Usage


@pytest.fixture
def no_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resample.models.budget._MARGIN", 1.0)


pytestmark = pytest.mark.usefixtures("no_margin")


def used(tokens: int, usd: float | None = None) -> Usage:
    return Usage(prompt_tokens=tokens, usd=usd)


class Spending:
    """A budget and its turns, with what they use."""

    def __init__(self, limit: int, guess: int = 0, judged: int = 0) -> None:
        self.budget = Budget(tokens=limit)
        self.turns = TurnBudget(self.budget, {True: used(guess), False: used(judged)})

    def play(self, *tokens: int, played: bool = True) -> None:
        """Turns that have ended."""
        for each in tokens:
            self.turns.end(self.at_work(each, played=played))

    def at_work(self, tokens: int = 0, *, played: bool = True) -> TurnAtWork:
        turn = self.turns.begin(played)
        self.budget.add(used(tokens), Role.CANDIDATE)
        turn.paid.append(used(tokens))
        return turn

    def fits(self, played: int = 1, judged: int = 0, waiting: Turns | None = None) -> bool:
        return self.turns.fits(Turns(played, judged), waiting or Turns())


def test_whether_there_is_room_for_one_only_a_try_can_tell() -> None:
    assert Spending(1000, guess=5000).fits(), "nothing is known"
    spent = Spending(1000, guess=5000)
    spent.budget.add(used(1001))
    assert not spent.fits()


def test_all_turns_of_a_prefix_need_room() -> None:
    spending = Spending(1000)
    spending.play(100, 100, 100, 100, 100)
    assert spending.fits(played=5) and not spending.fits(played=6)
    assert spending.fits(played=2, waiting=Turns(3, 0)) and not spending.fits(played=3, waiting=Turns(3, 0))


def test_until_some_have_ended_the_guess_counts() -> None:
    spending = Spending(1000, guess=400)
    spending.play(100)
    assert spending.fits(played=2) and not spending.fits(played=3)
    spending.play(100, 100, 100, 100)
    assert spending.fits(played=5)


def test_long_ones_at_work_are_not_taken_for_the_short_ones_that_have_ended() -> None:
    spending = Spending(2000)
    spending.play(10, 10, 10, 10, 10)
    assert spending.fits(played=100)
    for _ in range(5):
        spending.at_work(200)
    assert not spending.fits(played=10), "the mean is of both, and each of those at work needs some more"
    assert spending.fits(played=5)


def test_one_that_has_used_more_does_not_pay_for_its_neighbour() -> None:
    spending = Spending(1000)
    spending.play(100, 100, 100, 100, 100)
    spending.at_work(400)
    spending.at_work(0)
    assert not spending.fits()


def test_there_is_a_margin_for_longer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resample.models.budget._MARGIN", 2.0)
    spending = Spending(1000)
    spending.play(100, 100, 100, 100, 100)
    assert spending.fits(played=2) and not spending.fits(played=3)


def test_turns_that_are_only_judged_are_another_kind() -> None:
    spending = Spending(1000, guess=10, judged=300)
    spending.play(150, 150, 150, 150, 150)
    assert not spending.fits(played=1, judged=1)
    spending.play(10, 10, 10, 10, 10, played=False)
    assert spending.fits(played=1, judged=1)


def test_money_is_counted_as_tokens_are() -> None:
    budget = Budget(usd=1.0)
    turns = TurnBudget(budget)
    for _ in range(5):
        turn = turns.begin(True)
        budget.add(used(10, 0.15), Role.CANDIDATE)
        turn.paid.append(used(10, 0.15))
        turns.end(turn)
    assert turns.fits(Turns(1), Turns()) and not turns.fits(Turns(2), Turns())
    assert turns.explain(Turns(2)) == (
        "budget.usd: 0.7500 of 1 USD spent, and the next prefix may need 0.3000; the rest is too little for another"
        " prefix: raise it and run again to go on"
    )


def test_without_a_limit_everything_fits() -> None:
    assert TurnBudget(Budget(), {True: used(10**12)}).fits(Turns(10**6), Turns())


@pytest.mark.parametrize("usages", [[], [used(1, 0.5), used(2)]])
def test_a_total_has_no_price_to_miss(usages: list[Usage]) -> None:
    assert total(usages) == Usage(prompt_tokens=sum(u.prompt_tokens for u in usages), usd=0.5 if usages else 0)
