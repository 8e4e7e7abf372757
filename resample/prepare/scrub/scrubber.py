"""Takes the secrets and the personal data out of a transcript."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import NamedTuple

from resample.prepare.scrub import contexts, numbers, personal, tokens
from resample.prepare.scrub.corpus import Corpus, Spot, Taken
from resample.prepare.scrub.kinds import Detector, Hit, Kind
from resample.prepare.scrub.views import View, view
from resample.types import Transcript, UserError

_DETECTORS = (*tokens.DETECTORS, *contexts.DETECTORS, *numbers.DETECTORS, *personal.DETECTORS)
"""In this order: what one has taken, later ones do not see."""

KINDS = tuple(kind.name for detector in _DETECTORS for kind in detector.kinds)
"""The kinds there are."""


@dataclass
class Rules:
    """What is scrubbed."""

    kinds: list[str] = field(default_factory=lambda: list(KINDS))
    """The kinds that are on."""
    patterns: dict[str, str] = field(default_factory=dict)
    """Kinds of your own: a name, and a regular expression. Its group 1 is replaced if it has one, else all of it."""
    allow: list[str] = field(default_factory=list)
    """Regular expressions: a value that one of them matches as a whole is left as it is."""


class Found(NamedTuple):
    """A value that is replaced."""

    kind: str
    place: str
    what: str
    """The value; of a secret, its first characters."""
    pseudonym: str


class Scrubber:
    """Replaces secrets and personal data by pseudonyms, the same one for the same value throughout a transcript.

    A pseudonym follows from the kind and from how many values of this kind came before: the same transcript always
    gives the same bytes, a longer copy of a conversation begins as the shorter one does, and nothing leads back to
    the value. (The exception to the second: a secret that is only recognised later on, and stood bare before.)
    """

    def __init__(self, rules: Rules) -> None:
        """Raises UserError for an unknown kind or a bad regular expression."""
        for kind in rules.kinds:
            if kind not in KINDS:
                raise UserError(f"scrub.kinds: there is no {kind!r}; there are {', '.join(KINDS)}")
        own = [_own(name, pattern) for name, pattern in rules.patterns.items()]
        self._allow = [_compiled("scrub.allow", pattern) for pattern in rules.allow]
        on = {*rules.kinds, *rules.patterns}
        self._kinds = {k.name: k for d in (*own, *_DETECTORS) for k in d.kinds if k.name in on}
        self._detectors = [d for d in (*own, *_DETECTORS) if not on.isdisjoint(kind.name for kind in d.kinds)]

    def __call__(self, transcript: Transcript) -> Transcript:
        """The transcript without what is to be replaced; the same object if there is nothing of it."""
        corpus = Corpus(transcript)
        spots = self._spots(corpus)
        if not spots:
            return transcript
        new = corpus.replaced(spots, _pseudonyms(corpus, spots))
        counts = Counter(transcript.metadata.get("scrubbed") or {})
        counts.update(spot.kind.name for spot in spots)
        return replace(new, metadata={**new.metadata, "scrubbed": dict(sorted(counts.items()))})

    def findings(self, transcript: Transcript) -> list[Found]:
        """What would be replaced, in order, each value once for every place it stands in."""
        corpus = Corpus(transcript)
        spots = self._spots(corpus)
        pseudonyms = _pseudonyms(corpus, spots)
        found: dict[tuple[str, str], Found] = {}
        for spot in sorted(spots):
            place = corpus.place(spot)
            shown = spot.value[:4] + "…" if spot.kind.secret else spot.value
            found.setdefault((place, spot.value), Found(spot.kind.name, place, shown, pseudonyms[spot]))
        return list(found.values())

    def _spots(self, corpus: Corpus) -> list[Spot]:
        """What is replaced: first what was recognised, then where else that stands."""
        read = view(corpus.raw)
        taken = Taken()
        spots = [
            spot for spot in self._recognised(corpus.raw, read) if taken.add(spot) and self._is_replaced(spot, corpus)
        ]
        known = {spot.value: spot for spot in spots if spot.kind.is_peculiar(spot.value)}
        elsewhere = [
            spot
            for value, first in known.items()
            for spot in _standing(value, first, read)
            if taken.add(spot) and not corpus.is_form(spot)
        ]
        return sorted(spots) + sorted(elsewhere)

    def _recognised(self, raw: str, read: View) -> Iterator[Spot]:
        for detector in self._detectors:
            unread = bool(read.ends and detector.unread and detector.unread in raw)
            for seen in (read, View(raw, raw))[: 1 + unread]:
                for hit in detector.find(seen.text):
                    if hit.kind in self._kinds:
                        yield _spot(hit, self._kinds[hit.kind], seen)

    def _is_replaced(self, spot: Spot, corpus: Corpus) -> bool:
        if spot.kind.is_made_up(spot.value[spot.head :]) or corpus.is_form(spot):
            return False
        return not any(pattern.fullmatch(spot.value) for pattern in self._allow)


def _spot(hit: Hit, kind: Kind, seen: View) -> Spot:
    value = seen.text[hit.start : hit.end]
    return Spot(seen.place(hit.start), seen.place(hit.end), value, kind, hit.head, seen, hit.start)


def _standing(value: str, first: Spot, read: View) -> Iterator[Spot]:
    """Everywhere that a secret stands, not as a part of a longer word."""
    at = read.text.find(value)
    while at >= 0:
        end = at + len(value)
        if not (_goes_on(read.text, at - 1, value[0]) or _goes_on(read.text, end, value[-1])):
            yield _spot(Hit(first.kind.name, at, end, first.head), first.kind, read)
        at = read.text.find(value, end)


def _goes_on(text: str, at: int, edge: str) -> bool:
    return at >= 0 and edge.isalnum() and text[at : at + 1].isalnum()


# -- pseudonyms -----------------------------------------------------------------------------------------------------

_TRIES = 100


def _pseudonyms(corpus: Corpus, spots: list[Spot]) -> dict[Spot, str]:
    """By spot; one for each value."""
    made = _Made(corpus)
    return {spot: corpus.identity(spot) or made.pseudonym(spot) for spot in spots}


class _Made:
    """The pseudonyms of a transcript so far."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._by_value: dict[tuple[str, str], str] = {}
        self._all: set[str] = set()
        self._ordinals: Counter[str] = Counter()

    def pseudonym(self, spot: Spot) -> str:
        """What stands for the value in this spot."""
        kind = spot.kind
        # A secret is the same by whatever it was recognised.
        key = ("" if kind.secret else kind.name, kind.same(spot.value))
        if key not in self._by_value:
            self._by_value[key] = self._new(spot, key[1])
        return kind.fit(self._by_value[key], spot.value)

    def _new(self, spot: Spot, value: str) -> str:
        """A pseudonym that no other value has, and that does not stand in the transcript so far."""
        kind, end = spot.kind, self._corpus.end_of_text(spot)
        random = Random(f"{kind.name} {self._ordinals[kind.name]}")
        self._ordinals[kind.name] += 1
        head, core = value[: spot.head], value[spot.head :]
        attempts = 0
        while True:
            made = head + kind.make(core, random)
            written = kind.fit(made, spot.value)
            if made not in self._all and self._corpus.raw.find(written, 0, end) < 0:
                self._all.add(made)
                return made
            attempts += 1
            if attempts % _TRIES == 0:
                core += core[-1]  # there are hardly any more of this length


# -- rules ----------------------------------------------------------------------------------------------------------


def _compiled(where: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UserError(f"{where}: {pattern!r} is no regular expression: {error}") from None


def _own(name: str, pattern: str) -> Detector:
    where = f"scrub.patterns.{name}"
    if name in KINDS:
        raise UserError(f"{where}: there is a kind of this name already; choose another one")
    compiled = _compiled(where, pattern)
    if compiled.match(""):
        raise UserError(f"{where}: {pattern!r} matches an empty text")
    return Detector((Kind(name),), partial(_find_own, name, compiled))


def _find_own(name: str, pattern: re.Pattern[str], text: str) -> Iterator[Hit]:
    group = min(pattern.groups, 1)
    for match in pattern.finditer(text):
        start, end = match.span(group)
        if any(map(str.isalnum, text[start:end])):
            yield Hit(name, start, end)
