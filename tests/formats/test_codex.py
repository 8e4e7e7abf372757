"""Codex CLI sessions: what of a rollout file the model saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Excluded, Located, read
from resample.formats.base import Draft, Look
from resample.formats.codex import (
    System,
    aborted_outputs,
    bare_item,
    cluster_of,
    dynamic_tools,
    extras_of,
    is_display_event,
    model_of,
    sniff,
    system_prompt,
)
from resample.formats.codex_history import History, begins_turn, replacement_of
from resample.types import Transcript


def line(kind: str, **payload: Any) -> dict[str, Any]:
    return {"timestamp": "2026-01-01T00:00:00Z", "type": kind, "payload": payload}


def item(type: str, **fields: Any) -> dict[str, Any]:
    return line("response_item", type=type, **fields)


def event(type: str, **fields: Any) -> dict[str, Any]:
    return line("event_msg", type=type, **fields)


def text(role: str, said: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": said}]}


def says(role: str, said: str) -> dict[str, Any]:
    return line("response_item", **text(role, said))


def call(id: str, name: str = "shell", arguments: Any = '{"command": ["ls"]}') -> dict[str, Any]:
    return item("function_call", name=name, arguments=arguments, call_id=id)


def output(id: str, said: Any) -> dict[str, Any]:
    return item("function_call_output", call_id=id, output=said)


def save(path: Path, *lines: dict[str, Any] | bytes) -> Path:
    path.write_bytes(b"\n".join(one if isinstance(one, bytes) else orjson.dumps(one) for one in lines) + b"\n")
    return path


def session(path: Path, *lines: dict[str, Any] | bytes) -> Transcript:
    (found,) = [one for one in read(save(path / "rollout.jsonl", *lines)) if isinstance(one, Located)]
    assert found.transcript.metadata["source"] == "codex"
    return found.transcript


def spoken(transcript: Transcript) -> list[tuple[str, Any]]:
    return [(m["role"], m["content"]) for m in transcript.messages]


ENVIRONMENT = "<environment_context>\n<cwd>/repo</cwd>\n</environment_context>"
META = line("session_meta", id="s1", cwd="/repo", cli_version="0.99.0", base_instructions={"text": "You are Codex."})
SHELL_OUTPUT = '{"output":"a\\nb\\n","metadata":{"exit_code":0,"duration_seconds":0.1}}'


def test_a_session(tmp_path: Path) -> None:
    transcript = session(
        tmp_path,
        META,
        line("turn_context", cwd="/repo", model="gpt-x", approval_policy="never"),
        says("user", ENVIRONMENT),
        says("user", "list the files"),
        event("user_message", message="list the files"),
        event("agent_reasoning", text="**Looking**"),
        item("reasoning", summary=[{"type": "summary_text", "text": "**Looking**"}], encrypted_content="gAAA"),
        call("c1"),
        output("c1", SHELL_OUTPUT),
        event("token_count", info=None),
        item("reasoning", summary=[], content=None, encrypted_content="gAAA"),
        says("assistant", "Two."),
        event("agent_message", message="Two."),
        event("task_complete"),
    )
    assert transcript.id == "rollout.jsonl"
    assert transcript.messages == [
        {"role": "system", "content": "You are Codex."},
        {"role": "user", "content": ENVIRONMENT},
        {"role": "user", "content": "list the files"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "**Looking**",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "shell", "arguments": '{"command": ["ls"]}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": SHELL_OUTPUT},
        {"role": "assistant", "content": "Two."},
    ]
    metadata = transcript.metadata
    assert metadata["model"] == "gpt-x"
    assert metadata["cluster"] == "codex:s1"
    assert metadata["missing"] == ["reasoning", "tool_schemas"]
    assert metadata["dropped"] == {"display event": 5}
    assert metadata["lines"] == [None, 3, 4, 7, 9, 12]
    assert metadata["extra"]["cli_version"] == "0.99.0"


def test_malformed_lines_do_not_end_a_session(tmp_path: Path) -> None:
    lines = [META, says("user", "go"), b'{"timestamp": "t", "type": "resp', b"17", says("assistant", "yes")]
    found = list(read(save(tmp_path / "a.jsonl", *lines)))
    assert [(one.line, one.reason) for one in found if isinstance(one, Excluded)] == [
        (3, "malformed JSON"),
        (4, "not a transcript"),
    ]
    (transcript,) = [one.transcript for one in found if isinstance(one, Located)]
    assert [m["role"] for m in transcript.messages] == ["system", "user", "assistant"]


def test_a_file_without_dialogue(tmp_path: Path) -> None:
    (found,) = read(save(tmp_path / "a.jsonl", META, event("task_started"), event("token_count", info=None)))
    assert isinstance(found, Excluded)
    assert found.reason == "no dialogue"


def test_a_compaction_replaces_what_was_before(tmp_path: Path) -> None:
    history = [text("user", "the task"), text("user", "Summary: one file done.")]
    transcript = session(
        tmp_path,
        META,
        says("user", "the task"),
        call("c1"),
        output("c1", "x"),
        line("compacted", message="", replacement_history=history),
        says("user", "go on"),
        says("assistant", "done"),
    )
    assert spoken(transcript)[1:] == [
        ("user", "the task"),
        ("user", "Summary: one file done."),
        ("user", "go on"),
        ("assistant", "done"),
    ]
    assert transcript.metadata["dropped"] == {"replaced by a compaction": 3}
    assert transcript.metadata["missing"] == ["tool_schemas"]


@pytest.mark.parametrize(
    ("said", "harness"),
    [
        (ENVIRONMENT, [2]),
        ("<user_instructions>\nUse oak.\n</user_instructions>", [2]),
        ("# AGENTS.md instructions for /repo\n\n<INSTRUCTIONS>\nUse oak.\n</INSTRUCTIONS>", [2]),
        ("<turn_aborted>\nThe user interrupted the previous turn.\n</turn_aborted>", [2]),
        ("Warning: apply_patch was requested via exec_command. Use the apply_patch tool.", [2]),
        ("Another language model started to solve this problem and produced a summary of its thinking.", [2]),
        ("<user_shell_command>\nls\n</user_shell_command>", None),
        ("<task>\nMend it.\n</task>", None),
        ("# Context from my IDE setup:\n\n## My request for Codex:\nMend it.", None),
    ],
)
def test_what_the_client_injects(tmp_path: Path, said: str, harness: Any) -> None:
    transcript = session(tmp_path, META, says("user", "go"), says("user", said), says("assistant", "done"))
    assert transcript.metadata.get("harness") == harness


def test_the_date_of_the_header_or_else_of_the_first_record(tmp_path: Path) -> None:
    header = line("session_meta", id="s1", timestamp="2025-12-31T23:59:59Z")
    spoken = (says("user", "go"), says("assistant", "done"))
    assert session(tmp_path, header, *spoken).metadata["date"] == "2025-12-31T23:59:59Z"
    assert session(tmp_path, META, *spoken).metadata["date"] == "2026-01-01T00:00:00Z"


def test_a_compaction_without_its_replacement(tmp_path: Path) -> None:
    transcript = session(
        tmp_path,
        META,
        says("user", "the task"),
        call("c1"),
        output("c1", "x"),
        line("compacted", message="One file done."),
        says("user", "go on"),
        says("assistant", "done"),
    )
    assert [said for _, said in spoken(transcript)[1:]] == ["the task", "One file done.", "go on", "done"]
    assert transcript.metadata["harness"] == [2]
    assert transcript.metadata["missing"] == ["compacted_history", "tool_schemas"]
    assert transcript.metadata["dropped"] == {"replaced by a compaction": 2}


@pytest.mark.parametrize(
    ("payload", "items"),
    [
        ({"replacement_history": [{"type": "message"}, 3]}, [{"type": "message"}]),
        ({"replacement_history": [{"item": {"type": "message"}, "metadata": {}}]}, [{"type": "message"}]),
        ({"replacement_history": []}, []),
        ({"replacement_history": None}, None),
        ({"message": "x"}, None),
    ],
)
def test_replacement_of(payload: dict[str, Any], items: Any) -> None:
    assert replacement_of(payload) == items


def history_of(*items: dict[str, Any]) -> History:
    history = History()
    for number, one in enumerate(items):
        history.add(one, number)
    return history


@pytest.mark.parametrize(
    ("turns", "left", "count"),
    [(1, 4, 2), (2, 2, 4), (9, 2, 4), (0, 6, 0), (-1, 6, 0), ("1", 6, 0), (None, 6, 0)],
)
def test_rolled_back_turns_were_taken_out(turns: Any, left: int, count: int) -> None:
    history = history_of(
        text("developer", "rules"),
        text("user", ENVIRONMENT),
        text("user", "one"),
        text("assistant", "yes"),
        text("user", "two"),
        text("assistant", "no"),
    )
    assert (history.roll_back(turns), len(history.items)) == (count, left)


def test_rolling_back_where_no_turn_is() -> None:
    history = history_of(text("user", ENVIRONMENT), text("assistant", "yes"))
    assert (history.roll_back(1), len(history.items)) == (0, 2)


def test_rolling_back_over_compactions() -> None:
    history = history_of(text("user", "one"), text("assistant", "yes"), text("user", "two"))
    assert history.summarise("so far", None) == 1
    assert history.roll_back(2) == 2
    assert [placed.item["content"][0]["text"] for placed in history.items] == ["one"]
    history.add(text("assistant", "again"), None)
    assert history.summarise("", None) == 1
    assert history.replace([text("user", "new")], 7) == 1
    assert [placed.line for placed in history.items] == [7]


def test_a_roll_back_in_a_file(tmp_path: Path) -> None:
    transcript = session(
        tmp_path,
        META,
        says("user", "one"),
        says("assistant", "yes"),
        says("user", "two"),
        says("assistant", "no"),
        event("thread_rolled_back", num_turns=1),
        says("user", "three"),
        says("assistant", "ok"),
    )
    assert [said for _, said in spoken(transcript)[1:]] == ["one", "yes", "three", "ok"]
    assert transcript.metadata["dropped"] == {"rolled back": 2}


@pytest.mark.parametrize(
    ("one", "begins"),
    [
        (text("user", "fix <b>this</b>"), True),
        (text("user", "<p>is a tag</p> and more"), True),
        (text("user", ENVIRONMENT), False),
        (text("user", " <turn_aborted>\nx\n</turn_aborted>\n"), False),
        (text("user", "# AGENTS.md instructions for /repo\n\nx"), False),
        ({"role": "user", "content": "as a text"}, True),
        ({"role": "user", "content": None}, True),
        (text("assistant", "x"), False),
        ({"type": "function_call"}, False),
    ],
)
def test_begins_turn(one: dict[str, Any], begins: bool) -> None:
    assert begins_turn(one) is begins


def test_calls_of_an_aborted_turn(tmp_path: Path) -> None:
    transcript = session(
        tmp_path,
        META,
        says("user", "go"),
        call("c1"),
        call("c2"),
        output("c2", "done"),
        event("turn_aborted", reason="interrupted"),
        says("user", "<turn_aborted>\nx\n</turn_aborted>"),
        says("user", "again"),
        call("c3"),
    )
    assert [(m["tool_call_id"], m["content"]) for m in transcript.messages if m["role"] == "tool"] == [
        ("c1", "aborted"),
        ("c2", "done"),
    ]
    assert transcript.messages[-1]["tool_calls"][0]["id"] == "c3"
    assert transcript.metadata["extra"]["aborted_turns"] == 1
    assert transcript.metadata["extra"]["aborted_calls"] == 1


def test_aborted_outputs_of_calls_without_ids() -> None:
    acting = {"role": "assistant", "tool_calls": [{"id": ""}]}
    messages = [acting, {"role": "user", "content": "x"}]
    assert aborted_outputs(messages) == (messages, 0)
    assert aborted_outputs([]) == ([], 0)


@pytest.mark.parametrize(
    ("metas", "context", "opening", "system"),
    [
        ([{"base_instructions": {"text": "Base."}}], {}, [], System("Base.", True)),
        ([{"base_instructions": "Base."}], {}, [], System("Base.", True)),
        ([{"base_instructions": None}, {"base_instructions": "Parent's."}], {}, [], System("Parent's.", True)),
        ([{}], {"base_instructions": "Base."}, [], System("Base.", True)),
        ([{"instructions": "Be kind."}], {}, [], System("Be kind.", False)),
        ([{"instructions": "Be kind."}], {}, [text("user", "<user_instructions>\nBe kind.")], System("", False)),
        ([{"instructions": "Be kind."}], {}, [{"content": "Be kind."}], System("", False)),
        ([{"instructions": None, "base_instructions": {"text": 3}}], {}, [], System("", False)),
        ([], {}, [], System("", False)),
    ],
)
def test_system_prompt(metas: Any, context: Any, opening: Any, system: System) -> None:
    assert system_prompt(metas, context, opening) == system


def test_without_a_system_prompt_it_is_missing(tmp_path: Path) -> None:
    transcript = session(tmp_path, line("session_meta", id="s"), says("user", "x"), says("assistant", "y"))
    assert transcript.metadata["missing"] == ["system_prompt", "tool_schemas"]


TOOL = {"name": "ask", "description": "Ask.", "inputSchema": {"type": "object", "properties": {}}, "deferLoading": True}
GROUP = {"type": "namespace", "name": "mail", "tools": [{"type": "function", "name": "send", "parameters": {}}]}


@pytest.mark.parametrize(
    ("given", "called", "names", "kept"),
    [
        ([TOOL, GROUP], ["ask"], ["ask", "mail__send"], None),
        ([TOOL, GROUP], [], ["ask", "mail__send"], None),
        ({"type": "dynamic", "name": "mail", "tools": [TOOL]}, ["mail__ask"], ["mail__ask"], None),
        ([TOOL], ["shell", "ask"], [], ["ask"]),
        (None, ["shell"], [], None),
        ("odd", [], [], None),
    ],
)
def test_dynamic_tools(given: Any, called: list[str], names: list[str], kept: Any) -> None:
    calls = [{"type": "function", "function": {"name": name}} for name in called]
    draft = Draft(id="a", source="codex")
    tools = dynamic_tools([{"dynamic_tools": given}], [{"role": "assistant", "tool_calls": calls}], draft)
    assert [tool["function"]["name"] for tool in tools] == names
    assert draft.extra.get("dynamic_tools") == kept


@pytest.mark.parametrize(
    ("metas", "cluster"),
    [
        ([{"id": "a"}], "codex:a"),
        ([{"id": "a", "session_id": "a"}], "codex:a"),
        ([{"id": "b", "session_id": "root", "parent_thread_id": "a"}], "codex:root"),
        ([{"id": "b", "session_id": "b", "forked_from_id": "a"}], "codex:a"),
        ([{"id": "b", "parent_thread_id": "a"}], "codex:a"),
        ([{"id": "c"}, {"id": "b"}, {"id": "a"}], "codex:a"),
        ([{"id": "b"}, {"id": 3}], "codex:b"),
        ([{}], None),
        ([], None),
    ],
)
def test_cluster(metas: Any, cluster: str | None) -> None:
    assert cluster_of(metas) == cluster


def test_a_forked_session_keeps_the_history_it_copied(tmp_path: Path) -> None:
    transcript = session(
        tmp_path,
        line("session_meta", id="s2", cli_version="2", base_instructions=None),
        META,
        says("user", "one"),
        says("assistant", "yes"),
        says("user", "two"),
        says("assistant", "no"),
    )
    assert [said for _, said in spoken(transcript)] == ["You are Codex.", "one", "yes", "two", "no"]
    assert transcript.metadata["cluster"] == "codex:s1"
    assert transcript.metadata["extra"]["id"] == "s2"


def test_model_and_extras() -> None:
    assert model_of({"model": "m2"}, [{"model": "m1"}]) == "m2"
    assert model_of({"model": 3}, [{}, {"model": "m1"}]) == "m1"
    assert model_of({}, []) is None
    extras = extras_of([{"id": "a"}, {"id": "b"}], {"effort": "high"})
    assert (extras["id"], extras["effort"]) == ("a", "high")


HEADER = {"id": "s0", "timestamp": "2025-08-01T00:00:00Z", "instructions": None, "git": {"branch": "main"}}


def test_files_of_before_october_2025_have_no_envelope(tmp_path: Path) -> None:
    transcript = session(
        tmp_path,
        HEADER,
        {"record_type": "state"},
        text("user", "list"),
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "function_call", "id": "f", "name": "shell", "arguments": "{}", "call_id": "c1"},
        {"type": "function_call_output", "call_id": "c1", "output": "a"},
        text("assistant", "One."),
    )
    assert [m["role"] for m in transcript.messages] == ["user", "assistant", "tool", "assistant"]
    assert transcript.metadata["dropped"] == {"harness record": 1}
    assert transcript.metadata["cluster"] == "codex:s0"


def test_the_document_of_the_first_codex(tmp_path: Path) -> None:
    log = {"session": HEADER, "items": [text("user", "list"), text("assistant", "One.")]}
    path = tmp_path / "rollout.json"
    path.write_bytes(orjson.dumps(log, option=orjson.OPT_INDENT_2))
    (found,) = read(path)
    assert isinstance(found, Located)
    assert spoken(found.transcript) == [("user", "list"), ("assistant", "One.")]
    assert "lines" not in found.transcript.metadata


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"role": "user", "message": "hi"}, {"type": "message", "role": "user", "content": "hi"}),
        ({"role": "user", "content": "hi"}, {"type": "message", "role": "user", "content": "hi"}),
        ({"type": "function_result", "result": "x"}, {"type": "function_call_output", "call_id": None, "output": "x"}),
        ({"type": "world_state"}, None),
        ({"record_type": "state"}, None),
        ({"type": ["odd"]}, None),
    ],
)
def test_bare_items(record: dict[str, Any], expected: Any) -> None:
    assert bare_item(record) == expected


def test_bare_calls_without_ids(tmp_path: Path) -> None:
    transcript = session(
        tmp_path,
        HEADER,
        {"role": "user", "message": "translate"},
        {"type": "function_call", "function": {"name": "translate"}, "arguments": {"to": "es"}},
        {"type": "function_result", "name": "translate", "result": "hola"},
        {"role": "assistant", "content": "hola"},
        line("world_state", full=True),
    )
    (made,) = transcript.messages[1]["tool_calls"]
    assert made["function"] == {"name": "translate", "arguments": '{"to":"es"}'}
    assert transcript.messages[2] == {"role": "tool", "tool_call_id": made["id"], "content": "hola"}


def test_other_kinds_of_items(tmp_path: Path) -> None:
    transcript = session(
        tmp_path,
        META,
        says("user", "go"),
        item("custom_tool_call", call_id="c1", name="apply_patch", input="*** Begin Patch"),
        item("custom_tool_call_output", call_id="c1", output="Done!"),
        item("tool_search_call", call_id="c2", arguments={"query": "mail"}, execution="client"),
        item("tool_search_output", call_id="c2", tools=[{"name": "send"}]),
        item("web_search_call", status="completed", action={"type": "search", "query": "x"}),
        item("ghost_snapshot", ghost_commit={}),
        says("assistant", "ok"),
        line("inter_agent_communication", content="from another", author="/root"),
        line("something_new", x=1),
        {"odd": 1},
    )
    names = [made[made["type"]]["name"] for m in transcript.messages for made in m.get("tool_calls") or ()]
    assert names == ["apply_patch", "tool_search"]
    assert transcript.messages[-1] == {"role": "user", "content": "from another"}
    assert transcript.metadata["missing"] == ["server_tool_results", "tool_schemas"]
    assert transcript.metadata["dropped"] == {"harness item": 1, "server-side call": 1, "unknown record": 2}


@pytest.mark.parametrize(
    ("data", "is_event"),
    [
        (b'{"timestamp":"t","type":"event_msg","payload":{"type":"token_count","info":{}}}', True),
        (b'{"timestamp":"t","ordinal":3,"type":"event_msg","payload":{"type":"token_count","info":{}}}', True),
        (b'{"timestamp":"t","type":"event_msg","payload":{"type":"agent_mess', False),
        (b'{"timestamp":"t","type":"event_msg","payload":{"type":"turn_aborted","reason":"x"}}', False),
        (b'{"timestamp":"t","type":"event_msg","payload":{"type":"thread_rolled_back","num_turns":1}}', False),
        (b'{"timestamp":"t","type":"response_item","payload":{"type":"event_msg"}}', False),
    ],
)
def test_display_events_need_not_be_parsed(data: bytes, is_event: bool) -> None:
    assert is_display_event(data) is is_event


@pytest.mark.parametrize(
    ("values", "claims"),
    [
        ([META], True),
        ([{"odd": 1}, says("user", "x")], True),
        ([HEADER, {"record_type": "state"}], True),
        ([HEADER, text("user", "x")], True),
        ([{"session": HEADER, "items": [text("user", "x")]}], True),
        ([[META]], True),
        ([HEADER], False),
        ([HEADER, {"type": ["odd"]}], False),
        ([text("user", "x")], False),
        ([{"type": "response_item", "payload": "x"}], False),
        ([{"type": {"odd": 1}, "payload": {}}], False),
        ([{"messages": [{"role": "user", "content": "x"}]}], False),
        ([], False),
    ],
)
def test_sniff(values: list[Any], claims: bool) -> None:
    assert sniff(Look("a.jsonl", values)) is claims


@pytest.mark.parametrize(
    "odd",
    [
        line("session_meta", id=3, base_instructions=[1], dynamic_tools=[[], {"name": 3}, {"tools": 3}]),
        line("turn_context", model=[]),
        line("compacted", replacement_history={}),
        line("compacted", message=3, replacement_history=None),
        event("thread_rolled_back", num_turns="all"),
        item("message", role=[], content={}),
        item("reasoning", summary=3, content="x"),
        item("function_call", call_id=[1], name="f", arguments=[1]),
        item("function_call_output", call_id={}, output={"a": [1]}),
        item("web_search_call", results=3, action=[]),
        {"type": "response_item", "payload": None},
        {"type": None, "payload": {}},
    ],
)
def test_odd_values(tmp_path: Path, odd: dict[str, Any]) -> None:
    transcript = session(tmp_path, META, odd, says("user", "go"), says("assistant", "yes"))
    assert spoken(transcript)[-1] == ("assistant", "yes")


def test_real_files(real_transcripts: Path) -> None:
    found = list(read(real_transcripts / "codex-rollout"))
    transcripts = [one.transcript for one in found if isinstance(one, Located)]
    excluded = [one for one in found if isinstance(one, Excluded)]
    messages = [message for transcript in transcripts for message in transcript.messages]
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    assert {t.metadata["source"] for t in transcripts} == {"codex"}
    # 10 files, two of which (codex_05x) hold no dialogue: 8 conversations, as SOURCES.md counts.
    assert (len(transcripts), [one.reason for one in excluded]) == (8, ["no dialogue"] * 2)
    # SOURCES.md counts 663 records. Reasoning, text and calls of one reply are one message here, and of
    # `agentsessions-small` only what follows its last compaction (of six) counts: its history was replaced.
    assert len(messages) == 457
    # SOURCES.md counts 209 calls. Seven of the eight in `agentsessions-small` were replaced by a compaction (two of
    # them ran at the provider); the call of `agentsessions-schema_drift`, which has no envelope, is one more.
    assert len(calls) == 209 - 7 + 1
    # Every call of the recorded sessions has its output.
    recorded = [t for t in transcripts if t.id.startswith("rollout-")]
    for transcript in recorded:
        made = [call["id"] for m in transcript.messages for call in m.get("tool_calls") or ()]
        assert made == [m["tool_call_id"] for m in transcript.messages if m["role"] == "tool"]
        assert set(transcript.metadata["dropped"]) == {"display event"}
    assert [len(t.messages) for t in recorded] == [270, 37, 119]
