"""What every format gives: transcripts with the place they were read from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from resample.formats.exclusions import Excluded
from resample.formats.inputs import Input
from resample.types import TOOLS, Message, Missing, ToolSchema, Transcript


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
    body: bytes = b""
    """Its canonical line, without the end, as far as the registry has made it: made once, and written from here."""


class Skipped(NamedTuple):
    """A file that stands beside transcripts and holds none: labels, a manifest, notes."""

    file: str


class Look(NamedTuple):
    """The beginning of a file, to tell its format by."""

    name: str
    """Of the file in its collection."""
    values: list[Any]
    """The objects and lists it begins with: those of its first lines, or its document as far as it was read."""
    members: frozenset[str] = frozenset()
    """The names in a zip archive; none in any other file."""


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

    def sniff(self, look: Look) -> bool:
        """Does the file look like it? Never raises, whatever the values are."""
        ...

    def read(self, source: Input) -> Iterator[Located | Excluded]:
        """The transcripts of a file, one at a time. Never raises for what the file holds."""
        ...


@dataclass
class Draft:
    """A conversation on its way from a foreign log to the canonical form (see `resample.formats.assemble`)."""

    id: str
    source: str
    """The format's name."""
    messages: list[Message] = field(default_factory=list)
    """In OpenAI form. `assemble.AT` in a message says where in the file it stands; other keys may be left in."""
    tools: list[ToolSchema] = field(default_factory=list)
    model: str | None = None
    date: str | None = None
    """When it was recorded: an ISO 8601 date, or date and time, as its log has it; anything else is left out."""
    cluster: str | None = None
    """The same for conversations that are not independent, such as trials of one task."""
    actions: str = TOOLS
    terminal_tools: tuple[str, ...] = ()
    always_has_tools: bool = False
    """Agents of this kind have tools, also where they called none: without schemas, those are missing."""
    labels: dict[str, Any] = field(default_factory=dict)
    missing: set[Missing] = field(default_factory=set)
    dropped: Counter[str] = field(default_factory=Counter)
    """How often something of the log was left out, by a short phrase: `dead branch`, `sidechain record`."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What else the log says; values that are large or cannot be written are left out."""
