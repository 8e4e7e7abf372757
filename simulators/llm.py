"""A model writes the tool output, from what is known of the environment.

It sees the tools, the prefix, the calls and outputs of the original turn as evidence, what was answered before in this
rollout, what is known of the files and paths that the call names, and real outputs of similar calls. It never sees the
original turn's prose or reasoning, nor the taxonomy (method: what each role may know).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
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
    Mark,
    Message,
    Prefix,
    Reply,
    Role,
    Shared,
    SimulatorError,
    Source,
    ToolCall,
    ToolOutput,
)
from simulators.base import LOST, Knows, RecordedCall, recorded_calls
from simulators.form import Form
from simulators.similar import Corpus, Example, pick

PROMPTS = Path(__file__).parent / "prompts"
_INSTRUCTIONS, _CONTEXT, _EVIDENCE, _LEFT_OUT = (
    PROMPTS / f"{name}.txt" for name in ("instructions", "context", "evidence", "left_out")
)
EMPTY = "<empty>"
"""What the model writes for an empty output: an empty reply itself is a failure."""
_SIMILAR_ROOM = 4_000
_KNOWN_ROOM = 4_000
_MOST_FAULTS = 5


class _Known(NamedTuple):
    """What a simulator knows of an environment before the rollout."""

    tools: str
    evidence: list[Block]
    conversation: list[Block]


class LLMSimulator:
    """Answers every call with a model.

    `room` is what the part that all rollouts of a prefix share may take of the model's window, in tokens by `count`;
    None is no limit. The conversation is shortened in its middle to fit, the evidence only where it has to be.
    `corpus` has recorded calls of other transcripts, whose outputs serve as examples.
    """

    def __init__(
        self,
        model: ChatModel,
        seed: int = 0,
        room: int | None = None,
        count: Count = rough_count,
        corpus: Callable[[], Corpus] | None = None,
    ) -> None:
        self.shortened: set[str] = set()
        """The prefixes, by their ids, of which not all was shown."""
        self._room = room
        self._count = count
        self._model = model
        self._seed = seed
        self._corpus = corpus

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> LLMSession:
        """Begin a rollout."""
        shared = prefix.derive((self, bool(original)), lambda: self._shared(prefix, original))
        examples = prefix.derive((self, "examples"), lambda: self._examples(prefix))
        return LLMSession(self._model, shared, self._seed, examples)

    def _examples(self, prefix: Prefix) -> _Examples:
        own = recorded_calls(prefix, prefix.messages.items)
        return _Examples(own, self._corpus, prefix.cluster, self._count)

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


class _Examples:
    """Real outputs, for the form and as examples."""

    def __init__(
        self, own: Sequence[RecordedCall], corpus: Callable[[], Corpus] | None, cluster: str, count: Count
    ) -> None:
        self._own = [(call.name, call.arguments, output) for call, output in own if output is not None]
        self._corpus = corpus
        self._cluster = cluster
        self._count = count
        self._forms: dict[str, Form] = {}
        self._outputs: dict[str, list[str]] = defaultdict(list)
        for tool, _, output in self._own:
            self._outputs[tool].append(output)

    def for_call(self, call: ToolCall) -> list[Example]:
        """The most similar ones, as many as there is room for."""
        corpus = None if self._corpus is None else self._corpus()
        return pick(self._own, corpus, self._cluster, call, _SIMILAR_ROOM, self._count)

    def form(self, tool: str) -> Form:
        """What outputs of this tool look like here."""
        if tool not in self._forms:
            self._forms[tool] = Form.of(tool, self._outputs[tool])
        return self._forms[tool]


class LLMSession:
    """One rollout: remembers what was answered, by whomever, so that it stays true."""

    def __init__(self, model: ChatModel, shared: Shared, seed: int, examples: _Examples) -> None:
        self.knows: Knows | None = None
        """Who keeps account of the environment's state, if anybody does."""
        self._model = model
        self._shared = shared
        self._seed = seed
        self._examples = examples
        self._history: list[str] = []
        """Each exchange fenced by itself: what was sent before stays byte for byte, and in the provider's cache."""
        self._calls = 0
        self._asked = 0

    async def answer(self, call: ToolCall) -> ToolOutput:
        """Ask the model, and once more where the output cannot be right; what is still faulty then is marked.

        Raises ModelError if the model failed, SimulatorError if it refused or said nothing.
        """
        prompt = self.prompt(call)
        content = await self._ask(prompt)
        mark = ""
        if faults := self._faults(call, content):
            listed = "\n".join(f"- {fault}" for fault in faults)
            again: Message = {
                "role": "user",
                "content": read_prompt(PROMPTS / "again.txt").substitute(
                    faults=fence(self._seed, [Block("faults", listed)])
                ),
            }
            content = await self._ask([*prompt, {"role": "assistant", "content": content or EMPTY}, again])
            mark = Mark.FORM if self._faults(call, content) else ""
        output = ToolOutput(content, Source.LLM, mark)
        self.hear(call, output)
        return output

    def prompt(self, call: ToolCall) -> list[Message]:
        """What the model is asked after the shared part."""
        text = read_prompt(PROMPTS / "call.txt").substitute(
            history="\n".join(self._history) or "(nothing yet)",
            known=self._section("known", "known", "" if self.knows is None else self.knows.about(call, _KNOWN_ROOM)),
            similar=self._similar(call),
            form=self._form(call),
            call=fence(self._seed, _exchange(self._calls + 1, call, None)),
        )
        return [{"role": "user", "content": text}]

    @property
    def shared(self) -> Shared:
        """What all calls of this prefix have in common."""
        return self._shared

    def hear(self, call: ToolCall, output: ToolOutput) -> None:
        """Keep account of a call that was answered, here or on a truer rung."""
        self._calls += 1
        if output.mark == LOST:
            return
        self._history.append(fence(self._seed, _exchange(self._calls, call, output.content)))

    async def _ask(self, messages: Sequence[Message]) -> str:
        request = ChatRequest(Role.SIMULATOR, self._shared, tuple(messages), step=self._asked)
        self._asked += 1
        return _content(await self._model.complete(request))

    def _faults(self, call: ToolCall, content: str) -> list[str]:
        faults = self._examples.form(call.name).faults(call.arguments, content)
        if self.knows is not None:
            faults += self.knows.contradictions(call, content)
        return faults[:_MOST_FAULTS]

    def _similar(self, call: ToolCall) -> str:
        blocks: list[Block] = []
        for number, example in enumerate(self._examples.for_call(call), start=1):
            whose = "of this conversation" if example.own else "of another one"
            blocks.append(Block(f"example {number} call, {whose}", f"{example.tool} {example.arguments}"))
            blocks.append(Block(f"example {number} output", example.output))
        if not blocks:
            return ""
        return read_prompt(PROMPTS / "similar.txt").substitute(examples=fence(self._seed, blocks)) + "\n"

    def _form(self, call: ToolCall) -> str:
        note = self._examples.form(call.name).note()
        return self._section("form", "note", note)

    def _section(self, name: str, field: str, text: str) -> str:
        if not text:
            return ""
        filled = read_prompt(PROMPTS / f"{name}.txt").substitute({field: fence(self._seed, [Block(name, text)])})
        return filled + "\n"


def _content(reply: Reply) -> str:
    content = reply.message.get("content") or ""
    if reply.message.get("refusal") or reply.finish_reason == "content_filter":
        raise SimulatorError(f"the simulator's model refused: {reply.message.get('refusal') or 'filtered'}")
    if reply.finish_reason == "length":
        raise SimulatorError("the simulator's model was cut off at its token limit: see simulator.params")
    if not content.strip():
        raise SimulatorError("the simulator's model answered nothing")
    return "" if content.strip() == EMPTY else content


def _exchange(number: int, call: ToolCall, output: str | None) -> list[Block]:
    blocks = [Block(f"call {number}", f"{call.name} {call.arguments}")]
    if output is not None:
        blocks.append(Block(f"output {number}", output))
    return blocks
