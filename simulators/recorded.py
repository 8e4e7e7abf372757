"""Serves outputs that the environment really gave, as long as they must still be true.

Of the original turn: for a call whose output depends on the same state-changing calls, made in the same order, there
and here. What the candidate left out makes a recording as stale as what it did. Of the calls before the cut, and of
those that were already answered in this rollout: reads that nothing since may have changed. Files stay as they are; a
service may say something else each time it is asked, so that it repeats itself has to have been seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from resample.types import Message, Prefix, Source, ToolCall, ToolOutput, ToolSchema
from simulators.base import RecordedCall, Unknown, may_have_run, never_ran, recorded_calls, recorded_turns
from simulators.effects import ANYTHING, NOTHING, Touched, touched, without_effect
from simulators.hooks import tells_of_hooks
from simulators.operations import Other, is_change, operation
from simulators.workspace.observe import has_failed, is_refused

_OPENING = 200
"""Characters in which an error says that it is one."""


_ENOUGH = 2
"""Clusters that have to show that an environment repeats itself."""


class Repeats(NamedTuple):
    """Calls that were made again though nothing was seen to change, of tools that have nothing to do with files."""

    same: int = 0
    """They gave the same output."""
    different: int = 0


def repeats(prefix: Prefix, messages: Sequence[Message]) -> Repeats:
    """What a transcript shows of it in these messages."""
    turns = recorded_turns(prefix, messages)
    asked = Counter((call.name, call.arguments) for turn in turns for call, _ in turn if _asks_a_service(call))
    if max(asked.values(), default=0) < 2:  # an account takes time
        return Repeats()
    return _repeats(_Account.of(prefix).add_all(turns).made)


def _asks_a_service(call: ToolCall) -> bool:
    asked = operation(call)
    return isinstance(asked, Other) and asked.reads_only


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
        self.hooked = False
        """Was there a sign of git hooks?"""
        self.unreliable: frozenset[str] = frozenset()
        self._schemas = schemas

    @classmethod
    def of(cls, prefix: Prefix) -> _Account:
        """An account of nothing yet, in this environment."""
        return cls(
            {(schema.get("function") or {}).get("name", ""): schema for schema in prefix.tools.items}, prefix.cwd
        )

    def fork(self) -> _Account:
        """A copy that goes on by itself."""
        copy = _Account(self._schemas, self.cwd)
        copy.made, copy.cwds, copy.turn = list(self.made), dict(self.cwds), self.turn
        copy.unreliable, copy.linked, copy.hooked = self.unreliable, self.linked, self.hooked
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
        texts = [call.arguments, *([] if output is None else [output.content])]
        self.hooked = self.hooked or any(map(tells_of_hooks, texts))
        if self.hooked and touched.hooks and touched.writes:
            touched = touched._replace(writes=ANYTHING)
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

    `original` is false where the original turn's outputs are to be hidden, to see how good the rest is. `others` tells
    what other clusters show of the environment of a prefix.
    """

    def __init__(
        self, original: bool = True, others: Callable[[Prefix], Iterable[Repeats]] = lambda prefix: ()
    ) -> None:
        self._original = original
        self._others = others

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> RecordedSession:
        """Begin a rollout; nothing is drawn, so the seed is not used."""
        shown = original if self._original else ()
        before, turn = prefix.derive((self, bool(shown)), lambda: _accounts(prefix, shown))
        steady = prefix.derive((self, "steady"), lambda: _is_steady([_repeats(before.made), *self._others(prefix)]))
        return RecordedSession(before.fork(), turn.made, steady)


def _is_steady(shown: Sequence[Repeats]) -> bool:
    """Does an environment say the same when it is asked the same again? None of the clusters shows the contrary."""
    return sum(each.same > 0 for each in shown) >= _ENOUGH and not any(each.different for each in shown)


def _accounts(prefix: Prefix, original: Sequence[Message]) -> tuple[_Account, _Account]:
    """What was made before the cut, and after it."""
    before = _Account.of(prefix).add_all(recorded_turns(prefix, prefix.messages.items))
    before.find_unreliable()
    turn = _Account.of(prefix)
    turn.cwd = before.cwd
    turn.cwds |= before.cwds
    turn.linked, turn.hooked = before.linked, before.hooked
    return before, turn.add_all([recorded_calls(prefix, original)])


class RecordedSession:
    """One rollout beside the recordings."""

    def __init__(self, before: _Account, original: Sequence[_Made], steady: bool) -> None:
        self._account = before
        self._steady = steady
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
        output = _at_rest(asked, self._account) or _latest(asked, self._account.made, self._account.turn)
        is_real = output is not None and output.source is Source.RECORDED
        return None if is_real and not asked.of_files and not self._steady else output


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
    return frozenset(str(each.touched.key[0]) for each, same in _repeated(made) if not same)


def _repeats(made: Sequence[_Made]) -> Repeats:
    told = [same for each, same in _repeated(made) if not each.touched.of_files]
    return Repeats(told.count(True), told.count(False))


def _repeated(made: Sequence[_Made]) -> Iterator[tuple[_Made, bool]]:
    """The calls that were made again though nothing was seen to change: did they give the same output?"""
    for at, each in enumerate(made):
        if each.touched.reads_only and not each.touched.is_volatile and each.output is not None:
            before = _latest(each.touched, made[:at], each.turn)
            if before is not None:
                yield each, before.content == each.output.content
