"""Which transcripts of a collection a run uses: filters, and seeded draws from strata with weights that undo them.

A filter changes the population that rates are about. A draw does not: what was drawn stands for what was not, each
transcript weighing N / n more where n of the N of its stratum were drawn (Horvitz and Thompson, 1952).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from resample.formats.dates import moment
from resample.formats.exclusions import Problem, Reason
from resample.types import Missing, Transcript, UserError


@dataclass
class Select:
    """Which transcripts are used."""

    where: dict[str, Any] = field(default_factory=dict)
    """By metadata field, dotted (`labels.kind`): the value, or the list of values, that it must have."""
    without: dict[str, Any] = field(default_factory=dict)
    """By metadata field: the value, or the values, that it must not have."""
    has: list[str] = field(default_factory=list)
    """Parts that the log must not lack: names of `metadata.missing`, or `all`."""
    min_messages: int | None = None
    max_messages: int | None = None
    since: str | None = None
    """ISO 8601; what has no date is left out."""
    until: str | None = None
    """Up to this moment, which is not included any more."""
    stratify: str | None = None
    """The metadata field whose values are the strata; null: `stratum`."""
    sample: int | None = None
    """How many transcripts are drawn in all; null: all are used."""
    per_stratum: int | None = None
    """How many are drawn of each stratum."""
    strata: dict[str, int] = field(default_factory=dict)
    """By stratum: how many are drawn of it; all of those not named, unless `per_stratum` says otherwise."""
    near_duplicates: float | None = 0.8
    """Prefixes at least this similar (Jaccard) are one cluster; null: they are not compared."""


def check_select(select: Select) -> None:
    """Raise UserError for a choice that cannot be made."""
    for name in ("min_messages", "max_messages", "sample", "per_stratum"):
        if (value := getattr(select, name)) is not None and value < 1:
            raise UserError(f"select.{name}={value}: must be at least 1")
    for stratum, count in select.strata.items():
        if count < 1:
            raise UserError(
                f"select.strata.{stratum}={count}: must be at least 1; select.without.{select.stratify or 'stratum'}"
                f"={stratum} leaves it out of the population"
            )
    if select.sample is not None and (select.per_stratum is not None or select.strata):
        raise UserError("select.sample draws from all strata together: give either it, or per_stratum and strata")
    for name in ("since", "until"):
        if (value := getattr(select, name)) is not None and moment(value) is None:
            raise UserError(f"select.{name}={value}: must be an ISO 8601 date, such as 2026-05-01")
    parts = (*(part.value for part in Missing), "all")
    if unknown := [part for part in select.has if part not in parts]:
        raise UserError(f"select.has={unknown[0]}: must be of {', '.join(parts)}")
    if select.near_duplicates is not None and not 0 < select.near_duplicates <= 1:
        raise UserError(f"select.near_duplicates={select.near_duplicates:g}: must be more than 0 and at most 1")


def problem_with(transcript: Transcript, select: Select) -> Problem | None:
    """The first filter that leaves it out, by the name of its key."""
    return next((Problem(Reason.FILTERED, why) for why in _left_out_by(transcript, select)), None)


def _left_out_by(transcript: Transcript, select: Select) -> list[str]:
    metadata, count = transcript.metadata, len(transcript.messages)
    lacking = set(metadata.get("missing") or ())
    unmet = lacking if "all" in select.has else lacking & set(select.has)
    found = [f"where.{name}" for name, wanted in _flat(select.where) if not _is_in(field_of(metadata, name), wanted)]
    found += [f"without.{name}" for name, given in _flat(select.without) if _is_in(field_of(metadata, name), given)]
    found += [f"has: lacks {part}" for part in sorted(unmet)]
    if count < (select.min_messages or 0):
        found.append("min_messages")
    if select.max_messages is not None and count > select.max_messages:
        found.append("max_messages")
    return found + _out_of_time(metadata.get("date"), select)


def _flat(given: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each field with its value: a command line makes `{labels: {kind: x}}` of `labels.kind=x`."""
    for name, value in given.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _out_of_time(date: Any, select: Select) -> list[str]:
    since, until, when = moment(select.since), moment(select.until), moment(date)
    if since is None and until is None:
        return []
    if when is None:
        return ["since, until: has no date"]
    found = ["since"] if since is not None and when < since else []
    return found + (["until"] if until is not None and when >= until else [])


def _is_in(value: Any, given: Any) -> bool:
    """Is it the value, or one of the values? A list in the metadata is, if one of its items is."""
    values = value if isinstance(value, list) else [value]
    wanted = given if isinstance(given, list) else [given]
    return not {_as_text(value) for value in values}.isdisjoint(map(_as_text, wanted))


def _as_text(value: Any) -> str | None:
    """As a command line has it: there 1 and "1" are the same."""
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def field_of(metadata: dict[str, Any], name: str) -> Any:
    """The entry of a dotted name; null if there is none."""
    value: Any = metadata
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def stratum_of(metadata: dict[str, Any], select: Select) -> str:
    """The stratum that a transcript belongs to; an empty text if it has none."""
    return _as_text(field_of(metadata, select.stratify or "stratum")) or ""
