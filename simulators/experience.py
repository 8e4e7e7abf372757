"""What other transcripts of a collection show: outputs of similar calls, and how harnesses word their outputs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from resample.types import Message, Prefix
from simulators.base import recorded_calls
from simulators.recorded import Repeats, repeats
from simulators.similar import Corpus
from simulators.workspace.forms import Library
from simulators.workspace.session import began, window_of
from simulators.workspace.world import World

Turns = Callable[[], Iterable[tuple[Prefix, Sequence[Message]]]]
"""Reads transcripts, each as a prefix and the turn that follows it."""

MOST = 500
"""Transcripts of which calls and forms are kept: the first ones. If they repeat themselves is seen of all."""


class _Shown(NamedTuple):
    corpus: Corpus
    libraries: Mapping[str, Library]
    """By source."""
    repeats: Mapping[str, Mapping[str, Repeats]]
    """By source, then by cluster."""


class Experience:
    """Read when it is first asked for. What is from one cluster is never used for that cluster."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    @property
    def corpus(self) -> Corpus:
        """The calls."""
        return self._read.corpus

    def library(self, source: str) -> Library:
        """The forms that transcripts of this source show: tools of one name differ from harness to harness."""
        return self._read.libraries[source]

    def repeats(self, prefix: Prefix) -> list[Repeats]:
        """Whether environments of this source repeat themselves: what each of the other clusters shows."""
        shown = self._read.repeats[prefix.source]
        return [each for cluster, each in shown.items() if cluster != prefix.cluster]

    @cached_property
    def _read(self) -> _Shown:
        corpus, libraries = Corpus(), defaultdict[str, Library](Library)
        repeated: defaultdict[str, defaultdict[str, Repeats]] = defaultdict(lambda: defaultdict(Repeats))
        for number, (prefix, original) in enumerate(self._turns()):
            messages = [*prefix.messages.items, *original]
            same, different = repeats(prefix, messages)
            known = repeated[prefix.source][prefix.cluster]
            repeated[prefix.source][prefix.cluster] = Repeats(known.same + same, known.different + different)
            if number >= MOST:
                continue
            world = World(cwd=prefix.cwd)
            window_of(world, prefix.messages.items)
            calls = recorded_calls(prefix, messages)
            for call, output in calls:
                world.observe(call, output)
            libraries[prefix.source].add(prefix.cluster, world.forms, began(prefix))
            corpus.add(prefix.cluster, [(call.name, call.arguments, text) for call, text in calls if text is not None])
        return _Shown(corpus, libraries, repeated)
