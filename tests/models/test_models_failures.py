"""What statuses, bodies and exceptions mean, and that no secret comes through."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import orjson
import pytest

from resample.models.addresses import check_address, is_loopback, public_address
from resample.models.failures import MESSAGE_LIMIT, Failure, Peer, retry_after, used_up
from resample.models.redaction import header_secrets, public_name, redact, secrets_in
from resample.models.wire import BrokenReply
from resample.types import Fault, UserError

PEER = Peer("openai/gpt-x at https://example.com/v1", ("s3cret-Key-0123456789-wxyz",))
NOW, LATER = False, True


def openai_error(message: str, **fields: Any) -> bytes:
    return orjson.dumps({"error": {"message": message, **fields}})


ANSWERS: list[tuple[int, bytes, Fault, bool]] = [
    # by status
    (400, openai_error("bad"), Fault.REJECTED, NOW),
    (401, openai_error("Incorrect API key provided"), Fault.ACCESS, NOW),
    (402, openai_error("Insufficient Balance"), Fault.ACCESS, NOW),
    (403, openai_error("not allowed"), Fault.ACCESS, NOW),
    (404, openai_error("The model `x` does not exist", code="model_not_found"), Fault.ACCESS, NOW),
    (405, b"", Fault.REJECTED, NOW),
    (408, b"", Fault.UNAVAILABLE, LATER),
    (409, b"", Fault.UNAVAILABLE, LATER),
    (413, b"too large", Fault.REJECTED, NOW),
    (422, b'{"detail": [{"msg": "field required", "loc": ["body"]}]}', Fault.REJECTED, NOW),
    (429, openai_error("Rate limit reached", code="rate_limit_exceeded"), Fault.UNAVAILABLE, LATER),
    (500, b"<html><title>oops</title></html>", Fault.UNAVAILABLE, LATER),
    (502, b"", Fault.UNAVAILABLE, LATER),
    (503, b"", Fault.UNAVAILABLE, LATER),
    (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', Fault.UNAVAILABLE, LATER),
    # nothing left in the account, or no account
    (429, openai_error("You exceeded your current quota", code="insufficient_quota"), Fault.ACCESS, NOW),
    (429, openai_error("You exceeded your current quota, see billing"), Fault.UNAVAILABLE, LATER),
    (400, openai_error("Your credit balance is too low to access the API"), Fault.ACCESS, NOW),
    (400, b'[{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID"}}]', Fault.ACCESS, NOW),
    # the prompt is too long
    (400, openai_error("Too much", code="context_length_exceeded"), Fault.CONTEXT, NOW),
    (400, openai_error("This model's maximum context length is 8192 tokens. However, ..."), Fault.CONTEXT, NOW),
    (400, openai_error("Your input exceeds the context window of this model."), Fault.CONTEXT, NOW),
    (400, b'{"object":"error","message":"This model\'s maximum context length is 4096"}', Fault.CONTEXT, NOW),
    (
        400,
        b'{"message":"The decoder prompt (length 9) is longer than the maximum model length of 8"}',
        Fault.CONTEXT,
        NOW,
    ),
    (400, openai_error("prompt is too long: 203456 tokens > 200000 maximum"), Fault.CONTEXT, NOW),
    (400, openai_error("input length and `max_tokens` exceed context limit: 188000 + 20000"), Fault.CONTEXT, NOW),
    (
        400,
        openai_error("The input token count (12) exceeds the maximum number of tokens allowed (10)."),
        Fault.CONTEXT,
        NOW,
    ),
    (400, openai_error("Input is too long for requested model."), Fault.CONTEXT, NOW),
    (
        400,
        openai_error("Prompt contains 40 tokens, too large for model with 32 maximum context length"),
        Fault.CONTEXT,
        NOW,
    ),
    (400, openai_error("This model's maximum prompt length is 131072"), Fault.CONTEXT, NOW),
    (
        400,
        b'{"message":"too many tokens: total number of tokens in the prompt cannot exceed 4081"}',
        Fault.CONTEXT,
        NOW,
    ),
    (
        422,
        b'{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096"}',
        Fault.CONTEXT,
        NOW,
    ),
    (500, b'{"error":{"message":"the request exceeds the available context size","code":500}}', Fault.CONTEXT, NOW),
    (413, openai_error("Please reduce the length of the messages or completion."), Fault.CONTEXT, NOW),
    (429, openai_error("Limit 9000 tokens, reduce the length of the messages"), Fault.UNAVAILABLE, LATER),
    # a content filter
    (400, openai_error("filtered", code="content_filter"), Fault.REFUSED, NOW),
    (400, openai_error("no", code="content_policy_violation"), Fault.REFUSED, NOW),
    (
        400,
        openai_error("x", code="bad_request", innererror={"code": "ResponsibleAIPolicyViolation"}),
        Fault.REFUSED,
        NOW,
    ),
    (400, openai_error("Output blocked by content filtering policy"), Fault.REFUSED, NOW),
    (400, openai_error("your prompt was flagged as potentially violating our usage policy"), Fault.REFUSED, NOW),
    (403, openai_error("x requires moderation. Your input was flagged for violence"), Fault.REFUSED, NOW),
    (403, openai_error("Content violates usage guidelines."), Fault.REFUSED, NOW),
    (400, openai_error("Content Exists Risk"), Fault.REFUSED, NOW),
    # an echo of the prompt is not the provider's message
    (422, b'{"detail": [{"msg": "wrong type", "input": "prompt is too long"}]}', Fault.REJECTED, NOW),
]


@pytest.mark.parametrize(("status", "body", "fault", "retryable"), ANSWERS)
def test_what_an_answer_means(status: int, body: bytes, fault: Fault, retryable: bool) -> None:
    failure = PEER.rejection(status, body)
    assert (failure.fault, failure.retryable, failure.status) == (fault, retryable, status)
    assert str(failure).startswith(f"{PEER.name}: {status} ")


MESSAGES: list[tuple[bytes, str]] = [
    (openai_error("said\nso\x00 \x1b[31mloudly"), "500 said so [31mloudly"),
    (b'{"error": "plain"}', "500 plain"),
    (b'{"detail": [{"msg": "a"}, {"msg": "b"}]}', "500 a; b"),
    (openai_error("Provider returned error", metadata={"raw": "upstream"}), "500 Provider returned error: upstream"),
    (b"<html><body>\n<h1>502 Bad Gateway</h1></body></html>", "500 502 Bad Gateway"),
    (b'{"odd": 1}', '500 {"odd": 1}'),
    (b"", "500 (no message)"),
    (b"\xff\xfe", "500 \ufffd\ufffd"),
]


@pytest.mark.parametrize(("body", "text"), MESSAGES)
def test_the_providers_own_message_is_shown(body: bytes, text: str) -> None:
    assert str(PEER.rejection(500, body)) == f"{PEER.name}: {text}"


def test_long_messages_are_shortened() -> None:
    text = str(PEER.rejection(500, openai_error("x" * 100_000)))
    assert len(text) <= len(PEER.name) + 2 + MESSAGE_LIMIT and text.endswith("…")


BROKEN: list[tuple[BrokenReply, Fault, bool]] = [
    (BrokenReply("no JSON"), Fault.REJECTED, LATER),
    (BrokenReply("error", {"message": "boo"}), Fault.REJECTED, LATER),
    (BrokenReply("error", "boo"), Fault.REJECTED, LATER),
    (BrokenReply("error", {"message": "slow down", "code": 429}), Fault.UNAVAILABLE, LATER),
    (BrokenReply("error", {"message": "bad gateway", "code": "502"}), Fault.UNAVAILABLE, LATER),
    (BrokenReply("error", {"message": "bad", "code": 400}), Fault.REJECTED, NOW),
    (BrokenReply("error", {"message": "long", "code": "context_length_exceeded"}), Fault.CONTEXT, NOW),
]


@pytest.mark.parametrize(("error", "fault", "retryable"), BROKEN)
def test_what_a_broken_reply_means(error: BrokenReply, fault: Fault, retryable: bool) -> None:
    failure = PEER.broken(error)
    assert (failure.fault, failure.retryable) == (fault, retryable)


def test_a_connection_that_fails_may_be_tried_again() -> None:
    failure = PEER.unreachable(ConnectionResetError())
    assert (failure.fault, failure.retryable, failure.status) == (Fault.UNAVAILABLE, LATER, None)
    assert str(failure) == f"{PEER.name}: ConnectionResetError"


def test_the_final_error_says_how_often_it_was_tried() -> None:
    failure = Failure(Fault.UNAVAILABLE, "m: 503 busy", status=503, retryable=True)
    assert (str(failure.final(1)), str(failure.final(6))) == ("m: 503 busy", "m: 503 busy (after 6 attempts)")
    assert failure.final(6).status == 503 and failure.final(6).fault is Fault.UNAVAILABLE
    assert (failure.final(1).retries, failure.final(6).retries) == (0, 5)


SECRET = "s3cret-Key-0123456789-wxyz"
ECHOES = [
    f"key {SECRET} is wrong",
    f"key '{SECRET[:8]}' is wrong",
    f"key {SECRET[5:19]} is wrong",
    f"key {SECRET}{SECRET} is wrong",
    "key s3cr********wxyz is wrong",
    "key ending in 'wxyz' is wrong",
    "key ...wxyz is wrong",
    "key s3cret-Key-01…wxyz is wrong",
]


@pytest.mark.parametrize("text", ECHOES)
def test_secrets_and_their_echoes_are_removed(text: str) -> None:
    shown = redact(text, [SECRET])
    assert "[redacted]" in shown and "wxyz" not in shown and "0123" not in shown and "s3cret-K" not in shown
    assert shown.startswith("key ") and shown.endswith(" is wrong")


SHAPES = [
    ("Incorrect API key provided: sk-proj-abcdefghijk. See", "abcdefghijk"),
    ("Incorrect API key provided: sk-ab*****wxyz. See", "wxyz"),
    ("Incorrect API key provided: abcd*****wxyz.", "wxyz"),
    ("Authorization: Bearer abc.def-ghi rejected", "abc.def-ghi"),
    ("Authorization: Basic dXNlcjpwYXNz rejected", "dXNlcjpwYXNz"),
    ("GET https://h/v1?a=1&key=AIzaFooBar123&b=2", "FooBar"),
    ("AIzaSyA1234567890", "1234"),
    ("proxy http://user:pass@host:3128 refused", "user:pass"),
    ("proxy http://user:p/a@ss@host:3128 refused", "ss@"),
    ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "eyJ"),
]


@pytest.mark.parametrize(("text", "hidden"), SHAPES)
def test_whatever_looks_like_a_key_is_removed(text: str, hidden: str) -> None:
    assert hidden not in redact(text, [])


@pytest.mark.parametrize(
    "text", ["", "The model `gpt-x` does not exist", "max_tokens: **must** be a key-value *", "a" * 40]
)
def test_other_text_stays(text: str) -> None:
    assert redact(text, [SECRET, "", "abc"]) == text


def test_short_secrets_go_as_words() -> None:
    assert redact("key abc and abcd", ["abc"]) == "key [redacted] and abcd"


def test_a_cut_message_does_not_bare_a_secret() -> None:
    for padding in range(MESSAGE_LIMIT - 40, MESSAGE_LIMIT + 5):
        assert "s3cret" not in str(PEER.rejection(500, openai_error("x" * padding + " " + SECRET)))


def test_secrets_are_found_by_their_names() -> None:
    named = {"Authorization": "Bearer tok-1", "X-Api-Key": "tok-2", "HTTP-Referer": "https://x", "Cookie": "a=b"}
    assert set(secrets_in(named)) == {"tok-1", "tok-2", "a=b"}
    assert SECRET not in repr(PEER)


def test_a_header_may_hold_a_secret_whatever_its_name() -> None:
    named = {
        "X-Gateway": SECRET,
        "X-Tag": "v1",
        "X-Team": "env7",
        "HTTP-Referer": "https://example.com/app",
        "Authorization": "ab",
    }
    secrets = header_secrets(named)
    assert redact(f"gateway: {SECRET[3:15]} is odd", secrets) == "gateway: [redacted] is odd"
    assert redact("v1 at https://other.org", secrets) == "v1 at https://other.org"
    assert redact("env7 at https://other.org", secrets) == "[redacted] at https://other.org"
    assert redact("ab is odd", secrets) == "[redacted] is odd"


ADDRESSES = [
    ("https://user:hunter2@h.example:8443/v1/?key=1#x", "https://h.example:8443/v1"),
    ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
    ("http://[::1]:8000/v1/", "http://[::1]:8000/v1"),
    ("bob:hunter2secret@host/v1", "host/v1"),
    ("localhost:8000/v1", "localhost:8000/v1"),
    ("http://bob:hun@ter2@host/v1", "http://host/v1"),
    ("http://bob:hun/ter2@host/v1", "http://[redacted]@host/v1"),
    ("http://bob:hun?ter2@host/v1", "http://[redacted]@host/v1"),
    ("http://bob:hun#ter2@host/v1", "http://[redacted]@host/v1"),
    ("http://bob:hun\nter2@host/v1", "http://host/v1"),
    ("http://host/v1?mail=a@b&key=hunter2", "http://[redacted]@b"),
    ("http:/bob:hunter2@host/v1", "[redacted]@host/v1"),
    ("http://[bob:hunter2@host", "http://host"),
    ("sk-proj-hunter2hunter2", "[redacted]"),
    ("", ""),
]


@pytest.mark.parametrize(("url", "shown"), ADDRESSES)
def test_addresses_are_shown_without_credentials(url: str, shown: str) -> None:
    assert public_address(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host",
        "bob:hunter2@host/v1",
        "ftp://bob:hunter2@host",
        "http://",
        "http://[bob:hunter2@h",
        "http://h:x",
        "http://h:70000",
    ],
)
def test_what_is_no_address_is_said_without_a_password(url: str) -> None:
    with pytest.raises(UserError, match=r"^base_url: .* is no address") as caught:
        check_address(url)
    assert "hunter2" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:8000/v1", True),
        ("http://LOCALHOST./v1", True),
        ("https://127.0.0.1/v1", True),
        ("http://127.9.8.7:1", True),
        ("http://[::1]:8000/v1", True),
        ("http://0.0.0.0:8000/v1", True),
        ("http://10.0.0.1/v1", False),
        ("http://localhost.example.com/v1", False),
        ("http://127.0.0.1.example.com/v1", False),
        ("http://127.0.0.1@example.com/v1", False),
    ],
)
def test_what_is_on_this_machine(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("OPENAI_API_KEY", "OPENAI_API_KEY"),
        ("my_key2", "my_key2"),
        ("sk-proj-abcdefgh", "[redacted]"),
        ("hf_abcdefghijklmnopqrstu", "[redacted]"),
        ("a" * 65, "[redacted]"),
        ("bob:hunter2@host", "[redacted]"),
    ],
)
def test_a_key_in_place_of_its_variables_name_is_not_shown(name: str, shown: str) -> None:
    assert public_name(name) == shown


def test_redirects_are_not_followed() -> None:
    headers = {"Location": f"https://bob:{SECRET}@elsewhere.example/v1?key={SECRET}"}
    failure = PEER.rejection(307, b"moved", headers)
    assert (failure.fault, failure.retryable, failure.status) == (Fault.ACCESS, NOW, 307)
    assert str(failure) == f"{PEER.name}: 307 redirects to https://elsewhere.example/v1, which is not followed"
    assert str(PEER.rejection(300, b"many choices")) == f"{PEER.name}: 300 many choices"


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("body", [b"[" * 1000 + b"]" * 1000, b'{"error":' * 1000 + b"1" + b"}" * 1000, b"[" * 100_000])
def test_a_deep_error_is_an_error(status: int, body: bytes) -> None:
    failure = PEER.rejection(status, body)
    assert failure.status == status and len(str(failure)) < 600


@pytest.mark.parametrize("tls", ["ssl:default", "ssl:False", "ssl:<ssl.SSLContext object at 0x7f>"])
def test_connections_are_named_as_people_write_them(tls: str) -> None:
    text = f"Cannot connect to host h:80 {tls} [Connect call failed]"
    assert str(PEER.unreachable(OSError(text))) == f"{PEER.name}: Cannot connect to host h:80 [Connect call failed]"


WAITS: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"Retry-After": "7"}, 7.0),
    ({"retry-after": "0.5"}, 0.5),
    ({"retry-after-ms": "1500", "Retry-After": "7"}, 1.5),
    ({"Retry-After": "-3"}, 0.0),
    ({"Retry-After": "soon"}, None),
    ({"Retry-After": email.utils.formatdate(time.time() - 60, usegmt=True)}, 0.0),
]


@pytest.mark.parametrize(("headers", "seconds"), WAITS)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_as_a_date() -> None:
    seconds = retry_after({"Retry-After": email.utils.formatdate(time.time() + 60, usegmt=True)})
    assert seconds is not None and 55 < seconds <= 60
    assert PEER.rejection(429, b"", {"retry-after": "3"}).retry_after == 3
    assert PEER.rejection(400, b"", {"retry-after": "3"}).retry_after is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "1s"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1.5s"}, 1.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "250ms"}, 0.25),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "0m12s"}, 12),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6h0m0s"}, 21600),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7"}, 7),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon"}, 0),
        ({"x-ratelimit-remaining-tokens": "0"}, 0),
    ],
)
def test_headers_that_say_that_nothing_is_left(headers: dict[str, str], seconds: float | None) -> None:
    assert used_up(headers) == seconds
