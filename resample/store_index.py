"""The index of a run, as its store keeps it: which transcripts are used, how each is cut, and what is not used."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from resample.formats.exclusions import Excluded
from resample.prepare.index import Indexed
from resample.prepare.schemas import Evidence
from resample.types import UserError


class Unit(NamedTuple):
    """One prefix of the plan, as far as statistics need to know it."""

    prefix: str
    transcript: str
    cluster: str
    weight: float
    whole: bool = True
    """Its log has all that the original model saw."""


class Purged:
    """The ids of removed transcripts, of which only hashes are kept."""

    def __init__(self, digests: Iterable[str]) -> None:
        self._digests = frozenset(digests)

    def __contains__(self, transcript: object) -> bool:
        return self.digest(str(transcript)) in self._digests

    @staticmethod
    def digest(transcript: str) -> str:
        """What is kept of an id."""
        return hashlib.sha256(transcript.encode()).hexdigest()


class TrafficRow(NamedTuple):
    """A transcript that was read; None where it is not known."""

    reason: str | None
    """Why it is not used; None if it is."""
    stratum: str | None
    weight: float | None
    """Its own sampling weight."""
    messages: int | None
    calls: int | None
    tools: int | None
    """Schemas in its log; for a used one, whether there are any."""
    date: str | None


class IndexTables:
    """The part of a store that is written when a run is planned, and read ever after."""

    def __init__(self, directory: Path, db: sqlite3.Connection) -> None:
        self.directory = directory
        self._db = db

    def put_index(self, entries: Iterable[tuple[Indexed, int] | Excluded], evidence: Evidence) -> None:
        """Set the index: each prefix with its place in the drawn order, and what is not used.

        Raises UserError, and keeps the old one, if a transcript of the old index is missing or has changed.
        `evidence` is read after `entries`.
        """
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute("CREATE TEMP TABLE incoming AS SELECT * FROM prefixes WHERE 0")
            db.execute("DELETE FROM excluded")
            for entry in entries:
                if isinstance(entry, Excluded):
                    facts = entry.facts or (None,) * 9
                    db.execute(f"INSERT INTO excluded VALUES ({marks(13)})", (*entry[:4], *facts))
                else:
                    indexed, draw = entry
                    row = (*astuple(indexed)[:-1], self._put_toolset(indexed.toolset), draw)
                    db.execute(f"INSERT INTO incoming VALUES ({marks(26)})", row)
            self._check_extension()
            db.execute("DELETE FROM prefixes")
            db.execute("INSERT INTO prefixes SELECT * FROM incoming")
            db.execute("DROP TABLE incoming")
            db.execute("DELETE FROM evidence")
            db.executemany("INSERT INTO evidence VALUES (?, ?, ?)", evidence.rows())
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise

    def _put_toolset(self, tools: str) -> str:
        """Keep a list of schemas once. Returns the hash it goes by; an empty text for none."""
        if not tools:
            return ""
        digest = hashlib.sha256(tools.encode()).hexdigest()[:16]
        self._db.execute("INSERT OR IGNORE INTO toolsets VALUES (?, ?)", (digest, tools))
        return digest

    def evidence(self) -> Evidence:
        """What calls showed of the agents' tools when the run was indexed first; nothing in a new run."""
        return Evidence(self._db.execute("SELECT * FROM evidence"))

    def _check_extension(self) -> None:
        lost = self._db.execute(
            "SELECT transcript, file FROM prefixes AS old WHERE NOT EXISTS"
            " (SELECT 1 FROM incoming AS new WHERE new.id = old.id AND new.sha256 = old.sha256)"
        ).fetchall()
        if lost:
            transcript, file = lost[0]
            raise UserError(
                f"out={self.directory}: {len(lost)} transcripts of this run are missing (was transcripts.limit"
                f" lowered?) or have changed, the first is {transcript!r} ({file}); a run can be extended, not changed:"
                " choose another out"
            )

    @property
    def has_prefixes(self) -> bool:
        """Is there anything to do?"""
        return self._db.execute("SELECT 1 FROM prefixes LIMIT 1").fetchone() is not None

    def purged(self) -> Purged:
        """Which transcripts were removed from this run."""
        return Purged(digest for (digest,) in self._db.execute("SELECT transcript FROM purged"))

    def prefixes(self) -> Iterator[tuple[Indexed, int]]:
        """Every prefix with its draw, in drawn order, clusters whole. Reads in pages: the loop may write meanwhile."""
        last = (-1, "", "")
        while True:
            page = self._db.execute(
                "SELECT p.*, t.tools FROM prefixes p LEFT JOIN toolsets t ON t.hash = p.toolset"
                " WHERE (draw, cluster, id) > (?, ?, ?) ORDER BY draw, cluster, id LIMIT 500",
                last,
            ).fetchall()
            if not page:
                return
            for row in page:
                entry = _indexed(row)
                draw = row[-2]
                last = (draw, entry.cluster, entry.prefix)
                yield entry, draw

    def units(self) -> list[Unit]:
        """Every prefix of the plan, in drawn order."""
        rows = self._db.execute(
            "SELECT id, transcript, cluster, weight, missing FROM prefixes ORDER BY draw, cluster, id"
        )
        return [
            Unit(prefix, transcript, cluster, weight, whole=not missing)
            for prefix, transcript, cluster, weight, missing in rows
        ]

    def shapes(self) -> Iterator[tuple[int, int, int]]:
        """Of every prefix: its tokens, its messages, and the messages of the original turn."""
        return self._db.execute("SELECT tokens, cut, cut_end - cut FROM prefixes")

    def missing(self) -> dict[str, int]:
        """Of how many prefixes the log lacks which part of what the original model saw."""
        return self._listed("missing")

    def shortened(self) -> dict[str, int]:
        """For which roles how many prefixes are shortened."""
        return self._listed("shortened")

    def reasoning_left_out(self) -> int:
        """Prefixes whose log holds reasoning before the cut: it is another model's, and is not sent."""
        return self._db.execute("SELECT sum(reasoning) FROM prefixes").fetchone()[0] or 0

    def _listed(self, column: str) -> dict[str, int]:
        """How many prefixes name each thing in a column that lists things by comma."""
        rows = self._db.execute(f"SELECT {column}, count(*) FROM prefixes WHERE {column} != '' GROUP BY {column}")
        counts: Counter[str] = Counter()
        for listed, count in rows:
            counts.update(dict.fromkeys(listed.split(","), count))
        return dict(sorted(counts.items()))

    def scrubbed(self) -> dict[str, int]:
        """How much was replaced by pseudonyms in the used transcripts, by kind."""
        counts: Counter[str] = Counter()
        for (found,) in self._db.execute("SELECT scrubbed FROM prefixes WHERE scrubbed != '{}' GROUP BY transcript"):
            counts.update(orjson.loads(found))
        return dict(sorted(counts.items()))

    def passed_over(self) -> int:
        """Places in the used transcripts where the policy asks for a cut and none was possible."""
        query = "SELECT sum(passed_over) FROM (SELECT DISTINCT transcript, passed_over FROM prefixes)"
        return self._db.execute(query).fetchone()[0] or 0

    def tokens(self) -> dict[str, int]:
        """The estimated tokens of the prefixes: all, and the longest."""
        total, most = self._db.execute("SELECT sum(tokens), max(tokens) FROM prefixes").fetchone()
        return {"sum": total or 0, "max": most or 0}

    def tools(self) -> dict[str, int]:
        """How many prefixes have the log's own tool schemas, inferred ones, or none."""
        given, inferred, none = self._db.execute(
            "SELECT sum(tools > 0 AND toolset = ''), sum(toolset != ''), sum(tools = 0) FROM prefixes"
        ).fetchone()
        return {"given": given or 0, "inferred": inferred or 0, "none": none or 0}

    def excluded(self) -> dict[str, int]:
        """How much was read and is not used, by reason."""
        return dict(self._db.execute("SELECT reason, count(*) FROM excluded GROUP BY reason ORDER BY reason"))

    def first_excluded(self) -> Excluded | None:
        """The first of them."""
        row = self._db.execute("SELECT file, line, reason, detail FROM excluded LIMIT 1").fetchone()
        return None if row is None else Excluded(*row)

    def transcripts(self) -> tuple[str, bool]:
        """SHA-256 over the hashes of all used transcripts, and whether the prefixes differ in weight."""
        digest = hashlib.sha256()
        for (one,) in self._db.execute("SELECT DISTINCT sha256 FROM prefixes ORDER BY sha256"):
            digest.update(one.encode())
        low, high = self._db.execute("SELECT min(weight), max(weight) FROM prefixes").fetchone()
        return digest.hexdigest(), low != high

    def traffic(self) -> list[TrafficRow]:
        """One row per transcript that was read, used or not, and per file that could not be."""
        rows = self._db.execute(
            "SELECT NULL, stratum, traffic, messages, calls, tools > 0 AND toolset = '', date FROM prefixes"
            " GROUP BY transcript UNION ALL SELECT reason, stratum, weight, messages, calls, tools, date FROM excluded"
        )
        return [TrafficRow(*row) for row in rows]


def marks(count: int) -> str:
    """So many places for values in a statement."""
    return ", ".join("?" * count)


def _indexed(row: tuple[Any, ...]) -> Indexed:
    """A row of `prefixes` in the order of Indexed's fields, but for the draw before the tool schemas at its end."""
    *facts, _hash, _draw, toolset = row
    entry: list[Any] = [*facts, toolset or ""]
    return Indexed(*entry)
