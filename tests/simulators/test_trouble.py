"""Trouble is drawn per call by seed; what failed was never made, and what is truncated says so."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence

import pytest
from builders import USER, acting, output, prefix_of, tool_call

from resample.types import Message, Prefix, SimulatorSession, Source, ToolCall, ToolOutput, UserError
from simulators.base import Unknown
from simulators.trouble import Trouble, Troubled, TroubledSession

CALL = ToolCall("c", "bash", '{"command":"make all"}', {"command": "make all"})
LONG = "".join(f"line {number}\n" for number in range(100))
PLAIN = {
    "timeout": "Error: the request timed out before it was completed.",
    "rate_limit": "Error: 429 Too Many Requests: rate limit exceeded, please try again later.",
    "transient": "Error: 503 Service Unavailable: the service is temporarily unavailable, please try again.",
}


class Inner:
    """Answers with one text, and keeps account of what it was asked and told."""

    def __init__(self, text: str = LONG, mark: str = "") -> None:
        self.output = ToolOutput(text, Source.RECORDED, mark)
        self.asked: list[ToolCall] = []
        self.heard: list[tuple[ToolCall, ToolOutput]] = []

    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> SimulatorSession:
        return self

    async def answer(self, call: ToolCall) -> ToolOutput:
        self.asked.append(call)
        return self.output

    def hear(self, call: ToolCall, output: ToolOutput) -> None:
        self.heard.append((call, output))


class Deaf:
    def open(self, prefix: Prefix, original: Sequence[Message], seed: int) -> SimulatorSession:
        return self

    async def answer(self, call: ToolCall) -> ToolOutput:
        raise Unknown(call.name)


def opened(trouble: Trouble, inner: Inner | Deaf, prefix: Prefix | None = None, seed: int = 1) -> TroubledSession:
    return Troubled(inner, trouble, 5).open(prefix or prefix_of(USER), [], seed)


def ask(session: TroubledSession, times: int = 1, call: ToolCall = CALL) -> list[ToolOutput]:
    async def answers() -> list[ToolOutput]:
        return [await session.answer(call) for _ in range(times)]

    return asyncio.run(answers())


def recorded(*exchanges: tuple[str, str, str]) -> Prefix:
    """A prefix with calls (tool, command, output)."""
    messages: list[Message] = [USER]
    for number, (tool, command, text) in enumerate(exchanges):
        messages += [acting(tool_call(tool, {"command": command}, f"p{number}")), output(text, f"p{number}")]
    return prefix_of(*messages)


@pytest.mark.parametrize(
    "shares",
    [
        {"timeout": -0.01},
        {"truncated": math.nan},
        {"transient": 1.01},
        {"timeout": 0.5, "rate_limit": 0.3, "truncated": 0.21},
    ],
)
def test_what_are_no_probabilities_is_refused(shares: dict[str, float]) -> None:
    with pytest.raises(UserError, match="trouble"):
        Trouble(**shares)


@pytest.mark.parametrize(
    ("trouble", "at", "expected"),
    [
        (Trouble(), 0.0, None),
        (Trouble(timeout=1), 0.999999, "timeout"),
        (Trouble(timeout=0.25, rate_limit=0.25, truncated=0.25, transient=0.25), 0.0, "timeout"),
        (Trouble(timeout=0.25, rate_limit=0.25, truncated=0.25, transient=0.25), 0.25, "rate_limit"),
        (Trouble(timeout=0.25, rate_limit=0.25, truncated=0.25, transient=0.25), 0.5, "truncated"),
        (Trouble(timeout=0.25, rate_limit=0.25, truncated=0.25, transient=0.25), 0.75, "transient"),
        (Trouble(rate_limit=0.25), 0.24, "rate_limit"),
        (Trouble(rate_limit=0.25), 0.25, None),
    ],
)
def test_the_kinds_lie_end_to_end(trouble: Trouble, at: float, expected: str | None) -> None:
    assert trouble.drawn(at) == expected


def test_tenths_that_add_up_to_one_are_no_more() -> None:
    assert Trouble(timeout=0.1, rate_limit=0.2, truncated=0.3, transient=0.4).drawn(0.95) == "transient"


def test_without_trouble_all_is_as_it_was() -> None:
    inner = Inner()
    session = opened(Trouble(), inner)
    assert ask(session, 50) == [inner.output] * 50
    assert session.troubles == {}


@pytest.mark.parametrize("kind", ["timeout", "rate_limit", "transient"])
def test_a_call_that_fails_is_not_made_only_heard_of(kind: str) -> None:
    inner = Inner()
    session = opened(Trouble(**{kind: 1.0}), inner)
    expected = ToolOutput(PLAIN[kind], Source.OTHER, kind)
    assert ask(session, 2) == [expected] * 2
    assert session.troubles == {0: kind, 1: kind}
    assert inner.asked == []
    assert inner.heard == [(CALL, expected)] * 2


def test_who_does_not_hear_is_not_told() -> None:
    assert ask(opened(Trouble(timeout=1), Deaf()))[0].mark == "timeout"


def test_a_truncated_output_ends_in_its_latter_half_and_says_so() -> None:
    inner = Inner()
    session = opened(Trouble(truncated=1), inner)
    outputs = ask(session, 40)
    note = "\n[output truncated]"
    kept = [each.content.removesuffix(note) for each in outputs]
    assert all(each.content.endswith(note) and LONG.startswith(part) for each, part in zip(outputs, kept, strict=True))
    assert all(len(LONG) / 2 <= len(part) < len(LONG) for part in kept)
    assert len(set(kept)) > 30
    assert {(each.source, each.mark) for each in outputs} == {(Source.RECORDED, "truncated")}
    assert len(inner.asked) == 40
    assert inner.heard == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ""), ("x", "x"), ("xy", "x\n[output truncated]"), ("xyz", "xy\n[output truncated]")],
)
def test_of_the_shortest_outputs_half_is_kept_or_all(text: str, expected: str) -> None:
    session = opened(Trouble(truncated=1), Inner(text))
    assert ask(session)[0].content == expected
    assert session.troubles == ({} if text == expected else {0: "truncated"})


def test_what_was_marked_before_stays_marked() -> None:
    assert ask(opened(Trouble(truncated=1), Inner(mark="faulty form")))[0].mark == "faulty form,truncated"


def test_the_same_seed_gives_the_same_trouble_in_whatever_order_rollouts_run() -> None:
    trouble = Trouble(timeout=0.1, rate_limit=0.1, truncated=0.2, transient=0.1)
    simulator, prefix = Troubled(Inner(), trouble, 5), prefix_of(USER)
    alone = {}
    for seed in range(8):
        session = simulator.open(prefix, [], seed)
        alone[seed] = (ask(session, 30), session.troubles)

    async def together() -> dict[int, tuple[list[ToolOutput], dict[int, str]]]:
        sessions = {seed: simulator.open(prefix, [], seed) for seed in reversed(range(8))}
        outputs: dict[int, list[ToolOutput]] = {seed: [] for seed in sessions}
        for _ in range(30):
            for seed, session in sessions.items():
                outputs[seed].append(await session.answer(CALL))
        return {seed: (outputs[seed], session.troubles) for seed, session in sessions.items()}

    assert asyncio.run(together()) == alone
    assert len({str(troubles) for _, troubles in alone.values()}) == 8
    other = Troubled(Inner(), trouble, 6).open(prefix, [], 0)
    assert ask(other, 30) != alone[0][0]


def test_kinds_come_as_often_as_they_are_to() -> None:
    trouble = Trouble(timeout=0.1, rate_limit=0.2, truncated=0.3, transient=0.1)
    session = opened(trouble, Inner())
    ask(session, 4000)
    counts = Counter(session.troubles.values())
    for kind, share in {"timeout": 0.1, "rate_limit": 0.2, "truncated": 0.3, "transient": 0.1}.items():
        assert abs(counts[kind] / 4000 - share) < 0.03


def test_the_number_is_that_of_the_output_and_what_was_heard_of_counts() -> None:
    trouble = Trouble(timeout=0.5)
    drawn = opened(trouble, Inner())
    ask(drawn, 20)
    inner = Inner()
    session = opened(trouble, inner)
    harness = ToolOutput("no such tool", Source.HARNESS)
    session.hear(CALL, harness)
    assert inner.heard == [(CALL, harness)]
    ask(session, 19)
    assert session.troubles == {number: kind for number, kind in drawn.troubles.items() if number > 0}


def test_a_call_that_was_answered_elsewhere_has_one_number() -> None:
    trouble = Trouble(timeout=0.5)
    drawn = opened(trouble, Inner())
    ask(drawn, 20)
    session = opened(trouble, Deaf())

    async def ladder() -> None:
        for _ in range(20):
            try:
                await session.answer(CALL)
            except Unknown:
                session.hear(CALL, ToolOutput("", Source.LLM))

    asyncio.run(ladder())
    assert session.troubles == drawn.troubles


TIMED_OUT = "Command timed out after 120 s"


@pytest.mark.parametrize(
    ("exchanges", "expected"),
    [
        ([("bash", "ls", TIMED_OUT)], TIMED_OUT),
        ([("bash", "ls", TIMED_OUT), ("bash", "ls", "EXECUTION TIMED OUT\n$")], "EXECUTION TIMED OUT\n$"),  # the latest
        ([("bash", "ls", TIMED_OUT), ("sql", "x", "query timed out")], TIMED_OUT),  # this tool's own
        ([("sql", "x", "query timed out")], "query timed out"),
        ([("bash", "ls", "a file\n")], PLAIN["timeout"]),
        ([("bash", "ls", "timeout = 30")], PLAIN["timeout"]),  # a setting is no error
        ([("bash", "ls", LONG + TIMED_OUT)], PLAIN["timeout"]),  # nor is a long text that mentions one
        ([("bash", "curl example.com", "curl: example.com: timed out")], PLAIN["timeout"]),  # of another call
        ([("bash", "make it", "make: timed out")], "make: timed out"),  # that this one asks for, too
        ([("bash", "ls", "429 Too Many Requests")], PLAIN["timeout"]),  # another kind
    ],
)
def test_an_error_of_this_environment_is_used_where_one_fits(
    exchanges: list[tuple[str, str, str]], expected: str
) -> None:
    assert ask(opened(Trouble(timeout=1), Inner(), recorded(*exchanges)))[0].content == expected


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("rate_limit", "You have been rate limited."),
        ("rate_limit", '{"error": "Too Many Requests"}'),
        ("transient", "read: connection reset by peer"),
        ("transient", "HTTP 500: Internal Server Error"),
    ],
)
def test_errors_of_the_other_kinds_are_found(kind: str, text: str) -> None:
    outputs = ask(opened(Trouble(**{kind: 1.0}), Inner(), recorded(("bash", "ls", text))))
    assert outputs == [ToolOutput(text, Source.OTHER, kind)]
