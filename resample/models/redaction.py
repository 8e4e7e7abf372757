"""Keeping secrets out of what people are told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

REDACTED = "[redacted]"

_ECHO = 8
"""A stretch of this many characters of a secret is an echo of it."""

_SHORTEST = 3
"""A shorter value of a header is no secret."""

_SHAPES = re.compile(
    r"\b(?:Bearer|Basic)\s+[\w\-.~+/=*]{4,}"
    r"|\bsk-[\w\-.*…]{4,}|\b(?:pk|rk|xai|gsk|pplx|nvapi|glpat)[-_][\w\-.*…]{8,}|\b(?:hf|ghp)_\w{16,}"
    r"|\bAIza[\w\-*.…]{4,}|\bAKIA[\w*.…]{4,}|\bya29\.[\w\-*.…]{4,}|\beyJ[\w\-]{8,}[\w\-.]*"
    r"|[\w\-]{0,99}\*{3,}[\w\-]{0,99}"
    r"|(?<=://)[^\s\"'<>]+(?=@)"
    r"|[?&](?:api[_-]?)?key=[^&\s]+",
)
"""What looks like a key whoever it belongs to: known beginnings, masked forms, credentials in an address."""

_SECRET_NAME = re.compile(r"auth|key|token|secret|password|credential|cookie", re.IGNORECASE)
_WEB = re.compile(r"^https?://")
_VARIABLE = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without the given secrets, eight or more of their characters in a row, or shapes of keys."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        if len(secret) < _ECHO:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", REDACTED, text)
        else:
            text = _without_echoes(text, secret)
            tail = re.escape(secret[-4:])  # "...wxyz", "ending in wxyz"
            text = re.sub(rf"(\.{{2,}}|…|\*+|\bend\w* (?:in|with) \W?)[\w\-]*{tail}\b", REDACTED, text)
    return _SHAPES.sub(REDACTED, text)


def redact_bytes(raw: bytes, secrets: Iterable[str]) -> bytes:
    """A reply without the given secrets, where they are long enough not to be ordinary words.

    A server may echo a request's headers, and what it says is kept.
    """
    for secret in secrets:
        if len(secret) >= _ECHO and (exact := secret.encode("utf-8", "surrogatepass")) in raw:
            raw = raw.replace(exact, REDACTED.encode())
    return raw


def _without_echoes(text: str, secret: str) -> str:
    pieces: list[str] = []
    at = start = 0
    while at <= len(text) - _ECHO:
        if text[at : at + _ECHO] not in secret:
            at += 1
            continue
        end = at + _ECHO
        while end < len(text) and text[at : end + 1] in secret:
            end += 1
        pieces += [text[start:at], REDACTED]
        at = start = end
    return "".join(pieces) + text[start:]


def secrets_in(named: Mapping[str, str]) -> tuple[str, ...]:
    """The values of environment variables (or headers) whose names say that they are secret, word by word."""
    values = [value for name, value in named.items() if _SECRET_NAME.search(name)]
    words = (word for value in values for word in value.split())
    return tuple(word for word in words if word.lower() not in ("bearer", "basic"))


def header_secrets(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Those of `secrets_in`, and every value of three characters or more: a header may have any name.

    The beginning of a web address is no secret, and stands in many messages.
    """
    values = (_WEB.sub("", value) for value in headers.values())
    return (*secrets_in(headers), *(value for value in values if len(value) >= _SHORTEST))


def public_name(variable: str) -> str:
    """The name of an environment variable, redacted where it may be the key itself, put in the wrong place."""
    return variable if _VARIABLE.fullmatch(variable) and redact(variable) == variable else REDACTED
