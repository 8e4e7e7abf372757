"""What is known of a file system: a file's content or some of its lines, a directory's entries, or that a path is not.

Paths are absolute and normal (`resolve`). Whatever cannot be known for sure is `Unknown`: never a guess.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import NamedTuple

from simulators.base import Unknown

SOMEWHERE = "/?"
"""Stands for a working directory that is not known."""
_CONFIRMING = 5
"""Lines."""
_MOST_DOUBTED = 8
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class Kind(StrEnum):
    """What stands at a path."""

    FILE = "file"
    DIRECTORY = "directory"
    EXISTS = "exists"
    """One of the two."""
    ABSENT = "absent"
    UNKNOWN = "unknown"


class NotThere(Exception):
    """What is asked for is known to be absent, or to be of another kind: the call would fail."""

    def __init__(self, path: str, kind: Kind) -> None:
        super().__init__(f"{path}: {kind}")
        self.path = path
        self.kind = kind


def resolve(path: str, cwd: str | None, home: str | None = None) -> str:
    """A path as it is known here. `~` without a known home, and drives of Windows, are roots of their own."""
    if path == "~" or path.startswith("~/"):
        path = (home or "/~") + path[1:]
    if _DRIVE.match(path):
        path = "/" + path.replace("\\", "/")
    elif path.startswith("~"):
        path = "/" + path  # another user's home
    whole = posixpath.normpath(posixpath.join(cwd or SOMEWHERE, path))
    return "/" + whole.lstrip("/")


@dataclass(frozen=True, slots=True)
class File:
    """A file's content, as far as it is known."""

    lines: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    """By number, from 1, without the line end."""
    count: int | None = None
    """The number of lines."""
    ends: bool | None = None
    """Does the last line end with a line end?"""

    @classmethod
    def of(cls, text: str) -> File:
        """A file whose whole content is known."""
        lines = text.split("\n")
        ends = lines[-1] == ""
        if ends:
            lines.pop()
        return cls(dict(enumerate(lines, start=1)), len(lines), ends if lines else True)

    @property
    def whole(self) -> bool:
        """Are all lines known?"""
        return self.count is not None and len(self.lines) == self.count

    @property
    def text(self) -> str:
        """The whole content. Raises Unknown."""
        if not self.whole or self.ends is None:
            raise Unknown("not all of the file is known")
        text = "\n".join(self.lines[number] for number in range(1, len(self.lines) + 1))
        return text + "\n" if self.lines and self.ends else text

    def merged(self, newer: File) -> File:
        """With what was seen later, which counts where both are known."""
        count = self.count if newer.count is None else newer.count
        lines = {**self.lines, **newer.lines}
        if count is not None and any(number > count for number in lines):
            return newer  # it has become shorter: nothing of the older one can be relied on
        return File(lines, count, self.ends if newer.ends is None else newer.ends)

    def confirmed_by(self, newer: File) -> bool:
        """Does the newer one show enough of the same to tell that this is still true?"""
        common = self.lines.keys() & newer.lines.keys()
        return len(common) >= min(_CONFIRMING, len(self.lines)) and self.agrees(newer)

    def agrees(self, newer: File) -> bool:
        """Is nothing in the newer one in contradiction to this one?"""
        counts = self.count is None or newer.count is None or self.count == newer.count
        return counts and all(newer.lines.get(number, line) == line for number, line in self.lines.items())


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory's entries by name. None: not all of them are known."""

    visible: Mapping[str, Kind] | None = None
    hidden: Mapping[str, Kind] | None = None
    """Those whose name begins with a dot."""

    def names(self, name: str) -> Mapping[str, Kind] | None:
        """The entries of the sort that this name is of."""
        return self.hidden if name.startswith(".") else self.visible

    def having(self, name: str, kind: Kind) -> Directory:
        """With, or without, this entry."""
        names = self.names(name)
        if names is None:
            return self
        changed = {other: each for other, each in names.items() if other != name}
        if kind is not Kind.ABSENT:
            changed[name] = kind
        return Directory(self.visible, changed) if name.startswith(".") else Directory(changed, self.hidden)


Node = File | Directory | Kind
"""What is known of a path: its content, its entries, or that it is absent."""
Base = Callable[[str], Node | None]
"""A snapshot under all that was seen: what it has at a path; None where it cannot tell."""


class Missed(NamedTuple):
    """Names that were looked for, and not found."""

    root: str
    pattern: str
    """As a shell's, for one name."""
    deep: bool
    """Also below the directories in it."""

    def covers(self, path: str) -> bool:
        """Would it have been found?"""
        directory, name = posixpath.split(path)
        below = directory == self.root or (self.deep and directory.startswith(self.root.rstrip("/") + "/"))
        return below and fnmatchcase(name, self.pattern)

    def concerns(self, path: str) -> bool:
        """May a change at this path have made it untrue?"""
        return (path + "/").startswith(self.root + "/") or (self.root + "/").startswith(path + "/")


class Files:
    """A file system, as far as it is known. `fork` before what may have to be taken back."""

    def __init__(self, base: Base | None = None) -> None:
        self._nodes: dict[str, Node] = {}
        self._base = base
        self._forgotten: set[str] = set()
        """Of these, and what is below them, the base no longer tells."""
        self._aged: set[str] = set()
        """What was seen before time passed: it may be otherwise by now."""
        self._linked = False
        """Were files given other names?"""
        self.hooked = False
        """Was there a sign of git hooks?"""
        self._missed: list[Missed] = []
        self._doubted: dict[str, tuple[File, ...]] = {}
        """What was known of files that may have changed since, the latest first."""

    def fork(self) -> Files:
        """A copy that changes by itself."""
        copy = Files(self._base)
        copy._nodes = dict(self._nodes)
        copy._forgotten = set(self._forgotten)
        copy._aged = set(self._aged)
        copy._linked, copy.hooked = self._linked, self.hooked
        copy._doubted, copy._missed = dict(self._doubted), list(self._missed)
        return copy

    def become(self, other: Files) -> None:
        """Take over what another one knows."""
        copy = other.fork()
        self._nodes, self._base, self._forgotten, self._aged = copy._nodes, copy._base, copy._forgotten, copy._aged
        self._linked, self.hooked = copy._linked, copy.hooked
        self._doubted, self._missed = copy._doubted, copy._missed

    # -- asking

    def kind(self, path: str) -> Kind:
        """What stands at this path."""
        kind = self._kind(path)
        is_missed = kind is Kind.UNKNOWN and any(missed.covers(path) for missed in self._missed)
        return Kind.ABSENT if is_missed else kind

    def _kind(self, path: str) -> Kind:
        node = self._node(path)
        if node is not None and not (node is Kind.ABSENT and path in self._aged):
            return _kind_of(node)
        parent = posixpath.dirname(path)
        if parent == path:
            return Kind.DIRECTORY
        above = self._node(parent)
        if isinstance(above, Directory):
            names = above.names(posixpath.basename(path)) if parent not in self._aged else None
            return Kind.UNKNOWN if names is None else names.get(posixpath.basename(path), Kind.ABSENT)
        beyond = self.kind(parent)
        return Kind.ABSENT if beyond in (Kind.ABSENT, Kind.FILE) else Kind.UNKNOWN

    def file(self, path: str, aged: bool = False) -> File:
        """What is known of a file's content, be it nothing; with `aged` also what was seen before time passed.

        Raises NotThere, or Unknown where it may be no file.
        """
        node = self._node(path)
        if isinstance(node, File):
            if path in self._aged and not aged:
                raise Unknown(f"{path}: may have been changed meanwhile")
            return node
        kind = self.kind(path)
        if kind is Kind.FILE:
            return File()
        if kind in (Kind.ABSENT, Kind.DIRECTORY):
            raise NotThere(path, kind)
        raise Unknown(f"{path}: not known")

    def doubted(self, path: str) -> tuple[File, ...]:
        """What was known of a file that may have changed since, the latest first."""
        return self._doubted.get(path, ()) if self.kind(path) in (Kind.UNKNOWN, Kind.FILE) else ()

    def text(self, path: str) -> str:
        """A file's whole content. Raises NotThere, Unknown."""
        return self.file(path).text

    def lines(self, path: str, first: int, last: int | None) -> list[str]:
        """Lines `first` to `last`, both included, without line ends; None is to the end.

        Where the file is shorter, there are fewer. Raises NotThere, Unknown.
        """
        file = self.file(path)
        if last is None or (file.count is not None and last > file.count):
            last = file.count
        if last is None:
            raise Unknown(f"{path}: its length is not known")
        wanted = range(max(first, 1), last + 1)
        if any(number not in file.lines for number in wanted):
            raise Unknown(f"{path}: not all of lines {first} to {last} are known")
        return [file.lines[number] for number in wanted]

    def names(self, path: str, hidden: bool = False) -> dict[str, Kind]:
        """A directory's entries, with the hidden ones or without. Raises NotThere; Unknown if there may be others."""
        kind = self.kind(path)
        if kind in (Kind.ABSENT, Kind.FILE):
            raise NotThere(path, kind)
        node = None if path in self._aged else self._node(path)
        if not isinstance(node, Directory) or node.visible is None or (hidden and node.hidden is None):
            raise Unknown(f"{path}: its entries are not known")
        return {**node.visible, **(node.hidden or {} if hidden else {})}

    # -- what was seen

    def see(self, path: str, file: File) -> None:
        """A file, or some of its lines, was shown."""
        node = self._nodes.get(path)
        known = node if isinstance(node, File) else None
        if known is not None and path in self._aged and not known.confirmed_by(file):
            known = None
        self._put(path, known.merged(file) if known is not None and known.agrees(file) else file)

    def see_lines(self, path: str, lines: Mapping[int, str]) -> None:
        """Some lines of a file were found; of one that was seen before time passed they tell too little."""
        node = self._nodes.get(path)
        file = File(lines)
        is_aged = isinstance(node, File) and path in self._aged and not node.confirmed_by(file) and node.agrees(file)
        if not is_aged and self.kind(path) in (Kind.FILE, Kind.EXISTS, Kind.UNKNOWN):
            self.see(path, file)

    def see_directory(self, path: str, visible: Mapping[str, Kind] | None, hidden: Mapping[str, Kind] | None) -> None:
        """A directory was listed; None where the entries of this sort were not, or not all."""
        node = None if path in self._aged else self._nodes.get(path)
        known = node if isinstance(node, Directory) else Directory()
        seen = Directory(known.visible if visible is None else visible, known.hidden if hidden is None else hidden)
        self._put(path, seen)

    def see_kind(self, path: str, kind: Kind) -> None:
        """Something of this kind, or nothing, was found at a path."""
        if kind is Kind.ABSENT:
            self._drop_below(path)
            self._put(path, Kind.ABSENT)
        elif kind is not Kind.UNKNOWN and self.kind(path) is not kind:
            self._nodes.pop(path, None)
            if kind is not Kind.EXISTS:
                self._put(path, File() if kind is Kind.FILE else Directory())

    def see_none(self, missed: Missed) -> None:
        """No files of such names were found but those that are known."""
        self._missed.append(missed)

    # -- what is done

    def write(self, path: str, text: str) -> None:
        """The file has this content now. Raises NotThere if the path cannot be a file."""
        if self.kind(path) is Kind.DIRECTORY:
            raise NotThere(path, Kind.DIRECTORY)
        self.change(path, File.of(text))

    def change(self, path: str, file: File) -> None:
        """The file has this content now, of which not all may be known."""
        self._doubt_links(path)
        self._put(path, file)

    def doubt(self, path: str, file: File) -> None:
        """The file is there, and has this content if nothing else has changed it."""
        self.change(path, File())
        self._keep(path, file)

    def remove(self, path: str) -> None:
        """The path, and what is below it, is gone."""
        self.see_kind(path, Kind.ABSENT)

    def make_directory(self, path: str) -> None:
        """A new, empty directory."""
        self._put(path, Directory({}, {}))

    def forget(self, path: str) -> None:
        """This path, and what is below it, may have changed, come or gone."""
        path = path.rstrip("/") or "/"
        if path in (SOMEWHERE, "/"):
            self.forget_all()
            return
        self._doubt_links(path)
        self._drop_below(path)
        self._missed = [each for each in self._missed if not each.concerns(path)]
        node = self._nodes.pop(path, None)
        self._keep(path, node)
        self._forgotten.add(path)
        parent = posixpath.dirname(path)
        node = self._node(parent)
        if isinstance(node, Directory):
            self._nodes[parent] = Directory() if node.names(posixpath.basename(path)) is not None else node
        for other in self._aliases(path):
            self._drop_below(other)
            self._nodes.pop(other, None)
        if path.startswith(SOMEWHERE + "/"):
            below = path.removeprefix(SOMEWHERE) + "/"
            for other in [other for other in self._nodes if below in other]:
                del self._nodes[other]

    def age(self) -> None:
        """Time passes, in which others may change what was seen."""
        self._aged = set(self._nodes)
        self._missed = []

    def forget_all(self) -> None:
        """Anything may have changed."""
        for path, file in self.known():
            self._keep(path, file)
        self._missed = []
        self._nodes.clear()
        self._base = None

    def take_as_unended(self) -> None:
        """The last line of every file of which this is not known has no line end."""
        for path, file in self.known():
            if file.ends is None:
                self._nodes[path] = File(file.lines, file.count, False)

    def leave_ends_open(self, other: Files) -> None:
        """Where the other one differs in how files end, that is not known. Raises Unknown where it differs in more."""
        for path, file in self.known():
            there = other._nodes.get(path)
            if not isinstance(there, File) or (there.lines, there.count) != (file.lines, file.count):
                raise Unknown(f"{path}: how it ends is not known")
            if there.ends is not file.ends:
                self._nodes[path] = File(file.lines, file.count, None)

    def link(self) -> None:
        """From now on a path of which nothing is known may be another name of any file."""
        self._linked = True

    def forget_entries(self) -> None:
        """Files may have come or gone; the content of those that are known stays."""
        self._missed = []
        self._nodes = {path: node for path, node in self._nodes.items() if isinstance(node, File)}
        base = self._base
        self._base = None if base is None else lambda path: _file_only(base(path))

    def on(self, base: Base, root: str) -> Files:
        """The same, with a snapshot that tells all there is below `root`."""
        files = Files(base)
        files.hooked = self.hooked
        below = root.rstrip("/") + "/"
        files._nodes = {path: node for path, node in self._nodes.items() if path != root and not path.startswith(below)}
        return files

    def known(self) -> Iterable[tuple[str, File]]:
        """Every file of which anything is known."""
        return [(path, node) for path, node in self._nodes.items() if isinstance(node, File) and node.lines]

    # --

    def _node(self, path: str) -> Node | None:
        node = self._nodes.get(path)
        if node is None and self._base is not None and not self._is_forgotten(path):
            node = self._base(path)
            if node is not None:
                self._nodes[path] = node
        return node

    def _doubt_links(self, path: str) -> None:
        """What is written under one name changes under the others that a link has given the file."""
        before = self._node(path)
        for other, node in list(self._nodes.items()):
            if other == path or not isinstance(node, File) or not node.lines:
                continue
            if node == before or (self._linked and (not isinstance(before, File) or before.agrees(node))):
                self._nodes[other] = File()

    def _is_forgotten(self, path: str) -> bool:
        while self._forgotten:
            if path in self._forgotten:
                return True
            parent = posixpath.dirname(path)
            if parent == path:
                break
            path = parent
        return False

    def _put(self, path: str, node: Node) -> None:
        for other in self._aliases(path):
            if self._nodes[other] != node:
                del self._nodes[other]
        kind = _kind_of(node)
        self._nodes[path] = node
        self._aged.discard(path)
        if not isinstance(node, File) or node.whole:
            self._doubted.pop(path, None)
        while (parent := posixpath.dirname(path)) != path:
            above = self._node(parent)
            if isinstance(above, Directory):
                if above.names(posixpath.basename(path)) is not None:
                    self._nodes[parent] = above.having(posixpath.basename(path), kind)
                return
            if kind is Kind.ABSENT:
                return
            self._nodes[parent] = Directory()
            path, kind = parent, Kind.DIRECTORY

    def _drop_below(self, path: str) -> None:
        below = path.rstrip("/") + "/"
        for other in [other for other in self._nodes if other.startswith(below)]:
            self._keep(other, self._nodes.pop(other))

    def _keep(self, path: str, node: Node | None) -> None:
        if isinstance(node, File) and node.lines:
            self._doubted[path] = (node, *self._doubted.get(path, ()))[:_MOST_DOUBTED]

    def _aliases(self, path: str) -> list[str]:
        """Known paths that may be the same: one of the two is relative to a directory that is not known."""
        relative = path.startswith(SOMEWHERE + "/")
        if not relative and not any(other.startswith(SOMEWHERE) for other in self._nodes):
            return []
        tail = path.removeprefix(SOMEWHERE)
        return [
            other
            for other in self._nodes
            if other.startswith(SOMEWHERE) != relative
            and isinstance(self._nodes[other], File | Kind)
            and (other.endswith(tail) if relative else path.endswith(other.removeprefix(SOMEWHERE)))
        ]


def _kind_of(node: Node) -> Kind:
    if isinstance(node, Kind):
        return node
    return Kind.FILE if isinstance(node, File) else Kind.DIRECTORY


def _file_only(node: Node | None) -> Node | None:
    return node if isinstance(node, File) else None
