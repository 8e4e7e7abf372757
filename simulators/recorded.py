"""Serves the outputs that the original turn really got, as long as the candidate does what the original did."""

from __future__ import annotations

from collections.abc import Sequence

from resample.types import Message, Prefix, Source, ToolCall, ToolOutput
from simulators.base import RecordedCall, Unknown, recorded_calls, same_call


class Recorded:
    """The recording of the original turn.

    An output is served only while the candidate's calls so far equal the original's: after the first call that
    differs the world may differ too, and every later recording is stale.
    """

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> RecordedSession:
        """Begin a rollout; nothing is drawn, so the seed is not used."""
        return RecordedSession(recorded_calls(prefix, original))


class RecordedSession:
    """One rollout beside one recording."""

    def __init__(self, recording: Sequence[RecordedCall]) -> None:
        self._recording = recording
        self._next = 0
        self._in_step = True

    async def answer(self, call: ToolCall) -> ToolOutput:
        """The recorded output of this very call. Raises Unknown once the rollout has left the recording."""
        expected = self._follow(call)
        if expected is None or expected.output is None:
            raise Unknown("the original turn made no such call here")
        return ToolOutput(expected.output, Source.RECORDED)

    def hear(self, call: ToolCall, output: ToolOutput) -> None:
        """A call the harness answered is one of the candidate's calls, too. (Others were asked here first.)"""
        if output.source is Source.HARNESS:
            self._follow(call)

    def _follow(self, call: ToolCall) -> RecordedCall | None:
        """The original's call at this place; None from the first one on that differs."""
        expected = self._recording[self._next] if self._next < len(self._recording) else None
        self._next += 1
        self._in_step = self._in_step and expected is not None and same_call(expected.call, call)
        return expected if self._in_step else None
