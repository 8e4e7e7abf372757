"""Where transcripts are cut: the cases that have to come out right, and what holds for all."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from resample.actions import begins_turn, style
from resample.formats import Problem
from resample.formats.checks import validate
from resample.prepare.prefix import make_prefix
from resample.prepare.truncate import POLICIES, Cut, policy
from resample.types import Message, ToolCall, Transcript, UserError

TOOLS = style("tools")


class TextActions:
    """An agent that writes commands as text and gets their outputs as user messages."""

    def calls(self, message: Message) -> list[ToolCall]:
        return []

    def output(self, call: ToolCall, content: str) -> Message:
        return {"role": "user", "content": content}

    def is_output(self, messages: Sequence[Message], index: int) -> bool:
        return index > 0 and messages[index - 1]["role"] == "assistant"


def conversation(text: str) -> list[Message]:
    """One word per message: s(ystem), d(eveloper), u(ser), r(esult in a user message), a(ssistant) with the ids of its
    calls, t(ool) with the id it answers."""
    messages: list[Message] = []
    for word in text.split():
        role = {"s": "system", "d": "developer", "u": "user", "r": "user", "a": "assistant", "t": "tool"}[word[0]]
        message: Message = {"role": role, "content": word}
        if word[0] == "r":
            message["content"] = [{"type": "tool_result", "tool_use_id": "x", "content": "out"}]
        elif word[0] == "t":
            message["tool_call_id"] = word[1:]
        elif word[0] == "a" and len(word) > 1:
            calls = [{"id": i, "type": "function", "function": {"name": "ls", "arguments": "{}"}} for i in word[1:]]
            message["tool_calls"] = calls
        messages.append(message)
    return messages


@pytest.mark.parametrize(
    ("text", "last_turn", "last_action"),
    [
        # One turn, and several.
        ("u a", (1, 2), (1, 2)),
        ("s u a", (2, 3), (2, 3)),
        ("s a", (1, 2), (1, 2)),
        ("u a u a", (3, 4), (3, 4)),
        ("u a1 t1 a2 t2 a", (1, 6), (5, 6)),
        ("u a u a1 t1 a", (3, 6), (5, 6)),
        # Calls and their outputs stay together.
        ("u a12 t1 t2", (1, 4), (1, 4)),
        ("u a12 t2 t1 a", (1, 5), (4, 5)),
        ("u a1 t1 u a1 t1 a", (4, 7), (6, 7)),
        ("u a u a1", (3, 4), (3, 4)),
        # A log that ends with a user message: the last turn that has a reply.
        ("u a u", (1, 2), (1, 2)),
        ("u a u a1 t1 u u", (3, 5), (3, 5)),
        # What stands between the user's message and the reply belongs to the prefix.
        ("u a u u a", (4, 5), (4, 5)),
        ("u a u d a", (4, 5), (4, 5)),
        # What a system says inside a turn does not begin one.
        ("u a1 t1 s a u", (1, 5), (4, 5)),
        # Tool results in user messages begin no turn.
        ("u a r a r a", (1, 6), (5, 6)),
        ("u a u a r", (3, 5), (3, 5)),
        # Nothing to resample, or nothing to answer.
        ("s u", "no assistant message", "no assistant message"),
        ("u", "no assistant message", "no assistant message"),
        ("a", "nothing before the cut", "nothing before the cut"),
        ("a u", "nothing before the cut", "nothing before the cut"),
        ("a a u", "nothing before the cut", "nothing before the cut"),
        # A call without an output, or with one that comes too late for any provider.
        ("u a1 u a", "unanswered tool call before the cut", "unanswered tool call before the cut"),
        ("u a12 t1 u a", "unanswered tool call before the cut", "unanswered tool call before the cut"),
        ("u a1 u t1 a", "unanswered tool call before the cut", "unanswered tool call before the cut"),
        ("u a1 a t1", (1, 4), (1, 4)),  # messages in a row are one action
        ("u a1 t1 a2 a", (1, 5), (3, 5)),
        ("u a s", (1, 2), (1, 2)),  # what the harness says afterwards is no part of the turn
    ],
)
def test_cuts(text: str, last_turn: Any, last_action: Any) -> None:
    for name, expected in (("last_turn", last_turn), ("last_action", last_action)):
        got = policy(name).cut(conversation(text), TOOLS)
        shown = str(got.reason) if isinstance(got, Problem) else (got.index, got.end)
        assert shown == expected, name


@pytest.mark.parametrize(
    ("text", "last_turn", "last_action"),
    [("s u a u a u a", (2, 7), (6, 7)), ("s u a u", (2, 4), (2, 4)), ("s u a u u a", (5, 6), (5, 6))],
)
def test_a_user_message_after_a_text_agent_is_an_output(
    text: str, last_turn: tuple[int, int], last_action: tuple[int, int]
) -> None:
    messages = conversation(text)
    assert policy("last_turn").cut(messages, TextActions()) == Cut(*last_turn)
    assert policy("last_action").cut(messages, TextActions()) == Cut(*last_action)


def test_every_policy_states_its_estimand() -> None:
    assert policy("last_turn").estimand.unit == "final turn"
    assert policy("last_action").estimand.unit == "last action"
    for name, known in POLICIES.items():
        assert known.name == name
        assert all(known.estimand)


def test_an_unknown_policy_is_refused_with_those_known() -> None:
    with pytest.raises(UserError, match=r"truncate\.policy=first.*last_turn, last_action"):
        policy("first")


def random_conversation(draw: random.Random) -> list[Message]:
    """Any valid conversation: parallel calls, missing outputs, results in user messages, roles in any order."""
    words: list[str] = []
    for _ in range(draw.randrange(1, 14)):
        kind = draw.choice("suuadr" + "aaaa")
        ids = "123456789"[: draw.choice((0, 1, 1, 2, 3))] if kind == "a" else ""
        words.append(kind + ids)
        answered = draw.sample(ids, len(ids) if draw.random() < 0.9 else draw.randrange(len(ids) + 1))
        words += [f"t{id}" for id in answered]
    messages = conversation(" ".join(words))
    for number, message in enumerate(messages):  # every text is one of its kind
        message["marker"] = f"<{number}>"
    return messages


@pytest.mark.parametrize("name", list(POLICIES))
def test_what_holds_for_every_cut(name: str) -> None:
    cuts = 0
    for seed in range(1500):
        messages = random_conversation(random.Random(seed))
        transcript = Transcript("t", messages)
        assert validate(transcript) is None
        cut = policy(name).cut(messages, TOOLS)
        assert cut == policy(name).cut(messages, TOOLS)
        if isinstance(cut, Problem):
            continue
        cuts += 1
        prefix, original = make_prefix(transcript, cut)
        check_cut(messages, cut, original)
        assert len(prefix.messages.items) == cut.index
        assert b"marker" not in prefix.messages.wire
    assert cuts > 500


def check_cut(messages: Sequence[Message], cut: Cut, original: Sequence[Message]) -> None:
    assert list(original) == list(messages[cut.index : cut.end])
    assert original[0]["role"] == "assistant"
    # No reply after the original turn was passed over, and it holds no new turn.
    assert not any(m["role"] == "assistant" for m in messages[cut.end :])
    assert not any(begins_turn(TOOLS, original, i) for i in range(len(original)))
    # No call is parted from its outputs, on either side.
    waiting: set[str] = set()
    for message in messages[: cut.index]:
        waiting |= {call["id"] for call in message.get("tool_calls", ())}
        waiting -= {message.get("tool_call_id", "")}
    assert not waiting
    if cut.end < len(messages):
        assert messages[cut.end]["role"] in ("user", "system", "developer")
