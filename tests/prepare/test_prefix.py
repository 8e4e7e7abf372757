"""What a candidate is given of a transcript, and what is kept of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from resample.prepare.prefix import has_reasoning, make_prefix, wire_message
from resample.prepare.truncate import Cut
from resample.types import Transcript

CALL = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"path": '}}
LS = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object"}}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "list", "timestamp": 3},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "SECRET"},
    {"role": "tool", "tool_call_id": "c1", "name": "ls", "content": "a b", "duration": 1},
    {"role": "assistant", "content": "two", "reasoning_content": "SECRET"},
    {"role": "user", "content": "again"},
    {"role": "assistant", "content": "still two", "reasoning_content": "kept"},
    {"role": "user", "content": "thanks"},
]


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        ({"role": "user", "content": "x", "name": "ann", "id": 7}, {"role": "user", "content": "x", "name": "ann"}),
        (
            {"role": "tool", "tool_call_id": "c1", "name": None, "content": "x", "is_error": True},
            {"role": "tool", "tool_call_id": "c1", "content": "x"},
        ),
        (
            {"role": "assistant", "content": "x", "reasoning_content": "y", "reasoning": "z", "tool_calls": []},
            {"role": "assistant", "content": "x"},
        ),
        (
            {"role": "assistant", "tool_calls": [{**CALL, "index": 0, "provider_specific_fields": {}}]},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "p", "input": "x"}}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "p", "input": "x"}}],
            },
        ),
        ({"role": "assistant", "content": None}, {"role": "assistant", "content": ""}),
        (
            {"role": "assistant", "content": None, "refusal": "I will not."},
            {"role": "assistant", "content": "I will not."},
        ),
        (
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "y"}, {"type": "text", "text": "x"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
        ),
        (
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "y"}]},
            {"role": "assistant", "content": ""},
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
            {"role": "user", "content": [{"type": "text", "text": "x"}]},
        ),
    ],
)
def test_wire_form(message: dict[str, Any], wire: dict[str, Any]) -> None:
    before = repr(message)
    assert wire_message(message) == wire
    assert repr(message) == before


def test_the_prefix_and_the_original_turn() -> None:
    metadata = {
        "cluster": "user-7",
        "stratum": "files",
        "weight": 2,
        "terminal_tools": ["submit"],
        "workspace": {"a": "1"},
    }
    prefix, original = make_prefix(Transcript("t", MESSAGES, [LS], metadata), Cut(6, 7))
    assert original == (MESSAGES[6],)
    assert prefix.transcript == "t"
    assert [m["role"] for m in prefix.messages.items] == [m["role"] for m in MESSAGES[:6]]
    assert b"SECRET" not in prefix.messages.wire
    assert prefix.messages.items[2]["tool_calls"][0]["function"]["arguments"] == '{"path": '
    assert (prefix.tools.items, prefix.tools_inferred) == ((LS,), False)
    assert (prefix.cluster, prefix.stratum, prefix.weight) == ("user-7", "files", 2.0)
    assert (prefix.actions, prefix.terminal_tools) == ("tools", frozenset({"submit"}))
    assert (prefix.workspace, prefix.prior_turns) == ({"a": "1"}, 1)


def test_what_metadata_may_leave_out() -> None:
    empty = {"cluster": None, "stratum": None, "weight": None, "actions": None, "terminal_tools": None}
    for metadata in ({}, empty):
        prefix, _ = make_prefix(Transcript("t", MESSAGES, metadata=metadata), Cut(2, 5))
        assert (prefix.cluster, prefix.stratum, prefix.weight, prefix.actions) == ("t", "", 1.0, "tools")
        assert (prefix.terminal_tools, prefix.workspace, prefix.prior_turns) == (frozenset(), None, 0)


@pytest.mark.parametrize(("cut", "prior"), [((2, 5), 0), ((4, 5), 1), ((6, 7), 1)])
def test_prior_turns_are_those_that_another_model_wrote_in(cut: tuple[int, int], prior: int) -> None:
    assert make_prefix(Transcript("t", MESSAGES), Cut(*cut))[0].prior_turns == prior


def test_schemas_are_inferred_from_before_the_cut_only() -> None:
    later = {"id": "c9", "type": "function", "function": {"name": "rm", "arguments": "{}"}}
    messages = [*MESSAGES[:6], {"role": "assistant", "content": None, "tool_calls": [later]}]
    prefix, _ = make_prefix(Transcript("t", messages), Cut(6, 7))
    assert [tool["function"]["name"] for tool in prefix.tools.items] == ["ls"]
    assert prefix.tools_inferred
    none, _ = make_prefix(Transcript("t", messages), Cut(2, 5))
    assert (none.tools.items, none.tools_inferred) == ((), False)


def test_the_id_depends_on_all_that_a_candidate_is_given_and_on_nothing_else() -> None:
    def identity(id: str = "t", messages: Any = MESSAGES, tools: Any = (LS,), **metadata: Any) -> str:
        return make_prefix(Transcript(id, list(messages), list(tools), metadata), Cut(6, 7))[0].id

    assert len(identity()) == 16
    assert int(identity(), 16) >= 0
    same = [
        identity(weight=3, model="other"),
        identity(messages=[*MESSAGES[:6], {"role": "assistant", "content": "another reply"}, MESSAGES[7]]),
        identity(messages=[{**message, "timestamp": 9} for message in MESSAGES]),
    ]
    assert set(same) == {identity()}
    changed = [
        identity("u"),
        identity(tools=()),
        identity(messages=[{"role": "system", "content": "be long"}, *MESSAGES[1:]]),
    ]
    assert len({identity(), *changed}) == 4


@pytest.mark.parametrize(
    ("kept", "has"),
    [
        ({"content": "x"}, False),
        ({"content": "x", "reasoning_content": ""}, False),
        ({"content": "x", "reasoning_content": "y"}, True),
        ({"content": "x", "thinking_blocks": [{"type": "thinking", "thinking": "y"}]}, True),
        ({"content": [{"type": "text", "text": "x"}]}, False),
        ({"content": [{"type": "redacted_thinking", "data": "y"}, {"type": "text", "text": "x"}]}, True),
    ],
)
def test_reasoning_that_is_left_out_is_noticed(kept: dict[str, Any], has: bool) -> None:
    message = {"role": "assistant", **kept}
    assert has_reasoning(message) is has
    assert not has_reasoning(wire_message(message))
