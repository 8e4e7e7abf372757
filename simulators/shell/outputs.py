"""Reads the outputs of commands whose form leaves no doubt."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence

from simulators.base import Unknown
from simulators.files import File, Kind, Missed
from simulators.shell.reading import counted
from simulators.shell.state import Io, number, options

Reader = Callable[[Sequence[str], str, int | None, Io], None]
_ABSENT = re.compile(
    r"\b\w+: (?:cannot access |can't read |cannot open |cannot stat )?['‘]?(?P<name>[^\n'’]{1,4096}?)['’]?"
    r"(?: for reading)?: No such file or directory"
)
_MODES = {"-": Kind.FILE, "d": Kind.DIRECTORY, "l": Kind.EXISTS}
_LONG = re.compile(
    r"([-dlbcps])[-rwxsStT]{9}[@+.]? +\d+ +\S+ +\S+ +\d[\d.,]*[KMGT]?B? +"
    r"(?:(?:\w{3}|\d{1,2}) +\d{1,2} +(?:\d{1,2}:\d{2}|\d{4})|\d{1,2} \w{3} +(?:\d{1,2}:\d{2}|\d{4})"
    r"|\d{4}-\d{2}-\d{2} \d{2}:\d{2}\S*) (.+)"
)
_GREP_LINE = re.compile(r"(\d{1,7})[:-](.*)")
_FAILED = re.compile(r"^(?:\w+: .*: (?:No such file|Is a directory|Not a directory|Permission denied)|bash: )", re.M)


def absent(words: Sequence[str], text: str, io: Io) -> None:
    """Paths of which a command said that they are not there."""
    if words[0] not in ("cat", "ls", "head", "tail", "sed", "grep", "wc", "stat", "file", "find"):
        return
    for line in text.split("\n"):
        if not line.startswith(f"{words[0]}: "):
            continue
        match = _ABSENT.fullmatch(line)
        if match and match["name"] in words[1:]:
            io.files.see_kind(io.path(match["name"]), Kind.ABSENT)


def _ending(text: str) -> bool | None:
    """A harness may have taken the last line end off."""
    return True if text.endswith("\n") else None


def _shown(text: str, code: int | None) -> list[str]:
    """The lines of an output without errors. Raises Unknown."""
    if code not in (None, 0) or _FAILED.search(text):
        raise Unknown("it failed")
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return lines


def _numbered(lines: list[str], first: int) -> dict[int, str]:
    return dict(enumerate(lines, start=first))


def _cat(arguments: Sequence[str], text: str, code: int | None, io: Io) -> None:
    given, operands = options(arguments, "n")
    if len(operands) != 1 or operands[0] == "-":
        return
    lines = _shown(text, code)
    if "n" in given:
        _numbers(operands[0], lines, io)
    elif not lines and code is None:
        return  # nothing came back: not even whether it succeeded
    else:
        io.files.see(io.path(operands[0]), File(_numbered(lines, 1), len(lines), _ending(text) if lines else True))


def _numbers(name: str, lines: list[str], io: Io) -> None:
    found = [re.fullmatch(r" *(\d+)\t(.*)", line) for line in lines]
    numbers = [int(match[1]) for match in found if match]
    if numbers != list(range(1, len(lines) + 1)) or not lines:
        if lines and lines[0].startswith("1\t") and len(numbers) == len(lines):
            raise Unknown("other numbers")
        return
    io.files.see(io.path(name), File({int(match[1]): match[2] for match in found if match}, len(lines), None))


def _nl(arguments: Sequence[str], text: str, code: int | None, io: Io) -> None:
    rest = [each for each in arguments if each not in ("-ba", "-b", "a")]
    if len(rest) == 1 and len(arguments) > 1 and not rest[0].startswith("-"):
        _numbers(rest[0], _shown(text, code), io)


def _sed(arguments: Sequence[str], text: str, code: int | None, io: Io) -> None:
    given, operands = options(arguments, "n", "e")
    scripts = given.get("e") or [operands.pop(0) if operands else ""]
    if len(operands) != 1 or len(scripts) != 1:
        return
    match = re.fullmatch(r"(\d{1,7})(?:,(\d{1,7}|\$))?([pq]);?", scripts[0].strip())
    if match is None or (match[3] == "p") != ("n" in given) or (match[3] == "q" and match[2]):
        return
    first = 1 if match[3] == "q" else int(match[1])
    last = None if match[2] == "$" else int(match[2] or match[1])
    _part(operands[0], first, last, text, code, io)


def _part(name: str, first: int, last: int | None, text: str, code: int | None, io: Io) -> None:
    """Lines `first` to `last` were shown; where there are fewer, the file ends there."""
    lines = _shown(text, code)
    if first < 1 or (not lines and (code is None or first > 1)):
        return
    path = io.path(name)
    if last is not None and len(lines) > last - first + 1:
        return
    if last is not None and len(lines) == last - first + 1:
        io.files.see(path, File(_numbered(lines, first)))
    elif text.endswith("\n") or last is None or first == 1:
        io.files.see(path, File(_numbered(lines, first), first - 1 + len(lines), _ending(text)))
    else:
        io.files.see(path, File(_numbered(lines, first)))  # empty lines at the end may have been taken off


def _head(arguments: Sequence[str], text: str, code: int | None, io: Io) -> None:
    arguments = counted(arguments)
    given, operands = options(arguments, "", "n")
    if len(operands) == 1:
        _part(operands[0], 1, number(given.get("n", ["10"])[-1]), text, code, io)


def _tail(arguments: Sequence[str], text: str, code: int | None, io: Io) -> None:
    given, operands = options(arguments, "", "n")
    count = given.get("n", [""])[-1]
    if len(operands) == 1 and count.startswith("+"):
        _part(operands[0], max(number(count[1:]), 1), None, text, code, io)


def _ls(arguments: Sequence[str], text: str, code: int | None, io: Io) -> None:
    given, operands = options(arguments, "1aAFlhtrRSd")
    if len(operands) > 1 or {"R", "d"} & set(given):
        return
    name = operands[0] if operands else "."
    lines = _shown(text, code)
    if not lines and code is None:
        return
    entries = _long(lines) if "l" in given else dict.fromkeys(lines, Kind.EXISTS)
    if "F" in given:
        entries = dict(_classified(entry, kind) for entry, kind in entries.items())
    if name in entries and len(entries) == 1:
        io.files.see_kind(io.path(name), entries[name])
        return
    if any("/" in entry or entry == "" or "  " in entry for entry in entries) or len(entries) != _count(lines, given):
        return
    all_shown = "a" in given or "A" in given
    if "a" in given and not {".", ".."} <= set(entries):
        return
    kinds = {entry: _known_kind(io, name, entry, kind) for entry, kind in entries.items() if entry not in (".", "..")}
    visible = {entry: kind for entry, kind in kinds.items() if not entry.startswith(".")}
    hidden = {entry: kind for entry, kind in kinds.items() if entry.startswith(".")}
    if hidden and not all_shown:
        return
    io.files.see_directory(io.path(name), visible, hidden if all_shown else None)


def _count(lines: list[str], given: dict[str, list[str]]) -> int:
    return len(lines) - ("l" in given and bool(lines) and re.fullmatch(r"total \S+", lines[0]) is not None)


def _known_kind(io: Io, name: str, entry: str, kind: Kind) -> Kind:
    if kind is not Kind.EXISTS:
        return kind
    known = io.files.kind(posixpath.join(io.path(name), entry))
    return known if known in (Kind.FILE, Kind.DIRECTORY) else kind


def _long(lines: list[str]) -> dict[str, Kind]:
    entries: dict[str, Kind] = {}
    for at, line in enumerate(lines):
        if at == 0 and re.fullmatch(r"total \S+", line):
            continue
        match = _LONG.fullmatch(line)
        if match is None:
            raise Unknown("a line that is not read")
        entry = match[2]
        if match[1] == "l":
            entry = entry.partition(" -> ")[0]
        if entry.startswith(("'", '"')):
            raise Unknown("a name that is quoted")
        entries[entry] = _MODES.get(match[1], Kind.EXISTS)
    return entries


def _classified(entry: str, kind: Kind) -> tuple[str, Kind]:
    if entry.endswith("/"):
        return entry[:-1], Kind.DIRECTORY
    if entry.endswith(("*", "@", "|", "=")):
        return entry[:-1], Kind.FILE if entry.endswith("*") else Kind.EXISTS
    return entry, Kind.FILE


def _find(arguments: Sequence[str], text: str, code: int | None, io: Io) -> None:
    if not text.strip():
        _found_nothing(list(arguments), io)
        return
    joined = " ".join(arguments)
    if " -type f" not in f" {joined}" or re.search(r"-(?:exec|o|or|printf|ls|delete|print0|not)\b|!|\(", joined):
        return
    roots = [each for each in arguments[:1] if not each.startswith("-")] or ["."]
    for line in _shown(text, code):
        if line.startswith(roots[0].rstrip("/") + "/") and "//" not in line:
            io.files.see_kind(io.path(line), Kind.FILE)


def _found_nothing(arguments: list[str], io: Io) -> None:
    """Names that stand nowhere below a directory: only of plain searches, so that there is no doubt what was sought."""
    root = arguments.pop(0) if arguments and not arguments[0].startswith("-") else "."
    if root != "." and io.kind(root) is not Kind.DIRECTORY:
        return
    names, deep = [], True
    while arguments:
        option = arguments.pop(0)
        value = arguments.pop(0) if arguments and option != "-o" else ""
        if option == "-name":
            names.append(value)
        elif option == "-maxdepth":
            deep = False
        elif (option, value) != ("-type", "f") and option != "-o":
            return
    for name in names:
        if name.strip("*."):
            io.files.see_none(Missed(io.path(root), name, deep))


def _grep(arguments: Sequence[str], text: str, code: int | None, io: Io) -> None:
    rest = [each for each in arguments if not each.startswith("--include=")]
    given, operands = options(rest, "niEFwrRHsvh", "ABCem")
    if "e" not in given:
        operands = operands[1:]
    recursive = "r" in given or "R" in given
    if "n" not in given or "h" in given or code not in (None, 0):
        return
    if not recursive and len(operands) == 1 and "H" not in given:
        for line in text.split("\n"):
            _grep_line(operands[0], line, set(given), io)
    elif not {"A", "B", "C"} & set(given):
        for line in text.split("\n"):
            name, _, found = line.partition(":")
            known = name in operands or (recursive and _is_below(name, operands))
            if known and ":" not in name and not re.match(r"[^:]*:\d+:.*:\d+:", line):
                _grep_line(name, found, set(given), io)


def _is_below(name: str, roots: Sequence[str]) -> bool:
    return any(name.startswith(root.rstrip("/") + "/") for root in roots) or not roots


def _grep_line(name: str, line: str, given: set[str], io: Io) -> None:
    match = _GREP_LINE.fullmatch(line)
    if match and (line[len(match[1])] == ":" or given & {"A", "B", "C"}):
        io.files.see(io.path(name), File({int(match[1]): match[2]}))


READERS: dict[str, Reader] = {
    "cat": _cat, "nl": _nl, "sed": _sed, "head": _head, "tail": _tail, "ls": _ls, "find": _find, "grep": _grep,
}  # fmt: skip
