"""Measures that need no model: the original turn's own calls are asked again.

In `reconstruction` and `evidence` the outputs of the original turn are hidden: each one until its call was asked. What
the environment then really gave is known from there on, as it would be in a rollout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import takewhile
from typing import Any

from resample.judging.shorten import shorten_text
from resample.stats.binomial import clopper_pearson
from resample.types import Hears, SimulatorSession, Source, ToolCall, ToolOutput, ToolSimulator
from simulators.base import LOST, Unknown
from simulators.fidelity.cases import Case, is_declined
from simulators.fidelity.tally import Tally
from simulators.ladder import Ladder, LadderSession, Standard
from simulators.llm import LLMSession, LLMSimulator
from simulators.recorded import Recorded
from simulators.workspace import Workspace

_LEAST = 8
"""Characters of a line below which finding it says nothing."""
_MOST_SHOWN = 2000
"""Characters of an output, or of arguments, that are shown of a call that went wrong."""
_BEFORE = 500
"""Of these, so many before the first difference."""


async def identity(cases: Iterable[Case], simulator: ToolSimulator) -> dict[str, Any]:
    """Of the calls that have a recorded output, those that get it back, byte for byte, when the turn is replayed."""
    tally = Tally("calls", "matched", shares={"share": ("matched", "calls")})
    unmatched: list[dict[str, Any]] = []
    for case in cases:
        session = simulator.open(case.prefix, case.original, 0)
        for number, (call, real) in enumerate(case.calls, start=1):
            given = await _asked(session, call)
            if real is not None:
                matched = given is not None and given.content == real
                tally.add(call.name, case.format, case.prefix.transcript, calls=1, matched=int(matched))
                if not matched:
                    unmatched.append(difference(case, number, call, given, real))
            if given is None:
                tell(session, call, real)
    return tally.result(unmatched_calls=unmatched)


async def reconstruction(cases: Iterable[Case], recorded: Recorded, workspace: Workspace) -> dict[str, Any]:
    """Of the calls that have a recorded output: those answered without it and without a model, and if they are right.

    A wrong certain answer is worse than none: `wrong` is the number to look at, and `with_wrong` the transcripts that
    have one; `wrong_calls` shows each. Calls that a person declined have no output of a tool: they are counted apart.
    """
    tally = Tally(
        "calls",
        "answered",
        "right",
        "wrong",
        shares={"answered_share": ("answered", "calls"), "right_share": ("right", "answered")},
    )
    sources: Counter[str] = Counter()
    declined = 0
    wrong: list[dict[str, Any]] = []
    ladder = Ladder([recorded, workspace])
    for case in cases:
        session = ladder.open(case.prefix, (), 0)
        for number, (call, real) in enumerate(case.calls, start=1):
            if real is not None and is_declined(real):
                declined += 1
                tell(session, call, real)
                continue
            given = await _asked(session, call)
            if real is not None:
                right = given is not None and given.content == real
                counts = {"calls": 1, "answered": int(given is not None), "right": int(right)}
                counts["wrong"] = counts["answered"] - counts["right"]
                tally.add(call.name, case.format, case.prefix.transcript, **counts)
                sources.update([given.source.value] if given is not None else ())
                if given is not None and not right:
                    wrong.append(difference(case, number, call, given, real))
            if given is None:
                tell(session, call, real)
    with_wrong = tally.transcripts(lambda counts: counts["wrong"] > 0)
    result = tally.result(by_source=dict(sources), with_wrong=with_wrong, declined=declined, wrong_calls=wrong)
    low = clopper_pearson(result["right"], result["answered"], 0.05, 0.05).low
    return result | {"right_one_sided": low}


async def evidence(
    cases: Iterable[Case], recorded: Recorded, workspace: Workspace, written: LLMSimulator
) -> dict[str, Any]:
    """Of the distinct lines of the outputs that are left to the model, those that stand somewhere in its prompt.

    Lines of at least 8 characters, not contained in the call itself.
    """
    tally = Tally("calls", "lines", "found", shares={"share": ("found", "lines")})
    standard = Standard(recorded, workspace, written)
    for case in cases:
        session = standard.open(case.prefix, (), 0)
        *truer, model = session.sessions
        assert isinstance(model, LLMSession)
        shared = "\n".join(str(message["content"]) for message in model.shared.items)
        without_model = LadderSession(truer)
        for call, real in case.calls:
            given = await _asked(without_model, call)
            if given is not None:
                model.hear(call, given)
                continue
            if real is not None:
                prompt = "\n".join([shared, *(str(message["content"]) for message in model.prompt(call))])
                lines = _lines(real, call)
                found = sum(line in prompt for line in lines)
                tally.add(call.name, case.format, case.prefix.transcript, calls=1, lines=len(lines), found=found)
            tell(session, call, real)
    return tally.result()


def _lines(output: str, call: ToolCall) -> list[str]:
    asked = "\n".join([call.arguments, *map(str, (call.parsed or {}).values())])
    lines = dict.fromkeys(line.strip() for line in output.split("\n"))
    return [line for line in lines if len(line) >= _LEAST and line not in asked]


def difference(case: Case, number: int, call: ToolCall, given: ToolOutput | None, real: str) -> dict[str, Any]:
    """A call (the number-th of its turn) that did not get its real output, for people to look at.

    Of long outputs, what stands around their first difference is shown, which is at the character `differs_at`.
    """
    text = "" if given is None else given.content
    at = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, real, strict=False)))
    start = max(0, at - _BEFORE) if max(len(text), len(real)) > _MOST_SHOWN else 0
    return {
        "transcript": case.prefix.transcript,
        "format": case.format,
        "number": number,
        "call": {"name": call.name, "arguments": shorten_text(call.arguments, _MOST_SHOWN, len)},
        "differs_at": at,
        "given": None if given is None else text[start : start + _MOST_SHOWN],
        "real": real[start : start + _MOST_SHOWN],
    }


async def _asked(session: SimulatorSession, call: ToolCall) -> ToolOutput | None:
    try:
        return await session.answer(call)
    except Unknown:
        return None


def tell(session: SimulatorSession, call: ToolCall, real: str | None) -> None:
    """What the environment really gave; where the log has nothing, the call is only known to have been made."""
    if isinstance(session, Hears):
        lost = ToolOutput("", Source.OTHER, LOST)
        session.hear(call, lost if real is None else ToolOutput(real, Source.RECORDED))
