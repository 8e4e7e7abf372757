"""Secrets that only their context gives away: `password=...`, `Authorization: Bearer ...`, `https://user:...@host`.

Transcripts are full of code, where the same words stand before names, calls and types. What is taken has to be a
literal: quoted, or written as a shell, a settings file or a URL write it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from resample.prepare.scrub.disguise import bare
from resample.prepare.scrub.kinds import Detector, Hit, Kind
from resample.prepare.scrub.tokens import is_stopgap

# -- headers and addresses ------------------------------------------------------------------------------------------

_BEARER = re.compile(r"bearer[ \t]{1,4}([\w.~+/-]{16,4000}={0,2})", re.ASCII)
_AUTHORIZATION = re.compile(
    r"authorization[\"']?[ \t]{0,4}[:=,][ \t]{0,4}[\"']?(?:(?:basic|token|apikey|bearer)[ \t]{1,4})?"
    r"([\w.~+/-]{10,4000}={0,2})(?![\w(\[])",
    re.ASCII,
)


def _headers(text: str) -> Iterator[Hit]:
    lowered = _lowered(text)
    for pattern in (_BEARER, _AUTHORIZATION):
        for match in pattern.finditer(lowered):
            value = text[match.start(1) : match.end(1)]
            if _is_random(value) and not _NAMES.fullmatch(value):
                yield Hit("bearer", *match.span(1))


_USERINFO = re.compile(r"://([^\s/@:\"'`<>]{0,100}):([^\s/\"'`<>?{}|\\\x00]{2,200})@(?=[\w\[])", re.ASCII)


_TOKEN_AS_USER = re.compile(r"://([\w-]{16,200})@(?=[\w\[])", re.ASCII)
_USER_OPTION = re.compile(
    r"\bcurl\b[^\n\x00]{0,400}?\s(?:-u|--user)[ =][\"']?[\w.@-]{1,64}:([^\s\"'$<\x00]{4,200})", re.ASCII
)


def _url_passwords(text: str) -> Iterator[Hit]:
    for match in _USERINFO.finditer(text):
        user, password = match.groups()
        # `guest:guest` is what a server ships with.
        if password != user and not _is_placeholder(password):
            yield Hit("url_password", *match.span(2))
    for pattern in (_TOKEN_AS_USER, _USER_OPTION):
        for match in pattern.finditer(text):
            if _is_random(match[1]) and not _is_placeholder(match[1]):
                yield Hit("url_password", *match.span(1))


# -- assignments ----------------------------------------------------------------------------------------------------

_NAME = re.compile(
    r"(pass(?:word|wd|wrd|phrase|)|pwd|secret|token|key)"
    r"(?:[_-]?(?:key|token|secret|value|string|base|raw|prod|production|dev|staging|live|old|new|\d{1,2}))*(?![a-z0-9_-])",
    re.ASCII,
)
_AFTER = {
    "key": re.compile(
        r"(?:api|app|access|private|secret|signing|encryption|account|auth|master|license|shared)[_ -]?$"
    ),
    "pass": re.compile(r"[a-z0-9][_-]$|--$|[\"']$"),
}
"""Words that are something else in most names, and what has to stand before them."""
_NOT_AFTER = {
    "token": re.compile(
        r"(?:next|page|continuation|cursor|sync|pad|eos|bos|unk|mask|sep|cls|special|stop|start|end|image|num|max|min|csrf)"
        r"[_-]?$"
    )
}
_EQUALS = re.compile(
    r"[\"'`\]]{0,2}(?:\??:[ \t]{0,2}[A-Za-z_][\w.\[\]|]{0,30})?(?P<space>[ \t]{0,20})"
    r"(?P<sign>=>|:=|===?|!==?|=|:|>)[ \t]{0,20}",
    re.ASCII,
)
_OPTION = re.compile(r"[ \t]{1,2}(?=[^\s-])")
_SAID = re.compile(r"[ \t]{1,2}(?:(?:is|was|to|of)[ \t])?(?=[\"'`])")
_QUOTED = re.compile(r"[bru]{0,2}([\"'`])([^\s\"'`\x00]{4,400})\1", re.ASCII)
_PLAIN = re.compile(r"[^\s\"'`,;()\[\]{}<>&|\\\x00]{6,400}", re.ASCII)

_PLACEHOLDER = re.compile(
    r"//.*|\$.*|%\w+%|(?:your|example|placeholder|redacted|change[-_ ]?(?:me|it)).*"
    r"|(?:the|my|some|new|old|current|default|enter|insert|replace|put)?[-_ .]?"
    r"(?:user|db|admin|root|access|auth|api|client)?[-_ .]?(?:passw(?:or)?d|passphrase|pass|pwd|secret|token|key)"
    r"(?:[-_ .](?:here|value|string))?"
    r"|none|null|nil|undefined|true|false|required|optional|string|hidden|todo|unset|empty|n/?a|dummy",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(
    r"<[^<>]*>|\{[^{}]*\}|\[[^][]*\]|\.\.\.|…|\*\*\*|\$\(|://|redacted|placeholder|[-_]here\b|example[-_ ]",
    re.IGNORECASE,
)
_WORD = re.compile(r"pass|pwd|secret|token|key", re.IGNORECASE)
_NAMES = re.compile(r"[$@]?[A-Za-z_]\w*(?:(?:\.|::|->|\?\.)[A-Za-z_]\w*)+", re.ASCII)
_ID = re.compile(r"(?:call|toolu|chatcmpl|resp|msg|req|run)[_-]\w+", re.ASCII)
_PATH = re.compile(
    r"(?:~|\.{1,2}|[A-Za-z]:)?[/\\](?:[\w.@ -]+[/\\])*[\w.@-]*|[\w.-]+\.(?:py|js|ts|json|ya?ml|toml|txt|pem|key|env|md)"
)
_TYPE = re.compile(
    r"(?:u?int|float|bytes|str|string|varchar|char|utf|sha|md|base|hex|hs|rs|es|ed|aes|rsa)[-_]?\d+", re.I
)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_AWS_SECRET = re.compile(r"[A-Za-z0-9/+]{40}")


def _lowered(text: str) -> str:
    """In small letters, character by character; one letter would become two."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else text.replace("İ", "i").lower()


def _is_random(value: str) -> bool:
    """Letters and digits, or both cases, as no word has them."""
    return (any(map(str.isdigit, value)) and any(map(str.isalpha, value))) or (
        len(value) >= 16 and value.isalpha() and not (value.islower() or value.isupper() or value.istitle())
    )


def _is_placeholder(value: str) -> bool:
    return len(set(value)) <= 2 or bool(_PLACEHOLDER.fullmatch(value) or _TEMPLATE.search(value))


def _assignments(text: str) -> Iterator[Hit]:
    lowered = _lowered(text)
    for match in _NAME.finditer(lowered):
        word = match[1]
        before = lowered[max(0, match.start() - 16) : match.start()]
        if (word in _AFTER and not _AFTER[word].search(before)) or (
            word in _NOT_AFTER and _NOT_AFTER[word].search(before)
        ):
            continue
        value = _value(text, match.end(), lowered, match.start())
        if value is None:
            continue
        start, end, quoted, spaced = value
        secret = text[start:end]
        aws = _AWS_SECRET.fullmatch(secret) and ("aws" in before or "secretaccess" in bare(before + match.group()))
        name = text[match.start() : match.end()]
        # As the environment has it: a variable in capitals, and what stands after its = is no name.
        plain = not quoted and not spaced and name.isupper() and word.startswith("p") and text[match.end()] == "="
        is_word = plain and secret.isalpha() and secret.islower() and len(secret) >= 8 and not _is_placeholder(secret)
        if aws or is_word or _is_secret(secret, word.startswith("p"), quoted, spaced):
            yield Hit("aws_secret_key" if aws else "assignment", start, end)


def _value(text: str, at: int, lowered: str, name: int) -> tuple[int, int, bool, bool] | None:
    """The literal that is assigned to a name that ends here: its span, is it quoted, is there space before the `=`?"""
    if said := _SAID.match(text, at):
        quoted = _QUOTED.match(text, said.end())
        return (*quoted.span(2), False, False) if quoted else None
    sign = _EQUALS.match(text, at) or (_OPTION.match(text, at) if _is_option(lowered, name) else None)
    if sign is None:
        return None
    if quoted := _QUOTED.match(text, sign.end()):
        return *quoted.span(2), True, False
    plain = _PLAIN.match(text, sign.end())
    is_element = sign.groupdict().get("sign") == ">"
    if (
        plain is None
        or text.startswith(("(", "[", "{"), plain.end())
        or text.startswith("<", plain.end()) != is_element
    ):
        return None
    end = plain.start() + len(plain.group().rstrip(".:!?"))
    return plain.start(), end, False, bool(sign.groupdict().get("space"))


def _is_option(lowered: str, name: int) -> bool:
    """Does the name belong to an option of a command: `--db-password`?"""
    begin = max(lowered.rfind(" ", max(0, name - 40), name), lowered.rfind("\n", max(0, name - 40), name))
    return lowered.startswith("--", begin + 1)


def _is_secret(value: str, password: bool, quoted: bool, spaced: bool) -> bool:
    is_random = len(value) >= 8 and _is_random(value) and not is_stopgap(value)
    if not (password or is_random) or _is_placeholder(value):
        return False
    if any(form.fullmatch(value) for form in (_PATH, _TYPE, _ID)) or not any(map(str.isalnum, value)):
        return False
    if not quoted:
        return not _is_code(value, spaced) and (_is_random(value) or not _IDENTIFIER.fullmatch(value))
    return is_random or (len(value) >= 6 and not _NAMES.fullmatch(value)) or not value.isalpha()


def _is_code(value: str, spaced: bool) -> bool:
    """Is this, without quotes, the name of something: `config.token2`, `token = token2`, `token=access_token_v2`?"""
    if not _IDENTIFIER.fullmatch(value):
        return _NAMES.fullmatch(value) is not None
    named = _WORD.search(value) is not None and sum(map(str.isdigit, value)) < 3
    return named or (spaced and len(value) < 16)


DETECTORS = (
    Detector((Kind("bearer"),), _headers),
    Detector((Kind("url_password"),), _url_passwords),
    Detector((Kind("aws_secret_key"), Kind("assignment")), _assignments),
)
