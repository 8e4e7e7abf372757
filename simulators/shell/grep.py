"""grep: lines that match a pattern."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simulators.base import Unknown
from simulators.files import Kind, NotThere
from simulators.shell.expand import pattern as glob_pattern
from simulators.shell.reading import form, reason
from simulators.shell.regex import Pattern, fixed, translate
from simulators.shell.state import CommandFunction, Io, lines_of, number, options

_WIDE_NAMES = {"--recursive": "-r", "--ignore-case": "-i", "--line-number": "-n", "--count": "-c", "--quiet": "-q",
               "--files-with-matches": "-l", "--extended-regexp": "-E", "--fixed-strings": "-F", "--invert-match": "-v",
               "--word-regexp": "-w", "--only-matching": "-o", "--no-filename": "-h", "--with-filename": "-H",
               "--no-messages": "-s"}  # fmt: skip
_MOST_FILES = 20_000


@dataclass(frozen=True)
class _Search:
    patterns: tuple[Pattern, ...]
    flags: frozenset[str]
    before: int
    after: int
    most: int | None
    named: bool
    include: tuple[re.Pattern[str], ...]
    exclude: tuple[re.Pattern[str], ...]

    def matches(self, line: str) -> bool:
        """Is the line one that is looked for?"""
        return any(each.regex.search(line) for each in self.patterns) != ("v" in self.flags)


def grep(arguments: Sequence[str], io: Io) -> int:
    """Searches files, or directories of which everything is known."""
    rest, include, exclude = _globs(arguments)
    given, operands = options([_WIDE_NAMES.get(each, each) for each in rest], "nivclLqwFEorRhHs", "ABCem")
    patterns = given.get("e") or [operands.pop(0) if operands else _no_pattern()]
    recursive = "r" in given or "R" in given
    named = "H" in given or ((recursive or len(operands) > 1) and "h" not in given)
    context = given.get("C", ["0"])[-1]
    search = _Search(
        _patterns(patterns, given, io),
        frozenset(given),
        number(given.get("B", [context])[-1]),
        number(given.get("A", [context])[-1]),
        number(given["m"][-1]) if "m" in given else None,
        named,
        include,
        exclude,
    )
    _check(search)
    return _files(search, operands or (["."] if recursive else ["-"]), recursive, bool(operands), io)


def _no_pattern() -> str:
    raise Unknown("no pattern")


def _globs(arguments: Sequence[str]) -> tuple[list[str], tuple[re.Pattern[str], ...], tuple[re.Pattern[str], ...]]:
    found: dict[str, list[re.Pattern[str]]] = {"--include": [], "--exclude": []}
    rest = []
    for argument in [each for each in arguments if each != "--color=never"]:
        name, equals, glob = argument.partition("=")
        if equals and name in found:
            found[name].append(glob_pattern(glob))
        else:
            rest.append(argument)
    if found["--include"] and found["--exclude"]:
        raise Unknown("the order of --include and --exclude counts")
    return rest, tuple(found["--include"]), tuple(found["--exclude"])


def _patterns(sources: Sequence[str], given: dict[str, list[str]], io: Io) -> tuple[Pattern, ...]:
    found = []
    for source in [line for each in sources for line in each.split("\n")]:
        ignore_case = "i" in given
        pattern = fixed(source, ignore_case) if "F" in given else translate(source, "E" in given, ignore_case)
        if "w" in given:
            word = f"(?<!\\w)(?:{pattern.regex.pattern})(?!\\w)"
            if source == "":
                raise Unknown("an empty word")
            pattern = pattern._replace(regex=re.compile(word, pattern.regex.flags & re.IGNORECASE))
        if pattern.gnu:
            io.assumes.add("grep.gnu")
        found.append(pattern)
    return tuple(found)


def _check(search: _Search) -> None:
    if "o" in search.flags:
        simple = len(search.patterns) == 1 and search.patterns[0].simple and "w" not in search.flags
        if not simple or "v" in search.flags or search.before or search.after:
            raise Unknown("which match is the longest")
    if len(search.flags & {"c", "l", "L", "q", "o"}) > 1:
        raise Unknown("options that exclude each other")


def _files(search: _Search, names: Sequence[str], recursive: bool, given: bool, io: Io) -> int:
    found, failed, printing = False, False, 0
    shown_before = False
    for name in _below(search, names, recursive, given, io):
        try:
            lines = _lines(name, io)
        except NotThere as error:
            if error.kind is Kind.DIRECTORY:
                raise Unknown(str(error)) from None
            if "s" not in search.flags:
                io.error(f"grep: {name}: {reason(error)}\n", form("grep", error))
            failed = True
            continue
        matched, text = _one(search, name, lines)
        found = found or matched
        if "q" in search.flags and found:
            return 0
        if text:
            printing += 1
            if (search.before or search.after) and shown_before and not search.flags & {"c", "l", "L"}:
                io.write("--\n")
            shown_before = True
            io.write(text)
    if printing > 1 and recursive:
        io.assumes.add("grep.order")
    if "L" in search.flags:
        raise Unknown("the exit code of -L differs")
    return 2 if failed else 0 if found else 1


def _lines(name: str, io: Io) -> list[str]:
    if name in ("-", "/dev/stdin", "/dev/null"):
        text = io.text(name)
        lines = lines_of(text)
    else:
        file = io.whole(name)
        lines = [file.lines[at] for at in range(1, len(file.lines) + 1)]
    if any("\0" in line or (not line.isprintable() and "\ufffd" in line) for line in lines):
        raise Unknown("binary data")
    return lines


def _below(search: _Search, names: Sequence[str], recursive: bool, given: bool, io: Io) -> Iterator[str]:
    """The files that are searched."""
    for name in names:
        if recursive and name != "-" and io.kind(name) is Kind.DIRECTORY:
            files = _tree(name if given else "", io)
            yield from (each for each in files if _is_wanted(search, posixpath.basename(each)))
        elif (search.include or search.exclude) and not recursive:
            raise Unknown("--include without -r")
        else:
            yield name


def _is_wanted(search: _Search, name: str) -> bool:
    if search.exclude:
        return not any(each.fullmatch(name) for each in search.exclude)
    return not search.include or any(each.fullmatch(name) for each in search.include)


def _tree(directory: str, io: Io) -> list[str]:
    found: list[str] = []
    waiting = [directory]
    while waiting:
        name = waiting.pop()
        for entry, kind in sorted(io.files.names(io.path(name or "."), hidden=True).items()):
            below = posixpath.join(name, entry)
            if kind is Kind.DIRECTORY:
                waiting.append(below)
            elif kind is Kind.FILE:
                found.append(below)
            else:
                raise Unknown(f"{below}: not known what it is")
        if len(found) > _MOST_FILES:
            raise Unknown("too many files")
    return sorted(found)


def _one(search: _Search, name: str, lines: list[str]) -> tuple[bool, str]:
    """Did anything match, and what is printed of it?"""
    for pattern in search.patterns:
        pattern.check(lines)
    hits = [at for at, line in enumerate(lines) if search.matches(line)]
    if search.most is not None:
        hits = hits[: search.most]
        if (search.after or search.before) and search.most:
            raise Unknown("context after the last match")
    shown = "(standard input)" if name == "-" else name
    prefix = f"{shown}:" if search.named else ""
    if "c" in search.flags:
        return bool(hits), f"{prefix}{len(hits)}\n"
    if "q" in search.flags or "L" in search.flags:
        return bool(hits), ""
    if "l" in search.flags:
        return bool(hits), f"{shown}\n" if hits else ""
    if "o" in search.flags:
        return bool(hits), "".join(_only(search, prefix, lines, hits))
    return bool(hits), "".join(_with_context(search, shown, lines, hits))


def _only(search: _Search, prefix: str, lines: list[str], hits: list[int]) -> Iterator[str]:
    for at in hits:
        where = f"{at + 1}:" if "n" in search.flags else ""
        for match in search.patterns[0].regex.finditer(lines[at]):
            if match[0]:
                yield f"{prefix}{where}{match[0]}\n"


def _with_context(search: _Search, shown: str, lines: list[str], hits: list[int]) -> Iterator[str]:
    matching = set(hits)
    last = None
    for at in _around(search, hits, len(lines)):
        if last is not None and at > last + 1 and (search.before or search.after):
            yield "--\n"
        last = at
        mark = ":" if at in matching else "-"
        name = f"{shown}{mark}" if search.named else ""
        where = f"{at + 1}{mark}" if "n" in search.flags else ""
        yield f"{name}{where}{lines[at]}\n"


def _around(search: _Search, hits: list[int], count: int) -> Iterator[int]:
    """The lines that match, and those around them, each once."""
    following = 0
    for hit in hits:
        start, end = max(hit - search.before, following), min(hit + search.after + 1, count)
        yield from range(start, max(end, start))
        following = max(end, following)


def egrep(arguments: Sequence[str], io: Io) -> int:
    """grep -E, which newer versions warn of."""
    io.assumes.add("egrep.silent")
    return grep(["-E", *arguments], io)


COMMANDS: dict[str, CommandFunction] = {"grep": grep, "egrep": egrep}
