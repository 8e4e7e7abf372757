"""What is known of an environment at one moment, and what follows from each call."""

from __future__ import annotations

import re

from resample.types import ToolCall
from simulators.base import Unknown
from simulators.files import SOMEWHERE, Files, Kind, NotThere, resolve
from simulators.hooks import tells_of_hooks
from simulators.operations import (
    Glob,
    Grep,
    Note,
    Open,
    Operation,
    Other,
    Patch,
    Read,
    Refused,
    Shell,
    calls_agent,
    operation,
    windowed,
)
from simulators.shell.effects import Effects, effects
from simulators.shell.learn import forget, learn
from simulators.shell.run import Outcome, run
from simulators.shell.run import Shell as ShellState
from simulators.workspace.changes import Done, Place, carry_out
from simulators.workspace.forms import Forms, Told
from simulators.workspace.frames import Framed, assumed, told_by, unframe
from simulators.workspace.observe import has_failed, observe
from simulators.workspace.patch import paths
from simulators.workspace.python import only_computes
from simulators.workspace.search import observe_search, search, searched_from

_NUMBER = re.compile(r"\d+")
_MOST_DIGITS = 9
_NO_FILE = "n/a"


class World:
    """Files, shell and forms of an environment, as far as they are known."""

    def __init__(self, files: Files | None = None, forms: Forms | None = None, cwd: str | None = None) -> None:
        self.files = files or Files()
        self.forms = forms or Forms()
        self.shell = ShellState(cwd, None, {})
        self.date: str | None = None
        """When the conversation began."""
        self._home = cwd
        """The directory that the agent began in."""
        self._open_file: str | None = None
        self._cwd_is_told = False
        """Does the harness tell where the agent is?"""
        self._has_window = False
        """Is there an editor in the shell? Then its commands are not the shell's."""
        self._proven: frozenset[str] = frozenset()
        """Forms of commands that differ between platforms, and were seen to be right here."""
        self._latest: dict[str, str] = {}
        """The last output of each tool that takes notes."""
        self._own: frozenset[str] | None = None
        """The tasks that only this agent can have changed since it called another one; None: all of them."""
        self.last_call_reads_only = True
        """Did the call that was observed last leave everything as it was?"""

    def fork(self) -> World:
        """A copy that changes by itself."""
        copy = World(self.files.fork(), self.forms.fork(), self._home)
        copy.shell = self.shell.fork()
        copy._open_file, copy._has_window, copy._proven = self._open_file, self._has_window, self._proven
        copy.date = self.date
        copy._latest, copy._cwd_is_told, copy._own = dict(self._latest), self._cwd_is_told, self._own
        return copy

    def stand_in_window(self, cwd: str, open_file: str | None) -> None:
        """The agent has an editor in its shell, and was told so."""
        self._has_window = True
        self.shell.cwd = cwd
        self._open_file = open_file

    # -- answering

    def answer(self, call: ToolCall) -> str:
        """What the call gives, and its effect. Raises Unknown, and changes nothing then."""
        asked = self._asked(call)
        done = self._carry_out(call, asked)
        text = self.forms.output(_key(call, asked), done.told)
        before = self.shell.cwd
        self._do(done)
        self._follow(asked, before)
        if isinstance(asked, Note):
            self._note(call, text)
        return text

    def _asked(self, call: ToolCall) -> Operation:
        asked = operation(call)
        return windowed(asked) if isinstance(asked, Shell) and self._has_window else asked

    def _carry_out(self, call: ToolCall, asked: Operation) -> Done:
        """What comes of a call. Raises Unknown."""
        match asked:
            case Note():
                if self._own is not None and (task := _task(call)) is not None and task not in self._own:
                    raise Unknown("another agent may have changed this task: it is told what changes")
                return Done(Told("noted", self._note_facts(call)))
            case Refused():
                return Done(Told(asked.why, self._note_facts(call)))
            case Other():
                raise Unknown(f"{call.name}: what it does is not known")
            case Grep() | Glob():
                return Done(search(asked, self.files, self.place))
            case Shell():
                outcome, files, shell = self._run(asked)
                if not outcome.assumes <= self._proven:
                    raise Unknown(f"not seen here: {', '.join(sorted(outcome.assumes - self._proven))}")
                told = told_by(outcome.text, outcome.code, self._shown(shell.cwd, self._open_file))
                return Done(told, lambda: self._become(files, shell))
        try:
            done = carry_out(asked, self.files, self.place)
        except NotThere as error:
            raise Unknown(str(error)) from None
        shown = self._shown(self._after(asked), done.opens or self._open_file)
        return done._replace(told=done.told._replace(facts=shown | done.told.facts))

    def _run(self, asked: Shell) -> tuple[Outcome, Files, ShellState]:
        if asked.background:
            raise Unknown("a command in the background")
        files, shell = self.files.fork(), self.shell.fork()
        if asked.cwd is not None:
            shell.cwd = resolve(asked.cwd, shell.cwd, shell.home)
        for standing in {shell.cwd, self._home}:  # where the agent is, and where it began, is there
            if standing is not None and files.kind(standing) is Kind.UNKNOWN:
                files.see_kind(standing, Kind.DIRECTORY)
        outcome = run(asked.command, shell, files)
        if asked.cwd is not None:
            shell = self.shell.fork()
        return outcome, files, shell

    def _shown(self, cwd: str | None, open_file: str | None) -> dict[str, str]:
        """What a harness may show after every output."""
        shown = {"open": open_file or _NO_FILE} if self._has_window else {}
        return shown if cwd is None or cwd.startswith(SOMEWHERE) else shown | {"cwd": cwd}

    def _note_facts(self, call: ToolCall) -> dict[str, str]:
        facts = {name: value for name, value in (call.parsed or {}).items() if isinstance(value, str)}
        numbers = _NUMBER.findall(self._latest.get(call.name, "0"))
        following = str(int(numbers[-1]) + 1) if numbers and len(numbers[-1]) < _MOST_DIGITS else None
        if following is not None and following not in facts.values():  # an argument explains it better
            facts["next number"] = following
        return facts

    def _note(self, call: ToolCall, output: str) -> None:
        self._latest[call.name] = output
        if self._own is not None and (task := _task(call)) is not None:
            self._own |= {task}

    def _do(self, done: Done) -> None:
        if done.commit is not None:
            done.commit()
        if done.opens is not None:
            self._open_file = done.opens

    def _become(self, files: Files, shell: ShellState) -> None:
        self.files, self.shell = files, shell
        self.shell.variables = {}  # in some harnesses they hold for the next call, in others not

    @property
    def place(self) -> Place:
        """Where calls are made from."""
        return Place(self.shell.cwd, self.shell.home, self._open_file)

    # -- observing

    def observe(self, call: ToolCall, output: str | None, is_real: bool = True) -> None:
        """A call was made, and got this output (None: nobody has it): `is_real` if the environment itself gave it."""
        asked = self._asked(call)
        self.last_call_reads_only = self._reads_only(asked)
        self.files.hooked = self.files.hooked or tells_of_hooks(call.arguments) or tells_of_hooks(output or "")
        if output is None:
            self._lose(asked)
            return
        before = self.shell.cwd
        framed = unframe(output) if isinstance(asked, Shell | Patch) or self._has_window else None
        told = self._observed(call, asked, output, framed)
        self._follow(asked, before)
        if framed is not None:
            self._take_state(framed)
        if told is not None and is_real:
            told = told._replace(facts=self._shown(self.shell.cwd, self._open_file) | told.facts)
            self.forms.learn(_key(call, asked), output, told)
        if isinstance(asked, Note):
            self._note(call, output)
        elif calls_agent(call):
            self._own = frozenset()

    def _observed(self, call: ToolCall, asked: Operation, output: str, framed: Framed | None) -> Told | None:
        match asked:
            case Note():
                return None if has_failed(asked, output) else Told("noted", self._note_facts(call))
            case Refused():
                return Told(asked.why, self._note_facts(call)) if has_failed(asked, output) else None
            case Other():
                if not asked.reads_only:
                    self.files.forget_all()
                return None
            case Grep() | Glob():
                if isinstance(asked, Glob) and self.shell.cwd is None:
                    self.shell.cwd = searched_from(asked, output)
                return observe_search(asked, output, self.files, self.place, self.place._replace(cwd=self._home))
            case Shell():
                return self._observe_shell(asked, framed or unframe(output))
        return observe(asked, output, self.files, self.place)

    def _observe_shell(self, asked: Shell, framed: Framed) -> Told:
        try:
            outcome, files, shell = self._run(asked)
        except Unknown:
            outcome = None
        if outcome is not None and _same(outcome, framed):
            self._proven |= outcome.assumes
            self._become(files, shell)
            return told_by(outcome.text, outcome.code, {})
        if outcome is not None:
            self._proven -= outcome.assumes
        if asked.background:
            self._lose(asked)
        elif self._only_computes(asked) or _was_refused(framed):
            pass
        elif asked.cwd is None:
            learn(asked.command, framed.body, framed.code, self.shell, self.files)
        else:
            elsewhere = self.shell.fork()
            elsewhere.cwd = resolve(asked.cwd, elsewhere.cwd, elsewhere.home)
            learn(asked.command, framed.body, framed.code, elsewhere, self.files)
        self._prove(asked, framed)
        return assumed(framed, {})

    def _prove(self, asked: Shell, framed: Framed) -> None:
        """Is what was just learned shown in the order, and in the words, that were expected?"""
        try:
            outcome, _, _ = self._run(asked)
        except Unknown:
            return
        if _same(outcome, framed):
            self._proven |= outcome.assumes

    def _reads_only(self, asked: Operation) -> bool:
        if isinstance(asked, Shell):
            return effects(asked.command, self.shell.cwd, self.shell.home).reads_only
        return isinstance(asked, Read | Open | Note | Refused) or getattr(asked, "reads_only", False)

    def _only_computes(self, asked: Shell) -> bool:
        """Does it run a Python file that is known, changes nothing, and imports nothing from beside it?"""
        match asked.command.split():
            case ["python" | "python3", name] if name.endswith(".py"):
                path = resolve(name, asked.cwd or self.shell.cwd, self.shell.home)
            case _:
                return False
        try:
            modules = only_computes(self.files.file(path))
        except (Unknown, NotThere):
            return False
        beside = [resolve(f"../{module}{end}", path) for module in modules or () for end in (".py", "")]
        return modules is not None and all(self.files.kind(each) in (Kind.ABSENT, Kind.UNKNOWN) for each in beside)

    def _after(self, asked: Operation) -> str | None:
        """Where the agent is after a call that has done what it does."""
        moves = isinstance(asked, Patch) and asked.moves
        return self.place.within(getattr(asked, "cwd", None)).cwd if moves else self.shell.cwd

    def _follow(self, asked: Operation, before: str | None) -> None:
        """Where the agent is after a command that may have gone elsewhere."""
        self.shell.cwd = self._after(asked)
        if isinstance(asked, Shell | Patch):
            self._doubt_directory(asked, before)

    def _doubt_directory(self, asked: Shell | Patch, before: str | None) -> None:
        """In some harnesses a `cd` holds for the next call, in others not; only some tell where the agent is."""
        if isinstance(asked, Shell):
            went = asked.cwd is None and effects(asked.command, before, self.shell.home).cwd != before
        else:
            went = asked.moves
        if went and self.shell.cwd != before and not self._cwd_is_told:
            self.shell.cwd = None

    def _take_state(self, framed: Framed) -> None:
        """What the harness says of where the agent is."""
        if framed.cwd is not None:
            self.shell.cwd = framed.cwd
            self._cwd_is_told = True
        if framed.has_window:
            self._has_window = True
            self._open_file = framed.open_file

    def _lose(self, asked: Operation) -> None:
        """A call whose output nobody has: whether it did anything is not known."""
        if isinstance(asked, Note | Refused) or getattr(asked, "reads_only", False):
            return
        path = getattr(asked, "path", None)
        if isinstance(asked, Shell):
            found = effects(asked.command, self.shell.cwd, self.shell.home)
            forget(self.files, found)
            self.shell.cwd = found.cwd
        elif isinstance(asked, Patch):
            there = self.place.within(asked.cwd)
            named = frozenset(map(there.resolve, paths(asked.text)))
            forget(self.files, Effects(named or None, False, there.cwd))
            self._follow(asked, self.shell.cwd)
        elif path is not None:
            self.files.forget(self.place.resolve(path))
        else:
            self.files.forget_all()


def _task(call: ToolCall) -> str | None:
    """The task that is named."""
    task = (call.parsed or {}).get("taskId")
    return task if isinstance(task, str) else None


def _was_refused(framed: Framed) -> bool:
    """Could the shell itself not read the command? Then nothing of it was run."""
    return framed.code != 0 and "syntax error near unexpected token" in framed.body


def _same(outcome: Outcome, framed: Framed) -> bool:
    code = framed.code is None or framed.code == outcome.code
    return code and outcome.text.strip() == framed.body.strip()


def _key(call: ToolCall, asked: Operation) -> tuple[str, ...]:
    """What may have a form of its own: acknowledgements may tell which arguments were given."""
    given = ",".join(sorted(call.parsed or {})) if isinstance(asked, Note) else ""
    return call.name, type(asked).__name__, given
