"""Anthropic Messages: request bodies, lists of messages, and requests stored with their reply.

One conversation is a bare list of messages, or an object with `messages`: a request body, which may also stand under
`request`, `body` or `params` (batches). The reply is its last message: it stands under `response` (or `message`, there
or under `result`), or is the log itself. A file holds one conversation, a list of them, one per line, or one message
per line. How blocks become messages is stated in `resample.formats.anthropic_blocks`.

Requests that failed are excluded: they have no reply. So are replies without their request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from resample.formats.anthropic_blocks import SERVER_CALLS, Said, blocks_of, messages_of, schemas_of, system_text
from resample.formats.assemble import AT, HARNESS, listed, located, text_or
from resample.formats.base import Draft, Located, Look
from resample.formats.dates import dated
from resample.formats.documents import Entry, entries
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.types import Message

name = "anthropic_messages"
suffixes = (".json", ".jsonl", ".ndjson")

Log = dict[str, Any]

_ROLES = frozenset({"user", "assistant", "system"})
_REQUESTS = ("request", "body", "params")
_REPLIES = ("response", "reply", "completion", "message")
_NOT_EXTRA = frozenset({"messages", "system", "tools", "model", "content", "result", *_REQUESTS, *_REPLIES})


# -- telling the format ------------------------------------------------------------------------------------------------

_BLOCKS = frozenset({"tool_use", "tool_result", "thinking", "redacted_thinking", *SERVER_CALLS})
_OWN_BLOCKS = frozenset({"tool_use", "tool_result"})
_FOREIGN_KEYS = frozenset({"tool_calls", "tool_call_id", "parts", "function_call", "tool_call"})
_CANONICAL = frozenset({"id", "messages", "tools", "metadata"})


def sniff(look: Look) -> bool:
    """Messages with Anthropic's blocks, tools or system prompt, and no sign of another format.

    A conversation of plain texts looks the same everywhere: without any such sign it is left to others.
    """
    logs = [log for value in look.values for log in _logs_in(value)]
    return any(map(_is_ours, logs)) and not any(map(_is_foreign, logs))


def _logs_in(value: Any) -> list[Log]:
    """The conversations a value holds, the first few of a list."""
    if isinstance(value, dict):
        return [{"messages": [value]}] if _is_message(value) and not _is_reply(value) else [value]
    if not isinstance(value, list) or not value:
        return []
    if _is_message(value[0]):
        return [{"messages": value}]
    return [log for item in value[:3] for log in ([{"messages": item}] if isinstance(item, list) else _logs_in(item))]


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and value.get("role") in tuple(_ROLES) and "content" in value


def _is_ours(log: Log) -> bool:
    request = request_of(log)
    if request is None:
        return is_reply_only(log)
    messages = listed(request["messages"])
    if any(_is_block(block, _OWN_BLOCKS) for m in messages for block in listed(m.get("content"))):
        return True
    if any(isinstance(tool.get("input_schema"), dict) for tool in listed(request.get("tools"))):
        return True
    if "id" in log and log.keys() <= _CANONICAL:
        return False
    if "anthropic_version" in request or (messages and "system" in request and "max_tokens" in request):
        return True
    blocks = [block for m in (*messages, reply_of(log) or {}) for block in listed(m.get("content"))]
    return any(_is_block(block, _BLOCKS) for block in blocks) or _is_reply(log.get("response"))


def _is_block(block: Log, kinds: frozenset[str]) -> bool:
    """AgentDojo's and Inspect's parts have types of the same name, and other keys."""
    kind = block.get("type")
    if not isinstance(kind, str) or kind not in kinds:
        return False
    return bool({"thinking", "data", "tool_use_id", "input"} & block.keys())


def _is_foreign(log: Log) -> bool:
    messages = (request_of(log) or {}).get("messages") or []
    # The end of the head may have cut the last one short.
    return any(map(_is_foreign_message, messages[:-1])) or any(
        isinstance(message, dict) and "role" in message and _is_foreign_message(message) for message in messages[-1:]
    )


def _is_foreign_message(message: Any) -> bool:
    if not isinstance(message, dict) or message.get("role") not in tuple(_ROLES) or _FOREIGN_KEYS & message.keys():
        return True
    blocks = listed(message.get("content"))[:-1]
    return any(block.get("type") == "text" and "text" not in block for block in blocks)


# -- reading -----------------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """A conversation, and where it stands."""

    log: Any
    id: str
    line: int
    pointer: str = ""


def read(source: Input) -> Iterator[Located | Excluded]:
    """The conversations of a file."""
    for found in _conversations(source):
        if isinstance(found, Excluded):
            yield found
            continue
        draft = _draft(found)
        if isinstance(draft, Problem):
            detail = ": ".join(text for text in (found.pointer, draft.detail) if text)
            yield Excluded.at(source.shown, found.line, Problem(draft.reason, detail))
        else:
            yield located(draft, source, found.line, found.pointer)


def _conversations(source: Input) -> Iterator[_Found | Excluded]:
    """The elements of a file; messages that follow one another, in one list or on lines, are one conversation."""
    loose: list[Entry] = []
    for entry in entries(source):
        if isinstance(entry, Excluded):
            yield entry
            continue
        if loose and not _goes_on(loose[-1], entry):
            yield _gathered(source, loose)
            loose = []
        if _is_loose(entry):
            loose.append(entry)
        else:
            log = {"messages": entry.value} if isinstance(entry.value, list) else entry.value
            yield _Found(log, entry.id, entry.line, entry.pointer)
    if loose:
        yield _gathered(source, loose)


def _is_loose(entry: Entry) -> bool:
    """A message by itself. A reply on a line is a log of its own."""
    return _is_message(entry.value) and (bool(entry.pointer) or not _is_reply(entry.value))


def _goes_on(last: Entry, entry: Entry) -> bool:
    if not _is_loose(entry) or bool(entry.pointer) != bool(last.pointer):
        return False
    return not entry.pointer or entry.line == last.line


def _gathered(source: Input, loose: list[Entry]) -> _Found:
    first = loose[0]
    if first.pointer:
        id = first.id.removesuffix(f"[{first.pointer[1:]}]")
        return _Found({"messages": [entry.value for entry in loose]}, id, first.line)
    messages = [{**entry.value, AT: entry.line} for entry in loose]
    return _Found({"messages": messages}, source.name if first.line == 1 else first.id, first.line)


def _draft(found: _Found) -> Draft | Problem:
    log = found.log
    if not isinstance(log, dict):
        return Problem(Reason.NOT_AN_OBJECT, f"{type(log).__name__} instead of a list of messages or an object")
    request = request_of(log)
    if request is None or not request["messages"]:
        return Problem(Reason.NO_MESSAGES, "a reply without its request" if is_reply_only(log) else "")
    if error := error_of(log):
        return Problem(Reason.NO_ASSISTANT, f"the call failed: {error[:60]}")
    said = Said()
    reply = reply_of(log)
    stored = messages_in(request, said.dropped)
    messages = in_order(since_compaction(with_reply(stored, reply), said.dropped), said)
    if system := system_text(request.get("system")):
        messages.insert(0, {"role": "system", "content": system})
    return Draft(
        id=found.id,
        source=name,
        messages=messages,
        tools=schemas_of(request.get("tools"), said.dropped),
        model=text_or((reply or {}).get("model")) or text_or(request.get("model")) or None,
        date=dated(log.get("created_at")) or dated(log.get("timestamp")),
        cluster=cluster_of(log, request),
        missing=said.missing,
        dropped=said.dropped,
        extra={
            "stop_reason": (reply or {}).get("stop_reason"),
            **{key: value for key, value in {**request, **log}.items() if key not in _NOT_EXTRA},
        },
    )


# -- where things stand ------------------------------------------------------------------------------------------------


def request_of(log: Log) -> Log | None:
    """The request stands in the log itself, or under a key of its own, there perhaps under `body`."""
    inner = [log[key] for key in _REQUESTS if isinstance(log.get(key), dict)]
    places = [log, *inner, *(place["body"] for place in inner if isinstance(place.get("body"), dict))]
    return next((place for place in places if isinstance(place.get("messages"), list)), None)


def _is_reply(value: Any) -> bool:
    if not isinstance(value, dict) or "stop_reason" not in value:
        return False
    return value.get("type") == "message" and isinstance(value.get("content"), list)


def _responses(log: Log) -> Iterator[Log]:
    """Where a reply, or an error, may stand; in the log itself, too."""
    result = log.get("result")
    for place in (log, *([result] if isinstance(result, dict) else [])):
        for key in _REPLIES:
            response = place.get(key)
            if isinstance(response, dict):
                body = response.get("body")
                yield body if isinstance(body, dict) else response
    yield log


def reply_of(log: Log) -> Message | None:
    """The reply is stored beside the messages that it answers, or its keys are the log's own."""
    for response in _responses(log):
        content = response.get("content")
        spoken = isinstance(content, list) or (isinstance(content, str) and response is not log)
        if spoken and response.get("role", "assistant") == "assistant":
            return {"role": "assistant", **response}
    return None


def error_of(log: Log) -> str:
    """The kind of the error that a request was answered with, or an empty text."""
    for response in _responses(log):
        error = response.get("error")
        if response.get("type") == "error" and response is not log:
            return text_or(error.get("type")) or "error" if isinstance(error, dict) else "error"
    return ""


def is_reply_only(log: Log) -> bool:
    """The output of a batch, and some logs, have replies, whose requests stand elsewhere."""
    if request_of(log) is not None:
        return False
    return _is_reply(log) or ("custom_id" in log and any(map(_is_reply, _responses(log))))


def messages_in(request: Log, dropped: Counter[str]) -> list[Message]:
    """The messages of a request, without what is none."""
    messages = [message for message in request["messages"] if isinstance(message, dict)]
    if malformed := len(request["messages"]) - len(messages):
        dropped["malformed message"] += malformed
    return messages


def cluster_of(log: Log, request: Log) -> str | None:
    """The requests of one session, or else of one user, if the log names them."""
    metadata = request.get("metadata")
    user = text_or(metadata.get("user_id")) if isinstance(metadata, dict) else ""
    if session := text_or(log.get("session_id")) or user.rpartition("_session_")[2] * ("_session_" in user):
        return f"session:{session}"
    return f"user:{user}" if user else None


# -- passes ------------------------------------------------------------------------------------------------------------


def with_reply(messages: list[Message], reply: Message | None) -> list[Message]:
    """The reply is the last message, unless it was stored among them already.

    If the request ends with the beginning of a reply (a prefill), the reply goes on with that text.
    """
    if reply is None or not messages:
        return messages
    last = messages[-1]
    if last.get("role") != "assistant":
        return [*messages, reply]
    if last.get("content") == reply["content"]:
        return messages
    begun, rest = blocks_of(last.get("content")), blocks_of(reply["content"])
    if begun and rest and begun[-1].get("type") == rest[0].get("type") == "text":
        text = text_or(begun[-1].get("text")) + text_or(rest[0].get("text"))
        begun, rest = begun[:-1], [{**rest[0], "text": text}, *rest[1:]]
    return [*messages[:-1], {**reply, "content": [*begun, *rest]}]


def since_compaction(messages: list[Message], dropped: Counter[str]) -> list[Message]:
    """A block of type `compaction` in a reply stands for all before it: the provider passes over that."""
    for index in reversed(range(len(messages))):
        blocks = blocks_of(messages[index].get("content"))
        at = next((i for i in reversed(range(len(blocks))) if blocks[i].get("type") == "compaction"), None)
        if at is not None and (summary := text_or(blocks[at].get("content"))):
            dropped["replaced by a compaction"] += index
            rest = [{**messages[index], "content": blocks[at + 1 :]}] if blocks[at + 1 :] else []
            told = {"role": "user", "content": summary, HARNESS: True}
            return [told, *rest, *messages[index + 1 :]]
    return messages


def in_order(messages: list[Message], said: Said) -> list[Message]:
    """Anthropic messages as OpenAI messages.

    Messages of the assistant that follow one another are one reply: so the API takes them, and so a reply stands that
    was paused while the provider ran a tool.
    """
    converted: list[Message] = []
    for message in joined(messages):
        marks = {key: message[key] for key in (AT, HARNESS) if message.get(key) is not None}
        converted += [{**one, **marks} for one in messages_of(message, said)]
    return converted


def joined(messages: list[Message]) -> list[Message]:
    """Replies in a row as one."""
    whole: list[Message] = []
    row: list[dict[str, Any]] | None = None
    for message in messages:
        if message.get("role") != "assistant":
            row = None
        elif row is not None:
            row += blocks_of(message.get("content"))
            continue
        else:
            row = blocks_of(message.get("content"))
            message = {**message, "content": row}
        whole.append(message)
    return whole
