"""Transcripts in the forms that other tools read: `resample import to=...`, one conversation per line.

- `openai_chat`: the body of a chat-completions request, `{"messages", "tools"?, "metadata": {"id"}}`. Messages are as
  this program keeps them; reasoning stays under `reasoning_content`, where open models' servers and tools expect it.
- `anthropic`: the body of a Messages request, `{"model"?, "system"?, "messages", "tools"?}`. What that form has no
  place for is written in its nearest one, and each such thing is counted under what became of it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

import orjson

from resample.formats.assemble import text_part
from resample.formats.exclusions import Problem, Reason
from resample.types import REASONING_PARTS, Message, ToolSchema, Transcript

Block = dict[str, Any]


class Exported(NamedTuple):
    """A transcript in another form."""

    body: bytes
    """A line, without its end."""
    changed: Counter[str]
    """What could not be written as it is, by what became of it."""


def openai_chat(transcript: Transcript) -> Exported | Problem:
    """A request body of OpenAI's chat completions, with the conversation's id in its metadata."""
    value: dict[str, Any] = {"messages": transcript.messages}
    if transcript.tools:
        value["tools"] = transcript.tools
    return _written(value | {"metadata": {"id": transcript.id}}, Counter())


def anthropic(transcript: Transcript) -> Exported | Problem:
    """A request body of Anthropic's Messages, valid but for `max_tokens`, which is for the sender to choose."""
    changed: Counter[str] = Counter()
    head = [message for message in transcript.messages if message["role"] in ("system", "developer")]
    opening = transcript.messages[: len(head)] == head
    value: dict[str, Any] = {}
    if model := transcript.metadata.get("model"):
        value["model"] = model
    if head:
        value["system"] = "\n\n".join(text for message in head if (text := _plain(message, changed)))
        changed["system message moved to the beginning"] += 0 if opening else 1
    names = _Names()
    messages = [message for message in transcript.messages if message["role"] not in ("system", "developer")]
    value["messages"] = _alternating(messages, names, changed)
    if transcript.tools:
        value["tools"] = [_tool(tool, names, changed) for tool in transcript.tools]
    if not value["messages"]:
        return Problem(Reason.NO_DIALOGUE)
    changed["name of a tool or a call made valid"] += names.changed
    return _written({key: part for key, part in value.items() if part}, +changed)


EXPORTS: Mapping[str, Callable[[Transcript], Exported | Problem]] = {
    "openai_chat": openai_chat,
    "anthropic": anthropic,
}
"""By the value of `to`."""


def _written(value: dict[str, Any], changed: Counter[str]) -> Exported | Problem:
    try:
        return Exported(orjson.dumps(value), changed)
    except TypeError:
        return Problem(Reason.TOO_DEEP)


# -- Anthropic ------------------------------------------------------------------------------------------------------


class _Names:
    """Ids and names as Anthropic takes them: letters, digits, - and _. The same one always becomes the same."""

    _INVALID = re.compile(r"[^a-zA-Z0-9_-]")
    _LONGEST = 128

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()
        self.changed = 0

    def of(self, name: str) -> str:
        """The valid form of a name: different ones stay different."""
        if name not in self._given:
            base = valid = self._INVALID.sub("_", name)[: self._LONGEST] or "_"
            number = 1
            while valid in self._taken:
                number += 1
                valid = f"{base[: self._LONGEST - 8]}_{number}"
            self._given[name] = valid
            self._taken.add(valid)
            self.changed += valid != name
        return self._given[name]


def _alternating(messages: Iterable[Message], names: _Names, changed: Counter[str]) -> list[Block]:
    """User and assistant in turn; the outputs of an assistant's calls stand first in the user's message after it."""
    turns: list[Block] = []
    for message in messages:
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = _said(message, names, changed)
        if not blocks:
            changed["empty message left out"] += 1
            continue
        if not turns and role == "assistant":
            turns.append({"role": "user", "content": [text_part("(the conversation begins with the assistant)")]})
            changed["user message put before the first"] += 1
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    for before, after in zip_longest(turns, turns[1:]):
        _answer_all(before, after, changed)
    return turns


def _answer_all(turn: Block, after: Block | None, changed: Counter[str]) -> None:
    """Each call has its output in the next message, results first; one whose output the log lacks gets a note."""
    calls = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
    if not calls or after is None:
        return
    results = [block for block in after["content"] if block["type"] == "tool_result"]
    answered = {block["tool_use_id"] for block in results}
    for id in calls:
        if id not in answered:
            results.append({"type": "tool_result", "tool_use_id": id, "content": "(not in the log)", "is_error": True})
            changed["call without an output given one"] += 1
    after["content"] = results + [block for block in after["content"] if block["type"] != "tool_result"]


def _said(message: Message, names: _Names, changed: Counter[str]) -> list[Block]:
    if message["role"] == "tool":
        content = _blocks(message.get("content"), changed)
        result: Block = {"type": "tool_result", "tool_use_id": names.of(message["tool_call_id"])}
        return [result | ({"content": content} if content else {})]
    blocks = _blocks(message.get("content"), changed)
    if not blocks and isinstance(message.get("refusal"), str):
        blocks = [text_part(message["refusal"])] if message["refusal"].strip() else []
    if any(message.get(key) for key in ("reasoning_content", "reasoning", "reasoning_details")):
        changed["reasoning left out: it needs a signature"] += 1
    return blocks + [_use(call, names, changed) for call in message.get("tool_calls") or ()]


def _use(call: dict[str, Any], names: _Names, changed: Counter[str]) -> Block:
    body = call[call["type"]]
    arguments: Any = None
    if call["type"] == "custom":
        arguments = {"input": body["input"]}
    else:
        try:
            arguments = orjson.loads(body["arguments"] or "{}")
        except orjson.JSONDecodeError:
            arguments = None
        if not isinstance(arguments, dict):
            arguments = {"arguments": body["arguments"]}
            changed["arguments that are no object wrapped in one"] += 1
    return {"type": "tool_use", "id": names.of(call["id"]), "name": names.of(body["name"]), "input": arguments}


def _blocks(content: Any, changed: Counter[str]) -> list[Block]:
    parts = [text_part(content)] if isinstance(content, str) else content or []
    return [block for part in parts if (block := _block(part, changed)) is not None]


def _block(part: dict[str, Any], changed: Counter[str]) -> Block | None:
    kind = part["type"]
    if kind in REASONING_PARTS:
        changed["reasoning left out: it needs a signature"] += 1
        return None
    if kind == "image_url":
        return _image(part, changed)
    text = part["text"] if isinstance(part.get("text"), str) else part.get("refusal")
    if isinstance(text, str):
        return text_part(text) if text.strip() else None  # the API takes no empty text
    if kind in ("tool_result", "image", "document"):
        return part  # Anthropic's own
    changed[f"{kind} put as a note"] += 1
    return text_part(f"[{kind} not shown]")


def _image(part: dict[str, Any], changed: Counter[str]) -> Block:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    found = re.fullmatch(r"data:(image/(?:png|jpeg|gif|webp));base64,(.*)", str(url), re.DOTALL)
    if found:
        try:
            base64.b64decode(found[2], validate=True)
        except binascii.Error:
            found = None
    if found:
        source = {"type": "base64", "media_type": found[1], "data": found[2]}
    elif str(url).startswith("https://"):
        source = {"type": "url", "url": url}
    else:
        changed["image put as a note"] += 1
        return text_part("[image not shown]")
    return {"type": "image", "source": source}


def _plain(message: Message, changed: Counter[str]) -> str:
    return "\n".join(block["text"] for block in _blocks(message.get("content"), changed) if block["type"] == "text")


def _tool(tool: ToolSchema, names: _Names, changed: Counter[str]) -> Block:
    body = tool[tool["type"]]
    schema = body.get("parameters")
    if tool["type"] == "custom":
        schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
        changed["custom tool given a schema"] += 1
    written: Block = {"name": names.of(body["name"])}
    if body.get("description"):
        written["description"] = body["description"]
    return written | {"input_schema": schema or {"type": "object", "properties": {}}}
