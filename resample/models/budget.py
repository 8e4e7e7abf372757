"""What a run may spend, in money and in tokens, kept by admitting only calls that there is room for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from resample.types import BudgetSpent, Role, Usage, UserError


def tokens_of(usage: Usage) -> int:
    """Prompt and completion tokens; cached and reasoning tokens are parts of them."""
    return usage.prompt_tokens + usage.completion_tokens


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
