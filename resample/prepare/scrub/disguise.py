"""Pseudonyms: made up from a seeded generator, never from the value, in the shape of the value.

All of them can be told from real values, so that scrubbing twice changes nothing: made-up tokens and numbers begin
with a mark, names with a syllable that few names begin with, and the rest is taken from ranges reserved for examples.
"""

from __future__ import annotations

import re
from random import Random
from string import ascii_lowercase, digits, hexdigits

_MARK, _HEX_MARK = "scrubbed", "fadedbed"
"""How a made-up token begins, in letters; the second is for hexadecimal ones."""
_MARK_DIGITS = "56208830"
"""What stands there where the token has a digit."""
_FEWEST = 6
"""Characters a made-up token has at least: fewer could not be told from a real one."""

_SYMBOLS = re.compile(r"[^A-Za-z0-9]+")


def _marked(letters: str, size: int) -> str:
    places = zip(letters, letters.upper(), _MARK_DIGITS, strict=True)
    return "".join(f"[{''.join(place)}]" for place in list(places)[:size])


_LONG = re.compile(f"{_marked(_MARK, 8)}|{_marked(_HEX_MARK, 8)}")
_SHORT = {
    size: re.compile(f"(?:{_marked(_MARK, size - 2)}|{_marked(_HEX_MARK, size - 2)})..") for size in range(_FEWEST, 10)
}


def bare(value: str) -> str:
    """The letters and digits of a value."""
    return _SYMBOLS.sub("", value)


def is_made_up(value: str) -> bool:
    """Was this token or number, or a part of it, made up here?"""
    characters = bare(value)
    short = _SHORT.get(len(characters))
    return (short.fullmatch(characters) if short else _LONG.search(characters)) is not None


def token(value: str, random: Random) -> str:
    """A token with letters, capitals, digits and symbols at the same places, beginning with the mark."""
    characters = [character for character in value if character.isalnum()]
    lacking = characters[-1] * (_FEWEST - len(characters))
    value += lacking
    characters += lacking
    hexadecimal = set(hexdigits).issuperset(characters)
    letters, mark = ("abcdef", _HEX_MARK) if hexadecimal else (ascii_lowercase, _MARK)
    marked = min(len(mark), len(characters) - 2)
    made = []
    for at, character in enumerate(characters):
        if character.isdigit():
            made.append(_MARK_DIGITS[at] if at < marked else random.choice(digits))
        else:
            letter = mark[at] if at < marked else random.choice(letters)
            made.append(letter.upper() if character.isupper() else letter)
    return laid_over("".join(made), value)


def laid_over(made: str, value: str) -> str:
    """The characters of `made`, in the place of the letters and digits of `value`: its symbols stay."""
    following = iter(made)
    laid = "".join(next(following) if character.isalnum() else character for character in value)
    return laid + "".join(following)


def name(value: str, random: Random) -> str:
    """Something like a name, of about the same length."""
    size = min(max(len(value), 5), 12)
    made = "nym" + "".join(random.choice("aeiou" if at % 2 else "bdfgklmnprstvz") for at in range(1, size - 2))
    return made.upper() if value.isupper() else made.capitalize() if value[:1].isupper() else made


def is_made_up_name(value: str) -> bool:
    """Was this name made up here?"""
    return len(value) >= 5 and value.lower().startswith("nym")
