"""The tool's name decides who is asked; who does not know leaves it to the next; all the others hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from builders import USER, prefix_of

from resample.types import (
    Message,
    Prefix,
    SimulatorError,
    SimulatorSession,
    Source,
    ToolCall,
    ToolOutput,
    ToolSimulator,
)
from simulators.base import Unknown
from simulators.routes import Routes

PREFIX = prefix_of(USER)


class Says:
    """Answers with its name and hears nothing; of the tools in `unknown` it does not know."""

    def __init__(self, name: str, *unknown: str) -> None:
        self.name = name
        self.unknown = unknown
        self.asked: list[str] = []
        self.opened: list[tuple[Prefix, Sequence[Message], int]] = []

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> SimulatorSession:
        self.opened.append((prefix, original, seed))
        return self

    async def answer(self, call: ToolCall) -> ToolOutput:
        self.asked.append(call.name)
        if call.name in self.unknown:
            raise Unknown(call.name)
        return ToolOutput(self.name, Source.OTHER)


class Listens(Says):
    """It hears, too."""

    def __init__(self, name: str, *unknown: str) -> None:
        super().__init__(name, *unknown)
        self.heard: list[tuple[str, str]] = []

    def hear(self, call: ToolCall, output: ToolOutput) -> None:
        self.heard.append((call.name, output.content))


class Fails(Says):
    async def answer(self, call: ToolCall) -> ToolOutput:
        raise SimulatorError("broken")


def ask(simulator: ToolSimulator, *names: str) -> list[str]:
    async def answers() -> list[str]:
        session = simulator.open(PREFIX, [], 7)
        return [(await session.answer(ToolCall("c", name, "{}", {}))).content for name in names]

    return asyncio.run(answers())


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        ("mail_send", "mail"),
        ("mail_", "mail"),
        ("Mail_send", "otherwise"),  # upper and lower case differ
        ("my_mail_send", "otherwise"),  # a glob is of the whole name
        ("read1", "digit"),
        ("read12", "read"),
        ("reads", "read"),
        ("mail", "otherwise"),
        ("", "otherwise"),
    ],
)
def test_the_first_glob_that_matches_decides(tool: str, expected: str) -> None:
    routes = [("mail_*", Says("mail")), ("read[0-9]", Says("digit")), ("read*", Says("read")), ("read1", Says("late"))]
    assert ask(Routes(routes, Says("otherwise")), tool) == [expected]


def test_who_does_not_know_leaves_it_to_the_next_that_matches_and_at_last_to_otherwise() -> None:
    first, other, second, last = Says("first", "ab", "abc"), Says("other"), Says("second", "abc"), Says("last")
    routes = Routes([("a*", first), ("x*", other), ("ab*", second)], last)
    assert ask(routes, "a", "ab", "abc") == ["first", "second", "last"]
    assert (first.asked, other.asked, second.asked, last.asked) == (["a", "ab", "abc"], [], ["ab", "abc"], ["abc"])


def test_where_nobody_knows_nor_does_it() -> None:
    with pytest.raises(Unknown):
        ask(Routes([("a", Says("first", "a"))], Says("last", "a")), "a")


def test_a_failure_is_no_unknown() -> None:
    with pytest.raises(SimulatorError, match="broken"):
        ask(Routes([("a", Fails("first"))], Says("last")), "a")


def test_all_that_listen_hear_what_others_answered_of_whatever_tool() -> None:
    one, deaf, two, last = Listens("one"), Says("deaf"), Listens("two", "b"), Listens("last")
    routes = Routes([("a", one), ("c", deaf), ("b", two)], last)
    assert ask(routes, "a", "b", "c") == ["one", "last", "deaf"]
    assert one.heard == [("b", "last"), ("c", "deaf")]
    assert two.heard == [("a", "one"), ("b", "last"), ("c", "deaf")]
    assert last.heard == [("a", "one"), ("c", "deaf")]


def test_all_are_opened_at_once_and_hear_what_the_harness_answered() -> None:
    one, deaf, last = Listens("one"), Says("deaf"), Listens("last")
    original = [USER]
    session = Routes([("a", one), ("b", deaf)], last).open(PREFIX, original, 7)
    assert one.opened == deaf.opened == last.opened == [(PREFIX, original, 7)]
    session.hear(ToolCall("c", "z", "", None), ToolOutput("no such tool", Source.HARNESS))
    assert one.heard == last.heard == [("z", "no such tool")]


def test_without_routes_there_is_otherwise() -> None:
    assert ask(Routes([], Says("last")), "a") == ["last"]
