"""A reply in the making: texts, reasoning and calls, also calls that the provider ran and answered within it."""

from __future__ import annotations

from typing import Any

from resample.formats.assemble import content_of
from resample.types import Message


class Reply:
    """What a model wrote in one go, as the messages it comes to.

    A call that was answered within the reply is a call and an output of their own; what the model wrote after it
    stands in a message after them.
    """

    def __init__(self) -> None:
        self.parts: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.reasoning: list[str] = []
        self._before: list[Message] = []

    def answered(self, outputs: list[Message]) -> None:
        """The calls so far were answered by `outputs`; the reply goes on."""
        self._before += [self._message(), *outputs]
        self.parts, self.calls, self.reasoning = [], [], []

    def messages(self) -> list[Message]:
        """All of it. A reply that is empty is one, too."""
        if self._before and not (self.parts or self.calls or self.reasoning):
            return self._before
        return [*self._before, self._message()]

    def _message(self) -> Message:
        content = content_of([part for part in self.parts if part.get("text") != ""])
        return {
            "role": "assistant",
            "content": None if self.calls and not content else content,
            "tool_calls": self.calls,
            "reasoning_content": "\n\n".join(filter(None, self.reasoning)) or None,
        }
