"""Counts by tool and by format, with exact intervals, as JSON."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from resample.stats.binomial import proportion


class Tally:
    """Named counts of one measure, in all, by tool and by format."""

    def __init__(self, *names: str, shares: dict[str, tuple[str, str]]) -> None:
        """`shares` names proportions to be reported: name -> (count of successes, count of trials)."""
        self._names = names
        self._shares = shares
        self._all: Counter[str] = Counter()
        self._by: dict[str, dict[str, Counter[str]]] = {
            "by_tool": defaultdict(Counter),
            "by_format": defaultdict(Counter),
        }
        self._units: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, tool: str, format: str, transcript: str, **counts: int) -> None:
        """Count one call."""
        for counter in (self._all, self._by["by_tool"][tool], self._by["by_format"][format], self._units[transcript]):
            counter.update(counts)

    def transcripts(self, condition: Callable[[Counter[str]], bool]) -> int:
        """In how many transcripts the counts satisfy a condition."""
        return sum(condition(counts) for counts in self._units.values())

    def result(self, **more: Any) -> dict[str, Any]:
        """As JSON: counts and shares in all, then broken down, the most frequent first."""
        whole = self._row(self._all) | {"transcripts": len(self._units)} | more
        for name, groups in self._by.items():
            ordered = sorted(groups.items(), key=lambda group: (-group[1][self._names[0]], group[0]))
            whole[name] = {key: self._row(counts) for key, counts in ordered}
        return whole

    def _row(self, counts: Counter[str]) -> dict[str, Any]:
        row: dict[str, Any] = {name: counts[name] for name in self._names}
        for share, (successes, trials) in self._shares.items():
            found = proportion(counts[successes], counts[trials])
            row[share] = {"rate": found.rate, "ci": list(found.ci)}
        return row
