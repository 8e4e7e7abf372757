"""The measures count what they say they count."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from builders import BASH, USER, ScriptedModel, acting, output, prefix_of, saying, tool, tool_call

from resample.types import ChatRequest, Message
from simulators.fidelity import Case, Settings, measure
from simulators.fidelity.replayed import identity
from simulators.ladder import Ladder
from simulators.recorded import Recorded
from simulators.workspace.snapshots import Snapshots

TOOLS = [BASH, tool("Read", file_path="string"), tool("TodoWrite", todos="array")]
Made = tuple[str, dict[str, Any], str | None]


def turn(*made: Made) -> tuple[Message, ...]:
    messages: list[Message] = []
    for number, (name, arguments, text) in enumerate(made, start=1):
        messages.append(acting(tool_call(name, arguments, f"c{number}")))
        if text is not None:
            messages.append(output(text, f"c{number}"))
    return (*messages, saying("done"))


def case(*made: Made, before: Sequence[Message] = (), transcript: str = "t") -> Case:
    prefix = prefix_of(USER, *before, tools=TOOLS, cluster=transcript)
    prefix = replace(prefix, id=transcript + "0" * 15, transcript=transcript, derived={})
    return Case(prefix, turn(*made), "made_up")


def measured(name: str, *cases: Case, simulator: Any = None, judge: Any = None, **settings: Any) -> dict[str, Any]:
    result = asyncio.run(measure([name], cases, simulator, judge, Settings(**settings), Snapshots()))
    return orjson.loads(orjson.dumps(result[name]))


TODO: Made = ("TodoWrite", {"todos": []}, "Todos have been modified.")
LS: Made = ("bash", {"command": "ls"}, "a.txt")
DECLINED: Made = ("bash", {"command": "rm a"}, "The user doesn't want to proceed with this tool use. It was rejected.")


def test_identity_counts_the_calls_that_have_an_output():
    result = measured(
        "identity", case(LS, TODO, LS, ("bash", {"command": "date"}, "now"), ("bash", {"command": "x"}, None))
    )
    assert (result["calls"], result["matched"]) == (4, 4)
    assert result["by_tool"]["bash"]["calls"] == 3
    assert result["by_format"] == {"made_up": {"calls": 4, "matched": 4, "share": result["share"]}}
    assert result["share"]["rate"] == 1.0
    assert result["share"]["ci"][0] == pytest.approx(0.3976, abs=1e-4)  # 0.025 ** (1 / 4)


def test_reconstruction_counts_answers_right_ones_and_wrong_ones():
    cases = [
        case(TODO, TODO, LS, transcript="a"),  # the first one's form is not known yet
        case(TODO, TODO, (TODO[0], TODO[1], "Something else."), DECLINED, transcript="b"),
    ]
    result = measured("reconstruction", *cases)
    assert (result["calls"], result["answered"], result["right"], result["wrong"]) == (6, 3, 2, 1)
    assert (result["with_wrong"], result["transcripts"], result["declined"]) == (1, 2, 1)
    assert result["right_one_sided"] == pytest.approx(0.1354, abs=1e-4)  # of 3, 1 wrong
    assert result["by_source"] == {"workspace": 3}


def test_each_wrong_call_is_shown_around_its_first_difference():
    long = f"{'same ' * 1000}%s{' rest' * 1000}"
    read: Made = ("bash", {"command": "ls -R"}, long % "THEN")
    cases = [
        case(TODO, TODO, (TODO[0], TODO[1], "Something else."), transcript="a"),
        case(LS, (LS[0], LS[1], "b.txt"), transcript="b"),
        case(read, (read[0], read[1], long % "NOW"), transcript="c"),
    ]
    wrong = measured("reconstruction", *cases)["wrong_calls"]
    assert wrong[0] == {
        "transcript": "a",
        "format": "made_up",
        "number": 3,
        "call": {"name": "TodoWrite", "arguments": '{"todos":[]}'},
        "differs_at": 0,
        "given": "Todos have been modified.",
        "real": "Something else.",
    }
    assert [(each["transcript"], each["number"], each["differs_at"]) for each in wrong[1:]] == [
        ("b", 2, 0),
        ("c", 2, 5000),
    ]
    assert "same THEN rest" in wrong[2]["given"]
    assert "same NOW rest" in wrong[2]["real"]
    assert max(map(len, (wrong[2]["given"], wrong[2]["real"]))) == 2000


def test_each_call_that_did_not_get_its_output_back_is_shown():
    cases = [case(LS, LS, (LS[0], LS[1], "b.txt"))]
    result = asyncio.run(identity(cases, Ladder([Recorded(original=False)])))
    assert (result["calls"], result["matched"]) == (3, 1)
    shown = [(each["number"], each["given"], each["real"]) for each in result["unmatched_calls"]]
    assert shown == [(1, None, "a.txt"), (3, "a.txt", "b.txt")]


def test_a_form_that_two_other_transcripts_show_is_known_from_the_start():
    cases = [case(TODO, transcript=name) for name in "abc"]
    assert measured("reconstruction", *cases)["answered"] == 3
    assert measured("reconstruction", *cases[:2])["answered"] == 0, "one other is not enough"


def test_other_formats_that_stand_beside_change_no_form(monkeypatch: pytest.MonkeyPatch):
    cases = [case(TODO, transcript=name) for name in "abc"]
    other: Made = (TODO[0], TODO[1], "Noted by another harness.")
    others = [case(other, transcript=f"x{number}")._replace(format="another") for number in range(6)]
    others = [each._replace(prefix=replace(each.prefix, source="another", derived={})) for each in others]
    both = measured("reconstruction", *others, *cases)
    assert (both["right"], both["wrong"]) == (9, 0), "tools of one name differ from harness to harness"
    monkeypatch.setattr("simulators.experience.MOST", 6)
    few = measured("reconstruction", *others, *cases)["by_format"]
    assert few["made_up"]["right"] == 3, "the examples are as many of each format"


GET: Made = ("get_user", {"id": 1}, "Ann")


def test_a_service_is_taken_to_repeat_itself_where_two_other_clusters_show_it_and_none_the_contrary():
    steady = [case(GET, GET, transcript=name) for name in "abc"]
    result = measured("reconstruction", *steady)
    assert (result["answered"], result["right"]) == (3, 3)
    assert measured("reconstruction", *steady[:2])["answered"] == 0, "one other is not enough"
    fickle = case(GET, (*GET[:2], "Annie"), transcript="d")
    assert measured("reconstruction", *steady, fickle)["wrong"] == 1, "that one's own turn is not known to itself"
    assert measured("reconstruction", *steady, fickle)["answered"] == 1


def test_evidence_counts_the_lines_of_an_output_that_stand_in_the_prompt():
    before = [
        acting(tool_call("bash", {"command": "cat notes"}, "b1")),
        output("The first line.\nThe second line.", "b1"),
    ]
    text = "The first line.\nA line that nobody knows.\nshort\nThe first line.\nls -la src/deep"
    result = measured("evidence", case(("bash", {"command": "ls -la src/deep"}, text), before=before))
    assert (result["calls"], result["lines"], result["found"]) == (1, 2, 1)


def test_the_outputs_of_the_original_turn_are_hidden_until_they_were_asked_for():
    result = measured(
        "evidence",
        case(("bash", {"command": "a"}, "Known only later."), ("bash", {"command": "b"}, "Known only later.")),
    )
    assert (result["lines"], result["found"]) == (2, 1), "the second call may know what the first one gave"


# -- the discriminator ----------------------------------------------------------------------------------------------

CALLS = [("bash", {"command": f"./program {number}"}, f"real output {number}") for number in range(40)]


def judge_that(sees: Any) -> ScriptedModel:
    """A discriminator: `sees(A, B)` says which of the two is real."""

    def answer(request: ChatRequest) -> str:
        text = str(request.tail[-1]["content"])
        first, second = text.split("output A]\n")[1].split("\n[#")[0], text.split("output B]\n")[1].split("\n[#")[0]
        return orjson.dumps({"real": sees(first, second), "tell": "its form"}).decode()

    return ScriptedModel(answer)


def by_word(first: str, second: str) -> str:
    return "A" if first.startswith("real") else "B"


def only_controls(first: str, second: str) -> str:
    plain = ("AI", "example", "successfully", "PLACEHOLDER")
    return "B" if any(word in first for word in plain) else "A"


def test_a_discriminator_that_sees_everything():
    result = measured(
        "discriminator",
        case(*CALLS),
        simulator=ScriptedModel(lambda _: "made up"),
        judge=judge_that(by_word),
        pairs=30,
        controls=10,
    )
    assert (result["pairs"], result["correct"], result["identical"]) == (30, 30, 0)
    assert result["controls"] == {"pairs": 10, "caught": 10}
    assert result["statement"].startswith("told apart")
    assert result["tells"] == ["its form"]
    assert result["ci"] == result["accuracy"]["ci"]


def test_identical_pairs_are_counted_and_left_out_and_nothing_can_be_said_then():
    def same(request: ChatRequest) -> str:
        return f"real output {str(request.tail[-1]['content']).rsplit('./program ', 1)[1].split(chr(34))[0]}"

    result = measured("discriminator", case(*CALLS[:5]), simulator=ScriptedModel(same), judge=judge_that(by_word))
    assert (result["pairs"], result["identical"]) == (0, 5)
    assert result["statement"] == "nothing was compared"


def test_a_discriminator_that_misses_what_is_plainly_false_is_no_measure():
    result = measured(
        "discriminator",
        case(*CALLS),
        simulator=ScriptedModel(lambda _: "made up"),
        judge=judge_that(lambda *_: "A"),
        controls=20,
    )
    assert result["statement"].startswith("no measure: of 20 plainly false outputs")


def test_order_is_drawn_so_that_a_judge_who_always_says_a_is_right_half_of_the_time():
    many = [("bash", {"command": f"./program {number}"}, f"real {number}") for number in range(300)]
    result = measured(
        "discriminator",
        case(*many),
        simulator=ScriptedModel(lambda _: "made up"),
        judge=judge_that(only_controls),
        pairs=300,
    )
    assert result["controls"]["caught"] == result["controls"]["pairs"] == 20
    assert 0.4 < result["accuracy"]["rate"] < 0.6
    assert result["statement"].startswith("equivalent to guessing within 0.1")


def test_replies_that_cannot_be_read_are_failures_and_no_answers():
    result = measured(
        "discriminator",
        case(*CALLS[:4]),
        simulator=ScriptedModel(lambda _: "made up"),
        judge=ScriptedModel(lambda _: "B!"),
        controls=0,
    )
    assert (result["pairs"], result["failed"]) == (0, {"discriminator: unparseable": 4})


def test_the_simulator_never_sees_the_output_it_has_to_write():
    model = ScriptedModel(lambda _: "made up")
    measured("discriminator", case(*CALLS[:3]), simulator=model, judge=judge_that(by_word), controls=0)
    for request in model.requests:
        sent = request.prefix.wire.decode() + str(request.tail)
        number = sent.rsplit("./program ", 1)[1][0]
        assert f"real output {number}" not in sent
        assert all(f"real output {earlier}" in sent for earlier in range(int(number)))
