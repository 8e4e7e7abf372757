"""The openai SDK against a provider that answers as told: one attempt, one reply or one failure."""

from __future__ import annotations

import asyncio
import gzip
import traceback
from typing import Any

import orjson
import pytest
from scripted_provider import Answer, Asked, Provider, completion, error

from resample.models import openai_sdk
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


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_goes_nowhere(status: int) -> None:
    async def play() -> tuple[Failure, str]:
        async with Provider() as other, Provider([Answer(b"", status, {"Location": other.url})]) as provider:
            transport = OpenAITransport("gpt-x", base_url=provider.url, api_key=KEY, headers={"X-Gateway": KEY})
            with pytest.raises(Failure) as caught:
                await transport.send(REQUEST)
            await transport.close()
            assert (len(provider.asked), len(other.asked)) == (1, 0)
            return caught.value, other.url

    failure, url = asyncio.run(play())
    assert (failure.fault, failure.retryable, failure.status) == (Fault.ACCESS, False, status)
    assert str(failure).endswith(f": {status} redirects to {url}, which is not followed")


def test_headers_are_secret_whatever_their_names() -> None:
    ([failure], _) = send(error(400, f"gateway says {KEY[2:20]} is odd"), headers={"X-Gateway": KEY})
    assert str(failure).endswith("400 gateway says [redacted] is odd")


COMPRESSED = {"Content-Encoding": "gzip"}
LARGE: dict[str, tuple[Answer, bool]] = {
    "plain": (Answer(completion("x" * 20_000)), False),
    "compressed": (Answer(gzip.compress(orjson.dumps(completion("x" * 20_000))), headers=COMPRESSED), False),
    "small": (Answer(completion("x" * 5_000)), True),
    "small and compressed": (Answer(gzip.compress(orjson.dumps(completion("x" * 5_000))), headers=COMPRESSED), True),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_reply_may_not_be_too_large(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_sdk, "REPLY_BYTES", 2**14)
    answer, fits = LARGE[name]
    ([reply], _) = send(answer)
    assert isinstance(reply, Reply) is fits
    if isinstance(reply, Failure):
        assert (reply.fault, reply.retryable) == (Fault.REJECTED, True)
        assert str(reply).endswith(": the reply is larger than 0.015625 MiB")


def test_of_an_error_so_much_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_sdk, "ERROR_BYTES", 100)
    ([failure], _) = send(Answer(b"busy " * 1_000_000, 503))
    assert isinstance(failure, Failure) and (failure.fault, failure.status) == (Fault.UNAVAILABLE, 503)


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY", "http_proxy"])
@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:9", "foo://bob:hunter2@h:1"])
def test_a_proxy_is_for_other_machines(variable: str, proxy: str, no_proxies: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        async with Provider() as recorder, Provider() as provider:
            no_proxies.setenv(variable, proxy or recorder.url.removesuffix("/v1"))
            for url in (provider.url, provider.url.replace("127.0.0.1", "localhost")):
                transport = OpenAITransport("gpt-x", base_url=url)
                await transport.send(REQUEST)
                await transport.close()
            assert (len(recorder.asked), len(provider.asked)) == (0, 2)

    asyncio.run(play())


def test_other_machines_are_asked_through_the_proxy(no_proxies: pytest.MonkeyPatch) -> None:
    async def play() -> str:
        async with Provider() as recorder:
            no_proxies.setenv("HTTP_PROXY", recorder.url.removesuffix("/v1"))
            transport = OpenAITransport("gpt-x", base_url="http://model.invalid/v1")
            await transport.send(REQUEST)
            await transport.close()
            return recorder.asked[0].headers["Host"]

    assert asyncio.run(play()) == "model.invalid"


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("SSL_CERT_FILE", "/nonexistent", "no certificates: No such file or directory: check SSL_CERT_FILE"),
        ("SSL_CERT_FILE", __file__, "no certificates: .*: check SSL_CERT_FILE"),
        ("HTTP_PROXY", "foo://bob:hunter2@h:1", "and ALL_PROXY holds no address"),
        ("HTTP_PROXY", "http://bob:hunter2/x@h:1", "and ALL_PROXY holds no address"),
        ("ALL_PROXY", "http://bob:hunter2@h:99999", "and ALL_PROXY holds no address"),
    ],
)
def test_an_environment_that_allows_no_connections(
    variable: str, value: str, text: str, no_proxies: pytest.MonkeyPatch
) -> None:
    no_proxies.setenv(variable, value)

    async def play() -> UserError:
        transport = OpenAITransport("gpt-x", base_url="http://model.invalid/v1")
        with pytest.raises(UserError, match=rf"^openai/gpt-x at http://model\.invalid/v1: .*{text}") as caught:
            await transport.send(REQUEST)
        await transport.close()
        return caught.value

    shown = "".join(traceback.format_exception(asyncio.run(play())))
    assert "hunter2" not in shown.replace(str(value), "")


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
        ({"base_url": f"bob:{KEY}@h/v1"}, "base_url"),
        ({"base_url": "http://h/v1", "params": {"stream": True}}, "params.stream"),
        ({"base_url": "http://h/v1", "api_key": f"{KEY}\n", "key_name": "MY_KEY"}, "MY_KEY: holds a line break"),
        ({"base_url": "http://h/v1", "headers": {"X-Gateway": f"{KEY}…"}}, "X-Gateway: holds a line break"),
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
