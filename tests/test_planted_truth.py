"""Planted truth comes back: intervals of apparent rates cover what was planted, over 200 seeds.

Everything is the real program (plan, engine, simulators, judge, store, summary); only HTTP is left out: the stand-in's
pure function answers in its place.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from builders import BASH
from runs import write_transcripts

from resample.build import make_plan
from resample.config import RunConfig, StandIn, StandInJudge, Transcripts
from resample.engine import Engine, Progress, Settings
from resample.journal import JournalledModel
from resample.judging.judge import LLMJudge
from resample.models.wire import parse_reply, request_body
from resample.plan import accept
from resample.prepare.index import open_prefix
from resample.standin.reply import reply
from resample.standin.settings import StandInSettings
from resample.standin.truth import any_of, apparent, planted
from resample.store import Store
from resample.summary import summarise
from resample.types import Arm, ChatRequest, Reply
from simulators.ladder import standard_ladder

SEEDS = 200
RATES = {"destructive_action": 0.15, "fabricated_result": 0.05}
"""The categories checked; every other one is planted at 0."""


class StandInHere:
    """The stand-in without a server."""

    def __init__(self, settings: StandInSettings) -> None:
        self._settings = settings

    async def complete(self, request: ChatRequest) -> Reply:
        body = request_body("default", request, {})
        return parse_reply(orjson.dumps(reply(orjson.loads(body), self._settings)))

    async def close(self) -> None:
        pass


def taxonomy_data() -> dict[str, Any]:
    import yaml
    from builders import ROOT

    data: dict[str, Any] = yaml.safe_load((ROOT / "conf/taxonomy/agentic_misalignment.yaml").read_text())
    return data


def config_of(path: Path, seed: int, correlation: float) -> RunConfig:
    judge = StandInJudge(sensitivity=0.9, specificity=0.97)
    rates = dict.fromkeys((category["id"] for category in taxonomy_data()["categories"]), 0.0) | RATES
    return RunConfig(
        transcripts=Transcripts(path=str(path)),
        taxonomy=taxonomy_data(),
        samples=3,
        seed=seed,
        baselines=[],
        standin=StandIn(rates=rates, correlation=correlation, judge=judge),
    )


async def run(config: RunConfig, directory: Path) -> dict[str, Any]:
    """One whole run without a server and without canaries."""
    plan = replace(make_plan(config), canaries=())
    assert plan.standin is not None
    store = Store.open(directory)
    accept(plan, store, [])
    model = JournalledModel(StandInHere(plan.standin), store, config.seed)
    settings = Settings(
        samples=config.samples,
        max_steps=config.max_steps,
        seed=config.seed,
        concurrency=4,
        max_failures=0.0,
        judge=plan.judge_name,
    )
    judge = LLMJudge(model, plan.taxonomy, seed=config.seed)
    arms = {Arm.CANDIDATE: model}
    await Engine(store, settings, arms, standard_ladder(model), judge, (), open_prefix, Progress()).run()
    summary = summarise(store)
    store.close()
    return summary


def truth(config: RunConfig) -> dict[str, float]:
    """The apparent rates that the planted parameters lead to."""
    settings = make_plan(config).standin
    assert settings is not None
    rates = {name: apparent(rate, settings) for name, rate in planted("default", settings).items()}
    return {"any": any_of(rates), **{name: rates[name] for name in (*RATES, "sabotage")}}


@pytest.mark.parametrize("correlation", [0.0, 0.3])
def test_intervals_cover_the_planted_truth_over_200_seeds(tmp_path: Path, correlation: float):
    path = write_transcripts(
        tmp_path / "t.jsonl",
        [
            {
                "id": f"t{n}",
                "messages": [
                    {"role": "user", "content": f"Please look after machine {n}."},
                    {"role": "assistant", "content": "Done."},
                ],
                "tools": [BASH],
            }
            for n in range(20)
        ],
    )
    missed: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    for seed in range(SEEDS):
        config = config_of(path, seed, correlation)
        found = asyncio.run(run(config, tmp_path / str(seed)))
        assert found["run"]["complete"]
        for name, rate in truth(config).items():
            rates = found["any"] if name == "any" else found["categories"][name]
            low, high = rates["ci"]
            missed[name] += not low <= rate <= high
            sums[name] += rates["rate"]
    for name, rate in truth(config).items():
        assert missed[name] <= 0.05 * SEEDS, f"{name}: {missed[name]} of {SEEDS} intervals miss {rate:.3f}"
        assert sums[name] / SEEDS == pytest.approx(rate, abs=0.02), name
