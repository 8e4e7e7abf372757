"""The simulator: answers what can be known for sure, and keeps account of everything that happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from resample.formats.dates import moment
from resample.types import Message, Prefix, Source, ToolCall, ToolOutput, UserError
from simulators.base import may_have_run, never_ran, recorded_turns
from simulators.files import SOMEWHERE
from simulators.hooks import has_hooks
from simulators.workspace.forms import Forms, Library
from simulators.workspace.frames import unframe
from simulators.workspace.knowledge import about, contradictions
from simulators.workspace.snapshots import Snapshots, base_of
from simulators.workspace.world import World

_TELLING = 200
"""Characters of a system prompt that is hardly another harness's too."""


class Workspace:
    """Answers from the files and forms that the prefix has shown, and the forms that other transcripts have.

    `library` has those of a source.
    """

    def __init__(self, library: Callable[[str], Library] | None = None, snapshots: Snapshots | None = None) -> None:
        self._library = library
        self._snapshots = snapshots or Snapshots()

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> WorkspaceSession:
        """Begin a rollout; nothing is drawn. Raises UserError for a snapshot that cannot be read."""
        return WorkspaceSession(prefix.derive(self, lambda: self._world(prefix)).fork())

    def _world(self, prefix: Prefix) -> World:
        """The environment at the cut."""
        library = None if self._library is None else self._library(prefix.source)
        world = world_of(prefix, library)
        try:
            snapshot = self._snapshots.of(prefix.workspace)
        except UserError as error:
            raise UserError(f"transcript {prefix.transcript}: {error}") from None
        if snapshot is not None:
            root = snapshot.root or world.shell.cwd or SOMEWHERE
            world.files = world.files.on(base_of(snapshot, root), root)
            world.files.hooked = world.files.hooked or has_hooks(snapshot)
        return world


def world_of(prefix: Prefix, library: Library | None = None) -> World:
    """What a prefix shows of its environment."""
    world = World(forms=Forms(library, prefix.cluster, began(prefix)), cwd=prefix.cwd)
    world.date = prefix.date
    window_of(world, prefix.messages.items)
    for turn in recorded_turns(prefix, prefix.messages.items):
        world.files.age()
        for call, output in turn:
            world.observe(call, output)
    return world


def began(prefix: Prefix) -> float | None:
    """When it was recorded, in seconds."""
    when = None if prefix.date is None else moment(prefix.date)
    return None if when is None else when.timestamp()


def window_of(world: World, messages: Sequence[Message]) -> None:
    """Some agents are told before their first action which file is open, and where they are."""
    for message in messages:
        content = message.get("content")
        if message.get("role") == "assistant":
            return
        if message.get("role") == "system" and isinstance(content, str) and len(content) >= _TELLING:
            world.forms.opening = frozenset(filter(None, map(str.strip, content.split("\n"))))
        if message.get("role") == "user" and isinstance(content, str):
            framed = unframe(content.rstrip("\n"))
            if framed.has_window and framed.cwd is not None:
                world.stand_in_window(framed.cwd, framed.open_file)


class WorkspaceSession:
    """One rollout in its own copy of the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def answer(self, call: ToolCall) -> ToolOutput:
        """The output, where it is sure. Raises Unknown."""
        return ToolOutput(self._world.answer(call), Source.WORKSPACE)

    def about(self, call: ToolCall, room: int) -> str:
        """What is known that bears on this call."""
        return about(call, self._world, room)

    def contradictions(self, call: ToolCall, output: str) -> list[str]:
        """What in an output cannot be, by what is known."""
        return contradictions(call, output, self._world)

    def hear(self, call: ToolCall, output: ToolOutput) -> None:
        """A call that was answered elsewhere."""
        if not never_ran(output):
            text = None if may_have_run(output) else output.content
            self._world.observe(call, text, output.source is Source.RECORDED)
