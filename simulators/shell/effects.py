"""What a command may change: never optimistic."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from simulators.files import SOMEWHERE, resolve
from simulators.shell.commands import DEEPEST, Commands
from simulators.shell.ledger import Ledger, Places
from simulators.shell.syntax import parse
from simulators.shell.tree import (
    Command,
    Glob,
    Group,
    Opaque,
    Pipeline,
    Redirect,
    Script,
    Simple,
    Text,
    Tilde,
    Variable,
    Word,
)

NOTHING: frozenset[str] = frozenset()
_PATCHED = re.compile(r"^\*\*\* (?:(?:Add|Update|Delete) File|Move to): (.+?)\s*$", re.MULTILINE)
_DEVICE = re.compile(r"/dev/(?:null|stdin|stdout|stderr|tty|fd/\d+)")


class Effects(NamedTuple):
    """What a command may have changed, and whether its output can be relied on."""

    writes: frozenset[str] | None
    """Paths that may have changed, come or gone, with all that is below them. None: anything may have."""
    entries: bool
    """New files may have appeared anywhere; those that are known keep their content."""
    cwd: str | None
    """The working directory afterwards; None where it is not known. Below SOMEWHERE where it was not known before."""
    volatile: bool = False
    """The output depends on time, chance, processes or the network."""
    links: bool = False
    """Files may have got other names."""
    hooks: bool = False
    """Where git has hooks, anything may have changed."""

    @property
    def reads_only(self) -> bool:
        """Does it leave all files as they are?"""
        return self.writes == NOTHING and not self.entries


def effects(command: str, cwd: str | None, home: str | None = None) -> Effects:
    """What this command may change when it is run from `cwd`."""
    script = parse(command)
    if script is None:
        return Effects(None, True, None)
    ledger = Ledger(cwd, home)
    places = _Walk(ledger).script(script, (cwd or SOMEWHERE,), 0)
    after = None if places[0] == SOMEWHERE and cwd is None else places[0]
    return Effects(
        None if ledger.anything else frozenset(ledger.writes),
        ledger.entries,
        after,
        ledger.volatile,
        ledger.links,
        ledger.hooks,
    )


class _Walk:
    """Adds up what the commands of a script may change."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._commands = Commands(ledger, self.script)

    def script(self, script: Script, places: Places, depth: int) -> Places:
        """Every step; gives where the next one would run."""
        if depth > DEEPEST:
            self._ledger.anything = True
            return (None,)
        before = places
        for step in script.steps:
            if step.joiner != "&&":  # a `cd` before it may have failed
                places = tuple(dict.fromkeys((*places, *before)))
            before = places
            places = self._pipeline(step.pipeline, places, depth)
        return places

    def _pipeline(self, pipeline: Pipeline, places: Places, depth: int) -> Places:
        if len(pipeline.commands) == 1:
            return self._command(pipeline.commands[0], places, depth)
        for command in pipeline.commands:
            self._command(command, places, depth)
        return places

    def _command(self, command: Command, places: Places, depth: int) -> Places:
        for redirect in command.redirects:
            self._redirect(redirect, places, depth)
        if isinstance(command, Group):
            after = self.script(command.script, places, depth + 1)
            return places if command.subshell else after
        if isinstance(command, Opaque):
            after = places
            for script in command.scripts:
                after = tuple(dict.fromkeys((*after, *self.script(script, after, depth + 1))))
            if after != places:  # how often it changes the directory is not known
                for script in command.scripts:
                    self.script(script, (None,), depth + 1)
                return (None,)
            self._ledger.volatile = self._ledger.volatile or "$RANDOM" in command.text
            return places
        return self._simple(command, places, depth)

    def _redirect(self, redirect: Redirect, places: Places, depth: int) -> None:
        self._expanded([redirect.target], places, depth)
        target = redirect.target.literal
        if redirect.operator in ("<", "<<", "<<<", "<&"):
            return
        if redirect.operator == ">&" and target is not None and (target.isdigit() or target == "-"):
            return
        if target is None or not _DEVICE.fullmatch(target):
            self._ledger.write([redirect.target], places)

    def _expanded(self, words: Sequence[Word], places: Places, depth: int) -> None:
        """What runs to expand the words."""
        for word in words:
            for script in word.scripts:
                self.script(script, places, depth + 1)
            if any(isinstance(part, Variable) and part.name == "RANDOM" for part in word.parts):
                self._ledger.volatile = True

    def _simple(self, command: Simple, places: Places, depth: int) -> Places:
        self._expanded([value for _, value in command.assignments], places, depth)
        self._expanded(command.words, places, depth)
        if not command.words:
            return places
        name = command.words[0].literal
        if name in ("cd", "pushd"):
            return self._cd(command.words[1:], places)
        if name == "popd":
            return (None,)
        if name in ("apply_patch", "applypatch") and (patched := _patched(command)):
            self._ledger.write(patched, places)
            return places
        self._commands.run(list(command.words), places, depth)
        return places

    def _cd(self, operands: Sequence[Word], places: Places) -> Places:
        found = [word for word in operands if word.literal not in ("-P", "-L", "--")]
        if len(found) > 1:
            return (None,)
        targets = self._ledger.paths(found[0], places) if found else (resolve("~", None, self._ledger.home),)
        exact = not found or found[0].literal not in (None, "-", "") or found[0].parts[:1] == (Tilde(),)
        if targets is None or not exact or any(isinstance(p, Glob | Variable) for word in found for p in word.parts):
            return (None,)
        return targets


def _patched(command: Simple) -> list[Word]:
    """The files that a patch names."""
    texts = [redirect.target.literal for redirect in command.redirects if redirect.operator in ("<<", "<<<")]
    texts += [word.literal for word in command.words[1:]]
    return [Word((Text(found),)) for text in texts if text is not None for found in _PATCHED.findall(text)]
