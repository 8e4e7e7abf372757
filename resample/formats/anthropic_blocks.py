"""Anthropic messages, which are lists of content blocks, as OpenAI messages. Claude Code's sessions hold them, too.

What becomes of a block:

- `tool_result` blocks stand in user messages. Each is a tool message, and begins no turn; text, images and documents
  beside them are a user message after them.
- `text` blocks of a reply are one text. `thinking` is the visible reasoning; `redacted_thinking`, or a `thinking` that
  is empty but signed, is reasoning that the log does not have.
- `server_tool_use` and the like are calls that the provider answers within the reply. The model saw the results, so
  that such a call, with its result, is a tool call answered by a tool message, and what follows is a message of its
  own. Of a search the log shows titles and addresses only, the texts are encrypted: that is marked as missing. A call
  whose result is not there is left out, and marked.
- Base64 images are kept as `data:` addresses. Of images and files that lie at the provider only a mark is left.

Nothing here raises, whatever the blocks are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from resample.formats.assemble import (
    any_schema,
    content_of,
    function_call,
    function_schema,
    image_part,
    listed,
    text_or,
    text_part,
)
from resample.types import Message, Missing, ToolSchema

Block = dict[str, Any]
Part = dict[str, Any]

SERVER_CALLS = frozenset({"server_tool_use", "mcp_tool_use"})

_CLIENT_TOOLS = {
    "bash": ("command", "restart"),
    "text_editor": ("command", "path", "file_text", "old_str", "new_str", "insert_line", "insert_text", "view_range"),
    "computer": ("action", "coordinate", "start_coordinate", "text", "scroll_direction", "scroll_amount", "duration"),
    "memory": ("command", "path", "file_text", "old_str", "new_str", "insert_line", "insert_text", "new_path"),
}
"""Anthropic's own tools that the caller runs: the provider knows their schemas, requests name the type only."""


@dataclass
class Said:
    """What is noted while messages are converted."""

    missing: set[Missing] = field(default_factory=set)
    dropped: Counter[str] = field(default_factory=Counter)
    from_files: int = 0
    """Bytes of outputs that were read from files beside the log: one file may be named many times."""


# -- messages ----------------------------------------------------------------------------------------------------------


def messages_of(message: dict[str, Any], said: Said) -> list[Message]:
    """One Anthropic message as OpenAI messages: none where it says nothing."""
    role = message.get("role")
    content = message.get("content")
    if role == "assistant":
        return said_by_assistant(content, said)
    if role == "user":
        return said_by_user(content, said)
    if role == "system":
        text = system_text(content)
        return [{"role": "system", "content": text}] if text else []
    said.dropped["message of unknown role"] += 1
    return []


def said_by_user(content: Any, said: Said) -> list[Message]:
    """Tool messages for the results among the blocks, and after them a user message of the others."""
    if isinstance(content, str):
        return [{"role": "user", "content": content}] if content else _nothing(said)
    blocks = blocks_of(content)
    results = [block for block in blocks if block.get("type") == "tool_result"]
    others = [block for block in blocks if block.get("type") != "tool_result"] if results else blocks
    messages = [tool_message(block, said) for block in results]
    if parts := parts_of(others, said):
        messages.append({"role": "user", "content": content_of(parts)})
    return messages or _nothing(said)


def said_by_assistant(content: Any, said: Said) -> list[Message]:
    """A reply: one message, or several where the provider answered calls within it."""
    if isinstance(content, str):
        return [{"role": "assistant", "content": content}] if content else _nothing(said)
    reply = _Reply(blocks_of(content), said)
    return reply.messages or ([] if reply.only_thought else _nothing(said))


def _nothing(said: Said) -> list[Message]:
    said.dropped["empty message"] += 1
    return []


def tool_message(block: Block, said: Said) -> Message:
    """A `tool_result` block. A failure that has no text still has to be seen as one."""
    content = content_of(parts_of(blocks_of(block.get("content")), said))
    if not content and block.get("is_error"):
        content = "Error"
    return {"role": "tool", "tool_call_id": text_or(block.get("tool_use_id")), "content": content}


def blocks_of(content: Any) -> list[Block]:
    """Content may be a text, one block, or a list of blocks and texts."""
    if isinstance(content, list):
        return [
            block if isinstance(block, dict) else {"type": "text", "text": block}
            for block in content
            if isinstance(block, dict | str)
        ]
    if isinstance(content, dict):
        return [content]
    return [{"type": "text", "text": content}] if isinstance(content, str) and content else []


class _Reply:
    """A reply's blocks, gathered into messages."""

    def __init__(self, blocks: list[Block], said: Said) -> None:
        self.messages: list[Message] = []
        self.only_thought = False
        self._said = said
        self._answered = {text_or(b.get("tool_use_id")) for b in blocks if _is_server_result(b)}
        self._begin()
        for block in blocks:
            self._add(block)
        self._end()

    def _begin(self) -> None:
        self._texts: list[list[str]] = []
        """Each in pieces that follow one another without a gap."""
        self._reasoning: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._outputs: list[Message] = []
        self._thought_only = False
        self._cited = False
        self._last_kind: Any = None

    def _add(self, block: Block) -> None:
        kind = block.get("type")
        if self._outputs and not _is_server_result(block):
            self._end()
        if kind == "text":
            self._text(block)
        elif kind == "tool_use":
            self._call(block)
        elif kind == "thinking" or kind == "redacted_thinking":
            self._thought(block)
        elif isinstance(kind, str) and kind in SERVER_CALLS:
            self._server_call(block)
        elif _is_server_result(block):
            self._outputs.append(server_output(block, self._said))
        else:
            self._said.dropped["unknown content block"] += 1
        self._last_kind = kind

    def _text(self, block: Block) -> None:
        """Text with citations comes in many blocks, which follow one another without a gap."""
        text = text_or(block.get("text"))
        cited = bool(block.get("citations"))
        if self._texts and self._last_kind == "text" and (cited or self._cited):
            self._texts[-1].append(text)
        elif text:
            self._texts.append([text])
        self._cited = cited

    def _call(self, block: Block) -> None:
        name = block.get("name")
        if isinstance(name, str) and name:
            self._calls.append(function_call(block.get("id"), name, block.get("input")))
        else:
            self._said.dropped["call without a name"] += 1

    def _thought(self, block: Block) -> None:
        self._thought_only = True
        if thinking := text_or(block.get("thinking")):
            self._reasoning.append(thinking)
        elif block.get("signature") or block.get("type") == "redacted_thinking":
            self._said.missing.add(Missing.REASONING)

    def _server_call(self, block: Block) -> None:
        if text_or(block.get("id")) in self._answered:
            self._call(block)
        else:
            self._said.missing.add(Missing.SERVER_TOOL_RESULTS)
            self._said.dropped["server-side call"] += 1

    def _end(self) -> None:
        text = "\n\n".join(map("".join, self._texts))
        if text or self._calls:
            message: Message = {"role": "assistant", "content": text or None}
            if self._reasoning:
                message["reasoning_content"] = "\n\n".join(self._reasoning)
            if self._calls:
                message["tool_calls"] = self._calls
            self.messages.append(message)
        elif self._thought_only:
            self.only_thought = True
            self._said.dropped["reasoning without a reply"] += 1
        self.messages += self._outputs
        self._begin()


# -- content -----------------------------------------------------------------------------------------------------------


def parts_of(blocks: Iterable[Block], said: Said) -> list[Part]:
    """The content parts of a user's message, or of a tool's output."""
    parts: list[Part] = []
    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            if text := text_or(block.get("text")):
                parts.append(text_part(text))
        elif kind == "image":
            parts.append(_image(block.get("source"), said))
        elif kind == "document":
            parts += _document(block, said)
        elif kind == "search_result":
            texts = [text_or(block.get("title")), text_or(block.get("source"))]
            texts += [text_or(inner.get("text")) for inner in listed(block.get("content"))]
            parts.append(text_part("\n".join(filter(None, texts))))
        elif kind == "tool_reference" and isinstance(block.get("tool_name"), str):
            parts.append(text_part(block["tool_name"]))
        else:
            said.dropped["unknown content block"] += 1
    return parts


def _image(source: Any, said: Said) -> Part:
    if url := _address(source):
        return image_part(url)
    said.missing.add(Missing.IMAGES)
    return text_part("[image not shown]")


def _address(source: Any) -> str:
    """An address, or the data itself as one; empty for what lies at the provider."""
    if not isinstance(source, dict):
        return ""
    if data := text_or(source.get("data")):
        return f"data:{text_or(source.get('media_type')) or 'application/octet-stream'};base64,{data}"
    return text_or(source.get("url"))


def _document(block: Block, said: Said) -> list[Part]:
    """Text documents are text, others a file, or a mark."""
    source = block.get("source")
    title = text_or(block.get("title"))
    if isinstance(source, dict) and source.get("type") in ("text", "content"):
        inner = source.get("data") if source["type"] == "text" else source.get("content")
        heading = [text_part(title)] if title else []
        return [*heading, *parts_of((b for b in blocks_of(inner) if b.get("type") != "document"), said)]
    if (address := _address(source)).startswith("data:"):
        return [{"type": "file", "file": {"filename": title or "document", "file_data": address}}]
    said.missing.add(Missing.IMAGES)
    return [text_part(f"[document not shown: {address or title}]" if address or title else "[document not shown]")]


def system_text(system: Any) -> str:
    """A system prompt: a text, or blocks of text."""
    return "\n\n".join(filter(None, (text_or(block.get("text")) for block in blocks_of(system))))


# -- tools that run at the provider ------------------------------------------------------------------------------------


def _is_server_result(block: Block) -> bool:
    kind = block.get("type")
    return isinstance(kind, str) and kind.endswith("_tool_result")


def server_output(block: Block, said: Said) -> Message:
    """What the provider answered to a call within a reply, as far as it can be read."""
    content = block.get("content")
    if isinstance(content, dict) and isinstance(content.get("content"), dict):
        content = [content["content"]]  # a page that was fetched: its document
    blocks = blocks_of(content)
    if blocks and all(inner.get("type") in ("text", "image", "document", "tool_reference") for inner in blocks):
        body = content_of(parts_of(blocks, said))
    else:
        body = "\n\n".join(_readable(inner, said) for inner in blocks)
    if not body:
        said.missing.add(Missing.SERVER_TOOL_RESULTS)
    return {"role": "tool", "tool_call_id": text_or(block.get("tool_use_id")), "content": body}


def _readable(result: Block, said: Said) -> str:
    """The values of a result that are no ciphers, one a line."""
    lines = []
    for key, value in result.items():
        if key.startswith("encrypted_"):
            if value:
                said.missing.add(Missing.SERVER_TOOL_RESULTS)
        elif key != "type" and value not in (None, "", []):
            lines.append(f"{key}: {value if isinstance(value, str) else _json(value)}")
    return "\n".join(lines)


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return "(nested too deep to be written)"


def schemas_of(tools: Any, dropped: Counter[str]) -> list[ToolSchema]:
    """The tools that the caller runs. Those of the provider are no candidate's, and are left out."""
    schemas: list[ToolSchema] = []
    for tool in listed(tools):
        kind = text_or(tool.get("type"))
        known = next((name for name in _CLIENT_TOOLS if kind.startswith(f"{name}_2")), None)
        schema: ToolSchema | None = None
        if known is not None and not isinstance(tool.get("input_schema"), dict):
            parameters = {"type": "object", "properties": {key: {} for key in _CLIENT_TOOLS[known]}}
            schema = function_schema(text_or(tool.get("name")) or known, None, parameters)
        elif kind in ("", "custom", "function") or isinstance(tool.get("input_schema"), dict):
            schema = any_schema({**tool, "type": "function"})
        if schema is None:
            dropped["server-side tool"] += 1
        else:
            schemas.append(schema)
    return schemas
