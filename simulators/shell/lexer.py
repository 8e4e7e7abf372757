"""Cuts a piece of source into words."""

from __future__ import annotations

import re
from collections.abc import Callable

from simulators.shell.scan import Scanner, Unmodelled
from simulators.shell.tree import Braces, Glob, Odd, Part, Script, Substitution, Text, Tilde, Variable, Word

_PLAIN = re.compile(r"[^\s\\'\"`$*?\[\]{}~|&;<>()#]+")
_PLAIN_STRING = re.compile(r"[^\\\"`$]+")
_NAME = re.compile(r"\$(?:\{([A-Za-z_]\w*|[?#@*!$\d-])\}|([A-Za-z_]\w*|[?#@*!$\d-]))", re.ASCII)
_BRACES = re.compile(r"\{([^\s{}|&;<>()]*)\}")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=", re.ASCII)
_PLAIN_ALTERNATIVES = re.compile(r"[\w@%+=:./-]*(?:,[\w@%+=:./-]*)+")
_ANSI = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|(.))|[^\\]+", re.DOTALL)
_ANSI_LETTERS = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

Nested = Callable[[str], Script]
"""Reads the source of a substitution."""


def words(source: str, nested: Nested) -> list[Word]:
    """The words of a source without operators. Raises Unmodelled."""
    return _Lexer(source, nested).words()


def heredoc_word(body: str, nested: Nested) -> Word:
    """A heredoc's text, with its expansions."""
    return Word(tuple(_Lexer(body, nested).string(len(body), '"')))


def assignment(source: str) -> tuple[str, str] | None:
    """An assignment's name, and the source of its value."""
    match = _ASSIGNMENT.match(source)
    return None if match is None else (match[1], source[match.end() :])


def raw_words(source: str) -> list[str]:
    """The source of each word."""
    return _Lexer(source, _no_scripts).raw()


def _no_scripts(source: str) -> Script:
    return Script(())


class _Lexer:
    def __init__(self, source: str, nested: Nested) -> None:
        self._source = source
        self._nested = nested
        self._at = 0
        self._parts: list[Part] = []

    def words(self) -> list[Word]:
        return [word for _, _, word in self._spans()]

    def raw(self) -> list[str]:
        return [self._source[start:end] for start, end, _ in self._spans()]

    def _spans(self) -> list[tuple[int, int, Word]]:
        found: list[tuple[int, int, Word]] = []
        start = 0
        while self._at < len(self._source):
            if self._space():
                self._finish(found, start)
                start = self._at
            else:
                start = start if self._parts else self._at
                self._step()
        self._finish(found, start, self._at)
        return found

    def _space(self) -> bool:
        if self._source.startswith("\\\n", self._at):
            self._at += 2
            return False if self._parts else self._at >= len(self._source) or self._space() or True
        if self._source[self._at] in " \t\n":
            self._at += 1
            return True
        return False

    def _finish(self, found: list[tuple[int, int, Word]], start: int, end: int | None = None) -> None:
        if self._parts:
            found.append((start, self._at - 1 if end is None else end, Word(tuple(_joined(self._parts)))))
            self._parts = []

    def _step(self) -> None:
        source, at = self._source, self._at
        if at >= len(source):
            return
        plain = _PLAIN.match(source, at)
        if plain:
            self._take(Text(plain[0]), plain.end())
        elif source[at] == "\\":
            if at + 1 >= len(source):
                raise Unmodelled("a backslash at the end")
            self._take(Text(source[at + 1], True), at + 2)
        elif source[at] in "'\"" or source.startswith("$'", at):
            self._quotation()
        elif source[at] in "$`" or source.startswith(("<(", ">("), at):
            self._take(*self._expansion(False))
        else:
            self._special(source[at])

    def _take(self, part: Part, end: int) -> None:
        self._parts.append(part)
        self._at = end

    def _special(self, char: str) -> None:
        at = self._at
        if char in "*?[":
            self._take(Glob(char), at + 1)
        elif char == "{":
            self._take(*self._braces())
        elif char == "~" and not self._parts:
            following = self._source[at + 1 : at + 2]
            self._take(Tilde() if following in ("", "/", " ", "\n", "\t") else Odd("~"), at + 1)
        elif char in "]}~" or (char == "#" and self._parts):
            self._take(Text(char), at + 1)
        else:
            raise Unmodelled(f"{char} in a word")

    def _braces(self) -> tuple[Part, int]:
        match = _BRACES.match(self._source, self._at)
        if match is None:
            word = re.compile(r"\S*").match(self._source, self._at)
            if word is not None and "}" in word[0] and ("," in word[0] or ".." in word[0]):
                return Odd("{"), self._at + 1
            return Text("{"), self._at + 1
        if "," not in match[1] and ".." not in match[1]:
            return Text("{"), self._at + 1
        if ".." in match[1] or not _PLAIN_ALTERNATIVES.fullmatch(match[1]):
            return Odd(match[0]), match.end()
        return Braces(tuple(match[1].split(","))), match.end()

    def _quotation(self) -> None:
        end = Scanner(self._source).end_of(self._at)
        inner = self._source[self._at + 1 : end - 1]
        if self._source[self._at] == "'":
            self._take(Text(inner, True), end)
        elif self._source[self._at] == "$":
            self._take(Text(_ansi(inner[1:]), True), end)
        else:
            self._at += 1
            self._parts += [Text("", True), *self.string(end - 1, "")]
            self._at = end

    def string(self, end: int, literal_quote: str) -> list[Part]:
        """The parts of a text within double quotes, from here to `end`."""
        parts: list[Part] = []
        while self._at < end:
            plain = _PLAIN_STRING.match(self._source, self._at, end)
            if plain:
                parts.append(Text(plain[0], True))
                self._at = plain.end()
            elif self._source[self._at] == "\\":
                parts.append(Text(self._escape(literal_quote), True))
                self._at += 2
            elif self._source[self._at] == '"':
                parts.append(Text('"', True))
                self._at += 1
            else:
                part, self._at = self._expansion(True)
                parts.append(part)
        return _joined(parts)

    def _escape(self, literal_quote: str) -> str:
        pair = self._source[self._at : self._at + 2]
        if pair == "\\\n":
            return ""
        return pair[1:] if pair[1:] in ("$", "`", "\\") or (pair[1:] == '"' and not literal_quote) else pair

    def _expansion(self, quoted: bool) -> tuple[Part, int]:
        source, at = self._source, self._at
        name = _NAME.match(source, at)
        if name:
            return Variable(name[1] or name[2], quoted), name.end()
        if source[at] in "<>":
            end = Scanner(source).end_of(at + 1)
            return Substitution(self._nested(source[at + 2 : end - 1]), quoted), end
        if source.startswith('$"', at) and not quoted:
            raise Unmodelled("a text that is translated")
        if source[at] == "$" and source[at + 1 : at + 2] not in ("(", "{", "["):
            return Text("$", True), at + 1
        end = Scanner(source).end_of(at)
        if source.startswith("$(", at) and not source.startswith("$((", at):
            return Substitution(self._nested(source[at + 2 : end - 1]), quoted), end
        if source[at] == "`":
            return Substitution(self._nested(source[at + 1 : end - 1]), quoted), end
        if re.search(r"`|\$\(|\$\[", source[at + 2 : end]) or source.startswith("$[", at):
            raise Unmodelled("a substitution within an expansion")
        return Odd(source[at:end]), end


def _is_closed(parts: list[Part], at: int) -> bool:
    return any(isinstance(part, Text) and not part.quoted and "]" in part.text for part in parts[at + 1 :])


def _joined(parts: list[Part]) -> list[Part]:
    """Neighbouring texts as one; a bracket that nothing closes is text."""
    joined: list[Part] = []
    for at, each in enumerate(parts):
        part = Text("[") if each == Glob("[") and not _is_closed(parts, at) else each
        last = joined[-1] if joined else None
        if isinstance(part, Text) and isinstance(last, Text) and last.quoted == part.quoted:
            joined[-1] = Text(last.text + part.text, part.quoted)
        else:
            joined.append(part)
    if len(joined) > 1:
        joined = [part for part in joined if part != Text("", True)] or joined[:1]
    return joined


def _ansi(inner: str) -> str:
    pieces: list[str] = []
    for match in _ANSI.finditer(inner):
        octal, hexadecimal, unicode, letter = match.groups()
        if octal or hexadecimal or unicode:
            code = int(octal, 8) if octal else int(hexadecimal or unicode, 16)
            if code == 0 or (not unicode and code > 127) or 0xD800 <= code <= 0xDFFF:
                raise Unmodelled("bytes that are no text")
            pieces.append(chr(code))
        elif letter is not None:
            if letter not in _ANSI_LETTERS and letter not in "\\'\"?":
                raise Unmodelled("an escape that is not known")
            pieces.append(_ANSI_LETTERS.get(letter, letter))
        else:
            pieces.append(match[0])
    return "".join(pieces)
