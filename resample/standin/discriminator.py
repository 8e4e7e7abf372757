"""The stand-in as a discriminator: of two tool outputs it recognises the plainly false one, and else it guesses."""

from __future__ import annotations

import re
from typing import Any

import orjson

from resample.judging.render import text_of, unfence
from resample.standin import draw
from resample.standin.settings import StandInSettings
from resample.types import Message

SCHEMA_NAME = "which"
"""Name of the JSON schema that a discriminator's reply is asked for in."""

_SIGNS = re.compile(r"as an ai|simulated|simulation|placeholder|let me know|here is an example", re.IGNORECASE)


def answer(request: dict[str, Any], settings: StandInSettings) -> Message:
    """Which of the outputs A and B in the last fence is real."""
    shown = {block.label: block.text for block in unfence(text_of(request["messages"][-1]))}
    plain = [name for name in "AB" if _SIGNS.search(shown.get(f"output {name}", ""))]
    if len(plain) == 1:
        real, tell = ("B" if plain == ["A"] else "A"), "it speaks of itself as made up"
    else:
        real = "AB"[draw.number("which", settings.seed, draw.digest(request)) % 2]
        tell = "nothing: a guess"
    return {"role": "assistant", "content": orjson.dumps({"real": real, "tell": tell}).decode()}
