"""Gemini CLI sessions, and Gemini API contents.

A session is one document with `messages` (types `user`, `gemini`, and notices), in older layouts with `history`, or a
JSONL file that is a log of changes: a header, messages that are written again under their id as they grow, `$set` and
`$rewindTo`. What such a log comes to at its end is what is read. Results of tools stand inside of their calls, and
become tool messages; notices (info, warning, error) are for the user only. What the CLI itself says to the model in the
user's role is marked as the harness's, where its words tell: "Please continue." may be anybody's.

API requests have `contents` (`role` user or model, `parts`), a system instruction and tools; the reply may stand beside
them. A list of contents is a conversation, too: so the CLI saves checkpoints. How parts become messages is stated in
`resample.formats.gemini_parts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from resample.formats.assemble import AT, listed, located, text_or
from resample.formats.base import Draft, Located, Look
from resample.formats.dates import dated
from resample.formats.documents import Entry, entries
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.gemini_parts import Said, declarations, pick, said_by_model, said_by_user, texts_of
from resample.formats.harness import mark_own_words
from resample.formats.inputs import Input
from resample.types import Message, Missing

name = "gemini_cli"
suffixes = (".json", ".jsonl")

Record = dict[str, Any]
Placed = tuple[Record, int | None]
"""A record and the line where it stands."""

_NOTICES = frozenset({"info", "error", "warning"})
_SPEAKERS = {
    **dict.fromkeys(("user", "function", "tool"), "user"),
    **dict.fromkeys(("gemini", "model", "assistant"), "model"),
    "system": "system",
}
_OWN_WORDS = (
    *("<session_context>", "<hook_context>", "<state_snapshot>"),
    "This is the Gemini CLI. We are setting up the context for our chat.",
    "System: Potential loop detected.",
)
_LISTS = ("messages", "history", "contents")
_NOT_EXTRA = frozenset({*_LISTS, "request", "response", "candidates", "tools", "systemInstruction"})


# -- telling the format ------------------------------------------------------------------------------------------------


def sniff(look: Look) -> bool:
    """Headers and changes of a session log, sessions with Gemini's messages, or contents with parts."""
    values = [item for value in look.values for item in (value[:2] if isinstance(value, list) else [value])]
    return any(isinstance(value, dict) and _is_gemini(value) for value in values)


def _is_gemini(value: Record) -> bool:
    if _is_header(value) or "$rewindTo" in value or _is_content(value):
        return True
    if value.get("type") == "gemini":
        return "content" in value
    if isinstance(value.get("messages"), list):
        return any(m.get("type") == "gemini" and "content" in m for m in listed(value["messages"]))
    turns = listed(_request_of(value).get("contents")) or listed(value.get("history"))
    return any(map(_is_content, turns))


def _is_header(value: Record) -> bool:
    return "sessionId" in value and "projectHash" in value


def _is_content(value: Record) -> bool:
    role = value.get("role")
    in_role = role is None or (isinstance(role, str) and role in _SPEAKERS)
    parts = [part for part in listed(value.get("parts")) if not {"type", "kind"} & part.keys()]
    return in_role and "message" not in value and any(_PARTS & part.keys() for part in parts)


_PARTS = frozenset({"text", "functionCall", "functionResponse", "inlineData", "function_call", "function_response"})


# -- reading -----------------------------------------------------------------------------------------------------------


def read(source: Input) -> Iterator[Located | Excluded]:
    """The conversations of a file."""
    log: _Log | None = None
    for entry in entries(source):
        if isinstance(entry, Excluded):
            yield entry
        elif not isinstance(entry.value, dict):
            yield entry.excluded(source, Problem(Reason.NOT_AN_OBJECT))
        else:
            if log is not None and not log.goes_on_with(entry):
                yield log.finish(source)
                log = None
            log = log or _Log(source, entry)
            log.take(entry)
    if log is not None:
        yield log.finish(source)


class _Log:
    """One conversation: a document, or the lines (or elements of a list) of a log of changes."""

    def __init__(self, source: Input, first: Entry) -> None:
        self.first = first
        self.file = source.name
        self.frame: Record = {}
        self.records = Records()
        self.dropped: Counter[str] = Counter()
        self.in_list = bool(first.pointer) and not _holds_conversation(first.value)
        self.id = first.id
        if self.in_list:
            self.id = first.id.removesuffix(f"[{first.pointer[1:]}]")
        elif not first.pointer and not _is_request(first.value) and first.line <= 1:
            self.id = source.name

    def goes_on_with(self, entry: Entry) -> bool:
        """A list of contents, or the lines of a session log, are one conversation; a whole one stands by itself."""
        value = entry.value
        if bool(entry.pointer) or self.in_list:
            return self.in_list and entry.line == self.first.line and not _holds_conversation(value)
        if _is_request(value) or _is_request(self.frame):
            return False
        session = self.frame.get("sessionId")
        same = session is not None and session == value.get("sessionId")
        return same or not (_holds_conversation(value) or (_is_header(value) and session is not None))

    def take(self, entry: Entry) -> None:
        value: Record = entry.value
        line = None if entry.pointer or entry.id == self.file else entry.line
        if isinstance(value.get("$rewindTo"), str):
            self.dropped["rewound message"] += self.records.rewind(value["$rewindTo"])
        elif isinstance(value.get("$set"), dict):
            self._change(value["$set"], line)
        elif _is_request(value) or _is_header(value) or _holds_conversation(value):
            self._change(value, line)
        elif speaker_of(value) is not None:
            self.records.put(value, line)
        else:
            self.dropped["unknown record"] += 1

    def _change(self, values: Record, line: int | None) -> None:
        """Metadata. A list of messages replaces all that there were: a compression, or outputs that were masked."""
        self.frame |= values
        turns = next((values[key] for key in _LISTS if isinstance(values.get(key), list)), None)
        if turns is None and isinstance(contents := _request_of(values).get("contents"), list | str):
            turns = contents if isinstance(contents, list) else [{"role": "user", "parts": [{"text": contents}]}]
        if turns is not None:
            self.dropped["replaced message"] += self.records.replace(listed(turns), line)
            self.dropped["unknown record"] += len(turns) - len(listed(turns))

    def finish(self, source: Input) -> Located | Excluded:
        request = _request_of(self.frame)
        records = rejoined([*self.records.values(), *((record, None) for record in replies_of(self.frame))])
        said = Said(dropped=self.dropped)
        messages = [
            message for record, line in without_commands(records, said) for message in _told(record, line, said)
        ]
        mark_own_words(messages, _OWN_WORDS)
        if instruction := system_instruction(request):
            messages.insert(0, {"role": "system", "content": instruction})
        elif not _is_request(self.frame):
            said.missing.add(Missing.SYSTEM_PROMPT)
        draft = Draft(
            id=self.id,
            source=name,
            messages=messages,
            always_has_tools=not _is_request(self.frame),
            tools=declarations(_setting(request, "tools"), said.dropped),
            model=model_of(records, self.frame),
            date=date_of(records, self.frame),
            missing=said.missing,
            dropped=+said.dropped,
            extra={key: value for key, value in self.frame.items() if key not in _NOT_EXTRA},
        )
        return located(draft, source, self.first.line, self.first.pointer if not self.in_list else "")


def _told(record: Record, line: int | None, said: Said) -> list[Message]:
    """The messages of one record."""
    speaker = speaker_of(record)
    if speaker == "model":
        messages = said_by_model(record, said)
    elif speaker == "user":
        messages = said_by_user(record, said)
    elif speaker == "system":
        messages = [{"role": "system", "content": "\n\n".join(texts_of(record))}]
    else:
        said.dropped["notice" if speaker == "notice" else "unknown record"] += 1
        said.missing |= missing_by_notice(record) if speaker == "notice" else set()
        return []
    return messages if line is None else [{**message, AT: line} for message in messages]


def _is_request(value: Record) -> bool:
    return isinstance(_request_of(value).get("contents"), list | str)


def _request_of(value: Record) -> Record:
    """A request may stand by itself, or under a key of its own, as in the batch API."""
    request = value.get("request")
    return request if isinstance(request, dict) and "contents" in request else value


def _holds_conversation(value: Record) -> bool:
    return _is_request(value) or any(isinstance(value.get(key), list) for key in _LISTS)


# -- passes ------------------------------------------------------------------------------------------------------------


class Records:
    """A session log's messages: a later line with the same id is the same message, in its place; a rewind takes away.

    In a list of messages, each is one of its own, whatever its id.
    """

    def __init__(self) -> None:
        self._records: dict[str, Placed] = {}
        self._count = 0

    def put(self, record: Record, line: int | None) -> None:
        key = record.get("id")
        self._set(key if isinstance(key, str) else "", record, line)

    def replace(self, records: Iterable[Record], line: int | None) -> int:
        """Returns how many there were that are no more."""
        before = self._records
        self._records = {}
        for record in records:
            key = record.get("id")
            self._set(key if isinstance(key, str) and key not in self._records else "", record, line)
        return sum(key not in self._records for key in before)

    def _set(self, key: str, record: Record, line: int | None) -> None:
        self._count += 1
        # NUL: no id begins with it
        self._records[key or f"\0{self._count}"] = (record, line)

    def rewind(self, id: str) -> int:
        """Takes away the message of that id and all after it, or all if there is none. Returns how many."""
        before = len(self._records)
        if id not in self._records:
            self._records.clear()
        while id in self._records:
            self._records.popitem()
        return before - len(self._records)

    def values(self) -> list[Placed]:
        return list(self._records.values())


def speaker_of(record: Record) -> str | None:
    """`type`, or in older layouts `role`, says who speaks: user, model, system; a notice; or nobody known."""
    for key in ("type", "role"):
        value = record.get(key)
        if isinstance(value, str):
            return "notice" if value in _NOTICES else _SPEAKERS.get(value)
    # In the API, a content without a role is the user's.
    return "user" if isinstance(record.get("parts"), list) else None


def rejoined(records: list[Placed]) -> list[Placed]:
    """A notice that comes up while a reply is logged cuts it in two: its text, and a record with its calls only.

    The second one has no tokens and no thoughts of its own.
    """
    whole: list[Placed] = []
    text_at: int | None = None
    for record, line in records:
        speaker = speaker_of(record)
        if text_at is not None and speaker == "model" and _is_second_half(record):
            before, place = whole[text_at]
            whole[text_at] = ({**before, "toolCalls": record["toolCalls"]}, place)
            text_at = None
            continue
        if speaker != "notice":
            text_at = len(whole) if speaker == "model" and texts_of(record) and not record.get("toolCalls") else None
        whole.append((record, line))
    return whole


def _is_second_half(record: Record) -> bool:
    own = texts_of(record) or record.get("thoughts") or pick(record.get("tokens"), "total")
    return bool(listed(record.get("toolCalls"))) and not own


def without_commands(records: list[Placed], said: Said) -> Iterator[Placed]:
    """Commands to the CLI, `/help` or `?`, are logged as the user's, and not sent to the model.

    A message that only begins like one was sent, and so has an answer.
    """
    following = [*(speaker_of(record) for record, _ in records if speaker_of(record) != "notice"), None][1:]
    position = 0
    for record, line in records:
        speaker = speaker_of(record)
        answered = speaker == "notice" or following[position] == "model"
        position += speaker != "notice"
        if (
            speaker == "user"
            and not answered
            and "type" in record
            and "".join(texts_of(record)).strip()[:1] in ("/", "?")
        ):
            said.dropped["slash command"] += 1
        else:
            yield record, line


def missing_by_notice(record: Record) -> set[Missing]:
    """Older logs say that the history was compressed, and go on without the summary that replaced it."""
    text = "".join(texts_of(record)).lower()
    return {Missing.COMPACTED_HISTORY} if "history compressed" in text else set()


def replies_of(frame: Record) -> list[Record]:
    """The reply to a request stands beside it: the first candidate's content."""
    response = frame.get("response")
    holder = response if isinstance(response, dict) else frame
    content = next((candidate.get("content") for candidate in listed(holder.get("candidates"))), None)
    return [{"role": "model", **content}] if isinstance(content, dict) else []


def system_instruction(request: Record) -> str:
    """A text, a content, or parts."""
    given = _setting(request, "systemInstruction", "system_instruction")
    parts = given["parts"] if isinstance(given, dict) and "parts" in given else given
    return "\n\n".join(texts_of({"content": parts}))


def _setting(request: Record, *keys: str) -> Any:
    """What is set for a request stands in it, or, as its Python client takes it, in a `config` of its own."""
    found = pick(request, *keys)
    return pick(request.get("config"), *keys) if found is None else found


def date_of(records: list[Placed], frame: Record) -> str | None:
    """When a session began; a stored reply of the API may say when it was made."""
    places = [(frame, "startTime"), *((record, "timestamp") for record, _ in records), (frame, "createTime")]
    if isinstance(frame.get("response"), dict):
        places.append((frame["response"], "createTime"))
    return next((when for place, key in places if (when := dated(place.get(key)))), None)


def model_of(records: list[Placed], frame: Record) -> str | None:
    """Each of the model's messages names the model; the last one counts. Older layouts have it in `meta`."""
    response, meta = frame.get("response"), frame.get("meta")
    places = [record for record, _ in reversed(records)] + [
        place for place in (response, frame, meta) if isinstance(place, dict)
    ]
    return next((model for p in places if (model := text_or(p.get("model")) or text_or(p.get("modelVersion")))), None)
