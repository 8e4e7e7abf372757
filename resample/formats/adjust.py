"""What a user may have done to transcripts as they are read: missing parts supplied, images kept or not.

Nothing here is applied in silence: what is supplied leaves `metadata.missing` and is named in `metadata.supplied`,
an image that is taken out leaves a mark in its place, and its kind in `metadata.missing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from resample.formats.assemble import any_schema
from resample.formats.exclusions import Problem, Reason
from resample.types import Message, Missing, ToolSchema, Transcript, UserError

Adjust = Callable[[Transcript], "Transcript | Problem"]


def as_read(transcript: Transcript) -> Transcript:
    """Change nothing."""
    return transcript


class Images(StrEnum):
    """What becomes of parts that are no text."""

    KEEP = "keep"
    """They are sent on: the models have to see images."""
    PLACEHOLDER = "placeholder"
    """A text says that something stood there."""
    EXCLUDE = "exclude"
    """Transcripts with such parts are not used."""


@dataclass(frozen=True, slots=True)
class Supply:
    """What the logs of one source lack, as the user knows it."""

    system: str | None = None
    tools: tuple[ToolSchema, ...] = ()


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What is done to each transcript that is read."""

    images: Images = Images.KEEP
    supplies: Mapping[str, Supply] | None = None
    """By source."""

    def __call__(self, transcript: Transcript) -> Transcript | Problem:
        """The transcript, changed where there is something to change."""
        if self.supplies is not None:
            transcript = supplied(transcript, self.supplies)
        if self.images is Images.KEEP or not has_media(transcript):
            return transcript
        return Problem(Reason.HAS_IMAGES) if self.images is Images.EXCLUDE else without_media(transcript)


# -- images ---------------------------------------------------------------------------------------------------------

_MEDIA = frozenset({"image_url", "image", "input_image", "input_audio", "audio", "file", "video", "document"})


def has_media(transcript: Transcript) -> bool:
    """Is there a part that only a model with eyes or ears can take?"""
    return any(_is_media(part) for message in transcript.messages for part in _parts(message))


def without_media(transcript: Transcript) -> Transcript:
    """The transcript with a text in place of each such part, saying what stood there."""
    messages = [_without_media(message) for message in transcript.messages]
    missing = sorted({*(transcript.metadata.get("missing") or ()), Missing.IMAGES.value})
    return replace(transcript, messages=messages, metadata={**transcript.metadata, "missing": missing})


def _without_media(message: Message) -> Message:
    parts = _parts(message)
    if not any(map(_is_media, parts)):
        return message
    return {**message, "content": [_mark(part) if _is_media(part) else part for part in parts]}


def _mark(part: dict[str, Any]) -> dict[str, Any]:
    kind = "image" if "image" in part["type"] else part["type"].removeprefix("input_")
    return {"type": "text", "text": f"[{kind} not shown]"}


def _is_media(part: dict[str, Any]) -> bool:
    return part.get("type") in _MEDIA


def _parts(message: Message) -> list[dict[str, Any]]:
    content = message.get("content")
    return content if isinstance(content, list) else []


# -- supplied parts -------------------------------------------------------------------------------------------------


def supplied(transcript: Transcript, supplies: Mapping[str, Supply]) -> Transcript:
    """The transcript with what its log lacks. What the log has is never replaced."""
    supply = supplies.get(transcript.metadata.get("source") or "")
    if supply is None:
        return transcript
    given: set[Missing] = set()
    messages, tools = transcript.messages, transcript.tools
    if supply.system is not None and _lacks_prompt(transcript):
        messages = [{"role": "system", "content": supply.system}, *messages]
        given.add(Missing.SYSTEM_PROMPT)
    if supply.tools and not tools:
        tools = list(supply.tools)
        given.add(Missing.TOOL_SCHEMAS)
    if not given:
        return transcript
    metadata = dict(transcript.metadata)
    if Missing.SYSTEM_PROMPT in given and metadata.get("lines"):
        metadata["lines"] = [None, *metadata["lines"]]
    if Missing.SYSTEM_PROMPT in given and metadata.get("harness"):
        metadata["harness"] = [index + 1 for index in metadata["harness"]]
    metadata["missing"] = sorted(set(metadata.get("missing") or ()) - given)
    metadata["supplied"] = sorted(given)
    return replace(transcript, messages=messages, tools=tools, metadata=metadata)


def _lacks_prompt(transcript: Transcript) -> bool:
    """Its reader says so (also where the log has some other message of the harness), or it has nothing of the kind."""
    marked = Missing.SYSTEM_PROMPT in (transcript.metadata.get("missing") or ())
    return marked or not any(message["role"] in ("system", "developer") for message in transcript.messages)


_KEYS = ("system", "system_file", "tools", "tools_file")


def read_supplies(path: Path, sources: frozenset[str]) -> dict[str, Supply]:
    """A file (YAML or JSON) with an entry per source: `system` or `system_file`, `tools` or `tools_file`.

    Files are named relative to it; tools are OpenAI or Anthropic schemas. Raises UserError for anything else.
    """
    given = _yaml(path)
    if not isinstance(given, dict):
        raise UserError(f"transcripts.supply={path}: must have an entry for each source, such as claude_code")
    supplies: dict[str, Supply] = {}
    for source, entry in given.items():
        where = f"transcripts.supply={path}: {source}"
        if source not in sources:
            raise UserError(f"{where}: no such source; there are {', '.join(sorted(sources))}")
        if not isinstance(entry, dict) or not entry or set(entry) - set(_KEYS):
            raise UserError(f"{where}: takes {', '.join(_KEYS)}")
        system = entry.get("system")
        if "system_file" in entry:
            system = _read(path.parent / str(entry["system_file"]))
        if system is not None and not (isinstance(system, str) and system):
            raise UserError(f"{where}: system must be a text")
        if {"system", "system_file"} <= set(entry) or {"tools", "tools_file"} <= set(entry):
            raise UserError(f"{where}: give either the thing itself or its file")
        tools = entry.get("tools")
        if "tools_file" in entry:
            tools = _yaml(path.parent / str(entry["tools_file"]))
        supplies[source] = Supply(system, tuple(_tools(tools, where)))
    return supplies


def _tools(given: Any, where: str) -> list[ToolSchema]:
    if given is None:
        return []
    tools = [any_schema(tool) for tool in given] if isinstance(given, list) else [None]
    if None in tools:
        raise UserError(f"{where}: tools must be a list of schemas, each with a name")
    return [tool for tool in tools if tool is not None]


def _yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(_read(path))
    except RecursionError:
        raise UserError(f"{path}: is nested too deep") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is no YAML: {' '.join(str(error).split())}") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
