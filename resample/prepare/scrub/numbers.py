"""Personal data that is written in digits: telephone, payment card, bank account and social security numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random

from resample.prepare.scrub.disguise import bare, is_made_up, laid_over, token
from resample.prepare.scrub.kinds import Detector, Hit, Kind

_RUN = re.compile(r"\d(?<![\d.-]\d)(?!\d{3}-\d\d-\d\d)[\d ().-]{6,}\d", re.ASCII)
"""Where a number may be that people write in groups; no date."""
_BEFORE, _AFTER = r"(?<![\w.+/#$@%\\-])", r"(?![\w%@/-]|[.,:]\d)"
"""It is not a part of a longer name, number, path or address."""


# -- payment cards --------------------------------------------------------------------------------------------------

_CARD = r"\d{13,19}|\d{4}(?P<a>[ -])\d{4}(?P=a)\d{4}(?P=a)\d{4}(?:(?P=a)\d{3})?|\d{4}(?P<b>[ -])\d{6}(?P=b)\d{4,5}"
_BRANDS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"6011|65|64[4-9]"), (16, 19)),
    (re.compile(r"30[0-5]|36|38"), (14,)),
    (re.compile(r"35(?:2[89]|[3-8])"), (16,)),
    (re.compile(r"62"), (16, 17, 18, 19)),
)
"""How the numbers of each brand begin, and how long they are."""


def _brand(number: str) -> int:
    """How many digits at the beginning name the brand; 0 for no card."""
    for pattern, sizes in _BRANDS:
        if len(number) in sizes and (match := pattern.match(number)):
            return match.end()
    return 0


def _check_digit(number: str) -> int:
    """What has to follow a number to pass the Luhn test."""
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in number[::-2])
    return -(doubled + sum(map(int, number[-2::-2]))) % 10


def _is_card(value: str) -> bool:
    number = bare(value)
    brand = _brand(number)
    return brand > 0 and _check_digit(number[:-1]) == int(number[-1])


def _is_made_up_card(value: str) -> bool:
    number = bare(value)
    return is_made_up(number[_brand(number) : -1])


def _card(number: str, random: Random) -> str:
    brand = _brand(number)
    made = number[:brand] + token(number[brand:-1], random)
    return f"{made}{_check_digit(made)}"


# -- social security numbers ----------------------------------------------------------------------------------------

_SSN = r"(?!000|666)\d{3}-(?!00)\d{2}-(?!0000)\d{4}"


def _is_made_up_ssn(value: str) -> bool:
    return value.startswith("9")


def _ssn(number: str, random: Random) -> str:
    """Numbers that begin with 9 are never given out."""
    return f"9{random.randrange(10**8):08}"


# -- telephone ------------------------------------------------------------------------------------------------------

_COUNTRY = re.compile(r"\+(?:1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|[2-9]\d\d)", re.ASCII)
_PHONE = (
    r"\+1[ .-]?\(?[2-9]\d\d(?:\) ?|[ .-]?)[2-9]\d\d[ .-]?\d{4}"
    r"|\+[2-9](?:[ .()-]{0,2}\d){7,13}"
    r"|(?:1[ .-])?(?:\([2-9]\d\d\) ?\d{3}[ .-]|[2-9]\d\d-\d{3}-|[2-9]\d\d\.[2-9]\d\d\.)\d{4}"
    r"|(?<![0-9a-f] )0[1-9](?:(?P<c>[ .])\d\d)(?:(?P=c)\d\d){3}(?![ .][0-9a-f]{1,2})"
    r"|\(0\d{1,4}\) ?\d{3,4}[ -]?\d{3,4}"
    r"|(?<!\d )(?:0\d{2} \d{4} \d{4}|0\d{3} \d{3} \d{4}|07\d{3} \d{3} ?\d{3})(?! ?\d)"
)
_NAMED = re.compile(
    r"(?:phone|telephone|tel|mobile|fax|whatsapp)(?:[ _-]?(?:number|num|no|nr))?\.?"
    r"[\"']?[ \t]{0,2}[:=]?[ \t]{0,2}[\"']?$",
    re.IGNORECASE,
)
_ANY_PHONE = re.compile(rf"(?P<phone>{_BEFORE}[+(]{{0,2}}\d(?:[ .()-]{{0,2}}\d){{8,14}}{_AFTER})", re.ASCII)
_FRACTION = re.compile(r"\+?\d+\.\d+")


def _is_phone(value: str) -> bool:
    number = _same_phone(value)
    if _FRACTION.fullmatch(value) or (number.startswith("+") and not _COUNTRY.match(number)):
        return False
    if number.startswith("+") and number[1:] == value[1:] and len(number) < 11:
        return False
    lead = _lead(number)
    return _is_american(number) or len(number) - lead >= 6


def _is_made_up_phone(value: str) -> bool:
    number = _same_phone(value)
    return number[-7:-2] == "55501" if _is_american(number) else is_made_up(number[_lead(number) :])


def _same_phone(value: str) -> str:
    return "+" * ("+" in value[:2]) + bare(value)


def _is_american(number: str) -> bool:
    plain = number.removeprefix("+1") if number.startswith("+") else number[len(number) - 10 :]
    return len(plain) == 10 and plain[0] > "1" and number[: len(number) - 10] in ("", "1", "+1")


def _lead(number: str) -> int:
    """How many characters say where it belongs, and stay."""
    country = _COUNTRY.match(number)
    return country.end() if country else len(number) - len(number.lstrip("0"))


def _phone(number: str, random: Random) -> str:
    """American ones from the block for fiction (555-01..), others with the mark of what is made up."""
    if _is_american(number):
        return f"{number[:-10]}{random.randrange(200, 1000)}55501{random.randrange(100):02}"
    lead = _lead(number)
    return number[:lead] + token(number[lead:], random)


def _fit_phone(made: str, value: str) -> str:
    return laid_over(made.lstrip("+"), value)


# -- bank accounts --------------------------------------------------------------------------------------------------

_IBAN = re.compile(r"[A-Z]{2}\d\d(?: ?[A-Z0-9]){11,30}", re.ASCII)
_SIZES = dict(
    re.findall(
        "(..)(..) ?",
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 "
        "FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 "
        "LU20 LV21 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 "
        "SK24 SM27 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20",
    )
)
"""By country: how long its account numbers are."""


def _ibans(text: str) -> Iterator[Hit]:
    at = 0
    while match := _IBAN.search(text, at):
        at = match.start() + 2
        size = int(_SIZES.get(match.group()[:2], 0))
        characters = [index for index, character in enumerate(match.group()) if character != " "]
        if not size or len(characters) < size or text[match.start() - 1 : match.start()].isalnum():
            continue
        end = match.start() + characters[size - 1] + 1
        if not text[end : end + 1].isalnum() and _remainder(bare(text[match.start() : end])) == 1:
            yield Hit("iban", match.start(), end)
            at = end


def _is_made_up_iban(value: str) -> bool:
    return is_made_up(bare(value)[4:])


def _remainder(number: str) -> int:
    """Of 97; a valid account number leaves 1."""
    return int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97


def _iban(number: str, random: Random) -> str:
    account = token(number[4:], random)
    return f"{number[:2]}{98 - _remainder(f'{number[:2]}00{account}'):02}{account}"


# -- all of them ----------------------------------------------------------------------------------------------------

_FORMS = re.compile(f"{_BEFORE}(?:(?P<card>{_CARD})|(?P<ssn>{_SSN})|(?P<phone>{_PHONE})){_AFTER}", re.ASCII)


def _numbers(text: str) -> Iterator[Hit]:
    is_diff = "@@ -" in text
    for run in _RUN.finditer(text):
        start, end = run.start(), run.end() + 2  # and what follows
        while text[start - 1 : start] in ("+", "("):
            start -= 1
        forms = list(_FORMS.finditer(text, start, end))
        if not forms and _NAMED.search(text, max(0, start - 24), start):
            forms = list(_ANY_PHONE.finditer(text, start, end))[:1]
        for form in forms:
            added = is_diff and text[form.start() - 1 : form.start()] == "\n"  # the plus sign of a diff
            kind = form.lastgroup or ""
            if not added and _is_right(kind, form.group()):
                yield Hit(kind, *form.span())


def _is_right(kind: str, value: str) -> bool:
    return kind == "ssn" or (_is_card(value) if kind == "card" else _is_phone(value))


def _never(value: str) -> bool:
    return False


def _kind(
    name: str,
    make: Callable[[str, Random], str],
    is_made_up: Callable[[str], bool],
    same: Callable[[str], str] = bare,
    fit: Callable[[str, str], str] = laid_over,
) -> Kind:
    return Kind(name, make, same, fit, is_made_up, _never, secret=False)


_CARDS = _kind("card", _card, _is_made_up_card)
_SSNS = _kind("ssn", _ssn, _is_made_up_ssn)
_PHONES = _kind("phone", _phone, _is_made_up_phone, _same_phone, _fit_phone)

DETECTORS = (
    Detector((_kind("iban", _iban, _is_made_up_iban),), _ibans),
    Detector((_CARDS, _SSNS, _PHONES), _numbers),
)
