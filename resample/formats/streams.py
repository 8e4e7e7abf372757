"""Files as byte streams, compressed or not: told by their first bytes, whatever their name."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

import zstandard

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

READ_ERRORS = (OSError, EOFError, zlib.error, zstandard.ZstdError)
"""What reading a file raises that is missing, forbidden, damaged or cut off."""


def what_happened(error: BaseException) -> str:
    """One of READ_ERRORS in words, without the file's name."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


COMPRESSIONS = (".gz", ".zst")

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BUFFER = 1 << 18
_ZSTD_STEP = 512
"""Compressed bytes taken at a time: zstd expands them by up to 32,768, and memory has to hold the result."""


class Stream(NamedTuple):
    """An open file."""

    file: BinaryIO
    """Uncompressed bytes."""
    plain: bool
    """These are the bytes on disk, at their offsets."""


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """Open a file for reading. Raises one of READ_ERRORS, here or while it is read."""
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb", buffering=_BUFFER))
        magic = raw.read(4)
        raw.seek(0)
        if magic.startswith(_GZIP):
            yield Stream(cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=raw))), plain=False)
        elif magic == _ZSTD:
            unzipped = io.BufferedReader(_Unzstd(raw), 1 << 16)
            yield Stream(cast(BinaryIO, stack.enter_context(unzipped)), plain=False)
        else:
            yield Stream(raw, plain=True)


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
