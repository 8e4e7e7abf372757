"""Prefixes of a plan on their way to the store, until it is known which of them are near-duplicates.

Near-duplicates are not independent observations: their clusters are one. Which clusters are is only known once all
prefixes were seen, so they wait in a temporary database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import orjson

from resample.formats.seen import temporary_database
from resample.prepare.schemas import mark_of
from resample.prepare.similar import Similar


class Kin:
    """Rows with a cluster each, and which clusters are one."""

    def __init__(self, threshold: float | None) -> None:
        """`threshold` is the Jaccard similarity from which prefixes are near-duplicates; None: none are."""
        self._db = temporary_database("CREATE TABLE entries (number INTEGER PRIMARY KEY, entry TEXT)")
        self._db.execute("CREATE TABLE joined (mark TEXT PRIMARY KEY, root TEXT) WITHOUT ROWID")
        self._db.execute("CREATE INDEX joined_by_root ON joined (root)")
        self._similar = None if threshold is None else Similar(threshold)

    def put(self, cluster: str, entry: Iterable[Any]) -> None:
        """Keep a row of plain values."""
        self._db.execute("INSERT INTO entries (entry) VALUES (?)", (orjson.dumps([cluster, list(entry)]).decode(),))

    def compare(self, cluster: str, texts: Iterable[str]) -> None:
        """Join this cluster to that of the first near-duplicate of these texts, if there is one."""
        earlier = None if self._similar is None else self._similar.put(cluster, texts)
        if earlier is not None:
            one, other = self._root(cluster), self._root(earlier)
            if one != other:
                self._db.execute("UPDATE joined SET root = ? WHERE root = ?", (other, one))
                self._db.execute("INSERT INTO joined VALUES (?, ?)", (mark_of(one), other))

    def kin_of(self, cluster: str) -> Callable[[str], bool]:
        """Is the cluster with this mark (`schemas.mark_of`) one with the given one?"""
        own = mark_of(self._root(cluster))

        @cache
        def is_kin(mark: str) -> bool:
            row = self._db.execute("SELECT root FROM joined WHERE mark = ?", (mark,)).fetchone()
            return own == (mark if row is None else mark_of(row[0]))

        return is_kin

    def entries(self) -> Iterator[tuple[str, list[Any]]]:
        """Every row, in order, with its final cluster."""
        for (entry,) in self._db.execute("SELECT entry FROM entries ORDER BY number"):
            cluster, values = orjson.loads(entry)
            yield self._root(cluster), values

    def close(self) -> None:
        """Forget them all."""
        self._db.close()
        if self._similar is not None:
            self._similar.close()

    def _root(self, cluster: str) -> str:
        row = self._db.execute("SELECT root FROM joined WHERE mark = ?", (mark_of(cluster),)).fetchone()
        return cluster if row is None else str(row[0])
