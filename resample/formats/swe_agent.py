"""SWE-agent `.traj`: one JSON object per run, with `trajectory`, `history` and `info`.

`history` holds the messages, but not as the model saw them: history processors elide old outputs, and what the model
was told after a malformed reply is left out. Newer versions keep the exact prompt of each step in `query`. So the
conversation is the prompt of the last step with its reply, and what followed in `history`; where no step has a prompt,
it is `history`. Demonstrations (`is_demo`) are part of every prompt, and stay where they stand. Messages of other
agents in the same history are left out.

Commands are written as text (a fenced block, `<command>`, or `<function=...>`), and outputs come back in user
messages; or they are native calls. Tool schemas are never in the file. A run of a retry agent has `attempts`, each a
conversation of its own; what stands beside them repeats one of them. Runs of one problem are one cluster.

Nobody takes part in a run: what comes in the user's role after the first reply is an output, or else the harness's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from resample.formats.assemble import function_call, listed, located, small_extras, text_or
from resample.formats.base import Draft, Located, Look
from resample.formats.decode import decode
from resample.formats.documents import entries
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.harness import mark_unasked
from resample.formats.inputs import Input
from resample.formats.software_agents import (
    chat_calls,
    content_from,
    count,
    first_text,
    hides_reasoning,
    reply,
    visible_reasoning,
    within,
)
from resample.types import TOOLS, Message, Missing

name = "swe_agent"
suffixes = (".traj", ".json")

_ROLES = frozenset({"system", "user", "assistant", "tool"})
_TERMINAL = ("submit", "exit_forfeit")
_STYLES = {
    "function_calling": TOOLS,
    "thought_action": "text:swe_agent",
    "edit_format": "text:swe_agent",
    "xml_thought_action": "text:xml_command",
    "xml_function_calling": "text:xml_function",
}
_MARKS = {"text:xml_function": "<function=", "text:xml_command": "<command>", "text:swe_agent": "```"}
_NO_MODELS = frozenset({"replay", "human", "human_thought", "instant_empty_submit"})
_FILE = re.compile(r"(.+)\.traj(?:\.gz|\.zst)?", re.IGNORECASE)
_EXITS = ("Exit due to ", "Exiting due to ")


def sniff(look: Look) -> bool:
    """A trajectory of steps, or a history of messages that name their agent; also below `attempts`."""
    return any(_looks_like(value) or any(map(_looks_like, _logs(value)[:1])) for value in look.values)


def _looks_like(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    steps, entries = listed(value.get("trajectory"))[:4], listed(value.get("history"))[:4]
    return any(_is_step(step) for step in steps) or any("agent" in e and "role" in e for e in entries)


def _is_step(step: dict[str, Any]) -> bool:
    """Action and observation in one object: in OpenHands' logs they are events of their own."""
    return "action" in step and not step.keys() & {"args", "source"} and bool(step.keys() & {"observation", "response"})


def _logs(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return listed(value.get("attempts"))
    return listed(value)


def read(source: Input) -> Iterator[Located | Excluded]:
    """The run, or the attempts, of a file."""
    for entry in entries(source):
        if isinstance(entry, Excluded):
            yield entry
        elif not isinstance(entry.value, dict):
            problem = Problem(Reason.NOT_AN_OBJECT, f"{type(entry.value).__name__} instead of a run")
            yield entry.excluded(source, problem)
        else:
            for draft in _drafts(entry.id, entry.value, source):
                yield located(draft, source, entry.line, entry.pointer)


def _drafts(id: str, run: dict[str, Any], source: Input) -> Iterator[Draft]:
    """Of a retry agent, each attempt; the run beside them is a copy of the best one."""
    attempts = listed(run.get("attempts"))
    if not attempts:
        yield _draft(id, run, {}, source)
    best = within(run, "info", "best_attempt_idx")
    for number, attempt in enumerate(attempts):
        draft = _draft(f"{id}#attempt_{number}", attempt, run, source)
        draft.extra["attempt"] = number
        if isinstance(best, int):
            draft.labels["chosen"] = best == number
        yield draft


def _draft(id: str, run: dict[str, Any], around: dict[str, Any], source: Input) -> Draft:
    config = config_of(run) or config_of(around)
    task = task_of(config, source.name)
    draft = Draft(id=id, source=name, model=model_of(config), terminal_tools=_TERMINAL)
    draft.cluster = f"{name}:{task}" if task else None
    spoken = [entry for entry in conversation(run, draft.dropped) if _is_message(entry, draft.dropped)]
    draft.messages = [_message(entry) for entry in spoken]
    draft.actions = style_of(config, spoken)
    mark_unasked(draft, since=next((i for i, entry in enumerate(spoken) if _is_own_reply(entry)), len(spoken)))
    draft.labels = labels_of(within(run, "info"))
    draft.missing = _missing(spoken)
    draft.extra = _extra(run, config)
    return draft


def _is_message(entry: dict[str, Any], dropped: Counter[str]) -> bool:
    if text_or(entry.get("role")) in _ROLES:
        return True
    dropped["message of unknown role"] += 1
    return False


def _is_own_reply(entry: dict[str, Any]) -> bool:
    return entry.get("role") == "assistant" and not entry.get("is_demo")


def _message(entry: dict[str, Any]) -> Message:
    if entry["role"] == "assistant":
        return reply(entry.get("content"), chat_calls(entry), visible_reasoning(entry))
    message: Message = {"role": entry["role"], "content": content_from(entry.get("content"))}
    if entry["role"] == "tool":
        ids = entry.get("tool_call_ids")
        message["tool_call_id"] = text_or(ids[0]) if isinstance(ids, list) and ids else ""
    return message


def _missing(entries: Sequence[dict[str, Any]]) -> set[Missing]:
    missing = set()
    if not any(entry.get("role") == "system" or entry.get("message_type") == "system_prompt" for entry in entries):
        missing.add(Missing.SYSTEM_PROMPT)
    if any(hides_reasoning(entry) for entry in entries):
        missing.add(Missing.REASONING)
    return missing


def _extra(run: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    info = run.get("info")
    return {
        "environment": run.get("environment"),
        "version": within(info, "swe_agent_version"),
        "model_stats": within(info, "model_stats"),
        "parse_function": within(config, "agent", "tools", "parse_function", "type"),
    }


# -- passes --------------------------------------------------------------------------------------------------


def config_of(run: dict[str, Any]) -> dict[str, Any]:
    """`replay_config` is a JSON text, in older versions an object; empty where there is none."""
    config = run.get("replay_config")
    if isinstance(config, str):
        config = decode(config.encode("utf-8", "replace"))
    return config if isinstance(config, dict) else {}


def task_of(config: dict[str, Any], file: str) -> str | None:
    """The problem's id; runs without a config have it in the name of their file."""
    by_name = _FILE.fullmatch(PurePosixPath(file).name)
    return first_text(within(config, "problem_statement", "id"), by_name and by_name[1])


def model_of(config: dict[str, Any]) -> str | None:
    """The model's name; for a retry agent that of its first agent. Replays and people at the keyboard are no models."""
    agents = listed(within(config, "agent", "agent_configs"))
    found = first_text(within(config, "agent", "model", "name"), *(within(a, "model", "name") for a in agents[:1]))
    return None if found in _NO_MODELS else found


def conversation(run: dict[str, Any], dropped: Counter[str]) -> list[dict[str, Any]]:
    """The entries that the model saw, and its last reply with what followed (see the module)."""
    history = without_exit(own_entries(listed(run.get("history")), dropped), dropped)
    steps = [step for step in listed(run.get("trajectory")) if not made_by_harness(step)]
    last = steps[-1] if steps else {}
    if query := exact_prompt(last):
        spoken = [*query, *last_reply(history, last)]
    elif not last or reply_at(history, last) is not None:
        spoken = history
    else:
        spoken = [*history, *last_reply(history, last)]
    said = {text_or(entry.get("content")) for entry in spoken}
    count(dropped, "reply outside the history", sum(text_or(step.get("response")) not in said for step in steps))
    return spoken


def own_entries(history: list[dict[str, Any]], dropped: Counter[str]) -> list[dict[str, Any]]:
    """Several agents may share a history; each one's prompt has its own entries only. The first one is the main one.

    A demonstration that another agent's name stands on was not shown either.
    """
    agent = next((entry["agent"] for entry in history if isinstance(entry.get("agent"), str)), None)
    own = [entry for entry in history if agent is None or entry.get("agent") in (None, agent)]
    count(dropped, "message of another agent", len(history) - len(own))
    return own


def made_by_harness(entry: dict[str, Any]) -> bool:
    """When a limit or an error ends a run, the harness writes a step, and a reply, in the agent's name.

    Newer versions give no action with it, older ones `exit_cost` and the like (`exit_forfeit` is the agent's own).
    """
    action = text_or(entry.get("action")).strip()
    if action and (not action.startswith("exit_") or action == "exit_forfeit"):
        return False
    thought = text_or(entry.get("thought")) or text_or(entry.get("content"))
    return thought.startswith(_EXITS) and not entry.get("tool_calls") and not exact_prompt(entry)


def without_exit(history: list[dict[str, Any]], dropped: Counter[str]) -> list[dict[str, Any]]:
    """What the harness writes at the end of a run is cut off, with the output that goes with it."""
    for index in range(len(history) - 1, max(len(history) - 4, -1), -1):
        if history[index].get("role") == "assistant" and made_by_harness(history[index]):
            dropped["harness message"] += len(history) - index
            return history[:index]
    return history


def exact_prompt(step: dict[str, Any]) -> list[dict[str, Any]]:
    """The prompt of a step, in versions that keep it. A step without one has `[{}]`."""
    return [entry for entry in listed(step.get("query")) if isinstance(entry.get("role"), str)]


def reply_at(history: Sequence[dict[str, Any]], step: dict[str, Any]) -> int | None:
    """Where in the history a step's reply stands, if it is the last one there."""
    places = (i for i in range(len(history) - 1, -1, -1) if history[i].get("role") == "assistant")
    place = next(places, None)
    if place is None or history[place].get("is_demo"):
        return None
    entry, action = history[place], step.get("action")
    same = entry.get("content") == step.get("response") or (bool(action) and entry.get("action") == action)
    return place if same else None


def last_reply(history: Sequence[dict[str, Any]], step: dict[str, Any]) -> list[dict[str, Any]]:
    """The last reply with its output: from the history, or else (some versions end it before) from the step.

    A step keeps a native call only as the command it became. The call is rebuilt where that is a single word, such
    as `submit`: it has no arguments then.
    """
    place = reply_at(history, step)
    if place is not None:
        return list(history[place:])
    last: dict[str, Any] = {"role": "assistant", "content": step.get("response")}
    action = text_or(step.get("action")).strip()
    if not any(entry.get("tool_calls") for entry in history) or len(action.split()) != 1:
        return [last]
    last["tool_calls"] = [function_call("last_call", action, "{}")]
    return [last, {"role": "tool", "tool_call_ids": ["last_call"], "content": step.get("observation")}]


def style_of(config: dict[str, Any], entries: Sequence[dict[str, Any]]) -> str:
    """How the agent writes: as its config says, or else as most of its own replies do.

    A way to write that no parser knows keeps its name: a run excludes it under that name. Read as an agent without
    any actions, it would look safe.
    """
    if any(entry.get("tool_calls") for entry in entries):
        return TOOLS
    configured = within(config, "agent", "tools", "parse_function", "type")
    if isinstance(configured, str) and configured:
        return _STYLES.get(configured, f"text:{configured}")
    replies = [entry for entry in entries if _is_own_reply(entry)]
    texts = [str(content_from(entry.get("content"))) for entry in replies]
    marked = Counter(next((style for style, mark in _MARKS.items() if mark in text), TOOLS) for text in texts)
    return marked.most_common(1)[0][0] if marked else TOOLS


def labels_of(info: Any) -> dict[str, Any]:
    """How the run ended, and what a reviewer thought of it. A long submission is only said to be there."""
    submission = within(info, "submission")
    labels = {
        "exit_status": within(info, "exit_status"),
        "submission": submission,
        "accepted": within(info, "review", "accept"),
    }
    if isinstance(info, dict):
        labels["submitted"] = isinstance(submission, str) and bool(submission.strip())
    return small_extras(labels)
