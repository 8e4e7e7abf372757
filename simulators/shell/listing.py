"""ls and find: what is in directories."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from simulators.base import Unknown
from simulators.files import Kind, NotThere
from simulators.shell.expand import pattern
from simulators.shell.state import CommandFunction, Io, in_order, number, options

_MOST = 20_000


def ls(arguments: Sequence[str], io: Io) -> int:
    """Names, one per line, as they are printed where no terminal is."""
    given, operands = options(arguments, "1aAFd")
    code = 0
    files: list[str] = []
    directories: list[str] = []
    for name in operands or ["."]:
        kind = io.kind(name)
        if kind is Kind.ABSENT:
            io.error(f"ls: cannot access '{_plain(name)}': No such file or directory\n", "ls.absent")
            code = 2
        elif kind in (Kind.UNKNOWN, Kind.EXISTS):
            raise Unknown(f"{name}: not known what it is")
        elif kind is Kind.DIRECTORY and "d" not in given:
            directories.append(name)
        else:
            files.append(name if "F" not in given or kind is Kind.FILE else f"{name}/")
    if len(operands) > 1:
        _sort(files, io)
        _sort(directories, io)
    if "F" in given and files:
        raise Unknown("which files are executable is not known")
    io.write("".join(f"{_plain(name)}\n" for name in files))
    for at, name in enumerate(directories):
        if len(operands) > 1:
            io.write(f"{chr(10) if at or files else ''}{_plain(name)}:\n")
        io.write("".join(f"{each}\n" for each in _entries(name, given, io)))
    if code:
        io.assumes.add("ls.code")
    return code


def _plain(name: str) -> str:
    if any(char in name for char in "'\"\\\n*?$` \t") or not name.isprintable():
        raise Unknown("a name that may be quoted")
    return name


def _entries(name: str, given: dict[str, list[str]], io: Io) -> list[str]:
    hidden = "a" in given or "A" in given
    entries = io.files.names(io.path(name), hidden)
    names = sorted(entries)
    if not in_order(names) or ("a" in given and names[:1] < ["."] and bool(names)):
        io.assumes.add("ls.order")
    if "F" in given:
        if any(kind is not Kind.DIRECTORY for kind in entries.values()):
            raise Unknown("which files are executable is not known")
        names = [f"{each}/" for each in names]
    return [*([".", ".."] if "a" in given else []), *names]


def _sort(names: list[str], io: Io) -> None:
    names.sort()
    if not in_order(names):
        io.assumes.add("ls.order")


# -- find


class _Entry(NamedTuple):
    name: str
    """As it is printed."""
    kind: Kind


_Test = Callable[[_Entry], bool]


class _Asked(NamedTuple):
    tests: list[_Test]
    deepest: int
    least: int


def find(arguments: Sequence[str], io: Io) -> int:
    """Everything below directories that passes all the tests given."""
    first = next((at for at, each in enumerate(arguments) if each[:1] in ("-", "!", "(")), len(arguments))
    asked = _asked(list(arguments[first:]))
    found: list[str] = []
    for root in arguments[:first] or ["."]:
        kind = io.kind(root)
        if kind is Kind.ABSENT:
            io.error(f"find: '{root}': No such file or directory\n", "find.absent")
            return 1
        found += [entry.name for entry in _walk(_Entry(root, kind), asked, io) if all(t(entry) for t in asked.tests)]
    if len(found) > 1:
        io.assumes.add("find.order")
    io.write("".join(f"{name}\n" for name in found))
    return 0


def _walk(root: _Entry, asked: _Asked, io: Io) -> Iterator[_Entry]:
    waiting = [(root, 0)]
    seen = 0
    while waiting:
        entry, depth = waiting.pop()
        seen += 1
        if seen > _MOST:
            raise Unknown("too many files")
        if depth >= asked.least:
            yield entry
        if entry.kind is Kind.FILE or depth >= asked.deepest:
            continue
        if entry.kind is not Kind.DIRECTORY:
            raise Unknown(f"{entry.name}: not known what it is")
        try:
            names = io.files.names(io.path(entry.name), hidden=True)
        except NotThere as error:
            raise Unknown(str(error)) from None
        below = [(_Entry(posixpath.join(entry.name, name), kind), depth + 1) for name, kind in names.items()]
        waiting += sorted(below, reverse=True)


def _asked(arguments: list[str]) -> _Asked:
    tests: list[_Test] = []
    depths = {"-maxdepth": 1 << 30, "-mindepth": 0}
    while arguments:
        option = arguments.pop(0)
        negated = option in ("!", "-not")
        if negated and arguments:
            option = arguments.pop(0)
        if option == "-print" and not arguments and not negated:
            break
        if not arguments:
            raise Unknown(f"find {option}")
        value = arguments.pop(0)
        if option in depths and not negated:
            depths[option] = number(value)
        else:
            tests.append(_negated(_test(option, value)) if negated else _test(option, value))
    return _Asked(tests, depths["-maxdepth"], depths["-mindepth"])


def _negated(test: _Test) -> _Test:
    return lambda entry: not test(entry)


def _test(option: str, value: str) -> _Test:
    if option == "-type" and value in ("f", "d"):
        wanted = Kind.FILE if value == "f" else Kind.DIRECTORY
        return lambda entry: _kind(entry) is wanted
    if option in ("-name", "-path"):
        matcher = pattern(value)
        if option == "-name":
            return lambda entry: matcher.fullmatch(posixpath.basename(entry.name.rstrip("/")) or "/") is not None
        return lambda entry: matcher.fullmatch(entry.name) is not None
    raise Unknown(f"find {option}")


def _kind(entry: _Entry) -> Kind:
    if entry.kind not in (Kind.FILE, Kind.DIRECTORY):
        raise Unknown(f"{entry.name}: not known what it is")
    return entry.kind


COMMANDS: dict[str, CommandFunction] = {"ls": ls, "find": find}
