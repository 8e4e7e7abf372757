"""Serves outputs that the environment really gave, as long as they must still be true.

Of the original turn: for a call whose output depends on the same state-changing calls, made in the same order, there
and here. What the candidate left out makes a recording as stale as what it did. Of the calls before the cut, and of
those that were already answered in this rollout: reads that nothing since may have changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from resample.types import Message, Prefix, Source, ToolCall, ToolOutput, ToolSchema
from simulators.base import RecordedCall, Unknown, may_have_run, never_ran, recorded_calls, recorded_turns
from simulators.effects import ANYTHING, NOTHING, Touched, touched, without_effect
from simulators.operations import is_change, operation
from simulators.workspace.observe import has_failed, is_refused

_OPENING = 200
"""Characters in which an error says that it is one."""


class _Made(NamedTuple):
    """A call that was made, with its output; None where there is none."""

    touched: Touched
    output: ToolOutput | None
    turn: int
    """Between turns time passes."""
    failed: bool
    """It is made again because it failed: the next time it may not."""


class _Account:
    """Calls in order, each seen from the working directory of its time."""

    def __init__(self, schemas: Mapping[str, ToolSchema], cwd: str | None = None) -> None:
        self.made: list[_Made] = []
        self.cwd = cwd
        self.cwds: dict[str | None, None] = {cwd: None}
        """All in which a command may run."""
        self.turn = 0
        self.linked = False
        """Were files given other names? Then whatever is written may be any of them."""
        self.unreliable: frozenset[str] = frozenset()
        self._schemas = schemas

    def fork(self) -> _Account:
        """A copy that goes on by itself."""
        copy = _Account(self._schemas, self.cwd)
        copy.made, copy.cwds, copy.turn = list(self.made), dict(self.cwds), self.turn
        copy.unreliable, copy.linked = self.unreliable, self.linked
        return copy

    def find_unreliable(self) -> None:
        """The tools that were seen to give another output though nothing was seen to change."""
        self.unreliable = _unreliable(self.made)

    def touched(self, call: ToolCall) -> Touched:
        return touched(call, self.cwd, self._schemas, [other for other in self.cwds if other != self.cwd])

    def add(self, call: ToolCall, output: ToolOutput | None) -> None:
        touched = self.touched(call)
        if output is not None and never_ran(output):
            touched = touched._replace(writes=NOTHING, makes_files=False, cwd=self.cwd)
        elif output is not None:
            touched = without_effect(call, touched, output.content)
        if self.linked and touched.writes:
            touched = touched._replace(writes=ANYTHING)
        self.linked = self.linked or touched.links
        if output is not None and may_have_run(output):
            output = None
        failed = output is not None and _may_succeed(call, output.content)
        self.made.append(_Made(touched, output, self.turn, failed))
        self.cwd = touched.cwd
        self.cwds[self.cwd] = None

    def add_all(self, turns: Sequence[Sequence[RecordedCall]]) -> _Account:
        for self.turn, turn in enumerate(turns):
            for call, text in turn:
                self.add(call, None if text is None else ToolOutput(text, Source.RECORDED))
        return self


class Recorded:
    """The recordings of a transcript.

    `original` is false where the original turn's outputs are to be hidden, to see how good the rest is.
    """

    def __init__(self, original: bool = True) -> None:
        self._original = original

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> RecordedSession:
        """Begin a rollout; nothing is drawn, so the seed is not used."""
        shown = original if self._original else ()
        before, turn = prefix.derive((self, bool(shown)), lambda: _accounts(prefix, shown))
        return RecordedSession(before.fork(), turn.made)


def _accounts(prefix: Prefix, original: Sequence[Message]) -> tuple[_Account, _Account]:
    """What was made before the cut, and after it."""
    schemas = {(schema.get("function") or {}).get("name", ""): schema for schema in prefix.tools.items}
    before = _Account(schemas, prefix.cwd).add_all(recorded_turns(prefix, prefix.messages.items))
    before.find_unreliable()
    turn = _Account(schemas, before.cwd)
    turn.cwds |= before.cwds
    turn.linked = before.linked
    return before, turn.add_all([recorded_calls(prefix, original)])


class RecordedSession:
    """One rollout beside the recordings."""

    def __init__(self, before: _Account, original: Sequence[_Made]) -> None:
        self._account = before
        self._cut = len(before.made)
        self._original = original

    async def answer(self, call: ToolCall) -> ToolOutput:
        """An output that was really given, and must still be true. Raises Unknown."""
        asked = self._account.touched(call)
        output = self._from_original(asked) or self._from_before(asked)
        if output is None:
            raise Unknown("there is no recording that must still be true")
        self._account.add(call, output)
        return output

    def hear(self, call: ToolCall, output: ToolOutput) -> None:
        """A call that was answered elsewhere."""
        self._account.add(call, output)

    def _from_original(self, asked: Touched) -> ToolOutput | None:
        here = self._account.made[self._cut :]
        if asked.is_volatile:
            at = len(here)
            same = [made.touched.key for made in here] == [made.touched.key for made in self._original[:at]]
            fits = same and at < len(self._original) and self._original[at].touched.key == asked.key
            return self._original[at].output if fits else None
        fitting = list(_after(_changes(asked, here), asked, self._original))
        if not fitting:
            return None
        times = sum(made.touched.key == asked.key for made in _since_change(asked, here))
        if times >= len(fitting) and not asked.reads_only:
            return None
        at = fitting[min(times, len(fitting) - 1)]
        others = _same_text(self._original[at], self._original)
        if any(_changes(other, here) != _changes(other, self._original[:at]) for other in others):
            return None
        return self._original[at].output

    def _from_before(self, asked: Touched) -> ToolOutput | None:
        if asked.is_volatile or asked.key[0] in self._account.unreliable:
            return None
        return _at_rest(asked, self._account) or _latest(asked, self._account.made, self._account.turn)


def _may_succeed(call: ToolCall, output: str) -> bool:
    """Has it failed, and may do better when it is made again? A change fails again, unless it was only refused."""
    failed = has_failed(operation(call), output) or "error" in output[:_OPENING].lower()
    return failed and (is_refused(output) or not is_change(call))


def _changes(asked: Touched, made: Sequence[_Made]) -> list[object]:
    """The calls, in order, that the output of this one may depend on."""
    return [each.touched.key for each in made if asked.is_changed_by(each.touched)]


def _after(changes: Sequence[object], asked: Touched, made: Sequence[_Made]) -> Iterator[int]:
    """Where the same calls stand that come after exactly these changes."""
    done = 0
    for at, each in enumerate(made):
        if done == len(changes) and each.touched.key == asked.key:
            yield at
        if asked.is_changed_by(each.touched):
            if done == len(changes) or changes[done] != each.touched.key:
                return
            done += 1


def _since_change(asked: Touched, made: Sequence[_Made]) -> Sequence[_Made]:
    """The calls after the last one that may have changed what this one shows."""
    at = max((index for index, each in enumerate(made) if asked.is_changed_by(each.touched)), default=-1)
    return made[at + 1 :]


def _latest(asked: Touched, made: Sequence[_Made], turn: int) -> ToolOutput | None:
    """The last output of the same call, if it left everything as it was, and nothing since may have changed it."""
    for at in range(len(made) - 1, -1, -1):
        each = made[at]
        if asked.of_files and each.turn < turn:
            return None
        if each.touched.key == asked.key and each.output is not None and each.touched.reads_only:
            stale = any(
                other.is_changed_by(later.touched) for other in _same_text(each, made) for later in made[at + 1 :]
            )
            return None if each.failed or stale else each.output
        if asked.is_changed_by(each.touched):
            return None
    return None


def _at_rest(asked: Touched, account: _Account) -> ToolOutput | None:
    """What the same call gave twice running, whatever it does: what it does has changed nothing of it."""
    match account.made[-2:]:
        case [one, other] if one.turn == other.turn == account.turn and one.touched.key == other.touched.key:
            is_same = one.output is not None and other.output is not None and one.output.content == other.output.content
            return other.output if is_same and not other.failed and asked.key == other.touched.key else None
    return None


def _same_text(read: _Made, made: Sequence[_Made]) -> list[Touched]:
    """The reads of the same text under other names: a link may have given one file both."""
    if read.touched.reads is ANYTHING or read.output is None or not read.output.content:
        return []
    return [
        other.touched
        for other in made
        if other.output is not None
        and other.output.content == read.output.content
        and other.touched.reads is not ANYTHING
        and other.touched.reads != read.touched.reads
    ]


def _unreliable(made: Sequence[_Made]) -> frozenset[str]:
    """The tools that were seen to give another output though nothing was seen to change."""
    found = set()
    for at, each in enumerate(made):
        name = str(each.touched.key[0])
        if each.touched.reads_only and not each.touched.is_volatile and name not in found and each.output is not None:
            before = _latest(each.touched, made[:at], each.turn)
            if before is not None and before.content != each.output.content:
                found.add(name)
    return frozenset(found)
