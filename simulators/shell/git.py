"""git, as far as it says nothing: staging, where this environment has shown that it works."""

from __future__ import annotations

from collections.abc import Sequence

from simulators.base import Unknown
from simulators.files import Kind
from simulators.shell.state import CommandFunction, Io


def git(arguments: Sequence[str], io: Io) -> int:
    """`git add` of what is not known to be absent: silent, once that was seen here, or where all of it is there."""
    match list(arguments):
        case ["add", *operands] if operands:
            _check(operands, io)
            if any(io.kind(operand) is not Kind.FILE for operand in operands):
                io.assumes.add("git.add")
        case _:
            raise Unknown("git: not modelled")
    return 0


def _check(operands: Sequence[str], io: Io) -> None:
    """Raises Unknown for what may fail, or what asks or tells."""
    for operand in operands:
        if operand.startswith("-"):
            if operand not in ("-A", "--all", "-u", "--update", "--"):
                raise Unknown(f"git add {operand}")
        elif io.kind(operand) is Kind.ABSENT:
            raise Unknown(f"{operand}: not there to be added")


COMMANDS: dict[str, CommandFunction] = {"git": git}
