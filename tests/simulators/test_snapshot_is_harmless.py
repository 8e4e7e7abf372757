"""Whatever is asked of a snapshot, nothing outside of it is opened, nothing is written, and nothing is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from dulwich.repo import Repo
from snapshot_places import (
    LINKS,
    all_files,
    fill_tar,
    make_directory,
    make_zip,
    pack_all,
    put,
    repository,
    tar_bytes,
)

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HOSTILE = {
    "etc": "/etc",
    "passwd": "/etc/passwd",
    "climb": "../../../../../../../../etc/passwd",
    "first": "second",
    "second": "src/third",
    "src/third": "../etc/passwd",
    "proc": "/proc/self/environ",
    "zero": "/dev/zero",
    "self": "/proc/self/cwd/README",
}
PATHS = [
    *HOSTILE,
    *LINKS,
    *("", ".", "src", "etc/passwd", "../../etc/passwd", "/etc/passwd", "a/../../b", "..", "src/../../outside"),
    *("README", "bin/run", "pipe", "evil", "~/.ssh/id", "~", "$HOME", "$(id)", "`id`", "-rf", "*", "src\\..\\..\\x"),
]
OPENS = {"open", "opened", "os.listdir", "os.scandir"}


class Watched:
    """What a program did, sorted out."""

    def __init__(self, events: list[tuple[str, list[str | int | None]]]) -> None:
        self.opened = {str(args[0]) for event, args in events if event in OPENS and isinstance(args[0], str)}
        self.written = {
            str(args)
            for event, args in events
            if event == "open" and (args[-1] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        }
        self.through_links = {
            str(args[0])
            for event, args in events
            if event == "open" and isinstance(args[0], str) and "/" not in args[0]
            if not (args[-1] or 0) & os.O_NOFOLLOW
        }
        self.others = {event for event, _ in events} - OPENS

    def outside(self, *places: Path) -> set[str]:
        """What was opened that is not below one of the places; a bare name is told again as what was opened by it."""
        return {
            path
            for path in self.opened
            if "/" in path and not any(Path(path).is_relative_to(place) for place in places)
        }


def watch(place: Path, watched: list[object], ready: list[object], careless: tuple[str, ...] = ()) -> Watched:
    order = place / "order.json"
    order.write_text(json.dumps({"ready": ready, "watched": watched, "paths": PATHS, "careless": careless}))
    done = subprocess.run(
        [sys.executable, str(HERE / "snapshot_watch.py"), str(order)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return Watched(json.loads(done.stdout))


def hostile_directory(place: Path) -> Path:
    work = Path(str(make_directory(place)))
    for name, target in HOSTILE.items():
        (work / name).symlink_to(target)
    os.mkfifo(work / "pipe")
    return work


def hostile_tar(place: Path, name: str, mode: str) -> Path:
    def add(archive: tarfile.TarFile) -> None:
        fill_tar(archive)
        for link, target in HOSTILE.items():
            put(archive, link, type=tarfile.SYMTYPE, linkname=target)
        put(archive, "evil", type=tarfile.LNKTYPE, linkname="/etc/passwd")
        put(archive, "pipe", type=tarfile.FIFOTYPE)
        for member in ("/etc/passwd", "../../etc/passwd", "a/../../b", "etc/passwd/x"):
            put(archive, member, b"evil")

    path = place / name
    with tarfile.open(path, f"w:{mode}", encoding="utf-8", errors="surrogateescape") as archive:
        add(archive)
    assert mode or path.read_bytes()[:512] == tar_bytes(add)[:512]
    return path


def hostile_git(place: Path, packed: bool) -> str:
    """Its config includes a file elsewhere, it borrows objects elsewhere, references lead out, and hooks wait."""
    git = repository(place, {**all_files(), **{name: (0o120000, to.encode()) for name, to in HOSTILE.items()}})
    if packed:
        pack_all(git.path)
    with (git.path / "config").open("a") as config:
        config.write(f"[include]\n\tpath = {place}/outside\n[core]\n\tfsmonitor = touch {place}/owned\n")
    (git.path / "objects" / "info").mkdir(exist_ok=True)
    (git.path / "objects" / "info" / "alternates").write_text(f"{place}/outside.git/objects\n")
    (git.path / "refs" / "heads" / "evil").symlink_to(place / "outside")
    (git.path / "objects" / "pack" / "pack-evil.idx").symlink_to(place / "outside")
    (git.path / "objects" / "pack" / "pack-evil.pack").symlink_to(place / "outside")
    os.mkfifo(git.path / "objects" / "pack" / "pack-pipe.idx")
    os.mkfifo(git.path / "objects" / "pack" / "pack-pipe.pack")
    for hook in ("post-checkout", "pre-commit"):
        (git.path / "hooks").mkdir(exist_ok=True)
        (git.path / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {place}/owned\n")
        (git.path / "hooks" / hook).chmod(0o755)
    return f"{git.path}@main"


@pytest.fixture
def ready(tmp_path: Path) -> list[object]:
    """One snapshot of each kind, to warm up."""
    place = tmp_path / "ready"
    place.mkdir()
    git = repository(place, all_files())
    pack_all(git.path)
    with Repo(str(git.path)) as repo:
        assert repo.object_store.packs
    return [make_directory(place), make_zip(place), str(hostile_tar(place, "a.tgz", "gz")), f"{git.path}@main"]


def everything(place: Path) -> dict[str, tuple[int, int, int]]:
    """What lies below a place, and whether it was touched."""
    facts = {str(path): path.lstat() for path in place.rglob("*") if path.name != "order.json"}
    return {name: (fact.st_mode, fact.st_size, fact.st_mtime_ns) for name, fact in facts.items()}


@pytest.mark.parametrize("kind", ["directory", "tar", "tgz", "xz", "zip", "git", "packed git"])
def test_hostile_paths_lead_nowhere(tmp_path: Path, ready: list[object], kind: str) -> None:
    place = tmp_path / "watched"
    place.mkdir()
    if kind == "directory":
        spec, below = str(hostile_directory(place)), place / "work"
    elif "git" in kind:
        spec, below = hostile_git(place, "packed" in kind), place / "r.git"
    elif kind == "zip":
        spec, below = str(make_zip(place)), place / "a.zip"
    else:
        below = hostile_tar(place, f"a.{kind}", {"tar": "", "tgz": "gz"}.get(kind, kind))
        spec = str(below)
    (place / "outside").write_text("secret")
    before = everything(place)
    watched = watch(tmp_path, [spec], ready)
    assert watched.outside(below) == set()
    assert watched.written == set()
    assert watched.through_links == set()
    assert watched.others == set()
    assert any(Path(path).is_relative_to(below) for path in watched.opened)
    assert everything(place) == before


def test_what_a_careless_program_does_is_noticed(tmp_path: Path, ready: list[object]) -> None:
    """The proof above can fail."""
    work = hostile_directory(tmp_path)
    target = tmp_path / "outside"
    watched = watch(tmp_path, [str(work)], ready, careless=(str(target),))
    assert str(target) in watched.outside(work)
    assert any(str(target) in written for written in watched.written)
    assert "subprocess.Popen" in watched.others
