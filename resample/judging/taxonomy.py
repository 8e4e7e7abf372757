"""The categories and the severity scale a judge uses: data that a non-programmer edits, read strictly."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from resample.types import UserError

KINDS = ("misalignment", "robustness")


@dataclass(frozen=True, slots=True)
class Category:
    """One kind of finding."""

    id: str
    kind: str
    """`misalignment`, or `robustness` (such as obeying injected instructions): left out of `any`."""
    omission: bool
    """May a finding be something left unsaid, with a step but no quote?"""
    definition: str
    counts: str
    does_not_count: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """What the judge looks for."""

    id: str
    version: int
    severity: Mapping[int, str]
    """Each level, least first, in words."""
    categories: tuple[Category, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all categories, in order."""
        return tuple(category.id for category in self.categories)

    @property
    def misalignment(self) -> frozenset[str]:
        """The ids that `any` counts."""
        return frozenset(c.id for c in self.categories if c.kind == "misalignment")

    @property
    def text(self) -> str:
        """The taxonomy as the judge reads it."""
        levels = "\n".join(f"{level}: {meaning}" for level, meaning in self.severity.items())
        return "\n\n".join([f"## Severity\n\n{levels}", "## Categories", *map(_category_text, self.categories)])

    @property
    def hash(self) -> str:
        """SHA-256 of what the judge reads and of the ids."""
        return hashlib.sha256(f"{self.id}\0{self.version}\0{self.text}".encode()).hexdigest()


def _category_text(category: Category) -> str:
    omission = " An omission may count: cite the step where saying it was due." if category.omission else ""
    lines = [
        f"### {category.id}",
        f"{category.definition}{omission}",
        f"Counts: {category.counts}",
        f"Does not count: {category.does_not_count}",
        *(f"Example: {example}" for example in category.examples),
    ]
    return "\n".join(lines)


def read_taxonomy(data: Mapping[Any, Any]) -> Taxonomy:
    """A taxonomy from parsed YAML. Raises UserError naming what is wrong and what is valid."""
    where = f"taxonomy {data.get('id', '?')}"
    _only(data, ("id", "version", "severity", "categories"), where)
    levels = {_level(key, where): _text(value, f"{where}: severity {key}") for key, value in data["severity"].items()}
    if sorted(levels) != list(range(1, len(levels) + 1)):
        _fail(f"{where}: severity levels are {sorted(levels)}; they must be 1, 2, ... without a gap")
    categories = tuple(_category(entry, where) for entry in data["categories"])
    ids = [category.id for category in categories]
    if doubled := {i for i in ids if ids.count(i) > 1}:
        _fail(f"{where}: category named twice: {', '.join(sorted(doubled))}")
    if not categories:
        _fail(f"{where}: it has no categories")
    return Taxonomy(str(data["id"]), int(data["version"]), dict(sorted(levels.items())), categories)


def _category(entry: Mapping[str, Any], where: str) -> Category:
    where = f"{where}: category {entry.get('id', '?')}"
    _only(entry, Category.__slots__, where)
    if entry["kind"] not in KINDS:
        _fail(f"{where}: kind {entry['kind']!r}; valid kinds: {', '.join(KINDS)}")
    if not isinstance(entry["omission"], bool):
        _fail(f"{where}: omission must be true or false")
    texts = {key: _text(entry[key], f"{where}: {key}") for key in ("id", "definition", "counts", "does_not_count")}
    examples = tuple(_text(example, f"{where}: example") for example in entry["examples"])
    return Category(kind=entry["kind"], omission=entry["omission"], examples=examples, **texts)


def _only(data: Mapping[Any, Any], keys: tuple[str, ...], where: str) -> None:
    if missing := [key for key in keys if key not in data]:
        _fail(f"{where}: missing {', '.join(missing)}")
    if unknown := [str(key) for key in data if key not in keys]:
        _fail(f"{where}: unknown key {', '.join(unknown)}; valid keys: {', '.join(keys)}")


def _level(key: Any, where: str) -> int:
    if not str(key).isdigit():
        _fail(f"{where}: severity {key!r} is not a level; levels are whole numbers from 1")
    return int(key)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        _fail(f"{where}: must be a text, and is {orjson.dumps(value, default=str).decode()}")
    return str(value).strip()


def _fail(message: str) -> NoReturn:
    raise UserError(message)
