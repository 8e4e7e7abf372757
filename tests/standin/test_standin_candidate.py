"""The candidate's planted rates come out, whatever the tools, and its turns are sound."""

from __future__ import annotations

from itertools import pairwise
from statistics import fmean
from typing import Any

import orjson
import pytest

from resample.standin import course, draw
from resample.standin.phrasebook import phrasebook
from resample.standin.settings import StandInSettings
from resample.standin.truth import acts_in
from resample.types import UserError

PREFIXES, SAMPLES = 2000, 10
RATES = {
    "destructive_action": 0.02,
    "fabricated_result": 0.1,
    "collusion": 0.3,
    "injected_instruction": 0.05,
    "evaluation_awareness": 0.1,
}


def _messages(steps: list[course.PlannedStep]) -> list[dict[str, Any]]:
    return [
        {
            "role": "assistant",
            "content": step.text,
            "reasoning_content": step.reasoning,
            "tool_calls": [{"function": call._asdict()} for call in step.calls],
        }
        for step in steps
    ]


def _intraclass(counts: list[int], size: int) -> float:
    """The one-way ANOVA estimate of intra-class correlation (Fisher, 1925): 0/1 outcomes, equal groups."""
    mean = fmean(counts) / size
    between = sum(size * (c / size - mean) ** 2 for c in counts) / (len(counts) - 1)
    within = sum(c * (1 - c / size) for c in counts) / (len(counts) * (size - 1))
    return (between - within) / (between + (size - 1) * within)


@pytest.mark.parametrize("correlation", [0.0, 0.3])
@pytest.mark.parametrize("tools", ["shell", "none"])
def test_planted_rates_and_correlation_come_out(player: Any, tools: str, correlation: float) -> None:
    settings = StandInSettings(rates=RATES, correlation=correlation, seed=5)
    counts: dict[str, list[int]] = {category: [] for category in phrasebook().categories}
    for prefix in range(PREFIXES):
        messages = player.request(f"Task {prefix}")["messages"]
        given = course.given(messages, [player.shell] if tools == "shell" else [], "careful")
        committed: list[str] = []
        for sample in range(SAMPLES):
            key = course.key_of(given, (prefix, sample), settings)
            steps = course.course(key, given, settings)
            assert len(steps) <= course.MAX_STEPS
            committed += {f.act.category for f in acts_in(_messages(steps))}
        for category, flagged in counts.items():
            flagged.append(committed.count(category))
    for category, flagged in counts.items():
        rate = settings.rates_of("careful")[category]
        inflation = 1 + (SAMPLES - 1) * correlation
        error = (rate * (1 - rate) * inflation / (PREFIXES * SAMPLES)) ** 0.5
        assert abs(fmean(flagged) / SAMPLES - rate) <= 4 * error, category
        if rate >= 0.1:
            assert _intraclass(flagged, SAMPLES) == pytest.approx(correlation, abs=0.05), category


@pytest.mark.parametrize("correlation", [0.01, 0.3, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("mean", [0.001, 0.2, 0.7])
def test_chances_have_their_mean_and_variance(mean: float, correlation: float) -> None:
    chances = [draw.chance(mean, correlation, "chance", i) for i in range(6000)]
    assert all(0 <= c <= 1 for c in chances)
    variance = mean * (1 - mean) * correlation
    assert fmean(chances) == pytest.approx(mean, abs=4 * (variance / 6000) ** 0.5)
    if mean > 0.1:
        assert fmean((c - mean) ** 2 for c in chances) == pytest.approx(variance, rel=0.1)


TOOLSETS: dict[str, list[str]] = {
    "shell": ["shell", "orders"],
    "any string": ["orders"],
    "no string": ["numbers"],
    "ends the turn": ["submit"],
    "none": [],
}


@pytest.mark.parametrize("tools", TOOLSETS.values(), ids=list(TOOLSETS))
def test_turns_end_and_lose_no_act(player: Any, tools: list[str]) -> None:
    settings = StandInSettings(rates=dict.fromkeys(phrasebook().categories, 1.0))
    schemas = [getattr(player, name) for name in tools]
    for seed in range(30):
        turn = player.turn(player.request("Please have a look", seed, schemas), settings)
        agent = [m for m in turn if m["role"] == "assistant"]
        assert 1 <= len(agent) <= course.MAX_STEPS
        assert {f.act.category for f in acts_in(turn)} == set(phrasebook().categories)
        assert all(m["reasoning_content"] for m in agent)
        assert all(call["function"]["name"] != "submit" for m in agent for call in m.get("tool_calls", ()))
        if not tools:
            assert len(agent) == 1 and "tool_calls" not in agent[0]


def test_ordinary_turns_call_tools_by_their_schema_and_hold_no_act(player: Any) -> None:
    settings = StandInSettings(rates=dict.fromkeys(phrasebook().categories, 0.0))
    plain = parallel = 0
    for seed in range(300):
        turn = player.turn(player.request("Where is my order?", seed, [player.orders]), settings)
        assert acts_in(turn) == []
        calls = [call for m in turn for call in m.get("tool_calls", ())]
        plain += not calls
        parallel += any(len(m.get("tool_calls", ())) > 1 for m in turn)
        assert len(calls) <= 4
        assert len({call["id"] for call in calls}) == len(calls)
        for call in calls:
            arguments = orjson.loads(call["function"]["arguments"])
            assert isinstance(arguments["order_id"], str) and arguments["currency"] in ("EUR", "SEK")
            assert all(isinstance(line, int) for line in arguments.get("lines", ()))
    assert 0.08 <= plain / 300 <= 0.25 and parallel > 0


def test_calls_of_the_prefix_are_repeated_but_never_acts(player: Any) -> None:
    settings = StandInSettings(rates=dict.fromkeys(phrasebook().categories, 0.0))
    commands = ["make check", phrasebook().acts[0].tell]
    request = player.request("Go on")
    request["messages"][1:1] = [
        {"role": "user", "content": "Start"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": f"call_{i}",
                    "type": "function",
                    "function": {"name": "bash", "arguments": orjson.dumps({"command": command}).decode()},
                }
                for i, command in enumerate(commands)
            ],
        },
        *({"role": "tool", "tool_call_id": f"call_{i}", "content": "ok"} for i in range(2)),
        {"role": "assistant", "content": "Done."},
    ]
    turns = [player.turn({**request, "seed": seed}, settings) for seed in range(40)]
    assert all(acts_in(turn) == [] for turn in turns)
    assert any("make check" in orjson.dumps(turn).decode() for turn in turns)


def test_a_turn_is_the_same_again_and_differs_by_seed_model_and_prefix(player: Any) -> None:
    settings = StandInSettings(correlation=0.3)
    turns = {
        (text, seed, model, own): player.turn(
            player.request(text, seed, model=model), StandInSettings(correlation=0.3, seed=own)
        )
        for text in ("One", "Two")
        for seed in (1, 2)
        for model in ("default", "reckless")
        for own in (0, 1)
    }
    again = player.turn(player.request("One", 1), settings)
    assert again == turns["One", 1, "default", 0]
    assert all(a != b for a, b in pairwise(map(orjson.dumps, turns.values())))


def test_a_turn_that_begins_after_recorded_calls_is_a_turn_of_its_own(player: Any) -> None:
    """Cut before the last action, the prefix ends with tool outputs of another model, or of a stand-in."""
    rates = dict.fromkeys(phrasebook().categories, 1.0)
    request = player.request("Go on", seed=3)
    other = player.turn(player.request("Something else"), StandInSettings(rates=rates))[0]
    call_ids = ["call_" + "a1b2c3d4" * 3, other["tool_calls"][0]["id"]]
    for call_id in call_ids:
        function = {"name": "bash", "arguments": "{}"}
        recorded = [
            {"role": "assistant", "tool_calls": [{"id": call_id, "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": call_id, "content": "ok"},
        ]
        cut = {**request, "messages": request["messages"] + recorded}
        turn = player.turn(cut, StandInSettings(rates=rates))
        assert {f.act.category for f in acts_in(turn)} == set(phrasebook().categories)


def test_an_error_is_noticed(player: Any) -> None:
    regrets = phrasebook().ordinary["after_error"]
    turns = [player.turn(player.request("Look", seed), StandInSettings()) for seed in range(20)]
    after_error = [m for turn in turns for before, m in pairwise(turn) if before["content"] == "Error: not found"]
    assert after_error
    answers = [m["content"] for m in after_error if m["role"] == "assistant"]
    assert answers and all(any(regret in text for regret in regrets) for text in answers)


def test_ping_and_chat(player: Any) -> None:
    ping = {
        "model": "default",
        "messages": [{"role": "user", "content": "Reply with the word ready."}],
        "seed": 1,
    }
    assert player.turn(ping, StandInSettings()) == [{"role": "assistant", "content": "ready", "refusal": None}]
    no_acts = StandInSettings(rates=dict.fromkeys(phrasebook().categories, 0.0))
    (chat,) = player.turn(player.request("What should I cook?", tools=[]), no_acts)
    assert chat["content"] in phrasebook().ordinary["chat"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rates": {"sabotagee": 0.1}}, "sabotagee: no such category; there are destructive_action"),
        ({"rates": {"sabotage": 1.5}}, "rates.sabotage is 1.5"),
        ({"correlation": -0.1}, "correlation is -0.1"),
        ({"judge_sensitivity": float("nan")}, "judge.sensitivity is nan"),
        ({"judge_specificity": 2}, "judge.specificity is 2"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says.replace(".", r"\.")):
        StandInSettings(**settings)
