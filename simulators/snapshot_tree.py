"""Looking into a snapshot: paths and symbolic links, the same way for directories, archives and git trees.

Links are followed here, by name, and never by the system: so a link cannot lead out of a snapshot.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum, auto
from types import TracebackType
from typing import NamedTuple, Self

LIMIT = 4 << 20
"""Bytes of a file that are read unless asked otherwise."""
_HOPS = 40
"""Symbolic links on the way to one place: as many as Linux follows."""


class TooLarge(Exception):
    """A file of the snapshot is longer than what was to be read."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"longer than {limit:,} bytes")


class Opaque(Exception):
    """Something stands there, or may stand there, of which the snapshot cannot tell more."""


class Entry(NamedTuple):
    """What stands at one place, links followed."""

    name: str
    """The last part of the path; empty for the snapshot's root."""
    is_directory: bool
    size: int | None
    """In bytes. None for directories, and for what a directory lists though it cannot be looked at."""
    executable: bool
    link: bool = False
    """The name itself is a symbolic link; the rest is told of the place it leads to."""


class What(Enum):
    """What a node is."""

    FILE = auto()
    DIRECTORY = auto()
    LINK = auto()
    OTHER = auto()
    """Devices, pipes, sockets: never opened."""


class Node(ABC):
    """One place of a snapshot, links not followed. A subclass gives what fits its kind."""

    what: What
    executable: bool

    @abstractmethod
    def size(self) -> int:
        """Of a file, in bytes. Raises Opaque if its content cannot be had."""

    @abstractmethod
    def target(self) -> str:
        """Where a link leads. Raises Opaque if that cannot be told."""

    @abstractmethod
    def child(self, name: str) -> Node | None:
        """What stands in a directory under a name that is neither empty nor dots nor has slashes; None: surely
        nothing. Raises Opaque where nobody knows."""

    @abstractmethod
    def names(self) -> Iterable[str]:
        """All names in a directory. Raises Opaque where nobody knows."""

    @abstractmethod
    def read(self, limit: int) -> bytes:
        """A file's whole content. Raises TooLarge, or Opaque if it cannot be had."""


class Snapshot(ABC):
    """The files an agent worked with. They are read, never changed, and nothing outside of them is opened.

    Paths are relative to the snapshot's root, which is the empty path. A path that is absolute or holds `..`, NUL or
    a backslash is no path of a snapshot: nothing is known of it.
    """

    def __init__(self, root: str | None = None) -> None:
        self.root = root
        """Where the snapshot's root stood in the agent's world; None if nobody said."""
        self._held = ExitStack()
        """What is open as long as the snapshot is: until it is closed, or forgotten, or the program ends."""
        weakref.finalize(self, self._held.close)

    @abstractmethod
    def top(self, held: ExitStack) -> Node:
        """The root directory. What has to be closed after one question, `held` will close."""

    def close(self) -> None:
        """Release files. The snapshot is not to be used any more."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def entry(self, path: str) -> Entry | None:
        """What stands at `path`; None if nothing does, or nothing that can be looked at: see `absent`."""
        parts = _parts(path)
        if parts is None:
            return None
        if not parts:
            return Entry("", True, None, True)
        with self._walk() as walk:
            try:
                parent = walk.go(parts[:-1])
                entry = _described(walk, parts[-1]) if parent is not None else None
            except Opaque:
                return None
        return None if entry is None or _is_unknown(entry) else entry

    def absent(self, path: str) -> bool:
        """Is it certain that a program that opens `path` would find nothing there?"""
        parts = _parts(path)
        if parts is None:
            return False
        with self._walk() as walk:
            try:
                return walk.go(parts) is None
            except Opaque:
                return False

    def names(self, path: str) -> list[Entry] | None:
        """What a directory lists, sorted by name, all of it; None if no directory can be listed at `path`.

        What is listed but has neither a size nor is a directory cannot be looked at: `entry` does not know it.
        """
        parts = _parts(path)
        if parts is None:
            return None
        with self._walk() as walk:
            try:
                node = walk.go(parts)
                if node is None or node.what is not What.DIRECTORY:
                    return None
                return [entry for name in sorted(node.names()) if (entry := _described(walk, name)) is not None]
            except Opaque:
                return None

    def read(self, path: str, limit: int = LIMIT) -> bytes | None:
        """A file's content; None if no file can be read at `path`. Raises TooLarge if it is longer than `limit`."""
        parts = _parts(path)
        if parts is None:
            return None
        with self._walk() as walk:
            try:
                node = walk.go(parts)
                return node.read(limit) if node is not None and node.what is What.FILE else None
            except Opaque:
                return None

    @contextmanager
    def _walk(self) -> Iterator[_Walk]:
        with ExitStack() as held:
            yield _Walk(self.top(held))


class _Walk:
    """A way down from the root."""

    def __init__(self, top: Node) -> None:
        self._trail = [top]
        """The directories from the root to here."""

    @property
    def here(self) -> Node:
        return self._trail[-1]

    def go(self, parts: list[str]) -> Node | None:
        """Go on along `parts`, through links; None if nothing stands there. Raises Opaque where nobody can tell."""
        todo = parts[::-1]
        hops = 0
        while todo:
            part = todo.pop()
            if self.here.what is not What.DIRECTORY:
                return None
            if part == "..":
                self._up()
            elif part not in ("", "."):
                node = self.here.child(part)
                if node is None:
                    return None
                if node.what is What.LINK:
                    hops += 1
                    todo += _beyond(node, hops)
                else:
                    self._trail.append(node)
        return self.here

    def aside(self, name: str) -> Node | None:
        """Where a name in this directory leads, without going there."""
        trail = self._trail
        self._trail = [*trail]
        try:
            return self.go([name])
        finally:
            self._trail = trail

    def _up(self) -> None:
        if len(self._trail) == 1:
            raise Opaque
        self._trail.pop()


def _beyond(link: Node, hops: int) -> list[str]:
    """The parts a link stands for, the first one last."""
    target = link.target()
    if hops > _HOPS or not target or target.startswith("/") or "\0" in target:
        raise Opaque
    return target.split("/")[::-1]


def _described(walk: _Walk, name: str) -> Entry | None:
    """What a directory says of one of its names; None if it is not there."""
    if walk.here.what is not What.DIRECTORY:
        return None
    node: Node | None = None
    link = False
    try:
        node = walk.here.child(name)
        if node is None:
            return None
        link = node.what is What.LINK
        if link:
            node = walk.aside(name)
        if node is not None and node.what is What.DIRECTORY:
            return Entry(name, True, None, node.executable, link)
        if node is not None and node.what is What.FILE:
            return Entry(name, False, node.size(), node.executable, link)
    except Opaque:
        pass  # listed, and no more than that
    return Entry(name, False, None, False, link)


def _is_unknown(entry: Entry) -> bool:
    return entry.size is None and not entry.is_directory


def is_name(name: str) -> bool:
    """Can this be the name of one file in a directory?"""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _parts(path: str) -> list[str] | None:
    """The names along a path; None if it is none that could lie in a snapshot."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or "\\" in path or "\0" in path or ".." in parts:
        return None
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    return parts
