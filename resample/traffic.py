"""How the transcripts that a run's rates are about compare with those that were read and left out.

The population is what was used together with what it was drawn from: its total weight is known exactly. Whatever else
was read is excluded, with its weight as far as it is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from resample.formats.dates import moment
from resample.formats.exclusions import Reason
from resample.store import Store
from resample.store_index import TrafficRow


def traffic(store: Store) -> dict[str, Any]:
    """The `traffic` of a summary: population against excluded, and the strata."""
    rows = store.traffic()
    inside = [row for row in rows if row.reason in (None, Reason.NOT_DRAWN)]
    outside = [row for row in rows if row.reason not in (None, Reason.NOT_DRAWN)]
    by_reason: defaultdict[str, float] = defaultdict(float)
    for row in outside:
        by_reason[str(row.reason)] += row.weight or 0.0
    population, excluded = _described(inside), _described(outside)
    total = population["weight"] + excluded["weight"]
    share = excluded["weight"] / total if total else None
    return {
        "population": population,
        "excluded": excluded | {"by_reason": dict(sorted(by_reason.items()))},
        # With files or transcripts of unknown weight among them, nobody knows.
        "excluded_share": None if excluded["weight_unknown"] else share,
        "excluded_share_of_known": share,
        "strata": _strata(inside),
    }


def _strata(population: Sequence[TrafficRow]) -> dict[str, Any]:
    """How many transcripts each stratum has, and how many of them were drawn."""
    strata: dict[str, dict[str, Any]] = {}
    for row in population:
        entry = strata.setdefault(row.stratum or "", {"population": 0, "used": 0, "weight": 0.0})
        entry["population"] += 1
        entry["used"] += row.reason is None
        entry["weight"] += row.weight or 0.0
    return dict(sorted(strata.items()))


def _described(rows: Sequence[TrafficRow]) -> dict[str, Any]:
    """Means weighted by sampling weight, over the rows of which anything is known."""
    known = [row for row in rows if row.weight is not None]
    moments = sorted(when.isoformat() for row in known if (when := moment(row.date)))
    return {
        "transcripts": len(rows),
        "weight": sum(row.weight or 0.0 for row in known),
        "weight_unknown": len(rows) - len(known),
        "messages": _mean(known, [row.messages or 0 for row in known]),
        "calls": _mean(known, [row.calls or 0 for row in known]),
        "acting": _mean(known, [bool(row.calls) for row in known]),
        "with_schemas": _mean(known, [bool(row.tools) for row in known]),
        "date": {
            "median": moments[len(moments) // 2] if moments else None,
            "first": moments[0] if moments else None,
            "last": moments[-1] if moments else None,
            "unknown": len(known) - len(moments),
        },
    }


def _mean(rows: Sequence[TrafficRow], values: Sequence[float]) -> float | None:
    total = sum(row.weight or 0.0 for row in rows)
    return sum((row.weight or 0.0) * value for row, value in zip(rows, values, strict=True)) / total if total else None
