"""Records as Claude Code writes them, for tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from resample.formats import Excluded, Located, read
from resample.formats.claude_code_tree import Node, node_of
from resample.types import Transcript

Record = dict[str, Any]

CLEAR = "<command-name>/clear</command-name>\n<command-args></command-args>"
CAVEAT = "<local-command-caveat>Caveat: made by commands.</local-command-caveat>"


def text(said: str) -> Record:
    return {"type": "text", "text": said}


def use(id: str | None, tool: str = "Bash", **given: Any) -> Record:
    return {"type": "tool_use", "id": id, "name": tool, "input": given}


def result(id: str | None, content: Any = "done", **fields: Any) -> Record:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **fields}


def record(uuid: str, parent: str | None, type: str, **fields: Any) -> Record:
    return {"type": type, "uuid": uuid, "parentUuid": parent, "sessionId": "s1", **fields}


def user(uuid: str, parent: str | None, content: Any, **fields: Any) -> Record:
    return record(uuid, parent, "user", message={"role": "user", "content": content}, **fields)


def reply(uuid: str, parent: str | None, *blocks: Any, id: str | None = None, **fields: Any) -> Record:
    """A record of a reply; records of one reply have one id."""
    message = {"id": id or f"msg_{uuid}", "type": "message", "role": "assistant", "model": "claude-x"}
    content = [text(block) if isinstance(block, str) else block for block in blocks]
    return record(uuid, parent, "assistant", message={**message, "content": content}, **fields)


def boundary(uuid: str, parent: str | None, **fields: Any) -> Record:
    return record(uuid, parent, "system", subtype="compact_boundary", content="Conversation compacted", **fields)


def attachment(uuid: str, parent: str | None, kind: str, **given: Any) -> Record:
    return record(uuid, parent, "attachment", attachment={"type": kind, **given})


def nodes(*records: Record) -> list[Node]:
    return [node_of(one, one["type"], line) for line, one in enumerate(records, 1)]


def uuids(nodes: Iterable[Node]) -> list[str]:
    return [node.uuid for node in nodes]


def save(path: Path, *lines: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join((one if isinstance(one, bytes) else orjson.dumps(one)) + b"\n" for one in lines))
    return path


_numbers = itertools.count()


def everything(folder: Path, *lines: Any) -> list[Located | Excluded]:
    """What is read of a file with these lines."""
    path = save(folder / f"read-{next(_numbers)}" / "session.jsonl", *lines)
    return [item for item in read(path.parent, "claude_code") if isinstance(item, Located | Excluded)]


def sessions(folder: Path, *lines: Any) -> list[Transcript]:
    return [item.transcript for item in everything(folder, *lines) if isinstance(item, Located)]


def session(folder: Path, *lines: Any) -> Transcript:
    (transcript,) = sessions(folder, *lines)
    return transcript


def spoken(transcript: Transcript) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in transcript.messages]
