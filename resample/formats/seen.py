"""The ids of a collection so far, in a temporary database: memory does not grow with the collection."""

from __future__ import annotations

import sqlite3
from hashlib import sha256


def temporary_database(table: str) -> sqlite3.Connection:
    """A database in a file without a name, gone when it is closed. Several threads may use it, one at a time."""
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode=OFF")
    database.execute(table)
    database.execute("BEGIN")
    return database


class Seen:
    """Which ids were there before?"""

    def __init__(self) -> None:
        self._db = temporary_database("CREATE TABLE seen (id BLOB PRIMARY KEY) WITHOUT ROWID")

    def before(self, id: str) -> bool:
        """Has this id been asked for before?"""
        digest = sha256(id.encode()).digest()[:16]
        return self._db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,)).rowcount == 0

    def close(self) -> None:
        """Forget them all."""
        self._db.close()
