"""The judge: one model call per rollout, one more ask where the answer does not hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from resample.judging.render import Block, View, fence, prefix_blocks, rollout_blocks, schema_block
from resample.judging.shorten import Count, fenced_size, shorten, shorten_block
from resample.judging.taxonomy import Taxonomy
from resample.judging.verdict import UnsupportedFinding, UnusableAnswer, parse_verdict, verdict_schema
from resample.prepare.tokens import PER_MESSAGE, rough_count
from resample.prompts import read_prompt
from resample.types import (
    ChatModel,
    ChatRequest,
    Fault,
    Message,
    ModelError,
    Prefix,
    Reply,
    Role,
    Rollout,
    Shared,
    Verdict,
    VerdictOutcome,
)

PROMPTS = Path(__file__).parent / "prompts"
_CONVERSATION = PROMPTS / "conversation.txt"
_LEFT_OUT = PROMPTS / "left_out.txt"
ASKS = 2


class LLMJudge:
    """Classifies rollouts with a model, by a taxonomy.

    `room` is what the instructions and the conversation before the turn may take of the model's window, in tokens by
    `count`; None is no limit. A longer conversation is shortened in its middle. The turn itself never is.
    """

    def __init__(
        self,
        model: ChatModel,
        taxonomy: Taxonomy,
        view: str = View.FULL,
        seed: int = 0,
        room: int | None = None,
        count: Count = rough_count,
    ) -> None:
        self.shortened: set[str] = set()
        """The prefixes, by their ids, whose conversation did not fit."""
        self._room = room
        self._count = count
        self._model = model
        self._taxonomy = taxonomy
        self._view = View(view)
        self._seed = seed
        self._schema = verdict_schema(taxonomy)
        self._instructions: Message = {
            "role": "system",
            "content": read_prompt(PROMPTS / "instructions.txt").substitute(taxonomy=taxonomy.text),
        }

    async def judge(self, prefix: Prefix, rollout: Rollout) -> Verdict:
        """Classify one rollout. Failures are outcomes; only RunStopped is raised."""
        if not rollout.steps:
            return Verdict(VerdictOutcome.JUDGED, notes="The agent said and did nothing.")
        shared = prefix.derive(self, lambda: self._shared(prefix))
        tail: list[Message] = [self._turn(rollout)]
        failure = Verdict(VerdictOutcome.JUDGE_ERROR)
        for ask in range(ASKS):
            request = ChatRequest(Role.JUDGE, shared, tuple(tail), step=ask, schema=self._schema)
            try:
                reply = await self._model.complete(request)
            except ModelError as error:
                refused = error.fault is Fault.REFUSED
                outcome = VerdictOutcome.JUDGE_REFUSED if refused else VerdictOutcome.JUDGE_ERROR
                return Verdict(outcome, detail=str(error))
            if refusal := _refusal(reply):
                return Verdict(VerdictOutcome.JUDGE_REFUSED, detail=refusal)
            text = reply.message.get("content") or ""
            try:
                return parse_verdict(text, self._taxonomy, rollout, self._view)
            except UnusableAnswer as error:
                failure = Verdict(VerdictOutcome.UNPARSEABLE, detail=str(error))
            except UnsupportedFinding as error:
                failure = Verdict(VerdictOutcome.UNDECIDED, detail=str(error))
            tail += [{"role": "assistant", "content": text}, self._again(failure.detail)]
        return failure

    def _shared(self, prefix: Prefix) -> Shared:
        tools, conversation = schema_block(prefix.tools.items), prefix_blocks(prefix, self._view)
        blocks = [tools, *conversation] if self._room is None else self._fitted(tools, conversation, self._room)
        content = read_prompt(_CONVERSATION).substitute(conversation=fence(self._seed, blocks))
        if blocks != [tools, *conversation]:
            self.shortened.add(prefix.id)
            content += "\n" + read_prompt(_LEFT_OUT).substitute()
        return Shared((self._instructions, {"role": "user", "content": content}))

    def _fitted(self, tools: Block, conversation: Sequence[Block], room: int) -> list[Block]:
        """The blocks in what the prompts leave of the room; the schemas may take half of it."""
        prompts = (self._instructions["content"], *(read_prompt(path).template for path in (_CONVERSATION, _LEFT_OUT)))
        room -= sum(map(self._count, prompts)) + 2 * PER_MESSAGE
        tools = shorten_block(tools, room // 2, self._count)
        return [tools, *shorten(conversation, room - fenced_size([tools], self._count), self._count).blocks]

    def _turn(self, rollout: Rollout) -> Message:
        text = fence(self._seed, rollout_blocks(rollout, self._view))
        ending = read_prompt(PROMPTS / "cut_off.txt").substitute() + "\n" if rollout.stop_reason.cut_off else ""
        return {"role": "user", "content": read_prompt(PROMPTS / "turn.txt").substitute(turn=text, ending=ending)}

    def _again(self, problem: str) -> Message:
        return {"role": "user", "content": read_prompt(PROMPTS / "again.txt").substitute(problem=problem)}


def _refusal(reply: Reply) -> str:
    if reply.message.get("refusal"):
        return str(reply.message["refusal"])
    return "stopped by the provider's content filter" if reply.finish_reason == "content_filter" else ""
