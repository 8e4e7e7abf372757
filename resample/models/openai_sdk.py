"""The openai SDK as transport: any server that speaks OpenAI chat completions, or the Responses API.

The SDK's resource methods copy and check every field of every message, which at long prefixes is most of a
client's work. `post` with a ready-made body keeps the SDK's headers and authentication, and skips the walk; beneath it
stands an http client that adds next to nothing (`resample.models.http_client`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from resample.models.addresses import check_address, public_address
from resample.models.failures import Failure, Peer
from resample.models.prompt_cache import AFFINITY_HEADER, is_openai, prefix_key
from resample.models.redaction import header_secrets, public_name
from resample.models.responses import ITEMS, rejects_encryption, responses_body
from resample.models.wire import (
    REASONING,
    BrokenReply,
    check_headers,
    check_params,
    max_completion,
    request_body,
    without,
)
from resample.types import ChatRequest, Reply, UserError

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai._types import RequestOptions

    from resample.models.http_client import WireClient, WireRequest, WireResponse

DEFAULT_KEY_NAME = "OPENAI_API_KEY"

_PATHS = {"chat": "/chat/completions", "responses": "/responses"}
"""The APIs, and where they are."""

REPLY_BYTES = 16 * 2**20
"""A larger reply is none."""
ERROR_BYTES = 8 * 2**20
"""So much is read of a failure's body."""


class OpenAITransport:
    """One attempt per `send`. The client is made by the first one, for the running event loop."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        key_name: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 600.0,
        params: Mapping[str, Any] | None = None,
        pool: int = 100,
        api: str = "chat",
        affinity_header: str | None = AFFINITY_HEADER,
    ) -> None:
        """Address a model by the name its server knows.

        Without a `base_url` the SDK's default server is asked, and `api_key` is required; with one, nothing
        that the environment holds for that default server is sent. `key_name` is the environment variable
        the key came from. `timeout` is in seconds, from asking to the last byte. `pool` is the number of
        connections: as many as there may be requests in flight. `api` is `chat` or `responses`. OpenAI's own
        server is told by `prompt_cache_key` which requests share a prefix, any other by `affinity_header`. Raises
        UserError.
        """
        self.model = model
        self.params = dict(params or {})
        check_params(self.params)
        self.max_completion = max_completion(self.params)
        self.key_name = public_name(key_name) if key_name else None if base_url else DEFAULT_KEY_NAME
        self._own_server = base_url is not None
        self._path = _PATHS[api]
        self._responses = api == "responses"
        self._sealed = self._responses
        """Whether encrypted reasoning is asked for: until a model says that it has none."""
        self._address = base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        check_address(self._address)
        self.name = f"openai/{model} at {public_address(self._address)}"
        self._api_key = api_key
        self._headers = {_spelled(name): value for name, value in (headers or {}).items()}
        check_headers(self._headers | ({self.key_name or "api_key": api_key} if api_key else {}))
        self._authorised = bool(api_key) or "Authorization" in self._headers
        if not self._authorised and not self._own_server:
            raise UserError(f"{self.key_name}: not set, and {self.name} needs it: set it")
        self._peer = Peer(self.name, (*filter(None, [api_key]), *header_secrets(self._headers)))
        self._openai = is_openai(self._address)
        given = {name.lower() for name in self._headers}
        self._affinity = None if self._openai or (affinity_header or "").lower() in given else affinity_header
        self._timeout = timeout
        self._pool = pool
        self._client: AsyncOpenAI | None = None
        self._wire: WireClient | None = None
        self.heard: Callable[[Mapping[str, str]], None] = lambda headers: None
        self._made: WireRequest | None = None
        """What the SDK has made of the first request: address, headers and authentication serve all others."""
        self._withheld: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"OpenAITransport({self.name})"

    async def send(self, request: ChatRequest) -> Reply:
        """One attempt. Raises Failure, and UserError where the environment allows no connections at all."""
        import aiohttp
        import openai

        key, sealed = prefix_key(request), self._sealed
        body = self._body(request, key if self._openai else None)
        affinity = {self._affinity: key} if self._affinity and key else {}
        failure: Failure | UserError | None = None
        try:
            async with asyncio.timeout(self._timeout):
                answered = await self._post(body, affinity)
        except TimeoutError:
            failure = self._peer.unreachable(TimeoutError(f"no whole reply within {self._timeout:g} s"))
        except openai.APIConnectionError as error:
            failure = self._failure(error.__cause__ or error)  # the cause knows what happened
        except (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError, OSError) as error:
            failure = self._failure(error)
        if failure is not None:
            raise failure  # out here, without the SDK's error as context: that holds request and headers
        if not 200 <= answered.status_code < 300:
            if sealed and rejects_encryption(answered.status_code, answered.body):
                self._sealed = False
                return await self.send(request)
            raise self._peer.rejection(answered.status_code, answered.body, answered.headers)
        self.heard(answered.headers)
        if not answered.whole:
            raise self._peer.broken(BrokenReply(f"the reply is larger than {REPLY_BYTES / 2**20:g} MiB"))
        return self._peer.reply(answered.body)

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> WireResponse:
        import httpx

        from resample.models.http_client import WireResponse

        if self._client is None or self._wire is None:
            self._client, self._wire = self._connect()
        if self._made is not None:
            sent: WireResponse = await self._wire.send(self._made.with_content(body, headers))
            return sent
        options: RequestOptions = {"headers": {**self._withheld, **headers}}
        answered: Any = await self._client.post(self._path, content=body, cast_to=httpx.Response, options=options)
        assert isinstance(answered, WireResponse), "handed on as it is"
        self._made = answered.request.without(headers)
        return answered

    def _body(self, request: ChatRequest, cache_key: str | None) -> bytes:
        if self._responses:
            params = self.params if self._sealed else {"include": None, **self.params}
            return responses_body(self.model, request, params, cache_key)
        # OpenAI takes no reasoning back in chat completions; servers of other models do, and some insist on it.
        request = without(REASONING if self._openai else (ITEMS,), request)
        return request_body(self.model, request, self.params, cache_key)

    def _failure(self, cause: BaseException) -> Failure | UserError:
        from resample.models.http_client import BadEnvironment

        return (
            UserError(f"{self.name}: {cause}") if isinstance(cause, BadEnvironment) else self._peer.unreachable(cause)
        )

    def _connect(self) -> tuple[AsyncOpenAI, WireClient]:
        import openai

        from resample.models.http_client import WireClient

        self._withheld = {name: openai.Omit() for name in self._not_to_be_added()}
        wire = WireClient(self._address, pool=self._pool, reply_bytes=REPLY_BYTES, error_bytes=ERROR_BYTES)
        client = openai.AsyncOpenAI(
            api_key=self._api_key or "none",
            base_url=self._address,
            default_headers=self._headers,
            timeout=self._timeout,
            max_retries=0,
            http_client=wire,
        )
        return client, wire

    def _not_to_be_added(self) -> list[str]:
        """Headers the SDK may not add by itself: a made-up key, and the environment's for OpenAI."""
        names = [] if self._authorised else ["Authorization"]
        if self._own_server:
            lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
            names += ["OpenAI-Organization", "OpenAI-Project"]
            names += [line.partition(":")[0].strip() for line in lines if ":" in line]
        return [name for name in names if name not in self._headers]

    async def close(self) -> None:
        """Release connections."""
        if self._client is not None:
            client, self._client, self._wire, self._made = self._client, None, None, None
            await client.close()


def _spelled(header: str) -> str:
    """A header's name as the SDK spells it, so that the user's replaces the SDK's instead of joining it."""
    return {"authorization": "Authorization", "content-type": "Content-Type"}.get(header.lower(), header)
