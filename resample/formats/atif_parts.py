"""Content of ATIF steps: a text, or parts with text, images and audio that may lie in files beside the trajectory."""

from __future__ import annotations

import base64
from typing import Any

from resample.formats.assemble import arguments_text, image_part, text_or, text_part
from resample.formats.base import Draft
from resample.formats.inputs import Input
from resample.formats.streams import READ_ERRORS
from resample.types import Missing

_LARGEST = 20 * 2**20
"""Bytes of an image that is read from a file of its own."""


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
    if kind == "image" and (url := image_url(item, source)):
        return [image_part(url)]
    if isinstance(item.get("text"), str):
        return [text_part(item["text"])]
    draft.missing.add(Missing.IMAGES)
    return [text_part(f"[{kind[:20] or 'part'} not shown]")]


def image_url(part: dict[str, Any], source: Input) -> str | None:
    """An image is an address, or a file beside the trajectory, whose bytes are put in its place."""
    place = part.get("source")
    path = text_or(place.get("path") if isinstance(place, dict) else None)
    if path.startswith(("data:", "http://", "https://")):
        return path
    file = source.beside(path) if path else None
    if file is None or not isinstance(place, dict):
        return None
    try:
        with file.open() as (stream, _):
            data = stream.read(_LARGEST + 1)
    except READ_ERRORS:
        return None
    if len(data) > _LARGEST:
        return None
    return f"data:{text_or(place.get('media_type'), 'image/png')};base64,{base64.b64encode(data).decode()}"
