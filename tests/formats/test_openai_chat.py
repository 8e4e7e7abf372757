"""OpenAI chat-completions logs, in the ways people keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Excluded, Located, canonical, documents, openai_chat, read
from resample.formats.assemble import plain_message
from resample.formats.base import Look
from resample.types import Missing, Transcript

DATA = Path(__file__).parent.parent / "data"
USER = {"role": "user", "content": "list the files"}
HI = {"role": "assistant", "content": "there are two"}
CALL = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"path": "."}'}}
ACTING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWER = {"role": "tool", "tool_call_id": "c1", "content": "a b"}
CHAT: list[dict[str, Any]] = [USER, ACTING, ANSWER, HI]
LS = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object"}}}


def transcripts(path: Path) -> list[Transcript]:
    items = list(read(path))
    assert not [item for item in items if isinstance(item, Excluded)]
    return [item.transcript for item in items if isinstance(item, Located)]


def save(path: Path, *values: Any, indent: bool = False) -> Path:
    option = orjson.OPT_INDENT_2 if indent else 0
    path.write_bytes(b"\n".join(orjson.dumps(value, option=option) for value in values) + b"\n")
    return path


def response(message: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "m-1", "choices": [choice]}


@pytest.mark.parametrize("indent", [False, True])
@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (CHAT, ["a.json"]),
        ({"messages": CHAT}, ["a.json"]),
        ([CHAT, CHAT], ["a.json[0]", "a.json[1]"]),
        ([{"messages": CHAT}], ["a.json[0]"]),
    ],
)
def test_documents(tmp_path: Path, value: Any, ids: list[str], indent: bool) -> None:
    read_back = transcripts(save(tmp_path / "a.json", value, indent=indent))
    assert [transcript.id for transcript in read_back] == ids
    for transcript in read_back:
        assert transcript.messages == CHAT
        assert transcript.metadata.pop("source") == "openai_chat"
        assert transcript.metadata.pop("missing") == ["tool_schemas"]
        assert transcript.metadata in ({}, {"cluster": ids[0]})  # the same conversation twice is one cluster


def test_lines(tmp_path: Path) -> None:
    save(tmp_path / "a.jsonl", CHAT, {"messages": CHAT, "tools": [LS]})
    save(tmp_path / "b.jsonl", CHAT)
    save(tmp_path / "b.json", CHAT)
    read_back = transcripts(tmp_path)
    assert [t.id for t in read_back] == ["a.jsonl:1", "a.jsonl:2", "b.json", "b.jsonl:1"]
    assert [t.tools for t in read_back] == [[], [LS], [], []]


@pytest.mark.parametrize(
    "log",
    [
        {"messages": CHAT[:-1], "response": response(HI)},
        {"messages": CHAT[:-1], "response": response({**HI, "tool_calls": None, "refusal": None})},
        {"messages": CHAT[:-1], "response": response({"content": HI["content"]})},
        {"messages": CHAT[:-1], **response(HI)},
        {"messages": CHAT, "response": "redacted"},
        {"messages": CHAT, "response": {"choices": []}},
        {"messages": CHAT, "response": {"error": "rate limit"}},
        {"messages": CHAT, "response": None},
    ],
)
def test_a_stored_reply_is_the_last_message(tmp_path: Path, log: Any) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.json", log))
    assert transcript.messages == CHAT


@pytest.mark.parametrize(
    ("log", "tools"),
    [
        ({"tools": [LS]}, [LS]),
        ({"kwargs": {"tools": [LS]}}, [LS]),
        ({"model_parameters": {"tools": [LS]}}, [LS]),
        ({"tools": [], "optional_params": {"tools": [LS]}}, [LS]),
        ({"functions": [LS["function"]]}, [LS]),
        ({"tools": None, "kwargs": "none"}, []),
    ],
)
def test_where_tools_stand(tmp_path: Path, log: Any, tools: Any) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.json", {"messages": CHAT, **log}))
    assert transcript.tools == tools


def test_calls_of_the_older_form(tmp_path: Path) -> None:
    older = [
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "ls", "arguments": "{}"}},
        {"role": "function", "name": "ls", "content": "a b"},
        {"role": "assistant", "content": None, "function_call": {"name": "ls", "arguments": "{}"}},
        {"role": "function", "name": "ls", "content": "a b c"},
        HI,
    ]
    (transcript,) = transcripts(save(tmp_path / "a.json", older))
    first, answer, second, _ = transcript.messages[1:5]
    function = {"name": "ls", "arguments": "{}"}
    assert first["tool_calls"] == [{"id": "function_call_1", "type": "function", "function": function}]
    assert answer == {"role": "tool", "name": "ls", "content": "a b", "tool_call_id": "function_call_1"}
    assert second["tool_calls"][0]["id"] == "function_call_3"
    save(tmp_path / "a.json", [USER, {"role": "function", "name": "ls", "content": "a b"}, HI])
    assert [item.reason for item in read(tmp_path) if isinstance(item, Excluded)] == ["orphan tool message"]


def test_what_servers_and_logs_add_or_leave_out(tmp_path: Path) -> None:
    noisy: dict[str, Any] = {
        **HI,
        "annotations": [],
        "provider_specific_fields": {"x": 1},
        "reasoning_content": "two files, then",
        "audio": None,
    }
    call = {"id": "c1", "function": {"name": "ls", "arguments": {"path": "."}}, "index": 0}
    (transcript,) = transcripts(
        save(tmp_path / "a.json", [USER, {"role": "assistant", "content": None, "tool_calls": [call]}, ANSWER, noisy])
    )
    assert transcript.messages[1]["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"path":"."}'}}
    ]
    assert transcript.messages[3] == {**HI, "reasoning_content": "two files, then"}


def test_malformed_arguments_are_kept_verbatim(tmp_path: Path) -> None:
    broken = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"path": "'}}
    chat = [USER, {"role": "assistant", "content": None, "tool_calls": [broken]}, ANSWER, HI]
    (transcript,) = transcripts(save(tmp_path / "a.json", chat))
    assert transcript.messages[1]["tool_calls"] == [broken]


@pytest.mark.parametrize(
    ("fields", "date"),
    [
        ({"response": {**response(HI), "created": 1767323045}}, "2026-01-02T03:04:05+00:00"),
        ({**response(HI), "created": 1767323045}, "2026-01-02T03:04:05+00:00"),
        ({"startTime": 1767323040, "response": {**response(HI), "created": 1767323045}}, "2026-01-02T03:04:00+00:00"),
        ({"startTime": "2026-01-02 03:04:05", "response": response(HI)}, "2026-01-02 03:04:05"),
        ({"timestamp": 1767323045, "response": response(HI)}, "2026-01-02T03:04:05+00:00"),
        ({"created_at": "2026-01-02", "response": response(HI)}, "2026-01-02"),
        ({"timestamp": "soon", "response": response(HI)}, None),
    ],
)
def test_the_date(tmp_path: Path, fields: dict[str, Any], date: str | None) -> None:
    """When the request was made is told by proxies only; else it is when it was answered, or logged."""
    (transcript,) = transcripts(save(tmp_path / "a.json", {"messages": CHAT[:3], **fields}))
    assert transcript.metadata.get("date") == date


def test_content_parts_are_kept_and_only_small_extras(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    log = {
        "model": "m-2",
        "messages": [{"role": "user", "content": parts}, HI],
        "temperature": 0.5,
        "cost": None,
        "raw": "x" * 5000,
    }
    (transcript,) = transcripts(save(tmp_path / "a.json", log))
    assert transcript.messages[0]["content"] == parts
    assert transcript.metadata == {"source": "openai_chat", "model": "m-2", "extra": {"temperature": 0.5}}


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("not a transcript", 3),
        ("no messages", {"rows": 1}),
        ("no messages", {"messages": []}),
        ("no messages", []),
        ("bad message", [USER, 3]),
        ("bad role", [USER, {"role": "robot", "content": "x"}]),
        ("bad tool call", [USER, {"role": "assistant", "tool_calls": [{"function": "ls", "args": {}}]}]),
        ("bad tool call", [USER, {"role": "assistant", "tool_calls": [{"function": {"name": "ls"}}]}]),
        ("bad tools", {"messages": CHAT, "tools": [{"type": "web_search"}]}),
        ("bad tools", {"messages": CHAT, "tools": "all"}),
        ("orphan tool message", [USER, ANSWER, HI]),
    ],
)
def test_what_is_excluded(tmp_path: Path, reason: str, value: Any) -> None:
    path = save(tmp_path / "a.jsonl", CHAT, value, CHAT)
    items = list(read(path, "openai_chat"))
    assert [(i.line, i.reason) for i in items if isinstance(i, Excluded)] == [(2, reason)]
    assert [i.line for i in items if isinstance(i, Located)] == [1, 3]


@pytest.mark.parametrize(
    "value",
    [
        {"system": "be brief", "messages": [USER, HI]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}, HI]},
        {"messages": [USER, {"role": "assistant", "tool_calls": [{"function": "ls", "args": {}}]}, HI]},
        {"messages": [{"type": "user", "content": "x"}, {"type": "gemini", "content": "y"}]},
        {"messages": [{"role": "user", "parts": [{"text": "x"}]}, HI]},
        {"type": "message", "message": USER},
        {"trajectory": [USER, HI]},
    ],
)
def test_logs_of_other_formats_are_not_taken_for_chat(tmp_path: Path, value: Any) -> None:
    assert not openai_chat.sniff(Look("a.jsonl", [value]))
    save(tmp_path / "a.jsonl", value)
    (item,) = read(tmp_path)  # another format may know it
    assert isinstance(item, Excluded) or item.transcript.metadata["source"] != "openai_chat"


def test_a_document_is_recognised_by_its_beginning(tmp_path: Path) -> None:
    long = [{"role": "user", "content": f'{i} [{{"x": "' + "y" * 3000} for i in range(60)]
    save(tmp_path / "a.json", {"messages": [*long, HI]}, indent=True)
    (transcript,) = transcripts(tmp_path)
    assert len(transcript.messages) == 61


def test_both_formats_mix_in_one_folder(tmp_path: Path) -> None:
    save(tmp_path / "chat.json", CHAT)
    canonical.write(tmp_path / "own.jsonl", [Transcript("own", CHAT)])
    assert [(t.id, t.metadata.get("source")) for t in transcripts(tmp_path)] == [
        ("chat.json", "openai_chat"),
        ("own", None),
    ]


def test_the_form_litellm_keeps_its_calls_in() -> None:
    (transcript,) = transcripts(DATA / "litellm_payload.json")
    assert [m["role"] for m in transcript.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert transcript.tools[0]["function"]["name"] == "get_order"
    assert transcript.metadata["model"] == "gpt-4o-mini"
    assert transcript.metadata["extra"]["call_type"] == "acompletion"


PAYLOAD = {
    "id": "chatcmpl-1",
    "model": "m-1",
    "litellm_call_id": "call-1",
    "call_type": "acompletion",
    "status": "success",
}


@pytest.mark.parametrize(
    ("fields", "reason", "detail"),
    [
        ({"status": "failure", "response": {}}, "no assistant message", "the call failed"),
        (
            {"status": "failure", "error_information": {"error_class": "RateLimitError"}, "error_str": "key sk-1"},
            "no assistant message",
            "the call failed: RateLimitError",
        ),
        ({"call_type": "aresponses"}, "not a transcript", "a call of type aresponses"),
        ({"call_type": "aembedding", "messages": "x"}, "not a transcript", "a call of type aembedding"),
        ({"call_type": "atext_completion", "messages": "x"}, "no messages", ""),
        (
            {"messages": [{"role": "user", "content": "redacted-by-litellm"}]},
            "no dialogue",
            "its texts were redacted by litellm",
        ),
    ],
)
def test_logs_of_litellm_that_are_of_no_use(tmp_path: Path, fields: Any, reason: str, detail: str) -> None:
    log = {**PAYLOAD, "messages": CHAT, **fields}
    (item,) = read(save(tmp_path / "a.jsonl", log), "openai_chat")
    assert isinstance(item, Excluded)
    assert (item.reason, item.detail) == (reason, detail)


@pytest.mark.parametrize(
    ("fields", "cluster"),
    [
        ({"session_id": "s-1", "trace_id": "t-1"}, "session:s-1"),
        ({"session_id": "", "trace_id": "t-1"}, "session:t-1"),
        ({"trace_id": "call-1"}, None),
        ({"trace_id": "chatcmpl-1"}, None),
        ({"session_id": 3, "trace_id": None}, None),
        ({}, None),
    ],
)
def test_a_session_is_one_cluster(fields: dict[str, Any], cluster: str | None) -> None:
    assert openai_chat.cluster_of({**PAYLOAD, **fields}) == cluster


def test_a_status_of_another_log_means_nothing(tmp_path: Path) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.json", {"messages": CHAT, "status": "failure"}))
    assert transcript.metadata["extra"] == {"status": "failure"}


def test_what_litellm_cut(tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,[base64_data truncated: 9.1KB]"}}
    whole = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "look"}, image, whole, 3]},
        ACTING,
        {**ANSWER, "content": "a ... (litellm_truncated skipped 99 chars. ...) ... b"},
        HI,
    ]
    missing: set[Missing] = set()
    cut = openai_chat.what_litellm_cut(messages, missing)
    assert cut[0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "text", "text": "[image not shown]"},
        whole,
        3,
    ]
    assert cut[1:] == messages[1:]
    assert missing == {Missing.IMAGES, Missing.TRUNCATED_OUTPUTS}
    messages[0]["content"].pop()
    (transcript,) = transcripts(save(tmp_path / "a.json", {**PAYLOAD, "messages": messages, "model_parameters": {}}))
    assert transcript.metadata["missing"] == ["images", "tool_schemas", "truncated_outputs"]


@pytest.mark.parametrize(
    "log",
    [
        {"custom_id": "r1", "method": "POST", "body": {"model": "m-1", "messages": CHAT, "tools": [LS], "seed": 4}},
        {
            "custom_id": "r1",
            "body": {"model": "m-1", "messages": CHAT[:-1], "tools": [LS], "seed": 4},
            "response": {"status_code": 200, "body": response(HI)},
        },
        {"custom_id": "r1", "request": {"messages": CHAT[:-1], "tools": [LS], "seed": 4}, "response": response(HI)},
        {
            "custom_id": "r1",
            "request": {"url": "/v1", "body": {"messages": CHAT[:-1], "tools": [LS], "seed": 4}},
            "response": {"body": response(HI)},
        },
    ],
)
def test_requests_and_replies_that_are_wrapped(tmp_path: Path, log: Any) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.jsonl", log))
    assert transcript.messages == CHAT
    assert transcript.tools == [LS]
    assert transcript.metadata["model"] == "m-1"
    extra = transcript.metadata["extra"]
    assert (extra["custom_id"], extra["seed"]) == ("r1", 4)
    assert not extra.keys() & {"body", "request", "response", "messages"}


def test_the_output_of_a_batch_has_no_requests(tmp_path: Path) -> None:
    save(
        tmp_path / "out.jsonl", {"id": "batch_1", "custom_id": "r1", "response": {"body": response(HI)}, "error": None}
    )
    (item,) = read(tmp_path)
    assert isinstance(item, Excluded)
    assert (item.reason, item.detail) == ("no messages", "a reply without its request")


@pytest.mark.parametrize(
    ("details", "fields", "hidden"),
    [
        ({"reasoning_tokens": 64}, {}, True),
        ({"reasoning_tokens": 64}, {"reasoning_content": "two, then"}, False),
        ({"reasoning_tokens": 64}, {"reasoning": "two, then"}, False),
        ({"reasoning_tokens": 0}, {}, False),
        ({"reasoning_tokens": None}, {}, False),
        (None, {}, False),
    ],
)
def test_reasoning_that_is_only_counted(tmp_path: Path, details: Any, fields: dict[str, Any], hidden: bool) -> None:
    reply = {**response({**HI, **fields}), "usage": {"completion_tokens_details": details}}
    (transcript,) = transcripts(save(tmp_path / "a.json", {"messages": [USER], "response": reply}))
    assert transcript.metadata.get("missing") == (["reasoning"] if hidden else None)


@pytest.mark.parametrize("ids", [["", ""], [None, None], ["ls", "ls"], ["c1", ""]])
def test_calls_whose_ids_do_not_tell_them_apart(tmp_path: Path, ids: list[Any]) -> None:
    acting = {"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": id} for id in ids]}
    answers = [{"role": "tool", "tool_call_id": id, "content": str(n)} for n, id in enumerate(ids)]
    (transcript,) = transcripts(save(tmp_path / "a.json", [USER, acting, *answers, HI]))
    made = [call["id"] for call in transcript.messages[1]["tool_calls"]]
    assert len(set(made)) == 2
    assert [(m["tool_call_id"], m["content"]) for m in transcript.messages[2:4]] == [(made[0], "0"), (made[1], "1")]


def test_a_message_that_needs_nothing_is_passed_on_as_it_is() -> None:
    named = [{"role": "user", "content": "x", "name": "ann"}, ACTING, {**ANSWER, "name": "ls"}, HI]
    for messages in (CHAT, named, [USER, {"role": "assistant", "content": None}]):
        assert openai_chat.plain_messages(messages) is messages
        assert [plain_message(message) for message in messages] == messages


@pytest.mark.parametrize(
    "message",
    [
        {**HI, "tool_calls": None},
        {**HI, "tool_calls": []},
        {**HI, "name": None},
        {**HI, "refusal": None},
        {**ACTING, "tool_calls": [{**CALL, "index": 0}]},
        {**ACTING, "tool_calls": [{**CALL, "function": {"name": "ls", "arguments": {"path": "."}}}]},
    ],
)
def test_any_other_message_is_made_plain(message: dict[str, Any]) -> None:
    assert openai_chat.plain_messages([USER, message]) == [USER, plain_message(message)] != [USER, message]


def test_a_list_of_conversations_that_is_too_long_to_be_parsed_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "LARGE", 2000)
    logs = [{"messages": [{"role": "user", "content": f"{n} [{{" + "x" * 500}, HI]} for n in range(9)]
    path = save(tmp_path / "a.json", [*logs, {"messages": []}, 3], indent=True)
    monkeypatch.setattr(openai_chat, "values", None)  # nothing is parsed whole
    items = list(read(path))
    assert [i.transcript.id for i in items if isinstance(i, Located)] == [f"a.json[{n}]" for n in range(9)]
    assert [(i.reason, i.detail[:3]) for i in items if isinstance(i, Excluded)] == [
        ("no messages", "/9"),
        ("not a transcript", "/10"),
    ]


def test_one_long_conversation_is_no_list_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LARGE", 2000)
    (transcript,) = transcripts(save(tmp_path / "a.json", [{**USER, "content": "x" * 5000}, HI], indent=True))
    assert (transcript.id, len(transcript.messages)) == ("a.json", 2)


def test_real_logs(real_transcripts: Path) -> None:
    folder = real_transcripts / "openai-chat-completions"
    logs = transcripts(folder)
    assert len(logs) == 9
    assert sum(len(t.messages) for t in logs) == 68
    assert sum(len(m.get("tool_calls") or ()) for t in logs for m in t.messages) == 27
    for log in logs:
        assert log.messages[-1]["role"] in ("assistant", "tool")
        assert log.metadata["source"] == "openai_chat"


def test_real_logs_of_other_formats_are_refused_politely(real_transcripts: Path) -> None:
    others = [
        f
        for f in real_transcripts.iterdir()
        if f.is_dir() and f.name not in ("openai-chat-completions", "mini-swe-agent")
    ]
    found = [item for folder in others for item in read(folder) if isinstance(item, Located)]
    assert not [item for item in found if item.transcript.metadata["source"] == "openai_chat"]
