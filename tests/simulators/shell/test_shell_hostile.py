"""Whatever a command is, reading it does no harm."""

import contextlib
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulators.base import Unknown
from simulators.files import Files
from simulators.shell.effects import effects
from simulators.shell.learn import learn
from simulators.shell.run import Shell, run
from simulators.shell.syntax import parse

_PIECES = [
    *(
        "cat ",
        "sed -n ",
        "grep -E ",
        "echo ",
        "cd ",
        "rm -rf ",
        "ls ",
        "find ",
        "printf ",
        "head -n ",
        "sort ",
        "f",
        "a.txt",
    ),
    *(
        "'",
        '"',
        "\\",
        "$",
        "${",
        "$(",
        ")",
        "`",
        "((",
        "))",
        "(",
        "{",
        "}",
        "[",
        "]",
        "*",
        "?",
        "~",
        "|",
        "||",
        "&&",
        ";",
    ),
    *(
        "&",
        "\n",
        "<<E\n",
        "E\n",
        "<<<",
        ">",
        ">>",
        "2>&1",
        "<",
        "#",
        "!",
        "=",
        "-",
        "1,3p",
        "s/a/b/",
        "X=1",
        "$X",
        "\0",
    ),
    *("\ud800", "é", "\t", " ", "if ", "then ", "fi", "for i in ", "do ", "done", "%s", "$'", "\\n", "../", "/"),
]


def _whole(command: str) -> None:
    parse(command)
    effects(command, "/w")
    files = Files()
    files.write("/w/a.txt", "aaa\nb\n")
    files.make_directory("/w/d")
    with contextlib.suppress(Unknown):
        run(command, Shell("/w"), files.fork())
    for cwd in ("/w", None):
        learn(command, "x\n", None, Shell(cwd), files)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
@given(st.lists(st.one_of(st.sampled_from(_PIECES), st.text(max_size=4)), max_size=14).map("".join))
def test_any_command_is_read_without_harm(command: str) -> None:
    _whole(command)


@pytest.mark.parametrize(
    "command",
    [
        "(" * 10_000 + ")" * 10_000,
        "(" * 20 + "ls" + ")" * 20,
        "echo " + "$(" * 5_000 + ")" * 5_000,
        "echo " + "$((" * 3_000,
        "echo " + '"$(' * 3_000,
        "{ " * 3_000,
        "if a; then " * 2_000,
        "! " * 5_000 + "a",
        "a && " * 5_000 + "b",
        "a | " * 5_000 + "b",
        "a; " * 20_000,
        "[" * 20_000,
        "echo " + "{a,b}" * 200,
        "echo " + "x" * 1_000_000,
        "cat <<E\n" * 3_000,
        "echo " + "'" * 50_001,
        "bash -c 'bash -c \"bash -c ls\"'",
        "env " * 5_000 + "ls",
        "grep -E '" + "a*" * 200 + "b' a.txt",
        "grep -E '" + "(" * 150 + "a" + ")" * 150 + "' a.txt",
        "X=aaaa" + "; X=$X$X" * 60 + "; echo $X",
        "cat a.txt" + " a.txt" * 20 + " > b" + "; cat b b > c; cat c c > b" * 40,
        "sed '" + "s/a/aa/g;" * 60 + "' a.txt",
        "grep -A 999999999 a a.txt",
        "sed -n '1,999999999p' a.txt",
        "echo [9-0]* d/[+--]",
        "cat \0",
        "echo \udcff",
        "printf '%s\\n' " + "a " * 30_000,
    ],
)  # fmt: skip
def test_extremes_are_read_in_time(command: str) -> None:
    start = time.monotonic()
    _whole(command)
    assert time.monotonic() - start < 10
