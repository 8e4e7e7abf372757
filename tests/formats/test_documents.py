"""Documents that hold many conversations: the same elements, whether they are parsed whole or cut by a scan."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import documents
from resample.formats.documents import Entry, entries
from resample.formats.exclusions import Excluded
from resample.formats.inputs import Input

TRICKY: list[Any] = [
    {"a": 'brackets ]}[{ and "quotes" \\" in a text'},
    {"nested": [{"items": [1, 2]}, [], {}]},
    {"items": "under its own name"},
    [],
    "text, with a comma",
    1.5,
    None,
    {"ends with a backslash": "\\"},
    {"ünïcode ✓": "☃" * 50},
]


def read(path: Path, *keys: str) -> list[Entry | Excluded]:
    return list(entries(Input(path, path.name), *keys))


def both_ways(path: Path, monkeypatch: pytest.MonkeyPatch, *keys: str) -> list[Entry | Excluded]:
    """What is read, after it was read in both ways with the same result."""
    whole = read(path, *keys)
    monkeypatch.setattr(documents, "LARGE", 16)
    monkeypatch.setattr(documents, "_CHUNK", 7)
    assert read(path, *keys) == whole
    return whole


@pytest.mark.parametrize("indent", [False, True])
@pytest.mark.parametrize("crlf", [False, True])
def test_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: bool, crlf: bool) -> None:
    data = orjson.dumps(TRICKY, option=orjson.OPT_INDENT_2 if indent else 0)
    path = tmp_path / "a.json"
    path.write_bytes(data.replace(b"\n", b"\r\n") if crlf else data)
    found = both_ways(path, monkeypatch, "items")
    assert [(e.value, e.id, e.pointer, e.frame) for e in found if isinstance(e, Entry)] == [
        (value, f"a.json[{index}]", f"/{index}", {}) for index, value in enumerate(TRICKY)
    ]


@pytest.mark.parametrize("indent", [False, True])
def test_lists_under_keys_with_what_stands_around_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: bool
) -> None:
    frame = {"info": {"items": [1], "policy": "be ] kind"}, "tasks": [[1], {"items": []}]}
    document = {"info": frame["info"], "items": TRICKY, "tasks": frame["tasks"]}
    path = tmp_path / "a.json"
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 if indent else 0))
    found = both_ways(path, monkeypatch, "items", "others")
    assert [(e.value, e.pointer, e.frame) for e in found if isinstance(e, Entry)] == [
        (value, f"/items/{index}", frame) for index, value in enumerate(TRICKY)
    ]


def test_an_element_that_is_malformed_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'[{"a": 1}, {"a": NaN}, {"a": oops}, {"a": 2}]' + b" " * 100)
    monkeypatch.setattr(documents, "LARGE", 16)
    found = read(path)
    assert [e.value for e in found if isinstance(e, Entry)] == [{"a": 1}, {"a": 2}]
    assert [(e.reason, e.detail.split(":")[0]) for e in found if isinstance(e, Excluded)] == [
        ("NaN or infinity", "/1"),
        ("malformed JSON", "/2"),
    ]


@pytest.mark.parametrize("data", [b'[{"a": "never closed', b'{"items": [{"a": 1}, {"b"', b"[" * 99])
def test_broken_documents_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    monkeypatch.setattr(documents, "LARGE", 4)
    assert all(isinstance(item, Entry | Excluded) for item in read(path, "items"))
    assert any(isinstance(item, Excluded) for item in read(path, "items"))


def test_a_long_document_that_is_one_conversation_is_parsed_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(orjson.dumps({"messages": TRICKY}, option=orjson.OPT_INDENT_2))
    (entry,) = both_ways(path, monkeypatch, "items")
    assert isinstance(entry, Entry)
    assert (entry.value, entry.id) == ({"messages": TRICKY}, "a.json")


def test_a_long_text_of_quotes_takes_linear_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    document = [{"a": '"' * 300_000 + "\\"}, {"b": "\\" * 300_001}, 3]
    path.write_bytes(orjson.dumps(document))
    monkeypatch.setattr(documents, "LARGE", 16)
    monkeypatch.setattr(documents, "_CHUNK", 4097)
    assert [entry.value for entry in read(path) if isinstance(entry, Entry)] == document


def test_an_element_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(orjson.dumps([{"a": "x" * 5000}]))
    monkeypatch.setattr(documents, "LARGE", 16)
    monkeypatch.setattr(documents, "MAX_BYTES", 1000)
    assert [item.reason for item in read(path) if isinstance(item, Excluded)] == ["too large"]


@pytest.mark.parametrize("seed", range(30))
def test_any_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    draw = random.Random(seed)

    def value(depth: int) -> Any:
        kind = draw.random()
        if depth > 3 or kind < 0.4:
            return draw.choice(['a"b', "[", "}", ",", "\\", "\\\\", "items", 1, True, None, ""])
        if kind < 0.7:
            return [value(depth + 1) for _ in range(draw.randrange(4))]
        return {draw.choice(["items", "a", "]", "\\"]) + str(i): value(depth + 1) for i in range(draw.randrange(4))}

    path = tmp_path / "a.json"
    document = {"a": value(0), "items": [value(0) for _ in range(8)], "b": value(0)}
    path.write_bytes(orjson.dumps(document, option=draw.choice([0, orjson.OPT_INDENT_2])))
    found = both_ways(path, monkeypatch, "items")
    assert [e.value for e in found if isinstance(e, Entry)] == document["items"]
