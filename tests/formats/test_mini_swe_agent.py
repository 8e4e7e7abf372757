"""mini-SWE-agent's trajectories, in three generations."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from software_agent_logs import MINI_MESSAGES, MINI_RUN, chat_call, save, transcripts

from resample.formats import Excluded, mini_swe_agent, read
from resample.formats.base import Look
from resample.types import Missing

SYSTEM, TASK, ACTING, RESULT, DONE = MINI_MESSAGES


def test_the_oldest_layout_is_a_bare_list(tmp_path: Path) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.traj.json", MINI_MESSAGES))
    assert transcript.messages == MINI_MESSAGES
    assert transcript.metadata == {"source": "mini_swe_agent", "actions": "text:mini_swe_agent"}


def test_a_run_with_text(tmp_path: Path) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.traj.json", MINI_RUN))
    assert transcript.messages == MINI_MESSAGES
    assert transcript.metadata == {
        "source": "mini_swe_agent",
        "model": "p/m-1",
        "cluster": "mini_swe_agent:yard__fence-7",
        "actions": "text:mini_swe_agent",
        "labels": {"exit_status": "Submitted", "submission": "diff\n", "submitted": True},
        "dropped": {"message of the harness": 1},
        "extra": {
            "version": "2.1.0",
            "model_stats": {"instance_cost": 0.5, "api_calls": 2},
            "trajectory_format": "mini-swe-agent-1.1",
        },
    }


def test_a_list_of_runs(tmp_path: Path) -> None:
    one, two = transcripts(save(tmp_path / "runs.json", [MINI_RUN, {**MINI_RUN, "messages": MINI_MESSAGES[:-1]}]))
    assert (one.id, two.id) == ("runs.json[0]", "runs.json[1]")
    assert one.metadata["actions"] == two.metadata["actions"] == "text:mini_swe_agent"


def test_native_calls(tmp_path: Path) -> None:
    call = chat_call("c1", "bash", '{"command": "ls"}')
    reply = {
        "role": "assistant",
        "content": None,
        "tool_calls": [call],
        "function_call": None,
        "reasoning_content": "r",
    }
    reply["extra"] = {"actions": [{"command": "ls", "tool_call_id": "c1"}], "cost": 0.1}
    output = {"role": "tool", "tool_call_id": "c1", "content": "fence.py", "extra": {"returncode": 0}}
    run = {**MINI_RUN, "messages": [SYSTEM, TASK, reply, output, *MINI_RUN["messages"][-1:]]}
    (transcript,) = transcripts(save(tmp_path / "a.json", run))
    assert transcript.messages[2:] == [
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "r"},
        {"role": "tool", "tool_call_id": "c1", "content": "fence.py"},
    ]
    assert transcript.metadata["missing"] == [Missing.TOOL_SCHEMAS]
    assert "actions" not in transcript.metadata


def test_replies_of_the_responses_api(tmp_path: Path) -> None:
    items = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "x"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "c1", "name": "bash", "arguments": '{"command": "ls"}'},
    ]
    sealed = [{"type": "reasoning", "summary": [], "encrypted_content": "x"}, {**items[2], "call_id": "c2"}]
    told = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]}
    messages = [
        *(SYSTEM, TASK, {"object": "response", "output": items, "extra": {}}),
        {"type": "function_call_output", "call_id": "c1", "output": "fence.py", "extra": {}},
        *(told, {"object": "response", "output": sealed}),
    ]
    (transcript,) = transcripts(save(tmp_path / "a.json", {**MINI_RUN, "messages": messages}))
    first, second = (chat_call(id, "bash", '{"command": "ls"}') for id in ("c1", "c2"))
    assert transcript.messages[2:] == [
        {"role": "assistant", "content": "I look.", "tool_calls": [first], "reasoning_content": "hm"},
        {"role": "tool", "tool_call_id": "c1", "content": "fence.py"},
        {"role": "user", "content": "Go on."},
        {"role": "assistant", "content": None, "tool_calls": [second]},
    ]
    assert transcript.metadata["missing"] == [Missing.REASONING, Missing.TOOL_SCHEMAS]


# -- passes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "left"),
    [
        ([], 5),
        ([{"role": "user", "content": "diff"}], 6),  # the output of the last command
        ([{"role": "exit", "content": "LimitsExceeded"}], 5),
        ([{"role": "user", "content": ""}], 5),
        ([{"role": "user", "content": "diff"}, {"role": "user", "content": "limit reached"}], 6),
        ([{"role": "user", "content": "diff"}, {"role": "user", "content": ""}, {"role": "exit"}], 6),
    ],
)
def test_what_the_harness_writes_at_the_end(ending: list[Any], left: int) -> None:
    dropped: Counter[str] = Counter()
    assert mini_swe_agent.without_exit([*MINI_MESSAGES, *ending], dropped) == [*MINI_MESSAGES, *ending][:left]
    assert dropped.total() == len(ending) + 5 - left


@pytest.mark.parametrize(
    ("said", "harness"),
    [
        ("Please always provide EXACTLY ONE action in triple backticks, found 0 actions.", [4]),
        ("The last command timed out.", [4]),
        ("Interrupted by user: Temporary interruption caught.", [4]),
        ("Switched to human mode.", [4]),
        ("Interrupted by user: use oak", None),
        ("The user added a new task: paint it", None),
        ("Command not executed. The user rejected your command with the following message: no", None),
        ([{"type": "text", "text": "Commands not executed. The user rejected your commands with: no"}], None),
        ("User command: \n```bash\nls\n```", None),
    ],
)
def test_what_is_said_in_the_users_role(tmp_path: Path, said: Any, harness: Any) -> None:
    """Here after a reply with a command and its output: a person's words, or else the harness's."""
    run = [*MINI_MESSAGES[:4], {"role": "user", "content": said, "extra": {"interrupt_type": "x"}}, DONE]
    (transcript,) = transcripts(save(tmp_path / "a.traj.json", {**MINI_RUN, "messages": run}))
    assert transcript.metadata.get("harness") == harness


@pytest.mark.parametrize("place", [{"timestamp": 1767323045}, {"extra": {"timestamp": 1767323045}}])
def test_the_date(tmp_path: Path, place: Any) -> None:
    run = [SYSTEM, {**TASK, **place}, {**ACTING, "timestamp": 1767323099.5}]
    (transcript,) = transcripts(save(tmp_path / "a.traj.json", {**MINI_RUN, "messages": run}))
    assert transcript.metadata["date"] == "2026-01-02T03:04:05+00:00"


def test_reasoning_that_stands_beside_a_message_only() -> None:
    kept = {"choices": [{"message": {"content": "x", "reasoning_content": "hm"}}]}
    assert mini_swe_agent.reasoning_of({"content": "x", "extra": {"response": kept}}) == "hm"
    assert mini_swe_agent.reasoning_of({"content": "x", "reasoning_content": "a", "extra": {"response": kept}}) == "a"
    assert mini_swe_agent.reasoning_of({"extra": {"response": "text"}}) == ""


def test_reasoning_that_is_only_counted(tmp_path: Path) -> None:
    usage = {"completion_tokens_details": {"reasoning_tokens": 7}}
    messages = [SYSTEM, TASK, {**ACTING, "extra": {"response": {"usage": usage}}}, RESULT]
    (transcript,) = transcripts(save(tmp_path / "a.json", {**MINI_RUN, "messages": messages}))
    assert transcript.metadata["missing"] == [Missing.REASONING]


def test_a_reply_that_could_not_be_read_is_in_no_later_prompt(tmp_path: Path) -> None:
    error = {"role": "user", "content": "One command, please.", "extra": {"interrupt_type": "FormatError"}}
    (transcript,) = transcripts(save(tmp_path / "a.json", {**MINI_RUN, "messages": [SYSTEM, TASK, error, ACTING]}))
    assert transcript.messages == [SYSTEM, TASK, {"role": "user", "content": error["content"]}, ACTING]
    assert transcript.metadata["dropped"] == {"reply that could not be read": 1}


@pytest.mark.parametrize(
    ("info", "end", "labels"),
    [
        (None, [], {}),
        (
            {"exit_status": "LimitsExceeded", "submission": ""},
            [],
            {"exit_status": "LimitsExceeded", "submitted": False},
        ),
        ({}, [{"extra": {"exit_status": "Submitted", "submission": "x" * 2000}}], {"exit_status": "Submitted"}),
    ],
)
def test_labels(info: Any, end: list[Any], labels: dict[str, Any]) -> None:
    found = mini_swe_agent.labels_of(info, end)
    assert found == labels | ({"submitted": True} if end else {})


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (MINI_MESSAGES, True),
        (MINI_MESSAGES[:4], True),
        ([SYSTEM, TASK, ACTING], False),  # no result tells it apart from any other list of messages
        ([SYSTEM, TASK, {**ACTING, "content": "```python\nls\n```"}, RESULT], False),
        ([SYSTEM, TASK, ACTING, {**RESULT, "content": "<output>x</output>"}], False),
        ([SYSTEM, TASK, ACTING, {**RESULT, "content": f"<exception>late</exception>\n{RESULT['content']}"}], True),
        ({"info": {"model_stats": {"api_calls": 3}}, "messages": []}, True),
        ({"info": {"mini_version": "1.2"}}, True),  # the head ends before the messages
        ({"info": {"model_stats": {"api_calls": 3}}, "history": []}, False),
    ],
)
def test_recognising(value: Any, known: bool) -> None:
    assert mini_swe_agent.sniff(Look("a.json", [value])) is known


def test_what_is_excluded(tmp_path: Path) -> None:
    items = list(read(save(tmp_path / "a.jsonl", MINI_RUN, {"info": {}}, 3, {**MINI_RUN, "messages": []})))
    assert [(i.line, i.reason) for i in items if isinstance(i, Excluded)] == [
        (2, "no messages"),
        (3, "no messages"),
        (4, "no dialogue"),
    ]


def test_real_run(real_transcripts: Path) -> None:
    (transcript,) = transcripts(real_transcripts / "mini-swe-agent")
    assert len(transcript.messages) == 22
    assert not [message for message in transcript.messages if "tool_calls" in message]
    assert transcript.metadata == {"source": "mini_swe_agent", "actions": "text:mini_swe_agent"}
