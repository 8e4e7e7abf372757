"""Python's cyclic garbage collector, as a run needs it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = (50_000, 20, 50)


@contextmanager
def seldom() -> Iterator[None]:
    """Let the collector look for cycles seldom, and never among what is there already.

    A run holds many objects that live as long as a prefix does, and leaves hardly any cycles: to walk through them all
    after every 700 allocations takes a fifth of its time.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
