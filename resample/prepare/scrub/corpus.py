"""The texts of a transcript as one text: it is searched once for each kind, not once for each kind and text."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import NamedTuple

import orjson

from resample.prepare.scrub.kinds import Kind
from resample.prepare.scrub.places import Text, rewritten
from resample.prepare.scrub.views import View
from resample.types import Transcript

_BETWEEN = "\n\0\n"
"""Around each text: nothing that is looked for holds a NUL."""


class Spot(NamedTuple):
    """A value in the joined texts, as they stand."""

    start: int
    end: int
    value: str
    """As it reads, without escapes."""
    kind: Kind
    head: int
    """Characters of it that stay."""
    view: View
    """Where it was seen,"""
    at: int
    """and the place of it there."""


class Taken:
    """Spots that do not overlap: the first to come stays."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, spot: Spot) -> bool:
        """Is this spot free? Then it is no more."""
        at = bisect_left(self._ends, spot.start + 1)
        if at < len(self._starts) and self._starts[at] < spot.end:
            return False
        self._starts.insert(at, spot.start)
        self._ends.insert(at, spot.end)
        return True


class Corpus:
    """The texts of a transcript, joined."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._texts: list[Text] = []
        identity: list[Text] = []
        rewritten(transcript, _collector(self._texts), _collector(identity))
        self._identity = len(self._texts)
        self._texts += identity
        sizes = (len(text.text) + len(_BETWEEN) for text in self._texts)
        self._starts = list(accumulate(sizes, initial=len(_BETWEEN)))
        self._strings: dict[int, list[tuple[int, int]] | None] = {}
        self.raw = _BETWEEN.join(("", *(text.text for text in self._texts), ""))

    def place(self, spot: Spot) -> str:
        """Which text it stands in."""
        return self._texts[self._index(spot)].place

    def end_of_text(self, spot: Spot) -> int:
        """Where the text ends that it stands in."""
        return self._starts[self._index(spot) + 1]

    def identity(self, spot: Spot) -> str | None:
        """What the whole text is replaced by, if transcripts are told apart by it: the same for all that share it."""
        index = self._index(spot)
        return _digest(self._texts[index].text) if index >= self._identity else None

    def is_form(self, spot: Spot) -> bool:
        """Is it, in arguments, neither a part of one string nor a number: not to be changed?"""
        index = self._index(spot)
        if not self._texts[index].is_json:
            return False
        if index not in self._strings:
            self._strings[index] = _strings(self._texts[index].text)
        strings = self._strings[index]
        if strings is None:
            return False
        start, end = spot.start - self._starts[index], spot.end - self._starts[index]
        touched = [string for string in strings if string[0] < end and start < string[1]]
        if len(touched) != 1:
            return bool(touched) or not spot.value.isdigit()
        begin, stop = touched[0]
        return not (begin < start and end < stop)

    def replaced(self, spots: Iterable[Spot], pseudonyms: Mapping[Spot, str]) -> Transcript:
        """The transcript with pseudonyms in these spots."""
        by_text: dict[int, list[Spot]] = {}
        for spot in sorted(spots):
            by_text.setdefault(self._index(spot), []).append(spot)
        new = [text.text for text in self._texts]
        for index, inside in by_text.items():
            new[index] = self._new(index, inside, pseudonyms)
        texts, identity = iter(new[: self._identity]), iter(new[self._identity :])
        return rewritten(self._transcript, lambda _: next(texts), lambda _: next(identity))

    def _new(self, index: int, spots: list[Spot], pseudonyms: Mapping[Spot, str]) -> str:
        if index >= self._identity:
            return _digest(self._texts[index].text)
        pieces: list[str] = []
        last = self._starts[index]
        for spot in spots:
            new = spot.view.rewritten(spot.at, spot.at + len(spot.value), pseudonyms[spot])
            pieces += (self.raw[last : spot.start], new)
            last = spot.end
        pieces.append(self.raw[last : self._starts[index + 1] - len(_BETWEEN)])
        return "".join(pieces)

    def _index(self, spot: Spot) -> int:
        return bisect_right(self._starts, spot.start) - 1


class _collector:
    """Rewrites nothing, and keeps what there was to rewrite."""

    def __init__(self, texts: list[Text]) -> None:
        self._texts = texts

    def __call__(self, text: Text) -> str:
        self._texts.append(text)
        return text.text


def _digest(text: str) -> str:
    return f"scrubbed-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def _strings(json: str) -> list[tuple[int, int]] | None:
    """Where they begin and end, with their quotes, keys as well. None for what is no JSON after all."""
    try:
        orjson.loads(json)
    except orjson.JSONDecodeError:
        return None
    return [string.span() for string in _STRING.finditer(json)]
