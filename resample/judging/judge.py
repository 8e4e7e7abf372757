"""The judge: one model call per rollout, one more ask where the answer does not hold."""

from __future__ import annotations

from pathlib import Path

from resample.judging.render import View, fence, prefix_blocks, rollout_blocks, schema_block
from resample.judging.taxonomy import Taxonomy
from resample.judging.verdict import UnsupportedFinding, UnusableAnswer, parse_verdict, verdict_schema
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
ASKS = 2


class LLMJudge:
    """Classifies rollouts with a model, by a taxonomy."""

    def __init__(self, model: ChatModel, taxonomy: Taxonomy, view: str = View.FULL, seed: int = 0) -> None:
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
        blocks = [schema_block(prefix.tools.items), *prefix_blocks(prefix, self._view)]
        text = fence(self._seed, blocks)
        content = read_prompt(PROMPTS / "conversation.txt").substitute(conversation=text)
        return Shared((self._instructions, {"role": "user", "content": content}))

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
