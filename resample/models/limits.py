"""How much may be asked of providers at a time: requests in flight, requests and tokens per minute."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from resample.types import UserError

_BURST_SECONDS = 1.0


class Rate:
    """At most `per_minute` units a minute, evenly: the generic cell rate algorithm (ITU-T I.371, 1994).

    First come, first served. A demand larger than a minute's allowance waits for its turn and then goes
    through, and those behind it wait the longer. After a pause one second's allowance and one demand go at
    once, so that no sixty seconds see much more than `per_minute`.
    """

    def __init__(self, per_minute: float) -> None:
        self._seconds_per_unit = 60.0 / per_minute
        self._free_at = 0.0
        """Loop time at which everything taken so far will be paid off."""

    async def take(self, units: float) -> None:
        """Wait until `units` may be used."""
        wait = self.correct(units) - _BURST_SECONDS
        if wait > 0:
            await asyncio.sleep(wait)

    def correct(self, units: float) -> float:
        """Use `units` more, or give them back where negative, without waiting; seconds owed before."""
        now = asyncio.get_running_loop().time()
        owed_until = max(self._free_at, now)
        self._free_at = owed_until + units * self._seconds_per_unit
        return owed_until - now


class Limits:
    """Limits of one role, or shared by all; those of a role lie within the shared ones.

    None means no limit. Hold a slot for one attempt, not for the waits between attempts.
    """

    def __init__(
        self,
        concurrency: int | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        *,
        within: Limits | None = None,
    ) -> None:
        for name, value in (
            ("concurrency", concurrency),
            ("rate_limit.requests_per_minute", requests_per_minute),
            ("rate_limit.tokens_per_minute", tokens_per_minute),
        ):
            if value is not None and value <= 0:
                raise UserError(f"{name}: {value} is not above 0; give more, or null for no limit")
        self._slots_given = concurrency
        self._slots = asyncio.Semaphore(concurrency) if concurrency is not None else None
        self._requests = Rate(requests_per_minute) if requests_per_minute is not None else None
        self._tokens = Rate(tokens_per_minute) if tokens_per_minute is not None else None
        self._chain: tuple[Limits, ...] = (self, *(within._chain if within else ()))
        bounds = [limits._slots_given for limits in self._chain if limits._slots_given is not None]
        self.concurrency: int | None = min(bounds, default=None)
        """Most requests in flight at once."""
        self.counts_tokens = any(limits._tokens for limits in self._chain)
        """Whether anybody needs to know the size of a request."""

    @asynccontextmanager
    async def slot(self, tokens: float = 0) -> AsyncIterator[None]:
        """Hold a place for one attempt expected to use `tokens`.

        The role's own limits come first: who waits for them takes no shared place away from others.
        """
        held: list[asyncio.Semaphore] = []
        try:
            for limits in self._chain:
                if limits._slots is not None:
                    await limits._slots.acquire()
                    held.append(limits._slots)
                if limits._requests is not None:
                    await limits._requests.take(1)
                if limits._tokens is not None:
                    await limits._tokens.take(tokens)
            yield
        finally:
            for slots in held:
                slots.release()

    def correct(self, tokens: float) -> None:
        """An attempt used `tokens` more than was expected of it, or fewer where negative."""
        for limits in self._chain:
            if limits._tokens is not None:
                limits._tokens.correct(tokens)
