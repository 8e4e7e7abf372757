"""A directory as a snapshot. Every name is opened by itself, beneath its directory, and never through a link."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from resample.types import SimulatorError
from simulators.snapshot_tree import Node, Opaque, Snapshot, TooLarge, What

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: should a pipe take a file's place meanwhile, opening it must not wait for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Directory(Snapshot):
    """A directory on disk, as it is at the moment it is asked."""

    def __init__(self, path: Path, root: str | None = None) -> None:
        super().__init__(root)
        self._path = path.resolve()

    def top(self, held: ExitStack) -> Node:
        try:
            return _Place(held, None, str(self._path), self._path.lstat())
        except OSError as error:
            raise SimulatorError(f"workspace {self._path}: cannot be read any more: {error.strerror}") from None

    def open(self, path: str) -> BinaryIO | None:
        """A file to read at will, to be closed by the caller; None if none can be had at `path`."""
        with self._walk() as walk:
            try:
                node = walk.go(path.split("/"))
                return node.open() if isinstance(node, _Place) and node.what is What.FILE else None
            except Opaque:
                return None


class _Place(Node):
    """A name in a directory that was opened before."""

    def __init__(self, held: ExitStack, parent: _Place | None, name: str, facts: os.stat_result) -> None:
        self._held = held
        self._parent = parent
        self._name = name
        self._facts = facts
        self._opened: int | None = None
        self.what = _what(facts.st_mode)
        self.executable = bool(facts.st_mode & 0o111)

    def size(self) -> int:
        return self._facts.st_size

    def target(self) -> str:
        try:
            return os.readlink(self._name, dir_fd=self._above())
        except OSError:
            raise Opaque from None

    def child(self, name: str) -> Node | None:
        try:
            facts = os.stat(name, dir_fd=self._descriptor(), follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError:
            raise Opaque from None
        return _Place(self._held, self, name, facts)

    def names(self) -> list[str]:
        try:
            with os.scandir(self._descriptor()) as scanned:
                return [entry.name for entry in scanned]
        except OSError:
            raise Opaque from None

    def read(self, limit: int) -> bytes:
        with self.open() as file:
            try:
                content = file.read(limit + 1)
            except OSError:
                raise Opaque from None
        if len(content) > limit:
            raise TooLarge(limit)
        return content

    def open(self) -> BinaryIO:
        """The file. Raises Opaque if it cannot be opened, or is none any more."""
        try:
            descriptor = os.open(self._name, _FILE, dir_fd=self._above())
        except OSError:
            raise Opaque from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Opaque
        return os.fdopen(descriptor, "rb")

    def _above(self) -> int | None:
        return None if self._parent is None else self._parent._descriptor()

    def _descriptor(self) -> int:
        """This directory, open."""
        if self._opened is None:
            try:
                self._opened = os.open(self._name, _DIRECTORY, dir_fd=self._above())
            except OSError:
                raise Opaque from None
            self._held.callback(os.close, self._opened)
        return self._opened


def _what(mode: int) -> What:
    if stat.S_ISREG(mode):
        return What.FILE
    if stat.S_ISDIR(mode):
        return What.DIRECTORY
    return What.LINK if stat.S_ISLNK(mode) else What.OTHER
