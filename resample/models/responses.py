"""Requests and replies of POST /responses, to and from the chat form that the rest of the program speaks.

Reasoning lives in items of its own here. Those of a reply are kept in its message (`ITEMS`), together with the text and
the calls they stand between, so that the next step of the same rollout sends them back in order; nothing else reads
them. The program keeps no state at the provider: replies are not stored there, and reasoning comes encrypted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from resample.formats.assemble import listed, text_or
from resample.formats.response_items import call_of, refusal_of, visible_reasoning
from resample.types import ChatRequest, Message, ToolSchema

ITEMS = "response_items"
"""Key of a message of the candidate: the items of its reply, ready to be sent back."""

_STATELESS = {"store": False, "include": ["reasoning.encrypted_content"]}
_CALLS = {"function": ("function_call", "arguments"), "custom": ("custom_tool_call", "input")}
_CALL_KEYS = ("type", "call_id", "name", "arguments", "input", "namespace")
_REASONING_KEYS = ("type", "id", "summary", "content", "encrypted_content")

Item = dict[str, Any]


class _Input(NamedTuple):
    """Messages as input items."""

    wire: bytes
    """JSON, comma separated."""
    custom: frozenset[str]
    """Ids of the calls of custom tools: their outputs have a type of their own."""


def responses_body(model: str, request: ChatRequest, params: Mapping[str, Any], cache_key: str | None = None) -> bytes:
    """The JSON body of a request. There is no seed in this API: the request's is left out.

    `params` go last: they may override the other fields, `text` key by key, and a null removes a field.
    """
    prefix, tools = request.prefix, request.tools
    shared = prefix.derive(ITEMS, lambda: _input(prefix.items))
    wires = [shared.wire, _input(request.tail, shared.custom).wire]
    parts = [b'{"model":', orjson.dumps(model), b',"input":[', b",".join(filter(None, wires)), b"]"]
    if tools.items:
        parts += [b',"tools":[', tools.derive(ITEMS, lambda: _wire(map(_tool, tools.items))), b"]"]
    if fields := _fields(request, params, cache_key):
        parts += [b",", orjson.dumps(fields)[1:-1]]
    parts.append(b"}")
    return b"".join(parts)


def rejects_encryption(status: int, body: bytes) -> bool:
    """Does a model that does not reason reject the question for encrypted reasoning?"""
    return status == 400 and b"encrypted content is not supported" in body.lower()


def _fields(request: ChatRequest, params: Mapping[str, Any], cache_key: str | None) -> dict[str, Any]:
    fields: dict[str, Any] = {**_STATELESS, "prompt_cache_key": cache_key, **params}
    if request.schema is not None:
        form = {"format": {"type": "json_schema", **request.schema}}
        fields["text"] = form | (params.get("text") or {})
    return {name: value for name, value in fields.items() if value is not None}


def _wire(items: Iterable[Item]) -> bytes:
    return orjson.dumps(list(items))[1:-1]


# -- messages as input items ----------------------------------------------------------------------------------------


def _input(messages: Iterable[Message], custom: Iterable[str] = ()) -> _Input:
    known = set(custom)
    items: list[Item] = []
    for message in messages:
        for item in _items(message, known):
            if item.get("type") == "custom_tool_call":
                known.add(item["call_id"])
            items.append(item)
    return _Input(_wire(items), frozenset(known))


def _items(message: Message, custom: set[str]) -> Iterator[Item]:
    role, content = message["role"], message.get("content")
    if role == "tool":
        call_id = message.get("tool_call_id", "")
        kind = "custom_tool_call_output" if call_id in custom else "function_call_output"
        yield {"type": kind, "call_id": call_id, "output": _content(content, "input_text")}
    elif role != "assistant":
        yield {"role": role, "content": _content(content, "input_text")}
    elif message.get(ITEMS):
        yield from message[ITEMS]
    else:
        calls = message.get("tool_calls") or ()
        said = _content(content, "output_text") or message.get("refusal") or ""
        if said or not calls:
            yield {"role": role, "content": said}
        yield from map(_call, calls)


def _call(call: dict[str, Any]) -> Item:
    kind, body = _CALLS[call["type"]], call[call["type"]]
    return {"type": kind[0], "call_id": call["id"], "name": body["name"], kind[1]: body[kind[1]]}


def _content(content: Any, text: str) -> str | list[dict[str, Any]]:
    if isinstance(content, list):
        return [_part(part, text) for part in content]
    return content or ""


def _part(part: dict[str, Any], text: str) -> dict[str, Any]:
    """A content part; one that is not known here is left as it is, for the provider to judge."""
    kind = part.get("type")
    if kind == "text":
        return {"type": text, "text": part["text"]}
    if kind == "image_url":
        image = part["image_url"] if isinstance(part["image_url"], dict) else {"url": part["image_url"]}
        return {"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail") or "auto"}
    if kind == "file" and isinstance(part.get("file"), dict):
        return {"type": "input_file", **part["file"]}
    return part


def _tool(schema: ToolSchema) -> Item:
    """A schema, flat. In this API `strict` is true unless it says otherwise, in chat completions it is false."""
    kind = schema.get("type")
    if kind == "function" and isinstance(schema.get("function"), dict):
        return {"type": kind, "parameters": None, "strict": False, **schema["function"]}
    if kind == "custom" and isinstance(schema.get("custom"), dict):
        body = dict(schema["custom"])
        form = body.get("format")
        if isinstance(form, dict) and isinstance(form.get("grammar"), dict):
            body["format"] = {"type": "grammar", **form["grammar"]}
        return {"type": kind, **body}
    return schema


# -- a reply as a chat completion -----------------------------------------------------------------------------------


def is_response(data: Mapping[str, Any]) -> bool:
    """Is this the reply of POST /responses, and not that of POST /chat/completions?"""
    return data.get("object") == "response" or ("output" in data and "choices" not in data)


def as_completion(data: Mapping[str, Any]) -> dict[str, Any]:
    """A reply as a chat completion with one choice; as an error where the response did not come to an end."""
    status = data.get("status") or "completed"
    if status not in ("completed", "incomplete"):
        return {"error": data.get("error") or {"message": f"the response is {status}"}}
    message = _message(listed(data.get("output")))
    finish_reason = "tool_calls" if message.get("tool_calls") else "stop"
    if status == "incomplete":
        details = data.get("incomplete_details")
        filtered = isinstance(details, dict) and details.get("reason") == "content_filter"
        finish_reason = "content_filter" if filtered else "length"
    return {
        "model": data.get("model"),
        "choices": [{"message": message, "finish_reason": finish_reason}],
        "usage": _usage(data.get("usage")),
    }


def _message(output: list[Item]) -> Message:
    texts = ["".join(_texts(item)) for item in output if item.get("type") == "message"]
    calls = [call_of(item) for item in output if item.get("type") in ("function_call", "custom_tool_call")]
    return {
        "role": "assistant",
        "content": "\n\n".join(filter(None, texts)) if any(texts) or not calls else None,
        "tool_calls": calls,
        "reasoning_content": "\n\n".join(visible_reasoning(i) for i in output if i.get("type") == "reasoning"),
        "refusal": next(filter(None, map(refusal_of, output)), None),
        ITEMS: _to_send_back(output, [call["id"] for call in calls]),
    }


def _texts(item: Item) -> list[str]:
    return [text_or(part.get("text")) for part in listed(item.get("content"))]


def _to_send_back(output: list[Item], call_ids: list[str]) -> list[Item]:
    """The items of a reply, if they say more than its message does; without ids, which the provider forgets at once."""
    if len(set(filter(None, call_ids))) < len(call_ids):
        return []  # the message's calls get other ids
    items = [ready for item in output if (ready := _ready(item)) is not None]
    return items if any(item.get("type") == "reasoning" or "phase" in item for item in items) else []


def _ready(item: Item) -> Item | None:
    """An item as input. Reasoning that is only summed up stays here: what it refers to is not kept anywhere."""
    kind = item.get("type")
    if kind == "reasoning" and (item.get("encrypted_content") or item.get("content")):
        return {"summary": []} | {key: item[key] for key in _REASONING_KEYS if item.get(key) is not None}
    if kind in ("function_call", "custom_tool_call"):
        return {key: item[key] for key in _CALL_KEYS if item.get(key) is not None}
    if kind == "message" and any(texts := _texts(item)):
        said = {"role": "assistant", "content": "".join(texts)}
        return said | {"phase": item["phase"]} if item.get("phase") else said
    return None


def _usage(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    return {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
        "prompt_tokens_details": usage.get("input_tokens_details"),
        "completion_tokens_details": usage.get("output_tokens_details"),
    }
