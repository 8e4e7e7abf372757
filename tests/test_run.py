"""`resample run` from end to end: real HTTP to the stand-in, SQLite on disk, processes that are killed."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from builders import BASH, ROOT, USER, acting, output, saying, tool_call
from runs import QUIET as RUN_ENV
from runs import Here, checked, resample, rows, start, summary, write_transcripts

from resample.models.openai_sdk import OpenAITransport
from resample.standin.server import Server
from resample.standin.server import start as start_standin
from resample.standin.settings import StandInSettings
from resample.store import Store
from resample.types import (
    Arm,
    ChatRequest,
    Prefix,
    Reply,
    Rollout,
    RolloutKey,
    Usage,
    Verdict,
    VerdictOutcome,
)

QUIET = "progress=false"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(tmp_path, monkeypatch, capsys)


@pytest.fixture
def server() -> Iterator[Server]:
    with start_standin(StandInSettings()) as server:
        yield server


def on_server(server: Server, *roles: str) -> list[str]:
    """Overrides that send roles to an OpenAI-compatible server."""
    roles = roles or ("candidate", "simulator", "judge")
    return [f"{r}.model=openai/x" for r in roles] + [f"{r}.base_url={server.base_url}" for r in roles]


def results(directory: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What a run found, whatever the order it was found in."""
    return {
        "rollouts": sorted(rows(directory, "SELECT * FROM rollouts")),
        "verdicts": sorted(rows(directory, "SELECT * FROM verdicts"), key=str),
        "requests": sorted(rows(directory, "SELECT prefix, arm, sample, role, step, content, seed FROM requests")),
    }


def without_run(summary: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on how often a run was interrupted (the cache of a server does)."""
    usage = {
        role: {name: n for name, n in used.items() if name not in ("cached_tokens", "retries")}
        for role, used in summary["usage"].items()
    }
    return {key: value for key, value in summary.items() if key not in ("run", "usage")} | {"usage": usage}


def test_the_bundled_transcripts_without_overrides(here: Here):
    result = here("run", "out=run", QUIET)
    assert result.code == 0, result
    found = checked(here.summary("run"))
    assert found["run"]["complete"]
    assert found["counts"]["transcripts"]["excluded"] == {}
    assert found["counts"]["rollouts"]["planned"] == 4 * found["counts"]["prefixes"] >= 4 * 24
    assert found["canaries"]["sensitivity"] == found["canaries"]["specificity"] == 1
    assert found["canaries"]["bad"]["of"] + found["canaries"]["good"]["of"] == 24
    assert found["acted"] > 0.2
    assert len(found["categories"]) == 19
    assert found["simulation"]["tool_outputs"]["llm"] > 0
    assert found["usage"]["candidate"]["usd"] == 0
    assert "STAND-IN" in result.out
    assert "STAND-IN" in (here.folder / "run/report.md").read_text()


def test_files_are_readable_by_their_owner_only(here: Here):
    here("run", "out=run", "transcripts.limit=2", QUIET)
    for path in [here.folder / "run", *(here.folder / "run").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_same_seed_gives_the_same_run_in_any_order(here: Here):
    few = ["run", QUIET, "transcripts.limit=5", "samples=2"]
    for out, concurrency in (("a", 1), ("b", 16)):
        assert here(*few, f"out={out}", f"concurrency={concurrency}").code == 0
    assert results(here.folder / "a") == results(here.folder / "b")
    assert without_run(here.summary("a")) == without_run(here.summary("b"))
    here(*few, "out=c", "seed=1")
    assert results(here.folder / "a") != results(here.folder / "c")


def test_a_real_file_with_the_stand_in_and_with_a_server(here: Here, server: Server, real_transcripts: Path):
    path = real_transcripts / "openai-chat-completions"
    for out, extra in (("standin", []), ("server", on_server(server))):
        result = here("run", f"transcripts.path={path}", f"out={out}", "samples=2", QUIET, *extra)
        assert result.code == 0, result
        found = checked(here.summary(out))
        assert found["run"]["complete"]
        assert found["counts"]["transcripts"]["used"] >= 5
    assert (here.folder / "server/transcripts.jsonl").is_file()
    assert found["models"]["candidate"] == {
        "asked": "openai/x",
        "params": {},
        "returned": {"x": found["usage"]["candidate"]["requests"]},
        "fingerprints": found["models"]["candidate"]["fingerprints"],
    }
    assert found["standin"] is None


def test_kill_9_at_twenty_moments(tmp_path: Path):
    command = ["run", "samples=12", "concurrency=8", "transcripts.limit=12", QUIET]
    whole = resample(*command, "out=whole", cwd=tmp_path)
    assert whole.code == 0, whole
    draw = random.Random(7)
    for _ in range(20):
        process = start(*command, "out=killed", cwd=tmp_path)
        time.sleep(draw.uniform(0.3, 2.0))
        process.kill()
        process.communicate()
    last = resample(*command, "out=killed", cwd=tmp_path)
    assert last.code == 0, last
    assert checked(summary(tmp_path / "killed"))["run"]["complete"]
    assert results(tmp_path / "killed") == results(tmp_path / "whole"), "complete, the same, and nothing twice"
    assert without_run(summary(tmp_path / "killed")) == without_run(summary(tmp_path / "whole"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_cleanly_and_the_same_command_goes_on(tmp_path: Path, number: int, code: int):
    command = ["run", "samples=40", "concurrency=2", "out=run", QUIET]
    process = start(*command, cwd=tmp_path)
    database = tmp_path / "run/run.sqlite"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        tables = rows(database.parent, "SELECT name FROM sqlite_master") if database.exists() else []
        if ("verdicts",) in tables and rows(database.parent, "SELECT count(*) FROM verdicts")[0][0] > 3:
            break
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert "Traceback" not in err
    found = checked(summary(tmp_path / "run"))
    assert not found["run"]["complete"]
    assert found["run"]["ending"] == "interrupted"
    assert 0 < found["counts"]["verdicts"]["completed"] < found["counts"]["rollouts"]["planned"]
    assert "INCOMPLETE" in (tmp_path / "run/report.md").read_text()


@pytest.mark.parametrize("simulator", ["ladder", "llm"])
def test_a_run_is_extended_and_only_the_new_is_done(here: Here, simulator: str):
    few = ["out=run", QUIET, "transcripts.limit=3", "samples=2", f"simulator={simulator}"]
    assert here("run", *few).code == 0
    before = results(here.folder / "run")
    assert here("run", *few).code == 0
    assert results(here.folder / "run") == before
    more = ["out=run", QUIET, "transcripts.limit=5", "samples=3", f"simulator={simulator}"]
    assert here("run", *more).code == 0
    after = results(here.folder / "run")
    for table, kept in before.items():
        assert set(map(str, kept)) < set(map(str, after[table])), table
    assert checked(here.summary("run"))["counts"]["rollouts"]["completed"] == 15
    assert here("run", *more, "out=fresh").code == 0
    if simulator == "llm":  # the ladder's examples stay those of the run's first start
        assert results(here.folder / "fresh") == after, "an extended run is the run it would have been"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("seed=1", "seed was 0, now 1"),
        ("candidate.model=standin/careful", "candidate.model was"),
        ("candidate.params.temperature=0.5", "candidate.params.temperature"),
        ("truncate=last_action", "truncate.policy was"),
        ("judge.view=actions", "judge.view"),
        ("simulator=llm", "simulator._target_"),
        ("max_steps=3", "max_steps"),
        ("baselines=[]", "baselines"),
        ("taxonomy.version=9", "taxonomy"),
        ("standin.rates.sabotage=0.5", "standin.rates.sabotage"),
        ("samples=1", "samples was 2, now 1"),
        ("transcripts.limit=2", "was transcripts.limit lowered?"),
    ],
)
def test_a_changed_identity_is_refused_by_name(finished: Path, here: Here, change: str, says: str):
    shutil.copytree(finished, here.folder / "run")
    before = results(here.folder / "run"), (here.folder / "run/.hydra/config.yaml").read_text()
    result = here("run", "out=run", QUIET, "transcripts.limit=3", "samples=2", change)
    assert result.code == 2, result
    assert says in result.err
    assert len(result.err.splitlines()) == 1
    assert before == (results(here.folder / "run"), (here.folder / "run/.hydra/config.yaml").read_text())


@pytest.mark.parametrize("change", ["concurrency=3", "budget.tokens=100000000", "judge.timeout=5", "max_failures=0.5"])
def test_limits_and_budgets_may_change(finished: Path, here: Here, change: str):
    shutil.copytree(finished, here.folder / "run")
    assert here("run", "out=run", QUIET, "transcripts.limit=3", "samples=2", change).code == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished run."""
    folder = tmp_path_factory.mktemp("finished")
    result = resample("run", "out=run", QUIET, "transcripts.limit=3", "samples=2", cwd=folder)
    assert result.code == 0, result
    return folder / "run"


def test_a_changed_transcript_is_noticed(here: Here):
    path = write_transcripts(here.folder / "t.jsonl", [{"id": "a", "messages": [USER, saying("Done.")]}])
    command = ["run", f"transcripts.path={path}", "out=run", "samples=1", QUIET]
    assert here(*command).code == 0
    write_transcripts(path, [{"id": "a", "messages": [USER, saying("Undone.")]}])
    result = here(*command)
    assert result.code == 2
    assert "'a'" in result.err


def test_a_second_process_is_refused_by_name(finished: Path, here: Here):
    store = Store.open(finished)
    try:
        result = here("run", f"out={finished}", QUIET, "transcripts.limit=3", "samples=2")
    finally:
        store.close()
    assert result.code == 2
    assert f"out={finished}: another process" in result.err


def test_a_spent_budget_stops_and_a_larger_one_goes_on(here: Here):
    few = ["run", "out=run", QUIET, "transcripts.limit=6", "samples=2"]
    # One call at a time: several in flight may each use more than expected, and their order is a matter of chance.
    stopped = here(*few, "budget.tokens=60000", "concurrency=1")
    assert stopped.code == 4
    assert "budget spent" in stopped.err
    found = checked(here.summary("run"))
    assert not found["run"]["complete"]
    used = sum(role["prompt_tokens"] + role["completion_tokens"] for role in found["usage"].values())
    assert 0 < used <= 60000
    assert here(*few).code == 0
    assert here(*few, "out=whole").code == 0
    assert results(here.folder / "run") == results(here.folder / "whole")


def test_first_steps_drawn_together_are_paid_once(here: Here):
    words = ["run", QUIET, "transcripts.limit=5", "samples=4"]
    assert here(*words, "out=each").code == 0
    assert here(*words, "out=together", "first_step=together").code == 0
    each, together = (checked(here.summary(name))["usage"]["candidate"] for name in ("each", "together"))
    (firsts,) = rows(
        here.folder / "together",
        "SELECT count(*), sum(prompt_tokens > 0), count(DISTINCT raw) FROM requests"
        " WHERE role = 'candidate' AND step = 0",
    )
    assert firsts[:2] == (20, 5), "a journal entry for every rollout, and one of each prefix was paid"
    assert firsts[2] > 10, "drawn apart"
    assert together["prompt_tokens"] < each["prompt_tokens"]


def test_first_steps_drawn_together_survive_a_stop(here: Here):
    words = ["run", QUIET, "transcripts.limit=6", "samples=4", "first_step=together", "concurrency=1"]
    assert here(*words, "out=whole").code == 0
    assert here(*words, "out=stopped", "budget.tokens=60000").code == 4
    assert here(*words, "out=stopped").code == 0
    assert results(here.folder / "stopped") == results(here.folder / "whole")
    usages = [here.summary(name)["usage"]["candidate"]["prompt_tokens"] for name in ("stopped", "whole")]
    assert usages[0] == usages[1]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["cache.warm=off"], "needs cache.warm=auto"),
        (["candidate.api=responses"], "cannot draw several replies"),
        (["candidate.model=anthropic/claude-x"], "cannot draw several replies"),
        (["first_step=both"], "first_step=both"),
    ],
)
def test_what_cannot_be_drawn_together_is_refused(here: Here, words: list[str], text: str):
    result = here("run", "first_step=together", *words)
    assert result.code == 2 and text in result.err


def test_a_dry_run_shows_the_cost_and_does_nothing(here: Here):
    price = "judge.price={prompt: 2, cached: 1, completion: 8}"
    shown = here("run", "dry_run=true", "out=run", "samples=3", "transcripts.limit=5", price)
    assert (shown.code, shown.err) == (0, "")
    assert list(here.folder.iterdir()) == []
    assert "5 prefixes of" in shown.out and "15 rollouts to be played and judged" in shown.out
    judge = next(line.split() for line in shown.out.splitlines() if line.startswith("judge"))
    requests, prompt, cached, completion = (int(word.replace(",", "")) for word in judge[2:6])
    assert requests == 15 + 5 + 24
    assert float(judge[6]) == pytest.approx((2 * (prompt - cached) + cached + 8 * completion) / 1e6, abs=0.006)
    assert float(judge[7]) == pytest.approx((2 * prompt + 8 * completion) / 1e6, abs=0.006)
    unknown = here("run", "dry_run=true", "candidate.model=openai/mine", "candidate.base_url=http://127.0.0.1:9/v1")
    assert unknown.code == 0 and "no price known" in unknown.out


def test_a_dry_run_is_about_right(here: Here):
    shown = here("run", "dry_run=true")
    assert here("run", "out=run", QUIET).code == 0
    used = here.summary("run")["usage"]
    for role in ("candidate", "judge"):
        row = next(line.split() for line in shown.out.splitlines() if line.startswith(role))
        requests, prompt = (int(word.replace(",", "")) for word in row[2:4])
        assert 0.5 < requests / used[role]["requests"] < 2
        assert 0.5 < prompt / used[role]["prompt_tokens"] < 2


def test_a_dry_run_refuses_what_a_run_refuses(here: Here):
    assert here("run", "dry_run=true", "samples=0").code == 2
    assert here("run", "dry_run=true", "transcripts.path=nowhere").code == 2


@pytest.mark.parametrize("concurrency", [8, 64])
def test_a_spent_budget_leaves_no_turn_half_played(here: Here, concurrency: int):
    words = ["run", "out=run", QUIET, "samples=4", f"concurrency={concurrency}"]
    stopped = here(*words, "budget.tokens=1500000")
    assert stopped.code == 4
    assert "budget.tokens: " in stopped.err and "with a larger budget, goes on" in stopped.err
    found = checked(here.summary("run"))
    assert found["any"]["rollouts"] >= 20
    assert found["counts"]["rollouts"]["set_aside"] <= 4
    ((begun,),) = rows(
        here.folder / "run",
        "SELECT count(DISTINCT prefix || arm || sample) FROM requests r WHERE prefix != 'preflight' AND NOT EXISTS"
        " (SELECT 1 FROM verdicts v WHERE (v.prefix, v.arm, v.sample) = (r.prefix, r.arm, r.sample))",
    )
    assert begun == 0
    assert here(*words).code == 0


def test_a_role_has_a_budget_of_its_own(here: Here):
    words = ["run", "out=run", QUIET, "transcripts.limit=4", "samples=2", "concurrency=1"]
    stopped = here(*words, "judge.budget.tokens=28000")
    assert stopped.code == 4
    used = checked(here.summary("run"))["usage"]
    assert 0 < used["judge"]["prompt_tokens"] + used["judge"]["completion_tokens"] <= 28000
    assert here(*words, "judge.budget.tokens=28000").code == 4, "what was spent counts when it goes on"
    assert here(*words).code == 0


def test_money_is_counted_by_a_price_of_the_users_own(here: Here):
    price = [f"{role}.price={{prompt:2,cached:1,completion:10}}" for role in ("candidate", "simulator", "judge")]
    result = here("run", "out=run", QUIET, "transcripts.limit=2", "samples=1", *price)
    assert result.code == 0, result
    for used in here.summary("run")["usage"].values():
        fresh = used["prompt_tokens"] - used["cached_tokens"]
        cost = 2e-6 * fresh + 1e-6 * used["cached_tokens"] + 10e-6 * used["completion_tokens"]
        assert used["usd"] == pytest.approx(cost)


class DeadJudge:
    """A judge that never answers in form, as a plug-in of the user's own."""

    async def judge(self, prefix: Any, rollout: Any) -> Any:
        raise RuntimeError("out of order")


def test_a_dead_judge_never_looks_safe(here: Here):
    result = here("run", "out=run", QUIET, "transcripts.limit=4", "samples=2", "judge._target_=test_run.DeadJudge")
    assert result.code == 4
    assert "failed" in result.err
    found = here.summary("run")
    assert found["any"]["rate"] is None
    assert found["any"]["bounds"] == [0, 1]
    assert found["canaries"]["sensitivity"] == found["canaries"]["specificity"] == 0
    assert set(found["counts"]["verdicts"]["failed"]) == {"judge_error"}
    assert here("run", "out=run", QUIET, "transcripts.limit=4", "samples=2").code == 2, "another judge, another run"


def test_failures_stay_unless_asked_for_again(here: Here, monkeypatch: pytest.MonkeyPatch, server: Server):
    """Every third candidate call fails for good; then the provider is well again."""
    real = OpenAITransport.send
    failing = True

    async def send(self: OpenAITransport, request: ChatRequest) -> Reply:
        from resample.models.failures import Failure
        from resample.types import Fault

        if failing and request.role == "candidate" and request.seed is not None and request.seed % 3 == 0:
            raise Failure(Fault.REJECTED, "400: no")
        return await real(self, request)

    monkeypatch.setattr(OpenAITransport, "send", send)
    few = ["run", "out=run", QUIET, "transcripts.limit=6", "samples=3", "max_failures=0.9"]
    assert here(*few).code == 0
    first = checked(here.summary("run"))
    failed = first["counts"]["rollouts"]["failed"]["candidate_error"]
    assert failed > 2
    assert first["any"]["missing"] == failed
    assert first["any"]["bounds"][1] > first["any"]["ci"][1]
    failing = False
    assert here(*few).code == 0
    assert here.summary("run")["counts"]["rollouts"]["failed"] == {"candidate_error": failed}
    assert here(*few, "retry=failed").code == 0
    again = checked(here.summary("run"))
    assert again["counts"]["rollouts"]["failed"] == {}
    assert again["any"]["missing"] == 0
    assert here(*few, "out=whole").code == 0
    assert results(here.folder / "run") == results(here.folder / "whole"), "no step was paid for twice"


def test_a_verdict_that_failed_is_asked_for_anew(here: Here, monkeypatch: pytest.MonkeyPatch):
    """A judge that talked rubbish is asked again with another seed; its old replies are kept, and not served."""
    real = OpenAITransport.send
    failing = True

    async def send(self: OpenAITransport, request: ChatRequest) -> Reply:
        reply = await real(self, request)
        if failing and request.role == "judge" and hash_of(request) % 3 == 0:
            raw = reply.raw.replace(b'"content":', b'"ignored":', 1)
            return replace(reply, message=saying("I would rather talk about the weather."), raw=raw)
        return reply

    def hash_of(request: ChatRequest) -> int:
        return int.from_bytes(request.prefix.digest[:4], "big")

    monkeypatch.setattr(OpenAITransport, "send", send)
    few = ["run", "out=run", QUIET, "transcripts.limit=6", "samples=2", "max_failures=0.9"]
    assert here(*few).code == 0
    first = checked(here.summary("run"))
    failed = first["counts"]["verdicts"]["failed"]["unparseable"]
    assert failed
    assert first["any"]["missing"] == failed
    failing = False
    assert here(*few, "retry=failed").code == 0
    again = checked(here.summary("run"))
    assert again["counts"]["verdicts"]["failed"] == {}
    assert again["usage"]["judge"]["requests"] > first["usage"]["judge"]["requests"]
    assert again["usage"]["candidate"] == first["usage"]["candidate"], "nothing is resampled for it"
    assert here(*few, "out=whole").code == 0
    both = results(here.folder / "run"), results(here.folder / "whole")
    assert both[0]["verdicts"] == both[1]["verdicts"]


def test_too_many_failures_stop_a_run(here: Here):
    url = "http://127.0.0.1:9/v1"
    words = ["candidate.model=openai/x", f"candidate.base_url={url}", "candidate.attempts=1", "preflight=false"]
    result = here("run", "out=run", QUIET, "samples=20", *words)
    assert result.code == 4
    found = here.summary("run")
    assert found["run"]["ending"] == "too many failures"
    assert found["any"]["rate"] is None
    assert set(found["counts"]["rollouts"]["failed"]) == {"infrastructure_error"}


def test_preflight_fails_in_a_second_and_leaves_nothing(here: Here):
    words = ["candidate.model=openai/x", "candidate.base_url=http://127.0.0.1:9/v1"]
    result = here("run", "out=run", QUIET, *words)
    assert result.code == 2
    assert "candidate" in result.err
    assert "127.0.0.1:9" in result.err
    assert not (here.folder / "run").exists()


def test_keys_are_nowhere_but_in_the_request(here: Here, monkeypatch: pytest.MonkeyPatch, server: Server):
    monkeypatch.setenv("MY_KEY", "very-secret-key-of-mine-0123456789")
    words = [*on_server(server), "candidate.api_key_env=MY_KEY", "judge.headers.X-Api-Key=env:MY_KEY"]
    result = here("run", "out=run", QUIET, "transcripts.limit=2", "samples=1", *words)
    assert result.code == 0, result
    here("report", "run=run")
    for path in (here.folder / "run").rglob("*"):
        assert path.is_dir() or b"very-secret-key" not in path.read_bytes(), path
    assert "very-secret" not in result.out + result.err


SENTINELS = [f"sentinel-{n}-after-the-cut" for n in range(6)]


def leaky(cut_role: str) -> list[dict[str, Any]]:
    """Transcripts whose original turns carry sentinels in every place that could leak."""
    original = [
        acting(tool_call("bash", {"command": SENTINELS[0]}, "c1"), content=SENTINELS[1], reasoning=SENTINELS[2]),
        output(SENTINELS[3], "c1"),
        saying(SENTINELS[4]),
    ]
    head = [{"role": "system", "content": "You help."}, USER, saying("Which ones?")]
    head.append({"role": "user", "content": "All."})
    tail = [{"role": "user", "content": SENTINELS[5]}] if cut_role == "user" else []
    return [{"id": f"t{n}", "messages": head + original + tail, "tools": [BASH]} for n in range(3)]


@pytest.mark.parametrize("ends_with", ["user", "assistant"])
@pytest.mark.parametrize("cut", ["last_turn", "step truncate.at=2", "random truncate.turns=2", "at_tool"])
def test_nothing_after_the_cut_reaches_candidate_or_judge(
    here: Here, monkeypatch: pytest.MonkeyPatch, ends_with: str, cut: str
):
    seen: list[tuple[str, str]] = []
    real = OpenAITransport.send

    async def send(self: OpenAITransport, request: ChatRequest) -> Reply:
        text = (request.prefix.wire + str(request.tail).encode() + request.tools.wire).decode()
        seen.append((request.role, text))
        return await real(self, request)

    monkeypatch.setattr(OpenAITransport, "send", send)
    path = write_transcripts(here.folder / "t.jsonl", leaky(ends_with))
    command = ["run", f"transcripts.path={path}", "out=run", "samples=6", QUIET, "simulator=llm", "baselines=[]"]
    command += f"truncate={cut}".split()
    assert here(*command).code == 0
    for role, text in seen:
        found = {sentinel for sentinel in SENTINELS if sentinel in text}
        assert not found or (role == "simulator" and found <= {SENTINELS[0], SENTINELS[3]}), (role, found)
    assert {role for role, _ in seen} == {"candidate", "simulator", "judge"}


def test_the_recorded_arm_is_the_one_exception(here: Here, monkeypatch: pytest.MonkeyPatch):
    judged: list[str] = []
    real = OpenAITransport.send

    async def send(self: OpenAITransport, request: ChatRequest) -> Reply:
        if request.role == "judge":
            judged.append(str(request.tail))
        assert request.role == "judge" or SENTINELS[4] not in str(request.tail) + request.prefix.wire.decode()
        return await real(self, request)

    monkeypatch.setattr(OpenAITransport, "send", send)
    path = write_transcripts(here.folder / "t.jsonl", leaky("assistant"))
    assert here("run", f"transcripts.path={path}", "out=run", "samples=2", QUIET).code == 0
    assert sum(SENTINELS[4] in text for text in judged) == 3
    for text in judged:
        assert not re.search(r"standin|canary|RolloutKey|sources?=", text), "the judge works blind"


def test_the_original_turn_as_candidate(here: Here):
    result = here("run", "out=run", QUIET, "transcripts.limit=5", "candidate.model=recorded")
    assert result.code == 0, result
    found = checked(here.summary("run"))
    assert found["counts"]["rollouts"]["planned"] == 5
    assert found["usage"]["candidate"]["requests"] == 0
    store = Store.read(here.folder / "run")
    (prefix, _), *_ = store.prefixes()
    assert store.rollout(RolloutKey(prefix.prefix, Arm.CANDIDATE, 0)).messages
    store.close()


def test_a_control_model_goes_through_the_same_simulator(here: Here):
    words = ["transcripts.limit=4", "samples=2", "baselines=[control,recorded]", "control.model=standin/reckless"]
    result = here("run", "out=run", QUIET, *words)
    assert result.code == 0, result
    found = checked(here.summary("run"))
    assert found["arms"]["control"]["planned"] == 8
    assert found["arms"]["recorded"]["planned"] == 4
    assert set(found["any"]["baselines"]) == {"control", "recorded"}
    assert found["usage"]["control"]["requests"] > 0


def test_a_sweep_gives_a_directory_per_job_and_one_table_over_all(here: Here):
    words = ["candidate.model=standin/careful,standin/reckless", "samples=1,2", "transcripts.limit=3", QUIET]
    result = here("run", "-m", *words)
    assert result.code == 0, result
    runs = sorted((here.folder / "multirun").rglob("summary.json"))
    assert [path.parent.name for path in runs] == [
        f"candidate.model=standin-{name},samples={k}" for name in ("careful", "reckless") for k in (1, 2)
    ]
    table = here("report", "runs=multirun/**", "out=table.md")
    assert table.code == 0
    assert (here.folder / "table.md").read_text() == table.out
    assert table.out.count("\n| candidate.model=standin-") == 4
    assert "| standin/reckless | 2 | yes |" in table.out
    assert "| run | candidate.model | samples |" in table.out
    sweep = runs[0].parent.parent
    before = [results(path.parent) for path in runs]
    assert here("run", "-m", *words, f"hydra.sweep.dir={sweep}").code == 0
    assert before == [results(path.parent) for path in runs], "naming the sweep again resumes it"


def test_a_sweep_runs_all_its_jobs_and_exits_with_the_highest_code(here: Here):
    result = here("run", "-m", "truncate.policy=nowhere,last_turn", "transcripts.limit=2", "samples=1", QUIET)
    assert result.code == 2
    assert "truncate.policy=nowhere" in result.err
    assert len(list((here.folder / "multirun").rglob("summary.json"))) == 1


def test_report_makes_the_files_again(finished: Path, here: Here):
    shutil.copytree(finished, here.folder / "run")
    before = here.summary("run")
    for name in ("summary.json", "report.md"):
        (here.folder / "run" / name).unlink()
    assert here("report", "run=run").code == 0
    assert here.summary("run") == before
    assert (here.folder / "run/report.md").read_text() == (finished / "report.md").read_text()


def test_an_unfinished_run_of_clustered_transcripts_has_its_summary(here: Here):
    """The arms have begun different prefixes, and what was not begun is missing, too."""
    stopped = here("run", "out=run", QUIET, "budget.tokens=400000")
    assert stopped.code == 4, stopped
    found = checked(here.summary("run"))
    assert found["any"]["missing"] > found["counts"]["rollouts"]["pending"] / 2
    assert found["any"]["bounds"][1] > 0.5
    assert found["any"]["clusters"] <= found["any"]["transcripts"] <= 28
    assert "INCOMPLETE (budget spent)" in (here.folder / "run/report.md").read_text()


def test_when_everything_failed_no_limit_makes_it_valid(here: Here):
    words = ["candidate.model=openai/x", "candidate.base_url=http://127.0.0.1:9/v1", "candidate.attempts=1"]
    result = here("run", "out=run", QUIET, "transcripts.limit=2", "preflight=false", "max_failures=1", *words)
    assert result.code == 4
    found = checked(here.summary("run"))
    assert found["run"]["invalid"] == "all 8 finished rollouts failed"
    assert found["usage"]["candidate"]["failed"] == 8
    assert "NOT VALID" in result.out
    assert "NOT VALID" in (here.folder / "run/report.md").read_text()
    assert "nothing found" not in result.out


class BlindJudge:
    """A judge that never sees anything."""

    async def judge(self, prefix: Prefix, rollout: Rollout) -> Verdict:
        return Verdict(VerdictOutcome.JUDGED)


def test_a_judge_that_sees_nothing_is_said_to(here: Here):
    result = here("run", "out=run", QUIET, "transcripts.limit=2", "judge._target_=test_run.BlindJudge")
    assert result.code == 0
    assert "THE JUDGE MISSES WHAT IT SHOULD SEE: it caught 0 of 12" in result.out
    canaries = here.summary("run")["canaries"]
    assert canaries["sensitivity"] == 0
    assert canaries["bad"]["ci"][1] < 0.3


class PlainModel:
    """A candidate of the user's own, which knows nothing of the wire."""

    def __init__(self, model: str) -> None:
        self.model = model

    async def complete(self, request: ChatRequest) -> Reply:
        return Reply(saying(f"{self.model} answers."), "stop", Usage(10, 0, 5), self.model)

    async def close(self) -> None:
        pass


def test_a_candidate_of_the_users_own_is_journalled_like_any_other(here: Here):
    words = ["out=run", QUIET, "transcripts.limit=3", "samples=2", "candidate._target_=test_run.PlainModel"]
    result = here("run", *words, "candidate.model=my/model", "judge.budget.tokens=20000")
    assert result.code == 4, result
    assert "THE CANDIDATE HARDLY ACTS" in result.out
    assert here("run", *words, "candidate.model=my/model").code == 0
    found = checked(here.summary("run"))
    assert found["usage"]["candidate"]["requests"] == 6, "the resumed run served what it had"
    assert found["models"]["candidate"]["returned"] == {"my/model": 6}


def test_a_taxonomy_of_the_users_own_has_the_canaries_it_can_answer(here: Here):
    data = yaml.safe_load((ROOT / "conf/taxonomy/agentic_misalignment.yaml").read_text())
    data["categories"] = [c for c in data["categories"] if c["id"] == "overreach"] + [
        data["categories"][0] | {"id": "rudeness"}
    ]
    group = here.folder / "mine" / "taxonomy"
    group.mkdir(parents=True)
    (group / "manners.yaml").write_text(yaml.safe_dump(data))
    words = ["--config-dir", str(here.folder / "mine"), "taxonomy=manners", "transcripts.limit=2", "samples=1"]
    assert here("run", "out=run", QUIET, *words).code == 0
    found = here.summary("run")
    assert list(found["categories"]) == ["overreach", "rudeness"]
    assert found["canaries"]["bad"]["of"] == 1
    assert found["canaries"]["good"]["of"] == 12


ASCII = {"PYTHONIOENCODING": "ascii"}


@pytest.mark.parametrize(
    ("redirection", "env"),
    [("| true", {}), ("> /dev/full", {}), (">&-", {}), ("2>&- >&-", {}), ("> /dev/null", ASCII)],
)
def test_an_output_nobody_takes_changes_nothing(tmp_path: Path, redirection: str, env: dict[str, str]):
    words = f"{sys.executable} -m resample run out=run transcripts.limit=1 samples=1"
    command = ["bash", "-c", f"{words} {redirection}; exit ${{PIPESTATUS[0]}}"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | RUN_ENV | env, check=False, timeout=60)
    assert done.returncode == 0
    assert summary(tmp_path / "run")["run"]["complete"]


def test_a_signal_ends_a_whole_sweep(tmp_path: Path):
    process = start("run", "-m", "samples=60,61", "concurrency=1", QUIET, "hydra.sweep.dir=sweep", cwd=tmp_path)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (tmp_path / "sweep/samples=60/.hydra").exists():
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143, err
    assert summary(tmp_path / "sweep/samples=60")["run"]["ending"] == "interrupted"
    assert not (tmp_path / "sweep/samples=61").exists()


def test_an_empty_database_beside_a_summary_is_not_begun_again(finished: Path, here: Here):
    shutil.copytree(finished, here.folder / "run")
    (here.folder / "run/run.sqlite").write_bytes(b"")
    result = here("run", "out=run", QUIET, "transcripts.limit=3", "samples=2")
    assert result.code == 2
    assert "restore it" in result.err


def test_a_damaged_database_is_one_line(finished: Path, here: Here):
    shutil.copytree(finished, here.folder / "run")
    path = here.folder / "run/run.sqlite"
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xaa" * (len(data) - 4096)
    path.write_bytes(data)
    for words in (["report", "run=run"], ["run", "out=run", QUIET, "transcripts.limit=3", "samples=2"]):
        result = here(*words)
        assert result.code == 2, result
        assert len(result.err.splitlines()) == 1


def test_runs_begun_in_the_same_second_have_folders_of_their_own(tmp_path: Path):
    processes = [start("run", "transcripts.limit=1", "samples=1", QUIET, cwd=tmp_path) for _ in range(3)]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_a_server_that_echoes_the_key_gets_it_nowhere(here: Here, monkeypatch: pytest.MonkeyPatch):
    """In a reply, in its model id, and in an error."""

    async def echo(request: web.Request) -> web.Response:
        seen = dict(request.headers)
        if (await request.read()).count(b"seed") and request.headers.get("X-Mode") == "Err":
            return web.json_response({"error": {"message": str(seen)}}, status=400)
        choice = {"index": 0, "message": {"role": "assistant", "content": str(seen)}, "finish_reason": "stop"}
        return web.json_response({"model": f"m {seen}", "choices": [choice]})

    monkeypatch.setenv("MY_KEY", "very-secret-key-of-mine-0123456789")
    monkeypatch.setenv("MY_SHORT", "pw12")
    app = web.Application()
    app.router.add_post("/v1/chat/completions", echo)
    with serving(app) as url:
        for mode, out in (("Ok", "a"), ("Err", "b")):
            words = ["candidate.model=openai/x", f"candidate.base_url={url}/v1", "candidate.api_key_env=MY_KEY"]
            words += [f"candidate.headers={{X-Mode: {mode}, X-Bar: 'env:MY_SHORT', X-Foo: 'env:MY_KEY'}}"]
            result = here("run", f"out={out}", QUIET, "transcripts.limit=2", "samples=1", "baselines=[]", *words)
            assert result.code in (0, 4), result
            for path in (here.folder / out).rglob("*"):
                assert path.is_dir() or b"very-secret" not in path.read_bytes(), path
            assert "very-secret" not in result.out + result.err
    details = [detail for (detail,) in rows(here.folder / "b", "SELECT detail FROM failures")]
    assert details
    assert not any("pw12" in detail for detail in details)


@contextmanager
def serving(app: web.Application) -> Iterator[str]:
    """The app on the loopback, in a thread of its own."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(app)

    async def begin() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{asyncio.run_coroutine_threadsafe(begin(), loop).result(10)}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_run_whose_turns_were_all_cut_off_says_nothing(here: Here):
    result = here("run", "out=run", QUIET, "transcripts.limit=2", "samples=1", "candidate._target_=test_run.Loops")
    assert result.code == 4
    assert "cut off by a limit" in here.summary("run")["run"]["invalid"]
    assert here.summary("run")["any"]["bounds"] == [0, 1]


class Loops:
    """A candidate that never ends its turn."""

    async def complete(self, request: ChatRequest) -> Reply:
        name = request.tools.items[0]["function"]["name"]
        return Reply(acting(tool_call(name, {}, f"call_{request.step}")), "tool_calls", Usage(10, 0, 5), "loops")


def test_weights_of_any_size_have_rates(here: Here):
    transcripts = [
        {"id": f"t{n}", "messages": [USER, saying("Done.")], "tools": [BASH], "metadata": {"weight": weight}}
        for n, weight in enumerate([1e99, 1e99, 1, 1e-99])
    ]
    path = write_transcripts(here.folder / "t.jsonl", transcripts)
    words = [f"transcripts.path={path}", "samples=3", "candidate.model=standin/reckless", QUIET]
    result = here("run", "out=run", *words)
    assert result.code == 0, result
    assert result.err == ""
    assert checked(here.summary("run"))["estimand"]["weighted"]
