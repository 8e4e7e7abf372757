"""Tool schemas for logs that have none, inferred from calls: those before the cut, and those of other transcripts.

Names, argument names, JSON types, and which arguments every call has; never a value, never anything from after the
cut. No description is written: there is nothing to describe a tool by that is not invented, and the candidate shall
not learn how its tools were made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from resample.actions import ActionStyle
from resample.types import TOOLS, Message, ToolCall, ToolSchema, Transcript


class Fact(NamedTuple):
    """One thing that calls of a tool show of it."""

    kind: str
    """`function` or `custom`."""
    tool: str
    argument: str | None
    """None: a call with just the arguments of `shows`, a JSON list of their names; empty where they cannot be read."""
    depth: int
    """0 for the argument itself, 1 for the items of a list in it, and so on."""
    shows: str
    """The JSON type that was seen there."""


def lacks_tools(transcript: Transcript) -> bool:
    """Has an agent with native calls no schemas in its log?"""
    return not transcript.tools and (transcript.metadata.get("actions") or TOOLS) == TOOLS


def agent_of(transcript: Transcript) -> str:
    """Which transcripts are of agents with the same tools, as far as a log tells: source, stratum, system prompt."""
    spoken = (i for i, message in enumerate(transcript.messages) if message["role"] not in ("system", "developer"))
    head = [text_or_parts(message) for message in transcript.messages[: next(spoken, None)]]
    prompt = hashlib.sha256("\0".join(head).encode()).hexdigest()[:16] if head else ""
    metadata = transcript.metadata
    return "\0".join((metadata.get("source") or "", metadata.get("stratum") or "", prompt))


def text_or_parts(message: Message) -> str:
    """The content of a message as a text, the same for the same content."""
    content = message.get("content")
    return content if isinstance(content, str) else orjson.dumps(content).decode()


def infer(messages: Iterable[Message], style: ActionStyle) -> list[ToolSchema]:
    """A schema for each tool that is called in `messages`, in the order of their first calls."""
    return schemas_from(facts_in(messages, style))


def facts_in(messages: Iterable[Message], style: ActionStyle) -> Iterator[Fact]:
    """What the calls in `messages` show of their tools."""
    for message in messages:
        if message["role"] != "assistant":
            continue
        custom = _custom_names(message)
        for call in style.calls(message):
            if call.name:
                yield from _facts("custom" if call.name in custom else "function", call)


def schemas_from(facts: Iterable[Fact]) -> list[ToolSchema]:
    """A schema for each tool of which something is known, in that order."""
    tools: dict[tuple[str, str], dict[Fact, None]] = {}
    for fact in facts:
        tools.setdefault((fact.kind, fact.tool), {})[fact] = None
    return [_schema(kind, name, known) for (kind, name), known in tools.items()]


_KEPT = 4
"""Clusters that are kept of each fact: one that is none of the kin is enough, and kin are few."""


class Evidence:
    """What all calls of a collection show of the tools that each kind of agent has.

    Of each fact it is kept which clusters show it, as far as that matters: whether any other cluster than a given one
    does. So a transcript's tools can be inferred without its own calls after the cut, and without those of its kin.
    """

    def __init__(self, rows: Iterable[tuple[str, str, str]] = ()) -> None:
        """`rows` are those of earlier evidence: it is complete, and stays as it is, so that a run can be extended."""
        self._agents: dict[str, dict[Fact, list[str]]] = {}
        for agent, fact, clusters in rows:
            self._agents.setdefault(agent, {})[Fact(*orjson.loads(fact))] = clusters.split(" ")
        self.complete = bool(self._agents)

    def add(self, agent: str, cluster: str, facts: Iterable[Fact]) -> None:
        """Take note of what a transcript shows."""
        if self.complete:
            return
        known = self._agents.setdefault(agent, {})
        mark = mark_of(cluster)
        for fact in facts:
            clusters = known.setdefault(fact, [])
            if len(clusters) < _KEPT and mark not in clusters:
                clusters.append(mark)

    def beside(self, agent: str, is_kin: Callable[[str], bool]) -> list[Fact]:
        """What transcripts show that are no kin, by the marks of their clusters; in a fixed order."""
        shown = [fact for fact, marks in self._agents.get(agent, {}).items() if not all(map(is_kin, marks))]
        return sorted(shown, key=lambda fact: (fact.kind, fact.tool, fact.argument or "", fact.depth, fact.shows))

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Everything, to be kept: agent, fact, clusters."""
        for agent, facts in self._agents.items():
            for fact, clusters in facts.items():
                yield agent, orjson.dumps(list(fact)).decode(), " ".join(clusters)


def mark_of(cluster: str) -> str:
    """What is kept of the name of a cluster: a hash."""
    return hashlib.sha256(cluster.encode()).hexdigest()[:16]


# -- facts ----------------------------------------------------------------------------------------------------------


def _custom_names(message: Message) -> set[str]:
    calls = message.get("tool_calls") or ()
    return {call["custom"]["name"] for call in calls if call.get("type") == "custom"}


def _facts(kind: str, call: ToolCall) -> Iterator[Fact]:
    if kind == "custom" or call.parsed is None:
        yield Fact(kind, call.name, None, 0, "")
        return
    yield Fact(kind, call.name, None, 0, orjson.dumps(list(call.parsed)).decode())
    for argument, value in call.parsed.items():
        for depth, name in _types(value, 0):
            yield Fact(kind, call.name, argument, depth, name)


def _types(value: Any, depth: int) -> Iterator[tuple[int, str]]:
    """The JSON types in a value. What an object has inside may be data: it is left out."""
    yield depth, _JSON_TYPES[type(value)]
    if isinstance(value, list):
        for item in value:
            yield from _types(item, depth + 1)


_JSON_TYPES = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}


# -- schemas --------------------------------------------------------------------------------------------------------


def _schema(kind: str, name: str, facts: Iterable[Fact]) -> ToolSchema:
    if kind == "custom":
        return {"type": "custom", "custom": {"name": name}}
    return {"type": "function", "function": {"name": name, "parameters": _parameters(facts)}}


def _parameters(facts: Iterable[Fact]) -> dict[str, Any]:
    """An argument is required if every call that can be read has it."""
    calls: list[list[str]] = []
    types: dict[str, dict[int, set[str]]] = {}
    for fact in facts:
        if fact.argument is not None:
            types.setdefault(fact.argument, {}).setdefault(fact.depth, set()).add(fact.shows)
        elif fact.shows:
            calls.append(orjson.loads(fact.shows))
    return {
        "type": "object",
        "properties": {argument: _type_of(seen, 0) for argument, seen in types.items()},
        "required": [argument for argument in types if all(argument in call for call in calls)],
    }


def _type_of(seen: dict[int, set[str]], depth: int) -> dict[str, Any]:
    names = sorted(seen.get(depth, ()))
    if not names:
        return {}
    if "number" in names and "integer" in names:
        names.remove("integer")
    schema: dict[str, Any] = {"type": names[0] if len(names) == 1 else names}
    if "array" in names:  # providers demand `items`
        schema["items"] = _type_of(seen, depth + 1)
    return schema
