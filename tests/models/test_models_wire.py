"""Bytes of requests, and replies read from bytes."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from scripted_provider import completion

from resample.models.wire import BrokenReply, check_params, parse_reply, request_body, request_kwargs
from resample.types import ChatRequest, Message, Role, Shared, Usage, UserError

PREFIX = Shared(({"role": "system", "content": "Sei höflich."}, {"role": "user", "content": "list files"}))
CALL = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"a": 1,}  '}}
TAIL: tuple[Message, ...] = (
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "x.txt"},
)
TOOLS = Shared(({"type": "function", "function": {"name": "ls", "parameters": {"type": "object"}}},))
SCHEMA = {"name": "verdict", "strict": True, "schema": {"type": "object"}}
FORMAT = {"type": "json_schema", "json_schema": SCHEMA}
MESSAGES = [*PREFIX.items, *TAIL]

REQUESTS: dict[str, tuple[ChatRequest, dict[str, Any], dict[str, Any]]] = {
    "prefix alone": (ChatRequest(Role.CANDIDATE, PREFIX), {}, {"messages": list(PREFIX.items)}),
    "tail alone": (ChatRequest(Role.JUDGE, Shared(), TAIL), {}, {"messages": list(TAIL)}),
    "both": (ChatRequest(Role.CANDIDATE, PREFIX, TAIL), {}, {"messages": MESSAGES}),
    "nothing": (ChatRequest(Role.CANDIDATE, Shared()), {}, {"messages": []}),
    "all fields": (
        ChatRequest(Role.JUDGE, PREFIX, TAIL, TOOLS, schema=SCHEMA, seed=7),
        {"temperature": 0.5, "reasoning": {"effort": "low"}},
        {"messages": MESSAGES, "tools": list(TOOLS.items), "seed": 7, "response_format": FORMAT}
        | {"temperature": 0.5, "reasoning": {"effort": "low"}},
    ),
    "null removes": (
        ChatRequest(Role.JUDGE, PREFIX, schema=SCHEMA, seed=7),
        {"seed": None, "response_format": None, "top_p": None},
        {"messages": list(PREFIX.items)},
    ),
    "params override": (
        ChatRequest(Role.JUDGE, PREFIX, seed=7),
        {"seed": 8},
        {"messages": list(PREFIX.items), "seed": 8},
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_the_same_as_bytes_and_as_arguments(name: str) -> None:
    request, params, expected = REQUESTS[name]
    expected = {"model": "m"} | expected
    assert orjson.loads(request_body("m", request, params)) == expected
    assert request_kwargs("m", request, params) == expected


def test_the_prefix_is_serialised_once() -> None:
    items = copy.deepcopy(PREFIX.items)
    prefix = Shared(items)
    first = request_body("m", ChatRequest(Role.CANDIDATE, prefix), {})
    items[0]["content"] = "changed behind its back"
    second = request_body("m", ChatRequest(Role.CANDIDATE, prefix, TAIL), {})
    start = b'{"model":"m","messages":[' + PREFIX.wire
    assert first.startswith(start) and second.startswith(start + b",")


def test_arguments_are_copies() -> None:
    request = ChatRequest(Role.CANDIDATE, PREFIX, TAIL, TOOLS)
    kwargs = request_kwargs("m", request, {})
    for message in kwargs["messages"]:
        message.clear()
    kwargs["tools"][0].clear()
    assert request_kwargs("m", request, {})["messages"] == MESSAGES
    assert request.tools.items == TOOLS.items


@pytest.mark.parametrize("params", [{"model": "x"}, {"messages": []}, {"stream": True}, {"n": 2}])
def test_params_leave_the_engine_what_is_its_own(params: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"params.{next(iter(params))}"):
        check_params(params)
    check_params({"temperature": 1, "stream": None})


def _function(name: str, arguments: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


MESSAGE_CASES: dict[str, tuple[dict[str, Any], Message]] = {
    "text": ({"content": "hi", "annotations": [], "audio": None, "refusal": None}, {"content": "hi"}),
    "absent content": ({}, {"content": None}),
    "no calls": ({"content": "hi", "tool_calls": [], "function_call": None}, {"content": "hi"}),
    "parallel calls keep order, bytes and ids": (
        {"tool_calls": [CALL, {"id": "c0", **_function("rm", "{ }\n"), "index": 1}]},
        {"content": None, "tool_calls": [CALL, {"id": "c0", **_function("rm", "{ }\n")}]},
    ),
    "arguments that are no string": (
        {"tool_calls": [{"id": "a", **_function("f", {"x": [1]})}, {"id": "b", "function": {"name": "g"}}]},
        {
            "content": None,
            "tool_calls": [{"id": "a", **_function("f", '{"x":[1]}')}, {"id": "b", **_function("g", "{}")}],
        },
    ),
    "custom tool": (
        {"tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls -l"}}]},
        {
            "content": None,
            "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls -l"}}],
        },
    ),
    "reasoning_content": (
        {"content": "a", "reasoning_content": "hm"},
        {"content": "a", "reasoning_content": "hm"},
    ),
    "reasoning": ({"content": "a", "reasoning": "hm"}, {"content": "a", "reasoning_content": "hm"}),
    "refusal": ({"refusal": "I cannot"}, {"content": None, "refusal": "I cannot"}),
    "parts": (
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "a"},
                {"type": "text", "text": "b"},
            ]
        },
        {"content": "ab", "reasoning_content": "hm"},
    ),
}


@pytest.mark.parametrize("name", MESSAGE_CASES)
def test_a_message_is_kept_as_history(name: str) -> None:
    sent, kept = MESSAGE_CASES[name]
    data = completion()
    data["choices"][0]["message"] = {"role": "assistant", **sent}
    raw = orjson.dumps(data)
    reply = parse_reply(raw)
    assert reply.message == {"role": "assistant", **kept}
    assert (reply.model, reply.fingerprint, reply.raw) == ("gpt-x-2026-01-01", "fp_1", raw)


def test_missing_and_repeated_call_ids_are_made_up_the_same_way_every_time() -> None:
    calls = [_function("f", "{}"), {"id": "", **_function("f", "{}")}, CALL, {**_function("g", "{}"), "id": "c1"}]
    raw = orjson.dumps(completion(None, tool_calls=calls))
    first, second = parse_reply(raw).message, parse_reply(raw).message
    ids = [call["id"] for call in first["tool_calls"]]
    assert first == second
    assert len(set(ids)) == 4 and all(ids) and ids[2] == "c1"


def test_a_legacy_function_call_is_a_tool_call() -> None:
    data = completion(None, function_call={"name": "f", "arguments": "{}"})
    data["choices"][0]["finish_reason"] = "function_call"
    reply = parse_reply(orjson.dumps(data))
    (call,) = reply.message["tool_calls"]
    assert call == {"id": call["id"], **_function("f", "{}")} and call["id"]
    assert reply.finish_reason == "tool_calls" and "function_call" not in reply.message


USAGES: list[tuple[Any, Usage]] = [
    (None, Usage()),
    ({"prompt_tokens": None, "completion_tokens": 3}, Usage(completion_tokens=3)),
    (completion()["usage"], Usage(100, 60, 10, 4)),
    ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 8, "completion_tokens": 1}, Usage(9, 8, 1)),
    ({"prompt_tokens": 9, "cache_read_input_tokens": 7, "completion_tokens": 1}, Usage(9, 7, 1)),
    ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 50}}, Usage(9, 9)),
    (  # counted beside the completion, as the total shows
        {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 16}
        | {"completion_tokens_details": {"reasoning_tokens": 5}},
        Usage(9, 0, 7, 5),
    ),
]


@pytest.mark.parametrize(("sent", "usage"), USAGES)
def test_usage(sent: Any, usage: Usage) -> None:
    assert parse_reply(orjson.dumps(completion() | {"usage": sent})).usage == usage


def test_what_other_parsers_accept_is_no_broken_reply() -> None:
    raw = orjson.dumps(completion("half: HALF")).replace(b"HALF", rb"\ud83d").replace(b'"created":1', b'"created":NaN')
    message = parse_reply(raw).message
    assert message["content"] == "half: ?"
    orjson.dumps(message)


BROKEN: list[tuple[bytes, str]] = [
    (b"", "no JSON"),
    (b"<html>", "no JSON"),
    (orjson.dumps(completion())[:-30], "no JSON"),
    (b'"\xff"', "no JSON"),
    (b"[]", "no JSON object"),
    (b"{}", "no choices"),
    (b'{"choices": []}', "no choices"),
    (b'{"choices": [{"finish_reason": "stop"}]}', "no message"),
    (b'{"error": {"message": "overloaded"}, "choices": []}', "is an error"),
    (b'{"choices": [{"error": {"message": "upstream"}, "message": {}}]}', "is an error"),
]


@pytest.mark.parametrize(("raw", "reason"), BROKEN)
def test_broken_replies(raw: bytes, reason: str) -> None:
    with pytest.raises(BrokenReply, match=reason):
        parse_reply(raw)
    assert parse_reply(orjson.dumps(completion() | {"error": None})).message["content"] == "ready"
