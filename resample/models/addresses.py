"""Addresses of servers: what they may look like, and how they are shown."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from resample.models.redaction import REDACTED, redact
from resample.types import UserError

_PARTS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)?(?P<authority>[^/?#]*)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_PATH = re.compile(r"[^?#&;]*")


def check_address(url: str) -> None:
    """Raises UserError where a base_url is no address."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half a bracket, or a port that is no number
        known = False
    if not known:
        raise UserError(f"base_url: {public_address(url)!r} is no address; write http://host:port/v1 or https://...")


def public_address(url: str) -> str:
    """A URL, or a string that was meant to be one, without what may be secret in it: user, password, query.

    An `@` behind the first `/`, `?` or `#` may belong to a password that holds one of these: then only what follows
    the last `@` is shown.
    """
    parts = _PARTS.match(url)
    assert parts is not None, "every part may be empty"
    scheme = parts["scheme"] or ""
    host, rest = parts["authority"].rpartition("@")[2], parts["rest"]
    if "@" in rest:
        host, rest = f"{REDACTED}@", rest.rpartition("@")[2]
    path = _PATH.match(rest)
    shown = f"{scheme}{host}{path[0] if path else ''}".rstrip("/")
    return shown if scheme else redact(shown)  # perhaps a key, put in the wrong place


def is_loopback(url: str) -> bool:
    """Whether an address is of this machine itself: localhost, 127.0.0.0/8, ::1, and 0.0.0.0 as servers print it."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified
