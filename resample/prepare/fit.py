"""Does a prefix fit the models that have to read it? What does not is excluded, with its reason and its weight.

A simulator's or a judge's conversation may be shortened instead (`resample.judging.shorten`), never a candidate's: what
it was not given, it cannot be blamed for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from resample.formats.exclusions import Problem, Reason
from resample.prepare.tokens import TokenCounter, fits, prompt_tokens
from resample.types import Prefix


@dataclass(frozen=True, slots=True)
class Reader:
    """A role whose model reads the prefix."""

    role: str
    counter: TokenCounter
    room: int
    """Tokens that the prefix may have."""
    shorten: bool = False
    """Is a longer one shortened for this role?"""


@dataclass(frozen=True)
class Fit:
    """What the readers of a run's prefixes can take."""

    readers: Sequence[Reader] = ()

    @property
    def excludes(self) -> bool:
        """Is there a reader for which a prefix may be too long?"""
        return not all(reader.shorten for reader in self.readers)

    def problem(self, prefix: Prefix) -> Problem | None:
        """The first reader that it does not fit."""
        for reader in self.readers:
            if not reader.shorten and not _takes(reader, prefix):
                size = prompt_tokens(reader.counter, prefix.messages.items, prefix.tools.items)
                about = "" if reader.counter.exact else "about "
                return Problem(Reason.TOO_LONG, f"{reader.role}: {about}{size} tokens, room for {reader.room}")
        return None

    def shortened(self, prefix: Prefix) -> list[str]:
        """The roles for which it is shortened."""
        return [reader.role for reader in self.readers if reader.shorten and not _takes(reader, prefix)]


def _takes(reader: Reader, prefix: Prefix) -> bool:
    return fits(reader.counter, prefix.messages.items, prefix.tools.items, window=reader.room)
