"""Transcripts are indexed, not loaded: what a run keeps of each is where it stands, and how it is cut.

Memory does not grow with the collection. Transcripts that do not stand as canonical JSON lines in a plain
file are first written so, into `transcripts.jsonl` of the run directory: the same input gives the same bytes
there, so that a run can be resumed and extended.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from resample.formats import canonical
from resample.formats.adjust import Adjust, as_read
from resample.formats.base import Located, Span
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.registry import Item, read
from resample.prepare.prefix import make_prefix, style_of
from resample.prepare.truncate import Cut, Policy
from resample.types import Message, Prefix, Transcript, UserError

FILE = "transcripts.jsonl"


@dataclass(frozen=True, slots=True)
class Indexed:
    """One prefix of the plan: where its transcript stands, and how it is cut."""

    prefix: str
    """Prefix.id."""
    transcript: str
    file: str
    """Absolute."""
    offset: int
    length: int
    """In bytes."""
    sha256: str
    """Of these bytes."""
    cluster: str
    stratum: str
    weight: float
    cut: int
    cut_end: int
    messages: int
    """In the whole transcript."""
    prior_turns: int
    tools: int
    """Tool schemas the candidate is given."""
    tools_inferred: bool
    missing: str = ""
    """What the log lacks of what the original model saw (`types.Missing`), by comma; empty if it is all there."""


def index(
    path: str | Path,
    format: str,
    limit: int | None,
    strict: bool,
    policy: Policy,
    work_dir: Path,
    adjust: Adjust = as_read,
) -> Iterator[Indexed | Excluded]:
    """What a run can use of a collection, and what it cannot, in order, read as it is asked for.

    `limit` counts usable transcripts, and reading stops there (null: never). `work_dir` is the run directory: foreign
    transcripts, and those that `adjust` changes, are written there, and nothing in it is taken for input. Raises
    UserError where `formats.read` does (with `strict` also for the first malformed transcript), and if transcripts
    that were written there earlier differ from what is read now.
    """
    return _index(read(path, format, strict=strict, skip=work_dir, adjust=adjust), limit, policy, work_dir)


def load(indexed: Indexed) -> Transcript:
    """Read a transcript again, from its place. Raises UserError if it is not the one that was indexed."""
    try:
        with Path(indexed.file).open("rb") as file:
            file.seek(indexed.offset)
            data = file.read(indexed.length)
    except OSError as error:
        raise UserError(f"{indexed.file}: cannot be read any more: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != indexed.sha256:
        raise UserError(
            f"{indexed.file}: has changed since the run began (at transcript {indexed.transcript!r}):"
            " put the old file back, or begin a new run"
        )
    transcript = canonical.parse(data)
    if isinstance(transcript, Problem):
        raise AssertionError(f"{indexed.transcript}: was read before, and is now {transcript.reason}")
    return transcript


def open_prefix(indexed: Indexed) -> tuple[Prefix, tuple[Message, ...]]:
    """Read a transcript again, and cut it: its prefix and its original turn."""
    return make_prefix(load(indexed), Cut(indexed.cut, indexed.cut_end))


def _index(items: Iterator[Item], limit: int | None, policy: Policy, work_dir: Path) -> Iterator[Indexed | Excluded]:
    used = 0
    with closing(_Written(work_dir)) as written:
        while used != limit and (item := next(items, None)) is not None:
            if isinstance(item, Located):
                if item.span is None:
                    item = written.put(item)
                entry = _entry(item, policy)
                used += isinstance(entry, Indexed)
                yield entry
            elif isinstance(item, Excluded):
                yield item


def _entry(located: Located, policy: Policy) -> Indexed | Excluded:
    transcript = located.transcript
    cut = _cut(transcript, policy)
    if isinstance(cut, Problem):
        detail = f"transcript {transcript.id!r}" + (f": {cut.detail}" if cut.detail else "")
        return Excluded.at(located.file, located.line, Problem(cut.reason, detail))
    if located.span is None:
        raise AssertionError("a transcript without a place")
    prefix, _ = make_prefix(transcript, cut)
    return Indexed(
        prefix=prefix.id,
        transcript=transcript.id,
        file=located.file,
        offset=located.span.offset,
        length=located.span.length,
        sha256=located.span.sha256,
        cluster=prefix.cluster,
        stratum=prefix.stratum,
        weight=prefix.weight,
        cut=cut.index,
        cut_end=cut.end,
        messages=len(transcript.messages),
        prior_turns=prefix.prior_turns,
        tools=len(prefix.tools.items),
        tools_inferred=prefix.tools_inferred,
        missing=",".join(transcript.metadata.get("missing") or ()),
    )


def _cut(transcript: Transcript, policy: Policy) -> Cut | Problem:
    try:
        agent = style_of(transcript)
    except UserError as error:
        return Problem(Reason.UNKNOWN_ACTION_PARSER, str(error))
    return policy.cut(transcript.messages, agent)


class _Written:
    """The canonical form of foreign transcripts in a run directory.

    Every valid one is written, cut or not, so that the file depends on the input alone. What stands there
    already from an earlier start of the run is compared, not written again; a line that a crash cut short is
    completed.
    """

    def __init__(self, directory: Path) -> None:
        self._path = Path(os.path.abspath(directory)) / FILE  # noqa: PTH100  (keeps links, unlike resolve)
        self._file: BinaryIO | None = None
        self._offset = 0

    def put(self, located: Located) -> Located:
        """The same transcript, at its place in this file."""
        line = located.body + b"\n"
        try:
            self._write(line, located)
        except OSError as error:
            raise UserError(f"{self._path}: cannot be written: {error.strerror}") from None
        span = Span(self._offset, len(located.body), hashlib.sha256(located.body).hexdigest())
        self._offset += len(line)
        return Located(located.transcript, str(self._path), located.line, span)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, line: bytes, located: Located) -> None:
        file = self._file = self._file or self._open()
        file.seek(self._offset)
        there = file.read(len(line))
        if there == line:
            return
        if not line.startswith(there):
            raise UserError(
                f"{located.file}:{located.line}: has changed since the run began ({self._path} differs):"
                " put the old file back, or begin a new run"
            )
        file.seek(self._offset)
        file.write(line)
        file.flush()  # the transcript may be asked for while the index is still growing

    def _open(self) -> BinaryIO:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(descriptor, 0o600)
        return os.fdopen(descriptor, "r+b")
