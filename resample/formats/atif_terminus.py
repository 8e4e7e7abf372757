"""Terminus, Harbor's own agent, in ATIF: it acts by JSON in its text, which its steps hold whole or in parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from resample.actions import TOOLS
from resample.formats.assemble import text_or
from resample.text_actions import terminus_commands

TERMINUS = "text:terminus"
TERMINUS_XML = "text:terminus_xml"


def is_terminus(agent: dict[str, Any]) -> bool:
    """Its instructions stand in the first message of the user: it has no system prompt."""
    return text_or(agent.get("name")).lower().startswith("terminus")


def style_of(agent: dict[str, Any], steps: Sequence[dict[str, Any]]) -> str:
    """Terminus acts by JSON in its text, or by XML."""
    replies = [step for step in steps if step.get("source") == "agent"]
    if is_terminus(agent):
        return TERMINUS_XML if _parser(agent) == "xml" else TERMINUS
    if any(step.get("tool_calls") for step in replies):
        return TOOLS
    return TERMINUS if any(terminus_commands(text_or(step.get("message"))) for step in replies) else TOOLS


_TOLD = re.compile(r"(?:Analysis: (?P<analysis>.*?))?(?:^|\n|\Z)(?:Plan: (?P<plan>.*))?\Z", re.DOTALL)


def keystrokes_as_written(content: str | list[dict[str, Any]], calls: Sequence[dict[str, Any]]) -> str:
    """Terminus' steps may hold its reply in parts: analysis and plan as text, each keystroke as a call.

    The model wrote one JSON object, and is told to; such an object is made again of the parts.
    """
    text = content if isinstance(content, str) else "\n".join(text_or(part.get("text")) for part in content)
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
