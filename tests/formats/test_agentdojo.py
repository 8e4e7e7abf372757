"""AgentDojo's runs in the three ways they are written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Excluded, Located, agentdojo, read
from resample.formats.base import Look
from resample.types import Message, Missing, Transcript

TASK = {"suite_name": "garden", "user_task_id": "user_task_3", "injection_task_id": "injection_task_1"}
SYSTEM = {"role": "system", "content": "You look after a garden."}
ASKED = {"role": "user", "content": "Water what is dry."}
CALL = {"function": "list_beds", "args": {"dry": True}, "id": "c1", "placeholder_args": None}
ACTING = {"role": "assistant", "content": "Looking.", "tool_calls": [CALL]}
OUTPUT = {"role": "tool", "content": "bed 4", "tool_call_id": "c1", "tool_call": CALL, "error": None}
DONE = {"role": "assistant", "content": "Done.", "tool_calls": None}


def run(*messages: Message, **fields: Any) -> dict[str, Any]:
    return {"pipeline_name": "m-1", **TASK, "attack_type": "direct", "utility": True, "security": False, **fields} | (
        {"messages": list(messages)} if messages else {}
    )


def save(path: Path, *values: Any) -> Path:
    path.write_bytes(b"\n".join(map(orjson.dumps, values)) + b"\n")
    return path


def transcripts(path: Path) -> list[Transcript]:
    items = list(read(path))
    assert not [item for item in items if isinstance(item, Excluded)]
    return [item.transcript for item in items if isinstance(item, Located)]


def test_a_stock_run(tmp_path: Path) -> None:
    blocks = [{"type": "thinking", "content": "dry beds first", "id": "s"}, {"type": "text", "content": "Looking."}]
    stock = run(
        {"role": "system", "content": [{"type": "text", "content": SYSTEM["content"]}]},
        {"role": "user", "content": [{"type": "text", "content": ASKED["content"]}]},
        {**ACTING, "content": blocks},
        {**OUTPUT, "content": [{"type": "text", "content": "bed 4"}]},
        DONE,
        duration=3.5,
        injections={"bed": "x" * 2000},
    )
    (transcript,) = transcripts(save(tmp_path / "injection_task_1.json", stock))
    function = {"name": "list_beds", "arguments": '{"dry":true}'}
    assert transcript.messages == [
        SYSTEM,
        ASKED,
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
            "reasoning_content": "dry beds first",
        },
        {"role": "tool", "tool_call_id": "c1", "content": "bed 4"},
        {"role": "assistant", "content": "Done."},
    ]
    assert transcript.metadata == {
        "source": "agentdojo",
        "model": "m-1",
        "cluster": "agentdojo:garden:user_task_3",
        "missing": ["tool_schemas"],
        "labels": {
            "utility": True,
            "security": False,
            "injection_task_id": "injection_task_1",
            "attack_type": "direct",
            "attack_succeeded": False,
        },
        "extra": {"pipeline_name": "m-1", "suite_name": "garden", "user_task_id": "user_task_3", "duration": 3.5},
    }


def test_a_run_of_drift(tmp_path: Path) -> None:
    written = "<function_call>[list_beds(dry=True), list_tools()]</function_call>"
    refused = {"role": "user", "content": "[CALL ERROR] refused"}
    drift = run(
        tool_permission={"list_beds": "Read"},
        conversations=[
            ASKED,
            {"role": "assistant", "content": written, "tool_calls": [CALL, {**CALL, "id": "c2"}]},
            OUTPUT,
            {**OUTPUT, "tool_call_id": "c2", "content": "", "error": "no such shed"},
            {"role": "assistant", "content": "<function_call>[dig(bed=4)]</function_call>", "tool_calls": []},
            refused,
            {"role": "assistant", "content": "<final_answer>Done.</final_answer>", "tool_calls": []},
        ],
    )
    (transcript,) = transcripts(save(tmp_path / "a.json", drift))
    assert [(m["role"], m["content"]) for m in transcript.messages] == [
        ("user", "Water what is dry."),
        ("assistant", written),
        ("user", "bed 4"),
        ("user", "no such shed"),
        ("assistant", "<function_call>[dig(bed=4)]</function_call>"),
        ("user", "[CALL ERROR] refused"),
        ("assistant", "<final_answer>Done.</final_answer>"),
    ]
    assert not [m for m in transcript.messages if m.keys() - {"role", "content"}]
    assert transcript.metadata["actions"] == "text:call_list"
    assert transcript.metadata["missing"] == ["system_prompt"]
    assert transcript.metadata["extra"]["tool_permission"] == {"list_beds": "Read"}
    assert "harness" not in transcript.metadata  # all of it answers calls


def test_what_answers_no_call_is_the_harnesss_and_the_date_is_that_of_the_run(tmp_path: Path) -> None:
    reply = {"role": "assistant", "content": "I have no idea.", "tool_calls": []}
    note = {"role": "user", "content": "Invalid tool on provided."}
    noted = run(ASKED, reply, note, DONE, evaluation_timestamp="2026-01-02 03:04:05")
    (transcript,) = transcripts(save(tmp_path / "a.json", noted))
    assert (transcript.metadata["harness"], transcript.metadata["date"]) == ([2], "2026-01-02 03:04:05")


def test_the_export_for_the_explorer(tmp_path: Path) -> None:
    """Empty ids go by order, the header is no run, and each run is on a line of its own."""
    calls = [{"id": "", "type": "function", "function": {"name": name, "arguments": {}}} for name in ("a", "b")]
    messages = [
        SYSTEM,
        ASKED,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {
            "role": "tool",
            "content": "1",
            "tool_call_id": None,
            "tool_call": {"function": "a", "args": {}},
            "error": None,
        },
        {
            "role": "tool",
            "content": "",
            "tool_call_id": None,
            "tool_call": {"function": "b", "args": {}},
            "error": "no",
        },
        DONE,
    ]
    metadata = {**TASK, "model": "m-2", "success": False, "security": True, "attack_type": "direct", "name": "x"}
    path = save(
        tmp_path / "export.jsonl",
        {"metadata": {"benchmark": "agent-dojo"}},
        {"index": 1, "messages": messages, "metadata": metadata, "annotations": []},
        {"index": 2, "messages": messages, "metadata": {**metadata, "injection_task_id": None}, "annotations": []},
    )
    first, second = transcripts(path)
    assert [first.id, second.id] == ["export.jsonl:2", "export.jsonl:3"]
    made = [call["id"] for call in first.messages[2]["tool_calls"]]
    assert [(m["tool_call_id"], m["content"]) for m in first.messages if m["role"] == "tool"] == [
        (made[0], "1"),
        (made[1], "no"),
    ]
    assert first.metadata["model"] == "m-2"
    assert first.metadata["cluster"] == second.metadata["cluster"]
    assert first.metadata["labels"]["attack_succeeded"] is True
    assert first.metadata["labels"]["utility"] is False
    assert second.metadata["labels"] == {"utility": False, "security": True, "attack_type": "direct"}


@pytest.mark.parametrize(
    ("content", "error", "shown"),
    [
        ("bed 4", None, "bed 4"),
        ("", "no such bed", "no such bed"),
        ("<<>>", "no such bed", "no such bed"),
        ("bed 4", "", "bed 4"),
        (None, None, ""),
        ([{"type": "text", "content": "bed"}], None, "bed"),
        ([], 5, ""),
    ],
)
def test_the_model_is_shown_the_error_in_the_place_of_the_output(content: Any, error: Any, shown: str) -> None:
    assert agentdojo.output_of({"content": content, "error": error}) == shown


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x", ("x", "")),
        (None, (None, "")),
        ([], ("", "")),
        ([{"type": "text", "content": "a"}], ("a", "")),
        ([{"type": "thinking", "content": "t"}, {"type": "thinking", "content": "u"}, 3, {}], ("", "t\n\nu")),
        ([{"type": "text", "content": c} for c in "ab"], ([{"type": "text", "text": c} for c in "ab"], "")),
        ([{"type": "redacted_thinking", "content": "=="}, {"type": "text", "content": None}], ("", "")),
    ],
)
def test_content_is_a_text_or_blocks(content: Any, said: Any) -> None:
    assert tuple(agentdojo.said_in(content)) == said


@pytest.mark.parametrize(
    ("messages", "missing"),
    [
        ([SYSTEM, ASKED], set()),
        ([{"role": "developer", "content": "x"}], set()),
        ([ASKED], {Missing.SYSTEM_PROMPT}),
        ([SYSTEM, {"role": "assistant", "content": [{"type": "redacted_thinking"}]}], {Missing.REASONING}),
    ],
)
def test_what_is_missing(messages: list[Message], missing: set[Missing]) -> None:
    assert agentdojo.missing_of(messages) == missing


def test_calls_written_as_text_are_told_by_the_text(tmp_path: Path) -> None:
    """Also where the messages stand under `messages`."""
    written = {"role": "assistant", "content": "<function_call>[a()]</function_call>", "tool_calls": [CALL]}
    (transcript,) = transcripts(save(tmp_path / "a.json", run(SYSTEM, ASKED, written, OUTPUT, DONE)))
    assert transcript.metadata["actions"] == "text:call_list"
    assert [m["role"] for m in transcript.messages] == ["system", "user", "assistant", "user", "assistant"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([run(SYSTEM, ASKED, DONE), 3], "not a transcript"),
        ([run(SYSTEM, ASKED, DONE), run()], "no messages"),
        ([run(SYSTEM, ASKED, DONE), run(messages=[])], "no dialogue"),
        ([run(SYSTEM, ASKED, DONE), run({"role": "robot", "content": "x"}, DONE)], "bad role"),
    ],
)
def test_what_is_excluded(tmp_path: Path, value: Any, reason: str) -> None:
    used, excluded = read(save(tmp_path / "a.json", value))
    assert isinstance(used, Located)
    assert used.transcript.id == "a.json[0]"
    assert isinstance(excluded, Excluded)
    assert excluded.reason == reason


def test_what_is_no_message_is_left_out_and_counted(tmp_path: Path) -> None:
    (transcript,) = transcripts(
        save(tmp_path / "a.json", run(SYSTEM, ASKED, DONE) | {"messages": [ASKED, 3, None, DONE]})
    )
    assert len(transcript.messages) == 2
    assert transcript.metadata["dropped"] == {"malformed message": 2}


@pytest.mark.parametrize("value", [None, 3, [], [3], {}, {"metadata": 3}, {"suite_name": "x"}, {"messages": [ASKED]}])
def test_other_values_are_not_taken_for_runs(value: Any) -> None:
    assert not agentdojo.sniff(Look("a.json", [value]))


def test_real_runs(real_transcripts: Path) -> None:
    drift = transcripts(real_transcripts / "agentdojo-drift")
    assert (len(drift), sum(len(t.messages) for t in drift)) == (40, 495)
    # Calls are in the text: the table counts `tool_calls`, which lack 32 that DRIFT refused.
    assert not [m for t in drift for m in t.messages if "tool_calls" in m]
    export = transcripts(real_transcripts / "agentdojo-invariant")
    assert (len(export), sum(len(t.messages) for t in export)) == (582, 5549)
    assert sum(len(m.get("tool_calls") or ()) for t in export for m in t.messages) == 2076
    assert not [t for t in export if t.metadata.get("dropped")]


@pytest.mark.parametrize("folder", ["agentdojo-drift", "agentdojo-invariant"])
def test_labels_of_real_runs(real_transcripts: Path, folder: str) -> None:
    """They agree with the labels kept beside them, whose lines are counted without the header."""
    known = {}
    for line in (real_transcripts / folder / "labels.jsonl").read_bytes().splitlines():
        label = orjson.loads(line)
        place = f":{label['line'] + 1}" if "line" in label else ""
        known[label["file"] + place] = (label["utility"], label["security"], label["attack_succeeded"])
    found = {t.id: t.metadata["labels"] for t in transcripts(real_transcripts / folder)}
    keys = ("utility", "security", "attack_succeeded")
    assert {id: tuple(map(labels.get, keys)) for id, labels in found.items()} == known
