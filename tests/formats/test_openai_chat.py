"""OpenAI chat-completions logs, in the ways people keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Excluded, Located, canonical, read
from resample.types import Transcript

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
    save(tmp_path / "a.jsonl", value)
    (item,) = read(tmp_path)
    assert isinstance(item, Excluded)
    assert item.reason == "unknown format"


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
    reasons = {item.reason for folder in others for item in read(folder) if isinstance(item, Excluded)}
    assert reasons <= {"unknown format", "bad role"}
    assert not [item for folder in others for item in read(folder) if isinstance(item, Located)]
