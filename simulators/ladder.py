"""Simulators one above the other, truest first: the first one that knows answers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from resample.judging.shorten import Count
from resample.prepare.tokens import rough_count
from resample.seeds import derive
from resample.types import (
    ChatModel,
    Hears,
    Mark,
    Message,
    Prefix,
    SimulatorSession,
    ToolCall,
    ToolOutput,
    ToolSimulator,
    UserError,
)
from simulators.base import Unknown
from simulators.experience import Experience, Turns
from simulators.llm import LLMSession, LLMSimulator
from simulators.recorded import Recorded
from simulators.workspace import Workspace, WorkspaceSession
from simulators.workspace.snapshots import Snapshots


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
        self.sessions = sessions

    async def answer(self, call: ToolCall) -> ToolOutput:
        """The output of the first rung that knows. Raises Unknown if none does."""
        for session in self.sessions:
            try:
                output = await session.answer(call)
            except Unknown:
                continue
            self._tell(call, output, besides=session)
            return output
        raise Unknown(f"no simulator could answer {call.name}")

    def hear(self, call: ToolCall, output: ToolOutput) -> None:
        """Tell every rung of a call that was answered elsewhere."""
        self._tell(call, output)

    def _tell(self, call: ToolCall, output: ToolOutput, besides: SimulatorSession | None = None) -> None:
        for session in self.sessions:
            if session is not besides and isinstance(session, Hears):
                session.hear(call, output)


class Standard:
    """The default: what was recorded, what can be known for sure, and a model for the rest.

    With `original` below 1, so large a share of the rollouts is played without the original turn as evidence, drawn by
    seed: what it does to the rates can be seen.
    """

    def __init__(self, recorded: Recorded, workspace: Workspace, llm: LLMSimulator, original: float = 1.0) -> None:
        self.rungs: dict[str, ToolSimulator] = {"recorded": recorded, "workspace": workspace, "llm": llm}
        self._original = original

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> StandardSession:
        """Begin a rollout on every rung."""
        hidden = self._original < 1 and random.Random(derive(seed, "original")).random() >= self._original
        shown = () if hidden else original
        sessions = {name: rung.open(prefix, shown, seed) for name, rung in self.rungs.items()}
        written, workspace = sessions["llm"], sessions["workspace"]
        if isinstance(written, LLMSession) and isinstance(workspace, WorkspaceSession):
            written.knows = workspace
        return StandardSession(list(sessions.values()), Mark.HIDDEN if hidden else "")


class StandardSession(LadderSession):
    """One rollout on every rung."""

    def __init__(self, sessions: Sequence[SimulatorSession], mark: str) -> None:
        super().__init__(sessions)
        self._mark = mark

    async def answer(self, call: ToolCall) -> ToolOutput:
        """The output of the first rung that knows."""
        output = await super().answer(call)
        marks = [mark for mark in (output.mark, self._mark) if mark]
        return output._replace(mark=",".join(marks))


def standard_ladder(
    model: ChatModel,
    seed: int = 0,
    room: int | None = None,
    count: Count = rough_count,
    others: Turns | None = None,
    original: float = 1.0,
    routes: Sequence[Mapping[str, str]] = (),
    faults: Mapping[str, float] | None = None,
    workspace: Any = None,
    workspaces_in: Sequence[Path] = (),
) -> ToolSimulator:
    """What config makes: the standard ladder, with routes per tool and drawn trouble where they are asked for.

    `room` tokens of the conversation are shown to the model. `others` reads the transcripts of the collection.
    `workspace` is a snapshot for transcripts that name none; those that transcripts name are read below
    `workspaces_in` only. Raises UserError for a route or a fault that is not.
    """
    from simulators.routes import Routes  # which are ladders themselves
    from simulators.trouble import Trouble, Troubled

    experience = None if others is None else Experience(others)
    library, corpus = (None, None) if experience is None else (experience.library, lambda: experience.corpus)
    standard = Standard(
        Recorded() if experience is None else Recorded(others=experience.repeats),
        Workspace(library, Snapshots(workspace, workspaces_in)),
        LLMSimulator(model, seed, room, count, corpus),
        original,
    )
    simulator: ToolSimulator = standard
    if routes:
        simulator = Routes([_route(route, standard) for route in routes], standard)
    if faults and any(faults.values()):
        simulator = Troubled(simulator, Trouble(**faults), seed)
    return simulator


def _route(route: Mapping[str, str], standard: Standard) -> tuple[str, ToolSimulator]:
    if set(route) != {"match", "use"}:
        raise UserError(f"simulator.routes: {dict(route)} must have `match` (a glob of tool names) and `use`")
    match, use = route["match"], route["use"]
    if use in standard.rungs:
        return match, standard.rungs[use]
    own = _own(use, list(standard.rungs))
    try:
        made: ToolSimulator = own()
    except (Exception, SystemExit) as error:  # anybody's code
        raise UserError(f"simulator.routes: use={use}: cannot be made: {type(error).__name__}: {error}") from None
    return match, made


def _own(use: str, rungs: Sequence[str]) -> type:
    """A class of the user's own. Nothing is called that is none: a route may name any function there is."""
    module, _, name = use.rpartition(".")
    if not module:
        raise UserError(f"simulator.routes: use={use}: give one of {', '.join(rungs)}, or a class as module.Class")
    try:
        found = getattr(import_module(module), name)
    except (Exception, SystemExit) as error:  # anybody's code
        raise UserError(f"simulator.routes: use={use}: cannot be imported ({type(error).__name__}: {error})") from None
    if not isinstance(found, type) or not callable(getattr(found, "open", None)):
        raise UserError(f"simulator.routes: use={use}: is no class with a method open(prefix, original, seed)")
    return found
