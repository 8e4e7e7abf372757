"""The server over real HTTP: form, errors, determinism and the cache's figures."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from resample.standin.cache import PromptCache
from resample.standin.server import Server, start
from resample.standin.settings import StandInSettings
from resample.types import UserError


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start(StandInSettings(correlation=0.3)) as running:
        yield running


def _post(server: Server, *bodies: Any) -> list[tuple[int, Any]]:
    """Post each body in turn: bytes as they are, anything else as JSON."""

    async def talk() -> list[tuple[int, Any]]:
        answers = []
        async with aiohttp.ClientSession() as session:
            for body in bodies:
                sent = {"data": body} if isinstance(body, bytes) else {"json": body}
                async with session.post(f"{server.base_url}/chat/completions", **sent) as response:
                    answers.append((response.status, await response.json()))
        return answers

    return asyncio.run(talk())


def _get(url: str) -> tuple[int, Any]:
    async def talk() -> tuple[int, Any]:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.json()

    return asyncio.run(talk())


def test_a_completion_has_the_form_of_openai(server: Server, player: Any) -> None:
    ((status, answer),) = _post(server, player.request("Please look", seed=4))
    assert status == 200
    assert answer["object"] == "chat.completion" and answer["model"] == "default"
    assert answer["system_fingerprint"].startswith("fp_")
    (choice,) = answer["choices"]
    message, usage = choice["message"], answer["usage"]
    assert message["role"] == "assistant" and message["reasoning_content"]
    assert choice["finish_reason"] == ("tool_calls" if message.get("tool_calls") else "stop")
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < usage["completion_tokens_details"]["reasoning_tokens"] <= usage["completion_tokens"]


def test_the_openai_client_reads_it(server: Server, player: Any) -> None:
    from openai import OpenAI

    with OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        answer = client.chat.completions.create(**player.request("Please look", seed=4))
        assert [m.id for m in client.models.list()] == ["default", "careful", "reckless"]
    assert answer.choices[0].message.role == "assistant"
    assert answer.usage is not None and answer.usage.prompt_tokens_details is not None


def test_health_and_models(server: Server) -> None:
    root = server.base_url.removesuffix("/v1")
    assert root.startswith("http://127.0.0.1:")
    assert _get(f"{root}/health") == (200, {"status": "ok"})
    status, listed = _get(f"{root}/v1/models")
    assert status == 200 and {m["id"] for m in listed["data"]} == {"default", "careful", "reckless"}


USER = {"role": "user", "content": "Hello"}
ORPHAN = {"role": "tool", "tool_call_id": "call_1", "content": "ok"}
MALFORMED: dict[str, Any] = {
    "no JSON": b"{",
    "no object": [],
    "no model": {"messages": [USER]},
    "no messages": {"model": "default"},
    "empty messages": {"model": "default", "messages": []},
    "unknown role": {"model": "default", "messages": [{"role": "robot", "content": "Hello"}]},
    "content is a number": {"model": "default", "messages": [{"role": "user", "content": 1}]},
    "orphan output": {"model": "default", "messages": [USER, ORPHAN]},
    "calls are no list": {"model": "default", "messages": [USER, {"role": "assistant", "tool_calls": {}}]},
    "call without id": {"model": "default", "messages": [USER, {"role": "assistant", "tool_calls": [{}]}]},
    "tools are no list": {"model": "default", "messages": [USER], "tools": {}},
    "tool without name": {"model": "default", "messages": [USER], "tools": [{"type": "function"}]},
    "seed is a text": {"model": "default", "messages": [USER], "seed": "1"},
    "stream": {"model": "default", "messages": [USER], "stream": True},
    "no choice": {"model": "default", "messages": [USER], "n": 0},
    "format is a text": {"model": "default", "messages": [USER], "response_format": "json"},
    "schema without name": {
        "model": "default",
        "messages": [USER],
        "response_format": {"type": "json_schema", "json_schema": {}},
    },
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=list(MALFORMED))
def test_a_malformed_request_is_refused_in_form(server: Server, body: Any) -> None:
    ((status, answer),) = _post(server, body)
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error" and answer["error"]["message"]


@pytest.mark.parametrize(("path", "status"), [("/v1/embeddings", 404), ("/", 404), ("/v1/chat/completions", 405)])
def test_unknown_paths_and_methods(server: Server, path: str, status: int) -> None:
    answered, body = _get(server.base_url.removesuffix("/v1") + path)
    assert answered == status and "error" in body


def test_replies_do_not_depend_on_order(server: Server, player: Any) -> None:
    requests = [player.request(f"Task {i % 7} " + "long " * 2000, seed=i) for i in range(30)]
    shuffled = random.Random(1).sample(range(30), 30)
    first = [answer for _, answer in _post(server, *requests)]
    with start(StandInSettings(correlation=0.3)) as other:
        second = [answer for _, answer in _post(other, *[requests[i] for i in shuffled])]
    for answer in first + second:
        del answer["usage"]["prompt_tokens_details"]
    assert [first[i] for i in shuffled] == second


def test_cached_tokens_count_from_the_second_request_on(server: Server, player: Any) -> None:
    request = player.request("Unlike any other. " + "word " * 4000)
    longer = {**request, "messages": [*request["messages"], {"role": "assistant", "content": "x" * 9000}]}
    longer["messages"].append({"role": "user", "content": "And now?"})
    short = player.request("Short and unlike any other")
    usages = [a["usage"] for _, a in _post(server, request, request, longer, short, short)]
    cached = [u["prompt_tokens_details"]["cached_tokens"] for u in usages]
    assert cached[0] == 0 and cached[3:] == [0, 0]
    assert cached[1] == cached[2] > 0 and (cached[1] - 1024) % 128 == 0
    assert usages[1]["prompt_tokens"] - cached[1] < 128


def test_the_cache_is_bounded_and_forgets_the_least_recent() -> None:
    cache = PromptCache(capacity=4)
    prompts = [bytes([letter]) * 4 * 1024 for letter in b"abcdef"]
    for prompt in prompts:
        cache.hold(prompt)
    assert [cache.cached_tokens(p) for p in prompts] == [0, 0, 1024, 1024, 1024, 1024]
    assert cache.cached_tokens(prompts[-1][:-1]) == 0


def test_a_taken_port_is_named_and_close_frees_it() -> None:
    with start(StandInSettings()) as running:
        with pytest.raises(UserError, match=f"port {running.port} "):
            start(StandInSettings(), running.port)
        port = running.port
    running.close()
    with start(StandInSettings(), port) as again:
        assert again.port == port


def test_it_can_be_started_within_a_running_loop() -> None:
    async def inside() -> int:
        with start(StandInSettings()) as running:
            url = f"http://127.0.0.1:{running.port}/health"
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return response.status

    assert asyncio.run(inside()) == 200
