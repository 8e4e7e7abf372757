"""The program's own format: JSONL, one transcript per line, `{"id", "messages", "tools"?, "metadata"?}`.

Read as it stands, apart from unknown keys beside these four: they are kept under `metadata.extra`. What is
done with bytes that are no JSON, duplicate keys and the like is stated in `resample.formats.decode`.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson
import zstandard

from resample.formats.base import Located, Look, Span
from resample.formats.decode import decode
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.formats.records import Record, records
from resample.types import Transcript, UserError

name = "canonical"
suffixes = (".jsonl", ".ndjson", ".json")

MAX_DEPTH = 240
"""Levels of nesting in a transcript: what is built around it may add some before orjson gives up, at 254."""
_ROOM = 254 - MAX_DEPTH

_KEYS = frozenset({"id", "messages", "tools", "metadata"})
_WIRE_KEYS = frozenset({"model", "response", "choices", "request"})


def sniff(look: Look) -> bool:
    """Objects with an id and messages, and nothing of a request to a provider or of its reply."""
    return any(isinstance(value, dict) and _looks_canonical(value) for value in look.values)


def _looks_canonical(value: dict[str, Any]) -> bool:
    if "id" not in value:
        return False
    return value.keys() <= _KEYS or (isinstance(value.get("messages"), list) and not value.keys() & _WIRE_KEYS)


def read(source: Input) -> Iterator[Located | Excluded]:
    """The transcripts of a file. Each that stands on a line of a plain file knows its bytes."""
    for record in records(source):
        if isinstance(record, Excluded):
            yield record
            continue
        transcript = parse(record.data)
        if isinstance(transcript, Problem):
            yield Excluded.at(source.shown, record.line, transcript)
        else:
            yield Located(transcript, source.shown, record.line, _span(record))


def _span(record: Record) -> Span | None:
    if record.offset is None:
        return None
    return Span(record.offset, len(record.data), hashlib.sha256(record.data).hexdigest())


def parse(data: bytes) -> Transcript | Problem:
    """One line as a transcript, not yet validated."""
    value = decode(data)
    if isinstance(value, Problem):
        return value
    if not isinstance(value, dict):
        return Problem(Reason.NOT_AN_OBJECT, f"{type(value).__name__} instead of an object")
    extra = {key: value[key] for key in value if key not in _KEYS}
    metadata = value.get("metadata") or {}
    if extra and isinstance(metadata, dict):
        kept = metadata.get("extra")
        metadata = {**metadata, "extra": {**kept, **extra} if isinstance(kept, dict) else extra}
    return Transcript(value.get("id"), value.get("messages"), value.get("tools") or [], metadata)  # type: ignore[arg-type]


def body_of(transcript: Transcript) -> bytes | Problem:
    """A transcript as one line, without its end, or why it cannot be written. The same one gives the same bytes."""
    value: Any = {
        "id": transcript.id,
        "messages": transcript.messages,
        "tools": transcript.tools,
        "metadata": transcript.metadata,
    }
    for _ in range(_ROOM):
        value = [value]
    try:
        return orjson.dumps(value)[_ROOM:-_ROOM]
    except TypeError as error:
        return Problem(_why(str(error)), "" if "ecursion" in str(error) else str(error))


def _why(message: str) -> Reason:
    if "ecursion" in message:
        return Reason.TOO_DEEP
    return Reason.LONE_SURROGATE if "surrogate" in message else Reason.NOT_AN_OBJECT


def line(transcript: Transcript) -> bytes:
    """A valid transcript as one line, with its line end."""
    body = body_of(transcript)
    if isinstance(body, Problem):
        raise ValueError(f"{transcript.id!r}: {body.reason}")
    return body + b"\n"


def write(path: Path, transcripts: Iterable[Transcript]) -> int:
    """Write valid transcripts to a file, as `write_bodies` does."""
    return write_bodies(path, (line(transcript)[:-1] for transcript in transcripts))


def write_bodies(path: Path, bodies: Iterable[bytes]) -> int:
    """Write a file, whole or not at all; `.gz` and `.zst` by its name. Returns how many transcripts it holds.

    The file is readable by its owner only. Raises UserError if it cannot be written.
    """
    count = 0
    try:
        with _replacing(path) as file, _compressed(file, path) as out:
            for body in bodies:
                out.write(body)
                out.write(b"\n")
                count += 1
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
    return count


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file beside `path` that takes its place at the end, or vanishes if anything fails."""
    if path.exists() and not path.is_file():  # a device would be replaced by a file
        raise OSError(errno.EEXIST, "is there already, and is no plain file")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


@contextmanager
def _compressed(file: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    if path.suffix == ".gz":
        # No name and no time inside: the same transcripts give the same bytes.
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as zipped:
            yield cast(BinaryIO, zipped)
    elif path.suffix == ".zst":
        with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as zipped_zst:
            yield cast(BinaryIO, zipped_zst)
    else:
        yield file
