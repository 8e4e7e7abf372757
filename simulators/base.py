"""What simulators share: the explicit "I do not know", and the calls that were really made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from resample.actions import begins_turn, style_in
from resample.types import Message, Prefix, SimulatorError, Source, ToolCall, ToolOutput


class Unknown(SimulatorError):
    """This simulator cannot be sure of the answer: ask the next one, never guess."""


LOST = "lost"
"""Marks the output of a call that was made, and whose output nobody has."""


def never_ran(output: ToolOutput) -> bool:
    """Did the call not come to a tool at all?"""
    return output.source is Source.HARNESS or output.mark in ("rate_limit", "transient")


def may_have_run(output: ToolOutput) -> bool:
    """Is it not known what came of the call?"""
    return output.mark in ("timeout", LOST)


class Knows(Protocol):
    """A session that keeps account of the environment's state."""

    def about(self, call: ToolCall, room: int) -> str:
        """What is known that bears on this call, of at most about `room` tokens."""
        ...

    def contradictions(self, call: ToolCall, output: str) -> list[str]:
        """What in an output cannot be, by what is known."""
        ...


class RecordedCall(NamedTuple):
    """A call that was really made, with the output it really got."""

    call: ToolCall
    output: str | None
    """None where the log has none."""


def recorded_calls(prefix: Prefix, messages: Sequence[Message]) -> list[RecordedCall]:
    """The calls in `messages`, in order, each with its output. Nothing else of the messages is kept."""
    return [recorded for turn in recorded_turns(prefix, messages) for recorded in turn]


def recorded_turns(prefix: Prefix, messages: Sequence[Message]) -> list[list[RecordedCall]]:
    """The same by turns: between them time passes. The last one may be empty."""
    actions = style_in(prefix.actions, prefix.harness)
    turns: list[list[RecordedCall]] = [[]]
    for index, message in enumerate(messages):
        if begins_turn(actions, messages, index):
            turns.append([])
        if message.get("role") == "assistant":
            answers = actions.answers(messages, index)
            turns[-1] += [
                RecordedCall(call, None if answer is None else _text(answer))
                for call, answer in zip(actions.calls(message), answers, strict=True)
            ]
    return turns


def _text(message: Message) -> str | None:
    """A recorded output as plain text; None if it holds parts that are no text, such as images."""
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    if all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
        return "".join(part["text"] for part in content)
    return None
