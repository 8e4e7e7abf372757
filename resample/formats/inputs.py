"""One file to read: on disk, or a member of a zip archive there."""

from __future__ import annotations

import itertools
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.streams import READ_ERRORS, Stream, directory_of, expanded, member_stream, plain_stream

ZIP_MAGIC = b"PK\x03\x04"
_IN_MEMORY = 1 << 24
"""Bytes of a copy from which on it is kept on disk."""


@dataclass(frozen=True, slots=True)
class Input:
    """A file that may hold transcripts."""

    path: Path
    """On disk, absolute; symbolic links are left as they are."""
    name: str
    """Relative to what the user named, with forward slashes: the same wherever the collection lies."""
    named: bool = False
    """The user named this very file."""
    member: str | None = None
    """Its name inside the zip archive at `path`."""

    @property
    def shown(self) -> str:
        """For people: where it is."""
        path = str(self.path).encode("utf-8", "backslashreplace").decode()
        return path if self.member is None else f"{path}!{self.member}"

    @contextmanager
    def open(self) -> Iterator[Stream]:
        """Its uncompressed bytes. Raises one of streams.READ_ERRORS, here or while it is read."""
        with ExitStack() as stack:
            if self.member is None:
                raw = stack.enter_context(plain_stream(self.path))
            else:
                raw = stack.enter_context(member_stream(self.path, self.member))
            yield stack.enter_context(expanded(raw, plain=self.member is None))

    @contextmanager
    def open_seekable(self) -> Iterator[BinaryIO]:
        """The same bytes in a file that can be sought in, as archives must be: a copy if need be."""
        with self.open() as (file, _):
            if file.seekable():
                yield file
                return
            with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
                shutil.copyfileobj(file, copy, 1 << 20)
                copy.seek(0)
                yield cast(BinaryIO, copy)

    def beside(self, relative: str) -> Input | None:
        """A file that this one refers to; None if there is none, or if it lies outside of this one's folder.

        What a log says of its neighbours may be anything: a path that climbs, one to something hidden, and a link that
        leads out are refused.
        """
        inner = PurePosixPath(relative.replace("\\", "/"))
        if inner.is_absolute() or not inner.parts or "\0" in relative:
            return None
        if any(part.startswith(".") for part in inner.parts):  # up, or hidden: keys and settings lie there
            return None
        name = (PurePosixPath(self.name).parent / inner).as_posix()
        if self.member is not None:
            member = (PurePosixPath(self.member).parent / inner).as_posix()
            found = Input(self.path, name, member=member)
            return found if _is_member(self.path, member) else None
        path = self.path.parent / inner
        try:
            inside = path.resolve().is_relative_to(self.path.parent.resolve())
            return Input(path, name) if inside and path.is_file() else None
        except (OSError, ValueError):
            return None


def _is_member(path: Path, name: str) -> bool:
    try:
        entry = directory_of(path).NameToInfo.get(name)
        return entry is not None and not _wrong_with(entry)
    except READ_ERRORS:
        return False


def members(archive: Input) -> Iterator[Input | Excluded]:
    """The files in a zip archive, sorted by name. Links, and names that lead out of it, are refused.

    Raises one of streams.READ_ERRORS for an archive that cannot be listed.
    """
    entries = sorted(directory_of(archive.path).infolist(), key=lambda entry: entry.filename)
    for before, entry in itertools.pairwise([None, *entries]):
        if entry is None or entry.filename.endswith("/"):
            continue
        found = Input(archive.path, f"{archive.name}/{entry.filename}", member=entry.filename)
        twice = before is not None and before.filename == entry.filename
        if wrong := "another member has its name" if twice else _wrong_with(entry):
            yield Excluded.at(found.shown, None, Problem(Reason.UNSAFE_ARCHIVE, wrong))
        else:
            yield found


def _wrong_with(entry: zipfile.ZipInfo) -> str:
    """What is unsafe about a member, or an empty text."""
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    if not name.parts:
        return "it has no name"
    if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
        return "its name leads out of the archive"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "it is a link"
    if entry.flag_bits & 0x1:
        return "it is encrypted"
    return ""
