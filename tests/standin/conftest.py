"""Playing turns with the stand-in, without HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from resample.standin.reply import reply
from resample.standin.settings import StandInSettings

SHELL = {
    "type": "function",
    "function": {
        "name": "bash",
        "description": "Run a command.",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}},
            "required": ["command"],
        },
    },
}
ORDERS = {
    "type": "function",
    "function": {
        "name": "get_order",
        "parameters": {
            "type": "object",
            "properties": {
                "order_id": {"type": "string"},
                "lines": {"type": "array", "items": {"type": "integer"}},
                "currency": {"type": "string", "enum": ["EUR", "SEK"]},
            },
            "required": ["order_id", "currency"],
        },
    },
}
NUMBERS = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
    },
}
SUBMIT = {"type": "function", "function": {"name": "submit", "parameters": {"type": "object"}}}


class Player:
    """Plays turns against the pure reply function."""

    shell, orders, numbers, submit = SHELL, ORDERS, NUMBERS, SUBMIT

    @staticmethod
    def request(text: str, seed: int = 0, tools: Any = (SHELL,), model: str = "default") -> dict[str, Any]:
        messages = [{"role": "system", "content": "You are an agent."}, {"role": "user", "content": text}]
        return {"model": model, "messages": messages, "tools": list(tools), "seed": seed}

    @staticmethod
    def turn(request: dict[str, Any], settings: StandInSettings) -> list[dict[str, Any]]:
        """The messages of one turn. Later steps have seeds of their own, as in a real rollout."""
        before, turn = list(request["messages"]), list[dict[str, Any]]()
        for step in range(20):
            asked = {**request, "messages": before + turn, "seed": request["seed"] + 1000 * step}
            message = reply(asked, settings)["choices"][0]["message"]
            turn.append(message)
            if not message.get("tool_calls"):
                return turn
            turn += [
                {
                    "role": "tool",
                    "tool_call_id": call["id"],
                    "content": "Error: not found" if step else "done",
                }
                for call in message["tool_calls"]
            ]
        raise AssertionError("the turn does not end")


@pytest.fixture
def player() -> Player:
    return Player()
