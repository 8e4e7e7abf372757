"""Commands are read as a shell reads them."""

import pytest

from simulators.shell.syntax import parse
from simulators.shell.tree import Braces, Glob, Group, Opaque, Simple, Substitution, Text, Tilde, Variable


def _commands(command: str) -> list[Simple]:
    script = parse(command)
    assert script is not None
    found = [each for step in script.steps for each in step.pipeline.commands]
    assert all(isinstance(each, Simple) for each in found)
    return [each for each in found if isinstance(each, Simple)]


def _literals(command: str) -> list[list[str | None]]:
    return [[word.literal for word in each.words] for each in _commands(command)]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ls -la", [["ls", "-la"]]),
        ("echo 'a b' \"c d\" e\\ f", [["echo", "a b", "c d", "e f"]]),
        ("echo \"  lead\n  more  \" ''", [["echo", "  lead\n  more  ", ""]]),
        ("echo a\"b\"'c'd $'x\\ty'", [["echo", "abcd", "x\ty"]]),
        ('echo "a\\"b\\$c\\n" \\* a#b # comment', [["echo", 'a"b$c\\n', "*", "a#b"]]),
        ("cat f \\\n  -n\necho é 'ü b'", [["cat", "f", "-n"], ["echo", "é", "ü b"]]),
        ("[ -f x ] && test -d y", [["[", "-f", "x", "]"], ["test", "-d", "y"]]),
        ("export A=b; unset C", [["export", "A=b"], ["unset", "C"]]),
        ("find . -exec rm {} \\;", [["find", ".", "-exec", "rm", "{}", ";"]]),
        ("echo a{b [ab", [["echo", "a{b", "[ab"]]),
        ("cd a && b 2>&1 | tail -3", [["cd", "a"], ["b"], ["tail", "-3"]]),
        ("", []),
        ("grep x 2>/dev/null 'f g' h | wc", [["grep", "x", "f g", "h"], ["wc"]]),
        ("echo >&2 a b; cat <<E f\nx\nE", [["echo", "a", "b"], ["cat", "f"]]),
        ("2>/dev/null ls -l <<< x y", [["ls", "-l", "y"]]),
        ("# nothing", []),
    ],
)
def test_words_are_cut_and_their_quoting_resolved(command: str, words: list[list[str]]) -> None:
    assert _literals(command) == words


def test_expansions_are_marked() -> None:
    (command,) = _commands('x "a$B" ${C}d *.p? [ab] {e,f} ~/g "$(pwd)" "*"')
    parts = [word.parts for word in command.words[1:]]
    assert parts[:6] == [
        (Text("a", True), Variable("B", True)),
        (Variable("C"), Text("d")),
        (Glob("*"), Text(".p"), Glob("?")),
        (Glob("["), Text("ab]")),
        (Braces(("e", "f")),),
        (Tilde(), Text("/g")),
    ]
    assert isinstance(parts[6][0], Substitution)
    assert parts[7] == (Text("*", True),)


def test_steps_keep_what_joins_them() -> None:
    script = parse("a && b | c || ! d; e\nf")
    assert script is not None
    joined = [(step.joiner, len(step.pipeline.commands), step.pipeline.negated) for step in script.steps]
    assert joined == [(";", 1, False), ("&&", 2, False), ("||", 1, True), (";", 1, False), (";", 1, False)]


@pytest.mark.parametrize(
    ("command", "redirects"),
    [
        ("a > f 2>&1", [(">", None, "f"), (">&", 2, "1")]),
        ("a >> f 2>/dev/null", [(">>", None, "f"), (">", 2, "/dev/null")]),
        ("a b2> f", [(">", None, "f")]),
        ("a 2 > f", [(">", None, "f")]),
        ("a &> f", [("&>", None, "f")]),
        ("a < f", [("<", None, "f")]),
        ("a <<< 'b c'", [("<<<", None, "b c")]),
        ("a > f <<< b", [(">", None, "f"), ("<<<", None, "b")]),
        ("a > f <<'E'\n  x $y\n\tz\nE\n", [(">", None, "f"), ("<<", None, "  x $y\n\tz\n")]),
        ("a <<'E' > f\nx\nE", [("<<", None, "x\n"), (">", None, "f")]),
        ("a <<-E\n\t\tx\n\tE\n", [("<<", None, "x\n")]),
        ('a <<E\nit\'s \\$x "q"\nE\n', [("<<", None, 'it\'s $x "q"\n')]),
        ("a <<E\nE\n", [("<<", None, None)]),
    ],
)
def test_redirects(command: str, redirects: list[tuple[str, int | None, str | None]]) -> None:
    (found,) = _commands(command)
    texts = [(each.operator, each.descriptor, each.target.literal or None) for each in found.redirects]
    assert texts == redirects


def test_a_redirect_belongs_to_the_last_command() -> None:
    one, two, three = _commands("cd a && cat <<E > f && c\nx\nE\n")
    assert [len(each.redirects) for each in (one, two, three)] == [0, 2, 0]


def test_a_heredoc_within_a_substitution_is_read() -> None:
    (command,) = _commands("git commit -m \"$(cat <<'E'\nit's (a) `b`\nE\n)\"")
    (part,) = command.words[3].parts
    assert isinstance(part, Substitution)
    inner = part.script.steps[0].pipeline.commands[0]
    assert isinstance(inner, Simple)
    assert inner.redirects[0].target.literal == "it's (a) `b`\n"


def test_groups_and_constructs() -> None:
    script = parse("(a; b); { c; }; for i in x; do d; done; f() { e; }")
    assert script is not None
    commands = [step.pipeline.commands[0] for step in script.steps]
    assert [isinstance(each, Group) and each.subshell for each in commands[:2]] == [True, False]
    assert [isinstance(each, Opaque) and len(each.scripts) for each in commands[2:]] == [1, 1]


@pytest.mark.parametrize(
    "command",
    [
        "echo 'a",
        'echo "a',
        "grep foo(bar",
        "a &",
        "a=(1 2)",
        "cat <<E\nx\n",
        "a \0 b",
        "echo \ud800",
        "if a; then",
        "find -x2>&1",
    ],
)
def test_what_is_not_modelled_is_none(command: str) -> None:
    assert parse(command) is None


def test_equal_shapes_are_equal_whatever_the_white_space() -> None:
    assert parse("a  'b'  &&\n c # d") == parse("a 'b' && c")
    assert parse("for i in a; do x; done") != parse("for i in b; do x; done")
