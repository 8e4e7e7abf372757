"""Traces of GenAI calls: the dialects of instrumentations, and which span of a trace is read.

There is no real file of this kind at hand: these are made by the conventions.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import (
    Excluded,
    Located,
    otel,
    otel_attributes,
    otel_calls,
    otel_content,
    otel_messages,
    otel_spans,
    read,
)
from resample.formats.base import Draft, Look
from resample.types import Transcript

Item = dict[str, Any]


def typed(value: Any) -> Item:
    """A value as OTLP writes it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [typed(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": pairs(value)}}
    return {"stringValue": value}


def pairs(attributes: Item) -> list[Item]:
    return [{"key": key, "value": typed(value)} for key, value in attributes.items()]


def text(value: Any) -> str:
    return orjson.dumps(value).decode()


def span(id: str, attributes: Item, parent: str = "", trace: str = "t1", time: int = 0, **fields: Any) -> Item:
    return {
        "traceId": trace,
        "spanId": id,
        "parentSpanId": parent,
        "name": "chat m",
        "startTimeUnixNano": str(time),
        "attributes": pairs(attributes),
        **fields,
    }


def document(*spans: Item) -> Item:
    scope = {"scope": {"name": "instrumentation"}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": {"attributes": pairs({"service.name": "shop"})}, "scopeSpans": [scope]}]}


def said(role: str, *parts: Item | str, **fields: Any) -> Item:
    made = [{"type": "text", "content": part} if isinstance(part, str) else part for part in parts]
    return {"role": role, "parts": made, **fields}


CALL = {"type": "tool_call", "id": "c1", "name": "find", "arguments": {"city": "Rome"}}
ANSWER = {"type": "tool_call_response", "id": "c1", "response": "sunny"}
TOOL = {"type": "function", "name": "find", "description": "Look up.", "parameters": {"type": "object"}}
ASKED = said("user", "How is Rome?")
HISTORY = [ASKED, said("assistant", "Let me see.", CALL), said("tool", ANSWER)]
REPLY = said("assistant", {"type": "reasoning", "content": "Sun."}, "Sunny.", finish_reason="stop")


def chat(prompt: Any = HISTORY, reply: Any = REPLY, **attributes: Any) -> Item:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "acme/m-1",
        **({"gen_ai.input.messages": text(prompt)} if prompt is not None else {}),
        **({"gen_ai.output.messages": text([reply])} if reply is not None else {}),
        **attributes,
    }


def save(path: Path, *values: Any) -> Path:
    path.write_bytes(b"\n".join(map(orjson.dumps, values)) + b"\n")
    return path


def transcripts(path: Path) -> list[Transcript]:
    items = list(read(path))
    assert not [item for item in items if isinstance(item, Excluded)]
    return [item.transcript for item in items if isinstance(item, Located)]


def only(tmp_path: Path, *spans: Item) -> Transcript:
    (found,) = transcripts(save(tmp_path / "a.json", document(*spans)))
    return found


def read_span(value: Item) -> otel_spans.Span:
    return otel_spans._span(value, 1, {})


WHOLE = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "How is Rome?"},
    {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"city":"Rome"}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    {"role": "assistant", "content": "Sunny.", "reasoning_content": "Sun."},
]
SCHEMA = {
    "type": "function",
    "function": {"name": "find", "description": "Look up.", "parameters": {"type": "object"}},
}


def test_a_trace(tmp_path: Path) -> None:
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "helper", "gen_ai.conversation.id": "v1"}
    more = {
        "gen_ai.system_instructions": text([{"type": "text", "content": "Be kind."}]),
        "gen_ai.tool.definitions": text([TOOL]),
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.agent.name": "helper",
        "gen_ai.conversation.id": "v1",
    }
    evaluation = {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.5}
    events = [{"name": "gen_ai.evaluation.result", "attributes": pairs(evaluation)}]
    found = only(
        tmp_path,
        span("c", chat(**more), "a", time=30, events=events),
        span("a", agent, time=10),
        span("b", chat([ASKED], HISTORY[1], **more), "a", time=20),
        span("d", {"gen_ai.operation.name": "execute_tool"}, "a", time=25),
    )
    assert found.id == "a.json#t1/c"
    assert found.messages == WHOLE
    assert found.tools == [SCHEMA]
    assert found.metadata == {
        "source": "otel",
        "model": "acme/m-1",
        "date": "1970-01-01T00:00:00+00:00",
        "cluster": "otel:conversation:v1",
        "labels": {"finish_reasons": ["stop"], "relevance": 0.5},
        "extra": {
            "trace": "t1",
            "span": "c",
            "conversation": "v1",
            "agent": "helper",
            "service": "shop",
            "instrumentation": "instrumentation",
        },
    }


def test_the_date_is_when_the_span_began(tmp_path: Path) -> None:
    assert only(tmp_path, span("a", chat(), time=1767323045_000000000)).metadata["date"] == "2026-01-02T03:04:05+00:00"
    assert "date" not in only(tmp_path, span("a", chat())).metadata


def test_lines_and_lists_of_documents(tmp_path: Path) -> None:
    one, two = document(span("a", chat())), document(span("b", chat(), trace="t2"))
    save(tmp_path / "a.jsonl", one, two)
    save(tmp_path / "b.json", [one, two])
    found = transcripts(tmp_path)
    assert [t.id for t in found] == ["a.jsonl#t1/a", "a.jsonl#t2/b", "b.json#t1/a", "b.json#t2/b"]
    assert [t.metadata.get("lines") for t in found] == [[1] * 4, [2] * 4, None, None]


def test_lines_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([orjson.dumps(document(span("a", chat()))), b"{", b"3", orjson.dumps({"a": 1})]))
    items = list(read(path))
    assert [(i.line, i.reason) for i in items if isinstance(i, Excluded)] == [
        (2, "malformed JSON"),
        (3, "not a transcript"),
        (4, "not a transcript"),
    ]
    assert [i.line for i in items if isinstance(i, Located)] == [1]


# -- attributes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["x", 3, -3, 2**63, True, 0.5, ["a", 1], {"a": {"b": [1]}}, []])
def test_typed_values(value: Any) -> None:
    assert otel_spans.plain(typed(value)) == value


@pytest.mark.parametrize(
    "value", [None, 3, {}, {"arrayValue": 3}, {"kvlistValue": {"values": 3}}, {"arrayValue": {"values": [3]}}]
)
def test_values_that_are_none(value: Any) -> None:
    assert otel_spans.plain(value) in (None, [], {})


def test_attributes_may_be_an_object_or_odd() -> None:
    assert otel_spans.attributes_of({"a": 1}) == {"a": 1}
    assert otel_spans.attributes_of([{"key": 3, "value": {}}, 3, {"key": "a", "value": {"intValue": "x"}}]) == {
        "a": "x"
    }
    assert otel_spans.attributes_of(None) == {}


@pytest.mark.parametrize("number", ["--5", "-", "", "1" * 30, "\u0663", 1.5, None, []])
def test_numbers_that_are_none(number: Any) -> None:
    assert otel_spans.plain({"intValue": number}) == number


@pytest.mark.parametrize("event", [None, {}, {"name": []}, {"name": {}, "attributes": 3}])
def test_odd_events(tmp_path: Path, event: Any) -> None:
    assert only(tmp_path, span("a", chat(), events=[event])).messages == WHOLE[1:]


def test_numbered_attributes() -> None:
    attributes = {"p.10.a": 1, "p.2.b.0.c": 2, "p.2.b.1.c": 3, "p.x.a": 4, "q.0.a": 5, "p.2": 6, "p.3": 7, "p.": 8}
    assert otel_attributes.numbered(attributes, "p.") == [{"b": {"0": {"c": 2}, "1": {"c": 3}}}, {"a": 1}]


# -- dialects: all of them tell the same conversation ------------------------------------------------------------------

ARGUMENTS = '{"city":"Rome"}'


def current_structured() -> Item:
    return span(
        "a",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system_instructions": [{"type": "text", "content": "Be kind."}],
            "gen_ai.input.messages": HISTORY,
            "gen_ai.output.messages": [REPLY],
            "gen_ai.tool.definitions": [TOOL],
        },
    )


def current_in_an_event() -> Item:
    told = {
        "gen_ai.system_instructions": "Be kind.",
        "gen_ai.input.messages": text(HISTORY),
        "gen_ai.output.messages": text([REPLY]),
        "gen_ai.tool.definitions": text([TOOL]),
    }
    events = [{"name": otel_spans.DETAILS, "attributes": pairs(told)}]
    return span("a", {"gen_ai.operation.name": "chat"}, events=events)


def indexed() -> Item:
    return span(
        "a",
        {
            "llm.request.type": "chat",
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "Be kind.",
            "gen_ai.prompt.1.role": "user",
            "gen_ai.prompt.1.content": text([{"type": "text", "text": "How is Rome?"}]),
            "gen_ai.prompt.2.role": "assistant",
            "gen_ai.prompt.2.content": "Let me see.",
            "gen_ai.prompt.2.tool_calls.0.id": "c1",
            "gen_ai.prompt.2.tool_calls.0.name": "find",
            "gen_ai.prompt.2.tool_calls.0.arguments": ARGUMENTS,
            "gen_ai.prompt.3.role": "tool",
            "gen_ai.prompt.3.content": "sunny",
            "gen_ai.prompt.3.tool_call_id": "c1",
            "gen_ai.completion.0.role": "thinking",
            "gen_ai.completion.0.content": "Sun.",
            "gen_ai.completion.1.role": "assistant",
            "gen_ai.completion.1.content": "Sunny.",
            "gen_ai.completion.1.finish_reason": "stop",
            "llm.request.functions.0.name": "find",
            "llm.request.functions.0.description": "Look up.",
            "llm.request.functions.0.parameters": '{"type":"object"}',
        },
    )


def span_events() -> Item:
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": ARGUMENTS}}
    told = [
        ("gen_ai.system.message", {"content": "Be kind."}),
        ("gen_ai.user.message", {"content": "How is Rome?", "role": "customer"}),
        ("gen_ai.assistant.message", {"content": "Let me see.", "tool_calls": text([call])}),
        ("gen_ai.tool.message", {"content": "sunny", "id": "c1"}),
        ("gen_ai.choice", {"index": 0, "message": text({"content": "Sunny.", "reasoning_content": "Sun."})}),
        ("other", {"x": 1}),
    ]
    events = [{"name": name, "attributes": pairs(attributes)} for name, attributes in told]
    return span("a", {"gen_ai.operation.name": "chat", "gen_ai.tool.definitions": text([TOOL])}, events=events)


def span_events_with_a_body() -> Item:
    value = span_events()
    for event in value["events"]:
        body = {item["key"]: otel_spans.plain(item["value"]) for item in event["attributes"]}
        for key in ("tool_calls", "message"):
            body |= {key: orjson.loads(body[key])} if key in body else {}
        event["attributes"] = pairs({"gen_ai.event.content": text(body)})
    return value


def open_inference() -> Item:
    head, tail = "llm.input_messages.", "llm.output_messages.0.message."
    schema = {"type": "function", "function": {k: TOOL[k] for k in ("name", "description", "parameters")}}
    return span(
        "a",
        {
            "openinference.span.kind": "LLM",
            f"{head}0.message.role": "system",
            f"{head}0.message.content": "Be kind.",
            f"{head}1.message.role": "user",
            f"{head}1.message.contents.0.message_content.type": "text",
            f"{head}1.message.contents.0.message_content.text": "How is Rome?",
            f"{head}2.message.role": "assistant",
            f"{head}2.message.content": "Let me see.",
            f"{head}2.message.tool_calls.0.tool_call.id": "c1",
            f"{head}2.message.tool_calls.0.tool_call.function.name": "find",
            f"{head}2.message.tool_calls.0.tool_call.function.arguments": ARGUMENTS,
            f"{head}3.message.role": "tool",
            f"{head}3.message.content": "sunny",
            f"{head}3.message.tool_call_id": "c1",
            f"{tail}role": "assistant",
            f"{tail}contents.0.message_content.type": "reasoning",
            f"{tail}contents.0.message_content.text": "Sun.",
            f"{tail}contents.1.message_content.type": "text",
            f"{tail}contents.1.message_content.text": "Sunny.",
            "llm.tools.0.tool.json_schema": text(schema),
        },
    )


def whole_texts() -> Item:
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": ARGUMENTS}}
    prompt = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "How is Rome?"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    reply = {"role": "assistant", "content": "Sunny.", "reasoning_content": "Sun."}
    return span(
        "a",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.prompt": text({"messages": prompt}),
            "gen_ai.completion": text([reply]),
            "llm.invocation_parameters": text({"tools": [SCHEMA]}),
        },
    )


@pytest.mark.parametrize(
    "dialect",
    [
        current_structured,
        current_in_an_event,
        indexed,
        span_events,
        span_events_with_a_body,
        open_inference,
        whole_texts,
    ],
)
def test_dialects(tmp_path: Path, dialect: Any) -> None:
    found = only(tmp_path, dialect())
    assert found.messages == WHOLE
    assert found.tools == [SCHEMA]
    assert "missing" not in found.metadata


def test_events_of_the_older_kind_that_hold_all_messages(tmp_path: Path) -> None:
    told = [
        ("gen_ai.content.prompt", {"gen_ai.prompt": text([{"role": "user", "content": "hi"}])}),
        ("gen_ai.content.completion", {"gen_ai.completion": "Hello."}),
    ]
    events = [{"name": name, "attributes": pairs(attributes)} for name, attributes in told]
    found = only(tmp_path, span("a", {"gen_ai.operation.name": "chat"}, events=events))
    assert [(m["role"], m["content"]) for m in found.messages] == [("user", "hi"), ("assistant", "Hello.")]


def test_details_that_were_logged(tmp_path: Path) -> None:
    """The span has the place in the trace, and the log what was said."""
    told = {"gen_ai.input.messages": HISTORY, "gen_ai.output.messages": [REPLY], "gen_ai.operation.name": "chat"}
    record = {"traceId": "t1", "spanId": "a", "eventName": otel_spans.DETAILS, "attributes": pairs(told)}
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record, {"body": {"stringValue": "x"}}]}]}]}
    for order in (1, -1):
        documents = [document(span("a", chat(None, None), "r"), span("r", {}, time=1)), logs][::order]
        (found,) = transcripts(save(tmp_path / "a.jsonl", *documents))
        assert found.messages == WHOLE[1:]


BODIES = [
    ("gen_ai.system.message", {"content": "Be kind."}),
    ("gen_ai.user.message", {"content": "How is Rome?"}),
    (
        "gen_ai.assistant.message",
        {
            "content": "Let me see.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": ARGUMENTS}}],
        },
    ),
    ("gen_ai.tool.message", {"content": "sunny", "id": "c1"}),
    ("gen_ai.choice", {"index": 0, "message": {"content": "Sunny.", "reasoning_content": "Sun."}}),
]


@pytest.mark.parametrize("in_attribute", [True, False])
def test_messages_that_were_logged_one_by_one(tmp_path: Path, in_attribute: bool) -> None:
    """Two calls at the same time, mixed: each record names its span. One that names none belongs nowhere."""
    log = []
    for name, body in BODIES:
        event = {"attributes": pairs({"event.name": name})} if in_attribute else {"eventName": name}
        record = {"traceId": "t1", "spanId": "a", "timeUnixNano": "7", "body": typed(body), **event}
        log += [record, {**record, "traceId": "t2"}, {**record, "spanId": None}]
    found = transcripts(save(tmp_path / "a.json", {"resourceLogs": [{"scopeLogs": [{"logRecords": log}]}]}))
    assert [t.messages for t in found] == [WHOLE, WHOLE]


def test_events_in_an_attribute(tmp_path: Path) -> None:
    events = [{"event.name": name, **body} for name, body in BODIES]
    attributes = {"gen_ai.request.model": "m", "events": text([*events, {"event.name": 3}, 3])}
    assert only(tmp_path, span("a", attributes)).messages == WHOLE
    cut = only(tmp_path, span("a", attributes | {"events": text(events)[:-20]}))
    assert cut.messages == WHOLE[:-1]
    assert "truncated_outputs" in cut.metadata["missing"]


def test_a_system_prompt_that_is_told_twice(tmp_path: Path) -> None:
    alone = {"gen_ai.system_instructions": text([{"type": "text", "content": "Be kind."}])}
    assert only(tmp_path, span("a", chat([said("system", "Be kind."), *HISTORY], **alone))).messages == WHOLE
    other = only(tmp_path, span("a", chat([said("system", "Be brief."), *HISTORY], **alone)))
    assert [m["content"] for m in other.messages[:2]] == ["Be kind.", "Be brief."]


def test_a_function_without_parameters(tmp_path: Path) -> None:
    """Names only are what is recorded by default; but not where another function has its schema."""
    bare, hosted = {"type": "function", "name": "now"}, {"type": "web_search", "name": "web"}
    found = only(tmp_path, span("a", chat(**{"gen_ai.tool.definitions": text([TOOL, bare, hosted])})))
    assert [tool["function"]["name"] for tool in found.tools] == ["find", "now"]
    assert found.metadata["dropped"] == {"tool without a schema": 1}
    found = only(tmp_path, span("a", chat(**{"gen_ai.tool.definitions": text([bare])})))
    assert not found.tools
    assert found.metadata["missing"] == ["tool_schemas"]


def test_tools_whose_schema_is_that_of_the_parameters(tmp_path: Path) -> None:
    attributes = {
        "llm.tools.0.tool.name": "find",
        "llm.tools.0.tool.description": "Look up.",
        "llm.tools.0.tool.json_schema": '{"type":"object"}',
    }
    assert only(tmp_path, span("a", chat(**attributes))).tools == [SCHEMA]


def test_tools_of_which_only_the_names_were_recorded(tmp_path: Path) -> None:
    names = text([{"type": "function", "name": "find"}, {"type": "web_search"}, 3])
    found = only(tmp_path, span("a", chat(**{"gen_ai.tool.definitions": names})))
    assert found.tools == []
    assert found.metadata["missing"] == ["tool_schemas"]
    assert found.metadata["dropped"] == {"tool without a schema": 2}


# -- parts and messages ------------------------------------------------------------------------------------------------


def made(*items: Item) -> Draft:
    draft = Draft(id="x", source="otel")
    draft.messages = otel_messages.messages_of(items, draft)
    return draft


def test_outputs_may_stand_in_a_message_of_the_user() -> None:
    second = {"type": "tool_call_response", "id": "c2", "result": {"a": 1}}
    draft = made(said("user", ANSWER, second, "And Oslo?"), said("tool", ANSWER, "x"))
    assert draft.messages == [
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "c2", "content": '{"a":1}'},
        {"role": "user", "content": "And Oslo?"},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (None, ""),
        ("x", "x"),
        ([{"type": "text", "content": "x"}], "x"),
        ([{"type": "text", "text": "x"}, {"type": "text", "text": "y"}], [{"type": "text", "text": t} for t in "xy"]),
        ([], "[]"),
        ([1], "[1]"),
        ([{"type": "tool_result", "content": "x"}], '[{"type":"tool_result","content":"x"}]'),
        ({"a": 1}, '{"a":1}'),
    ],
)
def test_outputs(value: Any, content: Any) -> None:
    assert otel_messages.output_of(value, Draft(id="x", source="otel")) == content


def test_blocks_of_anthropic() -> None:
    use = {"type": "tool_use", "id": "c1", "name": "find", "input": {"city": "Rome"}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "sunny"}]}
    draft = made({"role": "assistant", "content": [use]}, {"role": "user", "content": [result]})
    assert draft.messages[0]["tool_calls"][0]["function"] == {"name": "find", "arguments": ARGUMENTS}
    assert draft.messages[1] == {"role": "tool", "tool_call_id": "c1", "content": "sunny"}


def test_arguments_stay_to_the_letter() -> None:
    draft = made(said("assistant", {**CALL, "arguments": '{"city": '}))
    assert draft.messages[0]["tool_calls"][0]["function"]["arguments"] == '{"city": '


def test_calls_that_the_provider_ran() -> None:
    call = {"type": "server_tool_call", "id": "w", "name": "search", "server_tool_call": {"type": "search", "q": 1}}
    answer = {"type": "server_tool_call_response", "id": "w", "server_tool_call_response": {"type": "x", "n": 2}}
    draft = made(said("assistant", "Let me see.", call, answer, "Two."))
    assert [m["role"] for m in draft.messages] == ["assistant", "tool", "assistant"]
    assert draft.messages[0]["tool_calls"][0]["function"] == {"name": "search", "arguments": '{"q":1}'}
    assert not draft.missing
    assert not draft.dropped
    draft = made(said("assistant", call, "Two."))
    assert [m["content"] for m in draft.messages] == ["Two."]
    assert draft.missing == {"server_tool_results"}
    assert draft.dropped == {"server-side call": 1}


@pytest.mark.parametrize(
    ("part", "url"),
    [
        (
            {"type": "blob", "modality": "image", "mime_type": "image/jpeg", "content": "AA"},
            "data:image/jpeg;base64,AA",
        ),
        ({"type": "uri", "modality": "image", "uri": "https://x/y.png"}, "https://x/y.png"),
        ({"type": "image_url", "image_url": {"url": "https://x/y.png"}}, "https://x/y.png"),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
            "data:image/png;base64,AA",
        ),
        ({"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}, "https://x/y.png"),
        ({"type": "image", "source": 3}, None),
        ({"type": "uri", "modality": "image", "uri": "gs://bucket/x"}, None),
        ({"type": "blob", "modality": "audio", "content": "AA"}, None),
        ({"type": "file", "modality": "image", "file_id": "f1"}, None),
        ({"type": "uri", "uri": 3}, None),
    ],
)
def test_media(part: Item, url: str | None) -> None:
    draft = made(said("user", part))
    kind = part.get("modality") or part["type"]
    expected = {"type": "image_url", "image_url": {"url": url}} if url else f"[{kind} not shown]"
    assert draft.messages[0]["content"] == ([expected] if url else expected)
    assert draft.missing == (set() if url else {"images"})


def test_a_history_that_was_compacted() -> None:
    draft = made(said("user", {"type": "compaction", "content": "So far: a."}), said("user", {"type": "compaction"}))
    assert [m["content"] for m in draft.messages] == ["So far: a.", ""]
    assert draft.missing == {"compacted_history"}


def test_what_is_unknown() -> None:
    items = said("assistant", {"type": "odd"}, {"type": "odd", "text": "kept"}), {"role": "narrator"}, {"role": 3}
    draft = made(*items)
    assert [m["content"] for m in draft.messages] == ["kept"]
    assert draft.dropped == {"part of type odd": 1, "message of unknown role": 2}


def test_the_first_choice_counts(tmp_path: Path) -> None:
    attributes = chat(reply=None) | {"gen_ai.output.messages": text([REPLY, said("assistant", "Fine.")])}
    found = only(tmp_path, span("a", attributes))
    assert found.messages[-1]["content"] == "Sunny."
    assert found.metadata["dropped"] == {"other choice": 1}


def test_a_reply_in_several_messages_is_one(tmp_path: Path) -> None:
    value = open_inference()
    tail = "llm.output_messages.1.message."
    value["attributes"] += pairs({f"{tail}role": "assistant", f"{tail}content": "Really."})
    found = only(tmp_path, value)
    assert found.messages[-1]["content"] == [{"type": "text", "text": t} for t in ("Sunny.", "Really.")]
    assert len(found.messages) == len(WHOLE)


def test_reasoning_that_is_only_counted(tmp_path: Path) -> None:
    counted = {"gen_ai.usage.reasoning.output_tokens": 9}
    assert "missing" not in only(tmp_path, span("a", chat([ASKED], **counted))).metadata
    found = only(tmp_path, span("a", chat([ASKED], said("assistant", "Sunny."), **counted)))
    assert found.metadata["missing"] == ["reasoning"]


# -- what was cut short ------------------------------------------------------------------------------------------------


def test_an_attribute_that_was_cut_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """The message that the cut goes through is lost, and the reply, which did not answer what stands before it."""
    attributes = chat() | {"gen_ai.input.messages": text(HISTORY)[:-30]}
    found = only(tmp_path, span("a", attributes))
    assert found.messages == WHOLE[1:3]
    assert "truncated_outputs" in found.metadata["missing"]
    assert found.metadata["dropped"] == {"reply to a prompt that was cut short": 1}


def test_a_prompt_is_read_to_the_last_whole_message() -> None:
    """Wherever the cut is, also between two messages."""
    told = text(HISTORY)
    lengths = []
    for end in range(2, len(told)):
        content = otel_attributes.Content()
        prompt = otel_content.prompt_in(told[:end], content)
        assert prompt == HISTORY[: len(prompt)]
        assert content.ends_early
        lengths.append(len(prompt))
    assert lengths == sorted(lengths)
    assert set(lengths) == {0, 1, 2}
    content = otel_attributes.Content()
    assert otel_content.prompt_in(told, content) == HISTORY
    assert not (content.ends_early or content.broken)


def test_a_cut_of_everything(tmp_path: Path) -> None:
    (item,) = read(save(tmp_path / "a.json", document(span("a", chat() | {"gen_ai.input.messages": '[{"role": "us'}))))
    assert isinstance(item, Excluded)
    assert item.reason == "no dialogue"


@pytest.mark.parametrize("dialect", [indexed, open_inference])
@pytest.mark.parametrize("lost", ["0.", "2.", "nothing"])
def test_messages_among_dropped_attributes(tmp_path: Path, dialect: Any, lost: str) -> None:
    """A span holds 128 attributes by default: some exporters drop the oldest, some the newest ones."""
    value = dialect()
    keys = [f"{prefix}{lost}" for prefix in ("gen_ai.prompt.", "llm.input_messages.")]
    value["attributes"] = [item for item in value["attributes"] if not item["key"].startswith(tuple(keys))]
    found = only(tmp_path, {**value, "droppedAttributesCount": 3})
    expected = {"0.": WHOLE[1:], "2.": WHOLE[:2], "nothing": WHOLE}[lost]
    assert found.messages == expected
    assert ("compacted_history" in found.metadata["missing"]) is (lost == "0.")
    assert found.metadata.get("dropped") == ({"reply to a prompt that was cut short": 1} if lost == "2." else None)


def test_a_message_that_lost_its_role_with_those_before_it() -> None:
    value = span("a", {"gen_ai.prompt.4.content": "half", "gen_ai.prompt.5.role": "user"})
    content = otel_attributes.Content()
    cut = read_span({**value, "droppedAttributesCount": 1})
    assert otel_attributes.prompt_under("gen_ai.prompt.", cut, content) == [{"role": "user"}]
    assert content.starts_late
    assert len(otel_attributes.prompt_under("gen_ai.prompt.", read_span(value), content)) == 2


def test_a_history_that_the_provider_keeps(tmp_path: Path) -> None:
    """Only what is new is sent, and logged: here the output of a call that an earlier request made."""
    found = only(tmp_path, span("a", chat([HISTORY[2]])))
    assert found.messages == WHOLE[-1:]
    assert "compacted_history" in found.metadata["missing"]


def test_a_call_that_is_whole_comes_before_a_later_one_that_was_cut(tmp_path: Path) -> None:
    cut = chat() | {"gen_ai.input.messages": text(HISTORY)[:-30]}
    found = only(tmp_path, span("a", chat([ASKED], HISTORY[1]), time=1), span("b", cut, time=2))
    assert found.id == "a.json#t1/a"


@pytest.mark.parametrize(
    ("dialect", "missing"), [(indexed, True), (open_inference, True), (span_events, True), (current_structured, False)]
)
def test_attributes_that_were_dropped(tmp_path: Path, dialect: Any, missing: bool) -> None:
    found = only(tmp_path, {**dialect(), "droppedAttributesCount": 2})
    assert ("truncated_outputs" in found.metadata.get("missing", [])) is missing


@pytest.mark.parametrize(
    ("texts", "is_cut"),
    [
        (["a... [truncated]"], True),
        (["a…truncated"], True),
        (["a<truncated 30 chars>"], True),
        (["It was truncated."], False),
        (["a" * 128, "b" * 128, "c"], True),
        (["a" * 1003, "b" * 1003, "c"], True),
        (["a" * 128, "a" * 128, "c"], False),
        (["a" * 128, "b" * 128, "c" * 200], False),
        (["a" * 131 + "x", "b" * 132], False),
        (["a" * 50, "b" * 50], False),
        ([], False),
    ],
)
def test_texts_that_were_cut(texts: list[str], is_cut: bool) -> None:
    content = otel_attributes.Content(prompt=[said("user", *texts)])
    assert (otel_attributes.says_truncated(content) or otel_attributes.meets_a_limit(content)) is is_cut


@pytest.mark.parametrize("value", ["[INFO] look", "{braces} first", "[1] is a list", "plain"])
def test_texts_that_only_look_like_json(value: str) -> None:
    content = otel_attributes.Content()
    assert otel_attributes.parsed(value, content) == value
    assert not content.broken


# -- which span is read ------------------------------------------------------------------------------------------------

AGENT = {"gen_ai.operation.name": "invoke_agent"}


def named(name: str) -> Item:
    return {**AGENT, "gen_ai.agent.name": name}


def test_a_sub_agent_is_a_conversation_of_its_own(tmp_path: Path) -> None:
    search = said("user", "Search.")
    spans = [
        span("root", named("boss")),
        span("1", chat([ASKED], HISTORY[1]), "root", time=1),
        span("tool", {"gen_ai.operation.name": "execute_tool"}, "root", time=2),
        span("sub", named("scout"), "tool", time=3),
        span("2", chat([search], said("assistant", "x")), "sub", time=4),
        span("3", chat([search, said("assistant", "x"), ASKED], said("assistant", "y")), "sub", time=5),
        span("4", chat(), "root", time=6),
    ]
    for seed in range(4):
        random.Random(seed).shuffle(spans)
        found = transcripts(save(tmp_path / "a.json", document(*spans)))
        assert {t.metadata["extra"]["span"]: len(t.messages) for t in found} == {"3": 4, "4": 4}
        assert {t.metadata["cluster"] for t in found} == {"otel:trace:t1"}


def test_agents_side_by_side_and_a_tool_s_own_call(tmp_path: Path) -> None:
    spans = [
        span("w", {}),
        span("a", named("one"), "w"),
        span("b", named("two"), "w"),
        span("1", chat([ASKED]), "a", time=1),
        span("2", chat([ASKED]), "b", time=2),
        span("t", {"openinference.span.kind": "TOOL"}, "a"),
        span("3", chat([ASKED]), "t", time=3),
    ]
    assert len(transcripts(save(tmp_path / "a.json", document(*spans)))) == 3


@pytest.mark.parametrize("inner", ["x", ""])
def test_spans_of_one_agent_within_each_other(tmp_path: Path, inner: str) -> None:
    """Frameworks write one for the run, and one for each step of it."""
    steps = [span(f"s{n}", named(inner), "root") for n in (1, 2)]
    calls = [span("1", chat([ASKED], HISTORY[1]), "s1", time=1), span("2", chat(), "s2", time=2)]
    found = only(tmp_path, span("root", named("x")), *steps, *calls)
    assert found.metadata["extra"]["span"] == "2"


def test_an_agent_that_calls_itself_as_a_tool(tmp_path: Path) -> None:
    spans = [
        span("root", named("x")),
        span("tool", {"gen_ai.operation.name": "execute_tool"}, "root"),
        span("sub", named("x"), "tool"),
        span("1", chat(), "root", time=1),
        span("2", chat(), "sub", time=2),
    ]
    assert len(transcripts(save(tmp_path / "a.json", document(*spans)))) == 2


def test_agents_that_only_their_calls_name(tmp_path: Path) -> None:
    one, two = {"gen_ai.agent.name": "one"}, {"gen_ai.agent.id": "two"}
    spans = [span(str(n), chat([ASKED], **agent), time=n) for n, agent in enumerate((one, two, one))]
    found = transcripts(save(tmp_path / "a.json", document(*spans)))
    assert [t.metadata["extra"]["span"] for t in found] == ["1", "2"]


def test_how_a_call_ended(tmp_path: Path) -> None:
    found = only(tmp_path, span("a", chat(**{"error.type": "timeout", "gen_ai.response.model": "acme/m-1-0401"})))
    assert found.metadata["labels"] == {"error_type": "timeout"}
    assert found.metadata["model"] == "acme/m-1-0401"
    found = only(tmp_path, span("a", chat(), status={"code": 2}))
    assert found.metadata["labels"] == {"error_type": "failed"}


def test_traces_of_one_conversation(tmp_path: Path) -> None:
    """The conversation may be named only by the agent's span."""
    spans = [
        span(f"{trace}{kind}", attributes, f"{trace}a" if kind == "c" else "", trace, time)
        for trace, time, prompt in (("t1", 1, [ASKED]), ("t2", 2, HISTORY))
        for kind, attributes in (("a", {**named("x"), "gen_ai.conversation.id": "v"}), ("c", chat(prompt)))
    ]
    found = only(tmp_path, *spans)
    assert found.metadata["extra"]["span"] == "t2c"


def test_conversations_of_one_trace_are_told_by_their_first_message(tmp_path: Path) -> None:
    title = said("user", "Give it a title: How is Rome?")
    spans = [span("1", chat(), time=1), span("2", chat([title], said("assistant", "Rome")), time=2)]
    assert len(transcripts(save(tmp_path / "a.json", document(*spans)))) == 2


def row(place: int, **fields: Any) -> otel_calls._Row:
    values = {"scope": 1, "opening": 1, "rank": 15, "size": 2, "system": 1, "time": place, "trace": "t", "line": 1}
    return otel_calls._Row(place=place, **{**values, **fields})


@pytest.mark.parametrize(
    ("calls", "places"),
    [
        ([row(1), row(2), row(3)], {3}),
        ([row(1, time=9), row(2)], {1}),
        ([row(1), row(2, opening=2)], {1, 2}),
        # A call by the way has another system prompt, and is short.
        ([row(1, size=9), row(2, system=2)], {1}),
        # The history was compacted: the system prompt is the same.
        ([row(1, size=9), row(2)], {2}),
        # The system prompt has the time in it.
        ([row(1, system=1), row(2, system=2, size=3)], {2}),
        # A reply was lost, or the end of the prompt.
        ([row(1), row(2, rank=11)], {1}),
        ([row(1), row(2, rank=13)], {1}),
        ([row(1, rank=11), row(2, rank=0)], {1}),
        ([row(1, rank=0)], set()),
        # The agent's span repeats its calls; where they say nothing, it is all there is.
        ([row(1), row(2, rank=7, opening=2)], {1}),
        ([row(1, rank=0), row(2, rank=7)], {2}),
    ],
)
def test_the_last_call(calls: list[otel_calls._Row], places: set[int]) -> None:
    assert set(otel_calls.chosen(calls)) == places


def test_an_agent_whose_calls_were_not_recorded(tmp_path: Path) -> None:
    attributes = {**chat(), **named("x")}
    found = only(tmp_path, span("a", attributes), span("b", chat(None, None), "a"))
    assert found.messages == WHOLE[1:]


def test_spans_that_are_each_others_parents(tmp_path: Path) -> None:
    spans = [span("a", named("x"), "b"), span("b", named("y"), "a"), span("c", chat(), "a")]
    assert len(only(tmp_path, *spans).messages) == 4


def test_spans_without_ids(tmp_path: Path) -> None:
    spans = [span("", chat([said("user", str(n))]), trace="") for n in range(3)]
    found = transcripts(save(tmp_path / "a.json", document(*spans)))
    assert len({t.id for t in found}) == 3
    assert all("cluster" not in t.metadata for t in found)


def test_traces_without_content_are_counted(tmp_path: Path) -> None:
    silent = [span(f"{trace}{n}", chat(None, None), trace=trace) for trace in ("t1", "t2") for n in range(3)]
    items = list(read(save(tmp_path / "a.json", document(*silent, span("x", chat(), trace="t3")))))
    excluded = [item for item in items if isinstance(item, Excluded)]
    assert {item.reason for item in excluded} == {"no dialogue"}
    assert [item.detail for item in excluded] == [
        f"trace {trace}: 3 calls, and no content was recorded" for trace in ("t1", "t2")
    ]
    assert sum(isinstance(item, Located) for item in items) == 1


def test_a_trace_of_something_else(tmp_path: Path) -> None:
    (item,) = read(save(tmp_path / "a.json", document(span("a", {"http.request.method": "GET"}))))
    assert isinstance(item, Excluded)
    assert (item.reason, item.detail) == ("no dialogue", "no call of a model")


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"gen_ai.operation.name": "chat"}, "model"),
        ({"gen_ai.operation.name": "generate_content"}, "model"),
        ({"gen_ai.operation.name": "embeddings", "gen_ai.prompt": "x"}, ""),
        ({"gen_ai.operation.name": "invoke_agent"}, "agent"),
        ({"gen_ai.operation.name": "execute_tool"}, "tool"),
        ({"openinference.span.kind": "LLM"}, "model"),
        ({"openinference.span.kind": "AGENT"}, "agent"),
        ({"openinference.span.kind": "CHAIN", "gen_ai.prompt": "x"}, ""),
        ({"traceloop.span.kind": "agent"}, "agent"),
        ({"gen_ai.prompt.0.content": "x"}, "model"),
        ({"gen_ai.operation.name": "responses", "gen_ai.prompt": "x"}, "model"),
        ({"gen_ai.operation.name": "responses"}, ""),
        ({"gen_ai.operation.name": "update_memory", "gen_ai.prompt": "x"}, ""),
        ({"gen_ai.operation.name": 3}, ""),
        ({}, ""),
    ],
)
def test_kinds_of_spans(attributes: Item, kind: str) -> None:
    assert otel_content.kind_of(read_span(span("a", attributes))) == kind


def test_many_traces_in_any_order(tmp_path: Path) -> None:
    """Each of them is read, and only once, however they are mixed."""
    numbers = [(trace, n) for trace in range(50) for n in range(5)]
    random.Random(1).shuffle(numbers)
    turns = [said("user", "hi"), said("assistant", "yes")]
    spans = [span(f"{t}-{n}", chat(turns * n + turns[:1]), trace=f"t{t}", time=n) for t, n in numbers]
    found = transcripts(save(tmp_path / "a.jsonl", *(document(s) for s in spans)))
    assert len(found) == 50
    assert {len(t.messages) for t in found} == {10}
    assert Counter(t.metadata["extra"]["span"].partition("-")[2] for t in found) == {"4": 50}


# -- sniffing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "is_otlp"),
    [
        (document(), True),
        ([document()], True),
        ({"resourceSpans": [{"instrumentationLibrarySpans": []}]}, True),
        ({"resourceLogs": [{"scopeLogs": []}]}, True),
        ({"resourceSpans": []}, False),
        ({"resourceSpans": [3], "messages": []}, False),
        ({"resourceMetrics": [{"scopeMetrics": []}]}, False),
        (3, False),
        (None, False),
    ],
)
def test_sniffing(value: Any, is_otlp: bool) -> None:
    assert otel.sniff(Look("a.json", [value])) is is_otlp
