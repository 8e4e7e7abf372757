"""What real outputs tell of files."""

import pytest

from simulators.files import File, Files, Kind
from simulators.shell.learn import learn
from simulators.shell.run import Shell, run


def _learned(command: str, text: str, code: int | None = None, cwd: str | None = "/w") -> Files:
    files = Files()
    learn(command, text, code, Shell(cwd), files)
    return files


@pytest.mark.parametrize(
    ("command", "text", "file"),
    [
        ("cat f", "a\n\nb\n", File({1: "a", 2: "", 3: "b"}, 3, True)),
        ("cat f", "a\nb", File({1: "a", 2: "b"}, 2, None)),
        ("cd /w && cat f", "a", File({1: "a"}, 1, None)),
        ("cat -n f", "     1\ta\n     2\t b", File({1: "a", 2: " b"}, 2, None)),
        ("nl -ba f", "     1\ta\n     2\tb\n", File({1: "a", 2: "b"}, 2, None)),
        ("sed -n '3,4p' f", "c\nd\n", File({3: "c", 4: "d"})),
        ("sed -n '3,9p' f", "c\nd\n", File({3: "c", 4: "d"}, 4, True)),
        ("sed -n '3,9p' f", "c\nd", File({3: "c", 4: "d"})),
        ("sed -n 5p f 2>/dev/null", "e", File({5: "e"})),
        ("head -n 2 f", "a\nb", File({1: "a", 2: "b"})),
        ("head -5 f", "a\nb", File({1: "a", 2: "b"}, 2, None)),
        ("tail -n +3 f", "c\nd", File({3: "c", 4: "d"}, 4, None)),
        ("cat f | head -2", "a\nb", File({1: "a", 2: "b"})),
        ("cat f | head", "a\nb", File({1: "a", 2: "b"}, 2, None)),
        ("cat -n f | head -n 9", "     1\ta", File({1: "a"}, 1, None)),
        ("grep -n x f | head -1", "2:x", File({2: "x"})),
        ("grep -n x f", "2:x\n7:xx", File({2: "x", 7: "xx"})),
        ("grep -rn x .", "./f:4:ax\n./other:1:x", File({4: "ax"})),
        ("grep -n -A1 x f", "2:x\n3-y", File({2: "x", 3: "y"})),
    ],
)
def test_lines_that_were_shown(command: str, text: str, file: File) -> None:
    assert _learned(command, text).file("/w/f") == file


@pytest.mark.parametrize(
    ("command", "text", "code"),
    [
        ("cat f", "a\n... [12 lines truncated] ...\nb", 0),
        ("cat f", "x" * 29_001, 0),
        ("cat f", "a", 1),
        ("cat f", "", None),
        ("cat f g", "a", 0),
        ("cat f | grep a", "a", 0),
        ("cat -n f | head -1", "     1\ta", 0),
        ("nl -ba f | head -1 > g", "", 0),
        ("cat f; echo b", "a\nb", 0),
        ("cat f > g", "a", 0),
        ("tail -3 f", "a", 0),
        ("tail -c +3 f", "a", 0),
        ("grep x f", "a", 0),
        ("cat -n f", "a\nb", 0),
        ("$CMD f", "a", 0),
    ],
)
def test_nothing_is_learned_of_what_may_be_otherwise(command: str, text: str, code: int | None) -> None:
    assert not list(_learned(command, text, code).known())


@pytest.mark.parametrize(
    ("command", "text", "kinds"),
    [
        ("ls", "a\nb", {"a": Kind.EXISTS, "b": Kind.EXISTS, "c": Kind.ABSENT, ".h": Kind.UNKNOWN}),
        ("ls -F", "a/\nb*\nc", {"a": Kind.DIRECTORY, "b": Kind.FILE, "c": Kind.FILE, "d": Kind.ABSENT}),
        ("ls -la", "total 8\ndrwxr-xr-x 2 r r 64 Jan  1 10:00 .\ndrwxr-xr-x@ 2 r r 64 Jan  1  2024 ..\n"
         "-rw-r--r-- 1 r r 1,2K May 12 10:00 a b\ndrwxr-xr-x 2 r r 64 Jan 1 10:00 .h",
         {"a b": Kind.FILE, ".h": Kind.DIRECTORY, "c": Kind.ABSENT, ".i": Kind.ABSENT}),
        ("ls -A", ".h\na", {".h": Kind.EXISTS, ".i": Kind.ABSENT}),
        ("ls a", "a", {"a": Kind.UNKNOWN, "b": Kind.UNKNOWN}),
        ("ls", "a  b  c", {"d": Kind.UNKNOWN}),
        ("ls | head -2", "a\nb", {"c": Kind.UNKNOWN}),
        ("ls | head -3", "a\nb", {"a": Kind.EXISTS, "c": Kind.ABSENT}),
        ("find . -type f", "./a\n./d/b", {"a": Kind.FILE, "d/b": Kind.FILE, "d": Kind.DIRECTORY, "c": Kind.UNKNOWN}),
        ("cat a", "cat: a: No such file or directory", {"a": Kind.ABSENT}),
        ("ls a", "ls: cannot access 'a': No such file or directory", {"a": Kind.ABSENT}),
        ("ls a", "ls: a: No such file or directory", {"a": Kind.ABSENT}),
        ("cat a b", "cat: a: No such file or directory\ntext", {"a": Kind.ABSENT, "b": Kind.UNKNOWN}),
        ("cat a", "cat: b: No such file or directory", {"a": Kind.UNKNOWN, "b": Kind.UNKNOWN}),
    ],
)  # fmt: skip
def test_what_stands_where(command: str, text: str, kinds: dict[str, Kind]) -> None:
    files = _learned(command, text)
    assert {name: files.kind(f"/w/{name}") for name in kinds} == kinds


def test_what_a_command_may_have_changed_is_forgotten() -> None:
    files = Files()
    for name in ("a", "b"):
        files.write(f"/w/{name}", f"{name}\n")
    learn("fmt-all --in-place a > b", "done", 0, Shell("/w"), files)
    assert not list(files.known())
    for name in ("a", "b"):
        files.write(f"/w/{name}", f"{name}\n")
    learn("git diff > b", "", 0, Shell("/w"), files)
    assert [path for path, _ in files.known()] == ["/w/a"]
    learn("npm test", "ok", 0, Shell("/w"), files)
    assert [path for path, _ in files.known()] == ["/w/a"]
    learn("python x.py", "ok", 0, Shell("/w"), files)
    assert not list(files.known())


def test_what_was_computed_is_kept_when_it_agrees() -> None:
    files, shell = Files(), Shell("/w")
    learn("cat > f <<'E'\nx\n\nE", "", 0, shell, files)
    learn("mkdir -p d && cd d && cat ../f > g && V=1", "", 0, shell, files)
    assert files.text("/w/d/g") == "x\n\n"
    assert shell == Shell("/w/d")  # whether V is still set depends on the harness


def test_what_was_contradicted_is_forgotten() -> None:
    files = Files()
    files.write("/w/f", "x\n")
    files.write("/w/g", "y\n")
    learn("grep -c x f", "7", 0, Shell("/w"), files)
    assert [path for path, _ in files.known()] == ["/w/g"]
    learn("cat g", "z\n", 0, Shell("/w"), files)
    assert files.text("/w/g") == "z\n"


@pytest.mark.parametrize(
    ("command", "text", "code", "cwd"),
    [
        ("cd a", "", 0, "/w/a"),
        ("cd a && make", "boom", 2, "/w/a"),
        ("cd a && make", "bash: line 1: cd: a: No such file or directory", 1, "/w"),
        ("cd $X", "", 0, None),
        ("pwd", "/other\n", 0, "/other"),
        ("ls", "x", 0, "/w"),
    ],
)
def test_the_working_directory(command: str, text: str, code: int | None, cwd: str | None) -> None:
    shell = Shell("/w")
    learn(command, text, code, shell, Files())
    assert shell.cwd == cwd


def test_a_directory_that_was_entered_is_there() -> None:
    files = _learned("cd a && make", "boom", 2)
    assert files.kind("/w/a") is Kind.DIRECTORY
    assert run("cd a; pwd", Shell("/w"), files).text == "/w/a\n"


def test_what_is_relative_is_forgotten_where_the_directory_is_lost() -> None:
    files, shell = Files(), Shell(None)
    learn("cat f", "x\n", 0, shell, files)
    learn("cd sub && cat g", "y\n", 0, shell, files)
    assert run("cat g ../f", shell.fork(), files).text == "y\nx\n"
    learn("cd $X", "", 0, shell, files)
    assert shell.cwd is None
    assert not list(files.known())
