"""Simulators one above the other, truest first: the first one that knows answers."""

from __future__ import annotations

from collections.abc import Sequence

from resample.judging.shorten import Count
from resample.prepare.tokens import rough_count
from resample.types import (
    ChatModel,
    Hears,
    Message,
    Prefix,
    SimulatorSession,
    ToolCall,
    ToolOutput,
    ToolSimulator,
)
from simulators.base import Unknown
from simulators.llm import LLMSimulator
from simulators.recorded import Recorded


class Ladder:
    """Asks each of its rungs in turn; the others hear what was answered, so that each keeps its own account."""

    def __init__(self, rungs: Sequence[ToolSimulator]) -> None:
        self._rungs = rungs

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> LadderSession:
        """Begin a rollout on every rung."""
        return LadderSession([rung.open(prefix, original, seed) for rung in self._rungs])


class LadderSession:
    """One rollout on every rung."""

    def __init__(self, sessions: Sequence[SimulatorSession]) -> None:
        self._sessions = sessions

    async def answer(self, call: ToolCall) -> ToolOutput:
        """The output of the first rung that knows. Raises Unknown if none does."""
        for session in self._sessions:
            try:
                output = await session.answer(call)
            except Unknown:
                continue
            self._tell(call, output, besides=session)
            return output
        raise Unknown(f"no simulator could answer {call.name}")

    def hear(self, call: ToolCall, output: ToolOutput) -> None:
        """Tell every rung of a call that the harness answered."""
        self._tell(call, output)

    def _tell(self, call: ToolCall, output: ToolOutput, besides: SimulatorSession | None = None) -> None:
        for session in self._sessions:
            if session is not besides and isinstance(session, Hears):
                session.hear(call, output)


def standard_ladder(model: ChatModel, seed: int = 0, room: int | None = None, count: Count = rough_count) -> Ladder:
    """The default: what was recorded, then the model, shown `room` tokens of the conversation."""
    return Ladder([Recorded(), LLMSimulator(model, seed, room, count)])
