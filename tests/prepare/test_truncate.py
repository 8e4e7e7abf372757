"""Where transcripts are cut: the cases that have to come out right, and what holds for all."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from resample.actions import begins_turn, style
from resample.formats import Problem
from resample.formats.checks import validate
from resample.prepare.policies import POLICIES, Truncate, policy
from resample.prepare.prefix import make_prefix
from resample.prepare.truncate import Cut, Cuts, Recording
from resample.types import Message, ToolCall, Transcript, UserError

TOOLS = style("tools")


class TextActions:
    """An agent that writes commands as text and gets their outputs as user messages."""

    def calls(self, message: Message) -> list[ToolCall]:
        return []

    def output(self, call: ToolCall, content: str) -> Message:
        return {"role": "user", "content": content}

    def is_output(self, messages: Sequence[Message], index: int) -> bool:
        return index > 0 and messages[index - 1]["role"] == "assistant"


def conversation(text: str) -> list[Message]:
    """One word per message: s(ystem), d(eveloper), u(ser), r(esult in a user message), a(ssistant) with the ids of its
    calls, t(ool) with the id it answers."""
    messages: list[Message] = []
    for word in text.split():
        role = {"s": "system", "d": "developer", "u": "user", "r": "user", "a": "assistant", "t": "tool"}[word[0]]
        message: Message = {"role": role, "content": word}
        if word[0] == "r":
            message["content"] = [{"type": "tool_result", "tool_use_id": "x", "content": "out"}]
        elif word[0] == "t":
            message["tool_call_id"] = word[1:]
        elif word[0] == "a" and len(word) > 1:
            calls = [{"id": i, "type": "function", "function": {"name": "ls", "arguments": "{}"}} for i in word[1:]]
            message["tool_calls"] = calls
        messages.append(message)
    return messages


@pytest.mark.parametrize(
    ("text", "last_turn", "last_action"),
    [
        # One turn, and several.
        ("u a", (1, 2), (1, 2)),
        ("s u a", (2, 3), (2, 3)),
        ("s a", (1, 2), (1, 2)),
        ("u a u a", (3, 4), (3, 4)),
        ("u a1 t1 a2 t2 a", (1, 6), (5, 6)),
        ("u a u a1 t1 a", (3, 6), (5, 6)),
        # Calls and their outputs stay together.
        ("u a12 t1 t2", (1, 4), (1, 4)),
        ("u a12 t2 t1 a", (1, 5), (4, 5)),
        ("u a1 t1 u a1 t1 a", (4, 7), (6, 7)),
        ("u a u a1", (3, 4), (3, 4)),
        # A log that ends with a user message: the last turn that has a reply.
        ("u a u", (1, 2), (1, 2)),
        ("u a u a1 t1 u u", (3, 5), (3, 5)),
        # What stands between the user's message and the reply belongs to the prefix.
        ("u a u u a", (4, 5), (4, 5)),
        ("u a u d a", (4, 5), (4, 5)),
        # What a system says inside a turn does not begin one.
        ("u a1 t1 s a u", (1, 5), (4, 5)),
        # Tool results in user messages begin no turn.
        ("u a r a r a", (1, 6), (5, 6)),
        ("u a u a r", (3, 5), (3, 5)),
        # Nothing to resample, or nothing to answer.
        ("s u", "no assistant message", "no assistant message"),
        ("u", "no assistant message", "no assistant message"),
        ("a", "nothing before the cut", "nothing before the cut"),
        ("a u", "nothing before the cut", "nothing before the cut"),
        ("a a u", "nothing before the cut", "nothing before the cut"),
        # A call without an output, or with one that comes too late for any provider.
        ("u a1 u a", "unanswered tool call before the cut", "unanswered tool call before the cut"),
        ("u a12 t1 u a", "unanswered tool call before the cut", "unanswered tool call before the cut"),
        ("u a1 u t1 a", "unanswered tool call before the cut", "unanswered tool call before the cut"),
        ("u a1 a t1", (1, 4), (1, 4)),  # messages in a row are one action
        ("u a1 t1 a2 a", (1, 5), (3, 5)),
        ("u a s", (1, 2), (1, 2)),  # what the harness says afterwards is no part of the turn
    ],
)
def test_cuts(text: str, last_turn: Any, last_action: Any) -> None:
    for name, expected in (("last_turn", last_turn), ("last_action", last_action)):
        assert cuts_of(text, policy=name) == (expected if isinstance(expected, str) else [expected]), name


def cuts_of(text: str, labels: dict[str, Any] | None = None, seed: int = 0, **settings: Any) -> Any:
    """Where a policy cuts, or why it does not."""
    found = policy(Truncate(**settings), seed).cuts(Recording(conversation(text), TOOLS, "t", labels))
    return str(found.reason) if isinstance(found, Problem) else [(cut.index, cut.end) for cut in found.cuts]


NO_PLACE = "no such place to cut"
LONG = "u a1 t1 a2 t2 a u a3 t3 a"


@pytest.mark.parametrize(
    ("settings", "text", "expected"),
    [
        ({"policy": "last_model_call"}, "u a1 t1 a", [(3, 4)]),
        ({"policy": "last_model_call"}, "u a1 t1 a a", [(4, 5)]),
        ({"policy": "last_action"}, "u a1 t1 a a", [(3, 5)]),
        ({"policy": "last_model_call"}, "u a1 a t1", "unanswered tool call before the cut"),
        ({"policy": "step", "at": 1}, LONG, [(1, 6)]),
        ({"policy": "step", "at": 2}, LONG, [(3, 6)]),
        ({"policy": "step", "at": 4}, LONG, [(7, 10)]),
        ({"policy": "step", "at": -1}, LONG, [(9, 10)]),
        ({"policy": "step", "at": -5}, LONG, [(1, 6)]),
        ({"policy": "step", "at": 6}, LONG, NO_PLACE),
        ({"policy": "step", "at": -6}, LONG, NO_PLACE),
        ({"policy": "step", "at": 0.5}, LONG, [(5, 6)]),
        ({"policy": "step", "at": 0.01}, LONG, [(1, 6)]),
        ({"policy": "step", "at": 0.99}, LONG, [(9, 10)]),
        ({"policy": "step", "at": 1}, "a u a", "nothing before the cut"),
        ({"policy": "each_action"}, LONG, [(1, 6), (3, 6), (5, 6), (7, 10), (9, 10)]),
        ({"policy": "each_action"}, "a u a a1 t1 a", [(2, 6), (5, 6)]),
        ({"policy": "each_action"}, "u a u a1 u a", [(1, 2), (3, 4)]),
        ({"policy": "each_action"}, "a", "nothing before the cut"),
        ({"policy": "random", "turns": 9}, "u a u a1 t1 a u u a u", [(1, 2), (3, 6), (8, 9)]),
        ({"policy": "random", "turns": 9}, "u a u a1 u a", [(1, 2), (3, 4)]),
        ({"policy": "at_tool"}, LONG, [(1, 6)]),
        ({"policy": "at_tool", "n": 3}, LONG, [(7, 10)]),
        ({"policy": "at_tool", "n": -1}, LONG, [(7, 10)]),
        ({"policy": "at_tool", "n": -3}, LONG, [(1, 6)]),
        ({"policy": "at_tool", "n": 4}, LONG, NO_PLACE),
        ({"policy": "at_tool", "n": 2}, "u a12 t1 t2", [(1, 4)]),
        ({"policy": "at_tool"}, "u a a1 t1", [(1, 4)]),
        ({"policy": "at_tool", "tool": "l?"}, LONG, [(1, 6)]),
        ({"policy": "at_tool", "tool": "rm*"}, LONG, NO_PLACE),
        ({"policy": "at_tool", "arguments": "^{}$"}, LONG, [(1, 6)]),
        ({"policy": "at_tool", "arguments": "rm -rf"}, LONG, NO_PLACE),
    ],
)
def test_cuts_of_the_other_policies(settings: dict[str, Any], text: str, expected: Any) -> None:
    assert cuts_of(text, **settings) == expected


@pytest.mark.parametrize(
    ("flagged", "expected"),
    [
        (3, [(3, 6)]),
        ([3, 7], [(3, 6), (7, 10)]),
        ([7, 3, 3, 4], [(3, 6), (7, 10)]),  # an output belongs to the action that made its call
        (0, [(1, 6)]),  # a user's message to the one that answers it
        (6, [(7, 10)]),
        (None, NO_PLACE),
        ([], NO_PLACE),
        (10, "bad label"),
        (-1, "bad label"),
        (True, "bad label"),
        ("3", "bad label"),
        ([3, "x"], "bad label"),
    ],
)
def test_a_flagged_message_is_cut_before_its_action(flagged: Any, expected: Any) -> None:
    assert cuts_of(LONG, {"wrong": flagged}, policy="flagged", label="wrong") == expected


def test_random_turns_are_drawn_uniformly_and_weigh_what_they_stand_for() -> None:
    text = "u a u a1 t1 a u a u a"
    drawn = [cuts_of(text, seed=seed, policy="random")[0][0] for seed in range(4000)]
    for place in (1, 3, 7, 9):
        assert abs(drawn.count(place) - 1000) < 4.5 * 27.4  # standard deviations of a binomial
    assert cuts_of(text, seed=5, policy="random", turns=2) == cuts_of(text, seed=5, policy="random", turns=2)
    found = policy(Truncate("random", turns=3)).cuts(Recording(conversation(text), TOOLS))
    assert isinstance(found, Cuts)
    assert [cut.stands_for for cut in found.cuts] == [4 / 3] * 3


def test_places_that_cannot_be_cut_are_counted() -> None:
    found = policy(Truncate("each_action")).cuts(Recording(conversation("a u a1 t1 a2 u a u a"), TOOLS))
    assert isinstance(found, Cuts)
    assert ([cut.index for cut in found.cuts], found.passed_over) == ([2, 4], 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"policy": "step"}, r"truncate\.at: truncate=step needs"),
        ({"policy": "step", "at": 0}, r"truncate\.at=0: "),
        ({"policy": "step", "at": 1.5}, r"truncate\.at=1\.5: "),
        ({"policy": "step", "at": -0.5}, r"truncate\.at=-0\.5: "),
        ({"policy": "at_tool", "n": 0}, r"truncate\.n=0: "),
        ({"policy": "at_tool", "arguments": "("}, r"truncate\.arguments=\(: is no regular expression"),
        ({"policy": "random", "turns": 0}, r"truncate\.turns=0: "),
        ({"policy": "last_turn", "n": 2}, r"truncate\.n: has no meaning with truncate=last_turn"),
        ({"policy": "random", "at": 2}, r"truncate\.at: has no meaning"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        policy(Truncate(**settings))


@pytest.mark.parametrize(
    ("text", "last_turn", "last_action"),
    [("s u a u a u a", (2, 7), (6, 7)), ("s u a u", (2, 4), (2, 4)), ("s u a u u a", (5, 6), (5, 6))],
)
def test_a_user_message_after_a_text_agent_is_an_output(
    text: str, last_turn: tuple[int, int], last_action: tuple[int, int]
) -> None:
    recording = Recording(conversation(text), TextActions())
    assert policy(Truncate("last_turn")).cuts(recording) == Cuts((Cut(*last_turn),))
    assert policy(Truncate("last_action")).cuts(recording) == Cuts((Cut(*last_action),))


SETTINGS = {name: Truncate(name, at=-1 if name == "step" else None) for name in POLICIES}


def test_every_policy_states_its_estimand() -> None:
    for name, settings in SETTINGS.items():
        known = policy(settings)
        assert known.name == name
        assert all(known.estimand[:3])
        assert known.estimand.conditional == (name in ("at_tool", "flagged"))
        assert known.estimand.per_turn == (name == "random")


def test_an_unknown_policy_is_refused_with_those_known() -> None:
    with pytest.raises(UserError, match=r"truncate\.policy=first.*last_turn, last_action"):
        policy(Truncate("first"))


def random_conversation(draw: random.Random) -> list[Message]:
    """Any valid conversation: parallel calls, missing outputs, results in user messages, roles in any order."""
    words: list[str] = []
    for _ in range(draw.randrange(1, 14)):
        kind = draw.choice("suuadr" + "aaaa")
        ids = "123456789"[: draw.choice((0, 1, 1, 2, 3))] if kind == "a" else ""
        words.append(kind + ids)
        answered = draw.sample(ids, len(ids) if draw.random() < 0.9 else draw.randrange(len(ids) + 1))
        words += [f"t{id}" for id in answered]
    messages = conversation(" ".join(words))
    for number, message in enumerate(messages):  # every text is one of its kind
        message["marker"] = f"<{number}>"
    return messages


@pytest.mark.parametrize("name", list(POLICIES))
def test_what_holds_for_every_cut(name: str) -> None:
    found = 0
    for seed in range(1500):
        draw = random.Random(seed)
        messages = random_conversation(draw)
        transcript = Transcript("t", messages)
        assert validate(transcript) is None
        recording = Recording(messages, TOOLS, "t", {"flagged": draw.randrange(len(messages))})
        cuts = policy(SETTINGS[name], seed).cuts(recording)
        assert cuts == policy(SETTINGS[name], seed).cuts(Recording(messages, TOOLS, "t", recording.labels))
        if isinstance(cuts, Problem):
            continue
        assert len({cut.index for cut in cuts.cuts}) == len(cuts.cuts)
        for cut in cuts.cuts:
            found += 1
            prefix, original = make_prefix(transcript, cut)
            check_cut(messages, cut, original)
            assert len(prefix.messages.items) == cut.index
            assert b"marker" not in prefix.messages.wire
            if name.startswith("last"):  # no reply after the original turn was passed over
                assert not any(m["role"] == "assistant" for m in messages[cut.end :])
    assert found > 500


def check_cut(messages: Sequence[Message], cut: Cut, original: Sequence[Message]) -> None:
    assert list(original) == list(messages[cut.index : cut.end])
    assert original[0]["role"] == "assistant"
    assert not any(begins_turn(TOOLS, original, i) for i in range(len(original)))
    # No call is parted from its outputs, on either side.
    waiting: set[str] = set()
    for message in messages[: cut.index]:
        waiting |= {call["id"] for call in message.get("tool_calls", ())}
        waiting -= {message.get("tool_call_id", "")}
    assert not waiting
    if cut.end < len(messages):
        assert messages[cut.end]["role"] in ("user", "system", "developer")
