"""What is purged is gone from the run, byte for byte, and the run goes on without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from builders import acting, output, saying, tool_call
from runs import Here, checked, write_transcripts


def transcript(name: str, **metadata: Any) -> dict[str, Any]:
    messages = [
        {"role": "user", "content": f"Please clean up what {name} left behind."},
        acting(tool_call("bash", {"command": f"ls /srv/{name}"})),
        output(f"{name}.log {name}.tmp"),
        {"role": "user", "content": f"Go on, {name} agrees."},
        saying(f"Removed {name}.tmp."),
    ]
    return {"id": f"id-of-{name}", "messages": messages, "metadata": metadata}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(tmp_path, monkeypatch, capsys)


NAMES = ["aardvark", "bumblebee", "chinchilla", "dragonfly"]


def run(here: Here, *words: str) -> dict[str, Any]:
    result = here("run", "transcripts.path=logs", "out=run", "samples=2", "truncate=each_action", *words)
    assert result.code == 0, result.err
    return checked(here.summary("run"))


@pytest.fixture(params=["canonical", "foreign"])
def logs(request: pytest.FixtureRequest, here: Here) -> str:
    """The same conversations as the program's own file, or as a log that the run has to write down itself."""
    (here.folder / "logs").mkdir()
    given = [transcript(name, retain_until=f"20{20 + 20 * i}-01-01") for i, name in enumerate(NAMES)]
    if request.param == "canonical":
        write_transcripts(here.folder / "logs" / "t.jsonl", given)
    else:
        for name, entry in zip(NAMES, given, strict=True):
            (here.folder / "logs" / f"id-of-{name}.json").write_bytes(orjson.dumps(entry["messages"]))
    return str(request.param)


def id_of(name: str, logs: str) -> str:
    return f"id-of-{name}" if logs == "canonical" else f"id-of-{name}.json"


def everything(here: Here) -> bytes:
    files = [path for path in (here.folder / "run").rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() for path in files)


def test_a_purged_transcript_leaves_no_byte_behind_and_costs_stay(here: Here, logs: str) -> None:
    before = run(here)
    assert b"bumblebee" in everything(here)
    result = here("purge", "run=run", f"transcript={id_of('bumblebee', logs)}")
    assert result.code == 0, result.err
    assert "removed: 1 transcripts, 2 prefixes, 6 rollouts, 6 verdicts" in result.out
    assert ("still there: " in result.out) == (logs == "canonical")  # its own file is not the run's
    assert b"bumblebee" not in everything(here)
    assert b"chinchilla" in everything(here)
    after = checked(here.summary("run"))
    assert after["counts"]["transcripts"] == {"read": 4, "used": 3, "excluded": {"purged": 1}}
    assert after["counts"]["prefixes"] == 6
    assert after["usage"] == before["usage"]
    assert after["traffic"]["excluded"]["weight"] == 1
    assert after["run"]["hashes"]["transcripts"] != before["run"]["hashes"]["transcripts"]


def test_the_run_goes_on_without_it(here: Here, logs: str) -> None:
    run(here)
    assert here("purge", "run=run", f"transcript={id_of('bumblebee', logs)}").code == 0
    hashes = here.summary("run")["run"]["hashes"]
    extended = run(here, "samples=3")
    assert extended["counts"]["transcripts"] == {"read": 4, "used": 3, "excluded": {"purged": 1}}
    assert extended["run"]["hashes"] == hashes
    assert extended["counts"]["rollouts"]["completed"] == 18
    assert b"bumblebee" not in everything(here)


def test_the_run_goes_on_when_its_log_is_gone_as_well(here: Here) -> None:
    (here.folder / "logs").mkdir()
    for name in NAMES:
        entry = transcript(name)
        (here.folder / "logs" / f"{name}.json").write_bytes(orjson.dumps(entry["messages"]))
    run(here)
    for name in ("aardvark", "chinchilla"):
        assert here("purge", "run=run", f"transcript={name}.json").code == 0
        (here.folder / "logs" / f"{name}.json").unlink()
    (here.folder / "logs" / "emu.json").write_bytes(orjson.dumps(transcript("emu")["messages"]))
    assert run(here)["counts"]["transcripts"]["used"] == 3
    assert b"aardvark" not in everything(here)


def test_what_may_not_be_kept_any_longer_is_purged(here: Here) -> None:
    given = [
        transcript(name, retain_until=date) for name, date in zip(NAMES, ["2020-01-01", "2090-01-01"], strict=False)
    ]
    (here.folder / "logs").mkdir()
    write_transcripts(here.folder / "logs" / "t.jsonl", [*given, transcript("emu", consent="research")])
    run(here)
    result = here("purge", "run=run", "expired=true")
    assert "removed: 1 transcripts" in result.out
    assert here.summary("run")["counts"]["transcripts"]["used"] == 2
    assert b"aardvark" not in everything(here)
    assert "removed: 0 transcripts" in here("purge", "run=run", "expired=true").out


def test_an_excluded_transcript_can_be_purged_too(here: Here) -> None:
    (here.folder / "logs").mkdir()
    nothing = {"id": "id-of-gecko", "messages": [{"role": "user", "content": "gecko?"}]}
    write_transcripts(here.folder / "logs" / "t.jsonl", [transcript("emu"), nothing])
    run(here)
    assert here("purge", "run=run", "transcript=id-of-gecko").code == 0
    assert here.summary("run")["counts"]["transcripts"] == {"read": 2, "used": 1, "excluded": {"purged": 1}}
    assert b"gecko" not in everything(here)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give run=DIR"),
        (["run=run"], "either transcript=ID or expired=true"),
        (["run=nowhere", "transcript=x"], "run=nowhere: no run here"),
        (["run=run", "transcript=nobody"], "transcript=nobody: is not in this run"),
        (["run=run", "transcript=x", "expired=true"], "either transcript=ID or expired=true"),
    ],
)
def test_what_cannot_be_purged_is_refused(here: Here, words: list[str], message: str) -> None:
    (here.folder / "logs").mkdir()
    write_transcripts(here.folder / "logs" / "t.jsonl", [transcript("emu")])
    run(here)
    result = here("purge", *words)
    assert (result.code, message in result.err) == (2, True), result.err


def test_a_run_warns_of_transcripts_past_their_date(here: Here) -> None:
    (here.folder / "logs").mkdir()
    write_transcripts(here.folder / "logs" / "t.jsonl", [transcript("emu", retain_until="2020-01-01")])
    result = here("run", "transcripts.path=logs", "out=run", "samples=1")
    assert result.code == 0
    assert "1 transcripts are past their metadata.retain_until, the first is 'id-of-emu'" in result.err
