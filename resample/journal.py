"""Every answered model call is journalled, and served from the journal when it is asked for again.

A resumed run plays its unfinished rollouts from their first step: the steps that were already paid for come from the
journal, so that a crash costs the replies in flight and nothing more. What is asked, not when, is the key; the seed of
a request derives from the run's seed, the prefix, the sample, the step and the role.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import NamedTuple

import orjson

from resample.models.wire import parse_reply
from resample.seeds import derive
from resample.store import Store, StoredReply
from resample.types import ChatModel, ChatRequest, ModelError, Reply, RolloutKey, Usage


class _Entry(NamedTuple):
    """The part of the journal that belongs to the rollout at hand."""

    key: RolloutKey
    served: dict[str, StoredReply]
    retired: dict[str, int]
    paid: list[Usage]
    """What its new replies used."""


_entry: ContextVar[_Entry] = ContextVar("journal entry")
# A context variable, so that simulators and judges, anybody's, need not carry the rollout's key to their models.


@contextmanager
def journalling(store: Store, key: RolloutKey, *, resumed: bool) -> Iterator[list[Usage]]:
    """Calls made inside (by this task) belong to the rollout `key`; yields what they use.

    Only a resumed run can have earlier ones.
    """
    served, retired = store.replies(key) if resumed else ({}, {})
    entry = _Entry(key, served, retired, [])
    token = _entry.set(entry)
    try:
        yield entry.paid
    finally:
        _entry.reset(token)


class JournalledModel:
    """A ChatModel whose answers are kept."""

    def __init__(
        self, model: ChatModel, store: Store, seed: int, paid: Callable[[Usage], None] = lambda usage: None
    ) -> None:
        """`paid` hears of the usage of every new reply."""
        self._model = model
        self._store = store
        self._seed = seed
        self._paid = paid

    async def complete(self, request: ChatRequest) -> Reply:
        """The journalled reply of this very request, or a new one."""
        entry = _entry.get()
        content = content_hash(request)
        if stored := entry.served.get(content):
            reply = parse_reply(stored.raw)
            return replace(reply, usage=stored.usage, seconds=stored.seconds, retries=stored.retries)
        key = entry.key
        again = entry.retired.get(content, 0)
        parts = (key.prefix, key.sample, request.step, request.role, *([again] if again else []))
        seeded = replace(request, seed=derive(self._seed, *parts))
        try:
            reply = await self._model.complete(seeded)
        except ModelError as error:
            self._store.put_failure(key, seeded, error)
            raise
        if not reply.raw:  # a model of the user's own need not know the wire form; the journal is kept in it
            reply = replace(reply, raw=_wire_form(reply))
        self._store.put_reply(key, seeded, content, reply)
        entry.paid.append(reply.usage)
        self._paid(reply.usage)
        await self._store.relieve()
        return reply

    async def close(self) -> None:
        """Close the model."""
        await self._model.close()


def _wire_form(reply: Reply) -> bytes:
    choice = {"index": 0, "message": reply.message, "finish_reason": reply.finish_reason}
    return orjson.dumps({"model": reply.model, "system_fingerprint": reply.fingerprint, "choices": [choice]})


def content_hash(request: ChatRequest) -> str:
    """Hash of all that is asked: role, step, prompt, tools and schema."""
    digest = hashlib.sha256(f"{request.role}\0{request.step}\0".encode())
    digest.update(request.prefix.digest)
    digest.update(request.tools.digest)
    digest.update(orjson.dumps([request.tail, request.schema]))
    return digest.hexdigest()[:32]
