"""Claude Code sessions: the messages that come of them, and what stands beside them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from claude_code_records import (
    CAVEAT,
    CLEAR,
    attachment,
    boundary,
    everything,
    nodes,
    record,
    reply,
    result,
    save,
    session,
    sessions,
    spoken,
    text,
    use,
    user,
)

from resample.formats import Excluded, Located, read
from resample.formats.anthropic_blocks import Said
from resample.formats.assemble import HARNESS
from resample.formats.base import Look
from resample.formats.claude_code import fused, model_of, replies_as_one, sniff
from resample.formats.claude_code_shown import (
    CLEARED,
    folded,
    is_harness,
    is_markup,
    is_reminder,
    nobody_speaks,
    replacements_in,
    shown_by_attachment,
    snapshot_of,
    snapshot_tools,
    with_replacements,
)
from resample.formats.claude_code_tree import Node
from resample.formats.decode import decode
from resample.formats.exclusions import Problem, Reason
from resample.types import Missing

GO, DONE = user("a", None, "Go."), reply("b", "a", "Done.")


def test_a_session(tmp_path: Path) -> None:
    thinking = {"type": "thinking", "thinking": "Look first.", "signature": "x"}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}
    facts = {"cwd": "/repo", "version": "2.0.1", "gitBranch": "main", "slug": "brave-otter"}
    transcript = session(
        tmp_path,
        {"type": "summary", "summary": "Tidying", "leafUuid": "z"},
        {"type": "file-history-snapshot", "messageId": "a", "snapshot": {}},
        user("a", None, "Tidy up.", **facts),
        reply("b", "a", thinking, id="m1", **facts),
        reply("c", "b", "I look.", id="m1"),
        reply("d", "c", use("t1", command="ls"), id="m1"),
        record("p", "d", "progress", data={"type": "bash_progress"}),
        user("e", "d", [result("t1", [text("a.txt"), image])], toolUseResult={"stdout": "a.txt"}),
        reply("f", "e", "Tidy."),
        record("g", "f", "system", subtype="turn_duration", durationMs=3),
        {"type": "queue-operation", "operation": "enqueue", "content": "x", "sessionId": "s1"},
    )
    assert transcript.messages == [
        {"role": "user", "content": "Tidy up."},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "Look first.",
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "Bash", "arguments": '{"command":"ls"}'}}
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "t1",
            "content": [
                {"type": "text", "text": "a.txt"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
            ],
        },
        {"role": "assistant", "content": "Tidy."},
    ]
    metadata = transcript.metadata
    assert transcript.id.endswith("session.jsonl")
    assert metadata["source"] == "claude_code"
    assert metadata["model"] == "claude-x"
    assert metadata["cluster"] == "claude_code:brave-otter"
    assert metadata["missing"] == ["system_prompt", "tool_schemas"]
    assert metadata["dropped"] == {"harness record": 5}
    assert metadata["lines"] == [3, 4, 8, 9]
    assert metadata["extra"] == {**facts, "sessionId": "s1"}


# -- telling the format ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (GO, True),
        (DONE, True),
        ({"type": "user", "parentUuid": None, "message": {"role": "user", "content": []}}, True),
        ({"type": "assistant", "session_id": "s", "message": {"role": "assistant", "content": []}}, True),
        ({"type": "summary", "summary": "x", "leafUuid": "y"}, True),
        ({"type": "file-history-snapshot", "messageId": "x"}, True),
        ({"type": "queue-operation", "operation": "enqueue", "sessionId": "s"}, True),
        (attachment("a", None, "file"), True),
        ({"loglines": [{"type": "user", "message": {"role": "user", "content": "x"}}]}, True),
        ({"loglines": []}, False),
        ({"loglines": {"type": "user"}}, False),
        ({"type": "user", "message": {"role": "user", "content": "x"}}, False),
        ({"type": "user", "sessionId": "s", "message": {"role": "user", "parts": []}}, False),
        ({"type": "system", "subtype": "x", "sessionId": "s", "message": {"parts": []}}, False),
        ({"type": "message", "sessionId": "s", "message": {"role": "user", "content": "x"}}, False),
        ({"role": "user", "message": {"content": []}}, False),
        ({"type": "response_item", "payload": {}}, False),
        ({"type": ["user"], "sessionId": {}, "message": []}, False),
        ({"type": {}, "parentUuid": 3, "message": {"role": []}}, False),
        ([GO], False),
        ({"messages": [{"role": "user", "content": "x"}]}, False),
    ],
)
def test_sniff(value: Any, known: bool) -> None:
    assert sniff(Look("x.jsonl", [value])) is known


# -- lines -------------------------------------------------------------------------------------------------------------


def test_two_objects_on_one_line(tmp_path: Path) -> None:
    both = orjson.dumps(GO) + orjson.dumps(DONE)
    assert spoken(session(tmp_path, both)) == [("user", "Go."), ("assistant", "Done.")]


@pytest.mark.parametrize(
    ("data", "count", "reason"),
    [
        (b'{"a":1}{"b":2} {"c":3}', 3, None),
        (b'{"a":1}{"b":', 1, Reason.MALFORMED_JSON),
        (b'{"a":', 0, Reason.MALFORMED_JSON),
        (b'{"a":1}{"b":NaN}', 1, Reason.NOT_FINITE),
        (b'{"a":1}{"b":"\xff"}', 0, Reason.INVALID_UTF8),
        (b'{"a":1}{"b":' + b"[" * 5000, 1, Reason.MALFORMED_JSON),
    ],
)
def test_fused(data: bytes, count: int, reason: Reason | None) -> None:
    problem = decode(data)
    assert isinstance(problem, Problem)
    values, left = fused(data, problem)
    assert len(values) == count
    assert (left.reason if left else None) == reason or (reason is Reason.MALFORMED_JSON and left is not None)


def test_a_malformed_line_costs_no_other(tmp_path: Path) -> None:
    broken, found = everything(tmp_path, GO, b'{"type": "assistant", "uuid": "x"', reply("c", "x", "Done."))
    assert isinstance(broken, Excluded)
    assert (broken.line, broken.reason) == (2, "malformed JSON")
    assert isinstance(found, Located)
    assert spoken(found.transcript) == [("user", "Go."), ("assistant", "Done.")]
    assert "compacted_history" not in found.transcript.metadata["missing"]


def test_values_that_are_no_records(tmp_path: Path) -> None:
    transcript = session(tmp_path, GO, 42, b'"x"', [1], {"type": 3}, record("x", "a", "user", message="error"), DONE)
    assert spoken(transcript) == [("user", "Go."), ("assistant", "Done.")]
    assert transcript.metadata["dropped"] == {"malformed record": 5}


def test_a_record_that_is_written_twice(tmp_path: Path) -> None:
    transcript = session(tmp_path, GO, DONE, GO, DONE, user("c", "b", "And?"), reply("d", "c", "That."))
    assert [m["role"] for m in transcript.messages] == ["user", "assistant"] * 2
    assert transcript.metadata["dropped"] == {"repeated record": 2}


def test_an_export_from_the_web(tmp_path: Path) -> None:
    lines = [{key: line[key] for key in ("type", "message")} for line in (GO, DONE)]
    path = tmp_path / "export.json"
    path.write_bytes(orjson.dumps({"loglines": lines}))
    (found,) = read(tmp_path)
    assert isinstance(found, Located)
    assert spoken(found.transcript) == [("user", "Go."), ("assistant", "Done.")]
    assert found.transcript.id == "export.json"
    assert "lines" not in found.transcript.metadata


def test_exports_on_lines_are_conversations_of_their_own(tmp_path: Path) -> None:
    export = {"loglines": [{key: line[key] for key in ("type", "message")} for line in (GO, DONE)]}
    found = sessions(tmp_path, export, export)
    assert [t.id.rpartition("/")[2] for t in found] == ["session.jsonl", "session.jsonl:2"]


def test_what_the_print_mode_writes(tmp_path: Path) -> None:
    def line(kind: str, **fields: Any) -> dict[str, Any]:
        return {"type": kind, "session_id": "s1", **fields}

    inner = {"parent_tool_use_id": "t1"}
    main, agent = sessions(
        tmp_path,
        line("system", subtype="init", tools=["Task"]),
        line("user", message=GO["message"]),
        line("assistant", message=reply("b", None, use("t1", "Task"))["message"]),
        line("user", message={"role": "user", "content": "Look."}, **inner),
        line("assistant", message=reply("c", None, "Seen.")["message"], **inner),
        line("user", message={"role": "user", "content": [result("t1", "Seen.")]}),
        line("assistant", message=reply("d", None, "Done.")["message"]),
        line("result", result="Done."),
    )
    assert [m["role"] for m in main.messages] == ["user", "assistant", "tool", "assistant"]
    assert spoken(agent) == [("user", "Look."), ("assistant", "Seen.")]
    assert main.metadata["cluster"] == agent.metadata["cluster"] == "claude_code:s1"


# -- replies -----------------------------------------------------------------------------------------------------------


def merged(*records: Any, retracted: set[str] | None = None) -> tuple[list[Any], Counter[str]]:
    said = Said()
    sequence = replies_as_one(nodes(*records), retracted or set(), said)
    return [one.uuid if isinstance(one, Node) else [b["type"] for b in one.blocks] for one in sequence], said.dropped


@pytest.mark.parametrize(
    ("records", "sequence"),
    [
        ([reply("b", None, "x", id="m"), reply("c", "b", use("t"), id="m")], [["text", "tool_use"]]),
        ([reply("b", None, "x", id="m"), reply("c", "b", use("t"), id="n")], [["text"], ["tool_use"]]),
        (
            [reply("b", None, "x", id="m", requestId="1"), reply("c", "b", "y", id="m", requestId="2")],
            [["text"], ["text"]],
        ),
        (
            [reply("b", None, use("t"), id="m"), user("c", "b", [result("t")]), reply("d", "c", use("u"), id="m")],
            [["tool_use", "tool_use"], "c"],
        ),
        (
            [reply("b", None, "x", id="m"), user("c", "b", "No."), reply("d", "c", "y", id="m")],
            [["text"], "c", ["text"]],
        ),
        ([reply("b", None, use("t"), id="m"), reply("c", "b", use("t"), id="m")], [["tool_use"]]),
        ([reply("b", None, id="m"), reply("c", "b", "x", id="m")], [["text"]]),
    ],
    ids=[
        *("one reply", "two", "one id, two requests", "an output between", "the user speaks", "a call twice"),
        "nothing first",
    ],
)
def test_replies_as_one(records: list[Any], sequence: list[Any]) -> None:
    assert merged(*records)[0] == sequence


def test_replies_without_an_id_are_not_one() -> None:
    one, two = reply("b", None, "x"), reply("c", "b", "y")
    del one["message"]["id"], two["message"]["id"]
    assert merged(one, two)[0] == [["text"], ["text"]]


def test_what_was_written_in_the_models_name_or_taken_back() -> None:
    error = reply("b", None, "API Error", isApiErrorMessage=True)
    nothing = reply("c", "b", "No response requested.")
    nothing["message"]["model"] = "<synthetic>"
    sequence, dropped = merged(error, nothing, reply("d", "c", "Refused."), reply("e", "c", "x"), retracted={"d"})
    assert sequence == [["text"]]
    assert dropped == {"synthetic reply": 2, "retracted message": 1}


def test_retracted_messages(tmp_path: Path) -> None:
    note = record("x", "b", "system", subtype="api_refusal", retractedMessageUuids=["b", 3])
    again = reply("c", "x", "Better.", supersedesUuids=["d"])
    transcript = session(tmp_path, GO, DONE, note, again)
    assert spoken(transcript) == [("user", "Go."), ("assistant", "Better.")]


def test_the_model_of_the_last_reply() -> None:
    error = reply("c", "b", "x", isApiErrorMessage=True)
    error["message"]["model"] = "<synthetic>"
    assert model_of(nodes(GO, DONE, error)) == "claude-x"
    assert model_of(nodes(GO)) is None


def test_calls_without_ids_and_orphans(tmp_path: Path) -> None:
    outputs = user("c", "b", [result(None, "ok"), result("t9")])
    transcript = session(tmp_path, GO, reply("b", "a", use(None)), outputs, reply("d", "c", "Done."))
    assert [m["role"] for m in transcript.messages] == ["user", "assistant", "tool", "assistant"]
    assert transcript.messages[2]["tool_call_id"] == transcript.messages[1]["tool_calls"][0]["id"]
    assert transcript.metadata["dropped"] == {"orphan result": 1}


# -- several conversations ---------------------------------------------------------------------------------------------


def test_clear(tmp_path: Path) -> None:
    one, two = sessions(tmp_path, GO, DONE, user("c", "b", CLEAR), user("d", "c", "Anew."), reply("e", "d", "Yes."))
    assert spoken(one) == [("user", "Go."), ("assistant", "Done.")]
    assert spoken(two) == [("user", CLEAR), ("user", "Anew."), ("assistant", "Yes.")]
    assert two.id == f"{one.id}#2"
    assert one.metadata["cluster"] == two.metadata["cluster"] == "claude_code:s1"


def test_commands_alone_are_no_dialogue(tmp_path: Path) -> None:
    commands = [user("m", None, CAVEAT, isMeta=True), user("n", "m", "<command-name>/model</command-name>")]
    excluded, found = everything(
        tmp_path, *commands, user("c", "n", CLEAR), user("d", "c", "Go."), reply("e", "d", "x")
    )
    assert isinstance(excluded, Excluded)
    assert excluded.reason == "no dialogue"
    assert isinstance(found, Located)
    assert found.transcript.metadata.get("dropped") is None


def test_a_file_of_notes_only(tmp_path: Path) -> None:
    (item,) = everything(tmp_path, {"type": "summary", "summary": "x", "leafUuid": "y"})
    assert isinstance(item, Excluded)
    assert item.reason == "no dialogue"


def test_a_sub_agents_own_file(tmp_path: Path) -> None:
    side = {"isSidechain": True, "agentId": "1"}
    transcript = session(tmp_path, user("a", None, "Look.", **side), reply("b", "a", "Seen.", **side))
    assert spoken(transcript) == [("user", "Look."), ("assistant", "Seen.")]
    assert "dropped" not in transcript.metadata
    assert transcript.metadata["extra"]["agentId"] == "1"


def test_sub_agents_within_a_session(tmp_path: Path) -> None:
    side = {"isSidechain": True}
    main, agent = sessions(
        tmp_path,
        GO,
        reply("b", "a", use("t", "Task")),
        user("c", None, "Look.", **side),
        reply("d", "c", "Seen.", **side),
        user("e", "b", [result("t", "Seen.")]),
        reply("f", "e", "Done."),
    )
    assert [m["role"] for m in main.messages] == ["user", "assistant", "tool", "assistant"]
    assert main.metadata["dropped"] == {"sidechain record": 2}
    assert spoken(agent) == [("user", "Look."), ("assistant", "Seen.")]


def test_sessions_of_one_slug_share_a_cluster(tmp_path: Path) -> None:
    one = session(tmp_path, {**GO, "sessionId": "s1"}, {**DONE, "sessionId": "s1", "slug": "brave-otter"})
    two = session(tmp_path, {**GO, "sessionId": "s2", "slug": "brave-otter"}, {**DONE, "sessionId": "s2"})
    assert one.metadata["cluster"] == two.metadata["cluster"] == "claude_code:brave-otter"


def test_a_compaction(tmp_path: Path) -> None:
    summary = user("s", "k", "Go was done.", isCompactSummary=True, isVisibleInTranscriptOnly=True)
    kept = session(tmp_path, GO, DONE, boundary("k", None, logicalParentUuid="b"), summary, reply("d", "s", "On."))
    assert spoken(kept) == [("user", "Go was done."), ("assistant", "On.")]
    assert kept.metadata["harness"] == [0]
    assert kept.metadata["dropped"] == {"harness record": 1, "replaced by a compaction": 2}
    assert "compacted_history" not in kept.metadata["missing"]
    lost = session(tmp_path, GO, DONE, boundary("k", "b"), user("c", "k", "On."), reply("d", "c", "Yes."))
    assert spoken(lost) == [("user", "On."), ("assistant", "Yes.")]
    assert "compacted_history" in lost.metadata["missing"]


def test_a_history_that_stands_in_another_file(tmp_path: Path) -> None:
    transcript = session(tmp_path, user("a", "elsewhere", "Go on."), reply("b", "a", "On."))
    assert "compacted_history" in transcript.metadata["missing"]


# -- what is not the user's --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reminder", "markup"),
    [
        ("<system-reminder>\nx\n</system-reminder>\n", True, True),
        ("<task-notification>x</task-notification>", True, True),
        (CLEAR, False, True),
        ("<bash-input>ls</bash-input>", False, True),
        ([text("<system-reminder>x</system-reminder>"), text("<system-reminder>y</system-reminder>")], True, True),
        ([text("<system-reminder>x</system-reminder>"), text("Go.")], False, False),
        ("<system-reminder>x</system-reminder> Go.", False, False),
        ("<div>x</div>", False, False),
        ("Go.", False, False),
        ("", False, False),
        ([], False, False),
        ([{"type": "image_url"}], False, False),
        (None, False, False),
    ],
)
def test_markup(content: Any, reminder: bool, markup: bool) -> None:
    assert (is_reminder(content), is_markup(content)) == (reminder, markup)


@pytest.mark.parametrize(
    ("content", "harness"),
    [
        ("<system-reminder>x</system-reminder>", True),
        ("<local-command-stdout>x</local-command-stdout>", True),
        ("<local-command-stderr></local-command-stderr>", True),
        (CAVEAT, True),
        ("<bash-stdout>a</bash-stdout><bash-stderr></bash-stderr>", True),
        ("<bash-input>ls</bash-input>", False),
        (CLEAR, False),
        ([text("[Request interrupted by user for tool use]")], True),
        ("[Request interrupted by user]", True),
        ("Stop hook feedback:\n- Run the tests.", True),
        ("Stop hook feedback: what is it?", False),
        ("Caveat: The messages below were generated by the user while running local commands. DO NOT respond.", True),
        ("Caveat: I have no idea.", False),
        ([text("[Request interrupted by user]"), text("Rather look here.")], False),
        ([{"type": "image_url"}], False),
        ("", False),
    ],
)
def test_words_of_the_harness(content: Any, harness: bool) -> None:
    """A command is the user's own, and what it printed is not."""
    assert is_harness(content) is harness


def test_an_interruption_begins_no_turn_and_the_words_after_it_do(tmp_path: Path) -> None:
    stopped = user("c", "b", [result("t", "rejected"), text("[Request interrupted by user for tool use]")])
    records = (GO, reply("b", "a", use("t")), stopped, user("d", "c", "Leave it."), reply("e", "d", "Left."))
    transcript = session(tmp_path, *records)
    assert [said for _, said in spoken(transcript)[2:]] == [
        "rejected",
        "[Request interrupted by user for tool use]",
        "Leave it.",
        "Left.",
    ]
    assert transcript.metadata["harness"] == [3]


def test_what_a_command_printed_in_a_system_record(tmp_path: Path) -> None:
    printed = "<local-command-stdout>7 dollars</local-command-stdout>"
    command = record("x", "a", "system", subtype="local_command", content=printed)
    assert session(tmp_path, GO, command, reply("b", "x", "Done.")).metadata["harness"] == [1]


def test_the_date_of_the_first_record_of_a_conversation(tmp_path: Path) -> None:
    """After `/clear` it is another conversation."""
    dates = ["2026-01-02T03:04:05.678Z", "2026-01-02T03:04:06Z", "2026-01-03T00:00:00Z", "2026-01-03T00:00:01Z"]
    records = [GO, DONE, user("c", "b", CLEAR), user("d", "c", "Go on."), reply("e", "d", "On.")]
    dated = [{**each, "timestamp": date} for each, date in zip(records, dates, strict=False)]
    assert [one.metadata["date"] for one in sessions(tmp_path, *dated, records[4])] == [dates[0], dates[2]]


@pytest.mark.parametrize(
    ("messages", "nobody"),
    [
        ([{"role": "user", "content": CLEAR}], True),
        ([{"role": "user", "content": "Caveat", HARNESS: True}], True),
        ([{"role": "user", "content": CLEAR}, {"role": "user", "content": "Go."}], False),
        ([{"role": "user", "content": CLEAR}, {"role": "assistant", "content": "x"}], False),
    ],
)
def test_nobody_speaks(messages: list[Any], nobody: bool) -> None:
    assert nobody_speaks(messages) is nobody


def told(role: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


NOTE = {HARNESS: True}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (
            [told("tool", "out"), told("user", "note", **NOTE), told("assistant", "x")],
            [told("tool", "out\n\nnote"), told("assistant", "x")],
        ),
        (
            [told("tool", "1"), told("user", "n", **NOTE), told("tool", "2"), told("assistant", "x")],
            [told("tool", "1"), told("tool", "2\n\nn"), told("assistant", "x")],
        ),
        (
            [told("tool", ""), told("user", [{"type": "image_url"}], **NOTE), told("assistant", "x")],
            [told("tool", [{"type": "image_url"}]), told("assistant", "x")],
        ),
        (
            [told("tool", "out"), told("user", "n", **NOTE), told("user", "Stop."), told("assistant", "x")],
            [told("tool", "out"), told("user", "n", **NOTE), told("user", "Stop."), told("assistant", "x")],
        ),
        ([told("tool", "out"), told("user", "n", **NOTE)], [told("tool", "out"), told("user", "n", **NOTE)]),
        ([told("user", "n", **NOTE), told("assistant", "x")], [told("user", "n", **NOTE), told("assistant", "x")]),
    ],
    ids=["a note", "parallel outputs", "an image", "the user speaks", "at the end", "without an output"],
)
def test_folded(messages: list[Any], expected: list[Any]) -> None:
    assert folded(messages) == expected


def test_an_expanded_command_is_part_of_the_output(tmp_path: Path) -> None:
    transcript = session(
        tmp_path,
        GO,
        reply("b", "a", use("t", "Skill")),
        user("c", "b", [result("t", "Launching skill")]),
        user("d", "c", [text("The skill says: tidy.")], isMeta=True, sourceToolUseID="t"),
        reply("e", "d", "Tidy."),
    )
    assert spoken(transcript)[2:] == [("tool", "Launching skill\n\nThe skill says: tidy."), ("assistant", "Tidy.")]


def test_words_beside_an_output_are_the_users(tmp_path: Path) -> None:
    outputs = user("c", "b", [result("t", "done"), text("Not all at once!")])
    transcript = session(tmp_path, GO, reply("b", "a", use("t")), outputs, reply("d", "c", "Sorry."))
    assert spoken(transcript)[2:] == [("tool", "done"), ("user", "Not all at once!"), ("assistant", "Sorry.")]


def test_records_for_the_display_only(tmp_path: Path) -> None:
    shown = user("x", "a", "Shown.", isVisibleInTranscriptOnly=True)
    transcript = session(tmp_path, GO, shown, reply("b", "x", "Done."))
    assert spoken(transcript) == [("user", "Go."), ("assistant", "Done.")]
    assert transcript.metadata["dropped"] == {"display record": 1}


def test_commands_that_are_system_records(tmp_path: Path) -> None:
    command = record("x", "a", "system", subtype="local_command", content="<command-name>/cost</command-name>")
    transcript = session(tmp_path, GO, command, reply("b", "x", "Done."))
    assert spoken(transcript)[1] == ("user", "<command-name>/cost</command-name>")


# -- attachments -------------------------------------------------------------------------------------------------------


def shown(rendered: bool, kind: str, rendering: Any = None, role: Any = None, **given: Any) -> Any:
    said = Said()
    one = attachment("a", None, kind, **given)
    if rendering is not None:
        one |= {"rendered": rendering, "renderedRole": role}
    messages = shown_by_attachment(one, said, rendered)
    if not messages:
        return dict(said.dropped)
    (message,) = messages
    return (message["role"], message["content"], HARNESS in message)


IN_TAGS = "<system-reminder>\n{}\n</system-reminder>"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (shown(True, "date_change", [{"content": "It is Monday."}]), ("user", "It is Monday.", True)),
        (shown(True, "environment", [{"content": "Linux"}], "system"), ("system", "Linux", True)),
        (shown(True, "hook_success", content="ok"), {"attachment that was not shown": 1}),
        (shown(True, "x", [3, {"content": None}, {}]), {"attachment that was not shown": 1}),
        (shown(False, "hook_additional_context", content=["x", "y"]), ("user", IN_TAGS.format("x\n\ny"), True)),
        (shown(False, "nested_memory", content={"content": "Be kind."}), ("user", IN_TAGS.format("Be kind."), True)),
        (shown(False, "file", content={"file": {"content": "1"}}), ("user", IN_TAGS.format("1"), True)),
        (shown(False, "edited_text_file", snippet="1"), ("user", IN_TAGS.format("1"), True)),
        (
            shown(False, "hook_blocking_error", blockingError={"blockingError": "No."}),
            ("user", IN_TAGS.format("No."), True),
        ),
        (shown(False, "todo_reminder", content=[], itemCount=0), {"attachment without a text": 1}),
        (shown(False, "queued_command", prompt="Wait."), ("user", "Wait.", False)),
        (
            shown(True, "queued_command", prompt="Wait.", commandMode="prompt", origin={"kind": "human"}),
            ("user", "Wait.", False),
        ),
        (
            shown(True, "queued_command", [{"content": "He says: wait."}], prompt="Wait."),
            ("user", "He says: wait.", False),
        ),
        (shown(True, "queued_command", prompt="Ended.", commandMode="task-notification"), ("user", "Ended.", True)),
        (shown(True, "queued_command", prompt="Ended.", origin={"kind": "task"}), ("user", "Ended.", True)),
        (shown(False, "queued_command", prompt=[text("Wait."), None, 3]), ("user", "Wait.", False)),
        (shown(False, "queued_command", prompt=3), {"attachment without a text": 1}),
        (shown(False, "prompt_snapshot", systemPrompt=["x"]), {}),
    ],
)
def test_attachments(found: Any, expected: Any) -> None:
    assert found == expected


def test_what_was_typed_during_a_turn_is_the_users(tmp_path: Path) -> None:
    transcript = session(
        tmp_path,
        GO,
        reply("b", "a", use("t")),
        user("c", "b", [result("t", "out")]),
        attachment("d", "c", "queued_command", prompt="Wait.", commandMode="prompt"),
        reply("e", "d", "I wait."),
    )
    assert spoken(transcript)[2:] == [("tool", "out"), ("user", "Wait."), ("assistant", "I wait.")]


def test_system_prompt_and_tools_in_attachments(tmp_path: Path) -> None:
    tool = {"name": "Bash", "description": "Runs.", "schema": {"input_schema": {"type": "object", "properties": {}}}}
    transcript = session(
        tmp_path,
        attachment("p", None, "prompt_snapshot", systemPrompt=["Be kind.", "Be brief."], tools=[tool]),
        user("a", "p", "Go."),
        attachment("q", "a", "prompt_snapshot", systemPrompt=["Be very kind."]),
        reply("b", "q", use("t")),
        user("c", "b", [result("t")]),
        reply("d", "c", "Done."),
        user("e", "d", CLEAR),
        attachment("r", "e", "prompt_snapshot", systemPrompt=["Anew."]),
    )
    assert transcript.messages[0] == {"role": "system", "content": "Be very kind."}
    (schema,) = transcript.tools
    assert (schema["function"]["name"], schema["function"]["description"]) == ("Bash", "Runs.")
    assert "missing" not in transcript.metadata


@pytest.mark.parametrize(
    ("tool", "parameters"),
    [
        ({"name": "f", "schema": {"input_schema": {"type": "object"}}}, {"type": "object"}),
        ({"name": "f", "schema": {"type": "object"}}, {"type": "object"}),
        ({"name": "f", "input_schema": {"type": "object"}}, {"type": "object"}),
        ({"schema": {"name": "f", "input_schema": {"type": "object"}}}, {"type": "object"}),
        ({"name": "f"}, {"type": "object", "properties": {}}),
        ({"name": 3, "schema": []}, None),
        ({"type": "web_search_20250305", "name": "web_search"}, None),
    ],
)
def test_snapshot_tools(tool: Any, parameters: Any) -> None:
    schemas = snapshot_tools({"tools": [tool, None]}, Said())
    assert [schema["function"]["parameters"] for schema in schemas] == ([] if parameters is None else [parameters])


@pytest.mark.parametrize(
    ("one", "is_one"),
    [
        (attachment("a", None, "prompt_snapshot"), True),
        (attachment("a", None, "other", systemPrompt=["x"]), True),
        (attachment("a", None, "file"), False),
        ({"attachment": "x"}, False),
    ],
)
def test_snapshots(one: Any, is_one: bool) -> None:
    assert (snapshot_of(one) is not None) is is_one


# -- outputs that stand elsewhere --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "output", "missing"),
    [
        ("", "All of it.", False),
        (None, "All of it.", False),
        ("<persisted-output>Preview</persisted-output>", "<persisted-output>Preview</persisted-output>", False),
    ],
)
@pytest.mark.parametrize("folder", ["s1", "session"])
def test_an_output_in_a_file(tmp_path: Path, content: Any, output: str, missing: bool, folder: str) -> None:
    path = "C:\\projects\\x\\tool-results\\t.txt" if folder == "s1" else "/projects/x/tool-results/t.txt"
    records = [
        *(GO, reply("b", "a", use("t"))),
        user("c", "b", [result("t", content)], toolUseResult={"persistedOutputPath": path}),
        reply("d", "c", "Done."),
    ]
    save(tmp_path / "logs" / "session.jsonl", *records)
    side = tmp_path / "logs" / folder / "tool-results"
    side.mkdir(parents=True)
    (side / "t.txt").write_text("All of it.")
    (found,) = read(tmp_path / "logs" / "session.jsonl")
    assert isinstance(found, Located)
    assert found.transcript.messages[2]["content"] == output
    assert ("truncated_outputs" in found.transcript.metadata["missing"]) is missing


@pytest.mark.parametrize("path", ["/x/tool-results/t.txt", "..", "/", "\0", 3, None])
def test_an_output_in_a_file_that_is_not_there(tmp_path: Path, path: Any) -> None:
    outputs = user("c", "b", [result("t", "")], toolUseResult={"persistedOutputPath": path})
    transcript = session(tmp_path, GO, reply("b", "a", use("t")), outputs, reply("d", "c", "Done."))
    assert transcript.messages[2]["content"] == ""
    assert (Missing.TRUNCATED_OUTPUTS.value in transcript.metadata["missing"]) is isinstance(path, str)


@pytest.mark.parametrize(
    ("one", "replacements"),
    [
        ({"type": "content-replacement", "replacements": [{"toolUseId": "t", "replacement": "x"}, {}, 3]}, {"t": "x"}),
        (
            {"subtype": "microcompact_boundary", "microcompactMetadata": {"compactedToolIds": ["t", 3]}},
            {"t": CLEARED},
        ),
        ({"subtype": "microcompact_boundary", "microcompactMetadata": {"compactedToolIds": 3}}, {}),
        ({"subtype": ["microcompact_boundary"]}, {}),
        ({}, {}),
    ],
)
def test_replacements(one: Any, replacements: dict[str, str]) -> None:
    assert replacements_in(one) == replacements


def test_outputs_that_were_taken_out_of_the_context() -> None:
    said = Said()
    messages = [told("tool", "long", tool_call_id="t"), told("tool", "short", tool_call_id="u"), told("user", "x")]
    with_replacements(messages, {"t": CLEARED}, said)
    assert [m["content"] for m in messages] == [CLEARED, "short", "x"]
    assert said.dropped == {"output taken out of the context": 1}


# -- odd values --------------------------------------------------------------------------------------------------------

ODD: list[Any] = [None, True, 7, "x", [], {}, [[]], {"a": {}}, [None, 7, "x", {"type": []}]]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    "place",
    [
        *("uuid", "parentUuid", "sessionId", "session_id", "slug", "type", "message", "isSidechain", "agentId"),
        *("parent_tool_use_id", "isMeta", "attachment", "subtype", "content", "compactMetadata", "rendered"),
        *("logicalParentUuid", "microcompactMetadata", "supersedesUuids", "retractedMessageUuids", "toolUseResult"),
    ],
)
def test_odd_values_of_a_record(tmp_path: Path, place: str, odd: Any) -> None:
    changed = [
        {**GO, place: odd},
        {**reply("b", "a", use("t")), place: odd},
        {**user("c", "b", [result("t", "")]), place: odd},
        {**boundary("k", "c"), place: odd},
        {**attachment("p", "k", "queued_command", prompt="x"), place: odd},
        reply("d", "p", "Done."),
    ]
    for one in range(len(changed)):
        assert everything(tmp_path, GO, DONE, changed[one], user("y", "b", "And?"), reply("z", "y", "Yes."))
    assert everything(tmp_path, *changed)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", ["role", "content", "id", "model", "type"])
def test_odd_values_of_a_message(tmp_path: Path, place: str, odd: Any) -> None:
    records = [{**one, "message": {**one["message"], place: odd}} for one in (GO, DONE, user("c", "b", [result("t")]))]
    assert everything(tmp_path, *records, user("y", "c", "And?"), reply("z", "y", "Yes."))


# -- real files --------------------------------------------------------------------------------------------------------


def test_real_files(real_transcripts: Path) -> None:
    found = list(read(real_transcripts / "claude-code"))
    transcripts = {one.transcript.id: one.transcript for one in found if isinstance(one, Located)}
    excluded = [one for one in found if isinstance(one, Excluded)]
    messages = [message for transcript in transcripts.values() for message in transcript.messages]
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    assert {t.metadata["source"] for t in transcripts.values()} == {"claude_code"}
    # 38 files, counted as 40 conversations by SOURCES.md. Beside the first conversation of each file:
    several = sorted(id for id in transcripts if "#" in id)
    assert several == [
        "agentsessions-small.jsonl#2",  # a sub-agent's
        "ccl-edge_cases.jsonl#2",  # a reply from another session
        *("ccviewer-5c0375b4.jsonl#2", "ccviewer-5c0375b4.jsonl#3"),  # two sub-agents'
        "entire-8c-fa910f8ef9-4.jsonl#2",  # after /clear, as a tree of its own
        "scout-clear_split_session.jsonl#2",  # after /clear
    ]
    assert len(transcripts) == 38 + len(several)
    # The 6 lines of two fused objects each are read.
    assert excluded == []
    # SOURCES.md counts 2827 records. The blocks of one reply are one message here (in these files, a third of all).
    assert len(messages) == 1794
    # SOURCES.md counts 810 calls, 12 more: 11 stand before the compaction of cct-sample_session.json, and one in a
    # fixture's record whose uuid is a mark for what was cut out, the same for 45 records.
    assert len(calls) == 810 - 11 - 1
    # Calls without an output stand at the ends of sessions, and in a hand-made file.
    unanswered = {
        id: count
        for id, t in transcripts.items()
        if (count := sum(len(m.get("tool_calls") or ()) - (m["role"] == "tool") for m in t.messages))
    }
    assert unanswered == {
        "agentcmd-full-session-three.jsonl": 3,
        "ccl-edge_cases.jsonl": 1,
        "ccl-edge_cases.jsonl#2": 1,
        "entire-8c-fa910f8ef9-0.jsonl": 1,
    }
