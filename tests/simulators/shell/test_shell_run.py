"""What commands would print, exactly, and what they leave behind."""

import pytest

from simulators.base import Unknown
from simulators.files import File, Files, Kind
from simulators.shell.run import Shell, run

_TEXTS = {
    "a.txt": "one\ntwo\nthree\n",
    "b.txt": "beta\nalpha\nbeta\n",
    "noend": "x\ny",
    "empty": "",
    "long": "".join(f"line {number}\n" for number in range(1, 31)),
    "src/m.py": "import os\n\ndef foo(bar):\n    return bar + 1\n",
    "src/n.py": "foo = 3\nFOO = 4\n",
}


@pytest.fixture
def files() -> Files:
    """A file system of which everything below /w is known."""
    known = Files()
    for directory in ("/w", "/w/src"):
        known.make_directory(directory)
    for name, text in _TEXTS.items():
        known.write(f"/w/{name}", text)
    return known


def _run(command: str, files: Files, cwd: str | None = "/w") -> tuple[str, int]:
    outcome = run(command, Shell(cwd, "/h", {}), files)
    return outcome.text, outcome.code


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("cat a.txt noend", "one\ntwo\nthree\nx\ny"),
        ("cat -n noend", "     1\tx\n     2\ty"),
        ("cat < a.txt", "one\ntwo\nthree\n"),
        ("cat <<< 'x  y'", "x  y\n"),
        ("head -2 a.txt", "one\ntwo\n"),
        ("head -n -28 long", "line 1\nline 2\n"),
        ("head -1 noend a.txt", "==> noend <==\nx\n\n==> a.txt <==\none\n"),
        ("head -c 4 a.txt", "one\n"),
        ("tail -n +29 long", "line 29\nline 30\n"),
        ("tail -1 noend", "y"),
        ("tail -c 5 a.txt", "hree\n"),
        ("wc -l a.txt", "3 a.txt\n"),
        ("wc -l < noend", "1\n"),
        ("wc a.txt", " 3  3 14 a.txt\n"),
        ("nl -ba noend", "     1\tx\n     2\ty\n"),
        ("tac a.txt", "three\ntwo\none\n"),
        ("grep -n foo src/m.py src/n.py", "src/m.py:3:def foo(bar):\nsrc/n.py:1:foo = 3\n"),
        ("grep -ic foo src/n.py", "2\n"),
        ("grep -v e a.txt", "two\n"),
        ("grep -rn FOO .", "./src/n.py:2:FOO = 4\n"),
        ("grep -rl foo --include='m*' src", "src/m.py\n"),
        ("grep -n -C1 'line 1[05]' long", "9-line 9\n10:line 10\n11-line 11\n--\n14-line 14\n15:line 15\n16-line 16\n"),
        ("grep -E '^(import|def) ' src/m.py", "import os\ndef foo(bar):\n"),
        ("grep 'foo(' src/m.py", "def foo(bar):\n"),
        ("grep 'li*ne 1[0-9]\\{1\\}$' long | head -1", "line 10\n"),
        ("grep -on t a.txt", "2:t\n3:t\n"),
        ("grep -w bar src/m.py", "def foo(bar):\n    return bar + 1\n"),
        ("grep y noend", "y\n"),
        ("grep -F '+ 1' src/m.py", "    return bar + 1\n"),
        ("sed -n '2,3p' a.txt", "two\nthree\n"),
        ("sed -n '29,40p' long", "line 29\nline 30\n"),
        ("sed -n '$p;1p' noend", "x\ny"),
        ("sed '/two/d; s/e/E/g' a.txt", "onE\nthrEE\n"),
        ("sed 's|one|a/b|;s/o$/0/' a.txt", "a/b\ntw0\nthree\n"),
        ("sed 2q long", "line 1\nline 2\n"),
        ("ls src", "m.py\nn.py\n"),
        ("ls -a src", ".\n..\nm.py\nn.py\n"),
        ("ls a.txt src", "a.txt\n\nsrc:\nm.py\nn.py\n"),
        ("find . -name 'm*' -type f", "./src/m.py\n"),
        ("find src -maxdepth 0", "src\n"),
        ("sort -u b.txt", "alpha\nbeta\n"),
        ("sort b.txt | uniq -c", "      1 alpha\n      2 beta\n"),
        ("printf '10\\n9\\n' | sort -rn", "10\n9\n"),
        ("echo 'a b c' | cut -d' ' -f2-", "b c\n"),
        ("tr a-z A-Z < noend", "X\nY"),
        ("echo -n hi; echo -e 'a\\tb'; echo 'a\\tb'", "hia\tb\na\\tb\n"),
        ("printf '%s-%d%%\\n' a 1 b 2", "a-1%\nb-2%\n"),
        ("pwd; cd src && pwd; (cd ..; pwd); pwd", "/w\n/w/src\n/w\n/w/src\n"),
        ("cd; pwd", "/h\n"),
        ("X=5; F=a.txt; echo $X \"${X}y\" '$X'; head -1 $F", "5 5y $X\none\n"),
        ("echo *.txt src/*.py {a,b}{1,2} ~/x", "a.txt b.txt src/m.py src/n.py a1 a2 b1 b2 /h/x\n"),
        ("false || echo a && ! true; echo $?", "a\n1\n"),
        ("[ -f a.txt ] && [ ! -d a.txt ] && test 3 -gt 2 && [ -z '' ] && echo y", "y\n"),
        ("cat a.txt > /dev/null 2>&1; echo $?", "0\n"),
        ("{ echo a; echo b; } | wc -l", "2\n"),
        ("(cat gone 2>&1; echo x) | grep -c .", "2\n"),
        ("X=1\ncat <<E\nv=$X \\$y \"q\"\nE", "v=1 $y \"q\"\n"),
        ("grep -n -A99 two a.txt; chmod +x a.txt", "2:two\n3-three\n"),
        ("basename src/m.py .py; dirname src/m.py", "m\nsrc\n"),
        ("diff a.txt a.txt; echo $?", "0\n"),
        ("set -o pipefail; false | true; echo $?", "1\n"),
        ("true # nothing", ""),
    ],
)  # fmt: skip
def test_output(command: str, text: str, files: Files) -> None:
    assert _run(command, files) == (text, 0)


@pytest.mark.parametrize(
    ("command", "text", "code"),
    [
        ("cat gone", "cat: gone: No such file or directory\n", 1),
        ("cat src", "cat: src: Is a directory\n", 1),
        ("ls gone", "ls: cannot access 'gone': No such file or directory\n", 2),
        ("head gone", "head: cannot open 'gone' for reading: No such file or directory\n", 1),
        ("grep x gone", "grep: gone: No such file or directory\n", 2),
        ("grep nothing a.txt", "", 1),
        ("cd gone", "bash: line 1: cd: gone: No such file or directory\n", 1),
        ("echo x > gone/f", "bash: line 1: gone/f: No such file or directory\n", 1),
        ("mkdir src", "mkdir: cannot create directory 'src': File exists\n", 1),
        ("rm src", "rm: cannot remove 'src': Is a directory\n", 1),
        ("exit 3; echo x", "", 3),
    ],
)
def test_failures_say_what_they_assume(command: str, text: str, code: int, files: Files) -> None:
    outcome = run(command, Shell("/w"), files)
    assert (outcome.text, outcome.code) == (text, code)
    assert bool(outcome.assumes) == bool(text)


@pytest.mark.parametrize(
    ("command", "path", "text"),
    [
        ("cat > f <<'E'\n  lead $x\n\nE", "/w/f", "  lead $x\n\n"),
        ("cd src && cat <<'E' > f && ls\né\nE", "/w/src/f", "é\n"),
        ("echo x >> a.txt", "/w/a.txt", "one\ntwo\nthree\nx\n"),
        ("echo x >> noend", "/w/noend", "x\nyx\n"),
        ("> a.txt", "/w/a.txt", ""),
        ("sed -i 's/one/uno/; 2d' a.txt", "/w/a.txt", "uno\nthree\n"),
        ("cat a.txt | tee f | head -1", "/w/f", "one\ntwo\nthree\n"),
        ("cp a.txt src", "/w/src/a.txt", "one\ntwo\nthree\n"),
        ("mv src dst", "/w/dst/n.py", "foo = 3\nFOO = 4\n"),
        ("cp -r src dst", "/w/dst/n.py", "foo = 3\nFOO = 4\n"),
        ("mkdir -p x/y && touch x/y/z", "/w/x/y/z", ""),
        ("cat gone > f 2>&1", "/w/f", "cat: gone: No such file or directory\n"),
    ],
)
def test_files_that_are_written(command: str, path: str, text: str, files: Files) -> None:
    _run(command, files)
    assert files.text(path) == text


def test_files_that_go(files: Files) -> None:
    _run("rm a.txt && mv b.txt c.txt && rm -rf src && rm -f gone", files)
    gone = ("/w/a.txt", "/w/b.txt", "/w/src/m.py", "/w/src")
    assert [files.kind(path) for path in gone] == [Kind.ABSENT] * 4
    assert _run("ls", files)[0] == "c.txt\nempty\nlong\nnoend\n"


@pytest.mark.parametrize(
    "command",
    [
        "python x.py", "cat", "cat /etc/hosts", "cat /dev/random", "ls -l", "ls -R", "ls ..", "find / -name x",
        "tail -f a.txt", "echo $UNSET", "echo `ls`", "echo $(ls)", "for i in a; do echo; done", "[[ -f a.txt ]]",
        "sleep 1 &", "X='a b'; cat $X", "cat a.txt > a.txt", "cat a.txt | tee a.txt", "rm -rf .", "cd -", "cd /nowhere",
        "echo x > /nowhere/f", "grep -E '(a+)+b' long", "grep -E '(a)\\1' a.txt", "grep '[a-Z]' a.txt",
        "grep -P x a.txt",
        "grep -o 'a\\|ab' a.txt", "sed 's/\\(a\\)/\\1/' a.txt", "sed -n 'w f' a.txt", "which ls", "env",
        "set -e; false; x",
        "set -x", "FOO=1 ls", "sort -k2 a.txt", "IFS=,; echo a", "diff a.txt b.txt", "echo a | exit 3", "echo **/*.py",
        "printf '%x' 3", "wc -l < a.txt > a.txt", "rm /nowhere", "mv a.txt /nowhere/x", "a=(1 2)",
        'echo $"x"', "export A=~/x", "echo [9-0]*",
    ],
)  # fmt: skip
def test_what_is_not_sure_is_unknown(command: str, files: Files) -> None:
    with pytest.raises(Unknown):
        _run(command, files)


@pytest.mark.parametrize(
    ("command", "assumes"),
    [
        ("cat a.txt", set()),
        ("cat partly", set()),
        ("grep -c z partly", set()),
        ("ls src", set()),
        ("ls mixed", {"ls.order"}),
        ("ls mixed | sort", {"sort.order"}),
        ("ls mixed | wc -l", {"wc.width"}),
        ("echo mixed/*", {"glob.order"}),
        ("echo *.nope", {"glob.literal"}),
        ("find src", {"find.order"}),
        ("grep -r foo src", {"grep.order"}),
        ("grep 'a\\|b' b.txt", {"grep.gnu"}),
        ("cat gone a.txt", {"cat.absent", "streams.order"}),
        ("cat gone; echo x", {"cat.absent", "streams.order"}),
        ("cat gone 2>/dev/null; echo x", {"cat.absent"}),
        ("sed -i 1d a.txt", {"sed.gnu"}),
    ],
)
def test_assumptions(command: str, assumes: set[str], files: Files) -> None:
    files.see("/w/partly", File({1: "z"}, 1, None))
    files.make_directory("/w/mixed")
    for name in ("B", "a"):
        files.write(f"/w/mixed/{name}", "")
    assert run(command, Shell("/w"), files).assumes == assumes


@pytest.mark.parametrize("command", ["cat partly a.txt", "wc -c partly", "wc -l partly", "cat partly | tail -c 1"])
def test_what_depends_on_an_end_that_is_not_known_is_unknown(command: str, files: Files) -> None:
    files.see("/w/partly", File({1: "z"}, 1, None))
    with pytest.raises(Unknown):
        run(command, Shell("/w"), files)


def test_an_end_that_is_not_known_stays_so(files: Files) -> None:
    files.see("/w/partly", File({1: "z"}, 1, None))
    run("sed -i s/z/y/ partly", Shell("/w"), files)
    assert files.file("/w/partly") == File({1: "y"}, 1, None)
    run("echo more >> partly", Shell("/w"), files)
    assert files.file("/w/partly") == File()


def test_a_part_of_a_file_is_enough_for_a_part() -> None:
    known = Files()
    known.see("/w/f", File({1: "a", 2: "b", 3: "c"}))
    assert _run("sed -n '2,3p' f", known) == ("b\nc\n", 0)
    assert _run("head -n 2 f", known) == ("a\nb\n", 0)
    for command in ("cat f", "sed -n '3,4p' f", "grep a f", "wc -l f", "tail -1 f"):
        with pytest.raises(Unknown):
            _run(command, known)


def test_a_directory_that_is_not_known_is_used_but_never_shown() -> None:
    known = Files()
    assert _run("echo a > x.txt && cat x.txt", known, None) == ("a\n", 0)
    assert _run("mkdir -p d && cd d && echo b > y && cat y ../x.txt", known, None) == ("b\na\n", 0)
    with pytest.raises(Unknown):
        _run("pwd", known, None)
    assert run("echo c > ~/z; cat ~/z", Shell(None), known).text == "c\n"
    with pytest.raises(Unknown):
        run("echo ~/z", Shell(None), known)


def test_the_shell_keeps_its_state(files: Files) -> None:
    shell = Shell("/w")
    run("cd src; X=y; export Z=w", shell, files)
    assert shell == Shell("/w/src", None, {"X": "y", "Z": "w"})
    fork = shell.fork()
    run("cd ..; X=n", fork, files)
    assert shell.variables["X"] == "y"
