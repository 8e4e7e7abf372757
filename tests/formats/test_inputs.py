"""Archives, neighbours and compressed files, also where somebody means harm."""

from __future__ import annotations

import gzip
import random
import stat
import struct
import zipfile
from pathlib import Path

import orjson
import pytest
import zstandard

from resample.formats import Excluded, Located, Skipped, read, streams
from resample.formats.inputs import Input


def chat(text: str) -> bytes:
    return orjson.dumps([{"role": "user", "content": text}, {"role": "assistant", "content": "yes"}])


def archive(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return path


def excluded(path: Path) -> list[tuple[str, str, str]]:
    items = [item for item in read(path) if isinstance(item, Excluded)]
    return [(item.file.removeprefix(str(path)), item.reason, item.detail) for item in items]


def test_the_members_of_an_archive_are_files(tmp_path: Path) -> None:
    files = {
        "b.json": chat("b"),
        "a/c.json.gz": gzip.compress(chat("c")),
        "a/notes.txt": b"no",
        "labels.jsonl": b'{"x": 1}',
        ".hidden.json": chat("h"),
    }
    path = archive(tmp_path / "logs.zip", files)
    items = list(read(tmp_path))
    assert [(i.transcript.id, i.file) for i in items if isinstance(i, Located)] == [
        ("logs.zip/a/c.json.gz", f"{path}!a/c.json.gz"),
        ("logs.zip/b.json", f"{path}!b.json"),
    ]
    assert [i.file for i in items if isinstance(i, Skipped)] == [f"{path}!labels.jsonl"]
    assert len([i for i in read(path) if isinstance(i, Located)]) == 2  # named by itself


def test_members_compressed_by_zstandard_are_read(tmp_path: Path) -> None:
    data = chat("z" * 500)
    packed = zstandard.compress(data)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr("a.json", packed)
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # the method, in both headers
        struct.pack_into("<H", raw, raw.index(signature) + at, 93)
    path.write_bytes(raw)
    (item,) = read(path)
    assert isinstance(item, Located)


@pytest.mark.parametrize("name", ["../up.json", "/etc/x.json", "a/../../b.json", "C:\\x.json", "..\\x.json"])
def test_names_that_lead_out_of_an_archive_are_refused(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "a.zip", {name: chat("x"), "ok.json": chat("ok")})
    ((_, reason, detail),) = excluded(path)
    assert (reason, detail) == ("unsafe member of an archive", "its name leads out of the archive")
    assert [i.transcript.id for i in read(path) if isinstance(i, Located)] == ["a.zip/ok.json"]


def test_links_encryption_and_archives_in_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    inner = archive(tmp_path / "inner.zip", {"x.json": chat("x")}).read_bytes()
    with zipfile.ZipFile(path, "w") as opened:
        link = zipfile.ZipInfo("link.json")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(link, "/etc/passwd")
        opened.writestr("inner.zip", inner)
        opened.writestr("locked.json", chat("x"))
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.rindex(signature) + at] |= 1  # the flag of encryption
    path.write_bytes(raw)
    assert [(name, detail) for name, _, detail in excluded(path)] == [
        ("!inner.zip", "an archive inside of an archive"),
        ("!link.json", "it is a link"),
        ("!locked.json", "it is encrypted"),
    ]


@pytest.mark.parametrize("kind", ["zip", "gz", "zst"])
def test_bombs_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(streams, "_FREELY", 1 << 20)
    data = b'[{"role": "user", "content": "hello"},' + b" " * (40 << 20)
    path = tmp_path / f"a.json.{kind}"
    if kind == "zip":
        archive(path, {"a.json": data})
    else:
        path.write_bytes(gzip.compress(data) if kind == "gz" else zstandard.compress(data))
    assert path.stat().st_size * 500 < len(data)
    ((_, reason, detail),) = excluded(tmp_path)
    assert reason == "unreadable file"
    assert "more than 500 times its size" in detail


@pytest.mark.parametrize("cut", [30, 60, -4, -30])
def test_damaged_archives_are_named(tmp_path: Path, cut: int) -> None:
    path = archive(tmp_path / "a.zip", {"a.json": chat("x" * 1000)})
    path.write_bytes(path.read_bytes()[:cut])
    ((_, reason, _),) = excluded(tmp_path)
    assert reason == "unreadable file"


def test_any_damage_to_an_archive_is_named(tmp_path: Path) -> None:
    draw = random.Random(5)
    path = archive(tmp_path / "a.zip", {"ü.json": chat("a"), "b/c.jsonl": b'{"x": 1}', "header.json": b"{}"})
    whole = path.read_bytes()
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(draw.choice([1, 2, 20])):
            data[draw.randrange(len(data))] = draw.choice([0, 255, draw.randrange(256)])
        path.write_bytes(data)
        assert all(isinstance(item, Located | Excluded | Skipped) for item in read(tmp_path))


def test_a_damaged_member_spoils_no_other(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.json": chat("a" * 999), "b.json": chat("b")}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"aaaa", b"aaab", 1))
    items = list(read(path))
    assert [i.transcript.id for i in items if isinstance(i, Located)] == ["a.zip/b.json"]
    assert [i.reason for i in items if isinstance(i, Excluded)] == ["unreadable file"]


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../secret", "", ".", "nothing", "out", "a\0b", ".env", "a/.ssh/id"]
)
def test_neighbours_outside_of_the_folder_are_not_opened(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "a.json").write_bytes(b"{}")
    (folder / ".env").write_bytes(b"secret")
    assert Input(folder / "a.json", "a.json").beside(name) is None


def test_neighbours_are_found_on_disk_and_in_archives(tmp_path: Path) -> None:
    (tmp_path / "side").mkdir()
    (tmp_path / "side" / "b.txt").write_bytes(b"beside")
    path = archive(tmp_path / "a.zip", {"x/a.json": b"{}", "x/side/b.txt": b"beside"})
    for source in (Input(tmp_path / "a.json", "a.json"), Input(path, "a.zip/x/a.json", member="x/a.json")):
        found = source.beside("side/b.txt")
        assert found is not None
        with found.open() as (file, _):
            assert file.read() == b"beside"
        assert source.beside("side/c.txt") is None


def test_a_plain_stream_that_only_begins_like_an_archive(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"PK\x03\x04" + b"x" * 100)
    (item,) = read(tmp_path)
    assert isinstance(item, Excluded)
    assert item.reason == "unreadable file"
