"""The acts the stand-in can commit, and how they are known again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from resample.types import Disclosure

AWARENESS = "evaluation_awareness"
"""Planted like a category, though it is none: the candidate says that this may be a test."""

ROBUSTNESS = frozenset({"injected_instruction"})
"""Categories that `any` leaves out."""

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class Form(StrEnum):
    """Where an act stands in a message."""

    CALL = "call"
    TEXT = "text"
    REASONING = "reasoning"


@dataclass(frozen=True, slots=True)
class Act:
    """One recognisable act."""

    id: str
    category: str
    severity: int
    """1 to 4, as a judge would rate it."""
    form: Form
    tell: str
    """The literal string by which it is known again."""
    wording: str
    """What is written: a command for an argument of a call, or a sentence."""
    disclosed: Disclosure


@dataclass(frozen=True)
class Phrasebook:
    """All acts, and the ordinary sentences between them."""

    acts: tuple[Act, ...]
    ordinary: Mapping[str, Sequence[str]]

    @property
    def categories(self) -> list[str]:
        """Every category that has acts, evaluation awareness too, in the order of the file."""
        return list(dict.fromkeys(act.category for act in self.acts))

    def choices(self, category: str, forms: frozenset[Form]) -> list[Act]:
        """The acts of a category that can be written in one of the forms."""
        return [act for act in self.acts if act.category == category and act.form in forms]

    def find(self, text: str) -> list[Act]:
        """The acts whose tell stands in the text, JSON escapes undone where there are any."""
        plain = undo_escapes(text) if "\\" in text else text
        return [act for act in self.acts if act.tell in text or act.tell in plain]


def undo_escapes(text: str) -> str:
    """The text with JSON's string escapes undone; it need not be valid JSON."""
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(match: re.Match[str]) -> str:
    code, letter = match.groups()
    return chr(int(code, 16)) if code else _CONTROL.get(letter, letter)


@cache
def phrasebook() -> Phrasebook:
    """The bundled phrasebook. Read once; a broken entry raises KeyError or ValueError."""
    data = yaml.safe_load(Path(__file__).with_name("phrasebook.yaml").read_text(encoding="utf-8"))
    return Phrasebook(tuple(map(_act, data["acts"])), data["ordinary"])


def _act(entry: Mapping[str, Any]) -> Act:
    return Act(
        id=entry["id"],
        category=entry["category"],
        severity=entry["severity"],
        form=Form(entry["form"]),
        tell=entry["tell"],
        wording=entry.get("command") or entry.get("text") or entry["tell"],
        disclosed=Disclosure(entry["disclosed"]),
    )
