"""What a run may spend, in money and in tokens, kept by admitting only calls that there is room for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

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
                raise BudgetSpent(self._explain())
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

    def _explain(self) -> str:
        parts = []
        if self.usd is not None:
            parts.append(f"budget.usd: {self._spent.usd:.4f} of {self.usd:g} USD spent")
        if self.tokens is not None:
            parts.append(f"budget.tokens: {self._spent.tokens:.0f} of {self.tokens} spent")
        return "; ".join(parts) + "; the rest is too little for another call: raise it and run again to go on"


class TurnBudget:
    """Admits whole turns to a budget, so that where it ends none is left half-played: long ones would be those.

    A turn is begun when what was spent, what the turns at work are expected to use still, and what it is expected to
    use itself stay within the limit. Expected is the mean of the turns of its kind so far, and before any the guess.
    """

    def __init__(self, budget: Budget, guess: Usage | None = None) -> None:
        """`guess` is what one played turn is thought to use before any has ended; None: nothing."""
        self._budget = budget
        self._guess = guess or Usage()
        self._ended: dict[bool, _Sum] = {}
        self._working: dict[bool, int] = {True: 0, False: 0}
        self._spent_before = (budget.spent_usd, budget.spent_tokens)
        self._spent_by_ended = _Sum()

    def fits(self, played: bool) -> bool:
        """Is there room for one more turn, played or only judged?"""
        if not self._budget.limited:
            return True
        usd, tokens = self._expected(played)
        for kind, count in self._working.items():
            one_usd, one_tokens = self._expected(kind)
            usd += count * one_usd
            tokens += count * one_tokens
        # What those at work have spent so far is a part of what they are expected to use.
        usd -= self._budget.spent_usd - self._spent_before[0] - self._spent_by_ended.usd
        tokens -= self._budget.spent_tokens - self._spent_before[1] - self._spent_by_ended.tokens
        return self._budget.has_room(max(usd, 0.0), max(tokens, 0.0))

    def begin(self, played: bool) -> None:
        """A turn is begun."""
        self._working[played] += 1

    def end(self, played: bool, used: Usage) -> None:
        """A turn has ended, and this is what it used."""
        self._working[played] -= 1
        usd, tokens = used.usd or 0.0, tokens_of(used)
        self._ended.setdefault(played, _Sum()).add(usd, tokens)
        self._spent_by_ended.add(usd, tokens)

    def _expected(self, played: bool) -> tuple[float, float]:
        ended = self._ended.get(played)
        if ended is not None:
            return ended.usd / ended.calls, ended.tokens / ended.calls
        return (self._guess.usd or 0.0, float(tokens_of(self._guess))) if played else (0.0, 0.0)
