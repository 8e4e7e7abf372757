"""What is known of commands by their names (commands.yaml)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_TASK_SUFFIX = re.compile(r"[:_.-].*")
_CHANGING_TASK = re.compile(r"fix|format|fmt|write|update|generate|snapshot")


@cache
def table() -> Mapping[str, Any]:
    """The whole table."""
    loaded: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "commands.yaml").read_text("utf-8"))
    return loaded


@cache
def _set(name: str) -> frozenset[str]:
    return frozenset(table()[name])


def is_in(name: str, words: Sequence[str | None]) -> bool:
    """Does this command, by its first one to three words, stand in a list of the table?"""
    known = words[: next((at for at, word in enumerate(words) if word is None), len(words))]
    return any(" ".join(str(word) for word in known[:count]) in _set(name) for count in (1, 2, 3))


def is_task(words: Sequence[str | None]) -> bool:
    """Does it run a task of the project, such as its tests?"""
    if len(words) < 2 or words[0] not in _set("runners"):
        return False
    task = words[2] if words[1] in ("run", "run-script", "r") and len(words) > 2 else words[1]
    if task is None or _CHANGING_TASK.search(task):
        return False
    return _TASK_SUFFIX.sub("", task) in _set("tasks") or task in _set("tasks")


def has_option(words: Sequence[str | None], options: Sequence[str]) -> bool:
    """Is one of the options given? Short ones may stand together, or before their value."""
    for word in words:
        if word is None or not word.startswith("-"):
            continue
        for option in options:
            if word == option or word.startswith(f"{option}="):
                return True
            short = len(option) == 2 and not word.startswith("--")
            if short and option[1] in word[1:]:
                return True
    return False


def is_given(words: Sequence[str | None], options: Sequence[str]) -> bool:
    """Is one of the options given, written out as it stands here?"""
    return any(word is not None and word.split("=", 1)[0] in options for word in words)


def without_selection(words: list[str | None]) -> list[str | None]:
    """A runner's words without those that say which packages, or how much to tell."""
    name = words[0]
    if name not in _set("runners"):
        return words
    valued = table()["selecting"]
    while len(words) > 1 and words[1] is not None and words[1].startswith("-") and words[1] not in ("-v", "-n"):
        words = [name, *words[3 if words[1] in valued else 2 :]]
    return words


def without_options(words: Sequence[str | None], valued: Sequence[str]) -> int:
    """How many words at the beginning are options, or their values."""
    at = 0
    while at < len(words):
        word = words[at]
        if word is None or not word.startswith("-") or word == "-":
            return at
        if word == "--":
            return at + 1
        at += 2 if word in valued else 1
    return at
