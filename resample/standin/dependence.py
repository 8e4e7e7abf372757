"""The stand-in as it is asked whose fault a finding is: one depends on the invented outputs that hold its words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from resample.judging.render import Block, text_of, unfence
from resample.standin.settings import StandInSettings
from resample.types import Message

SCHEMA_NAME = "dependence"
"""Name of the JSON schema that the answer is asked for in."""

_INVENTED = re.compile(r"step (\d+) invented output")
_FINDING = re.compile(r"finding (\d+)")
_WORD = re.compile(r"\w{6,}")


def answer(request: dict[str, Any], settings: StandInSettings) -> Message:
    """For each finding in the last fence that has any: does its quote, or a longer word of it, stand in an output?

    Only outputs up to its step that are labelled as invented count. It never errs by chance.
    """
    blocks = _turn(request["messages"])
    invented = [(int(match[1]), block.text) for block in blocks if (match := _INVENTED.fullmatch(block.label))]
    answers = []
    for block in blocks:
        if match := _FINDING.fullmatch(block.label):
            finding = orjson.loads(block.text)
            text = "\n".join(text for step, text in invented if step <= finding["step"])
            answers.append({"finding": int(match[1]), **_answer(finding["quote"] or "", text)})
    return {"role": "assistant", "content": orjson.dumps({"findings": answers}).decode()}


def _turn(messages: Sequence[Message]) -> list[Block]:
    """The blocks of the last user message that holds findings; after it there may be a second ask."""
    for message in reversed(messages):
        blocks = unfence(text_of(message)) if message["role"] == "user" else []
        if any(_FINDING.fullmatch(block.label) for block in blocks):
            return blocks
    return []


def _answer(quote: str, text: str) -> dict[str, Any]:
    words = [quote] if quote and quote in text else [word for word in _WORD.findall(quote) if word in text]
    why = f"{words[0]!r} stands in an invented output." if words else "No invented output holds any of its words."
    return {"why": why, "depends": bool(words)}
