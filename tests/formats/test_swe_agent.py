"""SWE-agent's trajectories."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from software_agent_logs import HISTORY, LOOK, STEPS, SUBMIT, SWE_RUN, chat_call, entry, save, step, transcripts

from resample.actions import style
from resample.formats import Excluded, read, swe_agent
from resample.types import Message, Missing

NATIVE = [
    entry("system", "You work in a shell."),
    entry("user", "Mend the fence."),
    entry("assistant", "I look.", action="ls", tool_calls=[chat_call("c1", "bash", '{"command": "ls"}')]),
    entry("tool", "fence.py", tool_call_ids=["c1"]),
]
EXIT = {"thought": "Exit due to cost limit", "action": "", "message_type": "action"}
EXITED = [entry("assistant", "Exit due to cost limit", **EXIT), entry("user", "Exited (autosubmitted)")]


def said(entries: list[dict[str, Any]]) -> list[Any]:
    return [item.get("content") for item in entries]


def test_a_run(tmp_path: Path) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.traj", SWE_RUN))
    assert transcript.id == "a.traj"
    assert transcript.messages == [{"role": item["role"], "content": item["content"]} for item in HISTORY]
    assert transcript.metadata == {
        "source": "swe_agent",
        "model": "m-1",
        "cluster": "swe_agent:yard__fence-7",
        "actions": "text:swe_agent",
        "terminal_tools": ["submit", "exit_forfeit"],
        "labels": {"exit_status": "submitted", "submission": "diff\n", "submitted": True},
        "extra": {"environment": "yard", "model_stats": {"api_calls": 2}},
    }


def test_native_calls(tmp_path: Path) -> None:
    """A history alone is a run, too. Content of parts loses its marks for caches."""
    parts = [{"type": "text", "text": "fence.py", "cache_control": {"type": "ephemeral"}}]
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "redacted_thinking", "data": "x"}]
    history = [*NATIVE[:2], {**NATIVE[2], "thinking_blocks": blocks}, {**NATIVE[3], "content": parts}]
    (transcript,) = transcripts(save(tmp_path / "a.traj", {"history": history}))
    call = chat_call("c1", "bash", '{"command": "ls"}')
    assert transcript.messages[2:] == [
        {"role": "assistant", "content": "I look.", "tool_calls": [call], "reasoning_content": "hm"},
        {"role": "tool", "tool_call_id": "c1", "content": "fence.py"},
    ]
    assert transcript.metadata["missing"] == [Missing.REASONING, Missing.TOOL_SCHEMAS]
    assert "actions" not in transcript.metadata


def test_attempts_of_a_retry_agent_are_conversations_of_one_cluster(tmp_path: Path) -> None:
    """What stands beside them is a copy of the best one."""
    other = {**SWE_RUN, "history": [*HISTORY[:3], entry("assistant", SUBMIT)], "trajectory": STEPS[1:]}
    log = {**SWE_RUN, "attempts": [{**other, "replay_config": None}, SWE_RUN]}
    log["info"] = {**SWE_RUN["info"], "best_attempt_idx": 1}
    first, second = transcripts(save(tmp_path / "a.traj", log))
    assert (first.id, second.id) == ("a.traj#attempt_0", "a.traj#attempt_1")
    assert (len(first.messages), len(second.messages)) == (4, 6)
    assert [t.metadata["labels"]["chosen"] for t in (first, second)] == [False, True]
    assert {t.metadata["cluster"] for t in (first, second)} == {"swe_agent:yard__fence-7"}


# -- passes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [('{"a": 1}', {"a": 1}), ({"a": 1}, {"a": 1}), ("[1]", {}), ("{oops", {}), (None, {}), (3, {})],
)
def test_the_config_is_a_text_or_an_object(config: Any, expected: Any) -> None:
    assert swe_agent.config_of({"replay_config": config}) == expected


@pytest.mark.parametrize(
    ("config", "file", "task"),
    [
        ({"problem_statement": {"id": "p-1"}}, "runs/q-2.traj", "p-1"),
        ({}, "runs/q-2.traj", "q-2"),
        ({}, "runs/q-2.traj.gz", "q-2"),
        ({"problem_statement": {"id": 3}}, "run.json", None),
    ],
)
def test_the_task(config: Any, file: str, task: str | None) -> None:
    assert swe_agent.task_of(config, file) == task


@pytest.mark.parametrize(
    ("agent", "model"),
    [
        ({"model": {"name": "m-1"}}, "m-1"),
        ({"agent_configs": [{"model": {"name": "m-2"}}, {"model": {"name": "m-3"}}]}, "m-2"),
        ({"model": {"name": "replay"}}, None),
        ({"model": "m-1"}, None),
    ],
)
def test_the_model(agent: Any, model: str | None) -> None:
    assert swe_agent.model_of({"agent": agent}) == model


def test_the_prompt_of_the_last_step_is_what_the_model_saw() -> None:
    """There, old outputs are elided, and a malformed reply is followed by what the harness said of it."""
    elided = {**HISTORY[4], "content": "Old environment output: (1 lines omitted)"}
    malformed = [entry("assistant", "no command"), entry("user", "Write one command.")]
    query = [*HISTORY[:4], elided, *malformed]
    steps = [
        {**STEPS[0], "query": HISTORY[:3]},
        step("", "", "no command", query=[*HISTORY[:4], elided]),
        {**STEPS[1], "query": query},
    ]
    dropped: Counter[str] = Counter()
    run = {**SWE_RUN, "trajectory": steps, "history": [*HISTORY, entry("user", "diff")]}
    assert swe_agent.conversation(run, dropped) == [*query, HISTORY[5], entry("user", "diff")]
    assert not dropped


def test_a_reply_that_was_asked_for_again_is_in_no_history() -> None:
    dropped: Counter[str] = Counter()
    run = {**SWE_RUN, "trajectory": [STEPS[0], step("", "", "no command"), STEPS[1]]}
    assert swe_agent.conversation(run, dropped) == HISTORY
    assert dropped == {"reply outside the history": 1}


def test_what_comes_in_the_users_role_after_the_first_reply_is_an_output_or_the_harness_s(tmp_path: Path) -> None:
    """A demonstration has replies that are not the agent's own."""
    shown = [entry("assistant", LOOK, is_demo=True), entry("user", "That was it.", is_demo=True)]
    asked = entry("user", "Your reply has no command. Try again.", message_type="user")
    history = [*HISTORY[:2], *shown, *HISTORY[2:5], entry("assistant", "Hm."), asked, HISTORY[5]]
    (transcript,) = transcripts(save(tmp_path / "a.traj", {**SWE_RUN, "history": history}))
    assert [transcript.messages[i]["content"] for i in transcript.metadata["harness"]] == [asked["content"]]


@pytest.mark.parametrize(
    ("action", "added"),
    [
        ("submit", [("assistant", "That is all.", "submit"), ("tool", "diff", None)]),
        ("rm -r fence", [("assistant", "That is all.", None)]),
    ],
)
def test_a_history_that_ends_before_the_last_reply(tmp_path: Path, action: str, added: list[Any]) -> None:
    """Its call is known only as a command: a single word is the call itself."""
    steps = [step("ls", "fence.py", "I look."), step(action, "diff", "That is all.")]
    (transcript,) = transcripts(save(tmp_path / "a.traj", {"history": NATIVE, "trajectory": steps}))
    new = [(m["role"], m["content"], name_of(m)) for m in transcript.messages[4:]]
    assert new == added


def name_of(message: Message) -> str | None:
    calls = message.get("tool_calls")
    return calls[0]["function"]["name"] if calls else None


def test_a_text_history_that_ends_before_the_last_reply() -> None:
    run = {**SWE_RUN, "history": HISTORY[:5]}
    assert said(swe_agent.conversation(run, Counter())) == [*said(HISTORY[:5]), SUBMIT]


def test_other_agents_have_prompts_of_their_own() -> None:
    """A demonstration under another name was not shown either."""
    other = [entry("system", "You look for files.", agent="finder"), entry("user", "demo", agent="x", is_demo=True)]
    dropped: Counter[str] = Counter()
    assert swe_agent.own_entries([HISTORY[0], *other, *HISTORY[1:]], dropped) == HISTORY
    assert dropped == {"message of another agent": 2}
    assert swe_agent.own_entries([{"role": "user"}], dropped) == [{"role": "user"}]


@pytest.mark.parametrize("older", [False, True])
def test_what_the_harness_writes_at_the_end_is_no_reply(older: bool) -> None:
    thought = {"thought": "Exit due to cost limit", "action": "exit_cost"}
    entries = [entry("assistant", "", **thought)] if older else EXITED
    last = {**step("", "", ""), **thought} if older else step("", "", "Exit due to cost limit", query=[{}])
    dropped: Counter[str] = Counter()
    run = {**SWE_RUN, "trajectory": [*STEPS, last], "history": [*HISTORY, *entries]}
    assert swe_agent.conversation(run, dropped) == HISTORY
    assert dropped == {"harness message": len(entries)}


def test_giving_up_is_the_agents_own_action() -> None:
    assert not swe_agent.made_by_harness({"action": "exit_forfeit", "thought": "Exit due to despair"})
    assert not swe_agent.made_by_harness({"action": "", "thought": "I do not know."})


@pytest.mark.parametrize(
    ("configured", "reply", "expected"),
    [
        ("thought_action", "no command", "text:swe_agent"),
        ("xml_thought_action", LOOK, "text:xml_command"),
        ("xml_function_calling", LOOK, "text:xml_function"),
        ("function_calling", "no call", "tools"),
        ("json", "{}", "text:json"),
        (None, LOOK, "text:swe_agent"),
        (None, "so:\n<command>\nls\n</command>", "text:xml_command"),
        (None, "so:\n<function=bash>\n<parameter=command>ls</parameter>\n</function>", "text:xml_function"),
    ],
)
def test_how_the_agent_writes(configured: Any, reply: str, expected: str) -> None:
    config = {"agent": {"tools": {"parse_function": {"type": configured}}}}
    assert swe_agent.style_of(config, [entry("assistant", reply)]) == expected
    assert swe_agent.style_of(config, NATIVE) == "tools"


def test_a_demonstration_does_not_tell_how_the_agent_writes() -> None:
    demo = [entry("assistant", "<command>ls</command>", is_demo=True)] * 3
    assert swe_agent.style_of({}, [*demo, entry("assistant", LOOK)]) == "text:swe_agent"


@pytest.mark.parametrize(
    ("info", "labels"),
    [
        (None, {}),
        ({"exit_status": "exit_cost", "submission": None}, {"exit_status": "exit_cost", "submitted": False}),
        ({"submission": "x" * 2000, "review": {"accept": 0.5}}, {"accepted": 0.5, "submitted": True}),
    ],
)
def test_labels(info: Any, labels: Any) -> None:
    assert swe_agent.labels_of(info) == labels


def test_what_is_excluded(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", SWE_RUN, [SWE_RUN, 3], {"history": [], "trajectory": []}, "x")
    items = list(read(path, "swe_agent"))
    assert [(i.line, i.reason) for i in items if isinstance(i, Excluded)] == [
        (2, "not a transcript"),
        (3, "no dialogue"),
        (4, "not a transcript"),
    ]
    assert len(items) == 5


def test_real_runs(real_transcripts: Path) -> None:
    found = transcripts(real_transcripts / "swe-agent")
    # The table has 293 messages: one history ends before its last reply, which comes with its output from the step.
    assert (len(found), sum(len(t.messages) for t in found)) == (14, 295)
    calls = [m.get("tool_calls") for t in found for m in t.messages]
    assert sum(len(made) for made in calls if made) == 32
    # Each of the 138 replies makes one call: 32 are native, the others are text.
    replies = [(style(t.metadata.get("actions", "tools")), m) for t in found for m in t.messages]
    made = [len(how.calls(m)) for how, m in replies if m["role"] == "assistant"]
    assert made == [1] * 138
    # People edited the demonstrations: three steps have other words than the history.
    assert sum(t.metadata.get("dropped", {}).get("reply outside the history", 0) for t in found) == 3
    labels = map(orjson.loads, (real_transcripts / "swe-agent" / "labels.jsonl").read_bytes().splitlines())
    known = {label["file"]: (label["exit_status"], label["submitted"]) for label in labels}
    for transcript in found:
        kept = transcript.metadata.get("labels", {})
        assert (kept.get("exit_status"), kept.get("submitted", False)) == known[transcript.id]
