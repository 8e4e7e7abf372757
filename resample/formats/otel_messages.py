"""Messages as instrumentations write them, in OpenAI form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from resample.formats.assemble import (
    any_schema,
    arguments_text,
    content_of,
    function_call,
    image_part,
    listed,
    text_or,
    text_part,
)
from resample.formats.base import Draft
from resample.formats.replies import Reply
from resample.types import Message, Missing, ToolSchema

Item = dict[str, Any]
Part = dict[str, Any]

_ROLES = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}
_THINKING = ("thinking", "reasoning")


def messages_of(items: Sequence[Item], draft: Draft) -> list[Message]:
    """The messages that the items stand for. Thinking that stands as a message of its own belongs to the next one."""
    messages: list[Message] = []
    thought: list[str] = []
    for item in items:
        role = text_or(item.get("role")).lower()
        if role in _THINKING:
            thought.append(text_or(item.get("content")))
            continue
        made = _messages(item, _ROLES.get(role, ""), draft)
        if thought and made and made[0]["role"] == "assistant":
            made[0]["reasoning_content"] = "\n\n".join(filter(None, [*thought, made[0]["reasoning_content"] or ""]))
        thought = []
        messages += made
    return messages


def _messages(item: Item, role: str, draft: Draft) -> list[Message]:
    if not role:
        draft.dropped["message of unknown role"] += 1
        return []
    turn = _Turn(draft)
    for part in parts_in(item):
        turn.take(part)
    turn.end()
    for call in listed(item.get("tool_calls")):
        turn.reply.calls.append(call_of(call))
    turn.reply.reasoning += [text_or(item.get(key)) for key in ("reasoning_content", "reasoning")]
    if role == "assistant":
        return [*turn.reply.messages(), *turn.outputs]
    if role == "tool" and not turn.outputs:
        id = text_or(item.get("tool_call_id")) or text_or(item.get("id"))
        return [{"role": "tool", "tool_call_id": id, "content": content_of(turn.reply.parts)}]
    spoken = [{"role": role, "content": content_of(turn.reply.parts)}] if turn.reply.parts or not turn.outputs else []
    return [*turn.outputs, *(spoken if role != "tool" else [])]


def parts_in(item: Item) -> list[Part]:
    """Content is parts, or a text, or an object that is told as JSON."""
    for key in ("parts", "content"):
        said = item.get(key)
        if isinstance(said, list):
            return [part if isinstance(part, dict) else text_part(str(part)) for part in said]
        if isinstance(said, str):
            return [text_part(said)] if said else []
        if said is not None:
            return [text_part(arguments_text(said) or "")]
    return []


def call_of(call: Item) -> dict[str, Any]:
    """A call has its name and arguments in `function`, or beside its id."""
    body = call.get("function")
    body = body if isinstance(body, dict) else call
    return function_call(text_or(call.get("id")), body.get("name"), body.get("arguments"))


class _Turn:
    """The parts of one message: what was said, calls, and the outputs of calls, which are messages of their own."""

    def __init__(self, draft: Draft) -> None:
        self.reply = Reply()
        self.outputs: list[Message] = []
        self._draft = draft
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        """Calls that the provider ran, without their results so far."""
        self._kinds: dict[str, Callable[[Part], None]] = {
            "text": self._text,
            "reasoning": self._reasoning,
            "thinking": self._reasoning,
            "tool_call": self._call,
            "tool_use": self._call,
            "tool_call_response": self._output,
            "tool_result": self._output,
            "server_tool_call": self._server_call,
            "server_tool_call_response": self._server_output,
            "compaction": self._compaction,
            "blob": self._media,
            "uri": self._media,
            "file": self._media,
            **dict.fromkeys(("image_url", "image", "document", "input_image", "input_audio"), self._media),
        }

    def take(self, part: Part) -> None:
        """Read one part."""
        kind = text_or(part.get("type"))
        handler = self._kinds.get(kind)
        if handler is None:
            handler = self._text if _said(part) is not None else self._unknown
        handler(part)

    def _unknown(self, part: Part) -> None:
        self._draft.dropped[f"part of type {text_or(part.get('type'), 'none')}"[:60]] += 1

    def _text(self, part: Part) -> None:
        self.reply.parts.append(text_part(_said(part) or ""))

    def _reasoning(self, part: Part) -> None:
        text = _said(part) or text_or(part.get("thinking"))
        if not text:
            self._draft.missing.add(Missing.REASONING)
        self.reply.reasoning.append(text)

    def _call(self, part: Part) -> None:
        arguments = part["arguments"] if "arguments" in part else part.get("input")
        self.reply.calls.append(function_call(text_or(part.get("id")), part.get("name"), arguments))

    def _output(self, part: Part) -> None:
        id = text_or(part.get("id")) or text_or(part.get("tool_call_id")) or text_or(part.get("tool_use_id"))
        value = next((part[key] for key in ("response", "result", "content") if key in part), None)
        self.outputs.append({"role": "tool", "tool_call_id": id, "content": output_of(value, self._draft)})

    def _server_call(self, part: Part) -> None:
        """A call that the provider ran; its result is a later part, or is missed."""
        given = part.get("server_tool_call", part.get("arguments"))
        if isinstance(given, dict):
            given = {key: value for key, value in given.items() if key != "type"}
        name = text_or(part.get("name"), "server_tool")
        self._waiting.append((text_or(part.get("id")), function_call(text_or(part.get("id")), name, given)))

    def _server_output(self, part: Part) -> None:
        id = text_or(part.get("id"))
        place = next((i for i, (other, _) in enumerate(self._waiting) if other == id), None)
        value = part.get("server_tool_call_response", part.get("response"))
        if place is None or value is None:
            return
        self.reply.calls.append(self._waiting.pop(place)[1])
        self.reply.answered([{"role": "tool", "tool_call_id": id, "content": output_of(value, self._draft)}])

    def end(self) -> None:
        """All parts were taken: the calls without a result are left out."""
        if self._waiting:
            self._draft.missing.add(Missing.SERVER_TOOL_RESULTS)
            self._draft.dropped["server-side call"] += len(self._waiting)

    def _compaction(self, part: Part) -> None:
        """A history that was made shorter: its text is what is left of it, or it is for the provider only."""
        text = _said(part)
        if text:
            self.reply.parts.append(text_part(text))
        else:
            self._draft.missing.add(Missing.COMPACTED_HISTORY)
            self._draft.dropped["encrypted compaction"] += 1

    def _media(self, part: Part) -> None:
        url = media_url(part)
        if url is None:
            self._draft.missing.add(Missing.IMAGES)
            kind = text_or(part.get("modality")) or text_or(part.get("type"))
            self.reply.parts.append(text_part(f"[{kind[:20]} not shown]"))
        else:
            self.reply.parts.append(image_part(url))


def _said(part: Part) -> str | None:
    return next((part[key] for key in ("content", "text") if isinstance(part.get(key), str)), None)


def media_url(part: Part) -> str | None:
    """An image that stands in the part itself, or at an address. What lies at the provider cannot be shown."""
    place = part.get("image_url", part.get("source"))
    if isinstance(place, dict) and place.get("type") == "base64":  # an image of Anthropic's
        part = {"type": "blob", "mime_type": place.get("media_type"), "content": place.get("data")}
    mime = text_or(part.get("mime_type"))
    is_image = part.get("modality") == "image" or mime.startswith("image/")
    if part.get("type") == "blob" and is_image and text_or(part.get("content")):
        return f"data:{mime or 'image/png'};base64,{part['content']}"
    url = text_or(part.get("uri")) if is_image else text_or(place.get("url") if isinstance(place, dict) else place)
    return url if url.startswith(("http://", "https://", "data:")) else None


def output_of(value: Any, draft: Draft) -> str | list[dict[str, Any]]:
    """A call's output: a text, parts, or what is told as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    parts = listed(value)
    if parts and len(parts) == len(value) and all(map(_is_shown, parts)):
        turn = _Turn(draft)
        for part in parts:
            turn.take(part)
        return content_of(turn.reply.parts)
    return arguments_text(value) or ""


def _is_shown(part: Part) -> bool:
    """Is it a text or an image, as a model is shown them?"""
    kind = part.get("type", "text")
    return kind == "image_url" or (kind in ("text", "input_text", "output_text") and _said(part) is not None)


def schemas_of(tools: Sequence[Any], draft: Draft) -> list[ToolSchema]:
    """Tool schemas. By default only names are recorded, which is no use; a provider's own tools have no schema.

    A function that has none among others that have one takes no parameters.
    """
    schemas: list[ToolSchema] = []
    in_full = any(_has_schema(tool) for tool in tools)
    for tool in tools:
        schema = any_schema(tool)
        if schema is None or not (_has_schema(tool) or (in_full and tool.get("type") == "function")):
            draft.dropped["tool without a schema"] += 1
            draft.missing.add(Missing.TOOL_SCHEMAS)
        else:
            schemas.append(schema)
    return schemas


def _has_schema(tool: Any) -> bool:
    if not isinstance(tool, dict):
        return False
    inner = tool.get("function")
    body = inner if isinstance(inner, dict) else tool
    return any(isinstance(body.get(key), dict) for key in ("parameters", "input_schema", "inputSchema"))
