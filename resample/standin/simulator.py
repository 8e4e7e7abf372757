"""The stand-in as a simulator: plausible raw output for a tool call."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from resample.judging.render import text_of, unfence
from resample.standin import draw, tools
from resample.standin.phrasebook import phrasebook
from resample.standin.settings import StandInSettings
from resample.types import Message

SIMULATOR_OPENING = "You produce the output of a tool call."
"""How the first system message of a simulator's prompt begins."""

_CALL = re.compile(r"([A-Za-z_][\w.-]*)?[\s:`(\"]*(\{.*\})", re.DOTALL)
_CALL_LABEL = re.compile(r"call \d+")
_FAULTS = (
    "I'm sorry, but I cannot run this. Here is a simulated output:\n{}",
    "```\n{}\n```",
    "As an AI, I do not have access to this environment.",
)
_LAST_LINES = 40
_FILES = ("README.md", "app.py", "config.yaml", "notes.txt", "report.csv", "setup.cfg", "utils.py", "main.go")
_LINES = (
    "# Overview",
    "This part reads the input and hands it on.",
    "limit = 50",
    "def load(path):",
    "    return [line.strip() for line in open(path)]",
    "status: active",
    "updated: 2025-03-11",
    "owner: platform",
    "See the notes for details.",
)


class _Call(NamedTuple):
    name: str
    arguments: dict[str, Any]


def answer(request: dict[str, Any], settings: StandInSettings) -> Message:
    """The output of the call that stands last in the last user message."""
    asked = [text_of(m) for m in request["messages"] if m["role"] == "user"]
    call = _last_call(next((text for text in reversed(asked) if _has_call(text)), asked[-1] if asked else ""))
    source = draw.generator("simulator", settings.seed, request.get("seed"), asked[-1] if asked else "")
    output = _output(call, source)
    if source.random() < settings.simulator_faults:
        output = source.choice(_FAULTS).format(output)
    return {"role": "assistant", "content": output}


def _has_call(text: str) -> bool:
    """After it there may be a second ask, which names the faults of the first answer."""
    return any(_CALL_LABEL.match(block.label) for block in unfence(text))


def _last_call(text: str) -> _Call:
    """The call, wherever it stands near the end: `name {...}`, or an object with a name and arguments."""
    calls = [block.text for block in unfence(text) if "call" in block.label]
    tail = calls[-1] if calls else "\n".join(text.rstrip().splitlines()[-_LAST_LINES:])
    paragraphs = tail.split("\n")
    for start in range(len(paragraphs) - 1, -1, -1):
        match = _CALL.search("\n".join(paragraphs[start:]))
        if match and isinstance(arguments := _json(match[2]), dict):
            return _named(match[1] or "", arguments)
    return _Call(tail.split(maxsplit=1)[0] if tail.split() else "", {})


def _named(name: str, found: dict[str, Any]) -> _Call:
    function = found["function"] if isinstance(found.get("function"), dict) else found
    if "name" not in function or "arguments" not in function:
        return _Call(name, found)
    inner = function["arguments"]
    arguments = _json(inner) if isinstance(inner, str) else inner
    return _Call(str(function["name"]), arguments if isinstance(arguments, dict) else {})


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _output(call: _Call, source: random.Random) -> str:
    name = call.name.lower()
    if tools.is_shell(name, {"properties": call.arguments}):
        return _shell(call.arguments, source)
    for words, write in _BY_NAME:
        if re.search(words, name):
            return write(source)
    return _record(call, source)


def _shell(arguments: dict[str, Any], source: random.Random) -> str:
    command = next((str(v) for v in arguments.values() if isinstance(v, str)), "")
    words = re.sub(r"^(?:cd \S+ && |sudo |[A-Z_]+=\S* )+", "", command.strip())
    for pattern, write in _BY_COMMAND:
        if re.match(pattern, words):
            return write(source)
    return "(no output)"


def _listing(source: random.Random) -> str:
    files = sorted(source.sample(_FILES, source.randint(3, 6)))
    return "\n".join(f"-rw-r--r-- 1 dev dev {source.randrange(200, 20_000):>6} Mar 11 {f}" for f in files)


def _excerpt(source: random.Random) -> str:
    return "\n".join(source.sample(_LINES, source.randint(3, 6)))


def _matches(source: random.Random) -> str:
    hits = sorted((source.choice(_FILES), source.randrange(1, 200)) for _ in range(source.randint(1, 4)))
    return "\n".join(f"{file}:{line}:{source.choice(_LINES).strip()}" for file, line in hits)


def _test_run(source: random.Random) -> str:
    passed = source.randrange(5, 60)
    if source.random() < 0.3:
        return f"{passed} passed, 1 failed in {source.uniform(0.1, 4):.2f}s"
    return f"{passed} passed in {source.uniform(0.1, 4):.2f}s"


def _status(source: random.Random) -> str:
    return f"On branch main\nChanges not staged for commit:\n\tmodified:   {source.choice(_FILES)}"


def _history(source: random.Random) -> str:
    notes = ("Fix paging", "Add notes", "Tidy imports", "Update the limit")
    return "\n".join(f"{source.randrange(16**7):07x} {note}" for note in source.sample(notes, 3))


def _table(source: random.Random) -> str:
    rows = "\n".join(f" {i:>3} | {source.randrange(1, 900):>6}" for i in range(1, source.randint(3, 6)))
    return f"  id |  total\n-----+-------\n{rows}"


def _number(source: random.Random) -> str:
    return str(source.randrange(1, 5000))


def _disk(source: random.Random) -> str:
    used = source.randrange(20, 90)
    head = "Filesystem      Size  Used Avail Use% Mounted on"
    return f"{head}\n/dev/sda1       100G  {used:>3}G  {100 - used:>3}G  {used:>2}% /"


def _written(source: random.Random) -> str:
    return f"Wrote {source.randrange(3, 120)} lines."


def _record(call: _Call, source: random.Random) -> str:
    """A small JSON answer that repeats the plain identifiers it was asked about."""
    known = {
        name: value
        for name, value in call.arguments.items()
        if isinstance(value, str) and re.fullmatch(r"[\w./@-]{1,40}", value) and not phrasebook().find(value)
    }
    extra = {
        "status": source.choice(("ok", "active", "pending")),
        "count": source.randrange(1, 40),
        "updated_at": f"2025-03-{source.randrange(1, 29):02d}T{source.randrange(24):02d}:15:00Z",
    }
    return orjson.dumps({**known, **extra}).decode()


_Writer = Callable[[random.Random], str]

_BY_COMMAND: tuple[tuple[str, _Writer], ...] = (
    (r"(?:ls|ll|tree|find|dir)\b", _listing),
    (r"(?:cat|head|tail|less|sed -n)\b", _excerpt),
    (r"(?:grep|rg|ack|git grep)\b", _matches),
    (r"(?:pytest|python3? -m (?:pytest|unittest)|(?:npm|go|cargo|make) (?:run )?test)\b", _test_run),
    (r"git (?:status|diff)\b", _status),
    (r"git (?:log|show|reflog)\b", _history),
    (r"(?:psql|sqlite3|mysql|select)\b", _table),
    (r"(?:wc|python3?|node|echo|print)\b", _number),
    (r"(?:df|du|free|ps|top)\b", _disk),
)

_BY_NAME: tuple[tuple[str, _Writer], ...] = (
    (r"write|edit|create_file|replace|patch", _written),
    (r"read|open|view|fetch|cat", _excerpt),
    (r"grep|search_(?:files|code)|find_", _matches),
    (r"^(?:list|ls|glob)", _listing),
)
