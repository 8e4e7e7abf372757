"""How this environment words its outputs: templates read off the outputs that it really gave.

An operation comes with facts (its arguments, counts, the lines of a file). Where a fact stands in an output, the
template has a slot; what is left has to be the same every time. A template that once reproduced a real output byte for
byte is used again, with new facts, as long as nothing speaks against it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from simulators.base import Unknown
from simulators.workspace.blocks import Page, Rule, Style, find_block, rules

Facts = dict[str, str]
_DIGIT = re.compile(r"\d")
_RECENT = 8
_SHARE = 0.8
"""Of the latest outputs, so many have to be of one form."""
_SETTLED = 3
"""Or as many in a row."""
_PLAIN = "Note"
"""Of these operations the acknowledgement is a sentence by itself, in no frame of the harness."""
_ENOUGH = 2
_SEVERAL = 2
_TOLD_ALIKE = 0.8
"""Of all lines; between versions of a harness it was 0.75 at most."""
_NEXT = 12
"""So many of the kin, the next in time, have to agree."""
_NEARLY_ALL = 0.9
_CLUSTERS = 64
"""Of so many clusters the forms are kept, for each key."""


class Slot(NamedTuple):
    """Where a fact stands."""

    names: frozenset[str]
    """The facts that fit, as far as is known."""


class Shown(NamedTuple):
    """Where numbered lines of a file stand."""

    style: Style
    rules: frozenset[Rule]


Template = tuple[str | Slot | Shown, ...]


class Told(NamedTuple):
    """What an operation would tell."""

    outcome: str
    """How it ends, such as `done` or `not found`: each has its own form."""
    facts: Facts
    page: Page | None = None
    shows: frozenset[str] = frozenset()
    """Of these facts, or the page, one has to be in the output: or else it tells something else."""
    others: tuple[str, ...] = ()
    """Other outcomes that are as possible: it can be told only where they read the same."""
    is_assumed: bool = False
    """The facts were read off the output itself: its form does not tell harnesses apart."""

    def is_told_by(self, template: Template) -> bool:
        """Does an output of this form tell it?"""
        shown = (isinstance(part, Shown) or (isinstance(part, Slot) and part.names & self.shows) for part in template)
        return not self.shows or any(shown)


def explain(output: str, told: Told) -> Template:
    """The template that gives this output for these facts."""
    if told.page is not None:
        block = find_block(output)
        fitting = rules(block, told.page) if block is not None else None
        if block is not None and fitting:
            facts = told.facts | _around(block.first, block.last, told.page)
            before = _slots(output[: block.start], facts, told.shows)
            after = _slots(output[block.end :], facts, told.shows)
            return (*before, Shown(block.style, fitting), *after)
    return _slots(output, told.facts, told.shows)


def _slots(text: str, facts: Facts, shows: frozenset[str]) -> Template:
    """The text with facts replaced, the longest first; where what is shown equals another fact, it is what is shown."""
    parts: list[str | Slot | Shown] = [text] if text else []
    by_value: dict[str, set[str]] = defaultdict(set)
    for name, value in facts.items():
        by_value[value].add(name)
    for value in sorted(by_value, key=lambda value: (-len(value), value)):
        if value:
            slot = Slot(frozenset(by_value[value] & shows or by_value[value]))
            parts = [
                piece for part in parts for piece in (_cut(part, value, slot) if isinstance(part, str) else [part])
            ]
    return tuple(parts)


def _cut(text: str, value: str, slot: Slot) -> Iterable[str | Slot]:
    at = 0
    while (found := text.find(value, at)) >= 0:
        end = found + len(value)
        if _stands_alone(text, found, end, value):
            if found:
                yield text[:found]
            yield slot
            text, at = text[end:], 0
        else:
            at = found + 1
    if text:
        yield text


def _stands_alone(text: str, start: int, end: int, value: str) -> bool:
    """A number is not part of a longer one, a short word not of another word."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if value.isdigit():
        return not (before.isdigit() or after.isdigit())
    return len(value) > 4 or not ((before + after).replace("_", "a").strip().isalnum() or not value.strip())


def _around(first: int, last: int, page: Page) -> dict[str, str]:
    """How many lines there are before and after those that are shown."""
    facts = {"above": str(first - 1)}
    if page.file.count is not None:
        facts["below"] = str(page.file.count - last)
    return facts


def fill(template: Template, told: Told) -> str:
    """The output. Raises Unknown where a fact is missing, or where those that may be meant differ."""
    facts, blocks = dict(told.facts), {}
    for part in template:
        if isinstance(part, Shown):
            if told.page is None:
                raise Unknown("no lines to show")
            first, lines = _chosen(part, told.page)
            blocks[part] = part.style.block(first, lines)
            facts |= _around(first, first + len(lines) - 1, told.page)
    return "".join(
        part if isinstance(part, str) else blocks[part] if isinstance(part, Shown) else _value(part, facts)
        for part in template
    )


def _value(slot: Slot, facts: Facts) -> str:
    values = {facts[name] for name in slot.names if name in facts}
    if len(values) != 1:
        raise Unknown("no fact, or more than one, for a place in the output")
    return values.pop()


def _chosen(shown: Shown, page: Page) -> tuple[int, tuple[str, ...]]:
    """The lines that all rules show; where they differ, those that show as much before as after."""
    given = {rule: _given(rule, page) for rule in shown.rules}
    choices = set(given.values())
    if len(choices) > 1:
        choices = {lines for rule, lines in given.items() if rule.is_even}
    lines = choices.pop() if len(choices) == 1 else None
    if lines is None:
        raise Unknown("the lines that would be shown are not known")
    return lines


def _given(rule: Rule, page: Page) -> tuple[int, tuple[str, ...]] | None:
    try:
        first, lines = rule.lines(page)
    except Unknown:
        return None
    return first, tuple(lines)


def merged(one: Template, other: Template) -> Template | None:
    """What both are cases of; None where they are different forms."""
    if len(one) != len(other):
        return None
    parts: list[str | Slot | Shown] = []
    for mine, yours in zip(one, other, strict=True):
        part = _common(mine, yours)
        if part is None:
            return None
        parts.append(part)
    return tuple(parts)


def _common(mine: str | Slot | Shown, yours: str | Slot | Shown) -> str | Slot | Shown | None:
    if isinstance(mine, Slot) and isinstance(yours, Slot):
        names = mine.names & yours.names
        return Slot(names) if names else None
    if isinstance(mine, Shown) and isinstance(yours, Shown):
        common = mine.rules & yours.rules
        return Shown(yours.style, common) if common and mine.style == yours.style else None
    return mine if mine == yours else None


class _Seen(NamedTuple):
    template: Template
    times: int


Key = tuple[str, ...]
"""Tool, operation and outcome."""


class Worded(NamedTuple):
    """The usual form of each outcome that a transcript has shown."""

    sure: Mapping[Key, Template]
    """Those that were computed."""
    assumed: Mapping[Key, Template]
    """Those read off the output itself: they tell harnesses apart where there is nothing else."""
    opening: frozenset[str] = frozenset()
    """Lines of what the harness tells the agent first: who is told the same is in the same harness."""


class Library:
    """The forms of other transcripts, for what a transcript itself has not shown.

    Only those count that word nothing in another way than this transcript does: its kin. A harness words its outputs
    differently from one version to the next, so of the kin those that were recorded at nearly the same time have to
    agree. One alone is enough where it is alike in several things. Where the transcript has not shown any form yet that
    could be compared, nearly all transcripts have to agree.
    """

    def __init__(self) -> None:
        self._shown: dict[Key, dict[str, list[Template]]] = defaultdict(dict)
        """By key, then by cluster."""
        self._of: dict[str, Worded] = {}
        """By cluster."""
        self._dates: dict[str, float] = {}

    def add(self, cluster: str, forms: Forms, date: float | None = None) -> None:
        """The forms that a transcript of this cluster shows, which began at `date` (seconds)."""
        if date is not None:
            self._dates.setdefault(cluster, date)
        worded = forms.worded()
        for key, template in worded.sure.items():
            by_cluster = self._shown[key]
            if cluster in by_cluster or len(by_cluster) < _CLUSTERS:
                by_cluster.setdefault(cluster, []).append(template)
        known = self._of.get(cluster, Worded({}, {}, worded.opening))
        self._of[cluster] = Worded({**worded.sure, **known.sure}, {**worded.assumed, **known.assumed}, known.opening)

    def template(self, key: Key, cluster: str, own: Worded, date: float | None = None) -> Template | None:
        """What other transcripts of this kind show; None where they are too few, or differ."""
        shown = {other: each for other, each in self._shown.get(key, {}).items() if other != cluster}
        sure = {other: _compared(own.sure, self._of[other].sure) for other in shown}
        for other in [other for other in shown if _is_told_alike(own.opening, self._of[other].opening)]:
            sure[other] = sure[other]._replace(of=sure[other].of + 1, tell=sure[other].tell + _SEVERAL)
        assumed = {other: _compared(own.assumed, self._of[other].assumed) for other in shown}
        compared = sure if any(each.of for each in sure.values()) else assumed
        kin = self._nearest([other for other, each in compared.items() if each.of and not each.differ], date)
        if len(kin) >= _ENOUGH:
            return _common_form([template for other in kin for template in shown[other]], 1.0)
        enough = 1 if key[1] == _PLAIN else _SEVERAL
        if kin and sure[kin[0]].tell + assumed[kin[0]].tell >= enough and not assumed[kin[0]].differ:
            only = _common_form(shown[kin[0]], 1.0, least=1)
            return only if only is not None and _is_explained(only) else None
        if any(each.of for each in compared.values()) and key[1] != _PLAIN:
            return None  # harnesses that can be compared word their outputs in another way
        return _common_form([template for each in shown.values() for template in each], _NEARLY_ALL)

    def _nearest(self, kin: Sequence[str], date: float | None) -> Sequence[str]:
        """Those that were recorded next to this one; all, where it is not known when."""
        if date is None or any(other not in self._dates for other in kin):
            return kin
        return sorted(kin, key=lambda other: abs(self._dates[other] - date))[:_NEXT]


def _common_form(templates: Sequence[Template], share: float, least: int = _ENOUGH) -> Template | None:
    """The form that so large a share of them, and at least so many, have."""
    for first in templates[:_ENOUGH]:
        common, times = first, 0
        for template in templates:
            if (both := merged(common, template)) is not None:
                common, times = both, times + 1
        if times >= max(least, share * len(templates)):
            return common
    return None


def _is_told_alike(one: frozenset[str], other: frozenset[str]) -> bool:
    """The task may stand between what is the same in one harness."""
    return bool(one) and len(one & other) >= _TOLD_ALIKE * len(one | other)


class _Compared(NamedTuple):
    """The forms of two transcripts."""

    of: int
    """How many things both have shown."""
    differ: bool
    """Is one of them worded in another way?"""
    tell: int
    """How many have words of their own, by which they can be told from others."""


def _compared(own: Mapping[Key, Template], other: Mapping[Key, Template]) -> _Compared:
    common = own.keys() & other.keys()
    differ = any(merged(own[key], other[key]) is None for key in common)
    return _Compared(len(common), differ, sum(any(isinstance(part, str) for part in own[key]) for key in common))


def _most(seen: Sequence[_Seen]) -> Template:
    return max(seen, key=lambda each: each.times).template


def _is_open(template: Template) -> bool:
    """Is it open if an empty line belongs to what was printed, or to the frame around it?"""
    return any(
        isinstance(before, Slot) and isinstance(part, str) and part.startswith("\n")
        for before, part in pairwise(template)
    )


def _is_explained(template: Template) -> bool:
    """Is it known where each line that it shows comes from?"""
    return not any(isinstance(part, str) and find_block(part) for part in template)


class Forms:
    """The forms that outputs have had here, by tool, operation and outcome."""

    def __init__(self, library: Library | None = None, cluster: str = "", date: float | None = None) -> None:
        self._library = library
        self._cluster = cluster
        self._date = date
        self.opening: frozenset[str] = frozenset()
        """Lines of what the harness tells the agent first."""
        self._seen: dict[Key, list[_Seen]] = defaultdict(list)
        self._splits: dict[Style, set[bool]] = defaultdict(set)
        """Does a last line end begin one more line? By how lines are numbered: viewers and editors are mostly alike."""
        self._sure: set[Key] = set()
        self._latest: dict[Key, list[int]] = defaultdict(list)
        """Which of the forms the latest outputs had."""

    def learn(self, key: Key, output: str, told: Told) -> None:
        """An output was really given."""
        template = explain(output, told)
        if told.is_told_by(template) and (told.page is None or _is_explained(template)):
            for part in template:
                if isinstance(part, Shown) and len(splits := {rule.splits for rule in part.rules}) == 1:
                    self._splits[part.style] |= splits
            for outcome in (told.outcome, *told.others):
                self._learn((*key, outcome), template)
                if not told.is_assumed:
                    self._sure.add((*key, outcome))

    def _learn(self, key: Key, template: Template) -> None:
        seen, latest = self._seen[key], self._latest[key]
        for index, (known, times) in enumerate(seen):
            if (both := merged(known, template)) is not None:
                seen[index] = _Seen(both, times + 1)
                break
        else:
            index = len(seen)
            seen.append(_Seen(template, 1))
        latest.append(index)
        del latest[:-_RECENT]

    def output(self, key: Key, told: Told) -> str:
        """What would be given. Raises Unknown where no form is known well enough."""
        texts = {self._output((*key, outcome), told) for outcome in (told.outcome, *told.others)}
        if len(texts) > 1:
            raise Unknown("it is not known how the call ends, and the outputs would differ")
        return texts.pop()

    def _output(self, key: Key, told: Told) -> str:
        latest = self._latest.get(key)
        if not latest:
            if (shared := self._of_others(key)) is None:
                raise Unknown(f"no output of this form was seen: {' '.join(key)}")
            return self._filled(shared, told)
        index = latest[-1]
        template, times = self._seen[key][index]
        share = 1.0 if _has_number(template) else _SHARE
        settled = latest.count(index) >= share * len(latest) or (share < 1 and latest[-3:].count(index) == _SETTLED)
        if not settled or (times == 1 and share == 1.0):
            raise Unknown(f"the form is not sure: {' '.join(key)}")
        try:
            return self._filled(template, told)
        except Unknown:  # what was shown here may leave open what others show
            shared = self._of_others(key)
            both = None if shared is None else merged(template, shared)
            if both is None or both == template:
                raise
            return self._filled(both, told)

    def _of_others(self, key: Key) -> Template | None:
        if self._library is None:
            return None
        return self._library.template(key, self._cluster, self.worded(), self._date)

    def _filled(self, template: Template, told: Told) -> str:
        return fill(tuple(map(self._narrowed, template)), told)

    def _narrowed(self, part: str | Slot | Shown) -> str | Slot | Shown:
        """Where it is open if a last line end begins a line: as with other lines of this style."""
        if isinstance(part, Shown) and len(splits := self._splits.get(part.style, set())) == 1:
            rules = frozenset(rule for rule in part.rules if rule.splits in splits)
            return Shown(part.style, rules) if rules else part
        return part

    def worded(self) -> Worded:
        """The most frequent form of each outcome."""
        sure, assumed = {}, {}
        for key, seen in sorted(self._seen.items()):
            if key in self._sure:
                sure[key] = _most(seen)
            elif closed := [each for each in seen if not _is_open(each.template)]:
                assumed[key] = _most(closed)
        return Worded(sure, assumed, self.opening)

    def fork(self) -> Forms:
        """A copy that learns by itself."""
        copy = Forms(self._library, self._cluster, self._date)
        copy.opening = self.opening
        copy._sure = set(self._sure)
        copy._splits.update({style: set(each) for style, each in self._splits.items()})
        copy._seen.update({key: list(value) for key, value in self._seen.items()})
        copy._latest.update({key: list(value) for key, value in self._latest.items()})
        return copy


def _has_number(template: Sequence[str | Slot | Shown]) -> bool:
    """A number that no fact explains may be another one the next time."""
    return any(isinstance(part, str) and _DIGIT.search(part) for part in template)
