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
