"""What providers are told of shared prefixes: keys, headers, and breakpoints through litellm itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest
from scripted_provider import Answer, Asked, Provider

from resample.models import openai_sdk
from resample.models.litellm_sdk import LiteLLMTransport
from resample.models.openai_sdk import OpenAITransport
from resample.models.prompt_cache import is_openai, prefix_key
from resample.types import ChatRequest, Message, Role, Shared

LONG = "word " * 1000
"""Longer than the least that is cached."""
SYSTEM: Message = {"role": "system", "content": f"Be brief. {LONG}"}
USER: Message = {"role": "user", "content": f"Look. {LONG}"}
CALL = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
TAIL: tuple[Message, ...] = (
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "x.txt"},
)
TOOLS = Shared(({"type": "function", "function": {"name": "ls", "parameters": {"type": "object", "properties": {}}}},))
REQUEST = ChatRequest(Role.CANDIDATE, Shared((SYSTEM, USER)), TAIL, TOOLS, seed=3)


# -- keys -----------------------------------------------------------------------------------------------------------


def test_a_key_is_that_of_a_prefix_and_its_tools() -> None:
    key = prefix_key(REQUEST)
    assert key == "3674ad7abf81d40b2195dd7597f05a49", "it must not change from run to run"
    assert prefix_key(replace(REQUEST, tail=(), seed=4, step=2, prefix=Shared((SYSTEM, USER)))) == key
    others = [replace(REQUEST, tools=Shared()), replace(REQUEST, prefix=Shared((USER,)))]
    assert len({key, *map(prefix_key, others)}) == 3
    assert prefix_key(replace(REQUEST, prefix=Shared())) is None, "nothing is shared"


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://API.openai.com./v1", True),
        ("http://127.0.0.1:8000/v1", False),
        ("https://api.openai.com.example.org/v1", False),
        ("https://notapi.openai.com/v1", False),
        ("https://x.openai.azure.com/openai/v1", False),
    ],
)
def test_whose_server_it_is(address: str, own: bool) -> None:
    assert is_openai(address) is own


def ask(request: ChatRequest = REQUEST, **options: Any) -> Asked:
    async def play() -> Asked:
        async with Provider() as provider:
            transport = OpenAITransport("gpt-x", base_url=provider.url, **options)
            await transport.send(request)
            await transport.close()
            return provider.asked[0]

    return asyncio.run(play())


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_server_of_the_users_own_is_told_by_a_header(api: str) -> None:
    asked = ask(api=api)
    assert asked.headers["x-session-affinity"] == prefix_key(REQUEST)
    assert "prompt_cache_key" not in asked.body
    assert "x-session-affinity" not in ask(api=api, affinity_header=None).headers
    assert ask(api=api, affinity_header="x-router").headers["x-router"] == prefix_key(REQUEST)
    assert ask(api=api, headers={"X-Session-Affinity": "mine"}).headers.getall("x-session-affinity") == ["mine"]
    assert "x-session-affinity" not in ask(replace(REQUEST, prefix=Shared())).headers


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_openai_is_told_by_a_field(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_sdk, "is_openai", lambda address: True)
    asked = ask(api=api)
    assert asked.body["prompt_cache_key"] == prefix_key(REQUEST)
    assert "x-session-affinity" not in asked.headers
    assert "prompt_cache_key" not in ask(api=api, params={"prompt_cache_key": None}).body
    assert ask(api=api, params={"prompt_cache_key": "mine"}).body["prompt_cache_key"] == "mine"


# -- breakpoints ----------------------------------------------------------------------------------------------------

ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "thinking", "thinking": "Which files?", "signature": "c2lnbmVk"},
        {"type": "redacted_thinking", "data": "cmVkYWN0ZWQ="},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "c1", "name": "ls", "input": {}},
    ],
    "stop_reason": "tool_use",
    "usage": {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 30,
    },
}


def ask_claude(*requests: ChatRequest, model: str = "anthropic/claude-x", **options: Any) -> list[Asked]:
    async def play() -> list[Asked]:
        async with Provider([Answer(ANSWER)]) as provider:
            transport = LiteLLMTransport(model, base_url=provider.url.removesuffix("/v1"), **options)
            for request in requests:
                await transport.send(request)
            await transport.close()
            return provider.asked

    return asyncio.run(play())


def breakpoints(body: Any, path: str = "") -> list[str]:
    """Where they stand."""
    found: list[str] = []
    if isinstance(body, dict):
        found += [path] if "cache_control" in body else []
        for name, value in body.items():
            found += breakpoints(value, f"{path}.{name}".lstrip("."))
    elif isinstance(body, list):
        for index, value in enumerate(body):
            found += breakpoints(value, f"{path}.{index}")
    return found


SHORT_SYSTEM = {"role": "system", "content": "Be brief."}
SHORT_USER = {"role": "user", "content": "Look."}
MEDIUM = {"role": "user", "content": "word " * 1200}
PARTS = {"role": "user", "content": [{"type": "text", "text": "Look."}, {"type": "text", "text": LONG}]}
LONG_TOOLS = Shared(({"type": "function", "function": TOOLS.items[0]["function"] | {"description": LONG}},))
HEAD, PREFIX, END = "system.0", "messages.0.content.0", "messages.2.content.0"

PLACES: dict[str, tuple[ChatRequest, str, list[str]]] = {
    "instructions, prefix and tail": (REQUEST, "claude-x", [HEAD, PREFIX, END]),
    "no tail yet": (replace(REQUEST, tail=()), "claude-x", [HEAD, PREFIX]),
    "a tail that nobody reads again": (replace(REQUEST, role=Role.JUDGE), "claude-x", [HEAD, PREFIX]),
    "short instructions": (replace(REQUEST, prefix=Shared((SHORT_SYSTEM, USER))), "claude-x", [PREFIX, END]),
    "no instructions, but tools": (
        replace(REQUEST, prefix=Shared((SHORT_USER,)), tools=LONG_TOOLS),
        "claude-x",
        ["tools.0", PREFIX, END],
    ),
    "nothing long enough": (replace(REQUEST, prefix=Shared((SHORT_SYSTEM, SHORT_USER))), "claude-x", []),
    "parts": (replace(REQUEST, prefix=Shared((PARTS,))), "claude-x", ["messages.0.content.1", END]),
    "haiku needs more": (replace(REQUEST, prefix=Shared((MEDIUM,))), "claude-haiku-x", []),
    "others less": (replace(REQUEST, prefix=Shared((MEDIUM,))), "claude-x", [PREFIX, END]),
    "a prefix that ends in a call": (
        replace(REQUEST, prefix=Shared((USER, TAIL[0])), tail=TAIL[1:]),
        "claude-x",
        [PREFIX, END],
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_breakpoints_stand_where_shared_parts_end(name: str) -> None:
    request, model, places = PLACES[name]
    before = orjson.dumps([request.prefix.items, request.tail, request.tools.items])
    first, second = ask_claude(request, request, model=f"anthropic/{model}")
    assert sorted(breakpoints(first.body)) == sorted(places)
    assert first.body == second.body
    assert orjson.dumps([request.prefix.items, request.tail, request.tools.items]) == before, "the shared stay theirs"


def test_who_says_what_is_cached_is_not_interfered_with() -> None:
    points = [{"location": "message", "role": "system"}]
    (asked,) = ask_claude(REQUEST, params={"cache_control_injection_points": points})
    assert breakpoints(asked.body) == [HEAD]


def test_other_models_get_no_breakpoints() -> None:
    async def play() -> Asked:
        async with Provider() as provider:
            transport = LiteLLMTransport("hosted_vllm/x", base_url=provider.url)
            await transport.send(REQUEST)
            await transport.close()
            return provider.asked[0]

    assert breakpoints(asyncio.run(play()).body) == []
