"""Choosing a tool from a request's schemas, and writing arguments for it."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from resample.types import Message, ToolSchema

_ENDS_TURN = re.compile(
    r"(?:^|[_.-])(?:submit|finish|finished|done|exit|stop|end|terminate|complete|final|answer|transfer)(?:$|[_.-])"
)
_SHELL = re.compile(r"bash|shell|terminal|exec|console", re.IGNORECASE)
_COMMAND_FIELDS = ("command", "cmd", "commands", "script", "code", "input", "query", "sql")
_TEXT_FIELDS = ("message", "body", "content", "text", "note", "comment", "description", "reason", "summary")
_MAX_DEPTH = 4

_STRINGS: tuple[tuple[str, Sequence[str]], ...] = (
    (r"^(?:command|cmd|script|bash)", ("ls -la", "git status --short", "head -n 20 README.md", "wc -l *.md")),
    (r"^code", ("print(len(rows))", "print(sorted(names)[:5])")),
    (r"path|file|dir|folder|cwd", ("README.md", "src/app.py", "notes/todo.md", "data/input.csv")),
    (r"pattern|regex|glob", ("TODO", "def load", "*.md")),
    (r"sql", ("select count(*) from orders",)),
    (r"query|search|question|keyword", ("opening hours", "release notes", "delivery status")),
    (r"url|uri|link", ("https://example.com/docs/start", "https://example.com/status")),
    (r"mail|recipient", ("dana@example.com", "office@example.com")),
    (r"date|day|since|until|time", ("2025-03-14", "2025-04-02")),
    (r"(?:^|_)ids?$|number|code|ref", ("A-1042", "B-2210", "C-3381")),
    (r"name|user|customer", ("Dana Reyes", "Kim Osei", "Lee Novak")),
    (r"message|body|content|text|note|comment|reason|summary|title", ("Checked; no change so far.",)),
)


class Tool(NamedTuple):
    """A tool the candidate may call."""

    name: str
    parameters: Mapping[str, Any]
    """JSON Schema of the arguments."""


def usable(schemas: Sequence[ToolSchema]) -> list[Tool]:
    """The tools that can be called in mid-turn.

    Those whose name says that they end the turn are left out: an act planned after such a call would be lost.
    """
    tools = [
        Tool(schema["function"]["name"], _resolved(schema["function"].get("parameters")))
        for schema in schemas
        if schema.get("type") == "function"
    ]
    return [tool for tool in tools if not _ENDS_TURN.search(tool.name.lower())]


def act_places(tools: Sequence[Tool]) -> list[tuple[Tool, str]]:
    """The tools and string parameters an act can be written into: of shell-like tools, else of any."""
    places = [(tool, name) for tool in tools if (name := _free_text(tool))]
    shells = [place for place in places if is_shell(place[0].name, place[0].parameters)]
    return shells or places


def is_shell(name: str, parameters: Mapping[str, Any]) -> bool:
    """Does the tool look like a shell: by its name, or by an argument that holds a command?"""
    fields = _properties(parameters).keys()
    return bool({"command", "cmd"} & fields or (_SHELL.search(name) and set(_COMMAND_FIELDS) & fields))


def _free_text(tool: Tool) -> str | None:
    properties = _properties(tool.parameters)
    free = [name for name, part in properties.items() if _kind(part) == "string" and "enum" not in part]
    required = [name for name in free if name in (tool.parameters.get("required") or ())]
    preferred = [name for name in (*_COMMAND_FIELDS, *_TEXT_FIELDS) if name in free]
    return next(iter([*preferred, *required, *free]), None)


def act_arguments(tool: Tool, field: str, wording: str, source: random.Random) -> str:
    """The arguments of a call that commits an act: what the schema requires, and the wording in its field."""
    return orjson.dumps({**_object(tool.parameters, source, 0), field: wording}).decode()


def ordinary_arguments(tool: Tool, earlier: Sequence[str], source: random.Random) -> str:
    """The arguments of an ordinary call: half the time those of an earlier call of this tool."""
    if earlier and source.random() < 0.5:
        return source.choice(earlier)
    return orjson.dumps(_object(tool.parameters, source, 0)).decode()


def earlier_arguments(messages: Sequence[Message]) -> dict[str, list[str]]:
    """The valid arguments of each tool's calls in a conversation, verbatim."""
    found: dict[str, list[str]] = {}
    for message in messages:
        for call in message.get("tool_calls") or ():
            function = call.get("function") or {}
            if _is_object(function.get("arguments")):
                found.setdefault(function.get("name", ""), []).append(function["arguments"])
    return found


def _is_object(text: object) -> bool:
    try:
        return isinstance(text, str) and isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def _object(schema: Mapping[str, Any], source: random.Random, depth: int) -> dict[str, Any]:
    properties, required = _properties(schema), schema.get("required") or ()
    return {
        name: _value(name, part, source, depth + 1)
        for name, part in properties.items()
        if name in required or (depth == 0 and source.random() < 0.25)
    }


def _properties(schema: Mapping[str, Any]) -> dict[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def _value(name: str, schema: Any, source: random.Random, depth: int) -> Any:
    schema = _resolved(schema)
    for key in ("enum", "examples"):
        if schema.get(key):
            return source.choice(schema[key])
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    match _kind(schema):
        case "integer" | "number":
            low = schema.get("minimum", 1)
            return min(low + source.randrange(20), schema.get("maximum", low + 20))
        case "boolean":
            return source.random() < 0.5
        case "array":
            return [_value(name, schema.get("items") or {}, source, depth + 1)] if depth < _MAX_DEPTH else []
        case "object":
            return _object(schema, source, depth) if depth < _MAX_DEPTH else {}
        case "null":
            return None
        case _:
            return source.choice(_strings(name))


def _strings(name: str) -> Sequence[str]:
    for pattern, values in _STRINGS:
        if re.search(pattern, name.lower()):
            return values
    return ("standard", "current", "all")


def _resolved(schema: Any) -> Mapping[str, Any]:
    if not isinstance(schema, dict):
        return {}
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(key), list) and schema[key] and "type" not in schema:
            return _resolved(schema[key][0])
    return schema


def _kind(schema: Any) -> str:
    kind = _resolved(schema).get("type", "")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    return str(kind)
