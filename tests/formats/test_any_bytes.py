"""Whatever a file holds, every reader gives valid transcripts or says why not: no crash, no hang, no silence."""

from __future__ import annotations

import io
import string
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resample.formats import FORMATS, Excluded, Located, Skipped, canonical, read
from resample.formats.checks import validate

EXAMPLES = settings(
    max_examples=60,
    deadline=2000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)

WORD_LISTS = {
    name: listed.split()
    for name, listed in yaml.safe_load((Path(__file__).parent.parent / "data" / "json_words.yaml").read_text()).items()
}
KEYS = WORD_LISTS["keys"]
WORDS = WORD_LISTS["words"]

texts = st.one_of(st.sampled_from(WORDS), st.text(string.printable + "\0é☃\U0001f600", max_size=12))
scalars = st.one_of(st.none(), st.booleans(), st.integers(-3, 2**60), st.floats(allow_nan=False), texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.dictionaries(st.one_of(st.sampled_from(KEYS), texts), inner, max_size=7)
    ),
    max_leaves=40,
)
rows = st.dictionaries(st.sampled_from(KEYS), values, max_size=8)


def outcome(path: Path, format: str) -> list[Located | Excluded | Skipped]:
    """What is read, after it was checked: valid, written again, and read back the same."""
    items = list(read(path.parent, format))
    for item in items:
        assert isinstance(item, Located | Excluded | Skipped)
        if isinstance(item, Located):
            assert validate(item.transcript) is None
            assert canonical.parse(canonical.line(item.transcript)) == item.transcript
        else:
            assert item.file
    return items


def fresh(tmp_path: Path, name: str, data: bytes) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("format", FORMATS)
@EXAMPLES
@given(data=st.binary(max_size=300))
def test_any_bytes(tmp_path: Path, format: str, data: bytes) -> None:
    assert outcome(fresh(tmp_path, "a.jsonl", data), format) or not data.strip()


@pytest.mark.parametrize("format", FORMATS)
@EXAMPLES
@given(value=values)
def test_any_document(tmp_path: Path, format: str, value: Any) -> None:
    outcome(fresh(tmp_path, "a.json", orjson.dumps(value)), format)


@pytest.mark.parametrize("format", FORMATS)
@EXAMPLES
@given(lines=st.lists(rows, min_size=1, max_size=8))
def test_any_lines_of_objects(tmp_path: Path, format: str, lines: list[Any]) -> None:
    outcome(fresh(tmp_path, "a.jsonl", b"\n".join(orjson.dumps(line) for line in lines)), format)


@EXAMPLES
@given(value=values)
def test_no_sniffer_raises(tmp_path: Path, value: Any) -> None:
    outcome(fresh(tmp_path, "a.json", orjson.dumps(value)), "auto")


HOSTILE = {
    "deep lists": b'[{"messages": ' + b"[" * 100_000,
    "deep objects": b'{"messages": ' + b'{"a":' * 100_000,
    "closed and deep": b'{"messages": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "invalid UTF-8": b'{"type": "user", "message": {"role": "user", "content": "\xff\xfe"}}',
    "NUL": b'{"type": "user", "message": {"role": "user", "content": "a\\u0000b"}}',
    "half a pair": b'{"type": "user", "message": {"role": "user", "content": "\\ud800"}}',
    "not a number": b'{"type": "user", "message": NaN}',
    "infinite": b'{"type": "user", "message": 1e999}',
    "a long text": b'{"type": "user", "message": {"role": "user", "content": "' + b"x" * 3_000_000 + b'"}}',
    "keys twice": b'{"type": "user", "type": "assistant", "message": {"role": "user", "role": "assistant"}}',
    "a lone quote": b'"',
    "many commas": b"[" + b"," * 100_000,
    "many lines": b"{}\n" * 20_000,
    "many quotes": b'"' * 99_999,
}


@pytest.mark.parametrize("format", ["auto", *FORMATS])
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_hostile_files(tmp_path: Path, format: str, name: str, suffix: str) -> None:
    assert outcome(fresh(tmp_path, f"a.{suffix}", HOSTILE[name]), format)


@pytest.mark.parametrize("format", FORMATS)
def test_any_archive(tmp_path: Path, format: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr("header.json", b"[" * 9999)
        opened.writestr("samples/1_epoch_1.json", b'{"messages": 3}')
        opened.writestr("samples/2_epoch_1.json", b"\xff")
    assert outcome(fresh(tmp_path, "a.zip", packed.getvalue()), format)
