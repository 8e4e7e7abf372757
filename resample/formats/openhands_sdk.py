"""OpenHands SDK (V1): events told apart by their `kind`.

They stand in the lines of a file, in one list, below `history` (or `events`) of an evaluation's instance, or in a
folder with one file each, `event-00000-<id>.json`: there the first file stands for all of them. Several actions with
one `llm_response_id` are one reply of the model. A condensation replaces earlier events by its summary. Where events
name their parent they form a tree, of which the branch that ends with the last event counts.

Outputs are given as the model saw them, with the notes that the SDK puts around them. The schemas of the SDK's own
tools are not in the log: unless every tool has one, none is given, and calls show what they looked like. Runs of one
instance are one cluster.

A message in the user's role whose source is not the user (a nudge, a hook's feedback, a summary) is the harness's.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from resample.formats.assemble import (
    AT,
    HARNESS,
    any_schema,
    arguments_text,
    function_call,
    listed,
    located,
    small_extras,
    text_or,
)
from resample.formats.base import Draft, Located, Look
from resample.formats.dates import dated
from resample.formats.documents import values
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.harness import opens_with
from resample.formats.inputs import Input
from resample.formats.openhands_dialogue import STAND_IN, with_metadata
from resample.formats.software_agents import (
    Summary,
    answered_only,
    condensed,
    content_from,
    count,
    first_text,
    hides_reasoning,
    joined,
    reply,
    visible_reasoning,
    within,
)
from resample.types import Message, Missing, ToolSchema

Event = dict[str, Any]

name = "openhands_sdk"
suffixes = (".jsonl", ".ndjson", ".json")

_LISTS = ("history", "events")
_SPOKEN = frozenset(
    {"SystemPromptEvent", "MessageEvent", "ActionEvent", "ObservationEvent", "UserRejectObservation", "AgentErrorEvent"}
)
_KINDS = _SPOKEN | {"ConversationStateUpdateEvent", "Condensation", "CondensationRequest", "PauseEvent"}
_FILE = re.compile(r"event-(\d{5,})-[0-9A-Za-z-]+\.json(?:\.gz|\.zst)?")
_ROOT = "__root__"
_NOT_USERS = ("environment", "hook")
_FAILED = "[An error occurred during execution.]\n"


def sniff(look: Look) -> bool:
    """An event of a known kind, alone or in a list."""
    return any(_is_event(value) or any(map(_is_event, _events_in(value)[:20])) for value in look.values[:50])


def _is_event(value: Any) -> bool:
    return isinstance(value, dict) and text_or(value.get("kind")) in _KINDS and "source" in value


def _events_in(value: Any) -> list[Event]:
    if isinstance(value, dict):
        value = next((value[key] for key in _LISTS if isinstance(value.get(key), list)), None)
    return listed(value)


def read(source: Input) -> Iterator[Located | Excluded]:
    """The conversation of a file or of a folder, or those of an evaluation's instances."""
    files = folder_of(source)
    if files and files[0].name != source.name and not source.named:
        return
    loose: list[Event] = []
    for file in files or [source]:
        yield from _in_file(file, loose)
    if loose:
        first = files[0].name if files else source.name
        yield located(_draft(first, loose, {}), source, loose[0][AT] or 1)


def _in_file(source: Input, loose: list[Event]) -> Iterator[Located | Excluded]:
    for entry in values(source):
        if isinstance(entry, Excluded):
            yield entry
            continue
        value = entry.value
        if isinstance(value, list) or any(isinstance(within(value, key), list) for key in _LISTS):
            around = value if isinstance(value, dict) else {}
            yield located(_draft(entry.id, _events_in(value), around), source, entry.line)
        elif isinstance(value, dict):
            loose.append({**value, AT: entry.line if entry.id != source.name else None})
        else:
            yield entry.excluded(source, Problem(Reason.NOT_AN_OBJECT, f"{type(value).__name__} instead of an event"))


def _draft(id: str, events: list[Event], around: dict[str, Any]) -> Draft:
    draft = Draft(id=id, source=name, terminal_tools=("finish",))
    own = own_view(active_branch(events, draft.dropped), draft.dropped)
    draft.messages = answered_only(messages_of(own), draft.dropped)
    draft.tools = tools_of(own)
    draft.model = first_text(within(around, "metadata", "llm", "model"), model_of(events))
    instance = first_text(around.get("instance_id"))
    draft.cluster = f"{name}:{instance}" if instance else None
    draft.date = next((when for event in events if (when := dated(event.get("timestamp")))), None)
    draft.labels = labels_of(events, around)
    draft.missing = _missing(own, draft.messages)
    draft.extra = {
        "working_dir": next((d for e in events if (d := within(e, "value", "workspace", "working_dir"))), None),
        "accumulated_cost": within(around, "metrics", "accumulated_cost"),
    }
    return draft


def _missing(events: Sequence[Event], messages: Sequence[Message]) -> set[Missing]:
    missing = set()
    roles = [message["role"] for message in messages]
    if "system" not in roles:
        missing.add(Missing.SYSTEM_PROMPT)
    if next((role for role in roles if role != "system"), "user") != "user":
        missing.add(Missing.COMPACTED_HISTORY)
    if any(hides_reasoning(event) or hides_reasoning(_said_in(event)) for event in events):
        missing.add(Missing.REASONING)
    if any(listed(event.get("tools")) for event in events) and not tools_of(events):
        missing.add(Missing.TOOL_SCHEMAS)
    return missing


def _said_in(event: Event) -> dict[str, Any]:
    return event["llm_message"] if isinstance(event.get("llm_message"), dict) else {}


# -- passes --------------------------------------------------------------------------------------------------


def folder_of(source: Input) -> list[Input]:
    """A conversation may be a folder of files with one event each: all of them, in order; none for any other file."""
    if not _FILE.fullmatch(PurePosixPath(source.name).name):
        return []
    if source.member is None:
        names = _names_on_disk(source.path.parent, _changed(source.path.parent))
        if names and names[0] != source.path.name and not source.named:
            return [Input(source.path.with_name(names[0]), names[0])]  # another file stands for the folder
        return [file for name in names if (file := source.beside(name)) is not None]
    folder = PurePosixPath(source.member).parent
    within_archive = PurePosixPath(source.name).parent
    return [
        Input(source.path, (within_archive / name).as_posix(), member=(folder / name).as_posix())
        for name in _names_in_archive(source.path, _changed(source.path), folder.as_posix())
    ]


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=1)
def _names_on_disk(folder: Path, _changed: int) -> tuple[str, ...]:
    """Listed once for all files of a folder, which come one after the other, unless it changes meanwhile."""
    try:
        return _in_order(entry.name for entry in folder.iterdir())
    except OSError:
        return ()


@lru_cache(maxsize=1)
def _names_in_archive(path: Path, _changed: int, folder: str) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            places = [PurePosixPath(member) for member in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return ()
    return _in_order(place.name for place in places if place.parent.as_posix() == folder)


def _in_order(names: Iterator[str]) -> tuple[str, ...]:
    numbered = [(int(match[1]), name) for name in names if (match := _FILE.fullmatch(name))]
    return tuple(name for _, name in sorted(numbered))


def active_branch(events: list[Event], dropped: Counter[str]) -> list[Event]:
    """Events form a tree by `parent_id`, and going back in a conversation leaves dead branches.

    The branch of the last event is the one that counts. An event that names no parent (as in older versions), or one
    that is not in the file, follows the event before it.
    """
    places = {id: i for i, event in enumerate(events) if isinstance(id := event.get("id"), str)}
    alive: set[int] = set()
    place: int | None = len(events) - 1
    while place is not None and place >= 0 and place not in alive:
        alive.add(place)
        parent = events[place].get("parent_id")
        if parent == _ROOT:
            break
        place = places.get(parent, place - 1) if isinstance(parent, str) else place - 1
    count(dropped, "dead branch", sum(_is_spoken(e) for i, e in enumerate(events) if i not in alive))
    return [event for i, event in enumerate(events) if i in alive]


def _is_spoken(event: Event) -> bool:
    return text_or(event.get("kind")) in _SPOKEN


def own_view(events: list[Event], dropped: Counter[str]) -> list[Event]:
    """Only some kinds of events are shown to the model, and of those the ones that no condensation forgot.

    A summary has an id of its own, by which a later condensation may forget it.
    """
    shown: list[Event] = []
    forgotten_ids: set[str] = set()
    made: list[tuple[str, Summary]] = []
    for event in events:
        if _is_spoken(event):
            shown.append(event)
        elif event.get("kind") != "Condensation":
            dropped["event of the harness"] += 1
        else:
            ids = event.get("forgotten_event_ids")
            forgotten_ids.update(id for id in ids if isinstance(id, str)) if isinstance(ids, list) else None
            summary, offset = first_text(event.get("summary")), event.get("summary_offset")
            if summary and isinstance(offset, int):
                said = {"role": "user", "content": summary}
                message = {"kind": "MessageEvent", "source": "environment", "llm_message": said}
                made.append((f"{event.get('id')}-summary", Summary(len(shown), offset, message)))
    forgotten = [i for i, event in enumerate(shown) if text_or(event.get("id")) in forgotten_ids]
    count(dropped, "condensed event", len(forgotten))
    return condensed(shown, forgotten, [summary for id, summary in made if id not in forgotten_ids])


def messages_of(events: Sequence[Event]) -> list[Message]:
    """The messages of a view; actions of one response are one message, whatever stands between them."""
    turns: list[list[Event]] = []
    group: list[Event] = []
    for event in events:
        same = event.get("llm_response_id")
        if event.get("kind") == "ActionEvent" and group and same and group[0].get("llm_response_id") == same:
            group.append(event)
            continue
        turns.append([event])
        if event.get("kind") in ("ActionEvent", "MessageEvent"):
            group = turns[-1] if event.get("kind") == "ActionEvent" else []
    return [{**_message(turn), AT: turn[0].get(AT)} for turn in turns]


def _message(turn: list[Event]) -> Message:
    """The message of one event, or of all the actions of one response."""
    event = turn[0]
    kind = event.get("kind")
    if kind == "ActionEvent":
        thoughts = [part for action in turn for part in _listed(action.get("thought"))]
        calls = [call for action in turn if (call := call_of(action)) is not None]
        return reply(thoughts, calls, next(filter(None, map(visible_reasoning, turn)), ""))
    if kind == "SystemPromptEvent":
        pieces = [event.get("system_prompt"), event.get("dynamic_context")]
        return {"role": "system", "content": content_from([piece for piece in pieces if piece])}
    if kind == "MessageEvent":
        return _said(event)
    content = joined(output_of(event), content_from(event.get("extended_content")))
    return {"role": "tool", "tool_call_id": text_or(event.get("tool_call_id")), "content": content}


def _listed(thought: Any) -> list[Any]:
    return thought if isinstance(thought, list) else [thought]


def _said(event: Event) -> Message:
    said = _said_in(event)
    content = joined(content_from(said.get("content")), content_from(event.get("extended_content")))
    role = text_or(said.get("role")) or ("assistant" if event.get("source") == "agent" else "user")
    if role == "assistant":
        return reply(content, [], visible_reasoning(said))
    message: Message = {"role": role if role in ("system", "user") else "user", "content": content}
    if event.get("source") in _NOT_USERS or opens_with(content, STAND_IN):
        message[HARNESS] = True
    return message


def call_of(event: Event) -> dict[str, Any] | None:
    """The model's own call stands in `tool_call`; the action is what the SDK made of it, and will do without one."""
    call = event.get("tool_call")
    body = within(call, "function") or call
    name = first_text(within(body, "name"), event.get("tool_name"))
    if name is None:
        return None
    arguments = within(body, "arguments")
    if arguments is None and isinstance(action := event.get("action"), dict):
        arguments = {key: value for key, value in action.items() if key != "kind" and value is not None}
    return function_call(first_text(within(call, "id"), event.get("tool_call_id")), name, arguments)


def output_of(event: Event) -> str | list[dict[str, Any]]:
    """What a tool gave back as the model saw it: with a header for an error, and a terminal's exit code and folder."""
    kind = event.get("kind")
    if kind == "UserRejectObservation":
        return f"Action rejected: {text_or(event.get('rejection_reason'))}"
    if kind == "AgentErrorEvent":
        return text_or(event.get("error"))
    observation = event.get("observation")
    if not isinstance(observation, dict):
        return content_from(observation)
    content = _content_of(observation)
    if isinstance(content, str):
        content = with_metadata(content, observation.get("metadata"))
    if observation.get("is_error") is not True:
        return content
    return _FAILED + content if isinstance(content, str) else joined(_FAILED, content)


def _content_of(observation: dict[str, Any]) -> str | list[dict[str, Any]]:
    """Newer observations all have a `content`; older ones each had a field of their own."""
    for key in ("content", "output", "result", "message", "text", "error"):
        if content := content_from(observation.get(key)):
            return content
    if "content" in observation or "output" in observation:
        return ""
    return arguments_text({key: observation[key] for key in observation if key != "kind"}) or ""


def tools_of(events: Sequence[Event]) -> list[ToolSchema]:
    """The tools of the system prompt. The SDK's own ones stand there without parameters, so then none is known."""
    tools = next((tools for event in reversed(events) if (tools := listed(event.get("tools")))), [])
    schemas = []
    for tool in tools:
        described = tool.get("mcp_tool") if isinstance(tool.get("mcp_tool"), dict) else tool
        body = within(described, "function") or described
        complete = isinstance(body, dict) and body.keys() & {"parameters", "inputSchema", "input_schema"}
        schema = any_schema(described) if complete else None
        if schema is None:
            return []
        schemas.append(schema)
    return schemas


def model_of(events: Sequence[Event]) -> str | None:
    """The agent's model stands in updates of the state: in a full one, or beside its use of tokens."""
    for event in events:
        value = event.get("value")
        found = first_text(
            within(value, "agent", "llm", "model"),
            within(value, "usage_to_metrics", "agent", "model_name"),
            within(value, "usage_to_metrics", "default", "model_name"),
        )
        if found:
            return found
    return None


def labels_of(events: Sequence[Event], around: dict[str, Any]) -> dict[str, Any]:
    """How it ended: the last state of the execution, an error, and what an evaluation found."""
    labels: dict[str, Any] = {}
    for event in events:
        if event.get("kind") == "ConversationStateUpdateEvent" and event.get("key") == "execution_status":
            labels["execution_status"] = first_text(event.get("value"))
        elif event.get("kind") == "ConversationErrorEvent":
            labels["error"] = first_text(event.get("detail"), event.get("code"))
    if "test_result" in around:
        labels["patch"] = bool(first_text(within(around, "test_result", "git_patch")))
    if error := first_text(around.get("error")):
        labels["error"] = error
    return small_extras(labels)
