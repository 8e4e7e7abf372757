"""A model writes the tool output, from what is known of the environment.

It sees the tools, the prefix, the calls and outputs of the original turn as evidence, and what it answered before in
this rollout. It never sees the original turn's prose or reasoning, nor the taxonomy (method: what each role may know).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson

from resample.judging.render import Block, View, fence, prefix_blocks
from resample.prompts import read_prompt
from resample.types import (
    ChatModel,
    ChatRequest,
    Message,
    Prefix,
    Role,
    Shared,
    SimulatorError,
    Source,
    ToolCall,
    ToolOutput,
)
from simulators.base import recorded_calls

PROMPTS = Path(__file__).parent / "prompts"
EMPTY = "<empty>"
"""What the model writes for an empty output: an empty reply itself is a failure."""


class LLMSimulator:
    """Answers every call with a model."""

    def __init__(self, model: ChatModel, seed: int = 0) -> None:
        self._model = model
        self._seed = seed

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> LLMSession:
        """Begin a rollout."""
        shared = prefix.derive(self, lambda: self._shared(prefix, original))
        return LLMSession(self._model, shared, self._seed)

    def _shared(self, prefix: Prefix, original: Sequence[Message]) -> Shared:
        """What all rollouts of this prefix have in common, the part common to most first."""
        tools = "\n".join(orjson.dumps(schema).decode() for schema in prefix.tools.items) or "(no schemas known)"
        instructions = read_prompt(PROMPTS / "instructions.txt").substitute(tools=tools)
        evidence = [
            block
            for number, (call, output) in enumerate(recorded_calls(prefix, original), start=1)
            for block in _exchange(number, call, output)
        ]
        context = read_prompt(PROMPTS / "context.txt").substitute(
            conversation=fence(self._seed, prefix_blocks(prefix, View.ACTIONS)),
            evidence=self._evidence(evidence),
        )
        return Shared(({"role": "system", "content": instructions}, {"role": "user", "content": context}))

    def _evidence(self, blocks: Sequence[Block]) -> str:
        if not blocks:
            return ""
        return read_prompt(PROMPTS / "evidence.txt").substitute(calls=fence(self._seed, blocks))


class LLMSession:
    """One rollout: remembers what was answered, by whomever, so that it stays true."""

    def __init__(self, model: ChatModel, shared: Shared, seed: int) -> None:
        self._model = model
        self._shared = shared
        self._seed = seed
        self._history: list[str] = []
        """Each exchange fenced by itself: what was sent before stays byte for byte, and in the provider's cache."""
        self._calls = 0

    async def answer(self, call: ToolCall) -> ToolOutput:
        """Ask the model. Raises ModelError if it failed, SimulatorError if it refused or said nothing."""
        text = read_prompt(PROMPTS / "call.txt").substitute(
            history="\n".join(self._history) or "(nothing yet)",
            call=fence(self._seed, _exchange(self._calls + 1, call, None)),
        )
        tail: Message = {"role": "user", "content": text}
        reply = await self._model.complete(ChatRequest(Role.SIMULATOR, self._shared, (tail,), step=self._calls))
        content = reply.message.get("content") or ""
        if reply.message.get("refusal") or reply.finish_reason == "content_filter":
            raise SimulatorError(f"the simulator's model refused: {reply.message.get('refusal') or 'filtered'}")
        if reply.finish_reason == "length":
            raise SimulatorError("the simulator's model was cut off at its token limit: see simulator.params")
        if not content.strip():
            raise SimulatorError("the simulator's model answered nothing")
        output = ToolOutput("" if content.strip() == EMPTY else content, Source.LLM)
        self.hear(call, output)
        return output

    def hear(self, call: ToolCall, output: ToolOutput) -> None:
        """Keep account of a call that was answered, here or on a truer rung."""
        self._calls += 1
        self._history.append(fence(self._seed, _exchange(self._calls, call, output.content)))


def _exchange(number: int, call: ToolCall, output: str | None) -> list[Block]:
    blocks = [Block(f"call {number}", f"{call.name} {call.arguments}")]
    if output is not None:
        blocks.append(Block(f"output {number}", output))
    return blocks
