"""The openai SDK as transport: any server that speaks OpenAI chat completions.

The SDK's resource methods copy and check every field of every message, which at long prefixes is most of a
client's work. `post` with a ready-made body keeps the SDK's connections, proxies, headers and errors, and
skips the walk.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from resample.models.failures import Peer, check_address, public_address, secrets_in
from resample.models.wire import check_params, max_completion, request_body
from resample.types import ChatRequest, Reply, UserError

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai._types import RequestOptions

DEFAULT_KEY_NAME = "OPENAI_API_KEY"

_CONNECT_SECONDS = 10.0
_KEEPALIVE_SECONDS = 4.0
"""Below the 5 s after which common servers hang up, so that a request seldom meets a closing connection."""


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
    ) -> None:
        """Address a model by the name its server knows.

        Without a `base_url` the SDK's default server is asked, and `api_key` is required; with one, nothing
        that the environment holds for that default server is sent. `key_name` is the environment variable
        the key came from. `timeout` is in seconds, from asking to the last byte. `pool` is the number of
        connections: as many as there may be requests in flight. Raises UserError.
        """
        self.model = model
        self.params = dict(params or {})
        check_params(self.params)
        self.max_completion = max_completion(self.params)
        self.key_name = key_name or (None if base_url else DEFAULT_KEY_NAME)
        self._own_server = base_url is not None
        self._address = base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        check_address(self._address)
        self.name = f"openai/{model} at {public_address(self._address)}"
        self._api_key = api_key
        self._headers = {_spelled(name): value for name, value in (headers or {}).items()}
        self._authorised = bool(api_key) or "Authorization" in self._headers
        if not self._authorised and not self._own_server:
            raise UserError(f"{self.key_name}: not set, and {self.name} needs it: set it")
        self._peer = Peer(self.name, (*filter(None, [api_key]), *secrets_in(self._headers)))
        self._timeout = timeout
        self._pool = pool
        self._client: AsyncOpenAI | None = None
        self._options: RequestOptions = {}

    def __repr__(self) -> str:
        return f"OpenAITransport({self.name})"

    async def send(self, request: ChatRequest) -> Reply:
        """One attempt. Raises Failure."""
        import httpx
        import openai

        if self._client is None:
            self._client = self._connect()
        body = request_body(self.model, request, self.params)
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.post(
                    "/chat/completions", content=body, cast_to=httpx.Response, options=self._options
                )
            failure = None
        except openai.APIStatusError as error:
            failure = self._peer.rejection(error.status_code, error.response.content, error.response.headers)
        except openai.APIConnectionError as error:
            failure = self._peer.unreachable(error.__cause__ or error)  # the cause knows what happened
        except TimeoutError:
            failure = self._peer.unreachable(TimeoutError(f"no whole reply within {self._timeout:g} s"))
        if failure is not None:
            raise failure  # out here, without the SDK's error as context: that holds request and headers
        return self._peer.reply(response.content)

    def _connect(self) -> AsyncOpenAI:
        import httpx
        import openai

        logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log a line per request
        self._options = {"headers": {name: openai.Omit() for name in self._withheld()}}
        timeout = openai.Timeout(self._timeout, connect=min(self._timeout, _CONNECT_SECONDS))
        limits = httpx.Limits(
            max_connections=self._pool,
            max_keepalive_connections=self._pool,
            keepalive_expiry=_KEEPALIVE_SECONDS,
        )
        return openai.AsyncOpenAI(
            api_key=self._api_key or "none",
            base_url=self._address,
            default_headers=self._headers,
            timeout=timeout,
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(limits=limits, timeout=timeout),
        )

    def _withheld(self) -> list[str]:
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
            client, self._client = self._client, None
            await client.close()


def _spelled(header: str) -> str:
    """A header's name as the SDK spells it, so that the user's replaces the SDK's instead of joining it."""
    return {"authorization": "Authorization", "content-type": "Content-Type"}.get(header.lower(), header)
