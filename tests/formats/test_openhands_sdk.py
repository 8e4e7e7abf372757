"""OpenHands SDK (V1): events by kind."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from software_agent_logs import SDK_EVENTS, TOOL, acts, observes, save, says, sdk, text, transcripts

from resample.formats import Excluded, openhands_sdk, read
from resample.types import Missing, Transcript

CALLS = [
    {"id": id, "type": "function", "function": {"name": "terminal", "arguments": '{"command": "ls"}'}}
    for id in ("c1", "c2")
]
BOTH = {"role": "assistant", "content": "Two at once.", "tool_calls": CALLS, "reasoning_content": "both are quick"}
OUTPUT = "fence.py\n[Current working directory: /yard]\n[Command finished with exit code 0]"
MESSAGES = [
    {"role": "system", "content": "You work in a shell."},
    {"role": "user", "content": [{"type": "text", "text": "Mend the fence."}, {"type": "text", "text": "Use oak."}]},
    BOTH,
    {"role": "tool", "tool_call_id": "c1", "content": OUTPUT},
    {"role": "tool", "tool_call_id": "c2", "content": "[An error occurred during execution.]\nno such file"},
    {"role": "assistant", "content": "Done."},
]


def of(tmp_path: Path, *events: Any) -> Transcript:
    (transcript,) = transcripts(save(tmp_path / "a.json", list(events)))
    return transcript


def test_lines_of_events(tmp_path: Path) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.jsonl", *SDK_EVENTS))
    assert transcript.id == "a.jsonl"
    assert transcript.messages == MESSAGES
    assert transcript.tools == [TOOL]
    assert transcript.metadata == {
        "source": "openhands_sdk",
        "model": "m-1",
        "date": "2026-01-02T03:04:05",
        "terminal_tools": ["finish"],
        "labels": {"execution_status": "finished"},
        "dropped": {"event of the harness": 2},
        "lines": [1, 2, 4, 6, 7, 8],
    }


def test_instances_of_an_evaluation(tmp_path: Path) -> None:
    instance = {
        "instance_id": "yard__fence-7",
        "metadata": {"llm": {"model": "p/m-1"}},
        "history": SDK_EVENTS,
        "test_result": {"git_patch": "diff"},
        "metrics": {"accumulated_cost": 0.5},
        "error": "limit",
    }
    (transcript,) = transcripts(save(tmp_path / "output.jsonl", instance))
    assert (transcript.id, transcript.messages) == ("output.jsonl:1", MESSAGES)
    assert transcript.metadata["model"] == "p/m-1"
    assert transcript.metadata["cluster"] == "openhands_sdk:yard__fence-7"
    assert transcript.metadata["labels"] == {"execution_status": "finished", "patch": True, "error": "limit"}


# -- a folder of events ----------------------------------------------------------------------------------------------


def folder(path: Path, events: list[Any]) -> Path:
    for number, event in enumerate(events):
        save(path / "one" / "events" / f"event-{number:05d}-0a{number}b.json", event)
    return path


def test_a_folder_with_one_event_per_file(tmp_path: Path) -> None:
    """Files that were written in between, or last, are read in the order of their numbers."""
    many = [says(f"m{n}", "user" if n % 2 else "assistant", str(n)) for n in range(30)]
    (transcript,) = transcripts(folder(tmp_path, [*SDK_EVENTS, *many]))
    assert transcript.id == "one/events/event-00000-0a0b.json"
    assert transcript.messages == [*MESSAGES, *transcript.messages[6:]]
    assert [m["content"] for m in transcript.messages[6:]] == [str(n) for n in range(30)]


def test_a_file_of_a_folder_by_itself_stands_for_the_folder(tmp_path: Path) -> None:
    path = folder(tmp_path, SDK_EVENTS) / "one" / "events" / "event-00003-0a3b.json"
    (transcript,) = transcripts(path)
    assert transcript.messages == MESSAGES


def test_a_folder_that_changes_is_listed_again(tmp_path: Path) -> None:
    folder(tmp_path, SDK_EVENTS[:2])
    assert len(transcripts(tmp_path)[0].messages) == 2
    folder(tmp_path, SDK_EVENTS)
    assert len(transcripts(tmp_path)[0].messages) == 6


def test_a_folder_in_an_archive(tmp_path: Path) -> None:
    root = folder(tmp_path / "x", SDK_EVENTS)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(root.rglob("*.json"), reverse=True):
            archive.write(path, path.relative_to(root).as_posix())
    (transcript,) = transcripts(tmp_path / "a.zip")
    assert transcript.messages == MESSAGES
    assert transcript.id == "a.zip/one/events/event-00000-0a0b.json"


def test_a_malformed_file_of_a_folder_is_told_and_spoils_no_other(tmp_path: Path) -> None:
    (folder(tmp_path, SDK_EVENTS) / "one" / "events" / "event-00007-0a7b.json").write_bytes(b"{oops")
    items = list(read(tmp_path))
    assert [item.reason for item in items if isinstance(item, Excluded)] == ["malformed JSON", "unknown format"]
    assert len(items) == 3


# -- passes --------------------------------------------------------------------------------------------------


def test_actions_of_one_response_are_one_message(tmp_path: Path) -> None:
    """Also where outputs stand between them; a message, or another response, ends it."""
    events = [
        *(acts("e1", "c1", "r1", "a"), observes("e2", "c1", "x"), acts("e3", "c2", "r1"), observes("e4", "c2", "y")),
        *(acts("e5", "c3", "r2", "b"), observes("e6", "c3", "z")),
        *(acts("e7", "c4", None, "c"), observes("e8", "c4", "z"), acts("e9", "c5", None), observes("e10", "c5", "z")),
    ]
    messages = of(tmp_path, says("e0", "user", "go"), *events).messages
    assert [m["role"] for m in messages] == ["user", "assistant", *["tool"] * 2, *["assistant", "tool"] * 3]
    assert [len(m["tool_calls"]) for m in messages if m["role"] == "assistant"] == [2, 1, 1, 1]
    assert [m["content"] for m in messages if m["role"] == "assistant"] == ["a", "b", "c", None]


@pytest.mark.parametrize(
    ("fields", "name", "arguments"),
    [
        ({"tool_call": {"id": "c1", "name": "x", "arguments": "{oops"}}, "x", "{oops"),
        ({"tool_call": {"id": "c1", "function": {"name": "x", "arguments": "{}"}}}, "x", "{}"),
        (
            {"tool_call": None, "action": {"kind": "A", "command": "ls", "timeout": None}},
            "terminal",
            '{"command":"ls"}',
        ),
        ({"tool_call": 3, "action": None}, "terminal", "{}"),
    ],
)
def test_a_call(fields: Any, name: str, arguments: str) -> None:
    call = openhands_sdk.call_of(acts("e1", "c1", "r1", **fields))
    assert call == {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_call_without_a_name_is_none(tmp_path: Path) -> None:
    nameless = acts("e1", "c1", "r1", "hm", tool_call=None, tool_name=None)
    transcript = of(tmp_path, says("e0", "user", "go"), nameless, observes("e2", "c1", "x"))
    assert transcript.messages[1:] == [{"role": "assistant", "content": "hm"}]
    assert transcript.metadata["dropped"] == {"orphan result": 1}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (observes("e", "c", "x"), "x"),
        (observes("e", "c", "", content=[], metadata={"exit_code": 1}), "\n[Command finished with exit code 1]"),
        (observes("e", "c", "", content=None, output="x"), "x"),
        (observes("e", "c", "", content=None, result={"a": 1}), '{"a":1}'),
        (sdk("ObservationEvent", "e", observation={"kind": "Odd", "b": 2}), '{"b":2}'),
        (sdk("ObservationEvent", "e", observation="x"), "x"),
        (sdk("UserRejectObservation", "e", "user", rejection_reason="too risky"), "Action rejected: too risky"),
        (sdk("AgentErrorEvent", "e", error="no such tool"), "no such tool"),
    ],
)
def test_an_output(event: Any, expected: str) -> None:
    assert openhands_sdk.output_of(event) == expected


def test_rejections_and_errors_answer_their_calls(tmp_path: Path) -> None:
    answers = [
        sdk("UserRejectObservation", "e3", "user", tool_call_id="c1", rejection_reason="no"),
        sdk("AgentErrorEvent", "e4", tool_call_id="c2", error="bad"),
    ]
    transcript = of(tmp_path, says("e0", "user", "go"), acts("e1", "c1", "r1"), acts("e2", "c2", "r1"), *answers)
    assert [(m["tool_call_id"], m["content"]) for m in transcript.messages[2:]] == [
        ("c1", "Action rejected: no"),
        ("c2", "bad"),
    ]


def test_a_system_prompt_may_have_a_second_part(tmp_path: Path) -> None:
    system = sdk("SystemPromptEvent", "e0", system_prompt=text("a"), dynamic_context=text("b"), tools=[])
    transcript = of(tmp_path, system, says("e1", "user", "go"))
    assert transcript.messages[0]["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


def test_text_added_to_an_output(tmp_path: Path) -> None:
    output = {**observes("e2", "c1", "x"), "extended_content": [text("Rules apply.")]}
    transcript = of(tmp_path, says("e0", "user", "go"), acts("e1", "c1", "r1"), output)
    assert transcript.messages[2]["content"] == [{"type": "text", "text": t} for t in ("x", "Rules apply.")]


CHAT = [says(f"m{n}", "user" if n % 2 else "assistant", str(n)) for n in range(1, 8)]


def condensation(id: str, *forgotten: str, **fields: Any) -> dict[str, Any]:
    return sdk("Condensation", id, "environment", forgotten_event_ids=list(forgotten), **fields)


@pytest.mark.parametrize(
    ("condensations", "left"),
    [
        ([condensation("k", "m2", "m3", summary="S", summary_offset=1)], ["1", "S", "4", "5", "6", "7"]),
        ([condensation("k", "m2", "m3")], ["1", "4", "5", "6", "7"]),
        (
            [
                condensation("k", "m2", summary="S", summary_offset=1),
                condensation("l", "m3", "k-summary", summary="T", summary_offset=1),
            ],
            ["1", "T", "4", "5", "6", "7"],
        ),
        ([condensation("k", *(f"m{n}" for n in range(1, 6)), summary="S", summary_offset=0)], ["S", "6", "7"]),
    ],
)
def test_what_is_condensed_gives_way_to_its_summary(tmp_path: Path, condensations: Any, left: list[str]) -> None:
    transcript = of(tmp_path, *CHAT[:5], sdk("CondensationRequest", "q", "environment"), *condensations, *CHAT[5:])
    assert [m["content"] for m in transcript.messages] == left
    assert transcript.metadata["dropped"]["condensed event"] == 7 - sum(text.isdigit() for text in left)
    assert transcript.metadata.get("harness", []) == [i for i, text in enumerate(left) if not text.isdigit()]


@pytest.mark.parametrize(
    ("event", "harness"),
    [
        (says("n", "user", "And the gate?"), None),
        (says("n", "user", "Use a tool.", "environment"), [6]),
        (says("n", "user", "[Stop hook feedback] Not yet.", "hook"), [6]),
        (says("n", "user", "Please continue working on the task on whatever approach you think is suitable."), [6]),
    ],
)
def test_who_speaks_in_the_users_role(tmp_path: Path, event: Any, harness: Any) -> None:
    transcript = of(tmp_path, *SDK_EVENTS, event)
    assert transcript.messages[6]["role"] == "user"
    assert transcript.metadata.get("harness") == harness


def children(*parents: Any) -> list[dict[str, Any]]:
    return [
        event if parent is None else {**event, "parent_id": parent}
        for event, parent in zip(CHAT, parents, strict=False)
    ]


@pytest.mark.parametrize(
    ("parents", "left"),
    [
        ([None, None, None], "123"),  # older versions name no parents
        ([None, "m1", "m2", "m1", "m4"], "145"),  # back to the first message, and on from there
        ([None, "m1", "__root__", "m3"], "34"),
        ([None, "m1", "gone", "m3"], "1234"),  # a file may hold a part only
        (["m3", "m1", "m2"], "123"),  # a circle
        (["m1"], "1"),
    ],
)
def test_the_branch_that_counts(parents: list[Any], left: str) -> None:
    dropped: Counter[str] = Counter()
    events = children(*parents)
    branch = openhands_sdk.active_branch(events, dropped)
    assert "".join(event["id"][1:] for event in branch) == left
    assert dropped.total() == len(events) - len(branch)


@pytest.mark.parametrize(
    ("tools", "count"),
    [
        ([TOOL, TOOL], 2),
        ([{"name": "x", "parameters": {}}], 1),
        ([{"kind": "MCPToolDefinition", "mcp_tool": {"name": "x", "inputSchema": {"type": "object"}}}], 1),
        ([TOOL, {"kind": "TerminalTool", "description": "d", "action_type": "TerminalAction"}], 0),
        ([3], 0),
    ],
)
def test_tools(tmp_path: Path, tools: Any, count: int) -> None:
    """Those of the SDK have no parameters in the log: a part of the tools would mislead, so none is given."""
    transcript = of(
        tmp_path, sdk("SystemPromptEvent", "e0", system_prompt=text("a"), tools=tools), says("e1", "user", "go")
    )
    assert len(transcript.tools) == count
    assert (Missing.TOOL_SCHEMAS in transcript.metadata.get("missing", ())) is (count == 0 and tools != [3])


def test_reasoning(tmp_path: Path) -> None:
    sealed = {"thinking_blocks": [{"type": "redacted_thinking", "data": "x"}]}
    said = sdk("MessageEvent", "e1", llm_message={"role": "assistant", "content": [], "reasoning_content": "hm"})
    transcript = of(tmp_path, says("e0", "user", "go"), said, acts("e2", "c1", "r1", **sealed))
    assert transcript.messages[1]["reasoning_content"] == "hm"
    assert Missing.REASONING in transcript.metadata["missing"]


@pytest.mark.parametrize(
    ("value", "model"),
    [
        ({"agent": {"llm": {"model": "m"}}}, "m"),
        ({"usage_to_metrics": {"default": {"model_name": "m"}, "condenser": {"model_name": "k"}}}, "m"),
        ({"usage_to_metrics": []}, None),
        ("running", None),
    ],
)
def test_the_model(value: Any, model: str | None) -> None:
    assert openhands_sdk.model_of([{}, {"value": value}]) == model


def test_an_error_of_the_conversation_is_a_label() -> None:
    events = [sdk("ConversationErrorEvent", "e", "environment", code="MaxIterations", detail="too long")]
    assert openhands_sdk.labels_of(events, {}) == {"error": "too long"}


def test_real_events(real_transcripts: Path) -> None:
    (transcript,) = transcripts(real_transcripts / "openhands-sdk-events")
    # Of the table's five messages one is an output whose call is not in the file: it is left out.
    assert [m["role"] for m in transcript.messages] == ["assistant", "tool"] * 2
    assert sum(len(m.get("tool_calls") or ()) for m in transcript.messages) == 2
    assert transcript.metadata["dropped"] == {"event of the harness": 5, "orphan result": 1}
    assert Missing.COMPACTED_HISTORY in transcript.metadata["missing"]
    path = next((real_transcripts / "openhands-sdk-events").glob("*.jsonl"))
    kinds = Counter(orjson.loads(line)["kind"] for line in path.read_bytes().splitlines())
    assert kinds["ActionEvent"] + kinds["ObservationEvent"] == len(transcript.messages) + 1
