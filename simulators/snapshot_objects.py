"""The objects of a git repository, loose and packed, read file by file through a snapshot of its directory.

dulwich reads indexes and packs. It is given open files: no repository of it is made, which would obey the
repository's config, and follow it to other places. What an object declares is checked before it is unpacked.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from dulwich.errors import ApplyDeltaError, ChecksumMismatch
from dulwich.object_format import SHA1, SHA256, ObjectFormat
from dulwich.objects import RawObjectID
from dulwich.pack import Pack, PackData, UnresolvedDeltas, load_pack_index_file

from simulators.snapshot_directory import Directory
from simulators.snapshot_tree import Opaque, TooLarge

COMMIT, TREE, BLOB, TAG = 1, 2, 3, 4
_KINDS = {b"commit": COMMIT, b"tree": TREE, b"blob": BLOB, b"tag": TAG}
_OFFSET_DELTA, _REFERENCE_DELTA = 6, 7
_BASE_LIMIT = 64 << 20
"""Bytes of what an object is made from: a small one may be packed as the difference to a huge one."""
_CHAIN = 5000
"""Differences on top of each other; git itself makes 50, and 4,095 at most."""
_HEAD = 64
"""Bytes that hold an object's header, in either form."""
_BEGIN = 1024
"""Compressed bytes that surely give the first ones: the code table before them takes some 300."""
_STEP = 1 << 16
_SHA256_CONFIG = re.compile(r"^\s*objectformat\s*=\s*\"?sha256\b", re.IGNORECASE | re.MULTILINE)
DAMAGED = (
    *(AssertionError, ChecksumMismatch, ApplyDeltaError, UnresolvedDeltas),
    *(KeyError, IndexError, TypeError, ValueError, OverflowError, OSError, struct.error, zlib.error),
)
"""What dulwich raises where objects are not as they should be."""


class Objects:
    """What a repository's object store holds by itself, without the stores of others that it may refer to."""

    def __init__(self, control: Directory) -> None:
        self._control = control
        config = control.read("config") or b""
        self.format = SHA256 if _SHA256_CONFIG.search(config.decode("utf-8", "replace")) else SHA1
        self._packs: dict[str, _Pack] = {}
        self._find_packs()

    def close(self) -> None:
        for pack in self._packs.values():
            pack.close()
        self._packs.clear()

    def size(self, name: str) -> int:
        """An object's length, told by its header. Raises Opaque if it is not here, or damaged."""
        pack = self._pack_of(name)
        try:
            if pack is not None:
                return pack.size(name)
            with self._loose(name) as file:
                return _Inflated(file).size
        except DAMAGED:
            raise Opaque from None

    def read(self, name: str, limit: int) -> tuple[int, bytes]:
        """An object's type and content. Raises TooLarge; raises Opaque if it is not here, or damaged."""
        pack = self._pack_of(name)
        try:
            if pack is not None:
                return pack.read(name, limit)
            with self._loose(name) as file:
                inflated = _Inflated(file)
                return inflated.kind, inflated.content(limit)
        except DAMAGED:
            raise Opaque from None

    def starting(self, prefix: str) -> set[str]:
        """The names of all objects that start so; at least two digits."""
        found = {
            name
            for entry in self._control.names(f"objects/{prefix[:2]}") or ()
            if (name := prefix[:2] + entry.name).startswith(prefix)
        }
        for pack in self._packs.values():
            found.update(pack.starting(prefix))
        return found

    def _pack_of(self, name: str) -> _Pack | None:
        for pack in self._packs.values():
            if name in pack:
                return pack
        return None

    def _loose(self, name: str) -> BinaryIO:
        file = self._control.open(f"objects/{name[:2]}/{name[2:]}")
        if file is None:
            raise Opaque
        return file

    def _find_packs(self) -> None:
        for entry in self._control.names("objects/pack") or ():
            stem, dot, ending = entry.name.rpartition(".")
            if (dot, ending) == (".", "idx") and (pack := _opened(self._control, stem, self.format)):
                self._packs[stem] = pack


class _Header(NamedTuple):
    """What stands before a packed object's compressed bytes."""

    kind: int
    size: int
    """Of what is compressed here: for a difference not of the object."""
    base: int | None
    """For a difference: where what it applies to stands."""
    start: int
    """Where the compressed bytes start."""


class _Pack:
    """One pack with its index."""

    def __init__(self, file: BinaryIO, pack: Pack) -> None:
        self._file = file
        self._pack = pack

    def __contains__(self, name: str) -> bool:
        try:
            self._offset(bytes.fromhex(name))
        except DAMAGED:
            return False
        return True

    def close(self) -> None:
        self._pack.close()
        self._file.close()

    def starting(self, prefix: str) -> Iterator[str]:
        whole = bytes.fromhex(prefix[: len(prefix) // 2 * 2])
        names = (name.hex() for name in self._pack.index.iter_prefix(whole))
        return (name for name in names if name.startswith(prefix))

    def size(self, name: str) -> int:
        return self._full_size(self._header(self._offset(bytes.fromhex(name))))

    def read(self, name: str, limit: int) -> tuple[int, bytes]:
        """Raises TooLarge before anything is unpacked that is too large itself, or made from what is."""
        raw = bytes.fromhex(name)
        header = self._header(self._offset(raw))
        if self._full_size(header) > limit:
            raise TooLarge(limit)
        for _ in range(_CHAIN):
            if max(header.size, self._full_size(header)) > max(limit, _BASE_LIMIT):
                raise TooLarge(limit)
            if header.base is None:
                return self._pack.get_raw(RawObjectID(raw))
            header = self._header(header.base)
        raise ValueError("differences without an end")

    def _offset(self, raw: bytes) -> int:
        return self._pack.index.object_offset(RawObjectID(raw))

    def _header(self, offset: int) -> _Header:
        head = os.pread(self._file.fileno(), _HEAD, offset)
        kind, size = head[0] >> 4 & 7, head[0] & 15
        at = 1
        if head[0] & 0x80:
            more, at = _varint(head, at)
            size |= more << 4
        if kind == _OFFSET_DELTA:
            back, at = _distance(head, at)
            if not 0 < back < offset:
                raise ValueError("a difference to nothing")
            return _Header(kind, size, offset - back, offset + at)
        if kind == _REFERENCE_DELTA:
            end = at + self._pack.object_format.oid_length
            return _Header(kind, size, self._offset(head[at:end]), offset + end)
        return _Header(kind, size, None, offset + at)

    def _full_size(self, header: _Header) -> int:
        if header.base is None:
            return header.size
        packed = os.pread(self._file.fileno(), _BEGIN, header.start)
        start = zlib.decompressobj().decompress(packed, 20)
        _, at = _varint(start, 0)  # the length of what it applies to
        return _varint(start, at)[0]


def _opened(control: Directory, stem: str, layout: ObjectFormat) -> _Pack | None:
    """A pack that can be used; None if half of it is missing, or it is damaged."""
    data = control.open(f"objects/pack/{stem}.pack")
    index = control.open(f"objects/pack/{stem}.idx")
    if data is None or index is None:
        for file in (data, index):
            if file is not None:
                file.close()
        return None
    try:
        loaded = load_pack_index_file(stem, index, layout)
    except DAMAGED:
        data.close()
        index.close()
        return None
    return _Pack(data, Pack.from_lazy_objects(lambda: PackData.from_file(data, layout), lambda: loaded))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def _distance(data: bytes, at: int) -> tuple[int, int]:
    """How far before a difference its base stands: the highest group first, each but the last one more than it says."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = (value + 1) << 7 | data[at] & 0x7F
    return value, at + 1


class _Inflated:
    """A loose object, unpacked as far as is asked."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._zlib = zlib.decompressobj()
        header, end, self._begun = self._zlib.decompress(file.read(_STEP), _HEAD).partition(b"\0")
        kind, _, size = header.partition(b" ")
        if not end:
            raise ValueError("no header")
        self.kind = _KINDS[kind]
        self.size = int(size)

    def content(self, limit: int) -> bytes:
        """What follows the header: as many bytes as it says, and no more are unpacked."""
        if self.size > limit:
            raise TooLarge(limit)
        parts = [self._begun]
        missing = self.size - len(self._begun) + 1
        while missing > 0 and (packed := self._zlib.unconsumed_tail or self._file.read(_STEP)):
            parts.append(self._zlib.decompress(packed, missing))
            missing -= len(parts[-1])
        if missing != 1:
            raise ValueError("not as long as it says")
        return b"".join(parts)
