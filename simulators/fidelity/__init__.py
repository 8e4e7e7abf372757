"""How well simulated tool outputs pass for those that the environment really gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from resample.types import ChatModel
from simulators.experience import MOST, Experience, Turns
from simulators.fidelity.cases import Case
from simulators.fidelity.discriminator import Settings, discriminate
from simulators.fidelity.replayed import evidence, identity, reconstruction
from simulators.ladder import Ladder
from simulators.llm import LLMSimulator
from simulators.recorded import Recorded
from simulators.workspace import Workspace
from simulators.workspace.snapshots import Snapshots

__all__ = ["Case", "Settings", "measure"]


async def measure(
    measures: Sequence[str],
    cases: Sequence[Case],
    simulator: ChatModel | None,
    judge: ChatModel | None,
    settings: Settings,
    snapshots: Snapshots,
    progress: Callable[[int], None] = lambda done: None,
    others: Turns | None = None,
) -> dict[str, Any]:
    """One object per measure, as JSON. `simulator` and `judge` are asked for `discriminator` only.

    `others` reads the transcripts that serve as examples; by default those of the cases.
    """
    experience = Experience(others or (lambda: [(case.prefix, case.original) for case in _examples(cases)]))
    workspace = Workspace(experience.library, snapshots)

    def written(model: ChatModel | None) -> LLMSimulator:
        return LLMSimulator(_Silent() if model is None else model, settings.seed, corpus=lambda: experience.corpus)

    result: dict[str, Any] = {}
    for name in measures:
        match name:
            case "identity":
                result[name] = await identity(cases, Ladder([Recorded(), workspace]))
            case "reconstruction":
                result[name] = await reconstruction(cases, workspace)
            case "evidence":
                result[name] = await evidence(cases, workspace, written(None))
            case "discriminator":
                assert judge is not None
                result[name] = await discriminate(cases, workspace, written(simulator), judge, settings, progress)
    return result


def _examples(cases: Sequence[Case]) -> list[Case]:
    """As many of each format, where it has them: or else the files read first would leave no room for the others."""
    seen: Counter[str] = Counter()
    ranks = []
    for case in cases:
        ranks.append(seen[case.format])
        seen[case.format] += 1
    first = sorted(range(len(cases)), key=ranks.__getitem__)[:MOST]
    return [cases[at] for at in sorted(first)]


class _Silent:
    """Stands where a model would be asked, in measures that ask none."""

    async def complete(self, request: object) -> Any:
        raise AssertionError("this measure asks no model")

    async def close(self) -> None:
        return None
