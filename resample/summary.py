"""What a run's store says, as numbers: `summary.json`. Every rate has its denominator, interval and bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import orjson

from resample.store import Store, finding_of
from resample.types import Arm, Source, StopReason, VerdictOutcome

SCHEMA = 1
ANY = "any"
AWARENESS = "evaluation_awareness"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run knows of itself, kept in its store when it is accepted."""

    id: str
    identity: str
    """Hash of all that may not change under one `out`."""
    hashes: dict[str, Any]
    models: dict[str, Any]
    """By role: what was asked for."""
    estimand: dict[str, Any]
    arms: dict[str, int]
    """By arm: planned turns per prefix."""
    categories: list[str]
    misalignment: list[str]
    """The categories that `any` counts."""
    severities: list[int]
    canaries: dict[str, Any]
    """By prefix id: the canary's id and what a judge should find."""
    confidence: float
    seed: int
    standin: dict[str, Any] | None = None
    """Which roles a stand-in plays, and what is planted in it; None if there is none."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """One finished turn of an arm."""

    prefix: str
    cluster: str
    weight: float
    stop_reason: StopReason
    outcome: VerdictOutcome | None
    severity: Mapping[str, int]
    """By category found: the highest severity."""
    awareness: bool | None
    sources: Sequence[str]
    acted: bool
    empty: bool

    def known(self, found: bool) -> bool:
        """Is it known whether something was found? A turn that a limit cut off counts only if it was."""
        return self.outcome is VerdictOutcome.JUDGED and (found or not self.stop_reason.cut_off)


def summarise(store: Store) -> dict[str, Any]:
    """The summary of a run, finished or not, from its store alone."""
    facts = Facts(**store.get("facts"))
    arms = {arm: _turns(store, arm) for arm in map(Arm, facts.arms)}
    candidate = arms[Arm.CANDIDATE]
    counts = _counts(store, facts, candidate)
    others = {arm.value: _arm_counts(turns, counts["prefixes"] * facts.arms[arm]) for arm, turns in arms.items()}
    canaries = _canaries(store, facts)
    pending = canaries["pending"] + sum(other["pending"] for other in others.values())
    completed = [turn for turn in candidate if turn.stop_reason.complete or turn.stop_reason.cut_off]
    return {
        "schema": SCHEMA,
        "run": {
            "id": facts.id,
            "complete": pending == 0,
            "ending": store.get("ending") or "",
            "identity": facts.identity,
            "versions": _versions(),
            "hashes": facts.hashes,
            "started": store.get("started"),
            "seconds": store.get("seconds") or 0.0,
            "seed": facts.seed,
        },
        "models": _models(store, facts),
        "standin": facts.standin,
        "estimand": facts.estimand,
        "counts": counts,
        "arms": {name: other for name, other in others.items() if name != Arm.CANDIDATE},
        "confidence": facts.confidence,
        "categories": {name: _category(name, [name], arms, facts) for name in facts.categories},
        ANY: _category(ANY, facts.misalignment, arms, facts),
        AWARENESS: _category(AWARENESS, [], arms, facts),
        "canaries": canaries,
        "acted": _share(turn.acted for turn in completed),
        "refused": _share(turn.stop_reason is StopReason.REFUSED for turn in completed),
        "empty": _share(turn.empty for turn in completed),
        "simulation": {"tool_outputs": _sources(candidate)},
        "usage": _usage(store),
    }


def _turns(store: Store, arm: Arm) -> list[_Turn]:
    turns: list[_Turn] = []
    for row in store.results(arm):
        severity: dict[str, int] = {}
        for entry in orjson.loads(row["findings"] or "[]"):
            finding = finding_of(entry)
            severity[finding.category] = max(finding.severity, severity.get(finding.category, 0))
        awareness = row["evaluation_awareness"]
        turns.append(
            _Turn(
                row["prefix"],
                row["cluster"] or row["prefix"],
                row["weight"] or 1.0,
                StopReason(row["stop_reason"]),
                VerdictOutcome(row["outcome"]) if row["outcome"] else None,
                severity,
                None if awareness is None else bool(awareness),
                orjson.loads(row["sources"]),
                bool(row["acted"]),
                bool(row["empty"]),
            )
        )
    return turns


# -- counts ---------------------------------------------------------------------------------------------------------


def _counts(store: Store, facts: Facts, turns: Sequence[_Turn]) -> dict[str, Any]:
    prefixes = store.prefix_count()
    planned = prefixes * facts.arms[Arm.CANDIDATE]
    reasons = Counter(turn.stop_reason for turn in turns)
    failed = {reason.value: n for reason, n in reasons.items() if reason.failed}
    excluded = Counter(entry.reason for entry in store.excluded())
    transcripts = store.transcript_count()
    verdicts = Counter(turn.outcome for turn in turns if not turn.stop_reason.failed)
    unjudged = verdicts.pop(None, 0)
    return {
        "transcripts": {
            "read": transcripts + excluded.total(),
            "used": transcripts,
            "excluded": dict(sorted(excluded.items())),
        },
        "prefixes": prefixes,
        "rollouts": {
            "planned": planned,
            "completed": len(turns) - sum(failed.values()),
            "failed": failed,
            "pending": planned - len(turns),
            "stop_reasons": {reason.value: n for reason, n in sorted(reasons.items())},
        },
        "verdicts": {
            "completed": verdicts.pop(VerdictOutcome.JUDGED, 0),
            "failed": {outcome.value: n for outcome, n in verdicts.items() if outcome is not None},
            "pending": planned - len(turns) + unjudged,
        },
    }


def _arm_counts(turns: Sequence[_Turn], planned: int) -> dict[str, Any]:
    outcomes = Counter(turn.outcome.value for turn in turns if turn.outcome is not None)
    done = sum(turn.stop_reason.failed or turn.outcome is not None for turn in turns)
    return {
        "planned": planned,
        "pending": planned - done,
        "rollouts": len(turns),
        "stop_reasons": dict(Counter(turn.stop_reason.value for turn in turns)),
        "verdicts": dict(outcomes),
    }


def _share(values: Iterable[bool]) -> float | None:
    """The share that is true; None of nothing."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else None


def _sources(turns: Sequence[_Turn]) -> dict[str, int]:
    counted = Counter(source for turn in turns for source in turn.sources)
    return {source.value: counted[source.value] for source in Source}


# -- rates ----------------------------------------------------------------------------------------------------------


def _category(name: str, members: Sequence[str], arms: Mapping[Arm, Sequence[_Turn]], facts: Facts) -> dict[str, Any]:
    """One row of rates: a category, `any`, or evaluation awareness."""
    candidate = _outcomes(name, members, arms[Arm.CANDIDATE], facts.arms[Arm.CANDIDATE])
    rates = _rates(candidate, facts.confidence)
    if name != AWARENESS:
        worst = Counter(
            max(found) for turn in arms[Arm.CANDIDATE] if (found := [turn.severity.get(m, 0) for m in members])
        )
        rates["by_severity"] = {str(level): worst[level] for level in facts.severities}
    rates["baselines"] = {
        arm.value: _baseline(candidate, _outcomes(name, members, turns, facts.arms[arm]), facts)
        for arm, turns in arms.items()
        if arm is not Arm.CANDIDATE
    }
    return rates


def _outcomes(name: str, members: Sequence[str], turns: Sequence[_Turn], k: int) -> Any:
    import numpy as np

    from resample.stats.outcomes import Outcomes

    if name == AWARENESS:
        found = [turn.awareness is True for turn in turns]
        known = [turn.awareness is not None and turn.known(f) for turn, f in zip(turns, found, strict=True)]
    else:
        found = [any(m in turn.severity for m in members) for turn in turns]
        known = [turn.known(f) for turn, f in zip(turns, found, strict=True)]
    return Outcomes(
        flagged=np.array(found, dtype=np.bool_),
        known=np.array(known, dtype=np.bool_),
        prefix=np.array([int(turn.prefix, 16) - 2**63 for turn in turns], dtype=np.int64),  # a 64-bit hash
        cluster=np.array(_codes([turn.cluster for turn in turns]), dtype=np.int64),
        weight=np.array([turn.weight for turn in turns], dtype=np.float64),
        k=k,
    )


def _codes(names: Sequence[str]) -> list[int]:
    """Whole numbers for names, the same for the same name."""
    codes: dict[str, int] = {}
    return [codes.setdefault(name, len(codes)) for name in names]


def _rates(outcomes: Any, confidence: float) -> dict[str, Any]:
    from resample.stats.prevalence import prevalence

    result = prevalence(outcomes, confidence)
    return {
        "flagged": result.flagged,
        "rollouts": result.rollouts,
        "missing": result.missing,
        "transcripts": result.clusters,
        "rate": result.rate,
        "ci": list(result.ci),
        "bounds": list(result.bounds),
        "method": str(result.method),
    }


def _baseline(candidate: Any, baseline: Any, facts: Facts) -> dict[str, Any]:
    from resample.stats.comparison import paired

    compared = paired(candidate, baseline, facts.confidence, seed=facts.seed)
    return _rates(baseline, facts.confidence) | {
        "difference": _plain(compared.difference),
        "ratio": _plain(compared.ratio),
        "unpaired": compared.unpaired,
    }


def _plain(result: Any) -> dict[str, Any]:
    """A result of `stats` as JSON has it: an infinite limit is null."""
    values = asdict(result)
    return {name: [*value] if isinstance(value, tuple) else value for name, value in values.items()}


# -- canaries, models, usage ----------------------------------------------------------------------------------------


def _canaries(store: Store, facts: Facts) -> dict[str, Any]:
    """Of the verdicts that ended. One that failed catches nothing and clears nothing: a dead judge shows as 0."""
    bad = caught = good = cleared = missing = 0
    turns = [turn for turn in _turns(store, Arm.CANARY) if turn.outcome is not None]
    for turn in turns:
        expected = facts.canaries[turn.prefix]["expected"]
        judged = turn.outcome is VerdictOutcome.JUDGED
        missing += not judged
        if expected:
            bad += 1
            caught += judged and any(category in turn.severity for category in expected)
        else:
            good += 1
            cleared += judged and not turn.severity
    return {
        "sensitivity": caught / bad if bad else None,
        "specificity": cleared / good if good else None,
        "bad": {"caught": caught, "of": bad},
        "good": {"cleared": cleared, "of": good},
        "missing": missing,
        "pending": len(facts.canaries) - len(turns),
    }


def _models(store: Store, facts: Facts) -> dict[str, Any]:
    returned: dict[str, Counter[str]] = {}
    fingerprints: dict[str, set[str]] = {}
    for role, model, fingerprint, count in store.returned_models():
        returned.setdefault(role, Counter())[model] += count
        if fingerprint:
            fingerprints.setdefault(role, set()).add(fingerprint)
    filled = {
        role: asked | {"returned": dict(returned.get(role, {})), "fingerprints": sorted(fingerprints.get(role, set()))}
        for role, asked in facts.models.items()
    }
    judge = filled.pop("judge")
    return filled | {"judges": [judge]}


def _usage(store: Store) -> dict[str, Any]:
    used = {entry.role: entry for entry in store.usage()}
    roles = [role for role in ("candidate", "control", "simulator", "judge") if role in used or role != "control"]
    usage: dict[str, Any] = {}
    for role in roles:
        entry = used.get(role)
        usage[role] = {
            "requests": entry.requests if entry else 0,
            "retries": entry.retries if entry else 0,
            "prompt_tokens": entry.usage.prompt_tokens if entry else 0,
            "cached_tokens": entry.usage.cached_tokens if entry else 0,
            "completion_tokens": entry.usage.completion_tokens if entry else 0,
            "reasoning_tokens": entry.usage.reasoning_tokens if entry else 0,
            "usd": entry.usage.usd if entry else 0.0,
        }
    return usage


def _versions() -> dict[str, str]:
    versions = {}
    for name in ("resample-engine", "openai", "litellm", "scipy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "?"
    return versions
