"""Translates patterns of grep and sed to Python's, where both surely mean the same."""

from __future__ import annotations

import re
from typing import NamedTuple

from simulators.base import Unknown

_MOST_WORK = 1_000_000_000
_LONGEST = 500
_CLASSES = {"alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z",
            "space": " \t\n\r\f\v", "blank": " \t", "xdigit": "0-9A-Fa-f"}  # fmt: skip
_GNU = {"w": r"\w", "W": r"\W", "s": r"\s", "S": r"\S", "b": r"\b", "<": r"\b(?=\w)", ">": r"\b(?<=\w)"}
_REPEAT = re.compile(r"\{(\d{1,3})(,?)(\d{0,3})\}")


class Pattern(NamedTuple):
    """A pattern that can be searched for."""

    regex: re.Pattern[str]
    unbounded: int
    """How many of its parts may match any length."""
    simple: bool
    """Is the leftmost match also the longest?"""
    gnu: bool
    """Does it use what only some versions have?"""

    def check(self, lines: list[str]) -> None:
        """Raises Unknown where the search could take too long."""
        if self.unbounded and sum(len(line) ** (self.unbounded + 1) for line in lines) > _MOST_WORK:
            raise Unknown("a search that may take too long")


def fixed(text: str, ignore_case: bool) -> Pattern:
    """A literal text."""
    return _compiled(re.escape(text), ignore_case, 0, True, False)


def translate(source: str, extended: bool, ignore_case: bool = False) -> Pattern:
    """A basic or extended pattern of POSIX. Raises Unknown for what may mean something else."""
    if len(source) > _LONGEST or "\n" in source:
        raise Unknown("a pattern that is not modelled")
    return _Translator(source, extended).pattern(ignore_case)


def _compiled(regex: str, ignore_case: bool, unbounded: int, simple: bool, gnu: bool) -> Pattern:
    if ignore_case and not regex.isascii():
        raise Unknown("letters without case in the pattern")
    try:
        return Pattern(re.compile(regex, re.IGNORECASE if ignore_case else 0), unbounded, simple, gnu)
    except (re.error, RecursionError, OverflowError):
        raise Unknown("a pattern that is not modelled") from None


class _Translator:
    def __init__(self, source: str, extended: bool) -> None:
        self._source = source
        self._extended = extended
        self._at = 0
        self._pieces: list[str] = []
        self._groups: list[int] = []
        self._atom = False
        """Does an atom stand before, that may be repeated?"""
        self._closed: int | None = None
        """Where the group that stands before begins; None where none does."""
        self._unbounded = 0
        self._simple = True
        self._gnu = False
        self._repeats: list[int] = []

    def pattern(self, ignore_case: bool) -> Pattern:
        while self._at < len(self._source):
            self._step()
        if self._groups:
            raise Unknown("an open group")
        return _compiled("".join(self._pieces), ignore_case, self._unbounded, self._simple, self._gnu)

    def _operator(self) -> str:
        """The operator that stands here, written as in extended patterns; empty for anything else."""
        char = self._source[self._at]
        escaped = self._source[self._at + 1 : self._at + 2] if char == "\\" else ""
        if char == "\\" and not escaped:
            raise Unknown("a backslash at the end")
        if self._extended:
            if char in "(){}|+?*":
                return char
            return ""
        if char == "*":
            return "*"
        if escaped and escaped in "(){}|+?":
            self._gnu = self._gnu or escaped in "|+?"
            return escaped
        return ""

    def _step(self) -> None:
        operator = self._operator()
        if operator:
            width = 1 if self._extended or operator == "*" else 2
            self._operate(operator, width)
            return
        char = self._source[self._at]
        if char == "[":
            self._bracket()
        elif char == "\\":
            self._escape(self._source[self._at + 1])
        elif char in "^$":
            self._anchor(char)
        else:
            self._add("." if char == "." else re.escape(char), 1)

    def _add(self, piece: str, width: int) -> None:
        self._pieces.append(piece)
        self._at += width
        self._atom, self._closed = True, None

    def _escape(self, char: str) -> None:
        if char in _GNU:
            self._gnu = True
            self._add(_GNU[char], 2)
            self._atom = char in "wWsS"
        elif char.isalnum() or not char.isascii() or char in "`'":
            raise Unknown(f"\\{char} is not modelled")
        else:
            self._add(re.escape(char), 2)

    def _anchor(self, char: str) -> None:
        before = self._source[: self._at]
        after = self._source[self._at + 1 :]
        starts = before == "" or (self._extended and before[-1:] in "(|") or before.endswith(("\\(", "\\|"))
        ends = after == "" or (self._extended and after[:1] in ")|") or after.startswith(("\\)", "\\|"))
        if starts if char == "^" else ends:
            self._pieces.append("^" if char == "^" else r"\Z")
            self._at += 1
            self._atom, self._closed = False, None
        elif self._extended:
            raise Unknown("an anchor within the pattern")
        else:
            self._add(re.escape(char), 1)

    def _operate(self, operator: str, width: int) -> None:
        if operator == "(":
            self._groups.append(len(self._pieces))
            self._pieces.append("(")
            self._at += width
            self._atom, self._closed = False, None
        elif operator == ")":
            if not self._groups:
                raise Unknown("a closing parenthesis")
            start = self._groups.pop()
            self._add(")", width)
            self._closed = start
        elif operator == "|":
            if not self._atom and self._pieces[-1:] not in (["^"], [r"\Z"], [r"\b"]):
                raise Unknown("an empty alternative")
            self._simple = False
            self._pieces.append("|")
            self._at += width
            self._atom = False
        elif operator == "{":
            self._braces(width)
        elif operator == "}":
            self._add(re.escape(operator), width)
        else:
            self._repeat(operator, width, operator in "*+")

    def _braces(self, width: int) -> None:
        rest = self._source[self._at + width - 1 :]
        match = _REPEAT.match(rest if self._extended else rest.replace("\\}", "}", 1))
        if match is None:
            if not self._extended or rest[1:2].isdigit() or rest[1:2] == ",":
                raise Unknown("a repetition that is not modelled")
            if not self._atom:
                raise Unknown("a brace at the beginning")
            self._gnu = True
            self._add(r"\{", 1)
            return
        wide = match[2] == "," and (not match[3] or int(match[3]) > int(match[1]) + 4)
        self._repeat(match[0], len(match[0]) + (0 if self._extended else 2), wide)

    def _repeat(self, operator: str, width: int, is_unbounded: bool) -> None:
        if not self._atom:
            if operator == "*" and not self._extended and self._pieces[-1:] in ([], ["^"], ["("]):
                self._add(re.escape("*"), 1)
                return
            raise Unknown("nothing to repeat")
        if self._closed is not None:
            self._simple = False
            if any(at >= self._closed for at in self._repeats):
                raise Unknown("a repetition within a repetition")
        self._repeats.append(len(self._pieces))
        self._unbounded += is_unbounded
        self._pieces.append(operator)
        self._at += width
        self._atom, self._closed = False, None

    def _bracket(self) -> None:
        source, at = self._source, self._at + 1
        negated = source[at : at + 1] == "^"
        at += negated
        content = ""
        first = True
        while first or source[at : at + 1] != "]":
            char = source[at : at + 1]
            if char == "":
                raise Unknown("an open bracket")
            named = re.compile(r"\[:([a-z]+):\]").match(source, at)
            if named:
                if named[1] not in _CLASSES:
                    raise Unknown("a class of characters that is not modelled")
                content += _CLASSES[named[1]]
                at = named.end()
            elif source[at : at + 2] in ("[.", "[=", "[:"):
                raise Unknown("a class of characters that is not modelled")
            else:
                piece, at = self._in_bracket(at)
                content += piece
            first = False
        self._add(f"[{'^' if negated else ''}{content}]", at + 1 - self._at)

    def _in_bracket(self, at: int) -> tuple[str, int]:
        source = self._source
        if source[at + 1 : at + 2] == "-" and source[at + 2 : at + 3] not in ("", "]"):
            low, high = source[at], source[at + 2]
            alike = (str.islower, str.isupper, str.isdigit)
            if (
                not any(kind(low) and kind(high) for kind in alike)
                or not (low.isascii() and high.isascii())
                or low > high
            ):
                raise Unknown("a range that depends on the locale")
            return f"{low}-{high}", at + 3
        return re.escape(source[at]), at + 1
