"""Where the files are that come with the program: inside the package when installed, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def bundled(name: str) -> Path:
    """The folder `conf` or `transcripts`."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def transcripts_at(path: str | None) -> str:
    """Where to read transcripts: what the user names, or else the bundled ones."""
    return path or str(bundled("transcripts"))
