"""How much may be asked of providers at a time: requests in flight, requests and tokens per minute."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from resample.types import UserError

_BURST_SECONDS = 1.0

_FIRST_WINDOW = 32
"""Requests in flight that a server is asked to bear before it has answered any."""
_SLOW = 2.0
"""More are not asked for while answers take so many times as long as they did at best."""
_LONGEST_PAUSE = 60.0
"""Seconds for which a server is let alone at its word; one that has nothing left then says so again."""
_SMOOTHING = 0.1
"""Weight of one more answer in the mean of how long they take."""
_DRIFT = 1.0001
"""By which the best mean is forgotten with each answer: it may have been of easier questions."""


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


class Slots:
    """At most `size` at a time. Who is `late` goes after all who are not, whoever came first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._taken = 0
        self._waiting: tuple[deque[asyncio.Future[None]], deque[asyncio.Future[None]]] = (deque(), deque())

    async def take(self, late: bool = False) -> None:
        """Wait for a slot, and hold it."""
        if self._taken < self.size and not any(self._waiting):
            self._taken += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[late].append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give()  # it was given one in the same moment
            raise

    def give(self) -> None:
        """Leave a slot."""
        self._taken -= 1
        self._serve()

    @property
    def full(self) -> bool:
        """Are all taken?"""
        return self._taken >= self.size

    def resize(self, size: int) -> None:
        """Set how many there are; those that are taken stay taken."""
        self.size = size
        self._serve()

    def _serve(self) -> None:
        for waiting in self._waiting:
            while waiting and self._taken < self.size:
                turn = waiting.popleft()
                if not turn.done():
                    self._taken += 1
                    turn.set_result(None)


class Window(Slots):
    """Requests in flight at one server, as many as it bears, by additive increase and multiplicative decrease.

    It opens by one with each answer until the server is overloaded for the first time, then by one with each round of
    answers, and halves whenever the server says that it is too much (slow start and congestion avoidance: Jacobson,
    1988; Chiu and Jain, 1989). It does not open while answers take far longer than they did at best, nor while fewer
    are asked for than it lets through. While the server asks to wait, nothing new goes.
    """

    def __init__(self, most: int) -> None:
        super().__init__(min(most, _FIRST_WINDOW))
        self._most = most
        self._exact = float(self.size)
        self._was_overloaded = False
        self._shut_until = 0.0
        self._halved_at = float("-inf")
        self._seconds: dict[str, tuple[float, float]] = {}
        """By who asks: how long answers take in the mean of late, and at best."""

    async def take(self, late: bool = False) -> None:
        """Wait for a slot, and hold it."""
        await super().take(late)
        loop = asyncio.get_running_loop()
        try:
            while (wait := self._shut_until - loop.time()) > 0:  # noqa: ASYNC110 it may be extended meanwhile
                await asyncio.sleep(wait)
        except asyncio.CancelledError:
            self.give()
            raise

    def answered(self, who: str, seconds: float) -> None:
        """A request of `who` was answered after so many seconds, and still holds its slot."""
        mean, best = self._seconds.get(who, (seconds, seconds))
        mean += _SMOOTHING * (seconds - mean)
        best = min(best * _DRIFT, mean)
        self._seconds[who] = mean, best
        if self.full and mean <= _SLOW * best and self._exact < self._most:
            self._exact = min(self._exact + (1 / self._exact if self._was_overloaded else 1), self._most)
            self.resize(int(self._exact))

    def pause(self, seconds: float) -> None:
        """For so long, but at most a minute, nothing new goes."""
        self._shut_until = max(self._shut_until, asyncio.get_running_loop().time() + min(seconds, _LONGEST_PAUSE))

    def overloaded(self, wait: float | None) -> None:
        """The server says that it is too much, and perhaps for how many seconds.

        All that were in flight together may be told so: within a round of answers it halves once.
        """
        now = asyncio.get_running_loop().time()
        self.pause(wait or 0.0)
        means = [mean for mean, _ in self._seconds.values()]
        if now - self._halved_at < max(means, default=1.0):
            return
        self._halved_at = now
        self._was_overloaded = True
        self._exact = max(self._exact / 2, 1.0)
        self.resize(int(self._exact))


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
        window: Window | None = None,
        within: Limits | None = None,
    ) -> None:
        """`window` is that of the server, and shared by all who ask it."""
        for name, value in (
            ("concurrency", concurrency),
            ("rate_limit.requests_per_minute", requests_per_minute),
            ("rate_limit.tokens_per_minute", tokens_per_minute),
        ):
            if value is not None and value <= 0:
                raise UserError(f"{name}: {value} is not above 0; give more, or null for no limit")
        slots = Slots(concurrency) if concurrency is not None else None
        self._places = [each for each in (slots, window) if each is not None]
        self._requests = Rate(requests_per_minute) if requests_per_minute is not None else None
        self._tokens = Rate(tokens_per_minute) if tokens_per_minute is not None else None
        self.window = window
        self._chain: tuple[Limits, ...] = (self, *(within._chain if within else ()))
        self.counts_tokens = any(limits._tokens for limits in self._chain)
        """Whether anybody needs to know the size of a request."""

    @asynccontextmanager
    async def slot(self, tokens: float = 0, late: bool = False) -> AsyncIterator[None]:
        """Hold a place for one attempt expected to use `tokens`; who is `late` goes after all who are not.

        The role's own limits come first: who waits for them takes no shared place away from others.
        """
        held: list[Slots] = []
        try:
            for limits in self._chain:
                for slots in limits._places:
                    await slots.take(late)
                    held.append(slots)
                if limits._requests is not None:
                    await limits._requests.take(1)
                if limits._tokens is not None:
                    await limits._tokens.take(tokens)
            yield
        finally:
            for slots in held:
                slots.give()

    def correct(self, tokens: float) -> None:
        """An attempt used `tokens` more than was expected of it, or fewer where negative."""
        for limits in self._chain:
            if limits._tokens is not None:
                limits._tokens.correct(tokens)
