"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import REAL


@pytest.fixture(scope="session")
def real_transcripts() -> Path:
    """Published agent logs; not part of the project."""
    if not REAL.is_dir():
        pytest.skip("the real transcripts are not at hand")
    return REAL
