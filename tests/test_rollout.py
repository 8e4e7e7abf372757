"""One turn: every way it can end, and what each role is shown on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from builders import BASH, USER, ScriptedModel, acting, failure, prefix_of, reply, saying, tool, tool_call

from resample.rollout import play
from resample.types import (
    BudgetSpent,
    Fault,
    Prefix,
    Rollout,
    SimulatorError,
    Source,
    StopReason,
    StoreFailed,
    ToolCall,
    ToolOutput,
)

CALL = acting(tool_call("bash", {"command": "ls"}))
PREFIX = prefix_of(USER, tools=[BASH, tool("submit", answer="string")], terminal_tools=frozenset({"submit"}))


class Echo:
    """A simulator that answers with the call itself, or raises what it is given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls: list[ToolCall] = []

    def open(self, prefix: Prefix, original: Any, seed: int) -> Echo:
        return self

    async def answer(self, call: ToolCall) -> ToolOutput:
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        return ToolOutput(f"ran {call.arguments}", Source.OTHER)


def run(*script: Any, simulator: Any = None, max_steps: int = 5) -> tuple[Rollout, ScriptedModel]:
    model = ScriptedModel(script)
    rollout = asyncio.run(play(PREFIX, (), model, simulator or Echo(), seed=1, max_steps=max_steps))
    return rollout, model


@pytest.mark.parametrize(
    ("script", "reason", "messages"),
    [
        ([saying("done")], StopReason.ENDED, 1),
        ([saying("")], StopReason.ENDED, 1),
        ([saying("I will not do that.")], StopReason.ENDED, 1),
        ([CALL, saying("done")], StopReason.ENDED, 3),
        ([acting(tool_call("submit", {"answer": "42"}))], StopReason.TERMINAL_TOOL, 1),
        ([CALL] * 5, StopReason.MAX_STEPS, 9),
        ([reply("half a sen", "length")], StopReason.MAX_TOKENS, 1),
        ([reply(acting(tool_call("bash", '{"comm')), "length")], StopReason.MAX_TOKENS, 1),
        ([reply("", "content_filter")], StopReason.REFUSED, 1),
        ([reply({"role": "assistant", "content": None, "refusal": "no"})], StopReason.REFUSED, 1),
        ([CALL, failure(Fault.REFUSED)], StopReason.REFUSED, 2),
        ([CALL, failure(Fault.CONTEXT)], StopReason.CONTEXT_OVERFLOW, 2),
        ([failure(Fault.REJECTED)], StopReason.CANDIDATE_ERROR, 0),
        ([failure(Fault.ACCESS)], StopReason.INFRASTRUCTURE_ERROR, 0),
        ([CALL, failure(Fault.UNAVAILABLE)], StopReason.INFRASTRUCTURE_ERROR, 2),
    ],
)
def test_stop_reasons(script: list[Any], reason: StopReason, messages: int):
    rollout, _ = run(*script)
    assert (rollout.stop_reason, len(rollout.messages)) == (reason, messages)
    assert len(rollout.sources) == sum(m["role"] == "tool" for m in rollout.messages)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SimulatorError("cannot know"), StopReason.SIMULATOR_ERROR),
        (failure(Fault.REJECTED), StopReason.SIMULATOR_ERROR),
        (failure(Fault.REFUSED), StopReason.SIMULATOR_ERROR),
        (failure(Fault.CONTEXT), StopReason.SIMULATOR_ERROR),
        (failure(Fault.UNAVAILABLE), StopReason.INFRASTRUCTURE_ERROR),
        (failure(Fault.ACCESS), StopReason.INFRASTRUCTURE_ERROR),
        (ZeroDivisionError("a user's simulator"), StopReason.SIMULATOR_ERROR),
    ],
)
def test_a_failing_simulator_fails_the_rollout_by_name(error: Exception, reason: StopReason):
    rollout, _ = run(CALL, simulator=Echo(error))
    assert rollout.stop_reason is reason
    assert "bash" in rollout.detail


def test_a_candidate_of_the_users_own_that_raises_fails_its_rollout():
    rollout, _ = run(CALL, ZeroDivisionError("a user's model"))
    assert rollout.stop_reason is StopReason.CANDIDATE_ERROR
    assert "ZeroDivisionError" in rollout.detail


@pytest.mark.parametrize("answer", [None, "ls", ToolOutput({"a": 1}, Source.OTHER), ToolOutput("x", "bogus")])  # type: ignore[arg-type]
def test_a_simulator_that_answers_with_something_else_is_to_blame(answer: Any):
    class Odd(Echo):
        async def answer(self, call: ToolCall) -> ToolOutput:
            return answer  # type: ignore[no-any-return]

    rollout, _ = run(CALL, simulator=Odd())
    assert rollout.stop_reason is StopReason.SIMULATOR_ERROR
    assert "ToolOutput" in rollout.detail


@pytest.mark.parametrize("error", [SystemExit(0), asyncio.CancelledError()])
def test_nobodys_code_ends_the_run_from_within(error: BaseException):
    class Ends(Echo):
        async def answer(self, call: ToolCall) -> ToolOutput:
            raise error

    assert run(CALL, simulator=Ends())[0].stop_reason is StopReason.SIMULATOR_ERROR


def test_a_simulator_that_cannot_open_fails_its_rollout():
    class Closed:
        def open(self, prefix: Prefix, original: Any, seed: int) -> Any:
            raise KeyError("no such world")

    rollout, _ = run(CALL, simulator=Closed())
    assert rollout.stop_reason is StopReason.SIMULATOR_ERROR


def test_a_dead_disk_is_no_outcome():
    with pytest.raises(StoreFailed):
        run(StoreFailed("full"))
    with pytest.raises(StoreFailed):
        run(CALL, simulator=Echo(StoreFailed("full")))


def test_a_spent_budget_is_no_outcome():
    with pytest.raises(BudgetSpent):
        run(BudgetSpent("spent"))
    with pytest.raises(BudgetSpent):
        run(CALL, simulator=Echo(BudgetSpent("spent")))


def test_parallel_calls_are_answered_in_order():
    two = acting(tool_call("bash", {"command": "a"}, "call_a"), tool_call("bash", {"command": "b"}, "call_b"))
    rollout, _ = run(two, saying("done"))
    assert [m["tool_call_id"] for m in rollout.messages if m["role"] == "tool"] == ["call_a", "call_b"]
    assert [len(step.outputs) for step in rollout.steps] == [2, 0]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (tool_call("bash", '{"command": "ls"'), "not a valid JSON object"),
        (tool_call("bash", '["ls"]'), "not a valid JSON object"),
        (tool_call("shell", {"command": "ls"}), "unknown tool 'shell'"),
    ],
)
def test_a_call_that_no_tool_can_take_is_answered_as_a_harness_would(call: dict[str, Any], says: str):
    simulator = Echo()
    rollout, model = run(acting(call), saying("sorry"), simulator=simulator)
    assert rollout.stop_reason is StopReason.ENDED
    assert says in rollout.messages[1]["content"]
    assert rollout.sources == (Source.HARNESS,)
    assert not simulator.calls
    assert model.requests[1].tail == rollout.messages[:2]


def test_the_candidate_gets_the_prefix_its_own_messages_and_nothing_else():
    rollout, model = run(acting(tool_call("bash", {"command": "ls"}), reasoning="hm"), saying("done"))
    first, second = model.requests
    assert first.prefix is PREFIX.messages
    assert first.tools is PREFIX.tools
    assert first.tail == ()
    assert second.tail == rollout.messages[:2]
    assert second.tail[0]["reasoning_content"] == "hm"
    assert (first.step, second.step) == (0, 1)
    assert first.schema is None


def test_outputs_nobody_will_read_are_not_paid_for():
    simulator = Echo()
    run(CALL, CALL, simulator=simulator, max_steps=2)
    assert len(simulator.calls) == 1
