"""A small model of a provider's prompt cache, for the cached tokens of the stand-in's usage figures."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

BYTES_PER_TOKEN = 4
_LEAST_TOKENS = 1024
_STEP_TOKENS = 128


class PromptCache:
    """Which prompt prefixes were seen, in steps of 128 tokens from 1,024 on; the least recent are dropped.

    A prompt counts once it was answered: requests in flight together do not share.
    """

    def __init__(self, capacity: int = 200_000) -> None:
        """`capacity` is the number of prefixes held, at most; each takes about 100 bytes."""
        self._held: OrderedDict[bytes, None] = OrderedDict()
        self._capacity = capacity

    def cached_tokens(self, prompt: bytes) -> int:
        """How many leading tokens of the prompt are held."""
        marks = _marks(prompt)
        for index in range(len(marks) - 1, -1, -1):
            if marks[index] in self._held:
                return _LEAST_TOKENS + index * _STEP_TOKENS
        return 0

    def hold(self, prompt: bytes) -> None:
        """Hold every prefix of an answered prompt."""
        for mark in _marks(prompt):
            self._held[mark] = None
            self._held.move_to_end(mark)
        while len(self._held) > self._capacity:
            self._held.popitem(last=False)


def _marks(prompt: bytes) -> list[bytes]:
    """A hash of each prefix that a cache may hold, shortest first."""
    state = hashlib.blake2b(digest_size=12)
    start, marks = 0, []
    for end in range(_LEAST_TOKENS * BYTES_PER_TOKEN, len(prompt) + 1, _STEP_TOKENS * BYTES_PER_TOKEN):
        state.update(prompt[start:end])
        marks.append(state.digest())
        start = end
    return marks
