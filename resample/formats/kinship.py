"""Conversations that are the beginning of one another are not independent: they share a cluster.

A proxy logs a conversation once per request, each log with a message more; a resumed session is written out again.
All are kept, and what is measured on them counts as one cluster.
"""

from __future__ import annotations

from array import array
from typing import Any

from resample.formats.seen import temporary_database
from resample.types import Message, Transcript

_MOST = 256
"""Conversations with the same beginning that one is compared with: thousands of them must not take time squared."""
_LATEST = "SELECT chain, id, cluster FROM chains WHERE opening = ? ORDER BY rowid DESC LIMIT ?"


class Kinship:
    """The conversations so far, as chains of hashes: one per message, over all messages up to it.

    Python's own hash will do: nothing of it is kept, and its key is drawn for each process.
    """

    def __init__(self) -> None:
        self._db = temporary_database("CREATE TABLE chains (opening INTEGER, chain BLOB, id TEXT, cluster TEXT)")
        self._db.execute("CREATE INDEX chains_by_opening ON chains (opening)")

    def settle(self, transcript: Transcript) -> None:
        """Set the cluster of a transcript that is the beginning of an earlier one, or goes on with it."""
        chain = _chain(transcript.messages)
        opening = _opening(transcript.messages, chain)
        metadata = transcript.metadata
        own = metadata.get("cluster")
        rows = self._db.execute(_LATEST, (opening, _MOST))
        for data, id, cluster in rows:
            other = array("q", data)
            shared = min(len(chain), len(other))
            if chain[shared - 1] == other[shared - 1]:
                metadata["cluster"] = cluster or own or id
                break
        self._db.execute(
            "INSERT INTO chains VALUES (?, ?, ?, ?)",
            (opening, chain.tobytes(), transcript.id, metadata.get("cluster")),
        )

    def close(self) -> None:
        """Forget them all."""
        self._db.close()


def _chain(messages: list[Message]) -> array[int]:
    chain = array("q")
    before = 0
    for message in messages:
        content = message.get("content")
        said = content if isinstance(content, str) else _text(content)
        before = (
            hash((before, message["role"], said, *_calls(message)))
            if "tool_calls" in message
            else hash((before, message["role"], said))
        )
        chain.append(before)
    return chain


def _opening(messages: list[Message], chain: array[int]) -> int:
    """The hash of the chain as far as the first assistant message: no shorter one is a conversation."""
    first = next((i for i, message in enumerate(messages) if message["role"] == "assistant"), len(messages) - 1)
    return chain[first]


def _calls(message: Message) -> list[str | None]:
    """Names and arguments; not the ids, which some logs make up anew each time."""
    bodies = [call[call["type"]] for call in message["tool_calls"] or ()]
    return [text for body in bodies for text in (body["name"], body.get("arguments") or body.get("input"))]


def _text(content: Any) -> str:
    """What a content says, whether it is a string or one part or several."""
    return "".join(str(part.get("text") or part) for part in content or ())
