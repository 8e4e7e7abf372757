"""Messages in the user's role that no user said."""

from __future__ import annotations

from typing import Any

import pytest

from resample.formats.assemble import HARNESS
from resample.formats.base import Draft
from resample.formats.harness import mark_own_words, mark_unasked, opens_with
from resample.types import TOOLS, Message

TASK = {"role": "user", "content": "Mend the fence."}
ACTS = {"role": "assistant", "content": "I look.\n```bash\nls\n```"}
SAYS = {"role": "assistant", "content": "Well."}
NOTE = {"role": "user", "content": "[note] Go on."}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


@pytest.mark.parametrize(
    ("content", "opens"),
    [
        ("[note] Go on.", True),
        ("\n  [note]", True),
        ("Is [note] a word?", False),
        ([text("[note] a"), text("[more] b")], True),
        ([text("[note] a"), text("And please: hurry.")], False),
        ([text("[note] a"), {"type": "image_url"}], False),
        ("", False),
        ([], False),
        (None, False),
        ([3], False),
    ],
)
def test_the_first_words(content: Any, opens: bool) -> None:
    assert opens_with(content, ("[note]", "[more]")) is opens


def test_only_what_stands_in_the_users_role_is_marked() -> None:
    messages: list[Message] = [dict(NOTE), {**NOTE, "role": "assistant"}, {**NOTE, "role": "system"}, dict(TASK)]
    mark_own_words(messages, ("[note]",))
    assert [HARNESS in message for message in messages] == [True, False, False, False]


def marked(actions: str, *messages: Message, **how: Any) -> list[int]:
    draft = Draft("d", "f", messages=[dict(message) for message in messages], actions=actions)
    mark_unasked(draft, **how)
    return [index for index, message in enumerate(draft.messages) if message.get(HARNESS)]


@pytest.mark.parametrize(
    ("actions", "messages", "places"),
    [
        (TOOLS, [TASK, TASK, SAYS, NOTE, SAYS, NOTE], [3, 5]),
        ("text:mini_swe_agent", [TASK, ACTS, NOTE, SAYS, NOTE, SAYS], [4]),
        ("text:mini_swe_agent", [TASK, ACTS, NOTE, NOTE, SAYS], [3]),
        ("text:a_parser_nobody_knows", [TASK, ACTS, NOTE], [2]),
        (TOOLS, [TASK, NOTE], []),
    ],
)
def test_where_nobody_is_asked(actions: str, messages: list[Message], places: list[int]) -> None:
    """The output of an action in a text is none of the harness's words."""
    assert marked(actions, *messages) == places


def test_what_a_person_said_is_not_marked() -> None:
    assert marked(TOOLS, TASK, SAYS, NOTE, TASK, is_said=lambda message: message == TASK) == [2]
    assert marked(TOOLS, SAYS, TASK, SAYS, NOTE, since=2) == [3]
