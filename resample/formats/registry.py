"""All formats, and the one way to read a collection of transcripts in any of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from resample.formats import canonical, openai_chat
from resample.formats.base import Format, Located
from resample.formats.checks import validate
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.files import Found, find
from resample.formats.records import head_of
from resample.formats.streams import READ_ERRORS, what_happened
from resample.types import UserError

FORMATS: dict[str, Format] = {module.name: module for module in (canonical, openai_chat)}
"""By name, in the order in which they are tried: the more particular ones first."""

_SUFFIXES = tuple(sorted({suffix for known in FORMATS.values() for suffix in known.suffixes}))


def read(
    path: str | Path, format: str = "auto", *, strict: bool = False, skip: Path | None = None
) -> Iterator[Located | Excluded]:
    """The transcripts of a file, folder or glob, valid and with ids of their own, and what is not used, in
    order.

    `format` is a name of FORMATS, or `auto` to look at each file; `skip` is a folder not to look into.
    Nothing is held in memory but the transcript at hand. Raises UserError for an unknown format, for a path
    with nothing there, for a file named by itself that no format recognises, and with `strict` for the first
    transcript that is not used.
    """
    chosen = None if format == "auto" else named(format)
    return _checked(find(path, _SUFFIXES, skip), chosen, strict)


def named(name: str) -> Format:
    """The format of that name. Raises UserError with the names there are."""
    if name not in FORMATS:
        raise UserError(f"transcripts.format={name}: must be auto or one of {', '.join(FORMATS)}")
    return FORMATS[name]


def _checked(files: Iterator[Found], chosen: Format | None, strict: bool) -> Iterator[Located | Excluded]:
    with closing(_Seen()) as seen:
        for found in files:
            for item in _read_file(found, chosen):
                checked = item if isinstance(item, Excluded) else _check(item, seen)
                if strict and isinstance(checked, Excluded):
                    raise checked.error()
                yield checked


def _check(located: Located, seen: _Seen) -> Located | Excluded:
    transcript = located.transcript
    problem = validate(transcript)
    if problem is None and seen.before(transcript.id):
        problem = Problem(Reason.DUPLICATE_ID, repr(transcript.id)[:200])
    return located if problem is None else Excluded.at(located.file, located.line, problem)


class _Seen:
    """The ids so far. They are kept in a temporary database: memory does not grow with the collection."""

    def __init__(self) -> None:
        # A file without a name, gone when closed. Several threads may read on, one at a time.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("CREATE TABLE seen (id BLOB PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def before(self, id: str) -> bool:
        """Has this id been asked for before?"""
        digest = sha256(id.encode()).digest()[:16]
        return self._db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,)).rowcount == 0

    def close(self) -> None:
        self._db.close()


def _read_file(found: Found, chosen: Format | None) -> Iterator[Located | Excluded]:
    reader = _reader_of(found, chosen)
    if isinstance(reader, Problem):
        shown = str(found.path).encode("utf-8", "backslashreplace").decode()
        excluded = Excluded.at(shown, None, reader)
        if found.named and reader.reason is not Reason.EMPTY_FILE:
            raise excluded.error()
        yield excluded
    else:
        yield from reader.read(found.path, found.name)


def _reader_of(found: Found, chosen: Format | None) -> Format | Problem:
    """The format to read a file in: the one that was chosen, or else the first that recognises it."""
    try:
        str(found.path).encode()
        head = head_of(found.path)
    except UnicodeEncodeError:
        return Problem(Reason.UNREADABLE_FILE, "its name is not UTF-8")
    except READ_ERRORS as error:
        return Problem(Reason.UNREADABLE_FILE, what_happened(error))
    if not head.strip():
        return Problem(Reason.EMPTY_FILE)
    if chosen is not None:
        return chosen
    for candidate in FORMATS.values():
        if candidate.sniff(head, found.path):
            return candidate
    return Problem(Reason.UNKNOWN_FORMAT, f"tried {', '.join(FORMATS)}")
