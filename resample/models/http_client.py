"""An http client for the openai SDK that does what a POST of ready-made bytes needs, and nothing else.

The SDK builds a request, sends it and looks at the status; httpx's request and response objects, its redirects,
cookies and authentication flows cost as much as the rest of the call. Here the SDK's headers and body go to aiohttp as
they are, and what comes back is read as far as it may be read. One address is asked, so that its proxy is looked up
once; redirects are not followed.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from resample.models.addresses import is_loopback

if TYPE_CHECKING:
    import aiohttp

_KEEPALIVE_SECONDS = 4.0
"""Below the 5 s after which common servers hang up, so that a request seldom meets a closing connection."""
_CONNECT_SECONDS = 10.0


class BadEnvironment(OSError):
    """The environment's certificates or proxies allow no connections. The text holds no piece of a password."""


class WireRequest:
    """What the SDK asks for."""

    __slots__ = ("content", "headers", "method", "url")

    def __init__(self, method: str, url: str, headers: Mapping[str, str], content: bytes) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.content = content

    def with_content(self, content: bytes, headers: Mapping[str, str]) -> WireRequest:
        """The same with another body, and further headers."""
        return WireRequest(self.method, self.url, {**self.headers, **headers} if headers else self.headers, content)

    def without(self, headers: Collection[str]) -> WireRequest:
        """The same without body and these headers, for others to be made of."""
        unwanted = {name.lower() for name in headers}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in unwanted}
        return WireRequest(self.method, self.url, kept, b"")


class WireResponse:
    """What was answered, whatever its status: the SDK hands it on as it is."""

    is_closed = True

    def __init__(self, request: WireRequest, response: aiohttp.ClientResponse, body: bytes, whole: bool) -> None:
        self.request = request
        self.status_code = response.status
        self.reason_phrase = response.reason or ""
        self.headers: Mapping[str, str] = response.headers
        self.body = body
        """Decoded."""
        self.whole = whole
        """False where the body is longer than may be read."""

    def raise_for_status(self) -> None:
        """Nothing: who asked looks at the status."""


class WireClient(httpx.AsyncClient):
    """Sends to one address. Connections belong to the event loop of the first request."""

    def __init__(self, address: str, *, pool: int, reply_bytes: int, error_bytes: int) -> None:
        """`reply_bytes` and `error_bytes` are how much is read of a body, with status 2xx and otherwise."""
        super().__init__(trust_env=False, verify=False)  # its own connections are never used
        self._address = address
        self._pool = pool
        self._limits_of_bodies = (reply_bytes, error_bytes)
        self._session: aiohttp.ClientSession | None = None
        self._proxy: str | None = None

    def build_request(self, method: str, url: Any, **given: Any) -> Any:
        """The request as the SDK has put it together."""
        bare, headers = _without_user(str(url), given["headers"])
        return WireRequest(method, bare, dict(headers), given["content"])

    async def send(self, request: Any, **_: Any) -> Any:
        """Send it, and read the answer. Raises aiohttp's errors, and OSError."""
        session = self._session or self._open()
        async with session.post(
            request.url, data=request.content, headers=request.headers, proxy=self._proxy, allow_redirects=False
        ) as response:
            success = 200 <= response.status < 300
            body, whole = await _read(response, self._limits_of_bodies[0 if success else 1])
            return WireResponse(request, response, body, whole)

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        self._proxy = proxy_for(self._address)
        secured = self._address.lower().startswith("https")
        context: Any = True
        if secured or not is_loopback(self._address):
            try:
                context = httpx.create_ssl_context()
            except OSError as error:
                raise BadEnvironment(
                    f"no certificates: {error.strerror or error}: check SSL_CERT_FILE and SSL_CERT_DIR"
                ) from None
        connector = aiohttp.TCPConnector(limit=self._pool, keepalive_timeout=_KEEPALIVE_SECONDS, ssl=context)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        return self._session

    async def aclose(self) -> None:
        """Release connections; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await super().aclose()


def proxy_for(address: str) -> str | None:
    """The environment's proxy for an address; what is on this machine itself is never behind one.

    Raises BadEnvironment where the environment names one that is no address.
    """
    if is_loopback(address):
        return None
    parts = urlsplit(address)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.hostname or ""):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        named = urlsplit(proxy)
        usable = (
            named.scheme in ("http", "https") and bool(named.hostname) and named.port != 0 and "@" not in named.path
        )
    except ValueError:
        usable = False
    if not usable:
        raise BadEnvironment("one of HTTP_PROXY, HTTPS_PROXY and ALL_PROXY holds no address: correct or unset it")
    return proxy


def _without_user(url: str, headers: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """An address without the user and password in it, which go into a header unless there is another."""
    if "@" not in url:
        return url, headers
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, headers
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if "Authorization" in headers:
        return bare, headers
    user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    return bare, {**headers, "Authorization": f"Basic {base64.b64encode(user).decode()}"}


async def _read(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """The body, decoded, up to little more than `limit` bytes, and whether it is the whole."""
    if "Content-Encoding" not in response.headers and (response.content_length or limit + 1) <= limit:
        return await response.read(), True
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            response.close()  # or the rest would be read before the connection is used again
            return b"".join(chunks), False
    return b"".join(chunks), True
