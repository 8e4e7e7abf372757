"""Whose fault, from end to end: a run against the stand-in, what it asks, keeps, counts and reports."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import zstandard
from builders import BASH, USER, acting, output, saying, tool_call
from runs import Here, checked, write_transcripts

from resample.judging.answer import UnusableAnswer
from resample.judging.dependence import LLMDependence
from resample.standin.phrasebook import phrasebook
from resample.store import Store
from resample.types import (
    Arm,
    Disclosure,
    Finding,
    Message,
    Prefix,
    Rollout,
    Source,
    StopReason,
    ToolCall,
    ToolOutput,
    Verdict,
    VerdictOutcome,
)

RUN = [
    "run",
    "transcripts.path=t.jsonl",
    "out=run",
    "samples=3",
    "progress=false",
    "simulator._target_=test_whose_fault.Echo",
]
PLANTED = ["standin.rates.overreach=0.8", "standin.rates.fabricated_result=0.5"]


class Echo:
    """A simulator whose outputs hold every act's words: known ones in `known` transcripts, else invented ones."""

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> Echo:
        return self if prefix.transcript.startswith("known") else Invents()

    async def answer(self, call: ToolCall) -> ToolOutput:
        return ToolOutput("\n".join(act.tell for act in phrasebook().acts), self.source)

    source = Source.WORKSPACE


class Invents(Echo):
    """The same, of one's own invention."""

    source = Source.LLM


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    turn = [USER, acting(tool_call("bash", {"command": "ls"})), output("a.log"), saying("One log.")]
    names = [f"{kind}{n}" for kind in ("known", "invented") for n in range(4)]
    write_transcripts(tmp_path / "t.jsonl", [{"id": n, "tools": [BASH], "messages": turn} for n in names])
    return Here(tmp_path, monkeypatch, capsys)


class Judged(NamedTuple):
    """A verdict with findings, and what was told of each."""

    arm: Arm
    transcript: str
    first: int | None
    """The first step with an invented output."""
    steps: list[int]
    told: list[bool | None]
    asked: int
    """Calls beyond those of the judge."""


def rows(here: Here, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(here.folder / "run/run.sqlite", isolation_level=None)
    try:
        return db.execute(sql, values).fetchall()
    finally:
        db.close()


def verdicts(here: Here) -> list[Judged]:
    found = rows(
        here,
        "SELECT v.arm, p.transcript, r.messages, r.sources, v.findings, v.invented, (SELECT count(*) FROM requests q"
        " WHERE (q.prefix, q.arm, q.sample, q.role) = (r.prefix, r.arm, r.sample, 'judge') AND q.step >= 2)"
        " FROM verdicts v JOIN rollouts r USING (prefix, arm, sample) LEFT JOIN prefixes p ON p.id = r.prefix"
        " WHERE v.findings <> '[]'",
    )
    result = []
    for arm, transcript, messages, sources, findings, told, asked in found:
        steps = Rollout(tuple(orjson.loads(messages)), StopReason.ENDED).steps
        shown = [number for number, step in enumerate(steps, start=1) for _ in step.outputs]
        made = [number for number, source in zip(shown, orjson.loads(sources), strict=False) if source == Source.LLM]
        cited = [entry["step"] for entry in orjson.loads(findings)]
        result.append(Judged(Arm(arm), transcript or "", min(made, default=None), cited, orjson.loads(told), asked))
    return result


def truth(verdict: Judged) -> list[bool]:
    """What the stand-in says by its rule: every act's words stand in every output."""
    return [verdict.first is not None and verdict.first <= step for step in verdict.steps]


def test_findings_are_told_apart_in_played_turns_only(here: Here) -> None:
    assert here(*RUN, *PLANTED, "baselines=[recorded,control]", "control.model=standin/reckless").code == 0
    found = verdicts(here)
    assert {verdict.arm for verdict in found} >= {Arm.CANDIDATE, Arm.CONTROL, Arm.CANARY}
    for verdict in found:
        played = verdict.arm in (Arm.CANDIDATE, Arm.CONTROL)
        assert verdict.told == (truth(verdict) if played else []), verdict
        assert verdict.asked == (played and any(truth(verdict))), "once for all findings, and only where there is need"
    assert any(verdict.told.count(True) for verdict in found if verdict.arm is Arm.CONTROL)
    prompts = [orjson.loads(p) for (p,) in rows(here, "SELECT prompt FROM requests WHERE role = 'judge' AND step = 2")]
    texts = dict(rows(here, "SELECT hash, text FROM texts"))
    for name in {name for prompt in prompts for name in prompt}:
        text = zstandard.ZstdDecompressor().decompress(texts[name]).decode().lower()
        assert not [word for word in ("candidate", "control", "standin", "reckless") if word in text]


def test_the_summary_counts_them_and_the_report_tells(here: Here) -> None:
    assert here(*RUN, *PLANTED).code == 0
    summary = checked(here.summary("run"))
    found = [verdict for verdict in verdicts(here) if verdict.arm is Arm.CANDIDATE]
    told = Counter(answer for verdict in found for answer in verdict.told)
    simulation = summary["simulation"]
    assert told[True] and told[False] and not told[None]
    assert simulation["findings"] == {
        "findings": told.total(),
        "depend_on_invented": told[True],
        "do_not": told[False],
        "unknown": 0,
    }
    rest = simulation["any_without_invented"]
    assert rest["flagged"] == sum(not all(verdict.told) for verdict in found) < summary["any"]["flagged"] == len(found)
    assert rest["rollouts"] == summary["any"]["rollouts"] == 24
    assert rest["bounds"][0] <= rest["ci"][0] <= rest["rate"] < summary["any"]["rate"]
    report = (here.folder / "run/report.md").read_text()
    assert f"Depend on it: {told[True]}. Do not: {told[False]}. Not known: 0." in report
    assert f"| without findings that depend on invented content | {rest['flagged']} | 24 |" in report
    assert "| workspace: rebuilt from the transcript, or from a snapshot |" in report
    head = "| severity | category | transcript | sample | step | disclosed | invented | quote |"
    assert head in report
    listed = Counter(line.split(" | ")[6] for line in report.partition(head)[2].split("\n\n")[0].splitlines()[2:])
    assert set(listed) == {"yes", "no"}


def test_a_resumed_run_pays_for_no_answer_twice(here: Here) -> None:
    assert here(*RUN, *PLANTED).code == 0
    calls, kept = (
        rows(here, "SELECT * FROM requests ORDER BY id"),
        sorted(rows(here, "SELECT * FROM verdicts"), key=str),
    )
    usage = here.summary("run")["usage"]["judge"]["requests"]
    assert usage == rows(here, "SELECT count(*) FROM requests WHERE role = 'judge'")[0][0]
    rows(here, "DELETE FROM verdicts")  # as if the process had been killed before they were committed
    assert here(*RUN, *PLANTED).code == 0
    assert rows(here, "SELECT * FROM requests ORDER BY id") == calls
    assert sorted(rows(here, "SELECT * FROM verdicts"), key=str) == kept
    rows(here, "DELETE FROM verdicts")
    lost = "SELECT id, content, seed FROM requests WHERE role = 'judge' AND step >= 2 ORDER BY id LIMIT 1"
    before = rows(here, lost)[0]
    rows(here, "DELETE FROM requests WHERE id = ?", before[0])  # killed between the verdict and this question
    assert here(*RUN, *PLANTED).code == 0
    after = rows(here, "SELECT content, seed FROM requests WHERE id > ?", calls[-1][0])
    assert after == [before[1:]], "that one question again, and nothing else"
    assert sorted(rows(here, "SELECT * FROM verdicts"), key=str) == kept


def test_nobody_is_asked_if_it_is_not_wanted(here: Here) -> None:
    assert here(*RUN, *PLANTED, "judge.whose_fault=false").code == 0
    found = [verdict for verdict in verdicts(here) if verdict.arm is Arm.CANDIDATE]
    assert found and not any(verdict.asked or verdict.told for verdict in found)
    summary = here.summary("run")
    counts = summary["simulation"]["findings"]
    unknown = sum(len(verdict.steps) for verdict in found if verdict.first is not None)
    assert counts["unknown"] == unknown > 0
    assert counts["do_not"] == counts["findings"] - unknown > 0, "where nothing was invented there is nothing to ask"
    assert summary["simulation"]["any_without_invented"]["flagged"] == summary["any"]["flagged"]
    assert f"Not known: {unknown} (nobody was asked" in (here.folder / "run/report.md").read_text()
    result = here(*RUN, *PLANTED)
    assert result.code == 2
    assert "judge.whose_fault was false, now true" in result.err


def test_what_breaks_there_leaves_the_verdict_as_it_is(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Rollout] = []

    async def broken(self: LLMDependence, prefix: Prefix, rollout: Rollout, verdict: Verdict) -> list[bool | None]:
        given.append(rollout)
        raise RuntimeError("out of order")

    assert here(*RUN, *PLANTED).code == 0
    whole = here.summary("run")
    monkeypatch.setattr(LLMDependence, "depends", broken)
    assert here(*RUN, *PLANTED, "out=broken").code == 0
    found = here.summary("broken")
    assert given and not any(rollout.detail or rollout.marks for rollout in given), "words that may name a model"
    assert found["any"] == whole["any"]
    assert found["counts"] == whole["counts"]
    counts = found["simulation"]["findings"]
    assert counts["unknown"] == counts["findings"] == whole["simulation"]["findings"]["findings"]
    assert found["simulation"]["any_without_invented"]["flagged"] == whole["any"]["flagged"]


def test_what_was_not_answered_is_asked_again_and_nothing_else(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def unusable(text: str, count: int) -> list[bool]:
        raise UnusableAnswer("it cannot be read")

    with monkeypatch.context() as patched:
        patched.setattr("resample.judging.dependence.parse_answers", unusable)
        assert here(*RUN, *PLANTED).code == 0
    before = here.summary("run")
    unknown = before["simulation"]["findings"]["unknown"]
    assert unknown > 0
    paid = rows(here, "SELECT max(id), count(*) FROM requests")[0]
    kept = rows(here, "SELECT prefix, arm, sample, outcome, findings, notes FROM verdicts ORDER BY 1, 2, 3")
    assert here(*RUN, *PLANTED).code == 0
    assert rows(here, "SELECT count(*) FROM requests") == [paid[1:]], "failures stay where nobody asks for another try"
    assert here(*RUN, *PLANTED, "retry=failed").code == 0
    after = here.summary("run")
    assert after["simulation"]["findings"]["unknown"] == 0
    assert after["any"] == before["any"]
    assert rows(here, "SELECT prefix, arm, sample, outcome, findings, notes FROM verdicts ORDER BY 1, 2, 3") == kept
    new = rows(here, "SELECT role, step FROM requests WHERE id > ?", paid[0])
    assert new and set(new) == {("judge", 2)}
    for verdict in verdicts(here):
        assert verdict.told == (truth(verdict) if verdict.arm is Arm.CANDIDATE else [])
    assert here(*RUN, *PLANTED, "retry=failed").code == 0
    assert rows(here, "SELECT count(*) FROM requests WHERE id > ?", paid[0]) == [(len(new),)]


class Finds:
    """A judge of the user's own, without a model, that finds something in every turn."""

    async def judge(self, prefix: Prefix, rollout: Rollout) -> Verdict:
        found = Finding("overreach", 1, len(rollout.steps), None, "It acts.", Disclosure.TOLD)
        return Verdict(VerdictOutcome.JUDGED, (found,))


def test_a_judge_without_a_model_leaves_it_unknown(here: Here) -> None:
    assert here(*RUN, "judge._target_=test_whose_fault.Finds").code == 0
    counts = here.summary("run")["simulation"]["findings"]
    assert counts["findings"] == 24
    assert counts["depend_on_invented"] == 0
    assert counts["unknown"] > 0 < counts["do_not"]
    assert here.summary("run")["usage"]["judge"]["requests"] == 0


def test_the_gravest_findings_say_whether_they_depend(here: Here) -> None:
    assert here(*RUN, *PLANTED).code == 0
    rows(  # one verdict of three findings that are told apart
        here,
        "UPDATE verdicts SET findings = json_array(json(?1), json_set(?1, '$.step', 2), json_set(?1, '$.step', 3)),"
        " invented = '[false,true,null]' WHERE (prefix, arm, sample) ="
        " (SELECT prefix, arm, sample FROM verdicts WHERE arm = 'candidate' LIMIT 1)",
        orjson.dumps(Finding("overreach", 1, 1, None, "So.", Disclosure.TOLD)._asdict()).decode(),
    )
    store = Store.read(here.folder / "run")
    try:
        listed = store.gravest(store.get("facts")["judge"], 1000)
    finally:
        store.close()
    found = [verdict for verdict in verdicts(here) if verdict.arm is Arm.CANDIDATE]
    expected = Counter((v.transcript, step, told) for v in found for step, told in zip(v.steps, v.told, strict=True))
    assert any(None in verdict.told for verdict in found)
    assert Counter((entry["transcript"], entry["step"], entry["invented"]) for entry in listed) == expected
