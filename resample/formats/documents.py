"""Files that hold many conversations in one JSON document: given one at a time, however long the document is.

A document that is small is parsed whole. A larger one is cut into the elements of its list by a scan of its bytes
that knows strings and brackets only, and each element is parsed by itself: memory holds the largest one, and an
element that is malformed spoils no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import orjson

from resample.formats.decode import decode
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.formats.records import MAX_BYTES, in_lines, records
from resample.formats.streams import READ_ERRORS, what_happened

LARGE = 32 * 2**20
"""Bytes of a document from which on it is not parsed whole."""

_CHUNK = 1 << 20
_SPACE = b" \t\r\n"


class Entry(NamedTuple):
    """One element: a JSON value that should be one conversation."""

    value: Any
    id: str
    """The file's name and the place in it: unique, and the same wherever the collection lies."""
    line: int
    """Where its record begins, counted from 1."""
    pointer: str
    """JSON pointer within the record, such as `/simulations/3`; empty for the record itself."""
    frame: dict[str, Any]
    """The object around the list, without the list; empty where there is none."""

    def excluded(self, source: Input, problem: Problem) -> Excluded:
        """This element, not used."""
        detail = ": ".join(text for text in (self.pointer, problem.detail) if text)
        return Excluded.at(source.shown, self.line, Problem(problem.reason, detail))


def entries(source: Input, *keys: str) -> Iterator[Entry | Excluded]:
    """The elements of a file. Each of its records (its lines, or the document it is) may be

    - a list: its elements;
    - an object with a list under one of `keys`: the elements of that list, with the rest of the object as frame;
    - any other value: that value itself.
    """
    if _is_long_document(source) and _has_list(source, keys):
        yield from _long_document(source, keys)
        return
    for entry in values(source):
        if isinstance(entry, Excluded):
            yield entry
        else:
            yield from _elements_of(entry, keys)


def values(source: Input) -> Iterator[Entry | Excluded]:
    """The records of a file as they are: lists stay whole, as where a bare list of messages is one conversation."""
    for record in records(source):
        if isinstance(record, Excluded):
            yield record
            continue
        value = decode(record.data)
        if isinstance(value, Problem):
            yield Excluded.at(source.shown, record.line, value)
        else:
            yield Entry(value, source.name if record.whole else f"{source.name}:{record.line}", record.line, "", {})


def _elements_of(entry: Entry, keys: tuple[str, ...]) -> Iterator[Entry]:
    value, name, line = entry.value, entry.id, entry.line
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield Entry(item, f"{name}[{index}]", line, f"/{index}", {})
    elif isinstance(value, dict) and any(isinstance(value.get(key), list) for key in keys):
        lists = {key: value[key] for key in keys if isinstance(value.get(key), list)}
        frame = {key: value[key] for key in value if key not in lists}
        for key, items in lists.items():
            for index, item in enumerate(items):
                yield Entry(item, f"{name}[{index}]", line, f"/{key}/{index}", frame)
    else:
        yield entry


# -- documents that are too long to be parsed whole ------------------------------------------------------------------


def _is_long_document(source: Input) -> bool:
    """More than LARGE bytes, and not in lines: the first line is no JSON by itself, or has no end."""
    try:
        with source.open() as (file, _):
            first = file.readline(LARGE + 1)
            if len(first) > LARGE:
                return not in_lines(source.name)
            second = file.readline(LARGE + 1)
            if len(first) + len(second) + len(file.read(LARGE)) <= LARGE:
                return False
    except READ_ERRORS:
        return False  # whoever reads on will meet it again, and say so
    return not in_lines(source.name) and not _is_value(first)


def _has_list(source: Input, keys: tuple[str, ...]) -> bool:
    """Is there a list to be given by element? What has none is one conversation, and is parsed whole."""
    try:
        with source.open() as (file, _):
            return any(key is not None for key, _ in _elements(file, keys))
    except (_TooLong, *READ_ERRORS):
        return True  # whoever cuts it will meet this again, and say so


def _is_value(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _long_document(source: Input, keys: tuple[str, ...]) -> Iterator[Entry | Excluded]:
    try:
        frame = _frame(source, keys)
        if isinstance(frame, Problem):
            yield Excluded.at(source.shown, 1, frame)
            return
        counts: dict[str, int] = {}
        with source.open() as (file, _):
            for key, data in _elements(file, keys):
                if key is None:
                    continue
                index = counts[key] = counts.get(key, -1) + 1
                pointer = f"/{key}/{index}" if key else f"/{index}"
                value = decode(data)
                entry = Entry(value, f"{source.name}[{index}]", 1, pointer, frame)
                yield entry.excluded(source, value) if isinstance(value, Problem) else entry
    except _TooLong:
        yield Excluded.at(source.shown, 1, Problem(Reason.TOO_LARGE))
    except READ_ERRORS as error:
        yield Excluded.at(source.shown, None, Problem(Reason.UNREADABLE_FILE, what_happened(error)))


def _frame(source: Input, keys: tuple[str, ...]) -> dict[str, Any] | Problem:
    """The document with its lists left empty. They may stand anywhere in it, so it takes a pass of its own."""
    with source.open() as (file, _):
        around = b"".join(data for key, data in _elements(file, keys) if key is None)
    value = decode(around)
    if isinstance(value, dict):
        return {key: value[key] for key in value if not (key in keys and value[key] == [])}
    return value if isinstance(value, Problem) else {}


class _TooLong(Exception):
    """An element, or what stands around them, is longer than a record may be."""


_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:(")|\\?\Z)|[\[\]{},]', re.DOTALL)
_INSIDE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:(")|\\?\Z)|[\[\]{}]', re.DOTALL)


def _elements(file: BinaryIO, keys: tuple[str, ...]) -> Iterator[tuple[str | None, bytes]]:
    """The document in pieces: (key of its list, an element), or (None, a stretch of what stands around them).

    The key of a list at the top is empty. Joined, the stretches are the document with its lists left empty.
    """
    wanted = {orjson.dumps(key): key for key in keys}
    scan = _Scan(file)
    key = ""
    name = b""
    depth = 0
    while (token := scan.next(_STRUCTURE)) is not None:
        if token in (b"[", b"{"):
            depth += 1
            opens_list = token == b"[" and (depth == 1 or (depth == 2 and name in wanted))
            if opens_list:
                key = "" if depth == 1 else wanted[name]
                yield None, scan.take()
                yield from ((key, element) for element in _list_elements(scan))
                depth -= 1
            elif depth > 1:
                _skip(scan)
                depth -= 1
        elif token in (b"]", b"}"):
            depth -= 1
        elif token != b",":
            name = token  # the last string before a bracket, at this depth, is its key
        if depth == 1 and scan.size > MAX_BYTES:
            raise _TooLong
    yield None, scan.take(everything=True)


def _list_elements(scan: _Scan) -> Iterator[bytes]:
    """The elements of the list that has just been opened; its end is consumed, and left in the buffer."""
    while (token := scan.next(_STRUCTURE)) is not None:
        if token in (b"[", b"{"):
            _skip(scan)
        elif token in (b",", b"]"):
            text = scan.take(before=token).strip(_SPACE)
            if text:
                yield text
            if token == b"]":
                return
            scan.drop()


def _skip(scan: _Scan) -> None:
    """To the end of the container that has just been opened."""
    depth = 1
    while depth and (token := scan.next(_INSIDE)) is not None:
        if token in (b"[", b"{"):
            depth += 1
        elif token in (b"]", b"}"):
            depth -= 1
        if scan.size > MAX_BYTES:
            raise _TooLong


class _Scan:
    """A file as tokens, with the bytes since the last `take` at hand."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = b""
        self._start = 0
        """Where the bytes begin that were not taken yet."""
        self._at = 0
        """The end of the last token."""
        self._ended = False

    @property
    def size(self) -> int:
        """How many bytes have passed and were not taken."""
        return self._at - self._start

    def next(self, pattern: re.Pattern[bytes]) -> bytes | None:
        """The next token; None at the end of the file."""
        while True:
            match = pattern.search(self._buffer, self._at)
            if match is not None and (match.group()[:1] != b'"' or match.lastindex):  # no text that was cut off
                self._at = match.end()
                return match.group()
            if self._ended:
                return None  # also where a string has no end
            self._more()

    def _more(self) -> None:
        self._buffer = self._buffer[self._start :]
        self._at -= self._start
        self._start = 0
        if len(self._buffer) > 2 * MAX_BYTES:
            raise _TooLong
        chunk = self._file.read(max(_CHUNK, len(self._buffer) - self._at))
        self._ended = not chunk
        self._buffer += chunk

    def take(self, before: bytes = b"", *, everything: bool = False) -> bytes:
        """What has passed since the last time; `before`: without the token that was just read, which stays."""
        end = len(self._buffer) if everything else self._at - len(before)
        taken, self._start = self._buffer[self._start : end], end
        return taken

    def drop(self) -> None:
        """Forget what has passed."""
        self._start = self._at
