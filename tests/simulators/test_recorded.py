"""A recording is served where the call is the same and depends on nothing that went otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from builders import BASH, USER, acting, output, prefix_of, saying, tool, tool_call

from resample.actions import style
from resample.types import Message, Source, ToolCall, ToolOutput
from simulators.base import Unknown
from simulators.recorded import Recorded, Repeats

TOOLS = [
    BASH,
    tool("read", path="string", offset="integer", limit="integer"),
    tool("write", path="string", content="string"),
    tool("edit", path="string", old_string="string", new_string="string"),
    tool("todo_write", todos="array"),
    tool("get_user", id="string", verbose="boolean"),
    tool("book_flight", id="string"),
]
Made = tuple[str, Any]

LS, RM, DATE, BUILD = (("bash", {"command": command}) for command in ("ls src", "rm src/a.py", "date", "npm test"))
READ, READ_B = ("read", {"path": "src/a.py"}), ("read", {"path": "src/b.py"})
WRITE_A, WRITE_B = (("write", {"path": f"src/{name}.py", "content": "x"}) for name in "ab")
TODO = ("todo_write", {"todos": []})
USER_1, BOOK = ("get_user", {"id": "1"}), ("book_flight", {"id": "1"})
UNKNOWN_COMMAND = ("bash", {"command": "./do-something"})


def turn(*made: Made, outputs: Sequence[str] | None = None) -> list[Message]:
    """One message per call; each output is the number of its call, unless given."""
    messages: list[Message] = []
    for number, (name, arguments) in enumerate(made, start=1):
        messages.append(acting(tool_call(name, arguments, f"c{number}")))
        messages.append(output(outputs[number - 1] if outputs else f"output {number}", f"c{number}"))
    return [*messages, saying("done")]


def call(name: str, arguments: Any) -> ToolCall:
    return style("tools").calls(acting(tool_call(name, arguments)))[0]


def answers(
    calls: Sequence[Made],
    *,
    original: Sequence[Message] = (),
    before: Sequence[Message] = (),
    said: str = "went on",
    others: Sequence[Repeats] = (),
) -> list[str | None]:
    """What each call is answered; None where nothing can be served: then the environment said `said`."""
    prefix = prefix_of(USER, *before, USER, tools=TOOLS) if before else prefix_of(USER, tools=TOOLS)

    async def ask() -> list[str | None]:
        session = Recorded(others=lambda prefix: others).open(prefix, original, 1)
        given: list[str | None] = []
        for each in calls:
            try:
                given.append((await session.answer(call(*each))).content)
            except Unknown:
                given.append(None)
                session.hear(call(*each), ToolOutput(said, Source.LLM))
        return given

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("recorded", "made", "expected"),
    [
        pytest.param([LS, READ], [LS, READ], ["output 1", "output 2"], id="the same"),
        pytest.param([LS, READ], [READ], ["output 2"], id="a read that was left out changes nothing"),
        pytest.param([READ], [LS, READ], [None, "output 1"], id="nor does one that was added"),
        pytest.param([WRITE_B, LS], [LS], [None], id="a write that was left out does"),
        pytest.param([LS], [WRITE_B, LS], [None, None], id="and one that was added"),
        pytest.param([WRITE_B, READ], [READ], ["output 2"], id="but not of another file"),
        pytest.param([READ], [WRITE_A, READ], [None, None], id="of this file it does"),
        pytest.param([READ], [RM, READ], [None, None], id="also by a command"),
        pytest.param(
            [WRITE_A, WRITE_B, LS], [WRITE_B, WRITE_A, LS], ["output 2", "output 1", None], id="another order"
        ),
        pytest.param([UNKNOWN_COMMAND, READ], [READ], [None], id="a command that may do anything"),
        pytest.param([READ], [UNKNOWN_COMMAND, READ], [None, None], id="a command that may do anything, added"),
        pytest.param([BUILD, READ], [READ], ["output 2"], id="a build leaves sources as they are"),
        pytest.param([LS], [BUILD, LS], [None, None], id="and may make files"),
        pytest.param([TODO, LS], [LS], ["output 2"], id="notes touch nothing else"),
        pytest.param([LS, TODO], [TODO], ["output 2"], id="and nothing touches them"),
        pytest.param([USER_1, BOOK], [BOOK], ["output 2"], id="a change depends on the changes before it"),
        pytest.param(
            [USER_1, BOOK, USER_1], [USER_1, BOOK, USER_1], ["output 1", "output 2", "output 3"], id="in step"
        ),
        pytest.param([USER_1], [BOOK, USER_1], [None, None], id="a tool that may change anything"),
        pytest.param([BOOK], [BOOK, BOOK], ["output 1", None], id="a change is not made twice by one recording"),
        pytest.param([LS], [LS, LS], ["output 1", "output 1"], id="a read may be repeated"),
        pytest.param([DATE, LS], [DATE, LS], ["output 1", "output 2"], id="time, in step"),
        pytest.param([DATE, LS], [LS, DATE], ["output 2", None], id="time, out of step"),
        pytest.param([], [LS, LS], [None, "went on"], id="what was once answered stays true"),
        pytest.param([], [LS, WRITE_B, LS], [None, None, None], id="until it may have changed"),
    ],
)
def test_the_original_turn(recorded: list[Made], made: list[Made], expected: list[str | None]):
    assert answers(made, original=turn(*recorded)) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("bash", {"command": "ls   src"}), LS),
        (("bash", '{ "command":"ls src" }'), LS),
        (("read", {"path": "./src/a.py"}), READ),
        (("read", {"path": "src/x/../a.py", "offset": None}), READ),
        (("get_user", '{"verbose": null, "id": "1"}'), USER_1),
        (
            ("edit", '{"new_string":"y","path":"a","old_string":"x"}'),
            ("edit", {"path": "a", "old_string": "x", "new_string": "y"}),
        ),
    ],
)
def test_the_same_call_however_it_is_written(one: Made, other: Made):
    assert answers([one], original=turn(other)) == ["output 1"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("read", {"path": "src/a.py", "offset": 2}), READ),
        (("bash", {"command": "ls 'src '"}), LS),
        (("bash", {"command": 'ls "src" lib'}), LS),
        (("get_user", {"id": 1}), USER_1),
        (("get_user", {"id": "1", "verbose": True}), USER_1),
        (("list_user", {"id": "1"}), USER_1),
    ],
)
def test_another_call(one: Made, other: Made):
    assert answers([one], original=turn(other)) == [None]


def test_identity():
    made = [LS, WRITE_A, DATE, READ, UNKNOWN_COMMAND, READ, DATE, DATE, BOOK, BOOK, USER_1, TODO, TODO]
    assert answers(made, original=turn(*made)) == [f"output {number}" for number in range(1, len(made) + 1)]


SAME, DIFFERENT = Repeats(same=1), Repeats(different=1)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        pytest.param([], None, id="nothing is known"),
        pytest.param([SAME, Repeats()], None, id="one cluster is not enough"),
        pytest.param([SAME, SAME], "output 1", id="two show it"),
        pytest.param([SAME, SAME, DIFFERENT], None, id="one shows the contrary"),
    ],
)
def test_what_a_service_said_before_the_cut_is_said_again_only_where_it_is_seen_to_repeat_itself(
    others: list[Repeats], expected: str | None
):
    assert answers([USER_1], before=turn(USER_1), others=others) == [expected]
    assert answers([USER_1, USER_1], others=others) == [None, "went on"], "what was answered here is said again here"
    assert answers([USER_1], original=turn(USER_1), others=others) == ["output 1"], "and so is what was recorded"


def test_a_failed_edit_has_changed_nothing():
    edit = ("edit", {"path": "src/a.py", "old_string": "x", "new_string": "y"})
    failed = turn(edit, READ, outputs=["Error: the text was not found", "content"])
    assert answers([READ], original=failed) == ["content"]
    done = turn(edit, READ, outputs=["The file was updated.", "content"])
    assert answers([READ], original=done) == [None]


def test_a_file_that_may_have_two_names():
    same = turn(READ, READ_B, outputs=["x", "x"])[:-1]
    assert answers([READ, READ_B], before=same) == [None, None]  # time has passed
    edit = ("edit", {"path": "src/b.py", "old_string": "x", "new_string": "y"})
    alike = turn(READ, READ_B, edit, READ, outputs=["x", "x", "done", "y"])
    assert answers([READ, READ_B, edit, READ], original=alike)[3] == "y"
    other = turn(READ, READ_B, outputs=["x", "x"])
    assert answers([READ, READ_B, edit, READ], original=other) == ["x", "x", None, None]
    distinct = turn(READ, READ_B, outputs=["x", "z"])
    assert answers([READ, READ_B, edit, READ], original=distinct) == ["x", "z", None, "x"]


def test_after_a_link_any_write_may_change_any_file():
    link = ("bash", {"command": "ln src/a.py src/c.py"})
    write_c = ("write", {"path": "src/c.py", "content": "x"})
    assert answers([READ, write_c, READ], original=turn(READ)) == ["output 1", None, "output 1"]
    assert answers([link, READ, write_c, READ], original=turn(link, READ)) == ["output 1", "output 2", None, None]


def test_where_there_are_hooks_a_commit_may_change_anything():
    commit = ("bash", {"command": "git commit -qm x"})
    assert answers([READ, commit, READ], original=turn(READ)) == ["output 1", None, "output 1"]
    config = ("bash", {"command": "cat .husky/pre-commit"})
    assert answers([config, READ, commit, READ], original=turn(config, READ)) == ["output 1", "output 2", None, None]


def test_calls_that_the_harness_answered_have_changed_nothing():
    async def ask() -> str:
        session = Recorded().open(prefix_of(USER, tools=TOOLS), turn(LS), 1)
        session.hear(call("no_such_tool", {}), ToolOutput("Error: unknown tool", Source.HARNESS))
        session.hear(call("bash", '{"command": '), ToolOutput("Error: bad JSON", Source.HARNESS))
        return (await session.answer(call(*LS))).content

    assert asyncio.run(ask()) == "output 1"


def test_a_call_without_a_recorded_output_is_not_known():
    messages = [acting(tool_call("bash", LS[1], "c1"))]
    assert answers([LS], original=messages) == [None]


@pytest.mark.parametrize("unit", ["y", "1", "a/", "a: ", "1 "])
def test_a_very_long_line_is_gone_through_in_one_pass(unit: str):
    """Minutes, or hours, where a pattern begins anew at each of its characters."""
    text = unit * (2_000_000 // len(unit))
    assert answers([LS, READ], original=turn(LS, READ, outputs=[text, text])) == [text, text]
