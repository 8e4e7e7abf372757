"""Pi coding-agent sessions: JSONL files whose first line is the session's header.

Entries name the one before them (`parentId`); the branch that was spoken on last is the conversation. Before version 2
they have no ids, and follow one another. After a compaction the model saw its summary, the entries that it kept, and
what came later. How messages are told to the model is stated in `resample.formats.pi_messages`. Neither the system
prompt nor the tools are logged.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from resample.formats.assemble import listed, located, text_or
from resample.formats.base import Draft, Located, Look
from resample.formats.dates import dated
from resample.formats.decode import decode
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.formats.pi_messages import Placed, Record, Said, convert, is_reply, is_unfinished
from resample.formats.records import records
from resample.types import Missing

name = "pi_session"
suffixes = (".jsonl",)

_OWN_ROLES = ("toolResult", "bashExecution")
_SUMMARIES = ("compaction", "branch_summary")


class Entry(NamedTuple):
    """A line of a session."""

    value: Record
    line: int
    after_gap: bool
    """A line before it could not be read."""


# -- telling the format ------------------------------------------------------------------------------------------------


def sniff(look: Look) -> bool:
    """A header, or messages as pi has them. Its replies always say why they stopped; those of its relatives do not."""
    values = [value for value in look.values if isinstance(value, dict)]
    return any(map(_is_own, values)) and not any(map(_is_foreign, values))


def _is_own(value: Record) -> bool:
    if value.get("type") == "session":
        return {"id", "timestamp", "cwd"} <= value.keys() and "messages" not in value
    message = _message(value)
    role = message.get("role")
    return role in _OWN_ROLES or (role == "assistant" and "stopReason" in message)


def _is_foreign(value: Record) -> bool:
    message = _message(value)
    return message.get("role") == "assistant" and "stopReason" not in message


def _message(value: Record) -> Record:
    message = value.get("message") if value.get("type") == "message" else None
    return message if isinstance(message, dict) else {}


# -- reading -----------------------------------------------------------------------------------------------------------


def read(source: Input) -> Iterator[Located | Excluded]:
    """The conversation of each session in a file; usually there is one."""
    session: list[Entry] = []
    later = gap = False
    for record in records(source):
        value = decode(record.data) if not isinstance(record, Excluded) else None
        if isinstance(record, Excluded):
            yield record
        elif isinstance(value, dict):
            if value.get("type") == "session" and session:
                yield _conversation(source, session, first=not later)
                session, later = [], True
            session.append(Entry(value, record.line, gap))
        else:
            problem = value if isinstance(value, Problem) else Problem(Reason.NOT_AN_OBJECT)
            yield Excluded.at(source.shown, record.line, problem)
        gap = not isinstance(value, dict)
    if session:
        yield _conversation(source, session, first=not later)


def _conversation(source: Input, entries: list[Entry], *, first: bool) -> Located | Excluded:
    chain = chain_of(entries)
    said = Said(dropped=left_out(entries, chain.entries))
    history = history_of(entries, chain.entries, said.dropped)
    if not (chain.whole or is_replaced(entries, chain.entries)):
        said.missing.add(Missing.COMPACTED_HISTORY)
    on_chain = set(chain.entries)
    titles = ("session", "session_info")
    settings = [e.value for i, e in enumerate(entries) if i in on_chain or e.value.get("type") in titles]
    messages = convert(history, said)
    if not any(message["role"] in ("system", "developer") for message in messages):
        said.missing.add(Missing.SYSTEM_PROMPT)
    draft = Draft(
        id=source.name if first else f"{source.name}:{entries[0].line}",
        source=name,
        always_has_tools=True,
        messages=messages,
        model=model_of(history, settings),
        date=next((when for entry in entries if (when := dated(entry.value.get("timestamp")))), None),
        cluster=cluster_of(entries),
        missing=said.missing,
        dropped=+said.dropped,
        extra=extras_of(entries, settings),
    )
    return located(draft, source, entries[0].line)


# -- passes: the tree --------------------------------------------------------------------------------------------------


class Chain(NamedTuple):
    """A branch, by the positions of its entries."""

    entries: list[int]
    whole: bool
    """It begins where the conversation did."""


def chain_of(entries: Sequence[Entry]) -> Chain:
    """The branch that was spoken on last. What stands behind its last message was never sent.

    An entry whose parent stood on a line that could not be read goes on with the one before it in the file. Parents
    that are not in the file, or form a ring, leave the beginning open.
    """
    spoken = (i for i in reversed(range(len(entries))) if _is_spoken(entries[i]))
    at = next(spoken, None)
    place = {id: i for i, entry in enumerate(entries) if (id := text_or(entry.value.get("id")))}
    chain: list[int] = []
    seen: set[int] = set()
    whole = True
    while at is not None and not _is_header(entries[at]):
        if at in seen:
            whole = False
            break
        seen.add(at)
        chain.append(at)
        at, found = _before(entries, at, place)
        whole = whole and found
    chain.reverse()
    return Chain(chain, whole)


def _before(entries: Sequence[Entry], at: int, place: dict[str, int]) -> tuple[int | None, bool]:
    """The position of an entry's parent, and whether there is one if it names one."""
    value = entries[at].value
    previous = at - 1 if at > 0 else None
    if "id" not in value and "parentId" not in value:
        return previous, True
    parent = value.get("parentId")
    if not (isinstance(parent, str) and parent):
        return None, True
    if parent in place:
        return place[parent], True
    return (previous, previous is not None) if entries[at].after_gap else (None, False)


def _is_header(entry: Entry) -> bool:
    return entry.value.get("type") == "session"


def _is_spoken(entry: Entry) -> bool:
    return entry.value.get("type") not in _SUMMARIES and told_by(entry) is not None


def left_out(entries: Sequence[Entry], chain: Sequence[int]) -> Counter[str]:
    """What is no part of the conversation: other branches, notes of the harness, and summaries behind its end."""
    on_chain = set(chain)
    dropped: Counter[str] = Counter()
    for index, entry in enumerate(entries):
        if _is_header(entry):
            continue
        if entry.value.get("type") in _SUMMARIES:
            dropped["summary that nothing followed"] += index not in on_chain
        elif told_by(entry) is None:
            dropped["harness record"] += 1
        elif index not in on_chain:
            dropped["dead branch"] += 1
    return +dropped


# -- passes: what the model had before it ------------------------------------------------------------------------------


def told_by(entry: Entry) -> Placed | None:
    """The message of an entry; None where it has none for the model."""
    value = entry.value
    kind = value.get("type")
    message: Any = None
    if kind == "message":
        message = value.get("message")
    elif kind == "custom_message":
        message = {"role": "custom", "content": value.get("content")}
    elif kind == "branch_summary" and text_or(value.get("summary")):
        message = {"role": "branchSummary", "summary": value["summary"]}
    return Placed(message, entry.line, when_of(value)) if isinstance(message, dict) else None


_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def when_of(value: Record) -> str:
    """What later requests made of a message depends on its date, as far as it has one."""
    when = text_or(value.get("timestamp"))
    return when if _DATE.match(when) else ""


def history_of(entries: Sequence[Entry], chain: Sequence[int], dropped: Counter[str]) -> list[Placed]:
    """The messages of a branch. The last compaction puts its summary, and what it kept, in the place of all before."""
    told = [told_by(entries[index]) for index in chain]
    at = last_compaction(entries, chain)
    if at is None:
        return [placed for placed in told if placed is not None]
    compaction = entries[chain[at]]
    when = when_of(compaction.value)
    summary = {"role": "compactionSummary", "summary": compaction.value.get("summary")}
    carried = [summary, *listed(compaction.value.get("retainedTail"))]
    first = first_kept(entries, chain, at)
    dropped["replaced by a compaction"] += sum(placed is not None for placed in told[:first])
    kept = [placed for placed in (*told[first:at], *told[at + 1 :]) if placed is not None]
    return [*(Placed(message, compaction.line, when) for message in carried), *kept]


def last_compaction(entries: Sequence[Entry], chain: Sequence[int]) -> int | None:
    """Its position in the chain."""
    compactions = (i for i in reversed(range(len(chain))) if entries[chain[i]].value.get("type") == "compaction")
    return next(compactions, None)


def is_replaced(entries: Sequence[Entry], chain: Sequence[int]) -> bool:
    """Does a compaction stand for the beginning of a branch, wherever it is? Not if what it kept is not there."""
    at = last_compaction(entries, chain)
    if at is None:
        return False
    return first_kept(entries, chain, at) < at or isinstance(entries[chain[at]].value.get("retainedTail"), list)


def first_kept(entries: Sequence[Entry], chain: Sequence[int], at: int) -> int:
    """The position in the chain of the first entry that the compaction at `at` kept; `at` itself if it kept none.

    It is named by its id, in the first version by its position in the file; newer ones carry what they kept.
    """
    value = entries[chain[at]].value
    if isinstance(value.get("retainedTail"), list):
        return at
    id, index = text_or(value.get("firstKeptEntryId")), value.get("firstKeptEntryIndex")
    if id:
        return next((i for i in range(at) if entries[chain[i]].value.get("id") == id), at)
    if isinstance(index, int):
        return next((i for i in range(at) if chain[i] >= index), at)
    return at


# -- passes: the rest --------------------------------------------------------------------------------------------------


def model_of(history: Sequence[Placed], settings: Sequence[Record]) -> str | None:
    """The model of the last reply that came to its end, or of any; else the one that was chosen last."""
    replies = [placed.message for placed in reversed(history) if is_reply(placed.message)]
    finished = [message for message in replies if not is_unfinished(message)]
    made = [text_or(message.get("model")) for message in (*finished, *replies)]
    chosen = [text_or(value.get("modelId")) for value in reversed(settings)]
    return next(filter(None, (*made, *chosen)), None)


def cluster_of(entries: Sequence[Entry]) -> str | None:
    """A session that was branched from another shares its cluster. Files are named by time and session."""
    header = _header(entries)
    for key in ("parentSession", "branchedFrom"):
        file = text_or(header.get(key)).replace("\\", "/").rpartition("/")[2]
        if parent := file.removesuffix(".jsonl").rpartition("_")[2]:
            return f"{name}:{parent}"
    id = text_or(header.get("id"))
    return f"{name}:{id}" if id else None


def extras_of(entries: Sequence[Entry], settings: Sequence[Record]) -> dict[str, Any]:
    """What the header says, and what was chosen last."""
    header = _header(entries)
    latest: dict[str, str] = {}
    for value in (header, *settings):
        given = {"thinking_level": value.get("thinkingLevel"), "provider": value.get("provider")}
        if value.get("type") == "session_info":
            given["title"] = value.get("name")
        latest |= {key: text for key, text in given.items() if isinstance(text, str) and text}
    return {**{key: header.get(key) for key in ("id", "version", "timestamp", "cwd")}, **latest}


def _header(entries: Sequence[Entry]) -> Record:
    return entries[0].value if entries and _is_header(entries[0]) else {}
