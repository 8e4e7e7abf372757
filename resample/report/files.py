"""Writes what a run says of itself: whole files at once, readable by their owner only."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from resample.report.markdown import report
from resample.store import Store
from resample.summary import summarise
from resample.types import StoreFailed

FINDINGS = 20
"""How many are shown in `report.md`."""


def write_report(store: Store) -> dict[str, Any]:
    """Write `summary.json` and `report.md` of a run, and return the summary. Raises StoreFailed."""
    summary = summarise(store)
    text = orjson.dumps(summary, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    try:
        write_private(store.directory / "summary.json", text)
        write_private(
            store.directory / "report.md", report(summary, store.gravest(store.get("facts")["judge"], FINDINGS))
        )
    except OSError as error:
        raise StoreFailed(f"{store.directory}: the report cannot be written: {error.strerror}") from None
    return summary


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step: a reader sees the old one or the new one. Raises OSError."""
    if path.exists() and not path.is_file():  # a device would be replaced by a file
        raise OSError(errno.EEXIST, "is there already, and is no plain file")
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise
