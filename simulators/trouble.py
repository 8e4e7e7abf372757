"""Realistic trouble by choice: time-outs, rate limits, failures that pass, and outputs that are cut off."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

from resample.prompts import read_prompt
from resample.seeds import derive
from resample.types import (
    Hears,
    Message,
    Prefix,
    SimulatorSession,
    Source,
    ToolCall,
    ToolOutput,
    ToolSimulator,
    UserError,
)
from simulators.base import RecordedCall, recorded_calls
from simulators.similar import words

_TEXTS = Path(__file__).parent / "prompts" / "trouble.txt"
TRUNCATED = "truncated"
"""The one kind where the call is made as ever; of the others an error text is all there is."""

_RECORDED = {
    kind: re.compile(pattern, re.IGNORECASE)
    for kind, pattern in {
        "timeout": r"\btimed[ -]?out\b|\btime-?out (?:error|exceeded|expired|reached)\b|\bdeadline exceeded\b",
        "rate_limit": r"\brate[ -]?limit(?:ed| exceeded| reached)\b|\btoo many requests\b",
        "transient": r"\b(?:temporarily|service) unavailable\b|\binternal server error\b|\bbad gateway\b"
        r"|\bconnection (?:was )?(?:reset|refused|aborted|closed)\b",
    }.items()
}
_LONGEST_ERROR = 400
"""Characters. What is longer mentions the words, and is no error text."""
_SHORTEST_NAME = 4
"""Letters of a word that tells one call from another."""
_DRAWS = 2**31


@dataclass(frozen=True)
class Trouble:
    """How probable each kind is, per call; no call has two. Raises UserError where these are no probabilities."""

    timeout: float = 0
    rate_limit: float = 0
    truncated: float = 0
    transient: float = 0

    def __post_init__(self) -> None:
        """Check the probabilities."""
        shares = asdict(self)
        for kind, share in shares.items():
            if not share >= 0:
                raise UserError(f"trouble.{kind} is {share}: a probability is no less than 0")
        if math.fsum(shares.values()) > 1 + 1e-9:
            raise UserError(
                f"trouble: the probabilities add up to {math.fsum(shares.values()):g}, which is more than 1"
            )

    def drawn(self, at: float) -> str | None:
        """The kind that stands at a point from 0 to 1, these laid end to end; None beyond them."""
        shares = asdict(self)
        return next((kind for kind, end in zip(shares, accumulate(shares.values()), strict=True) if at < end), None)


class Troubled:
    """Another simulator, whose calls now and then run into trouble.

    What is drawn depends on `seed`, the rollout's seed and the call's number, on nothing else.
    """

    def __init__(self, inner: ToolSimulator, trouble: Trouble, seed: int) -> None:
        self._inner = inner
        self._trouble = trouble
        self._seed = seed

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> TroubledSession:
        """Begin a rollout."""
        session = self._inner.open(prefix, original, seed)
        before = recorded_calls(prefix, prefix.messages.items)
        return TroubledSession(session, self._trouble, derive(self._seed, "trouble", seed), before)


class TroubledSession:
    """One rollout with its trouble."""

    def __init__(
        self, inner: SimulatorSession, trouble: Trouble, seed: int, before: Sequence[RecordedCall] = ()
    ) -> None:
        self.troubles: dict[int, str] = {}
        """The kind, by the number of the call: from 0, in the order of the outputs, those heard of included."""
        self._inner = inner
        self._trouble = trouble
        self._seed = seed
        self._before = before
        self._calls = 0

    async def answer(self, call: ToolCall) -> ToolOutput:
        """The inner simulator's output, whole or cut off; or an error, and then it was never asked, only told."""
        kind = self._trouble.drawn(derive(self._seed, self._calls) / _DRAWS)
        if kind is None or kind == TRUNCATED:
            output = await self._inner.answer(call)
            if kind == TRUNCATED and len(output.content) > 1:
                output = self._cut_off(output)
                self.troubles[self._calls] = TRUNCATED
        else:
            output = ToolOutput(_error(kind, call, self._before), Source.OTHER, kind)
            self.troubles[self._calls] = kind
            self._tell(call, output)
        self._calls += 1
        return output

    def hear(self, call: ToolCall, output: ToolOutput) -> None:
        """A call that was answered elsewhere."""
        self._calls += 1
        self._tell(call, output)

    def _tell(self, call: ToolCall, output: ToolOutput) -> None:
        if isinstance(self._inner, Hears):
            self._inner.hear(call, output)

    def _cut_off(self, output: ToolOutput) -> ToolOutput:
        """An output without its end, from a point in its latter half on."""
        length = len(output.content)
        half = (length + 1) // 2
        kept = half + derive(self._seed, self._calls, "cut") % (length - half)
        mark = ",".join(filter(None, (output.mark, TRUNCATED)))
        return ToolOutput(f"{output.content[:kept]}\n{_texts()[TRUNCATED]}", output.source, mark)


def _error(kind: str, call: ToolCall, before: Sequence[RecordedCall]) -> str:
    """The latest error of this kind that the environment gave, one of this tool if there is any; else a plain one."""
    fitting = [
        (made.name == call.name, at, output)
        for at, (made, output) in enumerate(before)
        if output is not None and _is_error(kind, output) and not _names_another(output, made, call)
    ]
    return max(fitting)[2] if fitting else _texts()[kind]


def _is_error(kind: str, output: str) -> bool:
    return len(output) <= _LONGEST_ERROR and _RECORDED[kind].search(output) is not None


def _names_another(output: str, made: ToolCall, call: ToolCall) -> bool:
    """Does the error speak of what was asked then, and is not asked now?"""
    other = set(words(made.arguments)) - set(words(call.arguments))
    return any(len(word) >= _SHORTEST_NAME for word in other.intersection(words(output)))


@cache
def _texts() -> dict[str, str]:
    lines = read_prompt(_TEXTS).template.splitlines()
    return {kind: text for kind, _, text in (line.partition(": ") for line in lines)}
