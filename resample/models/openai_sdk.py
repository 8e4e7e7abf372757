"""The openai SDK as transport: any server that speaks OpenAI chat completions.

The SDK's resource methods copy and check every field of every message, which at long prefixes is most of a
client's work. `post` with a ready-made body keeps the SDK's connections, proxies and headers, and skips the walk. What
comes back is read in a hook of the http client, where a limit can be kept: the SDK would read it whole.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from resample.models.addresses import check_address, is_loopback, public_address
from resample.models.failures import Failure, Peer
from resample.models.redaction import header_secrets, public_name
from resample.models.wire import BrokenReply, check_headers, check_params, max_completion, request_body
from resample.types import ChatRequest, Reply, UserError

if TYPE_CHECKING:
    import httpx
    from openai import AsyncOpenAI
    from openai._types import RequestOptions

DEFAULT_KEY_NAME = "OPENAI_API_KEY"

REPLY_BYTES = 16 * 2**20
"""A larger reply is none."""
ERROR_BYTES = 8 * 2**20
"""So much is read of a failure's body."""

_BODY = "resample.body"
_NO_PROXY = "one of HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY holds no address: correct or unset it"
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
        self.key_name = public_name(key_name) if key_name else None if base_url else DEFAULT_KEY_NAME
        self._own_server = base_url is not None
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
        self._timeout = timeout
        self._pool = pool
        self._client: AsyncOpenAI | None = None
        self._options: RequestOptions = {}

    def __repr__(self) -> str:
        return f"OpenAITransport({self.name})"

    async def send(self, request: ChatRequest) -> Reply:
        """One attempt. Raises Failure, and UserError where the environment allows no connections at all."""
        import httpx
        import openai

        if self._client is None:
            self._client = self._connect()
        body = request_body(self.model, request, self.params)
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.post(
                    "/chat/completions", content=body, cast_to=httpx.Response, options=self._options, stream=True
                )
            failure: Failure | UserError | None = None
        except openai.APIConnectionError as error:
            failure = self._failure(error.__cause__ or error)  # the cause knows what happened
        except TimeoutError:
            failure = self._peer.unreachable(TimeoutError(f"no whole reply within {self._timeout:g} s"))
        if failure is not None:
            raise failure  # out here, without the SDK's error as context: that holds request and headers
        assert isinstance(response, httpx.Response), "as asked for"
        return self._peer.reply(response.extensions[_BODY])

    def _failure(self, cause: BaseException) -> Failure | UserError:
        import aiohttp

        if isinstance(cause, Failure):
            return cause
        if isinstance(cause, aiohttp.InvalidURL):  # its own address was checked before
            return UserError(f"{self.name}: {_NO_PROXY}")
        return self._peer.unreachable(cause)

    async def _receive(self, response: httpx.Response) -> None:
        """Read what was answered, as far as it may be read. Raises Failure for all but a reply."""
        if not response.is_success:
            body, _ = await _read(response, ERROR_BYTES)
            raise self._peer.rejection(response.status_code, body, response.headers)
        response.extensions[_BODY], whole = await _read(response, REPLY_BYTES)
        if not whole:
            raise self._peer.broken(BrokenReply(f"the reply is larger than {REPLY_BYTES / 2**20:g} MiB"))

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
        client = self._http_client(limits=limits, timeout=timeout, event_hooks={"response": [self._receive]})
        return openai.AsyncOpenAI(
            api_key=self._api_key or "none",
            base_url=self._address,
            default_headers=self._headers,
            timeout=timeout,
            max_retries=0,
            http_client=client,
        )

    def _http_client(self, **options: Any) -> httpx.AsyncClient:
        """By the environment's certificates and proxies; what is on this machine itself is never behind a proxy."""
        import httpx
        import openai

        try:
            if is_loopback(self._address):
                secured = self._address.lower().startswith("https")
                options |= {"trust_env": False, "verify": httpx.create_ssl_context(trust_env=secured)}
            return openai.DefaultAioHttpClient(follow_redirects=False, **options)
        except OSError as error:
            refused = f"no certificates: {error.strerror or error}: check SSL_CERT_FILE and SSL_CERT_DIR"
        except (ValueError, httpx.InvalidURL):  # whose texts may hold a piece of a password
            refused = _NO_PROXY
        raise UserError(f"{self.name}: {refused}")

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


async def _read(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """The body, decoded, up to little more than `limit` bytes, and whether it is the whole."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            break
    return b"".join(chunks), size <= limit
