"""Tool schemas inferred from calls: names and types, never values."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from resample.actions import style
from resample.prepare.schemas import infer

TOOLS = style("tools")


def acting(*calls: tuple[str, Any]) -> dict[str, Any]:
    return {
        "role": "assistant",
        "tool_calls": [
            {
                "id": f"c{i}",
                "type": "function",
                "function": {"name": name, "arguments": a if isinstance(a, str) else orjson.dumps(a).decode()},
            }
            for i, (name, a) in enumerate(calls)
        ],
    }


def parameters(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([{}], parameters({}, [])),
        ([{"a": "x"}], parameters({"a": {"type": "string"}}, ["a"])),
        ([{"a": 1, "b": True}, {"a": 2}], parameters({"a": {"type": "integer"}, "b": {"type": "boolean"}}, ["a"])),
        ([{"a": 1}, {"a": 1.5}], parameters({"a": {"type": "number"}}, ["a"])),
        ([{"a": "x"}, {"a": None}], parameters({"a": {"type": ["null", "string"]}}, ["a"])),
        ([{"a": []}], parameters({"a": {"type": "array", "items": {}}}, ["a"])),
        (
            [{"a": [1]}, {"a": ["x"]}],
            parameters({"a": {"type": "array", "items": {"type": ["integer", "string"]}}}, ["a"]),
        ),
        ([{"a": {"secret-key": 1}}], parameters({"a": {"type": "object"}}, ["a"])),
        # What cannot be read says nothing about what is required.
        ([{"a": 1}, '{"b": '], parameters({"a": {"type": "integer"}}, ["a"])),
        (['{"b": '], parameters({}, [])),
    ],
)
def test_parameters(arguments: list[Any], expected: dict[str, Any]) -> None:
    (schema,) = infer([acting(("run", a)) for a in arguments], TOOLS)
    assert schema == {"type": "function", "function": {"name": "run", "parameters": expected}}


def test_tools_come_in_the_order_of_their_first_calls_and_only_agents_call() -> None:
    messages = [
        {"role": "user", "content": "x"},
        acting(("b", {}), ("a", {})),
        acting(("b", {}), ("", {})),
        {"role": "assistant", "content": "done"},
    ]
    assert [schema["function"]["name"] for schema in infer(messages, TOOLS)] == ["b", "a"]


def test_custom_tools_take_text() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "patch", "input": "***"}}
    message = {"role": "assistant", "tool_calls": [call]}
    assert infer([message], TOOLS) == [{"type": "custom", "custom": {"name": "patch"}}]


def test_no_value_ever_shows() -> None:
    values = {"s": "VALUE", "l": ["VALUE", {"VALUE": "VALUE"}], "o": {"VALUE": "VALUE"}}
    assert b"VALUE" not in orjson.dumps(infer([acting(("run", values))], TOOLS))
