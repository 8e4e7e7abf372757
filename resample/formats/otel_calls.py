"""Which calls of a model are the last ones of their conversations: each span repeats the whole history before it.

Spans come in any order, and a file may hold any number of traces. What is needed to choose is kept in a temporary
database; the content of a span is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from resample.formats.assemble import arguments_text, text_or
from resample.formats.otel_attributes import Content
from resample.formats.otel_content import content_of_span, kind_of
from resample.formats.otel_spans import Span
from resample.formats.seen import temporary_database

_KINDS = {"agent": 1, "tool": 2}
_ANONYMOUS = hash("")
_DEEPEST = 200
"""Spans above a span that are looked at."""


class Silent(NamedTuple):
    """A conversation of which no content was recorded."""

    trace: str
    line: int
    calls: int


class Calls:
    """The calls of a file."""

    def __init__(self) -> None:
        self._db = temporary_database(
            "CREATE TABLE spans"
            " (key INTEGER PRIMARY KEY, parent INTEGER, kind INTEGER, agent INTEGER, conversation TEXT)"
        )
        self._db.execute(
            "CREATE TABLE calls (place INTEGER PRIMARY KEY, key INTEGER, trace TEXT, line INTEGER, time INTEGER,"
            " rank INTEGER, size INTEGER, system INTEGER, opening INTEGER)"
        )

    def add(self, place: int, span: Span) -> None:
        """Take note of the span that is at this place of the file."""
        kind = kind_of(span)
        # What was logged as an event knows no parent: it must not stand in the way of its span.
        self._db.execute(
            f"INSERT OR {'REPLACE' if span.parent else 'IGNORE'} INTO spans VALUES (?, ?, ?, ?, ?)",
            (
                _key(span.trace, span.id),
                _key(span.trace, span.parent),
                _KINDS.get(kind, 0),
                hash(agent_of(span)),
                conversation_of(span),
            ),
        )
        if kind not in ("model", "agent"):
            return
        content = content_of_span(span)
        rank = rank_of(content, is_call=kind == "model")
        if kind == "agent" and not rank:
            return
        row = (place, _key(span.trace, span.id), span.trace, span.line, span.time, rank, len(content.prompt))
        self._db.execute(
            "INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, _system(content), _opening(content))
        )

    def last_ones(self) -> Iterator[int | Silent]:
        """Who said nothing; then the places of the last call of each conversation, in the order of the file."""
        self._db.execute("CREATE TABLE scopes (place INTEGER PRIMARY KEY, scope INTEGER)")
        for place, key, trace in self._db.execute("SELECT place, key, trace FROM calls"):
            self._db.execute("INSERT INTO scopes VALUES (?, ?)", (place, self._scope(key, trace)))
        self._db.execute("CREATE TABLE chosen (place INTEGER PRIMARY KEY)")
        self._db.execute("CREATE TABLE silent (place INTEGER PRIMARY KEY, trace TEXT, line INTEGER, calls INTEGER)")
        rows = self._db.execute(
            "SELECT scope, opening, rank, size, system, time, place, trace, line"
            " FROM calls JOIN scopes USING (place) ORDER BY scope, place"
        )
        for _, found in groupby(rows, key=lambda row: row[0]):
            calls = [_Row(*row) for row in found]
            if not any(call.rank for call in calls):
                row = (calls[0].place, calls[0].trace, calls[0].line, len(calls))
                self._db.execute("INSERT INTO silent VALUES (?, ?, ?, ?)", row)
            self._db.executemany("INSERT INTO chosen VALUES (?)", [(place,) for place in chosen(calls)])
        for row in self._db.execute("SELECT trace, line, calls FROM silent ORDER BY place"):
            yield Silent(*row)
        yield from (place for (place,) in self._db.execute("SELECT place FROM chosen ORDER BY place"))

    def _scope(self, key: int, trace: str) -> int:
        """The conversation that a call belongs to: the trace's, or the one that it or a span above it names.

        Below a second agent, or a tool, it is a sub-agent's, which is one for each of its invocations.
        """
        boundaries: list[tuple[int, int, int]] = []
        conversation = ""
        own = _ANONYMOUS
        at = key
        for _ in range(_DEEPEST):
            row = self._db.execute(
                "SELECT parent, kind, agent, conversation FROM spans WHERE key = ?", (at,)
            ).fetchone()
            if row is None:
                break
            parent, kind, agent, named = row
            own = agent if at == key else own
            conversation = conversation or named
            if kind and is_within(boundaries, kind, agent):
                boundaries[-1] = (at, kind, agent)
            elif kind:
                boundaries.append((at, kind, agent))
            at = parent
        root = hash(("conversation", conversation) if conversation else ("trace", trace))
        if not boundaries:
            return hash((root, own))
        nearest, kind, agent = boundaries[0]
        is_root = len(boundaries) == 1 and kind == _KINDS["agent"]
        return hash((root, agent)) if is_root else hash((root, nearest, "inner"))

    def close(self) -> None:
        """Forget them all."""
        self._db.close()


def is_within(boundaries: list[tuple[int, int, int]], kind: int, agent: int) -> bool:
    """Frameworks put spans of one agent into each other: one directly below another that has its name, or no name."""
    if not boundaries or kind != _KINDS["agent"]:
        return False
    _, inner_kind, inner = boundaries[-1]
    return inner_kind == kind and inner in (agent, _ANONYMOUS)


class _Row(NamedTuple):
    scope: int
    opening: int
    rank: int
    size: int
    system: int
    time: int
    place: int
    trace: str
    line: int


def chosen(calls: list[_Row]) -> Iterator[int]:
    """Of the calls of one agent, the last one of each conversation, known by its first message of a user.

    A call by the way (a title, a summary for display) may begin with the same message under another system prompt:
    the conversation is the longest one, and its last call is the last one with that system prompt. A call that has a
    reply, and of which nothing is lost, comes before others. An agent's span repeats its calls.
    """
    best = max(call.rank for call in calls)
    spoken = [call for call in calls if call.rank and (call.rank & CALL or not best & CALL)]
    for _, found in groupby(sorted(spoken, key=lambda call: call.opening), key=lambda call: call.opening):
        same = list(found)
        most = max(call.rank for call in same)
        whole = [call for call in same if call.rank == most]
        longest = max(whole, key=lambda call: (call.size, call.time, call.place))
        yield max((c for c in whole if c.system == longest.system), key=lambda call: (call.time, call.place)).place


CALL, REPLY, WHOLE, SAID = 8, 4, 2, 1


def rank_of(content: Content, *, is_call: bool) -> int:
    """How much a span is worth; 0 where it has no content."""
    if not (content.prompt or content.reply):
        return 0
    return SAID + CALL * is_call + REPLY * bool(content.reply) + WHOLE * (not content.broken)


def agent_of(span: Span) -> str:
    """The name of an agent, where it is given, or else its id."""
    keys = ("gen_ai.agent.name", "gen_ai.agent.id", "agent.name", "traceloop.entity.name")
    return next((name for key in keys if (name := text_or(span.attributes.get(key)))), "")


def conversation_of(span: Span) -> str:
    """The conversation or thread, where it is named."""
    return text_or(span.attributes.get("gen_ai.conversation.id"))


def _key(trace: str, id: str) -> int:
    return hash((trace, id))


def _system(content: Content) -> int:
    return hash(_first(content, ("system", "developer")))


def _opening(content: Content) -> int:
    return hash(_first(content, ("user", "human")))


def _first(content: Content, roles: tuple[str, ...]) -> str | None:
    item: dict[str, Any] | None = next((item for item in content.prompt if item.get("role") in roles), None)
    return arguments_text([item.get("parts"), item.get("content")]) if item else None
