"""litellm against a provider that answers as told, held against the openai SDK; and litellm without a network."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import traceback
from dataclasses import replace
from typing import Any

import orjson
import pytest
from scripted_provider import Answer, Asked, Provider, completion, error

from resample.models.failures import Failure
from resample.models.litellm_sdk import LiteLLMTransport, check_provider
from resample.models.openai_sdk import OpenAITransport
from resample.types import ChatRequest, Fault, Reply, Role, Shared, Usage, UserError

KEY = "s3cret-Key-0123456789-wxyz"
CALL = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"a": 1,} \t'}}
PREFIX = Shared(({"role": "system", "content": "Be brief."}, {"role": "user", "content": "ls"}))
TAIL = (
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "x.txt"},
)
TOOLS = Shared(({"type": "function", "function": {"name": "ls", "parameters": {"type": "object", "properties": {}}}},))
REQUEST = ChatRequest(Role.CANDIDATE, PREFIX, TAIL, TOOLS, seed=3)


def send(model: str, answer: Answer, **options: Any) -> tuple[Reply | Failure, list[Asked]]:
    """What an attempt gave, and what the provider was asked."""

    async def play() -> tuple[Reply | Failure, list[Asked]]:
        async with Provider([answer]) as provider:
            options.setdefault("base_url", provider.url)
            provider_name, _, name = model.partition("/")
            openai = provider_name == "sdk"
            transport = OpenAITransport(name, **options) if openai else LiteLLMTransport(model, **options)
            try:
                return await transport.send(REQUEST), provider.asked
            except Failure as failure:
                return failure, provider.asked
            finally:
                await transport.close()

    return asyncio.run(play())


def without_nulls(value: Any) -> Any:
    """litellm leaves out null contents."""
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return value


REPLIES: dict[str, dict[str, Any]] = {
    "text": completion("hi"),
    "calls": completion(None, tool_calls=[CALL, CALL | {"id": "c2"}]),
    "a call without an id": completion(None, tool_calls=[CALL | {"id": ""}]),
    "reasoning": completion("hi", reasoning_content="hm"),
    "refusal": completion(None, refusal="I cannot"),
    "cut off": completion("hi") | {"choices": [completion()["choices"][0] | {"finish_reason": "length"}]},
    "filtered": completion("hi") | {"choices": [completion()["choices"][0] | {"finish_reason": "content_filter"}]},
}


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm"])
@pytest.mark.parametrize("name", REPLIES)
def test_replies_equal_those_of_the_openai_sdk(provider: str, name: str) -> None:
    options: dict[str, Any] = {"api_key": KEY, "params": {"temperature": 0}, "headers": {"X-Tag": "t"}}
    theirs, (asked,) = send(f"{provider}/gpt-x", Answer(REPLIES[name]), **options)
    ours, (expected,) = send("sdk/gpt-x", Answer(REPLIES[name]), **options)
    assert isinstance(theirs, Reply) and isinstance(ours, Reply)
    assert replace(theirs, raw=b"") == replace(ours, raw=b"")
    assert without_nulls(asked.body) == without_nulls(expected.body)
    assert asked.headers["Authorization"] == f"Bearer {KEY}" and asked.headers["X-Tag"] == "t"


FAULTS: dict[str, tuple[Answer, Fault, bool]] = {
    "400": (error(400, "bad"), Fault.REJECTED, False),
    "401": (error(401, f"wrong key {KEY}"), Fault.ACCESS, False),
    "404": (error(404, "no such model"), Fault.ACCESS, False),
    "context": (error(400, "This model's maximum context length is 8"), Fault.CONTEXT, False),
    "filter": (error(400, "flagged as potentially violating our usage policy"), Fault.REFUSED, False),
    "429": (error(429, "slow", headers={"Retry-After": "7"}), Fault.UNAVAILABLE, True),
    "500": (Answer(b"oops", 500), Fault.UNAVAILABLE, True),
    "503": (error(503, "busy"), Fault.UNAVAILABLE, True),
    "no JSON": (Answer(b'{"choices": [{'), Fault.REJECTED, True),
    "no choices": (Answer({"choices": []}), Fault.REJECTED, True),
    "hung up": (Answer(drop=True), Fault.UNAVAILABLE, True),
    "late": (Answer(delay=1.0), Fault.UNAVAILABLE, True),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    answer, fault, retryable = FAULTS[name]
    failure, asked = send("hosted_vllm/gpt-x", answer, api_key=KEY, timeout=0.2 if name == "late" else 5)
    assert isinstance(failure, Failure)
    assert (failure.fault, failure.retryable) == (fault, retryable), str(failure)
    assert str(failure).startswith("hosted_vllm/gpt-x at http://127.0.0.1:") and "litellm." not in str(failure)
    assert failure.retry_after == (7 if name == "429" else None)
    assert len(asked) == 1
    shown = "".join(traceback.format_exception(failure)) + repr(failure)
    assert KEY not in shown and failure.__context__ is None
    assert capfd.readouterr() == ("", "")


def test_a_server_of_the_users_own_gets_no_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "HOSTED_VLLM_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, KEY)
    for model in ("openai/gpt-x", "hosted_vllm/gpt-x"):
        reply, (asked,) = send(model, Answer())
        assert isinstance(reply, Reply)
        assert not any(KEY in value for value in asked.headers.values())


def test_secrets_of_the_environment_do_not_come_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PROVIDER_API_KEY", KEY)
    failure, _ = send("hosted_vllm/gpt-x", error(400, f"header {KEY[2:20]} is odd"))
    assert str(failure).endswith("400 header [redacted] is odd")


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm"])
def test_headers_are_secret_whatever_their_names(provider: str) -> None:
    failure, _ = send(f"{provider}/gpt-x", error(400, f"header {KEY[2:20]} is odd"), headers={"X-Gateway": KEY})
    assert "header [redacted] is odd" in str(failure)


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm", "deepseek"])
@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_goes_nowhere(provider: str, status: int) -> None:
    async def play() -> None:
        async with Provider() as other:
            moved = Answer(b"", status, {"Location": other.url})
            async with Provider([moved]) as first:
                transport = LiteLLMTransport(f"{provider}/gpt-x", base_url=first.url, api_key=KEY)
                with pytest.raises(Failure, match=f"{status} redirects to {other.url}, which is not") as caught:
                    await transport.send(REQUEST)
                await transport.close()
                assert (caught.value.fault, caught.value.retryable) == (Fault.ACCESS, False)
                assert (len(first.asked), len(other.asked)) == (1, 0)

    asyncio.run(play())


@pytest.mark.parametrize("depth", [300, 3000, 100_000])
@pytest.mark.parametrize("provider", ["openai", "hosted_vllm"])
def test_a_deep_reply_is_read_or_a_failure(provider: str, depth: int) -> None:
    deep = orjson.dumps(completion())[:-1] + b',"extra":' + b"[" * depth + b"]" * depth + b"}"
    reply, _ = send(f"{provider}/gpt-x", Answer(deep))
    assert isinstance(reply, Reply) if depth == 300 else isinstance(reply, Failure) and reply.retryable


@pytest.mark.parametrize(
    "usage", [None, {"prompt_tokens": 0, "completion_tokens": 0}, {"prompt_tokens": 2**60, "completion_tokens": -1}]
)
def test_usage_that_is_not_reported_is_marked(usage: Any) -> None:
    reply, _ = send("hosted_vllm/gpt-x", Answer(completion() | {"usage": usage and {"total_tokens": 0} | usage}))
    assert isinstance(reply, Reply) and reply.usage == Usage(estimated=True)


def test_shared_clients_outlive_the_first_transport_to_close() -> None:
    async def play() -> None:
        async with Provider() as provider:
            first, second = (LiteLLMTransport("hosted_vllm/gpt-x", base_url=provider.url) for _ in range(2))
            await first.send(REQUEST)
            await second.send(REQUEST)
            await first.close()
            await second.send(REQUEST)
            await second.close()
            assert len(provider.asked) == 3

    asyncio.run(play())


PROVIDERS: list[tuple[str, dict[str, str], str]] = [
    ("anthropic/claude-x", {"ANTHROPIC_API_KEY": "k"}, "anthropic"),
    ("gemini/gemini-x", {"GEMINI_API_KEY": "k"}, "gemini"),
    ("bedrock/anthropic.claude-x", {}, "bedrock"),
    ("hosted_vllm/x", {}, "hosted_vllm"),
    ("gpt-4o", {"OPENAI_API_KEY": "k"}, "openai"),
    ("anthropic/claude-x", {}, "!anthropic/claude-x: anthropic needs ANTHROPIC_API_KEY"),
    ("azure/x", {}, "!AZURE_API_BASE, AZURE_API_VERSION, AZURE_API_KEY"),
    ("nonsense/x", {}, "!nonsense/x: no such provider"),
    ("x", {}, "!x: no such provider"),
]


@pytest.mark.parametrize(("model", "environment", "expected"), PROVIDERS)
def test_providers_are_known_without_asking(
    model: str, environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if not expected.startswith("!"):
        assert check_provider(model) == expected
        return
    with pytest.raises(UserError) as caught:
        check_provider(model)
    assert expected[1:] in str(caught.value)


OFFLINE = """
import socket, sys
def forbidden(*args, **kwargs): raise SystemExit(f"network: {args}")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = forbidden
from resample.models import endpoint, litellm_sdk, openai_sdk, price
heavy = {"openai", "litellm", "aiohttp", "httpx", "tenacity.tornadoweb"} & set(sys.modules)
assert not heavy, heavy
assert price.price_of("openai/gpt-4o-mini") and "litellm" not in sys.modules
litellm_sdk.LiteLLMTransport("anthropic/claude-x", api_key="k")
import os
assert "FROM_DOTENV" not in os.environ
"""


def test_litellm_is_imported_late_and_without_a_network(tmp_path: Any) -> None:
    (tmp_path / ".env").write_text("FROM_DOTENV=1\n")
    path = os.pathsep.join(filter(None, sys.path))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
