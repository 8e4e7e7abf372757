"""Can a model tell simulated outputs from real ones?

The original turn's calls are held fixed and only their outputs are simulated, each after the real outputs of the calls
before it: a judge of whole rollouts would recognise the candidate's style rather than the simulator's (method: 8). The
turn's own recordings are hidden from the simulator. Pairs that are equal byte for byte tell nothing: they are counted,
and left out.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from resample.judging.render import Block, View, fence, prefix_blocks
from resample.prompts import read_prompt
from resample.seeds import derive
from resample.stats.binomial import proportion
from resample.types import (
    BudgetSpent,
    ChatModel,
    ChatRequest,
    Message,
    ModelError,
    Role,
    RunStopped,
    Shared,
    SimulatorError,
    ToolCall,
)
from simulators.fidelity.cases import Case
from simulators.fidelity.replayed import tell
from simulators.fidelity.tally import Tally
from simulators.ladder import Standard
from simulators.llm import PROMPTS, LLMSimulator
from simulators.recorded import Recorded
from simulators.workspace import Workspace

_SCHEMA = {
    "name": "which",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {"real": {"type": "string", "enum": ["A", "B"]}, "tell": {"type": "string"}},
        "required": ["real", "tell"],
        "additionalProperties": False,
    },
}
_CAUGHT = 0.9
"""Of the plainly false outputs, so many have to be recognised: a judge that cannot is no measure."""
_TELLS = 20


class Settings(NamedTuple):
    """How the discriminator is asked."""

    seed: int = 0
    pairs: int = 200
    controls: int = 20
    margin: float = 0.1
    concurrency: int = 32


class _Pair(NamedTuple):
    case: Case
    at: int
    """Which call of the turn."""
    real: str
    fake: str
    is_control: bool = False


class _Answer(NamedTuple):
    correct: bool
    tell: str


async def discriminate(
    cases: Sequence[Case],
    recorded: Recorded,
    workspace: Workspace,
    written: LLMSimulator,
    judge: ChatModel,
    settings: Settings,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Accuracy with its interval, whether it is equivalent to chance, and what gave the false outputs away."""
    failed: Counter[str] = Counter()
    limit = asyncio.Semaphore(settings.concurrency)
    standard = Standard(recorded, workspace, written)
    drawn = _drawn(cases, settings)

    async def one(case: Case, wanted: frozenset[int]) -> list[_Pair]:
        async with limit:
            return await _pairs(case, wanted, standard, failed)

    made = await asyncio.gather(*(one(case, wanted) for case, wanted in drawn))
    pairs = [pair for each in made for pair in each if pair.fake != pair.real]
    identical = sum(len(each) for each in made) - len(pairs)
    controls = _controls(pairs, settings)
    answers = await _asked([*pairs, *controls], judge, settings, failed, progress)
    return _result(pairs, controls, answers, identical, failed, settings)


def _drawn(cases: Sequence[Case], settings: Settings) -> list[tuple[Case, frozenset[int]]]:
    """The calls to ask about: a sample of all that have a recorded output."""
    places = [
        (number, at)
        for number, case in enumerate(cases)
        for at, recorded in enumerate(case.calls)
        if recorded.output is not None
    ]
    generator = random.Random(derive(settings.seed, "pairs"))
    chosen = generator.sample(places, min(settings.pairs, len(places)))
    return [
        (case, frozenset(at for owner, at in chosen if owner == number))
        for number, case in enumerate(cases)
        if any(owner == number for owner, _ in chosen)
    ]


async def _pairs(case: Case, wanted: frozenset[int], simulator: Standard, failed: Counter[str]) -> list[_Pair]:
    """The simulated outputs of these calls beside the real ones; the others are only told what really came of them."""
    pairs: list[_Pair] = []
    for at in sorted(wanted):
        session = simulator.open(case.prefix, (), derive(0, case.prefix.id, at))
        for call, real in case.calls[:at]:
            tell(session, call, real)
        call, real = case.calls[at]
        assert real is not None
        try:
            pairs.append(_Pair(case, at, real, (await session.answer(call)).content))
        except ModelError as error:
            failed[f"simulator: {error.fault}"] += 1
        except (SimulatorError, RunStopped) as error:
            failed[f"simulator: {_reason(error)}"] += 1
    return pairs


def _controls(pairs: Sequence[_Pair], settings: Settings) -> list[_Pair]:
    """Real outputs beside plainly false ones."""
    false = [text.strip("\n") for text in read_prompt(PROMPTS / "controls.txt").template.split("---\n")]
    chosen = list(pairs[: settings.controls])
    return [pair._replace(fake=false[number % len(false)], is_control=True) for number, pair in enumerate(chosen)]


async def _asked(
    pairs: Sequence[_Pair], judge: ChatModel, settings: Settings, failed: Counter[str], progress: Callable[[int], None]
) -> list[_Answer | None]:
    """One answer per pair, in their order; None where there is none that can be read."""
    limit = asyncio.Semaphore(settings.concurrency)
    done = 0

    async def ask(number: int, pair: _Pair) -> _Answer | None:
        nonlocal done
        real_first = random.Random(derive(settings.seed, "order", number)).random() < 0.5
        async with limit:
            answer = await _ask(pair, real_first, judge, settings.seed, failed)
        done += 1
        progress(done)
        return answer

    return list(await asyncio.gather(*(ask(number, pair) for number, pair in enumerate(pairs))))


async def _ask(pair: _Pair, real_first: bool, judge: ChatModel, seed: int, failed: Counter[str]) -> _Answer | None:
    first, second = (pair.real, pair.fake) if real_first else (pair.fake, pair.real)
    prefix = Shared(({"role": "system", "content": read_prompt(PROMPTS / "discriminator.txt").substitute()},))
    call = pair.case.calls[pair.at].call
    text = read_prompt(PROMPTS / "pair.txt").substitute(
        conversation=fence(seed, _conversation(pair)),
        pair=fence(seed, [Block("call", _text(call)), Block("output A", first), Block("output B", second)]),
    )
    tail: Message = {"role": "user", "content": text}
    try:
        reply = await judge.complete(ChatRequest(Role.JUDGE, prefix, (tail,), schema=_SCHEMA))
        given = orjson.loads(reply.message.get("content") or "")
        return _Answer((given["real"] == "A") == real_first, str(given["tell"]))
    except ModelError as error:
        failed[f"discriminator: {error.fault}"] += 1
    except RunStopped as error:
        failed[f"discriminator: {_reason(error)}"] += 1
    except (orjson.JSONDecodeError, KeyError, TypeError):
        failed["discriminator: unparseable"] += 1
    return None


def _reason(error: Exception) -> str:
    return "budget spent" if isinstance(error, BudgetSpent) else str(error).partition(":")[0]


def _conversation(pair: _Pair) -> list[Block]:
    blocks = prefix_blocks(pair.case.prefix, View.ACTIONS)
    for number, (call, output) in enumerate(pair.case.calls[: pair.at], start=1):
        blocks.append(Block(f"call {number}", _text(call)))
        blocks.append(Block(f"output {number}", "(not in the log)" if output is None else output))
    return blocks


def _text(call: ToolCall) -> str:
    return f"{call.name} {call.arguments}"


def _result(
    pairs: Sequence[_Pair],
    controls: Sequence[_Pair],
    answers: Sequence[_Answer | None],
    identical: int,
    failed: Counter[str],
    settings: Settings,
) -> dict[str, Any]:
    tally = Tally("pairs", "correct", shares={"accuracy": ("correct", "pairs")})
    tells: Counter[str] = Counter()
    for pair, answer in zip(pairs, answers, strict=False):
        if answer is not None:
            call = pair.case.calls[pair.at].call
            tally.add(call.name, pair.case.format, pair.case.prefix.transcript, pairs=1, correct=int(answer.correct))
            tells.update([answer.tell] if answer.correct else ())
    known = [answer for answer in answers[len(pairs) :] if answer is not None]
    caught = sum(answer.correct for answer in known)
    result = tally.result(
        identical=identical,
        failed=dict(failed),
        controls={"pairs": len(known), "caught": caught},
        tells=[tell for tell, _ in tells.most_common(_TELLS)],
    )
    result["ci"] = result["accuracy"]["ci"]
    result["statement"] = _statement(result["correct"], result["pairs"], caught, len(known), settings.margin)
    return result


def _statement(correct: int, pairs: int, caught: int, controls: int, margin: float) -> str:
    """What may be said. Equivalence is shown by two one-sided tests at 5 % (Schuirmann 1987): a 90 % interval."""
    if not pairs:
        return "nothing was compared"
    if not controls or caught < _CAUGHT * controls:
        return f"no measure: of {controls} plainly false outputs the discriminator recognised {caught}"
    low, high = proportion(correct, pairs, 0.90).ci
    if 0.5 - margin < low and high < 0.5 + margin:
        return f"equivalent to guessing within {margin:g} (90 % interval {low:.3f} to {high:.3f})"
    low, high = proportion(correct, pairs, 0.95).ci
    if low > 0.5 or high < 0.5:
        return f"told apart: the 95 % interval {low:.3f} to {high:.3f} leaves 0.5 out"
    return f"undecided: the 95 % interval {low:.3f} to {high:.3f} holds 0.5, and is wider than the margin {margin:g}"
