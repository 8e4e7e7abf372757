"""What fidelity is measured on: final turns of transcripts, their own calls and the outputs they really got."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from resample.types import Message, Prefix
from simulators.base import RecordedCall, recorded_calls


class Case(NamedTuple):
    """One transcript, cut."""

    prefix: Prefix
    original: tuple[Message, ...]
    format: str
    """The format it was read from."""

    @property
    def calls(self) -> list[RecordedCall]:
        """The calls of the original turn, each with the output it really got."""
        return recorded_calls(self.prefix, self.original)


_OPENING = 300
"""Characters in which a harness says that a person has declined a call."""


def is_declined(output: str) -> bool:
    """Did a person keep this call from being made? Then the harness wrote this, and no tool gave an output."""
    return any(phrase in output[:_OPENING] for phrase in _phrases())


@cache
def _phrases() -> tuple[str, ...]:
    return tuple(Path(__file__).with_name("declined.txt").read_text("utf-8").splitlines())
