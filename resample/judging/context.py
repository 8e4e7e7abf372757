"""What every request about a prefix begins with: the instructions, and the conversation before the turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from resample.judging.render import Block, View, fence, prefix_blocks, schema_block
from resample.judging.shorten import Count, fenced_size, shorten, shorten_block
from resample.prepare.tokens import PER_MESSAGE, rough_count
from resample.prompts import read_prompt
from resample.types import Message, Prefix, Reply, Shared

PROMPTS = Path(__file__).parent / "prompts"
_CONVERSATION = PROMPTS / "conversation.txt"
_LEFT_OUT = PROMPTS / "left_out.txt"


class Context:
    """The same messages for all rollouts of a prefix, so that a provider's prompt cache works.

    `room` is what they may take of the model's window, in tokens by `count`; None is no limit. A longer conversation is
    shortened in its middle.
    """

    def __init__(
        self, instructions: str, view: View, seed: int, room: int | None = None, count: Count = rough_count
    ) -> None:
        self.shortened: set[str] = set()
        """The prefixes, by their ids, whose conversation did not fit."""
        self._instructions: Message = {"role": "system", "content": instructions}
        self._view = view
        self._seed = seed
        self._room = room
        self._count = count

    def of(self, prefix: Prefix) -> Shared:
        """The messages for a prefix, made once."""
        return prefix.derive(self, lambda: self._made(prefix))

    def _made(self, prefix: Prefix) -> Shared:
        tools, conversation = schema_block(prefix.tools.items), prefix_blocks(prefix, self._view)
        blocks = [tools, *conversation] if self._room is None else self._fitted(tools, conversation, self._room)
        content = read_prompt(_CONVERSATION).substitute(conversation=fence(self._seed, blocks))
        if blocks != [tools, *conversation]:
            self.shortened.add(prefix.id)
            content += "\n" + read_prompt(_LEFT_OUT).substitute()
        return Shared((self._instructions, {"role": "user", "content": content}))

    def _fitted(self, tools: Block, conversation: Sequence[Block], room: int) -> list[Block]:
        """The blocks in what the prompts leave of the room; the schemas may take half of it."""
        prompts = (self._instructions["content"], *(read_prompt(path).template for path in (_CONVERSATION, _LEFT_OUT)))
        room -= sum(map(self._count, prompts)) + 2 * PER_MESSAGE
        tools = shorten_block(tools, room // 2, self._count)
        return [tools, *shorten(conversation, room - fenced_size([tools], self._count), self._count).blocks]


def refusal_of(reply: Reply) -> str:
    """Why the model, or its provider, did not answer; an empty text where it did."""
    if reply.message.get("refusal"):
        return str(reply.message["refusal"])
    return "stopped by the provider's content filter" if reply.finish_reason == "content_filter" else ""
