"""Tool schemas for logs that have none, inferred from the calls before the cut.

Names, argument names and JSON types; never a value, never anything from after the cut. No description is
written: there is nothing to describe a tool by that is not invented, and the candidate shall not learn how
its tools were made.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from resample.actions import ActionStyle
from resample.types import Message, ToolCall, ToolSchema


def infer(messages: Iterable[Message], style: ActionStyle) -> list[ToolSchema]:
    """A schema for each tool that is called in `messages`, in the order of their first calls."""
    called: dict[tuple[str, str], list[ToolCall]] = {}
    for message in messages:
        if message["role"] != "assistant":
            continue
        custom = _custom_names(message)
        for call in style.calls(message):
            kind = "custom" if call.name in custom else "function"
            if call.name:
                called.setdefault((kind, call.name), []).append(call)
    return [_schema(kind, name, calls) for (kind, name), calls in called.items()]


def _custom_names(message: Message) -> set[str]:
    calls = message.get("tool_calls") or ()
    return {call["custom"]["name"] for call in calls if call.get("type") == "custom"}


def _schema(kind: str, name: str, calls: list[ToolCall]) -> ToolSchema:
    if kind == "custom":
        return {"type": "custom", "custom": {"name": name}}
    return {"type": "function", "function": {"name": name, "parameters": _parameters(calls)}}


def _parameters(calls: list[ToolCall]) -> dict[str, Any]:
    """An argument is required if every call that can be read has it."""
    readable = [call.parsed for call in calls if call.parsed is not None]
    seen: dict[str, list[Any]] = {}
    for arguments in readable:
        for key, value in arguments.items():
            seen.setdefault(key, []).append(value)
    return {
        "type": "object",
        "properties": {key: _type_of(values) for key, values in seen.items()},
        "required": [key for key, values in seen.items() if len(values) == len(readable)],
    }


def _type_of(values: list[Any]) -> dict[str, Any]:
    """The JSON types among these values. What an object has inside may be data: it is left out."""
    names = sorted({_json_type(value) for value in values})
    if "number" in names and "integer" in names:
        names.remove("integer")
    schema: dict[str, Any] = {"type": names[0] if len(names) == 1 else names}
    if "array" in names:  # providers demand `items`
        items = [item for value in values if isinstance(value, list) for item in value]
        schema["items"] = _type_of(items) if items else {}
    return schema


def _json_type(value: Any) -> str:
    return _JSON_TYPES[type(value)]


_JSON_TYPES = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
