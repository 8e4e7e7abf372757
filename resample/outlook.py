"""What a run would ask and cost, before it asks anything: `dry_run=true`, and the first guess of a budget.

A rollout is taken to have as many steps as the original turn, of messages as long as those before the cut, with every
tool call answered by the simulator's model: an upper side for what is recorded or known, no bound for a candidate that
does more than its predecessor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from resample.models.price import Price, cost
from resample.plan import Plan
from resample.store import Store
from resample.types import Arm, Role, Usage

_LEAST_CACHED = 1024
"""Tokens below which no provider holds a prefix."""
_LEAST_MESSAGE = 20
_SIMULATOR_INSTRUCTIONS = 700
_EXAMPLES = 3_000
"""Tokens of similar calls and of what is known of the state, in a prompt of the simulator."""
_JUDGE_INSTRUCTIONS = 1_200
"""Without the taxonomy."""
_VERDICT = 200
_CANARY = 1_500
"""Tokens of a canary's conversation and turn."""
_BYTES_PER_TOKEN = 4
_ZIPPED = 0.35
_ROW = 600
"""Bytes of a call's row in the store, without its texts."""


class Shape(NamedTuple):
    """Of one prefix, what decides what it costs."""

    tokens: int
    messages: int
    """Before the cut."""
    turn: int
    """Messages of the original turn."""


@dataclass
class Asked:
    """Calls of one role."""

    requests: float = 0.0
    prompt: float = 0.0
    cached: float = 0.0
    """Of these, tokens that a provider's cache may hold, asked in the best order."""
    completion: float = 0.0

    def add(self, requests: float, prompt: float, cached: float, completion: float) -> None:
        """Count calls, all of them together."""
        self.requests += requests
        self.prompt += prompt
        self.cached += cached
        self.completion += completion

    def usage(self, price: Price | None, *, cached: bool) -> Usage:
        """Its tokens with their cost, with or without a prompt cache."""
        usage = Usage(round(self.prompt), round(self.cached) if cached else 0, round(self.completion))
        return Usage(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usd=cost(usage, price))


@dataclass
class Outlook:
    """What a whole run would ask."""

    roles: dict[Role, Asked] = field(default_factory=dict)
    prefixes: int = 0
    played: int = 0
    """Turns of all arms that a model plays."""
    judged: int = 0
    """Turns that are only judged: recorded ones and canaries."""
    disk: float = 0.0
    """Bytes of the store."""

    def turns(self, prices: Mapping[Role, Price | None]) -> dict[bool, Usage]:
        """What one turn is thought to use, in the mean and with the cache: one that is played, one only judged."""
        usages = {role: asked.usage(prices.get(role), cached=True) for role, asked in self.roles.items()}
        judge = usages.pop(Role.JUDGE, Usage())
        judged = _scaled([judge], 1 / max(self.played + self.judged, 1))
        played = _scaled(list(usages.values()), 1 / max(self.played, 1))
        return {True: _scaled([played, judged], 1.0), False: judged}


def _scaled(usages: Sequence[Usage], share: float) -> Usage:
    return Usage(
        prompt_tokens=round(sum(usage.prompt_tokens for usage in usages) * share),
        completion_tokens=round(sum(usage.completion_tokens for usage in usages) * share),
        usd=sum(usage.usd or 0.0 for usage in usages) * share,
    )


def outlook(plan: Plan, store: Store) -> Outlook:
    """Of all that is planned, whether done already or not."""
    arms = {Arm(name): count for name, count in plan.arms.items()}
    players = {Arm.CANDIDATE: Role.CANDIDATE, Arm.CONTROL: Role.CONTROL}
    played = {role: arms[arm] for arm, role in players.items() if arm in arms and role in plan.roles}
    recorded = sum(arms.values()) - sum(played.values())
    found = Outlook({role: Asked() for role in plan.roles})
    taxonomy = len(plan.taxonomy.text) // _BYTES_PER_TOKEN
    for shape in _shapes(store.shapes()):
        found.prefixes += 1
        _add_prefix(found, shape, played, recorded, _JUDGE_INSTRUCTIONS + taxonomy, plan.config.max_steps)
    found.played = found.prefixes * sum(played.values())
    found.judged = found.prefixes * recorded + len(plan.canaries)
    if judge := found.roles.get(Role.JUDGE):
        count, shared = len(plan.canaries), _JUDGE_INSTRUCTIONS + taxonomy
        judge.add(count, count * (shared + _CANARY), max(count - 1, 0) * shared, count * _VERDICT)
    found.disk += sum(
        asked.requests * _ROW + asked.completion * _BYTES_PER_TOKEN * _ZIPPED for asked in found.roles.values()
    )
    return found


def _shapes(rows: Iterable[tuple[int, int, int]]) -> Iterable[Shape]:
    return (Shape(tokens, max(messages, 1), max(turn, 1)) for tokens, messages, turn in rows)


def _add_prefix(
    found: Outlook, shape: Shape, played: Mapping[Role, int], recorded: int, judge_shared: int, max_steps: int
) -> None:
    message = max(shape.tokens / shape.messages, _LEAST_MESSAGE)
    steps = min(max((shape.turn + 1) // 2, 1), max_steps)
    grown = 2 * message
    """Tokens that a step adds: what the candidate writes, and the output."""
    for role, samples in played.items():
        _add_dialogue(found.roles[role], samples, steps, shape.tokens, grown, message)
    rollouts = sum(played.values())
    if simulator := found.roles.get(Role.SIMULATOR):
        shared = _SIMULATOR_INSTRUCTIONS + shape.tokens + shape.turn * message
        _add_dialogue(simulator, rollouts, steps - 1, shared, grown, message, beside=_EXAMPLES)
    if judge := found.roles.get(Role.JUDGE):
        turns = rollouts + recorded
        shared = judge_shared + shape.tokens
        cached = (turns - 1) * shared if shared >= _LEAST_CACHED else 0.0
        judge.add(turns, turns * (shared + steps * grown), cached, turns * _VERDICT)
    texts = 2 * shape.tokens + rollouts * steps * (grown + _EXAMPLES)
    found.disk += texts * _BYTES_PER_TOKEN * _ZIPPED + rollouts * steps * grown * _BYTES_PER_TOKEN


def _add_dialogue(
    asked: Asked, rollouts: int, steps: int, shared: float, grown: float, completion: float, beside: float = 0.0
) -> None:
    """Rollouts of so many calls each, over a shared part; each call's prompt holds what was said before.

    `beside` is what is new in each prompt.
    """
    if not steps or not rollouts:
        return
    prompt = steps * (shared + beside) + grown * steps * (steps - 1) / 2
    held = (steps - 1) * shared + grown * (steps - 1) * (steps - 2) / 2  # what the call before has left there
    cached = rollouts * held + (rollouts - 1) * shared if shared >= _LEAST_CACHED else 0.0
    asked.add(rollouts * steps, rollouts * prompt, cached, rollouts * steps * completion)
