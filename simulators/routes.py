"""One simulator for these tools, another for those, by the tool's name."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from resample.types import Hears, Message, Prefix, SimulatorSession, ToolCall, ToolOutput, ToolSimulator
from simulators.base import Unknown
from simulators.ladder import Ladder


class Routes(Ladder):
    """A ladder whose rungs are asked about the tools of their glob only, in the order given; `otherwise` about all.

    A glob is one of `fnmatch`, and upper and lower case differ. A route that does not know leaves the call to the next
    one that matches. Every session that implements Hears hears of each call that another one answered.
    """

    def __init__(self, routes: Sequence[tuple[str, ToolSimulator]], otherwise: ToolSimulator) -> None:
        super().__init__([*(_Route(glob, simulator) for glob, simulator in routes), otherwise])


class _Route:
    """A simulator that knows only the tools whose names match."""

    def __init__(self, glob: str, simulator: ToolSimulator) -> None:
        self._glob = glob
        self._simulator = simulator

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> _RouteSession:
        return _RouteSession(self._glob, self._simulator.open(prefix, original, seed))


class _RouteSession:
    """One rollout of a route; what it hears, it hears of all tools."""

    def __init__(self, glob: str, session: SimulatorSession) -> None:
        self._glob = glob
        self._session = session

    async def answer(self, call: ToolCall) -> ToolOutput:
        if not fnmatchcase(call.name, self._glob):
            raise Unknown(f"{call.name} is not of the tools {self._glob}")
        return await self._session.answer(call)

    def hear(self, call: ToolCall, output: ToolOutput) -> None:
        if isinstance(self._session, Hears):
            self._session.hear(call, output)
