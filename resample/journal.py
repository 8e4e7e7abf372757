"""Every answered model call is journalled, and served from the journal when it is asked for again.

A resumed run plays its unfinished rollouts from their first step: the steps that were already paid for come from the
journal, so that a crash costs the replies in flight and nothing more. What is asked, not when, is the key; the seed of
a request derives from the run's seed, the prefix, the sample, the step and the role.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import NamedTuple

import orjson

from resample.models.wire import choices_apart, parse_reply
from resample.seeds import derive
from resample.store import Store, StoredReply
from resample.types import ChatModel, ChatRequest, Fault, ModelError, Reply, Role, RolloutKey, Usage

_PLAYERS = (Role.CANDIDATE, Role.CONTROL)
_MOST_ANSWERS = 5_000
"""Answers that are kept for other rollouts; those of one prefix are played at about the same time."""


class _Entry(NamedTuple):
    """The part of the journal that belongs to the rollout at hand."""

    key: RolloutKey
    served: dict[str, StoredReply]
    retired: dict[str, int]
    paid: list[Usage]
    """What its new replies used."""
    siblings: Sequence[RolloutKey] = ()
    """Rollouts of the same prefix and arm that are yet to begin, and are given first steps drawn together with its."""


_entry: ContextVar[_Entry] = ContextVar("journal entry")
# A context variable, so that simulators and judges, anybody's, need not carry the rollout's key to their models.


@contextmanager
def journalling(
    store: Store,
    key: RolloutKey,
    paid: list[Usage] | None = None,
    *,
    resumed: bool,
    siblings: Sequence[RolloutKey] = (),
) -> Iterator[list[Usage]]:
    """Calls made inside (by this task) belong to the rollout `key`; what they use goes into `paid`, which is yielded.

    Only a resumed run can have earlier ones. The first step is drawn for `siblings`, too, in one request.
    """
    served, retired = store.replies(key) if resumed else ({}, {})
    entry = _Entry(key, served, retired, [] if paid is None else paid, siblings)
    token = _entry.set(entry)
    try:
        yield entry.paid
    finally:
        _entry.reset(token)


class JournalledModel:
    """A ChatModel whose answers are kept."""

    def __init__(
        self,
        model: ChatModel,
        store: Store,
        seed: int,
        paid: Callable[[Usage], None] = lambda usage: None,
        *,
        once: bool = False,
    ) -> None:
        """`paid` hears of the usage of every new reply.

        With `once` the same request is made once per prefix, whichever rollouts make it: for a model that answers
        without drawing.
        """
        self._model = model
        self._store = store
        self._seed = seed
        self._paid = paid
        self._once = once
        self._answers: OrderedDict[tuple[str, str], asyncio.Future[Reply]] = OrderedDict()
        """With `once`, by prefix and content: the late ones, and those under way."""
        self._drawn: dict[tuple[RolloutKey, str], Reply] = {}
        """First steps of rollouts that are yet to begin."""

    async def complete(self, request: ChatRequest) -> Reply:
        """The journalled reply of this very request, or a new one."""
        entry = _entry.get()
        content = content_hash(request)
        if stored := entry.served.get(content):
            return _served(stored)
        if (drawn := self._drawn.pop((entry.key, content), None)) is not None:
            return drawn
        again = entry.retired.get(content, 0)
        if self._once and not again:
            return await self._ask_once(entry, content, request)
        return await self._ask(entry, content, request, again)

    async def _ask_once(self, entry: _Entry, content: str, request: ChatRequest) -> Reply:
        """What another rollout of the prefix was answered, or is about to be; a new reply where nobody asked."""
        name = (entry.key.prefix, content)
        while (answer := self._answers.get(name)) is not None:
            with suppress(ModelError):  # then this one asks
                return await asyncio.shield(answer)
            if self._answers.get(name) is answer:
                self._answers.pop(name)
        answer = self._answers[name] = asyncio.get_running_loop().create_future()
        try:
            stored = self._store.reply_to(entry.key.prefix, content)
            reply = _served(stored) if stored else await self._ask(entry, content, request, 0)
        except BaseException as error:
            self._answers.pop(name, None)
            answer.set_exception(error if isinstance(error, ModelError) else _NotAnswered())
            answer.exception()  # looked at, also where nobody waits
            raise
        answer.set_result(reply)
        while len(self._answers) > _MOST_ANSWERS and next(iter(self._answers.values())).done():
            self._answers.popitem(last=False)
        return reply

    async def _ask(self, entry: _Entry, content: str, request: ChatRequest, again: int) -> Reply:
        key = entry.key
        parts = (key.prefix, key.sample, request.step, request.role, *([again] if again else []))
        together = entry.siblings if request.role in _PLAYERS and request.step == 0 else ()
        seeded = replace(request, seed=derive(self._seed, *parts), choices=1 + len(together))
        try:
            reply = await self._model.complete(seeded)
        except ModelError as error:
            self._store.put_failure(key, seeded, error)
            raise
        if not reply.raw:  # a model of the user's own need not know the wire form; the journal is kept in it
            reply = replace(reply, raw=_wire_form(reply))
        if together:
            reply = self._share_out(reply, seeded, content, together)
        self._store.put_reply(key, seeded, content, reply)
        entry.paid.append(reply.usage)
        self._paid(reply.usage)
        await self._store.relieve()
        return reply

    def _share_out(self, reply: Reply, request: ChatRequest, content: str, siblings: Sequence[RolloutKey]) -> Reply:
        """Of several choices the first; the others are the siblings'. All of the usage stays with the first.

        A provider that gave fewer leaves some siblings to ask for themselves.
        """
        first, *others = choices_apart(reply.raw)
        nothing = Usage(usd=None if reply.usage.usd is None else 0.0)
        for key, raw in zip(siblings, others, strict=False):
            other = replace(parse_reply(raw), usage=nothing)
            self._store.put_reply(key, request, content, other)
            self._drawn[key, content] = other
        return replace(reply, raw=first)

    async def close(self) -> None:
        """Close the model."""
        await self._model.close()


class _NotAnswered(ModelError):
    """Who was to ask was stopped."""

    def __init__(self) -> None:
        super().__init__(Fault.UNAVAILABLE, "not answered")


def _served(stored: StoredReply) -> Reply:
    reply = parse_reply(stored.raw)
    return replace(reply, usage=stored.usage, seconds=stored.seconds, retries=stored.retries)


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
