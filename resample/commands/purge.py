"""`resample purge`: take a transcript, or those that may not be kept any longer, out of a run and its reports."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from resample.commands import Invocation, say
from resample.types import Exit, UserError


def perform(config: Any, invocation: Invocation) -> int:
    """Purge. Returns the exit code."""
    from resample.plan import rehash
    from resample.purge import expired, known, purge
    from resample.report.files import write_report
    from resample.store import FILE, Store

    if config.run is None or (config.transcript is None) == (not config.expired):
        raise UserError("give run=DIR, and either transcript=ID or expired=true")
    directory = Path(config.run)
    if not (directory / FILE).is_file():
        raise UserError(f"run={config.run}: no run here (it has no {FILE})")
    store = Store.open(directory)
    try:
        names = expired(store, datetime.now(UTC)) if config.expired else [config.transcript]
        if not config.expired and not known(store, config.transcript):
            raise UserError(f"transcript={config.transcript}: is not in this run")
        removed = purge(store, names)
        rehash(store)
        if store.get("facts") is not None:
            write_report(store)
    finally:
        store.close()
    say(
        f"removed: {removed.transcripts} transcripts, {removed.prefixes} prefixes, {removed.rollouts} rollouts,"
        f" {removed.verdicts} verdicts, and the texts of {removed.calls} calls (what they cost still counts)"
    )
    if removed.kin:
        say(f"still there: {removed.kin} transcripts of the same clusters, which may hold the same words")
    for file in removed.logs:
        say(f"still there: {file}, which is not the run's: remove it there yourself")
    return Exit.DONE
