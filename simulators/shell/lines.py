"""sort, uniq, cut, tr: commands that work on the lines of a text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from simulators.base import Unknown
from simulators.files import NotThere
from simulators.shell.state import CommandFunction, Io, in_order, lines_of, number, options

_NUMBER = re.compile(r"\s*(-?\d*(?:\.\d+)?)")


def _input(operands: Sequence[str], io: Io) -> list[str]:
    try:
        return [line for name in operands or ["-"] for line in lines_of(io.text(name))]
    except NotThere as error:
        raise Unknown(str(error)) from None


def sort(arguments: Sequence[str], io: Io) -> int:
    """Lines in order: by all of them, or by a number at their beginning."""
    given, operands = options(arguments, "nru")
    lines = _input(operands, io)
    bytewise = "C" in (io.environment.get("LC_ALL"), io.shell.variables.get("LC_ALL"))
    if not bytewise and not _is_sure(lines, "n" in given, io):
        io.assumes.add("sort.order")
    lines.sort(key=_bytes)
    if "n" in given:
        lines.sort(key=_number)
    if "u" in given:
        lines = [next(same) for _, same in groupby(lines, key=_number if "n" in given else str)]
    if "r" in given:
        lines.reverse()
    io.write("".join(f"{line}\n" for line in lines))
    return 0


def _is_sure(lines: list[str], numeric: bool, io: Io) -> bool:
    if not numeric:
        return in_order(lines)
    ordered = sorted(lines, key=_number)
    return all(in_order(list(same)) for _, same in groupby(ordered, key=_number))


def _bytes(line: str) -> bytes:
    return line.encode("utf-8", "surrogatepass")


def _number(line: str) -> float:
    match = _NUMBER.match(line)
    text = match[1] if match else ""
    if len(text) > 15:
        raise Unknown("a long number")
    return float(text) if re.search(r"\d", text) else 0.0


def uniq(arguments: Sequence[str], io: Io) -> int:
    """Equal lines that follow each other as one."""
    given, operands = options(arguments, "cdu")
    if len(operands) > 1:
        raise Unknown("uniq writes a file")
    for line, same in groupby(_input(operands, io)):
        count = len(list(same))
        if ("d" in given and count < 2) or ("u" in given and count > 1):
            continue
        io.write(f"{count:7d} {line}\n" if "c" in given else f"{line}\n")
    if "c" in given:
        io.assumes.add("uniq.width")
    return 0


def cut(arguments: Sequence[str], io: Io) -> int:
    """Fields, or characters, of every line."""
    given, operands = options(arguments, "s", "dfc")
    lists = given.get("f", []) + given.get("c", [])
    if len(lists) != 1 or len(given.get("d", [""])[-1]) > 1:
        raise Unknown("cut")
    ranges = [_range(each) for each in lists[0].split(",")]
    lines = _input(operands, io)
    if "c" in given and not all(line.isascii() for line in lines):
        raise Unknown("whether characters are bytes is not known")
    separator = "" if "c" in given else given.get("d", ["\t"])[-1]
    for line in lines:
        if separator and separator not in line:
            io.write("" if "s" in given else f"{line}\n")
            continue
        pieces = line.split(separator) if separator else list(line)
        kept = [piece for at, piece in enumerate(pieces, start=1) if any(low <= at <= high for low, high in ranges)]
        io.write(separator.join(kept) + "\n")
    return 0


def _range(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    if not dash:
        return number(low), number(low)
    return number(low) if low else 1, number(high) if high else 1 << 40


def tr(arguments: Sequence[str], io: Io) -> int:
    """Characters replaced one by one, or deleted."""
    given, sets = options(arguments, "ds")
    text = io.input()
    if "s" in given or len(sets) != (1 if "d" in given else 2):
        raise Unknown("tr")
    first = _characters(sets[0])
    if "d" in given:
        io.write("".join(char for char in text if char not in first))
        return 0
    second = _characters(sets[1])
    if len(second) != len(first) and len(second) != 1:
        raise Unknown("sets of unequal lengths")
    second = second * len(first) if len(second) == 1 else second
    io.write(text.translate(dict(zip(map(ord, first), second, strict=True))))
    return 0


def _characters(text: str) -> str:
    text = text.replace("[:upper:]", "A-Z").replace("[:lower:]", "a-z").replace("[:digit:]", "0-9")
    text = text.replace("\\n", "\n").replace("\\t", "\t")
    if not text.isascii() or "[" in text or "\\" in text:
        raise Unknown("a set that is not modelled")
    found = re.sub(r"([a-z])-([a-z])|([A-Z])-([A-Z])|([0-9])-([0-9])", _span, text)
    if len(set(found)) != len(found) or "-" in found[1:-1]:
        raise Unknown("a set that is not modelled")
    return found


def _span(match: re.Match[str]) -> str:
    low, high = (group for group in match.groups() if group)
    return "".join(chr(code) for code in range(ord(low), ord(high) + 1))


COMMANDS: dict[str, CommandFunction] = {"sort": sort, "uniq": uniq, "cut": cut, "tr": tr}
