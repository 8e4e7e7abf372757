"""The first request over a prefix goes alone: a provider's prompt cache holds a prefix once it was answered."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext

from resample.types import ChatRequest

LEAST_BYTES = 4096
"""No provider holds less than 1,024 tokens."""
LIFETIME = 270.0
"""Seconds after its last use for which a prefix counts as held: the least that providers promise is five minutes."""
_MOST = 10_000
"""Prefixes that are remembered; the least recent are forgotten, and at worst asked over alone once more."""

Away = Callable[[], AbstractContextManager[None]]


class Warmth:
    """Of one model: over which prefixes a request was answered lately."""

    def __init__(self, away: Away = nullcontext, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Who waits for another's request does so inside `away()`."""
        self._away = away
        self._clock = clock
        self._asked: dict[bytes, asyncio.Future[None]] = {}
        """The requests that go alone, until they are answered."""
        self._warm: OrderedDict[bytes, float] = OrderedDict()

    @asynccontextmanager
    async def over(self, request: ChatRequest) -> AsyncIterator[None]:
        """Make a request inside: at once if its prefix is held, or if it is the first over it."""
        if len(request.prefix.wire) + len(request.tools.wire) < LEAST_BYTES:
            yield
            return
        key = request.prefix.digest[:16] + request.tools.digest[:16]
        while not self._is_warm(key):
            first = self._asked.get(key)
            if first is None:
                async with self._alone(key):
                    yield
                return
            with self._away():
                await asyncio.shield(first)
        yield
        self._answered(key)

    @asynccontextmanager
    async def _alone(self, key: bytes) -> AsyncIterator[None]:
        done = self._asked[key] = asyncio.get_running_loop().create_future()
        try:
            yield
            self._answered(key)
        finally:  # after a failure, the next one goes alone
            del self._asked[key]
            done.set_result(None)

    def _is_warm(self, key: bytes) -> bool:
        used = self._warm.get(key)
        return used is not None and self._clock() - used < LIFETIME

    def _answered(self, key: bytes) -> None:
        self._warm[key] = self._clock()
        self._warm.move_to_end(key)
        if len(self._warm) > _MOST:
            self._warm.popitem(last=False)
