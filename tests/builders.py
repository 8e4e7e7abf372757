"""Small things that many tests build: a scripted model, messages, prefixes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from resample.models.wire import parse_reply
from resample.types import ChatRequest, Message, ModelError, Prefix, Reply, Shared

ROOT = Path(__file__).parent.parent
REAL = ROOT.parent / "shared" / "transcripts-real"


class ScriptedModel:
    """A ChatModel that answers from a list (or a function), and remembers what it was asked."""

    def __init__(self, script: Sequence[Any] | Callable[[ChatRequest], Any]) -> None:
        self._script = script
        self.requests: list[ChatRequest] = []

    async def complete(self, request: ChatRequest) -> Reply:
        answer = self._script(request) if callable(self._script) else self._script[len(self.requests)]
        self.requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Reply) else reply(answer)

    async def close(self) -> None:
        pass


def reply(message: Message | str, finish_reason: str = "stop") -> Reply:
    """A reply as a provider would give it."""
    if isinstance(message, str):
        message = {"role": "assistant", "content": message}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return parse_reply(orjson.dumps({"model": "scripted", "choices": [choice], "usage": usage}))


def tool_call(name: str, arguments: dict[str, Any] | str, call_id: str = "call_1") -> dict[str, Any]:
    """A tool call in wire form."""
    text = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


def acting(*calls: dict[str, Any], content: str | None = None, reasoning: str | None = None) -> Message:
    """An assistant message with tool calls."""
    message: Message = {"role": "assistant", "content": content, "tool_calls": list(calls)}
    return message | ({"reasoning_content": reasoning} if reasoning else {})


def saying(text: str, reasoning: str | None = None) -> Message:
    """An assistant message without calls."""
    message: Message = {"role": "assistant", "content": text}
    return message | ({"reasoning_content": reasoning} if reasoning else {})


def output(text: str, call_id: str = "call_1") -> Message:
    """A tool message."""
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def tool(name: str, **properties: str) -> dict[str, Any]:
    """A tool schema."""
    parameters = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
    }
    return {"type": "function", "function": {"name": name, "description": "", "parameters": parameters}}


def prefix_of(*messages: Message, tools: Sequence[dict[str, Any]] = (), **fields: Any) -> Prefix:
    """A prefix of these messages."""
    return Prefix("00000000000000aa", "t", Shared(messages), Shared(tuple(tools)), **fields)


USER: Message = {"role": "user", "content": "Please clean up the old logs."}
BASH = tool("bash", command="string")


def failure(fault: Any, text: str = "it failed") -> ModelError:
    """A model call that failed."""
    return ModelError(fault, text)
