"""How well simulated tool outputs pass for those that the environment really gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from resample.types import ChatModel
from simulators.experience import Experience, Turns
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
    hidden = Recorded(original=False, others=experience.repeats)
    workspace = Workspace(experience.library, snapshots)

    def written(model: ChatModel | None) -> LLMSimulator:
        return LLMSimulator(_Silent() if model is None else model, settings.seed, corpus=lambda: experience.corpus)

    result: dict[str, Any] = {}
    for name in measures:
        match name:
            case "identity":
                result[name] = await identity(cases, Ladder([Recorded(others=experience.repeats), workspace]))
            case "reconstruction":
                result[name] = await reconstruction(cases, hidden, workspace)
            case "evidence":
                result[name] = await evidence(cases, hidden, workspace, written(None))
            case "discriminator":
                assert judge is not None
                result[name] = await discriminate(
                    cases, hidden, workspace, written(simulator), judge, settings, progress
                )
    return result


def _examples(cases: Sequence[Case]) -> list[Case]:
    """So that those that come first are of all formats, and of many clusters: not of the files that were read first."""
    by_cluster = _by_turns(cases, lambda case: case.prefix.cluster)
    return _by_turns(by_cluster, lambda case: case.format)


def _by_turns(cases: Sequence[Case], group: Callable[[Case], str]) -> list[Case]:
    """The first of each group, then the second of each, and so on."""
    seen: Counter[str] = Counter()
    ranked = []
    for case in cases:
        ranked.append((seen[group(case)], case))
        seen[group(case)] += 1
    return [case for _, case in sorted(ranked, key=lambda each: each[0])]


class _Silent:
    """Stands where a model would be asked, in measures that ask none."""

    async def complete(self, request: object) -> Any:
        raise AssertionError("this measure asks no model")

    async def close(self) -> None:
        return None
