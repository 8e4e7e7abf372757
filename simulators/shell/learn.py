"""What a command that was really run, with its real output, tells of the files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from simulators.base import Unknown
from simulators.files import SOMEWHERE, Files, Kind, resolve
from simulators.shell.effects import Effects, effects
from simulators.shell.expand import fields
from simulators.shell.outputs import READERS, absent
from simulators.shell.run import run
from simulators.shell.state import Io, Shell
from simulators.shell.syntax import parse
from simulators.shell.tree import Command, Script, Simple
from simulators.shortened import is_shortened

_CD_FAILED = re.compile(r"\bcd: ?.*(?:no such file|not a directory|permission denied)", re.IGNORECASE)


def learn(command: str, text: str, code: int | None, shell: Shell, files: Files) -> None:
    """Brings `files` and `shell` to the state after a command that was really run and printed this text."""
    known, state = files.fork(), shell.fork()
    agrees = False
    try:
        outcome = run(command, state, known)
        agrees = _same(outcome.text, text) and code in (None, outcome.code)
        if not agrees and not outcome.assumes and not is_shortened(text):
            _doubt(command, shell, files)
    except Unknown:
        pass
    if agrees:
        _take(shell, state, files, known)
        return
    changed = effects(command, shell.cwd or SOMEWHERE, shell.home)
    forget(files, changed)
    if not _CD_FAILED.search(text):
        _see(command, text, code, shell, files)
    _move(command, changed, text, code, shell, files)


def forget(files: Files, changed: Effects) -> None:
    """What a command may have changed is no longer known."""
    if changed.links:
        files.link()
    if changed.writes is None or (changed.hooks and files.hooked):
        files.forget_all()
        return
    for path in changed.writes:
        files.forget(path)
    if changed.entries:
        files.forget_entries()


def _same(one: str, other: str) -> bool:
    """But for line ends at the end, which harnesses take off."""
    return one.rstrip("\n") == other.rstrip("\n")


def _take(shell: Shell, state: Shell, files: Files, known: Files) -> None:
    shell.cwd = state.cwd  # variables hold for the next call in some harnesses only
    files.become(known)


def _doubt(command: str, shell: Shell, files: Files) -> None:
    """It printed something else than what is known allows: forget what it was given."""
    script = parse(command)
    for step in script.steps if script else ():
        for each in step.pipeline.commands:
            for word in each.words[1:] if isinstance(each, Simple) else ():
                path = resolve(word.literal, shell.cwd, shell.home) if word.literal else None
                if path is not None and files.kind(path) in (Kind.FILE, Kind.ABSENT):
                    files.forget(path)


def _move(command: str, changed: Effects, text: str, code: int | None, shell: Shell, files: Files) -> None:
    """The shell is where the command left it, if that can be told."""
    script = parse(command)
    first = script.steps[0].pipeline.commands[0] if script and script.steps else None
    failed = _CD_FAILED.search(text) is not None
    entered = _entered(first, shell)
    if entered is not None and not failed and (code == 0 or (code is None and text == "") or _goes_on(script)):
        files.see_kind(entered, Kind.DIRECTORY)
    after = (shell.cwd or SOMEWHERE) if failed else changed.cwd
    if after is None or (failed and entered is None):
        if resolve(".", shell.cwd).startswith(SOMEWHERE) or files.kind(SOMEWHERE) is not Kind.UNKNOWN:
            files.forget(SOMEWHERE)  # what is relative to a directory that is not known is so no longer
        after = None
    shell.cwd = None if after == SOMEWHERE else after
    if command.strip() == "pwd" and re.fullmatch(r"/[^\n]*\n?", text):
        shell.cwd = text.rstrip("\n")


def _goes_on(script: Script | None) -> bool:
    return script is not None and len(script.steps) > 1


def _entered(first: Command | None, shell: Shell) -> str | None:
    """The directory that a command goes to at its beginning."""
    if not isinstance(first, Simple) or len(first.words) != 2 or first.words[0].literal != "cd":
        return None
    target = first.words[1].literal
    return None if target in (None, "-", "") else resolve(f"./{target}" if target[0] == "~" else target, shell.cwd)


# -- reading the text


def _see(command: str, text: str, code: int | None, shell: Shell, files: Files) -> None:
    """What the text of one simple command, perhaps after `cd X &&`, shows."""
    script = parse(command)
    found = None if script is None else _last(script)
    if found is None or is_shortened(text) or "\0" in text:
        return
    simple, before, most = found
    cwd = effects(before, shell.cwd or SOMEWHERE, shell.home).cwd if before else shell.cwd
    io = Io(Shell(cwd, shell.home, dict(shell.variables)), files, set())
    try:
        words = [field for word in simple.words for field in fields(word, io)]
        if not words:
            return
        absent(words, text, io)
        if most is not None:
            words = _cut(words, most, text)
        reader: Callable[[Sequence[str], str, int | None, Io], None] | None = READERS.get(words[0])
        if reader is not None and _is_plain(simple):
            reader(words[1:], text, code, io)
    except Unknown:
        return


class _Found(NamedTuple):
    simple: Simple
    before: str
    """The `cd` before it."""
    most: int | None
    """Only so many lines of its output are shown."""


def _last(script: Script) -> _Found | None:
    """The one command whose output the text is."""
    *before, last = script.steps or (None,)
    if last is None or len(before) > 1 or last.pipeline.negated:
        return None
    simple, *others = last.pipeline.commands
    most = _head(others[0]) if len(others) == 1 else None
    if not isinstance(simple, Simple) or simple.assignments or not simple.words or (others and most is None):
        return None
    if not before:
        return _Found(simple, "", most)
    first = before[0].pipeline.commands[0]
    is_cd = isinstance(first, Simple) and len(first.words) == 2 and first.words[0].literal == "cd"
    if last.joiner != "&&" or len(before[0].pipeline.commands) != 1 or not isinstance(first, Simple) or not is_cd:
        return None
    target = first.words[1].literal
    if target is None or first.redirects or "'" in target:
        return None
    return _Found(simple, f"cd '{target}'", most)


def _head(command: Command) -> int | None:
    """How many lines `| head` lets through; None where it is no such command."""
    if not isinstance(command, Simple) or command.assignments or not _is_plain(command):
        return None
    match = re.fullmatch(r"head(?: -(?:n ?)?(\d{1,6}))?", " ".join(word.literal or "?" for word in command.words))
    return None if match is None else int(match[1] or 10)


def _cut(words: list[str], most: int, text: str) -> list[str]:
    """The command with which the shown lines are to be read. Raises Unknown where others may be missing."""
    if len(text.rstrip("\n").split("\n")) < most or words[0] in ("grep", "find"):
        return words
    if words[0] == "cat" and len(words) == 2:
        return ["head", f"-n{most}", words[1]]
    raise Unknown("not all of the output is shown")


def _is_plain(simple: Simple) -> bool:
    """Does all that it prints on its standard output stand in the text?"""
    return all(
        redirect.operator in (">", ">&") and redirect.descriptor == 2 and redirect.target.literal in ("/dev/null", "1")
        for redirect in simple.redirects
    )
