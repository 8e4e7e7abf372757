"""Codex CLI sessions: rollout files, one record `{timestamp, type, payload}` per line.

What the model saw are the `response_item` records, Responses items (see `resample.formats.response_items`). Display
events repeat them and are left out; two kinds of record change what came before: `compacted`, and the event that rolls
turns back. Files of before October 2025 have the same items without the envelope.

Kept as they were sent: what the client injects as user messages (environment, AGENTS.md), and tool outputs, also those
that are JSON in a string. The log says nothing else of them; since October 2025 the client may have written such an
output out as plain text on its way to the model. What the client injects, and the summary that a compaction left, is
marked as the harness's; a command that the user ran (`<user_shell_command>`) is the user's own.

Sessions that were forked, or spawned by another, share a cluster with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from resample.formats.assemble import AT, HARNESS, listed, located, text_or
from resample.formats.base import Draft, Located, Look
from resample.formats.codex_history import History, replacement_of
from resample.formats.dates import dated
from resample.formats.decode import decode
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.harness import mark_own_words
from resample.formats.inputs import Input
from resample.formats.records import records
from resample.formats.response_items import TYPES, Item, convert, schemas_of
from resample.types import Message, Missing, ToolSchema

name = "codex"
suffixes = (".jsonl", ".json")

_ENVELOPES = frozenset({"session_meta", "turn_context", "response_item", "event_msg", "compacted", "world_state"})
_META_KEYS = ("id", "timestamp", "cwd", "originator", "cli_version", "source", "model_provider", "git")
_CONTEXT_KEYS = ("approval_policy", "sandbox_policy", "effort", "personality")


def sniff(look: Look) -> bool:
    """Records in this envelope, or the header and items of the time before it."""
    values = [item for value in look.values for item in _lines_of(value)]
    if any(_is_envelope(value) for value in values):
        return True
    return any(_is_header(value) for value in values[:1]) and any(
        value.get("type") in _BARE or value.get("record_type") == "state"
        for value in values[1:]
        if isinstance(value.get("type"), str | None)
    )


_BARE = frozenset({"message", "reasoning", "function_call", "function_call_output"})


def _is_envelope(value: dict[str, Any]) -> bool:
    kind = value.get("type")
    return isinstance(kind, str) and kind in _ENVELOPES and isinstance(value.get("payload"), dict)


def _is_header(value: dict[str, Any]) -> bool:
    return "id" in value and "timestamp" in value and not {"type", "role", "message"} & value.keys()


def read(source: Input) -> Iterator[Located | Excluded]:
    """The session of a file. A malformed line does not end it."""
    session = _Session()
    for record in records(source):
        if isinstance(record, Excluded):
            yield record
            continue
        data, line, _, whole = record
        if is_display_event(data):
            session.events += 1
            continue
        value = decode(data)
        if isinstance(value, dict) and "items" not in value:
            session.take(value, None if whole else line)
        elif isinstance(value, dict | list):
            for each in _lines_of(value):
                session.take(each, None if whole else line)
        else:
            problem = value if isinstance(value, Problem) else Problem(Reason.NOT_AN_OBJECT)
            yield Excluded.at(source.shown, line, problem)
    yield located(session.draft(source.name), source)


_EVENT = re.compile(
    rb'\{"timestamp":"[^"\\]{0,40}",(?:"ordinal":[0-9]{1,18},)?"type":"event_msg","payload":\{"type":"(?!turn_aborted"|thread_rolled_back")'
)


def is_display_event(data: bytes) -> bool:
    """Half of a file are events that only repeat what stands in other records: they need not be parsed.

    One that is cut off is not taken for one.
    """
    return _EVENT.match(data) is not None and data.endswith(b"}}") and b"}{" not in data


def _lines_of(value: Any) -> list[dict[str, Any]]:
    """The records in one JSON value: itself, a list, or the `{session, items}` of the first Codex CLI."""
    if isinstance(value, dict) and isinstance(value.get("items"), list):
        return [*listed([value.get("session")]), *listed(value["items"])]
    return listed(value if isinstance(value, list) else [value])


_OPENING = 16
_INJECTED = (
    "# AGENTS.md instructions",
    *("<environment_context>", "<user_instructions>", "<turn_aborted>", "<skill>", "<goal_context>", "<hook_prompt"),
    "<subagent_notification>",
    "Warning: The maximum number of unified exec processes",
    "Warning: apply_patch was requested via",
    "Another language model started to solve this problem and produced a summary",
)
"""How messages begin that the client puts into the user's role."""


class _Session:
    def __init__(self) -> None:
        self.history = History()
        self.metas: list[dict[str, Any]] = []
        self.context: dict[str, Any] = {}
        """Of the last turn."""
        self.opening: list[Item] = []
        """The first items, whatever became of them: what was injected stands there."""
        self.summaries: set[str] = set()
        """What older compactions put in the place of the history, in the user's role."""
        self.began: str | None = None
        """The date of the first record that has one."""
        self.missing: set[Missing] = set()
        self.dropped: Counter[str] = Counter()
        self.aborted = 0
        self.events = 0
        self._takers: dict[str, Callable[[dict[str, Any], int | None], None]] = {
            "response_item": self._item,
            "inter_agent_communication": self._communication,
            "session_meta": self._meta,
            "turn_context": self._turn_context,
            "compacted": self._compacted,
            "event_msg": self._event,
        }

    def take(self, record: dict[str, Any], line: int | None) -> None:
        """One record: its payload, or itself where there is no envelope."""
        self.began = self.began or dated(record.get("timestamp"))
        kind, payload = record.get("type"), record.get("payload")
        if isinstance(payload, dict) and isinstance(kind, str):
            taker = self._takers.get(kind)
            if taker is None:
                self.dropped["harness record" if kind in _ENVELOPES else "unknown record"] += 1
            else:
                taker(payload, line)
        elif (item := bare_item(record)) is not None:
            self._item(item, line)
        elif _is_header(record):
            self._meta(record, line)
        else:
            self.dropped["harness record" if "record_type" in record else "unknown record"] += 1

    def _item(self, item: Item, line: int | None) -> None:
        if len(self.opening) < _OPENING:
            self.opening.append(item)
        self.history.add(item, line)

    def _communication(self, payload: dict[str, Any], line: int | None) -> None:
        self._item({"type": "agent_message", "content": payload.get("content")}, line)

    def _meta(self, payload: dict[str, Any], line: int | None) -> None:
        self.metas.append(payload)

    def _turn_context(self, payload: dict[str, Any], line: int | None) -> None:
        self.context = payload

    def _compacted(self, payload: dict[str, Any], line: int | None) -> None:
        replacement = replacement_of(payload)
        if replacement is None:
            self.missing.add(Missing.COMPACTED_HISTORY)
            summary = text_or(payload.get("message"))
            self.summaries |= {summary} - {""}
            count = self.history.summarise(summary, line)
        else:
            count = self.history.replace(replacement, line)
        self.dropped["replaced by a compaction"] += count

    def _event(self, payload: dict[str, Any], line: int | None) -> None:
        kind = payload.get("type")
        if kind == "thread_rolled_back":
            self.dropped["rolled back"] += self.history.roll_back(payload.get("num_turns"))
            return
        if kind == "turn_aborted":
            self.aborted += 1
        self.events += 1

    def draft(self, id: str) -> Draft:
        """All of it, read to the end."""
        converted = convert(self.history.items)
        messages, aborted = aborted_outputs(converted.messages)
        mark_own_words(messages, _INJECTED)
        for message in messages:
            if message["role"] == "user" and text_or(message["content"]) in self.summaries:
                message[HARNESS] = True
        draft = Draft(
            id=id,
            source=name,
            always_has_tools=True,
            messages=messages,
            model=model_of(self.context, self.metas),
            date=next((dated(meta.get("timestamp")) for meta in self.metas[:1]), None) or self.began,
            cluster=cluster_of(self.metas),
            missing=self.missing | converted.missing,
            dropped=+(self.dropped + converted.dropped),
            extra=extras_of(self.metas, self.context),
        )
        if self.events:
            draft.dropped["display event"] = self.events
        draft.extra |= {"aborted_turns": self.aborted or None, "aborted_calls": aborted or None}
        draft.tools = dynamic_tools(self.metas, messages, draft)
        system = system_prompt(self.metas, self.context, self.opening)
        if system.text:
            draft.messages = [{"role": "system", "content": system.text}, *draft.messages]
        if not system.whole:
            draft.missing.add(Missing.SYSTEM_PROMPT)
        return draft


# -- passes ----------------------------------------------------------------------------------------------------------


def bare_item(record: dict[str, Any]) -> Item | None:
    """Before October 2025 items stood on their lines without an envelope, and others wrote them in forms of their own.

    There, a message may have its text under `message`, a call its name under `function`, and an output may be a
    `function_result` that answers the last call.
    """
    kind = record.get("type")
    if kind is None and isinstance(record.get("role"), str):
        content = record.get("content")
        return {"type": "message", "role": record["role"], "content": record.get("message", content)}
    if kind == "function_call" and isinstance(record.get("function"), dict):
        function = record["function"]
        return {**record, "name": function.get("name"), "arguments": record.get("arguments", function.get("arguments"))}
    if kind == "function_result":
        return {"type": "function_call_output", "call_id": record.get("call_id"), "output": record.get("result")}
    return record if isinstance(kind, str) and kind in TYPES else None


def aborted_outputs(messages: list[Message]) -> tuple[list[Message], int]:
    """Where a turn was aborted, a call may have no output in the log. The next request then said `aborted` for it.

    A call at the very end, which no request followed, stays without. Returns how many were put in.
    """
    answered = {message["tool_call_id"] for message in messages if message["role"] == "tool"}
    last = max((i for i, message in enumerate(messages) if message["role"] in ("user", "assistant")), default=0)
    whole: list[Message] = []
    count = 0
    for index, message in enumerate(messages):
        whole.append(message)
        calls = message.get("tool_calls") if index < last else None
        for id in [call["id"] for call in calls or () if call["id"] and call["id"] not in answered]:
            place = {AT: message[AT]} if AT in message else {}
            whole.append({"role": "tool", "tool_call_id": id, "content": "aborted", **place})
            count += 1
    return whole, count


class System(NamedTuple):
    """The system prompt as far as the log has it."""

    text: str
    whole: bool


def system_prompt(metas: list[dict[str, Any]], context: dict[str, Any], opening: list[Item]) -> System:
    """`base_instructions`, a text or an object with one, is the system prompt.

    It stands in the session's header, or in that of the one it was forked from, or in the turn's context.

    `instructions`, in older files, are the user's own (AGENTS.md). They mostly stand in an injected message, too;
    where they do not, they were sent with the prompt of the program itself, which is not in the log.
    """
    for place in (*metas, context):
        base = place.get("base_instructions")
        if text := text_or(base.get("text") if isinstance(base, dict) else base):
            return System(text, whole=True)
    given = next((text for meta in metas if (text := text_or(meta.get("instructions")).strip())), "")
    injected = any(given in text for item in opening for text in _texts(item))
    return System("" if injected else given, whole=False)


def _texts(item: Item) -> list[str]:
    content = item.get("content")
    texts = [content] if isinstance(content, str) else [part.get("text") for part in listed(content)]
    return [text for text in texts if isinstance(text, str)]


def dynamic_tools(metas: list[dict[str, Any]], messages: list[Message], draft: Draft) -> list[ToolSchema]:
    """Only tools that the client added for the session have their schemas in the log, not the built-in ones.

    They are used where no other was called: a list that lacks the tools in use would be worse than none.
    """
    tools: list[ToolSchema] = []
    for meta in metas[:1]:
        given = meta.get("dynamic_tools")
        tools = schemas_of([given] if isinstance(given, dict) else given, draft.dropped)
    named = {tool[tool["type"]]["name"] for tool in tools}
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    called = {text_or(call[call["type"]]["name"]) for call in calls}
    if called <= named:
        return tools
    draft.extra["dynamic_tools"] = sorted(named) or None
    return []


def model_of(context: dict[str, Any], metas: list[dict[str, Any]]) -> str | None:
    """The model may change from turn to turn; the last turn's counts."""
    return next((model for place in (context, *metas) if (model := text_or(place.get("model")))), None)


def cluster_of(metas: list[dict[str, Any]]) -> str | None:
    """A forked session begins with a copy of its parent's history, headers included: the last is the oldest session's.

    Newer headers name the session they descend from.
    """
    for meta in reversed(metas):
        own = text_or(meta.get("id"))
        named = [text_or(meta.get(key)) for key in ("session_id", "forked_from_id", "parent_thread_id")]
        if root := next((other for other in named if other and other != own), own):
            return f"{name}:{root}"
    return None


def extras_of(metas: list[dict[str, Any]], context: dict[str, Any]) -> dict[str, Any]:
    """Of several headers the first one is this session's."""
    meta = metas[0] if metas else {}
    return {key: meta.get(key) for key in _META_KEYS} | {key: context.get(key) for key in _CONTEXT_KEYS}
