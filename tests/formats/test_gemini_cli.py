"""Gemini CLI sessions and Gemini API contents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Excluded, Located, read
from resample.formats.base import Look
from resample.formats.gemini_cli import (
    Records,
    date_of,
    missing_by_notice,
    model_of,
    rejoined,
    replies_of,
    sniff,
    speaker_of,
    system_instruction,
    without_commands,
)
from resample.formats.gemini_parts import (
    Said,
    calls_of,
    content_parts,
    declarations,
    lower_types,
    output_of,
    own_parts,
    parts_of,
    said_by_model,
    said_by_user,
    text_output,
    thought_only_counted,
    thoughts_of,
)
from resample.types import Missing, Transcript

HEADER = {"sessionId": "s1", "projectHash": "abc", "startTime": "2026-01-01T00:00:00Z"}


def response(id: str, said: Any) -> dict[str, Any]:
    return {"functionResponse": {"id": id, "name": "ls", "response": {"output": said}}}


def kept(id: str, **fields: Any) -> dict[str, Any]:
    """A call as the CLI keeps it."""
    made = {"id": id, "name": "ls", "args": {"path": "."}, "status": "success", "resultDisplay": "pretty"}
    return {**made, "result": [response(id, "a b")], **fields}


def user(text: Any, id: str = "u1") -> dict[str, Any]:
    return {"id": id, "timestamp": "t", "type": "user", "content": text}


def gemini(text: Any, id: str = "g1", **fields: Any) -> dict[str, Any]:
    return {"id": id, "timestamp": "t", "type": "gemini", "content": text, "model": "gemini-x", **fields}


THOUGHT = {"subject": "Looking", "description": "I list them.", "timestamp": "t"}
SESSION = [
    user("list the files"),
    gemini("I look.", thoughts=[THOUGHT], toolCalls=[kept("c1")], tokens={"thoughts": 9, "total": 20}),
    gemini("Two.", "g2", tokens={"thoughts": 0, "total": 5}),
]
LS_CALL = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"path":"."}'}}
MESSAGES = [
    {"role": "user", "content": "list the files"},
    {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [LS_CALL],
        "reasoning_content": "**Looking**\nI list them.",
    },
    {"role": "tool", "tool_call_id": "c1", "content": "a b"},
    {"role": "assistant", "content": "Two."},
]


def save(path: Path, *values: Any, indent: bool = False) -> Path:
    option = orjson.OPT_INDENT_2 if indent else 0
    path.write_bytes(b"\n".join(orjson.dumps(value, option=option) for value in values) + b"\n")
    return path


def transcripts(path: Path) -> list[Transcript]:
    items = list(read(path))
    assert not [item for item in items if isinstance(item, Excluded)]
    found = [item.transcript for item in items if isinstance(item, Located)]
    assert {t.metadata["source"] for t in found} == {"gemini_cli"}
    return found


def contents(transcript: Transcript) -> list[Any]:
    return [message["content"] for message in transcript.messages]


# -- sessions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "harness"),
    [
        ("<session_context>\nThis is the Gemini CLI.\n</session_context>", [2]),
        ("This is the Gemini CLI. We are setting up the context for our chat.\nToday is Friday.", [2]),
        ("<state_snapshot>\n<overall_goal>x</overall_goal>\n</state_snapshot>", [2]),
        ("System: Potential loop detected. Details: three calls.", [2]),
        ("Please continue.", None),
        ("System: which one?", None),
    ],
)
def test_what_the_cli_says_in_the_users_role(tmp_path: Path, said: str, harness: Any) -> None:
    log = {**HEADER, "messages": [user("a"), gemini("b"), user(said, "u2"), gemini("c", "g2")]}
    (transcript,) = transcripts(save(tmp_path / "a.json", log))
    assert transcript.metadata.get("harness") == harness


@pytest.mark.parametrize(
    ("fields", "date"),
    [
        ({"startTime": "2026-01-01T00:00:00Z"}, "2026-01-01T00:00:00Z"),
        ({"startTime": None}, "2026-01-02T03:04:05Z"),
        ({"startTime": "today"}, "2026-01-02T03:04:05Z"),
    ],
)
def test_the_date(tmp_path: Path, fields: dict[str, Any], date: str) -> None:
    asked = {**user("a"), "timestamp": "2026-01-02T03:04:05Z"}
    (transcript,) = transcripts(save(tmp_path / "a.json", {**HEADER, **fields, "messages": [asked, gemini("b")]}))
    assert transcript.metadata["date"] == date


def test_the_date_of_a_reply_of_the_api() -> None:
    assert date_of([], {"response": {"createTime": "2026-01-02T03:04:05.678Z"}}) == "2026-01-02T03:04:05.678Z"
    assert date_of([], {"createTime": "2026-01-02"}) == "2026-01-02"


@pytest.mark.parametrize("indent", [False, True])
def test_a_session(tmp_path: Path, indent: bool) -> None:
    notice = {"id": "i", "type": "info", "content": "An update is available."}
    log = {**HEADER, "messages": [SESSION[0], notice, *SESSION[1:]]}
    (transcript,) = transcripts(save(tmp_path / "a.json", log, indent=indent))
    assert transcript.id == "a.json"
    assert transcript.messages == MESSAGES
    assert transcript.metadata["model"] == "gemini-x"
    assert transcript.metadata["missing"] == ["system_prompt", "tool_schemas"]
    assert transcript.metadata["dropped"] == {"notice": 1}
    assert transcript.metadata["extra"]["sessionId"] == "s1"


def test_older_layouts(tmp_path: Path) -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    history = [
        {"role": "user", "parts": [{"text": "what is it?"}, image]},
        {"role": "gemini", "parts": [{"text": "x"}]},
    ]
    save(tmp_path / "a.json", {"history": history, "meta": {"model": "gemini-y"}})
    save(tmp_path / "b.json", {**HEADER, "messages": [user("hi"), {"type": "model", "parts": [{"text": "ho"}]}]})
    first, second = transcripts(tmp_path)
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert contents(first) == [[{"type": "text", "text": "what is it?"}, url], "x"]
    assert first.metadata["model"] == "gemini-y"
    assert contents(second) == ["hi", "ho"]


def test_a_log_of_changes(tmp_path: Path) -> None:
    save(
        tmp_path / "a.jsonl",
        HEADER,
        {"$set": {"messages": [user("<session_context>", "u0")]}},
        SESSION[0],
        gemini("I look.", thoughts=[THOUGHT]),
        {"$set": {"lastUpdated": "t"}},
        SESSION[1],
        gemini("wrong", "g9"),
        user("never mind", "u9"),
        {"$rewindTo": "g9"},
        SESSION[2],
        {"odd": 1},
    )
    (transcript,) = transcripts(tmp_path)
    assert transcript.id == "a.jsonl"
    assert transcript.messages == [{"role": "user", "content": "<session_context>"}, *MESSAGES]
    assert transcript.metadata["lines"] == [2, 3, 6, 6, 10]
    assert transcript.metadata["dropped"] == {"rewound message": 2, "unknown record": 1}


def test_a_compressed_history_replaces_what_was_before(tmp_path: Path) -> None:
    snapshot = user([{"text": "<state_snapshot>two files</state_snapshot>"}], "u5")
    save(
        tmp_path / "a.jsonl", HEADER, *SESSION, {"$set": {"messages": [snapshot]}}, user("on", "u6"), gemini("ok", "g6")
    )
    (transcript,) = transcripts(tmp_path)
    assert contents(transcript) == ["<state_snapshot>two files</state_snapshot>", "on", "ok"]
    assert transcript.metadata["dropped"] == {"replaced message": 3}


def test_outputs_that_stand_twice_after_a_change(tmp_path: Path) -> None:
    answer = user([response("c1", "a b")], "u2")
    asked = {"functionCall": {"id": "c1", "name": "ls", "args": {"path": "."}}}
    acting = gemini(
        [{"text": "I look."}, asked], thoughts=[THOUGHT], toolCalls=[kept("c1", result=[response("c1", "a b")])]
    )
    save(tmp_path / "a.jsonl", HEADER, {"$set": {"messages": [SESSION[0], acting, answer, SESSION[2]]}})
    (transcript,) = transcripts(tmp_path)
    assert transcript.messages == MESSAGES
    assert transcript.metadata["dropped"] == {"repeated output": 1}


@pytest.mark.parametrize(
    ("name", "values", "ids"),
    [
        ("a.jsonl", [{**HEADER, "messages": SESSION}], ["a.jsonl"]),
        ("a.jsonl", [HEADER, *SESSION, {**HEADER, "sessionId": "s2"}, *SESSION], ["a.jsonl", "a.jsonl:5"]),
        ("a.jsonl", [{"messages": SESSION}, {"messages": SESSION}], ["a.jsonl", "a.jsonl:2"]),
        ("a.json", [[{**HEADER, "messages": SESSION}, {**HEADER, "messages": SESSION}]], ["a.json[0]", "a.json[1]"]),
        ("a.json", [[{"role": "user", "parts": [{"text": "list the files"}]}, *SESSION[1:]]], ["a.json"]),
        ("a.jsonl", [[{"parts": [{"text": "list the files"}]}, *SESSION[1:]]] * 2, ["a.jsonl:1", "a.jsonl:2"]),
    ],
)
def test_where_conversations_stand(tmp_path: Path, name: str, values: list[Any], ids: list[str]) -> None:
    found = transcripts(save(tmp_path / name, *values))
    assert [transcript.id for transcript in found] == ids
    for transcript in found:
        assert transcript.messages == MESSAGES


def test_malformed_lines_do_not_end_a_session(tmp_path: Path) -> None:
    lines = [orjson.dumps(HEADER), orjson.dumps(SESSION[0]), b'{"id": "g', b"3", *map(orjson.dumps, SESSION[1:])]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    found = list(read(tmp_path / "a.jsonl"))
    assert [(one.line, one.reason) for one in found if isinstance(one, Excluded)] == [
        (3, "malformed JSON"),
        (4, "not a transcript"),
    ]
    (transcript,) = [one.transcript for one in found if isinstance(one, Located)]
    assert transcript.messages == MESSAGES


def test_a_session_of_notices(tmp_path: Path) -> None:
    (found,) = read(save(tmp_path / "a.json", {**HEADER, "messages": [{"type": "warning", "content": "Hook failed."}]}))
    assert isinstance(found, Excluded)
    assert found.reason == "no dialogue"


# -- passes over records -----------------------------------------------------------------------------------------------


def test_records() -> None:
    records = Records()
    records.put({"id": "a", "v": 1}, 1)
    records.put({"id": "b"}, 2)
    records.put({"v": 3}, 3)
    records.put({"id": "a", "v": 4}, 4)
    assert records.values() == [({"id": "a", "v": 4}, 4), ({"id": "b"}, 2), ({"v": 3}, 3)]
    assert records.rewind("b") == 2
    assert records.rewind("b") == 1  # the CLI forgets all if it does not know the message
    assert records.replace([{"id": "a"}, {"id": "a"}], 5) == 0
    assert len(records.values()) == 2
    assert records.replace([{"id": "a"}], 6) == 1


def test_a_reply_that_a_notice_cut_in_two() -> None:
    notice = {"type": "info", "content": "update"}
    halves = [
        gemini("I look.", tokens={"total": 5}),
        notice,
        gemini("", "g2", toolCalls=[kept("c1")], tokens={"total": 0}),
    ]
    whole = rejoined([(record, number) for number, record in enumerate(halves)])
    assert [(record.get("type"), number) for record, number in whole] == [("gemini", 0), ("info", 1)]
    assert whole[0][0]["toolCalls"] == [kept("c1")]


@pytest.mark.parametrize(
    "records",
    [
        [gemini("x"), gemini("", toolCalls=[kept("c1")], tokens={"total": 7})],
        [gemini("x"), gemini("", toolCalls=[kept("c1")], thoughts=[THOUGHT])],
        [gemini("x", toolCalls=[kept("c0")]), gemini("", toolCalls=[kept("c1")])],
        [gemini("x"), user("y"), gemini("", toolCalls=[kept("c1")])],
        [gemini("x"), gemini("", toolCalls=[])],
        [gemini(""), gemini("", toolCalls=[kept("c1")])],
    ],
)
def test_replies_that_are_whole(records: list[dict[str, Any]]) -> None:
    placed = [(record, None) for record in records]
    assert rejoined(list(placed)) == placed


@pytest.mark.parametrize(
    ("records", "left"),
    [
        ([user("/help"), user("hi"), gemini("x")], 2),
        ([user("?")], 0),
        ([user("/tmp is full"), gemini("x")], 2),
        ([user("/tmp is full"), {"type": "info", "content": "x"}, gemini("x")], 3),
        ([{"role": "user", "parts": [{"text": "/help"}]}], 1),
        ([{"type": "info", "content": "/x"}, user("/quit")], 1),
    ],
)
def test_commands_were_not_sent(records: list[dict[str, Any]], left: int) -> None:
    said = Said()
    assert len(list(without_commands([(record, None) for record in records], said))) == left
    assert said.dropped["slash command"] == len(records) - left


@pytest.mark.parametrize(
    ("record", "speaker"),
    [
        ({"type": "user"}, "user"),
        ({"type": "gemini"}, "model"),
        ({"type": "model"}, "model"),
        ({"role": "function"}, "user"),
        ({"type": "error", "role": "user"}, "notice"),
        ({"type": "other", "role": "user"}, None),
        ({"parts": []}, "user"),
        ({"type": ["odd"]}, None),
        ({}, None),
    ],
)
def test_speakers(record: dict[str, Any], speaker: str | None) -> None:
    assert speaker_of(record) == speaker


def test_a_notice_of_a_compression() -> None:
    compressed = {"type": "info", "content": "Chat history compressed from 9000 to 800 tokens."}
    assert missing_by_notice(compressed) == {Missing.COMPACTED_HISTORY}
    assert not missing_by_notice({"type": "info", "content": "Request cancelled."})


def test_models() -> None:
    records = [(gemini("x", model="m1"), None), (gemini("x", model="m2"), None), (user("y"), None)]
    assert model_of(records, {}) == "m2"
    assert model_of([], {"response": {"modelVersion": "m3"}, "model": "m4"}) == "m3"
    assert model_of([], {"meta": {"model": "m5"}}) == "m5"
    assert model_of([], {"meta": 3}) is None


# -- parts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "parts"),
    [
        ({"content": "x", "displayContent": "y"}, [{"text": "x"}]),
        ({"content": {"text": "x"}}, [{"text": "x"}]),
        ({"content": ["x", {"text": "y"}, 3]}, [{"text": "x"}, {"text": "y"}]),
        ({"parts": [{"text": "x"}]}, [{"text": "x"}]),
        ({"content": None}, []),
    ],
)
def test_parts(record: dict[str, Any], parts: Any) -> None:
    assert parts_of(record) == parts


@pytest.mark.parametrize(
    ("part", "content", "missing", "dropped"),
    [
        ({"text": "x"}, "x", None, 0),
        ({"text": ""}, None, None, 0),
        ({"text": "hm", "thought": True}, None, None, 0),
        ({"thoughtSignature": "AAA"}, None, None, 0),
        ({"fileData": {"fileUri": "gs://a", "mimeType": "image/png"}}, "[file not shown]", Missing.IMAGES, 0),
        ({"inlineData": {"mimeType": "image/png"}}, "[file not shown]", Missing.IMAGES, 0),
        ({"executableCode": {"code": "1"}}, None, Missing.SERVER_TOOL_RESULTS, 1),
        ({"odd": 1}, None, None, 1),
    ],
)
def test_content_parts(part: dict[str, Any], content: str | None, missing: Missing | None, dropped: int) -> None:
    said = Said()
    assert [one["text"] for one in content_parts([part], said)] == ([content] if content else [])
    assert said.missing == ({missing} if missing else set())
    assert said.dropped.total() == dropped


def test_data_that_is_no_image_is_a_file() -> None:
    (part,) = content_parts([{"inline_data": {"mime_type": "application/pdf", "data": "AA"}}], Said())
    assert part == {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "filename": "file"}}


CALL_PART = {"functionCall": {"id": "c1", "name": "ls", "args": {"path": "."}}}


@pytest.mark.parametrize(
    ("parts", "kept_calls", "ids"),
    [
        ([CALL_PART], [], ["c1"]),
        ([], [kept("c1")], ["c1"]),
        ([CALL_PART], [kept("c1"), kept("c2")], ["c1", "c2"]),
        ([{"function_call": {"name": "ls", "args": {"path": "."}}}], [kept(""), kept("")], ["", ""]),
        ([{"functionCall": 3}], [{}], [""]),
    ],
)
def test_calls_among_parts_and_beside_them(parts: Any, kept_calls: Any, ids: list[str]) -> None:
    assert [call["id"] for call in calls_of(parts, kept_calls)] == ids


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"thoughts": [THOUGHT, {"description": "And so."}]}, "**Looking**\nI list them.\n\nAnd so."),
        ({"thoughts": [{"subject": "Only"}]}, "**Only**"),
        ({"content": [{"text": "hm", "thought": True}, {"text": "x"}]}, "hm"),
        ({"thoughts": [3, {}], "content": "x"}, ""),
    ],
)
def test_thoughts(record: dict[str, Any], text: str) -> None:
    assert thoughts_of(record, parts_of(record)) == text


def test_thoughts_that_are_only_counted_are_missing() -> None:
    assert thought_only_counted({"tokens": {"thoughts": 12}})
    assert not thought_only_counted({"tokens": {"thoughts": 0}})
    assert not thought_only_counted({"tokens": None})
    said = Said()
    said_by_model(gemini("x", tokens={"thoughts": 12}), said)
    assert said.missing == {Missing.REASONING}


@pytest.mark.parametrize(
    ("call", "content"),
    [
        (kept("c1"), "a b"),
        (kept("c1", result="as a text"), "as a text"),
        (kept("c1", result=response("c1", "one part")), "one part"),
        (kept("c1", result=[response("c0", "another's"), {"text": "its"}, response("c1", "own")]), "own"),
        (kept("c1", result=[{"functionResponse": {"response": {"error": "no"}}}]), "no"),
        (kept("c1", result=[{"text": "bare"}]), "bare"),
        (kept("c1", result=[{"functionResponse": {"id": "c1", "response": {"output": ""}}}]), ""),
    ],
)
def test_outputs_inside_of_calls(call: dict[str, Any], content: str) -> None:
    assert output_of(call, Said()) == {"role": "tool", "tool_call_id": "c1", "content": content}


def test_an_image_in_an_output() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    shown = [{"type": "text", "text": "a b"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    beside = output_of(kept("c1", result=[response("c1", "a b"), image]), Said())
    assert beside is not None
    assert beside["content"] == shown
    (message,) = said_by_user(user([response("c1", "a b"), image]), Said())
    assert message == beside


@pytest.mark.parametrize(
    ("status", "missing"), [("success", {Missing.TRUNCATED_OUTPUTS}), ("executing", set()), (None, set()), ([], set())]
)
def test_an_output_that_the_log_left_out(status: Any, missing: set[Missing]) -> None:
    said = Said()
    assert output_of(kept("c1", result=None, status=status), said) is None
    assert said.missing == missing


def test_own_parts() -> None:
    before, own, after, other = {"text": "x"}, response("c1", "y"), {"text": "z"}, response("c2", "w")
    assert own_parts([before, own, after, other, after], "c1") == [before, own, after]


def test_an_id_may_be_used_again() -> None:
    said = Said()
    messages = [
        *said_by_model(gemini("", toolCalls=[kept("c1")]), said),
        *said_by_user(user([response("c1", "x")]), said),
    ]
    again = [*said_by_model(gemini([CALL_PART]), said), *said_by_user(user([response("c1", "new")]), said)]
    assert [m["role"] for m in messages] == ["assistant", "tool"]
    assert [m["content"] for m in again] == [None, "new"]
    assert said.dropped == {"repeated output": 1}


def test_what_a_user_says_beside_an_output() -> None:
    messages = said_by_user(user([response("c1", "x"), {"text": "and now?"}]), Said())
    assert [(m["role"], m["content"]) for m in messages] == [("tool", "x"), ("user", "and now?")]


@pytest.mark.parametrize(
    ("response_", "text"),
    [
        ({"output": "x"}, "x"),
        ({"error": "x"}, "x"),
        ({"output": ""}, None),
        ({"output": {"a": 1}}, '{"output":{"a":1}}'),
        ({"weather": "fine"}, '{"weather":"fine"}'),
        ({"output": "x", "code": 1}, '{"output":"x","code":1}'),
        ("text", "text"),
        ({}, None),
        (None, None),
        ([1], "[1]"),
    ],
)
def test_text_of_an_output(response_: Any, text: str | None) -> None:
    assert text_output(response_) == ([{"type": "text", "text": text}] if text is not None else [])


def test_a_reply_of_thoughts_only() -> None:
    said = Said()
    assert said_by_model(gemini("", thoughts=[THOUGHT]), said) == said_by_model(gemini(""), said) == []
    assert said.dropped == {"thoughts without a reply": 1, "empty message": 1}


# -- API requests ------------------------------------------------------------------------------------------------------

CONTENTS = [
    {"role": "user", "parts": [{"text": "list the files"}]},
    {"role": "model", "parts": [{"text": "hm", "thought": True}, {"functionCall": {"name": "ls", "args": {}}}]},
    {"role": "user", "parts": [{"functionResponse": {"name": "ls", "response": {"result": "a b"}}}]},
]
REQUEST = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": CONTENTS,
    "tools": [
        {"functionDeclarations": [{"name": "ls", "description": "List.", "parameters": {"type": "OBJECT"}}]},
        {"googleSearch": {}},
    ],
}
RESPONSE = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Two."}]}}], "modelVersion": "gemini-z"}


@pytest.mark.parametrize(
    "log",
    [
        {**REQUEST, **RESPONSE},
        {"request": REQUEST, "response": RESPONSE},
        {"key": "1", "request": {"contents": CONTENTS, "config": {**REQUEST, "contents": None}}, "response": RESPONSE},
    ],
)
def test_api_requests(tmp_path: Path, log: dict[str, Any]) -> None:
    save(tmp_path / "a.jsonl", log, log)
    first, second = transcripts(tmp_path)
    assert (first.id, second.id) == ("a.jsonl:1", "a.jsonl:2")
    system, asked, acting, answer, reply = first.messages
    assert [m["content"] for m in (system, asked, answer, reply)] == ["Be brief.", "list the files", "a b", "Two."]
    assert acting["reasoning_content"] == "hm"
    assert acting["tool_calls"][0]["id"] == answer["tool_call_id"]
    function = {"name": "ls", "description": "List.", "parameters": {"type": "object"}}
    assert first.tools == [{"type": "function", "function": function}]
    assert first.metadata["dropped"] == {"server-side tool": 1}
    assert first.metadata["model"] == "gemini-z"
    assert "missing" not in first.metadata


def test_contents_as_a_text(tmp_path: Path) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.json", {"request": {"contents": [{"parts": [{"text": "hi"}]}]}}))
    assert transcript.messages == [{"role": "user", "content": "hi"}]
    found = list(read(save(tmp_path / "a.json", {"contents": "hi", **RESPONSE}), "gemini_cli"))
    assert isinstance(found[0], Located)
    assert contents(found[0].transcript) == ["hi", "Two."]


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"systemInstruction": "x"}, "x"),
        ({"system_instruction": {"parts": [{"text": "x"}, {"text": "y"}]}}, "x\n\ny"),
        ({"config": {"system_instruction": ["x"]}}, "x"),
        ({"systemInstruction": 3, "config": []}, ""),
        ({}, ""),
    ],
)
def test_system_instructions(request_: dict[str, Any], text: str) -> None:
    assert system_instruction(request_) == text


def test_replies() -> None:
    assert replies_of(RESPONSE) == [{"role": "model", "parts": [{"text": "Two."}]}]
    assert replies_of({"candidates": [{"content": 3}]}) == replies_of({"response": 3}) == []


def test_declarations() -> None:
    schema = {"type": "OBJECT", "properties": {"type": {"type": "STRING"}, "n": {"anyOf": [{"type": "INTEGER"}]}}}
    lowered = {"type": "object", "properties": {"type": {"type": "string"}, "n": {"anyOf": [{"type": "integer"}]}}}
    dropped = Said().dropped
    declared = [{"function_declarations": [{"name": "f", "parameters": schema}, {"name": 3}, {}]}]
    assert declarations(declared, dropped) == [{"type": "function", "function": {"name": "f", "parameters": lowered}}]
    (other,) = declarations([{"functionDeclarations": [{"name": "g", "parametersJsonSchema": {"type": "X"}}]}], dropped)
    assert other["function"]["parameters"] == {"type": "X"}


def test_deep_schemas() -> None:
    deep: Any = {"type": "STRING"}
    for _ in range(5000):
        deep = {"items": [deep]}
    lower_types(deep)
    while "items" in deep:
        deep = deep["items"][0]
    assert deep == {"type": "string"}


# -- telling the format ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "claims"),
    [
        (HEADER, True),
        ({"$rewindTo": "x"}, True),
        (gemini("x"), True),
        ({"messages": SESSION}, True),
        ({"history": CONTENTS}, True),
        ({"contents": CONTENTS}, True),
        ({"request": REQUEST}, True),
        (CONTENTS, True),
        ([{"messages": SESSION}], True),
        ({"messages": [{"role": "user", "content": "x"}]}, False),
        ({"messages": [{"type": "user", "content": "x"}]}, False),
        ({"type": "user", "sessionId": "x", "message": {"role": "user", "content": "x"}}, False),
        ({"role": "user", "parts": [{"type": "text", "text": "x"}]}, False),
        ({"role": "user", "parts": [{"kind": "text", "text": "x"}]}, False),
        ({"history": [{"role": "user", "content": "x"}]}, False),
        ({"role": ["odd"], "parts": [{"text": "x"}]}, False),
        ({"contents": "x"}, False),
        ([], False),
        ([3], False),
    ],
)
def test_sniff(value: Any, claims: bool) -> None:
    assert sniff(Look("a.json", [value])) is claims


def test_real_files(real_transcripts: Path) -> None:
    found = list(read(real_transcripts / "gemini-cli"))
    transcripts = [one.transcript for one in found if isinstance(one, Located)]
    messages = [message for transcript in transcripts for message in transcript.messages]
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    outputs = [message for message in messages if message["role"] == "tool"]
    assert {t.metadata["source"] for t in transcripts} == {"gemini_cli"}
    # SOURCES.md counts 10 conversations: one of them holds a warning and nothing else.
    assert [one.reason for one in found if isinstance(one, Excluded)] == ["no dialogue"]
    assert len(transcripts) == 9
    assert len(calls) == 31
    # One fixture has a call without a result.
    assert len(outputs) == 30
    # SOURCES.md counts 59 messages: three of them are notices, and one is the second half of a reply that a notice cut.
    assert len(messages) - len(outputs) == 59 - 3 - 1
