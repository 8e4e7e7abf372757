"""A zip or tar archive as a snapshot. Its index is made from the headers, once; nothing is extracted to disk.

A compressed tar is expanded into memory, or a nameless temporary file once it is large: then any member can be
reached without reading all that stand before it.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, cast

from resample.formats.streams import READ_ERRORS, Allowance, expanded, what_happened
from resample.types import UserError
from simulators.snapshot_tree import Node, Opaque, Snapshot, TooLarge, What

_IN_MEMORY = 64 << 20
_MEMBERS = 2_000_000
"""More than any source tree has: what lists more is not meant to be read."""
_TARGET = 4096
"""Bytes of a link's target: Linux knows no longer ones."""
_STEP = 1 << 20
# The others expand by more in one step than memory may hold.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_DOS = 0
_UTF8 = 0x800
_ENCRYPTED = 0x1
_ERRORS = (*READ_ERRORS, tarfile.TarError, lzma.LZMAError, ValueError, OverflowError, RuntimeError, MemoryError)
"""What a damaged archive raises; RuntimeError is also the recursion that a forged chain of tar headers causes."""


class Archive(Snapshot):
    """The members of an archive."""

    def __init__(self, path: Path, root: str | None = None, strip: int = 0) -> None:
        """`strip`: how many leading names are taken off each member; those that have no more are left out."""
        super().__init__(root)
        with ExitStack() as held:
            try:
                file = held.enter_context(path.open("rb"))
                index = _Index(strip)
                if file.peek(4)[:4] in _ZIP:
                    _read_zip(held.enter_context(zipfile.ZipFile(file)), index)
                else:
                    _read_tar(held.enter_context(_tar(file, held)), index)
            except _ERRORS as error:
                raise UserError(
                    f"workspace {path}: neither a zip nor a tar archive that can be read: {what_happened(error)}"
                ) from None
            self._top = index.top
            self._held.enter_context(held.pop_all())

    def top(self, held: ExitStack) -> Node:
        return self._top


@dataclass(slots=True, eq=False)
class _Member(Node):
    """A member, or a directory that members stand in."""

    what: What
    executable: bool = False
    length: int = 0
    """As declared; never trusted."""
    open: Callable[[], IO[bytes] | None] | None = None
    goal: str | None = None
    """Where a link leads, if the header says so; else it is the content."""
    children: dict[str, _Member] = field(default_factory=dict)

    def size(self) -> int:
        return self.length

    def target(self) -> str:
        if self.goal is not None:
            return self.goal
        try:
            return self.read(_TARGET).decode("utf-8", "surrogateescape")
        except TooLarge:
            raise Opaque from None

    def child(self, name: str) -> Node | None:
        return self.children.get(name)

    def names(self) -> list[str]:
        return list(self.children)

    def read(self, limit: int) -> bytes:
        if self.length > limit:
            raise TooLarge(limit)
        try:
            file = self.open() if self.open is not None else None
            if file is None:
                raise Opaque
            with file:
                content = file.read(self.length + 1)
        except _ERRORS:
            raise Opaque from None
        if len(content) != self.length:
            raise Opaque
        return content


class _Index:
    """The tree that an archive's members make. Of several under one name the last counts."""

    def __init__(self, strip: int) -> None:
        self.top = _Member(What.DIRECTORY, executable=True)
        self._strip = strip
        self._count = 0

    def put(self, name: str, member: _Member) -> None:
        """Put a member where its name says. Names that lead out of the archive are passed over."""
        self._count += 1
        if self._count > _MEMBERS:
            raise ValueError(f"more than {_MEMBERS:,} members")
        parts = self._parts(name)
        if not parts:
            return
        place = self.top
        for part in parts[:-1]:
            inner = place.children.get(part)
            if inner is None or inner.what is not What.DIRECTORY:
                inner = place.children[part] = _Member(What.DIRECTORY, executable=True)
            place = inner
        old = place.children.get(parts[-1])
        if old is not None and old.what is member.what is What.DIRECTORY:
            member.children = old.children
        place.children[parts[-1]] = member

    def get(self, name: str) -> _Member | None:
        """The member that has a name by now."""
        place: _Member | None = self.top
        for part in self._parts(name) or [""]:
            place = place.children.get(part) if place is not None else None
        return place

    def _parts(self, name: str) -> list[str]:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or "\0" in name or ".." in parts:
            return []
        return parts[self._strip :]


def _read_zip(archive: zipfile.ZipFile, index: _Index) -> None:
    for info in archive.infolist():
        name = info.filename
        if not info.flag_bits & _UTF8:
            name = name.encode("cp437").decode("utf-8", "surrogateescape")
        if info.create_system == _DOS:
            name = name.replace("\\", "/")
        index.put(name, _zipped(archive, info, name))


def _zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> _Member:
    mode = info.external_attr >> 16 if info.create_system != _DOS else 0
    if name.endswith("/") or stat.S_ISDIR(mode):
        return _Member(What.DIRECTORY, executable=True)
    what = What.LINK if stat.S_ISLNK(mode) else What.FILE
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFLNK):
        what = What.OTHER
    readable = info.compress_type in _METHODS and not info.flag_bits & _ENCRYPTED
    return _Member(what, bool(mode & 0o111), info.file_size, (lambda: archive.open(info)) if readable else None)


def _tar(file: io.BufferedReader, held: ExitStack) -> tarfile.TarFile:
    """The archive in `file`, expanded first if it is compressed."""
    magic = file.peek(6)[:6]
    source = held.enter_context(expanded(cast(BinaryIO, file), plain=True)).file
    if magic.startswith(b"BZh"):
        source = cast(BinaryIO, held.enter_context(bz2.BZ2File(file)))
    elif magic == b"\xfd7zXZ\0":
        source = cast(BinaryIO, held.enter_context(lzma.LZMAFile(file)))  # noqa: SIM115
    if source is not file:
        spool = held.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115
        allowance = Allowance(os.fstat(file.fileno()).st_size)
        while chunk := source.read(_STEP):
            allowance.spend(len(chunk))
            spool.write(chunk)
        spool.seek(0)
        source = cast(BinaryIO, spool)
    return tarfile.open(fileobj=source, mode="r:", encoding="utf-8", errors="surrogateescape")


def _read_tar(archive: tarfile.TarFile, index: _Index) -> None:
    reached = -1
    while (info := archive.next()) is not None:
        if info.offset <= reached:
            raise ValueError("its headers lead back to where they came from")
        reached = info.offset
        index.put(info.name, _tarred(archive, info, index))
    # A damaged header ends the archive silently: what comes after it would be taken for absent.
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise ValueError(f"damaged at byte {archive.offset:,}")


def _tarred(archive: tarfile.TarFile, info: tarfile.TarInfo, index: _Index) -> _Member:
    if info.islnk():
        original = index.get(info.linkname)
        return original if original is not None and original.what is What.FILE else _Member(What.OTHER)
    if info.isdir():
        return _Member(What.DIRECTORY, executable=True)
    if info.issym():
        return _Member(What.LINK, goal=info.linkname)
    if info.isreg():
        return _Member(What.FILE, bool(info.mode & 0o111), info.size, lambda: archive.extractfile(info))
    return _Member(What.OTHER)
