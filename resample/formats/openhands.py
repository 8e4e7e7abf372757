"""OpenHands V0: a list of events (a session), or one evaluation or resolver instance per line, with its `history`.

An event is an action or an observation. The model's own reply stands in `tool_call_metadata.model_response`, and is
used as it is, once. Where a model cannot call tools, OpenHands has it write its calls as text, and keeps only what it
made of them: these come out as native calls, too, and `extra.calls_written_as_text` says so.

Older logs, and the resolver's, have actions without any reply: each becomes a native call, named by the action, with
its arguments, after its thought; `extra.rebuilt_calls` counts them. Where no ids tie an observation to its action, it
answers the one before it.

What is condensed is replaced by its summary, what a delegate did is left out, and what the harness recalled is given
as a user message, unless it was not shown (evaluations switch that off). A `finish` after which the session went on is
the text that the model saw in its place. Runs of one instance, or of one issue, are one cluster.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from resample.formats.assemble import AT, listed, located, small_extras
from resample.formats.base import Draft, Located, Look
from resample.formats.dates import dated
from resample.formats.decode import decode
from resample.formats.documents import values
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.formats.openhands_dialogue import UNSEEN, Dialogue, Event, rewritten, without_delegates
from resample.formats.software_agents import (
    Summary,
    answered_calls,
    answered_only,
    condensed,
    count,
    first_text,
    last_spoken,
    reply,
    within,
)
from resample.types import Message, Missing

name = "openhands"
suffixes = (".json", ".jsonl", ".ndjson")

_LISTS = ("history", "trajectory", "events")
_INSTANCE = frozenset({"instance_id", "instruction", "git_patch", "test_result"})
_CONDENSATION = ("condensation", "condensation_request")


# -- recognising -----------------------------------------------------------------------------------------------------


def sniff(look: Look) -> bool:
    """Events with their arguments or extras; in an instance, bare ones, too."""
    return any(_is_session(v) or _is_event(v) or any(_is_instance(item) for item in listed(v)[:1]) for v in look.values)


def _is_session(value: Any) -> bool:
    return _is_instance(value) or any(_is_event(event) for event in _events_in(value)[:6])


def _is_instance(value: Any) -> bool:
    if not isinstance(value, dict) or not value.keys() & _INSTANCE:
        return False
    return any(_is_event(event) or _is_bare(event) for event in _events_in(value)[:6])


def _is_event(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("source") not in ("user", "agent", "environment"):
        return False
    acts = isinstance(value.get("action"), str) and isinstance(value.get("args"), dict)
    return acts or (isinstance(value.get("observation"), str) and isinstance(value.get("extras"), dict | None))


def _is_bare(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() & {"kind", "role"}:
        return False
    return isinstance(value.get("action"), str) != isinstance(value.get("observation"), str)


def _events_in(value: Any) -> list[Event]:
    """The events of a session: of the list that it is, or of the list that it has."""
    if isinstance(value, dict):
        value = next((value[key] for key in _LISTS if isinstance(value.get(key), list)), None)
    return in_one_list(value) if isinstance(value, list) else []


# -- reading ---------------------------------------------------------------------------------------------------------


def read(source: Input) -> Iterator[Located | Excluded]:
    """The sessions of a file: one, or one per line, or one in all its lines."""
    loose: list[Event] = []
    for entry in values(source):
        if isinstance(entry, Excluded):
            yield entry
            continue
        value = entry.value
        if isinstance(value, list) and any(_is_instance(item) for item in value[:1]):
            for index, item in enumerate(value):
                yield _session(item, f"{entry.id}[{index}]", entry.line, source)
        elif isinstance(value, dict) and not any(isinstance(value.get(key), list) for key in _LISTS):
            loose.append({**value, AT: entry.line if entry.id != source.name else None})
        else:
            yield _session(value, entry.id, entry.line, source)
    if loose:
        yield located(_draft(source.name, loose, {}), source, loose[0][AT] or 1)


def _session(value: Any, id: str, line: int, source: Input) -> Located | Excluded:
    if not isinstance(value, dict | list):
        problem = Problem(Reason.NOT_AN_OBJECT, f"{type(value).__name__} instead of events")
        return Excluded.at(source.shown, line, problem)
    around = value if isinstance(value, dict) else {}
    return located(_draft(id, _events_in(value), around), source, line)


def _draft(id: str, events: list[Event], around: dict[str, Any]) -> Draft:
    draft = Draft(id=id, source=name, terminal_tools=("finish",))
    dialogue = Dialogue(draft.dropped, limit=limit_of(around), recall=shows_recall(around))
    own = own_view(without_delegates(without_harness(events, draft.dropped), draft.dropped), draft.dropped)
    for event in own:
        dialogue.add(rewritten(event))
    draft.messages = answered_only(finished_by_text(dialogue.messages), draft.dropped)
    draft.tools = dialogue.tools
    draft.model = dialogue.model or first_text(within(around, "metadata", "llm_config", "model"))
    task = task_of(around)
    draft.cluster = f"{name}:{task}" if task else None
    draft.date = next((when for event in events if (when := dated(event.get("timestamp")))), None)
    draft.labels = labels_of(around)
    draft.missing = _missing(draft.messages, dialogue)
    draft.extra = {
        **dialogue.about,
        "rebuilt_calls": dialogue.rebuilt or None,
        "calls_written_as_text": dialogue.converted or None,
        "accumulated_cost": within(around, "metrics", "accumulated_cost"),
        "max_iterations": within(around, "metadata", "max_iterations"),
    }
    return draft


def _missing(messages: Sequence[Message], dialogue: Dialogue) -> set[Missing]:
    missing = set()
    roles = [message["role"] for message in messages]
    if "system" not in roles:
        missing.add(Missing.SYSTEM_PROMPT)
    if next((role for role in roles if role != "system"), "user") != "user":
        missing.add(Missing.COMPACTED_HISTORY)
    if dialogue.hidden_reasoning:
        missing.add(Missing.REASONING)
    return missing


# -- passes --------------------------------------------------------------------------------------------------


def in_one_list(history: list[Any]) -> list[Event]:
    """The oldest evaluations pair each action with its observation: a list of lists."""
    events: list[Event] = []
    for item in history:
        events.extend(listed(item) if isinstance(item, list) else listed([item]))
    return events


def without_harness(events: list[Event], dropped: Counter[str]) -> list[Event]:
    """Changes of state and the like are no part of the agent's history, by which a summary's place is counted."""
    kept = [e for e in events if e.get("action") in _CONDENSATION or not _is_harness(e)]
    count(dropped, "event of the harness", len(events) - len(kept))
    return kept


def _is_harness(event: Event) -> bool:
    return any(isinstance(kind := event.get(key), str) and kind in UNSEEN for key in ("action", "observation"))


def own_view(events: list[Event], dropped: Counter[str]) -> list[Event]:
    """A condensation forgets events, by their ids or by a range of ids; the last summary stands in their place."""
    condensations = [i for i, event in enumerate(events) if event.get("action") in _CONDENSATION]
    if not condensations:
        return events
    numbered = sorted((e["id"], i) for i, e in enumerate(events) if isinstance(e.get("id"), int))
    changes = [0] * (len(numbered) + 1)
    summaries: list[Summary] = []
    for at in condensations:
        args = events[at].get("args")
        for first, last in _ranges(args):
            changes[bisect_left(numbered, (first, -1))] += 1
            changes[bisect_right(numbered, (last, len(events)))] -= 1
        summary, offset = first_text(within(args, "summary")), within(args, "summary_offset")
        if summary and isinstance(offset, int):
            summaries = [Summary(at, offset, {"observation": "condense", "content": summary})]
    inside = zip(numbered, accumulate(changes), strict=False)
    forgotten = {place for (_, place), times in inside if times > 0}
    count(dropped, "condensed event", len(forgotten - set(condensations)))
    count(dropped, "event of the harness", len(condensations))
    return condensed(events, forgotten | set(condensations), summaries)


def _ranges(args: Any) -> list[tuple[int, int]]:
    ids = within(args, "forgotten_event_ids")
    if isinstance(ids, list):
        return [(id, id) for id in ids if isinstance(id, int)]
    first, last = within(args, "forgotten_events_start_id"), within(args, "forgotten_events_end_id")
    return [(first, last)] if isinstance(first, int) and isinstance(last, int) and first <= last else []


def finished_by_text(messages: list[Message]) -> list[Message]:
    """`finish` has no output. Once a session goes on after it, the model sees it as a message of its own."""
    answered = answered_calls(messages)
    last = last_spoken(messages)
    changed = []
    for index, message in enumerate(messages):
        calls = message.get("tool_calls") or []
        bodies = [call["function"] for call in calls if (index, call.get("id")) not in answered]
        if index < last and len(calls) == 1 and bodies and bodies[0].get("name") == "finish":
            said = decode((bodies[0].get("arguments") or "").encode())
            text = first_text(within(said, "message"), within(said, "final_thought"))
            message = {**message, **reply(message.get("content") or text, [])}
        changed.append(message)
    return changed


def limit_of(around: dict[str, Any]) -> int | None:
    """The longest observation that the model was shown, where the log says it."""
    limit = within(around, "metadata", "llm_config", "max_message_chars")
    return limit if isinstance(limit, int) and limit > 0 else None


def shows_recall(around: dict[str, Any]) -> bool:
    """Recalled knowledge is a prompt extension, which a config may switch off; every evaluation of OpenHands does."""
    configured = within(around, "metadata", "agent_config", "enable_prompt_extensions")
    return configured if isinstance(configured, bool) else not around.keys() & _INSTANCE


def task_of(around: dict[str, Any]) -> str | None:
    """An instance has an id; the resolver's has an issue."""
    issue = around.get("issue")
    parts = [within(issue, key) for key in ("owner", "repo", "number")]
    by_issue = "{}/{}#{}".format(*parts) if all(isinstance(part, str | int) for part in parts) else None
    return first_text(around.get("instance_id"), by_issue)


def labels_of(around: dict[str, Any]) -> dict[str, Any]:
    """How it ended: an error (also for a limit), the built-in judge's word, and whether there is a patch."""
    if not around.keys() & _INSTANCE:
        return {}
    patch = first_text(around.get("git_patch"), within(around, "test_result", "git_patch"))
    kept = {key: around.get(key) for key in ("error", "success", "comment_success", "result_explanation")}
    return small_extras({**kept, "resolved": within(around, "test_result", "report", "resolved"), "patch": bool(patch)})
