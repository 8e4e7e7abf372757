"""A mock OpenAI-compatible server that costs little itself: hand-made HTTP, a fixed latency, a prompt cache.

    python tests/benchmarks/speed/mock_model.py --port 0 --latency 0.2 --core 0

It plays the three roles by the name of the model asked for: `candidate` calls a tool three times and then ends its
turn, `simulator` answers with a tool output, `judge` with a clean verdict. `GET /counts` tells what was asked
of which model.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections import defaultdict
from typing import Any

import orjson

from resample.standin.cache import BYTES_PER_TOKEN, PromptCache

TOOL_CALLS = 3
CALLS_PER_SAMPLE = 2 * TOOL_CALLS + 2
VERDICT = orjson.dumps({"findings": [], "opportunity": False, "evaluation_awareness": None, "notes": ""}).decode()
OUTPUT = "HTTP/1.1 200 OK\ncontent-type: text/plain\n\n" + "a line of the page that was asked for\n" * 10


class Counts:
    """What was asked of one model."""

    def __init__(self) -> None:
        self.requests = self.prompt_tokens = self.cached_tokens = self.in_flight = self.most_in_flight = 0


class Model:
    """All that connections share."""

    def __init__(self, latency: float, capacity: int, calls: int = TOOL_CALLS) -> None:
        """`calls` of a tool are made in each turn."""
        self.latency = latency
        self.calls = calls
        self.cache = PromptCache(capacity) if capacity else None
        self.counts: dict[str, Counts] = defaultdict(Counts)
        self.in_flight = 0
        self.most_in_flight = 0

    def begin(self, body: bytes) -> tuple[bytes, dict[str, Any]]:
        """What a request's answer is, as far as it can be told when it comes in."""
        request = orjson.loads(body)
        counts = self.counts[request["model"]]
        prompt = b"".join(map(orjson.dumps, [request.get("tools"), *request["messages"]]))
        tokens = len(prompt) // BYTES_PER_TOKEN
        cached = self.cache.cached_tokens(prompt) if self.cache is not None else 0
        counts.requests += 1
        counts.prompt_tokens += tokens
        counts.cached_tokens += cached
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        return prompt, self._answer(request, tokens, cached)

    def end(self, prompt: bytes) -> None:
        """The request was answered: from now on its prompt is held."""
        self.in_flight -= 1
        if self.cache is not None:
            self.cache.hold(prompt)

    def _answer(self, request: dict[str, Any], tokens: int, cached: int) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
        finish = "stop"
        if request["model"] == "judge":
            message["content"] = VERDICT
        elif request["model"] == "simulator":
            message["content"] = OUTPUT
        elif (made := _calls_made(request["messages"])) < self.calls:
            arguments = orjson.dumps({"url": f"https://example.com/{made}", "seed": request.get("seed")}).decode()
            function = {"name": "fetch", "arguments": arguments}
            message["content"] = "I look at the next page."
            message["tool_calls"] = [{"id": f"call_new_{made}", "type": "function", "function": function}]
            finish = "tool_calls"
        else:
            message["content"] = "I have read the three pages, and they say what you expected of them."
        usage = {
            "prompt_tokens": tokens,
            "completion_tokens": 40,
            "total_tokens": tokens + 40,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": request["model"],
            "system_fingerprint": "fp_mock",
            "choices": [choice],
            "usage": usage,
        }

    def report(self) -> bytes:
        """The counts so far, as JSON."""
        listed = {
            name: {"requests": c.requests, "prompt_tokens": c.prompt_tokens, "cached_tokens": c.cached_tokens}
            for name, c in self.counts.items()
        }
        return orjson.dumps({"models": listed, "most_in_flight": self.most_in_flight})


def _calls_made(messages: list[dict[str, Any]]) -> int:
    """How many of the calls after the last user message are answered."""
    made = 0
    for message in reversed(messages):
        if message["role"] == "user":
            break
        made += message["role"] == "tool"
    return made


class Connection(asyncio.Protocol):
    """HTTP/1.1 with bodies of known length, one request at a time."""

    def __init__(self, model: Model, loop: asyncio.AbstractEventLoop) -> None:
        self._model = model
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0
        self._needed: int | None = None
        self._head = b""
        self._body_at = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._needed is None:
            joined = b"".join(self._parts)
            self._parts = [joined]
            end = joined.find(b"\r\n\r\n")
            if end < 0:
                return
            self._head = joined[:end].lower()
            self._body_at = end + 4
            self._needed = self._body_at + _length(self._head)
        if self._size >= self._needed:
            body = b"".join(self._parts)[self._body_at : self._needed]
            self._parts, self._size, self._needed = [], 0, None
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        if self._head.startswith(b"get /counts"):
            self._send(self._model.report())
            return
        prompt, answer = self._model.begin(body)
        if self._model.latency:
            self._loop.call_later(self._model.latency, self._finish, prompt, answer)
        else:
            self._finish(prompt, answer)

    def _finish(self, prompt: bytes, answer: dict[str, Any]) -> None:
        self._model.end(prompt)
        self._send(orjson.dumps(answer))

    def _send(self, body: bytes) -> None:
        if not self._transport.is_closing():
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            self._transport.write(head + body)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


async def _serve(port: int, model: Model) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(model, loop), "127.0.0.1", port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed; the port is the first line printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--cache", type=int, default=2_000_000, help="prefixes held; 0: no cache")
    parser.add_argument("--calls", type=int, default=TOOL_CALLS, help="tool calls of a turn")
    parser.add_argument("--core", type=int, default=None)
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    try:
        import uvloop

        run: Any = uvloop.run
    except ImportError:
        run = asyncio.run
    run(_serve(arguments.port, Model(arguments.latency, arguments.cache, arguments.calls)))


if __name__ == "__main__":
    main()
