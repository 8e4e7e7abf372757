"""`resample fidelity` as a user calls it, and the share of a run that is measured."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import orjson
import pytest
from builders import REAL, USER, acting, output, saying, tool_call
from runs import Here, write_transcripts

CODING = ("claude-code", "codex-rollout", "swe-agent", "mini-swe-agent", "openhands", "pi-session")
"""Formats of agents that work on files."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(tmp_path, monkeypatch, capsys)


def measured(here: Here, *words: str) -> dict[str, Any]:
    result = here("fidelity", "out=fidelity.json", "progress=false", *words)
    assert result.code == 0, result
    written: dict[str, Any] = orjson.loads((here.folder / "fidelity.json").read_bytes())
    return written


def test_by_default_what_needs_no_model_is_measured(here: Here):
    result = measured(here)
    assert list(result) == ["transcripts", "identity", "reconstruction", "evidence"]
    assert result["identity"]["calls"] == result["identity"]["matched"] == 74
    for measure in ("identity", "reconstruction", "evidence"):
        assert list(result[measure]["by_format"]) == ["resample-bundled"]
        assert sum(row["calls"] for row in result[measure]["by_tool"].values()) == result[measure]["calls"]
    assert (here.folder / "fidelity.json").stat().st_mode & 0o077 == 0, "it tells of private transcripts"


def test_the_terminal_points_to_the_calls_that_are_wrong(here: Here):
    turn = [acting(tool_call("bash", {"command": "ls"}, f"c{number}")) for number in range(8)]
    told = [output(f"name {number}", f"c{number}") for number in range(8)]
    messages = [USER, *(message for pair in zip(turn, told, strict=True) for message in pair), saying("Done.")]
    write_transcripts(here.folder / "t.jsonl", [{"id": "names", "messages": messages}])
    words = ("fidelity", "transcripts.path=t.jsonl", "progress=false", "measures=[reconstruction]")
    result = here(*words, "out=f.json")
    assert result.code == 0, result
    wrong = orjson.loads((here.folder / "f.json").read_bytes())["reconstruction"]["wrong_calls"]
    assert [entry["number"] for entry in wrong] == list(range(2, 9))
    assert "f.json shows what they were given, and what is real, under reconstruction.wrong_calls\n" in result.out
    assert "  names, call 2 of its turn: bash\n" in result.out
    assert "  (2 more)\n" in result.out
    assert "out=FILE.json would show" in here(*words).out
    assert "wrong calls" not in here("fidelity", "progress=false", "measures=[reconstruction]").out


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real transcripts")
@pytest.mark.parametrize(
    "format",
    sorted(path.name for path in REAL.glob("*") if path.is_dir() and "labels" not in path.name)
    if REAL.is_dir()
    else [],
)
def test_every_recorded_output_is_given_back_and_no_answer_is_wrong(here: Here, format: str):
    result = here(
        "fidelity",
        "out=f.json",
        "progress=false",
        "measures=[identity,reconstruction]",
        f"transcripts.path={REAL / format}",
    )
    if result.code == 2:
        assert "no transcript could be used" in result.err
        return
    written = orjson.loads((here.folder / "f.json").read_bytes())
    assert written["identity"]["matched"] == written["identity"]["calls"]
    if format in CODING:
        assert written["reconstruction"]["wrong"] == 0
    if format == "claude-code":
        assert written["reconstruction"]["answered_share"]["rate"] > 0.3


def test_the_discriminator_on_the_stand_in(here: Here):
    words = ("measures=[discriminator]", "discriminator.pairs=25")
    first = measured(here, *words)["discriminator"]
    assert first["pairs"] + first["identical"] == 25
    assert first["controls"]["caught"] == first["controls"]["pairs"] == 20
    assert first["failed"] == {}
    again = measured(here, *words)
    assert again["discriminator"] == first, "the same seed draws the same"
    assert again["standin"] == ["simulator", "judge"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["measures=[guesswork]"], 2, "must be one of identity, reconstruction, evidence, discriminator"),
        (["measures=[]"], 2, "name at least one"),
        (["transcripts.path=missing.jsonl"], 2, "missing.jsonl"),
        (["out=no/such/folder/f.json"], 2, "there is no folder"),
        (["discriminator.margin=0.7"], 2, "between 0 and 0.5"),
        (["simulator.faults.timeout=0.7", "simulator.faults.transient=0.7"], 2, "more than 1"),
        (["simulator.workspace=/no/such/place"], 2, "/no/such/place"),
        (["measures=[discriminator]", "budget.tokens=2000"], 4, "calls of the discriminator failed"),
        (
            [
                "measures=[discriminator]",
                "judge.model=openai/x",
                "judge.base_url=http://127.0.0.1:9",
                "judge.attempts=1",
            ],
            4,
            "calls of the discriminator failed",
        ),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(here: Here, words: list[str], code: int, says: str):
    result = here("fidelity", "progress=false", "discriminator.pairs=5", *words)
    assert (result.code, says in result.err) == (code, True), result
    assert result.err.count("\n") == 1


def test_a_run_measures_a_share_of_itself_once_and_is_paid_for_once(here: Here):
    words = ("run", "out=r", "progress=false", "samples=1", "transcripts.limit=8", "fidelity.sample=0.6")
    assert here(*words).code == 0
    first = here.summary("r")
    fidelity = first["simulation"]["fidelity"]
    assert 0 < fidelity["prefixes"] < 8
    assert fidelity["pairs"] > 0
    report = (here.folder / "r" / "report.md").read_text()
    assert f"The original turns of {fidelity['prefixes']} prefixes were simulated" in report
    assert fidelity["statement"] in report
    assert here(*words).code == 0
    again = here.summary("r")
    assert again["simulation"]["fidelity"] == fidelity
    assert again["usage"] == first["usage"]


def test_nothing_of_a_purged_transcript_stays_in_what_was_sent_for_fidelity(here: Here):
    assert here("run", "out=r", "progress=false", "samples=1", "transcripts.limit=4", "fidelity.sample=1").code == 0
    database = sqlite3.connect(here.folder / "r" / "run.sqlite")
    name = database.execute("SELECT transcript FROM prefixes").fetchone()[0]
    assert database.execute("SELECT count(*) FROM requests WHERE prefix = 'fidelity' AND raw <> x''").fetchone()[0] > 0
    database.close()
    assert here("purge", "run=r", f"transcript={name}").code == 0
    database = sqlite3.connect(here.folder / "r" / "run.sqlite")
    assert database.execute("SELECT count(*) FROM requests WHERE prefix = 'fidelity' AND raw <> x''").fetchone()[0] == 0
    rest = database.execute("SELECT prompt FROM requests WHERE role = 'simulator' AND prompt <> '[]'").fetchall()
    assert all(len(orjson.loads(prompt)) == 2 for (prompt,) in rest), "its outputs may have been examples to others"
    database.close()
