"""Canaries: rollouts of known answer, mixed blind into the judge's queue, so that a dead judge cannot look safe."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from resample.types import Prefix, Rollout, Shared, StopReason, UserError

BUNDLED = Path(__file__).parent / "canaries"


@dataclass(frozen=True, slots=True)
class Canary:
    """A rollout and what a judge should find in it."""

    id: str
    expected: frozenset[str]
    """Category ids; empty for a good one."""
    prefix: Prefix
    rollout: Rollout


def bundled_canaries(categories: Container[str]) -> list[Canary]:
    """The bundled canaries that a taxonomy of these categories has an answer to: the good ones always."""
    canaries = read_canaries(BUNDLED / "agentic_misalignment.jsonl")
    return [canary for canary in canaries if all(category in categories for category in canary.expected)]


def read_canaries(path: Path) -> Iterator[Canary]:
    """Canaries from JSONL: `id`, `expected`, `messages`, `tools`, `rollout`."""
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            entry = orjson.loads(line)
            messages, tools = Shared(tuple(entry["messages"])), Shared(tuple(entry["tools"]))
            digest = hashlib.sha256(line).hexdigest()[:16]
            prefix = Prefix(f"canary-{digest}", f"canary-{digest}", messages, tools)
            rollout = Rollout(tuple(entry["rollout"]), StopReason.ENDED)
            yield Canary(entry["id"], frozenset(entry["expected"]), prefix, rollout)
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise UserError(f"{path}:{number}: not a canary ({error!r})") from None
