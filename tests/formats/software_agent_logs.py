"""Small logs of SWE-agent, mini-SWE-agent and OpenHands, made up for the tests; and how tests read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from resample.formats import Excluded, Located, read
from resample.types import Transcript


def save(path: Path, *values: Any) -> Path:
    """One value per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(map(orjson.dumps, values)) + b"\n")
    return path


def transcripts(path: Path) -> list[Transcript]:
    """What a path holds, of which nothing may be excluded."""
    items = list(read(path))
    assert not [item for item in items if isinstance(item, Excluded)]
    return [item.transcript for item in items if isinstance(item, Located)]


def chat_call(id: Any, name: str, arguments: Any) -> dict[str, Any]:
    """A call in OpenAI form."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


# -- SWE-agent -------------------------------------------------------------------------------------------------------


def entry(role: str, content: Any, **fields: Any) -> dict[str, Any]:
    """An entry of a history."""
    return {"role": role, "content": content, "agent": "main", **fields}


def step(action: str, observation: str, response: str, **fields: Any) -> dict[str, Any]:
    """A step of a trajectory."""
    return {"action": action, "observation": observation, "response": response, "thought": response, **fields}


LOOK = "I look around.\n```\nls\n```"
SUBMIT = "That is all.\n```\nsubmit\n```"
HISTORY = [
    entry("system", "You work in a shell.", message_type="system_prompt"),
    entry("user", "Here is how it is done.", is_demo=True),
    entry("user", "Mend the fence.", message_type="observation"),
    entry("assistant", LOOK, thought="I look around.\n", action="ls\n"),
    entry("user", "fence.py\n(Current directory: /yard)"),
    entry("assistant", SUBMIT, thought="That is all.\n", action="submit\n"),
]
STEPS = [
    step("ls\n", "fence.py", LOOK, state='{"working_dir": "/yard"}'),
    step("submit\n", "diff", SUBMIT, state={"working_dir": "/yard"}),
]
SWE_RUN: dict[str, Any] = {
    "environment": "yard",
    "trajectory": STEPS,
    "history": HISTORY,
    "info": {"exit_status": "submitted", "submission": "diff\n", "model_stats": {"api_calls": 2}},
    "replay_config": orjson.dumps(
        {"agent": {"model": {"name": "m-1"}}, "problem_statement": {"id": "yard__fence-7"}}
    ).decode(),
}

# -- mini-SWE-agent --------------------------------------------------------------------------------------------------

MINI_MESSAGES = [
    {"role": "system", "content": "Exactly one command at a time."},
    {"role": "user", "content": "Mend the fence."},
    {"role": "assistant", "content": "I look.\n\n```bash\nls\n```"},
    {"role": "user", "content": "<returncode>0</returncode>\n<output>\nfence.py\n</output>"},
    {"role": "assistant", "content": "Done.\n\n```bash\necho COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT\n```"},
]
MINI_RUN: dict[str, Any] = {
    "info": {
        "config": {"model": {"model_name": "p/m-1"}, "agent_type": "minisweagent.agents.default.DefaultAgent"},
        "model_stats": {"instance_cost": 0.5, "api_calls": 2},
        "mini_version": "2.1.0",
        "exit_status": "Submitted",
        "submission": "diff\n",
    },
    "messages": [
        *MINI_MESSAGES,
        {"role": "exit", "content": "diff\n", "extra": {"exit_status": "Submitted", "submission": "diff\n"}},
    ],
    "trajectory_format": "mini-swe-agent-1.1",
    "instance_id": "yard__fence-7",
}

# -- OpenHands V0 ----------------------------------------------------------------------------------------------------


def action(id: Any, kind: str, source: str = "agent", /, **args: Any) -> dict[str, Any]:
    """An action without a reply of the model."""
    return {"id": id, "source": source, "action": kind, "args": args}


def observation(id: Any, kind: str, content: str, cause: Any = None, /, **extras: Any) -> dict[str, Any]:
    """An observation."""
    event = {"id": id, "source": "agent", "observation": kind, "content": content, "extras": extras}
    return event if cause is None else {**event, "cause": cause}


def replied(event: dict[str, Any], call: str, response: dict[str, Any]) -> dict[str, Any]:
    """The same event, tied to a call of the model's reply."""
    calls = response["choices"][0]["message"]["tool_calls"]
    name = next((c["function"]["name"] for c in calls if c["id"] == call), "run")
    metadata = {"function_name": name, "tool_call_id": call, "model_response": response}
    return {**event, "tool_call_metadata": {**metadata, "total_calls_in_response": len(calls)}}


def response(id: str, content: Any, *calls: dict[str, Any], **message: Any) -> dict[str, Any]:
    """A reply as litellm returns it."""
    said = {"role": "assistant", "content": content, "tool_calls": list(calls), "function_call": None, **message}
    return {"id": id, "model": "m-1", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": said}]}


BOTH = response("r1", "Two at once.", chat_call("c1", "bash", '{"command": "ls"}'), chat_call("c2", "bash", "{}"))
END = response("r2", "All done.", chat_call("c3", "finish", '{"message": "The fence stands."}'))
TOOL = {"type": "function", "function": {"name": "bash", "description": "Run it.", "parameters": {"type": "object"}}}
EVENTS = [
    action(0, "system", content="You work in a shell.", tools=[TOOL], openhands_version="0.40.0"),
    action(1, "message", "user", content="Mend the fence.", image_urls=None),
    {**action(2, "recall", "user", query="Mend the fence."), "cause": None},
    observation(3, "recall", "Added workspace context", 2, repo_instructions="Use oak.", date="2025-01-02"),
    replied(action(5, "run", command="ls"), "c1", BOTH),
    replied(observation(6, "run", "fence.py", 5, metadata={"exit_code": 0, "working_dir": "/yard"}), "c1", BOTH),
    replied(action(7, "run", command=""), "c2", BOTH),
    replied(observation(8, "run", "", 7), "c2", BOTH),
    observation(9, "agent_state_changed", "", agent_state="running"),
    replied(action(10, "finish", thought="All done."), "c3", END),
]
INSTANCE: dict[str, Any] = {
    "instance_id": "yard__fence-7",
    "instruction": "Mend the fence.",
    "metadata": {"llm_config": {"model": "p/m-1", "max_message_chars": 30000}, "max_iterations": 50},
    "history": EVENTS,
    "metrics": {"accumulated_cost": 0.25},
    "error": None,
    "test_result": {"git_patch": "diff"},
}

# -- OpenHands SDK ---------------------------------------------------------------------------------------------------


def sdk(kind: str, id: str, source: str = "agent", /, **fields: Any) -> dict[str, Any]:
    """An event of the SDK."""
    return {"kind": kind, "id": id, "source": source, "timestamp": "2026-01-02T03:04:05", **fields}


def text(text: str) -> dict[str, Any]:
    """Its content parts."""
    return {"type": "text", "text": text, "cache_prompt": False}


def acts(id: str, call: str, reply: str, thought: str = "", **fields: Any) -> dict[str, Any]:
    """An action of a reply."""
    body = {"id": call, "name": "terminal", "arguments": '{"command": "ls"}'}
    made = {"tool_name": "terminal", "tool_call_id": call, "tool_call": body, "llm_response_id": reply}
    return sdk("ActionEvent", id, thought=[text(thought)] if thought else [], **{**made, **fields})


def observes(id: str, call: str, output: str, /, **fields: Any) -> dict[str, Any]:
    """Its outcome."""
    observation = {"kind": "TerminalObservation", "content": [text(output)], "is_error": False, **fields}
    named = {"tool_name": "terminal", "tool_call_id": call, "observation": observation}
    return sdk("ObservationEvent", id, "environment", **named)


def says(id: str, role: str, said: str, source: str = "user", **fields: Any) -> dict[str, Any]:
    """A message."""
    return sdk("MessageEvent", id, source, llm_message={"role": role, "content": [text(said)]}, **fields)


SDK_EVENTS = [
    sdk("SystemPromptEvent", "e0", system_prompt=text("You work in a shell."), tools=[TOOL]),
    says("e1", "user", "Mend the fence.", extended_content=[text("Use oak.")]),
    sdk("ConversationStateUpdateEvent", "e2", "environment", key="stats", value={"agent": {"llm": {"model": "m-1"}}}),
    acts("e3", "c1", "r1", "Two at once.", reasoning_content="both are quick"),
    acts("e4", "c2", "r1"),
    observes("e5", "c1", "fence.py", metadata={"exit_code": 0, "working_dir": "/yard", "prefix": "", "suffix": ""}),
    observes("e6", "c2", "no such file", is_error=True),
    says("e7", "assistant", "Done.", "agent"),
    sdk("ConversationStateUpdateEvent", "e8", "environment", key="execution_status", value="finished"),
]
