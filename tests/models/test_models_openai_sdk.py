"""The openai SDK against a provider that answers as told: one attempt, one reply or one failure."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import orjson
import pytest
from scripted_provider import Answer, Asked, Provider, completion, error

from resample.models.failures import Failure
from resample.models.openai_sdk import OpenAITransport
from resample.types import ChatRequest, Fault, Reply, Role, Shared, Usage, UserError

KEY = "s3cret-Key-0123456789-wxyz"
REQUEST = ChatRequest(Role.CANDIDATE, Shared(({"role": "user", "content": "grüß Gott"},)), seed=3)
CALL = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"a": 1,} \t'}}


def send(*answers: Answer, times: int = 1, **options: Any) -> tuple[list[Reply | Failure], list[Asked]]:
    """What each of `times` attempts in a row gave, and what the provider was asked."""

    async def play() -> tuple[list[Reply | Failure], list[Asked]]:
        async with Provider(answers) as provider:
            options.setdefault("base_url", provider.url)
            transport = OpenAITransport("gpt-x", **options)
            results: list[Reply | Failure] = []
            for _ in range(times):
                try:
                    results.append(await transport.send(REQUEST))
                except Failure as failure:
                    results.append(failure)
            await transport.close()
            return results, provider.asked

    return asyncio.run(play())


def test_bytes_go_out_and_come_back_unchanged() -> None:
    raw = orjson.dumps(completion(None, tool_calls=[CALL]))
    ([reply], [asked]) = send(Answer(raw), api_key=KEY, params={"temperature": 0}, headers={"X-Tag": "t"})
    assert isinstance(reply, Reply)
    assert reply.raw == raw
    assert reply.message == {"role": "assistant", "content": None, "tool_calls": [CALL]}
    assert reply.usage == Usage(100, 60, 10, 4)
    prefix = REQUEST.prefix.wire.decode()
    assert asked.raw.decode() == f'{{"model":"gpt-x","messages":[{prefix}],"seed":3,"temperature":0}}'
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["Content-Type"] == "application/json" and asked.headers["X-Tag"] == "t"


def test_a_server_of_the_users_own_sees_nothing_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ADMIN_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Gateway: {KEY}\nX-Tag: environment")
    (_, [asked]) = send(headers={"X-Tag": "config"})
    assert "Authorization" not in asked.headers and asked.headers["X-Tag"] == "config"
    assert not any("secret" in value or KEY in value for value in asked.headers.values())


def test_the_default_server_gets_what_the_sdk_sends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> Asked:
        async with Provider() as provider:
            monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
            monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
            transport = OpenAITransport("gpt-x", api_key=KEY)
            assert transport.name == f"openai/gpt-x at {provider.url}" and transport.key_name == "OPENAI_API_KEY"
            await transport.send(REQUEST)
            await transport.close()
            return provider.asked[0]

    asked = asyncio.run(play())
    assert (asked.headers["Authorization"], asked.headers["OpenAI-Organization"]) == (f"Bearer {KEY}", "org-1")


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_the_users_authorization_stands_alone(name: str) -> None:
    (_, [asked]) = send(headers={name: "Basic abc"})
    assert [v for k, v in asked.headers.items() if k.lower() == "authorization"] == ["Basic abc"]


FAULTS: dict[str, tuple[Answer, Fault, bool, str]] = {
    "400": (error(400, "bad"), Fault.REJECTED, False, "400 bad"),
    "401": (error(401, f"wrong key {KEY}"), Fault.ACCESS, False, "401 wrong key [redacted]"),
    "404": (error(404, "no such model"), Fault.ACCESS, False, "404 no such model"),
    "context": (error(400, "prompt is too long: 9 > 8"), Fault.CONTEXT, False, "400 prompt is too long"),
    "filter": (error(400, "no", code="content_filter"), Fault.REFUSED, False, "400 no"),
    "429": (error(429, "slow", headers={"Retry-After": "7"}), Fault.UNAVAILABLE, True, "429 slow"),
    "500": (Answer(b"oops", 500), Fault.UNAVAILABLE, True, "500 oops"),
    "no JSON": (Answer(orjson.dumps(completion())[:-9]), Fault.REJECTED, True, "no JSON"),
    "error in a 200": (error(200, "boo", code=502), Fault.UNAVAILABLE, True, "502 boo"),
    "hung up": (Answer(drop=True), Fault.UNAVAILABLE, True, "Server disconnected"),
    "cut": (Answer(completion("x" * 9000), cut=True), Fault.UNAVAILABLE, True, "not completed"),
    "late": (Answer(delay=1.0), Fault.UNAVAILABLE, True, "0.2 s"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(name: str) -> None:
    answer, fault, retryable, text = FAULTS[name]
    ([failure], asked) = send(answer, api_key=KEY, timeout=0.2 if name == "late" else 5)
    assert isinstance(failure, Failure)
    assert (failure.fault, failure.retryable) == (fault, retryable)
    assert text in str(failure) and str(failure).startswith("openai/gpt-x at http://127.0.0.1:")
    assert failure.retry_after == (7 if name == "429" else None)
    assert len(asked) == 1
    shown = "".join(traceback.format_exception(failure)) + repr(failure)
    assert KEY not in shown and failure.__context__ is None


def test_an_address_where_nobody_listens() -> None:
    ([failure], _) = send(base_url="http://127.0.0.1:9/v1")
    assert isinstance(failure, Failure) and failure.fault is Fault.UNAVAILABLE
    assert "openai/gpt-x at http://127.0.0.1:9/v1: Cannot connect" in str(failure)


def test_a_connection_the_server_closed_is_not_used_again() -> None:
    async def play() -> int:
        async with Provider([Answer(then_close=True)]) as provider:
            transport = OpenAITransport("gpt-x", base_url=provider.url)
            for _ in range(3):
                await transport.send(REQUEST)
                await asyncio.sleep(0.06)
            await transport.close()
            return len(provider.asked)

    assert asyncio.run(play()) == 3


def test_connections_are_kept_and_a_closed_transport_opens_again() -> None:
    async def play() -> None:
        async with Provider() as provider:
            transport = OpenAITransport("gpt-x", base_url=provider.url, pool=64)
            await asyncio.gather(*(transport.send(REQUEST) for _ in range(64)))
            await transport.close()
            await transport.send(REQUEST)
            await transport.close()
            await transport.close()
            assert len(provider.asked) == 65

    asyncio.run(play())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "OPENAI_API_KEY: not set"),
        ({"base_url": "localhost:8000/v1"}, "base_url"),
        ({"base_url": f"ftp://u:{KEY}@h/v1"}, "base_url"),
        ({"base_url": "http://h/v1", "params": {"stream": True}}, "params.stream"),
    ],
)
def test_what_cannot_work_is_said_at_once(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError, match=text) as caught:
        OpenAITransport("gpt-x", **options)
    assert KEY not in str(caught.value)


def test_no_key_in_a_repr() -> None:
    transport = OpenAITransport("gpt-x", api_key=KEY, headers={"X-Api-Key": KEY}, base_url=f"http://u:{KEY}@h/v1")
    assert KEY not in repr(transport)
    assert transport.name == "openai/gpt-x at http://h/v1"
