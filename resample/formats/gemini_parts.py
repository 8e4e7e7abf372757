"""Gemini's messages in OpenAI form: parts of contents, and the calls and thoughts that the CLI keeps beside them.

Text and images are kept as content. Function calls become tool calls with their arguments as JSON text, function
responses tool messages: `output`, or `error`, is what the tool said, anything else is kept as JSON. Gemini's calls may
have no ids; they are then paired by order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from resample.formats.assemble import (
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

Part = dict[str, Any]


@dataclass
class Said:
    """What a conversation's log lacks, and what was left out of it, as its messages are read."""

    dropped: Counter[str] = field(default_factory=Counter)
    missing: set[Missing] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    """Ids of calls whose output was read."""


def pick(value: Any, *keys: str) -> Any:
    """A field by any of its names: the API writes camel case, its Python client snake case."""
    return next((value[key] for key in keys if value.get(key) is not None), None) if isinstance(value, dict) else None


def parts_of(record: dict[str, Any]) -> list[Part]:
    """The parts of a message: `content` (what was sent; `displayContent` is what was typed) or `parts`.

    They may be a text, a part, or a list of either.
    """
    given = record.get("content")
    if given is None:
        given = record.get("parts")
    items = given if isinstance(given, list) else [given]
    return [{"text": item} if isinstance(item, str) else item for item in items if isinstance(item, str | dict)]


def texts_of(record: dict[str, Any]) -> list[str]:
    """The texts among the parts of a message."""
    return [text for part in parts_of(record) if (text := text_or(part.get("text"))) and not part.get("thought")]


def said_by_user(record: dict[str, Any], said: Said) -> list[Message]:
    """A user message; before it, the tool messages of function responses, which come in the user's role."""
    parts = parts_of(record)
    messages = outputs_of(parts, said)
    others = [part for part in parts if response_of(part) is None]
    content = content_parts(others, said)
    if messages and content and not any(part["type"] == "text" for part in content):
        messages.append(_joined(messages.pop(), content))
    elif content or len(others) == len(parts):
        messages.append({"role": "user", "content": content_of(content)})
    return messages


def _joined(message: Message, content: list[Part]) -> Message:
    """Images beside a function response are part of the tool's output."""
    before = message["content"]
    first = before if isinstance(before, list) else [text_part(before)] if before else []
    return {**message, "content": [*first, *content]}


def said_by_model(record: dict[str, Any], said: Said) -> list[Message]:
    """A reply, and the outputs that the CLI keeps inside of its calls."""
    parts = parts_of(record)
    kept = listed(record.get("toolCalls"))
    calls = calls_of(parts, kept)
    said.answered -= {call["id"] for call in calls}  # an id may be used again
    thoughts = thoughts_of(record, parts)
    if not thoughts and thought_only_counted(record):
        said.missing.add(Missing.REASONING)
    spoken = [part for part in parts if not part.get("thought") and pick(part, *_CALL) is None]
    content = content_parts(spoken, said)
    if not (content or calls):
        said.dropped["thoughts without a reply" if thoughts else "empty message"] += 1
        return []
    message: Message = {
        "role": "assistant",
        "content": content_of(content) if content else None,
        "reasoning_content": thoughts or None,
        "tool_calls": calls,
    }
    outputs = [output_of(call, said) for call in kept]
    return [message, *(output for output in outputs if output is not None)]


_CALL = ("functionCall", "function_call")
_RESPONSE = ("functionResponse", "function_response")
_SERVER_SIDE = frozenset({"executableCode", "executable_code", "codeExecutionResult", "code_execution_result"})


def content_parts(parts: list[Part], said: Said) -> list[Part]:
    """Parts in OpenAI form. Files that lie at the provider leave a mark."""
    content: list[Part] = []
    for part in parts:
        if isinstance(part.get("text"), str):
            if part["text"] and not part.get("thought"):
                content.append(text_part(part["text"]))
        elif (media := media_part(part)) is not None:
            content.append(media)
        elif pick(part, "fileData", "file_data", "inlineData", "inline_data") is not None:
            said.missing.add(Missing.IMAGES)
            content.append(text_part("[file not shown]"))
        elif _SERVER_SIDE & part.keys():
            said.missing.add(Missing.SERVER_TOOL_RESULTS)
            said.dropped["server-side call"] += 1
        elif part.keys() - {"thoughtSignature", "thought_signature", "thought"}:
            said.dropped["unknown content part"] += 1
    return content


def media_part(part: Part) -> Part | None:
    """Data in the log: images as such, anything else as a file."""
    data = pick(part, "inlineData", "inline_data")
    kind, body = text_or(pick(data, "mimeType", "mime_type")), text_or(pick(data, "data"))
    if not (kind and body):
        return None
    url = f"data:{kind};base64,{body}"
    if kind.startswith("image/"):
        return image_part(url)
    return {"type": "file", "file": {"file_data": url, "filename": text_or(pick(data, "displayName"), "file")}}


# -- passes ------------------------------------------------------------------------------------------------------------


def calls_of(parts: list[Part], kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A call may stand among the parts, or under `toolCalls`, or in both: by its id, or without one by what it says."""
    among = [call for part in parts if isinstance(call := pick(part, *_CALL), dict)]
    known = Counter(_same(call) for call in among)
    calls = [function_call(text_or(call.get("id")), call.get("name"), call.get("args")) for call in among]
    for call in kept:
        if known[_same(call)] > 0:
            known[_same(call)] -= 1
        else:
            calls.append(function_call(text_or(call.get("id")), call.get("name"), call.get("args")))
    return calls


def _same(call: dict[str, Any]) -> str:
    return text_or(call.get("id")) or f"{call.get('name')} {arguments_text(call.get('args'))}"


def thoughts_of(record: dict[str, Any], parts: list[Part]) -> str:
    """Thoughts are summaries with a subject, or parts that are marked as thoughts."""
    texts = [
        "\n".join(filter(None, (subject and f"**{subject}**", text_or(thought.get("description")).strip())))
        for thought in listed(record.get("thoughts"))
        for subject in [text_or(thought.get("subject")).strip()]
    ]
    texts = list(filter(None, texts)) or [text_or(part.get("text")) for part in parts if part.get("thought")]
    return "\n\n".join(filter(None, texts))


def thought_only_counted(record: dict[str, Any]) -> bool:
    """The log counts the tokens of thoughts that it does not have."""
    count = pick(record.get("tokens"), "thoughts")
    return isinstance(count, int) and count > 0


def output_of(call: dict[str, Any], said: Said) -> Message | None:
    """The output that stands inside of a call: a text, or parts, of which those of other calls are not its own.

    A call that is over and has none had one: the log left it out. What was displayed is not what the model saw.
    """
    id, result = text_or(call.get("id")), call.get("result")
    own = own_parts(parts_of({"content": result}), id)
    if not own:
        if call.get("status") in ("success", "error", "cancelled"):
            said.missing.add(Missing.TRUNCATED_OUTPUTS)
        return None
    said.answered |= {id} - {""}
    content: list[Part] = []
    for part in own:
        response = response_of(part)
        content += content_parts([part], said) if response is None else output_content(response, said)
    return {"role": "tool", "tool_call_id": id, "content": content_of(content)}


def own_parts(parts: list[Part], id: str) -> list[Part]:
    """A result may hold the parts of all results of the turn. What follows a function response belongs to it."""
    own: list[Part] = []
    is_own = True
    for part in parts:
        response = response_of(part)
        if response is not None:
            is_own = text_or(response.get("id"), id) in (id, "")
        if is_own:
            own.append(part)
    return own


def outputs_of(parts: list[Part], said: Said) -> list[Message]:
    """Function responses as tool messages. One that stands both inside of its call and after it is one output."""
    outputs: list[Message] = []
    for part in parts:
        response = response_of(part)
        if response is None:
            continue
        id = text_or(response.get("id"))
        if id in said.answered:
            said.dropped["repeated output"] += 1
            continue
        said.answered |= {id} - {""}
        outputs.append({"role": "tool", "tool_call_id": id, "content": content_of(output_content(response, said))})
    return outputs


def output_content(response: dict[str, Any], said: Said) -> list[Part]:
    """What a function response says, and the images it may hold."""
    return [*text_output(response.get("response")), *content_parts(listed(response.get("parts")), said)]


def response_of(part: Part) -> dict[str, Any] | None:
    """The function response in a part."""
    response = pick(part, *_RESPONSE)
    return response if isinstance(response, dict) else None


def text_output(response: Any) -> list[Part]:
    """The CLI wraps what a tool said as `output` or `error`; other tools answer with an object of their own."""
    if response in (None, "", {}):
        return []
    if isinstance(response, dict) and len(response) == 1:
        key, value = next(iter(response.items()))
        if key in ("output", "error", "result", "content") and isinstance(value, str):
            return [text_part(value)] if value else []
    return [text_part(response if isinstance(response, str) else arguments_text(response) or "")]


# -- tools -------------------------------------------------------------------------------------------------------------


def declarations(tools: Any, dropped: Counter[str]) -> list[ToolSchema]:
    """Function declarations of a request. Tools that run at the provider have none."""
    schemas: list[ToolSchema] = []
    for tool in listed(tools):
        declared = pick(tool, "functionDeclarations", "function_declarations")
        if declared is None:
            dropped["server-side tool"] += 1
        for function in listed(declared):
            if isinstance(function.get("name"), str) and function["name"]:
                given = pick(function, "parametersJsonSchema", "parameters_json_schema")
                parameters = given if given is not None else lower_types(function.get("parameters"))
                schemas.append(function_schema(function["name"], function.get("description"), parameters))
    return schemas


def lower_types(schema: Any) -> Any:
    """Gemini writes the types of JSON schema in capitals. Changed in place, however deep it is nested."""
    todo = [schema]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            if isinstance(value.get("type"), str):
                value["type"] = value["type"].lower()
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
    return schema
