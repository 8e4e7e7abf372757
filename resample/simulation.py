"""What a summary says of the simulated world: where its outputs came from, and what that does to the rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from resample.rates import Rates, Turn
from resample.types import Mark, Source

_GROUPS: dict[str, dict[str, Callable[[Turn], bool]]] = {
    "by_llm_share": {
        "no outputs": lambda turn: not turn.sources,
        "none": lambda turn: bool(turn.sources) and _llm_share(turn) == 0,
        "up to half": lambda turn: 0 < _llm_share(turn) <= 0.5,
        "more than half": lambda turn: _llm_share(turn) > 0.5,
    },
    "by_original": {
        "shown": lambda turn: bool(turn.sources) and not _is_hidden(turn),
        "hidden": lambda turn: _is_hidden(turn),
    },
}


def simulation(turns: Sequence[Turn], categories: Sequence[str], rates: Rates) -> dict[str, Any]:
    """Counts of the candidate's tool outputs, and the rate of `categories` by what its world was made of."""
    sources = Counter(source for turn in turns for source in turn.sources)
    marks = Counter(mark for turn in turns for each in turn.marks for mark in each.split(",") if mark)
    flagged, written = marks.pop(Mark.FORM, 0), sources[Source.LLM.value]
    hidden = marks.pop(Mark.HIDDEN, 0)
    return {
        "tool_outputs": {source.value: sources[source.value] for source in Source},
        "flagged": {"outputs": flagged, "of": written, "rate": flagged / written if written else None},
        "original_hidden": hidden,
        "trouble": dict(sorted(marks.items())),
        "findings": _findings(turns),
        "any_without_invented": rates.without_invented(categories),
        **{
            name: {group: rates.among(categories, chosen) for group, chosen in groups.items()}
            for name, groups in _GROUPS.items()
        },
    }


def _findings(turns: Sequence[Turn]) -> dict[str, int]:
    """How many findings there are, of any category, and whether they depend on content that was invented."""
    answers = Counter(found.invented for turn in turns for found in turn.findings)
    return {
        "findings": answers.total(),
        "depend_on_invented": answers[True],
        "do_not": answers[False],
        "unknown": answers[None],
    }


def _llm_share(turn: Turn) -> float:
    return turn.sources.count(Source.LLM.value) / len(turn.sources) if turn.sources else 0.0


def _is_hidden(turn: Turn) -> bool:
    return any(Mark.HIDDEN in mark.split(",") for mark in turn.marks)
