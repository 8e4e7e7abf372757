"""The same few files as a directory, in archives, and in git repositories; and how they are told."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import zstandard
from dulwich.objects import Blob, Commit, Tree
from dulwich.repo import Repo

from simulators.snapshot import Entry

LATIN1 = "caf\udce9"  # a name that is no UTF-8
LINKS = {
    "link": "README",
    "dots": "src/../README",
    "nested": "src/inner",
    "src/up": "../README",
    "chain0": "chain1",
    "chain1": "chain2",
    "chain2": "src/up",
    "loop": "pool",
    "pool": "loop",
    "gone": "nothing",
    "through": "README/x",
    "slash": "README/",
    "absolute": "/etc/passwd",
    "out": "../outside",
    "out_and_back": "../work/README",
    "deep_out": "src/../../outside",
    **{f"hop{i}": f"hop{i + 1}" for i in range(41)},
    "hop41": "README",
}
FILES = {"README": b"hello\n", "bin/run": b"#!\n", "src/a.py": b"a = 1\n", "src/inner/b": b"", LATIN1: b"\xe9"}
EXECUTABLE = {"bin/run"}

Maker = Callable[[Path], object]
"""Lays out the files below in some form, and tells how a user names it."""


def make_directory(place: Path) -> object:
    work = place / "work"
    for name, content in FILES.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755 if name in EXECUTABLE else 0o644)
    for name, target in LINKS.items():
        (work / name).symlink_to(target)
    (place / "outside").write_text("secret")
    return str(work)


def tar_bytes(add: Callable[[tarfile.TarFile], None]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", encoding="utf-8", errors="surrogateescape") as archive:
        add(archive)
    return buffer.getvalue()


def put(archive: tarfile.TarFile, name: str, content: bytes = b"", **facts: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in facts.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(content))


def fill_tar(archive: tarfile.TarFile) -> None:
    for name, content in FILES.items():
        put(archive, "./" + name, content, mode=0o755 if name in EXECUTABLE else 0o644)
    for name, target in LINKS.items():
        put(archive, name, type=tarfile.SYMTYPE, linkname=target)


def make_tar(place: Path) -> object:
    (place / "a.tar").write_bytes(tar_bytes(fill_tar))
    return str(place / "a.tar")


def make_packed(mode: str, suffix: str) -> Maker:
    def make(place: Path) -> object:
        data = tar_bytes(fill_tar)
        pack = {"gz": gzip.compress, "zst": zstandard.compress}.get(mode)
        if pack is not None:
            (place / suffix).write_bytes(pack(data))
        else:
            with tarfile.open(place / suffix, f"w:{mode}", encoding="utf-8", errors="surrogateescape") as archive:
                fill_tar(archive)
        return {"path": str(place / suffix)}

    return make


def zip_info(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def make_zip(place: Path) -> object:
    path = place / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            mode = stat.S_IFREG | (0o755 if name in EXECUTABLE else 0o644)
            archive.writestr(zip_info(name.replace(LATIN1, "caf!"), mode), content)
        for name, target in LINKS.items():
            archive.writestr(zip_info(name, stat.S_IFLNK | 0o777), target)
    # zipfile itself writes UTF-8 only.
    path.write_bytes(path.read_bytes().replace(b"caf!", b"caf\xe9"))
    return str(path)


class Git(NamedTuple):
    """A bare repository with one commit of the same files."""

    path: Path
    commit: str


def commit_of(repo: Repo, tree: bytes, *parents: bytes, message: bytes = b"m") -> bytes:
    commit = Commit()
    commit.tree, commit.parents, commit.message = tree, list(parents), message
    commit.author = commit.committer = b"a <a@example.org>"
    commit.author_time = commit.commit_time = 1
    commit.author_timezone = commit.commit_timezone = 0
    repo.object_store.add_object(commit)
    return commit.id


def tree_of(repo: Repo, files: dict[str, tuple[int, bytes]]) -> bytes:
    """A tree of blobs by path; a mode of a gitlink takes the content for the hash."""
    tree = Tree()
    inner: dict[str, dict[str, tuple[int, bytes]]] = {}
    for name, (mode, content) in files.items():
        first, slash, rest = name.partition("/")
        if slash:
            inner.setdefault(first, {})[rest] = (mode, content)
        elif mode == 0o160000:
            tree.add(first.encode(), mode, content)
        else:
            blob = Blob.from_string(content)
            repo.object_store.add_object(blob)
            tree.add(first.encode("utf-8", "surrogateescape"), mode, blob.id)
    for name, below in inner.items():
        tree.add(name.encode(), 0o040000, tree_of(repo, below))
    repo.object_store.add_object(tree)
    return tree.id


def all_files() -> dict[str, tuple[int, bytes]]:
    return {
        **{name: (0o100755 if name in EXECUTABLE else 0o100644, content) for name, content in FILES.items()},
        **{name: (0o120000, target.encode()) for name, target in LINKS.items()},
    }


def repository(place: Path, files: dict[str, tuple[int, bytes]]) -> Git:
    path = place / "r.git"
    path.mkdir()
    with Repo.init_bare(str(path)) as repo:
        commit = commit_of(repo, tree_of(repo, files))
        repo.refs[b"refs/heads/main"] = commit
        repo.refs[b"HEAD"] = commit
    return Git(path, commit.decode())


def make_git(place: Path) -> object:
    git = repository(place, all_files())
    return f"{git.path}@{git.commit}"


def pack_all(path: Path) -> None:
    """Move all loose objects to a pack."""
    with Repo(str(path)) as repo:
        repo.object_store.pack_loose_objects()
    assert not list((path / "objects").glob("??/*"))


def make_packed_git(place: Path) -> object:
    git = repository(place, all_files())
    pack_all(git.path)
    return {"path": str(git.path), "commit": git.commit}


MAKERS: dict[str, Maker] = {
    "directory": make_directory,
    "tar": make_tar,
    "gz": make_packed("gz", "a.tgz"),
    "bz2": make_packed("bz2", "a.tar.bz2"),
    "xz": make_packed("xz", "a.tar.xz"),
    "zst": make_packed("zst", "a.tar.zst"),
    "zip": make_zip,
    "git": make_git,
    "packed git": make_packed_git,
}


def file(name: str, size: int, executable: bool = False, link: bool = False) -> Entry:
    return Entry(name, False, size, executable, link)


def directory(name: str, link: bool = False) -> Entry:
    return Entry(name, True, None, True, link)


def unknown(name: str, link: bool = False) -> Entry:
    """How a directory lists what cannot be looked at."""
    return Entry(name, False, None, False, link)
