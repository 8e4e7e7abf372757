"""Which turn is begun next, and how many are worked on at a time.

A provider's prompt cache holds a prefix once a request over it was answered, and for some minutes. So of the turns of
one prefix and arm the first goes alone, the others follow when its first reply is there, and they go before any new
prefix is opened: meanwhile other prefixes fill the places, and few are open at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from resample.models.budget import Turns
from resample.types import Arm, Message, Prefix, Rollout, RolloutKey, Verdict


class Work(NamedTuple):
    """One turn to be played or judged."""

    key: RolloutKey
    prefix: Prefix
    original: tuple[Message, ...]
    rollout: Rollout | None
    """None if it is still to be played."""
    verdict: Verdict | None = None
    """It stands, and only what was not answered about its findings is asked again."""


class Group(NamedTuple):
    """The turns of one prefix that are still to be done, at their place in the drawn order."""

    draw: int
    name: str
    turns: Turns
    open: Callable[[], Iterator[Work]]


class Schedule:
    """Hands out the work of groups, in their order."""

    def __init__(self, groups: Iterator[Group], *, warm: bool = True) -> None:
        """Without `warm` nobody waits for the first of a prefix."""
        self._groups = groups
        self._warm = warm
        self._next: Group | None = None
        self._ready: deque[Work] = deque()
        self._held: dict[tuple[str, Arm], list[Work]] = {}
        self._waiting = {True: 0, False: 0}
        """How many are ready or held, by whether they are to be played."""

    @property
    def ready(self) -> bool:
        """May a turn of an open group begin now?"""
        return bool(self._ready)

    @property
    def waiting(self) -> Turns:
        """The turns of open groups that have not begun."""
        return Turns(self._waiting[True], self._waiting[False])

    def following(self) -> Turns | None:
        """The turns of the group that would be opened next; None if there is none."""
        if self._next is None:
            self._next = next(self._groups, None)
        return None if self._next is None else self._next.turns

    def open(self) -> None:
        """Open that group."""
        if self._next is not None:
            group, self._next = self._next, None
            self._open(group)

    def pop(self) -> Work:
        """The next turn of an open group begins."""
        work = self._ready.popleft()
        self._waiting[work.rollout is None] -= 1
        return work

    def _open(self, group: Group) -> None:
        for work in group.open():
            self._waiting[work.rollout is None] += 1
            if self._warm and work.rollout is None:
                first = (work.key.prefix, work.key.arm)
                if first in self._held:
                    self._held[first].append(work)
                    continue
                self._held[first] = []
            self._ready.append(work)

    def held(self, key: RolloutKey) -> list[RolloutKey]:
        """The turns that wait for this one."""
        return [work.key for work in self._held.get((key.prefix, key.arm), ())]

    def release(self, key: RolloutKey) -> None:
        """The first turn of this prefix and arm has its first reply, or will have none: let the others go."""
        self._ready.extend(self._held.pop((key.prefix, key.arm), ()))


class Places:
    """How many turns are worked on at a time. One that waits for what another has asked leaves its place meanwhile."""

    def __init__(self, count: int) -> None:
        self.free = count
        """Below 0 after somebody came back while others had taken all places."""
        self.changed: Callable[[], None] = lambda: None
        """Called when a place is left."""

    def take(self) -> None:
        """Begin to work."""
        self.free -= 1

    def leave(self) -> None:
        """End, or pause."""
        self.free += 1
        self.changed()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let others work, as long as the caller waits."""
        self.leave()
        try:
            yield
        finally:
            self.take()
