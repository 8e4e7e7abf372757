"""The stand-in as an OpenAI-compatible server on the loopback, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import orjson
from aiohttp import web

from resample.standin import draw
from resample.standin.cache import PromptCache
from resample.standin.reply import BadRequest, prompt_bytes, reply
from resample.standin.responses import chat_request, response
from resample.standin.settings import StandInSettings, models
from resample.types import UserError

HOST = "127.0.0.1"
_MAX_BODY = 256 * 1024 * 1024
_MOST_PROMPTS = 1_000_000
_CLOSE_SECONDS = 5.0
_T = TypeVar("_T")


class Server:
    """A running stand-in. Close it, or use it as a context manager."""

    base_url: str
    """What a client is given, with `/v1`."""
    port: int

    def __init__(self, settings: StandInSettings, port: int) -> None:
        self._settings = settings
        self._cache = PromptCache()
        self._times_asked: Counter[bytes] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in", daemon=True)
        self._thread.start()
        try:
            self._runner, self.port = self._wait_for(self._listen(port))
        except OSError as error:
            self._stop()
            reason = error.strerror or str(error)
            raise UserError(f"port {port} of {HOST} cannot be used ({reason}): name another one") from error
        self.base_url = f"http://{HOST}:{self.port}/v1"

    async def _listen(self, port: int) -> tuple[web.AppRunner, int]:
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[_errors])
        app.router.add_post("/v1/chat/completions", self._completion)
        app.router.add_post("/v1/responses", self._response)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, port).start()
        except OSError:
            await runner.cleanup()
            raise
        return runner, runner.addresses[0][1]

    async def _completion(self, request: web.Request) -> web.Response:
        return _json(self._complete(await _body(request)))

    async def _response(self, request: web.Request) -> web.Response:
        """There are no seeds in the Responses API: the same prompt is answered anew each time it is asked."""
        body = await _body(request)
        asked = chat_request(body)
        prompt = draw.digest(asked)
        if len(self._times_asked) >= _MOST_PROMPTS:
            self._times_asked.clear()
        self._times_asked[prompt] += 1
        return _json(response(self._complete({**asked, "seed": self._times_asked[prompt]}), body))

    def _complete(self, body: Any) -> dict[str, Any]:
        answer = reply(body, self._settings)
        prompt = prompt_bytes(body)
        answer["usage"]["prompt_tokens_details"]["cached_tokens"] = self._cache.cached_tokens(prompt)
        self._cache.hold(prompt)
        return answer

    async def _models(self, _: web.Request) -> web.Response:
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "stand-in"} for name in models()]
        return _json({"object": "list", "data": listed})

    async def _health(self, _: web.Request) -> web.Response:
        return _json({"status": "ok"})

    def close(self) -> None:
        """Stop serving and free the port. A second call does nothing."""
        if self._loop.is_closed():
            return
        self._wait_for(self._runner.cleanup())
        self._stop()

    def _wait_for(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(2 * _CLOSE_SECONDS)

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start(settings: StandInSettings, port: int = 0) -> Server:
    """Serve a stand-in on the loopback; port 0 takes a free one. Raises UserError where the port is taken."""
    return Server(settings, port)


async def _body(request: web.Request) -> Any:
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from error


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """Errors in OpenAI's form."""
    try:
        response: web.StreamResponse = await handler(request)
    except BadRequest as error:
        return _error(400, str(error), error.param)
    except web.HTTPException as error:
        return _error(error.status, f"{request.method} {request.path}: {error.reason}", None)
    return response


def _error(status: int, message: str, param: str | None) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return _json({"error": error}, status)


def _json(data: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")
