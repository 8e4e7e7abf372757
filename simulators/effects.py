"""What a call depends on, and what it may change: never optimistic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from resample.types import ToolCall, ToolSchema
from simulators.files import resolve
from simulators.operations import (
    Edit,
    Glob,
    Grep,
    Insert,
    Note,
    Operation,
    Other,
    Patch,
    Read,
    Refused,
    Shell,
    Write,
    operation,
)
from simulators.shell.effects import effects as shell_effects
from simulators.shell.syntax import parse
from simulators.workspace.observe import has_failed
from simulators.workspace.patch import paths

ANYTHING = None
NOTHING: frozenset[str] = frozenset()


class Touched(NamedTuple):
    """What a call has to do with the state of its environment."""

    key: tuple[Any, ...]
    """Equal for calls that ask for the same, however they are written."""
    reads: frozenset[str] | None
    """The resources its output depends on: paths, or the tool's own notes. None: anything."""
    writes: frozenset[str] | None
    """The resources it may change. None: anything."""
    makes_files: bool = False
    """Files may have come or gone; those that were known are unchanged."""
    is_volatile: bool = False
    """Its output depends on the moment it is made."""
    cwd: str | None = None
    """The working directory after it."""
    of_files: bool = False
    """It has to do with files, which others may change as time passes."""
    links: bool = False
    """It may give files other names, under which later calls change them."""
    hooks: bool = False
    """Where git has hooks, it may change anything."""

    @property
    def reads_only(self) -> bool:
        """Does it leave everything as it is?"""
        return self.writes == NOTHING and not self.makes_files

    def is_changed_by(self, other: Touched) -> bool:
        """May the output of this call be another one after that call?"""
        if self.reads is ANYTHING and other.makes_files:
            return True
        return _overlap(self.reads, other.writes)


def _overlap(reads: frozenset[str] | None, writes: frozenset[str] | None) -> bool:
    if writes == NOTHING or reads == NOTHING:
        return False
    if writes is ANYTHING:
        return reads is ANYTHING or any(not _is_note(each) for each in reads)
    if reads is ANYTHING:
        return any(not _is_note(each) for each in writes)
    return any(_within(one, other) or _within(other, one) for one in reads for other in writes)


def _is_note(resource: str) -> bool:
    return not resource.startswith("/")


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def touched(
    call: ToolCall, cwd: str | None, schemas: Mapping[str, ToolSchema], elsewhere: Sequence[str | None] = ()
) -> Touched:
    """What a call made from this working directory has to do with its environment.

    In some harnesses a `cd` holds for the next call, in others not: `elsewhere` are the other directories in which a
    command may really run.
    """
    if call.parsed is None:  # no harness can pass it on to a tool
        return Touched((call.name, call.arguments), NOTHING, NOTHING, cwd=cwd)
    asked = operation(call)
    match asked:
        case Read():
            path = resolve(asked.path, cwd)
            return Touched((call.name, path, *asked[1:]), frozenset({path}), NOTHING, cwd=cwd, of_files=True)
        case Write() | Edit() | Insert() if asked.path is not None:
            path = resolve(asked.path, cwd)
            return Touched((call.name, path, *asked[1:]), frozenset({path}), frozenset({path}), cwd=cwd, of_files=True)
        case Patch():
            return _patch(call.name, asked, cwd, elsewhere)
        case Shell():
            return _shell(call.name, asked, cwd, elsewhere)
        case Refused():
            return Touched(_key(call, schemas), NOTHING, NOTHING, cwd=cwd)
        case Note():
            own = frozenset({f"notes of {call.name}"})
            return Touched(_key(call, schemas), own, own, cwd=cwd)
    return _other(call, asked, cwd, schemas)


def without_effect(call: ToolCall, touched: Touched, output: str) -> Touched:
    """The same call, known to have failed: it has changed nothing."""
    asked = operation(call)
    failed = isinstance(asked, Write | Edit | Insert | Patch) and has_failed(asked, output)
    return touched._replace(writes=NOTHING) if failed else touched


def _patch(name: str, asked: Patch, cwd: str | None, elsewhere: Sequence[str | None]) -> Touched:
    where, *others = (each if asked.cwd is None else resolve(asked.cwd, each) for each in (cwd, *elsewhere))
    named = frozenset(resolve(path, place) for place in (where, *others) for path in paths(asked.text))
    key = (name, asked.text, where)
    after = where if asked.moves else cwd
    return Touched(key, named or ANYTHING, named or ANYTHING, cwd=after, of_files=True)


def _shell(name: str, asked: Shell, cwd: str | None, elsewhere: Sequence[str | None]) -> Touched:
    where = cwd if asked.cwd is None else resolve(asked.cwd, cwd)
    found = shell_effects(asked.command, where)
    key = (name, "in the background" if asked.background else "", where, parse(asked.command) or asked.command.split())
    after = cwd if asked.cwd is not None else found.cwd
    writes = found.writes
    for other in elsewhere if asked.cwd is None else ():
        there = shell_effects(asked.command, other).writes
        writes = None if writes is None or there is None else writes | there
    volatile = found.volatile or asked.background
    return Touched(key, ANYTHING, writes, found.entries, volatile, after, True, found.links, found.hooks)


def _other(call: ToolCall, asked: Operation, cwd: str | None, schemas: Mapping[str, ToolSchema]) -> Touched:
    reads_only = isinstance(asked, Other | Grep | Glob) and asked.reads_only
    return Touched(_key(call, schemas), ANYTHING, NOTHING if reads_only else ANYTHING, cwd=cwd)


def _key(call: ToolCall, schemas: Mapping[str, ToolSchema]) -> tuple[Any, ...]:
    """Name and arguments, without those that say what holds anyway."""
    inner = schemas.get(call.name, {}).get("function") or {}
    properties = (inner.get("parameters") or {}).get("properties") or {}
    given = {
        name: value
        for name, value in (call.parsed or {}).items()
        if value is not None and value != (properties.get(name) or {}).get("default", _NO_DEFAULT)
    }
    return call.name, orjson.dumps(given, option=orjson.OPT_SORT_KEYS)


_NO_DEFAULT = object()
