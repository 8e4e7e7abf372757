"""Bytes of requests, and replies read from bytes."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import orjson
import pytest
from scripted_provider import completion

from resample.models.failures import Failure, Peer
from resample.models.wire import BrokenReply, check_headers, check_params, parse_reply, request_body, request_kwargs
from resample.types import ChatRequest, Message, Reply, Role, Shared, Usage, UserError

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


@pytest.mark.parametrize("value", ["s3cret\n", "s3cret\x00", "s3crèt", "s3\r\nX-Other: 1"])
def test_headers_hold_what_http_carries(value: str) -> None:
    with pytest.raises(UserError, match=r"^X-Gateway: holds") as caught:
        check_headers({"X-Tag": "fine", "X-Gateway": value})
    assert "s3" not in str(caught.value)


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


ODD_COUNTS: list[Any] = [2**53 + 1, 2**63, 1e300, -1, -0.5, 1.5, "7", True, [1], {}]
ODD_VALUES: list[Any] = [None, [], {}, [[]], [{}], "", "x", -1, 2**64, 0.5, True, {"error": 1}, [{"type": "text"}]]
USAGES: list[tuple[Any, Usage]] = [
    (completion()["usage"], Usage(100, 60, 10, 4)),
    ({"prompt_tokens": 9.0, "completion_tokens": 0}, Usage(9)),
    ({"prompt_tokens": 2**53, "completion_tokens": 1}, Usage(2**53, 0, 1)),
    ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 8, "completion_tokens": 1}, Usage(9, 8, 1)),
    ({"prompt_tokens": 9, "cache_read_input_tokens": 7, "completion_tokens": 1}, Usage(9, 7, 1)),
    ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 50}}, Usage(9, 9, 1)),
    (  # counted beside the completion, as the total shows
        {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 16}
        | {"completion_tokens_details": {"reasoning_tokens": 5}},
        Usage(9, 0, 7, 5),
    ),
    ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": -1}}, Usage(9, 0, 2)),
    ({"prompt_tokens": 9, "completion_tokens": 2, "completion_tokens_details": [5]}, Usage(9, 0, 2)),
    # not reported, or by no number that can be
    (None, Usage(estimated=True)),
    ([1, 2], Usage(estimated=True)),
    ({}, Usage(estimated=True)),
    ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(estimated=True)),
    ({"prompt_tokens": None, "completion_tokens": 3}, Usage(completion_tokens=3, estimated=True)),
    ({"prompt_tokens": 9}, Usage(9, estimated=True)),
    *(({"prompt_tokens": 9, "completion_tokens": odd}, Usage(9, estimated=True)) for odd in ODD_COUNTS),
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
    (b"[" * 100_000, "no JSON"),
    (b'{"a":' * 100_000, "no JSON"),
    (b"9" * 100_000, "no JSON"),
    (orjson.dumps(completion()).replace(b"100", b"1e999"), "no JSON"),
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


def test_usage_that_is_no_number_is_none() -> None:
    raw = orjson.dumps(completion()).replace(b'"prompt_tokens":100', b'"prompt_tokens":NaN')
    assert parse_reply(raw).usage == Usage(0, 0, 10, 4, estimated=True)


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize("depth", [100, 300, 900, 3000, 50_000])
@pytest.mark.parametrize(
    ("place", "inside"),
    [
        ("beside the choices", b'"extra":%s,"choices"'),
        ("for an error", b'"error":%s,"choices"'),
        ("in the message", b'"extra":%s,"role"'),
        ("for a content", b'"content":%s,"role"'),
        ("for arguments", b'"tool_calls":[{"function":{"name":"f","arguments":%s}}],"role"'),
        ("for thoughts", b'"content":[{"type":"thinking","thinking":%s}],"role"'),
    ],
)
def test_deep_replies_are_read_or_broken(place: str, inside: bytes, depth: int) -> None:
    name = inside.rpartition(b",")[2]
    raw = orjson.dumps(completion()).replace(name, inside.replace(b"%s", _nested(depth)), 1)
    _read_or_broken(raw)


def test_deep_thoughts_are_read_or_broken() -> None:
    part = b'{"type":"thinking","thinking":['
    thoughts = b"[" + part * 400 + b"]}" * 400 + b"]"
    _read_or_broken(orjson.dumps(completion()).replace(b'"ready"', thoughts, 1))


def test_hostile_bytes_are_read_or_broken() -> None:
    draw = random.Random(1)
    call = CALL | {"function": {"name": "ls", "arguments": {"a": [1.5, None, "\u2028"]}}}
    replies = [orjson.dumps(completion()), orjson.dumps(completion(None, tool_calls=[call], refusal="no"))]
    words = [b"null", b"[]", b"{}", b'""', b"-1", b"1e400", b"NaN", b"true", b'"\\ud800"', b"\xff", b"\x00", b'"error"']
    for _ in range(3000):
        raw = bytearray(draw.choice(replies))
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(raw))
            raw[at : at + draw.choice((0, 1, 4, 20))] = draw.choice(
                (*words, draw.randbytes(3), bytes(raw[at : at + 30]))
            )
        _read_or_broken(bytes(raw))


def test_values_of_any_kind_are_read_or_broken() -> None:
    """Every value of a reply, replaced by one of another kind."""
    call = {"id": "c", "custom": {"name": "sh", "input": "ls"}}
    parts = [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]
    whole = completion(None, tool_calls=[CALL, call], reasoning="hm", refusal="no")
    whole["choices"][0]["message"]["content"] = parts
    for odd in ODD_VALUES:
        for variant in _variants(whole, odd):
            _read_or_broken(json.dumps(variant).encode())


def _variants(value: Any, odd: Any) -> list[Any]:
    """`value` with any one of the values in it replaced."""
    if isinstance(value, dict):
        return [odd, *(value | {name: new} for name, item in value.items() for new in _variants(item, odd))]
    if isinstance(value, list):
        return [
            odd,
            *([*value[:i], new, *value[i + 1 :]] for i, item in enumerate(value) for new in _variants(item, odd)),
        ]
    return [odd]


def _read_or_broken(raw: bytes) -> None:
    try:
        reply = parse_reply(raw)
    except BrokenReply:
        with pytest.raises(Failure):
            Peer("m").reply(raw)
        return
    assert isinstance(reply, Reply)
    orjson.dumps(reply.message)  # goes into the next request
