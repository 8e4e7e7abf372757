"""OpenAI chat-completions logs: message lists, request bodies, and requests stored with their reply.

One conversation is a bare list of messages, or an object with `messages`: a request body, or a stored
completion, whose reply (`response.choices[0].message`, or `choices[0].message`; also in a litellm log) is its
last message. A file holds one conversation, a list of them, or one per line.

What is not part of a message is not kept in it. Keys beside `messages` and `tools` are kept under
`metadata.extra` if they are small. Each quirk of these logs is a pass of its own below.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple

from resample.formats.assemble import kind_of, plain_message, small_extras
from resample.formats.base import Located, Look
from resample.formats.checks import ROLES
from resample.formats.decode import decode
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.formats.records import Record, records
from resample.types import Message, ToolSchema, Transcript

name = "openai_chat"
suffixes = (".jsonl", ".ndjson", ".json")

_ROLES = ROLES | {"function"}
_FOREIGN_KEYS = frozenset({"type", "parts", "tool_call"})
_FOREIGN_PARTS = ("tool_use", "tool_result", "thinking", "redacted_thinking")


def sniff(look: Look) -> bool:
    """Messages with OpenAI roles and calls, in any of the ways above, and no sign of another format."""
    looks = [_looks_of(conversation) for value in look.values for _, conversation in _conversations(value)]
    return _Looks.CHAT in looks and _Looks.FOREIGN not in looks


class _Looks(Enum):
    CHAT = 1
    FOREIGN = 2
    """Other agents' logs have messages with the same roles, too, and something that gives them away."""
    UNCLEAR = 3


def _looks_of(conversation: Any) -> _Looks:
    messages = conversation.get("messages") if isinstance(conversation, dict) else conversation
    if not isinstance(messages, list) or not messages:
        return _Looks.UNCLEAR
    # The end of the head may have cut the last one short.
    looks = {_looks_of_message(message) for message in messages[:-1] or messages}
    if _Looks.FOREIGN in looks or (isinstance(conversation, dict) and "system" in conversation):
        return _Looks.FOREIGN
    return _Looks.UNCLEAR if _Looks.UNCLEAR in looks else _Looks.CHAT


def _looks_of_message(message: Any) -> _Looks:
    if not isinstance(message, dict) or message.get("role") not in tuple(_ROLES):
        return _Looks.UNCLEAR
    content, calls = message.get("content"), message.get("tool_calls")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    if _FOREIGN_KEYS & message.keys() or any(part.get("type") in _FOREIGN_PARTS for part in parts):
        return _Looks.FOREIGN
    if isinstance(calls, list) and any(isinstance(c, dict) and kind_of(c) is None for c in calls):
        return _Looks.FOREIGN
    return _Looks.CHAT


def read(source: Input) -> Iterator[Located | Excluded]:
    """The conversations of a file, with ids made of its name and their place in it."""
    for record in records(source):
        if isinstance(record, Excluded):
            yield record
            continue
        for item in _in_record(record, source.name):
            if isinstance(item, Problem):
                yield Excluded.at(source.shown, record.line, item)
            else:
                yield Located(item, source.shown, record.line)


def _in_record(record: Record, name: str) -> Iterator[Transcript | Problem]:
    value = decode(record.data)
    if isinstance(value, Problem):
        yield value
        return
    place = name if record.whole else f"{name}:{record.line}"
    for suffix, conversation in _conversations(value):
        yield _transcript(place + suffix, conversation)


def _conversations(value: Any) -> list[tuple[str, Any]]:
    """The conversations in a JSON value, each with what its place in a list adds to its id."""
    if isinstance(value, list) and value and _holds_messages(value[0]):
        return [(f"[{index}]", item) for index, item in enumerate(value)]
    return [("", value)]


def _holds_messages(item: Any) -> bool:
    return isinstance(item, list) or (isinstance(item, dict) and "messages" in item and "role" not in item)


class _Reply(NamedTuple):
    model: Any
    message: Message | None


def _transcript(id: str, conversation: Any) -> Transcript | Problem:
    log = {"messages": conversation} if isinstance(conversation, list) else conversation
    if not isinstance(log, dict):
        return Problem(Reason.NOT_AN_OBJECT, f"{type(log).__name__} instead of a list of messages or an object")
    messages = log.get("messages")
    if not isinstance(messages, list) or not messages:
        return Problem(Reason.NO_MESSAGES)
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            return Problem(Reason.BAD_MESSAGE, f"message {index}: not an object")
    reply = reply_of(log)
    if reply.message is not None:
        messages = [*messages, reply.message]
    plain = [plain_message(message) for message in modern_calls(messages)]
    return Transcript(id, plain, tools_of(log), _metadata(log, reply.model))


def _metadata(log: dict[str, Any], returned_model: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"source": "openai_chat"}
    model = log.get("model") or returned_model
    if isinstance(model, str):
        metadata["model"] = model
    if extra := extras_of(log):
        metadata["extra"] = extra
    return metadata


# -- passes --------------------------------------------------------------------------------------------------


def reply_of(log: dict[str, Any]) -> _Reply:
    """The reply is stored beside the messages that it answers. Of several choices the first one counts."""
    response = log.get("response")
    completion = response if isinstance(response, dict) else log
    choices = completion.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(message, dict):
        return _Reply(completion.get("model"), None)
    return _Reply(completion.get("model"), {"role": "assistant", **message})


def tools_of(log: dict[str, Any]) -> list[ToolSchema]:
    """Tools stand in the request, in what a log keeps of its parameters, or in the older `functions`."""
    for place in (log, *(log.get(key) for key in ("kwargs", "model_parameters", "optional_params"))):
        if not isinstance(place, dict):
            continue
        if place.get("tools"):
            return place["tools"]  # type: ignore[no-any-return]  # checked with the rest of the transcript
        if isinstance(functions := place.get("functions"), list) and functions:
            return [{"type": "function", "function": function} for function in functions]
    return []


def modern_calls(messages: list[Message]) -> list[Message]:
    """The older form of calls, `function_call` answered by role `function`, becomes tool calls with ids.

    A function message answers the last call before it, if that has its name; else it stays an orphan, and is
    named so.
    """
    modern: list[Message] = []
    waiting: tuple[str, Any] | None = None
    for index, message in enumerate(messages):
        call = message.get("function_call")
        if message.get("role") == "assistant" and isinstance(call, dict) and not message.get("tool_calls"):
            waiting = (f"function_call_{index}", call.get("name"))
            rest = {key: value for key, value in message.items() if key != "function_call"}
            message = {**rest, "tool_calls": [{"id": waiting[0], "type": "function", "function": call}]}
        elif message.get("role") == "function":
            answers = waiting is not None and message.get("name") == waiting[1]
            answer = {"tool_call_id": waiting[0]} if answers and waiting else {}
            message, waiting = {**message, **answer, "role": "tool"}, None
        modern.append(message)
    return modern


def extras_of(log: dict[str, Any]) -> dict[str, Any]:
    """What stands beside the conversation, without what is large, such as the raw reply."""
    taken = {"messages", "tools", "functions", "model"}
    return small_extras({key: value for key, value in log.items() if key not in taken})
