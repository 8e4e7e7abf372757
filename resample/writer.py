"""One thread that writes to SQLite, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from resample.types import StoreFailed

GROUP_SECONDS = 0.05
"""A commit gathers what arrives within this time: the window that a crash may cost (design: 100 ms at most)."""

Values = Sequence[object] | Callable[[], Sequence[object]]
"""What a statement is given, or what makes it, for work that the event loop should be spared."""


class _Statement(NamedTuple):
    sql: str
    values: Values


class _Barrier(NamedTuple):
    reached: threading.Event


class Writer:
    """Executes statements in the order they were handed over, in group commits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: deque[_Statement | _Barrier] = deque()
        # It looks by itself: to be woken for each statement would cost the event loop more than to hand it over.
        self._wanted = threading.Event()
        self._closing = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    @property
    def backlog(self) -> int:
        """How many statements wait."""
        return len(self._queue)

    def write(self, sql: str, values: Values) -> None:
        """Hand over one statement. Raises StoreFailed if an earlier one could not be written."""
        self._check()
        self._queue.append(_Statement(sql, values))

    async def flush(self) -> None:
        """Wait until everything handed over so far is committed."""
        await asyncio.to_thread(self.flush_now)

    def flush_now(self) -> None:
        """Wait, without an event loop, until everything handed over so far is committed."""
        barrier = _Barrier(threading.Event())
        self._queue.append(barrier)
        self._wanted.set()
        while not barrier.reached.wait(0.2):
            if not self._thread.is_alive():
                raise StoreFailed(f"{self._path}: the thread that writes has died")
        self._check()

    def close(self) -> None:
        """Commit what is left and end the thread. Raises StoreFailed if it could not be written."""
        self._closing = True
        self._wanted.set()
        self._thread.join()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise StoreFailed(f"{self._path}: cannot be written: {self._failure}")

    def _work(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        # In WAL mode a committed transaction survives the death of the process without waiting for the disk.
        connection.execute("PRAGMA synchronous=NORMAL")
        try:
            closing = False
            while not closing:
                self._wanted.wait(GROUP_SECONDS)
                self._wanted.clear()
                closing = self._closing  # before the last look: what was handed over by then is written
                self._commit_group(connection)
        finally:
            connection.close()

    def _commit_group(self, connection: sqlite3.Connection) -> None:
        """Write all that waits."""
        waiting = [self._queue.popleft() for _ in range(len(self._queue))]
        self._execute(connection, [entry for entry in waiting if isinstance(entry, _Statement)])
        for entry in waiting:
            if isinstance(entry, _Barrier):
                entry.reached.set()

    def _execute(self, connection: sqlite3.Connection, group: Sequence[_Statement]) -> None:
        if not group or self._failure is not None:
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            for sql, values in group:
                connection.execute(sql, values() if callable(values) else values)
            connection.execute("COMMIT")
        except (sqlite3.Error, OverflowError, ValueError) as error:  # the latter: values SQLite cannot hold
            self._failure = error
            if connection.in_transaction:
                connection.execute("ROLLBACK")
