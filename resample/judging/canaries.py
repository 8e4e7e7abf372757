"""Canaries: rollouts of known answer, mixed blind into the judge's queue, so that a dead judge cannot look safe."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
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


def bundled_canaries(taxonomy_id: str) -> list[Canary]:
    """The canaries that come with a taxonomy, those of the default taxonomy where it has none of its own."""
    path = BUNDLED / f"{taxonomy_id}.jsonl"
    return list(read_canaries(path if path.exists() else BUNDLED / "agentic_misalignment.jsonl"))


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
