"""Which turn is begun next: the first of a prefix alone, its siblings before any new prefix."""

from __future__ import annotations

from collections.abc import Iterator

from resample.models.budget import Turns
from resample.schedule import Group, Places, Schedule, Work
from resample.types import Arm, Prefix, Rollout, RolloutKey, Shared, StopReason

RECORDED = Rollout(({"role": "assistant", "content": "done"},), StopReason.ENDED)


def group(name: str, arms: list[tuple[Arm, int, Rollout | None]], opened: list[str]) -> Group:
    def works() -> Iterator[Work]:
        opened.append(name)
        prefix = Prefix(name, name, Shared())
        for arm, sample, rollout in arms:
            yield Work(RolloutKey(name, arm, sample), prefix, (), rollout)

    played = sum(rollout is None for _, _, rollout in arms)
    return Group(0, name, Turns(played, len(arms) - played), works)


def begun(schedule: Schedule) -> list[str]:
    """All that may begin now."""
    found = []
    while schedule.ready or schedule.following() is not None:
        if not schedule.ready:
            schedule.open()
            continue
        work = schedule.pop()
        found.append(f"{work.key.prefix} {work.key.arm.value} {work.key.sample}")
    return found


def samples(count: int) -> list[tuple[Arm, int, Rollout | None]]:
    return [(Arm.CANDIDATE, k, None) for k in range(count)]


def test_siblings_wait_for_the_first_and_then_go_before_new_prefixes() -> None:
    opened: list[str] = []
    schedule = Schedule(iter([group(name, samples(3), opened) for name in "abc"]))
    for expected in ("a", "b"):
        assert not schedule.ready and schedule.following() == Turns(3, 0)
        schedule.open()
        assert schedule.pop().key == RolloutKey(expected, Arm.CANDIDATE, 0)
    assert opened == ["a", "b"], "a prefix is opened when its turn comes"
    assert schedule.waiting == Turns(4, 0)
    schedule.release(RolloutKey("a", Arm.CANDIDATE, 0))
    assert begun(schedule) == ["a candidate 1", "a candidate 2", "c candidate 0"]
    schedule.release(RolloutKey("c", Arm.CANDIDATE, 0))
    schedule.release(RolloutKey("c", Arm.CANDIDATE, 2))
    assert begun(schedule) == ["c candidate 1", "c candidate 2"]
    schedule.release(RolloutKey("b", Arm.CANDIDATE, 0))
    assert begun(schedule) == ["b candidate 1", "b candidate 2"]


def test_arms_have_firsts_of_their_own_and_what_is_only_judged_waits_for_nobody() -> None:
    works = [(Arm.CONTROL, 0, None), (Arm.RECORDED, 0, RECORDED), *samples(2), (Arm.CONTROL, 1, None)]
    works += [(Arm.CANDIDATE, 2, RECORDED)]
    schedule = Schedule(iter([group("a", works, [])]))
    assert begun(schedule) == ["a control 0", "a recorded 0", "a candidate 0", "a candidate 2"]
    schedule.release(RolloutKey("a", Arm.CONTROL, 0))
    assert begun(schedule) == ["a control 1"]


def test_nobody_waits_where_caches_do_not_matter() -> None:
    schedule = Schedule(iter([group(name, samples(2), []) for name in "ab"]), warm=False)
    assert begun(schedule) == ["a candidate 0", "a candidate 1", "b candidate 0", "b candidate 1"]


def test_who_waits_leaves_its_place() -> None:
    places, heard = Places(1), []
    places.changed = lambda: heard.append(places.free)
    places.take()
    with places.away():
        assert places.free == 1
        places.take()
    assert (places.free, heard) == (-1, [1])
