"""`resample report`: one run, or a whole sweep, as tables; always from the stores, never from an older report."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

from resample.commands import Invocation, say
from resample.types import Exit, UserError


def perform(config: Any, invocation: Invocation) -> int:
    """Make the reports again. Returns the exit code."""
    if (config.run is None) == (config.runs is None):
        raise UserError("give run=DIR for one run, or runs=GLOB for many")
    if config.run is not None:
        return _one(Path(config.run))
    return _many(config.runs, Path(config.out) if config.out else None)


def _one(directory: Path) -> int:
    from resample.report.markdown import headline

    _, summary = _summary(directory)
    say(f"{headline(summary)}\n\nreport: {directory / 'report.md'}")
    return Exit.DONE


def _many(pattern: str, out: Path | None) -> int:
    from resample.report.files import write_private
    from resample.report.markdown import comparison

    directories = _run_directories(pattern)
    if not directories:
        raise UserError(f"runs={pattern}: no run directories there")
    parent = os.path.commonpath([directory.parent for directory in directories])
    runs = [(os.path.relpath(directory, parent), *_summary(directory)) for directory in directories]
    table = f"Runs under {parent or '.'}:\n\n{comparison(runs)}"
    if out is not None:
        try:
            write_private(out, table + "\n")
        except OSError as error:
            raise UserError(f"out={out}: cannot be written: {error.strerror}") from None
    say(table)
    return Exit.DONE


def _run_directories(pattern: str) -> list[Path]:
    from resample.store import FILE

    found = map(Path, glob.glob(pattern, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    return sorted({path for path in found if (path / FILE).is_file()})


def _summary(directory: Path) -> tuple[list[str], dict[str, Any]]:
    """A run's overrides and summary; its files are written anew on the way."""
    from resample.report.files import write_report
    from resample.store import Store

    store = Store.read(directory)
    try:
        if store.get("facts") is None:
            raise UserError(f"{directory}: this run was never accepted, it has nothing to report")
        return store.get("overrides") or [], write_report(store)
    finally:
        store.close()
