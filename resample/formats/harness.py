"""Which messages in the user's role are the harness's own: no user said them, and they begin no turn.

A log may say so of a message itself. Where it does not, either the harness's own words tell, or that nobody was there
to say anything. What a person, or a simulated user, may have said is never marked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from resample.formats.assemble import HARNESS, listed, text_or
from resample.formats.base import Draft
from resample.text_actions import PARSERS, TextCalls
from resample.types import Message


def opens_with(content: Any, openings: tuple[str, ...]) -> bool:
    """Does each part of a content begin with one of these words? An image does not."""
    texts = [content] if isinstance(content, str) else [text_or(part.get("text")) for part in listed(content)]
    return bool(texts) and all(text.lstrip().startswith(openings) for text in texts)


def mark_own_words(messages: Sequence[Message], openings: tuple[str, ...]) -> None:
    """Mark what begins as only the harness begins."""
    for message in messages:
        if message.get("role") == "user" and opens_with(message.get("content"), openings):
            message[HARNESS] = True


def mark_unasked(draft: Draft, since: int | None = None, is_said: Callable[[Message], bool] = lambda _: False) -> None:
    """In a run that nobody takes part in, the user speaks before the first reply only: mark what comes later.

    Not what carries the output of an action written as text, nor what `is_said` knows for a person's words. `since`
    is the place of the first reply, where it is not the first of the assistant's messages.
    """
    messages = draft.messages
    if since is None:
        since = next((i for i, message in enumerate(messages) if message.get("role") == "assistant"), len(messages))
    parser = PARSERS.get(draft.actions.removeprefix("text:"))
    for index in range(since, len(messages)):
        message = messages[index]
        if message.get("role") != "user" or is_said(message):
            continue
        if parser is None or not TextCalls(parser).is_output(messages, index):
            message[HARNESS] = True
