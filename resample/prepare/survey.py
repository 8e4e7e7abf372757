"""The index of a collection while a run is planned: one row per transcript that can be used, on disk.

Every transcript is read once, to survey it; what is drawn is then read again, one at a time. In between there are only
rows, in a temporary database: memory does not grow with the collection.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import astuple
from typing import NamedTuple

import orjson

from resample.formats.exclusions import Excluded, Facts, Problem, Reason
from resample.formats.seen import temporary_database
from resample.prepare.select import Select
from resample.prepare.truncate import Cut, Cuts
from resample.seeds import derive
from resample.types import UserError


class Surveyed(NamedTuple):
    """One transcript that can be used."""

    facts: Facts
    file: str
    """Absolute."""
    line: int | None
    offset: int
    length: int
    """In bytes."""
    sha256: str
    """Of these bytes."""
    cuts: Cuts

    @property
    def transcript(self) -> str:
        """Its id."""
        return self.facts.transcript


class Survey:
    """All transcripts that can be used."""

    def __init__(self) -> None:
        self._db = temporary_database(
            "CREATE TABLE surveyed (number INTEGER PRIMARY KEY, stratum TEXT, row TEXT, factor REAL)"
        )
        self._db.execute("CREATE INDEX surveyed_by_stratum ON surveyed (stratum)")
        self.count = 0

    def put(self, row: Surveyed) -> None:
        """Add a transcript; all are drawn until `draw` says otherwise."""
        values = (row.facts.stratum, orjson.dumps(_plain(row)).decode())
        self._db.execute("INSERT INTO surveyed (stratum, row, factor) VALUES (?, ?, 1)", values)
        self.count += 1

    def draw(self, select: Select, seed: int) -> None:
        """Draw what is to be used, and set the factors by which it weighs more."""
        if select.sample is not None:
            self._draw_from("1", (), select.sample, seed)
        strata = [stratum for (stratum,) in self._db.execute("SELECT DISTINCT stratum FROM surveyed").fetchall()]
        self._check(strata, select)
        for stratum in strata:
            wanted = select.strata.get(stratum, select.per_stratum)
            if wanted is not None:
                self._draw_from("stratum = ?", (stratum,), wanted, seed)

    def _check(self, strata: list[str], select: Select) -> None:
        """Raise UserError for strata that no transcript is of."""
        if unknown := [name for name in select.strata if name not in strata]:
            there = ", ".join(sorted(filter(None, strata))) or "none"
            raise UserError(f"select.strata.{unknown[0]}: no usable transcript is of this stratum; there are {there}")
        if select.stratify is not None and self.count and not any(strata):
            raise UserError(f"select.stratify={select.stratify}: no usable transcript has this in its metadata")

    def _draw_from(self, where: str, values: tuple[str, ...], wanted: int, seed: int) -> None:
        """Simple random sampling without replacement: those with the lowest of numbers drawn for each."""
        rows = self._db.execute(f"SELECT number, row ->> '$[0][0]' FROM surveyed WHERE {where}", values)
        total = 0

        def drawn() -> Iterator[tuple[int, int]]:
            nonlocal total
            for number, transcript in rows:
                total += 1
                yield derive(seed, "select", transcript), number

        chosen = heapq.nsmallest(wanted, drawn())
        self._db.execute(f"UPDATE surveyed SET factor = 0 WHERE {where}", values)
        factor = total / len(chosen) if chosen else 0
        self._db.executemany(
            "UPDATE surveyed SET factor = ? WHERE number = ?", ((factor, number) for _, number in chosen)
        )

    def drawn(self) -> Iterator[tuple[Surveyed, float]]:
        """What is to be used, in the order it was read, each with its factor."""
        for row, factor in self._db.execute("SELECT row, factor FROM surveyed WHERE factor > 0 ORDER BY number"):
            yield _surveyed(row), factor

    def not_drawn(self) -> Iterator[Excluded]:
        """What others stand for."""
        problem = Problem(Reason.NOT_DRAWN)
        for (row,) in self._db.execute("SELECT row FROM surveyed WHERE factor = 0 ORDER BY number"):
            surveyed = _surveyed(row)
            facts = surveyed.facts._replace(offset=surveyed.offset, length=surveyed.length)
            yield Excluded.at(surveyed.file, surveyed.line, problem, facts)

    def close(self) -> None:
        """Forget them all."""
        self._db.close()


def _plain(row: Surveyed) -> list[object]:
    cuts = [[astuple(cut) for cut in row.cuts.cuts], row.cuts.passed_over]
    return [list(row.facts), *row[1:6], cuts]


def _surveyed(row: str) -> Surveyed:
    facts, file, line, offset, length, sha256, (cuts, passed_over) = orjson.loads(row)
    return Surveyed(
        Facts(*facts), file, line, offset, length, sha256, Cuts(tuple(Cut(*cut) for cut in cuts), passed_over)
    )
