"""Texts as the detectors see them: with every escape sequence read.

In the arguments of a tool call (JSON text), in JSON inside a tool output, in source code and in coloured output, the
letter before a value may belong to an escape (`"see\\nAKIA..."`), and the value itself may hold some (`\\/`, `\\u0040`,
`%40`). However often a text was escaped, one run of backslashes is one escape here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

_BACKSLASHED = r"""\\(?:\\*(?:(?:u001[bB]|x1[bB]|033|e)\[[0-9;]*[A-Za-z]|u[0-9a-fA-F]{4}|[nrtbf"'/])|\\+)"""
_ESCAPE = re.compile(_BACKSLASHED)
_ANY_ESCAPE = re.compile(rf"{_BACKSLASHED}|\x1b\[[0-9;]*[A-Za-z]|%40")
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "/": "/", "": "\\", "%40": "@"}


@dataclass(slots=True, eq=False)
class View:
    """A text with its escapes read, and where each character of it stands in the original."""

    text: str
    raw: str
    ends: list[int] = field(default_factory=list)
    """Where the escapes end in `text`, in order."""
    shifts: list[int] = field(default_factory=list)
    """By how much the original is ahead from there on."""

    def place(self, index: int) -> int:
        """Where the character at `index` begins in the original."""
        at = bisect_right(self.ends, index)
        return index + self.shifts[at - 1] if at else index

    def rewritten(self, start: int, end: int, new: str) -> str:
        """`new` as it has to be written in the original in place of a piece of the text: escaped as that was."""
        if not self.ends:
            return new
        old = self.text[start:end]
        places = [self.place(i) for i in range(start, end + 1)]
        pieces = [self.raw[a:b] for a, b in pairwise(places)]
        if len(old) == len(new):
            return "".join(piece if a == b else b for a, b, piece in zip(old, new, pieces, strict=True))
        escaped = dict(zip(old, pieces, strict=True))
        return "".join(escaped.get(character, character) for character in new)


def view(text: str) -> View:
    """The text as the detectors see it."""
    pieces: list[str] = []
    ends: list[int] = []
    shifts: list[int] = []
    last = length = 0
    # Most texts have the backslash alone, which is found faster.
    escape = _ANY_ESCAPE if "\x1b[" in text or "%40" in text else _ESCAPE
    for match in escape.finditer(text):
        start, end = match.span()
        pieces += (text[last:start], _read(match.group()))
        length += start - last + 1
        last = end
        ends.append(length)
        shifts.append(end - length)
    return View("".join((*pieces, text[last:])) if ends else text, text, ends, shifts)


@lru_cache(1024)
def _read(escape: str) -> str:
    """The one character an escape stands for; for a colour, the escape character itself."""
    body = escape.lstrip("\\")
    if body in _LETTERS:
        return _LETTERS[body]
    code = int(body[1:], 16) if len(body) == 5 and body[0] == "u" else 0xD800
    return "\x1b" if 0xD800 <= code <= 0xDFFF else chr(code)
