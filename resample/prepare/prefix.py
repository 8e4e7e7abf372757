"""A transcript, cut: the prefix that a candidate is given, and the original turn, which it never sees."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from resample.actions import ActionStyle, style_in
from resample.prepare.schemas import infer
from resample.prepare.truncate import Cut, turns_in
from resample.types import REASONING_PARTS, TOOLS, Message, Prefix, Shared, ToolSchema, Transcript

_REASONING_KEYS = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks")
_CALL_BODIES = {"function": ("name", "arguments"), "custom": ("name", "input")}


def style_of(transcript: Transcript) -> ActionStyle:
    """How its agent writes actions. Raises UserError if there is no such style."""
    metadata = transcript.metadata
    return style_in(metadata.get("actions") or TOOLS, metadata.get("harness"))


def weight_of(transcript: Transcript) -> float:
    """Its sampling weight."""
    weight = transcript.metadata.get("weight")
    return 1.0 if weight is None else float(weight)


def cluster_of(transcript: Transcript) -> str:
    """The same for transcripts that are not independent, as far as their metadata say so."""
    return transcript.metadata.get("cluster") or transcript.id


def make_prefix(
    transcript: Transcript, cut: Cut, inferred: Sequence[ToolSchema] | None = None
) -> tuple[Prefix, tuple[Message, ...]]:
    """Cut a valid transcript. The prefix has what goes over the wire, the original turn all there is.

    `inferred` are the schemas to be used where the log has none; by default what its calls before the cut show.
    """
    metadata = transcript.metadata
    actions = metadata.get("actions") or TOOLS
    agent = style_of(transcript)
    before = transcript.messages[: cut.index]
    tools: Sequence[ToolSchema] = ()
    if actions == TOOLS:
        tools = transcript.tools or (infer(before, agent) if inferred is None else inferred)
    messages, schemas = Shared(tuple(map(wire_message, before))), Shared(tuple(tools))
    prefix = Prefix(
        id=_identity(transcript.id, messages, schemas),
        transcript=transcript.id,
        messages=messages,
        tools=schemas,
        tools_inferred=bool(tools) and not transcript.tools,
        source=str(metadata.get("source") or "canonical"),
        cluster=cluster_of(transcript),
        stratum=metadata.get("stratum") or "",
        weight=weight_of(transcript),
        prior_turns=len(turns_in(before, agent)),
        actions=actions,
        harness=frozenset(index for index in metadata.get("harness") or () if index < cut.index),
        terminal_tools=frozenset(metadata.get("terminal_tools") or ()),
        workspace=metadata.get("workspace"),
        cwd=_cwd(metadata),
        date=metadata.get("date") if isinstance(metadata.get("date"), str) else None,
    )
    return prefix, tuple(transcript.messages[cut.index : cut.end])


def _cwd(metadata: Mapping[str, Any]) -> str | None:
    """As the user says, or the log."""
    extra = metadata.get("extra")
    given = metadata.get("cwd") or (extra.get("cwd") if isinstance(extra, Mapping) else None)
    return given if isinstance(given, str) and given.startswith("/") else None


def _identity(transcript: str, messages: Shared, tools: Shared) -> str:
    """The first 16 hex digits of a hash over all that makes a prefix. JSON has no NUL: it parts the three."""
    whole = b"\0".join((orjson.dumps(transcript), messages.wire, tools.wire))
    return hashlib.sha256(whole).hexdigest()[:16]


def wire_message(message: Message) -> Message:
    """What a provider is sent of a recorded message: no reasoning of another model, no keys of a log."""
    role = message["role"]
    wire: Message = {"role": role, "content": _wire_content(message)}
    if calls := message.get("tool_calls"):
        wire["tool_calls"] = [_wire_call(call) for call in calls]
    elif wire["content"] is None:
        wire["content"] = message.get("refusal") or ""
    for key in ("tool_call_id", "name"):
        if message.get(key) is not None:
            wire[key] = message[key]
    return wire


def has_reasoning(message: Message) -> bool:
    """Does a recorded message hold reasoning, which no candidate is sent?"""
    if any(message.get(key) for key in _REASONING_KEYS):
        return True
    content = message.get("content")
    return isinstance(content, list) and any(part.get("type") in REASONING_PARTS for part in content)


def _wire_content(message: Message) -> Any:
    content = message.get("content")
    if not isinstance(content, list):
        return content
    dropped = REASONING_PARTS if message["role"] == "assistant" else ()
    kept = [part for part in content if part["type"] not in dropped]
    return [{key: part[key] for key in part if key != "cache_control"} for part in kept] or ""


def _wire_call(call: dict[str, Any]) -> dict[str, Any]:
    kind = call["type"]
    return {"id": call["id"], "type": kind, kind: {key: call[kind][key] for key in _CALL_BODIES[kind]}}
