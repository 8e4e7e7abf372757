"""The passes that every foreign format goes through."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from resample.formats.assemble import (
    AT,
    any_schema,
    arguments_text,
    content_of,
    finish,
    function_call,
    image_part,
    name_calls,
    pair_results,
    small_extras,
    text_part,
)
from resample.formats.base import Draft
from resample.formats.checks import validate
from resample.formats.exclusions import Problem, Reason
from resample.types import Message, Missing, Transcript

USER: Message = {"role": "user", "content": "go"}


def acting(*ids: str | None) -> Message:
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [function_call(id, "ls", {"n": i}) for i, id in enumerate(ids)],
    }


def out(id: str | None, text: str = "out") -> Message:
    return {"role": "tool", "tool_call_id": id, "content": text}


def ids(messages: list[Message]) -> list[Any]:
    return [
        [call["id"] for call in m["tool_calls"]] if m.get("tool_calls") else m.get("tool_call_id") for m in messages
    ]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([acting("", ""), out("", "1"), out("", "2")], [["call_0_0", "call_0_1"], "call_0_0", "call_0_1"]),
        ([acting(None), out(None), acting(None), out(None)], [["call_0_0"], "call_0_0", ["call_2_0"], "call_2_0"]),
        ([acting("a", "a"), out("a"), out("a")], [["call_0_0", "call_0_1"], "call_0_0", "call_0_1"]),
        ([acting("a", ""), out("", "2"), out("a", "1")], [["a", "call_0_1"], "call_0_1", "a"]),
        ([acting("a"), out("a"), acting("a"), out("a")], [["a"], "a", ["a"], "a"]),
        ([acting("a"), out("")], [["a"], ""]),
    ],
)
def test_calls_without_an_id_of_their_own_are_named_and_answered_by_order(messages: Any, expected: Any) -> None:
    assert ids(name_calls(messages)) == expected


@pytest.mark.parametrize(
    ("messages", "expected", "orphans"),
    [
        ([acting("a", "b"), USER, out("b"), out("a")], [["a", "b"], "b", "a", None], 0),
        ([acting("a"), acting("b"), out("a"), out("b")], [["a"], "a", ["b"], "b"], 0),
        ([out("a"), acting("a"), out("a"), out("a")], [["a"], "a"], 2),
        ([USER, out("z")], [None], 1),
    ],
)
def test_results_stand_after_their_calls_and_orphans_are_counted(messages: Any, expected: Any, orphans: int) -> None:
    dropped: Counter[str] = Counter()
    assert ids(pair_results(messages, dropped)) == expected
    assert dropped["orphan result"] == orphans


def test_a_finished_draft_is_canonical_and_says_what_became_of_it() -> None:
    messages = [
        {**USER, AT: 2, "uuid": "x"},
        {**acting(""), AT: 3, "usage": {}},
        {**out("nobody"), AT: 4},
        {**out(""), AT: 5},
        {"role": "assistant", "content": "ok", AT: 6},
    ]
    draft = Draft("id", "some_format", messages, model="m", terminal_tools=("submit",), labels={"reward": 0.0})
    draft.dropped["dead branch"] += 2
    draft.extra = {"cwd": "/x", "none": None, "large": "x" * 5000}
    transcript = finish(draft)
    assert isinstance(transcript, Transcript)
    assert validate(transcript) is None
    assert [sorted(m) for m in transcript.messages] == [
        ["content", "role"],
        ["content", "role", "tool_calls"],
        ["content", "role", "tool_call_id"],
        ["content", "role"],
    ]
    assert transcript.metadata == {
        "source": "some_format",
        "model": "m",
        "terminal_tools": ["submit"],
        "missing": ["tool_schemas"],
        "labels": {"reward": 0.0},
        "dropped": {"dead branch": 2, "orphan result": 1},
        "lines": [2, 3, 5, 6],
        "extra": {"cwd": "/x"},
    }


def test_text_agents_have_no_schemas_to_miss() -> None:
    draft = Draft("id", "f", [USER, {"role": "assistant", "content": "ls"}], actions="text:swe_agent")
    draft.missing.add(Missing.REASONING)
    transcript = finish(draft)
    assert isinstance(transcript, Transcript)
    assert transcript.metadata == {"source": "f", "actions": "text:swe_agent", "missing": ["reasoning"]}


@pytest.mark.parametrize(
    "messages", [[], [{"role": "system", "content": "s"}], [{"role": "user", "content": ""}], [out("a")]]
)
def test_a_session_in_which_nobody_speaks_is_named_so(messages: list[Message]) -> None:
    assert finish(Draft("id", "f", messages)) == Problem(Reason.NO_DIALOGUE)


@pytest.mark.parametrize(
    ("given", "text"),
    [('{"a": broken', '{"a": broken'), ({"a": [1]}, '{"a":[1]}'), (None, "{}"), ([1], "[1]"), ("", "")],
)
def test_arguments_are_kept_to_the_letter_where_they_are_text(given: Any, text: str) -> None:
    assert arguments_text(given) == text


def test_arguments_beyond_what_can_be_written_are_none() -> None:
    deep: Any = []
    for _ in range(2000):
        deep = [deep]
    assert arguments_text(deep) is None


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        ([], ""),
        ([text_part("a")], "a"),
        ([text_part("a"), text_part("b")], [text_part("a"), text_part("b")]),
        ([image_part("data:x")], [image_part("data:x")]),
    ],
)
def test_contents_take_the_shortest_form(parts: Any, content: Any) -> None:
    assert content_of(parts) == content


PARAMETERS = {"type": "object", "properties": {"a": {"type": "string"}}}
SCHEMA = {"type": "function", "function": {"name": "f", "description": "d", "parameters": PARAMETERS}}


@pytest.mark.parametrize(
    ("tool", "schema"),
    [
        (SCHEMA, SCHEMA),
        ({"type": "function", "name": "f", "description": "d", "parameters": PARAMETERS}, SCHEMA),
        ({"name": "f", "description": "d", "input_schema": PARAMETERS}, SCHEMA),
        ({"name": "f", "description": "d", "inputSchema": PARAMETERS}, SCHEMA),
        ({"type": "custom", "custom": {"name": "c"}}, {"type": "custom", "custom": {"name": "c"}}),
        (
            {"name": "f"},
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}},
        ),
        ({"name": ""}, None),
        ({"name": 3}, None),
        ({}, None),
        ("f", None),
        (None, None),
    ],
)
def test_schemas_of_other_makers(tool: Any, schema: Any) -> None:
    assert any_schema(tool) == schema


def test_extras_are_few_and_small() -> None:
    kept = small_extras({f"k{i}": i for i in range(100)})
    assert kept == {f"k{i}": i for i in range(32)}
