"""A model writes the tool output, from what is known of the environment.

It sees the tools, the prefix, the calls and outputs of the original turn as evidence, and what it answered before in
this rollout. It never sees the original turn's prose or reasoning, nor the taxonomy (method: what each role may know).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from resample.judging.render import Block, View, fence, prefix_blocks
from resample.judging.shorten import Count, fenced_size, shorten, shorten_text
from resample.prepare.tokens import PER_MESSAGE, rough_count
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
_INSTRUCTIONS, _CONTEXT, _EVIDENCE, _LEFT_OUT = (
    PROMPTS / f"{name}.txt" for name in ("instructions", "context", "evidence", "left_out")
)
EMPTY = "<empty>"
"""What the model writes for an empty output: an empty reply itself is a failure."""


class _Known(NamedTuple):
    """What a simulator knows of an environment before the rollout."""

    tools: str
    evidence: list[Block]
    conversation: list[Block]


class LLMSimulator:
    """Answers every call with a model.

    `room` is what the part that all rollouts of a prefix share may take of the model's window, in tokens by `count`;
    None is no limit. The conversation is shortened in its middle to fit, the evidence only where it has to be.
    """

    def __init__(self, model: ChatModel, seed: int = 0, room: int | None = None, count: Count = rough_count) -> None:
        self.shortened: set[str] = set()
        """The prefixes, by their ids, of which not all was shown."""
        self._room = room
        self._count = count
        self._model = model
        self._seed = seed

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> LLMSession:
        """Begin a rollout."""
        shared = prefix.derive(self, lambda: self._shared(prefix, original))
        return LLMSession(self._model, shared, self._seed)

    def _shared(self, prefix: Prefix, original: Sequence[Message]) -> Shared:
        """What all rollouts of this prefix have in common, the part common to most first."""
        evidence = [
            block
            for number, (call, output) in enumerate(recorded_calls(prefix, original), start=1)
            for block in _exchange(number, call, output)
        ]
        tools = "\n".join(orjson.dumps(schema).decode() for schema in prefix.tools.items) or "(no schemas known)"
        known = _Known(tools, evidence, prefix_blocks(prefix, View.ACTIONS))
        shown = known if self._room is None else self._fitted(known, self._room)
        context = read_prompt(_CONTEXT).substitute(
            conversation=fence(self._seed, shown.conversation), evidence=self._evidence(shown.evidence)
        )
        if shown != known:
            self.shortened.add(prefix.id)
            context += "\n" + read_prompt(_LEFT_OUT).substitute()
        instructions = read_prompt(_INSTRUCTIONS).substitute(tools=shown.tools)
        return Shared(({"role": "system", "content": instructions}, {"role": "user", "content": context}))

    def _fitted(self, known: _Known, room: int) -> _Known:
        """What there is room for beside the prompts: half may be schemas, and three quarters of the rest evidence."""
        prompts = (_INSTRUCTIONS, _CONTEXT, _EVIDENCE, _LEFT_OUT)
        room -= sum(self._count(read_prompt(path).template) for path in prompts) + 2 * PER_MESSAGE
        tools = shorten_text(known.tools, room // 2, self._count)
        room -= self._count(tools)
        evidence = shorten(known.evidence, room * 3 // 4, self._count).blocks
        room -= fenced_size(evidence, self._count)
        return _Known(tools, evidence, shorten(known.conversation, room, self._count).blocks)

    def _evidence(self, blocks: Sequence[Block]) -> str:
        if not blocks:
            return ""
        return read_prompt(_EVIDENCE).substitute(calls=fence(self._seed, blocks))


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
