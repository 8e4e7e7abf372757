"""Numbers, foreign texts and tables as a reader is shown them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

RATE_HEAD = ["", "flagged", "of", "rate", "interval", "worst case"]


def rate_row(name: str, rates: Mapping[str, Any]) -> list[str]:
    """A rate under `RATE_HEAD`; without a worst case where a part of the turns has none."""
    row = [name, str(rates["flagged"]), str(rates["rollouts"]), percent(rates["rate"]), interval(rates["ci"])]
    return [*row, interval(rates["bounds"])] if "bounds" in rates else row


def percent(rate: float | None) -> str:
    """A fraction as a percentage with three significant digits; a dash for what is not known."""
    if rate is None:
        return "—"
    if abs(rate) < 5e-6:
        return "0 %" if rate == 0 else "under 0.001 %"
    digits = 1 if abs(rate) >= 0.1 else 2 if abs(rate) >= 0.01 else 3
    return f"{100 * rate:.{digits}f} %"


def percent_level(confidence: float) -> str:
    """A level of confidence, such as 95 %."""
    return f"{100 * confidence:g} %"


def interval(limits: Sequence[float] | None) -> str:
    """Two limits as percentages."""
    if not limits or any(limit is None for limit in limits):
        return "—"
    return f"{percent(limits[0])} to {percent(limits[1])}"


def code(text: str) -> str:
    """Foreign text, shortened, that no Markdown reader takes for anything but text."""
    line = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    shown = line if len(line) <= 100 else f"{line[:97]}..."
    return f"`{shown.replace('`', chr(0x2BC))}`"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, first column left and the others right."""
    lines = [list(head), ["---", *["---:"] * (len(head) - 1)], *map(list, rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a terminal."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
