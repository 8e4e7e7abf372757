"""OpenAI Responses logs: requests (`input`, `instructions`), responses (`output`), both together, and lists of items.

One conversation is a request, a response, an object that holds both (in itself, under `request` and `response`, or as
lines of the batch API do), or a list of items. A file holds one conversation, a list of them, one per line, or one
item per line. How items become messages is stated in `resample.formats.response_items`.

With `previous_response_id`, a `conversation`, or a response whose request was not kept, what came before stands
elsewhere: such logs are read as far as they go, and marked. Requests of one chain are one cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from resample.formats.assemble import listed, located, small_extras, text_or
from resample.formats.base import Draft, Located, Look
from resample.formats.dates import dated
from resample.formats.documents import Entry, entries
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.formats.response_items import ROLES, TYPES, Item, convert, schemas_of
from resample.types import Missing

name = "openai_responses"
suffixes = (".json", ".jsonl", ".ndjson")

_CONTENT_PARTS = ("input_text", "output_text", "input_image", "input_file")
_FOREIGN_KEYS = frozenset({"messages", "traceId", "trace_id", "spanId", "run_type", "payload", "uuid", "parts"})
_REQUEST_KEYS = frozenset({"instructions", "previous_response_id"})
_COMMON_WORDS = frozenset({"compaction", "compaction_summary", "context_compaction", "agent_message"})
"""Types of items that other logs have, too."""
_TAKEN = frozenset(
    {"input", "output", "items", "instructions", "tools", "model", "request", "response", "body", "prompt"}
)


# -- telling the format ------------------------------------------------------------------------------------------------


def sniff(look: Look) -> bool:
    """Items of kinds that only this API has, by themselves, in lists, or in a request or response."""
    loose = [value for value in look.values if isinstance(value, dict) and not _is_log(value)]
    if len(loose) > 1 and not _all_items(loose):
        return False  # one kind of record of another agent's may look like an item; all of them would have to
    return any(_is_conversation(value) for value in look.values)


def _is_conversation(value: Any) -> bool:
    if isinstance(value, list):
        items = [item for item in value if isinstance(item, dict)]
        if any(is_item(item) for item in items):
            return _all_items(items)
        return bool(value) and (_is_conversation(items[0]) if items else _is_item_list(value[0]))
    if not isinstance(value, dict) or value.keys() & _FOREIGN_KEYS:
        return False
    return _is_own_item(value) or _is_log(value)


def _is_item_list(value: Any) -> bool:
    return isinstance(value, list) and _all_items([item for item in value if isinstance(item, dict)])


def _all_items(items: list[Item]) -> bool:
    # The end of the head may have cut the last one short.
    return all(map(is_item, items[:-1] or items)) and any(map(_is_own_item, items))


def _is_log(value: dict[str, Any]) -> bool:
    parts = log_of(value)
    request, response = parts.request, parts.response
    if response.get("object") == "response" or any(map(_is_own_item, listed(response.get("output")))):
        return True
    given = _input_of(request)
    items = listed(given)
    if any(map(_is_own_item, items)):
        return all(map(is_item, items[:-1] or items))
    has_input = isinstance(given, str) or (bool(items) and all(map(is_item, items[:-1] or items)))
    return has_input and isinstance(request.get("model"), str) and bool(_REQUEST_KEYS & request.keys())


def is_item(value: Any) -> bool:
    """Could this be an item of the API?"""
    if not isinstance(value, dict) or value.keys() & (_FOREIGN_KEYS | {"tool_calls", "tool_call_id"}):
        return False
    kind = value.get("type")
    if kind is None or kind == "message":
        role = value.get("role")
        return isinstance(role, str) and role in ROLES and "content" in value
    return isinstance(kind, str) and kind in TYPES


def _is_own_item(value: Any) -> bool:
    """An item that no other format has: plain messages are written alike in many."""
    if not is_item(value):
        return False
    kind = value.get("type")
    if kind in (None, "message"):
        return any(part.get("type") in _CONTENT_PARTS for part in listed(value.get("content")))
    if kind == "reasoning":
        return "summary" in value or "encrypted_content" in value
    if kind in _COMMON_WORDS:
        return "encrypted_content" in value
    return "call_id" in value or "id" in value


# -- reading -----------------------------------------------------------------------------------------------------------


def read(source: Input) -> Iterator[Located | Excluded]:
    """The conversations of a file."""
    roots: dict[str, str] = {}
    loose: _Loose | None = None
    for entry in entries(source):
        if isinstance(entry, Excluded):
            yield entry
            continue
        if loose is not None and not loose.goes_on_with(entry):
            yield loose.finish(source)
            loose = None
        if is_item(entry.value):
            loose = loose or _Loose(entry)
            loose.items.append((entry.value, None if entry.pointer else entry.line))
        else:
            yield _conversation(entry, source, roots)
    if loose is not None:
        yield loose.finish(source)


@dataclass
class _Loose:
    """Items that stand one by one in a list, or one per line: together they are one conversation."""

    first: Entry
    items: list[tuple[Item, int | None]] = field(default_factory=list)

    def goes_on_with(self, entry: Entry) -> bool:
        in_list = bool(self.first.pointer)
        same_list = entry.line == self.first.line if in_list else not entry.pointer
        return same_list and is_item(entry.value)

    def finish(self, source: Input) -> Located | Excluded:
        place = self.first.id.removesuffix(f"[{self.first.pointer[1:]}]") if self.first.pointer else source.name
        draft = Draft(id=place, source=name)
        _fill(draft, self.items)
        return located(draft, source, self.first.line)


def _conversation(entry: Entry, source: Input, roots: dict[str, str]) -> Located | Excluded:
    value = entry.value
    if isinstance(value, list):
        value = {"input": value}
    if not isinstance(value, dict):
        return entry.excluded(source, Problem(Reason.NOT_AN_OBJECT))
    log = log_of(value)
    said, replied = _input_of(log.request), log.response.get("output")
    if not isinstance(said, str | list) and not isinstance(replied, list):
        return entry.excluded(source, Problem(Reason.NO_MESSAGES))
    draft = Draft(
        id=entry.id,
        source=name,
        model=text_or(log.response.get("model")) or text_or(log.request.get("model")) or None,
        date=dated(log.response.get("created_at")),
        cluster=cluster_of(log, roots),
        labels=labels_of(log.response),
        missing=missing_of(log),
        extra={key: item for key, item in {**value, **log.response, **log.request}.items() if key not in _TAKEN},
    )
    given = [*_as_items(log.first("instructions"), "system"), *_as_items(said, "user")]
    dropped = sum(len(part) - len(listed(part)) for part in (said, replied) if isinstance(part, list))
    if dropped:
        draft.dropped["unknown item"] += dropped
    draft.tools = schemas_of(log.first("tools"), draft.dropped)
    _fill(draft, [(item, None) for item in (*given, *listed(replied))])
    return located(draft, source, entry.line, entry.pointer)


def _fill(draft: Draft, items: list[tuple[Item, int | None]]) -> None:
    converted = convert(items)
    draft.messages = converted.messages
    draft.tools += converted.tools
    draft.missing |= converted.missing
    draft.dropped += converted.dropped


def _as_items(given: Any, role: str) -> list[Item]:
    """A text stands for one message with it."""
    if isinstance(given, str):
        return [{"role": role, "content": given}] if given else []
    return listed(given)


def _input_of(request: dict[str, Any]) -> Any:
    given = request.get("input")
    return request.get("items") if given is None else given


# -- passes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Log:
    """A request and its response; either may be empty."""

    request: dict[str, Any]
    response: dict[str, Any]

    def first(self, key: str) -> Any:
        """What the request says, or what the response repeats of it."""
        return self.request.get(key) or self.response.get(key)


def log_of(value: dict[str, Any]) -> Log:
    """Request and response may be one object, or stand under keys of their own, in the batch API one deeper."""
    request = _under(value, "request", "body")
    response = _under(value, "response")
    return Log(request or value, response or value)


def _under(value: dict[str, Any], *keys: str) -> dict[str, Any] | None:
    found = next((value[key] for key in keys if isinstance(value.get(key), dict)), None)
    inner = found.get("body") if found is not None else None
    return inner if isinstance(inner, dict) else found


def missing_of(log: Log) -> set[Missing]:
    """What came before may be stored at the provider, by the id of a response or conversation; so may a prompt."""
    missing = set()
    if log.first("previous_response_id") or log.first("conversation") or _input_of(log.request) is None:
        missing.add(Missing.COMPACTED_HISTORY)
    if isinstance(log.first("prompt"), dict):
        missing.add(Missing.SYSTEM_PROMPT)
    return missing


def labels_of(response: dict[str, Any]) -> dict[str, Any]:
    """How a reply ended that did not end well."""
    if response.get("status") in (None, "completed"):
        return {}
    return small_extras({key: response.get(key) for key in ("status", "incomplete_details", "error")})


def cluster_of(log: Log, roots: dict[str, str]) -> str | None:
    """Requests that go on from one another's responses are not independent. `roots` holds each response's first one."""
    conversation = log.first("conversation")
    if isinstance(conversation, dict):
        conversation = conversation.get("id")
    own = text_or(log.response.get("id"))
    before = text_or(log.first("previous_response_id"))
    root = text_or(conversation) or roots.get(before, before) or own
    if own and root:
        roots[own] = root
    return f"{name}:{root}" if root else None
