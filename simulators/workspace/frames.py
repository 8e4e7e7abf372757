"""What harnesses put around the output of a command: an exit code, the working directory, a prompt."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from simulators.workspace.forms import Told


class Framed(NamedTuple):
    """A command's output without the frame."""

    body: str
    code: int | None = None
    cwd: str | None = None
    open_file: str | None = None
    has_window: bool = False
    """Does the harness tell which file is open in its editor, be it none?"""


_FRAMES = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        # OpenHands
        r"(?P<body>.*?)\n?\[The command completed with exit code (?P<code>-?\d+)\.\]\n"
        r"\[Current working directory: (?P<cwd>[^\]\n]*)\](?:\n\[Python interpreter: [^\]\n]*\])?"
        r"(?:\n\[Command finished with exit code -?\d+\])?",
        # SWE-agent's state
        r"(?P<body>.*?)\n?\(Open file: (?P<open>[^\n]*)\)\n\(Current directory: (?P<cwd>[^\n]*)\)\nbash-\$ ?",
        # mini-SWE-agent
        r"<returncode>(?P<code>-?\d+)</returncode>\n<output>\n(?P<body>.*?)</output>",
        # Codex
        r"Exit code: (?P<code>-?\d+)\nWall time: [^\n]*\n(?:Total output lines: \d+\n)?Output:\n(?P<body>.*)",
        # Claude Code, where a command fails
        r"Exit code (?P<code>\d+)\n(?P<body>.*)",
        # Claude Code, where a command leaves the project
        r"(?P<body>.*?)\n?Shell cwd was reset to (?P<cwd>[^\n]+)",
        # pi
        r"(?P<body>.*?)\n\nCommand exited with code (?P<code>\d+)",
        # Gemini CLI
        r"Command: .*?\nDirectory: [^\n]*\n(?:Output|Stdout): (?P<body>.*?)\n(?:Error|Stderr): .*?\n"
        r"Exit Code: (?P<code>-?\d+)\n.*",
    )
)
_NOTHING = re.compile(
    r"\(no output\)|\(empty\)|\(none\)|<no output>|\(Bash completed with no output\)|"
    r"Your command ran successfully and did not produce any output\.|Tool ran without output or errors",
    re.IGNORECASE,
)


def unframe(output: str) -> Framed:
    """The command's own output, as far as the frame is known."""
    if (framed := _json(output)) is not None:
        return framed
    for frame in _FRAMES:
        if match := frame.fullmatch(output):
            groups = match.groupdict()
            code, opened = groups.get("code"), groups.get("open")
            return Framed(
                _something(groups["body"]),
                None if code is None else int(code),
                groups.get("cwd"),
                None if opened in (None, "n/a", "") else opened,
                opened is not None,
            )
    return Framed(_something(output))


def _something(body: str) -> str:
    return "" if _NOTHING.fullmatch(body.strip()) else body


def _json(output: str) -> Framed | None:
    """Codex: an object with the output and the exit code."""
    if not output.startswith('{"output":'):
        return None
    try:
        given = json.loads(output)
        return Framed(_something(given["output"]), int(given["metadata"]["exit_code"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def told_by(text: str, code: int, place: dict[str, str]) -> Told:
    """What a command that printed this, and ended so, would tell."""
    facts = {"out": text, "code": str(code), **place}
    facts |= {"chomped": text.removesuffix("\n"), "right-stripped": text.rstrip(), "stripped": text.strip()}
    in_json = {name: json.dumps(facts[name], ensure_ascii=False)[1:-1] for name in ("out", "chomped")}
    facts |= {f"{name} in JSON": value for name, value in in_json.items() if value != facts[name]}
    outcome = "succeeded" if code == 0 else "failed"
    if not text.strip():
        return Told(f"{outcome}, silent", facts)
    return Told(outcome, facts, shows=frozenset(facts.keys() - place.keys() - {"code"}))


def assumed(framed: Framed, place: dict[str, str]) -> Told:
    """The same, where only the framed output is known: commands end their output with a line end."""
    text = framed.body
    if text and not text.endswith("\n"):
        text += "\n"
    return told_by(text, 0 if framed.code is None else framed.code, place)._replace(is_assumed=bool(text.strip()))
