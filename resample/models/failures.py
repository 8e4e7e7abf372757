"""What a failed attempt means: pure functions from what a provider answered to a `Failure`.

Providers agree on status codes and on little else. A prompt that is too long, a content filter and an empty
account all come as 400, 403, 413, 422, 429 or 500, so codes and texts are looked up in tables, the more
specific ones first.
"""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from resample.models.addresses import public_address
from resample.models.redaction import redact, redact_bytes
from resample.models.wire import BrokenReply, parse_reply
from resample.types import Fault, ModelError, Reply

MESSAGE_LIMIT = 500
"""Characters of a provider's message that are kept."""

_BODY_LIMIT = 20_000
_DEEPEST = 16
"""Objects in objects that are searched for a message or a code."""

_RETRIED = frozenset({408, 409, 429})

_CODES: Mapping[str, Fault] = {
    "context_length_exceeded": Fault.CONTEXT,
    "context_window_exceeded": Fault.CONTEXT,
    "exceed_context_size_error": Fault.CONTEXT,
    "content_filter": Fault.REFUSED,
    "content_policy_violation": Fault.REFUSED,
    "responsibleaipolicyviolation": Fault.REFUSED,
    "invalid_prompt": Fault.REFUSED,
    "moderation_blocked": Fault.REFUSED,
    "data_inspection_failed": Fault.REFUSED,
    "datainspectionfailed": Fault.REFUSED,
    "prohibited_content": Fault.REFUSED,
    "insufficient_quota": Fault.ACCESS,
    "insufficient_user_quota": Fault.ACCESS,
    "billing_hard_limit_reached": Fault.ACCESS,
    "billing_not_active": Fault.ACCESS,
    "invalid_api_key": Fault.ACCESS,
    "api_key_invalid": Fault.ACCESS,
}
"""Codes, types and reasons in an error body, lower case."""


def _pattern(*texts: str) -> re.Pattern[str]:
    return re.compile("|".join(texts), re.IGNORECASE)


_TEXTS: tuple[tuple[re.Pattern[str], Fault], ...] = (
    (
        _pattern(
            r"maximum context length",  # OpenAI, vLLM, DeepSeek, OpenRouter, SGLang
            r"exceeds? (the|its) (model's )?(maximum )?context (window|length|size)",  # OpenAI, SGLang
            r"exceeds? the available context size",  # llama.cpp
            r"longer than the (maximum model|model's context|model's maximum context) length",  # vLLM, SGLang
            r"max_tokens must be at least 1, got -",  # vLLM: the prompt leaves no room
            r"input tokens exceed the configured limit",  # OpenAI
            r"prompt is too long",  # Anthropic, Fireworks
            r"exceed context limit",  # Anthropic
            r"input token count .{0,40}exceeds the maximum",  # Gemini
            r"input (context )?is too long",  # Gemini, Bedrock
            r"too large for model with \d+ maximum context",  # Mistral
            r"maximum prompt length is",  # xAI
            r"too many tokens: .{0,80}prompt",  # Cohere
            r"`?inputs`? tokens \+ `?max_new_tokens`? must be",  # text-generation-inference
            r"reduce the length of the (messages|prompt|input)",  # OpenAI, Groq
            r"context ?window ?exceeded",  # litellm
        ),
        Fault.CONTEXT,
    ),
    (
        _pattern(
            r"content filter",  # Anthropic, OpenAI
            r"content management policy",  # Azure
            r"content ?policy ?violation",  # litellm
            r"flagged as potentially violating",  # OpenAI
            r"rejected .{0,40}safety system",  # OpenAI
            r"violates? .{0,40}(usage|content|safety) (policy|policies|guidelines)",  # xAI and others
            r"your input was flagged|requires moderation",  # OpenRouter
            r"content exists risk",  # DeepSeek
            r"inappropriate content",  # Alibaba
            r"prohibited_content|blocked (due to|by|for) .{0,30}(safety|policy|prohibited)",  # Gemini
        ),
        Fault.REFUSED,
    ),
    (
        _pattern(
            r"api key not valid",  # Gemini, with status 400
            r"credit balance is too low",  # Anthropic, with status 400
        ),
        Fault.ACCESS,
    ),
)

_TLS_STATE = re.compile(r"\s+ssl:(?:<[^>]*>|\w+)?(?=\s+\[)")
"""What aiohttp writes in its errors for addresses without TLS, too."""

_RATE = "x-ratelimit"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|$)")
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}

_CODE_FIELDS = ("code", "type", "status", "reason")


class Failure(Exception):
    """One attempt that failed. The text names the model and its address, and holds no secret."""

    def __init__(
        self,
        fault: Fault,
        message: str,
        *,
        status: int | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.status = status
        self.retryable = retryable
        self.retry_after = retry_after
        """Seconds the provider asks to wait."""

    def final(self, attempts: int) -> ModelError:
        """The error for the caller, after the last attempt."""
        tried = f" (after {attempts} attempts)" if attempts > 1 else ""
        error = ModelError(self.fault, f"{self}{tried}", self.status)
        error.retries = attempts - 1
        return error


@dataclass(frozen=True)
class Peer:
    """Who was asked: names failures, and keeps secrets out of them."""

    name: str
    """Model and address, such as `openai/gpt-x at https://api.openai.com/v1`."""
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def reply(self, raw: bytes) -> Reply:
        """Read the body of a 200. Raises Failure."""
        try:
            return parse_reply(redact_bytes(raw, self.secrets))
        except BrokenReply as error:
            failure = self.broken(error)
        raise failure

    def rejection(self, status: int, body: str | bytes, headers: Mapping[str, str] | None = None) -> Failure:
        """The failure for an answer with an error status."""
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        headers = headers or {}
        if 300 <= status < 400:
            return self._redirect(status, text, headers)
        return self._rejected(status, _parsed(text), text, headers)

    def _redirect(self, status: int, text: str, headers: Mapping[str, str]) -> Failure:
        """Not followed: the prompt and the headers would go to another server than the one named."""
        location = {name.lower(): value for name, value in headers.items()}.get("location")
        wanted = f"redirects to {public_address(location)}, which is not followed" if location else _plain(text)
        return Failure(Fault.ACCESS, self._text(f"{status} {wanted or '(no message)'}"), status=status)

    def _rejected(self, status: int, data: Any, text: str, headers: Mapping[str, str]) -> Failure:
        message = (provider_message(data) or _plain(text))[:_BODY_LIMIT]
        fault, retryable = classify(status, frozenset(_codes(data)), message)
        return Failure(
            fault,
            self._text(f"{status} {message or '(no message)'}"),
            status=status,
            retryable=retryable,
            retry_after=retry_after(headers) if retryable else None,
        )

    def unreachable(self, error: BaseException) -> Failure:
        """The failure for a connection that could not be made, broke or timed out."""
        return Failure(Fault.UNAVAILABLE, self._text(str(error) or type(error).__name__), retryable=True)

    def broken(self, error: BrokenReply) -> Failure:
        """The failure for a reply with status 200 that is none.

        Some gateways wrap an error of the provider behind them in a 200: its code then says what to do.
        """
        if error.error is None:
            return Failure(Fault.REJECTED, self._text(str(error)), status=200, retryable=True)
        inner = self._rejected(_status_of(error.error), {"error": error.error}, str(error), {})
        if inner.status != 200:
            return inner
        fault = inner.fault if inner.fault in (Fault.CONTEXT, Fault.REFUSED, Fault.ACCESS) else Fault.REJECTED
        return Failure(fault, str(inner), status=200, retryable=fault is Fault.REJECTED)

    def _text(self, reason: str) -> str:
        reason = _TLS_STATE.sub("", reason[:_BODY_LIMIT])
        return f"{self.name}: {shorten(redact(reason, self.secrets), MESSAGE_LIMIT)}"


def classify(status: int, codes: frozenset[str], text: str) -> tuple[Fault, bool]:
    """Fault, and whether another attempt may help; the fault is what stands after the last attempt."""
    for code in codes & _CODES.keys():
        return _CODES[code], False
    if status == 429:
        return Fault.UNAVAILABLE, True  # texts of rate limits speak of tokens and quotas, too
    if status not in (401, 404):
        for pattern, fault in _TEXTS:
            if pattern.search(text):
                return fault, False
    if status in _RETRIED or status >= 500:
        return Fault.UNAVAILABLE, True
    return (Fault.ACCESS if status in (401, 402, 403, 404) else Fault.REJECTED), False


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `retry-after-ms` or `Retry-After` (seconds or an HTTP date); None without either."""
    lower = {name.lower(): value for name, value in headers.items()}
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(lower[name]) / scale
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        date = email.utils.parsedate_to_datetime(lower.get("retry-after", ""))
        return max(0.0, date.timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def used_up(headers: Mapping[str, str]) -> float | None:
    """Seconds until more may be asked, where a reply's headers say that nothing is left; None where they do not.

    Headers as OpenAI has them: `x-ratelimit-remaining-requests: 0` and `x-ratelimit-reset-requests: 6m0s`.
    """
    waits = [
        _seconds(headers.get(f"{_RATE}-reset-{what}", ""))
        for what in ("requests", "tokens")
        if headers.get(f"{_RATE}-remaining-{what}") == "0"
    ]
    return max(waits) if waits else None


def _seconds(duration: str) -> float:
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(duration))


def provider_message(data: Any, depth: int = _DEEPEST) -> str:
    """The provider's own words in an error body; empty where it has none."""
    if isinstance(data, str):
        return data
    if depth and isinstance(data, list):
        return "; ".join(filter(None, (provider_message(item, depth - 1) for item in data)))
    if not depth or not isinstance(data, dict):
        return ""
    for name in ("error", "message", "detail", "msg", "errors", "error_message"):
        if text := provider_message(data.get(name), depth - 1):
            metadata = data.get("metadata")
            raw = metadata.get("raw") if isinstance(metadata, dict) else None
            return f"{text}: {raw}" if isinstance(raw, str) and raw not in text else text
    return ""


def shorten(text: str, limit: int) -> str:
    """One line of at most `limit` characters, without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _plain(text: str) -> str:
    return re.sub(r"<[^>]*>", " ", text[:_BODY_LIMIT]).strip()


def _codes(data: Any, depth: int = _DEEPEST) -> Iterator[str]:
    if not depth:
        return
    if isinstance(data, list):
        for item in data:
            yield from _codes(item, depth - 1)
    elif isinstance(data, dict):
        for name, value in data.items():
            if isinstance(value, str):
                if name in _CODE_FIELDS:
                    yield value.lower()
            else:
                yield from _codes(value, depth - 1)


def _status_of(error: Any) -> int:
    """The HTTP status an error object tells, or 200."""
    code = error.get("code", error.get("status")) if isinstance(error, dict) else None
    try:
        status = int(code) if isinstance(code, int | str) else 200
    except ValueError:
        return 200
    return status if 400 <= status < 600 else 200
