"""Replies in JSON: the schema they are asked for in, and what is accepted as an answer by it."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import orjson


class UnusableAnswer(ValueError):
    """The reply is no answer by its schema; the text tells the model why."""


def closed_object(**properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object with these properties, all of them and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def read_answer(text: str, schema: dict[str, Any]) -> Any:
    """The JSON object in a reply, with or without a code fence around it. Raises UnusableAnswer."""
    body = text.strip()
    if fenced := re.fullmatch(r"```\w*\n(.*?)\n?```", body, re.DOTALL):
        body = fenced[1]
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnusableAnswer(f"it is not one JSON object ({error})") from None
    if not isinstance(answer, dict):
        raise UnusableAnswer("it is not a JSON object")
    problems = sorted(_validator(orjson.dumps(schema)).iter_errors(answer), key=str)
    if problems:
        where = "/".join(str(part) for part in problems[0].absolute_path) or "the answer"
        raise UnusableAnswer(f"{where}: {problems[0].message[:300]}")
    return answer


@cache
def _validator(schema: bytes) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(orjson.loads(schema))
