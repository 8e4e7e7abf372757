"""Another attempt where it may help: bounded in number and in time, spread out, and never hidden."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from resample.models.failures import Failure
from resample.types import Reply

_random = random.Random()
"""Its own source: waits decide nothing a seed should reproduce, and take no draws from others."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on after failures."""

    attempts: int = 6
    first_wait: float = 1.0
    """Upper bound of the first wait, in seconds; it doubles with every attempt."""
    longest_wait: float = 60.0
    """Upper bound of any wait but one that the provider asks for."""
    total_wait: float = 300.0
    """Of one call, in seconds: a wait that would pass it is not begun, and the call fails."""

    def wait(self, attempt: int, retry_after: float | None) -> float:
        """Seconds before the next attempt: full jitter (Brooker, 2015) on top of what the provider asks."""
        ceiling = min(self.longest_wait, self.first_wait * 2 ** (attempt - 1))
        return (retry_after or 0.0) + _random.uniform(0, ceiling)


class Retries:
    """Makes attempts, and counts those beyond the first over all calls, failed ones too."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.count = 0

    async def call(self, attempt: Callable[[], Awaitable[Reply]]) -> tuple[Reply, int]:
        """The reply and the number of retries it took. Raises ModelError."""
        try:
            return await attempt(), 0  # nearly every call ends here, and pays nothing for the machinery below
        except Failure as failure:
            first = failure
        made = 0

        async def next_attempt() -> Reply:
            nonlocal made
            made += 1
            if made == 1:
                raise first
            return await attempt()

        retrying = AsyncRetrying(
            retry=retry_if_exception(_retryable),
            wait=self._wait,
            stop=self._stop,
            before_sleep=self._count,
            reraise=True,
        )
        try:
            return await retrying(next_attempt), made - 1
        except Failure as failure:
            error = failure.final(made)
        raise error

    def _wait(self, state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        asked = failure.retry_after if isinstance(failure, Failure) else None
        return self.patience.wait(state.attempt_number, asked)

    def _stop(self, state: RetryCallState) -> bool:
        waited = state.idle_for + state.upcoming_sleep
        return state.attempt_number >= self.patience.attempts or waited > self.patience.total_wait

    def _count(self, state: RetryCallState) -> None:
        self.count += 1


def _retryable(error: BaseException) -> bool:
    return isinstance(error, Failure) and error.retryable
