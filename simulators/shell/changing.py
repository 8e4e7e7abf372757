"""mkdir, touch, rm, rmdir, cp, mv, tee: commands that change files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from simulators.base import Unknown
from simulators.files import Files, Kind
from simulators.shell.state import CommandFunction, Io, options

_MOST = 20_000


def mkdir(arguments: Sequence[str], io: Io) -> int:
    """New directories."""
    given, operands = options(["-p" if each == "--parents" else each for each in arguments], "p")
    for name in operands:
        path = io.path(name)
        kind = io.kind(name.rstrip("/") or "/")
        if "p" in given:
            _parents(path, io)
        elif kind is Kind.ABSENT:
            _parent(path, io)
            io.files.make_directory(path)
        elif kind is Kind.DIRECTORY or kind is Kind.FILE:
            io.error(f"mkdir: cannot create directory '{name}': File exists\n", "mkdir.exists")
            return _only(operands, 1)
        else:
            raise Unknown(f"{name}: not known to be absent")
    return 0


def _only(operands: Sequence[str], code: int) -> int:
    if len(operands) > 1:
        raise Unknown("one of several operands failed")
    return code


def _parents(path: str, io: Io) -> None:
    """Makes what is missing; what is not known may be there, with anything in it."""
    missing: list[str] = []
    while (kind := io.files.kind(path)) is not Kind.DIRECTORY and not io.is_certain(path):
        if kind is Kind.FILE:
            raise Unknown(f"{path}: a file is in the way")
        missing.append(path)
        path = posixpath.dirname(path)
    for each in reversed(missing):
        if io.files.kind(each) is Kind.ABSENT:
            io.files.make_directory(each)
        else:
            io.files.see_kind(each, Kind.DIRECTORY)


def _parent(path: str, io: Io) -> None:
    """Raises Unknown unless the directory around this path is there."""
    parent = posixpath.dirname(path)
    if io.files.kind(parent) is not Kind.DIRECTORY and not io.is_certain(parent):
        raise Unknown(f"{parent}: not known to be there")


def touch(arguments: Sequence[str], io: Io) -> int:
    """New, empty files."""
    _, operands = options(arguments, "")
    for name in operands:
        kind = io.kind(name)
        if kind is Kind.ABSENT:
            path = io.create(name)
            if path is None:
                raise Unknown(f"{name}: no directory for it")
            io.touching.write(path)
            io.files.write(path, "")
        elif kind not in (Kind.FILE, Kind.DIRECTORY, Kind.EXISTS):
            raise Unknown(f"{name}: not known to be there")
    return 0


def rm(arguments: Sequence[str], io: Io) -> int:
    """Files, or whole directories, removed."""
    long = {"--recursive": "-r", "--force": "-f"}
    given, operands = options([long.get(each, each) for each in arguments], "rRf")
    recursive = "r" in given or "R" in given
    for name in operands:
        path, kind = io.path(name), io.kind(name)
        if io.is_certain(path) or posixpath.basename(name.rstrip("/")) in (".", ".."):
            raise Unknown(f"{name}: the shell stands in it")
        if kind is Kind.ABSENT:
            if "f" not in given:
                io.error(f"rm: cannot remove '{name}': No such file or directory\n", "rm.absent")
                return _only(operands, 1)
        elif kind is Kind.DIRECTORY and not recursive:
            io.error(f"rm: cannot remove '{name}': Is a directory\n", "rm.directory")
            return _only(operands, 1)
        elif kind in (Kind.FILE, Kind.DIRECTORY) or "f" in given or io.files.doubted(path):
            io.touching.write(path)
            io.files.remove(path)
        else:
            raise Unknown(f"{name}: not known to be there")
    return 0


def chmod(arguments: Sequence[str], io: Io) -> int:
    """Another mode, of which nothing is kept here."""
    if len(arguments) < 2 or not re.fullmatch(r"[4-7][0-7]{2}|[ugoa]*[+][rwx]+", arguments[0]):
        raise Unknown("chmod")
    for name in arguments[1:]:
        if io.kind(name) not in (Kind.FILE, Kind.DIRECTORY, Kind.EXISTS):
            raise Unknown(f"{name}: not known to be there")
    return 0


def rmdir(arguments: Sequence[str], io: Io) -> int:
    """Empty directories removed."""
    _, operands = options(arguments, "")
    for name in operands:
        path = io.path(name)
        if io.kind(name) is not Kind.DIRECTORY or io.is_certain(path) or io.files.names(path, hidden=True):
            raise Unknown(f"{name}: not known to be an empty directory")
        io.files.remove(path)
    return 0


def cp(arguments: Sequence[str], io: Io) -> int:
    """Copies of files, and of directories of which everything is known."""
    given, operands = options(arguments, "rRapf")
    recursive = bool({"r", "R", "a"} & set(given))
    for source, target in _pairs(operands, io):
        kind = io.files.kind(source)
        if kind is Kind.DIRECTORY and not recursive:
            raise Unknown(f"{source}: a directory")
        _copy(io.files, source, target, kind)
    return 0


def mv(arguments: Sequence[str], io: Io) -> int:
    """Files and directories under another name."""
    _, operands = options(arguments, "f")
    for source, target in _pairs(operands, io):
        if io.is_certain(source):
            raise Unknown(f"{source}: the shell stands in it")
        _copy(io.files, source, target, io.files.kind(source))
        io.files.remove(source)
    return 0


def _pairs(operands: Sequence[str], io: Io) -> list[tuple[str, str]]:
    """Each source with where it goes."""
    if len(operands) < 2:
        raise Unknown("no target")
    *sources, target = operands
    into = io.kind(target) is Kind.DIRECTORY
    if not into and len(sources) > 1:
        raise Unknown(f"{target}: not known to be a directory")
    pairs = []
    for name in sources:
        source = io.path(name)
        kind = io.kind(name)
        if kind not in (Kind.FILE, Kind.DIRECTORY) or (kind is Kind.DIRECTORY and name.endswith("/")):
            raise Unknown(f"{name}: not known what it is")
        end = posixpath.join(io.path(target), posixpath.basename(source)) if into else io.path(target)
        _check_target(source, end, kind, into, io)
        pairs.append((source, end))
    return pairs


def _check_target(source: str, target: str, kind: Kind, into: bool, io: Io) -> None:
    there = io.files.kind(target)
    if (target + "/").startswith(source + "/") or there is Kind.DIRECTORY or (source + "/").startswith(target + "/"):
        raise Unknown(f"{target}: a directory, or within what is copied")
    if not into:
        if there not in (Kind.ABSENT, Kind.FILE):
            raise Unknown(f"{target}: it may be a directory")
        _parent(target, io)
    if kind is Kind.DIRECTORY and there is not Kind.ABSENT:
        raise Unknown(f"{target}: it may be there")
    if kind is Kind.FILE and there not in (Kind.ABSENT, Kind.FILE):
        raise Unknown(f"{target}: it may be a directory")


def _copy(files: Files, source: str, target: str, kind: Kind) -> None:
    waiting = [(source, target, kind)]
    seen = 0
    while waiting:
        source, target, kind = waiting.pop()
        seen += 1
        if kind is Kind.FILE:
            files.change(target, files.file(source))
        elif kind is Kind.DIRECTORY and seen < _MOST:
            files.make_directory(target)
            names = files.names(source, hidden=True)
            waiting += [(posixpath.join(source, n), posixpath.join(target, n), each) for n, each in names.items()]
        else:
            raise Unknown(f"{source}: not known what it is")


def tee(arguments: Sequence[str], io: Io) -> int:
    """Standard input, also into files."""
    given, operands = options(arguments, "a")
    text = io.input()
    for name in operands:
        if name == "/dev/null":
            continue
        path = io.create(name)
        if path is None:
            raise Unknown(f"{name}: no directory for it")
        append(path, text, io) if "a" in given else _write(path, text, io)
    io.write(text)
    return 0


def _write(path: str, text: str, io: Io) -> None:
    io.touching.write(path)
    io.files.write(path, text)


def append(path: str, text: str, io: Io) -> None:
    """Adds to the end of a file, of which not all need be known."""
    kind = io.files.kind(path)
    if kind not in (Kind.FILE, Kind.ABSENT):
        raise Unknown(f"{path}: not known to be a file")
    io.touching.write(path)
    if kind is Kind.ABSENT:
        io.files.write(path, text)
    elif text:
        file = io.files.file(path)
        if not file.whole or file.ends is None:
            io.files.forget(path)
            io.files.see_kind(path, Kind.FILE)
            return
        io.files.write(path, file.text + text)


COMMANDS: dict[str, CommandFunction] = {
    "mkdir": mkdir,
    "touch": touch,
    "rm": rm,
    "rmdir": rmdir,
    "chmod": chmod,
    "cp": cp,
    "mv": mv,
    "tee": tee,
}
