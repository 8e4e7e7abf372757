"""Rates of a run: each category's, with denominator, interval, worst-case bounds and comparison with the baselines."""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import takewhile
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from resample.store import Store, finding_of
from resample.store_index import Unit
from resample.types import Arm, Source, StopReason, VerdictOutcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resample.stats.outcomes import Outcomes

AWARENESS = "evaluation_awareness"


class Found(NamedTuple):
    """A finding, as far as it is counted."""

    category: str
    invented: bool | None
    """Does it depend on content that only the simulator invented? None if it is not known."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of an arm that was played, judged or not."""

    unit: Unit
    stop_reason: StopReason
    outcome: VerdictOutcome | None
    severity: Mapping[str, int]
    """By category found: the highest severity."""
    findings: Sequence[Found]
    awareness: bool | None
    sources: Sequence[str]
    marks: Sequence[str]
    acted: bool
    empty: bool

    @property
    def done(self) -> bool:
        """Nothing is left to do: it failed, or it has a verdict."""
        return self.stop_reason.failed or self.outcome is not None

    def found(self, categories: Sequence[str]) -> bool | None:
        """Was one of these found? None if it is not known: a turn that a limit cut off counts only if one was."""
        found = not self.severity.keys().isdisjoint(categories)
        return self._known(found)

    def found_anyway(self, categories: Sequence[str]) -> bool | None:
        """The same, of findings that do not depend on invented content; one of which that is not known counts."""
        return self._known(any(f.category in categories and f.invented is not True for f in self.findings))

    @property
    def aware(self) -> bool | None:
        """Did it say that this may be a test? None if it is not known, or no reasoning was visible."""
        return None if self.awareness is None else self._known(self.awareness)

    def _known(self, found: bool) -> bool | None:
        judged = self.outcome is VerdictOutcome.JUDGED and (found or not self.stop_reason.cut_off)
        return found if judged else None


def turns_of(store: Store, arm: Arm, judge: str, units: Sequence[Unit] = ()) -> list[Turn]:
    """The turns of an arm, with the verdicts of one judge.

    There may be a great many: what turns have in common is kept once, and their units are those given.
    """
    known = {unit.prefix: unit for unit in units}
    return [
        Turn(
            known.get(row["prefix"])
            or Unit(
                row["prefix"], row["transcript"] or "", row["cluster"] or "", row["weight"] or 1.0, not row["missing"]
            ),
            StopReason(row["stop_reason"]),
            VerdictOutcome(row["outcome"]) if row["outcome"] else None,
            _severities(row["findings"]),
            _found(row),
            None if row["evaluation_awareness"] is None else bool(row["evaluation_awareness"]),
            _listed(row["sources"]),
            _listed(row["marks"]),
            bool(row["acted"]),
            bool(row["empty"]),
        )
        for row in store.results(arm, judge)
    ]


@lru_cache(maxsize=10_000)
def _listed(texts: str) -> tuple[str, ...]:
    return tuple(orjson.loads(texts))


_NONE: Mapping[str, int] = MappingProxyType({})


def _severities(findings: str | None) -> Mapping[str, int]:
    severities: dict[str, int] = {}
    for entry in orjson.loads(findings or "[]"):
        finding = finding_of(entry)
        severities[finding.category] = max(finding.severity, severities.get(finding.category, 0))
    return severities or _NONE


def _found(row: sqlite3.Row) -> tuple[Found, ...]:
    """Where nobody was asked, all that is known is that nothing depends on invented content if there was none."""
    entries = orjson.loads(row["findings"] or "[]")
    answers = orjson.loads(row["invented"] or "[]")
    if entries and not answers:
        unknown = any(Source(source).invented for source in _listed(row["sources"]))
        answers = [None if unknown else False] * len(entries)
    return tuple(Found(finding_of(entry).category, answer) for entry, answer in zip(entries, answers, strict=True))


class Rates:
    """All rates of one run."""

    def __init__(
        self,
        units: Sequence[Unit],
        arms: Mapping[Arm, Sequence[Turn]],
        samples: Mapping[Arm, int],
        confidence: float,
        seed: int,
    ) -> None:
        """`units` are all prefixes of the plan, in drawn order, begun or not; `samples` the planned turns per prefix.

        Of a run that was stopped only what stands before the first prefix that is not done is counted: of what was at
        work when it stopped, the short turns are done and the long ones are not.
        """
        self._units = units
        self._in_order = _in_order(units, arms, samples)
        self._known_entries: dict[Arm, _Entries] = {}
        self._arms = arms
        self._samples = samples
        self._confidence = confidence
        self._seed = seed

    def of(self, categories: Sequence[str], severities: Sequence[int]) -> dict[str, Any]:
        """Of turns in which at least one of these categories was found."""
        rates = self._rates({arm: [turn.found(categories) for turn in turns] for arm, turns in self._arms.items()})
        worst = Counter(
            max(turn.severity.get(category, 0) for category in categories)
            for turn in self._arms[Arm.CANDIDATE]
            if turn.unit.prefix in self._in_order
        )
        return rates | {"by_severity": {str(level): worst[level] for level in severities}}

    def among(self, categories: Sequence[str], chosen: Callable[[Turn], bool]) -> dict[str, Any]:
        """The same of the candidate's turns that are chosen, without what has no meaning for a part of them."""
        turns = [turn for turn in self._arms[Arm.CANDIDATE] if chosen(turn) and turn.unit.prefix in self._in_order]
        row = self._row(self._asked([turn.unit for turn in turns], [turn.found(categories) for turn in turns]))
        return {name: value for name, value in row.items() if name not in ("missing", "bounds")}

    def without_invented(self, categories: Sequence[str]) -> dict[str, Any]:
        """Of the candidate's turns in which one of these was found that does not depend on invented content."""
        return self._row(
            self._question(Arm.CANDIDATE, [turn.found_anyway(categories) for turn in self._arms[Arm.CANDIDATE]])
        )

    @property
    def known(self) -> int:
        """The candidate's turns of which it is known whether anything was found."""
        return sum(turn.found(()) is not None or bool(turn.severity) for turn in self._arms[Arm.CANDIDATE])

    @property
    def set_aside(self) -> int:
        """The candidate's turns that are done and not counted, as earlier ones in the drawn order are not done."""
        return sum(turn.done and turn.unit.prefix not in self._in_order for turn in self._arms[Arm.CANDIDATE])

    def awareness(self) -> dict[str, Any]:
        """Of turns that said that this may be a test."""
        return self._rates({arm: [turn.aware for turn in turns] for arm, turns in self._arms.items()})

    def _rates(self, answers: Mapping[Arm, Sequence[bool | None]]) -> dict[str, Any]:
        questions = {arm: self._question(arm, found) for arm, found in answers.items()}
        candidate = questions.pop(Arm.CANDIDATE)
        whole = self._question(Arm.CANDIDATE, answers[Arm.CANDIDATE], whole_only=True)
        return {
            **self._row(candidate),
            "reconstructable": self._row(whole),
            "baselines": {
                arm.value: self._row(baseline) | self._comparison(candidate, baseline)
                for arm, baseline in questions.items()
            },
        }

    def _question(self, arm: Arm, answers: Sequence[bool | None], *, whole_only: bool = False) -> _Question:
        """An arm's answers; `whole_only`: to prefixes whose log has all that the original model saw.

        A prefix that was not begun has one entry, of which nothing is known.
        """
        entries = self._entries(arm)
        units, of_turns = entries.units, zip(entries.units, answers, strict=False)
        found = [answer if unit.prefix in self._in_order else None for unit, answer in of_turns]
        found += [None] * (len(units) - len(found))
        if whole_only and not all(unit.whole for unit in units):
            pairs = [(unit, answer) for unit, answer in zip(units, found, strict=True) if unit.whole]
            return self._asked([unit for unit, _ in pairs], [answer for _, answer in pairs], self._samples[arm])
        return self._asked(units, found, self._samples[arm], entries)

    def _entries(self, arm: Arm) -> _Entries:
        """What does not depend on the question: an arm's turns in order, and the prefixes that were not begun."""
        if arm not in self._known_entries:
            units = [turn.unit for turn in self._arms[arm]]
            begun = {unit.prefix for unit in units}
            self._known_entries[arm] = _Entries.of([*units, *(u for u in self._units if u.prefix not in begun)])
        return self._known_entries[arm]

    def _asked(
        self, units: Sequence[Unit], found: Sequence[bool | None], k: int | None = None, entries: _Entries | None = None
    ) -> _Question:
        """Answers as the statistics take them; `k` of a prefix, by default as many as the prefix with the most has."""
        import numpy as np

        from resample.stats.outcomes import Outcomes

        if k is None:
            k = max(Counter(unit.prefix for unit in units).values(), default=1)
        entries = entries or _Entries.of(units)
        outcomes = Outcomes(
            flagged=np.array([answer is True for answer in found], dtype=np.bool_),
            known=np.array([answer is not None for answer in found], dtype=np.bool_),
            prefix=entries.prefix,
            cluster=entries.cluster,
            weight=entries.weight,
            k=k,
        )
        known = {unit.transcript for unit, answer in zip(units, found, strict=True) if answer is not None}
        return _Question(outcomes, len(known))

    def _row(self, question: _Question) -> dict[str, Any]:
        from resample.stats.prevalence import prevalence

        result = prevalence(question.outcomes, self._confidence)
        return {
            "flagged": result.flagged,
            "rollouts": result.rollouts,
            "missing": result.missing,
            "transcripts": question.transcripts,
            "clusters": result.clusters,
            "rate": result.rate,
            "ci": list(result.ci),
            "bounds": list(result.bounds),
            "method": str(result.method),
        }

    def _comparison(self, candidate: _Question, baseline: _Question) -> dict[str, Any]:
        from resample.stats.comparison import paired

        compared = paired(candidate.outcomes, baseline.outcomes, self._confidence, seed=self._seed)
        return {
            "difference": _plain(compared.difference),
            "ratio": _plain(compared.ratio),
            "unpaired": compared.unpaired,
        }


def _in_order(units: Sequence[Unit], arms: Mapping[Arm, Sequence[Turn]], samples: Mapping[Arm, int]) -> frozenset[str]:
    """The prefixes before the first one, in drawn order, of which a planned turn is not done."""
    done = Counter((turn.unit.prefix, arm) for arm, turns in arms.items() for turn in turns if turn.done)

    def is_done(unit: Unit) -> bool:
        return all(done[unit.prefix, arm] >= planned for arm, planned in samples.items())

    return frozenset(unit.prefix for unit in takewhile(is_done, units))


class _Entries(NamedTuple):
    """Turns, or prefixes without any, and the same as arrays of shape (entries,)."""

    units: Sequence[Unit]
    prefix: NDArray[Any]
    cluster: NDArray[Any]
    weight: NDArray[Any]

    @classmethod
    def of(cls, units: Sequence[Unit]) -> _Entries:
        """The arrays of these."""
        import numpy as np

        prefix = np.array([_code(unit.prefix) for unit in units], dtype=np.int64)
        cluster = np.array([_code(unit.cluster) for unit in units], dtype=np.int64)
        return cls(units, prefix, cluster, np.array([unit.weight for unit in units], dtype=np.float64))


class _Question(NamedTuple):
    """One arm's answers to "was it found?"."""

    outcomes: Outcomes
    transcripts: int
    """Transcripts of which an answer is known."""


def _code(name: str) -> int:
    """A whole number for a name: the same in every arm."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big", signed=True)


def _plain(result: Any) -> dict[str, Any]:
    """A result of `stats` as JSON has it: intervals are lists, and an infinite limit is null."""
    return {
        name: [None if math.isinf(limit) else limit for limit in value] if isinstance(value, tuple) else value
        for name, value in asdict(result).items()
    }
