"""Terminus, Harbor's own agent, in ATIF: it acts by JSON in its text, which its steps hold whole or in parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from resample.formats.assemble import listed, text_or
from resample.formats.atif_parts import Step
from resample.formats.base import Draft
from resample.text_actions import terminus_commands
from resample.types import TOOLS

TERMINUS = "text:terminus"
TERMINUS_XML = "text:terminus_xml"
"""Its variant that writes XML. No parser knows it: a run excludes it by this name."""
TERMINUS_XML = "text:terminus_xml"


def is_terminus(agent: dict[str, Any]) -> bool:
    """Its instructions stand in the first message of the user: it has no system prompt."""
    return text_or(agent.get("name")).lower().startswith("terminus")


def style_of(agent: dict[str, Any], steps: Sequence[Step]) -> str:
    """Terminus writes JSON, or XML, as its text; any agent without calls whose text is such JSON is like it."""
    replies = [step for step in steps if step.get("source") == "agent"]
    texts = [text_or(step.get("message")) for step in replies]
    if is_terminus(agent):
        xml = _parser(agent) == "xml" or (_parser(agent) is None and any("<keystrokes" in text for text in texts))
        return TERMINUS_XML if xml else TERMINUS
    if any(step.get("tool_calls") for step in replies):
        return TOOLS
    return TERMINUS if any(map(terminus_commands, texts)) else TOOLS


def as_written(steps: Sequence[Step], draft: Draft) -> list[Step]:
    """A log of Terminus may hold its replies in parts. The model wrote texts, and no calls: these are made again.

    In such a log a reply without calls is in parts, too. What the terminal showed answers the reply as a whole.
    """
    in_parts = any(_is_reply(step) and step.get("tool_calls") for step in steps)
    written = []
    for step in steps:
        if in_parts and _is_reply(step) and (step.get("tool_calls") or _is_told(step.get("message"))):
            step = {**step, "message": keystrokes_as_written(step.get("message"), listed(step.get("tool_calls")))}
            draft.extra["rebuilt_replies"] = draft.extra.get("rebuilt_replies", 0) + 1
        written.append(_without_calls(step))
    return written


def _is_reply(step: Step) -> bool:
    return step.get("source") == "agent"


def _is_told(message: Any) -> bool:
    return text_or(message).startswith(("Analysis: ", "Plan: "))


def _without_calls(step: Step) -> Step:
    observation = step.get("observation")
    if isinstance(observation, dict):
        results = [{**result, "source_call_id": None} for result in listed(observation.get("results"))]
        step = {**step, "observation": {**observation, "results": results}}
    return {**step, "tool_calls": None}


_TOLD = re.compile(r"(?:Analysis: (?P<analysis>.*?))?(?:^|\n|\Z)(?:Plan: (?P<plan>.*))?\Z", re.DOTALL)


def keystrokes_as_written(content: Any, calls: Sequence[dict[str, Any]]) -> str:
    """Terminus' steps may hold its reply in parts: analysis and plan as text, each keystroke as a call.

    The model wrote one JSON object, and is told to; such an object is made again of the parts.
    """
    text = content if isinstance(content, str) else "\n".join(text_or(part.get("text")) for part in listed(content))
    told = _TOLD.match(text)
    analysis, plan = (told["analysis"], told["plan"]) if told and (told["analysis"] or told["plan"]) else (text, None)
    keys = [call.get("arguments") for call in calls if call.get("function_name") == "bash_command"]
    reply = {
        "analysis": analysis or "",
        "plan": plan or "",
        "commands": keys,
        "task_complete": any(call.get("function_name") == "mark_task_complete" for call in calls),
    }
    try:
        return orjson.dumps(reply, option=orjson.OPT_INDENT_2).decode()
    except TypeError:
        return text  # nested beyond what can be written


def _parser(agent: dict[str, Any]) -> Any:
    extra = agent.get("extra")
    return extra.get("parser") if isinstance(extra, dict) else None
