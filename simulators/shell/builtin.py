"""cd, pwd, echo, printf, test and other commands of the shell itself."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from simulators.base import Unknown
from simulators.files import SOMEWHERE, Kind, NotThere
from simulators.shell.state import HOMELESS, CommandFunction, Io, number

_ESCAPES = {"a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_FORMAT = re.compile(r"%%|%[sd]|\\.|[^%\\]+", re.DOTALL)
_LONGEST_VALUE = 100_000
_INTEGER = re.compile(r"-?\d{1,15}", re.ASCII)


def cd(arguments: Sequence[str], io: Io) -> int:
    """Another working directory."""
    operands = [each for each in arguments if each not in ("-L", "--")]
    if len(operands) > 1 or operands[:1] in (["-"], ["-P"], [""]):
        raise Unknown("cd")
    target = operands[0] if operands else io.shell.home or HOMELESS
    path, kind = io.path(target), io.kind(target)
    if kind in (Kind.ABSENT, Kind.FILE):
        said = "No such file or directory" if kind is Kind.ABSENT else "Not a directory"
        io.error(f"bash: line 1: cd: {target}: {said}\n", "cd.absent")
        return 1
    if kind is not Kind.DIRECTORY:
        raise Unknown(f"{target}: not known to be a directory")
    io.shell.cwd = path
    return 0


def pwd(arguments: Sequence[str], io: Io) -> int:
    """The working directory."""
    cwd = io.shell.cwd
    if arguments or cwd is None or cwd.startswith((SOMEWHERE, "/~")):
        raise Unknown("the working directory is not known")
    io.write(f"{cwd}\n")
    return 0


def echo(arguments: Sequence[str], io: Io) -> int:
    """Its arguments, as bash's own echo prints them."""
    operands = list(arguments)
    newline, escapes = True, False
    while operands and re.fullmatch(r"-[neE]+", operands[0]):
        letters = operands.pop(0)[1:]
        newline = newline and "n" not in letters
        escapes = (escapes or "e" in letters) and not letters.endswith("E")
    text = " ".join(operands)
    if escapes:
        text = _escaped(text)
    elif "\\" in text:
        io.assumes.add("echo.backslash")  # zsh and dash read it as an escape
    io.write(text + ("\n" if newline else ""))
    return 0


def _escaped(text: str) -> str:
    def replaced(match: re.Match[str]) -> str:
        if match[1] in _ESCAPES:
            return _ESCAPES[match[1]]
        if match[1] in "0cxuU" or match[1] == "":
            raise Unknown("an escape that is not modelled")
        return match[0]

    return re.sub(r"\\(.?)", replaced, text, flags=re.DOTALL)


def printf(arguments: Sequence[str], io: Io) -> int:
    """A format of `%s`, `%d` and escapes, over and over for all arguments."""
    operands = list(arguments)
    if operands[:1] == ["--"]:
        operands.pop(0)
    if not operands or operands[0].startswith("-"):
        raise Unknown("printf")
    form, values = operands[0], operands[1:]
    pieces = _FORMAT.findall(form)
    if "".join(pieces) != form:
        raise Unknown("a format that is not modelled")
    wanted = sum(piece in ("%s", "%d") for piece in pieces)
    if values and not wanted:
        raise Unknown("arguments without a place")
    rounds = max(1, -(-len(values) // wanted)) if wanted else 1
    waiting = iter(values)
    for _ in range(rounds):
        io.write("".join(_piece(piece, waiting) for piece in pieces))
    return 0


def _piece(piece: str, values: Iterator[str]) -> str:
    if piece in ("%s", "%d"):
        value = next(values, "" if piece == "%s" else "0")
        if piece == "%d" and not _INTEGER.fullmatch(value):
            raise Unknown("no plain number")
        return str(int(value)) if piece == "%d" else value
    if piece == "%%":
        return "%"
    if piece.startswith("\\"):
        if piece[1] in _ESCAPES:
            return _ESCAPES[piece[1]]
        if piece[1] in "\"'":
            return piece[1]
        raise Unknown("an escape that is not modelled")
    return piece


def true(arguments: Sequence[str], io: Io) -> int:
    """Succeeds."""
    return 0


def false(arguments: Sequence[str], io: Io) -> int:
    """Fails."""
    return 1


def test(arguments: Sequence[str], io: Io) -> int:
    """A condition on files, texts or numbers."""
    return 0 if _holds(list(arguments), io) else 1


def bracket(arguments: Sequence[str], io: Io) -> int:
    """The same, in brackets."""
    if arguments[-1:] != ["]"]:
        raise Unknown("no closing bracket")
    return test(arguments[:-1], io)


def _holds(words: list[str], io: Io) -> bool:
    if len(words) == 1:
        return words[0] != ""
    if len(words) in (2, 3, 4) and words[0] == "!" and not (len(words) == 3 and words[1] in _COMPARED):
        return not _holds(words[1:], io)
    if len(words) == 2 and words[0] in ("-n", "-z"):
        return (words[1] == "") == (words[0] == "-z")
    if len(words) == 2 and words[0] in ("-e", "-f", "-d", "-s"):
        return _is_there(words[0], words[1], io)
    if len(words) == 3 and words[1] in ("=", "==", "!="):
        return (words[0] == words[2]) == (words[1] != "!=")
    if len(words) == 3 and words[1] in _COMPARED and all(_INTEGER.fullmatch(each) for each in (words[0], words[2])):
        one, other = int(words[0]), int(words[2])
        return {"-eq": one == other, "-ne": one != other, "-lt": one < other, "-le": one <= other,
                "-gt": one > other, "-ge": one >= other}[words[1]]  # fmt: skip
    raise Unknown("a condition that is not modelled")


_COMPARED = ("-eq", "-ne", "-lt", "-le", "-gt", "-ge", "=", "==", "!=", "-a", "-o")


def _is_there(operator: str, name: str, io: Io) -> bool:
    kind = io.kind(name)
    if kind is Kind.ABSENT:
        return False
    if kind is Kind.UNKNOWN or (kind is Kind.EXISTS and operator != "-e"):
        raise Unknown(f"{name}: not known")
    if operator == "-s":
        if kind is not Kind.FILE:
            raise Unknown("the size of a directory")
        return io.text(name) != ""
    return operator == "-e" or (kind is Kind.FILE) == (operator == "-f")


def export(arguments: Sequence[str], io: Io) -> int:
    """Variables that commands see, too."""
    for each in arguments:
        name, equals, value = each.partition("=")
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or name in ("IFS", "CDPATH"):
            raise Unknown("export")
        if equals:
            assign(name, value, io)
    return 0


def assign(name: str, value: str, io: Io) -> None:
    """Sets a variable. Raises Unknown where that would change how the shell itself works."""
    if name in ("IFS", "CDPATH", "HOME", "PWD", "PATH", "GLOBIGNORE", "POSIXLY_CORRECT", "BASH_ENV", "OLDPWD") or (
        name.startswith(("GREP_", "LS_"))
    ):
        if name == "PATH":
            return
        raise Unknown(f"${name} changes how commands work")
    if len(value) > _LONGEST_VALUE:
        raise Unknown("a value that is too long")
    io.shell.variables[name] = value


def unset(arguments: Sequence[str], io: Io) -> int:
    """Variables that are no longer set."""
    for name in arguments:
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or name in ("HOME", "PWD", "PATH", "IFS"):
            raise Unknown("unset")
        io.shell.variables[name] = ""
    return 0


def basename(arguments: Sequence[str], io: Io) -> int:
    """A path's last part."""
    if len(arguments) not in (1, 2) or arguments[0].startswith("-") or arguments[0] == "":
        raise Unknown("basename")
    name = posixpath.basename(arguments[0].rstrip("/")) or "/"
    suffix = arguments[1] if len(arguments) == 2 else ""
    io.write((name.removesuffix(suffix) if name != suffix else name) + "\n")
    return 0


def dirname(arguments: Sequence[str], io: Io) -> int:
    """A path without its last part."""
    if len(arguments) != 1 or arguments[0].startswith("-") or "//" in arguments[0]:
        raise Unknown("dirname")
    path = arguments[0].rstrip("/")
    io.write((posixpath.dirname(path) or ("." if path else "/" if arguments[0] else ".")) + "\n")
    return 0


def diff(arguments: Sequence[str], io: Io) -> int:
    """Two files that are the same: nothing is said."""
    operands = [each for each in arguments if each not in ("-u", "-q", "-r", "--brief")]
    try:
        texts = [io.text(name) for name in operands]
    except NotThere as error:
        raise Unknown(str(error)) from None
    if len(texts) != 2 or texts[0] != texts[1] or any(name.startswith("-") for name in operands):
        raise Unknown("files that differ")
    return 0


def exit_code(arguments: Sequence[str]) -> int | None:
    """What `exit` was given; None where it was given nothing."""
    if len(arguments) > 1:
        raise Unknown("exit")
    return number(arguments[0]) % 256 if arguments else None


COMMANDS: dict[str, CommandFunction] = {
    "cd": cd, "pwd": pwd, "echo": echo, "printf": printf, "true": true, "false": false, ":": true, "test": test,
    "[": bracket, "export": export, "unset": unset, "basename": basename, "dirname": dirname, "diff": diff,
    "cmp": diff,
}  # fmt: skip
