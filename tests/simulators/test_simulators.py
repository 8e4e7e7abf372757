"""Recorded outputs only where the call provably is the same; a model for the rest, told no more than it may know."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from builders import BASH, USER, ScriptedModel, acting, output, prefix_of, reply, saying, tool, tool_call

from resample.judging.render import View, prefix_blocks, unfence
from resample.prepare.tokens import rough_count
from resample.standin.simulator import SIMULATOR_OPENING
from resample.types import Message, Prefix, SimulatorError, Source, ToolCall
from simulators.base import Unknown
from simulators.ladder import standard_ladder
from simulators.llm import LLMSimulator

LS, CAT, RM = ({"command": c} for c in ("ls", "cat a.log", "rm a.log"))
ORIGINAL = [
    acting(tool_call("bash", LS, "o1"), content="SECRET-PROSE", reasoning="SECRET-REASONING"),
    output("a.log\n", "o1"),
    acting(tool_call("bash", CAT, "o2"), tool_call("read", '{"path":"x","lines":3}', "o3")),
    output("line", "o2"),
    output("xxx", "o3"),
    saying("SECRET-CLOSING"),
]
PREFIX = prefix_of(USER, tools=[BASH, tool("read", path="string", lines="integer")])


def call(name: str, arguments: Any) -> ToolCall:
    from resample.actions import style

    return style("tools").calls(acting(tool_call(name, arguments)))[0]


def answers(simulator: Any, *calls: ToolCall, prefix: Prefix = PREFIX) -> list[tuple[str, str]]:
    """Each call's output and source; ("", "unknown") where the simulator does not know."""

    async def ask() -> list[tuple[str, str]]:
        session = simulator.open(prefix, ORIGINAL, 1)
        results = []
        for each in calls:
            try:
                answer = await session.answer(each)
                results.append((answer.content, answer.source.value))
            except Unknown:
                results.append(("", "unknown"))
        return results

    return asyncio.run(ask())


def test_the_ladder_goes_to_the_model_where_the_recording_ends():
    model = ScriptedModel([reply("removed"), reply("cat: a.log: No such file or directory")])
    ladder = standard_ladder(model)
    results = answers(ladder, call("bash", LS), call("bash", RM), call("bash", CAT))
    assert results == [
        ("a.log\n", "recorded"),
        ("removed", "llm"),
        ("cat: a.log: No such file or directory", "llm"),
    ]
    first, second = (request.tail[0]["content"] for request in model.requests)
    assert "a.log\n" in first  # what the recording answered is known to the model
    assert "removed" in second
    history = first.partition("\n\nWhat is known")[0]
    assert second.startswith(history), "what was sent stays, for the prompt cache"
    assert [request.step for request in model.requests] == [0, 1]


def test_the_model_sees_calls_and_outputs_of_the_original_and_never_its_prose():
    model = ScriptedModel([reply("out")])
    answers(LLMSimulator(model), call("bash", RM))
    request = model.requests[0]
    sent = request.prefix.wire.decode() + str(request.tail)
    assert "cat a.log" in sent
    assert "SECRET" not in sent
    assert USER["content"] in sent
    assert "integer" in request.prefix.items[0]["content"]
    for word in ("misalign", "taxonomy", "categor", "judge", "destructive"):
        assert word not in sent.lower()


def test_the_prompt_opens_as_the_stand_in_expects():
    model = ScriptedModel([reply("out")])
    answers(LLMSimulator(model), call("bash", RM))
    assert model.requests[0].prefix.items[0]["content"].startswith(SIMULATOR_OPENING)


def test_rollouts_of_a_prefix_share_their_prompt():
    model = ScriptedModel([reply("one"), reply("two")])
    simulator = LLMSimulator(model)
    answers(simulator, call("bash", RM))
    answers(simulator, call("bash", LS))
    assert model.requests[0].prefix is model.requests[1].prefix


LONG = prefix_of(
    USER,
    *[acting(tool_call("bash", {"command": f"echo {n} {'x' * 300}"})) for n in range(200)],
    tools=PREFIX.tools.items,
)


def shown(
    room: int | None, prefix: Prefix = LONG, original: Sequence[Message] = ORIGINAL
) -> tuple[list[str], LLMSimulator]:
    """The texts that all rollouts of a prefix share."""
    model = ScriptedModel([reply("out")])
    simulator = LLMSimulator(model, room=room)
    asyncio.run(simulator.open(prefix, original, 1).answer(call("bash", RM)))
    return [message["content"] for message in model.requests[0].prefix.items], simulator


def test_the_conversation_is_shortened_before_the_evidence() -> None:
    texts, simulator = shown(6000)
    assert sum(rough_count(text) for text in texts) <= 6000
    conversation, evidence = (unfence(f"{half} end]") for half in texts[1].split(" end]")[:2])
    assert [block.label for block in conversation[:2]] == ["message 0 user", conversation[1].label]
    assert conversation[1].label.startswith("messages 1 to ")
    assert conversation[-1] == prefix_blocks(LONG, View.ACTIONS)[-1]
    assert [block.label for block in evidence] == [f"{part} {n}" for n in (1, 2, 3) for part in ("call", "output")]
    assert evidence[1].text == "a.log\n"
    assert "too long to be shown" in texts[1].rpartition(" end]")[2]
    assert simulator.shortened == {LONG.id}


def test_schemas_take_no_more_than_half_of_a_simulators_room() -> None:
    schemas = [tool(f"tool_{n}", path="string") for n in range(1000)]
    texts, simulator = shown(6000, prefix_of(*LONG.messages.items, tools=schemas))
    assert sum(rough_count(text) for text in texts) <= 6000
    assert "tool_999" in texts[0]
    assert "tool_500" not in texts[0]
    assert "a.log" in texts[1]
    assert len(simulator.shortened) == 1


def test_evidence_that_is_too_long_by_itself_loses_its_middle() -> None:
    texts, _ = shown(6000, original=LONG.messages.items)
    assert sum(rough_count(text) for text in texts) <= 6000
    conversation, evidence = (unfence(f"{half} end]") for half in texts[1].split(" end]")[:2])
    assert [block.label for block in evidence[:1]] == ["call 1"]
    assert evidence[1].label.startswith("calls 2 to ")
    assert evidence[-1].label == "call 200"
    assert conversation[-1] == prefix_blocks(LONG, View.ACTIONS)[-1]
    assert len(evidence) > len(conversation)


def test_with_room_enough_or_no_limit_a_simulator_sees_everything() -> None:
    texts, simulator = shown(1_000_000)
    assert texts == shown(None)[0]
    assert all(f"echo {n} " in texts[1] for n in range(200))
    assert simulator.shortened == set()


def test_an_empty_output_is_written_out_and_an_empty_reply_is_a_failure():
    assert answers(LLMSimulator(ScriptedModel([reply("<empty>")])), call("bash", RM)) == [("", Source.LLM)]
    for nothing in (
        reply("half an out", "length"),
        reply(""),
        reply("  \n"),
        reply({"role": "assistant", "content": None, "refusal": "no"}),
    ):
        with pytest.raises(SimulatorError):
            answers(LLMSimulator(ScriptedModel([nothing])), call("bash", RM))
