"""The Responses API of the stand-in: its requests as those of chat completions, and a completion as a response.

As with OpenAI, reasoning is shown in summary only where that is asked for, goes out sealed where that is asked for, and
has to come back as it went out.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from resample.formats.assemble import listed
from resample.formats.response_items import convert, schemas_of, visible_reasoning
from resample.standin import draw
from resample.standin.reply import BadRequest
from resample.types import Message

_SEAL = "reasoning.encrypted_content"
_UNSAID = ("reasoning_content", "refusal", "tool_calls")
"""Keys that a message in chat form does not have where they are empty."""


def chat_request(body: Any) -> dict[str, Any]:
    """The request as one for a chat completion. Raises BadRequest."""
    if not isinstance(body, dict):
        raise BadRequest("the body is no JSON object")
    text, tools = body.get("text") or {}, schemas_of(body.get("tools"), Counter())
    form = text.get("format") if isinstance(text, dict) else None
    asked: dict[str, Any] = {name: body[name] for name in ("model", "stream", "tool_choice") if name in body}
    asked["messages"] = _messages(body.get("instructions"), body.get("input"))
    if tools:
        asked["tools"] = tools
    if isinstance(form, dict) and form.get("type") == "json_schema":
        asked["response_format"] = {"type": "json_schema", "json_schema": form}
    return asked


def _messages(instructions: Any, given: Any) -> list[Message]:
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise BadRequest("input must be a text or a list of items", "input")
    for index, item in enumerate(given):
        if item.get("type") == "reasoning":
            _check_seal(item, f"input[{index}]")
    converted = convert((item, None) for item in given)
    if unknown := converted.dropped["unknown item"]:
        raise BadRequest(f"input holds {unknown} items that are not known here", "input")
    head: list[Message] = [{"role": "system", "content": instructions}] if isinstance(instructions, str) else []
    return head + [
        {key: value for key, value in message.items() if value or key not in _UNSAID} for message in converted.messages
    ]


def _check_seal(item: dict[str, Any], where: str) -> None:
    sealed, shown = item.get("encrypted_content"), visible_reasoning(item)
    if not sealed:
        raise BadRequest(f"{where}: item {item.get('id')!r} not found: nothing is stored here", where)
    if not (sealed.startswith("sealed-") and (not shown or sealed == _sealed(shown))):
        raise BadRequest(f"{where}.encrypted_content could not be verified", where)


def _sealed(reasoning: str) -> str:
    return f"sealed-{draw.digest(reasoning).hex()}"


def response(completion: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """A chat completion as the response to a request."""
    message, usage = completion["choices"][0]["message"], completion["usage"]
    name = completion["id"].removeprefix("chatcmpl-")
    return {
        "id": f"resp_{name}",
        "object": "response",
        "created_at": completion["created"],
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": completion["model"],
        "output": [*_reasoning(message, name, body), *_said(message, name), *_calls(message)],
        "parallel_tool_calls": True,
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": listed(body.get("tools")),
        "usage": {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": usage["prompt_tokens_details"],
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": usage["completion_tokens_details"],
            "total_tokens": usage["total_tokens"],
        },
    }


def _reasoning(message: Message, name: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    reasoning = message.get("reasoning_content")
    if not reasoning:
        return []
    asked = body.get("reasoning")
    summed_up = isinstance(asked, dict) and asked.get("summary")
    item = {
        "type": "reasoning",
        "id": f"rs_{name}",
        "summary": [{"type": "summary_text", "text": reasoning}] if summed_up else [],
    }
    if _SEAL in (body.get("include") or ()):
        item["encrypted_content"] = _sealed(reasoning)
    return [item]


def _said(message: Message, name: str) -> list[dict[str, Any]]:
    if message.get("content") is None:
        return []
    part = {"type": "output_text", "text": message["content"], "annotations": []}
    said = {"type": "message", "id": f"msg_{name}", "status": "completed", "role": "assistant", "content": [part]}
    return [said]


def _calls(message: Message) -> list[dict[str, Any]]:
    return [
        {"type": "function_call", "id": f"fc_{call['id']}", "status": "completed", "call_id": call["id"]}
        | call["function"]
        for call in message.get("tool_calls") or ()
    ]
