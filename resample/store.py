"""What a run keeps on disk: `run.sqlite`, readable by its owner only.

One process writes a run at a time (a lock refuses a second one). Rollouts, verdicts and every answered model call are
handed to one writer thread; reading happens on a connection of its own.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import zstandard
from filelock import FileLock, Timeout

from resample.judging.render import call_texts, text_of
from resample.store_index import IndexTables, marks
from resample.types import (
    Arm,
    ChatRequest,
    Disclosure,
    Finding,
    Message,
    ModelError,
    Reply,
    Role,
    Rollout,
    RolloutKey,
    Shared,
    Source,
    StopReason,
    Usage,
    UserError,
    Verdict,
    VerdictOutcome,
)
from resample.writer import Writer

SCHEMA_VERSION = 5
FILE = "run.sqlite"
_SCHEMA = Path(__file__).with_name("schema.sql")
_MAX_BACKLOG = 5000
_MOST_TEXTS = 10_000


_REPLY = "raw, prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, usd, estimated, seconds, retries"
"""The columns of an answered call."""
_ACTING = (StopReason.TERMINAL_TOOL, StopReason.MAX_STEPS)
"""A turn that ended so made a call, also where calls are written as text."""


class Finished(NamedTuple):
    """How far a rollout has come."""

    stop_reason: StopReason | None = None
    """None if it is still to be played."""
    outcome: VerdictOutcome | None = None
    """Of its verdict; None where there is none."""
    is_open: bool = False
    """Is it not known of one of its findings whether it depends on invented content, though somebody was asked?"""


class StoredReply(NamedTuple):
    """An answered call of the journal."""

    raw: bytes
    usage: Usage
    seconds: float
    retries: int


EXAMPLES = "examples"
"""Key of the prefixes of transcripts whose calls serve as examples in the simulation of others."""


FIDELITY = "fidelity"
"""Key of what was measured of the simulation, and the name under which the calls for it are journalled."""


class RoleUsage(NamedTuple):
    """All calls of one role, added up."""

    role: str
    requests: int
    usage: Usage
    retries: int
    estimated: int
    """Calls of which the provider reported no usage."""
    failed: int
    """Calls that failed for good."""


class Store(IndexTables):
    """A run's directory. Use `Store.open` to write one, `Store.read` to look at one."""

    def __init__(self, directory: Path, lock: FileLock | None) -> None:
        path = directory / FILE
        super().__init__(directory, sqlite3.connect(path, isolation_level=None) if lock is not None else _look_at(path))
        self._lock = lock
        self._writer = Writer(path) if lock is not None else None
        self._known_texts: OrderedDict[str, None] = OrderedDict()
        """Hashes of the texts that were written of late."""
        self._zip = zstandard.ZstdCompressor(level=3)
        self._unzip = zstandard.ZstdDecompressor()

    @classmethod
    def open(cls, directory: Path) -> Store:
        """Open a run for writing, creating it if need be. Raises UserError if another process has it."""
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = _take_lock(directory)
            path = directory / FILE
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise UserError(f"out={directory}: cannot be used as a run directory: {error}") from None
        try:
            _check_schema(path, create=True)
            return cls(directory, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def read(cls, directory: Path) -> Store:
        """Open a run for reading, also while it is being written."""
        path = directory / FILE
        if not path.is_file():
            raise UserError(f"{directory}: no run here (it has no {FILE})")
        _check_schema(path, create=False)
        return cls(directory, None)

    def close(self) -> None:
        """Commit what is left, and let others in."""
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self._db.close()
            if self._lock is not None:
                self._lock.release()

    async def flush(self) -> None:
        """Wait until everything written so far is committed."""
        await self._writing.flush()

    async def relieve(self) -> None:
        """Wait for the disk if it has fallen far behind: memory stays bounded."""
        if self._writing.backlog > _MAX_BACKLOG:
            await self._writing.flush()

    @property
    def _writing(self) -> Writer:
        if self._writer is None:
            raise RuntimeError("this store was opened for reading")
        return self._writer

    # -- meta ---------------------------------------------------------------------------------------------------

    def get(self, key: str) -> Any:
        """A value of the run's own facts, or None."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else orjson.loads(row[0])

    def put(self, key: str, value: Any) -> None:
        """Set a value of the run's own facts, at once."""
        text = orjson.dumps(value).decode()
        self._writing.write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, text))
        self._writing.flush_now()

    # -- rollouts and verdicts ----------------------------------------------------------------------------------

    def put_rollout(self, key: RolloutKey, rollout: Rollout) -> None:
        """Keep a finished rollout; a failed one that was run again is replaced."""
        steps = rollout.steps
        values = (
            *key,
            rollout.stop_reason,
            rollout.detail,
            orjson.dumps(rollout.messages).decode(),
            orjson.dumps(rollout.sources).decode(),
            orjson.dumps(rollout.marks).decode(),
            len(steps),
            any(call_texts(step.message) for step in steps) or bool(rollout.sources) or rollout.stop_reason in _ACTING,
            not any(text_of(step.message) or call_texts(step.message) for step in steps),
        )
        self._writing.write(f"INSERT OR REPLACE INTO rollouts VALUES ({marks(11)})", values)

    def put_verdict(self, key: RolloutKey, judge: str, verdict: Verdict, invented: Sequence[bool | None] = ()) -> None:
        """Keep a finished verdict of the judge so named; `invented`: of each finding, does it depend on that?"""
        findings = orjson.dumps([finding._asdict() for finding in verdict.findings]).decode()
        awareness, opportunity = verdict.evaluation_awareness, verdict.opportunity
        told = orjson.dumps(list(invented)).decode()
        said = (findings, opportunity, awareness, verdict.notes, verdict.detail, told)
        values = (*key, judge, verdict.outcome, *said)
        self._writing.write(f"INSERT OR REPLACE INTO verdicts VALUES ({marks(11)})", values)

    @property
    def is_empty(self) -> bool:
        """Nothing was played, and nothing spent beyond a preflight."""
        asked = "SELECT 1 FROM requests WHERE prefix != 'preflight' LIMIT 1"
        return not any(self._db.execute(sql).fetchone() for sql in ("SELECT 1 FROM rollouts LIMIT 1", asked))

    def finished(self, prefix: str, judge: str) -> dict[tuple[Arm, int], Finished]:
        """Of one prefix: how each finished rollout ended, and its verdict if there is one."""
        rows = self._db.execute(
            "SELECT r.arm, r.sample, r.stop_reason, v.outcome,"
            " EXISTS (SELECT 1 FROM json_each(v.invented) WHERE value IS NULL) FROM rollouts r LEFT JOIN verdicts v"
            " ON (v.prefix, v.arm, v.sample) = (r.prefix, r.arm, r.sample) AND v.judge = ? WHERE r.prefix = ?",
            (judge, prefix),
        )
        return {
            (Arm(arm), sample): Finished(
                StopReason(reason), VerdictOutcome(outcome) if outcome else None, bool(unknown)
            )
            for arm, sample, reason, outcome, unknown in rows
        }

    def verdict(self, key: RolloutKey, judge: str) -> Verdict:
        """The verdict of the judge so named."""
        row = self._db.execute(
            "SELECT outcome, findings, opportunity, evaluation_awareness, notes, detail FROM verdicts"
            " WHERE (prefix, arm, sample, judge) = (?, ?, ?, ?)",
            (*key, judge),
        ).fetchone()
        if row is None:
            raise KeyError(key)
        outcome, findings, opportunity, awareness, notes, detail = row
        return Verdict(
            VerdictOutcome(outcome),
            tuple(map(finding_of, orjson.loads(findings))),
            None if opportunity is None else bool(opportunity),
            None if awareness is None else bool(awareness),
            notes,
            detail,
        )

    def rollout(self, key: RolloutKey) -> Rollout:
        """A finished rollout."""
        row = self._db.execute(
            "SELECT messages, stop_reason, sources, marks, detail FROM rollouts"
            " WHERE (prefix, arm, sample) = (?, ?, ?)",
            key,
        ).fetchone()
        if row is None:
            raise KeyError(key)
        messages, reason, sources, marked, detail = row
        return Rollout(
            tuple(orjson.loads(messages)),
            StopReason(reason),
            tuple(map(Source, orjson.loads(sources))),
            tuple(orjson.loads(marked)),
            detail,
        )

    def results(self, arm: Arm, judge: str) -> Iterator[sqlite3.Row]:
        """Every finished rollout of an arm with this judge's verdict (null where there is none), and its prefix."""
        cursor = self._db.cursor()
        cursor.row_factory = sqlite3.Row
        return cursor.execute(
            "SELECT r.prefix, r.stop_reason, r.sources, r.marks, r.acted, r.empty,"
            " v.outcome, v.findings, v.invented, v.evaluation_awareness, p.transcript, p.cluster, p.weight, p.missing"
            " FROM rollouts r LEFT JOIN prefixes p ON p.id = r.prefix"
            " LEFT JOIN verdicts v ON (v.prefix, v.arm, v.sample) = (r.prefix, r.arm, r.sample) AND v.judge = ?"
            " WHERE r.arm = ? ORDER BY r.prefix, r.sample",
            (judge, arm),
        )

    def gravest(self, judge: str, limit: int) -> list[dict[str, Any]]:
        """This judge's findings of the highest severity in the candidate's turns, with what is known of each."""
        rows = self._db.execute(
            "SELECT p.transcript, v.sample, json_extract(v.invented, '$[' || f.key || ']'), f.value"
            " FROM verdicts v JOIN prefixes p ON p.id = v.prefix, json_each(v.findings) f"
            " WHERE (v.arm, v.judge) = (?, ?)"
            " ORDER BY json_extract(f.value, '$.severity') DESC, p.transcript, v.sample, f.key LIMIT ?",
            (Arm.CANDIDATE, judge, limit),
        )
        return [
            {"transcript": name, "sample": n, "invented": None if told is None else bool(told), **orjson.loads(value)}
            for name, n, told, value in rows
        ]

    # -- journal ------------------------------------------------------------------------------------------------

    def put_reply(self, key: RolloutKey, request: ChatRequest, content: str, reply: Reply) -> None:
        """Journal an answered call, with the texts that were sent to a simulator or a judge."""
        prompt: list[str] = []
        if request.role in (Role.SIMULATOR, Role.JUDGE):
            for part in (request.prefix, Shared(request.tail)):
                prompt += part.digests
                for digest, message in zip(part.digests, part.items, strict=True):
                    self._put_text(digest, message)
        usage = reply.usage
        now = time.time()

        def values() -> Sequence[object]:
            return (
                *key,
                request.role,
                request.step,
                content,
                orjson.dumps(prompt).decode(),
                request.seed,
                self._zip.compress(reply.raw),
                reply.model,
                reply.fingerprint,
                usage.prompt_tokens,
                usage.cached_tokens,
                usage.completion_tokens,
                usage.reasoning_tokens,
                usage.usd,
                usage.estimated,
                reply.seconds,
                reply.retries,
                now,
            )

        self._writing.write(
            "INSERT INTO requests (prefix, arm, sample, role, step, content, prompt, seed, raw, model, fingerprint,"
            " prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, usd, estimated, seconds,"
            " retries, answered)"
            f" VALUES ({marks(20)})",
            values,
        )

    def put_failure(self, key: RolloutKey, request: ChatRequest, error: ModelError) -> None:
        """Keep a call that failed for good."""
        values = (*key, request.role, request.step, error.fault, error.status, str(error), error.retries, time.time())
        self._writing.write(f"INSERT INTO failures VALUES ({marks(10)})", values)

    def _put_text(self, digest: str, message: Message) -> None:
        if digest in self._known_texts:
            self._known_texts.move_to_end(digest)
            return
        self._writing.write(
            "INSERT OR IGNORE INTO texts VALUES (?, ?)",
            lambda: (digest, self._zip.compress(orjson.dumps(message))),
        )
        self._known_texts[digest] = None
        if len(self._known_texts) > _MOST_TEXTS:
            self._known_texts.popitem(last=False)

    def replies(self, key: RolloutKey) -> tuple[dict[str, StoredReply], dict[str, int]]:
        """The journal of one rollout: by content hash the reply to serve, and how many were retired."""
        rows = self._db.execute(
            f"SELECT content, retired, {_REPLY} FROM requests WHERE (prefix, arm, sample) = (?, ?, ?)",
            key,
        )
        served: dict[str, StoredReply] = {}
        retired: dict[str, int] = {}
        for content, is_retired, *reply in rows:
            if is_retired:
                retired[content] = retired.get(content, 0) + 1
            else:
                served[content] = self._stored_reply(*reply)
        return served, retired

    def reply_to(self, prefix: str, content: str) -> StoredReply | None:
        """What any rollout of a prefix was answered to this very request."""
        row = self._db.execute(
            f"SELECT {_REPLY} FROM requests WHERE prefix = ? AND content = ? AND NOT retired LIMIT 1", (prefix, content)
        ).fetchone()
        return None if row is None else self._stored_reply(*row)

    def _stored_reply(
        self,
        raw: bytes,
        prompt: int,
        cached: int,
        completion: int,
        reasoning: int,
        usd: float | None,
        estimated: int,
        seconds: float,
        retries: int,
    ) -> StoredReply:
        usage = Usage(prompt, cached, completion, reasoning, usd, bool(estimated))
        return StoredReply(self._unzip.decompress(raw), usage, seconds, retries)

    def retire(self, key: RolloutKey, role: str, *, last_only: bool, since: int = 0) -> None:
        """Serve these replies, of this step and later ones, no more: they were of no use. They still count as spent."""
        # Where a call failed after the last reply, that one was of use.
        only = (
            "AND id = (SELECT max(id) FROM requests WHERE (prefix, arm, sample, role) = (?, ?, ?, ?)) AND NOT EXISTS"
            " (SELECT 1 FROM failures f WHERE (f.prefix, f.arm, f.sample, f.role) = (?, ?, ?, ?)"
            " AND f.failed > requests.answered)"
        )
        values = (*key, role, since, *((*key, role, *key, role) if last_only else ()))
        self._writing.write(
            "UPDATE requests SET retired = 1 WHERE (prefix, arm, sample, role) = (?, ?, ?, ?) AND step >= ? "
            + (only if last_only else ""),
            values,
        )
        self._writing.flush_now()

    def usage(self) -> list[RoleUsage]:
        """What each role has used so far: every call that was ever answered, and how many failed."""
        rows = self._db.execute(
            "SELECT role, sum(answered), sum(prompt), sum(cached), sum(completion), sum(reasoning),"
            " CASE WHEN count(usd) = count(*) THEN sum(usd) END, sum(retries), sum(estimated), sum(NOT answered) FROM"
            " (SELECT role, 1 AS answered, prompt_tokens AS prompt, cached_tokens AS cached,"
            " completion_tokens AS completion, reasoning_tokens AS reasoning, usd, retries, estimated FROM requests"
            " UNION ALL SELECT role, 0, 0, 0, 0, 0, 0.0, retries, 0 FROM failures) GROUP BY role"
        )
        return [RoleUsage(role, answered, Usage(*sums[:5]), *sums[5:]) for role, answered, *sums in rows]

    def returned_models(self) -> list[tuple[str, str, str | None, int]]:
        """Role, model id returned, fingerprint, number of replies."""
        return self._db.execute(
            "SELECT role, model, fingerprint, count(*) FROM requests GROUP BY role, model, fingerprint"
        ).fetchall()


def finding_of(entry: Mapping[str, Any]) -> Finding:
    """A finding as it is kept in `verdicts.findings`."""
    return Finding(**{**entry, "disclosed": Disclosure(entry["disclosed"])})


def _look_at(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing; also where nothing can be changed, such as a read-only disk."""
    address = path.absolute().as_uri()
    db = sqlite3.connect(f"{address}?mode=ro", uri=True, isolation_level=None)
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        db.close()
        return sqlite3.connect(f"{address}?immutable=1", uri=True, isolation_level=None)
    return db


def _take_lock(directory: Path) -> FileLock:
    lock = FileLock(directory / ".lock", mode=0o600)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(
            f"out={directory}: another process is writing this run; wait for it, or choose another out"
        ) from None
    return lock


def _check_schema(path: Path, *, create: bool) -> None:
    try:
        db = sqlite3.connect(path, isolation_level=None) if create else _look_at(path)
        try:
            if create:
                db.execute("PRAGMA journal_mode=WAL")
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            if version == 0 and create:
                if path.with_name("summary.json").exists():
                    raise UserError(f"{path}: is empty, but a run was here: restore it, or choose another out")
                db.executescript(_SCHEMA.read_text(encoding="utf-8"))
                db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise UserError(
                    f"{path}: written by another version (schema {version}, this program has {SCHEMA_VERSION})"
                )
        finally:
            db.close()
    except sqlite3.Error as error:
        raise UserError(f"{path}: cannot be {'written' if create else 'read'} as a run: {error}") from None
