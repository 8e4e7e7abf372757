"""Schedules a run: prefixes x samples, each judged as soon as it ends; what is already stored is not done again.

The order of clusters is drawn beforehand from the seed. Work in flight is bounded, and so is memory: a prefix is read
when its turn comes and dropped when its last rollout is done.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial

from resample.actions import style
from resample.guard import guarded
from resample.journal import journalling
from resample.judging.canaries import Canary
from resample.judging.dependence import FIRST_STEP
from resample.models.budget import Budget, TurnAtWork, TurnBudget, Turns
from resample.prepare.index import Indexed
from resample.rollout import play
from resample.schedule import Group, Places, Schedule, Work
from resample.seeds import derive
from resample.store import Finished, Store
from resample.types import (
    Arm,
    BudgetSpent,
    ChatModel,
    ChatRequest,
    Dependence,
    Judge,
    Message,
    Prefix,
    Reply,
    Role,
    Rollout,
    RolloutKey,
    RunStopped,
    Source,
    StopReason,
    ToolSimulator,
    Usage,
    Verdict,
    VerdictOutcome,
)

Load = Callable[[Indexed], tuple[Prefix, tuple[Message, ...]]]

_FEW = 20
"""`max_failures` is a share: of fewer finished rollouts than this it says nothing, while the run goes on."""


class Ending(StrEnum):
    """Why a run stopped working."""

    FINISHED = "finished"
    """Nothing is left to do."""
    BUDGET = "budget spent"
    """The next call might have passed the budget."""
    FAILURES = "too many failures"
    """More than `max_failures` of the finished rollouts failed."""
    STOPPED = "stopped"
    """Somebody asked it to stop."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run does."""

    samples: int
    max_steps: int
    seed: int
    concurrency: int
    max_failures: float
    judge: str
    """The judge's name in the store."""
    retry: bool = False
    """Is what failed run again?"""
    warm: bool = True
    """Does the first turn of a prefix go alone, until it has its first reply?"""
    together: bool = False
    """Does it draw the first steps of those that wait for it, in the same request?"""


@dataclass
class Progress:
    """Counts of the run at hand, for whoever shows them."""

    planned: int = 0
    """Turns to be judged in this process: rollouts, recorded turns and canaries."""
    rollouts: int = 0
    judged: int = 0
    failed: int = 0
    tokens: int = 0
    usd: float | None = 0.0
    """None once a call without a known price was made."""
    changed: Callable[[Progress], None] = field(default=lambda _: None, repr=False)

    @property
    def finished(self) -> int:
        """Turns that are done, one way or the other."""
        return self.judged + self.failed

    def paid(self, usage: Usage) -> None:
        """Count what one more reply used."""
        self.tokens += usage.prompt_tokens + usage.completion_tokens
        self.usd = None if self.usd is None or usage.usd is None else self.usd + usage.usd

    @property
    def text(self) -> str:
        """What a bar says beside itself."""
        cost = "" if self.usd is None else f", ${self.usd:.2f}"
        counts = f"{self.rollouts} rollouts, {self.judged} judged, {self.failed} failed"
        return f"{counts}, {self.tokens / 1000:,.0f}k tokens{cost}"


class _Announcing:
    """A ChatModel that tells when its first reply is there."""

    def __init__(self, model: ChatModel, replied: Callable[[], None]) -> None:
        self._model = model
        self._replied = replied

    async def complete(self, request: ChatRequest) -> Reply:
        """Answer as the model does."""
        reply = await self._model.complete(request)
        if request.step == 0:
            self._replied()
        return reply

    async def close(self) -> None:
        """Close the model."""
        await self._model.close()


class Engine:
    """Runs a plan. `models` has an entry for each arm that makes turns; None stands for the original turn itself."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        models: Mapping[Arm, ChatModel | None],
        simulator: ToolSimulator | None,
        judge: Judge,
        canaries: Sequence[Canary],
        load: Load,
        progress: Progress,
        dependence: Dependence | None = None,
        places: Places | None = None,
        budget: TurnBudget | None = None,
    ) -> None:
        """With `dependence`, it is asked of the findings in played turns, as a part of the work on their verdict.

        `places` are those that models give way in while they wait for one another's requests; `budget` is asked
        before a prefix is opened.
        """
        self._store = store
        self._settings = settings
        self._models = models
        self._simulator = simulator
        self._judge = judge
        self._canaries = canaries
        self._load = load
        self._progress = progress
        self._dependence = dependence
        self.why = ""
        """What there is to say of the ending, beside its name."""
        self._stopping: Ending | None = None
        self._budget = budget or TurnBudget(Budget())
        self._places = places or Places(settings.concurrency)
        self._schedule = Schedule(self._groups(), warm=settings.warm)
        self._turns: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None
        """What ended a turn that should have ended otherwise, and so ends the run."""
        self._wake = asyncio.Event()
        """Set when there may be something to begin, or a turn has ended."""
        self._places.changed = self._wake.set
        self._resumed = bool(store.usage())

    async def run(self) -> Ending:
        """Work until nothing is left, or something stops it. Everything finished is committed on return."""
        self._progress.planned = self.left
        self._progress.changed(self._progress)
        try:
            while True:
                await self._begin()
                if self._error is not None:
                    raise self._error
                if not self._turns:
                    return self._stopping or Ending.FINISHED
                await self._wake.wait()
                self._wake.clear()
        finally:
            turns = list(self._turns)
            for turn in turns:
                turn.cancel()
            await asyncio.gather(*turns, return_exceptions=True)
            await self._store.flush()

    async def _begin(self) -> None:
        """Begin as many turns as there are places for."""
        while self._goes_on and self._places.free > 0:
            if not self._schedule.ready:
                if not self._opens():
                    return
                continue
            work = self._schedule.pop()
            self._places.take()
            turn = asyncio.create_task(self._turn(work, self._budget.begin(work.rollout is None)))
            self._turns.add(turn)
            turn.add_done_callback(self._ended)
            await asyncio.sleep(0)  # let it ask, and let answers in: opening a prefix takes its time

    def _opens(self) -> bool:
        """Open the next prefix, if there is one, and room for all of its turns."""
        turns = self._schedule.following()
        if turns is None:
            return False
        if not self._budget.fits(turns, self._schedule.waiting):
            if not self._turns:  # or those at work may turn out cheaper
                self._stopping = Ending.BUDGET
                self.why = self._budget.explain(turns)
            return False
        self._schedule.open()
        return True

    @property
    def _goes_on(self) -> bool:
        return self._stopping is None and self._error is None

    def _ended(self, turn: asyncio.Task[None]) -> None:
        self._turns.discard(turn)
        if not turn.cancelled():
            self._error = self._error or turn.exception()
        self._wake.set()

    # -- the plan, minus what is stored -------------------------------------------------------------------------

    def _groups(self) -> Iterator[Group]:
        """All that is left to do: clusters in drawn order, canaries among them at drawn places."""
        return heapq.merge(self._prefix_groups(), self._canary_groups(), key=lambda g: (g.draw, g.name))

    @cached_property
    def left(self) -> int:
        """How many turns were still to be done when this was first asked."""
        turns = sum(len(self._keys(entry.prefix)) for entry, _ in self._store.prefixes())
        return turns + sum(len(self._open_keys(c.prefix.id, [(Arm.CANARY, 0)])) for c in self._canaries)

    def _prefix_groups(self) -> Iterator[Group]:
        for entry, draw in self._store.prefixes():
            if keys := self._keys(entry.prefix):
                played = sum(self._models[key.arm] is not None for key in keys)
                turns = Turns(played, len(keys) - played)
                yield Group(draw, entry.cluster, turns, partial(self._open_prefix, entry, keys))

    def _canary_groups(self) -> Iterator[Group]:
        drawn = sorted((derive(self._settings.seed, "draw", c.prefix.id), c.id, c) for c in self._canaries)
        for draw, name, canary in drawn:
            yield Group(draw, name, Turns(judged=1), partial(self._open_canary, canary))

    def _keys(self, prefix: str) -> list[RolloutKey]:
        """The turns of a prefix that are still to be done, shuffled: an arm's place in the queue tells nothing."""
        samples = self._settings.samples
        slots = [(arm, i) for arm, model in self._models.items() for i in range(samples if model else 1)]
        random.Random(derive(self._settings.seed, "queue", prefix)).shuffle(slots)
        return self._open_keys(prefix, slots)

    def _open_keys(self, prefix: str, slots: Sequence[tuple[Arm, int]]) -> list[RolloutKey]:
        finished = self._store.finished(prefix, self._settings.judge)
        return [RolloutKey(prefix, *slot) for slot in slots if not self._is_done(finished.get(slot, Finished()))]

    def _is_done(self, finished: Finished) -> bool:
        reason, outcome, is_open = finished
        if reason is None or (outcome is None and not reason.failed):
            return False
        failed = reason.failed or outcome is not VerdictOutcome.JUDGED or (is_open and self._dependence is not None)
        return not (failed and self._settings.retry)

    def _open_prefix(self, entry: Indexed, keys: Sequence[RolloutKey]) -> Iterator[Work]:
        prefix, original = self._load(entry)
        finished = self._store.finished(entry.prefix, self._settings.judge)
        for key in keys:
            so_far = finished.get((key.arm, key.sample), Finished())
            self._forget(key, so_far)
            played = so_far.stop_reason is not None and not so_far.stop_reason.failed
            if self._models[key.arm] is None:
                yield Work(key, prefix, original, _recorded(prefix, original))
            else:
                stands = so_far.outcome is VerdictOutcome.JUDGED
                verdict = self._store.verdict(key, self._settings.judge) if stands else None
                yield Work(key, prefix, original, self._store.rollout(key) if played else None, verdict)

    def _open_canary(self, canary: Canary) -> Iterator[Work]:
        finished = self._store.finished(canary.prefix.id, self._settings.judge)
        for key in self._open_keys(canary.prefix.id, [(Arm.CANARY, 0)]):
            self._forget(key, finished.get((Arm.CANARY, 0), Finished()))
            yield Work(key, canary.prefix, (), canary.rollout)

    def _forget(self, key: RolloutKey, so_far: Finished) -> None:
        """Before a failure is tried again: replies that were of no use must not be served to it once more."""
        if so_far.outcome is VerdictOutcome.JUDGED:
            self._store.retire(key, Role.JUDGE, last_only=False, since=FIRST_STEP)
        elif so_far.outcome is not None:
            self._store.retire(key, Role.JUDGE, last_only=False)
        elif so_far.stop_reason is StopReason.SIMULATOR_ERROR:
            self._store.retire(key, Role.SIMULATOR, last_only=True)

    # -- the work -----------------------------------------------------------------------------------------------

    async def _turn(self, work: Work, turn: TurnAtWork) -> None:
        try:
            siblings = self._schedule.held(work.key) if self._settings.together and work.rollout is None else ()
            with journalling(self._store, work.key, turn.paid, resumed=self._resumed, siblings=siblings):
                await self._do(work)
            await self._store.relieve()
        except BudgetSpent as error:
            self._stopping = Ending.BUDGET
            self.why = str(error)
        finally:
            self._budget.end(turn)
            self._release(work.key)
            self._places.leave()

    def _release(self, key: RolloutKey) -> None:
        self._schedule.release(key)
        self._wake.set()

    async def _do(self, work: Work) -> None:
        rollout = work.rollout or await self._play(work)
        self._store.put_rollout(work.key, rollout)
        self._progress.rollouts += work.rollout is None
        verdict = None
        if not rollout.stop_reason.failed:
            verdict = work.verdict or await self._judge_blind(work.prefix, rollout)
            invented = await self._whose_fault(work, rollout, verdict)
            self._store.put_verdict(work.key, self._settings.judge, verdict, invented)
        self._count(verdict)

    async def _play(self, work: Work) -> Rollout:
        key, settings = work.key, self._settings
        model = self._models[key.arm]
        if model is None or self._simulator is None:
            raise AssertionError(f"nothing to play {key} with")
        role = Role.CONTROL if key.arm is Arm.CONTROL else Role.CANDIDATE
        return await play(
            work.prefix,
            work.original,
            _Announcing(model, partial(self._release, key)),
            self._simulator,
            seed=derive(settings.seed, key.prefix, key.sample),
            max_steps=settings.max_steps,
            role=role,
        )

    async def _judge_blind(self, prefix: Prefix, rollout: Rollout) -> Verdict:
        try:
            verdict = await guarded(self._judge.judge(prefix, rollout.blind()))
            if not isinstance(verdict, Verdict):
                raise TypeError(f"a judge must answer with a Verdict, not {verdict!r:.200}")
            return verdict
        except RunStopped:
            raise
        except Exception as error:
            # A judge may be anybody's code: what it raises is a missing verdict with its reason, and never a "no".
            return Verdict(VerdictOutcome.JUDGE_ERROR, detail=f"{type(error).__name__}: {error}")

    async def _whose_fault(self, work: Work, rollout: Rollout, verdict: Verdict) -> list[bool | None]:
        """Of each finding, whether it depends on invented content; empty where nobody is asked."""
        played = self._models.get(work.key.arm) is not None
        if self._dependence is None or not played or verdict.outcome is not VerdictOutcome.JUDGED:
            return []
        shown = Rollout(rollout.messages, rollout.stop_reason, rollout.sources)
        try:
            return await guarded(self._dependence.depends(work.prefix, shown, verdict)) if verdict.findings else []
        except RunStopped:
            raise
        except Exception:
            return [None] * len(verdict.findings)  # the verdict stands, and this is not known

    def _count(self, verdict: Verdict | None) -> None:
        progress = self._progress
        if verdict is not None and verdict.outcome is VerdictOutcome.JUDGED:
            progress.judged += 1
        else:
            progress.failed += 1
        if progress.finished >= _FEW and progress.failed > self._settings.max_failures * progress.finished:
            self._stopping = self._stopping or Ending.FAILURES
        progress.changed(progress)


def _recorded(prefix: Prefix, original: Sequence[Message]) -> Rollout:
    """The original turn as a rollout. One that the log breaks off is cut off: no finding in it says little."""
    actions = style(prefix.actions)
    last = next(message for message in reversed(original) if message["role"] == "assistant")
    calls = actions.calls(last)
    if any(call.name in prefix.terminal_tools or actions.ends_turn(call) for call in calls):
        reason = StopReason.TERMINAL_TOOL
    elif calls or original[-1]["role"] != "assistant":
        reason = StopReason.MAX_STEPS
    else:
        reason = StopReason.ENDED
    outputs = sum(message["role"] in ("tool", "function", "user") for message in original)
    return Rollout(tuple(original), reason, (Source.RECORDED,) * outputs)
