"""Retries, limits, budget and price: what lies between a call and a transport."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from virtual_time import now, run

from resample.models.budget import Budget
from resample.models.failures import Failure
from resample.models.limits import Limits, Slots, Window
from resample.models.price import FREE, Price, cost, price_of
from resample.models.retry import Patience, Retries
from resample.types import BudgetSpent, Fault, ModelError, Reply, Role, Usage, UserError

REPLY = Reply({"role": "assistant", "content": "hi"}, "stop", Usage(), "m")
QUICK = Patience(attempts=4, first_wait=0.001)


def busy(retry_after: float | None = None) -> Failure:
    return Failure(Fault.UNAVAILABLE, "m: 503 busy", status=503, retryable=True, retry_after=retry_after)


def attempts(*outcomes: Failure | Reply) -> Callable[[], Awaitable[Reply]]:
    """An attempt that has these outcomes in turn."""
    left = list(outcomes)

    async def attempt() -> Reply:
        outcome = left.pop(0)
        if isinstance(outcome, Failure):
            raise outcome
        return outcome

    return attempt


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_a_call_succeeds_after_failures(failures: int) -> None:
    retries = Retries(QUICK)
    outcomes = [busy() for _ in range(failures)]
    assert run(retries.call(attempts(*outcomes, REPLY))) == (REPLY, failures)
    assert retries.count == failures


def test_a_call_fails_after_the_last_attempt_and_its_retries_count() -> None:
    retries = Retries(QUICK)
    with pytest.raises(ModelError, match=r"m: 503 busy \(after 4 attempts\)") as caught:
        run(retries.call(attempts(*[busy() for _ in range(4)])))
    assert (caught.value.fault, caught.value.status, retries.count) == (Fault.UNAVAILABLE, 503, 3)
    assert caught.value.retries == 3


def test_what_no_retry_mends_fails_at_once() -> None:
    retries = Retries(QUICK)
    rejected = Failure(Fault.REJECTED, "m: 400 bad", status=400)
    with pytest.raises(ModelError, match=r"^m: 400 bad$") as caught:
        run(retries.call(attempts(rejected)))
    assert caught.value.retries == 0
    with pytest.raises(ModelError, match=r"400 bad \(after 2 attempts\)") as caught:
        run(retries.call(attempts(busy(), rejected)))
    assert caught.value.fault is Fault.REJECTED and retries.count == caught.value.retries == 1


def test_other_errors_pass_unchanged() -> None:
    async def attempt() -> Reply:
        raise BudgetSpent("x")

    with pytest.raises(BudgetSpent):
        run(Retries(QUICK).call(attempt))


async def seconds_of(call: Awaitable[object]) -> float:
    start = now()
    await asyncio.gather(call, return_exceptions=True)
    return now() - start


def test_it_waits_as_long_as_the_provider_asks() -> None:
    waited = run(seconds_of(Retries(QUICK).call(attempts(busy(20.0), busy(), REPLY))))
    assert 20 <= waited < 20.01


def test_waits_are_bounded_in_total() -> None:
    retries = Retries(Patience(attempts=100, total_wait=60))
    assert run(seconds_of(retries.call(attempts(*[busy(7.0)] * 100)))) <= 60
    assert 4 <= retries.count <= 8


def test_a_wait_beyond_the_total_is_not_begun() -> None:
    retries = Retries(Patience(total_wait=60))
    assert run(seconds_of(retries.call(attempts(busy(3600), REPLY)))) == 0
    assert retries.count == 0


def test_waits_are_spread_and_bounded() -> None:
    patience = Patience(first_wait=1, longest_wait=10)
    for attempt, ceiling in ((1, 1), (2, 2), (3, 4), (5, 10), (50, 10)):
        waits = [patience.wait(attempt, None) for _ in range(200)]
        assert 0 <= min(waits) < ceiling / 4 and ceiling * 3 / 4 < max(waits) <= ceiling
    assert all(5 <= patience.wait(1, 5.0) <= 6 for _ in range(50))


# -- limits -----------------------------------------------------------------------------------------------------------


async def entered(limits: Limits, sizes: list[float], hold: float = 0.0) -> list[float]:
    """Seconds after which each of several attempts, started together in this order, got its slot."""
    start = now()
    times: list[float] = []

    async def attempt(tokens: float) -> None:
        async with limits.slot(tokens):
            times.append(now() - start)
            await asyncio.sleep(hold)

    await asyncio.gather(*map(attempt, sizes))
    return [round(seconds, 6) for seconds in times]


ENTERED: dict[str, tuple[Limits, list[float], float, list[float]]] = {
    "no limits": (Limits(), [1e9] * 4, 1, [0, 0, 0, 0]),
    "concurrency": (Limits(concurrency=2), [0] * 5, 1, [0, 0, 1, 1, 2]),
    "one second's allowance and one go at once": (
        Limits(requests_per_minute=180),
        [0] * 6,
        9,
        [0] * 4 + [1 / 3, 2 / 3],
    ),
    "one a minute": (Limits(requests_per_minute=1), [0] * 3, 0, [0, 59, 119]),
    "tokens": (Limits(tokens_per_minute=60_000), [500] * 5, 0, [0, 0, 0, 0.5, 1]),
    "in order of arrival, large or small": (Limits(tokens_per_minute=60_000), [500, 9000, 10], 0, [0, 0, 8.5]),
    "larger than a minute's allowance": (Limits(tokens_per_minute=100), [10_000, 1], 0, [0, 5999]),
    "both": (Limits(requests_per_minute=60, tokens_per_minute=60_000), [3000] * 3, 0, [0, 2, 5]),
}


@pytest.mark.parametrize("name", ENTERED)
def test_slots(name: str) -> None:
    limits, sizes, hold, times = ENTERED[name]
    assert run(entered(limits, sizes, hold)) == pytest.approx(times, abs=1e-5)


def test_a_pause_earns_no_more_than_a_second() -> None:
    async def play() -> list[float]:
        limits = Limits(requests_per_minute=60)
        await entered(limits, [0])
        await asyncio.sleep(1000)
        return await entered(limits, [0] * 4)

    assert run(play()) == pytest.approx([0, 0, 1, 2])


@pytest.mark.parametrize(("correction", "wait"), [(0, 0.2), (-1200, 0), (-9999, 0), (100, 0.3)])
def test_corrected_estimates(correction: float, wait: float) -> None:
    async def play() -> list[float]:
        limits = Limits(tokens_per_minute=60_000)
        await entered(limits, [1200])
        limits.correct(correction)
        return await entered(limits, [1])

    assert run(play()) == pytest.approx([wait])


def test_what_running_turns_need_goes_before_what_new_ones_begin_with() -> None:
    async def play() -> list[str]:
        slots = Slots(1)
        order: list[str] = []

        async def ask(name: str, late: bool) -> None:
            await slots.take(late)
            order.append(name)
            await asyncio.sleep(1)
            slots.give()

        await asyncio.gather(ask("first", True), ask("new", True), ask("judge", False), ask("simulator", False))
        return order

    assert run(play()) == ["first", "judge", "simulator", "new"]


def test_who_gives_up_while_waiting_takes_no_slot_with_him() -> None:
    async def play() -> bool:
        slots = Slots(1)
        await slots.take()
        waiting = asyncio.create_task(slots.take())
        in_time = asyncio.create_task(slots.take())
        await asyncio.sleep(0)
        slots.give()
        waiting.cancel()  # it has been given the slot, and does not know yet
        await asyncio.wait([waiting, in_time], timeout=1)
        return in_time.done() and waiting.cancelled()

    assert run(play())


async def served(window: Window, requests: int, server: Callable[[int], Awaitable[bool]]) -> list[int]:
    """So many requests at once to a server that tells whether it bears it; the window's size after each answer."""
    sizes: list[int] = []
    in_flight = 0

    async def ask() -> None:
        nonlocal in_flight
        await window.take()
        in_flight += 1
        start = now()
        if await server(in_flight):
            window.answered("judge", now() - start)
        else:
            window.overloaded(None)
        in_flight -= 1
        window.give()
        sizes.append(window.size)

    await asyncio.gather(*(ask() for _ in range(requests)))
    return sizes


def test_a_window_doubles_with_each_round_as_long_as_the_server_bears_it() -> None:
    async def server(in_flight: int) -> bool:
        await asyncio.sleep(1)
        return True

    async def play() -> tuple[float, int]:
        window = Window(500)
        start = now()
        sizes = await served(window, 32 + 64 + 128 + 256 + 500, server)
        return now() - start, sizes[-1]

    assert run(play()) == (pytest.approx(5), 500)


def test_a_window_finds_what_an_overloaded_server_bears() -> None:
    async def server(in_flight: int) -> bool:
        await asyncio.sleep(1)
        return in_flight <= 50

    sizes = run(served(Window(500), 4000, server))
    assert min(sizes[400:]) >= 25 and max(sizes[400:]) <= 56


def test_a_window_does_not_open_while_answers_take_far_longer() -> None:
    async def server(in_flight: int) -> bool:
        await asyncio.sleep(max(1.0, in_flight / 40))
        return True

    sizes = run(served(Window(500), 4000, server))
    assert 60 <= sizes[-1] <= 250


def test_a_window_stays_where_it_is_when_fewer_are_asked() -> None:
    async def play() -> int:
        window = Window(500)
        for _ in range(100):
            await window.take()
            window.answered("judge", 1.0)
            window.give()
        return window.size

    assert run(play()) == 32


def test_while_a_server_asks_to_wait_nothing_new_goes() -> None:
    async def play() -> list[float]:
        window = Window(4)
        limits = Limits(window=window)
        await entered(limits, [0])
        window.overloaded(30.0)
        window.overloaded(20.0)
        assert window.size == 2  # once, as both were in flight together
        return await entered(limits, [0, 0, 0], hold=1)

    assert run(play()) == pytest.approx([30, 30, 31])


@pytest.mark.parametrize("wait", [3600.0, 1e300])
def test_a_server_is_believed_for_a_minute(wait: float) -> None:
    async def play() -> list[float]:
        window = Window(4)
        window.overloaded(wait)
        return await entered(Limits(window=window), [0])

    assert run(play()) == pytest.approx([60])


def test_a_server_that_has_nothing_left_is_let_alone() -> None:
    async def play() -> list[float]:
        window = Window(4)
        window.pause(5.0)
        window.pause(2.0)
        assert window.size == 4, "it did not say that it was too much"
        return await entered(Limits(window=window), [0, 0])

    assert run(play()) == pytest.approx([5, 5])


def test_a_role_lies_within_the_shared_limits() -> None:
    shared = Limits(concurrency=4)
    role, other = Limits(concurrency=2, within=shared), Limits(within=shared)

    async def play() -> list[list[float]]:
        return list(await asyncio.gather(entered(role, [0] * 4, hold=1), entered(other, [0] * 4, hold=1)))

    # while two of the role wait for its own places, the others have two of the shared four
    assert run(play()) == [[0, 0, 1, 1], [0, 0, 1, 1]]


def test_who_waits_for_its_own_rate_takes_no_shared_place() -> None:
    shared = Limits(concurrency=1)
    slow, quick = Limits(requests_per_minute=1, within=shared), Limits(within=shared)

    async def play() -> list[list[float]]:
        return list(await asyncio.gather(entered(slow, [0] * 2), entered(quick, [0] * 3, hold=1)))

    assert run(play()) == [[0, 59], [0, 1, 2]]


def test_slots_come_back_after_errors_and_cancellation() -> None:
    async def play() -> list[float]:
        limits = Limits(concurrency=1)
        with pytest.raises(ZeroDivisionError):
            async with limits.slot():
                raise ZeroDivisionError
        async with limits.slot():
            blocked = asyncio.create_task(entered(limits, [0]))
            await asyncio.sleep(1)
            blocked.cancel()
        return await entered(limits, [0])

    assert run(play()) == [0]


@pytest.mark.parametrize("value", [0, -1])
def test_limits_are_positive(value: int) -> None:
    with pytest.raises(UserError, match="concurrency"):
        Limits(concurrency=value)
    with pytest.raises(UserError, match="requests_per_minute"):
        Limits(requests_per_minute=value)
    with pytest.raises(UserError, match="tokens_per_minute"):
        Limits(tokens_per_minute=value)


# -- budget -----------------------------------------------------------------------------------------------------------


def call(budget: Budget, used: Usage, guess: Usage, role: Role = Role.CANDIDATE) -> None:
    """One admitted call."""

    async def play() -> None:
        async with budget.admit(role, guess):
            budget.add(used, role)

    run(play())


@pytest.mark.parametrize(
    ("budget", "calls"),
    [
        (Budget(), 50),
        (Budget(usd=1.0), 10),
        (Budget(usd=0.95), 9),
        (Budget(tokens=500), 5),
        (Budget(usd=1.0, tokens=300), 3),
        (Budget(usd=0.0), 0),
        (Budget(tokens=0), 0),
    ],
)
def test_calls_within_a_budget(budget: Budget, calls: int) -> None:
    used = Usage(prompt_tokens=90, cached_tokens=50, completion_tokens=10, reasoning_tokens=5, usd=0.0999)
    made = 0
    try:
        while made < 50:
            call(budget, used, used)
            made += 1
    except BudgetSpent as spent:
        assert "raise it" in str(spent)
    assert made == calls and budget.spent_tokens == 100 * calls


def test_a_roles_mean_replaces_the_guess() -> None:
    budget = Budget(tokens=1000)
    huge = Usage(prompt_tokens=900)
    call(budget, Usage(prompt_tokens=50), huge)
    for _ in range(18):  # the guess alone would end it after the third
        call(budget, Usage(prompt_tokens=50), huge)
    with pytest.raises(BudgetSpent):
        call(budget, Usage(), huge, Role.JUDGE)
    call(budget, Usage(prompt_tokens=50), huge)
    with pytest.raises(BudgetSpent):
        call(budget, Usage(prompt_tokens=50), huge)
    assert budget.spent_tokens == 1000


def test_a_resumed_run_has_spent_before() -> None:
    budget = Budget(usd=1.0)
    budget.add(Usage(usd=0.95))
    assert budget.spent_usd == 0.95
    with pytest.raises(BudgetSpent, match=r"0\.9500 of 1 USD"):
        call(budget, Usage(), Usage(usd=0.1))


@pytest.mark.parametrize(("used", "made"), [(100, 10), (50, 20), (10, 100)])
def test_calls_in_flight_hold_their_room_and_give_it_back(used: int, made: int) -> None:
    """All calls of a thousand start at once: the limit holds, and what came cheaper than expected is used, too."""
    budget = Budget(tokens=1000)
    in_flight = most = finished = 0

    async def one() -> None:
        nonlocal in_flight, most, finished
        async with budget.admit(Role.CANDIDATE, Usage(prompt_tokens=100)):
            in_flight += 1
            most = max(most, in_flight)
            await asyncio.sleep(0.001)
            in_flight -= 1
            budget.add(Usage(prompt_tokens=used), Role.CANDIDATE)
            finished += 1

    async def play() -> list[BaseException | None]:
        return await asyncio.gather(*(one() for _ in range(1000)), return_exceptions=True)

    errors = [error for error in run(play()) if error is not None]
    assert finished == made and budget.spent_tokens == 1000 and most <= 1000 // used
    assert len(errors) == 1000 - made and all(isinstance(error, BudgetSpent) for error in errors)


def test_a_failed_call_gives_its_room_back() -> None:
    budget = Budget(tokens=100)

    async def play() -> None:
        for _ in range(3):
            with pytest.raises(ModelError):
                async with budget.admit(Role.CANDIDATE, Usage(prompt_tokens=100)):
                    raise ModelError(Fault.UNAVAILABLE, "x")

    run(play())
    call(budget, Usage(prompt_tokens=100), Usage(prompt_tokens=100))


def test_budgets_are_not_negative() -> None:
    with pytest.raises(UserError, match=r"budget\.usd"):
        Budget(usd=-1.0)
    with pytest.raises(UserError, match=r"budget\.tokens"):
        Budget(tokens=-1)


# -- price ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("openai/gpt-4o-mini", Price(1.5e-7, 7.5e-8, 6e-7)),
        ("gpt-4o-mini", Price(1.5e-7, 7.5e-8, 6e-7)),
        ("openai/gpt-4", Price(3e-5, 3e-5, 6e-5)),  # none for cached tokens
        ("anthropic/claude-sonnet-4-5", Price(3e-6, 3e-7, 1.5e-5)),
        ("gemini/gemini-2.5-pro", Price(1.25e-6, 1.25e-7, 1e-5)),
        ("vertex_ai/gemini-2.5-pro", Price(1.25e-6, 1.25e-7, 1e-5)),
        ("hosted_vllm/gpt-4o-mini", None),  # somebody's own server, whatever the model's name
        ("openai/no-such-model", None),
        ("ollama/llama2", None),
        ("openai/sample_spec", None),
        ("openai", None),
        ("", None),
    ],
)
def test_prices(model: str, price: Price | None) -> None:
    assert price_of(model) == price


@pytest.mark.parametrize(
    ("usage", "price", "usd"),
    [
        (Usage(1000, 600, 100, 50), Price(2.0, 0.5, 3.0), 400 * 2.0 + 600 * 0.5 + 100 * 3.0),
        (Usage(1000, 0, 0), Price(2.0, 0.5, 3.0), 2000.0),
        (Usage(), Price(2.0, 0.5, 3.0), 0.0),
        (Usage(1000, 600, 100), FREE, 0.0),
        (Usage(1000, 600, 100), None, None),
    ],
)
def test_costs(usage: Usage, price: Price | None, usd: float | None) -> None:
    assert cost(usage, price) == usd
