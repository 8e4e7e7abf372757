"""The shape of a command: scripts of pipelines of commands, and words whose quoting is resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """Literal text."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """`$NAME`, `${NAME}`, `$?`."""

    name: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Substitution:
    """`$(...)`, backticks, `<(...)`."""

    script: Script
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Glob:
    """A character that matches file names: `*`, `?`, `[`."""

    char: str


@dataclass(frozen=True, slots=True)
class Braces:
    """`{a,b}`, of plain alternatives."""

    alternatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tilde:
    """`~` at the beginning: the home directory."""


@dataclass(frozen=True, slots=True)
class Odd:
    """An expansion that is not modelled any further."""

    text: str
    scripts: tuple[Script, ...] = ()
    """The substitutions within."""


Part: TypeAlias = Text | Variable | Substitution | Glob | Braces | Tilde | Odd


@dataclass(frozen=True, slots=True)
class Word:
    """One word, as its parts; no parts are the empty heredoc."""

    parts: tuple[Part, ...]

    @property
    def literal(self) -> str | None:
        """The word's text, where it has no expansion."""
        texts = [part.text for part in self.parts if isinstance(part, Text)]
        return "".join(texts) if len(texts) == len(self.parts) else None

    @property
    def scripts(self) -> tuple[Script, ...]:
        """The scripts that run to expand it."""
        found: list[Script] = []
        for part in self.parts:
            if isinstance(part, Substitution):
                found.append(part.script)
            elif isinstance(part, Odd):
                found += part.scripts
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Redirect:
    """`2> file`; the operators `<<<` and `<<` carry the text itself."""

    operator: str
    descriptor: int | None
    target: Word


@dataclass(frozen=True, slots=True)
class Simple:
    """A command with its arguments; without words, it only assigns or redirects."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """`{ ...; }`, or a subshell `( ... )`."""

    script: Script
    subshell: bool
    redirects: tuple[Redirect, ...] = ()


@dataclass(frozen=True, slots=True)
class Opaque:
    """A loop, a condition, a function: only what runs within it is told."""

    text: str
    scripts: tuple[Script, ...]
    redirects: tuple[Redirect, ...] = ()


Command: TypeAlias = Simple | Group | Opaque


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands joined by `|`."""

    commands: tuple[Command, ...]
    negated: bool = False


class Step(NamedTuple):
    """A pipeline, and what joins it to the one before: `;`, `&&` or `||`."""

    joiner: str
    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Script:
    """Steps, one after the other."""

    steps: tuple[Step, ...]
