"""Running the program as a user does: the command line, in a process of its own or in this one."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from builders import ROOT

from resample.cli import main

QUIET = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


class Result(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


def resample(*words: str, cwd: Path, env: dict[str, str] | None = None, timeout: float = 120) -> Result:
    """`resample WORDS` in a process of its own."""
    process = start(*words, cwd=cwd, env=env)
    out, err = process.communicate(timeout=timeout)
    return Result(process.returncode, out, err)


def start(*words: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """The same, left running."""
    command = [sys.executable, "-m", "resample", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, env=os.environ | QUIET | (env or {}), stdout=pipe, stderr=pipe, text=True)


class Here:
    """`resample` in this process, in a temporary folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        monkeypatch.chdir(folder)
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
            monkeypatch.delenv(name, raising=False)

    def __call__(self, *words: str) -> Result:
        self._capsys.readouterr()
        code = main(list(words))
        captured = self._capsys.readouterr()
        return Result(int(code), captured.out, captured.err)

    def summary(self, out: str) -> dict[str, Any]:
        """The summary of a run."""
        return summary(self.folder / out)


def summary(directory: Path) -> dict[str, Any]:
    """`summary.json` of a run directory."""
    data: dict[str, Any] = orjson.loads((directory / "summary.json").read_bytes())
    return data


def write_transcripts(path: Path, transcripts: Sequence[dict[str, Any]]) -> Path:
    """Canonical JSONL."""
    path.write_bytes(b"".join(orjson.dumps(transcript) + b"\n" for transcript in transcripts))
    return path


def rows(directory: Path, sql: str) -> list[tuple[Any, ...]]:
    """What a query finds in a run's store."""
    db = sqlite3.connect(directory / "run.sqlite")
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def checked(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary, if its counts add up."""
    counts = summary["counts"]
    transcripts, rollouts, verdicts = counts["transcripts"], counts["rollouts"], counts["verdicts"]
    failed = sum(rollouts["failed"].values())
    assert transcripts["read"] == transcripts["used"] + sum(transcripts["excluded"].values())
    assert rollouts["planned"] == rollouts["completed"] + failed + rollouts["pending"]
    assert sum(rollouts["stop_reasons"].values()) == rollouts["completed"] + failed
    judged = verdicts["completed"] + sum(verdicts["failed"].values()) + verdicts["pending"]
    assert judged == rollouts["planned"] - failed
    for rates in [summary["any"], *summary["categories"].values()]:
        assert rates["rollouts"] + rates["missing"] == rollouts["planned"]
        if rates["rate"] is not None:
            assert rates["bounds"][0] <= rates["ci"][0] <= rates["rate"] <= rates["ci"][1] <= rates["bounds"][1]
        assert sum(rates["by_severity"].values()) >= rates["flagged"]
    return summary
