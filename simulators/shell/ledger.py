"""What a command may have changed, added up."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from simulators.files import SOMEWHERE, resolve
from simulators.shell.tree import Braces, Glob, Text, Tilde, Word

Places = tuple[str | None, ...]
"""The working directories in which a command may run, the likeliest first. None: not known, not even as SOMEWHERE."""


class Ledger:
    """The paths that may have changed, and what else is to be known."""

    def __init__(self, cwd: str | None, home: str | None) -> None:
        self._start = cwd or SOMEWHERE
        self.home = home
        self.writes: set[str] = set()
        self.anything = False
        self.entries = False
        self.volatile = False
        self.links = False
        self.hooks = False

    def write(self, words: Sequence[Word], places: Places) -> None:
        """What these words name may have changed."""
        for word in words:
            paths = self.paths(word, places)
            if paths is None:
                self.anything = True
            else:
                self.writes.update(paths)

    def paths(self, word: Word, places: Places) -> tuple[str, ...] | None:
        """The paths a word may stand for, or the directory they are below; None: anywhere."""
        texts = [""]
        for at, part in enumerate(word.parts):
            if isinstance(part, Text):
                texts = [text + part.text for text in texts]
            elif isinstance(part, Tilde):
                texts = ["~"]
            elif isinstance(part, Braces):
                texts = [text + each for text in texts for each in part.alternatives]
            else:
                return self._below(texts, word, at, places)
        literal_tilde = any(text.startswith("~") for text in texts) and word.parts[:1] != (Tilde(),)
        texts = [f"./{text}" if literal_tilde else text for text in texts]
        return self._resolved(texts, places)

    def _below(self, texts: list[str], word: Word, at: int, places: Places) -> tuple[str, ...] | None:
        rest = [part for part in word.parts[at:] if not isinstance(part, Glob)]
        if any(not isinstance(part, Text) or ".." in part.text for part in rest) and not all(
            "/" in text for text in texts
        ):
            return None
        directories = [text[: text.rfind("/") + 1] or "." for text in texts]
        return self._resolved(directories, places)

    def _resolved(self, texts: Sequence[str], places: Places) -> tuple[str, ...] | None:
        if None in places and not all(text.startswith(("/", "~")) for text in texts):
            return None
        return tuple(resolve(text, place, self.home) for text in texts for place in places)

    def below_here(self, places: Places, within: str = "") -> None:
        """What is below the working directory, or below the one the command began in, if that is above."""
        for place in places:
            if place is None:
                self.anything = True
            else:
                around = (place, self._root(place)) if within else (self._root(place),)
                self.writes.update(posixpath.join(each, within).rstrip("/") or "/" for each in around)

    def _root(self, place: str) -> str:
        """The outermost directory that a repository around this one is likely to have."""
        return self._start if place.startswith(self._start.rstrip("/") + "/") else place
