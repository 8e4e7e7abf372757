"""A role's model as the rest of the program sees it: all that lies between `complete` and the wire."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Protocol

import orjson

from resample.models.budget import Budget, tokens_of
from resample.models.failures import Failure, shorten, used_up
from resample.models.limits import Limits
from resample.models.price import Price, cost
from resample.models.retry import Patience, Retries
from resample.models.warmth import Warmth
from resample.models.wire import request_size
from resample.types import ChatRequest, Fault, ModelError, Reply, Role, Shared, Usage, UserError

OVERLOADED = frozenset({429, 503, 529})
"""What a server answers when it is asked too much."""
_PLAYERS = (Role.CANDIDATE, Role.CONTROL)
BYTES_PER_TOKEN = 4
EXPECTED_COMPLETION = 500
"""Tokens, where nothing better is known."""

_UNSTRUCTURED = re.compile(r"response_format|json_?schema|schema|structured output", re.IGNORECASE)
_HELLO = Shared(({"role": "user", "content": "Reply with the word ready."},))
_READY = {
    "name": "ready",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {"ready": {"type": "boolean"}},
        "required": ["ready"],
        "additionalProperties": False,
    },
}
PREFLIGHT_SECONDS = 30.0
"""For all answers to one question of the preflight, without the waits for limits and between attempts."""

_PREFLIGHT_PATIENCE = Patience(attempts=2, total_wait=10.0)


class Transport(Protocol):
    """Makes one attempt at a request."""

    name: str
    """Model and address, for people."""
    key_name: str | None
    """The environment variable its key came from, or would have to come from."""
    max_completion: int | None
    """Tokens a completion may have, where the role's params say so."""
    heard: Callable[[Mapping[str, str]], None]
    """Called with the headers of every reply that has some."""

    async def send(self, request: ChatRequest) -> Reply:
        """One attempt. Raises Failure."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class Endpoint:
    """A ChatModel over a transport: retries, limits, budget and price. One event loop, no threads."""

    def __init__(
        self,
        transport: Transport,
        *,
        limits: Limits | None = None,
        budget: Budget | None = None,
        price: Price | None = None,
        patience: Patience | None = None,
        warmth: Warmth | None = None,
    ) -> None:
        """Without `warmth` no request waits for the first one over its prefix."""
        self.transport = transport
        self.limits = limits or Limits()
        self.budget = budget or Budget()
        self.price = price
        self.retries = Retries(patience or Patience())
        """Its `count` is the number of retries so far, those of failed calls too."""
        self.structured = True
        """Whether the provider takes a `json_schema`; without, a request's schema is left out."""
        self.models: Counter[str] = Counter()
        """Replies by the model id the provider returned."""
        self._warmth = warmth
        if self.limits.window is not None:
            transport.heard = self._hear
        if self.budget.counts_money and price is None:
            raise UserError(
                f"budget.usd: no price is known for {transport.name}; give it one, or set budget.tokens instead"
            )

    async def complete(self, request: ChatRequest) -> Reply:
        """Answer one request. Raises ModelError when it failed for good, BudgetSpent when it may not be made.

        The reply's `seconds` are those of its last attempt, without waiting for limits or between attempts.
        """
        if request.schema is not None and not self.structured:
            request = replace(request, schema=None)
        async with nullcontext() if self._warmth is None else self._warmth.over(request):
            return await self._within_budget(request)

    async def _within_budget(self, request: ChatRequest) -> Reply:
        if not self.budget.limited:
            return await self._call(request, self.transport.send, self.retries)
        async with self.budget.admit(request.role, self._guess(request)):
            reply = await self._call(request, self.transport.send, self.retries)
            self.budget.add(reply.usage, request.role)
            return reply

    async def _call(
        self, request: ChatRequest, send: Callable[[ChatRequest], Awaitable[Reply]], retries: Retries
    ) -> Reply:
        seconds = 0.0
        window = self.limits.window
        expected = tokens_of(self._guess(request)) if self.limits.counts_tokens else 0

        async def attempt() -> Reply:
            nonlocal seconds
            # What running turns still need goes before what new ones begin with.
            async with self.limits.slot(expected, late=request.role in _PLAYERS and request.step == 0):
                start = time.perf_counter()
                try:
                    reply = await send(request)
                except Failure as failure:
                    if window is not None and failure.status in OVERLOADED:
                        window.overloaded(failure.retry_after)
                    raise
                seconds = time.perf_counter() - start
                if window is not None:
                    window.answered(request.role, seconds)
            return reply

        reply, retried = await retries.call(attempt)
        self.models[reply.model] += 1
        usage = _estimate(request, reply) if reply.usage.estimated else reply.usage
        if expected:
            self.limits.correct(tokens_of(usage) - expected)
        usage = replace(usage, usd=cost(usage, self.price))
        return replace(reply, usage=usage, seconds=seconds, retries=retried)

    def _hear(self, headers: Mapping[str, str]) -> None:
        wait = used_up(headers)
        if wait is not None and self.limits.window is not None:
            self.limits.window.pause(wait)

    def _guess(self, request: ChatRequest) -> Usage:
        completion = min(EXPECTED_COMPLETION, self.transport.max_completion or EXPECTED_COMPLETION)
        guess = Usage(prompt_tokens=request_size(request) // BYTES_PER_TOKEN, completion_tokens=completion)
        return replace(guess, usd=cost(guess, self.price))

    async def close(self) -> None:
        """Release connections."""
        await self.transport.close()


def _estimate(request: ChatRequest, reply: Reply) -> Usage:
    """The usage of a reply whose provider did not report it, or not all of it."""
    usage = reply.usage
    return replace(
        usage,
        prompt_tokens=usage.prompt_tokens or request_size(request) // BYTES_PER_TOKEN,
        completion_tokens=usage.completion_tokens or len(orjson.dumps(reply.message)) // BYTES_PER_TOKEN,
    )


async def preflight(endpoint: Endpoint, role: Role) -> Reply:
    """Ask the smallest question before a run, so that a wrong key, name or address costs seconds.

    A judge is asked with a schema. If the provider rejects just that, the endpoint does without for the
    run: the schema is in the judge's prompt, too. Raises UserError.
    """
    request = ChatRequest(role, _HELLO)
    try:
        if role is Role.JUDGE and endpoint.structured:
            try:
                return await _ask(endpoint, replace(request, schema=_READY))
            except ModelError as error:
                if not _rejects_schema(error):
                    raise
                endpoint.structured = False
        return await _ask(endpoint, request)
    except ModelError as error:
        said = shorten(str(error), len(str(error)))
        raise UserError(f"{role}: {said}: {_advice(endpoint.transport, role, error)}") from None


async def _ask(endpoint: Endpoint, request: ChatRequest) -> Reply:
    retries = Retries(_PREFLIGHT_PATIENCE)
    left = PREFLIGHT_SECONDS

    async def send(request: ChatRequest) -> Reply:
        nonlocal left
        start = time.perf_counter()
        try:
            async with asyncio.timeout(left):
                return await endpoint.transport.send(request)
        except TimeoutError:
            late = f"{endpoint.transport.name}: no answer within {PREFLIGHT_SECONDS:g} s"
            raise Failure(Fault.UNAVAILABLE, late) from None
        finally:
            left -= time.perf_counter() - start

    try:
        reply = await endpoint._call(request, send, retries)
    finally:
        endpoint.retries.count += retries.count
    endpoint.budget.add(reply.usage)  # spent, but no measure of what the role's real calls will use
    return reply


def _rejects_schema(error: ModelError) -> bool:
    rejected = error.status in (400, 422) and error.fault is Fault.REJECTED
    return rejected and bool(_UNSTRUCTURED.search(str(error)))


def _advice(transport: Transport, role: Role, error: ModelError) -> str:
    if error.fault is Fault.UNAVAILABLE:
        return f"check {role}.base_url and the network"
    if error.status is not None and 300 <= error.status < 400:
        return f"check {role}.base_url"
    if error.status == 404:
        return f"check {role}.model and {role}.base_url"
    if error.fault is Fault.ACCESS:
        return f"check {transport.key_name}" if transport.key_name else f"set {role}.api_key_env"
    return f"check {role}.model and {role}.params"
