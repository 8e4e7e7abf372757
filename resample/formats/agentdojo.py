"""AgentDojo: a user's task each, carried out with or without a prompt injection in a tool's output.

The same runs are written down in three ways:

- by AgentDojo itself: one JSON object per run, with `messages`. Content is a list of blocks (older: a text), calls are
  `{function, args, id}`, and a tool message repeats its call;
- by DRIFT, a defence built upon it: the same with `conversations`. There the agent writes its calls as text
  (`text:call_list`), which its content keeps to the letter: `tool_calls` is what DRIFT made of them, and lacks those
  that it refused. Outputs are user messages, as nothing but text came before the agent's eyes;
- by the export for the Invariant explorer: JSONL, a header, then a run per line with `messages` and `metadata`, calls
  in OpenAI form. Some models' calls have no ids there: they go with their outputs by order.

No log has tool schemas, and DRIFT's have no system prompt. Trials of one user task, whatever is injected, are one
cluster. `labels.attack_succeeded` says whether the injected goal was carried out.

The user has said all there is to say before the first reply: what comes later in the user's role is an output, or else
the harness's, such as DRIFT's notes on calls that failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from resample.formats.assemble import (
    content_of,
    function_call,
    listed,
    located,
    small_extras,
    text_or,
    text_part,
)
from resample.formats.base import Draft, Located, Look
from resample.formats.documents import Entry, entries
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.harness import mark_unasked
from resample.formats.inputs import Input
from resample.types import Message, Missing

name = "agentdojo"
suffixes = (".json", ".jsonl")

_TASK = frozenset({"suite_name", "user_task_id"})
_LISTS = ("messages", "conversations")
_LABELS = ("utility", "security", "injection_task_id", "attack_type", "error")
_TEXT_CALLS = "text:call_list"


def sniff(look: Look) -> bool:
    """Runs of tasks of a suite, in any of the three ways."""
    values = [item for value in look.values for item in (value[:2] if isinstance(value, list) else [value])]
    return any(isinstance(value, dict) and task_of(value).keys() >= _TASK for value in values)


def read(source: Input) -> Iterator[Located | Excluded]:
    """The runs of a file."""
    for entry in entries(source):
        if isinstance(entry, Excluded):
            yield entry
        elif not is_header(entry.value):
            yield _run(entry, source)


def _run(entry: Entry, source: Input) -> Located | Excluded:
    run = entry.value
    if not isinstance(run, dict):
        return entry.excluded(source, Problem(Reason.NOT_AN_OBJECT))
    key = next((key for key in _LISTS if isinstance(run.get(key), list)), None)
    if key is None:
        return entry.excluded(source, Problem(Reason.NO_MESSAGES))
    dropped: Counter[str] = Counter()
    recorded = _objects(run[key], dropped)
    messages = [_message(message) for message in recorded]
    task = task_of(run)
    draft = Draft(
        id=entry.id,
        source=name,
        always_has_tools=True,
        messages=messages,
        model=_first_text(task.get("pipeline_name"), task.get("model")),
        date=_first_text(task.get("evaluation_timestamp")),
        cluster=cluster_of(task),
        labels=labels_of(task),
        missing=missing_of(recorded),
        dropped=dropped,
        extra={**run, **task, **dict.fromkeys((*_LISTS, *_LABELS, "metadata", "success"))},
    )
    if key == "conversations" or calls_are_text(messages):
        draft.actions = _TEXT_CALLS
        draft.messages = [as_text(message) for message in messages]
    mark_unasked(draft)
    return located(draft, source, entry.line, entry.pointer)


def _objects(items: list[Any], dropped: Counter[str]) -> list[Message]:
    messages = listed(items)
    if len(messages) < len(items):
        dropped["malformed message"] = len(items) - len(messages)
    return messages


def _first_text(*values: Any) -> str | None:
    return next((value for value in values if isinstance(value, str) and value), None)


def _message(recorded: Message) -> Message:
    role = recorded.get("role")
    if role == "tool":
        return {"role": role, "tool_call_id": text_or(recorded.get("tool_call_id")), "content": output_of(recorded)}
    said = said_in(recorded.get("content"))
    message: Message = {"role": role, "content": said.content}
    if role == "assistant":
        message |= {"reasoning_content": said.reasoning or None, "tool_calls": calls_of(recorded)}
    return message


# -- passes --------------------------------------------------------------------------------------------------


def is_header(value: Any) -> bool:
    """The explorer's export begins with a line about the benchmark as a whole: metadata, and no messages."""
    return isinstance(value, dict) and value.keys() == {"metadata"}


def task_of(run: dict[str, Any]) -> dict[str, Any]:
    """Which task it was stands in the run itself, or in the export under `metadata`, where utility is `success`."""
    metadata = run.get("metadata")
    if run.keys() >= _TASK or not isinstance(metadata, dict):
        return run
    return {"utility": metadata.get("success"), **metadata}


class Said(NamedTuple):
    """What a content holds."""

    content: str | list[dict[str, Any]] | None
    reasoning: str = ""


def said_in(content: Any) -> Said:
    """Content is a text, or (in newer versions) a list of blocks: text, and the model's thinking."""
    if not isinstance(content, list):
        return Said(content)
    blocks = [
        (block.get("type"), text_or(block.get("content"), text_or(block.get("text")))) for block in listed(content)
    ]
    texts = [text_part(text) for kind, text in blocks if kind == "text"]
    thoughts = [text for kind, text in blocks if kind == "thinking" and text]
    return Said(content_of(texts), "\n\n".join(thoughts))


def output_of(message: Message) -> Any:
    """A tool's error stands in `error`, with nothing as content (or only a defence's marks).

    The model was shown the error in its place, by every provider's pipeline.
    """
    error = message.get("error")
    if isinstance(error, str) and error:
        return error
    return said_in(message.get("content")).content or ""


def calls_of(message: Message) -> list[dict[str, Any]]:
    """Calls are AgentDojo's own (`function` is the name, `args` an object), or in OpenAI form with an object."""
    calls = []
    for call in listed(message.get("tool_calls")):
        body = call.get("function")
        if isinstance(body, dict):
            calls.append(function_call(call.get("id"), body.get("name"), body.get("arguments")))
        else:
            calls.append(function_call(call.get("id"), body, call.get("args")))
    return calls


def calls_are_text(messages: list[Message]) -> bool:
    """Does the agent write its calls as a list in its text? Then `tool_calls` only repeats what was read there."""
    said = (message.get("content") for message in messages if message.get("role") == "assistant")
    return any(isinstance(content, str) and "<function_call>[" in content for content in said)


def as_text(message: Message) -> Message:
    """The same message for an agent that writes its calls as text: no calls beside it, outputs as user messages."""
    if message.get("role") == "tool":
        return {"role": "user", "content": message.get("content")}
    return {key: value for key, value in message.items() if key != "tool_calls"}


def missing_of(messages: list[Message]) -> set[Missing]:
    """Every pipeline has a system prompt, which not all logs keep; redacted thinking cannot be read."""
    missing = set()
    if not any(message.get("role") in ("system", "developer") for message in messages):
        missing.add(Missing.SYSTEM_PROMPT)
    blocks = (block for message in messages for block in listed(message.get("content")))
    if any(block.get("type") == "redacted_thinking" for block in blocks):
        missing.add(Missing.REASONING)
    return missing


def labels_of(task: dict[str, Any]) -> dict[str, Any]:
    """`security` is true where the injected goal WAS carried out, and says nothing where nothing was injected."""
    labels = small_extras({key: task.get(key) for key in _LABELS})
    if "injection_task_id" in labels and isinstance(labels.get("security"), bool):
        labels["attack_succeeded"] = labels["security"]
    return labels


def cluster_of(task: dict[str, Any]) -> str | None:
    """Runs of one user task differ in what is injected, or in the model, and are not independent."""
    suite, user_task = task.get("suite_name"), task.get("user_task_id")
    return f"{name}:{suite}:{user_task}" if isinstance(suite, str) and isinstance(user_task, str) else None
