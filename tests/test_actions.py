"""How actions are read from messages, carried back, and where turns begin."""

from __future__ import annotations

from typing import Any

import pytest

from resample.actions import begins_turn, style
from resample.types import ToolCall, UserError

TOOLS = style("tools")


def function(arguments: Any, id: str = "c1") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "ls", "arguments": arguments}}


DEEP = '{"a": ' + "[" * 600 + "]" * 600 + "}"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"content": "done"}, []),
        ({"tool_calls": None}, []),
        ({"tool_calls": "oops"}, []),
        ({"tool_calls": [None, 3]}, []),
        ({"tool_calls": [{}]}, [ToolCall("", "", "", {})]),
        ({"tool_calls": [function('{"a": 1}')]}, [ToolCall("c1", "ls", '{"a": 1}', {"a": 1})]),
        ({"tool_calls": [function(' {"a":1}\n')]}, [ToolCall("c1", "ls", ' {"a":1}\n', {"a": 1})]),
        ({"tool_calls": [function({"a": 1})]}, [ToolCall("c1", "ls", '{"a":1}', {"a": 1})]),
        ({"tool_calls": [function("")]}, [ToolCall("c1", "ls", "", {})]),
        ({"tool_calls": [function('{"a": ')]}, [ToolCall("c1", "ls", '{"a": ', None)]),
        ({"tool_calls": [function("[1]")]}, [ToolCall("c1", "ls", "[1]", None)]),
        ({"tool_calls": [function('{"a": NaN}')]}, [ToolCall("c1", "ls", '{"a": NaN}', None)]),
        ({"tool_calls": [function('{"a": "\\ud800"}')]}, [ToolCall("c1", "ls", '{"a": "\\ud800"}', None)]),
        (
            {"tool_calls": [function(DEEP)]},
            [ToolCall("c1", "ls", DEEP, None)],
        ),
        (
            {"tool_calls": [function("{}"), function("{}", "c2")]},
            [ToolCall("c1", "ls", "{}", {}), ToolCall("c2", "ls", "{}", {})],
        ),
        (
            {"tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "*** x"}}]},
            [ToolCall("c1", "patch", "*** x", {"input": "*** x"})],
        ),
        (
            {"function_call": {"name": "ls", "arguments": "{}"}, "tool_calls": None},
            [ToolCall("function_call", "ls", "{}", {})],
        ),
    ],
)
def test_calls(message: dict[str, Any], expected: list[ToolCall]) -> None:
    assert TOOLS.calls({"role": "assistant", **message}) == expected


def test_an_output_goes_back_in_the_form_of_its_call() -> None:
    native = TOOLS.calls({"role": "assistant", "tool_calls": [function("{}")]})[0]
    assert TOOLS.output(native, "a.log") == {"role": "tool", "tool_call_id": "c1", "content": "a.log"}
    older = TOOLS.calls({"role": "assistant", "function_call": {"name": "ls", "arguments": "{}"}})[0]
    assert TOOLS.output(older, "a.log") == {"role": "function", "name": "ls", "content": "a.log"}


RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "a.log"}
TEXT = {"type": "text", "text": "go on"}


@pytest.mark.parametrize(
    ("message", "begins"),
    [
        ({"role": "user", "content": "hello"}, True),
        ({"role": "user", "content": ""}, True),
        ({"role": "user", "content": []}, True),
        ({"role": "user", "content": [TEXT]}, True),
        ({"role": "user", "content": [RESULT]}, False),
        ({"role": "user", "content": [RESULT, RESULT]}, False),
        ({"role": "user", "content": [RESULT, TEXT]}, True),
        ({"role": "system", "content": "rules"}, False),
        ({"role": "assistant", "content": "hello"}, False),
        ({"role": "tool", "tool_call_id": "c1", "content": "x"}, False),
    ],
)
def test_where_a_turn_begins(message: dict[str, Any], begins: bool) -> None:
    assert begins_turn(TOOLS, [message], 0) is begins
    assert begins_turn(TOOLS, [{"role": "assistant", "content": "hm"}, message], 1) is begins


@pytest.mark.parametrize(
    ("name", "words"),
    [("text:fenced", "text:fenced.*known: swe_agent, xml_command, "), ("xml", "xml.*tools"), ("", "tools")],
)
def test_an_unknown_style_is_refused_with_those_known(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        style(name)
