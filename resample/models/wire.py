"""Requests of POST /chat/completions as bytes, and replies as they are used.

A request body is joined from ready-made parts: the prefix and the tools are serialised once for all
requests that share them (`resample.types.Shared`). A reply is reduced to what the program uses, the same
for every transport.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Any

import orjson

from resample.models.responses import ITEMS, as_completion, is_response
from resample.types import ChatRequest, Message, Reply, Usage, UserError

ENGINE_FIELDS = (
    *("model", "messages", "input", "tools", "stream", "n"),
    *("background", "conversation", "previous_response_id"),
)
"""Fields of a request body that `<role>.params` may not set."""

CARRIED = ("thinking_blocks", "reasoning_details", ITEMS)
"""Keys of a message with reasoning in its provider's own form (Anthropic's, OpenRouter's, that of OpenAI's Responses):
signed or encrypted, kept as it came, and sent back to who gave it, in later steps of the same rollout."""

REASONING = ("reasoning_content", *CARRIED)

MOST_TOKENS = 2**53
"""No count goes beyond it: whole numbers up to here are the same in JSON, in floats and in SQL."""

_FINISH_REASONS = {"function_call": "tool_calls"}
"""Legacy names."""


class BrokenReply(ValueError):
    """A reply with status 200 that is no chat completion."""

    def __init__(self, message: str, error: Any = None) -> None:
        super().__init__(message)
        self.error = error
        """The provider's `error` object, where there is one."""


def check_params(params: Mapping[str, Any]) -> None:
    """Raises UserError where a role's params would set what the engine itself decides."""
    for name in ENGINE_FIELDS:
        if params.get(name) is not None:
            raise UserError(f"params.{name}: decided by the engine; remove it from the role's params")


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises UserError where a header or a key holds what HTTP cannot carry; the value is not shown."""
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise UserError(f"{name}: holds a line break or another character that no HTTP header carries: correct it")


def max_completion(params: Mapping[str, Any]) -> int | None:
    """The most tokens a completion may have by a role's params."""
    for name in ("max_completion_tokens", "max_tokens", "max_output_tokens"):
        if isinstance(params.get(name), int):
            return int(params[name])
    return None


def without(keys: Container[str], request: ChatRequest) -> ChatRequest:
    """The same request, without these keys in its tail. A prefix has none of them (`prepare.prefix.wire_message`)."""
    if not any(key in keys for message in request.tail for key in message):
        return request
    tail = tuple({key: value for key, value in message.items() if key not in keys} for message in request.tail)
    return replace(request, tail=tail)


def request_body(model: str, request: ChatRequest, params: Mapping[str, Any], cache_key: str | None = None) -> bytes:
    """The JSON body of a request.

    `params` go last: they may override `seed`, `response_format` and `prompt_cache_key`, and a null removes the field.
    """
    parts = [b'{"model":', orjson.dumps(model), b',"messages":[', _messages(request), b"]"]
    if request.tools.items:
        parts += [b',"tools":[', request.tools.wire, b"]"]
    if fields := _fields(request, params, cache_key):
        parts += [b",", orjson.dumps(fields)[1:-1]]
    parts.append(b"}")
    return b"".join(parts)


def request_kwargs(model: str, request: ChatRequest, params: Mapping[str, Any]) -> dict[str, Any]:
    """The same request as keyword arguments.

    Messages and tools are fresh copies: litellm edits them in place, and a prefix belongs to many requests.
    """
    kwargs: dict[str, Any] = {"model": model, "messages": orjson.loads(b"[" + _messages(request) + b"]")}
    if request.tools.items:
        kwargs["tools"] = orjson.loads(b"[" + request.tools.wire + b"]")
    return kwargs | _fields(request, params)


def request_size(request: ChatRequest) -> int:
    """Bytes of a request's prompt: its messages and tools."""
    return len(_messages(request)) + len(request.tools.wire)


def _messages(request: ChatRequest) -> bytes:
    if not request.tail:
        return request.prefix.wire
    tail = orjson.dumps(request.tail)[1:-1]
    return request.prefix.wire + b"," + tail if request.prefix.items else tail


def _fields(request: ChatRequest, params: Mapping[str, Any], cache_key: str | None = None) -> dict[str, Any]:
    fields: dict[str, Any] = {"prompt_cache_key": cache_key}
    if request.seed is not None:
        fields["seed"] = request.seed
    if request.choices > 1:
        fields["n"] = request.choices
    if request.schema is not None:
        fields["response_format"] = {"type": "json_schema", "json_schema": request.schema}
    fields.update(params)
    return {name: value for name, value in fields.items() if value is not None}


def choices_apart(raw: bytes) -> list[bytes]:
    """A chat completion with several choices as one for each of them, in order."""
    data = _loads(raw)
    choices = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(choices, list) or len(choices) < 2:
        return [raw]
    return [orjson.dumps({**data, "choices": [choice]}) for choice in choices]


def parse_reply(raw: bytes) -> Reply:
    """Read a chat completion, or a reply of the Responses API. Raises BrokenReply where it is neither.

    Where prompt or completion tokens are not reported, or by no number they could have, they are 0 and the usage is
    marked as `estimated`: only who knows the request can make the estimate.
    """
    data = _loads(raw)
    if not isinstance(data, dict):
        raise BrokenReply("the reply is no JSON object")
    if data.get("error"):
        raise BrokenReply("the reply is an error", data["error"])
    if is_response(data):
        data = as_completion(data)
        if "error" in data:
            raise BrokenReply("the reply is an error", data["error"])
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        raise BrokenReply("the reply has no choices")
    if choice.get("error"):
        raise BrokenReply("the reply is an error", choice["error"])
    if not isinstance(choice.get("message"), dict):
        raise BrokenReply("the reply has no message")
    return Reply(
        message=_message(choice["message"]),
        finish_reason=_FINISH_REASONS.get(reason := _text(choice.get("finish_reason")), reason),
        usage=_usage(data.get("usage")),
        model=_text(data.get("model")),
        fingerprint=_text(data.get("system_fingerprint")) or None,
        raw=raw,
    )


def _loads(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    try:
        # Some servers send NaN, or half of a surrogate pair where a token ended inside a character.
        data = json.loads(raw, parse_constant=lambda _: None)
        return orjson.loads(json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise BrokenReply(f"the reply is no JSON that can be read ({len(raw)} bytes): {error}") from None


def _message(message: dict[str, Any]) -> Message:
    content, thinking = _content(message.get("content"))
    kept: Message = {"role": "assistant", "content": content}
    if calls := _tool_calls(message):
        kept["tool_calls"] = calls
    if reasoning := _text(message.get("reasoning_content")) or _text(message.get("reasoning")) or thinking:
        kept["reasoning_content"] = reasoning
    if refusal := _text(message.get("refusal")):
        kept["refusal"] = refusal
    for key in CARRIED:
        if isinstance(message.get(key), list) and message[key]:
            kept[key] = message[key]
    return kept


def _content(content: Any) -> tuple[str | None, str]:
    """Text and thinking of a message; some servers send its content as a list of parts."""
    if isinstance(content, str):
        return content, ""
    texts = _texts(content)
    thinking = [part.get("thinking") for part in _parts(content) if part.get("type") == "thinking"]
    thoughts = [thought if isinstance(thought, str) else "".join(_texts(thought)) for thought in thinking]
    return ("".join(texts) if texts else None), "".join(thoughts)


def _texts(content: Any) -> list[str]:
    return [_text(part.get("text")) for part in _parts(content) if part.get("type") in ("text", "output_text")]


def _parts(content: Any) -> list[dict[str, Any]]:
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _tool_calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    calls = message.get("tool_calls")
    calls = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    legacy = message.get("function_call")
    if not calls and isinstance(legacy, dict):
        calls = [{"function": legacy}]
    kept: list[dict[str, Any]] = []
    taken: set[str] = set()
    for position, call in enumerate(calls):
        body = _call_body(call)
        name = _text(call.get("id"))
        if not name or name in taken:
            name = _call_id(position, body)
        taken.add(name)
        kept.append({"id": name, **body})
    return kept


def _call_body(call: dict[str, Any]) -> dict[str, Any]:
    if isinstance(custom := call.get("custom"), dict):
        body = {"name": _text(custom.get("name")), "input": _verbatim(custom.get("input"), "")}
        return {"type": "custom", "custom": body}
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    arguments = _verbatim(function.get("arguments"), "{}")
    return {"type": "function", "function": {"name": _text(function.get("name")), "arguments": arguments}}


def _verbatim(value: Any, absent: str) -> str:
    if value is None:
        return absent
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise BrokenReply(f"the arguments of a tool call cannot be written: {error}") from None


def _call_id(position: int, body: dict[str, Any]) -> str:
    digest = hashlib.sha256(b"%d\0" % position + orjson.dumps(body, option=orjson.OPT_SORT_KEYS))
    return f"call_{digest.hexdigest()[:24]}"


def _usage(usage: Any) -> Usage:
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    estimated = not prompt or completion is None  # no prompt has 0 tokens
    prompt, completion = prompt or 0, completion or 0
    reasoning = _count(_field(usage, "completion_tokens_details"), "reasoning_tokens") or 0
    if reasoning and _count(usage, "total_tokens") == prompt + completion + reasoning:
        completion += reasoning  # some providers count reasoning beside the completion, not as part of it
    cached = (
        _count(_field(usage, "prompt_tokens_details"), "cached_tokens")
        or _count(usage, "prompt_cache_hit_tokens")
        or _count(usage, "cache_read_input_tokens")
        or 0
    )
    return Usage(prompt, min(cached, prompt), completion, min(reasoning, completion), estimated=estimated)


def _count(counts: Any, name: str) -> int | None:
    """A number of tokens; None where none is reported, or one that cannot be."""
    value = _field(counts, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None


def _field(data: Any, name: str) -> Any:
    return data.get(name) if isinstance(data, dict) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
