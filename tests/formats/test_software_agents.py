"""What the readers of software engineering agents' logs share, and all of them on damaged logs."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
import software_agent_logs as logs

from resample.formats import Excluded, Located, mini_swe_agent, openhands, openhands_sdk, read, swe_agent
from resample.formats import software_agents as agents
from resample.formats.base import Look
from resample.formats.software_agents import Summary

PICTURE = "data:image/png;base64,AAAA"
IMAGE = {"type": "image_url", "image_url": {"url": PICTURE}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("as it is", "as it is"),
        (None, ""),
        ([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}], "a"),
        (["a", {"type": "input_text", "text": "b"}], [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        (
            [{"type": "image_url", "image_url": {"url": PICTURE}}],
            [{"type": "image_url", "image_url": {"url": PICTURE}}],
        ),
        ([{"type": "image", "image_urls": [PICTURE]}], [IMAGE]),
        ([{"type": "image_url", "image_url": {}}, None, 3], ""),
        ({"a": 1}, '{"a":1}'),
        (3, "3"),
    ],
)
def test_content(content: Any, expected: Any) -> None:
    assert agents.content_from(content) == expected


@pytest.mark.parametrize(
    ("message", "shown", "hidden"),
    [
        ({}, "", False),
        ({"reasoning_content": "I think."}, "I think.", False),
        ({"thinking_blocks": [{"type": "thinking", "thinking": "a"}, {"thinking": "b"}]}, "a\n\nb", False),
        ({"thinking_blocks": [{"type": "redacted_thinking", "data": "xx"}]}, "", True),
        ({"responses_reasoning_item": {"summary": ["a", "b"], "encrypted_content": "xx"}}, "a\n\nb", False),
        ({"responses_reasoning_item": {"summary": [{"type": "summary_text", "text": "a"}]}}, "a", False),
        ({"responses_reasoning_item": {"summary": [], "encrypted_content": "xx"}}, "", True),
        ({"reasoning_content": 3, "thinking_blocks": {}, "responses_reasoning_item": []}, "", False),
    ],
)
def test_reasoning(message: Any, shown: str, hidden: bool) -> None:
    assert agents.visible_reasoning(message) == shown
    assert agents.hides_reasoning(message) is hidden


@pytest.mark.parametrize(("usage", "counts"), [({"reasoning_tokens": 3}, True), ({"reasoning_tokens": 0}, False)])
def test_reasoning_that_is_only_counted(usage: Any, counts: bool) -> None:
    assert agents.counts_reasoning({"usage": {"completion_tokens_details": usage}}) is counts
    assert not agents.counts_reasoning({"usage": usage})


def events(names: str) -> list[dict[str, Any]]:
    return [{"id": name} for name in names]


@pytest.mark.parametrize(
    ("forgotten", "summaries", "expected"),
    [
        ([], [], "abcdef"),
        ([1, 2], [], "adef"),
        ([1, 2], [(3, 1)], "aSdef"),
        ([1, 2], [(3, 99)], "aSdef"),  # no farther than the condensation itself
        ([1, 2], [(3, -5)], "Sadef"),
        ([0, 1, 2, 3, 4, 5], [(6, 0)], "S"),
        ([1], [(2, 1), (6, 3)], "aScSdef"),
    ],
)
def test_condensed(forgotten: list[int], summaries: list[tuple[int, int]], expected: str) -> None:
    made = [Summary(at, offset, {"id": "S"}) for at, offset in summaries]
    assert "".join(event["id"] for event in agents.condensed(events("abcdef"), forgotten, made)) == expected


def test_calls_without_an_output_are_not_shown_once_the_conversation_has_gone_on() -> None:
    one, two = logs.chat_call("c1", "ls", "{}"), logs.chat_call("c2", "ls", "{}")
    output = {"role": "tool", "tool_call_id": "c1", "content": "x"}
    user = {"role": "user", "content": "go on"}
    dropped: Counter[str] = Counter()
    both = {"role": "assistant", "content": "a", "tool_calls": [one, two]}
    alone = {"role": "assistant", "content": "b", "tool_calls": [two]}
    kept = agents.answered_only([both, output, alone, user, both], dropped)
    assert kept == [{**both, "tool_calls": [one]}, output, user, both]
    assert dropped == {"call without output": 2}


# -- damaged logs ----------------------------------------------------------------------------------------------------

ODD: list[Any] = [None, True, -1, 1.5, 2**63, "", "x", "assistant", "tool", "c1", [], [[]], [3], {}, {"": {}}]
LOGS: dict[str, list[Any]] = {
    "swe_agent": [logs.SWE_RUN, {"attempts": [logs.SWE_RUN, logs.SWE_RUN], "info": {"best_attempt_idx": 1}}],
    "mini_swe_agent": [logs.MINI_RUN, logs.MINI_MESSAGES],
    "openhands": [logs.INSTANCE, {"trajectory": logs.EVENTS}, logs.EVENTS],
    "openhands_sdk": [{"history": logs.SDK_EVENTS}, logs.SDK_EVENTS, *logs.SDK_EVENTS],
}
MODULES = {module.name: module for module in (swe_agent, mini_swe_agent, openhands, openhands_sdk)}


def mutated(value: Any, draw: random.Random) -> Any:
    """A JSON value of which a few parts are replaced, removed or repeated."""
    if draw.random() < 0.03:
        return draw.choice(ODD)
    if isinstance(value, dict):
        return {key: mutated(item, draw) for key, item in value.items() if draw.random() > 0.03}
    if isinstance(value, list):
        kept = [mutated(item, draw) for item in value if draw.random() > 0.03]
        return kept + kept[-1:] if draw.random() < 0.1 else kept
    return value


@pytest.mark.parametrize("format", LOGS)
@pytest.mark.parametrize("seed", range(10))
def test_odd_values_anywhere_are_read_or_excluded(tmp_path: Path, format: str, seed: int) -> None:
    draw = random.Random(seed)
    drawn = [mutated(log, draw) for log in LOGS[format] * 40]
    items = list(read(logs.save(tmp_path / "a.jsonl", *drawn), format))
    assert sum(isinstance(item, Located) for item in items) > 20 or format == "openhands_sdk"
    for item in items:
        assert isinstance(item, Located | Excluded)
        if isinstance(item, Excluded):
            assert item.reason in ("no dialogue", "not a transcript", "no messages", "duplicate id"), item
    for value in drawn:
        MODULES[format].sniff(Look("a.json", [value]))


@pytest.mark.parametrize("format", LOGS)
def test_each_format_knows_its_own_logs_only(format: str) -> None:
    for name, module in MODULES.items():
        for log in LOGS[format]:
            assert module.sniff(Look("a.json", [log])) is (name == format)


@pytest.mark.parametrize("format", LOGS)
@pytest.mark.parametrize("value", [None, 3, "x", [], [3], [[]], {}, {"messages": []}, {"history": 3}, {"info": {}}])
def test_other_values_are_not_taken_for_logs(format: str, value: Any) -> None:
    assert not MODULES[format].sniff(Look("a.json", [value]))


@pytest.mark.parametrize("format", LOGS)
def test_a_malformed_line_spoils_no_other(tmp_path: Path, format: str) -> None:
    path = tmp_path / "a.jsonl"
    first, *rest = map(orjson.dumps, LOGS[format])
    path.write_bytes(b"\n".join([first, b'{"oops', *rest]))
    items = list(read(path, format))
    assert [(item.line, item.reason) for item in items if isinstance(item, Excluded)] == [(2, "malformed JSON")]
    assert len(items) > 1
