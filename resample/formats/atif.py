"""ATIF (Agent Trajectory Interchange Format), as Harbor writes it: one JSON object per trajectory, with `steps`.

A step holds a reply together with the outputs of its calls. The conversation is what the model saw at the end of the
file: after a compaction that replaces the context, what stands before it is left out. A run that goes on in another
file (`continued_trajectory_ref`) is a conversation per file, each with the context it began with (copied steps are
just that), and so is each sub-agent, embedded or in a file of its own; they share a cluster.

Terminus writes its keystrokes as JSON in its text, and sees the terminal in the next message. Its steps may hold that
text as it was, or its parts, from which the text is made again. Nobody talks to it: what comes in the user's role after
its first reply is an output, or else the harness's. With other agents, the harness's are the summary of a compaction,
and what a step showed that was no call's output.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from resample.formats.assemble import (
    HARNESS,
    any_schema,
    content_of,
    function_call,
    listed,
    located,
    small_extras,
    text_or,
    text_part,
)
from resample.formats.atif_context import boundary, in_force, without_later_system, without_repeats
from resample.formats.atif_parts import Step, parts_of, results_of, under, was_dispatched
from resample.formats.atif_terminus import TERMINUS, as_written, is_terminus, style_of
from resample.formats.base import Draft, Located, Look
from resample.formats.dates import dated
from resample.formats.documents import Entry, values
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.harness import mark_unasked
from resample.formats.inputs import Input
from resample.types import TOOLS, Message, Missing

name = "atif"
suffixes = (".json", ".jsonl")

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
    """The trajectories of a file; of one that was named by itself, also those in files it refers to."""
    waiting: deque[tuple[Input, str | None]] = deque([(source, None)])
    known = {source.name}
    while waiting:
        file, cluster = waiting.popleft()
        for entry in values(file):
            for item in [entry] if isinstance(entry, Excluded) else _trajectories(entry, file):
                if isinstance(item, Excluded):
                    yield item
                    continue
                trajectory, id, line = item
                shared = cluster or cluster_of(trajectory, id)
                for draft in drafts(trajectory, id, file):
                    draft.cluster = shared
                    yield located(draft, file, line)
                for reference in references(trajectory) if source.named else ():
                    found = file.beside(reference) if len(known) < _MOST_FILES else None
                    if found is not None and found.name not in known:
                        known.add(found.name)
                        waiting.append((found, shared))


def references(trajectory: dict[str, Any]) -> Iterator[str]:
    """The files in which a run's sub-agents stand, and in which it goes on."""
    for step in listed(trajectory.get("steps")):
        for result in results_of(step):
            for reference in listed(result.get("subagent_trajectory_ref")):
                if path := text_or(reference.get("trajectory_path")):
                    yield path
    if following := text_or(trajectory.get("continued_trajectory_ref")):
        yield following


def _trajectories(entry: Entry, source: Input) -> Iterator[tuple[dict[str, Any], str, int] | Excluded]:
    """The trajectories of a record, with id and line."""
    value, place = entry.value, entry.id
    items = [(f"{place}[{i}]", item) for i, item in enumerate(value)] if isinstance(value, list) else [(place, value)]
    for id, item in items:
        if isinstance(item, dict):
            yield item, id, entry.line
        else:
            problem = Problem(Reason.NOT_AN_OBJECT, f"{type(item).__name__} instead of a trajectory")
            yield Excluded.at(source.shown, entry.line, problem)


def drafts(trajectory: dict[str, Any], id: str, source: Input) -> Iterator[Draft]:
    """A trajectory, and the sub-agents embedded in it, each a conversation of its own."""
    waiting = [(trajectory, id)]
    while waiting:
        value, place = waiting.pop()
        yield _draft(value, place, source)
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
    seen = without_repeats(in_force(steps, draft, keeps_task=is_terminus(agent)), draft.dropped)
    if draft.actions == TERMINUS:
        seen = as_written(seen, draft)
    draft.messages = [message for step in seen for message in messages_of(step, draft, source)]
    draft.messages = without_later_system(draft.messages, draft.dropped)
    if is_terminus(agent):
        mark_unasked(draft)
    draft.date = next((when for step in steps if (when := dated(step.get("timestamp")))), None)
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
        "parser": under(agent.get("extra"), "parser"),
        "folded_steps": sum(folds_calls(step) for step in seen) or None,
    }
    return draft


def messages_of(step: Step, draft: Draft, source: Input) -> list[Message]:
    """The messages that one step stands for."""
    origin = step.get("source")
    if boundary(step) is not None:
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
    outputs = outputs_of(step, draft, source)
    if origin == "system":  # what else it did was not shown to the model
        outputs = [message for message in outputs if message["role"] == "tool"]
    mark = {HARNESS: True} if step.get(HARNESS) else {}
    return [*([{"role": origin, "content": content, **mark}] if content else []), *outputs]


# -- the agent's steps ------------------------------------------------------------------------------------------------


def folds_calls(step: Step) -> bool:
    """Several calls of a model in one step: what stands before it is exact, what is in it is not one reply."""
    return type(step.get("llm_call_count")) is int and step["llm_call_count"] > 1


def dispatched(step: Step, draft: Draft, source: Input) -> list[Message]:
    """What the harness did by a rule is no reply of the model. What came of it was shown to the model."""
    draft.dropped["deterministic dispatch"] += 1
    shown = [part for result in results_of(step) for part in parts_of(result.get("content"), draft, source)]
    return [{"role": "user", "content": content_of(shown), HARNESS: True}] if shown else []


def reply_of(step: Step, draft: Draft, source: Input) -> Message:
    """The reply of a step."""
    content = content_of(parts_of(step.get("message"), draft, source))
    reasoning = text_or(step.get("reasoning_content"))
    if hides_reasoning(step):
        draft.missing.add(Missing.REASONING)
    calls = calls_of(step)
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


def outputs_of(step: Step, draft: Draft, source: Input) -> list[Message]:
    """What a step's calls gave, each output at its call; what is no call's output is the next message to the model.

    Results of one call are one output. The result of a sub-agent may be only a reference to its trajectory.
    """
    results = results_of(step)
    calls = [id for id, _ in calls_of(step)] if step.get("source") == "agent" else []
    outputs: dict[str | None, list[dict[str, Any]]] = {}
    for result, id in zip(results, linked(results, calls), strict=True):
        if result.get("content") is None and result.get("subagent_trajectory_ref"):
            draft.missing.update({Missing.TRUNCATED_OUTPUTS} if id is not None else ())
            draft.dropped["output of a sub-agent"] += 1
        outputs.setdefault(id, []).extend(parts_of(result.get("content"), draft, source))
    unlinked = outputs.pop(None, [])
    if waiting := [id for id in calls if id not in outputs] if unlinked else []:
        outputs |= shared_output(waiting, unlinked)
        unlinked = []
    messages: list[Message] = [
        {"role": "tool", "tool_call_id": id, "content": content_of(parts)} for id, parts in outputs.items()
    ]
    if unlinked:
        mark = {HARNESS: True} if draft.actions == TOOLS else {}  # an agent that writes text gets outputs so
        messages.append({"role": "user", "content": content_of(_as_one_text(unlinked)), **mark})
    return messages


def linked(results: Sequence[dict[str, Any]], calls: Sequence[str]) -> list[str | None]:
    """The call each result belongs to. Where no result says so, and there is one for each call, it is by order."""
    said = [text_or(result.get("source_call_id")) or None for result in results]
    if not any(said) and len(results) == len(calls):
        return list(calls)
    return said


def shared_output(calls: Sequence[str], parts: list[dict[str, Any]]) -> dict[str | None, list[dict[str, Any]]]:
    """A result that names no call, where several wait: it is what all of them gave, and stands at the last one."""
    return {**{id: [] for id in calls}, calls[-1]: parts}


def _as_one_text(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if all(part.get("type") == "text" for part in parts):
        return [text_part("\n".join(part["text"] for part in parts))]
    return parts


def hides_reasoning(step: Step) -> bool:
    """Tokens of a reasoning were counted, and none of it is shown. Each agent counts under a name of its own."""
    extra = under(step.get("metrics"), "extra")
    counts = [under(extra, key) for key in ("reasoning_tokens", "reasoning_output_tokens")]
    counts.append(under(under(extra, "completion_tokens_details"), "reasoning_tokens"))
    return any(isinstance(count, int) and count > 0 for count in counts) and not text_or(step.get("reasoning_content"))


# -- what stands beside the steps -------------------------------------------------------------------------------------

_PART_OF_RUN = re.compile(r"[-.](?:summarization-\d+-[a-z]+|cont-\d+)\Z")
_TRIAL = re.compile(r"(.+)__[A-Za-z0-9]{7}")


def cluster_of(trajectory: dict[str, Any], id: str) -> str:
    """Trials of one task, by the folder that Harbor gives a trial; or else one run, by its session or its file.

    Sub-agents of a run and its continuations may have a session id of their own, that begins with the run's; so do
    the names of their files.
    """
    folders = PurePosixPath(id).parts[:-1]
    trial = next((found for folder in reversed(folders) if (found := _TRIAL.fullmatch(folder))), None)
    if trial is not None:
        return f"{name}:task:{trial[1]}"
    session = text_or(trajectory.get("session_id"))
    return f"{name}:session:{_run_of(session)}" if session else f"{name}:file:{_run_of(id.removesuffix('.json'))}"


def _run_of(part: str) -> str:
    """The name of a run, from that of one of its parts, which may be parts of parts."""
    while (shorter := _PART_OF_RUN.sub("", part)) != part:
        part = shorter
    return part


def model_of(steps: Sequence[Step]) -> str | None:
    """The model of the last reply that names one."""
    return next((found for step in reversed(steps) if (found := text_or(step.get("model_name")))), None)


def labels_of(trajectory: dict[str, Any]) -> dict[str, Any]:
    """What a verifier said, where somebody has put it beside the trajectory."""
    keys = ("reward", "rewards", "verifier_result", "exit_status", "exception_info")
    return small_extras({key: under(trajectory.get("extra"), key) for key in keys})
