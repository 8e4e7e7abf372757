"""What is known of the environment that bears on one call, for the model that has to write its output.

State is kept here and handed over with each call, never left to the model's memory: models simulate what does not
change almost perfectly, and fail where several things change at once (EnvSimBench, arXiv 2605.07247, 2026). What can be
computed is computed: counts, hashes, arithmetic.
"""

from __future__ import annotations

import ast
import hashlib
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from resample.judging.shorten import Count, shorten_text
from resample.prepare.tokens import rough_count
from resample.types import ToolCall
from simulators.base import Unknown
from simulators.files import SOMEWHERE, File, Kind, NotThere
from simulators.operations import Patch, Shell, operation
from simulators.shell.lexer import raw_words
from simulators.shell.scan import Unmodelled
from simulators.workspace.patch import paths as patch_paths
from simulators.workspace.world import World

_MOST_FILES = 8
_MOST_NAMES = 40
_SUMS = ("md5", "sha1", "sha256", "sha512")
_EXPRESSION = re.compile(r"\$\(\(([^()]{1,200}(?:\([^()]*\)[^()]*)*)\)\)")
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_LONGEST_EXPRESSION = 500


def about(call: ToolCall, world: World, room: int, count: Count = rough_count) -> str:
    """What is known, in plain lines, of at most about `room` tokens; an empty text if nothing is."""
    lines = []
    if world.shell.cwd is not None and not world.shell.cwd.startswith(SOMEWHERE):
        lines.append(f"Working directory: {world.shell.cwd}")
    if world.date is not None:
        lines.append(f"The conversation began at {world.date}: clocks and new time stamps go on from there")
    paths = list(dict.fromkeys(_paths(call, world)))[:_MOST_FILES]
    share = room // max(len(paths), 1)
    lines += [text for path in paths if (text := _of_path(path, call, world, share, count))]
    others = [_name(path) for path, _ in world.files.known() if path not in paths]
    if others:
        lines.append("Other files seen or written: " + ", ".join(others[-_MOST_NAMES:]))
    lines += _computed(call)
    return "\n".join(lines)


def _paths(call: ToolCall, world: World) -> Iterator[str]:
    """Paths that the call names, and of which something is known."""
    asked, place = operation(call), world.place
    if isinstance(asked, Patch):
        place = place if asked.cwd is None else place.within(asked.cwd)
        named = patch_paths(asked.text)
    elif isinstance(asked, Shell):
        named = _words(asked.command)
    else:
        named = [value for value in (call.parsed or {}).values() if isinstance(value, str) and len(value) < 4096]
    for word in named:
        if word and "\n" not in word and "\0" not in word:
            path = place.resolve(word)
            kind = world.files.kind(path)
            if kind is not Kind.UNKNOWN and (kind is not Kind.ABSENT or re.search(r"[./]", word)):
                yield path


def _name(path: str) -> str:
    """As it can be shown: relative where the working directory is not known."""
    return path.removeprefix(SOMEWHERE + "/") if path.startswith(SOMEWHERE + "/") else path


def _words(command: str) -> list[str]:
    try:
        return raw_words(command)
    except Unmodelled:
        return command.split()


def _of_path(path: str, call: ToolCall, world: World, room: int, count: Count) -> str:
    kind, name = world.files.kind(path), _name(path)
    if kind is Kind.ABSENT:
        return f"{name}: does not exist"
    if kind is Kind.DIRECTORY:
        return _of_directory(path, world)
    try:
        file = world.files.file(path, aged=True)
    except (Unknown, NotThere):
        return f"{name}: exists"
    return f"{name}: {_of_file(file, call, room, count)}"


def _of_directory(path: str, world: World) -> str:
    try:
        names = world.files.names(path)
    except (Unknown, NotThere):
        return f"{_name(path)}: a directory"
    return f"{_name(path)}: a directory with {', '.join(sorted(names)) or 'no entries'}"


def _of_file(file: File, call: ToolCall, room: int, count: Count) -> str:
    if not file.lines:
        return "an empty file" if file.count == 0 else "a file, its content not known"
    if file.whole and file.ends is not None:
        data = file.text.encode("utf-8", "surrogatepass")
        facts = [f"{file.count} lines", f"{len(data)} bytes", f"{len(file.text.split())} words"]
        facts += [f"{name} {hashlib.new(name, data).hexdigest()}" for name in _SUMS if name in call.arguments]
        head = f"a file of {', '.join(facts)}; its content now:"
    else:
        length = "" if file.count is None else f" of {file.count}"
        head = f"a file; of its lines{length}, these are known:"
    numbered = "\n".join(f"{number}\t{file.lines[number]}" for number in sorted(file.lines))
    return f"{head}\n{shorten_text(numbered, room, count)}"


# -- what can be computed -------------------------------------------------------------------------------------------


def _computed(call: ToolCall) -> list[str]:
    given = [value for value in (call.parsed or {}).values() if isinstance(value, str)]
    expressions = [found[1] for text in given for found in _EXPRESSION.finditer(text[:100_000])]
    expressions += [text for text in given if len(text) <= _LONGEST_EXPRESSION and re.search(r"\d\s*[-+*/%]", text)]
    results = ((expression, calculate(expression)) for expression in dict.fromkeys(expressions))
    return [f"{expression.strip()} = {result}" for expression, result in results if result is not None]


def calculate(expression: str) -> int | float | None:
    """The value of an arithmetic expression; None for anything else. Nothing is evaluated but numbers."""
    if len(expression) > _LONGEST_EXPRESSION:
        return None
    try:
        return _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            result: int | float = _ARITHMETIC[type(op)](_value(left), _value(right))
            return result
    raise ValueError("not arithmetic")


# -- contradictions -------------------------------------------------------------------------------------------------


def contradictions(call: ToolCall, output: str, world: World) -> list[str]:
    """What in an output cannot be, by what is known: plain sentences, each naming one fault."""
    before, after = world.fork(), world.fork()
    after.observe(call, output, is_real=False)
    if not after.last_call_reads_only:
        return []
    faults = []
    for path, file in before.files.known():
        kind = after.files.kind(path)
        if kind is Kind.ABSENT:
            faults.append(f"{_name(path)} exists, and the output says that it does not")
        elif kind is Kind.FILE and (line := _differing(file, after.files.file(path, aged=True))) is not None:
            number, known, shown = line
            faults.append(f"line {number} of {_name(path)} is {known!r}, not {shown!r}")
    return faults


def _differing(known: File, shown: File) -> tuple[int, str, str] | None:
    for number, line in known.lines.items():
        if (other := shown.lines.get(number)) is not None and other != line:
            return number, line, other
    return None
