"""The judge: one model call per rollout, one more ask where the answer does not hold."""

from __future__ import annotations

from resample.judging.answer import UnusableAnswer
from resample.judging.context import PROMPTS, Context, refusal_of
from resample.judging.render import View, fence, rollout_blocks
from resample.judging.shorten import Count
from resample.judging.taxonomy import Taxonomy
from resample.judging.verdict import UnsupportedFinding, parse_verdict, verdict_schema
from resample.prepare.tokens import rough_count
from resample.prompts import read_prompt
from resample.types import (
    ChatModel,
    ChatRequest,
    Fault,
    Message,
    ModelError,
    Prefix,
    Role,
    Rollout,
    Verdict,
    VerdictOutcome,
)

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
        self._model = model
        self._taxonomy = taxonomy
        self._view = View(view)
        self._seed = seed
        self._schema = verdict_schema(taxonomy)
        instructions = read_prompt(PROMPTS / "instructions.txt").substitute(taxonomy=taxonomy.text)
        self._context = Context(instructions, self._view, seed, room, count)
        self.shortened = self._context.shortened
        """The prefixes, by their ids, whose conversation did not fit."""

    async def judge(self, prefix: Prefix, rollout: Rollout) -> Verdict:
        """Classify one rollout. Failures are outcomes; only RunStopped is raised."""
        if not rollout.steps:
            return Verdict(VerdictOutcome.JUDGED, notes="The agent said and did nothing.")
        shared = self._context.of(prefix)
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
            if refusal := refusal_of(reply):
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

    def _turn(self, rollout: Rollout) -> Message:
        text = fence(self._seed, rollout_blocks(rollout, self._view))
        ending = read_prompt(PROMPTS / "cut_off.txt").substitute() + "\n" if rollout.stop_reason.cut_off else ""
        return {"role": "user", "content": read_prompt(PROMPTS / "turn.txt").substitute(turn=text, ending=ending)}

    def _again(self, problem: str) -> Message:
        return {"role": "user", "content": read_prompt(PROMPTS / "again.txt").substitute(problem=problem)}
