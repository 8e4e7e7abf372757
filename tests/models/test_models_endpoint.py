"""An endpoint over the loopback: retries, limits, budget, price and preflight together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
import pytest
from scripted_provider import Answer, Provider, completion, error

from resample.models import endpoint as endpoints
from resample.models.budget import Budget
from resample.models.endpoint import Endpoint, preflight
from resample.models.limits import Limits, Window
from resample.models.openai_sdk import OpenAITransport
from resample.models.price import Price
from resample.models.retry import Patience
from resample.types import BudgetSpent, ChatModel, ChatRequest, Fault, ModelError, Role, Shared, UserError

T = TypeVar("T")

KEY = "s3cret-Key-0123456789-wxyz"
REQUEST = ChatRequest(Role.CANDIDATE, Shared(({"role": "user", "content": "hi"},)))
SCHEMA = {"name": "verdict", "schema": {"type": "object"}}
QUICK = Patience(attempts=4, first_wait=0.001)
BUSY = error(503, "busy")


def run(
    use: Callable[[Endpoint, Provider], Awaitable[T]],
    *answers: Answer,
    transport: dict[str, Any] | None = None,
    **options: Any,
) -> T:
    """Use an endpoint of a provider that answers as told."""

    async def play() -> T:
        async with Provider(answers) as provider:
            options.setdefault("patience", QUICK)
            given = {"base_url": provider.url, "api_key": KEY, "key_name": "MY_KEY"} | (transport or {})
            endpoint = Endpoint(OpenAITransport("gpt-x", **given), **options)
            assert isinstance(endpoint, ChatModel)
            try:
                return await use(endpoint, provider)
            finally:
                await endpoint.close()

    return asyncio.run(play())


def test_a_reply_is_priced_timed_and_counted() -> None:
    async def use(endpoint: Endpoint, provider: Provider) -> None:
        reply = await endpoint.complete(REQUEST)
        assert reply.message == {"role": "assistant", "content": "ready"}
        assert reply.usage.usd == 40 * 2.0 + 60 * 0.5 + 10 * 3.0
        assert 0.05 <= reply.seconds < 1
        assert (reply.retries, endpoint.retries.count) == (2, 2)
        assert (await endpoint.complete(REQUEST)).retries == 0
        assert endpoint.models == {"gpt-x-2026-01-01": 2}

    run(use, BUSY, Answer(drop=True), Answer(delay=0.05), price=Price(2.0, 0.5, 3.0))


RETRIED: dict[str, tuple[Answer, Fault]] = {
    "408": (error(408, "x"), Fault.UNAVAILABLE),
    "409": (error(409, "x"), Fault.UNAVAILABLE),
    "429": (error(429, "x", headers={"retry-after-ms": "5"}), Fault.UNAVAILABLE),
    "500": (error(500, "x"), Fault.UNAVAILABLE),
    "529": (error(529, "x"), Fault.UNAVAILABLE),
    "hung up": (Answer(drop=True), Fault.UNAVAILABLE),
    "cut": (Answer(completion("x" * 9000), cut=True), Fault.UNAVAILABLE),
    "late": (Answer(delay=1.0), Fault.UNAVAILABLE),
    "no JSON": (Answer(b'{"choices": [{"mess'), Fault.REJECTED),
    "too deep": (Answer(b"[" * 100_000), Fault.REJECTED),
    "error in a 200": (Answer({"error": {"message": "x"}}), Fault.REJECTED),
}


@pytest.mark.parametrize("name", RETRIED)
def test_what_is_tried_again(name: str) -> None:
    answer, fault = RETRIED[name]
    timeout = {"timeout": 0.4 if name == "late" else 5}

    async def recovers(endpoint: Endpoint, provider: Provider) -> None:
        reply = await endpoint.complete(REQUEST)
        assert (reply.retries, len(provider.asked)) == (1, 2)
        assert provider.asked[0].raw == provider.asked[1].raw

    async def stays(endpoint: Endpoint, provider: Provider) -> None:
        with pytest.raises(ModelError, match=r"\(after 2 attempts\)") as caught:
            await endpoint.complete(REQUEST)
        assert caught.value.fault is fault and KEY not in str(caught.value) and caught.value.retries == 1
        assert (endpoint.retries.count, len(provider.asked)) == (1, 2)

    run(recovers, answer, Answer(), transport=timeout)
    run(stays, answer, transport=timeout, patience=Patience(attempts=2, first_wait=0.001))


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (error(400, "bad"), Fault.REJECTED),
        (error(400, "prompt is too long"), Fault.CONTEXT),
        (error(400, "x", code="content_filter"), Fault.REFUSED),
        (error(401, f"bad key {KEY}"), Fault.ACCESS),
        (error(403, "x"), Fault.ACCESS),
        (error(404, "x"), Fault.ACCESS),
        (error(422, "x"), Fault.REJECTED),
        (error(429, "x", code="insufficient_quota"), Fault.ACCESS),
    ],
)
def test_what_fails_at_once(answer: Answer, fault: Fault) -> None:
    async def use(endpoint: Endpoint, provider: Provider) -> None:
        with pytest.raises(ModelError) as caught:
            await endpoint.complete(REQUEST)
        assert (caught.value.fault, caught.value.status) == (fault, answer.status)
        assert KEY not in str(caught.value) and len(provider.asked) == 1

    run(use, answer)


def test_waiting_for_another_attempt_holds_no_slot() -> None:
    async def use(endpoint: Endpoint, provider: Provider) -> None:
        first = asyncio.create_task(endpoint.complete(REQUEST))
        await asyncio.sleep(0.05)
        await endpoint.complete(REQUEST)
        assert not first.done()
        assert (await first).retries == 1

    answers = error(429, "x", headers={"retry-after-ms": "400"}), Answer()
    run(use, *answers, limits=Limits(concurrency=1))


def test_concurrency_reaches_the_provider() -> None:
    async def use(endpoint: Endpoint, provider: Provider) -> int:
        await asyncio.gather(*(endpoint.complete(REQUEST) for _ in range(12)))
        return provider.most_in_flight

    assert run(use, Answer(delay=0.02), limits=Limits(concurrency=3)) == 3


def test_token_limits_learn_what_was_used() -> None:
    """Each request is expected to use some 500 tokens and uses 110: else nine would take over three seconds."""

    async def use(endpoint: Endpoint, provider: Provider) -> float:
        start = time.monotonic()
        for _ in range(9):
            await endpoint.complete(REQUEST)
        return time.monotonic() - start

    assert run(use, limits=Limits(tokens_per_minute=60_000)) < 2


def test_a_budget_ends_a_run() -> None:
    async def use(endpoint: Endpoint, provider: Provider) -> None:
        for _ in range(10):
            await endpoint.complete(REQUEST)
        with pytest.raises(BudgetSpent, match=r"budget\.tokens: 1100 of 1150"):
            await endpoint.complete(REQUEST)
        assert len(provider.asked) == 10

    run(use, budget=Budget(tokens=1150), transport={"params": {"max_tokens": 16}})


UNREPORTED: dict[str, Any] = {
    "none": None,
    "zeros": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    "beyond all numbers": {"prompt_tokens": 2**60, "completion_tokens": 1e300},
    "negative": {"prompt_tokens": -1, "completion_tokens": -1},
}


@pytest.mark.parametrize("name", UNREPORTED)
def test_usage_that_is_not_reported_is_estimated(name: str) -> None:
    prompt = {"role": "user", "content": "x" * 4000}
    request = ChatRequest(Role.CANDIDATE, Shared((prompt,)))
    message = {"role": "assistant", "content": "y" * 400}
    expected = len(orjson.dumps(prompt)) // 4, len(orjson.dumps(message)) // 4

    async def use(endpoint: Endpoint, provider: Provider) -> None:
        usage = (await endpoint.complete(request)).usage
        assert usage.estimated and (usage.prompt_tokens, usage.completion_tokens) == expected
        assert usage.usd == expected[0] * 2.0 + expected[1] * 3.0
        assert (endpoint.budget.spent_tokens, endpoint.budget.spent_usd) == (sum(expected), usage.usd)
        with pytest.raises(BudgetSpent):
            await endpoint.complete(request)

    answer = Answer(completion("y" * 400) | {"usage": UNREPORTED[name]})
    run(use, answer, price=Price(2.0, 0.5, 3.0), budget=Budget(usd=1e6, tokens=2000))


def test_of_usage_only_what_is_missing_is_estimated() -> None:
    async def use(endpoint: Endpoint, provider: Provider) -> None:
        usage = (await endpoint.complete(REQUEST)).usage
        assert usage.estimated and usage.prompt_tokens == 77 and usage.completion_tokens > 0
        assert not (await endpoint.complete(REQUEST)).usage.estimated

    run(use, Answer(completion() | {"usage": {"prompt_tokens": 77}}), Answer())


def test_a_budget_in_usd_needs_a_price() -> None:
    transport = OpenAITransport("gpt-x", base_url="http://h/v1")
    with pytest.raises(UserError, match="no price is known for openai/gpt-x at http://h/v1"):
        Endpoint(transport, budget=Budget(usd=1.0))


# -- preflight --------------------------------------------------------------------------------------------------------


def test_preflight_asks_one_small_question() -> None:
    async def use(endpoint: Endpoint, provider: Provider) -> None:
        reply = await preflight(endpoint, Role.CANDIDATE)
        assert reply.usage.usd == 40 * 2.0 + 60 * 0.5 + 10 * 3.0
        (asked,) = provider.asked
        assert asked.body["messages"] == [{"role": "user", "content": "Reply with the word ready."}]
        assert "response_format" not in asked.body

    run(use, price=Price(2.0, 0.5, 3.0))


def test_preflight_is_spent_but_no_measure_of_the_calls_to_come() -> None:
    async def use(endpoint: Endpoint, provider: Provider) -> None:
        await preflight(endpoint, Role.CANDIDATE)
        assert endpoint.budget.spent_tokens == 110
        with pytest.raises(BudgetSpent):
            await endpoint.complete(ChatRequest(Role.CANDIDATE, Shared(({"role": "user", "content": "x" * 4000},))))

    run(use, budget=Budget(tokens=1000))


FAILED: list[tuple[Role, dict[str, Any], Answer, str]] = [
    (Role.CANDIDATE, {}, error(401, f"wrong key {KEY}"), "401 wrong key [redacted]: check MY_KEY"),
    (Role.JUDGE, {"api_key": None, "key_name": None}, error(401, "key?"), "401 key?: set judge.api_key_env"),
    (Role.JUDGE, {}, error(404, "no model"), "404 no model: check judge.model and judge.base_url"),
    (Role.SIMULATOR, {}, error(400, "odd"), "400 odd: check simulator.model and simulator.params"),
    (
        Role.CANDIDATE,
        {},
        Answer(b"", 307, {"Location": "/v2"}),
        "307 redirects to /v2, which is not followed: check candidate.base_url",
    ),
    (Role.CANDIDATE, {}, BUSY, "503 busy (after 2 attempts): check candidate.base_url and the network"),
]


@pytest.mark.parametrize(("role", "transport", "answer", "text"), FAILED)
def test_preflight_says_what_to_check(role: Role, transport: dict[str, Any], answer: Answer, text: str) -> None:
    async def use(endpoint: Endpoint, provider: Provider) -> None:
        with pytest.raises(UserError) as caught:
            await preflight(endpoint, role)
        assert str(caught.value) == f"{role}: openai/gpt-x at {provider.url}: {text}"
        assert len(provider.asked) <= 2

    run(use, answer, transport=transport, patience=Patience())


def test_preflight_of_an_address_where_nobody_listens_takes_seconds() -> None:
    async def use(endpoint: Endpoint, provider: Provider) -> None:
        with pytest.raises(
            UserError, match=r"Cannot connect to host 127.0.0.1:9 \[.*check candidate\.base_url"
        ) as caught:
            await preflight(endpoint, Role.CANDIDATE)
        assert "ssl" not in str(caught.value) and "\n" not in str(caught.value)

    start = time.monotonic()
    run(use, transport={"base_url": "http://127.0.0.1:9/v1"}, patience=Patience())
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("role", [Role.CANDIDATE, Role.JUDGE])
@pytest.mark.parametrize("first", ["silent", "busy"])
def test_preflight_of_a_server_that_never_answers_takes_its_time_once(
    role: Role, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "PREFLIGHT_SECONDS", 0.3)
    silent = Answer(delay=30)

    async def use(endpoint: Endpoint, provider: Provider) -> None:
        with pytest.raises(UserError, match=r"no answer within 0\.3 s") as caught:
            await preflight(endpoint, role)
        assert str(caught.value).endswith(f"check {role}.base_url and the network")
        assert len(provider.asked) == (1 if first == "silent" else 2)

    start = time.monotonic()
    busy = error(503, "busy", headers={"retry-after-ms": "1"})
    run(use, *([silent] if first == "silent" else [busy, silent]), patience=Patience())
    assert time.monotonic() - start < 3


def test_a_server_that_has_too_much_is_asked_less() -> None:
    window = Window(8)

    async def use(endpoint: Endpoint, provider: Provider) -> None:
        await endpoint.complete(REQUEST)
        assert (window.size, len(provider.asked)) == (4, 2)

    run(use, error(429, "slow"), Answer(), limits=Limits(window=window))


def test_other_failures_say_nothing_of_how_much_a_server_bears() -> None:
    window = Window(8)

    async def use(endpoint: Endpoint, provider: Provider) -> None:
        await endpoint.complete(REQUEST)
        assert (window.size, len(provider.asked)) == (8, 2)

    run(use, error(500, "oops"), Answer(), limits=Limits(window=window))


def test_a_reply_may_say_that_nothing_is_left() -> None:
    spent = Answer(headers={"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "300ms"})

    async def use(endpoint: Endpoint, provider: Provider) -> None:
        await endpoint.complete(REQUEST)
        start = time.perf_counter()
        await endpoint.complete(REQUEST)
        assert time.perf_counter() - start >= 0.25

    run(use, spent, Answer(), limits=Limits(window=Window(8)))


def test_preflight_does_not_count_the_waits_for_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "PREFLIGHT_SECONDS", 1.0)

    async def use(endpoint: Endpoint, provider: Provider) -> None:
        for _ in range(4):
            await preflight(endpoint, Role.CANDIDATE)

    run(use, limits=Limits(requests_per_minute=60))


def test_preflight_says_it_in_one_line() -> None:
    async def use(endpoint: Endpoint, provider: Provider) -> None:
        endpoint.transport.name = "openai/two\nlines"
        with pytest.raises(UserError) as caught:
            await preflight(endpoint, Role.CANDIDATE)
        assert "\n" not in str(caught.value)

    run(use, error(400, "one\r\ntwo"))


@pytest.mark.parametrize(
    "message",
    [
        "response_format is not supported",
        "Unsupported: json_schema",
        "grammar: schema too complex",
        "no structured outputs",
    ],
)
def test_a_judge_without_schemas_goes_on_without(message: str) -> None:
    async def use(endpoint: Endpoint, provider: Provider) -> None:
        await preflight(endpoint, Role.JUDGE)
        assert not endpoint.structured
        await endpoint.complete(ChatRequest(Role.JUDGE, REQUEST.prefix, schema=SCHEMA))
        assert ["response_format" in asked.body for asked in provider.asked] == [True, False, False]

    run(use, error(400, message), Answer())


def test_a_judge_with_schemas_keeps_them() -> None:
    async def use(endpoint: Endpoint, provider: Provider) -> None:
        await preflight(endpoint, Role.JUDGE)
        await endpoint.complete(ChatRequest(Role.JUDGE, REQUEST.prefix, schema=SCHEMA))
        assert endpoint.structured
        formats = [asked.body["response_format"]["json_schema"]["name"] for asked in provider.asked]
        assert formats == ["ready", "verdict"]

    run(use)


def test_a_judge_that_also_fails_without_schemas_fails() -> None:
    async def use(endpoint: Endpoint, provider: Provider) -> None:
        with pytest.raises(UserError, match=r"judge: .*400 bad"):
            await preflight(endpoint, Role.JUDGE)
        assert len(provider.asked) == 2

    run(use, error(400, "no json_schema"), error(400, "bad"))
