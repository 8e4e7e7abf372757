"""Anthropic Messages: blocks as OpenAI messages, and the shapes in which requests and replies are stored."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import FORMATS, Excluded, Located, read
from resample.formats.anthropic_blocks import (
    Said,
    blocks_of,
    messages_of,
    parts_of,
    said_by_assistant,
    said_by_user,
    schemas_of,
    server_output,
    system_text,
)
from resample.formats.anthropic_messages import (
    cluster_of,
    error_of,
    in_order,
    is_reply_only,
    joined,
    reply_of,
    request_of,
    since_compaction,
    sniff,
    with_reply,
)
from resample.formats.assemble import HARNESS
from resample.formats.base import Look
from resample.types import Missing, Transcript

TOOL = {"name": "bash", "description": "Runs.", "input_schema": {"type": "object", "properties": {}}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}
SHOWN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}


def text(said: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **fields}


def use(id: str, name: str = "bash", kind: str = "tool_use", **given: Any) -> dict[str, Any]:
    return {"type": kind, "id": id, "name": name, "input": given}


def result(id: str, content: Any = "done", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **fields}


def call(id: str, name: str = "bash", arguments: str = "{}") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


HI, YES = {"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Yes."}
MESSAGES = [HI, assistant(text("I look."), use("t", command="ls")), user(result("t", "a.txt")), YES]
BODY = {"model": "claude-x", "max_tokens": 9, "system": "Be kind.", "messages": MESSAGES[:3], "tools": [TOOL]}
REPLY = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-y", "content": [text("Yes.")]} | {
    "stop_reason": "end_turn"
}


def found_in(folder: Path, value: Any, name: str = "log.json") -> list[Located | Excluded]:
    folder.mkdir(parents=True, exist_ok=True)
    lines = value if isinstance(value, bytes) else orjson.dumps(value)
    (folder / name).write_bytes(lines)
    return [item for item in read(folder) if isinstance(item, Located | Excluded)]


def one(folder: Path, value: Any, name: str = "log.json") -> Transcript:
    (item,) = found_in(folder, value, name)
    assert isinstance(item, Located), item
    assert item.transcript.metadata["source"] == "anthropic_messages"
    return item.transcript


def test_a_stored_request(tmp_path: Path) -> None:
    transcript = one(tmp_path, {"request": BODY, "response": REPLY, "session_id": "s1", "note": "x"})
    assert transcript.messages == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "I look.", "tool_calls": [call("t", arguments='{"command":"ls"}')]},
        {"role": "tool", "tool_call_id": "t", "content": "a.txt"},
        {"role": "assistant", "content": "Yes."},
    ]
    assert transcript.tools == [
        {"type": "function", "function": {"name": "bash", "description": "Runs.", "parameters": TOOL["input_schema"]}}
    ]
    assert transcript.id == "log.json"
    assert transcript.metadata == {
        "source": "anthropic_messages",
        "model": "claude-y",
        "cluster": "session:s1",
        "extra": {"stop_reason": "end_turn", "max_tokens": 9, "session_id": "s1", "note": "x"},
    }


@pytest.mark.parametrize(
    "value",
    [
        {**BODY, "messages": MESSAGES},
        {"body": {**BODY, "messages": MESSAGES}},
        {**BODY, "response": REPLY},
        {**BODY, "response": {"status": 200, "body": REPLY}},
        {**BODY, "content": REPLY["content"], "stop_reason": "end_turn"},
        {"request": {"body": BODY}, "response": REPLY},
        {"custom_id": "c", "params": BODY, "result": {"type": "succeeded", "message": REPLY}},
        [{"request": BODY, "response": REPLY}],
    ],
)
def test_where_requests_and_replies_stand(tmp_path: Path, value: Any) -> None:
    transcript = one(tmp_path, value)
    assert [m["role"] for m in transcript.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert transcript.messages[-1]["content"] == "Yes."
    assert len(transcript.tools) == 1


def test_a_list_of_messages(tmp_path: Path) -> None:
    transcript = one(tmp_path, MESSAGES)
    assert transcript.id == "log.json"
    assert [m["role"] for m in transcript.messages] == ["user", "assistant", "tool", "assistant"]
    assert transcript.metadata["missing"] == ["tool_schemas"]


def test_lists_of_conversations(tmp_path: Path) -> None:
    found = found_in(tmp_path / "a", [MESSAGES, {"messages": MESSAGES}])
    assert [item.transcript.id for item in found if isinstance(item, Located)] == ["log.json[0]", "log.json[1]"]
    lines = b"\n".join(orjson.dumps(line) for line in (MESSAGES, BODY, MESSAGES))
    found = found_in(tmp_path / "b", lines, "log.jsonl")
    assert [item.transcript.id for item in found if isinstance(item, Located)] == [
        "log.jsonl:1",
        "log.jsonl:2",
        "log.jsonl:3",
    ]
    assert [len(item.transcript.messages) for item in found if isinstance(item, Located)] == [4, 4, 4]


def test_a_message_a_line(tmp_path: Path) -> None:
    transcript = one(tmp_path, b"\n".join(map(orjson.dumps, MESSAGES)), "log.jsonl")
    assert transcript.id == "log.jsonl"
    assert transcript.metadata["lines"] == [1, 2, 3, 4]


def test_a_malformed_line_costs_no_other(tmp_path: Path) -> None:
    found = found_in(tmp_path, orjson.dumps(BODY) + b'\n{"messages": [\n' + orjson.dumps(BODY), "log.jsonl")
    assert [item.reason if isinstance(item, Excluded) else item.line for item in found] == [1, "malformed JSON", 3]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"custom_id": "c", "result": {"type": "succeeded", "message": REPLY}}, "no messages"),
        (REPLY, "no messages"),
        (
            {"request": BODY, "response": {"type": "error", "error": {"type": "overloaded_error"}}},
            "no assistant message",
        ),
        ({"request": BODY, "response": {"type": "error"}}, "no assistant message"),
        ({**BODY, "messages": []}, "no messages"),
        ({**BODY, "messages": [3]}, "no dialogue"),
    ],
)
def test_what_is_of_no_use(tmp_path: Path, value: Any, reason: str) -> None:
    (tmp_path / "log.json").write_bytes(orjson.dumps(value))
    (item,) = read(tmp_path, "anthropic_messages")
    assert isinstance(item, Excluded)
    assert item.reason == reason


# -- telling the format ------------------------------------------------------------------------------------------------

OPENAI_CALL = {"role": "assistant", "content": None, "tool_calls": [call("t")]}


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (BODY, True),
        ({"request": BODY, "response": REPLY}, True),
        ({"custom_id": "c", "params": BODY}, True),
        ({"custom_id": "c", "result": {"type": "succeeded", "message": REPLY}}, True),
        (REPLY, True),
        (MESSAGES, True),
        ([MESSAGES], True),
        (MESSAGES[1], True),
        ({"id": "x", "messages": MESSAGES}, True),
        ({"messages": [HI, assistant({"type": "thinking", "thinking": "x", "signature": "y"})]}, True),
        ({"anthropic_version": "bedrock-2023-05-31", "messages": [HI]}, True),
        ({"model": "m", "max_tokens": 3, "system": "x", "messages": [HI]}, True),
        ({"messages": [HI], "response": REPLY}, True),
        ({"messages": [HI, YES]}, False),
        ([HI, YES], False),
        ({"id": "x", "messages": [HI, assistant({"type": "thinking", "thinking": "x"})]}, False),
        ({"messages": [HI, OPENAI_CALL], "tools": [TOOL]}, False),
        ({"messages": [*MESSAGES, {"role": "tool", "tool_call_id": "t", "content": "x"}]}, False),
        ({"messages": [{"role": "user", "content": [{"type": "text", "content": "x"}, {}]}, *MESSAGES]}, False),
        ({"type": "assistant", "message": REPLY}, False),
        ({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}, False),
        ({"type": "message", "message": assistant(use("t"))}, False),
        ({"messages": "x"}, False),
        ({"messages": [None, {"role": []}, {"role": "user", "content": [{"type": []}]}]}, False),
        ([[], [3]], False),
        ([], False),
        (None, False),
    ],
)
def test_sniff(value: Any, known: bool) -> None:
    assert sniff(Look("x.json", [value])) is known


@pytest.mark.parametrize(
    "value",
    [
        {"model": "m", "messages": [HI, OPENAI_CALL, {"role": "tool", "tool_call_id": "t", "content": "x"}, YES]},
        {"messages": [{"role": "system", "content": "x"}, HI, YES]},
        {"id": "x", "messages": [HI, YES]},
    ],
)
def test_it_claims_no_other_chat_and_no_other_claims_its(value: Any) -> None:
    def claims(value: Any) -> set[str]:
        return {name for name, known in FORMATS.items() if known.sniff(Look("x.json", [value]))}

    assert "anthropic_messages" not in claims(value)
    assert claims(value) & {"openai_chat", "canonical"}
    for own in (BODY, {"request": BODY, "response": REPLY}, MESSAGES, {**BODY, "response": REPLY}):
        assert claims(own) == {"anthropic_messages"}


# -- users' messages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        ("Hi.", [{"role": "user", "content": "Hi."}]),
        ([text("Hi.")], [{"role": "user", "content": "Hi."}]),
        ([text("Hi."), IMAGE], [{"role": "user", "content": [text("Hi."), SHOWN]}]),
        (
            [text("Stop."), result("t"), result("u", [text("a"), IMAGE])],
            [
                {"role": "tool", "tool_call_id": "t", "content": "done"},
                {"role": "tool", "tool_call_id": "u", "content": [text("a"), SHOWN]},
                {"role": "user", "content": "Stop."},
            ],
        ),
        ([result("t", None)], [{"role": "tool", "tool_call_id": "t", "content": ""}]),
        ([result("t", "", is_error=True)], [{"role": "tool", "tool_call_id": "t", "content": "Error"}]),
        ([result("t", "x", is_error=True)], [{"role": "tool", "tool_call_id": "t", "content": "x"}]),
        (["Hi.", None, 3], [{"role": "user", "content": "Hi."}]),
        ("", []),
        (None, []),
        ({"type": "text", "text": "Hi."}, [{"role": "user", "content": "Hi."}]),
    ],
)
def test_said_by_a_user(content: Any, messages: list[Any]) -> None:
    said = Said()
    assert said_by_user(content, said) == messages
    assert said.dropped == ({} if messages else {"empty message": 1})


@pytest.mark.parametrize(
    ("block", "parts", "missing", "dropped"),
    [
        (text("x", cache_control={"type": "ephemeral"}), [text("x")], set(), {}),
        (text(""), [], set(), {}),
        ({"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}, ["https://x/y.png"], set(), {}),
        (
            {"type": "image", "source": {"type": "file", "file_id": "f"}},
            [text("[image not shown]")],
            {Missing.IMAGES},
            {},
        ),
        ({"type": "image"}, [text("[image not shown]")], {Missing.IMAGES}, {}),
        (
            {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
            [text("T"), text("x")],
            set(),
            {},
        ),
        (
            {"type": "document", "source": {"type": "content", "content": [text("x"), IMAGE]}},
            [text("x"), SHOWN],
            set(),
            {},
        ),
        (
            {"type": "document", "title": "T", "source": {"type": "base64", "media_type": "a/pdf", "data": "QQ=="}},
            [{"type": "file", "file": {"filename": "T", "file_data": "data:a/pdf;base64,QQ=="}}],
            set(),
            {},
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://x"}},
            [text("[document not shown: https://x]")],
            {Missing.IMAGES},
            {},
        ),
        ({"type": "document"}, [text("[document not shown]")], {Missing.IMAGES}, {}),
        ({"type": "search_result", "title": "T", "source": "s", "content": [text("x")]}, [text("T\ns\nx")], set(), {}),
        ({"type": "tool_reference", "tool_name": "f"}, [text("f")], set(), {}),
        ({"type": "container_upload", "file_id": "f"}, [], set(), {"unknown content block": 1}),
        ({"type": []}, [], set(), {"unknown content block": 1}),
    ],
)
def test_parts(block: Any, parts: list[Any], missing: set[Missing], dropped: dict[str, int]) -> None:
    said = Said()
    found = parts_of([block], said)
    assert [p["image_url"]["url"] if isinstance(q, str) else p for p, q in zip(found, parts, strict=True)] == parts
    assert (said.missing, said.dropped) == (missing, dropped)


# -- replies -----------------------------------------------------------------------------------------------------------

THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
SEARCH = use("s", "web_search", "server_tool_use", query="q")
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s"} | {
    "content": [{"type": "web_search_result", "title": "T", "url": "https://x", "encrypted_content": "Ab"}]
}


@pytest.mark.parametrize(
    ("content", "messages", "missing", "dropped"),
    [
        ("Yes.", [YES], set(), {}),
        ([text("Yes.")], [YES], set(), {}),
        ([text("a"), text("b")], [{"role": "assistant", "content": "a\n\nb"}], set(), {}),
        (
            [text("a "), text("b", citations=[{"url": "x"}]), text(" c")],
            [{"role": "assistant", "content": "a b c"}],
            set(),
            {},
        ),
        ([THOUGHT, text("Yes.")], [{**YES, "reasoning_content": "Hm."}], set(), {}),
        ([{"type": "redacted_thinking", "data": "x"}, text("Yes.")], [YES], {Missing.REASONING}, {}),
        ([{**THOUGHT, "thinking": ""}, text("Yes.")], [YES], {Missing.REASONING}, {}),
        ([THOUGHT], [], set(), {"reasoning without a reply": 1}),
        ([{"type": "redacted_thinking"}], [], {Missing.REASONING}, {"reasoning without a reply": 1}),
        ([use("t")], [{"role": "assistant", "content": None, "tool_calls": [call("t")]}], set(), {}),
        (
            [{**use("t"), "input": "{bad"}],
            [{"role": "assistant", "content": None, "tool_calls": [call("t", arguments="{bad")]}],
            set(),
            {},
        ),
        ([{**use("t"), "name": None}], [], set(), {"call without a name": 1, "empty message": 1}),
        ([{"type": "fallback"}, text("Yes.")], [YES], set(), {"unknown content block": 1}),
        ([], [], set(), {"empty message": 1}),
        (None, [], set(), {"empty message": 1}),
    ],
)
def test_said_by_the_assistant(content: Any, messages: Any, missing: set[Missing], dropped: dict[str, int]) -> None:
    said = Said()
    assert said_by_assistant(content, said) == messages
    assert (said.missing, +said.dropped) == (missing, dropped)


def test_calls_that_the_provider_answered_within_the_reply() -> None:
    said = Said()
    assert said_by_assistant([text("I search."), SEARCH, FOUND, text("Found."), use("t")], said) == [
        {"role": "assistant", "content": "I search.", "tool_calls": [call("s", "web_search", '{"query":"q"}')]},
        {"role": "tool", "tool_call_id": "s", "content": "title: T\nurl: https://x"},
        {"role": "assistant", "content": "Found.", "tool_calls": [call("t")]},
    ]
    assert said.missing == {Missing.SERVER_TOOL_RESULTS}


def test_a_server_call_whose_result_is_not_there() -> None:
    said = Said()
    assert said_by_assistant([SEARCH, text("Found.")], said) == [{"role": "assistant", "content": "Found."}]
    assert (said.missing, said.dropped) == ({Missing.SERVER_TOOL_RESULTS}, {"server-side call": 1})


@pytest.mark.parametrize(
    ("content", "output", "hidden"),
    [
        (
            {"type": "code_execution_result", "stdout": "1", "stderr": "", "return_code": 0},
            "stdout: 1\nreturn_code: 0",
            False,
        ),
        ({"type": "x", "encrypted_stdout": "Ab", "return_code": 0}, "return_code: 0", True),
        ({"type": "web_search_tool_result_error", "error_code": "unavailable"}, "error_code: unavailable", False),
        (
            {"type": "web_fetch_result", "content": {"type": "document", "source": {"type": "text", "data": "x"}}},
            "x",
            False,
        ),
        ([text("x")], "x", False),
        ("x", "x", False),
        ([], "", True),
        (None, "", True),
        ({"type": "x", "encrypted_content": "Ab"}, "", True),
        ({"a": {"b": 1}}, 'a: {"b":1}', False),
    ],
)
def test_server_outputs(content: Any, output: str, hidden: bool) -> None:
    said = Said()
    block = {"type": "x_tool_result", "tool_use_id": "s", "content": content}
    assert server_output(block, said) == {"role": "tool", "tool_call_id": "s", "content": output}
    assert (Missing.SERVER_TOOL_RESULTS in said.missing) is hidden


def test_other_roles() -> None:
    said = Said()
    assert messages_of({"role": "system", "content": [text("a"), text("b")]}, said) == [
        {"role": "system", "content": "a\n\nb"}
    ]
    assert messages_of({"role": "critic", "content": "x"}, said) == []
    assert messages_of({"role": [], "content": "x"}, said) == []
    assert said.dropped == {"message of unknown role": 2}


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("x", "x"),
        ([text("x"), text("y")], "x\n\ny"),
        (["x"], "x"),
        (None, ""),
        (3, ""),
        ([{"type": "text", "text": 3}], ""),
    ],
)
def test_system(system: Any, expected: str) -> None:
    assert system_text(system) == expected


def test_blocks() -> None:
    assert blocks_of([text("x"), "y", 3, None]) == [text("x"), text("y")]
    assert blocks_of(3) == blocks_of("") == blocks_of(None) == []


@pytest.mark.parametrize(
    ("tool", "name", "keys"),
    [
        (TOOL, "bash", []),
        ({"type": "custom", **TOOL}, "bash", []),
        ({"name": "f"}, "f", []),
        ({"type": "bash_20250124", "name": "bash"}, "bash", ["command", "restart"]),
        ({"type": "text_editor_20250728"}, "text_editor", None),
        ({"type": "web_search_20250305", "name": "web_search"}, None, None),
        ({"type": "mcp_toolset", "mcp_server_name": "x"}, None, None),
        ({"name": 3, "input_schema": {}}, None, None),
    ],
)
def test_schemas(tool: Any, name: str | None, keys: list[str] | None) -> None:
    dropped: Counter[str] = Counter()
    schemas = schemas_of([tool, None, 3], dropped)
    assert [schema["function"]["name"] for schema in schemas] == ([] if name is None else [name])
    assert dropped == ({"server-side tool": 1} if name is None else {})
    if keys is not None:
        assert list(schemas[0]["function"]["parameters"]["properties"]) == keys


# -- passes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "reply", "last"),
    [
        ([HI], None, HI),
        ([HI], YES, YES),
        ([HI, YES], YES, YES),
        ([HI, assistant(text("Ye"))], assistant(text("s.")), assistant(text("Yes."))),
        (
            [HI, {"role": "assistant", "content": "Ye"}],
            assistant(text("s."), use("t")),
            assistant(text("Yes."), use("t")),
        ),
        ([HI, assistant(SEARCH)], assistant(FOUND), assistant(SEARCH, FOUND)),
    ],
    ids=["none", "one", "stored twice", "a prefill", "a prefill as a text", "a paused reply"],
)
def test_with_reply(messages: list[Any], reply: Any, last: Any) -> None:
    assert with_reply(messages, reply)[-1] == last


def test_replies_in_a_row_are_one() -> None:
    messages = [HI, assistant(SEARCH), assistant(FOUND, text("Found.")), HI, YES, YES]
    assert [len(m["content"]) if isinstance(m["content"], list) else 0 for m in joined(messages)] == [0, 3, 0, 2]
    assert [m["role"] for m in in_order(messages, Said())] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
    ]
    assert messages[1] == assistant(SEARCH)


@pytest.mark.parametrize("when", [{"created_at": "2026-01-02T03:04:05+00:00"}, {"timestamp": 1767323045}])
def test_the_date_of_a_log(tmp_path: Path, when: dict[str, Any]) -> None:
    assert one(tmp_path, {"request": BODY, "response": REPLY, **when}).metadata["date"] == "2026-01-02T03:04:05+00:00"


def test_a_compaction_by_the_provider() -> None:
    dropped: Counter[str] = Counter()
    block = {"type": "compaction", "content": "Hi was said."}
    messages = [HI, YES, HI, assistant(block, text("On.")), HI]
    assert since_compaction(messages, dropped) == [
        {"role": "user", "content": "Hi was said.", HARNESS: True},
        assistant(text("On.")),
        HI,
    ]
    assert in_order(since_compaction(messages, Counter()), Said())[0] == {
        "role": "user",
        "content": "Hi was said.",
        HARNESS: True,
    }
    assert dropped == {"replaced by a compaction": 3}
    assert since_compaction(messages[:3], dropped) == messages[:3]


@pytest.mark.parametrize(
    ("log", "cluster"),
    [
        ({"messages": []}, None),
        ({"session_id": "s"}, "session:s"),
        ({"metadata": {"user_id": "u"}}, "user:u"),
        ({"metadata": {"user_id": "user_1_account__session_2"}}, "session:2"),
        ({"metadata": {"user_id": 3}}, None),
        ({"metadata": [], "session_id": {}}, None),
    ],
)
def test_cluster(log: Any, cluster: str | None) -> None:
    assert cluster_of(log, log) == cluster


def test_where_things_stand() -> None:
    assert request_of({"messages": 3, "request": {"body": BODY}}) is BODY
    assert request_of({"messages": 3}) is None
    assert reply_of({"messages": [], "content": "a note"}) is None
    assert reply_of({"response": {"content": "x"}}) == {"role": "assistant", "content": "x"}
    assert reply_of({"response": {"role": "user", "content": "x"}}) is None
    assert error_of({"type": "error"}) == ""
    assert error_of({"result": {"type": "errored", "message": {"type": "error", "error": {"type": "x"}}}}) == "x"
    assert is_reply_only(REPLY)
    assert not is_reply_only(BODY)


ODD: list[Any] = [None, True, 7, "x", [], {}, [[]], {"a": {}}, [None, 7, "x", {"type": []}]]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    "place", ["messages", "system", "tools", "model", "metadata", "response", "request", "content"]
)
def test_odd_values_of_a_log(tmp_path: Path, place: str, odd: Any) -> None:
    (tmp_path / "log.json").write_bytes(orjson.dumps({**BODY, place: odd}))
    assert list(read(tmp_path, "anthropic_messages"))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    "place",
    ["type", "text", "id", "name", "input", "tool_use_id", "content", "source", "thinking", "citations", "title"],
)
def test_odd_values_of_a_block(tmp_path: Path, place: str, odd: Any) -> None:
    document = {"type": "document", "source": {"type": "content", "content": [text("x")]}}
    spoken = [{**block, place: odd} for block in (text("x"), use("t"), SEARCH, FOUND, THOUGHT)]
    asked = [{**block, place: odd} for block in (result("t"), IMAGE, document, text("x"))]
    (tmp_path / "log.json").write_bytes(orjson.dumps({"messages": [HI, assistant(*spoken), user(*asked), YES]}))
    assert list(read(tmp_path, "anthropic_messages"))
