"""Expands words: variables, globs, braces, the home directory."""

from __future__ import annotations

import itertools
import posixpath
import re

from simulators.base import Unknown
from simulators.files import Kind, NotThere
from simulators.shell.state import HOMELESS, LARGEST, Io, in_order
from simulators.shell.tree import Braces, Glob, Part, Text, Tilde, Variable, Word

_MOST_FIELDS = 1000
_SPLITS = re.compile(r"[\s*?\[\\]")


def one(word: Word, io: Io) -> str:
    """A word that is not split: a value, a heredoc. Raises Unknown."""
    return _joined(word.parts, io, splits=False)


def _joined(parts: tuple[Part, ...], io: Io, splits: bool) -> str:
    texts: list[str] = []
    size = 0
    for part in parts:
        texts.append(_value(part, io, splits))
        size += len(texts[-1])
        if size > LARGEST:
            raise Unknown("a word that is too long")
    return "".join(texts)


def fields(word: Word, io: Io) -> list[str]:
    """The arguments that a word becomes. Raises Unknown."""
    if word.literal is not None:
        return [word.literal]
    found: list[str] = []
    for alternative in _alternatives(word):
        found += _globbed(alternative, io) if any(isinstance(p, Glob) for p in alternative) else _plain(alternative, io)
    if len(found) > _MOST_FIELDS:
        raise Unknown("too many arguments")
    return found


def _alternatives(word: Word) -> list[tuple[Part, ...]]:
    choices: list[list[Part]] = [
        [Text(each) for each in part.alternatives] if isinstance(part, Braces) else [part] for part in word.parts
    ]
    found = list(itertools.islice(itertools.product(*choices), _MOST_FIELDS + 1))
    if len(found) > _MOST_FIELDS:
        raise Unknown("too many alternatives")
    return found


def _plain(parts: tuple[Part, ...], io: Io) -> list[str]:
    text = _joined(parts, io, splits=True)
    is_there = text or any(getattr(part, "quoted", False) for part in parts)
    return [text] if is_there else []


def _value(part: Part, io: Io, splits: bool) -> str:
    if isinstance(part, Text):
        return part.text
    if isinstance(part, Glob):
        return part.char
    if isinstance(part, Tilde):
        return io.shell.home or HOMELESS
    if isinstance(part, Braces):
        return "{" + ",".join(part.alternatives) + "}"
    if not isinstance(part, Variable):
        raise Unknown("an expansion that is not modelled")
    value = _variable(part.name, io)
    if splits and not part.quoted and _SPLITS.search(value):
        raise Unknown(f"${part.name} is split")
    return value


def _variable(name: str, io: Io) -> str:
    known = {"HOME": io.shell.home or HOMELESS, "PWD": io.shell.cwd}.get(name) or io.shell.variables.get(name)
    if known is None:
        raise Unknown(f"${name} is not known")
    return known


# -- globs


def pattern(glob: str) -> re.Pattern[str]:
    """What a glob matches within one name. Raises Unknown."""
    try:
        return re.compile("".join(_translated(glob)), re.DOTALL)
    except re.error:
        raise Unknown("a bracket that is not modelled") from None


def _translated(glob: str) -> list[str]:
    pieces: list[str] = []
    at = 0
    while at < len(glob):
        char = glob[at]
        at += 1
        if char in "*?":
            pieces.append(".*" if char == "*" else ".")
            if char == "*" and pieces.count(".*") > 4:
                raise Unknown("too many *")
        elif char == "[":
            end = glob.find("]", at + 1)
            inside = glob[at:end]
            if end < 0 or not re.fullmatch(r"[!^]?[\w.,+ -]+", inside, re.ASCII) or re.search(r"[a-zA-Z]-", inside):
                raise Unknown("a bracket that is not modelled")
            pieces.append(f"[{'^' if inside[0] in '!^' else ''}{inside.lstrip('!^')}]")
            at = end + 1
        elif char == "\\":
            pieces.append(re.escape(glob[at : at + 1]))
            at += 1
        else:
            pieces.append(re.escape(char))
    return pieces


def _globbed(parts: tuple[Part, ...], io: Io) -> list[str]:
    source = "".join(part.char if isinstance(part, Glob) else _escaped(_value(part, io, splits=True)) for part in parts)
    if "**" in source:
        raise Unknown("** depends on the shell's options")
    segments = source.split("/")
    found = [""] if segments[0] else ["/"]
    for index, segment in enumerate(segments):
        if segment == "":
            continue
        if not re.search(r"(?<!\\)[*?\[]", segment):
            found = [posixpath.join(base, re.sub(r"\\(.)", r"\1", segment)) for base in found]
            if index == len(segments) - 1:
                found = [name for name in found if _is_there(name, io)]
        else:
            found = [name for base in found for name in _matches(base, segment, index < len(segments) - 1, io)]
    if source.endswith("/"):
        raise Unknown("a glob with a slash at its end")
    if not found:
        io.assumes.add("glob.literal")  # other shells, or options of this one, make it an error
        return [re.sub(r"\\(.)", r"\1", source)]
    found.sort()
    if not in_order(found):
        io.assumes.add("glob.order")
    return found


def _escaped(text: str) -> str:
    return re.sub(r"([*?\[\\])", r"\\\1", text)


def _is_there(name: str, io: Io) -> bool:
    kind = io.kind(name)
    if kind is Kind.UNKNOWN:
        raise Unknown(f"{name}: not known")
    return kind is not Kind.ABSENT


def _matches(base: str, segment: str, only_directories: bool, io: Io) -> list[str]:
    hidden = segment.startswith(".")
    try:
        names = io.files.names(io.path(base or "."), hidden)
    except NotThere:
        return []
    matcher = pattern(segment)
    found = []
    for name, kind in names.items():
        if matcher.fullmatch(name) and (hidden or not name.startswith(".")):
            if only_directories and kind not in (Kind.FILE, Kind.DIRECTORY):
                raise Unknown(f"{name}: not known to be a directory")
            if not only_directories or kind is Kind.DIRECTORY:
                found.append(posixpath.join(base, name))
    if hidden and any(matcher.fullmatch(each) for each in (".", "..")):
        raise Unknown("a glob that may match . and ..")
    return found
