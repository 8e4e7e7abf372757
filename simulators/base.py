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
            answers = actions.answers(messages, index)
            recorded += [
                RecordedCall(call, None if answer is None else _text(answer))
                for call, answer in zip(actions.calls(message), answers, strict=True)
            ]
    return recorded


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
