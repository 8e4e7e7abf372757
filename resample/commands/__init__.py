"""One module per command, each with `perform(config, invocation) -> exit code`."""

from __future__ import annotations

import os
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TextIO, TypeVar

T = TypeVar("T")


class Interrupted(SystemExit):
    """A signal came: what was at work has ended, and so does the program. Its code is the exit code."""


class Invocation(NamedTuple):
    """How a command was called, beside its config."""

    overrides: list[str]
    sweep: str | None
    """The sweep's directory, in a sweep."""
    swept: list[str]
    """The overrides that tell this job of a sweep from its siblings."""


@contextmanager
def progress_bar(wanted: bool, unit: str) -> Iterator[Any]:
    """A bar (of tqdm) on a terminal, silence elsewhere."""
    from tqdm import tqdm

    shown = wanted and sys.stderr is not None and sys.stderr.isatty()
    with tqdm(unit=unit, disable=not shown, dynamic_ncols=True, file=sys.stderr) as bar:
        yield bar


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run it on an event loop: uvloop's, where that is installed."""
    import asyncio

    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def say(text: str) -> None:
    """Print a result."""
    _write(sys.stdout, text)


def warn(text: str) -> None:
    """Print what is no result."""
    _write(sys.stderr, text)


def _write(stream: TextIO | None, text: str) -> None:
    """A reader who is gone, a full disk or an odd encoding must not change what a command has done."""
    if stream is None:  # closed before we started
        return
    try:
        try:
            stream.write(f"{text}\n")
        except UnicodeEncodeError:
            stream.write(text.encode("ascii", "backslashreplace").decode() + "\n")
        stream.flush()
    except (OSError, ValueError):
        _give_up(stream)


def finish_output() -> None:
    """Send what others, such as Hydra, have printed: a reader who is gone does not change how a command ended."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                _give_up(stream)


def _give_up(stream: TextIO) -> None:
    """Nobody reads it any more, and without this the interpreter would fail at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
