"""The first request over a prefix goes alone, and what waits for it lets others work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from virtual_time import now, run

from resample.models.warmth import LEAST_BYTES, LIFETIME, Warmth
from resample.types import ChatRequest, Role, Shared


def over(name: str, size: int = LEAST_BYTES) -> ChatRequest:
    return ChatRequest(Role.JUDGE, Shared(({"role": "user", "content": name + "x" * size},)))


async def asked(warmth: Warmth, requests: list[ChatRequest], fail: frozenset[int] = frozenset()) -> list[float]:
    """When each of these requests, all wanted at once, was sent; each takes a second."""
    sent = [0.0] * len(requests)
    start = now()

    async def ask(number: int, request: ChatRequest) -> None:
        async with warmth.over(request):
            sent[number] = now() - start
            await asyncio.sleep(1)
            if number in fail:
                raise ConnectionError

    await asyncio.gather(*(ask(*each) for each in enumerate(requests)), return_exceptions=True)
    return sent


def test_the_first_goes_alone_and_other_prefixes_do_not_wait() -> None:
    requests = [over("a"), over("a"), over("b"), over("a"), over("b")]
    assert run(asked(Warmth(), requests)) == [0, 1, 0, 1, 1]


def test_after_a_failure_the_next_goes_alone() -> None:
    assert run(asked(Warmth(), [over("a")] * 4, frozenset({0}))) == [0, 1, 2, 2]


def test_what_no_provider_holds_waits_for_nobody() -> None:
    assert run(asked(Warmth(), [over("a", 100)] * 3)) == [0, 0, 0]


@pytest.mark.parametrize(("pause", "sent"), [(LIFETIME - 10, [0, 0]), (LIFETIME + 1, [0, 1])])
def test_a_prefix_is_held_for_some_minutes_after_its_last_use(pause: float, sent: list[float]) -> None:
    async def play() -> list[float]:
        warmth = Warmth(clock=now)
        await asked(warmth, [over("a")])
        await asyncio.sleep(pause / 2)
        await asked(warmth, [over("a")])
        await asyncio.sleep(pause)
        return await asked(warmth, [over("a"), over("a")])

    assert run(play()) == sent


def test_who_waits_is_away() -> None:
    away: list[float] = []

    @contextmanager
    def leave() -> Iterator[None]:
        start = now()
        yield
        away.append(now() - start)

    run(asked(Warmth(leave), [over("a")] * 3))
    assert away == [1, 1]


def test_who_is_cancelled_while_it_goes_alone_leaves_nobody_waiting() -> None:
    async def play() -> list[float]:
        warmth = Warmth()
        first = asyncio.create_task(asked(warmth, [over("a")]))
        await asyncio.sleep(0.5)
        waiting = asyncio.create_task(asked(warmth, [over("a"), over("a")]))
        await asyncio.sleep(0)
        first.cancel()
        return await waiting

    assert run(play()) == [0, 1]
