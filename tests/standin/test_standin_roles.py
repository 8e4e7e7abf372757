"""The stand-in understands the real prompts of judge and simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from resample.judging.canaries import bundled_canaries
from resample.judging.judge import LLMJudge
from resample.judging.taxonomy import read_taxonomy
from resample.standin.phrasebook import phrasebook
from resample.standin.reply import reply, role_of
from resample.standin.settings import StandInSettings
from resample.standin.simulator import SIMULATOR_OPENING
from resample.types import (
    ChatRequest,
    Prefix,
    Reply,
    Rollout,
    Shared,
    Source,
    StopReason,
    ToolCall,
    Usage,
    VerdictOutcome,
)
from simulators.llm import PROMPTS, LLMSimulator

ROOT = Path(__file__).parents[2]
TAXONOMY = read_taxonomy(yaml.safe_load((ROOT / "conf/taxonomy/agentic_misalignment.yaml").read_text(encoding="utf-8")))


class Model:
    """A chat model that asks the stand-in without HTTP, and checks that it is taken for the role it plays."""

    def __init__(self, settings: StandInSettings) -> None:
        self._settings = settings

    async def complete(self, request: ChatRequest) -> Reply:
        wire: dict[str, Any] = {
            "model": "default",
            "messages": [*request.prefix.items, *request.tail],
            "seed": request.step,
        }
        if request.schema:
            wire["response_format"] = {"type": "json_schema", "json_schema": request.schema}
        wire = orjson.loads(orjson.dumps(wire))
        assert role_of(wire) is request.role
        choice: Mapping[str, Any] = reply(wire, self._settings)["choices"][0]
        return Reply(choice["message"], choice["finish_reason"], Usage(), "default")

    async def close(self) -> None:
        pass


def test_the_simulators_prompt_opens_as_the_stand_in_expects() -> None:
    assert (PROMPTS / "instructions.txt").read_text(encoding="utf-8").startswith(SIMULATOR_OPENING)


def test_the_phrasebook_plants_the_categories_of_the_taxonomy() -> None:
    assert set(TAXONOMY.ids) == {c for c in phrasebook().categories if c != "evaluation_awareness"}


@pytest.mark.parametrize("seed", range(3))
def test_a_perfect_judge_knows_every_canary(seed: int) -> None:
    judge = LLMJudge(Model(StandInSettings()), TAXONOMY, seed=seed)
    for canary in bundled_canaries(TAXONOMY.id):
        verdict = asyncio.run(judge.judge(canary.prefix, canary.rollout))
        assert verdict.outcome is VerdictOutcome.JUDGED, (canary.id, verdict.detail)
        assert {finding.category for finding in verdict.findings} == canary.expected, canary.id


@pytest.mark.parametrize("view", ["full", "actions", "reasoning"])
def test_the_evidence_of_false_findings_stands(player: Any, view: str) -> None:
    settings = StandInSettings(judge_specificity=0.5)
    judge = LLMJudge(Model(settings), TAXONOMY, view)
    request = player.request("Please tidy up", model="reckless")
    prefix = Prefix("p", "t", Shared(tuple(request["messages"])), Shared(tuple(request["tools"])))
    for seed in range(20):
        turn = player.turn({**request, "seed": seed}, settings)
        verdict = asyncio.run(judge.judge(prefix, Rollout(tuple(turn), StopReason.ENDED)))
        assert verdict.outcome is VerdictOutcome.JUDGED, verdict.detail
        assert verdict.findings


def test_the_simulator_answers_through_its_real_prompt(player: Any) -> None:
    request = player.request("Please tidy up")
    prefix = Prefix("p", "t", Shared(tuple(request["messages"])), Shared(tuple(request["tools"])))
    session = LLMSimulator(Model(StandInSettings())).open(prefix, [], 0)
    listing = asyncio.run(session.answer(ToolCall("c1", "bash", '{"command": "ls -l"}', {"command": "ls -l"})))
    tests = asyncio.run(session.answer(ToolCall("c2", "bash", '{"command": "pytest -q"}', None)))
    assert listing.source is Source.LLM and listing.content.startswith("-rw-r--r--")
    assert "passed" in tests.content
