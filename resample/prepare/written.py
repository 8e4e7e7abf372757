"""The canonical form of foreign transcripts in a run directory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from resample.formats.base import Located, Span
from resample.types import UserError

FILE = "transcripts.jsonl"


def path_in(directory: Path) -> Path:
    """Where it stands, as the index has it: absolute, with links kept, unlike what resolve() gives."""
    return Path(os.path.abspath(directory)) / FILE  # noqa: PTH100


class Written:
    """The canonical form of foreign transcripts in a run directory.

    Every valid one is written, cut or not, so that the file depends on the input alone. What stands there
    already from an earlier start of the run is compared, not written again; a line that a crash cut short is
    completed.
    """

    def __init__(self, directory: Path) -> None:
        self._path = path_in(directory)
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
        there = self._after_blanks(file, len(line))
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

    def _after_blanks(self, file: BinaryIO, length: int) -> bytes:
        """The bytes that stand here, after the blank lines that purged transcripts have left."""
        while True:
            file.seek(self._offset)
            there = file.read(length)
            if not there.startswith(b"  "):
                return there
            file.seek(self._offset)
            self._offset += len(file.readline())

    def _open(self) -> BinaryIO:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        os.fchmod(descriptor, 0o600)
        return os.fdopen(descriptor, "r+b")
