"""Claude Code's records as a tree, and the branches of it that a model's context was.

Each record names the one before it (`parentUuid`). What was taken back, and what was tried again, stays in the file as
branches that nothing follows. Lists of records go in, lists of records come out; each quirk is a function of its own.
All of them take time in proportion to what they are given, whatever it is: chains may be broken, or closed to a ring.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple

from resample.formats.assemble import listed, text_or

Record = dict[str, Any]
Home = tuple[str, ...]
MALFORMED = "malformed"
"""The kind of a record of a message that has none."""
NONE = -1
"""No record: the place of a parent that is not there."""


class Mark(Enum):
    """Where a conversation may be parted."""

    BOUNDARY = "boundary"
    """A compaction stands here."""
    SUMMARY = "summary"
    """The summary that a compaction left."""
    CLEAR = "clear"
    """The command `/clear`."""


@dataclass(slots=True)
class Node:
    """A record of the tree."""

    record: Record
    kind: str
    """`user` or `assistant` if it has a message; else its type."""
    line: int | None
    uuid: str
    parent: str
    """Empty where it has none."""
    side: bool
    """Of a sub-agent's conversation."""
    home: Home
    """A record without a parent goes on with the last one of the same home: the same agent in the same session."""
    speaks: bool
    """Has it a message?"""
    reply: tuple[str, str] | None = None
    """What the records of one reply have in common; None where nothing says so."""
    mark: Mark | None = None

    @property
    def synthetic(self) -> bool:
        """Claude Code writes errors, and that there was nothing to answer, in the model's name: it said none of it."""
        if self.kind != "assistant":
            return False
        return self.record["message"].get("model") == "<synthetic>" or self.record.get("isApiErrorMessage") is True

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """The blocks of its message, if it has any."""
        return listed(self.record["message"].get("content")) if self.speaks else []


class Branch(NamedTuple):
    """The records of one conversation, in order."""

    nodes: list[Node]
    dropped: Counter[str]
    lost_start: bool
    """It goes on with a record that is not in the file."""


def node_of(record: Record, kind: str, line: int | None) -> Node:
    """A record, with what the tree needs to know of it."""
    get = record.get
    message = get("message")
    speaks = kind == "assistant" or kind == "user"
    if speaks and not isinstance(message, dict):
        kind, speaks = MALFORMED, False
    agent = text_or(get("parent_tool_use_id")) if "parent_tool_use_id" in record else ""
    side = get("isSidechain") is True or bool(agent)
    session = text_or(get("sessionId")) or text_or(get("session_id"))
    home = (session, "side", text_or(get("agentId")) or agent) if side else (session,)
    node = Node(record, kind, line, text_or(get("uuid")), text_or(get("parentUuid")), side, home, speaks)
    if speaks:
        _add_message(node, message or {})
    elif kind == "system":
        node.parent = node.parent or logical_parent(record)
        node.mark = _mark_of_note(record)
    return node


def _add_message(node: Node, message: dict[str, Any]) -> None:
    if node.kind == "user":
        node.mark = _mark_of(node.record, message.get("content"))
    elif id := text_or(message.get("id")):
        node.reply = (id, text_or(node.record.get("requestId")))


def logical_parent(record: Record) -> str:
    """A compaction begins a new chain; what it summarises is named by `logicalParentUuid`."""
    return text_or(record.get("logicalParentUuid"))


_CLEAR = ("<command-name>/clear</command-name>", "<command-name>clear</command-name>")


def _mark_of(record: Record, content: Any) -> Mark | None:
    if record.get("isCompactSummary") is True:
        return Mark.SUMMARY
    if isinstance(content, str):
        return Mark.CLEAR if _names_clear(content) else None
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict) and "text" in block and _names_clear(block["text"]):
            return Mark.CLEAR
    return None


def _mark_of_note(record: Record) -> Mark | None:
    subtype = record.get("subtype")
    if subtype == "local_command" and _names_clear(record.get("content")):
        return Mark.CLEAR
    return Mark.BOUNDARY if subtype == "compact_boundary" else None


def _names_clear(text: Any) -> bool:
    """The markup makes up the whole text: who only quotes it has not cleared anything."""
    return isinstance(text, str) and text[:40].lstrip().startswith("<command-") and any(map(text.__contains__, _CLEAR))


def branches(nodes: Sequence[Node]) -> Iterator[Branch]:
    """The conversations among the records: of each tree the branch that was written to last. Sub-agents' come last."""
    if is_one_chain(nodes):
        if any(node.speaks for node in nodes):
            yield Branch(list(nodes), Counter(), bool(nodes[0].parent) and not nodes[0].side)
        return
    parents = parents_of(nodes)
    lost = {i for i, node in enumerate(nodes) if parents[i] == NONE and node.parent and not node.side}
    keep_preserved(nodes, parents)
    roots = roots_of(parents)
    spoken: dict[int, list[int]] = {}
    for index, node in enumerate(nodes):
        if node.speaks:
            spoken.setdefault(roots[index], []).append(index)
    for root in sorted(spoken, key=lambda index: (nodes[index].side, index)):
        yield _branch(nodes, parents, spoken[root], root in lost)


def _branch(nodes: Sequence[Node], parents: list[int], spoken: list[int], lost_start: bool) -> Branch:
    chain = chain_to(spoken[-1], parents)
    dropped: Counter[str] = Counter()
    on_chain = set(chain)
    off_chain = [nodes[index] for index in spoken if index not in on_chain]
    kept = [nodes[index] for index in chain]
    if off_chain:
        kept, count = with_parallel(kept, off_chain)
        if count < len(off_chain):
            dropped["dead branch"] = len(off_chain) - count
    return Branch(kept, dropped, lost_start)


def is_one_chain(nodes: Sequence[Node]) -> bool:
    """Does each record name the one before it? Sessions without parallel calls and compactions mostly are so."""
    before = nodes[0].uuid if nodes else ""
    for node in nodes[1:]:
        if node.parent != before or not before or node.side is not nodes[0].side or node.mark is Mark.BOUNDARY:
            return False
        before = node.uuid
    return True


# -- links -------------------------------------------------------------------------------------------------------------


def parents_of(nodes: Sequence[Node]) -> list[int]:
    """The place of each record's parent.

    Records that name none, as in logs that were put together by hand, follow one another as they stand in the file;
    so does a record whose parent was lost. Where records are linked, one of the user's without a parent begins a new
    conversation. A sub-agent's conversation begins apart from the record that called it.
    """
    place: dict[str, int] = {}
    for index, node in enumerate(nodes):
        if node.uuid and (node.uuid not in place or (node.speaks and not nodes[place[node.uuid]].speaks)):
            place[node.uuid] = index  # a malformed record may have taken a good one's name
    parents: list[int] = []
    linked: set[Home] = set()
    for index, node in enumerate(nodes):
        at = place.get(node.parent, NONE) if node.parent else NONE
        if at == index or (at != NONE and nodes[at].side != node.side):
            at = NONE
        elif at != NONE and node.kind == "assistant":
            linked.add(node.home)
        parents.append(at)
    last: dict[Home, int] = {}
    for index, node in enumerate(nodes):
        if parents[index] == NONE and not _begins(node, node.home in linked, node.parent in place):
            parents[index] = last.get(node.home, NONE)
        last[node.home] = index
    return parents


def _begins(node: Node, linked: bool, parent_is_there: bool) -> bool:
    if node.parent:
        return node.side and parent_is_there
    return linked and node.kind != "assistant" and not has_result(node)


def has_result(node: Node) -> bool:
    """Is it a user record that carries the outputs of tools?"""
    return node.kind == "user" and any(block.get("type") == "tool_result" for block in node.blocks)


def keep_preserved(nodes: Sequence[Node], parents: list[int]) -> None:
    """A compaction may keep the last records as they were: its boundary names the first and the last of them.

    They then follow the summary (its `anchorUuid`), and what followed that follows them. As when a session is loaded,
    this is done for the last boundary only.
    """
    boundary = next((i for i in reversed(range(len(nodes))) if nodes[i].mark is Mark.BOUNDARY), None)
    if boundary is None:
        return
    place = {node.uuid: index for index, node in enumerate(nodes) if node.uuid}
    metadata = nodes[boundary].record.get("compactMetadata")
    segment = metadata.get("preservedSegment") if isinstance(metadata, dict) else None
    if not isinstance(segment, dict):
        return
    head, tail, anchor = (place.get(text_or(segment.get(f"{key}Uuid")), NONE) for key in ("head", "tail", "anchor"))
    if NONE in (head, tail, anchor) or head not in chain_to(tail, parents):
        return
    parents[boundary] = parents[head]
    parents[:] = [tail if parent == anchor else parent for parent in parents]
    parents[head] = anchor


def chain_to(index: int, parents: Sequence[int]) -> list[int]:
    """The places from the root to a record; a ring is walked once."""
    chain: list[int] = []
    seen: set[int] = set()
    while index != NONE and index not in seen:
        seen.add(index)
        chain.append(index)
        index = parents[index]
    chain.reverse()
    return chain


def roots_of(parents: list[int]) -> list[int]:
    """The root of each record's tree. A ring of parents is opened, at the record where it was noticed."""
    unseen, under_way = -2, -3
    roots = [unseen] * len(parents)
    for index in range(len(parents)):
        path: list[int] = []
        at = index
        while roots[at] == unseen:
            roots[at] = under_way
            path.append(at)
            if parents[at] == NONE:
                break
            at = parents[at]
        if roots[at] == under_way:
            parents[at] = NONE
            root = at
        else:
            root = roots[at]
        for place in path:
            roots[place] = root
    return roots


# -- branches ----------------------------------------------------------------------------------------------------------


def with_parallel(chain: list[Node], off_chain: list[Node]) -> tuple[list[Node], int]:
    """Parallel calls are records of one reply, each followed by its own output: the chain passes through one of them.

    The others are no dead branches. Records of a reply on the chain, and outputs of its calls that are not answered
    there, are put in. Returns the records, and how many were put in.
    """
    replies = {reply: index for index, node in enumerate(chain) if (reply := node.reply)}
    added: dict[int, list[Node]] = {}
    count = 0
    for node in off_chain:
        if (reply := node.reply) and reply in replies:
            added.setdefault(replies[reply], []).append(node)
            count += 1
    calls: dict[str, int] = {}
    for index, node in enumerate(chain):
        for each in (node, *added.get(index, ())):
            calls.update((text_or(b.get("id")), index) for b in each.blocks if b.get("type") == "tool_use")
    for node in chain:
        for block in node.blocks:
            calls.pop(text_or(block.get("tool_use_id")), None)
    for node in off_chain:
        if node.kind == "user" and (found := _outputs_of(node, calls)):
            place, output = found
            added.setdefault(place, []).append(output)
            count += 1
    return [each for index, node in enumerate(chain) for each in (node, *added.get(index, ()))], count


def _outputs_of(node: Node, calls: dict[str, int]) -> tuple[int, Node] | None:
    """A record with only those outputs that are still waited for."""
    ids = [text_or(block.get("tool_use_id")) for block in node.blocks]
    waited = {id for id in ids if id in calls}
    if not waited:
        return None
    place = max(calls.pop(id) for id in waited)
    blocks = [block for block, id in zip(node.blocks, ids, strict=True) if id in waited]
    return place, replace(node, record={**node.record, "message": {**node.record["message"], "content": blocks}})


def split_at_clear(nodes: list[Node]) -> Iterator[list[Node]]:
    """`/clear` begins a new conversation in the same file: with the command itself, and the caveat before it."""
    start = 0
    for index, node in enumerate(nodes):
        if node.mark is not Mark.CLEAR:
            continue
        begin = index
        while begin > start and nodes[begin - 1].record.get("isMeta") is True and nodes[begin - 1].mark is None:
            begin -= 1
        if begin > start:
            yield nodes[start:begin]
            start = begin
    yield nodes[start:]


class Remaining(NamedTuple):
    """What a compaction left."""

    nodes: list[Node]
    compacted: bool
    """Does it begin with the summary?"""
    replaced: int
    """Records with a message that it replaced."""
    summary_lost: bool
    unused: int
    """Records with a message after a compaction that no reply came after."""


def since_compaction(nodes: list[Node]) -> Remaining:
    """After a compaction the model saw its summary, not what was before.

    A boundary stands before the summary; older logs, and exports, have the summary only. If the model said nothing
    more, the compaction does not count: the conversation is the one before it.
    """
    marks = [index for index, node in enumerate(nodes) if node.mark in (Mark.BOUNDARY, Mark.SUMMARY)]
    if not marks:
        return Remaining(nodes, False, 0, False, 0)
    replies = (i for i in reversed(range(len(nodes))) if nodes[i].kind == "assistant" and not nodes[i].synthetic)
    last_reply = next(replies, NONE)
    later = [mark for mark in marks if mark > last_reply]
    marks = marks[: len(marks) - len(later)]
    end = later[0] if later and last_reply != NONE else len(nodes)
    unused = sum(node.speaks for node in nodes[end:])
    if not marks:
        return Remaining(nodes[:end], False, 0, False, unused)
    start = marks[-1]
    summary_lost = nodes[start].mark is Mark.BOUNDARY
    if not summary_lost and len(marks) > 1 and nodes[marks[-2]].mark is Mark.BOUNDARY:
        start = marks[-2]
    replaced = sum(node.speaks for node in nodes[:start])
    return Remaining(nodes[start:end], True, replaced, summary_lost, unused)
