"""Tokens that tell what they are: by the prefix of the service that issued them, or by their form."""

from __future__ import annotations

import re
from collections.abc import Iterator

from resample.prepare.scrub.kinds import Detector, Hit, Kind

_PATTERNS: dict[str, tuple[str, ...]] = {
    "aws_access_key": (r"(?:AKIA|ASIA|ABIA|ACCA)([0-9A-Z]{16})(?![0-9A-Za-z])",),
    "github": (r"gh[pousr]_([A-Za-z0-9]{20,255})", r"github_pat_([A-Za-z0-9_]{22,255})"),
    "gitlab": (r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|oas|soat|ffct)-([\w.-]{19,300}\w)",),
    "slack": (r"xox[abeoprsc](?:\.xox[bp])?-([A-Za-z0-9-]{15,300})", r"xapp-\d-([A-Za-z0-9-]{20,300})"),
    "slack_webhook": (r"hooks\.slack\.com/(?:services|workflows|triggers)/([\w/+-]{20,200})",),
    "stripe": (r"[rs]k_(?:live|test)_([A-Za-z0-9]{16,255})", r"whsec_([\w+/=]{24,255})"),
    "google_api_key": (r"AIza([\w-]{35})(?![\w-])",),
    "google_oauth": (r"GOCSPX-([\w-]{20,64})", r"ya29\.([\w.-]{20,2048})", r"1//0([\w-]{30,512})"),
    "anthropic": (r"sk-ant-(?:[a-z]{2,8}\d\d-)?([\w-]{20,300})",),
    "openai": (r"sk-(?:proj|svcacct|service|admin|None)-([\w-]{20,300})", r"sk-([A-Za-z0-9]{20,300})(?![\w-])"),
    "huggingface": (r"hf_([A-Za-z0-9]{20,255})(?!\w)",),
    "npm": (r"npm_([A-Za-z0-9]{30,255})(?!\w)",),
    "pypi": (r"pypi-AgE(?:IcHlwaS5vcmc|NdGVzdC5weXBpLm9yZw)?([\w-]{40,1024})",),
    "sendgrid": (r"SG\.([\w-]{16,32}\.[\w-]{8,64})",),
    "twilio": (r"(?:AC|SK)([0-9a-f]{32})(?![0-9A-Za-z])",),
    "telegram": (r"\d{8,10}:AA([\w-]{33})(?![\w-])",),
    "discord": (
        r"([MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,38})(?![\w-])",
        r"discord(?:app)?\.com/api/webhooks/\d+/([\w-]{40,100})",
    ),
    "azure": (
        r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{40,100}={0,2})",
        r"sig=([\w%+/-]{40,200}={0,2})(?![\w-])",
    ),
    "jwt": (
        r"eyJ[\w-]{8,4000}\.eyJ([\w-]{8,8000}\.[\w-]*)",
        r"eyJ[\w-]{8,4000}\.([\w-]{20,4000}(?:\.[\w-]{8,8000}){3})",
    ),
    "other_token": (
        r"do[opr]_v1_([0-9a-f]{64})",
        r"shp(?:at|ca|pa|ss)_([0-9a-fA-F]{32})",
        r"dapi([0-9a-f]{32})(?![0-9A-Za-z])",
        r"lin_(?:api|oauth)_([A-Za-z0-9]{32,64})",
        r"PMAK-([0-9a-f]{24}-[0-9a-f]{34})",
        r"dckr_[po]at_([\w-]{20,64})",
        r"gsk_([A-Za-z0-9]{40,64})",
        r"r8_([A-Za-z0-9]{30,64})",
        r"xai-([A-Za-z0-9]{40,100})",
        r"pplx-([A-Za-z0-9]{40,64})",
        r"hvs\.([\w-]{20,300})",
        r"ntn_([A-Za-z0-9]{40,64})",
        r"sq0[a-z]{3}-([\w-]{22,64})",
        r"key-([0-9a-f]{32})(?![0-9A-Za-z])",
        r"NRAK-([A-Z0-9]{27})",
        r"glsa_([A-Za-z0-9]{32}_[0-9a-f]{8})",
        r"sntry[su]_([\w+/=]{32,300})",
        r"dp\.(?:pt|st)\.([\w.]{40,60})",
        r"sk-or-v1-([0-9a-f]{32,64})",
        r"sk-lf-([0-9a-f-]{36})",
        r"AGE-SECRET-KEY-1([0-9A-Z]{58})",
        r"ATATT3([\w=-]{50,300})",
        r"tvly-(?:dev-|prod-)?([A-Za-z0-9]{20,64})",
        r"lsv2_(?:pt|sk)_([0-9a-f]{32}_[0-9a-f]{10})",
        r"sbp_([0-9a-f]{40})",
        r"figd_([\w-]{36,64})",
    ),
}
"""By kind. The one group of each is what is secret; what stands before it says whose it is, and stays."""

_KIND_OF = [name for name, patterns in _PATTERNS.items() for _ in patterns]
_TOKEN = re.compile(
    rf"(?<![A-Za-z0-9])(?:{'|'.join(p for patterns in _PATTERNS.values() for p in patterns)})", re.ASCII
)
_LONG = re.compile(r"[^\w.+/=~:%-][\w.+/=~:%-]{20,}", re.ASCII)
"""Where a token may be: none is shorter. A small part of the text, for the long pattern above."""

_WORDS = re.compile(r"[a-z]+(?:[-_./]+[a-z]+)*|[A-Z]+(?:[-_./]+[A-Z]+)+|(?i:.*(?:example[_-]|placeholder|your[_-]).*)")


def is_stopgap(value: str) -> bool:
    """Does this stand for a token rather than be one: `your-token-here`, `xxxxxxxx`?"""
    return len(set(value)) <= 3 or _WORDS.fullmatch(value) is not None


def _tokens(text: str) -> Iterator[Hit]:
    for long in _LONG.finditer(text):
        for match in _TOKEN.finditer(text, *long.span()):
            group = match.lastindex or 0
            if not is_stopgap(match[group]):
                # What follows the group, if anything, is only looked at.
                yield Hit(_KIND_OF[group - 1], *match.span(), match.start(group) - match.start())


_BLOCK = re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_LINES = re.compile(r"[\sA-Za-z0-9+/=:,\"'\\.-]*")
_CODED_LINES = re.compile(r"(?:[\s\"',\\]{0,8}[A-Za-z0-9+/=]{24,})*")
_CODED = re.compile(r"[A-Za-z0-9+/=]{20}")
_LONGEST_KEY = 20_000


def _private_keys(text: str) -> Iterator[Hit]:
    """Blocks up to their last line; where that was cut off, as far as there are coded lines."""
    for match in _BLOCK.finditer(text):
        begin = match.end()
        end = text.find("-----END", begin, begin + _LONGEST_KEY)
        if end < 0 or not _LINES.fullmatch(text, begin, end):
            lines = _CODED_LINES.match(text, begin, begin + _LONGEST_KEY)
            end = lines.end() if lines else begin
        if _CODED.search(text, begin, end):
            yield Hit("private_key", match.start(), end, begin - match.start())


DETECTORS = (
    Detector((Kind("private_key"),), _private_keys),
    Detector(tuple(map(Kind, _PATTERNS)), _tokens),
)
