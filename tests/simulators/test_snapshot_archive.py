"""An archive is read from its headers, whatever they claim, and nothing of it is extracted."""

from __future__ import annotations

import gzip
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from snapshot_places import file, fill_tar, put, tar_bytes, unknown, zip_info

from resample.formats import streams
from resample.types import UserError
from simulators.snapshot import Snapshot, TooLarge, open_snapshot


def open_tar(place: Path, add: Callable[[tarfile.TarFile], None], **more: object) -> Snapshot:
    (place / "x.tar").write_bytes(tar_bytes(add))
    return open_snapshot({"path": str(place / "x.tar"), **more})


def test_members_that_lead_out_are_passed_over(tmp_path: Path) -> None:
    def add(archive: tarfile.TarFile) -> None:
        for name in ("/etc/passwd", "../up", "a/../../b", "a/..", "."):
            put(archive, name, b"evil")
        put(archive, "good", b"1")

    assert open_tar(tmp_path, add).names("") == [file("good", 1)]
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("/etc/passwd", "../up", "a/../../b", "good"):
            archive.writestr(zip_info(name, stat.S_IFREG | 0o644), b"1")
    assert open_snapshot(str(tmp_path / "x.zip")).names("") == [file("good", 1)]


def test_the_last_of_several_members_counts(tmp_path: Path) -> None:
    def add(archive: tarfile.TarFile) -> None:
        put(archive, "a", b"old")
        put(archive, "a", b"newer")
        put(archive, "d/kept", b"1")
        put(archive, "d", type=tarfile.DIRTYPE)
        put(archive, "evil", type=tarfile.SYMTYPE, linkname="/etc")
        put(archive, "evil/passwd", b"mine")
        put(archive, "was", type=tarfile.DIRTYPE)
        put(archive, "was", b"file")

    snapshot = open_tar(tmp_path, add)
    assert snapshot.read("a") == b"newer"
    assert snapshot.names("d") == [file("kept", 1)]
    assert snapshot.read("evil/passwd") == b"mine"
    assert snapshot.read("was") == b"file"


def test_hard_links_are_files_and_devices_are_not(tmp_path: Path) -> None:
    def add(archive: tarfile.TarFile) -> None:
        put(archive, "p/a", b"12", mode=0o755)
        put(archive, "p/b", type=tarfile.LNKTYPE, linkname="p/a")
        put(archive, "p/bad", type=tarfile.LNKTYPE, linkname="/etc/passwd")
        put(archive, "p/dev", type=tarfile.CHRTYPE)
        put(archive, "p/pipe", type=tarfile.FIFOTYPE)

    snapshot = open_tar(tmp_path, add, strip=1)
    assert snapshot.names("") == [
        *(file("a", 2, executable=True), file("b", 2, executable=True)),
        *(unknown(name) for name in ("bad", "dev", "pipe")),
    ]
    assert snapshot.read("b") == b"12"
    assert [snapshot.entry(name) for name in ("bad", "dev", "pipe")] == [None, None, None]


@pytest.mark.parametrize(("strip", "names"), [(0, ["top"]), (1, ["a", "f"]), (2, ["g"]), (3, [])])
def test_leading_names_are_taken_off(tmp_path: Path, strip: int, names: list[str]) -> None:
    def add(archive: tarfile.TarFile) -> None:
        put(archive, "./top", type=tarfile.DIRTYPE)
        put(archive, "./top/f", b"1")
        put(archive, "top/a/g", b"2")

    listed = open_tar(tmp_path, add, strip=strip).names("")
    assert listed is not None
    assert [entry.name for entry in listed] == names


def test_zip_names_of_windows_become_paths(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("x")
    info.create_system, info.filename = 0, "dir\\file"
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, b"1")
    assert open_snapshot(str(tmp_path / "x.zip")).read("dir/file") == b"1"


def test_a_zip_whose_sizes_lie_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", b"\0" * 8_000_000)
        archive.writestr("good", b"1")
    data = path.read_bytes()
    assert data.count(struct.pack("<L", 8_000_000)) == 2
    with pytest.raises(TooLarge):
        open_snapshot(str(path)).read("bomb")
    for lie in (10, 4_000_000):
        path.write_bytes(data.replace(struct.pack("<L", 8_000_000), struct.pack("<L", lie)))
        with open_snapshot(str(path)) as snapshot:
            assert (snapshot.read("bomb"), snapshot.read("good")) == (None, b"1")


def test_members_packed_in_ways_that_cannot_be_bounded_are_listed_only(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a", b"12")
    snapshot = open_snapshot(str(tmp_path / "x.zip"))
    assert (snapshot.entry("a"), snapshot.read("a")) == (file("a", 2), None)


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz"])
def test_an_archive_that_expands_too_far_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr(streams, "_FREELY", 100_000)
    with tarfile.open(tmp_path / "x.tar", f"w:{mode}") as archive:
        put(archive, "bomb", b"\0" * 3_000_000)
    with pytest.raises(UserError, match="expands to more than"):
        open_snapshot(str(tmp_path / "x.tar"))


def test_a_sparse_file_is_not_expanded_beyond_the_limit(tmp_path: Path) -> None:
    """In the old GNU form: one byte of data in a file that claims a terabyte."""

    def add(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("hole")
        info.size = 1
        block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        block[156:157] = b"S"
        block[386:410] = b"%011o\0%011o\0" % (0, 1)
        block[483:495] = b"\x80" + (1 << 40).to_bytes(11, "big")
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        assert archive.fileobj is not None
        archive.fileobj.write(bytes(block) + b"x" + b"\0" * 511)
        archive.offset += 1024

    snapshot = open_tar(tmp_path, add)
    assert snapshot.entry("hole") == file("hole", 1 << 40)
    with pytest.raises(TooLarge):
        snapshot.read("hole")


def damaged(data: bytes, at: int, by: bytes) -> bytes:
    return data[:at] + by + data[at + len(by) :]


def two_files(archive: tarfile.TarFile) -> None:
    put(archive, "a", b"1" * 1000)
    put(archive, "b", b"2" * 1000)


TWO = tar_bytes(two_files)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"no archive at all" * 100, "neither a zip nor a tar archive"),
        (TWO[:1200], "end of data"),
        (TWO[:1700], "damaged at byte 1,536"),
        (damaged(TWO, 1536 + 148, b"999999"), "damaged at byte 1,536"),
        (gzip.compress(TWO)[:-20], "ended before"),
        (b"PK\x03\x04" + b"x" * 100, "not a zip"),
    ],
    ids=["empty", "no archive", "cut off", "cut off in a header", "damaged", "gzip cut off", "no zip"],
)
def test_an_archive_that_cannot_be_read_whole_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UserError, match=f"workspace {tmp_path / 'x'}: .*{says}"):
        open_snapshot(str(tmp_path / "x"))


def test_headers_that_lead_back_are_no_endless_loop(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a")
    first = info.tobuf(tarfile.GNU_FORMAT)
    second = bytearray(first)
    second[124:136] = b"\xff" * 10 + struct.pack(">h", -1024)  # a negative size
    second[148:156] = b" " * 8
    second[148:156] = b"%06o\0 " % sum(second)
    (tmp_path / "x.tar").write_bytes(first + bytes(second) + b"\0" * 1024)
    with pytest.raises(UserError):
        open_snapshot(str(tmp_path / "x.tar"))


def test_a_tar_that_begins_with_the_letters_of_a_zip_is_a_tar(tmp_path: Path) -> None:
    assert open_tar(tmp_path, lambda archive: put(archive, "PKGBUILD", b"1")).read("PKGBUILD") == b"1"


def test_a_large_archive_is_spooled_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr("simulators.snapshot_archive._IN_MEMORY", 1000)
    (tmp_path / "x.tgz").write_bytes(gzip.compress(tar_bytes(fill_tar)))
    with open_snapshot(str(tmp_path / "x.tgz")) as snapshot:
        assert list(temporary.iterdir()) == []
        assert [snapshot.read(name) for name in ("src/a.py", "README", "src/a.py")] == [
            b"a = 1\n",
            b"hello\n",
            b"a = 1\n",
        ]
    assert list(temporary.iterdir()) == []
