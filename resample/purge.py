"""Takes transcripts out of a run: what was read of them, played, judged and sent. What their calls cost still counts.

The bytes go, too: deleted rows are overwritten, the database is rebuilt, and the canonical form that the run has
written of foreign transcripts is blanked. Of an id a hash is kept, so that the run does not take the transcript again.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import orjson

from resample.formats.dates import moment
from resample.formats.exclusions import Reason
from resample.prepare.written import path_in
from resample.store import EXAMPLES, FIDELITY, FILE, Store
from resample.store_index import Purged
from resample.types import Role


class Removed(NamedTuple):
    """What was taken out of a run."""

    transcripts: int
    prefixes: int
    rollouts: int
    verdicts: int
    calls: int
    """Answered calls whose texts are gone."""
    kin: int
    """Other transcripts of their clusters, which may hold the same words."""
    logs: list[str]
    """Files outside the run in which these transcripts still stand."""


def known(store: Store, transcript: str) -> bool:
    """Has the run read a transcript of this id?"""
    with closing(_connected(store)) as db:
        return bool(_places(db, transcript) or _mentions(db, transcript))


def expired(store: Store, now: datetime) -> list[str]:
    """The transcripts of a run that may not be kept any longer."""
    with closing(_connected(store)) as db:
        rows = db.execute(
            "SELECT DISTINCT transcript, retain_until FROM prefixes WHERE retain_until IS NOT NULL ORDER BY transcript"
        )
        return [transcript for transcript, until in rows if (when := moment(until)) is not None and when <= now]


def purge(store: Store, transcripts: Iterable[str]) -> Removed:
    """Remove these transcripts from a run that is open for writing. Reports are not made anew."""
    names = list(transcripts)
    gone = Counter(prefixes=0, rollouts=0, verdicts=0, calls=0)
    logs: set[str] = set()
    clusters: set[str] = set()
    own = str(path_in(store.directory))
    with closing(_connected(store)) as db:
        db.execute("PRAGMA secure_delete=ON")
        db.execute("BEGIN IMMEDIATE")
        _forget_examples(db, names)
        _forget_fidelity(db)
        for name in names:
            for file, offset, length in _places(db, name):
                if file == own:
                    _blank(Path(file), offset, length)
                else:
                    logs.add(file)
            logs.update(file for (file,) in _mentions(db, name) if file and file != own)
            found = db.execute("SELECT DISTINCT cluster FROM prefixes WHERE transcript = ?", (name,))
            clusters.update(cluster for (cluster,) in found)
            gone.update(_remove(db, name))
        db.execute("DELETE FROM texts WHERE hash NOT IN (SELECT value FROM requests, json_each(requests.prompt))")
        db.execute("DELETE FROM toolsets WHERE hash NOT IN (SELECT toolset FROM prefixes)")
        kin = sum(map(partial(_count_in, db), clusters))
        db.execute("COMMIT")
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Removed(len(names), **gone, kin=kin, logs=sorted(logs))


def _forget_examples(db: sqlite3.Connection, transcripts: Iterable[str]) -> None:
    """Outputs of a transcript may have been examples in the simulation of others: what was sent for that goes.

    A call's own part of a simulator's prompt comes after its first two messages.
    """
    row = db.execute("SELECT value FROM meta WHERE key = ?", (EXAMPLES,)).fetchone()
    examples = set(orjson.loads(row[0])) if row else set()
    for name in transcripts:
        prefixes = db.execute("SELECT id FROM prefixes WHERE transcript = ?", (name,))
        if examples & {prefix for (prefix,) in prefixes}:
            shared = "json_array(json_extract(prompt, '$[0]'), json_extract(prompt, '$[1]'))"
            db.execute(f"UPDATE requests SET prompt = {shared} WHERE role = ? AND prompt <> '[]'", (Role.SIMULATOR,))
            return


def _forget_fidelity(db: sqlite3.Connection) -> None:
    """What was sent for the fidelity of the simulation is kept under no transcript: all of its texts go."""
    db.execute("UPDATE requests SET content = '', prompt = '[]', raw = x'' WHERE prefix = ?", (FIDELITY,))
    row = db.execute("SELECT value FROM meta WHERE key = ?", (FIDELITY,)).fetchone()
    if row is not None:
        measured = orjson.loads(row[0]) | {"tells": []}
        db.execute("UPDATE meta SET value = ? WHERE key = ?", (orjson.dumps(measured).decode(), FIDELITY))


def _count_in(db: sqlite3.Connection, cluster: str) -> int:
    """The transcripts of a cluster."""
    query = "SELECT count(DISTINCT transcript) FROM prefixes WHERE cluster = ?"
    count: int = db.execute(query, (cluster,)).fetchone()[0]
    return count


def _connected(store: Store) -> sqlite3.Connection:
    return sqlite3.connect(store.directory / FILE, isolation_level=None)


def _places(db: sqlite3.Connection, transcript: str) -> list[tuple[str, int, int]]:
    """Where its canonical form stands, used or not."""
    rows = db.execute(
        "SELECT DISTINCT file, offset, length FROM prefixes WHERE transcript = ?1 UNION"
        " SELECT file, offset, length FROM excluded WHERE transcript = ?1 AND offset IS NOT NULL",
        (transcript,),
    )
    return rows.fetchall()


def _mentions(db: sqlite3.Connection, transcript: str) -> list[tuple[str]]:
    return db.execute("SELECT file FROM excluded WHERE transcript = ?", (transcript,)).fetchall()


def _blank(path: Path, offset: int, length: int) -> None:
    """Spaces in its place: what stands after it stays where it is."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b" " * length)
        file.flush()
        os.fsync(file.fileno())


def _remove(db: sqlite3.Connection, transcript: str) -> dict[str, int]:
    """How much was removed, by the fields of Removed."""
    row = db.execute(
        "SELECT stratum, traffic, messages, calls, tools > 0 AND toolset = '' FROM prefixes"
        " WHERE transcript = ?1 UNION ALL SELECT stratum, weight, messages, calls, tools FROM excluded"
        " WHERE transcript = ?1 LIMIT 1",
        (transcript,),
    ).fetchone()
    if row is None:
        return {}
    ids = "(SELECT id FROM prefixes WHERE transcript = ?)"
    calls = db.execute(
        f"UPDATE requests SET prefix = 'purged', content = '', prompt = '[]', raw = x'' WHERE prefix IN {ids}",
        (transcript,),
    ).rowcount
    db.execute(f"UPDATE failures SET prefix = 'purged', detail = '' WHERE prefix IN {ids}", (transcript,))
    verdicts = db.execute(f"DELETE FROM verdicts WHERE prefix IN {ids}", (transcript,)).rowcount
    rollouts = db.execute(f"DELETE FROM rollouts WHERE prefix IN {ids}", (transcript,)).rowcount
    prefixes = db.execute("DELETE FROM prefixes WHERE transcript = ?", (transcript,)).rowcount
    db.execute("DELETE FROM excluded WHERE transcript = ?", (transcript,))
    # It goes on counting as read, and as traffic of this weight that was left out.
    db.execute(
        "INSERT INTO excluded (file, reason, detail, stratum, weight, messages, calls, tools)"
        " VALUES ('', ?, '', ?, ?, ?, ?, ?)",
        (Reason.PURGED, *row),
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    db.execute("INSERT OR REPLACE INTO purged VALUES (?, ?)", (Purged.digest(transcript), now))
    return {"prefixes": prefixes, "rollouts": rollouts, "verdicts": verdicts, "calls": calls}
