"""What was known of a file before it may have been changed still tells how an edit of it ends."""

from __future__ import annotations

import pytest

from simulators.base import Unknown
from simulators.files import File, Files, Kind
from simulators.operations import Edit, Insert, Replacement
from simulators.shell.run import Shell, run
from simulators.workspace.blocks import Page, find_block, rules
from simulators.workspace.changes import Place, carry_out
from simulators.workspace.observe import observe

PLACE = Place("/repo")
LINES = [f"line {number}" for number in range(1, 41)]


def doubted() -> Files:
    files = Files()
    files.write("/repo/a.py", "\n".join(LINES) + "\n")
    files.forget_all()
    return files


def edit(old: str, new: str = "new", path: str = "a.py") -> Edit:
    return Edit(path, (Replacement(old, new),))


def test_an_edit_of_what_stood_there_is_done_and_nothing_is_told_of_its_surroundings():
    files = doubted()
    done = carry_out(edit("line 20\n", "put\n"), files, PLACE)
    assert done.told.outcome == "done"
    assert done.told.page is not None
    assert not done.told.page.file.lines
    assert done.commit is not None
    done.commit()
    assert files.kind("/repo/a.py") is Kind.FILE
    assert not files.file("/repo/a.py").lines
    assert carry_out(edit("put\nline 21"), files, PLACE).told.outcome == "done"


@pytest.mark.parametrize("old", ["line 99", "line 1", "line 20\nline 22"])
def test_that_an_edit_fails_does_not_follow_from_what_stood_there(old: str):
    with pytest.raises(Unknown):
        carry_out(edit(old), doubted(), PLACE)


def test_what_is_known_now_counts_first():
    files = doubted()
    files.write("/repo/a.py", "other\n")
    assert carry_out(edit("line 20"), files, PLACE).told.outcome == "not found"


def test_what_was_seen_some_time_ago_does_not_tell_that_an_edit_fails():
    files = Files()
    files.write("/repo/a.py", "\n".join(LINES) + "\n")
    files.age()
    assert carry_out(edit("line 20\n"), files, PLACE).told.outcome == "done"
    with pytest.raises(Unknown):
        carry_out(edit("line 99"), files, PLACE)


def test_what_was_there_can_be_removed():
    files = doubted()
    assert run("rm a.py", Shell("/repo"), files).text == ""
    assert files.kind("/repo/a.py") is Kind.ABSENT
    with pytest.raises(Unknown):
        run("rm b.py", Shell("/repo"), files)


@pytest.mark.parametrize(
    "refusal",
    [
        "<tool_use_error>File has not been read yet. Read it first before writing to it.</tool_use_error>",
        "<tool_use_error>Sibling tool call errored</tool_use_error>",
    ],
)
def test_a_refusal_tells_nothing_of_the_file_nor_how_failures_are_worded(refusal: str):
    files = Files()
    files.write("/repo/a.py", "one\ntwo\n")
    assert observe(edit("three"), refusal, files, PLACE) is None
    assert observe(edit("two"), refusal, files, PLACE) is None
    assert files.text("/repo/a.py") == "one\ntwo\n"


# -- parts of files ---------------------------------------------------------------------------------------------------


def part() -> Files:
    files = Files()
    files.see("/repo/a.c", File({number: f"line {number}" for number in range(30, 61)}))
    return files


def test_lines_are_inserted_into_a_part_that_is_known():
    files = part()
    done = carry_out(Insert("a.c", 40, "one\ntwo"), files, PLACE)
    assert done.commit is not None
    done.commit()
    lines = files.file("/repo/a.c").lines
    assert [lines[number] for number in (40, 41, 42, 43, 62)] == ["line 40", "one", "two", "line 41", "line 60"]


@pytest.mark.parametrize("line", [60, 61, 900])
def test_where_the_file_may_end_nothing_is_inserted(line: int):
    with pytest.raises(Unknown):
        carry_out(Insert("a.c", line, "one"), part(), PLACE)


def test_an_empty_line_that_some_editors_show_at_the_end_is_none_of_the_file():
    files = part()
    shown = "\n".join(
        f"{number:6}\t{text}" for number, text in [(44, "line 44"), (45, "new"), (46, "line 46"), (47, "")]
    )
    operation = edit("line 45", path="a.c")
    observe(operation, f"a.c has been edited:\n{shown}\nLook at it.", files, PLACE)
    assert files.file("/repo/a.c").lines[47] == "line 47"
    block = find_block(shown)
    assert block is not None
    page = Page(files.file("/repo/a.c"), {"start": 45, "end": 45})
    fitting = rules(block, page)
    assert {rule.closes for rule in fitting} == {True}
    elsewhere = Page(page.file, {"start": 50, "end": 50})
    assert {(rule.lines(elsewhere)[0], *rule.lines(elsewhere)[1]) for rule in fitting} == {
        (49, "line 49", "line 50", "line 51", "")
    }
