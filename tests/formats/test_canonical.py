"""The program's own format: what is read, what is excluded and why, and what is written."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from resample.formats import Excluded, Located, Reason, canonical, read
from resample.types import Transcript, UserError

USER = {"role": "user", "content": "hello"}
HI = {"role": "assistant", "content": "hi"}


def call(id: str = "c1", **changes: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "ls", "arguments": "{}"}, **changes}


def acting(*calls: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def answer(id: Any = "c1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": "out"}


def line(id: Any = "a", messages: Any = (USER, HI), **more: Any) -> bytes:
    return orjson.dumps({"id": id, "messages": messages, **more})


def read_all(path: Path, format: str = "auto") -> tuple[list[Located], list[Excluded]]:
    items = list(read(path, format))
    return [i for i in items if isinstance(i, Located)], [i for i in items if isinstance(i, Excluded)]


GOOD = [
    line(),
    line(messages=[{"role": "system", "content": "s"}, {"role": "developer", "content": "d"}, USER, HI]),
    line(messages=[USER, acting(call()), answer(), HI]),
    line(messages=[USER, acting(call("x"), call("y")), answer("y"), answer("x"), HI]),
    line(messages=[USER, acting(call()), answer(), acting(call()), answer()]),  # counts its calls anew
    line(messages=[USER, acting(call())]),
    line(messages=[USER, acting({"id": "c", "type": "custom", "custom": {"name": "p", "input": "raw"}})]),
    line(messages=[USER, acting(call(function={"name": "ls", "arguments": '{"a": '}))]),
    line(messages=[{"role": "user", "content": [{"type": "text", "text": "x"}]}, HI]),
    line(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}, HI]),
    line(messages=[USER, {**HI, "tool_calls": None, "function_call": None, "refusal": None}]),
    line(messages=[USER, {**HI, "tool_calls": []}]),
    line(messages=[USER, {"role": "assistant"}]),
    line(tools=None, metadata=None),
    line(tools=[{"type": "function", "function": {"name": "ls"}}]),
    line(tools=[{"type": "custom", "custom": {"name": "patch"}}]),
    line(metadata={"weight": 0.5, "stratum": "s", "cluster": "c", "labels": {"bad": 1}, "mine": [1]}),
    line(metadata={"actions": "text:fenced", "terminal_tools": ["submit"], "missing": [], "workspace": [1]}),
    line(metadata={"weight": None, "model": None}),
    line(messages=[{"role": "user", "content": "NUL \0, 😀, \u2028"}, HI]),
]


@pytest.mark.parametrize("data", GOOD)
def test_valid_transcripts_are_kept_as_they_are(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    (located,), excluded = read_all(path)
    given = orjson.loads(data)
    assert not excluded
    assert located.transcript.messages == given["messages"]
    assert located.transcript.tools == (given.get("tools") or [])
    assert located.transcript.metadata == (given.get("metadata") or {})


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


DEEP = b"[" * 5000 + b"]" * 5000

BAD: list[tuple[str, bytes]] = [
    ("malformed JSON", b'{"id": "a", "messages": ['),
    ("malformed JSON", line() + line("b")),
    ("malformed JSON", b"hello"),
    ("malformed JSON", b'{"id": "a", "messages": [{"role": "user", "content": "tab\tinside"}]}'),
    ("invalid UTF-8", line().replace(b"hello", b"h\xffllo")),
    ("invalid UTF-8", line().replace(b"hello", b"\xed\xa0\x80")),
    ("NaN or infinity", line(metadata={"weight": 1}).replace(b":1}", b":NaN}")),
    ("NaN or infinity", line(metadata={"weight": 1}).replace(b":1}", b":-Infinity}")),
    ("NaN or infinity", line(metadata={"weight": 1}).replace(b":1}", b":1e999}")),
    ("lone surrogate", line().replace(b"hello", b"\\ud83d!")),
    ("nested too deep", line(metadata={"x": 1}).replace(b":1}", b":%s}" % DEEP)),
    ("nested too deep", line(metadata={"x": 1}).replace(b":1}", b":%s}" % (b"[" * 900 + b"]" * 900))),
    ("nested too deep", line(metadata={"x": nested(245)})),
    ("duplicate key", b'{"id": "a", "messages": [1], "messages": [2]}'),
    ("not a transcript", b"[1, 2]"),
    ("not a transcript", b"null"),
    ("no id", orjson.dumps({"messages": [USER]})),
    ("no id", line(id="")),
    ("no id", line(id=7)),
    ("no messages", orjson.dumps({"id": "a"})),
    ("no messages", line(messages=[])),
    ("no messages", line(messages="hello")),
    ("bad message", line(messages=["hello"])),
    ("bad message", line(messages=[{**USER, "name": 3}])),
    ("bad message", line(messages=[{**USER, "tool_call_id": 3}])),
    ("bad role", line(messages=[{"content": "x"}])),
    ("bad role", line(messages=[{"role": "human", "content": "x"}])),
    ("bad role", line(messages=[{"role": ["user"], "content": "x"}])),
    ("bad role", line(messages=[USER, {"role": "function", "name": "ls", "content": "x"}])),
    ("bad content", line(messages=[{"role": "user", "content": {"text": "x"}}])),
    ("bad content", line(messages=[{"role": "user", "content": 3}])),
    ("bad content", line(messages=[{"role": "user", "content": ["x"]}])),
    ("bad content", line(messages=[{"role": "user", "content": [{"text": "x"}]}])),
    ("bad content", line(messages=[{"role": "user", "content": [{"type": "text"}]}])),
    ("bad tool call", line(messages=[USER, {**HI, "function_call": {"name": "ls", "arguments": ""}}])),
    ("bad tool call", line(messages=[USER, {**HI, "tool_calls": {}}])),
    ("bad tool call", line(messages=[{**USER, "tool_calls": [call()]}])),
    ("bad tool call", line(messages=[USER, acting("ls")])),
    ("bad tool call", line(messages=[USER, acting(call(""))])),
    ("bad tool call", line(messages=[USER, acting(call(type=None))])),
    ("bad tool call", line(messages=[USER, acting(call(type=["function"]))])),
    ("bad tool call", line(messages=[USER, acting(call(function=None))])),
    ("bad tool call", line(messages=[USER, acting(call(function={"arguments": "{}"}))])),
    ("bad tool call", line(messages=[USER, acting(call(function={"name": "ls", "arguments": {}}))])),
    ("duplicate tool call id", line(messages=[USER, acting(call(), call())])),
    ("orphan tool message", line(messages=[USER, answer(), HI])),
    ("orphan tool message", line(messages=[USER, acting(call()), answer("c2")])),
    ("orphan tool message", line(messages=[USER, acting(call()), answer(None)])),
    ("orphan tool message", line(messages=[USER, acting(call()), answer(), answer()])),
    ("bad tools", line(tools={"a": 1})),
    ("bad tools", line(tools=["ls"])),
    ("bad tools", line(tools=[{"name": "ls"}])),
    ("bad tools", line(tools=[{"type": "function", "function": {}}])),
    ("bad tools", line(tools=[{"type": "function", "function": {"name": "ls", "parameters": []}}])),
    ("bad metadata", line(metadata=[1])),
    ("bad metadata", line(metadata={"weight": 0})),
    ("bad metadata", line(metadata={"weight": -1})),
    ("bad metadata", line(metadata={"weight": True})),
    ("bad metadata", line(metadata={"weight": "2"})),
    ("bad metadata", line(metadata={"cluster": 7})),
    ("bad metadata", line(metadata={"labels": ["x"]})),
    ("bad metadata", line(metadata={"actions": "shell"})),
    ("bad metadata", line(metadata={"terminal_tools": "submit"})),
    ("bad metadata", line(metadata={"missing": [1]})),
]


@pytest.mark.parametrize(("reason", "data"), BAD)
def test_each_malformed_transcript_is_excluded_with_its_reason(tmp_path: Path, reason: str, data: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([line("first"), data, line("last")]))
    used, excluded = read_all(path, "canonical")
    assert [(e.file, e.line, e.reason) for e in excluded] == [(str(path), 2, reason)]
    assert [located.transcript.id for located in used] == ["first", "last"]
    with pytest.raises(UserError) as strict:
        list(read(path, "canonical", strict=True))
    assert f"{path}:2: {reason}" in str(strict.value)
    assert "\n" not in str(strict.value)


def test_every_reason_is_a_plain_phrase_with_advice() -> None:
    for reason in Reason:
        assert str(reason) == reason.value
        assert reason.advice
        excluded = Excluded("f", 3, reason.value, "")
        assert str(excluded.error()) == f"f:3: {reason}: {reason.advice}"


def test_ids_are_unique_over_all_files(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(line("x") + b"\n" + line("x"))
    (tmp_path / "b.jsonl").write_bytes(line("y") + b"\n" + line("x"))
    used, excluded = read_all(tmp_path)
    assert [located.transcript.id for located in used] == ["x", "y"]
    assert [(Path(e.file).name, e.line, e.reason) for e in excluded] == [
        ("a.jsonl", 2, "duplicate id"),
        ("b.jsonl", 2, "duplicate id"),
    ]


def test_stated_policies_for_what_json_leaves_open(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'{"id": "a", "messages": [{"role": "user", "content": "one", "content": "two"}],'
        b' "metadata": {"extra": {"big": 123456789012345678901234567890}}, "note": "n"}'
    )
    (located,), _ = read_all(path)
    assert located.transcript.messages == [{"role": "user", "content": "two"}]
    assert located.transcript.metadata == {"extra": {"big": 123456789012345678901234567890.0, "note": "n"}}


def test_messages_elsewhere_in_a_line_are_no_duplicate(tmp_path: Path) -> None:
    parameters = {"type": "object", "properties": {"messages": {"type": "array"}}}
    schema = {"type": "function", "function": {"name": "send", "parameters": parameters}}
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(tools=[schema]))
    assert not read_all(path)[1]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\n\n  \n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_spans_are_the_bytes_on_disk(tmp_path: Path, start: bytes, ending: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(start + ending.join([line("a"), b"  " + line("b"), line("c"), b""]))
    used, excluded = read_all(path)
    assert not excluded
    for located in used:
        assert located.span is not None
        offset, length, digest = located.span
        data = path.read_bytes()[offset : offset + length]
        assert hashlib.sha256(data).hexdigest() == digest
        assert canonical.parse(data) == located.transcript


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_write_and_read(tmp_path: Path, suffix: str) -> None:
    transcripts = [Transcript(f"t{i}", [USER, HI], metadata={"stratum": "ä"}) for i in range(300)]
    path = tmp_path / "new" / f"a.jsonl{suffix}"
    assert canonical.write(path, iter(transcripts)) == 300
    assert path.stat().st_mode & 0o777 == 0o600
    used, excluded = read_all(path)
    assert [located.transcript for located in used] == transcripts
    assert not excluded
    assert all((located.span is None) == bool(suffix) for located in used)
    before = path.read_bytes()
    canonical.write(path, transcripts)
    assert path.read_bytes() == before
    assert [child.name for child in path.parent.iterdir()] == [path.name]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("old")

    def failing() -> Any:
        yield Transcript("a", [USER, HI])
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        canonical.write(path, failing())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"folder.*cannot be written"):
        canonical.write(tmp_path / "folder", [])
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        canonical.write(tmp_path / "file" / "a.jsonl", [])


def compressed(suffix: str, data: bytes) -> bytes:
    return gzip.compress(data) if suffix == ".gz" else zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_files_in_several_pieces(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(compressed(suffix, line("a") + b"\n") + compressed(suffix, line("b")))
    assert [located.transcript.id for located in read_all(path)[0]] == ["a", "b"]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_file_that_was_cut_off_is_noticed(tmp_path: Path, suffix: str) -> None:
    body = b"\n".join(line(f"t{i}", metadata={"x": hashlib.sha256(b"%d" % i).hexdigest()}) for i in range(5000))
    path = tmp_path / f"a.jsonl{suffix}"
    whole = compressed(suffix, body)
    path.write_bytes(whole[: len(whole) // 2])
    used, excluded = read_all(path)
    assert excluded[-1].reason == "unreadable file"
    assert excluded[-1].line is None
    assert 0 < len(used) < 5000


def test_a_huge_line_is_left_out_and_reading_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resample.formats.records.MAX_BYTES", 1000)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([line("a"), line("b", metadata={"x": "y" * 5000}), line("c")]))
    used, excluded = read_all(path)
    assert [located.transcript.id for located in used] == ["a", "c"]
    assert [(e.line, e.reason) for e in excluded] == [(2, "too large")]
    assert used[1].span is not None
    assert canonical.parse(path.read_bytes()[used[1].span.offset :]) == used[1].transcript


def test_a_transcript_over_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(orjson.dumps(orjson.loads(line(metadata={"weight": 2})), option=orjson.OPT_INDENT_2))
    (located,), excluded = read_all(path)
    assert not excluded
    assert located.transcript == Transcript("a", [USER, HI], metadata={"weight": 2})
