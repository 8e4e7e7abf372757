"""Is a transcript valid canonical form? Every reader's transcripts pass through here."""

from __future__ import annotations

from typing import Any

from resample.formats.canonical import body_of
from resample.formats.dates import is_date
from resample.formats.exclusions import Problem, Reason
from resample.types import Message, Transcript

ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})

_SPEAKERS = ("user", "assistant", "system")


def validate(transcript: Transcript) -> Problem | None:
    """The first thing that is wrong with a transcript, or None."""
    if problem := check_form(transcript):
        return problem
    body = body_of(transcript)
    return body if isinstance(body, Problem) else None


def check_form(transcript: Transcript) -> Problem | None:
    """The same, without a look at whether it can be written."""
    if not (isinstance(transcript.id, str) and transcript.id):
        return Problem(Reason.NO_ID)
    return (
        _check_messages(transcript.messages)
        or _check_pairing(transcript.messages)
        or _check_tools(transcript.tools)
        or _check_metadata(transcript.metadata)
    )


# -- messages ------------------------------------------------------------------------------------------------


def _check_messages(messages: Any) -> Problem | None:
    if not isinstance(messages, list) or not messages:
        return Problem(Reason.NO_MESSAGES)
    for index, message in enumerate(messages):
        if problem := _check_message(message):
            return _in_message(index, problem)
    return None


def _in_message(index: int, problem: Problem) -> Problem:
    detail = f"message {index}: {problem.detail}" if problem.detail else f"message {index}"
    return Problem(problem.reason, detail)


def _check_message(message: Any) -> Problem | None:
    if not isinstance(message, dict):
        return Problem(Reason.BAD_MESSAGE, "not an object")
    role = message.get("role")
    if len(message) == 2 and role in _SPEAKERS and isinstance(message.get("content"), str):
        return None  # most messages: nothing else can be wrong with them
    if not isinstance(role, str) or role not in ROLES:
        return Problem(Reason.BAD_ROLE, repr(role)[:60])
    for key in ("name", "tool_call_id"):
        if (value := message.get(key)) is not None and not isinstance(value, str):
            return Problem(Reason.BAD_MESSAGE, f"{key} is not a string")
    return _check_content(message.get("content")) or _check_calls(message, role)


def _check_content(content: Any) -> Problem | None:
    if content is None or isinstance(content, str):
        return None
    if not isinstance(content, list):
        return Problem(Reason.BAD_CONTENT, f"{type(content).__name__} instead of a string or a list")
    for part in content:
        if not (isinstance(part, dict) and isinstance(part.get("type"), str)):
            return Problem(Reason.BAD_CONTENT, "a part has no type")
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            return Problem(Reason.BAD_CONTENT, "a text part has no text")
    return None


def _check_calls(message: Message, role: str) -> Problem | None:
    if message.get("function_call") is not None:
        return Problem(Reason.BAD_TOOL_CALL, "function_call instead of tool_calls")
    calls = message.get("tool_calls")
    if calls is None:
        return None
    if not isinstance(calls, list):
        return Problem(Reason.BAD_TOOL_CALL, "tool_calls is not a list")
    if calls and role != "assistant":
        return Problem(Reason.BAD_TOOL_CALL, f"in a message of role {role}")
    for call in calls:
        if wrong := _wrong_with(call):
            return Problem(Reason.BAD_TOOL_CALL, wrong)
    if len(calls) > 1 and len({call["id"] for call in calls}) < len(calls):
        return Problem(Reason.DUPLICATE_CALL_ID)
    return None


_BODY = {"function": "arguments", "custom": "input"}


def _wrong_with(call: Any) -> str:
    """What is wrong with a tool call, or an empty text."""
    if not isinstance(call, dict):
        return "not an object"
    if not (isinstance(call.get("id"), str) and call["id"]):
        return "no id"
    kind = call.get("type")
    if not isinstance(kind, str) or kind not in _BODY:
        return "type is neither function nor custom"
    body = call.get(kind)
    if not isinstance(body, dict) or not (isinstance(body.get("name"), str) and body["name"]):
        return f"no {kind} name"
    return "" if isinstance(body.get(_BODY[kind]), str) else f"{_BODY[kind]} is not a string"


def _check_pairing(messages: list[Message]) -> Problem | None:
    """Every tool message answers a call that an earlier message made and nothing has answered yet.

    An id may be used again once its call is answered: some models count their calls anew in every message.
    """
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            waiting.update(call["id"] for call in message.get("tool_calls") or ())
        elif message["role"] == "tool":
            answered = message.get("tool_call_id")
            if answered not in waiting:
                return _in_message(index, Problem(Reason.ORPHAN_TOOL_MESSAGE))
            waiting.remove(answered)
    return None


# -- tools and metadata --------------------------------------------------------------------------------------


def _check_tools(tools: Any) -> Problem | None:
    if not isinstance(tools, list):
        return Problem(Reason.BAD_TOOLS, "not a list")
    for index, tool in enumerate(tools):
        if not (isinstance(tool, dict) and isinstance(tool.get("type"), str)):
            return Problem(Reason.BAD_TOOLS, f"tool {index} has no type")
        body = tool.get(tool["type"])
        if not (isinstance(body, dict) and isinstance(body.get("name"), str) and body["name"]):
            return Problem(Reason.BAD_TOOLS, f"tool {index} has no name")
        if body.get("parameters") is not None and not isinstance(body["parameters"], dict):
            return Problem(Reason.BAD_TOOLS, f"tool {index}: parameters is not an object")
    return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_weight(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 1e-100 < value < 1e100


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_indices(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_style(value: Any) -> bool:
    return value == "tools" or (isinstance(value, str) and value.startswith("text:"))


_FIELDS = {
    "source": (_is_text, "a string"),
    "model": (_is_text, "a string"),
    "retain_until": (is_date, "an ISO 8601 date, or date and time"),
    "weight": (_is_weight, "a number above 0 (and between 1e-100 and 1e100)"),
    "stratum": (_is_text, "a string"),
    "cluster": (_is_text, "a string"),
    "labels": (_is_object, "an object"),
    "actions": (_is_style, "`tools` or `text:<parser>`"),
    "harness": (_is_indices, "a list of message indices"),
    "terminal_tools": (_is_texts, "a list of strings"),
    "missing": (_is_texts, "a list of strings"),
    "supplied": (_is_texts, "a list of strings"),
    "dropped": (_is_object, "an object"),
    "lines": (_is_list, "a list"),
    "extra": (_is_object, "an object"),
}


def _check_metadata(metadata: Any) -> Problem | None:
    if not isinstance(metadata, dict):
        return Problem(Reason.BAD_METADATA, "not an object")
    for field, (fits, what) in _FIELDS.items():
        if metadata.get(field) is not None and not fits(metadata[field]):
            return Problem(Reason.BAD_METADATA, f"{field} must be {what}")
    return None
