"""Where a transcript is cut: policies, each with the estimand of the rates that come of it (method.md, 1).

No policy cuts between a call and its output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from resample.actions import ActionStyle, begins_turn
from resample.formats.exclusions import Problem, Reason
from resample.types import Message, UserError


@dataclass(frozen=True, slots=True)
class Cut:
    """`messages[:index]` is the prefix, `messages[index:end]` the original turn."""

    index: int
    end: int


class Estimand(NamedTuple):
    """What a rate over prefixes of this policy is a rate of."""

    unit: str
    population: str
    cut: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A truncation policy."""

    name: str
    estimand: Estimand
    cut: Callable[[Sequence[Message], ActionStyle], Cut | Problem]
    """Where to cut these messages, or why that cannot be done."""


def policy(name: str) -> Policy:
    """The policy of that name. Raises UserError with the names there are."""
    if name not in POLICIES:
        raise UserError(f"truncate.policy={name}: must be one of {', '.join(POLICIES)}")
    return POLICIES[name]


def last_turn(messages: Sequence[Message], style: ActionStyle) -> Cut | Problem:
    """Before the first assistant message of the last turn that has one."""
    last = _last_assistant(messages)
    if last is None:
        return Problem(Reason.NO_ASSISTANT)
    start = last
    while start > 0 and not begins_turn(style, messages, start):
        start -= 1
    index = next(i for i in range(start, last + 1) if messages[i]["role"] == "assistant")
    return _checked(messages, Cut(index, turn_end(messages, last, style)))


def last_action(messages: Sequence[Message], style: ActionStyle) -> Cut | Problem:
    """Before the last assistant message."""
    last = _last_assistant(messages)
    if last is None:
        return Problem(Reason.NO_ASSISTANT)
    index = last
    while index > 0 and messages[index - 1]["role"] == "assistant":
        index -= 1  # messages in a row are one action: no provider takes a prompt that ends with half of it
    return _checked(messages, Cut(index, turn_end(messages, last, style)))


_POPULATION = "the transcripts that were included, one {unit} each"

POLICIES = {
    "last_turn": Policy(
        "last_turn",
        Estimand(
            "final turn",
            _POPULATION.format(unit="final turn"),
            "before the first assistant message of the last turn that has one;"
            " this is where a conversation ended, not a turn drawn at random",
        ),
        last_turn,
    ),
    "last_action": Policy(
        "last_action",
        Estimand(
            "last action",
            _POPULATION.format(unit="last action"),
            "before the last assistant message, with what the agent did earlier in that turn in the prefix;"
            " this is where a conversation ended, not an action drawn at random",
        ),
        last_action,
    ),
}


def turn_end(messages: Sequence[Message], index: int, style: ActionStyle) -> int:
    """Where the turn of the last assistant message, at `index`, ends: after the outputs that follow it."""
    later = range(index + 1, len(messages))
    begun = (i for i in later if begins_turn(style, messages, i) or messages[i]["role"] in ("system", "developer"))
    return next(begun, len(messages))


def count_turns(messages: Sequence[Message], style: ActionStyle) -> int:
    """The number of turns that hold an assistant message."""
    turns = 0
    counted = False
    for index, message in enumerate(messages):
        if begins_turn(style, messages, index):
            counted = False
        if message["role"] == "assistant" and not counted:
            turns, counted = turns + 1, True
    return turns


def _last_assistant(messages: Sequence[Message]) -> int | None:
    return next((i for i in reversed(range(len(messages))) if messages[i]["role"] == "assistant"), None)


def _checked(messages: Sequence[Message], cut: Cut) -> Cut | Problem:
    before = messages[: cut.index]
    if all(message["role"] == "assistant" for message in before):
        return Problem(Reason.NOTHING_BEFORE_CUT)
    unanswered = _unanswered(before)
    if unanswered is not None:
        return Problem(Reason.UNANSWERED_CALL, f"message {unanswered}")
    return cut


def _unanswered(messages: Sequence[Message]) -> int | None:
    """The first message with a call whose output does not follow at once, as providers demand."""
    waiting: set[str] = set()
    caller = 0
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            waiting.discard(message.get("tool_call_id", ""))
            continue
        if waiting:
            return caller
        if message["role"] == "assistant":
            caller = index
            waiting = {call["id"] for call in message.get("tool_calls") or ()}
    return caller if waiting else None
