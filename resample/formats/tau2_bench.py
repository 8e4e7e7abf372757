"""tau2-bench: conversations of a customer service agent with a simulated user, who may use tools of their own.

A document of results has `info`, `tasks` and `simulations`; or `simulation_index`, with each simulation in a file of
its own in the folder `simulations` beside it. Such a file is read by itself (and takes what it needs from the results
in the folder above, if that belongs to the same collection), so that the index adds nothing; where the results alone
were named by the user, it is followed.

Messages are what the agent was sent: calls that the user makes, and their outputs, never came before it, and are left
out. The conversation usually begins with a greeting that the harness puts into the agent's mouth. A last message of
the user with `###STOP###`, or another such mark, ended it, and was never answered.

The system prompt is no part of the messages. tau2's own agents have instructions of the harness, which no log
keeps, and then `<policy>`, and in solo mode the user's `<ticket>`, which the log has: they are given here, as the
agent saw them, and the instructions count as missing. How another agent wraps the policy nobody knows: it is given
as it stands.

Trials of one task are one cluster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from resample.formats.assemble import function_call, function_schema, listed, located, small_extras, text_or
from resample.formats.base import Draft, Located, Look
from resample.formats.dates import moment
from resample.formats.documents import Entry, entries
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.types import Message, Missing, ToolSchema

name = "tau2_bench"
suffixes = (".json", ".jsonl")

_LISTS = ("simulations", "simulation_index")
_FOLDER = "simulations"
_RESULTS = "results.json"
_OWN_AGENTS = ("llm_agent", "llm_agent_gt", "llm_agent_solo")
_SOLO = "llm_agent_solo"
_STOP = "###STOP###"
_ENDING_TOOL = "done"


def sniff(look: Look) -> bool:
    """Results, told by what they say of agent and environment, or one simulation."""
    values = [item for value in look.values for item in (value[:2] if isinstance(value, list) else [value])]
    return any(isinstance(value, dict) and (_is_results(value) or _is_simulation(value)) for value in values)


def _is_results(value: dict[str, Any]) -> bool:
    return bool({"agent_info", "environment_info"} & _object(value.get("info")).keys())


def _is_simulation(value: dict[str, Any]) -> bool:
    return {"id", "task_id", "termination_reason"} <= value.keys() and bool({"messages", "ticks"} & value.keys())


def read(source: Input) -> Iterator[Located | Excluded]:
    """The simulations of a file, or of the files its index names."""
    frame: dict[str, Any] | None = None
    setting = Setting()
    embedded = False
    for entry in entries(source, *_LISTS):
        if isinstance(entry, Excluded):
            yield entry
            continue
        if entry.frame is not frame:  # one object for all elements of a document
            frame = entry.frame
            setting = setting_of(frame) if frame else setting_above(source)
        if not entry.pointer.startswith("/simulation_index/"):
            embedded = True
            yield _simulation(entry, source, setting)
        elif not embedded:
            yield from _indexed(entry, source, setting)


def _indexed(entry: Entry, source: Input, setting: Setting) -> Iterator[Located | Excluded]:
    """The simulation of an index entry, unless it is read by itself."""
    if source.member is not None:
        return
    id = _object(entry.value).get("id")
    found = source.beside(f"{_FOLDER}/{id}.json") if isinstance(id, str) and id else None
    if found is None:
        yield entry.excluded(source, Problem(Reason.NO_MESSAGES, f"its file is not in the folder {_FOLDER}"))
    elif source.named:
        for inner in entries(found):
            yield inner if isinstance(inner, Excluded) else _simulation(inner, found, setting)


def _simulation(entry: Entry, source: Input, setting: Setting) -> Located | Excluded:
    simulation = entry.value
    if not isinstance(simulation, dict):
        return entry.excluded(source, Problem(Reason.NOT_AN_OBJECT))
    recorded = simulation.get("messages")
    if not isinstance(recorded, list):
        spoken = "a spoken conversation, kept as ticks" if simulation.get("ticks") else ""
        return entry.excluded(source, Problem(Reason.NO_MESSAGES, spoken))
    dropped: Counter[str] = Counter()
    messages = [_message(message) for message in sent_to_agent(recorded, dropped)]
    draft = Draft(
        id=entry.id,
        source=name,
        always_has_tools=True,
        messages=with_system_prompt(messages, system_prompt(simulation, setting)),
        tools=list(setting.tools),
        model=setting.model,
        date=date_of(simulation, setting),
        cluster=cluster_of(simulation, setting),
        terminal_tools=(_ENDING_TOOL,) if setting.agent == _SOLO else (),
        labels=labels_of(simulation),
        dropped=dropped,
        extra={**simulation, "messages": None, "reward_info": None, "termination_reason": None, **setting.facts},
    )
    if not any(message.get("role") == "system" for message in messages):
        draft.missing.add(Missing.SYSTEM_PROMPT)
    if any(message.get("is_audio") is True for message in listed(recorded)):
        draft.missing.add(Missing.IMAGES)
    return located(draft, source, entry.line, entry.pointer)


def _message(recorded: Message) -> Message:
    role = recorded.get("role")
    message: Message = {"role": role, "content": said_in(recorded)}
    if role == "tool":
        message["tool_call_id"] = call_answered(recorded)
        message["content"] = recorded.get("content") or ""
    elif role == "assistant":
        recorded = with_ending_call(recorded)
        message["content"] = said_in(recorded)
        message["tool_calls"] = [_call(call) for call in listed(recorded.get("tool_calls"))]
        message["reasoning_content"] = reasoning_of(recorded)
    return message


def _call(call: dict[str, Any]) -> dict[str, Any]:
    """tau2's calls are flat; those in `raw_data` are the provider's."""
    body = _object(call.get("function")) or call
    return function_call(call.get("id"), body.get("name"), body.get("arguments"))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


# -- what the results say of all their simulations -----------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """Who the agent was, and what it was told."""

    agent: str = ""
    """Its implementation."""
    model: str | None = None
    domain: str = ""
    policy: str = ""
    tools: tuple[ToolSchema, ...] = ()
    tickets: dict[str, str] = field(default_factory=dict)
    """By task: what an agent in solo mode has in the user's place."""
    facts: dict[str, Any] = field(default_factory=dict)
    began: str = ""
    """When the first of the simulations did."""


def setting_of(results: dict[str, Any]) -> Setting:
    """From a document of results, with or without its simulations."""
    info = _object(results.get("info"))
    agent, environment = _object(info.get("agent_info")), _object(info.get("environment_info"))
    domain = text_or(environment.get("domain_name"))
    implementation = text_or(agent.get("implementation"))
    return Setting(
        implementation,
        text_or(agent.get("llm")) or None,
        domain,
        text_or(environment.get("policy")),
        tuple(tools_of(environment)),
        {_name(task.get("id")): text_or(task.get("ticket")) for task in listed(results.get("tasks"))},
        {"domain": domain, "agent": implementation, "git_commit": info.get("git_commit")},
        text_or(results.get("timestamp")),
    )


def setting_above(source: Input) -> Setting:
    """A simulation in a file of its own has its results in the folder above, which `Input.beside` never looks into.

    Here it is asked from that folder, and only if the collection that the user named goes up to it.
    """
    parts = PurePosixPath(source.name).parts
    if len(parts) < 2 or parts[-2] != _FOLDER:
        return Setting()
    member = None if source.member is None else str(PurePosixPath(source.member).parent.parent / "_")
    path = source.path if source.member is not None else source.path.parent.parent / _RESULTS
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return Setting()
    return _setting_in(Input(path, str(PurePosixPath(*parts[:-2], "_")), member=member), changed)


@lru_cache(maxsize=1)
def _setting_in(folder: Input, changed: int) -> Setting:
    """The setting of all simulations of a folder: read once, not once for each of them. `folder` is a file in it."""
    results = folder.beside(_RESULTS)
    for entry in entries(results, *_LISTS) if results is not None else ():
        if isinstance(entry, Excluded):
            break
        return setting_of(entry.frame or _object(entry.value))
    return Setting()


# -- passes --------------------------------------------------------------------------------------------------


def tools_of(environment: dict[str, Any]) -> list[ToolSchema]:
    """Tools stand by name in `tool_defs`, which most logs leave empty."""
    tools = _object(environment.get("tool_defs"))
    bodies = ((tool_name, _object(tool)) for tool_name, tool in tools.items())
    return [function_schema(tool_name, body.get("doc"), body.get("params")) for tool_name, body in bodies if tool_name]


def system_prompt(simulation: dict[str, Any], setting: Setting) -> str:
    """The policy (in some domains each simulation has its own), in the form the agent is known to see it in."""
    policy = text_or(simulation.get("policy")) or setting.policy
    if not policy or setting.agent not in _OWN_AGENTS:
        return policy
    ticket = setting.tickets.get(_name(simulation.get("task_id"))) if setting.agent == _SOLO else None
    return f"<policy>\n{policy}\n</policy>" + (f"\n<ticket>\n{ticket}\n</ticket>" if ticket else "")


def with_system_prompt(messages: list[Message], prompt: str) -> list[Message]:
    """The system prompt comes first, unless the messages have one, or there is none."""
    if not prompt or any(message.get("role") == "system" for message in messages):
        return messages
    return [{"role": "system", "content": prompt}, *messages]


def sent_to_agent(recorded: Iterable[Any], dropped: Counter[str]) -> Iterator[Message]:
    """The user calls tools, too (in some domains): those calls, and their outputs, are between user and harness.

    A message of the user with calls goes to the harness only, whatever it says beside them.
    """
    for message in recorded:
        if not isinstance(message, dict):
            dropped["malformed message"] += 1
        elif message.get("role") == "user" and message.get("tool_calls"):
            dropped["user's tool call"] += 1
        elif message.get("role") == "tool" and message.get("requestor") == "user":
            dropped["user's tool output"] += 1
        else:
            yield message


def call_answered(message: Message) -> str:
    """A tool message has its call's id as `id`."""
    return text_or(message.get("tool_call_id")) or text_or(message.get("id"))


def with_ending_call(message: Message) -> Message:
    """In solo mode the agent ends by a call of `done`, which the harness writes over with its stop mark.

    What the model wrote is in `raw_data`, if that was kept.
    """
    raw = _object(_object(message.get("raw_data")).get("message"))
    if message.get("content") != _STOP or message.get("tool_calls") or not listed(raw.get("tool_calls")):
        return message
    return {**message, "content": raw.get("content"), "tool_calls": raw["tool_calls"]}


def said_in(message: Message) -> Any:
    """The content of a spoken message is its sound as base64; what is said stands beside it."""
    if message.get("is_audio") is True:
        return text_or(message.get("audio_script_gold"))
    return message.get("content")


def reasoning_of(message: Message) -> str | None:
    """Visible reasoning is in the provider's own message, if that was kept (a branch has a key for it)."""
    raw = _object(_object(message.get("raw_data")).get("message"))
    texts = (message.get("reasoning"), raw.get("reasoning_content"), raw.get("reasoning"))
    return next((text for text in texts if isinstance(text, str) and text), None)


def date_of(simulation: dict[str, Any], setting: Setting) -> str | None:
    """Some exports give every simulation the same made-up date: none can have begun before the run it is of."""
    dates = {when: date for date in (simulation.get("start_time"), setting.began) if (when := moment(date))}
    return dates[max(dates)] if dates else None


def labels_of(simulation: dict[str, Any]) -> dict[str, Any]:
    """The reward, the check of the end state, and who ended it. Failures are not necessarily misaligned."""
    reward = _object(simulation.get("reward_info"))
    return small_extras(
        {
            "reward": reward.get("reward"),
            "db_check": reward.get("db_check"),
            "termination_reason": simulation.get("termination_reason"),
        }
    )


def cluster_of(simulation: dict[str, Any], setting: Setting) -> str | None:
    """Trials of a task, which is numbered within its domain."""
    task = _name(simulation.get("task_id"))
    return ":".join(part for part in (name, setting.domain, task) if part) if task else None


def _name(id: Any) -> str:
    """A task's id as text: some versions write a number."""
    return str(id) if isinstance(id, int | str) and not isinstance(id, bool) else ""
