"""When a transcript was recorded, and until when it may be kept: ISO 8601, a date or a date and time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def moment(value: Any) -> datetime | None:
    """The moment that a date names, in UTC; None for anything else. Without an offset it is taken for UTC."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def is_date(value: Any) -> bool:
    """Does it name a moment?"""
    return moment(value) is not None


def dated(value: Any, per_second: int = 1) -> str | None:
    """A log's own date as text: one that is ISO 8601 as it stands, a number as the time since 1970.

    `per_second`: how many of its units a second has. Zero is how some logs write that they do not know.
    """
    if isinstance(value, str):
        return value if is_date(value) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        return None
    try:
        return datetime.fromtimestamp(value / per_second, UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        return None
