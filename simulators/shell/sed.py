"""sed: lines printed, deleted, and replaced in, by number or pattern."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from simulators.base import Unknown
from simulators.files import File, NotThere
from simulators.shell.reading import form, reason
from simulators.shell.regex import Pattern, translate
from simulators.shell.state import LARGEST, CommandFunction, Io, number, options

_ADDRESS = re.compile(r"(\d{1,9}|\$)(?:,(\+?\d{1,9}|\$))?")
_PLAIN = re.compile(r"[^\\&\n]*")


class _Command(NamedTuple):
    first: int | None
    """None is the last line; 0 that there is no address."""
    last: int | None
    letter: str
    negated: bool = False
    pattern: Pattern | None = None
    """Of the address, or of what is replaced."""
    replacement: str = ""
    every: bool = False
    which: int = 1


def sed(arguments: Sequence[str], io: Io) -> int:
    """Runs a script of `p`, `d`, `q` and `s` over a file, or standard input."""
    arguments = ["-n" if each in ("--quiet", "--silent") else each for each in arguments]
    in_place = _in_place(arguments, io)
    rest = [each for at, each in enumerate(arguments) if at not in in_place]
    given, operands = options(rest, "nErs", "e")
    sources = given.get("e") or [operands.pop(0) if operands else ""]
    extended = "E" in given or "r" in given
    script = [each for source in sources for each in _parse(source, extended)]
    if len(operands) > 1 and not in_place:
        raise Unknown("several files")
    if in_place and not operands:
        raise Unknown("no file")
    code = 0
    for name in operands or ["-"]:
        code = max(code, _run(script, name, "n" in given, bool(in_place), io))
    return code


def _in_place(arguments: Sequence[str], io: Io) -> set[int]:
    """Where `-i` stands, with the empty suffix that some versions want."""
    for at, each in enumerate(arguments):
        if each in ("-i", "--in-place"):
            if list(arguments[at + 1 : at + 2]) == [""]:
                io.assumes.add("sed.bsd")
                return {at, at + 1}
            io.assumes.add("sed.gnu")
            return {at}
    return set()


def _parse(source: str, extended: bool) -> list[_Command]:
    found: list[_Command] = []
    rest = source.strip(" \t\n;")
    while rest:
        command, rest = _one(rest, extended)
        found.append(command)
        if rest and rest[0] not in ";\n ":
            raise Unknown("a script of sed that is not modelled")
        rest = rest.lstrip(" \t\n;")
    if not found:
        raise Unknown("an empty script of sed")
    return found


def _one(source: str, extended: bool) -> tuple[_Command, str]:
    first: int | None = 0
    last: int | None = 0
    pattern = None
    address = _ADDRESS.match(source)
    if address:
        first, last = _numbers(address)
        source = source[address.end() :]
    elif source.startswith("/"):
        text, source = _delimited(source[1:], "/")
        pattern = translate(text, extended)
        if source.startswith(","):
            raise Unknown("a range of patterns")
    source = source.lstrip(" ")
    negated = source.startswith("!")
    source = source[negated:].lstrip(" ")
    letter = source[:1]
    if letter == "s" and pattern is None:
        return _substitution(source, first, last, negated, extended)
    if letter not in ("p", "d", "q") or not letter or (letter == "q" and (negated or first != last)):
        raise Unknown("a command of sed that is not modelled")
    return _Command(first, last, letter, negated, pattern), source[1:]


def _numbers(address: re.Match[str]) -> tuple[int | None, int | None]:
    first = None if address[1] == "$" else number(address[1])
    if first == 0:
        raise Unknown("line 0")
    if address[2] is None:
        return first, first
    if address[2] == "$":
        return first, None
    if first is None:
        raise Unknown("a range from the last line")
    last = first + number(address[2][1:]) if address[2][0] == "+" else number(address[2])
    return first, max(first, last)


def _delimited(source: str, delimiter: str) -> tuple[str, str]:
    """The text up to a delimiter, and what follows it."""
    text = ""
    at = 0
    while at < len(source) and source[at] != delimiter:
        if source[at] == "[" and delimiter in source[at : source.find("]", at + 2) + 1]:
            raise Unknown("a delimiter within a bracket")
        if source[at] == "\\":
            pair = source[at : at + 2]
            escaped = pair[1:] == delimiter
            if escaped and delimiter in "|+?(){}.*[]^$&n1234567890":
                raise Unknown("an escaped delimiter that means something else")
            text += delimiter if escaped else pair
            at += 2
        else:
            text += source[at]
            at += 1
    if at >= len(source):
        raise Unknown("no closing delimiter")
    return text, source[at + 1 :]


def _substitution(
    source: str, first: int | None, last: int | None, negated: bool, extended: bool
) -> tuple[_Command, str]:
    delimiter = source[1:2]
    if delimiter in ("", "\\", "\n") or delimiter.isalnum():
        raise Unknown("a delimiter that is not modelled")
    text, rest = _delimited(source[2:], delimiter)
    replacement, rest = _delimited(rest, delimiter)
    flags = re.compile(r"[gI\d]*").match(rest)
    letters = flags[0] if flags else ""
    if letters not in ("", "g") or not text:
        raise Unknown("flags of s that are not modelled")
    pattern = translate(text, extended)
    if not pattern.simple or pattern.gnu or (letters == "g" and pattern.regex.search("")):
        raise Unknown("which match is the longest")
    replaced = re.sub(r"\\([&\\/.])", "\0\\1", replacement)
    if "&" in replaced.replace("\0&", "") or "\\" in replaced.replace("\0\\", ""):
        raise Unknown("a replacement that is not modelled")
    literal = replaced.replace("\0", "")
    return _Command(first, last, "s", negated, pattern, literal, letters == "g"), rest[len(letters) :]


def _run(script: list[_Command], name: str, quiet: bool, in_place: bool, io: Io) -> int:
    try:
        output = _short(script, name, quiet, in_place, io)
        if output is None:
            output = _output(script, io.text(name), quiet)
    except NotThere as error:
        if error.path != io.path(name) or in_place or io.kind(name) == "directory":
            raise Unknown(str(error)) from None
        io.error(f"sed: can't read {name}: {reason(error)}\n", form("sed", error))
        return 2
    if in_place:
        path = io.create(name)
        if path is None:
            raise Unknown(f"{name}: not there")
        io.files.change(path, File.of(output))
    else:
        io.write(output)
    return 0


def _short(script: list[_Command], name: str, quiet: bool, in_place: bool, io: Io) -> str | None:
    """`sed -n 'A,Bp'` and `sed Aq`, for which a part of the file is enough."""
    if len(script) != 1 or name == "-" or in_place:
        return None
    command = script[0]
    plain = command.pattern is None and not command.negated and command.first and command.last
    if not plain or not ((quiet and command.letter == "p") or (not quiet and command.letter == "q")):
        return None
    path = io.path(name)
    io.touching.read(path)
    io.kind(name)
    file = io.files.file(path)
    last = command.last or 0
    if file.count is not None and file.count <= last and not (command.first or 0) > file.count:
        return None if file.whole else _to_the_end(file, command.first or 1, command.letter, io)
    return "".join(f"{line}\n" for line in io.files.lines(path, (command.first or 1) if quiet else 1, last))


def _to_the_end(file: File, first: int, letter: str, io: Io) -> str:
    start = first if letter == "p" else 1
    if file.count is None or any(at not in file.lines for at in range(start, file.count + 1)):
        raise Unknown("not all of these lines are known")
    if file.ends is None:
        io.assumes.add("file.ends")
    text = "\n".join(file.lines[at] for at in range(start, file.count + 1))
    return text if file.ends is False else text + "\n"


def _output(script: list[_Command], text: str, quiet: bool) -> str:
    ends = text.endswith("\n")
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    for command in script:
        if command.pattern is not None:
            command.pattern.check(lines)
    shown: list[tuple[int, str]] = []
    size = 0
    for at, line in enumerate(lines, start=1):
        printed, stops = _cycle(script, at, line, at == len(lines), quiet)
        shown += [(at, each) for each in printed]
        size += sum(len(each) for each in printed)
        if size > LARGEST:
            raise Unknown("too much output")
        if stops:
            break
    joined = "".join(f"{each}\n" for _, each in shown)
    misses_end = not ends and shown and shown[-1][0] == len(lines)
    return joined[:-1] if misses_end else joined


def _cycle(script: list[_Command], at: int, line: str, is_last: bool, quiet: bool) -> tuple[list[str], bool]:
    printed: list[str] = []
    for command in script:
        if _applies(command, at, line, is_last) == command.negated:
            continue
        if command.letter == "p":
            printed.append(line)
        elif command.letter == "d":
            return printed, False
        elif command.letter == "q":
            return [*printed, *([] if quiet else [line])], True
        elif command.pattern is not None:
            replacement = command.replacement
            if len(line) * (len(replacement) + 1) > LARGEST:
                raise Unknown("too much output")
            line = command.pattern.regex.sub(lambda _, by=replacement: by, line, 0 if command.every else 1)
    return [*printed, *([] if quiet else [line])], False


def _applies(command: _Command, at: int, line: str, is_last: bool) -> bool:
    if command.letter != "s" and command.pattern is not None:
        return command.pattern.regex.search(line) is not None
    if command.first == 0:
        return True
    first = command.first if command.first is not None else (at if is_last else at + 1)
    last = command.last if command.last is not None else (at if command.first is not None or is_last else 0)
    return first <= at <= last


COMMANDS: dict[str, CommandFunction] = {"sed": sed}
