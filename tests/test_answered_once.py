"""A simulator that draws nothing is asked the same question once per prefix, by whichever rollout, in whatever run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from resample.journal import JournalledModel, journalling
from resample.store import Store
from resample.types import Arm, ChatRequest, Fault, ModelError, Reply, Role, RolloutKey, Shared, Usage

PREFIX = Shared(({"role": "user", "content": "the prefix"},))


class Model:
    """Answers after a moment, with a number of its own; fails while there are failures left."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.asked = 0

    async def complete(self, request: ChatRequest) -> Reply:
        self.asked += 1
        number = self.asked
        await asyncio.sleep(0.01)
        if self.failures:
            self.failures -= 1
            raise ModelError(Fault.UNAVAILABLE, "down")
        message = {"role": "assistant", "content": f"answer {number}"}
        return Reply(message, "stop", Usage(10, 0, 5), "m")

    async def close(self) -> None:
        pass


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "run")
    yield opened
    opened.close()


def asks(text: str, step: int = 0) -> ChatRequest:
    return ChatRequest(Role.SIMULATOR, PREFIX, ({"role": "user", "content": text},), step=step)


async def answered(
    model: JournalledModel, store: Store, wanted: list[tuple[str, int, ChatRequest]], *, resumed: bool = False
) -> list[str]:
    """The answers to requests of rollouts (prefix, sample), all at once."""

    async def ask(prefix: str, sample: int, request: ChatRequest) -> str:
        with journalling(store, RolloutKey(prefix, Arm.CANDIDATE, sample), resumed=resumed) as paid:
            try:
                reply = await model.complete(request)
            except ModelError as error:
                return str(error)
            return f"{reply.message['content']}{' paid' if paid else ''}"

    return list(await asyncio.gather(*(ask(*each) for each in wanted)))


def test_the_same_call_in_the_same_state_is_asked_once(store: Store) -> None:
    model = Model()
    once = JournalledModel(model, store, 0, once=True)
    wanted = [("p", k, asks("ls")) for k in range(3)] + [("p", 3, asks("pwd")), ("p", 4, asks("ls", step=1))]
    found = asyncio.run(answered(once, store, [*wanted, ("q", 0, asks("ls"))]))
    assert found == ["answer 1 paid", "answer 1", "answer 1", "answer 2 paid", "answer 3 paid", "answer 4 paid"]
    assert model.asked == 4
    assert sum(used.requests for used in (asyncio.run(store.flush()), store.usage())[1]) == 4, "counted once"


def test_a_model_that_draws_is_asked_every_time(store: Store) -> None:
    found = asyncio.run(answered(JournalledModel(Model(), store, 0), store, [("p", k, asks("ls")) for k in range(3)]))
    assert found == ["answer 1 paid", "answer 2 paid", "answer 3 paid"]


def test_after_a_failure_another_rollout_asks(store: Store) -> None:
    once = JournalledModel(Model(failures=1), store, 0, once=True)
    found = asyncio.run(answered(once, store, [("p", k, asks("ls")) for k in range(3)]))
    assert found == ["down", "answer 2 paid", "answer 2"]


def test_a_stopped_rollout_leaves_nobody_waiting(store: Store) -> None:
    async def play() -> list[str]:
        once = JournalledModel(Model(), store, 0, once=True)
        first = asyncio.create_task(answered(once, store, [("p", 0, asks("ls"))]))
        await asyncio.sleep(0)
        others = asyncio.create_task(answered(once, store, [("p", 1, asks("ls"))]))
        await asyncio.sleep(0.001)
        first.cancel()
        return await others

    assert asyncio.run(play()) == ["answer 2 paid"]


def test_what_another_rollout_was_answered_serves_a_resumed_run(store: Store) -> None:
    async def play() -> tuple[list[str], int]:
        await answered(JournalledModel(Model(), store, 0, once=True), store, [("p", 0, asks("ls"))])
        await store.flush()
        model = Model()
        again = JournalledModel(model, store, 0, once=True)
        found = await answered(again, store, [("p", 1, asks("ls")), ("q", 0, asks("ls"))], resumed=True)
        return found, model.asked

    assert asyncio.run(play()) == (["answer 1", "answer 1 paid"], 1)


def test_a_reply_that_was_of_no_use_is_not_served_to_another_try(store: Store) -> None:
    async def play() -> list[str]:
        key = RolloutKey("p", Arm.CANDIDATE, 0)
        once = JournalledModel(Model(), store, 0, once=True)
        await answered(once, store, [(key.prefix, 0, asks("ls"))])
        store.retire(key, Role.SIMULATOR, last_only=True)
        return await answered(once, store, [(key.prefix, 0, replace(asks("ls")))], resumed=True)

    assert asyncio.run(play()) == ["answer 2 paid"]


def test_one_that_is_slow_is_waited_for_however_many_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resample.journal._MOST_ANSWERS", 2)

    class Slow(Model):
        async def complete(self, request: ChatRequest) -> Reply:
            if request.tail[0]["content"] == "slow":
                await asyncio.sleep(0.3)
                raise ModelError(Fault.UNAVAILABLE, "down")
            return await super().complete(request)

    once = JournalledModel(Slow(), store, 0, once=True)
    wanted = [("p", 0, asks("slow")), ("p", 1, asks("slow")), *(("p", 2, asks(f"quick {n}")) for n in range(5))]
    found = asyncio.run(asyncio.wait_for(answered(once, store, wanted), 5))
    assert found[:2] == ["down", "down"]
