"""What a kind of secret or of personal data is, and what a detector gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from resample.prepare.scrub import disguise


def _as_made(made: str, value: str) -> str:
    return made


def _is_peculiar(value: str) -> bool:
    return len(value) >= (12 if value.isalpha() else 8)


@dataclass(frozen=True)
class Kind:
    """A kind of value that is replaced."""

    name: str
    make: Callable[[str, Random], str] = disguise.token
    """The pseudonym of a value, without the characters that stay."""
    same: Callable[[str], str] = str
    """What all ways to write one value have in common; that is what `make` is given."""
    fit: Callable[[str, str], str] = _as_made
    """A pseudonym, written the way this value is."""
    is_made_up: Callable[[str], bool] = disguise.is_made_up
    """Is this a pseudonym already?"""
    is_peculiar: Callable[[str], bool] = _is_peculiar
    """Is a value, once it was recognised, replaced wherever it stands? Not if it may be a word."""
    secret: bool = True
    """Secrets are never shown."""


class Hit(NamedTuple):
    """A value in a text; made-up ones too, so that nothing else is seen in what stands for a value."""

    kind: str
    start: int
    end: int
    head: int = 0
    """Characters at its beginning that stay, such as `ghp_`."""


class Detector(NamedTuple):
    """Finds values of some kinds in a text whose escapes were read."""

    kinds: tuple[Kind, ...]
    find: Callable[[str], Iterator[Hit]]
    unread: str = ""
    """Where this stands, it looks at the text with its escapes unread, too."""
