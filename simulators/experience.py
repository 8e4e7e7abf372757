"""What other transcripts of a collection show: outputs of similar calls, and how harnesses word their outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import islice

from resample.types import Message, Prefix
from simulators.base import recorded_calls
from simulators.similar import Corpus
from simulators.workspace.forms import Library
from simulators.workspace.session import began, window_of
from simulators.workspace.world import World

Turns = Callable[[], Iterable[tuple[Prefix, Sequence[Message]]]]
"""Reads transcripts, each as a prefix and the turn that follows it."""

MOST = 500
"""Transcripts that are read; they are in drawn order."""


class Experience:
    """Read when it is first asked for. What is from one cluster is never used for that cluster."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    @property
    def corpus(self) -> Corpus:
        """The calls."""
        return self._read[0]

    @property
    def library(self) -> Library:
        """The forms."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[Corpus, Library]:
        corpus, library = Corpus(), Library()
        for prefix, original in islice(self._turns(), MOST):
            world = World(cwd=prefix.cwd)
            window_of(world, prefix.messages.items)
            calls = recorded_calls(prefix, [*prefix.messages.items, *original])
            for call, output in calls:
                world.observe(call, output)
            library.add(prefix.cluster, world.forms, began(prefix))
            corpus.add(prefix.cluster, [(call.name, call.arguments, text) for call, text in calls if text is not None])
        return corpus, library
