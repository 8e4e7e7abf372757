"""Blocks of numbered lines, as file viewers and editors print them, and by what rule they were chosen.

Which lines an editor shows around a change is read off the blocks it has shown: a rule counts as long as it gives
every one of them exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from simulators.base import Unknown
from simulators.files import File

_LINE = re.compile(r"( *|0*)(\d+)(→|\t|: ?|\| ?)(.*)", re.DOTALL)
_MOST_CONTEXT = 120
_USUAL_CONTEXT = 10


class Style(NamedTuple):
    """How a numbered line looks."""

    width: int
    fill: str
    separator: str
    end: str

    def block(self, first: int, lines: Sequence[str]) -> str:
        """Numbered lines, without a line end after the last."""
        numbered = (self._line(number, line) for number, line in enumerate(lines, start=first))
        return f"{self.end}\n".join(numbered)

    def _line(self, number: int, line: str) -> str:
        return f"{str(number).rjust(self.width, self.fill)}{self.separator}{line}"


class Block(NamedTuple):
    """A run of numbered lines in a text."""

    style: Style
    start: int
    """Where it begins in the text."""
    end: int
    first: int
    lines: tuple[str, ...]

    @property
    def last(self) -> int:
        """The number of its last line."""
        return self.first + len(self.lines) - 1

    @property
    def may_close(self) -> bool:
        """May its last line be none of the file? Editors that put a tab behind the number show one more, empty line."""
        return len(self.lines) > 1 and self.lines[-1] == "" and self.style.separator == "\t"


class _Numbered(NamedTuple):
    number: int
    width: int
    fill: str
    separator: str
    text: str


def find_block(text: str) -> Block | None:
    """The longest run of numbered lines; None where there is none that is surely one."""
    best: tuple[int, list[_Numbered]] = (0, [])
    lines = text.split("\n")
    run: list[_Numbered] = []
    for index, line in enumerate([*lines, ""]):
        numbered = _numbered(line) if index < len(lines) else None
        if numbered is not None and run and _follows(run[-1], numbered):
            run.append(numbered)
            continue
        if _is_surely_one(run) and len(run) > len(best[1]):
            best = (index - len(run), run)
        run = [numbered] if numbered is not None else []
    return _block(lines, *best) if best[1] else None


def _numbered(line: str) -> _Numbered | None:
    match = _LINE.fullmatch(line)
    if match is None or len(match[2]) > 9:
        return None
    pad, digits, separator, text = match.groups()
    fill = "0" if digits.startswith("0") and len(digits) > 1 else " "
    return _Numbered(int(digits), len(pad) + len(digits), fill, separator, text)


def _follows(before: _Numbered, line: _Numbered) -> bool:
    same_width = line.width == before.width or (line.width > before.width and len(str(line.number)) == line.width)
    alike = line.separator.rstrip(" ") == before.separator.rstrip(" ")
    return line.number == before.number + 1 and same_width and alike


def _is_surely_one(run: Sequence[_Numbered]) -> bool:
    if not run:
        return False
    padded = run[0].width > len(str(run[0].number))
    return len(run) > 1 or (padded and run[0].separator in ("→", "\t")) or run[0].number == 1


def _block(lines: Sequence[str], at: int, run: Sequence[_Numbered]) -> Block:
    start = sum(len(line) + 1 for line in lines[:at])
    separator = min((line.separator for line in run), key=len)
    # A blank after it belongs to the text, unless all lines have one.
    texts = [line.separator[len(separator) :] + line.text for line in run]
    end = "\r" if len(texts) > 1 and all(text.endswith("\r") for text in texts[:-1]) else ""
    length = sum(len(line) + 1 for line in lines[at : at + len(run)]) - 1
    if end:
        length -= texts[-1].endswith("\r")
        texts = [text.removesuffix("\r") for text in texts]
    width = min(line.width for line in run) if run[0].width > len(str(run[0].number)) else 0
    style = Style(width, run[0].fill, separator, end)
    return Block(style, start, start + length, run[0].number, tuple(texts))


class Page(NamedTuple):
    """A file, and the places in it that what is shown may depend on."""

    file: File
    anchors: Mapping[str, int]
    """Line numbers: `start` and `end` of a change, `first` and `last` of what was asked for."""


class Rule(NamedTuple):
    """Which lines of a page are shown."""

    splits: bool
    """Does a last line end begin one more, empty line?"""
    first: tuple[str, int]
    last: tuple[str, int]
    closes: bool = False
    """Does one more, empty line follow in any case?"""

    def lines(self, page: Page) -> tuple[int, list[str]]:
        """The first number, and the lines. Raises Unknown where one of them is not known."""
        first = max(1, _anchor(page, self.first, 1))
        last = _anchor(page, self.last, None)
        found = _lines(page.file, first, last, self.splits)
        return first, [*found, ""] if self.closes else found

    @property
    def is_even(self) -> bool:
        """As many lines before a change as after it."""
        return self.first[0] == "start" and self.last[0] == "end" and -self.first[1] == self.last[1]


def _anchor(page: Page, place: tuple[str, int], default: int | None) -> int:
    name, offset = place
    if name == "top":
        return 1
    if name == "bottom":
        return 1 << 40
    if name not in page.anchors:
        raise Unknown(f"no {name} here")
    return page.anchors[name] + offset


def _lines(file: File, first: int, last: int, splits: bool) -> list[str]:
    """Lines `first` to `last`, fewer where the file is shorter."""
    found: list[str] = []
    for number in range(first, last + 1):
        if number in file.lines:
            found.append(file.lines[number])
            continue
        if file.count is None or number <= file.count:
            raise Unknown(f"line {number} is not known")
        if splits and number == file.count + 1:
            if file.ends is None:
                raise Unknown("how the file ends is not known")
            if file.ends:
                found.append("")
        break
    return found


def rules(block: Block, page: Page) -> frozenset[Rule]:
    """Every rule that gives exactly this block."""
    fitting = set(_fitting(block, block, page, False))
    if block.may_close and "end" in page.anchors:
        fitting |= set(_fitting(block._replace(lines=block.lines[:-1]), block, page, True))
    return frozenset(fitting)


def _fitting(part: Block, block: Block, page: Page, closes: bool) -> Iterator[Rule]:
    """The rules that give the whole block, `part` of which are lines of the file."""
    for first in _firsts(part, page):
        for last in _lasts(part, page):
            for splits in (False, True):
                rule = Rule(splits, first, last, closes)
                try:
                    number, lines = rule.lines(page)
                except Unknown:
                    continue
                if number == block.first and tuple(lines) == block.lines:
                    yield rule


def _firsts(block: Block, page: Page) -> Iterator[tuple[str, int]]:
    if block.first == 1:
        yield "top", 0
    for name in ("first", "start"):
        if name in page.anchors:
            offset = block.first - page.anchors[name]
            if name == "first" and offset == 0:
                yield name, 0
            elif name == "start" and -_MOST_CONTEXT <= offset <= 0:
                yield from ((name, -each) for each in range(-offset, _clipped(block.first == 1, -offset)))


def _lasts(block: Block, page: Page) -> Iterator[tuple[str, int]]:
    total = page.file.count
    at_bottom = total is not None and block.last >= total
    if at_bottom:
        yield "bottom", 0
    for name in ("last", "end"):
        if name in page.anchors:
            offset = block.last - page.anchors[name]
            if name == "last" and (offset == 0 or (at_bottom and offset < 0)):
                yield name, 0
            elif name == "end" and 0 <= offset <= _MOST_CONTEXT:
                yield from ((name, each) for each in range(offset, _clipped(at_bottom, offset)))


def _clipped(clipped: bool, offset: int) -> int:
    """Where the file begins or ends, any greater context gives the same."""
    return max(_USUAL_CONTEXT, offset) + 1 if clipped else offset + 1
