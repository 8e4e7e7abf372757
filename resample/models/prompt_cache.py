"""What helps a provider's prompt cache: requests over the same prefix say so, and say where it ends.

Nothing here changes what a model is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from resample.types import ChatRequest, Message, Role

AFFINITY_HEADER = "x-session-affinity"
"""By it a router in front of a server's replicas sends all requests over one prefix to the same one."""


def prefix_key(request: ChatRequest) -> str | None:
    """The same for all requests over one prefix and its tools, in every run; None where nothing is shared."""
    prefix, tools = request.prefix, request.tools
    if not prefix.items:
        return None
    return prefix.derive(
        ("prefix key", tools.digest), lambda: hashlib.sha256(prefix.digest + tools.digest).hexdigest()[:32]
    )


def is_openai(address: str) -> bool:
    """Whether an address is of OpenAI's own server, which knows `prompt_cache_key`; others may reject it."""
    host = (urlsplit(address).hostname or "").rstrip(".").lower()
    return host == "api.openai.com" or host.endswith(".api.openai.com")


# -- Anthropic's breakpoints ----------------------------------------------------------------------------------------

_BYTES_PER_TOKEN = 4
_LEAST_TOKENS = 1024
_LEAST_TOKENS_OF_HAIKU = 2048
"""What is shorter is not cached, and a breakpoint there does nothing."""

_INSTRUCTIONS = ("system", "developer")
_GROWING = (Role.CANDIDATE, Role.CONTROL)
"""Roles whose tail is the beginning of the next request's. A judge's is read once, and writing a cache costs extra."""


class _Head(NamedTuple):
    """The instructions of a prefix. Anthropic takes them, after the tools, before all other messages."""

    last: int
    """Index of the last one; -1 where there is none."""
    size: int
    """In bytes."""


def set_breakpoints(request: ChatRequest, model: str, messages: Sequence[Message], tools: list[dict[str, Any]]) -> None:
    """Mark in a request's own copies of its messages and tools where the parts end that others share.

    Anthropic caches no other places, and takes four: here are the ends of the tools and instructions, of the prefix,
    and of a tail that grows.
    """
    least = _BYTES_PER_TOKEN * (_LEAST_TOKENS_OF_HAIKU if "haiku" in model.lower() else _LEAST_TOKENS)
    prefix = request.prefix
    head = prefix.derive("head", lambda: _head(prefix.items))
    size = len(request.tools.wire)
    if size + head.size >= least:
        if head.last >= 0:
            _mark_last(messages[: head.last + 1], _INSTRUCTIONS)
        else:
            _mark(tools[-1])
    size += len(prefix.wire)
    if size >= least:
        _mark_last(messages[: len(prefix.items)])
    if request.tail and request.role in _GROWING and size + len(orjson.dumps(request.tail)) >= least:
        _mark_last(messages[len(prefix.items) :])


def _head(messages: Sequence[Message]) -> _Head:
    given = [index for index, message in enumerate(messages) if message["role"] in _INSTRUCTIONS]
    return _Head(given[-1] if given else -1, sum(len(orjson.dumps(messages[index])) for index in given))


def _mark_last(messages: Sequence[Message], roles: Sequence[str] = ("user", "assistant", "tool")) -> None:
    """Mark the last message of these roles that can be marked."""
    places = (_place(message) for message in reversed(messages) if message["role"] in roles)
    if (place := next(filter(None, places), None)) is not None:
        _mark(place)


def _place(message: Message) -> dict[str, Any] | None:
    """What of a message a mark is put on; None where it has no text at its end."""
    content = message.get("content")
    if isinstance(content, list) and content:
        return content[-1] if (content[-1].get("text") or "").strip() else None
    return message if isinstance(content, str) and content.strip() else None


def _mark(marked: dict[str, Any]) -> None:
    marked["cache_control"] = {"type": "ephemeral"}
