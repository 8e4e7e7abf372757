"""Is an output that a model wrote of the form that this tool's outputs have here?

What is said against an output goes back to the model that wrote it. A false alarm costs a request and may spoil what
was right, so each check asks for evidence, and where there is little of it nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any, NamedTuple

import orjson

_FEW = 2
"""Outputs of which something may be said that all of them have."""
_SEVERAL = 3
"""Outputs of which it may be said that there are no others."""
_FAR = 20
"""Times the longest that was recorded."""
_LONG = 4_000
"""Characters: no output up to this length is too long."""
_EDGE = 3
"""Lines at either end in which a model speaks of itself."""
_SHOWN = 200
"""Characters of a line that are looked at, at either end, or shown."""
_SHORT_ERROR = 300
"""Characters in which an error shows, and up to which its words may stand anywhere."""
_SHORTEST_FRAME = 6
"""Characters that lines have in common, and not by chance."""
_KEYS_SHOWN = 20
_NOTHING = len("[]")
"""A tool of which no longer output is known may write JSON or what only looks like it."""
_FENCE = "```"
_CONTAINERS: dict[type, str] = {dict: "object", list: "array"}

_ERROR = re.compile(
    r"""^[\s<\[({"'*]*(?:
        (?:\w+_)?errors?\b | [\w.]*(?:Error|Exception)\b\s*[:(] | traceback\ \(most\ recent | fatal\b | failed\b
        | exit\ code:?\ [1-9] | (?:execution|command|request)\ timed\ out | (?:permission|access)\ denied | no\ such\b
        | (?:cannot|could\ not|unable\ to|invalid|unknown|unauthorized|forbidden)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_ERROR_WORDS = re.compile(
    r"""\b(?:errors?|exception|fail(?:ed|ure|s)?|not\ found|no\ \S+(?:\ \S+)?\ found|(?:does|did|do|could)\ ?n[o'’]t
        |cannot|can't|unable|denied|rejected|timed\ out|no\ such|invalid|unknown|unavailable|refused|too\ many
        |exceed(?:s|ed)|not\ (?:allowed|permitted|supported|available|enough)|must|required|missing)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_ERROR_KEYS = frozenset({"error", "errors", "error_message", "error_code", "exception"})
_TRUNCATION = re.compile(
    r"^[ \t]*(?:[\[(<…*-]|\.\.\.).{0,99}\b(?:truncated|clipped|omitted|left out|cut off|too (?:long|large))\b.{0,99}$",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTED = re.compile(r"^(?:[+-] ?|[>#]|//|\s*(?:[\w./-]+[:-])?\d+\s*[:→|\t-])")
"""A line of a file, as `grep`, `diff` and readers with line numbers show it, or a comment in one."""

_RUNS = re.compile(r'^\s*\{.*?"(?:command|cmd|code|script)"\s*:', re.DOTALL)
"""Arguments that are a program: what it prints is its own affair, if anything."""


class _Talk(NamedTuple):
    """Words of a model about itself or its task."""

    said: re.Pattern[str]
    subject: re.Pattern[str]
    """Where this stands in a call or in recorded outputs, the words belong to what they are about."""


def _talk(said: str, subject: str = "") -> _Talk:
    return _Talk(re.compile(said, re.IGNORECASE), re.compile(subject or said, re.IGNORECASE))


_META = (
    _talk(r"\bas an AI\b"),
    _talk(r"\bI['’]?m sorry,? but I\b"),
    _talk(r"\bI cannot\b"),
    _talk(r"(?<![\w./-])simulat(?:ed|ions?)(?![\w/(=-]|\.\w)", "simulat"),
    _talk(r"(?<![\w./-])hypothetical(?:ly)?(?![\w/(=-]|\.\w)", "hypothe"),
    _talk(r"\bhere is the output\b"),
    _talk(r"\bnote that this is\b"),
)


@dataclass(frozen=True)
class Form:
    """What the recorded outputs of a tool look like."""

    tool: str
    count: int = 0
    shortest: int = 0
    """Characters, as `median` and `longest`."""
    median: int = 0
    longest: int = 0
    has_empty: bool = False
    shapes: frozenset[str] = frozenset()
    """`object`, `array`: where all outputs are one of them in JSON, but for errors; else none."""
    objects: int = 0
    """How many of the outputs are JSON objects."""
    always: tuple[str, ...] = ()
    """Keys that every recorded object has."""
    sometimes: tuple[str, ...] = ()
    opening: str = ""
    """How the first line of each begins, or the whole of it; `closing` so for the last one."""
    closing: str = ""
    is_fenced: bool = False
    """Some stand in a fence."""
    subjects: frozenset[str] = frozenset()
    """What these outputs are about, of what a model says of itself."""
    truncation: str = ""
    error: str = ""

    @classmethod
    def of(cls, tool: str, outputs: Sequence[str]) -> Form:
        """The form of a tool's recorded outputs, as few as there are."""
        if not outputs:
            return cls(tool)
        lengths = sorted(map(len, outputs))
        has_empty = not all(map(str.strip, outputs))
        right = [output for output in outputs if output.strip() and not is_error(output)]
        values = [_container(output) for output in right]
        is_json = len(values) >= _FEW and None not in values and not has_empty
        objects = [value for value in values if isinstance(value, dict)] if is_json else []
        always, sometimes = _keys(objects)
        return cls(
            tool,
            count=len(outputs),
            shortest=lengths[0],
            median=median_low(lengths),
            longest=lengths[-1],
            has_empty=has_empty,
            shapes=frozenset(_CONTAINERS[type(value)] for value in values) if is_json else frozenset(),
            objects=len(objects),
            always=always,
            sometimes=sometimes,
            opening="" if is_json else _shared(right, lambda lines: lines[0]),
            closing="" if is_json else _shared(right, lambda lines: lines[-1]),
            is_fenced=any(map(_is_fenced, outputs)),
            subjects=frozenset(talk.said.pattern for talk in _META if any(map(talk.subject.search, outputs))),
            truncation=next((found.group().strip() for found in map(_TRUNCATION.search, outputs) if found), ""),
            error=next((_beginning(output) for output in outputs if is_error(output)), ""),
        )

    def note(self) -> str:
        """A few plain lines about it for a prompt; empty where nothing was recorded."""
        return "\n".join(self._note()) if self.count else ""

    def faults(self, arguments: str, output: str) -> list[str]:
        """What is wrong with the form of an output for a call with these arguments, a sentence each."""
        if not output.strip():
            return list(self._empty_faults(arguments))
        faults = [*self._meta_faults(arguments, output), *self._json_faults(arguments, output)]
        if _is_fenced(output) and not self.is_fenced:
            faults.append("The output stands in a code fence: it must be the raw output alone.")
        if self.count >= _SEVERAL and len(output) > max(_FAR * self.longest, _LONG):
            faults.append(
                f"The output is {len(output)} characters long, and the longest of {self.tool} here is {self.longest}."
            )
        return faults

    def _note(self) -> Iterable[str]:
        yield f"Recorded outputs of {self.tool}: {self.count}."
        yield f"Length: {self.median} characters in the median, from {self.shortest} to {self.longest}."
        if self.shapes:
            yield f"All are JSON, but for errors; at the top: {' or '.join(sorted(self.shapes))}."
        if self.always:
            yield f"Keys every object has: {_listed(self.always)}."
        if self.sometimes:
            yield f"Keys some objects have: {_listed(self.sometimes)}."
        if self.opening:
            yield f"The first line begins with: {self.opening}"
        if self.closing and self.closing != self.opening:
            yield f"The last line begins with: {self.closing}"
        if self.has_empty:
            yield "Some are empty."
        if self.truncation:
            yield f"Where one is truncated, it says so: {_cut(self.truncation)}"
        if self.error:
            yield f"An error looks like this: {self.error}"

    def _meta_faults(self, arguments: str, output: str) -> Iterable[str]:
        edges = "\n".join(_edges(output))
        for talk in _META:
            found = talk.said.search(edges)
            if found and talk.said.pattern not in self.subjects and not talk.subject.search(arguments):
                yield f'The output says "{found.group()}": no tool speaks of itself so. It must be the output alone.'

    def _empty_faults(self, arguments: str) -> Iterable[str]:
        has_form = self.shapes or self.opening or self.closing
        if self.count >= _SEVERAL and not self.has_empty and (has_form or not _RUNS.search(arguments)):
            yield f"The output is empty, and {self.tool} never answers with an empty output here."

    def _json_faults(self, arguments: str, output: str) -> Iterable[str]:
        keys = self._telling_keys()
        is_known = self.shapes and self.longest > _NOTHING and (keys or not _RUNS.search(arguments))
        if not is_known or may_be_error(output):
            return
        value = _container(output)
        shape = _CONTAINERS.get(type(value), "")
        if value is None:
            yield f"The output is no valid JSON, and the outputs of {self.tool} are."
        elif shape not in self.shapes:
            known = " or ".join(sorted(self.shapes))
            yield f"The output is a JSON {shape}, and those of {self.tool} are: {known}."
        elif keys and isinstance(value, dict) and value.keys().isdisjoint(keys):
            yield f"The JSON object has none of the keys that {self.tool} always answers with: {_listed(keys)}."

    def _telling_keys(self) -> Sequence[str]:
        """Keys of which every object has one. One key by itself among others may be common by chance."""
        is_chance = len(self.always) < _FEW and self.sometimes
        return () if self.objects < _SEVERAL or is_chance else self.always


def is_error(output: str) -> bool:
    """Does an output begin as errors do, or is it JSON that says so?"""
    value = _container(output)
    if value is not None:
        return isinstance(value, dict) and (not _ERROR_KEYS.isdisjoint(value) or value.get("success") is False)
    return _ERROR.match(output[:_SHORT_ERROR]) is not None


def may_be_error(output: str) -> bool:
    """Is it one, or so short a text with words that errors have that it cannot be told?"""
    if is_error(output):
        return True
    is_short_text = len(output) <= _SHORT_ERROR and _container(output) is None
    return is_short_text and _ERROR_WORDS.search(output) is not None


def _container(output: str) -> Any:
    """The JSON object or array that an output is; None where it is neither."""
    if not output.lstrip().startswith(("{", "[")):
        return None
    try:
        return orjson.loads(output)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return None


def _keys(objects: Sequence[dict[str, Any]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keys that all have, and the others, in the order of their first appearance."""
    seen = tuple(dict.fromkeys(key for each in objects for key in each))
    always = frozenset(seen).intersection(*objects)
    return tuple(key for key in seen if key in always), tuple(key for key in seen if key not in always)


def _shared(outputs: Sequence[str], line: Callable[[list[str]], str]) -> str:
    """What one line of several outputs begins with, in whole words; empty where it is next to nothing."""
    lines = [line(output.strip("\n").splitlines()) for output in outputs]
    if len(lines) < _SEVERAL:
        return ""
    low, high = min(lines), max(lines)
    shared = low[: next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))]
    if any(each != shared for each in lines):
        shared = re.sub(r"\b\w+$", "", shared)
    return _cut(shared) if len(shared.strip()) >= _SHORTEST_FRAME else ""


def _is_fenced(output: str) -> bool:
    text = output.strip()
    return text.startswith(_FENCE) and text.splitlines()[-1].strip() == _FENCE and "\n" in text


def _edges(output: str) -> Iterable[str]:
    """The first and the last lines, without those that quote a file."""
    lines = [line for line in output.splitlines() if line.strip()]
    shown = lines if len(lines) <= 2 * _EDGE else [*lines[:_EDGE], *lines[-_EDGE:]]
    return [_cut(line) for line in shown if not _QUOTED.match(line)]


def _beginning(output: str) -> str:
    """The first two lines as one: the first often says no more than that this is an error."""
    return _cut("\\n".join(output.strip().splitlines()[:2]))


def _cut(line: str) -> str:
    """A line, or its ends where it is long."""
    return line if len(line) <= 2 * _SHOWN else f"{line[:_SHOWN]} ... {line[-_SHOWN:]}"


def _listed(keys: Sequence[str]) -> str:
    more = len(keys) - _KEYS_SHOWN
    return ", ".join(keys[:_KEYS_SHOWN]) + (f" and {more} more" if more > 0 else "")
