"""OpenAI chat-completions logs: message lists, request bodies, and requests stored with their reply.

One conversation is a bare list of messages, or an object with `messages`: a request body, or a stored
completion, whose reply (`response.choices[0].message`, or `choices[0].message`) is its last message. A request may
also stand under `request` or `body`, and a reply under `response.body`, as in batches and in logs of proxies.
A file holds one conversation, a list of them, or one per line.

LiteLLM's logs (`StandardLoggingPayload`) are of this kind. Calls that failed are excluded: they have no reply, and
the turn before them is the last one of an earlier log. So are calls that were no chat completions. A session is one
cluster. A batch's output has no requests in it, and is of no use without them.

What is not part of a message is not kept in it. What stands beside the messages and `tools` is kept under
`metadata.extra` if it is small. A tool message that answers no call is not passed over, as no provider would have
taken it. Each quirk of these logs is a pass of its own below.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

from resample.formats.assemble import kind_of, listed, name_calls, plain_message, small_extras, text_part
from resample.formats.base import Located, Look
from resample.formats.checks import ROLES
from resample.formats.dates import dated
from resample.formats.documents import Entry, entries, values
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.formats.records import head_of, in_lines, peek
from resample.formats.streams import READ_ERRORS
from resample.types import Message, Missing, ToolSchema, Transcript

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
    request = request_of(conversation) if isinstance(conversation, dict) else {"messages": conversation}
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        return _Looks.CHAT if is_reply_only(conversation) else _Looks.UNCLEAR
    # The end of the head may have cut the last one short.
    looks = {_looks_of_message(message) for message in messages[:-1] or messages}
    if _Looks.FOREIGN in looks or "system" in request:
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
    for entry in entries(source) if holds_a_list(source) else _in_records(source):
        if isinstance(entry, Excluded):
            yield entry
            continue
        item = _transcript(entry.id, entry.value)
        if isinstance(item, Problem):
            yield entry.excluded(source, item)
        else:
            yield Located(item, source.shown, entry.line)


def _in_records(source: Input) -> Iterator[Entry | Excluded]:
    """The conversations of all records. Not `entries`: a bare list of messages is one conversation."""
    for entry in values(source):
        if isinstance(entry, Excluded):
            yield entry
            continue
        for suffix, conversation in _conversations(entry.value):
            yield Entry(conversation, entry.id + suffix, entry.line, "", {})


def _conversations(value: Any) -> list[tuple[str, Any]]:
    """The conversations in a JSON value, each with what its place in a list adds to its id."""
    if isinstance(value, list) and value and _is_conversation(value[0]):
        return [(f"[{index}]", item) for index, item in enumerate(value)]
    return [("", value)]


def _is_conversation(item: Any) -> bool:
    """An element of a list of conversations, not of a list of messages."""
    return isinstance(item, list) or (isinstance(item, dict) and "messages" in request_of(item) and "role" not in item)


def _transcript(id: str, conversation: Any) -> Transcript | Problem:
    log = {"messages": conversation} if isinstance(conversation, list) else conversation
    if not isinstance(log, dict):
        return Problem(Reason.NOT_AN_OBJECT, f"{type(log).__name__} instead of a list of messages or an object")
    request = request_of(log)
    messages = _checked(request.get("messages"), log)
    if isinstance(messages, Problem):
        return messages
    completion = completion_of(log)
    reply = reply_of(completion)
    if reply is not None:
        messages = [*messages, reply]
    missing: set[Missing] = set()
    if "call_type" in log:
        messages = what_litellm_cut(messages, missing)
    plain = plain_messages(messages)
    tools = tools_of(request) or tools_of(log)
    if not tools and any("tool_calls" in message for message in plain):
        missing.add(Missing.TOOL_SCHEMAS)
    if reply is not None and reasoning_is_hidden(completion, reply):
        missing.add(Missing.REASONING)
    metadata = {
        "source": name,
        "model": _text(request.get("model")) or _text(log.get("model")) or _text(completion.get("model")),
        "date": date_of(log, completion),
        "cluster": cluster_of(log),
        "missing": sorted(missing),
        "extra": extras_of(log, request),
    }
    return Transcript(id, plain, tools, {key: value for key, value in metadata.items() if value})


def _checked(messages: Any, log: dict[str, Any]) -> list[Message] | Problem:
    """The messages of a log, if it is of use."""
    if problem := of_no_use(log):
        return problem
    if not isinstance(messages, list) or not messages:
        return Problem(Reason.NO_MESSAGES, "a reply without its request" if is_reply_only(log) else "")
    if set(map(type, messages)) == {dict}:
        return messages
    index = next(i for i, message in enumerate(messages) if not isinstance(message, dict))
    return Problem(Reason.BAD_MESSAGE, f"message {index}: not an object")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


# -- where things stand --------------------------------------------------------------------------------------


def holds_a_list(source: Input) -> bool:
    """Is the file one document, a list of conversations? Then it may be too long to be parsed whole."""
    if in_lines(source.name):
        return False
    try:
        head = head_of(source)[:_HEAD]
    except READ_ERRORS:
        return False  # whoever reads on will meet it again, and say so
    values = peek(head) if head.lstrip().startswith(b"[") else []
    return len(values) == 1 and bool(values[0]) and _is_conversation(values[0][0])


_HEAD = 1 << 16


def request_of(log: dict[str, Any]) -> dict[str, Any]:
    """The request stands in the log itself, or under `request` or `body` (batches), or under both."""
    if "messages" in log:
        return log
    for place in (log, log.get("request")):
        for request in (place, place.get("body")) if isinstance(place, dict) else ():
            if isinstance(request, dict) and "messages" in request:
                return request
    return log


def completion_of(log: dict[str, Any]) -> dict[str, Any]:
    """The completion stands under `response`, there under `body` (batches), or is the log itself."""
    response = log.get("response")
    if not isinstance(response, dict):
        return log
    body = response.get("body")
    return body if isinstance(body, dict) else response


def reply_of(completion: dict[str, Any]) -> Message | None:
    """The reply is stored beside the messages that it answers. Of several choices the first one counts."""
    choices = completion.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return {"role": "assistant", **message} if isinstance(message, dict) else None


def is_reply_only(log: Any) -> bool:
    """The output of a batch has replies, each with the `custom_id` of a request that stands in another file."""
    if not isinstance(log, dict) or "custom_id" not in log or "messages" in request_of(log):
        return False
    return "choices" in completion_of(log)


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


_TAKEN = ("messages", "tools", "functions", "model", "choices", "response")
_WRAPPED = (*_TAKEN, "request", "body")


def extras_of(log: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """What stands beside the conversation, without what is large."""
    if request is log:
        return small_extras({key: log[key] for key in log if key not in _TAKEN})
    beside = {**request, **log}
    return small_extras({key: beside[key] for key in beside if key not in _WRAPPED})


# -- passes --------------------------------------------------------------------------------------------------

_REDACTED = "redacted-by-litellm"
_CUT_TEXT = "(litellm_truncated skipped "
_CUT_IMAGE = ";base64,[base64_data truncated"


def of_no_use(log: dict[str, Any]) -> Problem | None:
    """LiteLLM logs every call: also those of other kinds, those that failed, and those whose texts it may not keep."""
    call_type = log.get("call_type")
    if not isinstance(call_type, str):
        return None
    if call_type and not call_type.endswith("completion"):
        return Problem(Reason.NOT_AN_OBJECT, f"a call of type {call_type[:60]}")
    if log.get("status") == "failure":
        error = log.get("error_information")
        kind = _text(error.get("error_class")) if isinstance(error, dict) else ""
        return Problem(Reason.NO_ASSISTANT, f"the call failed: {kind}" if kind else "the call failed")
    if any(message.get("content") == _REDACTED for message in listed(log.get("messages"))[:1]):
        return Problem(Reason.NO_DIALOGUE, "its texts were redacted by litellm")
    return None


def what_litellm_cut(messages: list[Message], missing: set[Missing]) -> list[Message]:
    """LiteLLM cuts long texts short in what it stores, and replaces images by their size."""
    whole: list[Message] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, str) and _CUT_TEXT in content:
            missing.add(Missing.TRUNCATED_OUTPUTS)
        if isinstance(content, list) and any(map(_is_cut_image, content)):
            missing.add(Missing.IMAGES)
            parts = [text_part("[image not shown]") if _is_cut_image(part) else part for part in content]
            message = {**message, "content": parts}
        whole.append(message)
    return whole


def _is_cut_image(part: Any) -> bool:
    image = part.get("image_url") if isinstance(part, dict) else None
    return _CUT_IMAGE in _text(image.get("url") if isinstance(image, dict) else image)


def date_of(log: dict[str, Any], completion: dict[str, Any]) -> str | None:
    """When the request was made, as LiteLLM logs it, or else when it was answered or logged."""
    given = (log.get("startTime"), completion.get("created"), log.get("timestamp"), log.get("created_at"))
    return next((date for value in given if (date := dated(value))), None)


def cluster_of(log: dict[str, Any]) -> str | None:
    """The calls of one session; LiteLLM by default puts its id into `trace_id`, or else one of the call's own."""
    session, trace = _text(log.get("session_id")), _text(log.get("trace_id"))
    if session or trace in (log.get("id"), log.get("litellm_call_id")):
        return f"session:{session}" if session else None
    return f"session:{trace}" if trace else None


def reasoning_is_hidden(completion: dict[str, Any], reply: Message) -> bool:
    """Some providers only count the tokens of a reasoning that they do not show."""
    usage = completion.get("usage")
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    count = details.get("reasoning_tokens") if isinstance(details, dict) else None
    shown = any(reply.get(key) for key in ("reasoning_content", "reasoning"))
    return isinstance(count, int) and count > 0 and not shown


_PLAIN = frozenset({"role", "content", "name", "tool_call_id", "tool_calls"})


def plain_messages(messages: list[Message]) -> list[Message]:
    """All that is done to the messages. Most conversations need nothing, and are told by a look at all their keys."""
    keys: set[str] = set().union(*messages)
    if keys <= _PLAIN and not any(_has_null(messages, key) for key in keys & {"name", "tool_call_id"}):
        calls = [message["tool_calls"] for message in messages if "tool_calls" in message]
        if all(map(_are_plain, calls)) and not _has_older_results(messages, keys):
            return messages
    messages = modern_calls(messages)
    if not all(map(has_named_calls, messages)):
        messages = name_calls(messages)
    return [plain_message(message) for message in messages]


def _has_null(messages: list[Message], key: str) -> bool:
    return None in [message.get(key, "") for message in messages]


def _has_older_results(messages: list[Message], keys: set[str]) -> bool:
    return "name" in keys and "function" in [message.get("role") for message in messages]


def _are_plain(calls: Any) -> bool:
    """Would these calls of a message stay as they are?"""
    try:
        for call in calls:
            if len(call) != 3 or call["type"] != "function" or type(call["function"]["arguments"]) is not str:
                return False
        ids = [call["id"] for call in calls]
        return all(ids) and (len(ids) == 1 or len(set(ids)) == len(ids) > 0)
    except (KeyError, TypeError):
        return False  # malformed: it will be told how


def has_named_calls(message: Message) -> bool:
    """Some servers leave the ids of calls empty, or give one id to several calls of a message.

    A call without the key is malformed, and stays so.
    """
    calls = message.get("tool_calls")
    if not isinstance(calls, list) or not calls:
        return True
    ids = [call.get("id", call) for call in calls if isinstance(call, dict)]
    texts = [id for id in ids if isinstance(id, str)]
    return None not in ids and "" not in texts and len(set(texts)) == len(texts)


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
