"""Where the texts of a transcript are, in the order they are scanned: messages, tools, metadata.

What a transcript is held together by is no text: ids of calls, roles, types, names of functions, keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from resample.types import Transcript


class Text(NamedTuple):
    """A text of a transcript."""

    place: str
    text: str
    is_json: bool = False
    """JSON as a text, which it has to stay."""


Rewrite = Callable[[Text], str]

_STRUCTURE = {
    "role",
    "type",
    "id",
    "name",
    "tool_call_id",
    "tool_use_id",
    "call_id",
    "signature",
    "media_type",
    "mime_type",
    "format",
    "detail",
    "encrypted_content",
    "required",
    "$ref",
    "index",
    "status",
}
"""Keys of messages, content parts and schemas whose texts stay."""
_GIVEN = frozenset({"input", "arguments"})
_FREE = _GIVEN | {"enum", "const", "default", "examples", "example"}
"""Keys below which every text is data, whatever its key."""
_IDENTITY = ("cluster", "stratum")
_LEFT = {
    "source",
    "model",
    "weight",
    "actions",
    "lines",
    "harness",
    "missing",
    "supplied",
    "terminal_tools",
    "dropped",
    "scrubbed",
}


def rewritten(transcript: Transcript, rewrite: Rewrite, identity: Rewrite) -> Transcript:
    """The transcript with each of its texts rewritten; the same object if nothing changed.

    `identity` rewrites what transcripts are told apart by: their id, and in the metadata their cluster and stratum.
    """
    messages = [_message(f"message {index}", message, rewrite) for index, message in enumerate(transcript.messages)]
    tools = [_structure("tools", tool, rewrite) for tool in transcript.tools]
    metadata = {key: _metadata(key, value, rewrite, identity) for key, value in transcript.metadata.items()}
    id = identity(Text("id", transcript.id))
    if (
        id == transcript.id
        and _same(messages, transcript.messages)
        and _same(tools, transcript.tools)
        and _same(list(metadata.values()), list(transcript.metadata.values()))
    ):
        return transcript
    return replace(transcript, id=id, messages=messages, tools=tools, metadata=metadata)


def _same(new: list[Any], old: list[Any]) -> bool:
    return all(map(lambda a, b: a is b, new, old))


def _message(place: str, message: dict[str, Any], rewrite: Rewrite) -> dict[str, Any]:
    rest = {key: value for key, value in message.items() if key != "tool_calls"}
    calls = message.get("tool_calls")
    new = _structure(place, rest, rewrite)
    if not isinstance(calls, list):
        return message if new is rest else {**message, **new}
    new_calls = [_structure(f"{place} call {number}", call, rewrite) for number, call in enumerate(calls, start=1)]
    if new is rest and _same(new_calls, calls):
        return message
    return {**message, **new, "tool_calls": new_calls}


def _structure(place: str, value: Any, rewrite: Rewrite) -> Any:
    """Part of a message or of a schema: some of its keys belong to its form."""
    if isinstance(value, str):
        return _text(Text(place, value), rewrite)
    if isinstance(value, list):
        return _list(value, lambda item: _structure(place, item, rewrite))
    if isinstance(value, dict):
        coded = value.get("type") == "base64"
        return _dict(value, lambda key, item: _member(place, key, item, coded, rewrite))
    return value


def _member(place: str, key: str, value: Any, coded: bool, rewrite: Rewrite) -> Any:
    if (key in _STRUCTURE and not isinstance(value, dict)) or (coded and key == "data"):
        return value
    if key not in _FREE:
        return _structure(place, value, rewrite)
    if key in _GIVEN:
        place = f"{place} {key}"
    if key == "arguments" and isinstance(value, str):
        return _text(Text(place, value, is_json=True), rewrite)
    return _data(place, value, rewrite)


def _data(place: str, value: Any, rewrite: Rewrite) -> Any:
    """Values of somebody's own: only keys stay."""
    if isinstance(value, str):
        return _text(Text(place, value), rewrite)
    if isinstance(value, list):
        return _list(value, lambda item: _data(place, item, rewrite))
    if isinstance(value, dict):
        return _dict(value, lambda key, item: _data(place, item, rewrite))
    return value


def _metadata(key: str, value: Any, rewrite: Rewrite, identity: Rewrite) -> Any:
    if key in _IDENTITY and isinstance(value, str):
        return identity(Text(f"metadata.{key}", value))
    if key in _LEFT:
        return value
    return _named(f"metadata.{key}", value, rewrite)


def _named(place: str, value: Any, rewrite: Rewrite) -> Any:
    """As `_data`, with the keys in the place; they may be anything here (files, people), and are texts too."""
    if isinstance(value, str):
        return _text(Text(place, value), rewrite)
    if isinstance(value, list):
        return _list(value, lambda item: _named(place, item, rewrite))
    if isinstance(value, dict):
        new = {_text(Text(place, key), rewrite): _named(f"{place}.{key}", item, rewrite) for key, item in value.items()}
        return value if all(map(lambda a, b: a is b, (*new, *new.values()), (*value, *value.values()))) else new
    return value


def _text(text: Text, rewrite: Rewrite) -> str:
    return text.text if text.text.startswith("data:") and ";base64," in text.text[:100] else rewrite(text)


def _list(value: list[Any], each: Callable[[Any], Any]) -> list[Any]:
    new = [each(item) for item in value]
    return value if _same(new, value) else new


def _dict(value: dict[str, Any], each: Callable[[str, Any], Any]) -> dict[str, Any]:
    new = {key: each(key, item) for key, item in value.items()}
    return value if _same(list(new.values()), list(value.values())) else new
