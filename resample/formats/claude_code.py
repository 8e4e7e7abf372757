"""Claude Code sessions: JSONL files, and exports from the web, which are one object with `loglines`.

A record holds one block of a reply, a user's message, the output of a tool, or notes of the harness. The records are a
tree, of which the branch that was written to last is the conversation (`resample.formats.claude_code_tree`). A file may
hold several: after `/clear`, and those of sub-agents, which newer versions keep in files of their own. What the harness
showed the model beside its own replies is kept as the model saw it (`resample.formats.claude_code_shown`). After a
compaction, the conversation begins with its summary.

What the print mode writes with `--output-format stream-json` is read, too.

Only newer versions log the system prompt and the tools. Sessions that share a `slug` go on with one another, and share
a cluster; so do a session and its sub-agents.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from resample.formats.anthropic_blocks import Block, Said, blocks_of, said_by_assistant, system_text
from resample.formats.assemble import AT, listed, located, text_or
from resample.formats.base import Draft, Located, Look
from resample.formats.claude_code_shown import (
    folded,
    messages_shown,
    nobody_speaks,
    replacements_in,
    snapshot_of,
    snapshot_tools,
    with_replacements,
)
from resample.formats.claude_code_tree import (
    MALFORMED,
    Node,
    Record,
    branches,
    has_result,
    node_of,
    since_compaction,
    split_at_clear,
)
from resample.formats.dates import dated
from resample.formats.decode import decode
from resample.formats.documents import entries
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.formats.records import in_lines, records
from resample.types import Message, Missing

name = "claude_code"
suffixes = (".jsonl", ".json")

_LINES = "loglines"


# -- telling the format ------------------------------------------------------------------------------------------------


def sniff(look: Look) -> bool:
    """Records with Claude Code's envelope, or an export of them."""
    return any(_is_record(value) or _is_export(value) for value in look.values)


def _is_export(value: Any) -> bool:
    return isinstance(value, dict) and any(_has_message(line) for line in listed(value.get(_LINES)))


def _has_message(record: Record) -> bool:
    message = record.get("message")
    if record.get("type") not in ("user", "assistant") or not isinstance(message, dict):
        return False
    return message.get("role") in ("user", "assistant") and "content" in message


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict):
        return False
    if "sessionId" in record or "session_id" in record:
        # Other agents' logs have types of the same names, and messages of their own kind.
        return _has_message(record) or ("message" not in record and _is_note(record))
    return ("parentUuid" in record and _has_message(record)) or _names_a_record(record)


_NOTES = {"attachment": "attachment", "queue-operation": "operation", "progress": "data", "system": "subtype"}


def _is_note(record: Record) -> bool:
    kind = record.get("type")
    return isinstance(kind, str) and kind in _NOTES and _NOTES[kind] in record


def _names_a_record(record: Record) -> bool:
    kind = record.get("type")
    return (kind == "summary" and "leafUuid" in record) or (kind == "file-history-snapshot" and "messageId" in record)


# -- reading -----------------------------------------------------------------------------------------------------------


def read(source: Input) -> Iterator[Located | Excluded]:
    """The conversations of a file."""
    if in_lines(source.name):
        yield from _read_lines(source)
        return
    log: _Log | None = None
    for entry in entries(source, _LINES):
        if isinstance(entry, Excluded):
            yield entry
            continue
        inside = bool(entry.pointer)
        if log is None or (inside and log.line != entry.line):
            if log is not None:
                yield from log.conversations()
            log = _Log(source, entry.line)
        log.take(entry.value, None if inside else entry.line)
    if log is not None:
        yield from log.conversations()


def _read_lines(source: Input) -> Iterator[Located | Excluded]:
    log = _Log(source, 1)
    for record in records(source):
        if isinstance(record, Excluded):
            yield record
            continue
        value = decode(record.data)
        if isinstance(value, Problem):
            values, problem = fused(record.data, value)
            for each in values:
                log.take(each, record.line)
            if problem is not None:
                yield Excluded.at(source.shown, record.line, problem)
        elif isinstance(value, dict) and isinstance(value.get(_LINES), list):
            export = _Log(source, record.line)
            for each in value[_LINES]:
                export.take(each, None)
            yield from export.conversations()
        else:
            log.take(value, record.line)
    if log.taken:
        yield from log.conversations()


def fused(data: bytes, problem: Problem) -> tuple[list[Any], Problem | None]:
    """Two processes that write to one file at a time may leave two objects on a line.

    Returns what can be read of them, and the problem if that is not all.
    """
    if problem.reason is not Reason.MALFORMED_JSON or b"}{" not in data:
        return [], problem
    text = data.decode()
    scanner = json.JSONDecoder()
    values: list[Any] = []
    at = 0
    while at < len(text):
        try:
            _, end = scanner.raw_decode(text, at)
        except (ValueError, RecursionError):
            return values, problem
        value = decode(text[at:end].encode())
        if isinstance(value, Problem):
            return values, value
        values.append(value)
        gap = _SPACE.match(text, end)
        at = gap.end() if gap else end
    return values, None


_SPACE = re.compile(r"\s*")
_SNAPSHOT_KEYS = ("systemPrompt", "tools")


def _is_usable(record: Record, kind: str) -> bool:
    """A malformed record must not keep out a good one of its name."""
    return kind not in ("user", "assistant") or isinstance(record.get("message"), dict)


class _Log:
    """The records of a file, or of one of several exports in it."""

    def __init__(self, source: Input, line: int) -> None:
        self.line = line
        self.taken = False
        """Has there been any record?"""
        self._source = source
        self._id = f"{source.name}:{line}" if line > 1 else source.name
        self._nodes: list[Node] = []
        self._uuids: set[str] = set()
        self._dropped: Counter[str] = Counter()
        self._slugs: dict[str, str] = {}
        self._retracted: set[str] = set()
        self._replacements: dict[str, str] = {}
        self._snapshots: list[tuple[int, dict[str, Any]]] = []
        self._rendered = False
        self._queued: deque[str] = deque()
        self._places: dict[int, int] = {}

    def take(self, record: Any, line: int | None) -> None:
        """One record, in the order of the file."""
        self.taken = True
        kind = record.get("type") if isinstance(record, dict) else None
        if not isinstance(kind, str):
            self._dropped["malformed record"] += 1
            return
        uuid = text_or(record.get("uuid"))
        if uuid and uuid in self._uuids:
            self._dropped["repeated record"] += 1
            return
        if _is_usable(record, kind):
            self._uuids.add(uuid)
        if kind not in ("user", "assistant"):
            self._note(record, kind)
            if not uuid and kind not in ("attachment", "system"):
                return
        node = node_of(record, kind, line)
        if "slug" in record and (slug := text_or(record["slug"])):
            self._slugs.setdefault(node.home[0], slug)
        if node.kind == "assistant":
            self._retracted.update(texts_in(record.get("supersedesUuids")))
        elif node.kind not in ("user", "attachment", "system"):
            node.record = {}  # its place in the tree is all that counts
            self._dropped["malformed record"] += node.kind == MALFORMED
        if "toolUseResult" in record:
            without_copies(record)
        self._nodes.append(node)

    def _note(self, record: Record, kind: str) -> None:
        """What records that are no messages say of others."""
        self._retracted.update(texts_in(record.get("retractedMessageUuids")))
        self._replacements |= replacements_in(record)
        if kind == "attachment":
            self._rendered = self._rendered or "rendered" in record
            if snapshot := snapshot_of(record):
                before = self._snapshots[-1][1] if self._snapshots else {}
                given = {key: value for key, value in snapshot.items() if key in _SNAPSHOT_KEYS and value}
                self._snapshots.append((len(self._nodes), before | given))
        elif kind == "queue-operation":
            self._queue(record)
        elif not (kind == "system" and record.get("subtype") == "local_command"):
            self._dropped["harness record"] += 1

    def _queue(self, record: Record) -> None:
        """What a user types while the agent works waits in a queue; `remove` gives it to the model in mid-turn.

        Where in the prompt it stood is not in the log, unless an attachment says so: it is counted by its own name.
        """
        self._dropped["harness record"] += 1
        if record.get("operation") == "enqueue":
            self._queued.append(text_or(record.get("content")))
        elif self._queued:
            text = self._queued.popleft()
            given = record.get("operation") == "remove" and text and not text.startswith("/")
            self._dropped["message typed while the agent worked"] += bool(given)

    def conversations(self) -> Iterator[Located | Excluded]:
        """What was said, one conversation after the other. What was left out of the file is noted with the first."""
        self._dropped["sidechain record"] = sum(node.speaks for node in self._nodes if node.side)
        count = 0
        left_out: Counter[str] = self._dropped
        for branch in branches(self._nodes):
            if branch.nodes[0].side and count == 0:
                del self._dropped["sidechain record"]  # a sub-agent's own file
            lost_start = branch.lost_start
            dropped = branch.dropped
            for nodes in split_at_clear(branch.nodes):
                if not any(node.speaks for node in nodes):
                    continue  # notes of the harness alone are no conversation
                count += 1
                draft = self._draft(nodes, count, lost_start)
                draft.dropped.update(dropped)
                line = next((node.line for node in nodes if node.line is not None), self.line)
                if nobody_speaks(draft.messages):
                    yield Excluded.at(self._source.shown, line, Problem(Reason.NO_DIALOGUE))
                else:
                    draft.dropped = +(draft.dropped + left_out)
                    left_out = Counter()
                    yield located(draft, self._source, line)
                lost_start, dropped = False, Counter()
        if count == 0:
            yield Excluded.at(self._source.shown, self.line, Problem(Reason.NO_DIALOGUE))

    def _draft(self, nodes: list[Node], count: int, lost_start: bool) -> Draft:
        said = Said()
        remaining = since_compaction(nodes)
        said.dropped["replaced by a compaction"] = remaining.replaced
        said.dropped["after a compaction without a reply"] = remaining.unused
        if remaining.summary_lost or (lost_start and not remaining.compacted):
            said.missing.add(Missing.COMPACTED_HISTORY)
        messages = self._messages(remaining.nodes, said)
        snapshot = self._snapshot(nodes)
        system = system_text(snapshot.get("systemPrompt"))
        if system:
            messages.insert(0, {"role": "system", "content": system})
        else:
            said.missing.add(Missing.SYSTEM_PROMPT)
        record = next((node.record for node in nodes if node.speaks), {})
        session = nodes[0].home[0]
        return Draft(
            id=self._id if count == 1 else f"{self._id}#{count}",
            source=name,
            always_has_tools=True,
            messages=messages,
            tools=snapshot_tools(snapshot, said),
            model=model_of(nodes),
            date=next((when for node in nodes if (when := dated(node.record.get("timestamp")))), None),
            cluster=f"{name}:{self._slugs.get(session) or session or self._id}",
            missing=said.missing,
            dropped=said.dropped,
            extra={key: record.get(key) for key in _EXTRAS},
        )

    def _messages(self, nodes: list[Node], said: Said) -> list[Message]:
        messages: list[Message] = []
        for each in replies_as_one(nodes, self._retracted, said):
            if isinstance(each, Node):
                told = messages_shown(each, self._source, said, self._rendered)
            else:
                told = said_by_assistant(each.blocks, said)
            if each.line is not None:
                for message in told:
                    message[AT] = each.line
            messages += told
        with_replacements(messages, self._replacements, said)
        return folded(messages)

    def _snapshot(self, nodes: list[Node]) -> dict[str, Any]:
        """The last snapshot before the end of a conversation, or the first one; tools may stand in an earlier one."""
        if not self._snapshots:
            return {}
        if not self._places:
            self._places = {id(node): place for place, node in enumerate(self._nodes)}
        end = max(self._places.get(id(node), 0) for node in nodes)
        return self._snapshots[max(bisect_right(self._snapshots, end, key=lambda each: each[0]) - 1, 0)][1]


class Reply(NamedTuple):
    """The blocks of one reply."""

    line: int | None
    blocks: list[Block]
    calls: set[str]
    """The ids of its calls, once a second record has come."""


_EXTRAS = ("sessionId", "agentId", "slug", "version", "cwd", "gitBranch", "entrypoint", "timestamp")


# -- passes ------------------------------------------------------------------------------------------------------------


def replies_as_one(nodes: list[Node], retracted: set[str], said: Said) -> list[Node | Reply]:
    """One reply is written as several records, which share its id: together they are one message, at the first's place.

    Outputs of its first calls may stand between them. Once the user speaks, the reply is over. What Claude Code wrote
    in the model's name, and replies that were taken back, are left out.
    """
    sequence: list[Node | Reply] = []
    under_way: dict[tuple[str, str], Reply] = {}
    for node in nodes:
        if node.uuid in retracted and node.speaks:
            said.dropped["retracted message"] += 1
        elif node.synthetic:
            said.dropped["synthetic reply"] += 1
        elif node.kind == "assistant":
            key = node.reply
            reply = under_way.get(key) if key else None
            if reply is None:
                reply = Reply(node.line, blocks_of(node.record["message"].get("content")), set())
                sequence.append(reply)
                if key:
                    under_way[key] = reply
            else:
                reply.blocks.extend(new_blocks(node, reply))
        else:
            if node.kind == "user" and node.record.get("isMeta") is not True and not has_result(node):
                under_way.clear()
            sequence.append(node)
    return sequence


def new_blocks(node: Node, reply: Reply) -> list[Block]:
    """The blocks of a record, without calls that an earlier record of the reply has: some versions write them again."""
    if not reply.calls:
        reply.calls.update(("", *map(_call_id, reply.blocks)))
    new = []
    for block in blocks_of(node.record["message"].get("content")):
        id = _call_id(block)
        if not id or id not in reply.calls:
            new.append(block)
        if id:
            reply.calls.add(id)
    return new


def _call_id(block: Block) -> str:
    return text_or(block.get("id")) if block.get("type") == "tool_use" else ""


def without_copies(record: Record) -> None:
    """`toolUseResult` says again, for the display, what the output says: it is not kept in memory."""
    result = record.get("toolUseResult")
    if result is not None and not (isinstance(result, dict) and "persistedOutputPath" in result):
        del record["toolUseResult"]


def model_of(nodes: list[Node]) -> str | None:
    """The model that made the last reply."""
    for node in reversed(nodes):
        if node.kind == "assistant" and not node.synthetic and (model := text_or(node.record["message"].get("model"))):
            return model
    return None


def texts_in(value: Any) -> list[str]:
    """The texts in a list, if it is one."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
