"""mini-SWE-agent `.traj.json`: the messages of one run, in three generations.

- The oldest is a bare list of `{role, content}`: a command in a bash block of the assistant's text, its result in a
  user message with `<returncode>` and `<output>`.
- The next is an object with `info`, `messages` and `trajectory_format`, and the same messages.
- Newer versions put the provider's own messages there, with an `extra` of the harness: chat messages with native calls
  and outputs of role `tool`, or responses and items of OpenAI's Responses API.

Native calls stay native; else the commands are text (`text:mini_swe_agent`). The schema of the one tool, `bash`, is not
in the file. A run ends by a command that prints a certain line, so no tool is terminal. What the harness writes at the
very end, which no model saw, is left out. Runs of one benchmark instance are one cluster.

After the task, what stands in the user's role is the harness's, unless a person who watches has interrupted the agent,
rejected a command, run one, or added a task: then the message says so, with their words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from resample.formats.assemble import function_call, listed, located, small_extras, text_or
from resample.formats.base import Draft, Located, Look
from resample.formats.dates import dated
from resample.formats.documents import Entry, values
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.harness import mark_unasked, opens_with
from resample.formats.inputs import Input
from resample.formats.software_agents import (
    chat_calls,
    content_from,
    count,
    counts_reasoning,
    first_text,
    hides_reasoning,
    joined,
    reply,
    visible_reasoning,
    within,
)
from resample.types import TOOLS, Message, Missing

name = "mini_swe_agent"
suffixes = (".json", ".traj")

_ACTION = re.compile(r"```(?:mswea_bash_command|bash)[ \t]*\n|<mswea_bash_command>")
_RESULT = re.compile(r"\s*(?:<exception>.*?</exception>\s*)?<returncode>\s*-?\d+\s*</returncode>", re.DOTALL)
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


def sniff(look: Look) -> bool:
    """An object that says what it is, or a list of messages with this agent's commands and results."""
    return any(_is_bare(value) or _is_run(value) or _is_list_of_runs(value) for value in look.values)


def _is_list_of_runs(value: Any) -> bool:
    return isinstance(value, list) and any(map(_is_run, value[:1]))


def _is_run(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("info"), dict):
        return False
    if text_or(value.get("trajectory_format")).startswith("mini-swe-agent"):
        return True
    if text_or(within(value, "info", "config", "agent_type")).startswith("minisweagent."):
        return True
    counted = within(value, "info", "model_stats", "api_calls") is not None
    return "mini_version" in value["info"] or (counted and isinstance(value.get("messages"), list))


def _is_bare(value: Any) -> bool:
    """A result that follows a command, in messages of nothing but text."""
    if not isinstance(value, list) or len(value) < 3:
        return False
    texts = [(item.get("role"), item.get("content")) for item in value if isinstance(item, dict)]
    return any(
        role == "assistant" and isinstance(text, str) and bool(_ACTION.search(text)) and _is_result(*after)
        for (role, text), after in pairwise(texts)
    )


def _is_result(role: Any, text: Any) -> bool:
    return role == "user" and isinstance(text, str) and bool(_RESULT.match(text))


def read(source: Input) -> Iterator[Located | Excluded]:
    """The run of a file, or those of its lines, or of a list."""
    for entry in values(source):
        if isinstance(entry, Excluded):
            yield entry
        elif _is_list_of_runs(entry.value):
            for index, run in enumerate(entry.value):
                yield _run(Entry(run, f"{entry.id}[{index}]", entry.line, f"/{index}", {}), source)
        else:
            yield _run(entry, source)


def _run(entry: Entry, source: Input) -> Located | Excluded:
    run = entry.value if isinstance(entry.value, dict) else {"messages": entry.value}
    if not isinstance(run.get("messages"), list):
        return entry.excluded(source, Problem(Reason.NO_MESSAGES))
    info = run.get("info")
    draft = Draft(id=entry.id, source=name, model=first_text(within(info, "config", "model", "model_name")))
    entries = without_exit(listed(run["messages"]), draft.dropped)
    draft.messages = [message for entry in entries if (message := _message(entry, draft.dropped)) is not None]
    native = any(message.get("tool_calls") for message in draft.messages)
    draft.actions = TOOLS if native else "text:mini_swe_agent"
    mark_unasked(draft, is_said=by_a_person)
    draft.date = next((found for entry in entries if (found := when(entry))), None)
    instance = first_text(run.get("instance_id"), within(run, "instance", "instance_id"))
    draft.cluster = f"{name}:{instance}" if instance else None
    draft.labels = labels_of(info, entries_end=listed(run["messages"])[-1:])
    draft.missing = _missing(entries, draft.messages)
    draft.extra = {
        "version": within(info, "mini_version"),
        "model_stats": within(info, "model_stats"),
        "trajectory_format": run.get("trajectory_format"),
    }
    return located(draft, source, entry.line)


def _missing(entries: Sequence[dict[str, Any]], messages: Sequence[Message]) -> set[Missing]:
    missing = set()
    if not any(message["role"] in ("system", "developer") for message in messages):
        missing.add(Missing.SYSTEM_PROMPT)
    shown = any(message.get("reasoning_content") for message in messages)
    counted = any(counts_reasoning(made) for entry in entries for made in (entry, within(entry, "extra", "response")))
    hidden = any(hides_reasoning(entry) or _is_sealed(entry) for entry in entries)
    if hidden or (counted and not shown):
        missing.add(Missing.REASONING)
    return missing


def _is_sealed(entry: dict[str, Any]) -> bool:
    items = [item for item in listed(entry.get("output")) if item.get("type") == "reasoning"]
    return any(item.get("encrypted_content") and not _item_reasoning(item) for item in items)


# -- passes --------------------------------------------------------------------------------------------------


def without_exit(entries: list[dict[str, Any]], dropped: Counter[str]) -> list[dict[str, Any]]:
    """The harness ends the list with a message for itself: of role `exit`, or (older) of role user.

    The older one is empty, or stands after another user message: the model had no reply in between.
    """
    kept = [entry for entry in entries if entry.get("role") != "exit"]
    while len(kept) > 2 and kept[-1].get("role") == "user":
        if content_from(kept[-1].get("content")) and kept[-2].get("role") != "user":
            break
        kept.pop()
    count(dropped, "message of the harness", len(entries) - len(kept))
    return kept


def _message(entry: dict[str, Any], dropped: Counter[str]) -> Message | None:
    if entry.get("object") == "response" or isinstance(entry.get("output"), list):
        return from_response(entry)
    if entry.get("type") == "function_call_output":
        output = content_from(entry.get("output"))
        return {"role": "tool", "tool_call_id": text_or(entry.get("call_id")), "content": output}
    role = entry.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        dropped["message of unknown role"] += 1
        return None
    if within(entry, "extra", "interrupt_type") == "FormatError":
        dropped["reply that could not be read"] += 1
    if role == "assistant":
        return reply(entry.get("content"), chat_calls(entry), reasoning_of(entry))
    message: Message = {"role": role, "content": content_from(entry.get("content"))}
    if role == "tool":
        message["tool_call_id"] = text_or(entry.get("tool_call_id"))
    return message


_BY_A_PERSON = (
    "Interrupted by user: ",
    "The user added a new task: ",
    "User command: ",
    "Command not executed. The user rejected ",
    "Commands not executed. The user rejected ",
)
_WITHOUT_WORDS = ("Interrupted by user: Temporary interruption caught.",)


def by_a_person(message: Message) -> bool:
    """Who watches the agent may comment in the middle of a run; one who only pressed a key has said nothing."""
    content = message.get("content")
    return opens_with(content, _BY_A_PERSON) and not opens_with(content, _WITHOUT_WORDS)


def when(entry: dict[str, Any]) -> str | None:
    """Each message was dated, newer ones beside what the harness notes of it."""
    return dated(entry.get("timestamp")) or dated(within(entry, "extra", "timestamp"))


def reasoning_of(entry: dict[str, Any]) -> str:
    """Reasoning stands in the message, or only in the provider's reply that the harness kept beside it."""
    choices = listed(within(entry, "extra", "response", "choices"))
    kept = within(choices[0], "message") if choices else None
    return visible_reasoning(entry) or (visible_reasoning(kept) if isinstance(kept, dict) else "")


def from_response(entry: dict[str, Any]) -> Message:
    """With the Responses API a message of the model is its whole reply: items of text, reasoning and calls."""
    items = listed(entry.get("output"))
    content: str | list[dict[str, Any]] = ""
    for item in items:
        if item.get("type") == "message":
            content = joined(content, content_from(item.get("content")))
    reasoning = [text for item in items if item.get("type") == "reasoning" and (text := _item_reasoning(item))]
    calls = [
        function_call(first_text(item.get("call_id"), item.get("id")), item["name"], item.get("arguments"))
        for item in items
        if item.get("type") == "function_call" and first_text(item.get("name"))
    ]
    return reply(content, calls, "\n\n".join(reasoning))


def _item_reasoning(item: dict[str, Any]) -> str:
    return visible_reasoning({"responses_reasoning_item": item})


def labels_of(info: Any, entries_end: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """How the run ended: from `info`, or from the last message. A long submission is only said to be there."""
    places = [info, *(within(entry, "extra") for entry in entries_end)]
    status = first_text(*(within(place, "exit_status") for place in places))
    submission = first_text(*(within(place, "submission") for place in places))
    labels: dict[str, Any] = {"exit_status": status, "submission": submission}
    if status is not None:
        labels["submitted"] = bool(submission and submission.strip())
    return small_extras(labels)
