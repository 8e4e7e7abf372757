"""Where turns begin and end, and where a transcript can be cut: never between a call and its output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from resample.actions import ActionStyle, begins_turn
from resample.formats.exclusions import Problem, Reason
from resample.types import Message


@dataclass(frozen=True, slots=True)
class Cut:
    """`messages[:index]` is the prefix, `messages[index:end]` the original turn, or what is left of it."""

    index: int
    end: int
    stands_for: float = 1.0
    """Of how many turns of its transcript this one was drawn: its weight within the transcript."""


class Cuts(NamedTuple):
    """The cuts of one transcript, in order."""

    cuts: tuple[Cut, ...]
    passed_over: int = 0
    """Places that the policy asks for where no cut is possible: a call before them was never answered."""


class Turn(NamedTuple):
    """A turn that holds an assistant message, by indices of messages."""

    first: int
    """Its first assistant message: what stands before it was said to the agent."""
    last: int
    """Its last assistant message."""
    end: int
    """One past its last message."""


@dataclass(frozen=True)
class Recording:
    """A transcript as the policies look at it."""

    messages: Sequence[Message]
    style: ActionStyle
    id: str = ""
    labels: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def turns(self) -> list[Turn]:
        """Every turn that holds an assistant message."""
        return turns_in(self.messages, self.style)

    @cached_property
    def actions(self) -> list[int]:
        """The first message of each action.

        Assistant messages in a row are one: few providers take a prompt that ends with half of it.
        """
        roles = ["", *(message["role"] for message in self.messages)]
        return [i for i in range(len(self.messages)) if roles[i + 1] == "assistant" != roles[i]]

    def action_of(self, index: int) -> int | None:
        """The action that a message belongs to: its own, or that whose calls it answers, or the one that answers it."""
        spoken = self.messages[index]["role"] == "assistant" or self.style.is_output(self.messages, index)
        before = [start for start in self.actions if start <= index]
        after = [start for start in self.actions if start > index]
        return before[-1] if spoken and before else after[0] if after and not spoken else None

    def cuts(self, places: Iterable[int]) -> Cuts | Problem:
        """A cut before each of these assistant messages, in order, where one is possible; a problem if nowhere."""
        found: list[Cut] = []
        problems: list[Problem] = []
        turns = iter(self.turns)
        turn = next(turns)
        for place in places:
            while turn.last < place:
                turn = next(turns)
            if problem := self._problem(place):
                problems.append(problem)
            else:
                found.append(Cut(place, turn.end))
        return Cuts(tuple(found), len(problems)) if found else problems[0]

    def _problem(self, place: int) -> Problem | None:
        """Why it cannot be cut before this assistant message."""
        if place <= self._opening:
            return Problem(Reason.NOTHING_BEFORE_CUT)
        if self._unanswered is not None and place >= self._unanswered.noticed:
            return Problem(Reason.UNANSWERED_CALL, f"message {self._unanswered.caller}")
        return None

    @cached_property
    def _opening(self) -> int:
        """The number of assistant messages before any other one."""
        others = (i for i, message in enumerate(self.messages) if message["role"] != "assistant")
        return next(others, len(self.messages))

    @cached_property
    def _unanswered(self) -> _Unanswered | None:
        """The first call whose output does not follow at once, as providers demand."""
        waiting: set[str] = set()
        caller = 0
        for index, message in enumerate(self.messages):
            if message["role"] == "tool":
                waiting.discard(message.get("tool_call_id", ""))
                continue
            if waiting:
                return _Unanswered(caller, index)
            if message["role"] == "assistant":
                caller = index
                waiting = {call["id"] for call in message.get("tool_calls") or ()}
        return None


class _Unanswered(NamedTuple):
    caller: int
    noticed: int
    """The message that stands where its output should."""


def turns_in(messages: Sequence[Message], style: ActionStyle) -> list[Turn]:
    """Every turn that holds an assistant message, in order."""
    turns: list[Turn] = []
    first = last = None
    for index, message in enumerate(messages):
        if begins_turn(style, messages, index) and first is not None and last is not None:
            turns.append(Turn(first, last, _end(messages, last, index)))
            first = None
        if message["role"] == "assistant":
            first, last = (index if first is None else first), index
    if first is not None and last is not None:
        turns.append(Turn(first, last, _end(messages, last, len(messages))))
    return turns


def _end(messages: Sequence[Message], last: int, limit: int) -> int:
    """A turn ends after the outputs of its last assistant message; what a system says then is no part of it."""
    later = range(last + 1, limit)
    return next((i for i in later if messages[i]["role"] in ("system", "developer")), limit)
