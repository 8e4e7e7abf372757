"""What the logs of software engineering agents (SWE-agent, mini-SWE-agent, OpenHands) have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from resample.formats.assemble import arguments_text, content_of, function_call, image_part, listed, text_or, text_part
from resample.types import Message


def within(value: Any, *keys: str) -> Any:
    """What stands under a path of keys; None where one of them is absent, or what holds it is no object."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def count(dropped: Counter[str], phrase: str, number: int) -> None:
    """Count what was left out; nothing is no entry."""
    if number:
        dropped[phrase] += number


def first_text(*values: Any) -> str | None:
    """The first of the values that is a text and not empty."""
    return next((value for value in values if isinstance(value, str) and value), None)


def content_from(content: Any) -> str | list[dict[str, Any]]:
    """Content as these logs write it: a text, or parts with text and images, and marks for caches that go.

    A value that is neither is kept as its JSON.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        return arguments_text(content) or ""
    return content_of([part for item in content for part in _parts(item)])


def _parts(item: Any) -> list[dict[str, Any]]:
    if isinstance(item, str):
        return [text_part(item)]
    if not isinstance(item, dict):
        return []
    if isinstance(item.get("text"), str):
        return [text_part(item["text"])]
    image = item.get("image_url")
    urls = [within(image, "url") if isinstance(image, dict) else image]
    if isinstance(item.get("image_urls"), list):
        urls = item["image_urls"]
    return [image_part(url) for url in urls if isinstance(url, str) and url]


def reply(content: Any, calls: list[dict[str, Any]], reasoning: str = "") -> Message:
    """An assistant message. Content is null where a reply is nothing but calls."""
    text = content_from(content)
    return {
        "role": "assistant",
        "content": None if calls and not text else text,
        "tool_calls": calls,
        "reasoning_content": reasoning or None,
    }


def chat_calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls of a reply in OpenAI form; one without a name is none."""
    bodies = [(text_or(call.get("id")), call.get("function")) for call in listed(message.get("tool_calls"))]
    return [
        function_call(id, body["name"], body.get("arguments"))
        for id, body in bodies
        if isinstance(body, dict) and first_text(body.get("name"))
    ]


def joined(first: str | list[dict[str, Any]], second: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Two contents as one; parts stay parts of their own."""
    parts = [text_part(part) if isinstance(part, str) else part for part in (*_listed(first), *_listed(second))]
    return content_of(parts)


def _listed(content: str | list[dict[str, Any]]) -> Sequence[Any]:
    if isinstance(content, str):
        return [content] if content else []
    return content


# -- reasoning -------------------------------------------------------------------------------------------------------


def visible_reasoning(message: dict[str, Any]) -> str:
    """A model's reasoning as litellm hands it on: a text, Anthropic's blocks, or an item of OpenAI's."""
    if text := text_or(message.get("reasoning_content")):
        return text
    blocks = [text_or(block.get("thinking")) for block in listed(message.get("thinking_blocks"))]
    if any(blocks):
        return "\n\n".join(filter(None, blocks))
    item = message.get("responses_reasoning_item")
    for key in ("content", "summary"):
        lines = within(item, key)
        texts = [text for line in lines if (text := _line(line))] if isinstance(lines, list) else []
        if texts:
            return "\n\n".join(texts)
    return ""


def _line(line: Any) -> str:
    return text_or(line.get("text")) if isinstance(line, dict) else text_or(line)


def hides_reasoning(message: dict[str, Any]) -> bool:
    """Reasoning that is redacted, or encrypted with nothing of it to be read."""
    blocks = listed(message.get("thinking_blocks"))
    if any(block.get("type") == "redacted_thinking" for block in blocks):
        return True
    return bool(within(message, "responses_reasoning_item", "encrypted_content")) and not visible_reasoning(message)


def counts_reasoning(response: Any) -> bool:
    """Does a provider's reply count tokens of reasoning?"""
    tokens = within(response, "usage", "completion_tokens_details", "reasoning_tokens")
    return isinstance(tokens, int | float) and tokens > 0


# -- the agent's view of its events ----------------------------------------------------------------------------------


class Summary(NamedTuple):
    """A text that took the place of events."""

    at: int
    """Where the condensation stands among the events."""
    offset: int
    """Where in the view of that moment the summary belongs."""
    event: dict[str, Any]


def condensed(
    events: Sequence[dict[str, Any]], forgotten: Iterable[int], summaries: Iterable[Summary]
) -> list[dict[str, Any]]:
    """OpenHands condenses its history: events are forgotten, and a summary stands in their place.

    `forgotten` are places among the events. A summary's offset counts the events that were left at its moment; what
    was forgotten later does not count any more, so for any summary but the last one the place is the nearest there is.
    """
    gone = set(forgotten)
    kept: list[dict[str, Any]] = []
    before: list[int] = []
    for place, event in enumerate(events):
        before.append(len(kept))
        if place not in gone:
            kept.append(event)
    for number, summary in enumerate(summaries):
        known = before[summary.at] + number if summary.at < len(before) else len(kept)
        kept.insert(min(max(summary.offset, 0), known), summary.event)
    return kept


# -- calls without an output -----------------------------------------------------------------------------------------


def answered_only(messages: Sequence[Message], dropped: Counter[str]) -> list[Message]:
    """OpenHands shows a model no call of its own that has no output, once the conversation has gone on.

    Such calls are left out; so is their message, if no call is left in it. The calls of the last message stay: what
    it answers them is the harness's, or a simulator's, business.
    """
    answered = answered_calls(messages)
    last = last_spoken(messages)
    kept: list[Message] = []
    for index, message in enumerate(messages):
        calls = message.get("tool_calls")
        if calls and index < last:
            left = [call for call in calls if (index, call.get("id")) in answered]
            count(dropped, "call without output", len(calls) - len(left))
            if not left:
                continue
            message = {**message, "tool_calls": left}
        kept.append(message)
    return kept


def last_spoken(messages: Sequence[Message]) -> int:
    """The place of the last message of a user or of the model; -1 where nobody speaks."""
    return max((i for i, message in enumerate(messages) if message.get("role") in ("user", "assistant")), default=-1)


def answered_calls(messages: Sequence[Message]) -> set[tuple[int, Any]]:
    """The calls that have an output: place of their message, and id."""
    waiting: dict[str, int] = {}
    answered: set[tuple[int, Any]] = set()
    for index, message in enumerate(messages):
        for call in message.get("tool_calls") or ():
            if isinstance(call.get("id"), str):
                waiting[call["id"]] = index
        if message.get("role") == "tool":
            id = text_or(message.get("tool_call_id"))
            if id in waiting:
                answered.add((waiting.pop(id), id))
    return answered
