"""Files, folders and globs: what is looked at, in which order, and what is said about the rest."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import FORMATS, Excluded, Located, Skipped, read
from resample.prepare.index import Indexed, Wanted, index, open_prefix
from resample.prepare.policies import Truncate, policy
from resample.types import UserError


def line(id: str) -> bytes:
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
    return orjson.dumps({"id": id, "messages": messages})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "logs"
    files = {
        "b.jsonl": line("b"),
        "a.jsonl": line("a"),
        "A.JSONL": line("upper"),
        "sub/c.json": line("c"),
        "sub/deep/d.ndjson": line("d"),
        "README.md": b"# Notes",
        "conf.yaml": b"a: 1",
        "noise.bin": b"\x00\x01",
        ".hidden.jsonl": line("hidden"),
        ".git/x.jsonl": line("git"),
        "foreign.json": b'{"rows": [1, 2]}',
        "labels.jsonl": b'{"file": "a.jsonl", "bad": true}\n',
        "empty.jsonl": b"",
        "broken.jsonl": b"}{",
        "old/run.sqlite": b"",
        "old/transcripts.jsonl": line("of a run"),
    }
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def ids(path: Path | str, **options: object) -> list[str]:
    return [i.transcript.id for i in read(path, **options) if isinstance(i, Located)]  # type: ignore[arg-type]


def test_a_folder_is_read_in_order_and_what_no_format_recognises_is_counted(folder: Path) -> None:
    assert ids(folder) == ["upper", "a", "b", "c", "d"]
    excluded = [item for item in read(folder) if isinstance(item, Excluded)]
    assert [(Path(e.file).name, e.line, e.reason) for e in excluded] == [
        ("broken.jsonl", None, "unknown format"),
        ("empty.jsonl", None, "empty file"),
        ("foreign.json", None, "unknown format"),
    ]
    assert [Path(item.file).name for item in read(folder) if isinstance(item, Skipped)] == ["labels.jsonl"]
    assert excluded[0].detail == f"tried {', '.join(FORMATS)}"
    with pytest.raises(UserError, match=r"broken\.jsonl: unknown format"):
        list(read(folder, strict=True))


def test_files_and_globs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(folder / "b.jsonl") == ["b"]
    assert ids(str(folder / "*.jsonl")) == ["a", "b"]
    assert ids(str(folder / "sub*")) == ["c", "d"]
    assert ids(str(folder / "s?b" / "**")) == ["c", "d"]
    assert ids(str(folder / "**" / "*.json")) == ["c"]
    monkeypatch.chdir(folder)
    assert ids("a.jsonl") == ["a"]
    (located, *_) = read("./a.jsonl")
    assert isinstance(located, Located)
    assert located.file == str(folder / "a.jsonl")


def test_a_file_whose_name_looks_like_a_glob_is_that_file(folder: Path) -> None:
    (folder / "a[1].jsonl").write_bytes(line("bracket"))
    assert ids(folder / "a[1].jsonl") == ["bracket"]


@pytest.mark.parametrize("path", ["none.jsonl", "none/", "*.nothing", "a\0b", "x" * 5000])
def test_nothing_there(folder: Path, path: str) -> None:
    with pytest.raises(UserError, match="nothing there"):
        read(f"{folder}/{path}")


def test_a_file_named_by_itself_must_be_recognised(folder: Path) -> None:
    with pytest.raises(UserError, match=rf"foreign\.json: unknown format \(tried {', '.join(FORMATS)}\)"):
        list(read(folder / "foreign.json"))
    with pytest.raises(UserError, match="neither a file nor a folder"):
        read("/dev/null")
    assert [type(item) for item in read(folder / "empty.jsonl")] == [Excluded]


def test_an_unknown_format_is_refused_with_those_known(folder: Path) -> None:
    with pytest.raises(UserError, match=r"transcripts\.format=xml.*auto.*canonical, openai_chat"):
        read(folder, "xml")


def test_a_named_format_is_not_second_guessed(folder: Path) -> None:
    reasons = {Path(i.file).name: i.reason for i in read(folder, "canonical") if isinstance(i, Excluded)}
    assert reasons == {
        "broken.jsonl": "malformed JSON",
        "empty.jsonl": "empty file",
        "foreign.json": "no id",
        "labels.jsonl": "no id",
    }


def test_a_run_directory_inside_the_folder_is_no_input(folder: Path) -> None:
    out = folder / "out"
    (out / "more").mkdir(parents=True)
    (out / "transcripts.jsonl").write_bytes(line("written"))
    (out / "more" / "x.jsonl").write_bytes(line("x"))
    assert ids(folder, skip=out) == ["upper", "a", "b", "c", "d"]
    assert ids(str(folder / "**"), skip=out) == ["upper", "a", "b", "c", "d"]
    linked = folder.parent / "link"
    linked.symlink_to(folder)
    assert ids(linked, skip=out) == ["upper", "a", "b", "c", "d"]
    assert "of a run" in ids(folder / "old")  # named by itself


def test_transcripts_may_lie_in_the_run_directory_itself(folder: Path) -> None:
    (folder / "transcripts.jsonl").write_bytes(line("written"))
    assert ids(folder, skip=folder) == ["upper", "a", "b", "c", "d"]
    assert ids(folder / "sub", skip=folder) == ["c", "d"]
    assert ids(folder / "transcripts.jsonl", skip=folder) == ["written"]


def test_links_to_files_are_followed_and_loops_end(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.jsonl"
    elsewhere.write_bytes(line("linked"))
    root = tmp_path / "logs"
    root.mkdir()
    (root / "a.jsonl").symlink_to(elsewhere)
    (root / "loop").symlink_to(root)
    (root / "self.jsonl").symlink_to(root / "self.jsonl")
    (root / "gone.jsonl").symlink_to(tmp_path / "gone.jsonl")
    items = list(read(root))
    assert [(i.file, i.transcript.id) for i in items if isinstance(i, Located)] == [(str(root / "a.jsonl"), "linked")]
    assert [(Path(i.file).name, i.reason) for i in items if isinstance(i, Excluded)] == [
        ("gone.jsonl", "unreadable file"),
        ("self.jsonl", "unreadable file"),
    ]


def test_a_name_that_is_no_text_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(line("a"))
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.jsonl")).write_bytes(line("b"))
    used, excluded = read(tmp_path)
    assert isinstance(used, Located)
    assert isinstance(excluded, Excluded)
    assert excluded.reason == "unreadable file"
    excluded.file.encode()


def test_an_empty_folder_is_no_error_here(tmp_path: Path) -> None:
    assert list(read(tmp_path)) == []


def test_many_malformed_beginnings_do_not_hide_the_format(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([b"oops", b'{"id": "x", ', line("a")]))
    items = list(read(path))
    assert [type(item) for item in items] == [Excluded, Excluded, Located]


ODD: list[Any] = [None, True, -1, 1e300, 2**63, "", "x", "\0", "assistant", "tool", "c1", [], [[]], {}, {"": {}}]


def mutated(value: Any, draw: random.Random) -> Any:
    """A JSON value of which a few parts are replaced, removed or repeated."""
    if draw.random() < 0.04:
        return draw.choice(ODD)
    if isinstance(value, dict):
        return {key: mutated(item, draw) for key, item in value.items() if draw.random() > 0.03}
    if isinstance(value, list):
        kept = [mutated(item, draw) for item in value if draw.random() > 0.03]
        return kept + kept[-1:] if draw.random() < 0.1 else kept
    return value


@pytest.mark.parametrize("seed", range(20))
def test_odd_values_anywhere_never_crash_and_what_is_used_is_valid(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    call = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "u"}]},
        {"role": "assistant", "content": None, "tool_calls": [call, {**call, "id": "c2"}], "refusal": None},
        {"role": "tool", "tool_call_id": "c2", "content": "x", "name": "ls"},
        {"role": "tool", "tool_call_id": "c1", "content": "y"},
        {"role": "assistant", "content": "done", "function_call": None},
    ]
    tools = [{"type": "function", "function": {"name": "ls", "parameters": {"type": "object"}}}]
    metadata = {"weight": 1, "cluster": "c", "labels": {"a": 1}, "terminal_tools": ["x"], "workspace": {}}
    reply = {"response": {"model": "m", "choices": [{"message": messages[-1]}]}, "kwargs": {"tools": tools}}
    logs = [
        {"id": "a", "messages": messages, "tools": tools, "metadata": metadata},
        {"messages": messages[:-1], **reply},
        messages,
    ]
    drawn = [mutated(log, draw) for log in logs * 30]
    unique = [{**log, "id": f"t{i}"} if isinstance(log, dict) and "id" in log else log for i, log in enumerate(drawn)]
    lines = [orjson.dumps(log) for log in unique]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    for format in ("canonical", "openai_chat"):
        work_dir = tmp_path / format
        items = list(index(Wanted(tmp_path / "a.jsonl", policy(Truncate()), format), work_dir))
        assert len(items) >= len(lines)
        for item in items:
            if isinstance(item, Indexed):
                prefix, original = open_prefix(item)
                assert prefix.id == item.prefix
                assert original


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_never_crash(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    data = bytearray(b"\n".join(line(f"t{i}") for i in range(5)))
    for _ in range(draw.randrange(1, 12)):
        place = draw.randrange(len(data))
        data[place : place + draw.randrange(3)] = draw.randbytes(draw.randrange(4))
    for name in ("a.jsonl", "a.json"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes(data)
        for format in ("auto", "canonical", "openai_chat"):
            items = list(read(folder, format))
            assert items
            assert all(isinstance(item, Located | Excluded) for item in items)
