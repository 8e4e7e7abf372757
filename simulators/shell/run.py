"""Computes what a command would print, on virtual files; raises Unknown where that is not sure. Nothing is executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from simulators.base import Unknown
from simulators.files import SOMEWHERE, Files, NotThere
from simulators.shell import builtin, changing, git, grep, lines, listing, reading, sed
from simulators.shell.expand import fields, one
from simulators.shell.state import ENDS, HOMELESS, LARGEST, Chunk, CommandFunction, Io, Outcome, Shell, Touching
from simulators.shell.syntax import parse
from simulators.shell.tree import Command, Group, Opaque, Pipeline, Redirect, Script, Simple, Word

__all__ = ["Outcome", "Shell", "run"]

COMMANDS: dict[str, CommandFunction] = {
    **builtin.COMMANDS, **changing.COMMANDS, **git.COMMANDS, **grep.COMMANDS, **lines.COMMANDS, **listing.COMMANDS,
    **reading.COMMANDS, **sed.COMMANDS,
}  # fmt: skip
_ORDERLESS = ("sort", "wc")
_STOPS_EARLY = ("head", "grep", "sed")
_DEEPEST = 8


def run(command: str, shell: Shell, files: Files) -> Outcome:
    """What the command prints and its exit code. Changes `shell` and `files`, in part also where it raises Unknown."""
    before, known = shell.fork(), files.fork()
    outcome = _run(command, shell, files)
    if ENDS not in outcome.assumes:
        return outcome
    known.take_as_unended()  # does it make a difference how the last line ends?
    other = _run(command, before, known)
    if (outcome.text.rstrip("\n"), outcome.code) != (other.text.rstrip("\n"), other.code):
        raise Unknown("how a file ends is not known")
    files.leave_ends_open(known)
    return outcome._replace(assumes=outcome.assumes - {ENDS})


def _run(command: str, shell: Shell, files: Files) -> Outcome:
    script = parse(command)
    if script is None:
        raise Unknown("a command that is not modelled")
    interpreter = _Interpreter(shell, files)
    try:
        interpreter.script(script, shell, None, Touching(), 0)
    except _Exit:
        pass
    except (NotThere, UnicodeError, RecursionError) as error:
        raise Unknown(str(error)) from None
    return interpreter.outcome()


class _Exit(Exception):
    """The shell was left."""


class _Sink(NamedTuple):
    """Where what is printed goes: out of the pipeline, to the next command, nowhere, or into a file."""

    name: str
    path: str = ""


_OUTPUT, _ERRORS, _PIPE, _NOWHERE = _Sink("output"), _Sink("errors"), _Sink("pipe"), _Sink("nowhere")
_Sinks = dict[int, _Sink]


class _Failed(Exception):
    """A redirect could not be made: the command does not run."""


class _Interpreter:
    """Runs scripts, step by step."""

    def __init__(self, shell: Shell, files: Files) -> None:
        self._files = files
        self._code = 0
        self._printed: list[Chunk] = []
        self._assumes: set[str] = set()
        self._stops_at_errors = False
        self._counts_all = False
        self._size = 0

    def outcome(self) -> Outcome:
        """What has come of it."""
        if len({chunk.descriptor for chunk in self._printed}) > 1:
            self._assumes.add("streams.order")
        text = "".join(chunk.text for chunk in self._printed)
        if HOMELESS in text or SOMEWHERE in text:
            raise Unknown("a directory that is not known is shown")
        return Outcome(text, self._code, frozenset(self._assumes))

    def script(self, script: Script, shell: Shell, stdin: str | None, touching: Touching, depth: int) -> list[Chunk]:
        """Every step that its joiner lets run; gives what the steps print beyond the terminal's own."""
        if depth > _DEEPEST:
            raise Unknown("nested too deeply")
        printed: list[Chunk] = []
        for at, step in enumerate(script.steps):
            if (step.joiner == "&&" and self._code) or (step.joiner == "||" and not self._code):
                continue
            chunks = self._pipeline(step.pipeline, shell, stdin, touching if depth else Touching(), depth)
            printed += chunks
            if depth == 0:
                self._printed += chunks
            following = script.steps[at + 1].joiner if at + 1 < len(script.steps) else ";"
            if self._code and self._stops_at_errors and following == ";" and not step.pipeline.negated:
                raise Unknown("an error after set -e")
        return printed

    def _pipeline(
        self, pipeline: Pipeline, shell: Shell, stdin: str | None, touching: Touching, depth: int
    ) -> list[Chunk]:
        commands = pipeline.commands
        printed: list[Chunk] = []
        codes: list[int] = []
        assumed: set[str] = set()
        for at, command in enumerate(commands):
            own = shell if len(commands) == 1 else shell.fork()
            io = Io(own, self._files, assumed, stdin, touching)
            last = at == len(commands) - 1
            sinks: _Sinks = {1: _OUTPUT if last else _PIPE, 2: _ERRORS}
            if at and isinstance(command, Simple) and command.words and command.words[0].literal in _ORDERLESS:
                assumed -= {form for form in assumed if form.endswith(".order")}
            try:
                shown = self._command(command, io, sinks, depth)
            except _Exit:
                if len(commands) > 1:
                    raise Unknown("exit within a pipeline") from None
                raise
            codes.append(self._code)
            printed += [
                Chunk(1 if sink is _OUTPUT else 2, chunk.text) for sink, chunk in shown if sink in (_OUTPUT, _ERRORS)
            ]
            piped = [chunk for sink, chunk in shown if sink is _PIPE]
            stdin = "".join(chunk.text for chunk in piped)
        if len(commands) > 1 and len({chunk.descriptor for chunk in printed}) > 1:
            assumed.add("streams.order")
        self._assumes |= assumed
        self._code = self._of_all(codes, pipeline)
        if pipeline.negated:
            self._code = int(not self._code)
        return printed

    def _of_all(self, codes: list[int], pipeline: Pipeline) -> int:
        if not self._counts_all or len(codes) == 1:
            return codes[-1]
        names = [each.words[0].literal for each in pipeline.commands[1:] if isinstance(each, Simple) and each.words]
        if any(name in _STOPS_EARLY for name in names):
            raise Unknown("an earlier command may have been stopped by its closed output")
        return next((code for code in reversed(codes) if code), 0)

    # -- one command

    def _command(self, command: Command, io: Io, sinks: _Sinks, depth: int) -> list[tuple[_Sink, Chunk]]:
        """What is printed, each piece with where it goes."""
        if isinstance(command, Opaque):
            raise Unknown("a loop or a condition")
        try:
            self._redirect(command.redirects, io, sinks)
        except _Failed:
            self._code = 1
            return [(sinks[2], chunk) for chunk in io.chunks]
        chunks = self._group(command, io, depth) if isinstance(command, Group) else self._simple(command, io)
        self._size += sum(len(chunk.text) for chunk in chunks)
        if self._size > LARGEST:
            raise Unknown("too much output")
        shown = [(sinks[chunk.descriptor], chunk) for chunk in chunks]
        for path in dict.fromkeys(sink.path for sink in sinks.values() if sink.path):
            own = [chunk for sink, chunk in shown if sink.path == path]
            if len({chunk.descriptor for chunk in own}) > 1:
                raise Unknown("in which order output and errors were written")
            text = "".join(chunk.text for chunk in own)
            if text:
                io.touching.writes.discard(path)
                changing.append(path, text, io)
        return shown

    def _group(self, group: Group, io: Io, depth: int) -> list[Chunk]:
        shell = io.shell.fork() if group.subshell else io.shell
        printed, self._printed = self._printed, []
        try:
            return self.script(group.script, shell, io.stdin, io.touching, depth + 1)
        except _Exit:
            raise Unknown("exit within a group") from None
        finally:
            self._printed = printed

    def _simple(self, command: Simple, io: Io) -> list[Chunk]:
        if not command.words:
            for name, value in command.assignments:
                builtin.assign(name, one(value, io), io)
            self._code = 0
            return io.chunks
        for name, value in command.assignments:
            if name != "LC_ALL":
                raise Unknown("a variable for one command")
            io.environment[name] = one(value, io)
        words = self._expanded(command.words, io)
        if not words:
            raise Unknown("no command")
        name, *arguments = words
        if name in ("set", "exit"):
            self._own(name, arguments)
            return io.chunks
        if name not in COMMANDS:
            raise Unknown(f"{name}: not modelled")
        before = len(io.chunks)
        self._code = COMMANDS[name](arguments, io)
        if len({chunk.descriptor for chunk in io.chunks[before:]}) > 1:
            io.assumes.add("streams.order")
        return io.chunks

    def _expanded(self, words: tuple[Word, ...], io: Io) -> list[str]:
        io.shell.variables["?"] = str(self._code)
        try:
            if words[0].literal == "export":
                if any("=~" in (word.literal or "") for word in words):
                    raise Unknown("a home directory within a word")
                return [one(word, io) for word in words]
            return [field for word in words for field in fields(word, io)]
        finally:
            del io.shell.variables["?"]

    def _own(self, name: str, arguments: list[str]) -> None:
        if name == "exit":
            code = builtin.exit_code(arguments)
            self._code = self._code if code is None else code
            raise _Exit
        rest = list(arguments)
        while rest:
            option = rest.pop(0)
            letters = set(option[1:]) if option.startswith("-") else {option}
            if not letters or not letters <= {"e", "u", "o"}:
                raise Unknown(f"set {option}")
            self._stops_at_errors = self._stops_at_errors or "e" in letters
            if "o" in letters:
                if rest[:1] != ["pipefail"]:
                    raise Unknown("set -o")
                rest.pop(0)
                self._counts_all = True
        self._code = 0

    # -- redirects

    def _redirect(self, redirects: tuple[Redirect, ...], io: Io, sinks: _Sinks) -> None:
        for redirect in redirects:
            if redirect.operator in ("<<", "<<<"):
                if redirect.descriptor not in (None, 0):
                    raise Unknown("another descriptor")
                io.stdin = one(redirect.target, io) + ("\n" if redirect.operator == "<<<" else "")
            elif redirect.operator == "<":
                self._input(redirect, io)
            else:
                self._output(redirect, io, sinks)

    def _input(self, redirect: Redirect, io: Io) -> None:
        name = self._target(redirect, io)
        if redirect.descriptor not in (None, 0):
            raise Unknown("another descriptor")
        try:
            io.stdin = io.text(name)
        except NotThere as error:
            self._fail(f"{name}: {reading.reason(error)}", io)

    def _target(self, redirect: Redirect, io: Io) -> str:
        found = fields(redirect.target, io)
        if len(found) != 1:
            raise Unknown("a redirect to several files")
        return found[0]

    def _fail(self, said: str, io: Io) -> None:
        io.error(f"bash: line 1: {said}\n", "redirect.absent")
        raise _Failed

    def _output(self, redirect: Redirect, io: Io, sinks: _Sinks) -> None:
        name = self._target(redirect, io)
        operator, descriptor = redirect.operator, redirect.descriptor
        if operator == ">&" and name in ("1", "2"):
            sinks[1 if descriptor is None else descriptor] = sinks[int(name)]
            return
        both = operator in ("&>", "&>>") or (operator == ">&" and descriptor is None and not name.isdigit())
        if operator not in (">", ">>", ">|") and not both:
            raise Unknown(f"the redirect {operator}")
        if descriptor not in (None, 1, 2):
            raise Unknown("another descriptor")
        sink = self._file(name, operator, io, sinks)
        for each in (1, 2) if both else (descriptor or 1,):
            sinks[each] = sink

    def _file(self, name: str, operator: str, io: Io, sinks: _Sinks) -> _Sink:
        devices: dict[str, Callable[[], _Sink]] = {
            "/dev/null": lambda: _NOWHERE,
            "/dev/stdout": lambda: sinks[1],
            "/dev/stderr": lambda: sinks[2],
        }
        if name in devices:
            return devices[name]()
        path = io.create(name)
        if path is None:
            self._fail(f"{name}: No such file or directory", io)
            raise _Failed
        if any(sink.path == path for sink in sinks.values()):
            raise Unknown("one file opened twice")
        io.touching.write(path)
        if operator in (">>", "&>>"):
            io.touching.writes.discard(path)
            changing.append(path, "", io)
        else:
            self._files.write(path, "")
        return _Sink("file", path)
