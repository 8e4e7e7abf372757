"""What the text of a Python file tells of it. It is read, never run."""

from __future__ import annotations

import ast
import builtins
from functools import cache
from pathlib import Path

import yaml

from simulators.files import File

_LONGEST = 200_000


@cache
def _acts() -> frozenset[str]:
    """Calls that change something, or hide what is called."""
    data = yaml.safe_load((Path(__file__).parent / "python.yaml").read_text("utf-8"))
    return frozenset(data["changing"] + data["hiding"])


def is_sound(file: File) -> bool:
    """Would an editor that checks Python let it pass: no error of syntax, and no name that is defined nowhere?

    False also where this cannot be told.
    """
    tree = _parsed(file)
    if tree is None:
        return False
    defined = _defined(tree)  # any name may come with `import *`
    return "*" in defined or _used(tree) <= defined | set(dir(builtins)) | {"__file__", "__name__"}


def only_computes(file: File) -> list[str] | None:
    """Would it change nothing when it is run? Then the modules that it imports, by their first names; else None.

    It may read and print. What its imports do is not looked at.
    """
    tree = _parsed(file)
    if tree is None:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not _is_harmless(node):
            return None
    modules: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules.append(node.module or ".")
    return [name.partition(".")[0] for name in modules]


def _is_harmless(call: ast.Call) -> bool:
    match call.func:
        case ast.Name(id="open"):
            mode = call.args[1] if len(call.args) > 1 else None
            named = [word.value for word in call.keywords if word.arg == "mode"]
            modes = [mode, *named] if mode is not None else named
            return all(isinstance(each, ast.Constant) and each.value in ("r", "rb", "rt") for each in modes)
        case ast.Name(id=name):
            return name not in _acts()
        case ast.Attribute(attr=name):
            return name not in _acts()
    return False


def _parsed(file: File) -> ast.Module | None:
    if file.count is None or len(file.lines) != file.count:
        return None
    text = "\n".join(file.lines[number] for number in range(1, file.count + 1)) + "\n"
    if len(text) > _LONGEST:
        return None
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _used(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _defined(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.arg(arg=name):
                names.add(name)
            case ast.ExceptHandler(name=str(name)):
                names.add(name)
            case ast.Import() | ast.ImportFrom():
                names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return names
