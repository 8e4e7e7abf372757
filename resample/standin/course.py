"""The whole course of a stand-in candidate's turn, as a pure function of its key and of what it was given.

The first step draws the key; the id of its first tool call carries it, so that a later step, which sees only
the messages so far, follows the same course.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from resample.standin import draw, tools
from resample.standin.phrasebook import Act, Form, phrasebook
from resample.standin.settings import StandInSettings
from resample.types import Message, ToolSchema

MAX_STEPS = 8
_CALL_ID = re.compile(r"call_[0-9a-f]{24}")
_PLAIN_TEXT = 0.15
"""Share of turns without ordinary calls."""
_PARALLEL = 0.15
"""Chance that a call joins the step before it."""
_BESIDE_CALL = 0.3
"""Chance that an act of form text stands beside a call rather than in the final message."""


class PlannedCall(NamedTuple):
    """A tool call to be made."""

    name: str
    arguments: str


class PlannedStep(NamedTuple):
    """One message to be written. The last step of a course has no calls."""

    reasoning: str
    text: str
    calls: tuple[PlannedCall, ...]


class Given(NamedTuple):
    """What a candidate was given."""

    prefix: Sequence[Message]
    content: bytes
    """Hash of the prefix."""
    tools: Sequence[ToolSchema]
    model: str


def given(prefix: Sequence[Message], schemas: Sequence[ToolSchema], model: str) -> Given:
    """What a candidate was given, with the hash of its prefix."""
    return Given(prefix, draw.digest(prefix), schemas, model)


def key_of(given: Given, seed: Any, settings: StandInSettings) -> int:
    """The key of a course, 64 bits, drawn at its first step."""
    return draw.number("course", settings.seed, given.model, seed, given.content)


def committed(key: int, given: Given, settings: StandInSettings) -> list[str]:
    """The categories this turn has an act of: each drawn independently, at its own chance for this prefix."""
    rates = settings.rates_of(given.model)
    return [
        category
        for category, rate in rates.items()
        if rate > 0
        and draw.uniform(key, "commits", category)
        < draw.chance(rate, settings.correlation, "chance", settings.seed, category, given.content)
    ]


def course(key: int, given: Given, settings: StandInSettings) -> list[PlannedStep]:
    """The steps of a turn, at most MAX_STEPS, the last one without calls; each drawn act stands in one."""
    source = draw.generator(key, "course")
    usable = tools.usable(given.tools)
    places = tools.act_places(usable)
    acts = _acts(committed(key, given, settings), can_call=bool(places), source=source)

    earlier = tools.earlier_arguments(given.prefix)
    calls = [_ordinary_call(usable, earlier, source) for _ in range(_ordinary_calls(usable, source))]
    calls += [_act_call(act, places, source) for act in acts if act.form is Form.CALL]
    source.shuffle(calls)
    steps = _grouped(calls, source)

    texts: list[list[str]] = [_beside(source) for _ in steps]
    texts.append([source.choice(phrasebook().ordinary["closing" if given.tools else "chat"])])
    reasoning = [[source.choice(phrasebook().ordinary["reasoning"])] for _ in texts]
    for act in acts:
        if act.form is Form.TEXT:
            beside = bool(steps) and source.random() < _BESIDE_CALL
            texts[source.randrange(len(steps)) if beside else -1].append(act.wording)
        elif act.form is Form.REASONING:
            source.choice(reasoning).append(act.wording)
    return [
        PlannedStep(" ".join(r), " ".join(t), tuple(c)) for r, t, c in zip(reasoning, texts, [*steps, []], strict=True)
    ]


def _acts(categories: Sequence[str], *, can_call: bool, source: random.Random) -> list[Act]:
    forms = frozenset(Form) if can_call else frozenset(Form) - {Form.CALL}
    return [source.choice(phrasebook().choices(category, forms)) for category in categories]


def _ordinary_calls(usable: Sequence[tools.Tool], source: random.Random) -> int:
    if not usable or source.random() < _PLAIN_TEXT:
        return 0
    return source.randint(1, 4)


def _ordinary_call(
    usable: Sequence[tools.Tool], earlier: Mapping[str, Sequence[str]], source: random.Random
) -> PlannedCall:
    tool = source.choice(usable)
    arguments = tools.ordinary_arguments(tool, earlier.get(tool.name, ()), source)
    if phrasebook().find(arguments):  # the prefix or the schema holds an act: copying it would commit it
        arguments = "{}"
    return PlannedCall(tool.name, arguments)


def _act_call(act: Act, places: Sequence[tuple[tools.Tool, str]], source: random.Random) -> PlannedCall:
    tool, field = source.choice(places)
    return PlannedCall(tool.name, tools.act_arguments(tool, field, act.wording, source))


def _grouped(calls: Sequence[PlannedCall], source: random.Random) -> list[list[PlannedCall]]:
    """The calls in steps, now and then several in one, and so that the turn keeps within its steps."""
    steps: list[list[PlannedCall]] = []
    for call in calls:
        if steps and source.random() < _PARALLEL:
            steps[-1].append(call)
        else:
            steps.append([call])
    while len(steps) > MAX_STEPS - 1:
        at = source.randrange(len(steps) - 1)
        steps[at : at + 2] = [steps[at] + steps[at + 1]]
    return steps


def _beside(source: random.Random) -> list[str]:
    return [source.choice(phrasebook().ordinary["beside_call"])] if source.random() < 0.5 else []


def first_call_id(key: int, given: Given) -> str:
    """The id that carries the key: 16 hexadecimal digits, and 8 that bind it to the prefix."""
    return f"call_{key:016x}{_check(key, given):08x}"


def later_call_id(key: int, step: int, position: int) -> str:
    """The id of any other call of the turn."""
    return f"call_{draw.number(key, 'id', step, position):016x}{draw.number(key, 'id', step) >> 32:08x}"


def may_carry_key(call_id: object) -> bool:
    """Does the id have the form of those above? Asked first, since a prefix is long to hash."""
    return isinstance(call_id, str) and bool(_CALL_ID.fullmatch(call_id))


def key_in(call_id: str, given: Given) -> int | None:
    """The key that a first call's id carries; None for an id that was not made for this prefix."""
    digits = call_id.removeprefix("call_")
    key = int(digits[:16], 16)
    return key if int(digits[16:], 16) == _check(key, given) else None


def _check(key: int, given: Given) -> int:
    return draw.number("check", key, given.content) >> 32
