"""Files as byte streams, compressed or not: told by their first bytes, whatever their name.

What a compressed file expands to is bounded by what lies on the disk: a bomb ends as an unreadable file.
"""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

import zstandard

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

READ_ERRORS = (
    *(OSError, EOFError, zlib.error, zstandard.ZstdError, zipfile.BadZipFile),
    *(NotImplementedError, UnicodeDecodeError, struct.error),  # of zipfile, for odd archives
)
"""What reading a file raises that is missing, forbidden, damaged, cut off, or compressed in a way nobody knows."""


def what_happened(error: BaseException) -> str:
    """One of READ_ERRORS in words, without the file's name."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


COMPRESSIONS = (".gz", ".zst")

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BUFFER = 1 << 18
_ZSTD_STEP = 512
"""Compressed bytes taken at a time: zstd expands them by up to 32,768, and memory has to hold the result."""
_ZIP_ZSTD = 93
_FREELY = 1 << 30
"""Bytes that any file may expand to."""
_TIMES = 500
"""How much larger than itself a file may become beyond that. JSON logs pack to a tenth, growing ones to a 200th."""


class Stream(NamedTuple):
    """An open file."""

    file: BinaryIO
    """Uncompressed bytes."""
    plain: bool
    """These are the bytes on disk, at their offsets."""


class Allowance:
    """How many bytes a compressed file may still expand to."""

    def __init__(self, compressed: int) -> None:
        self._left = max(_FREELY, compressed * _TIMES)

    def spend(self, count: int) -> None:
        """Count what was expanded. Raises OSError once it is too much."""
        self._left -= count
        if self._left < 0:
            raise OSError(None, f"expands to more than {_TIMES} times its size: decompress it yourself if it is meant")


class _Bounded(io.RawIOBase):
    """A decompressor's output, as far as its allowance goes."""

    def __init__(self, source: BinaryIO, allowance: Allowance) -> None:
        self._source = source
        self._allowance = allowance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        count = cast(io.RawIOBase, self._source).readinto(buffer) or 0
        self._allowance.spend(count)
        return count


@contextmanager
def plain_stream(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file on disk."""
    with path.open("rb", buffering=_BUFFER) as file:
        yield file


@contextmanager
def member_stream(path: Path, member: str) -> Iterator[BinaryIO]:
    """The bytes of a member of a zip archive, as far as the archive's size allows."""
    with path.open("rb", buffering=_BUFFER) as raw:
        allowance = Allowance(os.fstat(raw.fileno()).st_size)
        with open_member(raw, directory_of(path), member) as file:
            yield cast(BinaryIO, io.BufferedReader(_Bounded(file, allowance), _BUFFER))


def directory_of(path: Path) -> zipfile.ZipFile:
    """An archive with its directory, which is read once, and not once for each of its members."""
    facts = path.stat()
    return _directory(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=1)
def _directory(path: Path, changed: int, size: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


@contextmanager
def open_member(raw: BinaryIO, archive: zipfile.ZipFile, member: str) -> Iterator[BinaryIO]:
    """A member's bytes, also where it is compressed by zstandard, which the standard library does not know."""
    try:
        entry = archive.getinfo(member)
    except KeyError:
        raise OSError(None, f"the archive has no {member}") from None
    if entry.compress_type != _ZIP_ZSTD:
        try:
            file = archive.open(entry)
        except RuntimeError as error:  # encrypted
            raise OSError(None, str(error)) from None
        with file:
            yield cast(BinaryIO, file)
        return
    with io.BufferedReader(_Unzstd(cast(BinaryIO, _Window(raw, entry)))) as unzipped:
        yield cast(BinaryIO, unzipped)


class _Window:
    """The compressed bytes of one member."""

    def __init__(self, raw: BinaryIO, entry: zipfile.ZipInfo) -> None:
        raw.seek(entry.header_offset)
        header = raw.read(30)
        if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
            raise zipfile.BadZipFile(f"{entry.filename}: no local header")
        raw.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), os.SEEK_CUR)
        self._raw, self._left = raw, entry.compress_size

    def read(self, count: int) -> bytes:
        data = self._raw.read(min(count, self._left))
        self._left -= len(data)
        return data


@contextmanager
def expanded(raw: BinaryIO, *, plain: bool) -> Iterator[Stream]:
    """The uncompressed bytes of `raw`. Raises one of READ_ERRORS, here or while they are read."""
    magic = raw.peek(4)[:4] if isinstance(raw, io.BufferedReader) else b""
    if magic.startswith(_GZIP) or magic == _ZSTD:
        unpacked = cast(BinaryIO, gzip.GzipFile(fileobj=raw) if magic.startswith(_GZIP) else _Unzstd(raw))
        with io.BufferedReader(_Bounded(unpacked, Allowance(_size_of(raw))), _BUFFER) as file:
            yield Stream(cast(BinaryIO, file), plain=False)
    else:
        yield Stream(raw, plain)


def _size_of(raw: BinaryIO) -> int:
    try:
        return os.fstat(raw.fileno()).st_size
    except OSError:
        return 0  # a member of an archive


class _Unzstd(io.RawIOBase):
    """Zstandard frames, one after the other. Notices a file that was cut off, unlike the package's own."""

    def __init__(self, raw: BinaryIO) -> None:
        self._chunks = _unzstd(raw)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _unzstd(raw: BinaryIO) -> Iterator[bytes]:
    frame = None
    while chunk := raw.read(_ZSTD_STEP):
        while chunk:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            if data := frame.decompress(chunk):
                yield data
            if not frame.eof:
                break
            chunk, frame = frame.unused_data, None
    if frame is not None:
        raise EOFError("Compressed file ended before the end of its last frame")
