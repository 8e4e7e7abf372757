"""Personal data that is written in words: addresses of people and machines, and user names in paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from itertools import chain
from random import Random
from string import ascii_letters, digits

from resample.prepare.scrub.disguise import bare, is_made_up_name, laid_over, name
from resample.prepare.scrub.kinds import Detector, Hit, Kind

# -- e-mail ---------------------------------------------------------------------------------------------------------

_DOMAIN = re.compile(r"@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}([A-Za-z]{2,24}))(?![\w-])", re.ASCII)
_LOCAL = ascii_letters + digits + "._%+'-"
_NO_DOMAIN = re.compile(
    "png|jpg|jpeg|gif|svg|webp|ico|js|jsx|mjs|ts|tsx|json|html|css|scss|yml|yaml|txt|lock|xml|tgz|zip|tar|whl|"
    "java|service|socket|timer|target|slice|scope|mount|path|transpose|reshape|view|item|detach|numpy|cpu|"
    "cuda|property|setter|getter|deleter|fixture|mark|field|validator|command|dataclass",
    re.IGNORECASE,
)
_NOBODY = re.compile(
    "git|ssh|hg|svn|noreply|no-reply|donotreply|do-not-reply|nobody|username|mailer-daemon",
    re.IGNORECASE,
)
_RESERVED = re.compile(r"(?:.*\.)?(?:example\.(?:com|org|net)|example|test|invalid|localhost)", re.IGNORECASE)
_IN_URL = re.compile(r"//[^\s/@?#=&]*$")


def _emails(text: str) -> Iterator[Hit]:
    for match in _DOMAIN.finditer(text):
        window = text[max(0, match.start() - 64) : match.start()]
        size = len(window) - len(window.rstrip(_LOCAL))
        while size < len(window) and (window[-size - 1].isalpha() or window[-size - 1] in _LOCAL):  # ü, é
            size += 1
        local = window[len(window) - size :].lstrip(".'-%+")
        start = match.start() - len(local)
        if (
            local
            and not _NOBODY.fullmatch(local)
            and not _NO_DOMAIN.fullmatch(match[2])
            and not _IN_URL.search(text, max(0, start - 100), start)
        ):
            yield Hit("email", start, match.end())


def _is_reserved_email(value: str) -> bool:
    return _RESERVED.fullmatch(value.partition("@")[2]) is not None


def _email(value: str, random: Random) -> str:
    local = value.partition("@")[0].lower()
    return f"{name(local, random)}@example.{random.choice(('com', 'org', 'net'))}"


# -- IP and MAC -----------------------------------------------------------------------------------------------------

_DOTTED = re.compile(r"\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w-]|\.\d)", re.ASCII)
_FIRST = re.compile(r"(?<![\w.-])\d{1,3}$", re.ASCII)
_VERSION = re.compile(r"(?:[=~^<>]=?|\bv|\bver|version\S{0,2}|release|[A-Za-z_]/|@|\d\.)[ \t\"':]{0,4}$", re.IGNORECASE)
_LEFT = [
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "198.18.0.0/15",
        "224.0.0.0/3",
        "1.1.1.1/32",
        "1.0.0.1/32",
        "8.8.8.8/32",
        "8.8.4.4/32",
        "::/127",
        "fe80::/10",
        "ff00::/8",
        "2001:db8::/32",
    )
]
_EXAMPLES = ("192.0.2", "198.51.100", "203.0.113")
_COLONS = re.compile(r":(?::|(?:[0-9a-fA-F]{1,4}:){3})")
_HEX = re.compile(r"[0-9a-fA-F:]+")


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _is_reserved_ip(value: str) -> bool:
    return any(ip_address(value) in network for network in _LEFT)


def _ipv4(text: str) -> Iterator[Hit]:
    for match in _DOTTED.finditer(text):
        first = _FIRST.search(text, max(0, match.start() - 4), match.start())
        if first is None:
            continue
        value = first.group() + match.group()
        if max(map(int, value.split("."))) < 10 or _VERSION.search(text, max(0, first.start() - 16), first.start()):
            continue
        if _is_address(value):
            yield Hit("ip", first.start(), match.end())


def _ipv6(text: str) -> Iterator[Hit]:
    done = 0
    for match in _COLONS.finditer(text):
        if match.start() < done:
            continue
        start = match.start() - len(tail := text[max(done, match.start() - 40) : match.start()])
        start += len(tail.rstrip("0123456789abcdefABCDEF:"))
        whole = _HEX.match(text, start)
        if whole is None:
            continue
        done = whole.end()
        if _is_word(text[start - 1 : start]) or _is_word(text[done : done + 1]):
            continue
        value = whole.group().rstrip(":") if not whole.group().endswith("::") else whole.group()
        if _is_ipv6(value):
            yield Hit("ip", start, start + len(value))


def _is_word(character: str) -> bool:
    return character.isalnum() or character in ("_", ".", "-")


def _is_ipv6(value: str) -> bool:
    """An address rather than `a::b` or bytes: with a digit, and with three groups or a long one."""
    groups = [group for group in value.split(":") if group]
    return (
        any(map(str.isdigit, value))
        and (len(groups) > 2 or max(map(len, groups)) > 2)
        and set(map(len, groups)) != {2}
        and _is_address(value)
    )


def _ips(text: str) -> Iterator[Hit]:
    yield from _ipv4(text)
    yield from _ipv6(text)


def _ip(value: str, random: Random) -> str:
    if ":" in value:
        return f"2001:db8::{random.randrange(1, 0xFFFF):x}:{random.randrange(1, 0xFFFF):x}"
    if len(value) <= len("255.255.255.255"):
        return f"{random.choice(_EXAMPLES)}.{random.randrange(1, 255)}"
    # It was made longer because those are used up: there is another block, for benchmarks.
    return f"198.{random.randrange(18, 20)}.{random.randrange(256)}.{random.randrange(1, 255)}"


_PAIRS = re.compile(r"[:-][0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){4}(?![\w:-])", re.ASCII)
_PAIR = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}$", re.ASCII)


def _macs(text: str) -> Iterator[Hit]:
    for match in _PAIRS.finditer(text):
        first = _PAIR.search(text, max(0, match.start() - 3), match.start())
        if first is None or len(set(match.group()) & {":", "-"}) != 1:
            continue
        if len(set(bare(first.group() + match.group()))) > 1:
            yield Hit("mac", first.start(), match.end())


def _same_mac(value: str) -> str:
    return bare(value).lower()


def _is_reserved_mac(value: str) -> bool:
    """Of the block that is set aside for documents and protocols."""
    return _same_mac(value).startswith("00005e")


def _mac(value: str, random: Random) -> str:
    return "00005e" + "".join(random.choice("0123456789abcdef") for _ in range(6))


def _fit_mac(made: str, value: str) -> str:
    return laid_over(made.upper() if any(map(str.isupper, value)) else made, value)


# -- user names in paths --------------------------------------------------------------------------------------------

_HOMES = tuple(map(re.compile, (r"/home/(?=[\w.])", r"Users[\\/]{1,8}(?=[\w.])")))
_USER = re.compile(r"\w[\w.@-]{0,40}")
_SPACED_USER = re.compile(r"\w[\w.@-]{0,40}(?: \w[\w.-]{0,20}){0,2}(?=\\)")
_DASHED = re.compile(r"-(?:Users|home)-(?=\w)")
_DASHED_USER = re.compile(r"[^\W_]+(?=-)")
_ROOT = re.compile(
    r"(?:^|[^\w.~@%+}$-])(?:file:/{2}|/mnt/[a-z]|/[a-z]|/(?:export|var|usr|data|host|rootfs|System/Volumes/Data)"
    r"|[A-Za-z]:)?$",
    re.DOTALL,
)
_GENERIC = re.compile(
    "root|user|users|ubuntu|runner|node|app|vscode|shared|public|default|admin|administrator|debian|ec2-user|"
    "centos|fedora|arch|alpine|vagrant|docker|jenkins|git|gitlab|postgres|mysql|redis|nginx|www|www-data|"
    "nobody|guest|test|tester|testuser|dev|devuser|developer|me|you|username|yourname|your-username|"
    "your_username|name|youruser|myuser|someone|codespace|gitpod|coder|agent|agents|openhands|swe-agent|"
    "sandbox|linuxbrew|circleci|travis|builder|build|buildbot|workspace|work|project|projects|student|"
    "students|pi|oracle|opc|azureuser|claude|codex|gemini|jovyan|containeradministrator|runneradmin|model|"
    "computeruse|example|foo|bar|baz|xxx|site|deploy|nonroot|appuser|worker|daemon|service|bot|ci|home|local|"
    "tmp|opam|rust|go|python|conda|runneruser|kasm-user|seluser|pptruser|defaultuser|all|index|"
    "dashboard|products|settings|profile|login|assets|images|static|documents",
    re.IGNORECASE,
)


def _homes(text: str) -> Iterator[Hit]:
    users: set[str] = set()
    for match in chain.from_iterable(home.finditer(text) for home in _HOMES):
        windows = match.group().endswith("\\")
        found = (windows and _SPACED_USER.match(text, match.end())) or _USER.match(text, match.end())
        if found is None or not _ROOT.search(_before(text, match)):
            continue
        user = found.group().rstrip(".-@")
        if not _is_nobody(user):
            users.add(user)
            yield Hit("home", match.end(), match.end() + len(user))
    yield from _dashed_homes(text, users)


def _before(text: str, home: re.Match[str]) -> str:
    """What stands before `/home/` or `/Users/`; for `Users` alone, something that is no root."""
    before = text[max(0, home.start() - 24) : home.start()]
    if home.group().startswith("/"):
        return before
    return before.rstrip("\\/") if before.endswith(("/", "\\")) else "no"


def _dashed_homes(text: str, users: set[str]) -> Iterator[Hit]:
    """Names of folders made of whole paths, `-Users-ann-project`: a name that has a dash itself is known from paths."""
    known = sorted((user for user in users if not user.isalnum()), key=len, reverse=True)
    for match in _DASHED.finditer(text):
        start = match.end()
        dashed = next((user for user in known if text.startswith(re.sub(r"[^A-Za-z0-9]", "-", user) + "-", start)), "")
        found = _DASHED_USER.match(text, start)
        end = start + len(dashed) if dashed else found.end() if found else start
        alone = not text[match.start() - 1 : match.start()].strip("/\\\"'` \n")
        if alone and end > start and not _is_nobody(text[start:end]):
            yield Hit("home", start, end)


def _is_nobody(user: str) -> bool:
    return user.isdigit() or _GENERIC.fullmatch(user) is not None


def _is_long(user: str) -> bool:
    """Shorter names are words too often."""
    return len(user) >= 8


def _never(value: str) -> bool:
    return False


DETECTORS = (
    Detector(
        (Kind("email", _email, str.lower, is_made_up=_is_reserved_email, is_peculiar=_never, secret=False),), _emails
    ),
    Detector((Kind("ip", _ip, str.lower, is_made_up=_is_reserved_ip, is_peculiar=_never, secret=False),), _ips),
    Detector((Kind("mac", _mac, _same_mac, _fit_mac, _is_reserved_mac, _never, secret=False),), _macs),
    Detector(
        (Kind("home", name, is_made_up=is_made_up_name, is_peculiar=_is_long, secret=False),), _homes, unread="Users\\"
    ),
)
