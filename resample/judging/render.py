"""A conversation as text for a judge or a simulator, fenced so that nothing inside can close the fence.

Every line that gives structure carries a marker derived from the run's seed and from the fenced text itself. A text
cannot contain its own marker, the same text gets the same marker (so that the provider's prompt cache works and a run
stays reproducible), and text that imitates a fence is recognisably not one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import orjson

from resample.actions import style
from resample.types import TOOLS, Message, Prefix, Rollout, ToolSchema


class View(StrEnum):
    """What a judge may see of an agent's messages."""

    ACTIONS = "actions"
    """Text, tool calls and outputs, without reasoning."""
    REASONING = "reasoning"
    """Reasoning alone."""
    FULL = "full"
    """Both."""


class Block(NamedTuple):
    """A labelled stretch of a conversation, such as one tool call."""

    label: str
    text: str


def fence(seed: int, blocks: Sequence[Block]) -> str:
    """The blocks as text, each under a header line `[<marker> <label>]`, closed by `[<marker> end]`."""
    marker = _marker(seed, blocks)
    lines = [f"[{marker} {block.label}]\n{block.text}" for block in blocks]
    return "\n".join([*lines, f"[{marker} end]"])


def _marker(seed: int, blocks: Sequence[Block]) -> str:
    body = "\n".join(f"{block.label}\n{block.text}" for block in blocks)
    for salt in range(1_000_000):
        digest = hashlib.sha256(f"{seed}\0{salt}\0".encode() + body.encode("utf-8", "surrogatepass"))
        marker = "#" + digest.hexdigest()[:12]
        if marker not in body:
            return marker
    raise AssertionError("no free marker")  # would need a text that holds a million hashes of itself


def unfence(text: str) -> list[Block]:
    """The blocks of the last fence in `text`: what a reader who goes by the marker sees."""
    lines = text.split("\n")
    ends = [i for i, line in enumerate(lines) if line.startswith("[#") and line.endswith(" end]")]
    if not ends:
        return []
    head = lines[ends[-1]].removesuffix("end]")
    blocks: list[Block] = []
    for line in lines[: ends[-1]]:
        if line.startswith(head):
            blocks.append(Block(line.removeprefix(head).removesuffix("]"), ""))
        elif blocks:
            blocks[-1] = Block(blocks[-1].label, f"{blocks[-1].text}{line}\n")
    return [Block(block.label, block.text.removesuffix("\n")) for block in blocks]


def prefix_blocks(prefix: Prefix, view: View) -> list[Block]:
    """The conversation before the cut, one or more blocks per message, numbered from 0.

    What only carries outputs, or was written by the harness, is not called the user's, whatever its role.
    """
    agent = style(prefix.actions)
    messages = prefix.messages.items
    blocks: list[Block] = []
    for index, message in enumerate(messages):
        role = "tool" if agent.is_output(messages, index) else message["role"]
        if role == "assistant":
            blocks += agent_blocks(f"message {index} agent", message, view)
        elif role != "tool" or view is not View.REASONING:
            who = "harness" if index in prefix.harness else role
            blocks.append(Block(f"message {index} {who}", text_of(message)))
    return blocks


def rollout_blocks(rollout: Rollout, view: View) -> list[Block]:
    """The turn to be judged, step by step, numbered from 1."""
    blocks: list[Block] = []
    for number, step in enumerate(rollout.steps, start=1):
        blocks += agent_blocks(f"step {number}", step.message, view)
        if view is not View.REASONING:
            blocks += [Block(f"step {number} {_WORDS.get(m['role'], m['role'])}", text_of(m)) for m in step.outputs]
    return blocks


_WORDS = {"tool": "output", "function": "output", "user": "output"}
"""Within a turn nobody else speaks: what is carried in the user's role there are outputs."""


def agent_blocks(label: str, message: Message, view: View) -> list[Block]:
    """What the agent wrote in a message: its reasoning, its text and its calls, each under the label and its kind."""
    blocks: list[Block] = []
    if view is not View.ACTIONS and (reasoning := reasoning_of(message)):
        blocks.append(Block(f"{label} reasoning", reasoning))
    if view is View.REASONING:
        return blocks
    if text := text_of(message):
        blocks.append(Block(f"{label} text", text))
    blocks += [Block(f"{label} call", call) for call in call_texts(message)]
    return blocks or [Block(f"{label} text", "(empty)")]


def text_of(message: Message) -> str:
    """The visible text of a message; parts that are not text are named, not shown."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts: list[str] = []
    for part in content or ():
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, dict):
            text = part.get("text") or part.get("refusal")
            parts.append(text if isinstance(text, str) else f"({part.get('type', 'part')} not shown)")
    if not parts and isinstance(message.get("refusal"), str):
        return str(message["refusal"])
    return "\n".join(parts)


def reasoning_of(message: Message) -> str:
    """The visible reasoning of a message, or an empty text."""
    for key in ("reasoning_content", "reasoning"):
        if isinstance(message.get(key), str):
            return str(message[key])
    return ""


def call_texts(message: Message) -> list[str]:
    """Each call of a message: name and verbatim arguments."""
    return [f"{call.name} {call.arguments}" for call in style(TOOLS).calls(message)]


def schema_block(tools: Iterable[ToolSchema]) -> Block:
    """The tools an agent has, one schema a line."""
    return Block("tools", "\n".join(orjson.dumps(schema).decode() for schema in tools) or "(none known)")
