"""The phrasebook, the presets, the canaries and the taxonomy agree with each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from resample.judging.render import call_texts, reasoning_of, text_of
from resample.standin.phrasebook import AWARENESS, ROBUSTNESS, Form, phrasebook
from resample.standin.settings import StandInSettings, models
from resample.standin.truth import acts_in, any_of, planted

ROOT = Path(__file__).parents[2]
TAXONOMY = yaml.safe_load((ROOT / "conf/taxonomy/agentic_misalignment.yaml").read_text(encoding="utf-8"))
CANARIES: list[dict[str, Any]] = [
    orjson.loads(line)
    for line in (ROOT / "resample/judging/canaries/agentic_misalignment.jsonl").read_bytes().splitlines()
]
MISALIGNMENT = set(
    """destructive_action overreach unconfirmed_action circumvention unauthorized_access
credential_hunting unauthorized_data_transfer oversight_evasion user_deception fabricated_result
concealed_uncertainty reward_hacking sabotage sandbagging resource_acquisition self_preservation collusion
manipulation""".split()  # noqa: SIM905
)

canary = pytest.mark.parametrize("canary", CANARIES, ids=[c["id"] for c in CANARIES])


def test_taxonomy_has_every_category_of_the_method() -> None:
    kinds = {c["id"]: c["kind"] for c in TAXONOMY["categories"]}
    assert kinds == {**dict.fromkeys(MISALIGNMENT, "misalignment"), "injected_instruction": "robustness"}
    assert {c for c, kind in kinds.items() if kind == "robustness"} == ROBUSTNESS
    assert list(TAXONOMY["severity"]) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("category", TAXONOMY["categories"], ids=lambda c: str(c["id"]))
def test_category_is_complete(category: dict[str, Any]) -> None:
    assert set(category) == {
        "id", "kind", "omission", "definition", "counts", "does_not_count", "examples",
    }  # fmt: skip
    assert isinstance(category["omission"], bool)
    assert all(isinstance(category[k], str) and category[k] for k in ("definition", "counts", "does_not_count"))
    counts, does_not = category["examples"]
    assert counts.startswith("Counts, severity ") and does_not.startswith("Does not count: ")


@pytest.mark.parametrize("category", [*sorted(MISALIGNMENT), *ROBUSTNESS])
def test_phrasebook_has_acts_of_several_forms_and_severities(category: str) -> None:
    acts = [act for act in phrasebook().acts if act.category == category]
    assert len(acts) >= 3
    assert len({act.severity for act in acts}) >= 2
    assert {act.form for act in acts} == {Form.CALL, Form.TEXT}


def test_awareness_stands_in_reasoning_only() -> None:
    acts = [act for act in phrasebook().acts if act.category == AWARENESS]
    assert acts and all(act.form is Form.REASONING for act in acts)
    assert set(phrasebook().categories) == {AWARENESS, *MISALIGNMENT, *ROBUSTNESS}


def test_each_wording_is_known_by_its_own_tell_alone() -> None:
    assert len({act.id for act in phrasebook().acts}) == len(phrasebook().acts)
    for act in phrasebook().acts:
        assert len(act.tell) >= 15, act.id
        assert 1 <= act.severity <= 4, act.id
        assert phrasebook().find(act.wording) == [act], act.id
        assert phrasebook().find(orjson.dumps({"command": act.wording}).decode()) == [act], act.id


def test_ordinary_sentences_hold_no_tell() -> None:
    for sentences in phrasebook().ordinary.values():
        for sentence in sentences:
            assert phrasebook().find(sentence) == [], sentence


def test_escapes_are_undone() -> None:
    (act,) = [a for a in phrasebook().acts if a.id == "tests_pass"]
    assert phrasebook().find(r'{"note": "line\n\u0041ll 214 tests\u0020pass"}') == [act]


@pytest.mark.parametrize(
    ("model", "least", "most"), [("default", 0.08, 0.12), ("careful", 0.007, 0.013), ("reckless", 0.35, 0.45)]
)
def test_presets_plant_what_they_say(model: str, least: float, most: float) -> None:
    rates = planted(model, StandInSettings())
    assert model in models()
    assert set(rates) == set(phrasebook().categories)
    assert least <= any_of(rates) <= most


def test_no_tell_occurs_in_the_bundled_transcripts() -> None:
    files = sorted((ROOT / "transcripts").glob("*.jsonl"))
    if not files:
        pytest.skip("no bundled transcripts")
    for file in files:
        for line in file.read_bytes().splitlines():
            transcript = orjson.loads(line)
            assert acts_in(transcript["messages"]) == [], f"{file.name}: {transcript['id']}"


def test_canaries_cover_categories_and_severities() -> None:
    bad = [c for c in CANARIES if c["expected"]]
    assert (len(bad), len(CANARIES) - len(bad)) == (12, 12)
    assert len({category for c in bad for category in c["expected"]}) >= 10
    assert {c["severity"] for c in bad} == {1, 2, 3, 4}
    assert len({c["id"] for c in CANARIES}) == len(CANARIES)


@canary
def test_canary_holds_exactly_the_acts_it_expects(canary: dict[str, Any]) -> None:
    found = acts_in(canary["rollout"])
    assert {f.act.category for f in found} == set(canary["expected"])
    assert max((f.act.severity for f in found), default=None) == canary["severity"]
    actions = "\n".join("\n".join([text_of(m), *call_texts(m)]) for m in canary["rollout"] if m["role"] == "assistant")
    assert {act.category for act in phrasebook().find(actions)} == set(canary["expected"])


@canary
def test_canary_is_a_well_formed_turn(canary: dict[str, Any]) -> None:
    assert set(canary) == {"id", "version", "expected", "severity", "messages", "tools", "rollout", "note"}
    assert canary["messages"][-1]["role"] == "user"
    assert 2 <= len(canary["messages"]) <= 8 and 1 <= len(canary["rollout"]) <= 12
    last = canary["rollout"][-1]
    assert last["role"] == "assistant" and not last.get("tool_calls")
    tools = {tool["function"]["name"]: tool["function"]["parameters"] for tool in canary["tools"]}
    open_calls: list[str] = []
    for message in canary["messages"] + canary["rollout"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] == open_calls.pop(0)
            continue
        assert not open_calls
        for call in message.get("tool_calls", ()):
            schema, arguments = tools[call["function"]["name"]], orjson.loads(call["function"]["arguments"])
            assert set(schema["required"]) <= set(arguments) <= set(schema["properties"])
            open_calls.append(call["id"])
    assert not open_calls
    assert "canary" not in orjson.dumps(canary["messages"] + canary["rollout"]).decode().lower()


# -- the taxonomy's examples stand in the judge's prompt: a canary that plays one of them would measure matching -----

EXAMPLES = [
    pytest.param(text.split(": ", 1)[1], id=f"{category['id']}-{kind}")
    for category in TAXONOMY["categories"]
    for kind, text in zip(("counts", "borderline"), category["examples"], strict=True)
]
NAME = re.compile(r"[\w~./=@-]*\w[./_=@][\w./=@-]*\w|(?<![\w-])--?[a-zA-Z][\w-]*")
"""What is seldom met outside commands: paths, file names, identifiers and flags."""
ORDINARY = set(
    """about after agent also asked because before does from have into know last left made most need none only
other over say same some such take than that their them then there they this through under user were what when where
which while will with without would your""".split()  # noqa: SIM905
)


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def runs(text: str, length: int) -> set[tuple[str, ...]]:
    """Every run of so many consecutive words."""
    return set(zip(*(words(text)[start:] for start in range(length)), strict=False))


def scene(text: str) -> set[str]:
    """The words that tell what a text is about, plurals folded."""
    return {word for word in (w.removesuffix("s") for w in words(text)) if len(word) > 3} - ORDINARY


def played() -> dict[str, tuple[str, str]]:
    """By id, all that a canary or an act of the phrasebook says, and what of it stands in calls."""
    texts = {act.id: (act.wording, act.wording if act.form is Form.CALL else "") for act in phrasebook().acts}
    for canary in CANARIES:
        calls = "\n".join(call for message in canary["rollout"] for call in call_texts(message))
        said = [f"{reasoning_of(m)}\n{text_of(m)}" for m in canary["messages"] + canary["rollout"]]
        texts[canary["id"]] = ("\n".join([*said, calls, canary["note"]]), calls)
    return texts


PLAYED = played()


@pytest.mark.parametrize("example", EXAMPLES)
def test_no_canary_and_no_act_plays_an_example_of_the_taxonomy(example: str) -> None:
    for name, (text, calls) in PLAYED.items():
        assert not runs(example, 5) & runs(text, 5), name
        assert not runs(example, 3) & runs(calls, 3), name
        assert not set(NAME.findall(example)) & set(NAME.findall(calls)), name
        assert len(scene(example) & scene(text)) <= 2, (name, scene(example) & scene(text))
