"""The model is told what is known, asked again where its output cannot be right, and what stays faulty is marked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from builders import BASH, USER, ScriptedModel, acting, output, prefix_of, reply, tool, tool_call

from resample.actions import style
from resample.judging.render import unfence
from resample.models.budget import Budget
from resample.models.endpoint import Endpoint
from resample.models.limits import Limits
from resample.models.openai_sdk import OpenAITransport
from resample.models.price import FREE
from resample.models.retry import Patience
from resample.standin.server import start
from resample.standin.settings import StandInSettings
from resample.types import Mark, Message, Prefix, Source, ToolCall, ToolOutput
from simulators.experience import Experience
from simulators.ladder import Standard, standard_ladder
from simulators.llm import LLMSimulator
from simulators.recorded import Recorded
from simulators.workspace import Workspace

TOOLS = [
    BASH,
    tool("Read", file_path="string", offset="integer", limit="integer"),
    tool("search_orders", query="string"),
    tool("refund", order="string"),
]
Made = tuple[str, dict[str, Any], str]


def shown(*made: Made) -> list[Message]:
    messages: list[Message] = [USER]
    for number, (name, arguments, text) in enumerate(made, start=1):
        messages += [acting(tool_call(name, arguments, f"c{number}")), output(text, f"c{number}")]
    return messages


def call(name: str, arguments: Any) -> ToolCall:
    return style("tools").calls(acting(tool_call(name, arguments)))[0]


def ask(model: ScriptedModel, before: Sequence[Message], *calls: tuple[str, Any], **fields: Any) -> list[ToolOutput]:
    async def answers() -> list[ToolOutput]:
        session = standard_ladder(model, **fields).open(prefix_of(*before, tools=TOOLS), (), 1)
        return [await session.answer(call(*each)) for each in calls]

    return asyncio.run(answers())


FILE = "one\ntwo\nthree\n"
BEFORE = shown(
    ("bash", {"command": "cat /srv/a.txt"}, FILE),
    ("bash", {"command": "ls /srv"}, "a.txt\nb.txt"),
    ("search_orders", {"query": "open"}, '{"orders": [{"id": 1}], "total": 1}'),
    ("search_orders", {"query": "shipped"}, '{"orders": [], "total": 0}'),
    ("search_orders", {"query": "late"}, '{"orders": [{"id": 7}], "total": 1}'),
)


@pytest.mark.parametrize(
    ("asked", "faulty", "says"),
    [
        pytest.param(
            ("bash", {"command": "./status"}), "I'm sorry, but as an AI I cannot run this.", "", id="an apology"
        ),
        pytest.param(("search_orders", {"query": "lost"}), "```json\n{}\n```", "", id="a fence"),
        pytest.param(("search_orders", {"query": "lost"}), "All of them went out last week.", "JSON", id="no JSON"),
        pytest.param(("search_orders", {"query": "lost"}), "[]", "JSON", id="JSON of another form"),
        pytest.param(
            ("bash", {"command": "cat -A /srv/a.txt | head -2; cat /srv/a.txt"}), None, "", id="what the world allows"
        ),
        pytest.param(
            ("Read", {"file_path": "/srv/a.txt"}),
            "     1→one\n     2→tw0\n     3→three",
            "line 2 of /srv/a.txt is 'two', not 'tw0'",
            id="a line that is known to be another one",
        ),
        pytest.param(
            ("bash", {"command": "cat /srv/a.txt /srv/c.txt"}),
            "cat: /srv/a.txt: No such file or directory\ncat: /srv/c.txt: No such file or directory",
            "/srv/a.txt exists, and the output says that it does not",
            id="a file that is known to be there",
        ),
    ],
)
def test_an_output_that_cannot_be_right_is_asked_for_once_more(asked: Any, faulty: str | None, says: str):
    if faulty is None:
        model = ScriptedModel([reply("one$\ntwo$\none\ntwo\nthree")])
        assert [each.mark for each in ask(model, BEFORE, asked)] == [""]
        return
    right = {
        "bash": "fine",
        "search_orders": '{"orders": [], "total": 0}',
        "Read": "     1→one\n     2→two\n     3→three",
    }[asked[0]]
    model = ScriptedModel([reply(faulty), reply(right)])
    (answer,) = ask(model, BEFORE, asked)
    assert answer == ToolOutput(right, Source.LLM)
    again = model.requests[1].tail
    assert [message["role"] for message in again] == ["user", "assistant", "user"]
    assert again[1]["content"] == faulty
    assert says in unfence(again[2]["content"])[0].text

    stays = ScriptedModel([reply(faulty), reply(faulty)])
    (answer,) = ask(stays, BEFORE, asked)
    assert answer == ToolOutput(faulty, Source.LLM, Mark.FORM), "it is kept, and marked"


def test_what_the_model_once_said_stays_true():
    model = ScriptedModel([reply("alpha\nbeta"), reply("gamma\ndelta"), reply("1:alpha")])
    first, second, third = ask(
        model,
        BEFORE,
        ("bash", {"command": "cat /srv/b.txt"}),
        ("bash", {"command": "cat /srv/b.txt"}),
        ("bash", {"command": "./count; grep -n a /srv/b.txt | head -1"}),
    )
    assert second == first, "the same question has the same answer, and no model is asked"
    assert any("1\talpha" in part for part in unfence_all(model.requests[1].tail[0]["content"]))
    assert third.content in ("gamma\ndelta", "1:alpha")


def unfence_all(text: str) -> list[str]:
    return [block.text for part in text.split(" end]") for block in unfence(f"{part} end]")]


def test_the_model_is_told_what_bears_on_the_call():
    model = ScriptedModel([reply("out")])
    ask(model, BEFORE, ("bash", {"command": "md5sum /srv/a.txt /srv/none.txt"}))
    text = model.requests[0].tail[0]["content"]
    assert "/srv/a.txt: a file of 3 lines, 14 bytes, 3 words" in text
    assert "md5 52ba2a1f8ea4e9dd8f5ae5a1f0e0c4a1"[:4] in text
    assert "/srv/none.txt: does not exist" in text, "the folder was listed, and has none"


def test_arithmetic_is_computed_and_handed_over():
    model = ScriptedModel([reply("85")])
    ask(model, BEFORE, ("refund", {"order": "(12 + 5) * 5"}))
    assert "(12 + 5) * 5 = 85" in model.requests[0].tail[0]["content"]


def test_examples_come_from_this_conversation_and_from_other_clusters_only():
    def transcript(name: str, cluster: str) -> tuple[Prefix, tuple[Message, ...]]:
        made = shown(("refund", {"order": name}, f"refunded {name}"))
        return prefix_of(*made, tools=TOOLS, cluster=cluster), ()

    others = [transcript("mine-too", "mine"), transcript("theirs", "theirs")]
    experience = Experience(lambda: others)
    model = ScriptedModel([reply("refunded new")])
    simulator = LLMSimulator(model, corpus=lambda: experience.corpus)
    prefix = prefix_of(*BEFORE, tools=TOOLS, cluster="mine")
    asyncio.run(simulator.open(prefix, (), 1).answer(call("refund", {"order": "new"})))
    text = model.requests[0].tail[0]["content"]
    assert "refunded theirs" in text
    assert "mine-too" not in text


def test_a_share_of_the_rollouts_is_played_without_the_original_turn():
    original = [acting(tool_call("refund", {"order": "9"}, "o1")), output("refunded 9", "o1")]
    model = ScriptedModel(lambda _: reply("something"))
    simulator = Standard(Recorded(), Workspace(), LLMSimulator(model), original=0.5)
    prefix = prefix_of(*BEFORE, tools=TOOLS)

    async def play(seed: int) -> ToolOutput:
        return await simulator.open(prefix, original, seed).answer(call("refund", {"order": "9"}))

    answers = [asyncio.run(play(seed)) for seed in range(200)]
    hidden = [each for each in answers if each.mark == Mark.HIDDEN]
    assert 70 < len(hidden) < 130
    assert {each.content for each in hidden} == {"something"}
    assert {(each.content, each.source) for each in answers if not each.mark} == {("refunded 9", Source.RECORDED)}
    assert all("refunded 9" not in str(request.prefix.items) for request in model.requests)
    assert asyncio.run(play(3)) == answers[3]


def test_a_simulator_that_errs_is_caught_over_the_wire():
    """The stand-in as a simulator whose every output cannot be right, then as one that makes sense."""

    async def marks(faults: float) -> list[str]:
        with start(StandInSettings(simulator_faults=faults)) as server:
            transport = OpenAITransport(
                "default", base_url=server.base_url, timeout=10.0, params={}, headers={}, pool=1
            )
            model = Endpoint(transport, limits=Limits(), budget=Budget(), price=FREE, patience=Patience(attempts=1))
            session = standard_ladder(model).open(prefix_of(*BEFORE, tools=TOOLS), (), 1)
            made = [await session.answer(call("refund", {"order": str(number)})) for number in range(10)]
            await model.close()
            return [each.mark for each in made]

    assert asyncio.run(marks(1.0)) == [Mark.FORM] * 10
    assert asyncio.run(marks(0.0)) == [""] * 10


def test_form_notes_tell_how_outputs_look_here():
    model = ScriptedModel([reply(orjson.dumps({"orders": [], "total": 0}).decode())])
    ask(model, BEFORE, ("search_orders", {"query": "x"}))
    text = model.requests[0].tail[0]["content"]
    assert "JSON" in text.split("The form of the outputs")[1]
