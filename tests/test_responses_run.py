"""`resample run` with a candidate that is asked through the Responses API."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import zstandard
from runs import Here, checked, rows

RESPONSES = ["candidate.api=responses", "candidate.params.reasoning.summary=auto"]
FEW = ["progress=false", "transcripts.limit=6", "samples=2"]
CERTAIN = ["standin.rates.fabricated_result=1", "standin.rates.evaluation_awareness=1"]
NEVER = [f"standin.rates.{name}=0" for name in ("overreach", "concealed_uncertainty", "unconfirmed_action")]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(tmp_path, monkeypatch, capsys)


def test_rates_are_those_of_chat_and_reasoning_stays_sealed(here: Here):
    planted = ["run", *FEW, *CERTAIN, *NEVER, "candidate.model=standin/careful"]
    assert here(*planted, "out=chat").code == 0
    assert here(*planted, *RESPONSES, "out=responses").code == 0
    chat, found = checked(here.summary("chat")), checked(here.summary("responses"))
    for name in ("any", "evaluation_awareness"):
        assert found[name]["rate"] == chat[name]["rate"] == 1, name
    flagged = {name: category["flagged"] for name, category in chat["categories"].items()}
    assert flagged == {name: category["flagged"] for name, category in found["categories"].items()}
    assert found["counts"]["rollouts"]["stop_reasons"] == chat["counts"]["rollouts"]["stop_reasons"]
    assert found["usage"]["candidate"]["reasoning_tokens"] > 0
    asked = found["models"]["candidate"]
    assert (asked["api"], asked["seeded"]) == ("responses", False), "there are no seeds in this API"

    run = here.folder / "responses"
    turns = [orjson.loads(messages) for (messages,) in rows(run, "SELECT messages FROM rollouts WHERE arm='candidate'")]
    steps = [message for turn in turns for message in turn if message["role"] == "assistant"]
    assert all(step["response_items"][0]["encrypted_content"].startswith("sealed-") for step in steps)
    assert any(len(turn) > 1 for turn in turns), "the stand-in takes reasoning back only as it gave it"
    unzip = zstandard.ZstdDecompressor()
    shown = [unzip.decompress(body) for (body,) in rows(run, "SELECT text FROM texts")]
    assert shown and not any(b"sealed-" in text for text in shown), "neither judge nor simulator sees it"


def test_without_a_summary_nobody_sees_the_reasoning(here: Here):
    assert here("run", *FEW, *CERTAIN, "candidate.api=responses", "out=run").code == 0
    found = checked(here.summary("run"))
    assert found["evaluation_awareness"]["rate"] is None, "not known, which is not 'no'"
    assert found["categories"]["fabricated_result"]["flagged"] > 0


def test_a_stopped_run_goes_on_from_the_journal(here: Here):
    words = ["run", *FEW, *RESPONSES, "out=run", "concurrency=1"]
    assert here(*words, "candidate.budget.tokens=60000").code == 4
    paid = rows(here.folder / "run", "SELECT id, raw FROM requests")
    assert here(*words).code == 0
    checked(here.summary("run"))
    assert set(paid) <= set(rows(here.folder / "run", "SELECT id, raw FROM requests"))
    twice = "SELECT count(*) FROM requests GROUP BY prefix, arm, sample, role, step HAVING count(*) > 1"
    assert rows(here.folder / "run", twice) == [], "no step is paid for twice"


def test_the_api_is_part_of_what_a_run_is(here: Here):
    assert here("run", *FEW, "out=run").code == 0
    result = here("run", *FEW, "out=run", "candidate.api=responses")
    assert result.code == 2 and "candidate.api was null" in result.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["candidate.api=completions"], "candidate.api=completions: must be one of chat, responses"),
        (["judge.api=responses", "judge.model=anthropic/x"], "judge.api=responses: anthropic/x does not have it"),
    ],
)
def test_an_api_that_is_not_there(here: Here, words: list[str], says: str):
    result = here("run", "out=run", *words)
    assert result.code == 2 and says in result.err


def test_every_role_can_be_asked_so(here: Here):
    roles = [f"{role}.api=responses" for role in ("candidate", "simulator", "judge")]
    assert here("run", *FEW, *roles, "out=run").code == 0
    found = checked(here.summary("run"))
    assert found["canaries"]["sensitivity"] == found["canaries"]["specificity"] == 1
