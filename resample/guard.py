"""Running anybody's code: what would end the program from within becomes an error like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

_T = TypeVar("_T")


async def guarded(work: Awaitable[_T]) -> _T:
    """Wait for the code of a plug-in. It may not end the run: neither by SystemExit nor by cancelling itself."""
    try:
        return await work
    except SystemExit as error:
        raise RuntimeError(f"it tried to end the program (SystemExit {error.code})") from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # somebody stops the run
        raise RuntimeError("it was cancelled from within") from None
