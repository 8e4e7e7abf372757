"""Whatever a candidate calls: no process, no socket, no file outside of the snapshot, and nothing is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("hostile_calls.py")
HARMLESS = {"open", "opened", "os.listdir", "os.scandir", "import", "sqlite3.connect", "sqlite3.connect/handle"}
"""Reading, which is looked at path by path, and a database in memory or in an unnamed temporary file."""


def watched(snapshot: Path, *words: str) -> tuple[list[str], list[tuple[str, list[str]]]]:
    root = PROGRAM.parents[2]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(snapshot), *words],
        capture_output=True,
        text=True,
        cwd=root,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return told["answers"], [(event, args) for event, args in told["events"]]


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    repository = tmp_path / "repo"
    repository.mkdir()
    (repository / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "secret").write_text("SECRET")
    (repository / "link").symlink_to(tmp_path / "secret")
    (repository / "outside").symlink_to("/etc")
    return repository


def touched(events: list[tuple[str, list[str]]], snapshot: Path) -> list[tuple[str, list[str]]]:
    """What was done beyond reading below the snapshot."""
    beyond = []
    for event, args in events:
        if event not in HARMLESS or (event == "open" and not _reads_below(args, snapshot)):
            beyond.append((event, args))
    return beyond


def _reads_below(args: list[str], snapshot: Path) -> bool:
    path, mode, flags = args
    relative = not path.startswith("/") and ".." not in Path(path).parts  # beneath an open directory of the snapshot
    reads = mode in ("r", "rb", "None") and not int(flags) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    return reads and (relative or path.startswith(str(snapshot)))


def test_hostile_calls_reach_nothing(snapshot: Path):
    before = sorted((path.name, path.stat().st_mtime_ns) for path in snapshot.parent.rglob("*") if path.is_file())
    answers, events = watched(snapshot)
    assert touched(events, snapshot) == []
    assert "one\ntwo" in answers, "the snapshot is read"
    assert "SECRET" not in "".join(answers)
    assert "root:" not in "".join(answers)
    after = sorted((path.name, path.stat().st_mtime_ns) for path in snapshot.parent.rglob("*") if path.is_file())
    assert after == before
    assert not Path("/tmp/owned").exists()
    assert not Path("/tmp/stolen").exists()


def test_the_watch_sees_what_it_should(snapshot: Path):
    _, events = watched(snapshot, "--control")
    seen = {event for event, _ in touched(events, snapshot)}
    assert "os.system" in seen
    assert "open" in seen, "a file that is written"
