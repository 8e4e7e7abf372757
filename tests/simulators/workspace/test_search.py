"""Tools that find lines and files: what they found is known afterwards, and what they would find is told."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from resample.types import ToolCall
from simulators.base import Unknown
from simulators.files import Files, Kind, Missed
from simulators.operations import Glob, Grep, operation
from simulators.shell.learn import learn
from simulators.shell.state import Shell
from simulators.workspace.changes import Place
from simulators.workspace.search import observe_search, search, searched_from
from simulators.workspace.world import World

REPO = Place("/repo")


def call(name: str, arguments: dict[str, Any]) -> ToolCall:
    return ToolCall("c1", name, orjson.dumps(arguments).decode(), arguments)


def known() -> Files:
    files = Files()
    files.write("/repo/src/a.go", "package a\n\nfunc One() {}\nfunc Two() {}\n")
    return files


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("Glob", {"pattern": "*.md", "path": "/x"}, Glob("*.md", "/x")),
        ("Grep", {"pattern": "a", "output_mode": "content", "-n": True, "-C": 2}, Grep("a", None, ("-C2", "-n"))),
        ("Grep", {"pattern": "a", "output_mode": "content", "-i": False}, Grep("a", None, ())),
        ("Grep", {"pattern": "a", "output_mode": "content", "glob": "*.go"}, Grep("a", None, None)),
        ("Grep", {"pattern": "a"}, Grep("a", None, None)),
    ],
)
def test_searches_are_told_by_their_names_and_arguments(name: str, arguments: dict[str, Any], expected: object):
    assert operation(call(name, arguments)) == expected


# -- lines ------------------------------------------------------------------------------------------------------------


def test_lines_of_a_file_that_is_known_are_found():
    told = search(Grep("func \\w+", "src/a.go", ("-n",)), known(), REPO)
    assert (told.outcome, told.facts["numbered"]) == ("found, numbered", "3:func One() {}\n4:func Two() {}")
    assert search(Grep("absent", "src/a.go", ()), known(), REPO).outcome == "nothing found"


@pytest.mark.parametrize(
    "asked",
    [
        Grep("func", "src", ()),
        Grep("func", None, ()),
        Grep("func", "src/b.go", ()),
        Grep("func", "src/a.go", None),
        Grep(r"[\w]", "src/a.go", ()),
    ],
)
def test_what_is_not_sure_to_be_found_is_unknown(asked: Grep):
    with pytest.raises(Unknown):
        search(asked, known(), REPO)


@pytest.mark.parametrize(
    ("path", "output"),
    [
        ("/repo/pkg/a-b.go", "12:one\n13-two\n--\n40:four"),
        ("/repo/pkg", "pkg/a-b.go:12:one\npkg/a-b.go-13-two\n--\npkg/a-b.go:40:four"),
        (None, "pkg/a-b.go:12:one\npkg/a-b.go-13-two\npkg/a-b.go:40:four"),
    ],
)
def test_lines_that_were_found_are_known(path: str | None, output: str):
    files = Files()
    observe_search(Grep("o", path, ()), output, files, REPO, REPO)
    assert files.file("/repo/pkg/a-b.go").lines == {12: "one", 13: "two", 40: "four"}


def test_names_are_relative_to_where_the_agent_began_if_they_cannot_be_relative_to_where_it_is():
    files = Files()
    asked = Grep("o", "/repo/pkg", ())
    observe_search(asked, "pkg/a.go:1:one", files, Place("/repo/other"), REPO)
    assert files.file("/repo/pkg/a.go").lines == {1: "one"}
    observe_search(Grep("o", None, ()), "b.go:1:one", files, Place("/repo/pkg"), REPO)  # relative to which one?
    assert {files.kind(f"/repo/{name}") for name in ("b.go", "pkg/b.go")} == {Kind.UNKNOWN}


def test_a_line_is_no_reason_to_give_up_what_was_seen_some_time_ago():
    files = known()
    files.age()
    observe_search(Grep("One", "/repo/src/a.go", ("-n",)), "3:func One() {}", files, REPO, REPO)
    assert len(files.file("/repo/src/a.go", aged=True).lines) == 4


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("src/a.go", None, "/repo/src/a.go"),
        ("*.go", "/repo/src", "/repo/src/a.go"),
        ("*.md", "/repo/src", None),
        ("src/b.go", None, None),
    ],
)
def test_files_are_found_where_all_names_are_known(pattern: str, path: str | None, expected: str | None):
    files = known()
    files.see_directory("/repo/src", {"a.go": Kind.FILE}, {})
    told = search(Glob(pattern, path), files, REPO)
    assert told.outcome == ("nothing found" if expected is None else "found")
    assert told.facts.get("resolved") == expected


@pytest.mark.parametrize("pattern", ["**/*.go", "*.go", "src/{a,b}.go", "src/*.go", "docs"])
def test_where_names_are_not_known_nothing_is_told(pattern: str):
    with pytest.raises(Unknown):
        search(Glob(pattern), known(), REPO)


def test_what_was_looked_for_in_vain_is_absent_until_files_may_have_come():
    files = Files()
    observe_search(Glob("src/*_test.go"), "No files found", files, REPO, REPO)
    assert files.kind("/repo/src/a_test.go") is Kind.ABSENT
    assert {files.kind(path) for path in ("/repo/src/a.go", "/repo/a_test.go", "/repo/src/x/a_test.go")} == {
        Kind.UNKNOWN
    }
    copy = files.fork()
    copy.write("/repo/src/a_test.go", "new\n")
    assert (copy.kind("/repo/src/a_test.go"), files.kind("/repo/src/a_test.go")) == (Kind.FILE, Kind.ABSENT)
    for change in (Files.forget_all, Files.forget_entries, Files.age, lambda each: each.forget("/repo/src/sub")):
        other = files.fork()
        change(other)
        assert other.kind("/repo/src/a_test.go") is Kind.UNKNOWN


@pytest.mark.parametrize("pattern", ["*", "src/*", "**/*", ".*"])
def test_that_no_file_is_found_does_not_tell_that_there_is_no_directory(pattern: str):
    files = Files()
    observe_search(Glob(pattern), "No files found", files, REPO, REPO)
    assert {files.kind(path) for path in ("/repo/src", "/repo/src/x", "/repo/.git")} == {Kind.UNKNOWN}


def test_full_names_tell_where_the_agent_is():
    found = "/home/me/repo/cmd/cli/a.go\n/home/me/repo/cmd/cli/b.go"
    assert searched_from(Glob("cmd/cli/*.go"), found) == "/home/me/repo"
    for asked in (Glob("**/*.go"), Glob("cmd/cli/*.go", "/home"), Glob("*.go")):
        assert searched_from(asked, found) is None
    assert searched_from(Glob("cmd/cli/*.go"), "No files found") is None


@pytest.mark.parametrize(
    ("command", "absent", "unknown"),
    [
        ('find . -name "*.json" -o -name "*.md" | head -20', "/repo/x/a.md", "/repo/a.go"),
        ("find . -maxdepth 1 -type f -name a.go", "/repo/a.go", "/repo/x/a.go"),
        ("find . -not -name a.go", "/repo/known", "/repo/a.go"),
        ("find /nowhere -name a.go", "/repo/known", "/nowhere/a.go"),
    ],
)
def test_find_tells_what_is_not_there(command: str, absent: str, unknown: str):
    files = Files()
    files.see_none(Missed("/repo", "known", False))
    learn(command, "", None, Shell("/repo"), files)
    assert files.kind(unknown) is Kind.UNKNOWN
    assert files.kind(absent) is Kind.ABSENT


# -- tasks ------------------------------------------------------------------------------------------------------------


def test_another_agent_may_have_changed_a_task():
    world = World(cwd="/repo")
    update = call("TaskUpdate", {"taskId": "1", "status": "completed"})
    for number in ("1", "2"):
        world.observe(call("TaskUpdate", {"taskId": number, "status": "completed"}), f"Updated task #{number} status")
    assert world.fork().answer(update) == "Updated task #1 status"
    world.observe(call("Task", {"prompt": "Do task 1."}), "It is done.")
    with pytest.raises(Unknown):
        world.fork().answer(update)
    world.observe(call("TaskUpdate", {"taskId": "1", "status": "in_progress"}), "Updated task #1 status")
    assert world.answer(update) == "Updated task #1 status"
