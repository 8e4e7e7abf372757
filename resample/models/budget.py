"""What a run may spend, in money and in tokens, kept by admitting only calls that there is room for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from resample.types import BudgetSpent, Role, Usage, UserError


def tokens_of(usage: Usage) -> int:
    """Prompt and completion tokens; cached and reasoning tokens are parts of them."""
    return usage.prompt_tokens + usage.completion_tokens


def total(used: Sequence[Usage]) -> Usage:
    """Prompt and completion tokens, and cost, of several calls; without a price they count as free."""
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in used),
        completion_tokens=sum(usage.completion_tokens for usage in used),
        usd=sum(usage.usd or 0.0 for usage in used),
    )


_FEW = 5
"""Turns that have ended, below which their mean may be that of the shortest."""
_MARGIN = 2.0
"""By which open turns may be longer than those that have ended; what they do not use is there for the next prefix."""
_LEAST_LEFT = 0.25
"""Share of what is expected of a turn that one at work is taken to need still, whatever it has used."""


@dataclass(slots=True)
class _Sum:
    """Usage added up."""

    usd: float = 0.0
    tokens: float = 0.0
    calls: int = 0

    def add(self, usd: float, tokens: float, calls: int = 1) -> None:
        self.usd += usd
        self.tokens += tokens
        self.calls += calls


class Budget:
    """Limits on the usage of all calls together; None means no limit.

    A call is admitted when what was spent, what the calls in flight are expected to use, and what it is
    expected to use itself stay within both limits. Expected is the mean of its role's calls so far, and
    before any the caller's guess. So a limit is passed by no more than a call may use beyond what was
    expected.
    """

    def __init__(self, usd: float | None = None, tokens: int | None = None, *, within: Budget | None = None) -> None:
        """A role's own budget lies `within` the one shared by all."""
        for name, value in (("budget.usd", usd), ("budget.tokens", tokens)):
            if value is not None and value < 0:
                raise UserError(f"{name}: {value} is below 0; give an amount, or null for no limit")
        self.usd = usd
        self.tokens = tokens
        self._spent = _Sum()
        self._reserved = _Sum()
        self._by_role: dict[Role, _Sum] = {}
        self._settled = asyncio.Event()
        self._within = within

    @property
    def limited(self) -> bool:
        """Whether there is any limit to keep."""
        own = self.usd is not None or self.tokens is not None
        return own or (self._within is not None and self._within.limited)

    @property
    def counts_money(self) -> bool:
        """Whether a call without a price would break it."""
        return self.usd is not None or (self._within is not None and self._within.counts_money)

    @property
    def spent_usd(self) -> float:
        """Known cost so far."""
        return self._spent.usd

    @property
    def spent_tokens(self) -> int:
        """Tokens so far."""
        return round(self._spent.tokens)

    def add(self, usage: Usage, role: Role | None = None) -> None:
        """Count the usage of one call of a role; without a role what a resumed run has already spent."""
        self._spent.add(usage.usd or 0.0, tokens_of(usage))
        if role is not None:
            self._by_role.setdefault(role, _Sum()).add(usage.usd or 0.0, tokens_of(usage))
        if self._within is not None:
            self._within.add(usage, role)

    def has_room(self, usd: float, tokens: float) -> bool:
        """Do these stay within the limits, beside what was spent?"""
        return self._fits(usd, tokens)

    @asynccontextmanager
    async def admit(self, role: Role, guess: Usage) -> AsyncIterator[None]:
        """Hold room for one call while it is in flight; within it, `add` what the call really used.

        While other calls in flight may turn out cheaper than expected, it waits for them. Raises
        BudgetSpent when there would be no room even without them.
        """
        usd, tokens = await self._room(role, guess)
        self._reserved.add(usd, tokens)
        try:
            if self._within is None:
                yield
            else:
                async with self._within.admit(role, guess):
                    yield
        finally:
            self._reserved.add(-usd, -tokens, -1)
            if self._reserved.calls == 0:
                self._reserved = _Sum()  # sums of floats do not come back to 0 by themselves
            self._settled.set()

    async def _room(self, role: Role, guess: Usage) -> tuple[float, float]:
        while True:
            usd, tokens = self._expected(role, guess)
            if not self._fits(usd, tokens):
                raise BudgetSpent(self.explain())
            if self._fits(usd + self._reserved.usd, tokens + self._reserved.tokens):
                return usd, tokens
            self._settled.clear()
            await self._settled.wait()

    def _expected(self, role: Role, guess: Usage) -> tuple[float, float]:
        seen = self._by_role.get(role)
        if seen is None:
            return guess.usd or 0.0, float(tokens_of(guess))
        return seen.usd / seen.calls, seen.tokens / seen.calls

    def _fits(self, usd: float, tokens: float) -> bool:
        return (self.usd is None or self._spent.usd + usd <= self.usd) and (
            self.tokens is None or self._spent.tokens + tokens <= self.tokens
        )

    def explain(self, usd: float | None = None, tokens: float | None = None) -> str:
        """What was spent of what, and what would be needed next: a call, or a prefix of which the needs are given."""
        parts = []
        if self.usd is not None:
            need = "" if usd is None else f", and the next prefix may need {usd:.4f}"
            parts.append(f"budget.usd: {self._spent.usd:.4f} of {self.usd:g} USD spent{need}")
        if self.tokens is not None:
            need = "" if tokens is None else f", and the next prefix may need {tokens:.0f}"
            parts.append(f"budget.tokens: {self._spent.tokens:.0f} of {self.tokens} spent{need}")
        what = "call" if usd is None else "prefix"
        return "; ".join(parts) + f"; the rest is too little for another {what}: raise it and run again to go on"


class Turns(NamedTuple):
    """A number of turns that a model plays, and of others that are only judged."""

    played: int = 0
    judged: int = 0


@dataclass(eq=False)
class TurnAtWork:
    """A turn that was begun."""

    played: bool
    paid: list[Usage] = field(default_factory=list)
    """What its calls have used so far."""


class TurnBudget:
    """Admits the turns of whole prefixes to a budget, so that where it ends none is left half-played.

    Those would be the long ones. A prefix is opened when what was spent, what the turns of open prefixes are expected
    to use still, and what its own are expected to use stay within the limit. Expected is the mean of the turns of a
    kind that have ended, and of those at work that have already used more; as long as few have, no less than the guess.
    """

    def __init__(self, budget: Budget, guess: Mapping[bool, Usage] | None = None) -> None:
        """`guess`: what a turn is thought to use before any has ended; true: one that is played, false: only judged."""
        self._budget = budget
        self._guess = guess or {}
        self._ended: dict[bool, _Sum] = {True: _Sum(), False: _Sum()}
        self._working: set[TurnAtWork] = set()

    def fits(self, turns: Turns, waiting: Turns) -> bool:
        """Is there room for these, beside those at work and others that were admitted and have not begun?"""
        if not self._budget.limited:
            return True
        if not (self._working or any(waiting) or any(ended.calls for ended in self._ended.values())):
            return self._budget.has_room(0.0, 0.0)  # whether there is room for one, only a try can tell
        usd, tokens = self.needs(turns, waiting)
        return self._budget.has_room(usd * _MARGIN, tokens * _MARGIN)

    def needs(self, turns: Turns, waiting: Turns) -> tuple[float, float]:
        """USD and tokens that all these are expected to use still."""
        usd = tokens = 0.0
        for played, count in ((True, turns.played + waiting.played), (False, turns.judged + waiting.judged)):
            each = self._expected(played)
            usd, tokens = usd + count * each[0], tokens + count * each[1]
        for turn in self._working:
            spent, each = total(turn.paid), self._expected(turn.played)
            usd += max(each[0] - (spent.usd or 0.0), each[0] * _LEAST_LEFT)
            tokens += max(each[1] - tokens_of(spent), each[1] * _LEAST_LEFT)
        return usd, tokens

    def begin(self, played: bool) -> TurnAtWork:
        """A turn is begun. Put into its `paid` what its calls use."""
        turn = TurnAtWork(played)
        self._working.add(turn)
        return turn

    def end(self, turn: TurnAtWork) -> None:
        """It has ended."""
        self._working.discard(turn)
        used = total(turn.paid)
        self._ended[turn.played].add(used.usd or 0.0, tokens_of(used))

    def explain(self, turns: Turns) -> str:
        """Why these do not fit."""
        usd, tokens = self.needs(turns, Turns())
        return self._budget.explain(usd, tokens)

    def _expected(self, played: bool) -> tuple[float, float]:
        ended = self._ended[played]
        known = _Sum(ended.usd, ended.tokens, ended.calls)
        for turn in self._working:
            spent = total(turn.paid)
            if turn.played is played and tokens_of(spent) * ended.calls > ended.tokens:
                known.add(spent.usd or 0.0, tokens_of(spent))
        mean = (known.usd / known.calls, known.tokens / known.calls) if known.calls else (0.0, 0.0)
        if ended.calls >= _FEW:
            return mean
        guess = self._guess.get(played, Usage())
        return max(mean[0], guess.usd or 0.0), max(mean[1], float(tokens_of(guess)))
