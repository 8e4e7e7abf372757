"""Whose fault: does a finding depend on content that only the simulator invented?

A call of its own after the verdict, which it never changes. Unlike the judge it is told where each tool output came
from; like the judge it is told nothing of the arm or of any model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from resample.judging.answer import UnusableAnswer, closed_object, read_answer
from resample.judging.context import PROMPTS, Context, refusal_of
from resample.judging.judge import ASKS
from resample.judging.render import Block, View, agent_blocks, fence, text_of
from resample.judging.shorten import Count
from resample.prepare.tokens import rough_count
from resample.prompts import read_prompt
from resample.types import ChatModel, ChatRequest, Finding, Message, ModelError, Prefix, Role, Rollout, Verdict

_ENTRY = closed_object(
    finding={"type": "integer"},
    why={"type": "string"},  # before the answer: a model that reasons as it writes reasons first
    depends={"type": "boolean"},
)
_ANSWER = closed_object(findings={"type": "array", "items": _ENTRY})
SCHEMA = {"name": "dependence", "strict": True, "schema": _ANSWER}
"""The OpenAI `json_schema` object of an answer."""
FIRST_STEP = ASKS
"""Its requests are steps after the judge's own: a step is part of the seed, and of what a failure takes back."""


class LLMDependence:
    """Asks a model once per rollout, about all findings that can depend on invented content.

    `view` says what it is shown of the agent's messages, as for the judge; tool outputs it is always shown. `room` and
    `count` are those of the judge: a conversation that does not fit is shortened, the turn never is.
    """

    def __init__(
        self,
        model: ChatModel,
        view: str = View.FULL,
        seed: int = 0,
        room: int | None = None,
        count: Count = rough_count,
    ) -> None:
        self._model = model
        self._view = View(view)
        self._seed = seed
        instructions = read_prompt(PROMPTS / "dependence.txt").substitute()
        self._context = Context(instructions, self._view, seed, room, count)

    async def depends(self, prefix: Prefix, rollout: Rollout, verdict: Verdict) -> list[bool | None]:
        """One answer per finding, in order; None where there is none. Only RunStopped is raised.

        A finding with no invented output up to its step depends on nothing, and nobody is asked about it.
        """
        outputs = _outputs(rollout)
        first = min((output.step for output in outputs if output.invented), default=None)
        if first is None:
            return [False] * len(verdict.findings)
        asked = [finding for finding in verdict.findings if first <= finding.step]
        answers = iter(await self._ask(prefix, rollout, outputs, asked) if asked else ())
        return [next(answers) if first <= finding.step else False for finding in verdict.findings]

    async def _ask(
        self, prefix: Prefix, rollout: Rollout, outputs: Sequence[_Output], findings: Sequence[Finding]
    ) -> Sequence[bool | None]:
        blocks = [*_turn_blocks(rollout, outputs, self._view), *_finding_blocks(findings)]
        tail = [_message("dependence_turn", turn=fence(self._seed, blocks), numbers=_numbers(len(findings)))]
        for ask in range(ASKS):
            step = FIRST_STEP + ask
            request = ChatRequest(Role.JUDGE, self._context.of(prefix), tuple(tail), step=step, schema=SCHEMA)
            try:
                reply = await self._model.complete(request)
            except ModelError:
                break
            if refusal_of(reply):
                break
            text = reply.message.get("content") or ""
            try:
                return parse_answers(text, len(findings))
            except UnusableAnswer as error:
                tail += [{"role": "assistant", "content": text}, _message("dependence_again", problem=str(error))]
        return [None] * len(findings)


def parse_answers(text: str, count: int) -> list[bool]:
    """What a reply says of the findings 1 to `count`. Raises UnusableAnswer unless it answers for each, once."""
    entries = read_answer(text, _ANSWER)["findings"]
    answers = {int(entry["finding"]): bool(entry["depends"]) for entry in entries}
    if len(entries) != count or answers.keys() != set(range(1, count + 1)):
        raise UnusableAnswer(f"it must have exactly one entry for each finding ({_numbers(count)})")
    return [answers[number] for number in range(1, count + 1)]


class _Output(NamedTuple):
    """A tool output of the turn."""

    step: int
    text: str
    invented: bool


def _outputs(rollout: Rollout) -> list[_Output]:
    shown = [(number, text_of(m)) for number, step in enumerate(rollout.steps, start=1) for m in step.outputs]
    pairs = zip(shown, rollout.sources, strict=True)
    return [_Output(number, text, source.invented) for (number, text), source in pairs]


def _turn_blocks(rollout: Rollout, outputs: Sequence[_Output], view: View) -> list[Block]:
    blocks: list[Block] = []
    for number, step in enumerate(rollout.steps, start=1):
        blocks += agent_blocks(f"step {number}", step.message, view)
        for output in outputs:
            if output.step == number:
                blocks.append(Block(f"step {number} {'invented' if output.invented else 'known'} output", output.text))
    return blocks


def _finding_blocks(findings: Sequence[Finding]) -> list[Block]:
    """Each as one line of JSON, which no quote can break out of."""
    listed = enumerate(findings, start=1)
    return [Block(f"finding {number}", orjson.dumps(finding._asdict()).decode()) for number, finding in listed]


def _numbers(count: int) -> str:
    return "1" if count == 1 else f"1 to {count}"


def _message(prompt: str, **filled: str) -> Message:
    return {"role": "user", "content": read_prompt(PROMPTS / f"{prompt}.txt").substitute(filled)}
