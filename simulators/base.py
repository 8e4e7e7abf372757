"""What simulators share: the explicit "I do not know", and when two calls are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from resample.actions import style
from resample.types import Message, Prefix, SimulatorError, ToolCall


class Unknown(SimulatorError):
    """This simulator cannot be sure of the answer: ask the next one, never guess."""


class RecordedCall(NamedTuple):
    """A call that was really made, with the output it really got."""

    call: ToolCall
    output: str | None
    """None where the log has none."""


def recorded_calls(prefix: Prefix, messages: Sequence[Message]) -> list[RecordedCall]:
    """The calls in `messages`, in order, each with its output. Nothing else of the messages is kept."""
    actions = style(prefix.actions)
    recorded: list[RecordedCall] = []
    for index, message in enumerate(messages):
        if message.get("role") == "assistant":
            outputs = _outputs_after(messages, index)
            recorded += [RecordedCall(call, outputs.get(call.id)) for call in actions.calls(message)]
    return recorded


def _outputs_after(messages: Sequence[Message], index: int) -> dict[str, str | None]:
    """The tool messages up to the next assistant message, by call id: logs use ids again."""
    outputs: dict[str, str | None] = {}
    for message in messages[index + 1 :]:
        if message.get("role") == "assistant":
            break
        if message.get("role") == "tool":
            outputs[message.get("tool_call_id", "")] = _text(message)
    return outputs


def same_call(one: ToolCall, other: ToolCall) -> bool:
    """Equal name and arguments, whatever the order of the arguments and the white space between them."""
    if one.name != other.name:
        return False
    if one.parsed is None or other.parsed is None:
        return one.arguments == other.arguments
    return _canonical(one.parsed) == _canonical(other.parsed)


def _canonical(arguments: dict[str, object]) -> bytes:
    return orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)


def _text(message: Message) -> str | None:
    """A recorded output as plain text; None if it holds parts that are no text, such as images."""
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    if all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
        return "".join(part["text"] for part in content)
    return None
