"""A rollout in a workspace that is known: everything it does stays true, and no model is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from builders import BASH, USER, ScriptedModel, acting, output, prefix_of, tool, tool_call

from resample.actions import style
from resample.types import Message, Source, ToolCall, ToolOutput
from simulators.base import Unknown
from simulators.ladder import standard_ladder
from simulators.workspace import Workspace

TOOLS = [
    BASH,
    tool("Read", file_path="string", offset="integer", limit="integer"),
    tool("Write", file_path="string", content="string"),
    tool("Edit", file_path="string", old_string="string", new_string="string", replace_all="boolean"),
    tool("TodoWrite", todos="array"),
    tool("TaskCreate", subject="string"),
]
REMINDER = "\n\n<system-reminder>\nLook out.\n</system-reminder>\n"
SNIPPET = "The file {} has been updated. Here's the result of running `cat -n` on a snippet of the edited file:\n"
Made = tuple[str, dict[str, Any], str]


def numbered(lines: Sequence[str], first: int = 1) -> str:
    return "\n".join(f"{number:6}→{line}" for number, line in enumerate(lines, start=first))


def shown(*made: Made) -> list[Message]:
    """A conversation in which these calls got these outputs."""
    messages: list[Message] = [USER]
    for number, (name, arguments, text) in enumerate(made, start=1):
        messages += [acting(tool_call(name, arguments, f"c{number}")), output(text, f"c{number}")]
    return messages


OLD = [f"line {number}" for number in range(1, 21)]
EDITED = [*OLD[:9], "LINE 10", *OLD[10:]]
BEFORE = shown(
    ("Read", {"file_path": "/repo/old.txt"}, numbered([*OLD, ""]) + REMINDER),
    (
        "Edit",
        {"file_path": "/repo/old.txt", "old_string": "line 10", "new_string": "LINE 10"},
        SNIPPET.format("/repo/old.txt") + numbered(EDITED[5:14], 6),
    ),
    ("Read", {"file_path": "/repo/old.txt", "offset": 9, "limit": 2}, numbered(EDITED[8:10], 9) + REMINDER),
    ("bash", {"command": "mkdir -p /repo/new"}, "(no output)"),
    ("bash", {"command": "ls /repo/new"}, "notes.txt"),
    (
        "Write",
        {"file_path": "/repo/new/first.txt", "content": "1\n"},
        "File created successfully at: /repo/new/first.txt",
    ),
    ("bash", {"command": "cat /repo/new/first.txt"}, "1"),
    ("bash", {"command": "grep -n 1 /repo/new/first.txt"}, "1:1"),
    ("TaskCreate", {"subject": "first"}, "Task #1 created: first"),
    ("TaskCreate", {"subject": "second"}, "Task #2 created: second"),
)


def call(name: str, arguments: dict[str, Any]) -> ToolCall:
    return style("tools").calls(acting(tool_call(name, arguments)))[0]


def played(before: Sequence[Message], *calls: tuple[str, dict[str, Any]]) -> list[str]:
    """What the standard ladder answers; a model that is asked would fail the test."""

    async def play() -> list[str]:
        session = standard_ladder(ScriptedModel([])).open(prefix_of(*before, tools=TOOLS), (), 1)
        outputs = [await session.answer(call(*each)) for each in calls]
        assert {each.source for each in outputs} <= {Source.WORKSPACE, Source.RECORDED}
        return [each.content for each in outputs]

    return asyncio.run(play())


def test_what_a_rollout_writes_edits_lists_greps_and_reads_back_is_consistent():
    path = "/repo/new/made.py"
    text = "".join(f"value_{number} = {number}\n" for number in range(1, 13))
    lines = text.splitlines()
    changed = [*lines[:5], "value_6 = 'six'", "extra = True", *lines[6:]]
    assert played(
        BEFORE,
        ("Write", {"file_path": path, "content": text}),
        ("Edit", {"file_path": path, "old_string": "value_6 = 6", "new_string": "value_6 = 'six'\nextra = True"}),
        ("bash", {"command": "ls /repo/new"}),
        ("bash", {"command": f"grep -n six {path}"}),
        ("Read", {"file_path": path, "offset": 5, "limit": 3}),
        ("Read", {"file_path": path}),
        ("bash", {"command": f"sed -n '6,7p' {path} && tail -n 1 {path}"}),
        ("bash", {"command": "cd /repo/new && cp made.py copy.py && rm made.py && ls && head -1 copy.py"}),
    ) == [
        f"File created successfully at: {path}",
        SNIPPET.format(path) + numbered(changed[1:11], 2),
        "first.txt\nmade.py\nnotes.txt",
        "6:value_6 = 'six'",
        numbered(changed[4:7], 5) + REMINDER,
        numbered([*changed, ""]) + REMINDER,
        "value_6 = 'six'\nextra = True\nvalue_12 = 12",
        "copy.py\nfirst.txt\nnotes.txt\nvalue_1 = 1",
    ]


def test_acknowledgements_follow_the_form_that_was_shown():
    assert played(BEFORE, ("TaskCreate", {"subject": "third"}), ("TaskCreate", {"subject": "fourth"})) == [
        "Task #3 created: third",
        "Task #4 created: fourth",
    ]


def test_what_was_read_before_the_edit_is_known_after_it():
    (text,) = played(BEFORE, ("Read", {"file_path": "/repo/old.txt"}))
    assert text == numbered([*EDITED, ""]) + REMINDER


def unknown(before: Sequence[Message], *calls: tuple[str, dict[str, Any]], heard: str | None = None) -> bool:
    """Is the last of these calls one that the workspace cannot be sure of?"""

    async def ask() -> bool:
        session = Workspace().open(prefix_of(*before, tools=TOOLS), (), 1)
        for each in calls[:-1]:
            try:
                await session.answer(call(*each))
            except Unknown:
                session.hear(call(*each), ToolOutput("done" if heard is None else heard, Source.LLM))
        try:
            await session.answer(call(*calls[-1]))
        except Unknown:
            return True
        return False

    return asyncio.run(ask())


READ_OLD = ("Read", {"file_path": "/repo/old.txt"})
EDIT_OLD = ("Edit", {"file_path": "/repo/old.txt", "old_string": "line 3\n", "new_string": ""})


@pytest.mark.parametrize(
    ("before", "calls"),
    [
        pytest.param(BEFORE, [("Read", {"file_path": "/repo/never.txt"})], id="never seen"),
        pytest.param(
            shown(
                ("Read", {"file_path": "/a"}, "the content"),
                (
                    "Read",
                    {"file_path": "/b"},
                    f"</function_error>\n{'Refused, for this reason. ' * 40}</function_error>",
                ),
            ),
            [("Read", {"file_path": "/b"})],
            id="a long error is no content",
        ),
        pytest.param(BEFORE, [("bash", {"command": "./run.sh"}), READ_OLD], id="after a command that may do anything"),
        pytest.param(BEFORE, [("bash", {"command": "git checkout main"}), READ_OLD], id="after a checkout"),
        pytest.param(
            BEFORE, [("bash", {"command": "sed -i s/.*x/y/ old.txt"}), READ_OLD], id="from a directory not known"
        ),
        pytest.param([*BEFORE, USER], [READ_OLD], id="time has passed"),
        pytest.param(BEFORE, [("bash", {"command": "date"})], id="time"),
        pytest.param(BEFORE, [("bash", {"command": "cat /repo/missing"})], id="an error that was never shown"),
        pytest.param(BEFORE, [("bash", {"command": "python x.py"})], id="a program"),
        pytest.param(BEFORE[:3], [EDIT_OLD], id="the form of an edit was never shown"),
        pytest.param(
            shown(("Read", {"file_path": "/a", "limit": 2}, numbered(["x", "y"]))),
            [("Read", {"file_path": "/a"})],
            id="lines that were never shown",
        ),
        pytest.param(
            shown(("bash", {"command": "cat /a"}, "one\n... [200 lines truncated] ...\nlast")),
            [("bash", {"command": "cat /a"})],
            id="an output that was shortened",
        ),
    ],
)
def test_the_workspace_says_when_it_does_not_know(before: list[Message], calls: list[Any]):
    assert unknown(before, *calls)


def test_commands_that_leave_sources_alone_leave_them_known():
    assert not unknown(BEFORE, ("bash", {"command": "npm test 2>&1 | tail -5"}), READ_OLD)
    assert not unknown(BEFORE, ("bash", {"command": "git status && git log -3"}), EDIT_OLD)
    assert not unknown(BEFORE, ("bash", {"command": "rm -rf /elsewhere"}), READ_OLD)


COMMIT = ("bash", {"command": "git add -A && git commit -qm x"})


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        pytest.param(("bash", {"command": "ls -a"}, ".git\n.husky\nold.txt"), "", id="husky"),
        pytest.param(("bash", {"command": "cat .git/hooks/pre-commit"}, "ruff format"), "", id="a hook of git's own"),
        pytest.param(("bash", {"command": "true"}, ""), "ruff format.......Passed", id="what the commit itself says"),
    ],
)
def test_where_there_are_hooks_a_commit_may_have_changed_anything(seen: Made, said: str):
    before = [*BEFORE, *shown(seen)[1:]]
    without = [*BEFORE, *shown(("bash", {"command": "true"}, ""))[1:]]
    assert not unknown(without, COMMIT, READ_OLD, heard="")
    assert unknown(before, COMMIT, READ_OLD, heard=said)
    assert not unknown(before, ("bash", {"command": "git log"}), READ_OLD, heard=said)


def test_staging_is_silent_once_it_was_seen_to_be():
    add = ("bash", {"command": "git add old.txt"})
    seen = shown(("bash", {"command": "git add -A"}, "(no output)"))[1:]
    assert unknown(BEFORE, add)
    assert played([*BEFORE, *seen], add) == ["(no output)"]
    assert unknown([*BEFORE, *seen], ("bash", {"command": "git commit -m x"}))


FAILED = shown(
    *[
        (
            "Edit",
            {"file_path": "/a.py", "old_string": old, "new_string": "z"},
            f"<tool_use_error>String to replace not found in file.\nString: {old}</tool_use_error>",
        )
        for old in ("nothing", "like it")
    ],
)


def test_an_edit_fails_as_edits_fail_here():
    before = [*shown(("Read", {"file_path": "/a.py"}, numbered(["x = 1", "y = 1", ""]))), *FAILED[1:]]
    missing = ("Edit", {"file_path": "/a.py", "old_string": "w = 1", "new_string": "z"})
    assert played(before, missing) == [
        "<tool_use_error>String to replace not found in file.\nString: w = 1</tool_use_error>"
    ]
    assert unknown(before, ("Edit", {"file_path": "/a.py", "old_string": " = 1", "new_string": "z"})), "stands twice"


def test_what_a_model_answered_is_a_fact_of_the_rollout_and_no_form():
    read = ("Read", {"file_path": "/repo/other.txt"})
    model_says = numbered(["alpha", "beta", ""]) + REMINDER
    edit = ("Edit", {"file_path": "/repo/other.txt", "old_string": "beta", "new_string": "gamma"})
    assert not unknown(BEFORE, read, edit, heard=model_says)
    assert unknown(BEFORE[:1], read, read, heard=model_says), "how this environment words a read was never shown"
