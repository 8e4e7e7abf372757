"""The samples in the log files of Inspect, one at a time: from `.eval` archives and from `.json` documents.

An archive has `samples/<id>_epoch_<n>.json`; newer ones may have a folder per sample instead, with its messages,
events and attachments in chunks. What a log says of itself stands in `header.json`, or, after a crash, only in
`_journal/start.json`. Summaries, here and in the journal, are no samples.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from resample.formats.decode import decode
from resample.formats.documents import entries
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import ZIP_MAGIC, Input
from resample.formats.records import MAX_BYTES
from resample.formats.streams import READ_ERRORS, Allowance, Stream, open_member, what_happened

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEADERS = ("header.json", "_journal/start.json")
_SAMPLES = "samples/"
_SHELL = "/sample.json"
_ZIP_ERRORS = (*READ_ERRORS, UnicodeDecodeError)


class Sample(NamedTuple):
    """One sample, as it stands in its log."""

    value: Any
    id: str
    """The file's name and the place in it."""
    line: int
    pointer: str
    """Where in the file: a JSON pointer, or a member of the archive."""
    log: dict[str, Any]
    """What the log says of itself."""


def samples(source: Input) -> Iterator[Sample | Excluded]:
    """All samples of a log. One that cannot be read is an Excluded, and the others are still read."""
    try:
        with source.open() as (file, _):
            is_archive = file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    except READ_ERRORS as error:
        yield Excluded.at(source.shown, None, Problem(Reason.UNREADABLE_FILE, what_happened(error)))
        return
    yield from _in_archive(source) if is_archive else _in_document(source)


# -- documents -------------------------------------------------------------------------------------------------------


def _in_document(source: Input) -> Iterator[Sample | Excluded]:
    found = False
    for entry in entries(_finite(source), "samples"):
        found = True
        if isinstance(entry, Excluded):
            yield entry
        elif not entry.frame and is_log(entry.value):
            yield entry.excluded(source, Problem(Reason.NO_DIALOGUE, "a log without samples"))
        else:
            yield Sample(entry.value, entry.id, entry.line, entry.pointer, entry.frame)
    if not found:
        yield Excluded.at(source.shown, None, Problem(Reason.NO_DIALOGUE, "a log without samples"))


def is_log(value: Any) -> bool:
    """An object that says what was evaluated, and how."""
    if not isinstance(value, dict) or not isinstance(value.get("eval"), dict):
        return False
    return "task" in value["eval"] and bool(value.keys() & {"version", "status", "plan", "samples", "results"})


# -- numbers that JSON does not have ---------------------------------------------------------------------------------

_NOT_FINITE = (b"NaN", b"Infinity")
_STRING_OR_CONSTANT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|-?(?:NaN|Infinity)', re.DOTALL)
_PIECE = 1 << 20


def with_finite_numbers(text: bytes) -> bytes:
    """Inspect writes NaN for a score that could not be had, which is no JSON: null stands in its place.

    `text` begins outside of a string. What stands within strings is left as it is.
    """
    if not any(constant in text for constant in _NOT_FINITE):
        return text
    return _STRING_OR_CONSTANT.sub(lambda match: match[0] if match[0].startswith(b'"') else b"null", text)


class _FiniteInput(Input):
    """The same file, with null for such numbers."""

    __slots__ = ()

    @contextmanager
    def open(self) -> Iterator[Stream]:
        with Input(self.path, self.name, self.named, self.member).open() as (file, _):
            yield Stream(cast(BinaryIO, io.BufferedReader(_Finite(file), _PIECE)), plain=False)


class _Finite(io.RawIOBase):
    """Whole lines at a time: no JSON string goes on over the end of one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._rest = memoryview(b"")
        self._in_line = False
        """Within a line too long to be held: what it has is passed on as it is."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not self._rest:
            piece = self._file.readline(_PIECE) if self._in_line else self._file.read(_PIECE)
            piece += b"" if piece.endswith(b"\n") or self._in_line else self._file.readline(MAX_BYTES)
            changed = piece if self._in_line else with_finite_numbers(piece)
            self._in_line = not piece.endswith(b"\n")
            self._rest = memoryview(changed)
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _finite(source: Input) -> Input:
    """The file itself, if a look at all of it shows no such number."""
    tail = b""
    try:
        with source.open() as (file, _):
            while piece := file.read(_PIECE):
                if any(constant in tail + piece for constant in _NOT_FINITE):
                    return _FiniteInput(source.path, source.name, source.named, source.member)
                tail = piece[-8:]
    except READ_ERRORS:
        pass  # whoever reads on will meet it again, and say so
    return source


def _decoded(data: bytes) -> Any:
    value = decode(data)
    if isinstance(value, Problem) and value.reason is Reason.NOT_FINITE:
        return decode(with_finite_numbers(data))
    return value


# -- archives --------------------------------------------------------------------------------------------------------


class _Archive:
    """An open `.eval` file."""

    def __init__(self, raw: BinaryIO, archive: zipfile.ZipFile) -> None:
        self._raw, self._archive = raw, archive
        self._allowance = Allowance(raw.seek(0, io.SEEK_END))
        self.names = sorted(set(archive.namelist()))

    def value(self, name: str, most: int = MAX_BYTES) -> tuple[Any, int]:
        """What a member holds, or a Problem; and how many bytes that takes."""
        try:
            with open_member(self._raw, self._archive, name) as file:
                data = file.read(most + 1)
            self._allowance.spend(len(data))
        except _ZIP_ERRORS as error:
            return Problem(Reason.UNREADABLE_FILE, what_happened(error)), 0
        return (Problem(Reason.TOO_LARGE) if len(data) > most else _decoded(data)), len(data)


def _in_archive(source: Input) -> Iterator[Sample | Excluded]:
    try:
        with source.open_seekable() as raw, zipfile.ZipFile(raw) as opened:
            archive = _Archive(raw, opened)
            header: Any = next((archive.value(name)[0] for name in HEADERS if name in archive.names), {})
            log = header if isinstance(header, dict) else {}
            found = False
            for name, value in _values(archive):
                found = True
                if isinstance(value, Problem):
                    detail = ": ".join(text for text in (name, value.detail) if text)
                    yield Excluded.at(source.shown, None, Problem(value.reason, detail))
                else:
                    id = f"{source.name}#{name.removeprefix(_SAMPLES).removesuffix(_SHELL).removesuffix('.json')}"
                    yield Sample(value, id, 1, name, log)
            if not found:
                yield Excluded.at(source.shown, None, Problem(Reason.NO_DIALOGUE, "a log without samples"))
    except _ZIP_ERRORS as error:
        yield Excluded.at(source.shown, None, Problem(Reason.UNREADABLE_FILE, what_happened(error)))


def _values(archive: _Archive) -> Iterator[tuple[str, Any]]:
    """Each sample, or a Problem, with the name of its member. A folder with a sample in chunks is one sample."""
    names = [name for name in archive.names if is_sample(name)]
    chunks: dict[str, list[str]] = {name.removesuffix(_SHELL): [] for name in names if name.endswith(_SHELL)}
    homes = {name: next((folder for folder in _folders(name) if folder in chunks), "") for name in names}
    for name, home in homes.items():
        if home:
            chunks[home].append(name)
    for name, home in homes.items():
        if not home:
            yield name, archive.value(name)[0]
        elif name == home + _SHELL:
            yield name, _joined(archive, home, chunks[home])


def is_sample(name: str) -> bool:
    """A member of an archive that is a sample, or belongs to one: summaries are none, nor is the journal."""
    return name.startswith(_SAMPLES) and name.endswith(".json")


def is_part(name: str) -> bool:
    """A member that an Inspect log has, and other archives with a header have not."""
    return is_sample(name) or name == "summaries.json" or name.startswith("_journal/")


def _folders(name: str) -> Iterator[str]:
    """The folders that a member may be a chunk of: ids of samples may have slashes in them, too."""
    for _ in range(2):
        name = name.rpartition("/")[0]
        yield name


def _joined(archive: _Archive, folder: str, names: Iterable[str]) -> Any:
    """Newer archives keep a sample in chunks, each named by the number of its first item: put together again.

    The messages are a pool, from which the conversation is taken by `message_refs`; attachments go by number.
    """
    sample, left = archive.value(folder + _SHELL)
    if not isinstance(sample, dict):
        return sample
    left = MAX_BYTES - left
    parts: dict[str, list[Any]] = {}
    for name in sorted(names, key=_number):
        kind = name.removeprefix(f"{folder}/").partition("/")[0]
        if kind not in ("messages", "events", "attachments") or _number(name) < 0:
            continue
        items, size = archive.value(name, left)
        if isinstance(items, Problem):
            return items
        left -= size
        parts.setdefault(kind, []).extend(items if isinstance(items, list) else ())
    pool = parts.get("messages", [])
    return {
        **sample,
        "events": parts.get("events", []),
        "events_data": {"messages": pool},
        "attachments": {str(number): text for number, text in enumerate(parts.get("attachments", []))},
    }


def _number(name: str) -> int:
    stem = name.rsplit("/", 1)[-1].removesuffix(".json")
    return int(stem) if stem.isdecimal() and len(stem) < 16 else -1
