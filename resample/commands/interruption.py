"""Ctrl-C and SIGTERM: the first one ends the work cleanly, later ones change nothing (kill -9 is safe, too)."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from resample.commands import Interrupted, warn
from resample.types import Exit

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Catches signals while it is entered. Only the main thread can; elsewhere nothing is caught."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._cancel: Callable[[], object] | None = None
        self._before: dict[int, Any] = {}

    @property
    def code(self) -> Exit | None:
        """The exit code of the signal that came; None if none did."""
        if self._number is None:
            return None
        return Exit.INTERRUPTED if self._number == signal.SIGINT else Exit.TERMINATED

    @contextmanager
    def cancels(self, task: asyncio.Task[Any]) -> Iterator[None]:
        """A signal cancels `task`. Outside of this it ends the command, and once this is over it is only noted."""
        loop = asyncio.get_running_loop()
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            yield
        finally:
            self._cancel = lambda: None

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self._number is not None:
            return
        self._number = number
        warn("\nstopping: what is finished is kept, the same command goes on")
        if self._cancel is None:
            raise Interrupted(self.code)
        self._cancel()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._received) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
