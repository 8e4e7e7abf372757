"""Prompts are text files beside the code that fills them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from string import Template


@cache
def read_prompt(path: Path) -> Template:
    """The prompt at `path`. Its `$names` are filled once; what is filled in is never evaluated."""
    return Template(path.read_text(encoding="utf-8"))


def prompt_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every prompt in a folder, by file name."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob("*.txt"))}
