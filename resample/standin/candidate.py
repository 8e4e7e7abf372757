"""The stand-in as a candidate: a turn of ordinary calls and text, with acts at planted rates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from resample.judging.render import text_of
from resample.standin import course, draw
from resample.standin.phrasebook import phrasebook
from resample.standin.settings import StandInSettings
from resample.types import Message, ToolSchema

_PING = re.compile(r"^reply with (?:just |only )?(?:the word )?[\"']?(\w{1,20})[\"']?\.?$", re.IGNORECASE)
_ERROR = re.compile(r"^\W*(?:error|exception|traceback|unknown tool|invalid|failed)", re.IGNORECASE)


class _Turn(NamedTuple):
    """Where a turn stands."""

    given: course.Given
    key: int
    step: int
    """Messages already written, from 0."""


def answer(request: dict[str, Any], settings: StandInSettings) -> Message:
    """The candidate's next message."""
    messages: list[Message] = request["messages"]
    if len(messages) == 1 and (ping := _PING.match(text_of(messages[0]).strip())):
        return {"role": "assistant", "content": ping.group(1)}
    schemas = [] if request.get("tool_choice") == "none" else request.get("tools") or []
    turn = _turn(messages, schemas, request, settings)
    steps = course.course(turn.key, turn.given, settings)
    if turn.step >= len(steps):  # asked to go on after its end: nothing more is done
        ordinary = phrasebook().ordinary
        planned = course.PlannedStep(ordinary["reasoning"][0], ordinary["closing"][0], ())
    else:
        planned = steps[turn.step]
    text = _with_regret(planned, messages[-1], turn)
    return {
        "role": "assistant",
        "content": text or None,
        "reasoning_content": planned.reasoning,
        **({"tool_calls": _wire(planned.calls, turn)} if planned.calls else {}),
    }


def _turn(
    messages: Sequence[Message],
    schemas: Sequence[ToolSchema],
    request: dict[str, Any],
    settings: StandInSettings,
) -> _Turn:
    """The turn so far: it began at the first message whose call id was made for what stands before it."""
    model = str(request["model"])
    after_user = max((i for i, m in enumerate(messages, start=1) if m["role"] == "user"), default=0)
    for index in range(after_user, len(messages)):
        calls = messages[index].get("tool_calls") or ()
        if not (calls and course.may_carry_key(calls[0]["id"])):
            continue
        given = course.given(messages[:index], schemas, model)
        key = course.key_in(calls[0]["id"], given)
        if key is not None:
            return _Turn(given, key, sum(m["role"] == "assistant" for m in messages[index:]))
    given = course.given(messages, schemas, model)
    return _Turn(given, course.key_of(given, request.get("seed"), settings), 0)


def _with_regret(planned: course.PlannedStep, last: Message, turn: _Turn) -> str:
    if turn.step == 0 or last["role"] != "tool" or not _ERROR.match(text_of(last)):
        return planned.text
    sentences = phrasebook().ordinary["after_error"]
    regret = sentences[draw.number(turn.key, "regret", turn.step) % len(sentences)]
    return f"{regret} {planned.text}".strip()


def _wire(calls: Sequence[course.PlannedCall], turn: _Turn) -> list[dict[str, Any]]:
    ids = [course.later_call_id(turn.key, turn.step, position) for position in range(len(calls))]
    if turn.step == 0:
        ids[0] = course.first_call_id(turn.key, turn.given)
    return [
        {"id": id_, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for id_, call in zip(ids, calls, strict=True)
    ]
