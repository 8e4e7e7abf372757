"""The work that every client is given: recorded conversations, cut before their final turn."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

WORDS = ("the", "build", "fails", "because", "a", "test", "of", "parse", "reads", "42", "lines", "of", "old", "files")
FETCH = {
    "type": "function",
    "function": {
        "name": "fetch",
        "description": "Fetch a page of the web.",
        "parameters": {
            "type": "object",
            "properties": {"url": {"type": "string"}, "seed": {"type": ["integer", "null"]}},
            "required": ["url"],
        },
    },
}


def conversation(number: int, size: int) -> list[dict[str, Any]]:
    """A prefix of about `size` bytes: a request, calls with their outputs, and a last request."""
    draw = random.Random(number)
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": f"You are agent {number}. You help people to read the web."},
        {"role": "user", "content": f"Task {number}: " + text(draw, min(200, size // 8))},
    ]
    calls = max(1, size // 4000)
    for index in range(calls):
        function = {"name": "fetch", "arguments": f'{{"url": "https://example.com/{number}/{index}"}}'}
        call = {"id": f"call_{index}", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": text(draw, size // calls // 20), "tool_calls": [call]})
        messages.append(
            {"role": "tool", "tool_call_id": f"call_{index}", "content": text(draw, size // calls * 9 // 10)}
        )
    messages.append({"role": "assistant", "content": "That is what the pages say."})
    messages.append({"role": "user", "content": "Read three more of them, and tell me what they say."})
    return messages


def transcripts(count: int, size: int) -> Iterator[dict[str, Any]]:
    """Whole transcripts in canonical form, with an original turn behind the prefix."""
    for number in range(count):
        final = {"role": "assistant", "content": "They say the same."}
        yield {"id": f"t{number}", "messages": [*conversation(number, size), final], "tools": [FETCH]}


def text(draw: random.Random, length: int) -> str:
    """About `length` characters of words and lines."""
    return " ".join(draw.choices(WORDS, k=max(1, length // 5))).replace("lines ", "lines\n")
