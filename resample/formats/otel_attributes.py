"""Attributes that hold more than a value: JSON in a text, lists in numbered keys; and what was cut short of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from resample.formats.assemble import listed
from resample.formats.decode import decode
from resample.formats.exclusions import Problem
from resample.formats.otel_spans import Span
from resample.formats.records import peek

Item = dict[str, Any]
Attributes = dict[str, Any]

_LONGEST_KEY = 24
"""Segments of a key that is taken apart."""


@dataclass
class Content:
    """The prompt of a call, and the reply to it."""

    prompt: list[Item] = field(default_factory=list)
    reply: list[Item] = field(default_factory=list)
    choices: bool = True
    """Several items of the reply are choices, of which the first one counts; or else they are one reply."""
    tools: list[Any] = field(default_factory=list)
    truncated: bool = False
    """Texts were cut short."""
    broken: bool = False
    """What comes after a place is lost: a list was cut short, or attributes were dropped."""
    starts_late: bool = False
    """The first messages of the prompt are lost."""
    ends_early: bool = False
    """The last messages of the prompt are lost: what the reply answered is not known."""


def parsed(value: Any, content: Content) -> Any:
    """Structured values are written as JSON. One that was cut short is read as far as it goes, and that is noted."""
    if not isinstance(value, str) or not looks_like_json(value):
        return value
    data = value.encode()
    found = decode(data)
    if not isinstance(found, Problem):
        return found
    whole = next(iter(peek(data)), None)
    if not (listed(whole) or isinstance(whole, dict)):
        return value  # it only looked like it
    content.broken = True
    return whole


def looks_like_json(text: str) -> bool:
    return text.lstrip()[:1] in ("[", "{")


def prompt_under(prefix: str, span: Span, content: Content) -> list[Item]:
    """The messages of a prompt in numbered attributes, as far as they follow one another.

    A span may have so many attributes (128, by default), which long conversations exceed. Some exporters drop the
    oldest of them, and some the newest; the message that stands at such a place may have lost its role with them.
    """
    tree = _tree(span.attributes, prefix)
    items = in_order(tree)
    if not (span.cut and items):
        return items
    places = _places(tree)
    first = places[0]
    follow = next((i for i, place in enumerate(places) if place != first + i), len(places))
    content.starts_late |= first > 0
    content.ends_early |= follow < len(places)
    has_role = "role" in items[0] or "role" in _object(items[0].get("message"))
    return items[0 if has_role or not first else 1 : follow]


def numbered(attributes: Attributes, prefix: str) -> list[Item]:
    """Attributes with numbers in their keys (`prefix0.role`, `prefix0.content`, ...) as a list of objects."""
    return in_order(_tree(attributes, prefix))


def _tree(attributes: Attributes, prefix: str) -> Item:
    tree: Item = {}
    for key, value in attributes.items():
        if not key.startswith(prefix):
            continue
        segments = key[len(prefix) :].split(".", _LONGEST_KEY)
        place = tree
        for segment in segments[:-1]:
            inner = place.get(segment)
            if not isinstance(inner, dict):
                inner = place[segment] = {}
            place = inner
        place.setdefault(segments[-1], value)
    return tree


def in_order(tree: Any) -> list[Item]:
    """The objects under keys that are numbers, in the order of these; a list stays."""
    if not isinstance(tree, dict):
        return listed(tree)
    by_number = {int(key): tree[key] for key in tree if _is_number(key) and isinstance(tree[key], dict)}
    return [by_number[place] for place in sorted(by_number)]


def _places(tree: Item) -> list[int]:
    return sorted({int(key) for key in tree if _is_number(key) and isinstance(tree[key], dict)})


def _is_number(key: str) -> bool:
    return key.isdecimal() and key.isascii() and len(key) < 10


def _object(value: Any) -> Item:
    return value if isinstance(value, dict) else {}


# -- texts that were cut short ---------------------------------------------------------------------------------------

_CUT = re.compile(r"(?:\.\.\.|…|[\[(<]\s*)\s*truncated\b.{0,40}\Z", re.IGNORECASE | re.DOTALL)


def says_truncated(content: Content) -> bool:
    """Some instrumentations say at the end of a text that it was cut."""
    return any(_CUT.search(text[-80:]) for text in _texts(content))


def meets_a_limit(content: Content) -> bool:
    """Exporters cut every text at one length: then several have just that, a round one, and none is longer."""
    texts = set(_texts(content))
    longest = max(map(len, texts), default=0)
    is_round = any(
        longest - mark >= 100 and ((longest - mark) % 64 == 0 or (longest - mark) % 50 == 0) for mark in (0, 3)
    )
    return is_round and sum(len(text) == longest for text in texts) > 1


def _texts(content: Content) -> Iterator[str]:
    for item in (*content.prompt, *content.reply):
        said = item.get("parts") if isinstance(item.get("parts"), list) else item.get("content")
        if isinstance(said, str):
            yield said
        for part in listed(said):
            yield from (
                value for key in ("content", "text", "response", "result") if isinstance(value := part.get(key), str)
            )
