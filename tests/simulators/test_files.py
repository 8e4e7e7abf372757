"""What is known of a file system: exactly, in part, or not at all."""

from __future__ import annotations

import pytest

from simulators.base import Unknown
from simulators.files import SOMEWHERE, Directory, File, Files, Kind, NotThere, resolve


@pytest.mark.parametrize(
    ("path", "cwd", "home", "expected"),
    [
        ("/a/b/../c", None, None, "/a/c"),
        ("b", "/a", None, "/a/b"),
        ("../b/./c/", "/a/d", None, "/a/b/c"),
        ("b", None, None, SOMEWHERE + "/b"),
        ("~/b", "/a", "/home/u", "/home/u/b"),
        ("~/b", "/a", None, "/~/b"),
        ("~other/b", "/a", None, "/~other/b"),
        ("C:\\a\\b", "/x", None, "/C:/a/b"),
        ("//a//b", None, None, "/a/b"),
    ],
)
def test_paths(path: str, cwd: str | None, home: str | None, expected: str):
    assert resolve(path, cwd, home) == expected


@pytest.mark.parametrize("text", ["", "\n", "a", "a\n", "a\n\n", "a\r\nb\r\n", "ä\n☃", "\n\n\n"])
def test_a_file_is_its_text(text: str):
    files = Files()
    files.write("/a", text)
    assert files.text("/a") == text


def test_a_part_of_a_file_is_known_as_a_part():
    files = Files()
    files.see("/a", File({2: "b", 3: "c"}))
    assert files.lines("/a", 2, 3) == ["b", "c"]
    for first, last in ((1, 2), (3, 4), (2, None)):
        with pytest.raises(Unknown):
            files.lines("/a", first, last)
    files.see("/a", File({1: "a"}, count=3, ends=True))
    assert files.text("/a") == "a\nb\nc\n"
    files.see("/a", File({2: "other"}))
    assert files.lines("/a", 2, 2) == ["other"]
    with pytest.raises(Unknown):
        files.lines("/a", 1, 3)  # it has changed: nothing of the older one can be relied on


def test_directories():
    files = Files()
    files.see_directory("/d", {"x": Kind.FILE}, None)
    assert files.kind("/d/x") is Kind.FILE
    assert files.kind("/d/y") is Kind.ABSENT
    assert files.kind("/d/.y") is Kind.UNKNOWN, "hidden ones were not listed"
    assert files.kind("/d/y/z") is Kind.ABSENT
    files.write("/d/y", "")
    files.remove("/d/x")
    assert files.names("/d") == {"y": Kind.FILE}
    with pytest.raises(Unknown):
        files.names("/d", hidden=True)
    with pytest.raises(NotThere):
        files.names("/d/y")
    with pytest.raises(NotThere):
        files.text("/d/x")
    files.write("/e/f/g", "text")
    assert files.kind("/e") is Kind.DIRECTORY
    with pytest.raises(Unknown):
        files.names("/e")


def test_forgetting():
    files = Files()
    files.see_directory("/d", {"x": Kind.FILE, "sub": Kind.DIRECTORY}, {})
    files.write("/d/x", "1")
    files.write("/d/sub/y", "2")
    files.write("/other", "3")
    files.forget("/d/sub")
    assert files.kind("/d/sub/y") is Kind.UNKNOWN
    assert files.text("/d/x") == "1"
    with pytest.raises(Unknown):
        files.names("/d")  # something may have come or gone
    files.forget_entries()
    assert files.text("/d/x") == "1"
    assert files.kind("/d/z") is Kind.UNKNOWN
    files.forget_all()
    assert files.kind("/other") is Kind.UNKNOWN


def test_what_was_seen_before_time_passed_may_be_otherwise():
    files = Files()
    files.write("/a", "".join(f"{number}\n" for number in range(10)))
    files.see_kind("/gone", Kind.ABSENT)
    files.age()
    with pytest.raises(Unknown):
        files.text("/a")
    assert files.file("/a", aged=True).count == 10
    assert files.kind("/a") is Kind.FILE
    assert files.kind("/gone") is Kind.UNKNOWN
    files.see("/a", File({number + 1: str(number) for number in range(2, 8)}))
    assert files.text("/a").startswith("0\n1\n"), "enough of it was seen again"
    files.age()
    files.see("/a", File({1: "0"}))
    with pytest.raises(Unknown):
        files.text("/a")


def test_a_relative_path_may_be_any_path_that_ends_so():
    files = Files()
    files.write("/repo/src/a.py", "1")
    files.write("/repo/src/b.py", "2")
    files.write(SOMEWHERE + "/src/a.py", "other")
    assert files.kind("/repo/src/a.py") is not Kind.FILE or files.file("/repo/src/a.py") == File()
    assert files.text("/repo/src/b.py") == "2"
    files.forget(SOMEWHERE + "/src")
    with pytest.raises(Unknown):
        files.text("/repo/src/b.py")


def test_a_snapshot_tells_what_was_not_changed_since():
    tree = {
        "/repo": Directory({"a": Kind.FILE, "b": Kind.FILE}, {}),
        "/repo/a": File.of("A"),
        "/repo/b": File.of("B"),
    }
    seen = Files()
    seen.write("/repo/a", "what was seen before the cut")
    seen.write("/tmp/x", "X")
    files = seen.on(lambda path: tree.get(path, Kind.ABSENT if path.startswith("/repo") else None), "/repo")
    assert (files.text("/repo/a"), files.text("/repo/b"), files.text("/tmp/x")) == ("A", "B", "X")
    fork = files.fork()
    fork.write("/repo/a", "new")
    fork.remove("/repo/b")
    assert fork.names("/repo") == {"a": Kind.FILE}
    assert files.text("/repo/a") == "A"
    files.forget("/repo/a")
    with pytest.raises(Unknown):
        files.text("/repo/a")
    assert files.text("/repo/b") == "B"
    files.forget_all()
    assert files.kind("/repo/b") is Kind.UNKNOWN


def test_what_is_written_under_another_name_is_doubted():
    files = Files()
    for name in ("f", "link", "other"):
        files.see(f"/repo/{name}", File.of("other\n" if name == "other" else "same\n"))
    files.write("/repo/link", "new\n")
    assert files.file("/repo/f") == File()
    assert files.text("/repo/other") == "other\n"
    files.link()
    files.fork().write("/repo/other", "newer\n")
    files.write("/repo/never-seen", "x\n")
    assert [path for path, _ in files.known()] == ["/repo/never-seen"]


def test_after_a_link_a_file_known_in_part_may_be_any_that_it_does_not_contradict():
    files = Files()
    files.link()
    files.see("/repo/part", File({1: "a"}))
    files.see("/repo/whole", File.of("a\nb\n"))
    files.see("/repo/other", File.of("x\n"))
    files.write("/repo/part", "new\n")
    assert files.file("/repo/whole") == File()
    assert files.text("/repo/other") == "x\n"
