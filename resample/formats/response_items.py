"""OpenAI Responses items as messages: what the readers of Responses logs and of Codex sessions have in common.

The items of one reply (reasoning, text, calls) follow one another and become one assistant message. Calls of the
caller's own tools keep their arguments to the letter: functions as they are, `custom` calls as such, and the built-in
ones (`local_shell`, `shell`, `apply_patch`, `computer`) as functions of that name with their action as arguments.
What ran at the provider, such as a web search, is a call with its output where the log has one, and else left out.

A call of a tool in a namespace is named `namespace__tool`, in messages and schemas alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from resample.formats.assemble import (
    AT,
    any_schema,
    arguments_text,
    content_of,
    function_call,
    function_schema,
    image_part,
    listed,
    text_or,
    text_part,
)
from resample.types import Message, Missing, ToolSchema

Item = dict[str, Any]
Part = dict[str, Any]

ROLES = frozenset({"system", "developer", "user", "assistant"})

_BUILT_IN = {
    "local_shell_call": ("local_shell", "action"),
    "shell_call": ("shell", "action"),
    "apply_patch_call": ("apply_patch", "operation"),
    "computer_call": ("computer", "action"),
    "tool_search_call": ("tool_search", "arguments"),
}
"""Calls that the caller answers, without a name of their own: the name they get, and where their arguments stand."""

_SERVER_SIDE = {
    "web_search_call": ("web_search", "action", ("results",)),
    "file_search_call": ("file_search", "queries", ("results",)),
    "code_interpreter_call": ("code_interpreter", "code", ("outputs",)),
    "image_generation_call": ("image_generation", "revised_prompt", ("result",)),
    "mcp_call": ("", "arguments", ("output", "error")),
}
"""Calls that the provider answers: their name, where their arguments stand, and where their output may."""

_OUTPUTS = frozenset(
    f"{kind}_output"
    for kind in (
        *("function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call"),
        *("computer_call", "tool_search"),
    )
)
_ELSEWHERE = frozenset({"item_reference", "compaction", "compaction_summary", "context_compaction"})
_LISTS_TOOLS = frozenset({"mcp_list_tools", "additional_tools"})
_BOOKKEEPING = frozenset({"ghost_snapshot", "mcp_approval_request", "mcp_approval_response"})

TYPES = frozenset(
    {"message", "reasoning", "function_call", "custom_tool_call", "agent_message"}
    | (_BUILT_IN.keys() | _SERVER_SIDE.keys() | _OUTPUTS | _ELSEWHERE | _LISTS_TOOLS | _BOOKKEEPING)
)
"""Every type of item that is known here."""


@dataclass
class Converted:
    """What a list of items comes to."""

    messages: list[Message] = field(default_factory=list)
    tools: list[ToolSchema] = field(default_factory=list)
    """Schemas that stand among the items, such as an MCP server's."""
    missing: set[Missing] = field(default_factory=set)
    dropped: Counter[str] = field(default_factory=Counter)


def convert(items: Iterable[tuple[Item, int | None]]) -> Converted:
    """Items, each with the line where it stands (None in a document), as messages."""
    conversion = _Conversion()
    for item, line in items:
        conversion.add(item, line)
    conversion.end_reply()
    return conversion.done


@dataclass
class _Reply:
    """The reply whose items are being read."""

    line: int | None
    reasoning: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    refusal: str = ""
    spoke: bool = False
    """It has a message, if only an empty one."""


class _Conversion:
    def __init__(self) -> None:
        self.done = Converted()
        self._reply: _Reply | None = None
        self._readers: dict[str, Callable[[Item, int | None], None]] = {
            "message": self._message,
            "agent_message": self._agent_message,
            "reasoning": self._reasoning,
            "function_call": self._call,
            "custom_tool_call": self._call,
            **dict.fromkeys(_BUILT_IN, self._call),
            **dict.fromkeys(_SERVER_SIDE, self._server_call),
            **dict.fromkeys(_OUTPUTS, self._output),
            **dict.fromkeys(_ELSEWHERE, self._elsewhere),
            **dict.fromkeys(_LISTS_TOOLS, self._tools),
            **dict.fromkeys(_BOOKKEEPING, self._bookkeeping),
        }

    def add(self, item: Item, line: int | None) -> None:
        kind = item.get("type")
        if kind is None and "role" in item:
            kind = "message"  # the short form of a message has no type
        reader = self._readers.get(kind) if isinstance(kind, str) else None
        if reader is None:
            self.done.dropped["unknown item"] += 1
        else:
            reader(item, line)

    def end_reply(self) -> None:
        """The reply is over: what it was made of becomes a message."""
        reply, self._reply = self._reply, None
        if reply is None:
            return
        if not (reply.calls or reply.spoke):
            self.done.dropped["reasoning without a reply"] += 1
            return
        silent = reply.calls or reply.refusal
        message: Message = {
            "role": "assistant",
            "content": None if silent and not reply.parts else content_of(reply.parts),
            "reasoning_content": "\n\n".join(reply.reasoning) or None,
            "refusal": reply.refusal or None,
            "tool_calls": reply.calls,
        }
        self._append(message, reply.line)

    def _append(self, message: Message, line: int | None) -> None:
        if line is not None:
            message[AT] = line
        self.done.messages.append(message)

    def _open(self, line: int | None) -> _Reply:
        if self._reply is None:
            self._reply = _Reply(line)
        return self._reply

    # -- the kinds of items ------------------------------------------------------------------------------------------

    def _message(self, item: Item, line: int | None) -> None:
        role = item.get("role")
        if not isinstance(role, str) or role not in ROLES:
            self.done.dropped["unknown item"] += 1
            return
        parts = parts_of(item.get("content"), self.done)
        if role != "assistant":
            self.end_reply()
            self._append({"role": role, "content": content_of(parts)}, line)
            return
        reply = self._open(line)
        reply.spoke = True
        reply.refusal = reply.refusal or refusal_of(item)
        reply.parts.extend(parts)

    def _agent_message(self, item: Item, line: int | None) -> None:
        """What another agent wrote to this one."""
        self.end_reply()
        self._append({"role": "user", "content": content_of(parts_of(item.get("content"), self.done))}, line)

    def _reasoning(self, item: Item, line: int | None) -> None:
        text = visible_reasoning(item)
        if text:
            self._open(line).reasoning.append(text)
        if not text or (item.get("encrypted_content") and not item.get("content")):
            self.done.missing.add(Missing.REASONING)  # a summary is not what the model thought

    def _call(self, item: Item, line: int | None) -> None:
        self._open(line).calls.append(call_of(item))

    def _output(self, item: Item, line: int | None) -> None:
        self.end_reply()
        content = content_of(output_parts(item, self.done))
        self._append({"role": "tool", "tool_call_id": id_of(item), "content": content}, line)

    def _server_call(self, item: Item, line: int | None) -> None:
        name, arguments, places = _SERVER_SIDE[item["type"]]
        output = next((item[place] for place in places if item.get(place)), None)
        if output is None:
            self.done.missing.add(Missing.SERVER_TOOL_RESULTS)
            self.done.dropped["server-side call"] += 1
            return
        given = item.get(arguments)
        body = given if isinstance(given, dict | str) and name == "" else {arguments: given}
        self._open(line).calls.append(function_call(id_of(item), name or tool_name(item), body))
        self.end_reply()
        parts = [image_part(_data_url(output))] if name == "image_generation" else _value_parts(output, self.done)
        self._append({"role": "tool", "tool_call_id": id_of(item), "content": content_of(parts)}, line)

    def _elsewhere(self, item: Item, line: int | None) -> None:
        """A reference to an item at the provider, or a history that only the provider can read."""
        self.done.missing.add(Missing.COMPACTED_HISTORY)
        self.done.dropped["reference" if item["type"] == "item_reference" else "encrypted compaction"] += 1

    def _tools(self, item: Item, line: int | None) -> None:
        self.done.tools.extend(schemas_of(item.get("tools"), self.done.dropped))

    def _bookkeeping(self, item: Item, line: int | None) -> None:
        self.done.dropped["harness item"] += 1


# -- passes ----------------------------------------------------------------------------------------------------------


def id_of(item: Item) -> str:
    """What pairs a call with its output: `call_id`; some items have an `id` only. Empty where there is none."""
    return text_or(item.get("call_id")) or (text_or(item.get("id")) if item.get("type") in _NAMED_BY_ID else "")


_NAMED_BY_ID = frozenset({"local_shell_call", "local_shell_call_output", *_SERVER_SIDE})


def tool_name(item: Item) -> Any:
    """A tool in a namespace has a name that is unique only there."""
    name, namespace = item.get("name"), text_or(item.get("namespace"))
    return qualified(namespace, name) if isinstance(name, str) else name


def qualified(namespace: str, name: str) -> str:
    """`mcp__server` and `search` are `mcp__server__search`."""
    return f"{namespace.rstrip('_')}__{name.lstrip('_')}" if namespace else name


def call_of(item: Item) -> dict[str, Any]:
    """A call that the caller answers, as a tool call. Arguments that are an object and not a text are written out."""
    kind = item["type"]
    if kind == "custom_tool_call":
        body = {"name": tool_name(item), "input": arguments_text(item.get("input") or "")}
        return {"id": id_of(item), "type": "custom", "custom": body}
    if kind == "function_call":
        return function_call(id_of(item), tool_name(item), item.get("arguments"))
    name, place = _BUILT_IN[kind]
    return function_call(id_of(item), name, item.get(place))


def visible_reasoning(item: Item) -> str:
    """The reasoning itself if it is there, else its summary; empty where it is encrypted, or not shown at all."""
    for place in ("content", "summary"):
        given = item.get(place)
        texts = [given] if isinstance(given, str) else [text_or(part.get("text")) for part in listed(given)]
        if text := "\n\n".join(filter(None, texts)):
            return text
    return ""


def refusal_of(item: Item) -> str:
    """A refusal is a part of the content here, and a key of the message in chat form."""
    return next((text_or(p.get("refusal")) for p in listed(item.get("content")) if p.get("type") == "refusal"), "")


def parts_of(content: Any, done: Converted) -> list[Part]:
    """The content of a message in chat form. What cannot be shown leaves a mark."""
    if isinstance(content, str):
        return [text_part(content)] if content else []
    if isinstance(content, dict):
        content = [content]
    parts: list[Part] = []
    for part in listed(content):
        kind = text_or(part.get("type"))
        if kind == "refusal":
            continue
        shown = _media_part(kind, part)
        if shown is not None:
            parts.append(shown)
        elif kind in _MARKS:
            done.missing.add(Missing.IMAGES)
            parts.append(text_part(_MARKS[kind]))
        elif isinstance(part.get("text"), str):
            parts.append(text_part(part["text"]))
        else:
            done.dropped["unknown content part"] += 1
    return parts


_MARKS = {
    "input_image": "[image not shown]",
    "computer_screenshot": "[image not shown]",
    "input_file": "[file not shown]",
    "input_audio": "[audio not shown]",
    "encrypted_content": "[encrypted content not shown]",
}
"""Parts that are no text: what is left of those that lie at the provider, by an id, or are encrypted."""


def _media_part(kind: str, part: Part) -> Part | None:
    """Images, files and sounds whose bytes or address are in the log."""
    if kind in ("input_image", "computer_screenshot") and (url := text_or(part.get("image_url"))):
        return image_part(url)
    if kind == "input_file" and (data := text_or(part.get("file_data"))):
        return {"type": "file", "file": {"file_data": data, "filename": text_or(part.get("filename"), "file")}}
    if kind == "input_audio" and isinstance(part.get("input_audio"), dict):
        return {"type": "input_audio", "input_audio": part["input_audio"]}
    return None


def output_parts(item: Item, done: Converted) -> list[Part]:
    """An output as the model was sent it: a text stays to the letter, also one that is JSON.

    A tool search answers with schemas, a patch without output with its status.
    """
    if item["type"] == "tool_search_output":
        return _value_parts(item.get("tools"), done)
    output = item.get("output")
    if output is None and item["type"] == "apply_patch_call_output":
        output = item.get("status")
    return _value_parts(output, done)


def _value_parts(value: Any, done: Converted) -> list[Part]:
    """An output is a text, a list of content parts, one such part, `{content, success}`, or any other value."""
    if value is None or isinstance(value, str):
        return [text_part(value)] if value else []
    if isinstance(value, dict) and isinstance(value.get("content"), str):
        return [text_part(value["content"])]
    given = value if isinstance(value, list) else [value]
    if given and all(isinstance(part, dict) and text_or(part.get("type")) in _OUTPUT_PARTS for part in given):
        return parts_of(given, done)
    return [text_part(arguments_text(value) or "")]


_OUTPUT_PARTS = frozenset({"input_text", "output_text", "text", *_MARKS})


def _data_url(output: Any) -> str:
    text = text_or(output)
    return text if text.startswith(("data:", "http:", "https:")) else f"data:image/png;base64,{text}"


# -- tools -----------------------------------------------------------------------------------------------------------

_CALLER_SIDE = {
    "local_shell": ("local_shell", ("command", "working_directory", "timeout_ms", "env", "user")),
    "shell": ("shell", ("commands", "timeout_ms", "max_output_length")),
    "apply_patch": ("apply_patch", ("type", "path", "diff")),
    "computer": ("computer", ("type", "x", "y", "text", "keys", "button", "path", "scroll_x", "scroll_y")),
    "computer_use_preview": ("computer", ("type", "x", "y", "text", "keys", "button", "path", "scroll_x", "scroll_y")),
}
"""Built-in tools that the caller runs: a request only names them, their arguments are fixed by the API."""


def schemas_of(tools: Any, dropped: Counter[str], namespace: str = "") -> list[ToolSchema]:
    """Tool schemas in chat form. They are flat here, may stand in groups, and a provider's own tools have none."""
    schemas: list[ToolSchema] = []
    for tool in listed(tools):
        kind = tool.get("type")
        if isinstance(tool.get("tools"), list) and not namespace:  # groups are not nested
            schemas.extend(schemas_of(tool["tools"], dropped, text_or(tool.get("name"), "tools")))
        elif (schema := _schema_of(tool, kind, namespace)) is not None:
            schemas.append(schema)
        else:
            dropped["server-side tool"] += 1
    return schemas


def _schema_of(tool: dict[str, Any], kind: Any, namespace: str) -> ToolSchema | None:
    if isinstance(kind, str) and kind in _CALLER_SIDE and not tool.get("parameters"):
        name, keys = _CALLER_SIDE[kind]
        return function_schema(name, None, {"type": "object", "properties": {key: {} for key in keys}})
    own, inside = tool.get("name"), text_or(tool.get("namespace")) or namespace
    name = qualified(inside, own) if isinstance(own, str) else ""
    if kind == "custom" and not isinstance(tool.get("custom"), dict):
        body = {key: tool[key] for key in ("description", "format") if key in tool}
        return {"type": "custom", "custom": {"name": name, **body}} if name else None
    return any_schema({**tool, "name": name} if name else tool)
