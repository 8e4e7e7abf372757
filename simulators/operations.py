"""What a tool call asks for: the same few operations behind the tools of many agents.

Tools are told apart by the names of their arguments, and where these leave it open by their own name; never by the
format of the log.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from resample.types import ToolCall
from simulators.shell.syntax import parse
from simulators.shell.tree import Script, Simple


class Read(NamedTuple):
    """Show a file, or lines of it."""

    path: str
    first: int | None = None
    """From 1."""
    lines: int | None = None
    """How many."""


class Write(NamedTuple):
    """Give a file this content."""

    path: str
    text: str


class Replacement(NamedTuple):
    """Put one text in the place of another."""

    old: str
    new: str
    every: bool = False


class Edit(NamedTuple):
    """Replace texts in a file, one after the other, or not at all."""

    path: str | None
    """None: of the file that is open, in editors that have one."""
    replacements: tuple[Replacement, ...]


class Insert(NamedTuple):
    """Put lines after a line; 0 is the beginning."""

    path: str
    line: int
    text: str


class Lines(NamedTuple):
    """Put a text in the place of lines, both included."""

    path: str | None
    first: int
    last: int
    text: str


class Open(NamedTuple):
    """Show a file in a window, which stays open."""

    path: str
    line: int | None = None


class Create(NamedTuple):
    """Make an empty file, and open it."""

    path: str


class Patch(NamedTuple):
    """Apply a patch, in the form that Codex gives them (`*** Begin Patch`)."""

    text: str
    cwd: str | None = None
    """Where, if the call says so."""
    moves: bool = False
    """It is a command that goes there by itself: those that follow may be there too."""


class Shell(NamedTuple):
    """Run a command."""

    command: str
    cwd: str | None = None
    """Where, if the call says so."""
    background: bool = False


class Note(NamedTuple):
    """Take note of something, such as a plan or a thought: no more than an acknowledgement comes back."""

    about: str
    """What the tool is for."""


class Refused(NamedTuple):
    """A call whose own arguments make it fail, whatever the state of things."""

    why: str


class Grep(NamedTuple):
    """Find lines that match a pattern, with a tool of its own."""

    pattern: str
    path: str | None = None
    options: tuple[str, ...] | None = ()
    """Those that `grep` has too; None where there are others."""
    reads_only: bool = True


class Glob(NamedTuple):
    """Find files by their names, with a tool of its own."""

    pattern: str
    path: str | None = None
    reads_only: bool = True


class Other(NamedTuple):
    """Anything else."""

    reads_only: bool


Operation = Read | Write | Edit | Insert | Lines | Open | Create | Patch | Shell | Note | Refused | Grep | Glob | Other

_PATHS = ("file_path", "path", "absolute_path", "filePath", "filename", "file", "target_file", "notebook_path")
_OLD = ("old_string", "old_str", "oldText", "oldString", "old_text", "search")
_NEW = ("new_string", "new_str", "newText", "newString", "new_text", "replace")
_TEXTS = ("content", "file_text", "contents", "code_edit")
_COMMANDS = ("command", "cmd", "script")
_LOOKING = frozenset({"find_file", "search_file", "search_dir", "goto", "scroll_up", "scroll_down", "set_cursors"})
"""Commands of an editor in the shell that only show something."""
_SPAN = re.compile(r"(\d{1,9}):(\d{1,9})")
_PATCHERS = ("apply_patch", "applypatch")
_PATCHES = ("input", "patch", "text")
_PATCH = "*** Begin Patch"
_CWDS = ("workdir", "cwd", "working_directory", "dir_path")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_SHELLS = re.compile(r"bash|shell|terminal|exec|command|(^|_)sh($|_)", re.IGNORECASE)
_SHELL_NAMES = frozenset({"bash", "sh", "zsh", "/bin/bash", "/bin/sh", "/usr/bin/bash", "/bin/zsh"})


_last: list[tuple[ToolCall, Operation]] = []
"""The call that was looked at last: every rung asks the same of the same call."""


def operation(call: ToolCall) -> Operation:
    """What a call asks for."""
    if _last and _last[0][0] is call:
        return _last[0][1]
    found = _operation(call)
    _last[:] = [(call, found)]
    return found


def _operation(call: ToolCall) -> Operation:
    arguments = call.parsed or {}
    found = _patch(call.name, arguments) or _editor(arguments) or _edit(arguments) or _window(call.name, arguments)
    return (
        found
        or _shell(call.name, arguments)
        or _file(call.name, arguments)
        or _search(call.name, arguments)
        or _note(call)
        or Other(_reads_only(call.name))
    )


def calls_agent(call: ToolCall) -> bool:
    """Does it give a task to another agent?"""
    return _words(call.name) in ({"task"}, {"agent"}) and "prompt" in (call.parsed or {})


def is_change(call: ToolCall) -> bool:
    """Does it ask for a change to a file?"""
    return isinstance(operation(call), Write | Edit | Insert | Lines | Create | Patch)


def windowed(shell: Shell) -> Operation:
    """What a command asks for in the shell of an agent that has an editor in it, as SWE-agent's."""
    command, _, text = shell.command.strip().partition("\n")
    words = command.split()
    match words:
        case ["open", path]:
            return Open(_unquoted(path))
        case ["open", path, line] if line.isdigit():
            return Open(_unquoted(path), int(line))
        case ["create", path]:
            return Create(_unquoted(path))
        case ["edit", span] if (lines := _SPAN.fullmatch(span)) and text.rstrip().endswith("end_of_edit"):
            put = text.rstrip().removesuffix("end_of_edit").removesuffix("\n")
            return Lines(None, int(lines[1]), int(lines[2]), put)
        case [word, *_] if word in _LOOKING and not text:
            return Other(reads_only=True)
    return shell


def _unquoted(word: str) -> str:
    return word.strip("\"'")


def _patch(name: str, arguments: Mapping[str, Any]) -> Operation | None:
    text = _text(arguments, _PATCHES)
    if text is None or _PATCH not in text or not name.lower().replace("-", "_").endswith(_PATCHERS):
        return None
    return Patch(text, _text(arguments, _CWDS))


def _window(name: str, arguments: Mapping[str, Any]) -> Operation | None:
    """The same as tools of their own."""
    keys = set(arguments)
    path = _text(arguments, _PATHS)
    if name == "open" and path is not None and keys <= {*_PATHS, "line_number"}:
        return Open(path, _number(arguments, ("line_number",)))
    if name == "create" and path is not None and len(keys) == 1:
        return Create(path)
    text = _text(arguments, ("replacement_text",))
    first, last = _number(arguments, ("start_line",)), _number(arguments, ("end_line",))
    if text is not None and path is None and first is not None and last is not None:
        return Lines(None, first, last, text)
    if path is None and keys <= {"search", "replace", "replace-all"} and {"search", "replace"} <= keys:
        replacement = _replacement(arguments)
        return None if replacement is None else Edit(None, (replacement,))
    return None


def _editor(arguments: Mapping[str, Any]) -> Operation | None:
    """An editor with sub-commands, as Anthropic's text editor tool has them."""
    path, command = _text(arguments, _PATHS), arguments.get("command")
    if path is None or command not in ("view", "create", "str_replace", "insert", "undo_edit"):
        return None
    if command == "create" and isinstance(arguments.get("file_text"), str):
        return Write(path, arguments["file_text"])
    if command == "insert" and isinstance(arguments.get("insert_line"), int):
        text = _text(arguments, ("new_str", "insert_text"))
        return None if text is None else Insert(path, arguments["insert_line"], text)
    if command == "str_replace" and isinstance(arguments.get("old_str"), str):
        return Edit(path, (Replacement(arguments["old_str"], str(arguments.get("new_str") or "")),))
    if command == "view":
        return _viewed(path, arguments.get("view_range"))
    return Other(reads_only=False) if command == "undo_edit" else Refused(f"{command} lacks an argument")


def _viewed(path: str, lines: Any) -> Operation:
    if lines is None:
        return Read(path)
    if not (isinstance(lines, Sequence) and len(lines) == 2 and all(isinstance(each, int) for each in lines)):
        return Refused("the range is none")
    first, last = lines
    return Read(path, first, None if last == -1 else last - first + 1)


def _edit(arguments: Mapping[str, Any]) -> Operation | None:
    path = _text(arguments, _PATHS)
    if path is None:
        return None
    if isinstance(arguments.get("edits"), list):
        replacements = [_replacement(each) for each in arguments["edits"] if isinstance(each, dict)]
        complete = [each for each in replacements if each is not None]
        return Edit(path, tuple(complete)) if complete and len(complete) == len(arguments["edits"]) else None
    replacement = _replacement(arguments)
    return None if replacement is None else Edit(path, (replacement,))


def _replacement(arguments: Mapping[str, Any]) -> Replacement | None:
    old, new = _text(arguments, _OLD), _text(arguments, _NEW)
    if old is None or new is None:
        return None
    every = next((arguments[key] for key in ("replace_all", "replaceAll", "replace-all") if key in arguments), False)
    return Replacement(old, new, every is True or every == "true")


def _shell(name: str, arguments: Mapping[str, Any]) -> Operation | None:
    command = next((arguments[key] for key in _COMMANDS if arguments.get(key)), None)
    if command is None or not _SHELLS.search(name):
        return None
    match command:
        case [word, str(text)] if word in _PATCHERS and _PATCH in text:
            return Patch(text, _text(arguments, _CWDS))
    if isinstance(command, list):
        command = _joined(command)
    if not isinstance(command, str):
        return None
    background = arguments.get("run_in_background") is True or arguments.get("is_background") is True
    shell = Shell(command, _text(arguments, _CWDS), background)
    return _patching(shell) or shell


def _patching(shell: Shell) -> Patch | None:
    """A command that does nothing but apply a patch, after a `cd` or without."""
    if _PATCH not in shell.command or shell.background:
        return None
    match _simple(parse(shell.command)):
        case [patcher]:
            text = _patch_of(patcher, shell.command)
            return None if text is None else Patch(text, shell.cwd)
        case [Simple(words=[cd, to], redirects=()), patcher] if cd.literal == "cd":
            text = _patch_of(patcher, shell.command)
            if text is None or not to.literal or to.literal.startswith("-"):
                return None
            return Patch(text, posixpath.join(shell.cwd or "", to.literal), moves=shell.cwd is None)
    return None


def _simple(script: Script | None) -> list[Simple]:
    """The commands, if they are nothing but simple ones that run as long as all goes well."""
    commands: list[Simple] = []
    for number, (joiner, pipeline) in enumerate(script.steps if script is not None else ()):
        match pipeline.commands:
            case (Simple(assignments=()) as command,) if not pipeline.negated and (number == 0 or joiner == "&&"):
                commands.append(command)
            case _:
                return []
    return commands


def _patch_of(command: Simple, source: str) -> str | None:
    """The patch that a command is given; None if it is not certain, or another command."""
    words = [word.literal for word in command.words]
    others = words[1:]
    if not words or words[0] not in _PATCHERS:
        return None
    match command.redirects:
        case () if len(others) == 1:
            text = others[0]
        case (redirect,) if not others and redirect.operator == "<<" and redirect.descriptor in (None, 0):
            # Harnesses that run it themselves take the text as it is written, a shell may not.
            text = redirect.target.literal if (redirect.target.literal or "") in source else None
        case _:
            return None
    return text if text is not None and _PATCH in text else None


def _joined(words: list[Any]) -> str | None:
    """A command given as a list of words: mostly a shell's `-c`."""
    if not all(isinstance(word, str) for word in words):
        return None
    if len(words) == 3 and words[0] in _SHELL_NAMES and words[1].startswith("-") and words[1].endswith("c"):
        return str(words[2])
    return shlex.join(words)


def _file(name: str, arguments: Mapping[str, Any]) -> Operation | None:
    path = _text(arguments, _PATHS)
    if path is None:
        return None
    words = _words(name)
    text = _text(arguments, _TEXTS)
    if text is not None and not words & {"append"}:
        return Write(path, text)
    if set(arguments) <= {*_PATHS, "offset", "limit", "start_line", "end_line"} and words & {"read", "view", "cat"}:
        return _ranged(path, arguments)
    return None


def _ranged(path: str, arguments: Mapping[str, Any]) -> Operation:
    first = _number(arguments, ("offset", "start_line"))
    count, last = _number(arguments, ("limit",)), _number(arguments, ("end_line",))
    if count is None and last is not None:
        count = last - (first or 1) + 1
    return Read(path, first, count)


def _search(name: str, arguments: Mapping[str, Any]) -> Operation | None:
    words, pattern, path = _words(name), _text(arguments, ("pattern",)), _text(arguments, ("path",))
    if pattern is None or not words & {"grep", "glob"}:
        return None
    others = arguments.keys() - {"pattern", "path", "description"}
    if "glob" in words:
        return None if others else Glob(pattern, path)
    return Grep(pattern, path, _grep_options({key: arguments[key] for key in others}))


def _grep_options(others: Mapping[str, Any]) -> tuple[str, ...] | None:
    if others.get("output_mode") != "content":
        return None
    found = []
    for key, value in others.items():
        if key in ("-A", "-B", "-C", "-n", "-i") and value is True:
            found.append(key)
        elif key in ("-A", "-B", "-C") and isinstance(value, int):
            found.append(f"{key}{value}")
        elif key != "output_mode" and value is not False:
            return None
    return tuple(sorted(found))


def _note(call: ToolCall) -> Operation | None:
    words = _words(call.name)
    for about, named in _verbs()["notes"].items():
        if words & set(named) and (words & set(_verbs()["noting"]) or len(words) == 1):
            return None if words == {"task"} else Note(about)  # a task given to another agent
    return None


@cache
def _verbs() -> dict[str, Any]:
    verbs: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "verbs.yaml").read_text("utf-8"))
    return verbs


def _reads_only(name: str) -> bool:
    """Does its name say that it only reads? One that says nothing may change anything."""
    words = _words(name)
    return bool(words & set(_verbs()["reading"])) and not words & set(_verbs()["changing"])


def _words(name: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(name.rsplit("__", 1)[-1])}


def _text(arguments: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((arguments[name] for name in names if isinstance(arguments.get(name), str)), None)


def _number(arguments: Mapping[str, Any], names: Sequence[str]) -> int | None:
    for name in names:
        value = arguments.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None
