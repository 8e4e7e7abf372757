"""tau-bench's runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Excluded, Located, read, tau_bench
from resample.formats.base import Look
from resample.types import Transcript

CALL = {"id": "c1", "type": "function", "function": {"name": "get_order", "arguments": '{"id": "7"}'}}
TRAJECTORY: list[dict[str, Any]] = [
    {"role": "system", "content": "# Policy"},
    {"role": "user", "content": "Where is my order?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "name": "get_order", "content": "Error: order not found"},
    {"role": "assistant", "content": "There is none."},
    {"role": "user", "content": "Thanks ###STOP###"},
]
INFO = {
    "task": {"user_id": "ann_1", "instruction": "x" * 2000},
    "source": "user",
    "user_cost": 0.1,
    "reward_info": None,
}


def run(trajectory: Any = TRAJECTORY, **fields: Any) -> dict[str, Any]:
    return {"task_id": 0, "reward": 0.0, "info": INFO, "traj": trajectory, "trial": 0, **fields}


def save(path: Path, *values: Any) -> Path:
    path.write_bytes(b"\n".join(map(orjson.dumps, values)) + b"\n")
    return path


def transcripts(path: Path) -> list[Transcript]:
    items = list(read(path))
    assert not [item for item in items if isinstance(item, Excluded)]
    return [item.transcript for item in items if isinstance(item, Located)]


def test_a_list_of_runs(tmp_path: Path) -> None:
    first, second = transcripts(save(tmp_path / "gpt.json", [run(), run(trial=1, reward=1.0)]))
    assert [first.id, second.id] == ["gpt.json[0]", "gpt.json[1]"]
    assert first.messages == TRAJECTORY
    assert first.metadata == {
        "source": "tau_bench",
        "cluster": "tau_bench:ann_1:0",
        "terminal_tools": ["transfer_to_human_agents"],
        "missing": ["tool_schemas"],
        "labels": {"reward": 0.0, "task_id": 0, "trial": 0},
        "extra": {"source": "user", "user_cost": 0.1},
    }
    assert second.metadata["cluster"] == "tau_bench:ann_1:0"
    assert second.metadata["labels"] == {"reward": 1.0, "task_id": 0, "trial": 1}


def test_one_run_and_runs_in_lines(tmp_path: Path) -> None:
    save(tmp_path / "one.json", run())
    save(tmp_path / "two.jsonl", run(), run(task_id=1))
    assert [t.id for t in transcripts(tmp_path)] == ["one.json", "two.jsonl:1", "two.jsonl:2"]


def test_every_key_in_every_message(tmp_path: Path) -> None:
    full = [{"tool_calls": None, "tool_call_id": None, "name": None, **message} for message in TRAJECTORY]
    full[1]["tool_calls"] = []
    full[4]["tool_call_id"] = "c1"
    (transcript,) = transcripts(save(tmp_path / "a.json", run(full)))
    assert transcript.messages == TRAJECTORY


def test_calls_without_ids_go_with_their_outputs_by_order(tmp_path: Path) -> None:
    bare = {"function": {"name": "get_order", "arguments": {"id": "7"}}}
    messages = [*TRAJECTORY[:2], {"role": "assistant", "tool_calls": [bare]}, {"role": "tool", "content": "x"}]
    (transcript,) = transcripts(save(tmp_path / "a.json", run(messages)))
    (call,) = transcript.messages[2]["tool_calls"]
    assert call["function"]["arguments"] == '{"id":"7"}'
    assert transcript.messages[3]["tool_call_id"] == call["id"] != ""


@pytest.mark.parametrize(
    ("fields", "cluster"),
    [
        ({}, "tau_bench:ann_1:0"),
        ({"task_id": "ret-3"}, "tau_bench:ann_1:ret-3"),
        ({"info": None}, "tau_bench:0"),
        ({"info": {"task": {"user_id": 4}}}, "tau_bench:0"),
        ({"task_id": None}, None),
        ({"task_id": True}, None),
        ({"task_id": []}, None),
    ],
)
def test_trials_of_a_task_are_one_cluster(fields: dict[str, Any], cluster: str | None) -> None:
    assert tau_bench.cluster_of(run(**fields)) == cluster


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (3, "not a transcript"),
        (run(None), "no messages"),
        (run([], info={"error": "timed out", "traceback": "..."}), "no dialogue"),
        (run([{"role": "user", "content": 3}, TRAJECTORY[4]]), "bad content"),
    ],
)
def test_what_is_excluded(tmp_path: Path, value: Any, reason: str) -> None:
    used, excluded = read(save(tmp_path / "a.json", [run(), value]))
    assert isinstance(used, Located)
    assert isinstance(excluded, Excluded)
    assert excluded.reason == reason
    assert excluded.detail.startswith("/1") or reason == "bad content"


def test_a_run_without_its_system_prompt(tmp_path: Path) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.json", run([*TRAJECTORY[1:], 3])))
    assert transcript.metadata["missing"] == ["system_prompt", "tool_schemas"]
    assert transcript.metadata["dropped"] == {"malformed message": 1}


@pytest.mark.parametrize("value", [None, [], [3], {}, {"traj": []}, {"trajectory": [], "reward": 1}])
def test_other_values_are_not_taken_for_runs(value: Any) -> None:
    assert not tau_bench.sniff(Look("a.json", [value]))


def test_real_runs(real_transcripts: Path) -> None:
    runs = transcripts(real_transcripts / "tau-bench")
    assert (len(runs), sum(len(t.messages) for t in runs)) == (101, 3004)
    assert sum(len(m.get("tool_calls") or ()) for t in runs for m in t.messages) == 633
    assert len({t.metadata["cluster"] for t in runs}) == 25  # the single run is one more trial of a task
    assert not [t for t in runs if t.metadata.get("dropped")]
    assert all(t.messages[0]["role"] == "system" for t in runs)
