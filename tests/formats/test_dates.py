"""When a transcript was recorded."""

from __future__ import annotations

from typing import Any

import pytest

from resample.formats.dates import dated


@pytest.mark.parametrize(
    ("value", "per_second", "date"),
    [
        ("2026-01-02", 1, "2026-01-02"),
        ("2026-01-02T03:04:05.678Z", 1, "2026-01-02T03:04:05.678Z"),
        ("last Monday", 1, None),
        (1767323045, 1, "2026-01-02T03:04:05+00:00"),
        (1767323045.5, 1, "2026-01-02T03:04:05.500000+00:00"),
        (1767323045_000000000, 10**9, "2026-01-02T03:04:05+00:00"),
        (0, 1, None),
        (-1, 1, None),
        (True, 1, None),
        (None, 1, None),
        (float("nan"), 1, None),
        (float("inf"), 1, None),
        (1767323045_000000000, 1, None),
        (10**400, 1, None),
        ({}, 1, None),
    ],
)
def test_a_logs_own_date(value: Any, per_second: int, date: str | None) -> None:
    assert dated(value, per_second) == date
