"""Conversations that are the beginning of one another share a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Located, read

SYSTEM = {"role": "system", "content": "s"}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def says(text: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def calls(id: str) -> dict[str, Any]:
    call = {"id": id, "type": "function", "function": {"name": "ls", "arguments": "{}"}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def out(id: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": "a"}


ONE = [SYSTEM, user("a"), calls("1")]
TWO = [SYSTEM, user("a"), calls("other id"), out("other id"), says([{"type": "text", "text": "done"}])]
THREE = [SYSTEM, user("a"), calls("1"), out("1"), says("done"), user("b"), says("c")]
OTHER = [SYSTEM, user("a"), says("no")]
FORK = [SYSTEM, user("a"), calls("1"), out("1"), says("differently")]


@pytest.mark.parametrize(
    ("conversations", "clusters"),
    [
        ([ONE, TWO, THREE], [0, 0, 0]),
        ([THREE, ONE, TWO], [0, 0, 0]),
        ([ONE, OTHER, TWO], [0, 1, 0]),
        ([ONE, TWO, FORK], [0, 0, 0]),
        ([TWO, FORK], [0, 1]),
        ([ONE, ONE], [0, 0]),
        ([[user("a"), says("x")], [user("b"), says("x")]], [0, 1]),
    ],
)
def test_which_conversations_share_a_cluster(tmp_path: Path, conversations: list[Any], clusters: list[int]) -> None:
    for number, conversation in enumerate(conversations):
        (tmp_path / f"{number}.json").write_bytes(orjson.dumps(conversation))
    read_back = [item.transcript for item in read(tmp_path) if isinstance(item, Located)]
    assert [t.metadata.get("cluster") or t.id for t in read_back] == [f"{number}.json" for number in clusters]
