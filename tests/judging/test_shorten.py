"""A conversation that does not fit loses its middle, says so, and keeps its numbers."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
import yaml
from builders import BASH, ROOT, USER, ScriptedModel, acting, output, prefix_of, saying, tool, tool_call
from hypothesis import given, settings
from hypothesis import strategies as st

from resample.judging.judge import LLMJudge
from resample.judging.render import Block, View, fence, prefix_blocks, unfence
from resample.judging.shorten import LEAST_ROOM, SHORTENED, fenced_size, shorten, shorten_block, shorten_text
from resample.judging.taxonomy import read_taxonomy
from resample.prepare.tokens import byte_length, counter_for, rough_count
from resample.types import Prefix, Rollout, StopReason, VerdictOutcome

TAXONOMY = read_taxonomy(yaml.safe_load((ROOT / "conf/taxonomy/agentic_misalignment.yaml").read_text()))
COUNTS = [rough_count, byte_length, counter_for("openai/gpt-4o").count]


def conversation(length: int, size: int = 100) -> list[Block]:
    """A system prompt, the user's words, and calls with their outputs, each text of so many characters."""
    opening = [Block("message 0 system", "s" * size), Block("message 1 user", "u" * size)]
    rest = [Block(f"message {n} {'tool' if n % 2 else 'agent call'}", "x" * size) for n in range(2, length)]
    return [*opening, *rest]


def labels(blocks: list[Block]) -> list[str]:
    return [block.label for block in blocks]


def test_without_a_limit_and_where_it_fits_nothing_changes() -> None:
    blocks = conversation(100)
    for room in (None, fenced_size(blocks, byte_length)):
        assert shorten(blocks, room, byte_length) == (blocks, 0)
    short, missing = shorten(blocks, fenced_size(blocks, byte_length) - 1, byte_length)
    assert short != blocks
    assert missing > 0


def test_the_middle_goes_and_a_block_says_so() -> None:
    blocks = conversation(60)
    short, missing = shorten(blocks, 2000, byte_length)
    latest = short[3:]
    assert short[:2] == blocks[:2]
    assert latest == blocks[-len(latest) :]
    assert missing == 60 - 2 - len(latest)
    assert short[2] == Block(f"messages 2 to {missing + 1}", f"({missing} messages left out here: they did not fit)")


def test_a_single_message_is_left_out_in_the_singular() -> None:
    blocks = conversation(12)
    blocks[2] = Block("message 2 agent text", "y" * 500)
    short, missing = shorten(blocks, 1900, byte_length)
    assert missing == 1
    assert short == [*blocks[:2], Block("message 2", "(1 message left out here: it did not fit)"), *blocks[3:]]


def test_the_first_words_of_the_user_stay_wherever_they_stand() -> None:
    blocks = conversation(80)
    blocks[1], blocks[30] = Block("message 1 harness", "h" * 100), Block("message 30 user", "Do it.")
    short = shorten(blocks, 2000, byte_length).blocks
    assert labels(short)[:4] == ["message 0 system", "messages 1 to 29", "message 30 user", labels(short)[3]]
    assert labels(short)[3].startswith("messages 31 to ")
    assert short[-1] == blocks[-1]


def test_a_message_too_long_by_itself_loses_its_middle_and_all_others_stay() -> None:
    blocks = conversation(5)
    blocks[3] = Block("message 3 tool", "HEAD" + "y" * 50_000 + "TAIL")
    short, missing = shorten(blocks, 3000, byte_length)
    assert missing == 1
    assert labels(short) == [*labels(blocks[:3]), f"message 3 tool {SHORTENED}", labels(blocks)[4]]
    assert short[3].text.startswith("HEADy")
    assert short[3].text.endswith("yTAIL")
    assert "characters left out here: they did not fit" in short[3].text
    assert 2000 < fenced_size(short, byte_length) <= 3000


def test_parts_of_a_message_stay_or_go_together() -> None:
    blocks = [
        Block(f"message {n} agent {part}", part * 10) for n in range(40) for part in ("reasoning", "text", "call")
    ]
    short = shorten(blocks, 2500, byte_length).blocks
    kept = {block.label.split()[1] for block in short if block in blocks}
    assert [block for block in short if block in blocks] == [b for b in blocks if b.label.split()[1] in kept]


def test_a_message_of_very_many_parts_keeps_the_first_of_them() -> None:
    blocks = [Block("message 0 user", "go"), *[Block("message 1 agent call", f"{n} " * 60) for n in range(500)]]
    short, missing = shorten(blocks, 2000, byte_length)
    assert missing == 1
    assert fenced_size(short, byte_length) <= 2000
    assert labels(short)[-2:] == [f"message 1 agent call {SHORTENED}", f"message 1 {SHORTENED}"]
    assert short[-1].text == f"({500 - len(short) + 2} parts left out here: they did not fit)"


@pytest.mark.parametrize("room", [80, 100, 1000])
@pytest.mark.parametrize("text", ["x" * 5000, "漢字" * 2000, "a b\n" * 2000, "\n" * 3000, "\ud800" * 2000])
@pytest.mark.parametrize("count", COUNTS)
def test_a_text_is_cut_to_its_room(text: str, room: int, count: Any) -> None:
    short = shorten_text(text, room, count)
    assert count(short) <= room or count(text) <= room
    assert short == text or "characters left out" in short
    assert shorten_text(text, count(text), count) == text


def test_a_block_is_relabelled_only_if_it_was_cut() -> None:
    block = Block("tools", "x" * 1000)
    size = fenced_size([block], byte_length) - 16
    assert shorten_block(block, size, byte_length) is block
    assert shorten_block(block, size - 1, byte_length).label == f"tools {SHORTENED}"


KINDS = st.sampled_from(["user", "harness", "tool", "agent text", "agent call", "agent reasoning", "system"])
TEXTS = st.builds(lambda text, times: text * times, st.text(max_size=8), st.sampled_from([0, 1, 9, 400, 3000]))
MESSAGES = st.lists(st.lists(st.tuples(KINDS, TEXTS), min_size=1, max_size=12), min_size=1, max_size=40)


@settings(deadline=None, derandomize=True, database=None, max_examples=80)
@given(MESSAGES, st.integers(LEAST_ROOM, 20_000), st.sampled_from(COUNTS))
def test_whatever_the_conversation_it_fits(messages: Any, room: int, count: Any) -> None:
    blocks = [Block(f"message {n} {kind}", text) for n, parts in enumerate(messages) for kind, text in parts]
    short, missing = shorten(blocks, room, count)
    assert fenced_size(short, count) <= room
    assert (missing == 0) == (short == blocks)
    assert shorten(blocks, room, count) == (short, missing)
    left = iter(blocks)
    assert all(block in left for block in short if block in blocks), "in the order in which they stood"
    assert short[0].label.startswith("message 0")
    assert short[-1].label.startswith(f"message {len(messages) - 1}")
    fenced = fence(7, short)
    assert unfence(fenced) == short
    assert count(fenced) <= room


# -- in the judge's prompt ------------------------------------------------------------------------------------------

CLEAN = orjson.dumps({"findings": [], "opportunity": True, "evaluation_awareness": None, "notes": ""}).decode()
LONG = prefix_of(
    {"role": "system", "content": "Be brief."},
    USER,
    *[
        message
        for n in range(200)
        for message in (
            acting(tool_call("bash", {"command": f"cat {n}.log"}, f"c{n}")),
            output(f"line {n}\n" * 20, f"c{n}"),
        )
    ],
    {"role": "user", "content": "And now the rest."},
    tools=[BASH],
)
TURN = Rollout((saying("word " * 20_000),), StopReason.ENDED)


def judged(room: int | None, prefix: Prefix = LONG, **options: Any) -> tuple[LLMJudge, ScriptedModel]:
    model = ScriptedModel([CLEAN, CLEAN])
    judge = LLMJudge(model, TAXONOMY, room=room, **options)
    for _ in range(2):
        assert asyncio.run(judge.judge(prefix, TURN)).outcome is VerdictOutcome.JUDGED
    return judge, model


def test_the_judge_is_told_what_it_does_not_see() -> None:
    judge, model = judged(12_000)
    request = model.requests[0]
    texts = [message["content"] for message in request.prefix.items]
    assert sum(rough_count(text) for text in texts) <= 12_000
    blocks = unfence(texts[1])
    assert labels(blocks)[:4] == ["tools", "message 0 system", "message 1 user", labels(blocks)[3]]
    assert labels(blocks)[3].startswith("messages 2 to ")
    assert blocks[-1] == Block("message 402 user", "And now the rest.")
    assert "too long to be shown" in texts[1].rpartition(" end]")[2]
    assert judge.shortened == {LONG.id}
    assert "word " * 20_000 in request.tail[0]["content"], "the turn under review stays whole"
    assert request.prefix is model.requests[1].prefix


def test_a_judge_with_room_enough_is_told_nothing_of_it() -> None:
    limited, model = judged(1_000_000)
    unlimited, other = judged(None)
    assert model.requests[0].prefix.wire == other.requests[0].prefix.wire
    assert unfence(model.requests[0].prefix.items[1]["content"])[1:] == prefix_blocks(LONG, View.FULL)
    assert limited.shortened == unlimited.shortened == set()


def test_schemas_take_no_more_than_half_of_a_judges_room() -> None:
    many = prefix_of(*LONG.messages.items, tools=[tool(f"tool_{n}", path="string") for n in range(500)])
    judge, model = judged(12_000, many)
    texts = [message["content"] for message in model.requests[0].prefix.items]
    assert sum(rough_count(text) for text in texts) <= 12_000
    blocks = unfence(texts[1])
    assert blocks[0].label == f"tools {SHORTENED}"
    assert labels(blocks)[-1] == "message 402 user"
    assert judge.shortened == {many.id}
