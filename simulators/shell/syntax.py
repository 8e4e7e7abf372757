"""Reads a command as a shell would."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache

import tree_sitter
import tree_sitter_bash

from simulators.shell.lexer import assignment, heredoc_word, raw_words, words
from simulators.shell.scan import DEEPEST, Heredoc, Scanner, Unmodelled
from simulators.shell.tree import (
    Command,
    Group,
    Opaque,
    Pipeline,
    Redirect,
    Script,
    Simple,
    Step,
    Text,
    Word,
)

__all__ = ["Script", "parse"]

LONGEST = 100_000
_REDIRECTS = ("file_redirect",)
_OPERATORS = frozenset({">", ">>", "<", "<<<", "&>", "&>>", ">|", ">&", "<&"})
_BLOCKS = ("for_statement", "c_style_for_statement", "while_statement", "if_statement", "case_statement",
           "function_definition")  # fmt: skip
_SIMPLE = ("command", "variable_assignment", "variable_assignments", "declaration_command", "unset_command")
_STATEMENTS = frozenset({
    "command", "pipeline", "list", "redirected_statement", "subshell", "compound_statement", "negated_command",
    "declaration_command", "unset_command", "test_command", "variable_assignment", "variable_assignments", *_BLOCKS,
})  # fmt: skip
_SUBSTITUTIONS = ("command_substitution", "process_substitution")
_local = threading.local()


@lru_cache(maxsize=1024)
def parse(command: str) -> Script | None:
    """The command's shape; None where it has errors, or holds anything that is not modelled."""
    try:
        return _Reader({}, (), 0).script(command)
    except (Unmodelled, UnicodeEncodeError):
        return None


def _parser() -> tree_sitter.Parser:
    if not hasattr(_local, "parser"):
        _local.parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))
    parser: tree_sitter.Parser = _local.parser
    return parser


class _Reader:
    """Makes the shape from the grammar's tree."""

    def __init__(self, heredocs: dict[str, Heredoc], here_strings: tuple[str, ...], depth: int) -> None:
        self._heredocs = heredocs
        self._here_strings = here_strings
        self._depth = depth
        self._bytes = b""

    def script(self, source: str) -> Script:
        """A whole source."""
        if len(source) > LONGEST or "\0" in source or "\r\n" in source:
            raise Unmodelled("too long, or no text")
        taken = Scanner(source).take_heredocs()
        self._heredocs = {**self._heredocs, **taken.heredocs}
        self._here_strings = (*self._here_strings, taken.here_string)
        self._bytes = taken.source.encode()
        if not self._bytes.strip():
            return Script(())
        root = _parser().parse(self._bytes).root_node
        if root.has_error:
            raise Unmodelled("an error of syntax")
        return Script(tuple(self._steps(root.children, self._depth)))

    def _nested(self, source: str) -> Script:
        if self._depth >= DEEPEST:
            raise Unmodelled("nested too deeply")
        return _Reader(self._heredocs, self._here_strings, self._depth + 1).script(source)

    def _source(self, node: tree_sitter.Node) -> str:
        return self._bytes[node.start_byte : node.end_byte].decode()

    # -- steps

    def _steps(self, nodes: Sequence[tree_sitter.Node], depth: int) -> Iterator[Step]:
        for node in nodes:
            if node.is_named and node.type != "comment":
                yield from self._flat(node, depth)
            elif node.type not in (";", "\n", "comment", "(", ")", "{", "}", ""):
                raise Unmodelled(f"{node.type} between commands")

    def _flat(self, node: tree_sitter.Node, depth: int) -> list[Step]:
        """One statement as steps. The grammar hangs a redirect or a pipe on a whole list: it is its last step's."""
        if depth > DEEPEST * 4:
            raise Unmodelled("nested too deeply")
        match node.type:
            case "list":
                return self._list(node, depth + 1)
            case "pipeline":
                return self._pipeline(node, depth + 1)
            case "redirected_statement":
                return self._redirected(node, depth + 1)
            case "negated_command":
                first, *others = self._flat(node.children[-1], depth + 1)
                negated = Pipeline(first.pipeline.commands, not first.pipeline.negated)
                return [Step(first.joiner, negated), *others]
        return [Step(";", Pipeline((self._command(node, depth),)))]

    def _list(self, node: tree_sitter.Node, depth: int) -> list[Step]:
        named = [child for child in node.children if child.is_named and child.type != "comment"]
        operators = [child.type for child in node.children if not child.is_named and child.type != "\n"]
        if len(named) != 2 or operators not in (["&&"], ["||"]):
            raise Unmodelled("a list of another shape")
        first, *others = self._flat(named[1], depth)
        return [*self._flat(named[0], depth), Step(operators[0], first.pipeline), *others]

    def _pipeline(self, node: tree_sitter.Node, depth: int) -> list[Step]:
        steps: list[Step] = []
        for child in node.children:
            if child.type == "|&":
                steps[-1] = _redirected(steps[-1], [Redirect(">&", 2, Word((Text("1"),)))])
            elif child.is_named and child.type != "comment":
                inner = self._flat(child, depth)
                steps = [*steps[:-1], _piped(steps[-1], inner[0]), *inner[1:]] if steps else inner
            elif child.type not in ("|", "\n", "comment"):
                raise Unmodelled(f"{child.type} in a pipeline")
        return steps

    def _redirected(self, node: tree_sitter.Node, depth: int) -> list[Step]:
        bodies = [child for child in node.children if child.type not in _REDIRECTS]
        found = [self._redirect(child) for child in node.children if child.type in _REDIRECTS]
        redirects = [redirect for redirect, _ in found]
        following = [word for _, rest in found for word in words(rest, self._nested)]
        if len(bodies) > 1 or (following and not bodies):
            raise Unmodelled("a redirect of another shape")
        if not bodies:
            return [Step(";", Pipeline((Simple((), (), tuple(redirects)),)))]
        *others, last = self._flat(bodies[0], depth)
        return [*others, _redirected(last, redirects, following)]

    # -- commands

    def _command(self, node: tree_sitter.Node, depth: int) -> Command:
        if node.type == "subshell":
            return Group(Script(tuple(self._steps(node.children, depth + 1))), True)
        if node.type == "compound_statement" and node.children[0].type == "{":
            return Group(Script(tuple(self._steps(node.children, depth + 1))), False)
        if node.type in _SIMPLE or (node.type == "test_command" and node.children[0].type == "["):
            return self._simple(node)
        if node.type in (*_BLOCKS, "compound_statement", "test_command"):
            return Opaque(self._source(node), tuple(self._within(node, depth + 1)))
        raise Unmodelled(f"a {node.type}")

    def _within(self, node: tree_sitter.Node, depth: int) -> Iterator[Script]:
        """Every script that a construct may run."""
        if depth > DEEPEST * 4:
            raise Unmodelled("nested too deeply")
        for child in node.children:
            if child.type == "&":
                raise Unmodelled("in the background")
            if child.type in _SUBSTITUTIONS:
                source = self._source(child)
                yield self._nested(source[1:-1] if source.startswith("`") else source[2:-1])
            elif child.type in _REDIRECTS:
                raise Unmodelled("a redirect within a construct")
            elif child.type in _STATEMENTS:
                yield Script(tuple(self._steps([child], depth + 1)))
            else:
                yield from self._within(child, depth + 1)

    def _simple(self, node: tree_sitter.Node) -> Simple:
        redirects, pieces, at = [], [], node.start_byte
        for child in node.children:
            if child.type in _REDIRECTS:
                redirect, following = self._redirect(child)
                redirects.append(redirect)
                pieces += [self._bytes[at : child.start_byte], following.encode()]
                at = child.end_byte
            elif child.type in ("heredoc_redirect", "herestring_redirect"):
                raise Unmodelled("a heredoc that was not taken out")
        pieces.append(self._bytes[at : node.end_byte])
        source = b" ".join(pieces).decode()
        found = list(zip(raw_words(source), words(source, self._nested), strict=True))
        assignments: list[tuple[str, Word]] = []
        while found and (assigned := assignment(found[0][0])) is not None:
            assignments.append((assigned[0], self._value(assigned[1])))
            del found[0]
        return Simple(tuple(assignments), tuple(word for _, word in found), tuple(redirects))

    def _value(self, source: str) -> Word:
        found = words(source, self._nested)
        if len(found) > 1:
            raise Unmodelled("a value of several words")
        return found[0] if found else Word((Text("", True),))

    def _redirect(self, node: tree_sitter.Node) -> tuple[Redirect, str]:
        """A redirect, and the source of the words behind it, which the grammar takes for more targets."""
        descriptor = None
        operator = ""
        rest = node.end_byte
        for child in node.children:
            if child.type == "file_descriptor":
                descriptor = _descriptor(self._source(child))
            elif not operator and not child.is_named:
                operator = child.type
                rest = child.end_byte
        source = self._bytes[rest : node.end_byte].decode().strip()
        first = next(iter(raw_words(source)), "")
        following = source[len(first) :]
        if operator not in _OPERATORS or not first or not source.startswith(first):
            raise Unmodelled("a redirect of another shape")
        if operator == "<" and first in self._heredocs:
            return Redirect("<<", descriptor, self._heredoc(self._heredocs[first])), following
        for marker in self._here_strings if operator == "<" else ():
            if first.startswith(marker):
                operator, first = "<<<", first.removeprefix(marker)
        return Redirect(operator, descriptor, self._value(first)), following

    def _heredoc(self, heredoc: Heredoc) -> Word:
        return Word((Text(heredoc.body, True),)) if heredoc.quoted else heredoc_word(heredoc.body, self._nested)


def _descriptor(source: str) -> int:
    if not re.fullmatch(r"[0-9]", source):
        raise Unmodelled("a word before a redirect that the grammar takes for its descriptor")
    return int(source)


def _redirected(step: Step, redirects: list[Redirect], following: Sequence[Word] = ()) -> Step:
    """A redirect, and the words behind it, belong to a pipeline's last command."""
    *others, last = step.pipeline.commands
    if following:
        if not isinstance(last, Simple) or not last.words:
            raise Unmodelled("words behind a group")
        last = Simple(last.assignments, (*last.words, *following), last.redirects)
    return Step(step.joiner, Pipeline((*others, _with(last, redirects)), step.pipeline.negated))


def _piped(one: Step, other: Step) -> Step:
    commands = (*one.pipeline.commands, *other.pipeline.commands)
    return Step(one.joiner, Pipeline(commands, one.pipeline.negated or other.pipeline.negated))


def _with(command: Command, redirects: list[Redirect]) -> Command:
    if isinstance(command, Simple):
        return Simple(command.assignments, command.words, (*command.redirects, *redirects))
    if isinstance(command, Group):
        return Group(command.script, command.subshell, (*command.redirects, *redirects))
    return Opaque(command.text, command.scripts, (*command.redirects, *redirects))
