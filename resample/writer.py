"""One thread that writes to SQLite, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from resample.types import StoreFailed

GROUP_SECONDS = 0.05
"""A commit gathers what arrives within this time: the window that a crash may cost (design: 100 ms at most)."""
GROUP_SIZE = 2000


class _Statement(NamedTuple):
    sql: str
    values: Sequence[object]


class _Barrier(NamedTuple):
    reached: threading.Event


class Writer:
    """Executes statements in the order they were handed over, in group commits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[_Statement | _Barrier | None] = queue.SimpleQueue()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    @property
    def backlog(self) -> int:
        """How many statements wait."""
        return self._queue.qsize()

    def write(self, sql: str, values: Sequence[object]) -> None:
        """Hand over one statement. Raises StoreFailed if an earlier one could not be written."""
        self._check()
        self._queue.put(_Statement(sql, values))

    async def flush(self) -> None:
        """Wait until everything handed over so far is committed."""
        await asyncio.to_thread(self.flush_now)

    def flush_now(self) -> None:
        """Wait, without an event loop, until everything handed over so far is committed."""
        barrier = _Barrier(threading.Event())
        self._queue.put(barrier)
        while not barrier.reached.wait(0.2):
            if not self._thread.is_alive():
                raise StoreFailed(f"{self._path}: the thread that writes has died")
        self._check()

    def close(self) -> None:
        """Commit what is left and end the thread. Raises StoreFailed if it could not be written."""
        self._queue.put(None)
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
            while self._commit_group(connection):
                pass
        finally:
            connection.close()

    def _commit_group(self, connection: sqlite3.Connection) -> bool:
        """Write one group; False when the end was reached."""
        group: list[_Statement] = []
        barriers: list[_Barrier] = []
        goes_on = True
        entry = self._queue.get()
        deadline = time.monotonic() + GROUP_SECONDS
        while True:
            if entry is None:
                goes_on = False
                break
            if isinstance(entry, _Barrier):
                barriers.append(entry)
                break  # somebody waits
            group.append(entry)
            if len(group) >= GROUP_SIZE:
                break
            try:
                entry = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
        self._execute(connection, group)
        for barrier in barriers:
            barrier.reached.set()
        return goes_on

    def _execute(self, connection: sqlite3.Connection, group: Sequence[_Statement]) -> None:
        if not group or self._failure is not None:
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            for statement in group:
                connection.execute(statement.sql, statement.values)
            connection.execute("COMMIT")
        except (sqlite3.Error, OverflowError, ValueError) as error:  # the latter: values SQLite cannot hold
            self._failure = error
            if connection.in_transaction:
                connection.execute("ROLLBACK")
