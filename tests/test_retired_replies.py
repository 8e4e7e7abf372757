"""Before a failed rollout is played again, only a reply that was of no use is thrown away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from resample.store import Store
from resample.types import Arm, ChatRequest, Fault, ModelError, Reply, Role, RolloutKey, Shared, Usage

KEY = RolloutKey("p", Arm.CANDIDATE, 0)
FAILED = ModelError(Fault.REJECTED, "400", 400)


def asked(step: int) -> ChatRequest:
    return ChatRequest(Role.SIMULATOR, Shared(({"role": "user", "content": "x"},)), step=step)


async def happened(store: Store, *events: tuple[str, int]) -> None:
    for what, step in events:
        if what == "failure":
            store.put_failure(KEY, asked(step), FAILED)
        else:
            reply = Reply({"role": "assistant", "content": what}, "stop", Usage(1, 0, 1), "m", raw=b"{}")
            store.put_reply(KEY, asked(step), f"{what} {step}", reply)
        await asyncio.sleep(0.002)
    await store.flush()


@pytest.mark.parametrize(
    ("events", "retired"),
    [
        ([("good", 0), ("useless", 1)], {"useless 1"}),
        ([("good", 0), ("failure", 1)], set()),
        ([("good", 0), ("failure", 1), ("useless", 1)], {"useless 1"}),
        ([("good", 0), ("failure", 5), ("useless", 1)], {"useless 1"}),
        ([("failure", 0)], set()),
    ],
)
def test_where_a_call_failed_the_reply_before_it_stays(
    events: list[tuple[str, int]], retired: set[str], tmp_path: Path
) -> None:
    store = Store.open(tmp_path / "run")
    try:
        asyncio.run(happened(store, *events))
        store.retire(KEY, Role.SIMULATOR, last_only=True)
        assert set(store.replies(KEY)[1]) == retired
    finally:
        store.close()
