"""A provider on the loopback that answers as told, fault by fault, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from aiohttp import web


def completion(content: str | None = "ready", **message: Any) -> dict[str, Any]:
    """A chat completion with one choice."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-x-2026-01-01",
        "system_fingerprint": "fp_1",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls" if message.get("tool_calls") else "stop",
                "message": {"role": "assistant", "content": content} | message,
            }
        ],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "total_tokens": 110,
            "prompt_tokens_details": {"cached_tokens": 60},
            "completion_tokens_details": {"reasoning_tokens": 4},
        },
    }


@dataclass(frozen=True)
class Answer:
    """One scripted answer."""

    body: Any = field(default_factory=completion)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before it."""
    drop: bool = False
    """Hang up instead."""
    cut: bool = False
    """Hang up in the middle of the body."""
    then_close: bool = False
    """Close the connection after the answer, without saying so."""


def error(status: int, message: str, *, code: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
    """An error in the form most providers use."""
    return Answer({"error": {"message": message, "code": code}}, status, headers or {})


class Asked(NamedTuple):
    """A request as it arrived."""

    headers: Mapping[str, str]
    raw: bytes
    at: float
    """Loop time."""
    path: str = ""

    @property
    def body(self) -> dict[str, Any]:
        """The request's JSON."""
        return dict(orjson.loads(self.raw))


class Provider:
    """Gives the answers in order, then the last one again and again; with none, completions."""

    def __init__(self, answers: Iterable[Answer] = ()) -> None:
        self._answers = list(answers) or [Answer()]
        self.asked: list[Asked] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.url = ""

    async def __aenter__(self) -> Provider:
        app = web.Application(client_max_size=2**26)
        for path in ("chat/completions", "responses", "messages"):
            app.router.add_post(f"/v1/{path}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        self.asked.append(Asked(request.headers.copy(), await request.read(), loop.time(), request.path))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if answer.delay:
                await asyncio.sleep(answer.delay)
        finally:
            self.in_flight -= 1
        return await self._respond(request, answer)

    async def _respond(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        assert request.transport is not None
        raw = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
        if answer.drop:
            request.transport.abort()
            return web.Response()
        if answer.cut:
            response = web.StreamResponse(headers={"Content-Length": str(len(raw))})
            await response.prepare(request)
            await response.write(raw[: len(raw) // 2])
            request.transport.abort()
            return response
        if answer.then_close:
            asyncio.get_running_loop().call_later(0.02, request.transport.abort)
        return web.Response(body=raw, status=answer.status, headers=answer.headers, content_type="application/json")
