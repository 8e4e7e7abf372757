"""What a Codex session's model has before it, as items come in, are compacted, and are rolled back."""

from __future__ import annotations

from typing import Any, NamedTuple

from resample.formats.assemble import listed
from resample.formats.response_items import Item


class Placed(NamedTuple):
    """An item and the line where it stands."""

    item: Item
    line: int | None


class History:
    """The items that the model's context holds. Every way to change it costs no more than what it takes in or out."""

    def __init__(self) -> None:
        self.items: list[Placed] = []
        self._turns: list[int] = []
        """Where turns begin."""
        self._settled = 0
        """So many of the first items have gone through a compaction without replacement."""

    def add(self, item: Item, line: int | None) -> None:
        if begins_turn(item):
            self._turns.append(len(self.items))
        self.items.append(Placed(item, line))

    def roll_back(self, turns: Any) -> int:
        """Going back in a session takes the last turns out of the history; their lines stay in the file.

        What stands before the first turn stays. Returns how many items were taken out.
        """
        if not isinstance(turns, int) or turns <= 0 or not self._turns:
            return 0
        return self._cut(self._turns[-min(turns, len(self._turns))])

    def replace(self, items: list[Item], line: int | None) -> int:
        """A compaction carries the history that replaces all before it. Returns how many items that were."""
        count = self._cut(0)
        for item in items:
            self.add(item, line)
        return count

    def summarise(self, summary: str, line: int | None) -> int:
        """A compaction of before the end of 2025 carries a summary only.

        Known of the history that replaced the old one: it had what was said to the model, as far as that was not too
        long, and the summary. Returns how many items were taken out.
        """
        kept = [placed for placed in self.items[self._settled :] if placed.item.get("role") in _SAID_TO_THE_MODEL]
        count = self._cut(self._settled) - len(kept)
        for placed in kept:
            self.add(*placed)
        if summary:
            self.add({"type": "message", "role": "user", "content": summary}, line)
        self._settled = len(self.items)
        return count

    def _cut(self, length: int) -> int:
        count = len(self.items) - length
        del self.items[length:]
        while self._turns and self._turns[-1] >= length:
            self._turns.pop()
        self._settled = min(self._settled, length)
        return count


_SAID_TO_THE_MODEL = ("user", "developer", "system")


def replacement_of(payload: dict[str, Any]) -> list[Item] | None:
    """A compaction may carry the history that replaces all before it; its items may be wrapped, with notes on them."""
    history = payload.get("replacement_history")
    if not isinstance(history, list):
        return None
    return [item["item"] if isinstance(item.get("item"), dict) else item for item in listed(history)]


def begins_turn(item: Item) -> bool:
    """A message of the user, as opposed to context that the client puts into user messages.

    That is text in a tag of its own, or the AGENTS.md files.
    """
    if item.get("role") != "user":
        return False
    content = item.get("content")
    texts = [content] if isinstance(content, str) else [part.get("text") for part in listed(content)]
    return not any(isinstance(text, str) and _is_injected(text.strip()) for text in texts)


def _is_injected(text: str) -> bool:
    if text.startswith("# AGENTS.md instructions"):
        return True
    tag, closed, _ = text[1:80].partition(">")
    return bool(closed) and text.startswith("<") and text.endswith(f"</{tag}>")
