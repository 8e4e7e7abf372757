"""What a command sees of the shell and the files, and where what it prints goes."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from simulators.base import Unknown
from simulators.files import SOMEWHERE, File, Files, Kind, NotThere, resolve

ENDS = "file.ends"
"""The form that stands for a last line that is taken to have a line end."""
LARGEST = 4_000_000
HOMELESS = "/~"
"""Stands for a home directory that is not known: it may be used, but never shown."""
_CERTAIN = ("/", "/tmp")


@dataclass
class Shell:
    """The state of a shell, as far as it is known."""

    cwd: str | None = None
    home: str | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def fork(self) -> Shell:
        """A copy that changes by itself."""
        return Shell(self.cwd, self.home, dict(self.variables))


class Outcome(NamedTuple):
    """What a command printed, as a terminal would show it."""

    text: str
    code: int
    assumes: frozenset[str]
    """The forms the text relies on that are not the same everywhere."""


class Chunk(NamedTuple):
    """A piece of what was printed: on standard output (1) or error (2)."""

    descriptor: int
    text: str


@dataclass
class Touching:
    """The paths that the commands of one pipeline, which run at the same time, read and write."""

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)

    def read(self, path: str) -> None:
        """Raises Unknown where another command is writing it."""
        if path in self.writes:
            raise Unknown(f"{path}: read and written at the same time")
        self.reads.add(path)

    def write(self, path: str) -> None:
        """Raises Unknown where another command is reading or writing it."""
        if path in self.reads or path in self.writes:
            raise Unknown(f"{path}: read and written at the same time")
        self.writes.add(path)


@dataclass
class Io:
    """One command's surroundings."""

    shell: Shell
    files: Files
    assumes: set[str]
    stdin: str | None = None
    touching: Touching = field(default_factory=Touching)
    environment: dict[str, str] = field(default_factory=dict)
    chunks: list[Chunk] = field(default_factory=list)
    written: int = 0

    def write(self, text: str) -> None:
        """To standard output."""
        self.written += len(text)
        if self.written > LARGEST:
            raise Unknown("too much output")
        if text:
            self.chunks.append(Chunk(1, text))

    def error(self, text: str, form: str) -> None:
        """To standard error; `form` names its wording."""
        self.assumes.add(form)
        self.chunks.append(Chunk(2, text))

    def path(self, name: str) -> str:
        """A path as it is known. Raises Unknown where the directory it begins in is not."""
        if name == "":
            raise Unknown("an empty path")
        return resolve(f"./{name}" if name.startswith("~") else name, self.shell.cwd)

    def kind(self, name: str) -> Kind:
        """What stands there; a name with a slash at its end is a directory or is not there."""
        kind = self.files.kind(self.path(name))
        if kind is Kind.UNKNOWN and self.is_certain(self.path(name)):
            return Kind.DIRECTORY
        if name.endswith("/") and kind in (Kind.FILE, Kind.EXISTS):
            raise Unknown(f"{name}: a file with a slash")
        return kind

    def is_certain(self, path: str) -> bool:
        """Is this a directory that is there, as the shell stands in or below it, or every system has it?"""
        cwd = self.shell.cwd or SOMEWHERE
        below = cwd == path or cwd.startswith(path.rstrip("/") + "/")
        return below or path in (*_CERTAIN, self.shell.home, HOMELESS)

    def text(self, name: str) -> str:
        """A file's content; `-` is standard input. Raises NotThere, Unknown.

        Where it is not known how the last line ends, it is taken to have a line end.
        """
        if name in ("-", "/dev/stdin"):
            return self.input()
        if name == "/dev/null":
            return ""
        if name.startswith(("/dev/", "/proc/", "/sys/")):
            raise Unknown(f"{name}: no plain file")
        file = self.whole(name)
        text = "\n".join(file.lines[number] for number in range(1, len(file.lines) + 1))
        if not file.lines:
            return text
        if file.ends is None:
            self.assumes.add(ENDS)
        return text if file.ends is False else text + "\n"

    def whole(self, name: str) -> File:
        """A file of which all lines are known. Raises NotThere, Unknown."""
        path = self.path(name)
        self.touching.read(path)
        self.kind(name)
        file = self.files.file(path)
        if not file.whole:
            raise Unknown(f"{name}: not all of it is known")
        return file

    def input(self) -> str:
        """Standard input. Raises Unknown where nothing was given."""
        if self.stdin is None:
            raise Unknown("standard input is not known")
        return self.stdin

    def create(self, name: str) -> str | None:
        """The path of a file that may be written; None where its directory is not there. Raises Unknown."""
        path = self.path(name)
        parent = posixpath.dirname(path)
        kind = self.files.kind(parent)
        if kind in (Kind.ABSENT, Kind.FILE):
            return None
        if kind is not Kind.DIRECTORY and not self.is_certain(parent):
            raise Unknown(f"{parent}: not known to be there")
        if self.kind(name) is Kind.DIRECTORY or name.endswith("/") or path.startswith(("/dev/", "/proc/", "/sys/")):
            raise Unknown(f"{name}: no file to write to")
        return path


CommandFunction = Callable[[Sequence[str], Io], int]
"""Carries out a command given its arguments; gives its exit code. Raises Unknown."""


def options(arguments: Sequence[str], flags: str, valued: str = "") -> tuple[dict[str, list[str]], list[str]]:
    """Short options by letter, with their values, and the operands. Raises Unknown for any other option."""
    found: dict[str, list[str]] = {}
    operands: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            operands += rest
            break
        if argument == "-" or not argument.startswith("-"):
            operands.append(argument)
            continue
        letters = argument[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in valued:
                if not letters and not rest:
                    raise Unknown(f"no value of -{letter}")
                found.setdefault(letter, []).append(letters or rest.pop(0))
                letters = ""
            elif letter in flags:
                found.setdefault(letter, []).append("")
            else:
                raise Unknown(f"the option {argument}")
    return found, operands


def number(text: str) -> int:
    """A plain decimal number. Raises Unknown."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Unknown(f"{text}: no plain number")
    return int(text)


def lines_of(text: str) -> list[str]:
    """The lines of a text, without their ends."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return lines


def in_order(names: Sequence[str]) -> bool:
    """Would these sorted names be in this order in every usual locale?"""
    distinct = set(names)
    if not all(name.isascii() and name.isprintable() for name in distinct):
        return len(distinct) < 2
    bytewise = sorted(distinct)
    return all(
        sorted(distinct, key=key) == bytewise and len({key(name) for name in distinct}) == len(distinct)
        for key in (_folded, _bare)
    )


def _folded(name: str) -> str:
    return "".join(char.lower() if char.isalnum() else "\x01" for char in name)


def _bare(name: str) -> str:
    return "".join(char.lower() for char in name if char.isalnum())


__all__ = ["LARGEST", "Chunk", "CommandFunction", "Io", "NotThere", "Outcome", "Shell", "Touching"]
