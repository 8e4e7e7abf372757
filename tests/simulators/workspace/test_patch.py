"""Patches as Codex gives them: read, applied to what is known, told as this environment tells, and read back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from builders import USER, ScriptedModel, acting, output, prefix_of, tool, tool_call

from resample.actions import style
from resample.types import Message, Source, ToolCall
from simulators.base import Unknown
from simulators.effects import touched, without_effect
from simulators.files import File, Files, Kind
from simulators.ladder import standard_ladder
from simulators.operations import Patch, Shell, is_change, operation
from simulators.workspace import Workspace
from simulators.workspace.changes import Place, carry_out
from simulators.workspace.observe import has_failed, observe
from simulators.workspace.patch import Add, Delete, Hunk, Missing, Update, parse, paths, update


def call(name: str, arguments: dict[str, Any]) -> ToolCall:
    return style("tools").calls(acting(tool_call(name, arguments)))[0]


def patch(*lines: str) -> str:
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])


DELETE = patch("*** Delete File: a")
MARKED = f"apply_patch <<'EOF'\n{DELETE}\nEOF\n"


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("apply_patch", {"input": DELETE}, Patch(DELETE)),
        ("functions__applypatch", {"patch": DELETE}, Patch(DELETE)),
        ("apply-patch", {"text": DELETE, "workdir": "/w"}, Patch(DELETE, "/w")),
        ("bash", {"command": MARKED}, Patch(DELETE + "\n")),
        ("shell", {"command": ["bash", "-lc", MARKED], "workdir": "/w"}, Patch(DELETE + "\n", "/w")),
        ("shell", {"command": ["apply_patch", DELETE]}, Patch(DELETE)),
        ("bash", {"command": f"applypatch '{DELETE}'"}, Patch(DELETE)),
        ("bash", {"command": f"cd sub && {MARKED}"}, Patch(DELETE + "\n", "sub", moves=True)),
        ("shell", {"command": ["bash", "-lc", f"cd sub && {MARKED}"], "cwd": "/w"}, Patch(DELETE + "\n", "/w/sub")),
        ("bash", {"command": MARKED.replace("'", "")}, Patch(DELETE + "\n")),
    ],
)
def test_calls_that_apply_a_patch(name: str, arguments: dict[str, Any], expected: Patch):
    assert operation(call(name, arguments)) == expected
    assert is_change(call(name, arguments))


@pytest.mark.parametrize(
    "command",
    [
        f"{MARKED}echo done",
        f"cd sub; {MARKED}",
        f"cd ~/sub && {MARKED}",
        f"cd - && {MARKED}",
        f"ls && {MARKED}",
        f"cat <<'EOF'\n{DELETE}\nEOF\n",
        f"apply_patch <<'EOF' > out\n{DELETE}\nEOF\n",
        f"> out && {MARKED}",
        "apply_patch <<EOF\n" + patch("*** Add File: a", "+$HOME") + "\nEOF\n",
        "apply_patch <<EOF\n" + patch("*** Add File: a", "+a \\$ b") + "\nEOF\n",
        "apply_patch --help",
    ],
)
def test_commands_that_do_something_else_or_more_stay_commands(command: str):
    assert operation(call("bash", {"command": command})) == Shell(command)


def test_a_patch_in_the_background_or_for_another_tool_is_none():
    arguments = {"command": MARKED, "run_in_background": True}
    assert operation(call("bash", arguments)) == Shell(MARKED, None, True)
    assert not isinstance(operation(call("send_message", {"text": DELETE})), Patch)
    assert not isinstance(operation(call("apply_patch", {"input": "--- a\n+++ b\n"})), Patch)


# -- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        (patch("*** Add File: a b.txt", "+one", "+", "++two"), [Add("a b.txt", "one\n\n+two\n")]),
        (patch("*** Add File: empty"), [Add("empty", "")]),
        (f"\n  {DELETE} \n", [Delete("a")]),
        (DELETE.replace("\n", "\r\n"), [Delete("a")]),
        (f"<<'EOF'\n{DELETE}\nEOF", [Delete("a")]),
        (
            patch("*** Update File: a", "*** Move to: b/c", "@@ def f():", " x", "-y", "+z", "*** End of File"),
            [Update("a", (Hunk("def f():", ("x", "y"), ("x", "z"), True),), "b/c")],
        ),
        (
            patch("*** Update File: a", " x", "", "+y", "@@", "-z", "*** Delete File: b", "*** Add File: c"),
            [Update("a", (Hunk(None, ("x", ""), ("x", "", "y")), Hunk(None, ("z",), ()))), Delete("b"), Add("c", "")],
        ),
        (
            patch("*** Update File: a", "@@", "+x", "*** End of File", "", "@@ y", "+z"),
            [Update("a", (Hunk(None, (), ("x",), True), Hunk("y", (), ("z",))))],
        ),
    ],
)
def test_patches_are_read(text: str, sections: list[Any]):
    assert parse(text) == tuple(sections)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="no section"),
        pytest.param(["@@", "-a"], id="no file"),
        pytest.param(["*** Rename File: a"], id="another header"),
        pytest.param(["*** Add File: "], id="no path"),
        pytest.param(["*** Add File: a", "+x", "y"], id="added line without a plus"),
        pytest.param(["*** Add File: a", "+x", "", "*** Delete File: b"], id="blank line between files"),
        pytest.param(["*** Update File: a"], id="no hunk"),
        pytest.param(["*** Update File: a", "*** Move to: b"], id="only moved"),
        pytest.param(["*** Update File: a", "@@"], id="empty hunk at the end"),
        pytest.param(["*** Update File: a", "@@", "*** Delete File: b"], id="empty hunk before another file"),
        pytest.param(["*** Update File: a", "@@ class A", "@@ def f", "-x"], id="two lines of context"),
        pytest.param(["*** Update File: a", "@@", "*** End of File"], id="nothing but an end"),
        pytest.param(["*** Update File: a", "@@", "x"], id="line without a sign"),
        pytest.param(["*** Update File: a", "@@", "-x", "y"], id="line without a sign after others"),
        pytest.param(["*** Update File: a", "-x", "*** End of File", "-y"], id="second hunk without a mark"),
        pytest.param(["*** Update File: a", "-x", "*** End of File", "*** End of File"], id="two ends"),
    ],
)
def test_what_is_malformed_is_no_patch(lines: list[str]):
    assert parse(patch(*lines)) is None


@pytest.mark.parametrize(
    "text", ["", "*** Begin Patch", "*** Begin Patch\n*** Delete File: a", "*** End Patch", "x\n" + DELETE]
)
def test_what_has_no_markers_is_no_patch(text: str):
    assert parse(text) is None


def test_the_paths_of_a_patch_are_known_even_if_it_is_malformed():
    whole = patch("*** Update File: a", "*** Move to: b", "-x", "+*** Add File: no", "*** Delete File: c d")
    assert paths(whole) == ["a", "b", "c d"]
    assert paths(whole.removesuffix("*** End Patch")) == ["a", "b", "c d"]
    assert paths("no patch") == []


# -- updating -------------------------------------------------------------------------------------------------------


def updated(file: File, *lines: str) -> File | Missing:
    sections = parse(patch("*** Update File: f", *lines))
    assert sections is not None
    (section,) = sections
    assert isinstance(section, Update)
    return update(file, section)


@pytest.mark.parametrize(
    ("before", "lines", "after"),
    [
        pytest.param("a\nb\nc\n", ["@@", " a", "-b", "+B", "+BB", " c"], "a\nB\nBB\nc\n", id="replaced"),
        pytest.param("a\nb\n", ["-b"], "a\n", id="removed"),
        pytest.param("x\nx\nx\n", ["-x", "+1", "@@", "-x", "+2"], "1\n2\nx\n", id="each from where the last ended"),
        pytest.param("x\nd\nx\n", ["@@ d", "-x", "+y"], "x\nd\ny\n", id="after the line of context"),
        pytest.param("x\n  d\nx\n", ["@@ d", "-x", "+y"], "x\n  d\ny\n", id="context without its indentation"),
        pytest.param("  d\nx\nd\nx\n", ["@@ d", "-x", "+y"], "  d\nx\nd\ny\n", id="exact context first"),
        pytest.param("x\na\nx\n", ["-x", "+y", "*** End of File"], "x\na\ny\n", id="at the end"),
        pytest.param("a\n", ["@@", "+b"], "a\nb\n", id="added without context"),
        pytest.param("a\n\n", ["@@", "+b"], "a\nb\n", id="added before an empty last line, which ends the file"),
        pytest.param("", ["@@", "+b"], "b\n", id="added to an empty file"),
        pytest.param("a\nb", ["-a", "+A"], "A\nb\n", id="the last line gets its end"),
        pytest.param("a\nb\n\n", ["-a", "+A"], "A\nb\n", id="an empty last line becomes the end"),
        pytest.param("a\nb\n", [" b", "+c", ""], "a\nb\nc\n", id="an empty old line stands for the last line end"),
        pytest.param("a\n", ["-a"], "", id="nothing is left"),
        pytest.param("a\nb\n", ["@@ b", "-b", "+c", "*** End of File"], "a\nc\n", id="the end is wherever it is"),
        pytest.param("a\nb\nc\n", ["@@", "+z", "@@", "-a", "+A"], "A\nb\nc\nz\n", id="added at the end first"),
    ],
)
def test_a_file_that_is_known_is_updated(before: str, lines: list[str], after: str):
    file = updated(File.of(before), *lines)
    assert isinstance(file, File)
    assert file.text == after


@pytest.mark.parametrize(
    ("before", "lines", "is_context"),
    [
        pytest.param("a\nb\n", ["-c"], False, id="not there"),
        pytest.param("a\nb\n", ["-b", "@@", "-a"], False, id="only further up"),
        pytest.param("a\nb\nc\n", [" a", "-c"], False, id="not together"),
        pytest.param("a\nb\n", ["-a", "*** End of File"], False, id="not at the end"),
        pytest.param("a\n", ["-a", "-b"], False, id="longer than the file"),
        pytest.param("a\nb\n", ["@@ c", "-a"], True, id="no such context"),
        pytest.param("a\nb\n", ["-b", "@@ a", "-b"], True, id="context only further up"),
    ],
)
def test_lines_that_are_not_in_the_file_are_missing(before: str, lines: list[str], is_context: bool):
    found = updated(File.of(before), *lines)
    assert isinstance(found, Missing)
    assert found.is_context is is_context


LONG = "long enough to be the only one of its kind, " * 4
PART = File({**{n: f"line {n}" for n in range(11, 21)}, 31: "end"}, None, None)


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        pytest.param(File.of("a \n"), ["-a"], id="differs in blanks at the end"),
        pytest.param(File.of("  a\n"), ["-a"], id="differs in indentation"),
        pytest.param(File.of("a \u2013 b\n"), ["-a - b"], id="differs in a dash"),
        pytest.param(File.of("a\nb\n"), [" a", "-b", "@@", "-b", "*** End of File"], id="the end overlaps"),
        pytest.param(File.of("a\nb\n\n"), ["-b", "-", "@@", "+c"], id="lines are added among those that go"),
        pytest.param(PART, ["-line 21"], id="may be among lines that are not known"),
        pytest.param(PART, ["-line 12"], id="may also be further up"),
        pytest.param(PART, [" line 20", "-line 21"], id="only its beginning is known"),
        pytest.param(PART, ["@@", "+z"], id="where the end is, is not known"),
        pytest.param(PART, ["-end", "*** End of File"], id="whether it is the end is not known"),
        pytest.param(File({1: " d", 2: "x"}), ["@@ d", "-x"], id="the context may be exact elsewhere"),
        pytest.param(File({}, None, None), ["-x"], id="nothing is known"),
    ],
)
def test_what_depends_on_what_is_not_known_is_unknown(file: File, lines: list[str]):
    with pytest.raises(Unknown):
        updated(file, *lines)


@pytest.mark.parametrize(
    ("file", "lines", "after"),
    [
        pytest.param(
            File({1: "a", 2: "b", 3: "c", 9: "y", 10: "z"}, 10, True),
            ["-b", "+B", "+BB"],
            File({1: "a", 2: "B", 3: "BB", 4: "c", 10: "y", 11: "z"}, 11, True),
            id="what is known further down moves along",
        ),
        pytest.param(
            File({1: "a", 2: "b", 5: "e"}, 9, False),
            ["-a", " b"],
            File({1: "b", 4: "e"}, None, True),
            id="how it ends is not known",
        ),
        pytest.param(
            File({1: "a", 4: LONG, 5: "x"}),
            ["@@", f"-{LONG}", "+short"],
            File({1: "a", 4: "short", 5: "x"}, None, True),
            id="improbable further up",
        ),
        pytest.param(
            File({1: "a", 2: ""}),
            ["-a", "+b"],
            File({1: "b"}, None, True),
            id="an empty line may be the last",
        ),
        pytest.param(
            File({1: "a", 2: "b", 4: "x", 5: "y"}, 5, True),
            [" x", "-y"],
            File({1: "a", 2: "b", 4: "x"}, 4, True),
            id="cannot be where one line is not known",
        ),
    ],
)
def test_a_file_that_is_known_in_part_stays_so(file: File, lines: list[str], after: File):
    assert updated(file, *lines) == after


# -- carrying out ---------------------------------------------------------------------------------------------------


def world(**texts: str) -> Files:
    files = Files()
    files.see_directory("/r", {}, {})
    for name, text in texts.items():
        files.write(f"/r/{name}", text)
    return files


PLACE = Place("/r")
SEVERAL = patch(
    "*** Delete File: a", "*** Update File: b", "@@", "-1", "+2", "*** Add File: d/e", "+new",
    "*** Update File: c", "*** Move to: f", "@@", "+last",
)  # fmt: skip


def test_a_patch_adds_deletes_updates_and_moves():
    files = world(a="x\n", b="1\n", c="first\n")
    done = carry_out(Patch(SEVERAL), files, PLACE)
    assert done.commit is not None
    assert files.text("/r/b") == "1\n", "nothing is done before"
    done.commit()
    assert [files.kind(f"/r/{name}") for name in "ac"] == [Kind.ABSENT, Kind.ABSENT]
    assert [files.text(f"/r/{name}") for name in ("b", "d/e", "f")] == ["2\n", "new\n", "first\nlast\n"]
    assert done.told.outcome == "done"
    assert done.told.facts == {
        "listing": "A d/e\nM b\nM f\nD a\n",
        "chomped listing": "A d/e\nM b\nM f\nD a",
        "paths": "d/e\nb\nf\na",
        "listing in JSON": "A d/e\\nM b\\nM f\\nD a\\n",
        "chomped listing in JSON": "A d/e\\nM b\\nM f\\nD a",
        "paths in JSON": "d/e\\nb\\nf\\na",
    }


def test_paths_are_relative_to_where_the_patch_is_applied():
    files = world()
    done = carry_out(Patch(patch("*** Add File: x", "+1"), "sub"), files, PLACE)
    assert done.commit is not None
    done.commit()
    assert files.text("/r/sub/x") == "1\n"


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        (["*** Update File: b", "-3"], "not found"),
        (["*** Update File: b", "@@ 3", "-1"], "context not found"),
        (["*** Update File: z", "-1"], "it is absent"),
        (["*** Delete File: z"], "it is absent"),
        (["*** Delete File: ../r"], "it is directory"),
        (["*** Add File: ../r", "+x"], "it is directory"),
    ],
)
def test_a_patch_of_which_one_part_fails_changes_nothing(lines: list[str], outcome: str):
    done = carry_out(Patch(patch("*** Add File: new", "+x", *lines)), world(b="1\n"), PLACE)
    assert (done.told.outcome, done.commit) == (outcome, None)


def test_what_is_missing_is_told():
    told = carry_out(Patch(patch("*** Update File: b", " 1", '-"2"')), world(b="1\n"), PLACE).told
    assert (
        told.facts.items() >= {"resolved": "/r/b", "path": "b", "old": '1\n"2"', "old in JSON": '1\\n\\"2\\"'}.items()
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(patch("*** Delete File: /elsewhere/x"), id="may be there or not"),
        pytest.param(patch("*** Update File: /elsewhere/x", "-1"), id="not known"),
        pytest.param(patch("*** Update File: b", "-1", "+2", "*** Update File: ./b", "-2"), id="a file twice"),
        pytest.param(patch("*** Update File: b"), id="malformed"),
    ],
)
def test_a_patch_that_cannot_be_sure_is_unknown(text: str):
    with pytest.raises(Unknown):
        carry_out(Patch(text), world(b="1\n"), PLACE)


def test_lines_that_are_missing_in_what_was_seen_some_time_ago_may_be_there_by_now():
    files = world(b="1\n")
    files.age()
    assert carry_out(Patch(patch("*** Update File: b", "-1")), files, PLACE).told.outcome == "done"
    with pytest.raises(Unknown):
        carry_out(Patch(patch("*** Update File: b", "-2")), files, PLACE)


# -- observing ------------------------------------------------------------------------------------------------------

SUCCESS = "Success. Updated the following files:\nM b\n"
UPDATE = Patch(patch("*** Update File: b", "-1", "+2"))


def framed(text: str, code: int = 0) -> str:
    return json.dumps({"output": text, "metadata": {"exit_code": code, "duration_seconds": 0.0}}, separators=(",", ":"))


DIFFERS = "apply_patch verification failed: Failed to find expected lines in /r/b:\n1"


@pytest.mark.parametrize(
    ("text", "failed", "after"),
    [
        pytest.param(SUCCESS, False, "2\n", id="success"),
        pytest.param(framed(SUCCESS), False, "2\n", id="in a frame"),
        pytest.param(framed("", 0), False, "2\n", id="an exit code is enough"),
        pytest.param("Success. Updated the following files:\nM src/error.py\n", False, "2\n", id="a path of any name"),
        pytest.param("Patch was applied with success", False, "2\n", id="in other words"),
        pytest.param("patch rejected by user", True, "1\n", id="rejected"),
        pytest.param(framed("bash: apply_patch: command unknown", 127), True, "1\n", id="no such command"),
        pytest.param(framed("Success", 1), True, "1\n", id="the exit code counts"),
        pytest.param(DIFFERS, True, None, id="the file is not as it was taken to be"),
        pytest.param("Done!", False, None, id="nobody knows"),
    ],
)
def test_what_an_output_tells_of_a_patch(text: str, failed: bool, after: str | None):
    files = world(b="1\n")
    observe(UPDATE, text, files, PLACE)
    assert has_failed(UPDATE, text) is failed
    assert (files.text("/r/b") if files.kind("/r/b") is Kind.FILE else None) == after


def test_a_failure_that_was_foreseen_is_told_as_such():
    files = world(b="1\n")
    told = observe(Patch(patch("*** Update File: b", "-3")), DIFFERS, files, PLACE)
    assert told is not None
    assert (told.outcome, files.text("/r/b")) == ("not found", "1\n")


def test_of_a_patch_to_files_that_are_not_known_only_what_it_says_itself_is_known():
    text = patch(
        "*** Update File: b", "-1", "+2", "*** Add File: n", "+new", "*** Delete File: d",
        "*** Update File: o", "*** Move to: p", "-x",
    )  # fmt: skip
    files = Files()
    files.see("/r/b", File({1: "other"}, None, None))
    told = observe(Patch(text), "Success. Updated", files, PLACE)
    assert told is not None
    assert told.facts["listing"] == "A n\nM b\nM p\nD d\n"
    assert files.text("/r/n") == "new\n"
    assert [files.kind(f"/r/{name}") for name in "bdop"] == [Kind.FILE, Kind.ABSENT, Kind.ABSENT, Kind.FILE]
    assert files.file("/r/b") == files.file("/r/p") == File()


def test_a_malformed_patch_that_was_taken_leaves_its_files_unknown():
    files = world(b="1\n", c="2\n")
    assert observe(Patch("*** Begin Patch\n*** Update File: b\n"), SUCCESS, files, PLACE) is None
    assert (files.kind("/r/b"), files.text("/r/c")) == (Kind.UNKNOWN, "2\n")
    assert observe(Patch("*** Begin Patch"), SUCCESS, files, PLACE) is None
    assert files.kind("/r/c") is Kind.UNKNOWN


# -- effects --------------------------------------------------------------------------------------------------------


def test_a_patch_touches_the_files_that_it_names():
    found = touched(call("apply_patch", {"input": SEVERAL}), "/r", {})
    named = frozenset(f"/r/{name}" for name in ("a", "b", "d/e", "c", "f"))
    assert (found.reads, found.writes, found.cwd, found.is_volatile) == (named, named, "/r", False)
    assert found.key == ("apply_patch", SEVERAL, "/r")
    assert found.is_changed_by(touched(call("bash", {"command": "rm b"}), "/r", {}))
    assert not found.is_changed_by(touched(call("bash", {"command": "rm x"}), "/r", {}))


def test_a_patch_may_be_applied_in_any_directory_that_the_agent_may_be_in():
    asked = call("bash", {"command": f"cd sub && {MARKED}"})
    found = touched(asked, "/r", {}, ["/s"])
    assert (found.writes, found.cwd) == (frozenset({"/r/sub/a", "/s/sub/a"}), "/r/sub")
    assert without_effect(asked, found, "patch rejected by user").writes == frozenset()
    assert without_effect(asked, found, SUCCESS) == found


def test_a_patch_that_names_nothing_may_touch_anything():
    found = touched(call("apply_patch", {"input": "*** Begin Patch"}), "/r", {})
    assert (found.reads, found.writes) == (None, None)


# -- rollouts -------------------------------------------------------------------------------------------------------

TOOLS = [tool("shell", command="array", workdir="string"), tool("apply_patch", input="string")]
Made = tuple[str, dict[str, Any], str | None]


def shell(script: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "shell", {"command": ["bash", "-lc", script], **more}


def patching(*lines: str, workdir: str = "/repo") -> tuple[str, dict[str, Any]]:
    return shell(f"apply_patch <<'PATCH'\n{patch(*lines)}\nPATCH\n", workdir=workdir)


def shown(*made: Made) -> list[Message]:
    messages: list[Message] = [USER]
    for number, (name, arguments, text) in enumerate(made, start=1):
        messages.append(acting(tool_call(name, arguments, f"c{number}")))
        if text is not None:
            messages.append(output(text, f"c{number}"))
    return messages


def played(before: Sequence[Message], *calls: tuple[str, dict[str, Any]]) -> list[str]:
    """What the standard ladder answers; a model that is asked would fail the test."""

    async def play() -> list[str]:
        session = standard_ladder(ScriptedModel([])).open(prefix_of(*before, tools=TOOLS, cwd="/repo"), (), 1)
        outputs = [await session.answer(call(*each)) for each in calls]
        assert {each.source for each in outputs} <= {Source.WORKSPACE}
        return [each.content for each in outputs]

    return asyncio.run(play())


OLD = "".join(f"line {number}\n" for number in range(1, 13))
BEFORE = shown(
    (*patching("*** Add File: first.txt", "+1"), framed("Success. Updated the following files:\nA first.txt\n")),
    (*shell("cat first.txt", workdir="/repo"), framed("1\n")),
    (*shell("cat src/old.txt", workdir="/repo"), framed(OLD)),
    (*shell("sed -n '2,3p' src/old.txt", workdir="/repo"), framed("line 2\nline 3\n")),
    (
        *patching("*** Update File: src/old.txt", "@@", " line 1", "-line 2", "+LINE 2"),
        framed("Success. Updated the following files:\nM src/old.txt\n"),
    ),
)


def test_a_rollout_patches_files_and_reads_them_back():
    moved = patch("*** Update File: new.txt", "*** Move to: moved.txt", "+end")
    assert played(
        BEFORE,
        shell("sed -n '1,3p' src/old.txt", workdir="/repo"),
        patching(
            "*** Update File: src/old.txt", "@@ line 5", " line 6", "-line 7", "+seven", "+and a half", " line 8",
            "@@", "-line 12", "*** Add File: src/new.txt", '+say "new"', "+", "*** Delete File: first.txt",
        ),
        shell("sed -n '6,9p' src/old.txt", workdir="/repo"),
        shell("cat src/new.txt", workdir="/repo"),
        shell(f"cd src && apply_patch <<'EOF'\n{moved}\nEOF", workdir="/repo"),
        shell("cat src/moved.txt && tail -n 1 src/old.txt", workdir="/repo"),
    ) == [
        framed("line 1\nLINE 2\nline 3\n"),
        framed("Success. Updated the following files:\nA src/new.txt\nM src/old.txt\nD first.txt\n"),
        framed("line 6\nseven\nand a half\nline 8\n"),
        framed('say "new"\n\n'),
        framed("Success. Updated the following files:\nM moved.txt\n"),
        framed('say "new"\nend\nline 11\n'),
    ]  # fmt: skip


def test_the_tool_words_its_outputs_in_its_own_form():
    add = ("apply_patch", {"input": patch("*** Add File: a.txt", "+a")})
    before = shown((*add, "Success. Updated the following files:\nA a.txt"))
    assert played(before, ("apply_patch", {"input": patch("*** Update File: a.txt", "-a", "+b")})) == [
        "Success. Updated the following files:\nM a.txt"
    ]


def unknown(before: Sequence[Message], *calls: tuple[str, dict[str, Any]]) -> bool:
    """Is the last of these calls one that the workspace cannot be sure of?"""

    async def ask() -> bool:
        session = Workspace().open(prefix_of(*before, tools=TOOLS, cwd="/repo"), (), 1)
        for each in calls[:-1]:
            await session.answer(call(*each))
        try:
            await session.answer(call(*calls[-1]))
        except Unknown:
            return True
        return False

    return asyncio.run(ask())


def test_a_patch_whose_output_nobody_has_leaves_only_its_files_unknown():
    lost = shown((*patching("*** Update File: src/old.txt", "@@", "-line 4"), None))[1:]
    old, first = shell("head -n 1 src/old.txt", workdir="/repo"), shell("cat first.txt", workdir="/repo")
    assert not unknown(BEFORE, old)
    assert unknown([*BEFORE, *lost], old)
    assert not unknown([*BEFORE, *lost], first)


def test_a_patch_that_was_refused_leaves_everything_as_it_was():
    refused = shown((*patching("*** Update File: src/old.txt", "@@", "-line 4"), "patch rejected by user"))[1:]
    assert played([*BEFORE, *refused], shell("sed -n '3,5p' src/old.txt", workdir="/repo")) == [
        framed("line 3\nline 4\nline 5\n")
    ]


@pytest.mark.parametrize(("directory", "is_doubted"), [("src", True), ("/repo", False), (".", False)])
def test_a_command_that_goes_elsewhere_to_patch_may_have_left_the_agent_there(directory: str, is_doubted: bool):
    added = patch("*** Add File: /repo/x", "+x")
    moving = shell(f"cd {directory} && apply_patch <<'EOF'\n{added}\nEOF")
    assert unknown(BEFORE, moving, shell("cat first.txt")) is is_doubted
    assert unknown(BEFORE, moving, shell("head -n 1 old.txt")), "nor is it sure that the agent is there"
    assert not unknown(BEFORE, moving, shell("cat /repo/first.txt"))
