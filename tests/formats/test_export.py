"""What is exported is read back as it was, and what the other form cannot say is counted."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from builders import BASH, USER, acting, output, saying, tool_call

from resample.formats import Located, read
from resample.formats.exclusions import Problem
from resample.formats.export import EXPORTS, Exported
from resample.types import Transcript

SYSTEM = {"role": "system", "content": "Be careful."}
CALLS = [tool_call("bash", {"command": "ls"}, "a"), tool_call("bash", {"command": "pwd"}, "b")]


def exported(to: str, *messages: dict[str, Any], **fields: Any) -> tuple[dict[str, Any], dict[str, int]]:
    found = EXPORTS[to](Transcript("t", list(messages), **fields))
    assert isinstance(found, Exported)
    return orjson.loads(found.body), dict(found.changed)


def test_openai_chat_is_a_request_body_with_the_id_in_its_metadata() -> None:
    messages = [SYSTEM, USER, acting(*CALLS, reasoning="hm"), output("x", "a"), output("/", "b"), saying("Done.")]
    value, changed = exported("openai_chat", *messages, tools=[BASH], metadata={"source": "codex"})
    assert value == {"messages": messages, "tools": [BASH], "metadata": {"id": "t"}}
    assert changed == {}


def test_anthropic_has_its_own_shape() -> None:
    messages = [SYSTEM, USER, acting(*CALLS, content="Looking."), output("x", "a"), output("", "b"), saying("Done.")]
    value, changed = exported("anthropic", *messages, tools=[BASH], metadata={"model": "m"})
    assert value["model"] == "m"
    assert value["system"] == "Be careful."
    assert value["tools"] == [{"name": "bash", "input_schema": BASH["function"]["parameters"]}]
    assert value["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": USER["content"]}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "a", "name": "bash", "input": {"command": "ls"}},
                {"type": "tool_use", "id": "b", "name": "bash", "input": {"command": "pwd"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "x"}]},
                {"type": "tool_result", "tool_use_id": "b"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
    ]
    assert changed == {}


@pytest.mark.parametrize(
    ("messages", "changed"),
    [
        ([USER, saying("a", reasoning="r")], {"reasoning left out: it needs a signature": 1}),
        ([USER, acting(tool_call("bash", "{not json"))], {"arguments that are no object wrapped in one": 1}),
        ([USER, acting(tool_call("bash", "[1]"))], {"arguments that are no object wrapped in one": 1}),
        ([USER, acting(tool_call("my.tool", {}, "call:1"))], {"name of a tool or a call made valid": 2}),
        ([USER, SYSTEM, saying("a")], {"system message moved to the beginning": 1}),
        ([saying("a"), USER], {"user message put before the first": 1}),
        ([USER, acting(CALLS[0]), USER], {"call without an output given one": 1}),
        ([USER, acting(CALLS[0])], {}),  # the last one may be open
        ([{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}], {"input_audio put as a note": 1}),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/bmp;base64,AA=="}}]}],
            {"image put as a note": 1},
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}],
            {},
        ),
    ],
)
def test_what_anthropic_cannot_say_is_counted(messages: list[dict[str, Any]], changed: dict[str, int]) -> None:
    value, found = exported("anthropic", *messages)
    assert found == changed
    check_request(value)


def test_names_that_become_alike_stay_apart() -> None:
    calls = [tool_call("a.b", {}, "x"), tool_call("a:b", {}, "y"), tool_call("a_b", {}, "z")]
    value, _ = exported("anthropic", USER, acting(*calls))
    assert len({block["name"] for block in value["messages"][1]["content"]}) == 3


def test_nothing_to_say_is_a_problem() -> None:
    assert isinstance(EXPORTS["anthropic"](Transcript("t", [SYSTEM])), Problem)


def check_request(value: dict[str, Any]) -> None:
    """The public rules of the Messages API."""
    messages = value["messages"]
    assert messages[0]["role"] == "user"
    for before, after in pairwise(messages):
        assert before["role"] != after["role"]
        calls = [block["id"] for block in before["content"] if block["type"] == "tool_use"]
        if calls:
            results = [block["tool_use_id"] for block in after["content"][: len(calls)]]
            assert sorted(results) == sorted(calls)
    for message in messages:
        assert message["content"]
        for block in message["content"]:
            if block["type"] == "text":
                assert block["text"].strip()
            if block["type"] == "tool_use":
                assert isinstance(block["input"], dict)
                assert block["name"].replace("-", "").replace("_", "").isalnum()


def shown(transcript: Transcript) -> list[Any]:
    """Roles, texts, calls by value, outputs: what both forms can say."""
    lines: list[Any] = []
    for message in transcript.messages:
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        said = "".join(part["text"] for part in parts if part["type"] == "text" and part["text"].strip())
        role = "user" if message["role"] == "user" else message["role"]
        if said and role not in ("system", "developer"):
            lines.append((role, said))
        functions = [call["function"] for call in message.get("tool_calls") or ()]
        lines += [("call", function["name"], orjson.loads(function["arguments"] or "{}")) for function in functions]
    return merged(lines)


def merged(lines: list[Any]) -> list[Any]:
    """Messages of one role in a row are one in Anthropic's form."""
    result: list[Any] = []
    for line in lines:
        if result and len(line) == 2 == len(result[-1]) and result[-1][0] == line[0] != "tool":
            result[-1] = (line[0], result[-1][1] + line[1])
        else:
            result.append(line)
    return result


@pytest.mark.parametrize(("to", "format"), [("openai_chat", "openai_chat"), ("anthropic", "anthropic_messages")])
def test_real_transcripts_are_read_back_as_they_were(
    to: str, format: str, real_transcripts: Path, tmp_path: Path
) -> None:
    originals: list[Transcript] = []
    path = tmp_path / "out.jsonl"
    with path.open("wb") as file:
        for item in read(real_transcripts):
            if isinstance(item, Located):
                found = EXPORTS[to](item.transcript)
                assert isinstance(found, Exported)
                if to == "anthropic":
                    check_request(orjson.loads(found.body))
                if not found.changed:
                    originals.append(item.transcript)
                    file.write(found.body + b"\n")
    again = list(read(path, format))
    assert len(again) == len(originals) > 1000
    for before, after in zip(originals, again, strict=True):
        assert isinstance(after, Located), after
        if to == "openai_chat":
            assert after.transcript.messages == before.messages
            assert after.transcript.tools == before.tools
        else:
            assert shown(after.transcript) == shown(before)
