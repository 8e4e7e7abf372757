"""Bytes to JSON values, and what is done with bytes that are no JSON, or JSON that cannot be carried.

The policy, in full:

- Invalid UTF-8, NaN and infinities (also as 1e999), `\\u` escapes of half a surrogate pair, and nesting
  deeper than 240 levels cannot be sent to any provider: the transcript is excluded with that reason. A byte
  order mark at the start of a file is passed over.
- A key that stands twice in one object: the last one wins, as in every common JSON reader. The one exception
  is a transcript with two `messages` at its top level, which is excluded: which of the two conversations
  would be measured?
- Integers beyond 64 bits become the nearest double. This touches metadata and tool schemas only: the
  arguments of tool calls are strings, and are kept verbatim.
- NUL and other control characters inside strings (as `\\u0000`) are kept.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

import orjson

from resample.formats.exclusions import Problem, Reason

_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")


class _NotFinite(Exception):
    """A number that JSON does not have."""


def decode(data: bytes) -> Any:
    """The JSON value in `data`, or a Problem."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return _diagnose(data, str(error))
    if isinstance(value, dict) and "messages" in value and data.count(b'"messages"') > 1 and _has_two_messages(data):
        return Problem(Reason.DUPLICATE_KEY, "two `messages` in one object")
    return value


def _diagnose(data: bytes, message: str) -> Problem:
    """Name what the fast parser refused, by a second look with the lenient one of the standard library."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return Problem(Reason.INVALID_UTF8, f"byte {error.start}: {error.reason}")
    try:
        json.loads(text, parse_constant=_not_finite, parse_float=_finite, parse_int=float)
    except _NotFinite as error:
        return Problem(Reason.NOT_FINITE, str(error))
    except json.JSONDecodeError as error:
        return Problem(Reason.MALFORMED_JSON, f"{error.msg} at line {error.lineno}, column {error.colno}")
    except RecursionError:
        return Problem(Reason.TOO_DEEP)
    if escape := _HALF_PAIR.search(text):
        return Problem(Reason.LONE_SURROGATE, escape.group() + "..")
    # What json reads and orjson does not, and is none of the above, is nested beyond orjson's limit.
    return Problem(Reason.TOO_DEEP, message)


def _not_finite(constant: str) -> NoReturn:
    raise _NotFinite(constant)


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):
        raise _NotFinite(number[:40])
    return value


def _has_two_messages(data: bytes) -> bool:
    try:
        pairs = json.loads(data, object_pairs_hook=list, parse_int=float)
    except RecursionError:
        return False  # too deep to be used: the check of its depth comes later, and names it
    return [key for key, _ in pairs].count("messages") > 1
