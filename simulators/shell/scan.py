"""Finds where quotes, substitutions and heredocs end, by the shell's own rules.

Heredocs and here-strings are taken out of the source before the grammar sees it: it loses white space in them, and
cannot read all that may stand beside them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

DEEPEST = 24
_DELIMITER = re.compile(r"""[ \t]*((?:'[^'\n]*'|"[^"\n$`\\]*"|\\[^\n]|[^\s'"\\|&;<>()$`])+)""")
_PLAIN = re.compile(r"[^\\'\"`$#<>()\n]+")
_PLAIN_STRING = re.compile(r"[^\\\"`$\n]+")
_ANSI = re.compile(r"\$'(?:[^'\\]|\\.)*'", re.DOTALL)


class Unmodelled(Exception):
    """The source holds something that is not modelled."""


class Heredoc(NamedTuple):
    """The text that follows a command up to a delimiter."""

    body: str
    quoted: bool
    """Its text is literal."""


class Taken(NamedTuple):
    """A source in which plain redirects stand for heredocs and here-strings."""

    source: str
    heredocs: dict[str, Heredoc]
    """By the word that stands for each."""
    here_string: str
    """What a word that is a here-string begins with."""


class _Pending(NamedTuple):
    word: str
    delimiter: str
    quoted: bool
    strips_tabs: bool


class Scanner:
    """Reads over a source once; raises Unmodelled where something is left open."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._depth = 0
        self._copied = 0
        self._pieces: list[str] = []
        self._pending: list[_Pending] = []
        self._salt = _salt(source)
        self.heredocs: dict[str, Heredoc] = {}

    def take_heredocs(self) -> Taken:
        """The whole source without its heredocs."""
        while self._at < len(self._source):
            self._code_step()
        if self._pending:
            raise Unmodelled("a heredoc that does not end")
        self._pieces.append(self._source[self._copied :])
        return Taken("".join(self._pieces), self.heredocs, f"{self._salt}S_")

    def end_of(self, start: int) -> int:
        """Where the quotation or substitution that begins here ends."""
        self._at = start
        self._code_step()
        return self._at

    # -- one construct each; all leave `_at` behind it

    def _code_step(self) -> None:
        source, at = self._source, self._at
        plain = _PLAIN.match(source, at)
        if plain:
            self._at = plain.end()
        elif source[at] == "\n":
            self._newline()
        elif source[at] == "#" and (at == 0 or source[at - 1] in " \t\n;&|("):
            end = source.find("\n", at)
            self._at = len(source) if end < 0 else end
        elif source.startswith("<<", at):
            self._heredoc_or_string()
        elif not self._construct(in_string=False):
            self._at += 1

    def _construct(self, in_string: bool) -> bool:
        """A quotation, an escape or a substitution, if one begins here."""
        source, at = self._source, self._at
        if source[at] == "\\":
            self._at += 2
        elif source[at] == "'" and not in_string:
            self._at = self._find("'", at + 1)
        elif source.startswith("$'", at) and not in_string:
            self._ansi()
        elif source[at] == '"' and not in_string:
            self._nested(1, self._string)
        elif source.startswith("$((", at):
            self._nested(3, self._arithmetic)
        elif source.startswith("$(", at):
            self._nested(2, self._until_parenthesis)
        elif source.startswith("${", at):
            self._nested(2, lambda: self._parameter(in_string))
        elif source[at] == "`":
            self._backtick()
        elif not in_string and source[at] == "(":
            self._nested(1, self._until_parenthesis)
        else:
            return False
        return True

    def _nested(self, opening: int, inner: Callable[[], None]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise Unmodelled("nested too deeply")
        self._at += opening
        inner()
        self._depth -= 1

    def _until_parenthesis(self) -> None:
        while not self._closes(")"):
            self._code_step()

    def _string(self) -> None:
        while not self._closes('"'):
            plain = _PLAIN_STRING.match(self._source, self._at)
            if plain:
                self._at = plain.end()
            elif not self._construct(in_string=True):
                self._literal()

    def _parameter(self, in_string: bool) -> None:
        while not self._closes("}"):
            if self._source[self._at] == '"':
                self._nested(1, self._string)
            elif not self._construct(in_string):
                self._literal()

    def _arithmetic(self) -> None:
        open_parentheses = 0
        while open_parentheses or not self._closes("))"):
            if self._at >= len(self._source):
                raise Unmodelled("open arithmetic")
            char = self._source[self._at]
            if char in "()":
                open_parentheses += 1 if char == "(" else -1
                self._at += 1
            elif not self._construct(in_string=True):
                self._literal()

    def _literal(self) -> None:
        if self._source[self._at] == "\n" and self._pending:
            raise Unmodelled("a heredoc that begins within a quotation")
        self._at += 1

    def _closes(self, closing: str) -> bool:
        if self._at >= len(self._source):
            raise Unmodelled(f"no closing {closing}")
        if self._source.startswith(closing, self._at):
            self._at += len(closing)
            return True
        return False

    def _find(self, char: str, start: int) -> int:
        end = self._source.find(char, start)
        if end < 0:
            raise Unmodelled(f"no closing {char}")
        if self._pending and "\n" in self._source[start:end]:
            raise Unmodelled("a heredoc that begins before a quotation of several lines")
        return end + 1

    def _ansi(self) -> None:
        match = _ANSI.match(self._source, self._at)
        if match is None:
            raise Unmodelled("no closing '")
        self._at = match.end()

    def _backtick(self) -> None:
        end = self._find("`", self._at + 1)
        inner = self._source[self._at + 1 : end - 1]
        if "\\" in inner or "<<" in inner:
            raise Unmodelled("escapes within backticks")
        self._at = end

    # -- heredocs

    def _heredoc_or_string(self) -> None:
        if self._source.startswith("<<<", self._at):
            self._here_string()
            return
        start = self._at
        strips_tabs = self._source.startswith("<<-", start)
        match = _DELIMITER.match(self._source, start + (3 if strips_tabs else 2))
        if match is None:
            raise Unmodelled("a heredoc without a delimiter")
        delimiter = re.sub(r"['\"\\]", "", match[1])
        word = f"{self._salt}{len(self._pending) + len(self.heredocs)}"
        self._pending.append(_Pending(word, delimiter, delimiter != match[1], strips_tabs))
        self._pieces += [self._source[self._copied : start], "<", word, " "]
        self._at = self._copied = match.end()

    def _here_string(self) -> None:
        self._pieces += [self._source[self._copied : self._at], "<", f"{self._salt}S_"]
        self._at += 3
        while self._source[self._at : self._at + 1] in (" ", "\t"):
            self._at += 1
        self._copied = self._at

    def _newline(self) -> None:
        self._at += 1
        if not self._pending:
            return
        self._pieces.append(self._source[self._copied : self._at])
        for pending in self._pending:
            self.heredocs[pending.word] = Heredoc(self._body(pending), pending.quoted)
        self._pending = []
        self._copied = self._at

    def _body(self, pending: _Pending) -> str:
        lines: list[str] = []
        while self._at < len(self._source):
            end = self._source.find("\n", self._at)
            end = len(self._source) if end < 0 else end
            line = self._source[self._at : end]
            if pending.strips_tabs:
                line = line.lstrip("\t")
            self._at = min(end + 1, len(self._source))
            if line == pending.delimiter:
                return "".join(f"{each}\n" for each in lines)
            lines.append(line)
        raise Unmodelled("a heredoc that does not end")


def _salt(source: str) -> str:
    salt = "HEREDOC"
    while salt in source:
        salt += "_"
    return f"{salt}_"
