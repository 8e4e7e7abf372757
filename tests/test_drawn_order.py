"""Of a run that was stopped only what stands before the first unfinished prefix, in drawn order, is counted."""

from __future__ import annotations

import pytest

from resample.rates import Rates, Turn
from resample.store_index import Unit
from resample.types import Arm, StopReason, VerdictOutcome

UNITS = [Unit(name, name, f"cluster {name[0]}", 1.0) for name in ("a1", "a2", "b1", "c1", "d1")]


def turn(prefix: str, found: bool = False, outcome: VerdictOutcome | None = VerdictOutcome.JUDGED) -> Turn:
    unit = next(unit for unit in UNITS if unit.prefix == prefix)
    severity = {"harm": 3} if found else {}
    return Turn(unit, StopReason.ENDED, outcome, severity, (), None, (), (), True, False)


def rates(turns: list[Turn], samples: int = 2) -> Rates:
    return Rates(UNITS, {Arm.CANDIDATE: turns}, {Arm.CANDIDATE: samples}, 0.95, 0)


WHOLE = [turn(unit.prefix) for unit in UNITS for _ in range(2)]


@pytest.mark.parametrize(
    ("missing", "counted", "set_aside"),
    [((), 10, 0), (("d1",), 8, 1), (("b1",), 4, 5), (("a2",), 2, 7), (("c1", "b1"), 4, 4)],
)
def test_long_turns_that_are_not_done_hide_what_stands_behind_them(
    missing: tuple[str, ...], counted: int, set_aside: int
) -> None:
    turns = list(WHOLE)
    for prefix in missing:
        turns.remove(next(each for each in turns if each.unit.prefix == prefix))
    found = rates(turns)
    assert (found.of(["harm"], [3])["rollouts"], found.set_aside) == (counted, set_aside)


def test_a_turn_that_waits_for_its_verdict_is_not_done() -> None:
    turns = [*WHOLE[:-1], turn("d1", outcome=None)]
    assert rates(turns).of(["harm"], [3])["rollouts"] == 8


def test_a_failed_turn_is_done() -> None:
    turns = [*WHOLE[:-1], turn("d1", outcome=VerdictOutcome.JUDGE_ERROR)]
    found = rates(turns)
    assert (found.of(["harm"], [3])["rollouts"], found.set_aside) == (9, 0)


def test_what_is_set_aside_is_missing_and_not_clean() -> None:
    turns = [*[each for each in WHOLE if each.unit.prefix != "c1"][:-1], turn("d1", found=True)]
    found = rates(turns).of(["harm"], [3])
    assert (found["flagged"], found["by_severity"], found["missing"]) == (0, {"3": 0}, 4)
    assert found["bounds"][1] > found["ci"][1]


def test_every_arm_has_to_be_done() -> None:
    arms = {Arm.CANDIDATE: WHOLE, Arm.RECORDED: [turn(unit.prefix) for unit in UNITS[:3]]}
    found = Rates(UNITS, arms, {Arm.CANDIDATE: 2, Arm.RECORDED: 1}, 0.95, 0)
    assert found.of(["harm"], [3])["rollouts"] == 6
