"""Tools that find lines and files: what they show of the files, and what they would find in those that are known."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase

from simulators.base import Unknown
from simulators.files import SOMEWHERE, Files, Kind, Missed
from simulators.operations import Glob, Grep
from simulators.shell.run import Shell, run
from simulators.workspace.changes import Place, path_facts
from simulators.workspace.forms import Told

_NOTHING = re.compile(r"no (?:files|matches) found\.?", re.IGNORECASE)
_LONGEST_LINE = 400
_MOST_LINES = 100
"""Longer lines, and more of them, such tools may leave out."""
_WILD = re.compile(r"[*?\[{!]")
_ESCAPED_IN_BRACKETS = re.compile(r"\[[^\]]*\\")
"""What a backslash means there differs between `grep` and others."""
_NUMBERED = re.compile(r"(?P<line>\d{1,7})[:-](?P<text>.*)")
_FOUND = re.compile(r"(?P<path>[^:\n]+?)(?P<mark>[:-])(?P<line>\d{1,7})(?P=mark)(?P<text>.*)")


def search(asked: Grep | Glob, files: Files, place: Place) -> Told:
    """What it would find. Raises Unknown."""
    return _grep(asked, files, place) if isinstance(asked, Grep) else _glob(asked, files, place)


def observe_search(asked: Grep | Glob, output: str, files: Files, place: Place, began: Place) -> Told | None:
    """Bring the files up to date with what was found; what it told, if that is known."""
    found_nothing = _NOTHING.fullmatch(output.strip()) is not None
    told = _nothing(asked) if found_nothing else None
    with suppress(Unknown):
        told = search(asked, files, place)
    if isinstance(asked, Glob):
        _see_files(asked, [] if found_nothing else output.strip().split("\n"), files, place)
    elif not found_nothing and asked.options is not None:
        _see_lines(asked, output, files, (place, began))
    return told if told is None or (told == _nothing(asked)) == found_nothing else None


def _nothing(asked: Grep | Glob) -> Told:
    return Told("no files found" if isinstance(asked, Grep) and asked.options is None else "nothing found", {})


def searched_from(asked: Glob, output: str) -> str | None:
    """The directory that files were looked for in, where their full names tell it."""
    literal = asked.pattern.rpartition("/")[0]
    if asked.path is not None or not literal or _WILD.search(literal) or literal.startswith(("/", "~", ".")):
        return None
    roots = {path.partition(f"/{literal}/")[0] for path in output.strip().split("\n") if f"/{literal}/" in path}
    root = roots.pop() if len(roots) == 1 else ""
    return root if root.startswith("/") and "\n" not in root else None


# -- lines ----------------------------------------------------------------------------------------------------------


def _grep(asked: Grep, files: Files, place: Place) -> Told:
    if asked.options is None or asked.path is None or _ESCAPED_IN_BRACKETS.search(asked.pattern):
        raise Unknown("a search that is not modelled")
    path = place.resolve(asked.path)
    if files.kind(path) is not Kind.FILE:
        raise Unknown(f"{path}: not known to be a file")
    text = _run(asked, "-n", path, files)
    if not text:
        return _nothing(asked)
    facts = {"numbered": text, "plain": _run(asked, "", path, files)}
    outcome = "found, numbered" if "-n" in asked.options else "found"
    return Told(outcome, facts, shows=frozenset(facts))


def _run(asked: Grep, numbering: str, path: str, files: Files) -> str:
    """What `grep` prints for it, without the last line end."""
    options = [each for each in asked.options or () if each != "-n"]
    words = ["grep", "-E", *filter(None, [numbering]), *options, "-e", asked.pattern, path]
    outcome = run(shlex.join(words), Shell(), files.fork())
    lines = outcome.text.split("\n")
    if outcome.assumes - {"grep.gnu"} or len(lines) > _MOST_LINES or max(map(len, lines)) > _LONGEST_LINE:
        raise Unknown("more than is surely shown")
    return outcome.text.removesuffix("\n")


def _see_lines(asked: Grep, output: str, files: Files, roots: Sequence[Place]) -> None:
    """Lines with their numbers, in the file that was searched, or in files that are named."""
    searched = None if asked.path is None else roots[0].resolve(asked.path)
    lines = [line for line in output.split("\n") if line != "--"]
    in_one = all(_NUMBERED.fullmatch(line) for line in lines)
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for line in lines:
        match = (_NUMBERED if in_one else _FOUND).fullmatch(line)
        if match is None:
            continue
        path = searched if in_one else _named(match["path"], searched, roots)
        if path is not None:
            found[path][int(match["line"])] = match["text"]
    for path, seen in found.items():
        if posixpath.splitext(path)[1] or files.kind(path) is Kind.FILE:
            files.see_lines(path, seen)


def _named(name: str, searched: str | None, roots: Sequence[Place]) -> str | None:
    """A file that is named in what was found: relative to where the agent is, or to where it began."""
    paths = {root.resolve(name) for root in roots}
    if searched is not None:
        paths = {each for each in paths if each == searched or each.startswith(searched.rstrip("/") + "/")}
    path = paths.pop() if len(paths) == 1 else SOMEWHERE
    return None if path.startswith(SOMEWHERE) else path


# -- files ----------------------------------------------------------------------------------------------------------


def _glob(asked: Glob, files: Files, place: Place) -> Told:
    root, pattern, deep = _parts(asked, place)
    if deep:
        raise Unknown("all that is below a directory is not known")
    path = posixpath.join(root, pattern)
    if _WILD.search(pattern):
        found = _matching(root, pattern, files)
    else:
        kind = files.kind(path)
        if kind not in (Kind.FILE, Kind.ABSENT):
            raise Unknown(f"{path}: not known to be a file")
        found = [path] if kind is Kind.FILE else []
    if not found:
        return _nothing(asked)
    facts = path_facts(found[0], place)
    return Told("found", facts, shows=frozenset(facts))


def _matching(root: str, pattern: str, files: Files) -> list[str]:
    """The files of a directory that have such names; one at most, since their order is not known."""
    names = {name: kind for name, kind in files.names(root, hidden=True).items() if fnmatchcase(name, pattern)}
    if len(names) > 1 or any(kind is not Kind.FILE or name.startswith(".") for name, kind in names.items()):
        raise Unknown("what is found, or in which order, is not known")
    return [posixpath.join(root, name) for name in names]


def _parts(asked: Glob, place: Place) -> tuple[str, str, bool]:
    """The directory, the pattern of the names, and if they are also looked for below it. Raises Unknown."""
    directory, _, pattern = asked.pattern.rpartition("/")
    deep = directory == "**" or directory.endswith("/**")
    directory = directory.removesuffix("**").rstrip("/")
    if _WILD.search(directory) or not pattern or "{" in pattern or "**" in pattern:
        raise Unknown("a pattern that is not modelled")
    root = place.within(asked.path).resolve(directory or ("/" if asked.pattern.startswith("/") else "."))
    if root.startswith(SOMEWHERE):
        raise Unknown("the directory is not known")
    return root, pattern, deep


def _see_files(asked: Glob, lines: list[str], files: Files, place: Place) -> None:
    if len(lines) >= _MOST_LINES or any(not line.startswith("/") or "(" in line for line in lines):
        return
    for line in lines:
        if files.kind(place.resolve(line)) is Kind.UNKNOWN:
            files.see_kind(place.resolve(line), Kind.FILE)
    try:
        root, pattern, deep = _parts(asked, place)
    except Unknown:
        return
    if "." in pattern.lstrip("*.") or not _WILD.search(pattern):  # of a directory such a name is improbable
        files.see_none(Missed(root, pattern, deep))
