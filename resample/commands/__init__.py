"""One module per command, each with `perform(config, invocation) -> exit code`."""

from __future__ import annotations

from typing import NamedTuple


class Invocation(NamedTuple):
    """How a command was called, beside its config."""

    overrides: list[str]
    sweep: str | None
    """The sweep's directory, in a sweep."""
    swept: list[str]
    """The overrides that tell this job of a sweep from its siblings."""
