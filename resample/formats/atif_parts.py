"""Pieces of ATIF steps: their results, and content: a text, or parts with text, images and audio.

Images may lie in files beside the trajectory.
"""

from __future__ import annotations

import base64
from typing import Any

from resample.formats.assemble import arguments_text, image_part, listed, text_or, text_part
from resample.formats.base import Draft
from resample.formats.inputs import Input
from resample.formats.streams import READ_ERRORS
from resample.types import Missing

Step = dict[str, Any]

_MOST = 64 * 2**20
"""Bytes of the images of a conversation that are read from files of their own."""


def under(value: Any, key: str) -> Any:
    """The value of a key, if this is an object that has it."""
    return value.get(key) if isinstance(value, dict) else None


def was_dispatched(step: Step) -> bool:
    """A step of the agent in which no model was called: the harness acted by a rule."""
    return type(step.get("llm_call_count")) is int and step["llm_call_count"] == 0


def results_of(step: Step) -> list[dict[str, Any]]:
    """The results of a step's calls, or of what else was done in it."""
    return listed(under(step.get("observation"), "results"))


def parts_of(content: Any, draft: Draft, source: Input) -> list[dict[str, Any]]:
    """Content in parts; no part where there is none."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [text_part(content)]
    if not isinstance(content, list):
        return [text_part(arguments_text(content) or "")]
    return [made for item in content for made in _part(item, draft, source)]


def _part(item: Any, draft: Draft, source: Input) -> list[dict[str, Any]]:
    if isinstance(item, str):
        return [text_part(item)]
    if not isinstance(item, dict):
        return []
    kind = text_or(item.get("type"))
    if kind == "image" and (url := image_url(item, draft, source)):
        return [image_part(url)]
    if isinstance(item.get("text"), str):
        return [text_part(item["text"])]
    draft.missing.add(Missing.IMAGES)
    return [text_part(f"[{kind[:20] or 'part'} not shown]")]


_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")
"""How image files begin: a path in a log may name any file."""


def image_url(part: dict[str, Any], draft: Draft, source: Input) -> str | None:
    """An image is an address, or a file beside the trajectory, whose bytes are put in its place."""
    place = part.get("source")
    path = text_or(place.get("path") if isinstance(place, dict) else None)
    if path.startswith(("data:", "http://", "https://")):
        return path
    file = source.beside(path) if path else None
    if file is None or not isinstance(place, dict):
        return None
    room = _MOST - draft.extra.get("image_bytes", 0)
    try:
        with file.open() as (stream, _):
            data = stream.read(room + 1)
    except READ_ERRORS:
        return None
    if len(data) > room or not data.startswith(_IMAGES):
        return None
    draft.extra["image_bytes"] = draft.extra.get("image_bytes", 0) + len(data)
    return f"data:{text_or(place.get('media_type'), 'image/png')};base64,{base64.b64encode(data).decode()}"
