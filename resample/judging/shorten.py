"""A conversation that does not fit, shortened in its middle for a simulator or a judge; never for a candidate.

Whole messages are left out, and a block in their place says how many. The opening (the first message, which holds the
system prompt, and the first of the user's) and the latest messages stay, each with its number. A message that is too
long by itself loses the middle of its text, and its label says so: what stands in a fence can be imitated, a label
cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from resample.judging.render import Block
from resample.prepare.tokens import byte_length, rough_count

Count = Callable[[str], int]
"""Counts the tokens of a text: at most one a byte."""

LEAST_ROOM = 1024
"""Tokens. Less is taken as so much: an opening, an end and what stands between them need it."""
SHORTENED = "(shortened)"
"""Ends the label of a block whose text lost its middle."""

_MARKER = 16
"""Tokens of a fence's marker and its brackets, at most: its bytes."""
_LEAST_PART = 128
"""Tokens of a block whose text is all but gone, or that stands for what was left out."""
_SHARE = 4
"""A message may always take one part in so many of the room: three of them stay whatever their length."""


class Shortened(NamedTuple):
    """What is left of a conversation."""

    blocks: list[Block]
    missing: int
    """How many messages are left out, or shown in part."""


def shorten(blocks: Sequence[Block], room: int | None, count: Count = rough_count) -> Shortened:
    """The blocks, so that fenced they are at most `room` tokens; as they are where they fit, or without a limit.

    Each label begins with a word and a number, as `message 3 user`: the blocks of one number are one message.
    """
    if room is None or _fit(blocks, room - _MARKER, count):
        return Shortened(list(blocks), 0)
    room = max(room, LEAST_ROOM)
    messages = [list(parts) for _, parts in groupby(blocks, key=_number)]
    kept = _kept(messages, room - 2 * _LEAST_PART - _MARKER, count)
    result: list[Block] = []
    for left_out, run in groupby(range(len(messages)), key=lambda index: index not in kept):
        indices = list(run)
        if left_out:
            result.append(_gap(messages[indices[0]][0], messages[indices[-1]][0], len(indices)))
        else:
            result += [block for index in indices for block in kept[index]]
    whole = sum(kept.get(index) == message for index, message in enumerate(messages))
    return Shortened(result, len(messages) - whole)


def shorten_block(block: Block, room: int, count: Count = rough_count) -> Block:
    """A block without the middle of its text, and labelled so, where it is more than `room` tokens."""
    if _fit([block], room, count):
        return block
    label = f"{block.label} {SHORTENED}"
    return Block(label, shorten_text(block.text, room - _size([Block(label, "")], count), count))


def shorten_text(text: str, room: int, count: Count = rough_count) -> str:
    """A text without its middle, where it is more than `room` tokens; a note stands there."""
    short, kept = text, len(text)
    while kept and (size := count(short)) > room:
        kept = max(0, kept * room // size)
        tail = text[len(text) - kept // 2 :]
        short = f"{text[: kept - kept // 2]}\n({len(text) - kept} characters left out here: they did not fit)\n{tail}"
    return short


def fenced_size(blocks: Iterable[Block], count: Count = rough_count) -> int:
    """Tokens of the blocks in a fence, at most."""
    return _size(blocks, count) + _MARKER


def _size(blocks: Iterable[Block], count: Count) -> int:
    """Tokens of the blocks without the fence's end."""
    return sum(count(f"{block.label}\n{block.text}\n") + _MARKER for block in blocks)


def _fit(blocks: Sequence[Block], room: int, count: Count) -> bool:
    """Counted only where the bytes leave it open."""
    return _size(blocks, byte_length) <= room or _size(blocks, count) <= room


def _number(block: Block) -> str:
    return block.label.split()[1]


def _kept(messages: Sequence[list[Block]], room: int, count: Count) -> dict[int, list[Block]]:
    """The messages that stay, by their index: the opening, and as many of the latest as there is room for."""
    # Where a few long ones are to blame, all can stay.
    share = max(room // _SHARE, _even(room, [_size(message, count) for message in messages]))
    opening = sorted({0, next((i for i, message in enumerate(messages) if message[0].label.endswith(" user")), 0)})
    latest = [index for index in reversed(range(len(messages))) if index not in opening]
    kept: dict[int, list[Block]] = {}
    for index in [*opening, *latest]:
        message = _shorten_message(messages[index], share, count)
        room -= _size(message, count)
        if room < 0:
            break
        kept[index] = message
    return kept


def _shorten_message(parts: list[Block], share: int, count: Count) -> list[Block]:
    """A message of at most `share` tokens: its longest parts lose their middle, and beyond a number they are gone."""
    if _fit(parts, share, count):
        return parts
    most = share // _LEAST_PART
    if len(parts) > most:
        gone = len(parts) - most + 1
        label = " ".join([*parts[0].label.split()[:2], SHORTENED])
        note = Block(label, f"({gone} parts left out here: they did not fit)")
        parts = [*parts[: most - 1], note]
    longest = _even(share, [_size([part], count) for part in parts])
    return [shorten_block(part, longest, count) for part in parts]


def _even(room: int, sizes: Sequence[int]) -> int:
    """The size that the longest may have, so that all fit."""
    for index, size in enumerate(sorted(sizes)):
        even = room // (len(sizes) - index)
        if size > even:
            return even
        room -= size
    return max(sizes)


def _gap(first: Block, last: Block, count: int) -> Block:
    """Stands for the messages from the one to the other."""
    noun = first.label.split()[0]
    if count == 1:
        return Block(f"{noun} {_number(first)}", f"(1 {noun} left out here: it did not fit)")
    label = f"{noun}s {_number(first)} to {_number(last)}"
    return Block(label, f"({count} {noun}s left out here: they did not fit)")
