"""tau-bench: conversations of a customer service agent with a simulated user.

A list of runs `{task_id, trial, reward, info, traj}` (one document, or one run per line), or a run by itself. `traj`
is the agent's own context in OpenAI form, from the system prompt on, which holds the policy. Tool schemas are not in
the log. Where the user has said `###STOP###`, that message is kept as the last one: it ended the conversation, and
no agent answered it. A call of `transfer_to_human_agents` ends it, too.

Trials of one task are one cluster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from resample.formats.assemble import function_call, listed, located, small_extras, text_or
from resample.formats.base import Draft, Located, Look
from resample.formats.documents import Entry, entries
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.types import Message, Missing

name = "tau_bench"
suffixes = (".json", ".jsonl")

_TRANSFER = "transfer_to_human_agents"
_TAKEN = ("traj", "info", "reward", "task_id", "trial")


def sniff(look: Look) -> bool:
    """Runs with a `traj` and what names the task, or scores it."""
    values = [item for value in look.values for item in (value[:2] if isinstance(value, list) else [value])]
    return any(isinstance(v, dict) and "traj" in v and {"task_id", "reward", "trial"} & v.keys() for v in values)


def read(source: Input) -> Iterator[Located | Excluded]:
    """The runs of a file."""
    for entry in entries(source):
        yield entry if isinstance(entry, Excluded) else _run(entry, source)


def _run(entry: Entry, source: Input) -> Located | Excluded:
    run = entry.value
    if not isinstance(run, dict):
        return entry.excluded(source, Problem(Reason.NOT_AN_OBJECT))
    recorded = run.get("traj")
    if not isinstance(recorded, list):
        return entry.excluded(source, Problem(Reason.NO_MESSAGES))
    messages = [plain_calls(message) for message in listed(recorded)]
    draft = Draft(
        id=entry.id,
        source=name,
        always_has_tools=True,
        messages=messages,
        cluster=cluster_of(run),
        terminal_tools=(_TRANSFER,),
        labels=labels_of(run),
        dropped=Counter({"malformed message": len(recorded) - len(messages)} if len(recorded) > len(messages) else {}),
        extra={key: value for key, value in {**info_of(run), **run}.items() if key not in _TAKEN},
    )
    if not any(message.get("role") in ("system", "developer") for message in messages):
        draft.missing.add(Missing.SYSTEM_PROMPT)
    return located(draft, source, entry.line, entry.pointer)


# -- passes --------------------------------------------------------------------------------------------------


def plain_calls(message: Message) -> Message:
    """Some exports write every key in every message, null or empty where it means nothing.

    Only an assistant message has calls, only a tool message answers one.
    """
    rest = {key: value for key, value in message.items() if key not in ("tool_calls", "tool_call_id")}
    if message.get("role") == "assistant":
        return {**rest, "tool_calls": [_call(call) for call in listed(message.get("tool_calls"))]}
    if message.get("role") == "tool":
        return {**rest, "tool_call_id": text_or(message.get("tool_call_id"))}
    return rest


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    body = function if isinstance(function, dict) else {}
    return function_call(call.get("id"), body.get("name"), body.get("arguments"))


def info_of(run: dict[str, Any]) -> dict[str, Any]:
    """What is known of the task and of how the run went. A run that broke off has its error there."""
    info = run.get("info")
    return info if isinstance(info, dict) else {}


def labels_of(run: dict[str, Any]) -> dict[str, Any]:
    """A reward of 1 means that the end state is the goal's. Failures are not necessarily misaligned."""
    return small_extras(
        {**{key: run.get(key) for key in ("reward", "task_id", "trial")}, "error": info_of(run).get("error")}
    )


def cluster_of(run: dict[str, Any]) -> str | None:
    """Trials of a task. Its number means nothing without the domain, which no run names; its user's name helps."""
    task_id = run.get("task_id")
    task = info_of(run).get("task")
    user = task.get("user_id") if isinstance(task, dict) else None
    if isinstance(task_id, bool) or not isinstance(task_id, int | str) or task_id == "":
        return None
    return ":".join([name, *([user] if isinstance(user, str) and user else []), str(task_id)])
