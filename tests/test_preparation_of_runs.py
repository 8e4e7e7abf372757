"""What a run says of its choices: cuts, draws, filters, windows, tools; what is resumed, extended and refused."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from builders import USER, acting, output, saying, tool_call
from runs import Here, checked, write_transcripts

QUIET = "progress=false"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(tmp_path, monkeypatch, capsys)


def agent(number: int, *tools: str, words: int = 40, **metadata: Any) -> dict[str, Any]:
    """A conversation of one user's turn per tool, each with a call of it."""
    draw = random.Random(number)
    text = " ".join("".join(draw.choices("abcdefghijklmnop", k=5)) for _ in range(words))
    messages: list[dict[str, Any]] = []
    for place, tool in enumerate(tools):
        messages += [
            {"role": "user", "content": f"{text} {place}"},
            acting(tool_call(tool, {"path": f"/{number}", f"only{number}": [1]}, f"c{place}")),
            output(f"done {number}", f"c{place}"),
            saying("Done."),
        ]
    return {"id": f"t{number}", "messages": messages, "metadata": {"source": "me", **metadata}}


def run(here: Here, transcripts: list[dict[str, Any]], *words: str, out: str = "run") -> dict[str, Any]:
    write_transcripts(here.folder / "t.jsonl", transcripts)
    result = here("run", "transcripts.path=t.jsonl", f"out={out}", "samples=2", QUIET, *words)
    assert result.code == 0, result.err
    return checked(here.summary(out))


def test_traffic_is_compared_with_what_was_left_out(here: Here) -> None:
    given = [agent(n, "ls", stratum="a", weight=2, date=f"2026-0{n + 1}-01") for n in range(4)]
    given += [agent(n, "ls", "cat", "rm", stratum="b", weight=3, date="2025-01-01T00:00:00Z") for n in range(4, 6)]
    given += [{"id": "empty", "messages": []}]
    found = run(here, given, "select.without.stratum=b")
    assert found["counts"]["transcripts"] == {
        "read": 7,
        "used": 4,
        "excluded": {"left out by select": 2, "no messages": 1},
    }
    traffic = found["traffic"]
    assert traffic["population"] == {
        "transcripts": 4,
        "weight": 8.0,
        "weight_unknown": 0,
        "messages": 4.0,
        "calls": 1.0,
        "acting": 1.0,
        "with_schemas": 0.0,
        "date": {
            "median": "2026-03-01T00:00:00+00:00",
            "first": "2026-01-01T00:00:00+00:00",
            "last": "2026-04-01T00:00:00+00:00",
            "unknown": 0,
        },
    }
    excluded = traffic["excluded"]
    assert (excluded["transcripts"], excluded["weight"], excluded["weight_unknown"]) == (3, 6.0, 1)
    assert (excluded["messages"], excluded["calls"]) == (12.0, 3.0)
    assert excluded["by_reason"] == {"left out by select": 6.0, "no messages": 0.0}
    assert traffic["excluded_share"] is None  # nobody knows what the empty one weighs
    assert traffic["excluded_share_of_known"] == pytest.approx(6 / 14)
    report = (here.folder / "run" / "report.md").read_text()
    assert "Left out were 42.9 % of the known traffic weight, and 1 files or transcripts of unknown weight." in report
    assert "| messages, mean | 4 | 12 |" in report


def test_a_draw_keeps_the_weight_of_the_population(here: Here) -> None:
    given = [agent(n, "ls", stratum="ab"[n % 2], weight=1 + n % 3) for n in range(20)]
    found = run(here, given, "select.strata.a=2", "select.per_stratum=5")
    assert found["traffic"]["strata"] == {
        "a": {"population": 10, "used": 2, "weight": sum(1 + n % 3 for n in range(0, 20, 2))},
        "b": {"population": 10, "used": 5, "weight": sum(1 + n % 3 for n in range(1, 20, 2))},
    }
    assert found["counts"]["transcripts"]["excluded"] == {"not drawn": 13}
    assert found["traffic"]["excluded_share"] == 0
    assert found["estimand"]["weighted"]


def test_tools_come_from_other_transcripts_of_the_source_and_not_from_kin(here: Here) -> None:
    given = [
        agent(0, "ls", cluster="one"),
        agent(1, "rm", cluster="one"),
        agent(2, "ls", "cat", cluster="two"),
        agent(3, "find", cluster="three", source="another"),
    ]
    given = [entry | {"metadata": entry["metadata"] | {"missing": ["tool_schemas"]}} for entry in given]
    found = run(here, given)
    assert found["counts"]["tools"] == {"given": 0, "inferred": 3, "none": 1}
    rows = sqlite3.connect(here.folder / "run" / "run.sqlite").execute(
        "SELECT transcript, t.tools FROM prefixes p LEFT JOIN toolsets t ON t.hash = p.toolset ORDER BY transcript"
    )
    tools = {name: text or "" for name, text in rows}
    assert '"ls"' in tools["t0"] and '"cat"' in tools["t0"] and '"rm"' not in tools["t0"] and "only0" not in tools["t0"]
    assert '"rm"' not in tools["t1"] and "only1" not in tools["t1"] and "only2" in tools["t1"]
    assert '"ls"' in tools["t2"] and '"rm"' in tools["t2"] and '"cat"' not in tools["t2"]
    assert tools["t3"] == ""
    assert "/0" not in "".join(tools.values())


def test_a_copy_under_another_id_gives_no_tools_away(here: Here) -> None:
    """Without a cluster in the metadata: what comes after the cut stands in the copy, and is not learned from it."""
    given = [agent(0, "ls", "rm", missing=["tool_schemas"]) | {"id": f"copy{n}"} for n in range(2)]
    given.append(agent(5, "cat", missing=["tool_schemas"]))
    assert run(here, given)["any"]["clusters"] == 2
    rows = sqlite3.connect(here.folder / "run" / "run.sqlite").execute(
        "SELECT t.tools FROM prefixes p JOIN toolsets t ON t.hash = p.toolset WHERE transcript LIKE 'copy%'"
    )
    for (tools,) in rows:
        assert '"cat"' in tools and '"ls"' in tools and '"rm"' not in tools


@pytest.mark.parametrize(("infer", "inferred"), [("none", 0), ("prefix", 1), ("source", 2)])
def test_where_tools_are_inferred_from_is_a_choice(here: Here, infer: str, inferred: int) -> None:
    given = [agent(0, "ls", missing=["tool_schemas"]), agent(1, "rm", "rm")]
    found = run(here, given, f"transcripts.infer_tools={infer}")
    assert found["counts"]["tools"]["inferred"] == inferred


def test_an_extended_run_keeps_the_tools_it_began_with(here: Here) -> None:
    given = [agent(n, f"tool{n}", missing=["tool_schemas"]) for n in range(6)]
    first = run(here, given, "transcripts.limit=3")
    more = run(here, given, "transcripts.limit=6")
    assert (first["counts"]["prefixes"], more["counts"]["prefixes"]) == (3, 6)
    assert more["counts"]["rollouts"]["completed"] == 12
    assert more["usage"]["candidate"]["requests"] >= first["usage"]["candidate"]["requests"]


def test_a_number_on_the_command_line_is_the_text_in_the_metadata(here: Here) -> None:
    given = [agent(n, "ls", labels={"kind": ["1", 1, True, "true"][n]}) for n in range(4)]
    assert run(here, given, "select.where.labels.kind=1")["counts"]["transcripts"]["used"] == 2
    assert run(here, given, "select.where.labels.kind=true", out="b")["counts"]["transcripts"]["used"] == 2


def test_near_duplicates_are_one_cluster_unless_told_otherwise(here: Here) -> None:
    given = [agent(1, "ls") | {"id": f"copy{n}"} for n in range(3)] + [agent(n, "ls") for n in range(5, 8)]
    assert run(here, given)["any"]["clusters"] == 4
    assert run(here, given, "select.near_duplicates=null", out="apart")["any"]["clusters"] == 6


def test_what_does_not_fit_is_excluded_or_shortened(here: Here) -> None:
    given = [agent(n, "ls", words=40 if n else 8000, weight=5 if n == 0 else 1) for n in range(3)]
    window = ["candidate.window=20000", "fit.room=10000"]
    found = run(here, given, *window)
    assert found["counts"]["transcripts"]["excluded"] == {"longer than a model's window": 1}
    assert found["traffic"]["excluded"]["by_reason"] == {"longer than a model's window": 5.0}
    window = ["judge.window=20000", "simulator.window=20000", "fit.room=10000"]
    assert run(here, given, *window, out="b")["counts"]["prefixes"] == 2
    found = run(here, given, *window, "fit.judge=shorten", "fit.simulator=shorten", out="c")
    assert found["counts"]["shortened"] == {"judge": 1, "simulator": 1}
    assert found["counts"]["prefixes"] == 3
    assert "1 shortened for the judge; 1 shortened for the simulator" in (here.folder / "c" / "report.md").read_text()


def test_rates_say_what_they_are_about(here: Here) -> None:
    given = [agent(n, "ls", "cat", "rm") for n in range(4)]
    found = run(here, given, "truncate=at_tool", "truncate.tool=rm")
    assert found["estimand"]["conditional"]
    assert (here.folder / "run" / "report.md").read_text().count("CONDITIONAL RATES") == 1
    found = run(here, given, "truncate=random", out="b")
    assert (found["estimand"]["per_turn"], found["estimand"]["unit"]) == (True, "turn")
    assert "Per 100,000 turns: " in (here.folder / "b" / "report.md").read_text()
    found = run(here, given, "truncate=each_action", out="c")
    assert (found["counts"]["prefixes"], found["any"]["clusters"]) == (24, 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["select.sample=0"], "select.sample=0: must be at least 1"),
        (["select.sample=2", "select.per_stratum=1"], "select.sample draws from all strata together"),
        (["select.strata.a=0"], "select.strata.a=0: must be at least 1; select.without.stratum=a leaves it out"),
        (["select.strata.z=3"], "select.strata.z: no usable transcript is of this stratum; there are none"),
        (["select.stratify=nothing"], "select.stratify=nothing: no usable transcript has this"),
        (["scrub.patterns.mine=abc"], "scrub.patterns: has no meaning without scrub=standard"),
        (["scrub.kinds=[email]"], "scrub.kinds: has no meaning without scrub=standard"),
        (["scrub=standard", "scrub.patterns.mine='a*'"], "matches an empty text"),
        (["select.since=yesterday"], "select.since=yesterday: must be an ISO 8601 date"),
        (["select.has=[eyes]"], "select.has=eyes: must be of"),
        (["select.near_duplicates=2"], "select.near_duplicates=2: must be more than 0"),
        (["select.where.stratum=nowhere"], "left out by select (transcript 't0': where.stratum)"),
        (["truncate=step", "truncate.at=0"], "truncate.at=0: "),
        (["truncate.tool=rm"], "truncate.tool: has no meaning with truncate=last_turn"),
        (["fit.judge=shrink"], "fit.judge=shrink: must be one of exclude, shorten"),
        (["candidate.window=0"], "candidate.window=0: must be at least 1"),
        (["scrub=standard", "scrub.kinds=[hats]"], "scrub.kinds: there is no 'hats'"),
        (["scrub=standard", "scrub.patterns.mine='('"], "scrub.patterns.mine: "),
    ],
)
def test_choices_that_cannot_be_made_are_refused(here: Here, words: list[str], message: str) -> None:
    write_transcripts(here.folder / "t.jsonl", [agent(0, "ls")])
    result = here("run", "transcripts.path=t.jsonl", "out=run", *words)
    assert (result.code, message in result.err, result.err.count("\n")) == (2, True, 1), result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["select.sample=3"], "select.sample was 2, now 3"),
        (["select.sample=2", "truncate=last_action"], 'truncate.policy was "last_turn", now "last_action"'),
        (["select.sample=2", "scrub=standard"], "transcripts.scrub was null, now"),
        (["select.sample=2", "judge.window=90000"], "fit.judge was null, now [74000,false]"),
    ],
)
def test_a_run_is_not_changed_in_secret(here: Here, words: list[str], message: str) -> None:
    given = [agent(n, "ls") for n in range(4)]
    run(here, given, "select.sample=2")
    result = here("run", "transcripts.path=t.jsonl", "out=run", "samples=2", QUIET, *words)
    assert (result.code, message in result.err) == (2, True), result.err


def test_a_run_scrubs_if_told_to(here: Here) -> None:
    given = [agent(0, "ls")]
    given[0]["messages"][0]["content"] += " write to carol@initech.io"
    assert b"initech" in _kept(here, run(here, given) and "run")
    clean = run(here, given, "scrub=standard", out="clean")
    assert b"initech" not in _kept(here, "clean")
    assert clean["counts"]["scrubbed"] == {"email": 1}
    assert "scrubbed: email 1" in (here.folder / "clean" / "report.md").read_text()
    shown = here("run", "transcripts.path=t.jsonl", "out=never", "scrub.preview=true")
    assert (shown.code, "carol@initech.io -> " in shown.out) == (0, True)
    assert not (here.folder / "never").exists()


def _kept(here: Here, out: str) -> bytes:
    """What stands in a run's own transcripts, or else in the file they were read from."""
    own = here.folder / out / "transcripts.jsonl"
    return own.read_bytes() if own.exists() else (here.folder / "t.jsonl").read_bytes()


def test_reasoning_that_no_candidate_is_sent_is_counted(here: Here) -> None:
    def thinking(number: int, *reasoning: str | None) -> dict[str, Any]:
        turns = [[USER, saying(f"Done {number}.", reason)] for reason in reasoning]
        return {"id": f"t{number}", "messages": [message for turn in turns for message in turn]}

    given = [thinking(0, "I look.", None), thinking(1, None, "I look."), thinking(2, "Hm.", "Hm."), thinking(3, None)]
    found = run(here, given)
    assert found["counts"]["reasoning_left_out"] == 2, "what stands after the cut is not"
    assert "the recorded reasoning was left out of 2" in (here.folder / "run/report.md").read_text()
    assert run(here, given)["counts"]["reasoning_left_out"] == 2, "also when the run goes on"
