"""A file as JSON records: one per line, or the whole file as one document; read one at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import orjson

from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.formats.streams import COMPRESSIONS, READ_ERRORS, what_happened

MAX_BYTES = 256 * 2**20
"""A longer record is excluded: parsed, it would take several times as much memory."""

_HEAD = 1 << 16
_LONGEST_HEAD = 1 << 23
_LINE_SUFFIXES = (".jsonl", ".ndjson")
_BOM = b"\xef\xbb\xbf"
_BRACKETS = (b"{", b"[")


class Record(NamedTuple):
    """The bytes of one JSON value."""

    data: bytes
    line: int
    """Where it begins, counted from 1."""
    offset: int | None
    """In the file; None in a compressed one."""
    whole: bool
    """It is the file's only one: a document, not a line."""


def records(source: Input) -> Iterator[Record | Excluded]:
    """The records of a file, blank lines left out. What cannot be read is an Excluded, and the last one."""
    line = None
    try:
        with source.open() as (file, plain):
            for record in _split(file, source.name):
                if isinstance(record, Record):
                    line = record.line
                    yield record if plain else record._replace(offset=None)
                else:
                    yield Excluded.at(source.shown, *record)
    except READ_ERRORS as error:
        after = "" if line is None else f"after line {line}: "
        yield Excluded.at(source.shown, None, Problem(Reason.UNREADABLE_FILE, f"{after}{what_happened(error)}"))


_TooLong = tuple[int, Problem]


def _split(file: BinaryIO, name: str) -> Iterator[Record | _TooLong]:
    lines = _lines(file)
    first, second = next(lines, None), next(lines, None)
    if isinstance(first, Record) and (second is None or isinstance(second, Record)):
        lined = in_lines(name)
        if _is_document(first.data, second.data if second else b"", lined):
            yield from _document(file, first, second)
            return
        if second is None:
            first = first._replace(whole=not lined)
    yield from (record for record in (first, second) if record is not None)
    del first, second  # not to be held in memory while the rest is read
    yield from lines


def _lines(file: BinaryIO) -> Iterator[Record | _TooLong]:
    """The lines of a file that are not blank, without the white space around them."""
    offset = number = 0
    while raw := file.readline(MAX_BYTES + 1):
        number += 1
        start = offset
        offset += len(raw)
        if len(raw) > MAX_BYTES:
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(MAX_BYTES)
                offset += len(raw)
            yield number, Problem(Reason.TOO_LARGE)
            continue
        if number == 1 and raw.startswith(_BOM):
            raw, start = raw[len(_BOM) :], start + len(_BOM)
        if raw[:1] in _BRACKETS:  # as nearly all lines begin: one copy less
            yield Record(raw.rstrip(), number, start, whole=False)
            continue
        body = raw.lstrip()
        if data := body.rstrip():
            yield Record(data, number, start + len(raw) - len(body), whole=False)


def _document(file: BinaryIO, first: Record, second: Record | None) -> Iterator[Record | _TooLong]:
    """The whole file as one record."""
    if second is None:
        yield first._replace(whole=True)
        return
    gap = b"\n" * (second.line - first.line)
    rest = file.read(MAX_BYTES + 1)
    if len(rest) > MAX_BYTES:
        yield first.line, Problem(Reason.TOO_LARGE)
        return
    yield Record(first.data + gap + second.data + b"\n" + rest, first.line, None, whole=True)


def in_lines(name: str) -> bool:
    name = name.lower()
    for suffix in COMPRESSIONS:
        name = name.removesuffix(suffix)
    return name.endswith(_LINE_SUFFIXES)


def _is_document(first: bytes, second: bytes, lined: bool) -> bool:
    """Do the first two lines belong to one value? The content says, or else the name."""
    if _container(first) is not None:
        return False
    return first in (b"{", b"[") or (not lined and _container(second) is None)


def _container(data: bytes) -> Any:
    """The object or list in `data`, or None."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict | list) else None


# -- a first look, for sniffing ------------------------------------------------------------------------------


def head_of(source: Input) -> bytes:
    """The first 64 KiB, to the end of the line if it is not huge. Raises one of READ_ERRORS."""
    with source.open() as (file, _):
        head = file.read(_HEAD)
        return (head + file.readline(_LONGEST_HEAD)).removeprefix(_BOM)


def peek(head: bytes, most: int | None = None) -> list[Any]:
    """The objects and lists a file begins with: those of its first lines (at most `most` lines), or the document as
    far as it was read."""
    lines = [line.strip() for line in head.split(b"\n", -1 if most is None else 2 * most) if line.strip()]
    if not lines:
        return []
    if _is_document(lines[0], lines[1] if len(lines) > 1 else b"", lined=False):
        document = _container(_closed(head).replace(b"NaN", b"null"))  # a score, in logs that Python wrote
        if document is not None:
            return [document]
    return [value for line in lines[:most] if (value := _container(line)) is not None]


# A string that the end of the text cuts off is one token, too: what it holds is no structure.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_CLOSER = {b"[": b"]", b"{": b"}"}


def _closed(head: bytes) -> bytes:
    """The beginning of a JSON text made whole: cut after its last complete member, and closed."""
    stack: list[bytes] = []
    keep = 0
    for match in _TOKEN.finditer(head):
        token = match.group()
        if token in _CLOSER:
            stack.append(_CLOSER[token])
            keep = match.end()
        elif token in (b"]", b"}"):
            if not stack or stack.pop() != token:
                return b""
            keep = match.end()
        elif token == b",":
            keep = match.start()
        else:
            continue
        if not stack:
            break
    return head[:keep] + b"".join(reversed(stack))
