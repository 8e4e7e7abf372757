"""From a draft to the canonical form: what every foreign format has in common.

Each quirk is a pass of its own; `finish` applies them all. A format's own quirks are passes in its module.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from resample.formats.base import Draft, Located
from resample.formats.dates import is_date
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.types import TOOLS, Message, Missing, ToolSchema, Transcript

AT = "_at"
"""Key of a draft's message: the line (int) or the JSON pointer (str) where it stands in its file."""

HARNESS = "_harness"
"""Key of a draft's message in the user's role that the harness wrote, not a user: it begins no turn."""

_MESSAGE_KEYS = frozenset(
    {"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "audio"}
    | {"reasoning_content", "reasoning", "reasoning_details"}
)
_SMALL = 1024
"""Bytes of JSON, per key of `metadata.extra`."""
_EXTRAS = 32
"""Keys of `metadata.extra`."""


def located(draft: Draft, source: Input, line: int = 1, pointer: str = "") -> Located | Excluded:
    """A finished draft at its place, or why it is none."""
    transcript = finish(draft)
    if isinstance(transcript, Problem):
        detail = ": ".join(text for text in (pointer, transcript.detail) if text)
        return Excluded.at(source.shown, line, Problem(transcript.reason, detail))
    return Located(transcript, source.shown, line)


def finish(draft: Draft) -> Transcript | Problem:
    """The transcript of a draft, whose messages are used up. A session in which nobody said anything is a Problem."""
    if not any(_says_something(message) for message in draft.messages):
        return Problem(Reason.NO_DIALOGUE)
    messages = pair_results(name_calls(draft.messages), draft.dropped)
    places = [message.pop(AT, None) for message in messages]
    harness = [index for index, message in enumerate(messages) if message.get(HARNESS)]
    plain = [plain_message(message) for message in messages]
    has_tools = draft.always_has_tools or any("tool_calls" in message for message in plain)
    if draft.actions == TOOLS and not draft.tools and has_tools:
        draft.missing.add(Missing.TOOL_SCHEMAS)
    return Transcript(draft.id, plain, draft.tools, _metadata(draft, places, harness))


def _says_something(message: Message) -> bool:
    return message.get("role") in ("user", "assistant") and bool(message.get("content") or message.get("tool_calls"))


def _metadata(draft: Draft, places: Sequence[int | str | None], harness: list[int]) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "source": draft.source,
        "model": draft.model,
        "date": draft.date if is_date(draft.date) else None,
        "cluster": draft.cluster,
        "actions": draft.actions if draft.actions != TOOLS else None,
        "harness": harness,
        "terminal_tools": list(draft.terminal_tools),
        "missing": sorted(draft.missing),
        "labels": draft.labels,
        "dropped": dict(sorted(draft.dropped.items())),
        "lines": list(places) if any(place is not None for place in places) else None,
        "extra": small_extras(draft.extra),
    }
    return {key: value for key, value in metadata.items() if value}


# -- passes --------------------------------------------------------------------------------------------------


def name_calls(messages: Iterable[Message]) -> list[Message]:
    """Some models' calls have no id, or one id for several calls of a message, and so have the outputs.

    Such calls get ids of their own, and the outputs that follow are theirs by order. Ids that tell calls apart
    are kept.
    """
    named: list[Message] = []
    renamed: dict[str, deque[str]] = {}
    for index, message in enumerate(messages):
        if message.get("role") == "assistant" and message.get("tool_calls"):
            ids = [_id_of(call) for call in message["tool_calls"]]
            renamed = {}
            if "" in ids or len(set(ids)) < len(ids):
                message = {**message, "tool_calls": _named(message["tool_calls"], ids, index, renamed)}
        elif message.get("role") == "tool" and renamed:
            waiting = renamed.get(text_or(message.get("tool_call_id")))
            if waiting:
                message = {**message, "tool_call_id": waiting.popleft()}
        named.append(message)
    return named


def _named(calls: Sequence[Any], ids: Sequence[str], index: int, renamed: dict[str, deque[str]]) -> list[Any]:
    """The calls of the message at `index` with ids of their own, which go to `renamed` under the old ones."""
    counts = Counter(ids)
    named = []
    for position, (call, id) in enumerate(zip(calls, ids, strict=True)):
        if isinstance(call, dict) and (not id or counts[id] > 1):
            call = {**call, "id": f"call_{index}_{position}"}
            renamed.setdefault(id, deque()).append(call["id"])
        named.append(call)
    return named


def _id_of(call: Any) -> str:
    id = call.get("id") if isinstance(call, dict) else None
    return id if isinstance(id, str) else ""


def pair_results(messages: Iterable[Message], dropped: Counter[str]) -> list[Message]:
    """Outputs stand right after the message that made their calls, whatever a log wrote in between.

    A second output of a call, and one that answers no call at all, is left out, and counted.
    """
    blocks: list[list[Message]] = []
    open_calls: dict[str, list[Message]] = {}
    for message in messages:
        if message.get("role") == "tool":
            block = open_calls.pop(text_or(message.get("tool_call_id")), None)
            if block is None:
                dropped["orphan result"] += 1
            else:
                block.append(message)
            continue
        blocks.append([message])
        if message.get("role") == "assistant":
            open_calls.update((_id_of(call), blocks[-1]) for call in message.get("tool_calls") or ())
    return [message for block in blocks for message in block]


def plain_message(message: Message) -> Message:
    """Logs add keys of their own to a message, and null for what it does not have."""
    kept = {
        key: value for key, value in message.items() if key in _MESSAGE_KEYS and (value is not None or key == "content")
    }
    calls = kept.get("tool_calls")
    if not calls:
        kept.pop("tool_calls", None)
    elif isinstance(calls, list):
        kept["tool_calls"] = [plain_call(call) for call in calls]
    return kept


def plain_call(call: Any) -> Any:
    """Some servers leave out the type of a call, or give its arguments as an object and not as a string."""
    kind = kind_of(call) if isinstance(call, dict) else None
    if kind is None:
        return call
    body = call[kind]
    if kind == "function" and isinstance(body.get("arguments"), dict | None):
        body = {**body, "arguments": arguments_text(body.get("arguments") or {})}
    return {"id": call.get("id"), "type": kind, kind: body}


# -- pieces that formats are read with -----------------------------------------------------------------------


def kind_of(call: dict[str, Any]) -> str | None:
    """Is this OpenAI tool call a `function` or a `custom` one?"""
    return next((kind for kind in ("function", "custom") if isinstance(call.get(kind), dict)), None)


def arguments_text(arguments: Any) -> str | None:
    """Arguments as the JSON text that a call carries: a text stays to the letter, null is no arguments at all.

    None, which is no valid form, where they are nested beyond what can be written.
    """
    if isinstance(arguments, str):
        return arguments
    try:
        return orjson.dumps({} if arguments is None else arguments).decode()
    except TypeError:
        return None


def function_call(id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """A tool call in OpenAI form; `name_calls` gives an id where there is none."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments_text(arguments)}}


def function_schema(name: Any, description: Any = None, parameters: Any = None) -> ToolSchema:
    """A tool schema in OpenAI form."""
    function: dict[str, Any] = {"name": name}
    if isinstance(description, str) and description:
        function["description"] = description
    function["parameters"] = parameters if isinstance(parameters, dict) else {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def any_schema(tool: Any) -> ToolSchema | None:
    """A tool schema in OpenAI form, from any of the common ones; None if it has no name.

    OpenAI chat-completions (nested under `function`), OpenAI Responses (flat, `parameters`), Anthropic
    (`input_schema`), MCP (`inputSchema`).
    """
    if not isinstance(tool, dict):
        return None
    inner = tool.get("function")
    body: dict[str, Any] = inner if isinstance(inner, dict) else tool
    if tool.get("type") == "custom" and isinstance(tool.get("custom"), dict):
        return tool if isinstance(tool["custom"].get("name"), str) else None
    name = body.get("name")
    if not isinstance(name, str) or not name:
        return None
    parameters = next((body[key] for key in ("parameters", "input_schema", "inputSchema") if key in body), None)
    return function_schema(name, body.get("description"), parameters)


def text_part(text: str) -> dict[str, Any]:
    """A content part with text."""
    return {"type": "text", "text": text}


def image_part(url: str) -> dict[str, Any]:
    """A content part with an image: `url` may hold it as `data:image/png;base64,...`."""
    return {"type": "image_url", "image_url": {"url": url}}


def content_of(parts: Sequence[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Content parts in the shortest form that loses nothing: a string where there is one text, or none at all."""
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].get("type") == "text":
        return str(parts[0]["text"])
    return list(parts)


def text_or(value: Any, otherwise: str = "") -> str:
    """`value` if it is a text."""
    return value if isinstance(value, str) else otherwise


def listed(value: Any) -> list[dict[str, Any]]:
    """The objects in `value` if it is a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def small_extras(values: dict[str, Any]) -> dict[str, Any]:
    """Of what stands beside a conversation, what is worth keeping: not null, and small."""
    kept = {key: value for key, value in values.items() if value not in (None, "", [], {}) and _is_small(value)}
    return dict(list(kept.items())[:_EXTRAS])


def _is_small(value: Any) -> bool:
    try:
        return len(orjson.dumps(value)) <= _SMALL
    except TypeError:
        return False  # nested beyond what can be written
