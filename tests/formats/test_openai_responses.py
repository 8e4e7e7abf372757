"""OpenAI Responses logs: items as messages, and the places where people keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Excluded, Located, read
from resample.formats.assemble import AT
from resample.formats.base import Look
from resample.formats.openai_responses import Log, cluster_of, is_item, labels_of, log_of, missing_of, sniff
from resample.formats.response_items import (
    Converted,
    call_of,
    convert,
    id_of,
    output_parts,
    parts_of,
    qualified,
    refusal_of,
    schemas_of,
    tool_name,
    visible_reasoning,
)
from resample.types import Message, Missing, Transcript

JSON_TEXT = '{"output": "x", "metadata": {"exit_code": 0}}'
IMAGE = "data:image/png;base64,AAAA"


def said(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def call(id: str = "c1", name: str = "ls", arguments: Any = '{"path": "."}') -> dict[str, Any]:
    return {"type": "function_call", "id": f"fc_{id}", "call_id": id, "name": name, "arguments": arguments}


def output(id: str = "c1", text: Any = "a b") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id, "output": text}


def thought(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": text}]}


def converted(*items: dict[str, Any]) -> Converted:
    return convert((item, None) for item in items)


LS = {"type": "function", "name": "ls", "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}
TURN = [said("user", "list the files"), thought("look"), call(), output(), said("assistant", "two")]
LS_CALL = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"path": "."}'}}
MESSAGES: list[Message] = [
    {"role": "user", "content": "list the files"},
    {"role": "assistant", "content": None, "reasoning_content": "look", "tool_calls": [LS_CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "a b"},
    {"role": "assistant", "content": "two"},
]


# -- items -------------------------------------------------------------------------------------------------------------


def test_items_of_one_reply_are_one_message() -> None:
    done = converted(
        said("user", "go"), thought("one"), said("assistant", "I look."), call("c1"), thought("two"), call("c2"),
        output("c1"), output("c2"), said("assistant", "done"), said("user", "thanks"),
    )  # fmt: skip
    assert [m["role"] for m in done.messages] == ["user", "assistant", "tool", "tool", "assistant", "user"]
    reply = done.messages[1]
    assert (reply["content"], reply["reasoning_content"]) == ("I look.", "one\n\ntwo")
    assert [c["id"] for c in reply["tool_calls"]] == ["c1", "c2"]


def test_a_message_without_a_type_and_lines() -> None:
    items = [({"role": "user", "content": "go"}, 3), (thought("x"), 4), ({"role": "assistant", "content": "yes"}, 5)]
    done = convert(items)
    assert [(m["role"], m["content"], m[AT]) for m in done.messages] == [("user", "go", 3), ("assistant", "yes", 4)]


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (thought("plan"), "plan"),
        ({"summary": [{"text": "a"}, {"text": ""}, {"text": "b"}]}, "a\n\nb"),
        ({"summary": [{"text": "short"}], "content": [{"type": "reasoning_text", "text": "at length"}]}, "at length"),
        ({"summary": "as a text"}, "as a text"),
        ({"summary": [], "content": None, "encrypted_content": "gAAA"}, ""),
        ({"summary": {"text": 3}, "content": [3, None]}, ""),
    ],
)
def test_visible_reasoning(item: dict[str, Any], text: str) -> None:
    assert visible_reasoning(item) == text


def test_reasoning_that_is_not_visible_is_missing() -> None:
    hidden = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    done = converted(said("user", "go"), hidden, said("assistant", "yes"))
    assert done.missing == {Missing.REASONING}
    assert done.messages[1]["reasoning_content"] is None


def test_reasoning_that_no_reply_follows_is_left_out() -> None:
    done = converted(thought("hm"), said("user", "stop"))
    assert [m["role"] for m in done.messages] == ["user"]
    assert done.dropped == {"reasoning without a reply": 1}


@pytest.mark.parametrize(
    ("item", "kind", "body"),
    [
        (call(), "function", {"name": "ls", "arguments": '{"path": "."}'}),
        (call(arguments="{not json"), "function", {"name": "ls", "arguments": "{not json"}),
        (call(arguments={"a": 1}), "function", {"name": "ls", "arguments": '{"a":1}'}),
        ({**call(), "namespace": "mcp__files"}, "function", {"name": "mcp__files__ls", "arguments": '{"path": "."}'}),
        (
            {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin"},
            "custom",
            {"name": "apply_patch", "input": "*** Begin"},
        ),
        (
            {"type": "local_shell_call", "call_id": "c1", "action": {"type": "exec", "command": ["ls"]}},
            "function",
            {"name": "local_shell", "arguments": '{"type":"exec","command":["ls"]}'},
        ),
        (
            {"type": "shell_call", "call_id": "c1", "action": {"commands": ["ls"]}},
            "function",
            {"name": "shell", "arguments": '{"commands":["ls"]}'},
        ),
        (
            {"type": "apply_patch_call", "call_id": "c1", "operation": {"type": "delete_file", "path": "a"}},
            "function",
            {"name": "apply_patch", "arguments": '{"type":"delete_file","path":"a"}'},
        ),
        (
            {"type": "computer_call", "call_id": "c1", "action": {"type": "click", "x": 1, "y": 2}},
            "function",
            {"name": "computer", "arguments": '{"type":"click","x":1,"y":2}'},
        ),
        (
            {"type": "tool_search_call", "call_id": "c1", "arguments": {"query": "mail"}},
            "function",
            {"name": "tool_search", "arguments": '{"query":"mail"}'},
        ),
    ],
)
def test_calls(item: dict[str, Any], kind: str, body: dict[str, Any]) -> None:
    assert call_of(item) == {"id": "c1", "type": kind, kind: body}


def test_ids() -> None:
    assert id_of({"type": "function_call", "id": "fc_1", "call_id": "c1"}) == "c1"
    assert id_of({"type": "function_call", "id": "fc_1"}) == ""
    assert id_of({"type": "local_shell_call_output", "id": "ls_1"}) == "ls_1"
    assert id_of({"type": "function_call_output", "call_id": {"odd": 1}}) == ""


def test_names_in_a_namespace() -> None:
    assert [qualified("", "a"), qualified("mcp__x__", "a"), qualified("x", "_a")] == ["a", "mcp__x__a", "x__a"]
    assert tool_name({"name": None, "namespace": "x"}) is None


@pytest.mark.parametrize(
    ("item", "parts"),
    [
        (output(text=JSON_TEXT), [JSON_TEXT]),
        (output(text=""), []),
        (output(text=None), []),
        (output(text=[{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]), ["a", "b"]),
        (output(text={"type": "input_text", "text": "one part"}), ["one part"]),
        (output(text={"content": "failed", "success": False}), ["failed"]),
        (output(text={"exit_code": 1}), ['{"exit_code":1}']),
        (output(text=[{"stdout": "x"}]), ['[{"stdout":"x"}]']),
        ({"type": "apply_patch_call_output", "call_id": "c1", "status": "completed"}, ["completed"]),
        ({"type": "tool_search_output", "call_id": "c1", "tools": [{"name": "f"}]}, ['[{"name":"f"}]']),
    ],
)  # fmt: skip
def test_outputs_are_kept_as_they_were_sent(item: dict[str, Any], parts: list[str]) -> None:
    assert [part["text"] for part in output_parts(item, Converted())] == parts


def test_a_screenshot_is_an_image() -> None:
    item = {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": IMAGE}}
    assert output_parts(item, Converted()) == [{"type": "image_url", "image_url": {"url": IMAGE}}]


@pytest.mark.parametrize(
    ("content", "parts", "missing"),
    [
        ("text", [{"type": "text", "text": "text"}], False),
        ({"type": "input_text", "text": "a"}, [{"type": "text", "text": "a"}], False),
        ([{"type": "input_image", "image_url": IMAGE}], [{"type": "image_url", "image_url": {"url": IMAGE}}], False),
        ([{"type": "input_image", "file_id": "f"}], [{"type": "text", "text": "[image not shown]"}], True),
        ([{"type": "input_file", "file_id": "f"}], [{"type": "text", "text": "[file not shown]"}], True),
        (
            [{"type": "input_file", "file_data": "data:application/pdf;base64,AA", "filename": "a.pdf"}],
            [{"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "filename": "a.pdf"}}],
            False,
        ),
        ([{"type": "encrypted_content"}], [{"type": "text", "text": "[encrypted content not shown]"}], True),
        ([{"type": "refusal", "refusal": "no"}], [], False),
        (None, [], False),
    ],
)
def test_content_parts(content: Any, parts: list[Any], missing: bool) -> None:
    done = Converted()
    assert parts_of(content, done) == parts
    assert (Missing.IMAGES in done.missing) is missing


def test_parts_of_no_known_kind_are_counted() -> None:
    done = Converted()
    assert parts_of([{"type": "hologram"}, {"type": ["odd"]}], done) == []
    assert done.dropped == {"unknown content part": 2}


def test_a_refusal_is_a_key_of_the_message() -> None:
    item = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "I will not."}]}
    assert refusal_of(item) == "I will not."
    (reply,) = converted(item).messages
    assert (reply["content"], reply["refusal"]) == (None, "I will not.")


def test_what_the_provider_ran_without_a_result_in_the_log_is_missing() -> None:
    searched = {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "x"}}
    done = converted(said("user", "go"), said("assistant", "I search."), searched, said("assistant", "Found."))
    assert done.missing == {Missing.SERVER_TOOL_RESULTS}
    assert done.dropped == {"server-side call": 1}
    assert [part["text"] for part in done.messages[1]["content"]] == ["I search.", "Found."]


@pytest.mark.parametrize(
    ("item", "name", "arguments", "content"),
    [
        (
            {"type": "mcp_call", "id": "m1", "name": "find", "arguments": '{"q": 1}', "output": "found"},
            *("find", '{"q": 1}', "found"),
        ),
        ({"type": "mcp_call", "id": "m1", "name": "find", "arguments": "{}", "error": "no"}, *("find", "{}", "no")),
        (
            {"type": "file_search_call", "id": "m1", "queries": ["x"], "results": [{"text": "t"}]},
            *("file_search", '{"queries":["x"]}', '[{"text":"t"}]'),
        ),
        (
            {"type": "image_generation_call", "id": "m1", "revised_prompt": "a cat", "result": "AAAA"},
            *("image_generation", '{"revised_prompt":"a cat"}', [{"type": "image_url", "image_url": {"url": IMAGE}}]),
        ),
    ],
)
def test_what_the_provider_ran_with_its_result_is_a_call(
    item: dict[str, Any], name: str, arguments: str, content: Any
) -> None:
    done = converted(thought("hm"), item, said("assistant", "so"))
    acting, answer, reply = done.messages
    assert acting["tool_calls"][0] == {
        "id": "m1",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    assert (answer["tool_call_id"], answer["content"], reply["content"]) == ("m1", content, "so")
    assert not done.missing


@pytest.mark.parametrize(
    ("item", "dropped"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "reference"),
        ({"type": "compaction", "encrypted_content": "gAAA"}, "encrypted compaction"),
    ],
)
def test_history_that_stands_elsewhere(item: dict[str, Any], dropped: str) -> None:
    done = converted(item, said("user", "go on"))
    assert (done.missing, dict(done.dropped)) == ({Missing.COMPACTED_HISTORY}, {dropped: 1})


def test_items_that_say_nothing_to_the_model() -> None:
    done = converted({"type": "ghost_snapshot"}, {"type": "mcp_approval_request"}, {"type": "?"}, {"role": "critic"})
    assert not done.messages
    assert done.dropped == {"harness item": 2, "unknown item": 2}


def test_a_message_of_another_agent() -> None:
    (message,) = converted({"type": "agent_message", "content": [{"type": "input_text", "text": "do it"}]}).messages
    assert message == {"role": "user", "content": "do it"}


# -- tools -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "names"),
    [
        (LS, ["ls"]),
        ({"type": "custom", "name": "patch", "description": "d", "format": {"type": "text"}}, ["patch"]),
        ({"type": "namespace", "name": "mcp__x", "tools": [LS, LS]}, ["mcp__x__ls", "mcp__x__ls"]),
        ({"name": "f", "namespace": "n", "inputSchema": {"type": "object"}}, ["n__f"]),
        ({"type": "local_shell"}, ["local_shell"]),
        ({"type": "computer_use_preview", "display_width": 1}, ["computer"]),
        ({"type": "web_search"}, []),
        ({"type": "mcp", "server_url": "x"}, []),
        ({"type": "namespace", "name": "a", "tools": [{"tools": [LS], "name": "b"}]}, ["a__b"]),
    ],
)
def test_tools(tool: dict[str, Any], names: list[str]) -> None:
    schemas = schemas_of([tool], converted().dropped)
    assert [schema[schema["type"]]["name"] for schema in schemas] == names


def test_a_flat_schema_becomes_a_nested_one() -> None:
    function = {"name": "ls", "parameters": LS["parameters"]}
    assert schemas_of([LS], converted().dropped) == [{"type": "function", "function": function}]


def test_tools_that_stand_among_the_items() -> None:
    listing = {"type": "mcp_list_tools", "tools": [{"name": "find", "input_schema": {"type": "object"}}]}
    (schema,) = converted(listing).tools
    assert schema["function"] == {"name": "find", "parameters": {"type": "object"}}


# -- requests, responses and lists -------------------------------------------------------------------------------------


def save(path: Path, *values: Any, indent: bool = False) -> Path:
    option = orjson.OPT_INDENT_2 if indent else 0
    path.write_bytes(b"\n".join(orjson.dumps(value, option=option) for value in values) + b"\n")
    return path


def transcripts(path: Path) -> list[Transcript]:
    items = list(read(path))
    assert not [item for item in items if isinstance(item, Excluded)]
    found = [item.transcript for item in items if isinstance(item, Located)]
    assert {t.metadata["source"] for t in found} == {"openai_responses"}
    return found


REQUEST = {"model": "m-1", "instructions": "Be brief.", "tools": [LS], "input": TURN[:4]}
RESPONSE = {"id": "resp_1", "object": "response", "model": "m-1-0101", "status": "completed", "output": TURN[4:]}
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize("log", [{**REQUEST, "created_at": 1767323045, **RESPONSE}, {"request": REQUEST}])
def test_the_date_is_that_of_the_response(tmp_path: Path, log: dict[str, Any]) -> None:
    if "request" in log:
        log = {**log, "response": {**RESPONSE, "created_at": 1767323045}}
    (transcript,) = transcripts(save(tmp_path / "a.json", log))
    assert transcript.metadata["date"] == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize("indent", [False, True])
@pytest.mark.parametrize(
    ("log", "model"),
    [
        ({**REQUEST, **RESPONSE}, "m-1-0101"),
        ({"request": REQUEST, "response": RESPONSE}, "m-1-0101"),
        ({**REQUEST, "response": RESPONSE}, "m-1-0101"),
        (
            {"custom_id": "1", "body": REQUEST, "response": {"status_code": 200, "body": RESPONSE}},
            "m-1-0101",
        ),
        ({**REQUEST, "input": TURN}, "m-1"),
        ({**RESPONSE, "instructions": "Be brief.", "tools": [LS], "input": TURN[:4]}, "m-1-0101"),
    ],
)
def test_requests_and_responses(tmp_path: Path, log: Any, model: str, indent: bool) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.json", log, indent=indent))
    assert transcript.messages == [SYSTEM, *MESSAGES]
    assert transcript.metadata["model"] == model
    assert [tool["function"]["name"] for tool in transcript.tools] == ["ls"]
    assert "missing" not in transcript.metadata


@pytest.mark.parametrize(
    ("name", "values", "ids"),
    [
        ("a.json", [TURN], ["a.json"]),
        ("a.json", [{"items": TURN}], ["a.json"]),
        ("a.json", [[TURN, TURN[:3] + TURN[4:]]], ["a.json[0]", "a.json[1]"]),
        ("a.json", [[{"input": TURN}, {"input": TURN}]], ["a.json[0]", "a.json[1]"]),
        ("a.jsonl", [{"input": TURN}, {"input": TURN}], ["a.jsonl:1", "a.jsonl:2"]),
        ("a.jsonl", [TURN, TURN], ["a.jsonl:1", "a.jsonl:2"]),
        ("a.jsonl", TURN, ["a.jsonl"]),
    ],
)
def test_where_conversations_stand(tmp_path: Path, name: str, values: list[Any], ids: list[str]) -> None:
    found = transcripts(save(tmp_path / name, *values))
    assert [transcript.id for transcript in found] == ids
    assert found[0].messages == MESSAGES


def test_items_on_lines_know_their_lines(tmp_path: Path) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.jsonl", *TURN))
    assert transcript.metadata["lines"] == [1, 2, 4, 5]


def test_a_text_as_input(tmp_path: Path) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.json", {"input": "list", **RESPONSE}))
    assert [m["content"] for m in transcript.messages] == ["list", "two"]


@pytest.mark.parametrize(
    ("request_", "response", "missing"),
    [
        ({"input": "x"}, {}, set()),
        ({"input": "x", "previous_response_id": "resp_0"}, {}, {Missing.COMPACTED_HISTORY}),
        ({"input": "x"}, {"previous_response_id": "resp_0"}, {Missing.COMPACTED_HISTORY}),
        ({"input": "x", "conversation": {"id": "conv"}}, {}, {Missing.COMPACTED_HISTORY}),
        ({}, {"output": []}, {Missing.COMPACTED_HISTORY}),
        ({"input": "x", "prompt": {"id": "pmpt"}}, {}, {Missing.SYSTEM_PROMPT}),
    ],
)
def test_missing(request_: dict[str, Any], response: dict[str, Any], missing: set[Missing]) -> None:
    assert missing_of(Log(request_, response)) == missing


def test_requests_of_one_chain_are_one_cluster() -> None:
    roots: dict[str, str] = {}
    chain = [
        ({}, {"id": "r1"}),
        ({"previous_response_id": "r1"}, {"id": "r2"}),
        ({"previous_response_id": "r2"}, {"id": "r3"}),
    ]
    assert {cluster_of(Log(*log), roots) for log in chain} == {"openai_responses:r1"}
    assert cluster_of(Log({"conversation": "conv"}, {"id": "r9"}), roots) == "openai_responses:conv"
    assert cluster_of(Log({"previous_response_id": "far"}, {}), roots) == "openai_responses:far"
    assert cluster_of(Log({}, {}), roots) is None


def test_labels() -> None:
    assert labels_of({"status": "completed"}) == labels_of({}) == {}
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "error": None}
    assert labels_of(cut) == {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}


def test_request_and_response_are_found() -> None:
    assert log_of({"request": {"a": 1}, "response": {"body": {"b": 2}}}) == Log({"a": 1}, {"b": 2})
    assert log_of({"input": 1}) == Log({"input": 1}, {"input": 1})


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ({"type": "message", "role": "user", "content": "x"}, True),
        ({"role": "user", "content": "x"}, True),
        (call(), True),
        ({"role": "assistant", "content": "x", "tool_calls": []}, False),
        ({"type": "message", "role": "critic", "content": "x"}, False),
        ({"type": "response_item", "payload": call()}, False),
        ({"type": {"odd": 1}}, False),
        ([], False),
    ],
)
def test_what_is_an_item(value: Any, is_one: bool) -> None:
    assert is_item(value) is is_one


@pytest.mark.parametrize(
    ("value", "claims"),
    [
        (TURN, True),
        ([TURN], True),
        ({"input": TURN}, True),
        (RESPONSE, True),
        ({"model": "m", "instructions": "x", "input": "y"}, True),
        ([{"role": "user", "content": "x"}], False),
        ({"messages": [{"role": "user", "content": "x"}]}, False),
        ({"model": "text-embedding-3-small", "input": "x"}, False),
        ({"instruction": "x", "input": "y", "output": "z"}, False),
        ({"traceId": "1", "type": "GENERATION", "model": "m", "input": TURN, "output": TURN}, False),
        ({"timestamp": "t", "type": "response_item", "payload": call()}, False),
        ({"type": "compaction", "id": "1", "summary": "x"}, False),
        ({"type": "message", "id": "1", "message": {"role": "user", "content": "x"}}, False),
        ([], False),
        ([[]], False),
    ],
)
def test_sniff(value: Any, claims: bool) -> None:
    assert sniff(Look("a.json", [value])) is claims


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"input": 3, "object": "response"}, "no messages"),
        ({"object": "response", "output": []}, "no dialogue"),
        ({"object": "response", "output": [{"type": "function_call", "call_id": "c", "name": None}]}, "bad tool call"),
    ],
)
def test_odd_values(tmp_path: Path, value: Any, reason: str) -> None:
    (item,) = read(save(tmp_path / "a.json", value))
    assert isinstance(item, Excluded)
    assert item.reason == reason


def test_what_is_no_item_is_counted(tmp_path: Path) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.json", {"input": [3, *TURN], "output": [None]}))
    assert transcript.messages == MESSAGES
    assert transcript.metadata["dropped"] == {"unknown item": 2}
