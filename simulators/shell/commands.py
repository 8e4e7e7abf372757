"""What simple commands may change, by their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from simulators.files import resolve
from simulators.shell.ledger import Ledger, Places
from simulators.shell.syntax import parse
from simulators.shell.table import has_option, is_given, is_in, is_task, table, without_options, without_selection
from simulators.shell.tree import Braces, Glob, Script, Text, Tilde, Variable, Word

DEEPEST = 8
_ENV_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_AWK_CHANGES = re.compile(r"print[^;}\n]*>|system\s*\(|getline|\|\s*\"")
_PLAIN_OPTION = re.compile(r"-[a-zA-Z]+|--[a-z-]+")
_SED_CHANGES = re.compile(r"(?:^|[^\w\\])[gpiIm\d]*[wWe](?:\s+\S|$)")
UNKNOWN = Word((Variable("?"),))
RunScript = Callable[[Script, Places, int], object]
"""Walks over a script: what it may change is added up."""


class Commands:
    """Adds what commands may change to a ledger."""

    def __init__(self, ledger: Ledger, script: RunScript) -> None:
        self._ledger = ledger
        self._script = script

    def run(self, words: list[Word], places: Places, depth: int) -> None:
        """A simple command, given as its words."""
        if depth > DEEPEST:
            self._ledger.anything = True
            return
        texts = [word.literal for word in words]
        while texts and texts[0] is not None and _ENV_ASSIGNMENT.match(texts[0]):
            words, texts = words[1:], texts[1:]
        if not texts:
            return
        name = texts[0]
        if name is None:
            self._ledger.anything = True
        elif not self._wrapper(name, words, texts, places, depth) and not self._special(
            name, words, texts, places, depth
        ):
            self._by_table(name, words, texts, places)

    def _wrapper(self, name: str, words: list[Word], texts: list[str | None], places: Places, depth: int) -> bool:
        if name in table()["wrappers"]:
            at = 1 + without_options(texts[1:], table()["wrappers"][name])
            at += name in ("timeout", "gtimeout")
            if name == "xargs":
                words = [*_filled(words), *([] if at < len(words) else [_word("echo")]), UNKNOWN]
            self._ledger.entries = self._ledger.entries or name in ("npx", "bunx", "pnpx")
            self._ledger.volatile = self._ledger.volatile or name == "time"
            if name == "command" and has_option(texts[1:2], ["-v", "-V"]):
                return True
            self.run(words[at:], places, depth + 1)
            return True
        if is_in("runs", texts):
            at = 2 + without_options(texts[2:], [])
            self._ledger.entries = True
            if at >= len(words):
                self._ledger.anything = True
            self.run(words[at:], places, depth + 1)
            return True
        return False

    def _special(self, name: str, words: list[Word], texts: list[str | None], places: Places, depth: int) -> bool:
        if name in table()["shells"]:
            self._shell(texts, places, depth)
        elif name == "find":
            self._find(words, texts, places, depth)
        elif name == "git":
            self._git(texts, places)
        elif name == "ln":
            self._ledger.links = True
            self._by_table(name, words, texts, places)
        elif name in _SPECIAL:
            _SPECIAL[name](self._ledger, words, texts, places)
        else:
            return False
        return True

    def _by_table(self, name: str, words: list[Word], texts: list[str | None], places: Places) -> None:
        operands = [word for word, text in zip(words[1:], texts[1:], strict=True) if not _is_option(text)]
        texts = without_selection(texts)
        if name in table()["versions"] and texts[1:] in (["--version"], ["-v"], ["-V"], ["version"], ["--help"]):
            return
        if is_in("reads", texts[:1]):
            return
        if is_in("volatile", texts[:1]) or is_in("asking", texts):
            self._ledger.volatile = True
        elif name in table()["unless"]:
            self._unless(name, operands, texts, places)
        elif name in table()["only_with"]:
            if not has_option(texts[1:], table()["only_with"][name]):
                self._written(operands, places)
        elif is_in("operands", texts[:1]):
            self._ledger.write([*operands, *_values(texts)], places)
        elif is_in("last", texts[:1]):
            self._ledger.write(operands if has_option(texts, ["-t"]) else operands[-1:], places)
            self._ledger.write(_values(texts), places)
        elif is_in("below", texts[:1]):
            self._ledger.below_here(places)
            self._ledger.write(words[1:], places)
        else:
            self._build(operands, texts, places)

    def _unless(self, name: str, operands: list[Word], texts: list[str | None], places: Places) -> None:
        if any(_may_be_option(word) for word in operands):
            self._ledger.anything = True
        if name in ("sed", "gsed") and any(
            text and not _PLAIN_OPTION.fullmatch(text) and _SED_CHANGES.search(text) for text in texts[1:]
        ):
            self._ledger.anything = True
        if has_option(texts[1:], table()["unless"][name]):
            self._written([*operands, *_values(texts), *_attached(texts)], places)
            suffixes = [text[2:] for text in texts if text is not None and re.fullmatch(r"-i\W.*", text)]
            backups = [Word((*word.parts, Text(suffix))) for word in operands for suffix in suffixes]
            self._ledger.write(backups, places)

    def _written(self, operands: list[Word], places: Places) -> None:
        """What is rewritten in place: the operands, or anything."""
        self._ledger.write(operands or [UNKNOWN], places)

    def _build(self, operands: list[Word], texts: list[str | None], places: Places) -> None:
        tests, builds = is_in("tests", texts) or is_task(texts), is_in("builds", texts)
        unseen = any(_may_be_option(word) for word in operands)
        if not (tests or builds) or texts[:2] == ["ruff", "format"] or unseen:
            self._ledger.anything = True
            return
        if is_given(texts[1:], table()["changing"]) and not _compiles(texts):
            fixed = [word for word in operands if word.literal != "check"]
            self._written(fixed if texts[0] in ("ruff", "eslint") else [], places)
        self._ledger.entries = True
        self._ledger.volatile = self._ledger.volatile or tests
        targets = [value for option, value in pairwise(texts) if option in ("-o", "--output", "--outfile")]
        self._ledger.write([UNKNOWN if value is None else _word(value) for value in targets], places)

    def _shell(self, texts: list[str | None], places: Places, depth: int) -> None:
        at = 1
        while at < len(texts) and (text := texts[at]) is not None and text.startswith("-"):
            if "c" in text and not text.startswith("--"):
                inner = texts[at + 1] if at + 1 < len(texts) else None
                script = None if inner is None else parse(inner)
                if script is None:
                    break
                self._script(script, places, depth + 1)
                return
            at += 1
        self._ledger.anything = True

    def _find(self, words: list[Word], texts: list[str | None], places: Places, depth: int) -> None:
        first = next((at for at, text in enumerate(texts) if at and text is not None and text[:1] in "-(!"), len(texts))
        roots = words[1:first] or [_word(".")]
        if "-delete" in texts:
            self._ledger.write(roots, places)
        for at, text in enumerate(texts):
            if text in ("-exec", "-execdir", "-ok", "-okdir"):
                ends = [end for end in range(at, len(texts)) if texts[end] in (";", "+")]
                inner = words[at + 1 : ends[0] if ends else len(words)]
                for root in roots:
                    self.run([root if "{}" in (word.literal or "") else word for word in inner], places, depth + 1)
            elif text is not None and text.startswith(("-fprint", "-fls")):
                self._ledger.anything = True

    def _git(self, texts: list[str | None], places: Places) -> None:
        at = 1
        while at < len(texts) and (text := texts[at]) is not None and text.startswith("-"):
            if text == "-C" and at + 1 < len(texts):
                inner = texts[at + 1]
                places = tuple(
                    None if inner is None or place is None else resolve(inner, place, self._ledger.home)
                    for place in places
                )
            at += 2 if text in ("-C", "-c", "--git-dir", "--work-tree") else 1
        if at >= len(texts):
            return
        git, sub, rest = table()["git"], texts[at], texts[at + 1 :]
        self._ledger.volatile = self._ledger.volatile or sub in git["told_by_time"] or sub in git["volatile"]
        self._ledger.hooks = self._ledger.hooks or sub in git["hooked"]
        if sub in git["reads"] or sub in git["volatile"]:
            self._ledger.anything = self._ledger.anything or has_option(rest, ["--output", "--open-files-in-pager"])
        elif sub in git["asking"] and all(text in git["asking"][sub] for text in rest) and (rest or sub != "stash"):
            return
        elif sub in git["own"]:
            self._ledger.below_here(places, ".git")
        elif sub in git["tree"]:
            self._ledger.below_here(places)
        else:
            self._ledger.anything = True


def _word(text: str) -> Word:
    return Word((Text(text),))


def _is_option(text: str | None) -> bool:
    return text is not None and text.startswith("-") and text != "-"


def _may_be_option(word: Word) -> bool:
    """Does it begin with an expansion, so that it could say anything?"""
    return not isinstance(word.parts[0], Text | Tilde | Glob | Braces)


def _values(texts: Sequence[str | None]) -> list[Word]:
    """The values of options that are written with `=`."""
    return [_word(text.split("=", 1)[1]) for text in texts if text is not None and _is_option(text) and "=" in text]


def _attached(texts: Sequence[str | None]) -> list[Word]:
    """The values of `-o` that are written right behind it."""
    found = [re.fullmatch(r"-[a-zA-Z]*?o(.+)", text) for text in texts if text is not None]
    return [_word(match[1]) for match in found if match is not None]


def _filled(words: list[Word]) -> list[Word]:
    """The words of `xargs`, with what it puts in the place of a mark taken for unknown."""
    marks = [_mark(text, following) for text, following in pairwise([*(word.literal for word in words), None])]
    found = [mark for mark in marks if mark]
    return [UNKNOWN if any(mark in (word.literal or "") for mark in found) else word for word in words]


def _mark(text: str | None, following: str | None) -> str | None:
    """What `xargs` replaces by what it reads, if this option says so."""
    if text is None or not re.match(r"-[IJi]|--replace", text):
        return None
    if text in ("-I", "-J"):
        return following
    return text.split("=", 1)[1] if "=" in text else text[2:] if text[:2] in ("-I", "-i", "-J") and text[2:] else "{}"


def _compiles(texts: Sequence[str | None]) -> bool:
    return texts[0] in ("gcc", "cc", "g++", "clang", "clang++", "rustc", "javac")


def _awk(ledger: Ledger, words: list[Word], texts: list[str | None], places: Places) -> None:
    ledger.anything = ledger.anything or any(text is None or _AWK_CHANGES.search(text) for text in texts)


def _dd(ledger: Ledger, words: list[Word], texts: list[str | None], places: Places) -> None:
    targets = [text for text in texts if text is None or text.startswith("of=")]
    ledger.write([UNKNOWN if text is None else _word(text[3:]) for text in targets], places)


def _tar(ledger: Ledger, words: list[Word], texts: list[str | None], places: Places) -> None:
    first = texts[1] if len(texts) > 1 else None
    if first is None or not re.fullmatch(r"-?[tvzjJf]*t[tvzjJf]*", first):
        ledger.anything = True


def _patch(ledger: Ledger, words: list[Word], texts: list[str | None], places: Places) -> None:
    ledger.below_here(places)
    if any(text is None or text.startswith(("/", "-d")) for text in texts[1:]):
        ledger.anything = True


def _curl(ledger: Ledger, words: list[Word], texts: list[str | None], places: Places) -> None:
    ledger.volatile = True
    if has_option(texts[1:], _CURL_WRITES):
        ledger.below_here(places)
        ledger.write([word for word in words[1:] if not _is_option(word.literal)], places)


def _mktemp(ledger: Ledger, words: list[Word], texts: list[str | None], places: Places) -> None:
    ledger.volatile = ledger.entries = True


def _uniq(ledger: Ledger, words: list[Word], texts: list[str | None], places: Places) -> None:
    ledger.write([word for word in words[1:] if not _is_option(word.literal)][1:], places)


def _shuf(ledger: Ledger, words: list[Word], texts: list[str | None], places: Places) -> None:
    ledger.volatile = True
    if has_option(texts[1:], ["-o", "--output"]):
        ledger.anything = True


_CURL_WRITES = ("-o", "-O", "--output", "--remote-name", "-D", "-c", "--cookie-jar", "--dump-header", "-K")
_SPECIAL = {"awk": _awk, "gawk": _awk, "mawk": _awk, "dd": _dd, "tar": _tar, "bsdtar": _tar, "patch": _patch,
            "curl": _curl, "mktemp": _mktemp, "uniq": _uniq, "xxd": _uniq, "shuf": _shuf}  # fmt: skip
