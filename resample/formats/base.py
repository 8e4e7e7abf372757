"""What every format gives: transcripts with the place they were read from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from resample.formats.exclusions import Excluded
from resample.types import Transcript


class Span(NamedTuple):
    """The bytes of a transcript in a plain canonical file, to read it again by seek."""

    offset: int
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Located:
    """A transcript and where it stands."""

    transcript: Transcript
    file: str
    """Absolute."""
    line: int
    """Where it begins, counted from 1."""
    span: Span | None = None
    """None where the file's bytes are not the canonical form (foreign or compressed)."""


class Format(Protocol):
    """One way to write transcripts down. A module of this package is one."""

    @property
    def name(self) -> str:
        """As in `transcripts.format`."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """File name endings to look at in a folder, without that of a compression."""
        ...

    def sniff(self, head: bytes, path: Path) -> bool:
        """Does a file look like it that begins with `head`: uncompressed, up to the end of a line?"""
        ...

    def read(self, path: Path, name: str) -> Iterator[Located | Excluded]:
        """The transcripts of a file, one at a time. `name` is that of the file in its collection, for ids."""
        ...
