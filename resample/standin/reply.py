"""One chat completion of the stand-in: request in, reply out, without HTTP, clock or memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from resample.judging.render import call_texts, reasoning_of, text_of
from resample.standin import candidate, dependence, discriminator, draw, judge, simulator
from resample.standin.cache import BYTES_PER_TOKEN
from resample.standin.settings import StandInSettings
from resample.types import Message, Role

_MOST_CHOICES = 128
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


class BadRequest(Exception):
    """A request that a provider would answer with 400."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


def reply(request: Any, settings: StandInSettings) -> dict[str, Any]:
    """A chat completion in OpenAI's form. Raises BadRequest.

    It depends on the request's content, its seed and the settings alone. Cached tokens are 0: only the server
    knows what was asked before.
    """
    check(request)
    answer = simulator.answer if role_of(request) is Role.SIMULATOR else candidate.answer
    made = _BY_SCHEMA.get(schema_name(request), answer)
    messages = [made(_of_choice(request, index), settings) for index in range(request.get("n") or 1)]
    return {
        "id": f"chatcmpl-{draw.number('id', settings.seed, draw.digest(request)):016x}",
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "system_fingerprint": _fingerprint(),
        "choices": [
            {
                "index": index,
                "message": {"refusal": None, **message},
                "logprobs": None,
                "finish_reason": "tool_calls" if message.get("tool_calls") else "stop",
            }
            for index, message in enumerate(messages)
        ],
        "usage": _usage(prompt_bytes(request), messages),
    }


def _of_choice(request: dict[str, Any], index: int) -> dict[str, Any]:
    """The request with a seed of its own for each further choice."""
    if not index:
        return request
    return {**request, "seed": draw.number("choice", request.get("seed"), index)}


def schema_name(request: dict[str, Any]) -> str | None:
    """The name of the JSON schema that the reply is asked for in."""
    response_format = request.get("response_format") or {}
    is_schema = response_format.get("type") == "json_schema"
    return str(response_format["json_schema"]["name"]) if is_schema else None


_BY_SCHEMA = {each.SCHEMA_NAME: each.answer for each in (judge, dependence, discriminator)}
"""Whatever asks for a schema asks the judge's model."""


def role_of(request: dict[str, Any]) -> Role:
    """Who is asked, by the content of the request."""
    if schema_name(request) in _BY_SCHEMA:
        return Role.JUDGE
    system = next((m for m in request["messages"] if m["role"] in ("system", "developer")), None)
    if system is not None and text_of(system).startswith(simulator.SIMULATOR_OPENING):
        return Role.SIMULATOR
    return Role.CANDIDATE


def prompt_bytes(request: dict[str, Any]) -> bytes:
    """The prompt as a provider's cache sees it: schema and tools first, then the messages in order."""
    head = [request["model"], request.get("response_format"), request.get("tools")]
    return b"".join(map(orjson.dumps, [*head, *request["messages"]]))


def check(request: Any) -> None:
    """Raise BadRequest where a provider would."""
    if not isinstance(request, dict):
        raise BadRequest("the body is no JSON object")
    if not (isinstance(request.get("model"), str) and request["model"]):
        raise BadRequest("you must provide a model parameter", "model")
    if request.get("stream"):
        raise BadRequest("the stand-in does not stream", "stream")
    count = request.get("n")
    if isinstance(count, bool) or not (count is None or (isinstance(count, int) and 1 <= count <= _MOST_CHOICES)):
        raise BadRequest(f"n must be a whole number from 1 to {_MOST_CHOICES}", "n")
    seed = request.get("seed")
    if isinstance(seed, bool) or not isinstance(seed, int | None):
        raise BadRequest("seed must be an integer", "seed")
    _check_format(request.get("response_format"))
    _check_tools(request.get("tools"))
    _check_messages(request.get("messages"))


def _check_format(response_format: Any) -> None:
    if response_format is None:
        return
    if not isinstance(response_format, dict) or not isinstance(response_format.get("type"), str):
        raise BadRequest("response_format must be an object with a type", "response_format")
    if response_format["type"] == "json_schema":
        inner = response_format.get("json_schema")
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
            raise BadRequest("json_schema must be an object with a name", "response_format.json_schema")


def _check_tools(tools: Any) -> None:
    if tools is None:
        return
    if not isinstance(tools, list):
        raise BadRequest("tools must be a list", "tools")
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        if not isinstance(tool, dict) or not isinstance(tool.get("type"), str):
            raise BadRequest(f"{where} must be an object with a type", where)
        function = tool.get("function")
        if tool["type"] == "function" and not (isinstance(function, dict) and isinstance(function.get("name"), str)):
            raise BadRequest(f"{where}.function must have a name", f"{where}.function")


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list of at least one message", "messages")
    called: set[str] = set()
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise BadRequest(f"{where} must be an object with a known role", where)
        if not isinstance(message.get("content"), str | list | None):
            raise BadRequest(f"{where}.content must be a string or a list of parts", f"{where}.content")
        if message["role"] == "tool" and message.get("tool_call_id") not in called:
            raise BadRequest(f"{where} answers no tool call of an earlier message", f"{where}.tool_call_id")
        called |= _call_ids(message.get("tool_calls"), where)


def _call_ids(calls: Any, where: str) -> set[str]:
    if calls is None:
        return set()
    where = f"{where}.tool_calls"
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise BadRequest(f"{where} must be a list of objects", where)
    if not all(isinstance(call.get("id"), str) for call in calls):
        raise BadRequest(f"{where} must each have an id", where)
    return {call["id"] for call in calls}


def _usage(prompt: bytes, messages: Sequence[Message]) -> dict[str, Any]:
    reasoning = sum(_tokens(reasoning_of(message)) for message in messages)
    visible = sum(_tokens("".join([text_of(message), *call_texts(message)])) for message in messages)
    prompt_tokens = -(-len(prompt) // BYTES_PER_TOKEN)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": visible + reasoning,
        "total_tokens": prompt_tokens + visible + reasoning,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


@cache
def _fingerprint() -> str:
    """Names the version of the stand-in's data."""
    files = [Path(__file__).with_name(name).read_bytes() for name in ("phrasebook.yaml", "presets.yaml")]
    return "fp_" + hashlib.sha256(b"\0".join(files)).hexdigest()[:10]
