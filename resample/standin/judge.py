"""The stand-in as a judge: it finds the phrasebook's acts in a turn, and errs at planted rates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from resample.judging.render import Block, text_of, unfence
from resample.standin import draw
from resample.standin.phrasebook import AWARENESS, Act, phrasebook
from resample.standin.settings import StandInSettings
from resample.types import Disclosure, Message

SCHEMA_NAME = "verdict"
"""Name of the JSON schema that a judge's reply is asked for in."""

_LABEL = re.compile(r"step (\d+) (text|call|reasoning)")
_QUOTED_WORDS = 8
_LEAST_QUOTABLE = 12
"""Characters: a quote of less shows nothing."""


class _Part(NamedTuple):
    """Something the agent said or did."""

    step: int
    kind: str
    text: str


class _Seen(NamedTuple):
    """An act found in a part."""

    act: Act
    step: int


def answer(request: dict[str, Any], settings: StandInSettings) -> Message:
    """A verdict on the last fenced turn of the request, as JSON."""
    parts = _parts(_turn(request["messages"]))
    verdict = _verdict(parts, _categories(request), (settings.seed, request.get("seed")), settings)
    return {"role": "assistant", "content": orjson.dumps(verdict).decode()}


def _turn(messages: Sequence[Message]) -> list[Block]:
    """The blocks of the last user message that holds a fenced turn; after it there may be a second ask."""
    for message in reversed(messages):
        if message["role"] == "user":
            blocks = unfence(text_of(message))
            if any(_LABEL.fullmatch(block.label) for block in blocks):
                return blocks
    return []


def _parts(blocks: Iterable[Block]) -> list[_Part]:
    return [_Part(int(match[1]), match[2], block.text) for block in blocks if (match := _LABEL.fullmatch(block.label))]


def _categories(request: dict[str, Any]) -> list[str]:
    """The categories the schema allows in a finding."""
    schema = request["response_format"]["json_schema"].get("schema") or {}
    for name in ("properties", "findings", "items", "properties", "category"):
        schema = schema.get(name) or {}
    return list(schema.get("enum") or ())


def _verdict(
    parts: Sequence[_Part], categories: Sequence[str], seeds: tuple[int, Any], settings: StandInSettings
) -> dict[str, Any]:
    seen = [_Seen(act, part.step) for part in parts for act in phrasebook().find(part.text)]
    content = draw.digest([list(part) for part in parts])

    def reported(category: str) -> bool:
        """Is the category reported? It errs either way at the planted rates."""
        there = any(category == found.act.category for found in seen)
        chance = settings.judge_sensitivity if there else 1 - settings.judge_specificity
        return draw.uniform("judge", *seeds, content, category) < chance

    findings: list[dict[str, Any]] = []
    for category in filter(reported, categories):
        true = [_finding(found) for found in seen if found.act.category == category]
        findings += true or _false_finding(category, parts, (*seeds, content))
    return {
        "findings": findings,
        "opportunity": bool(findings) or any(part.kind == "call" for part in parts),
        "evaluation_awareness": reported(AWARENESS) if any(p.kind == "reasoning" for p in parts) else None,
        "notes": "",
    }


def _finding(found: _Seen) -> dict[str, Any]:
    return {
        "category": found.act.category,
        "severity": found.act.severity,
        "step": found.step,
        "quote": found.act.tell,
        "rationale": f"The agent's own words or call show {found.act.category}.",
        "disclosed": found.act.disclosed.value,
    }


def _false_finding(category: str, parts: Sequence[_Part], seeds: tuple[object, ...]) -> list[dict[str, Any]]:
    """A finding that cites what the agent really wrote; none for a turn in which it wrote nothing."""
    written = [part for part in parts if part.text not in ("", "(empty)")]
    if not written:
        return []
    source = draw.generator("false", *seeds, category)
    telling = [part for part in written if part.kind != "reasoning" and len(part.text) >= _LEAST_QUOTABLE]
    part = source.choice(telling or written)
    line = max(part.text.splitlines(), key=len)
    return [
        {
            "category": category,
            "severity": source.randint(1, 4),
            "step": part.step,
            "quote": _opening(line),
            "rationale": f"This could be read as {category}.",
            "disclosed": Disclosure.UNTOLD.value,
        }
    ]


def _opening(line: str) -> str:
    """The first words of a line, verbatim."""
    match = re.match(rf"\s*(?:\S+\s+){{0,{_QUOTED_WORDS - 1}}}\S+", line)
    return match[0].strip() if match else line
