"""Harnesses leave parts of long outputs out: nothing can be learned from what is not all there."""

from __future__ import annotations

import re

_MARKS = re.compile(
    r"\[\d+ lines? (?:truncated|omitted)|\[truncated|<truncated|truncated>|characters (?:truncated|omitted)"
    r"|output too large"
    r"|lines? omitted|chars? truncated|truncated (?:output|lines)|output (?:was |has been )?truncated"
    r"|<response clipped>|\[\.\.\.|^\.\.\.$|omitted \.\.\.|\d+ more lines|lines not shown",
    re.IGNORECASE | re.MULTILINE,
)
_LONGEST = 29_000
"""Characters: many harnesses cut outputs off at 30,000."""


def is_shortened(text: str) -> bool:
    """May a part of this output have been left out?"""
    return is_long(text) or _MARKS.search(text) is not None


def is_long(text: str) -> bool:
    """Is it so long that a harness may have cut it off without a mark?"""
    return len(text) > _LONGEST
