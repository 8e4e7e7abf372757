"""What a call gave twice running it gives again; what was only refused may be done the next time."""

from __future__ import annotations

import asyncio

import pytest
from builders import BASH, USER, acting, prefix_of, tool, tool_call

from resample.actions import style
from resample.types import Source, ToolCall, ToolOutput
from simulators.base import Unknown
from simulators.recorded import Recorded

TOOLS = [BASH, tool("Edit", file_path="string", old_string="string", new_string="string")]
EDIT = {"file_path": "/a.py", "old_string": "one", "new_string": "two"}


def call(name: str, arguments: dict[str, str]) -> ToolCall:
    return style("tools").calls(acting(tool_call(name, arguments)))[0]


def answered(made: list[tuple[ToolCall, str]], asked: ToolCall) -> str | None:
    session = Recorded().open(prefix_of(USER, tools=TOOLS), (), 0)
    for each, text in made:
        session.hear(each, ToolOutput(text, Source.LLM))
    try:
        return asyncio.run(session.answer(asked)).content
    except Unknown:
        return None


SUBMIT = call("bash", {"command": "submit flag{a}"})
OTHER = call("bash", {"command": "submit flag{b}"})


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ([(SUBMIT, "Wrong flag!"), (SUBMIT, "Wrong flag!")], "Wrong flag!"),
        ([(SUBMIT, "Wrong flag!")], None),
        ([(SUBMIT, "Wrong flag!"), (OTHER, "Wrong flag!"), (SUBMIT, "Wrong flag!")], None),
        ([(SUBMIT, "1 try left"), (SUBMIT, "0 tries left")], None),
        ([(SUBMIT, "error: busy"), (SUBMIT, "error: busy")], None),
    ],
)
def test_twice_running_is_enough(made: list[tuple[ToolCall, str]], expected: str | None):
    assert answered(made, SUBMIT) == expected


def test_the_clock_never_rests():
    date = call("bash", {"command": "date"})
    assert answered([(date, "12:00"), (date, "12:00")], date) is None


@pytest.mark.parametrize(
    ("said", "again"),
    [
        ("<tool_use_error>String to replace not found in file.</tool_use_error>", True),
        ("<tool_use_error>File has not been read yet. Read it first before writing to it.</tool_use_error>", False),
        ("<tool_use_error>Sibling tool call errored</tool_use_error>", False),
    ],
)
def test_a_change_fails_again_unless_it_was_only_refused(said: str, again: bool):
    asked = call("Edit", EDIT)
    assert answered([(asked, said)], asked) == (said if again else None)
