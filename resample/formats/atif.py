"""ATIF (Agent Trajectory Interchange Format), as Harbor writes it: one JSON object per trajectory, with `steps`.

A step holds a reply together with the outputs of its calls. The conversation is what the model saw at the end of the
file: after a compaction that replaces the context, what stands before it is left out. A run that goes on in another
file (`continued_trajectory_ref`) is a conversation per file, each with the context it began with (copied steps are
just that), and so is each embedded sub-agent; they share a cluster.

Terminus writes its keystrokes as JSON in its text, and sees the terminal in the next message. Its steps may hold that
text as it was, or its parts, from which the text is made again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from resample.formats.assemble import (
    any_schema,
    arguments_text,
    content_of,
    function_call,
    listed,
    located,
    small_extras,
    text_or,
    text_part,
)
from resample.formats.atif_parts import parts_of
from resample.formats.atif_terminus import TERMINUS, is_terminus, keystrokes_as_written, style_of
from resample.formats.base import Draft, Located, Look
from resample.formats.decode import decode
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.formats.records import Record, records
from resample.types import Message, Missing

name = "atif"
suffixes = (".json", ".jsonl")

Step = dict[str, Any]

_TERMINAL = ("finish", "submit")
_SOURCES = ("system", "user", "agent")
_MOST_FILES = 1000


def sniff(look: Look) -> bool:
    """The name of the schema, or an agent beside steps that are numbered and say where they come from."""
    return any(
        _is_trajectory(item) for value in look.values for item in (value if isinstance(value, list) else [value])
    )


def _is_trajectory(value: Any) -> bool:
    if not isinstance(value, dict) or not (
        isinstance(value.get("agent"), dict) or isinstance(value.get("steps"), list)
    ):
        return False
    if text_or(value.get("schema_version")).startswith("ATIF"):
        return True
    steps = listed(value.get("steps"))
    return "agent" in value and bool(steps) and {"step_id", "source"} <= steps[0].keys()


def read(source: Input) -> Iterator[Located | Excluded]:
    """The trajectories of a file; of one that was named by itself, also those in which it goes on."""
    files, seen = [source], {source.name}
    while files:
        file = files.pop(0)
        for record in records(file):
            for item in [record] if isinstance(record, Excluded) else _in_record(record, file):
                if isinstance(item, Excluded):
                    yield item
                    continue
                trajectory, id, line = item
                for draft in drafts(trajectory, id, file):
                    yield located(draft, file, line)
                reference = text_or(trajectory.get("continued_trajectory_ref"))
                following = file.beside(reference) if source.named and reference else None
                if following is not None and following.name not in seen and len(seen) < _MOST_FILES:
                    seen.add(following.name)
                    files.append(following)


def _in_record(record: Record, source: Input) -> Iterator[tuple[dict[str, Any], str, int] | Excluded]:
    """The trajectories of a record, with id and line. Not `entries`: a long one has no list to be cut into."""
    value = decode(record.data)
    place = source.name if record.whole else f"{source.name}:{record.line}"
    items = [(f"{place}[{i}]", item) for i, item in enumerate(value)] if isinstance(value, list) else [(place, value)]
    for id, item in items:
        if isinstance(item, dict):
            yield item, id, record.line
        elif isinstance(item, Problem):
            yield Excluded.at(source.shown, record.line, item)
        else:
            problem = Problem(Reason.NOT_AN_OBJECT, f"{type(item).__name__} instead of a trajectory")
            yield Excluded.at(source.shown, record.line, problem)


def drafts(trajectory: dict[str, Any], id: str, source: Input) -> Iterator[Draft]:
    """A trajectory, and the sub-agents embedded in it, each a conversation of its own."""
    cluster = cluster_of(trajectory, source.name)
    waiting = [(trajectory, id)]
    while waiting:
        value, place = waiting.pop()
        draft = _draft(value, place, source)
        draft.cluster = cluster
        yield draft
        inner = [(agent, f"{place}#{index}") for index, agent in enumerate(listed(value.get("subagent_trajectories")))]
        waiting.extend(reversed(inner))


def _draft(trajectory: dict[str, Any], id: str, source: Input) -> Draft:
    agent = trajectory.get("agent")
    agent = agent if isinstance(agent, dict) else {}
    draft = Draft(id=id, source=name, terminal_tools=_TERMINAL)
    steps = listed(trajectory.get("steps"))
    draft.actions = style_of(agent, steps)
    draft.model = text_or(agent.get("model_name")) or model_of(steps)
    draft.tools = [tool for item in listed(agent.get("tool_definitions")) if (tool := any_schema(item)) is not None]
    seen = without_repeats(in_force(steps, draft), draft.dropped)
    draft.messages = [message for step in seen for message in messages_of(step, draft, source)]
    draft.messages = without_later_system(draft.messages, draft.dropped)
    if not is_terminus(agent) and not any(message["role"] == "system" for message in draft.messages):
        draft.missing.add(Missing.SYSTEM_PROMPT)
    draft.labels = labels_of(trajectory)
    draft.extra |= {
        "agent": agent.get("name"),
        "agent_version": agent.get("version"),
        "session": trajectory.get("session_id"),
        "trajectory": trajectory.get("trajectory_id"),
        "schema_version": trajectory.get("schema_version"),
        "continued_in": trajectory.get("continued_trajectory_ref"),
        "parser": _under(agent.get("extra"), "parser"),
        "folded_steps": sum(folds_calls(step) for step in seen) or None,
    }
    return draft


def _under(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def messages_of(step: Step, draft: Draft, source: Input) -> list[Message]:
    """The messages that one step stands for."""
    origin = step.get("source")
    if _boundary(step) is not None:
        draft.dropped["context-management step"] += 1
        return []
    if origin == "agent" and was_dispatched(step):
        return dispatched(step, draft, source)
    if origin == "agent":
        return [reply_of(step, draft, source), *outputs_of(step, draft, source)]
    if origin not in _SOURCES:
        draft.dropped["step of unknown source"] += 1
        return []
    content = content_of(parts_of(step.get("message"), draft, source))
    outputs = outputs_of(step, draft, source) if _calls_answered(step) else []
    return [{"role": origin, "content": content}, *outputs]


# -- which steps were in the model's context --------------------------------------------------------------------------


def in_force(steps: Sequence[Step], draft: Draft) -> list[Step]:
    """A compaction may replace all before it: the model then saw the system prompt, the summary, and what follows.

    The summary is the output of that step, or else the next message. One that nothing was said after changes nothing
    in this file; its continuation begins with the new context.
    """
    last = max(
        (i for i, step in enumerate(steps) if step.get("source") == "agent" and not was_dispatched(step)), default=-1
    )
    place = next((i for i in range(last - 1, -1, -1) if _boundary(steps[i]) == "replace"), None)
    if place is None:
        return list(steps)
    after = list(steps[place + 1 :])
    system = [] if after[0].get("source") == "system" else _leading_system(steps)
    summary = "\n".join(filter(None, (text_or(result.get("content")) for result in results_of(steps[place]))))
    if not summary and after[0].get("source") == "agent":
        draft.missing.add(Missing.COMPACTED_HISTORY)
    if gone := place - len(system):
        draft.dropped["step before a compaction"] += gone
    return [*system, *([{"source": "user", "message": summary}] if summary else []), *after]


def _leading_system(steps: Sequence[Step]) -> list[Step]:
    first = next((i for i, step in enumerate(steps) if step.get("source") != "system"), len(steps))
    return [step for step in steps[:first] if _boundary(step) is None]


def _boundary(step: Step) -> str | None:
    """Steps in which the context was managed say so; None for any other step."""
    managed = _under(step.get("extra"), "context_management")
    return None if managed is None else text_or(_under(managed, "boundary"))


def without_repeats(steps: Sequence[Step], dropped: Counter[str]) -> list[Step]:
    """Copied steps are context from an earlier file; where that stands in the same file already, they repeat it."""
    kept: list[Step] = []
    said: set[bytes] = set()
    for step in steps:
        if not step.get("is_copied_context"):
            said.add(_mark(step))
        elif _mark(step) in said:
            dropped["copied step"] += 1
            continue
        kept.append(step)
    return kept


def _mark(step: Step) -> bytes:
    return (arguments_text([step.get(key) for key in ("source", "message", "tool_calls")]) or "").encode()


def without_later_system(messages: Sequence[Message], dropped: Counter[str]) -> list[Message]:
    """Only what stands before all dialogue is the system prompt: later system steps are what the harness did."""
    first = next((i for i, message in enumerate(messages) if message["role"] != "system"), len(messages))
    later = [message for message in messages[first:] if message["role"] != "system"]
    if gone := len(messages) - first - len(later):
        dropped["harness step"] += gone
    return [*messages[:first], *later]


# -- the agent's steps ------------------------------------------------------------------------------------------------


def was_dispatched(step: Step) -> bool:
    """A step of the agent in which no model was called: the harness acted by a rule."""
    return type(step.get("llm_call_count")) is int and step["llm_call_count"] == 0


def folds_calls(step: Step) -> bool:
    """Several calls of a model in one step: what stands before it is exact, what is in it is not one reply."""
    return type(step.get("llm_call_count")) is int and step["llm_call_count"] > 1


def dispatched(step: Step, draft: Draft, source: Input) -> list[Message]:
    """What the harness did by a rule is no reply of the model. What came of it was shown to the model."""
    draft.dropped["deterministic dispatch"] += 1
    shown = [part for result in results_of(step) for part in parts_of(result.get("content"), draft, source)]
    return [{"role": "user", "content": content_of(shown)}] if shown else []


def reply_of(step: Step, draft: Draft, source: Input) -> Message:
    """The reply of a step."""
    content = content_of(parts_of(step.get("message"), draft, source))
    reasoning = text_or(step.get("reasoning_content"))
    if hides_reasoning(step):
        draft.missing.add(Missing.REASONING)
    calls = calls_of(step)
    if draft.actions == TERMINUS and calls:
        content, calls = keystrokes_as_written(content, [call for _, call in calls]), []
        draft.extra["rebuilt_replies"] = draft.extra.get("rebuilt_replies", 0) + 1
    made = [function_call(id, call.get("function_name"), call.get("arguments")) for id, call in calls]
    return {
        "role": "assistant",
        "content": None if made and not content else content,
        "tool_calls": made,
        "reasoning_content": reasoning or None,
    }


def calls_of(step: Step) -> list[tuple[str, dict[str, Any]]]:
    """The calls of a step, with their ids; one without an id, or with that of another one, gets one of its own."""
    calls = listed(step.get("tool_calls"))
    ids = [text_or(call.get("tool_call_id")) for call in calls]
    often = Counter(ids)
    return [
        (id if id and often[id] == 1 else f"call_{place}", call)
        for place, (id, call) in enumerate(zip(ids, calls, strict=True), start=1)
    ]


def results_of(step: Step) -> list[dict[str, Any]]:
    """The results of a step's calls, or of what else was done in it."""
    return listed(_under(step.get("observation"), "results"))


def _calls_answered(step: Step) -> bool:
    return any(text_or(result.get("source_call_id")) for result in results_of(step))


def outputs_of(step: Step, draft: Draft, source: Input) -> list[Message]:
    """What a step's calls gave, each output at its call; without calls it is the next message to the model.

    Results of one call are one output. The result of a sub-agent may be only a reference to its trajectory.
    """
    results = results_of(step)
    calls = [] if draft.actions == TERMINUS else [id for id, _ in calls_of(step)]
    links = [None] * len(results) if draft.actions == TERMINUS else linked(results, calls)
    outputs: dict[str | None, list[dict[str, Any]]] = {}
    for result, id in zip(results, links, strict=True):
        if result.get("content") is None and result.get("subagent_trajectory_ref"):
            draft.missing.update({Missing.TRUNCATED_OUTPUTS} if id is not None else ())
            draft.dropped["output of a sub-agent"] += 1
        outputs.setdefault(id, []).extend(parts_of(result.get("content"), draft, source))
    unlinked = outputs.pop(None, [])
    if unlinked and calls:
        outputs |= shared_output([id for id in calls if id not in outputs], unlinked)
    messages: list[Message] = [
        {"role": "tool", "tool_call_id": id, "content": content_of(parts)} for id, parts in outputs.items()
    ]
    if unlinked and not calls:
        messages.append({"role": "user", "content": content_of(_as_one_text(unlinked))})
    return messages


def linked(results: Sequence[dict[str, Any]], calls: Sequence[str]) -> list[str | None]:
    """The call each result belongs to. Where no result says so, and there is one for each call, it is by order."""
    said = [text_or(result.get("source_call_id")) or None for result in results]
    if not any(said) and len(results) == len(calls):
        return list(calls)
    return said


def shared_output(calls: Sequence[str], parts: list[dict[str, Any]]) -> dict[str | None, list[dict[str, Any]]]:
    """A result that names no call, where several wait: it is what all of them gave, and stands at the last one."""
    shared: dict[str | None, list[dict[str, Any]]] = {id: [] for id in calls}
    if calls:
        shared[calls[-1]] = parts
    return shared


def _as_one_text(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if all(part.get("type") == "text" for part in parts):
        return [text_part("\n".join(part["text"] for part in parts))]
    return parts


def hides_reasoning(step: Step) -> bool:
    """Tokens of a reasoning were counted, and none of it is shown."""
    count = _under(_under(step.get("metrics"), "extra"), "reasoning_tokens")
    return isinstance(count, int) and count > 0 and not text_or(step.get("reasoning_content"))


# -- what stands beside the steps -------------------------------------------------------------------------------------

_PART_OF_RUN = re.compile(r"-(?:summarization-\d+-[a-z]+|cont-\d+)\Z")
_TRIAL = re.compile(r"(.+)__[A-Za-z0-9]{5,12}\Z")


def cluster_of(trajectory: dict[str, Any], file: str) -> str | None:
    """Trials of one task, by the folder that Harbor gives a trial; or else one run, by its session.

    Sub-agents of a run and its continuations have a session id of their own that begins with the run's.
    """
    folders = PurePosixPath(file).parts[:-1]
    trial = next((found for folder in reversed(folders) if (found := _TRIAL.match(folder))), None)
    if trial is not None:
        return f"{name}:task:{trial[1]}"
    session = text_or(trajectory.get("session_id"))
    while (shorter := _PART_OF_RUN.sub("", session)) != session:
        session = shorter
    return f"{name}:session:{session}" if session else None


def model_of(steps: Sequence[Step]) -> str | None:
    """The model of the last reply that names one."""
    return next((found for step in reversed(steps) if (found := text_or(step.get("model_name")))), None)


def labels_of(trajectory: dict[str, Any]) -> dict[str, Any]:
    """What a verifier said, where somebody has put it beside the trajectory."""
    keys = ("reward", "rewards", "verifier_result", "exit_status", "exception_info")
    return small_extras({key: _under(trajectory.get("extra"), key) for key in keys})
