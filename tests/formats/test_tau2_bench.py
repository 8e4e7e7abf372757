"""tau2-bench's results: in one document, and in a folder."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Excluded, Located, read, tau2_bench
from resample.formats.base import Look
from resample.types import Message, Transcript

POLICY = "# Policy\nBe exact."
GREETING = {"role": "assistant", "content": "Hello?", "tool_calls": None, "turn_idx": 0, "cost": 0.0, "usage": None}
ASKED = {"role": "user", "content": "My line is down.", "tool_calls": None, "turn_idx": 1}
CALL = {"id": "c1", "name": "get_line", "arguments": {"id": "L1"}, "requestor": "assistant"}
ACTING = {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "c2", "name": "get_bill"}]}
OUTPUTS = [
    {"role": "tool", "id": "c1", "content": "active", "requestor": "assistant", "error": False},
    {"role": "tool", "id": "c2", "content": "Error: no such bill", "requestor": "assistant", "error": True},
]
STOP = {"role": "user", "content": "Thanks. ###STOP###", "tool_calls": None}
MESSAGES: list[Message] = [GREETING, ASKED, ACTING, *OUTPUTS, {"role": "assistant", "content": "It is up."}, STOP]


def simulation(messages: Any = MESSAGES, **fields: Any) -> dict[str, Any]:
    return {
        "id": "s1",
        "task_id": "4",
        "trial": 0,
        "termination_reason": "user_stop",
        "reward_info": {"reward": 1.0, "db_check": {"db_match": True}, "info": {"note": "x"}},
        "messages": messages,
        **fields,
    }


def results(*simulations: Any, agent: str = "llm_agent", **fields: Any) -> dict[str, Any]:
    return {
        "timestamp": "2026-01-01",
        "info": {
            "git_commit": "abc",
            "agent_info": {"implementation": agent, "llm": "m-1", "llm_args": {}},
            "user_info": {"implementation": "user_simulator", "llm": "m-2"},
            "environment_info": {"domain_name": "telecom", "policy": POLICY, "tool_defs": None},
        },
        "tasks": [{"id": "4", "ticket": "The line is down.\nAnn, L1."}],
        **({"simulations": list(simulations)} if simulations else {}),
        **fields,
    }


def save(path: Path, *values: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\n".join(map(orjson.dumps, values)) + b"\n")
    return path


def transcripts(path: Path) -> list[Transcript]:
    items = list(read(path))
    assert not [item for item in items if isinstance(item, Excluded)]
    return [item.transcript for item in items if isinstance(item, Located)]


def test_a_document_of_results(tmp_path: Path) -> None:
    first, second = transcripts(save(tmp_path / "run.json", results(simulation(), simulation(trial=1))))
    assert [first.id, second.id] == ["run.json[0]", "run.json[1]"]
    assert first.messages == [
        {"role": "system", "content": f"<policy>\n{POLICY}\n</policy>"},
        {"role": "assistant", "content": "Hello?"},
        {"role": "user", "content": "My line is down."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "get_line", "arguments": '{"id":"L1"}'}},
                {"id": "c2", "type": "function", "function": {"name": "get_bill", "arguments": '{"id":"L1"}'}},
            ],
        },
        {"role": "tool", "content": "active", "tool_call_id": "c1"},
        {"role": "tool", "content": "Error: no such bill", "tool_call_id": "c2"},
        {"role": "assistant", "content": "It is up."},
        {"role": "user", "content": "Thanks. ###STOP###"},
    ]
    assert first.metadata == {
        "source": "tau2_bench",
        "model": "m-1",
        "date": "2026-01-01",
        "cluster": "tau2_bench:telecom:4",
        "missing": ["system_prompt", "tool_schemas"],
        "labels": {"reward": 1.0, "db_check": {"db_match": True}, "termination_reason": "user_stop"},
        "extra": {
            "id": "s1",
            "task_id": "4",
            "trial": 0,
            "domain": "telecom",
            "agent": "llm_agent",
            "git_commit": "abc",
        },
    }
    assert second.metadata["cluster"] == first.metadata["cluster"]


@pytest.mark.parametrize(
    ("began", "start", "date"),
    [
        ("2026-01-01T10:00:00", "2026-01-01T10:00:01", "2026-01-01T10:00:01"),
        ("2026-01-01T10:00:00", "2025-01-01T00:00:00", "2026-01-01T10:00:00"),
        (None, "2025-01-01T00:00:00", "2025-01-01T00:00:00"),
        (None, None, None),
    ],
)
def test_a_date_before_the_run_is_made_up(tmp_path: Path, began: Any, start: Any, date: Any) -> None:
    (one,) = transcripts(save(tmp_path / "run.json", results(simulation(start_time=start), timestamp=began)))
    assert one.metadata.get("date") == date


def test_calls_of_the_user_are_between_user_and_harness(tmp_path: Path) -> None:
    call = {"id": "u1", "name": "toggle_data", "arguments": {}, "requestor": "user"}
    looked = [
        {"role": "user", "content": "let me see", "tool_calls": [call]},
        {"role": "tool", "id": "u1", "content": "on", "requestor": "user", "error": False},
        {"role": "user", "content": "It is on now.", "tool_calls": None},
    ]
    (transcript,) = transcripts(save(tmp_path / "a.json", results(simulation([*MESSAGES[:-1], *looked]))))
    assert transcript.messages[-2:] == [
        {"role": "assistant", "content": "It is up."},
        {"role": "user", "content": "It is on now."},
    ]
    assert transcript.metadata["dropped"] == {"user's tool call": 1, "user's tool output": 1}


def test_what_is_no_message_is_counted() -> None:
    dropped: Counter[str] = Counter()
    assert list(tau2_bench.sent_to_agent([ASKED, 3, None], dropped)) == [ASKED]
    assert dropped == {"malformed message": 2}


def test_an_agent_without_a_user_has_the_ticket_in_its_prompt(tmp_path: Path) -> None:
    """And it ends by a call that the harness writes over."""
    done = {"id": "c9", "type": "function", "function": {"name": "done", "arguments": "{}"}}
    stop = {
        "role": "assistant",
        "content": "###STOP###",
        "raw_data": {"message": {"content": None, "tool_calls": [done]}},
    }
    path = save(tmp_path / "a.json", results(simulation([ACTING, *OUTPUTS, stop]), agent="llm_agent_solo"))
    (transcript,) = transcripts(path)
    system = transcript.messages[0]["content"]
    assert system == f"<policy>\n{POLICY}\n</policy>\n<ticket>\nThe line is down.\nAnn, L1.\n</ticket>"
    assert transcript.messages[-1] == {"role": "assistant", "content": None, "tool_calls": [done]}
    assert transcript.metadata["terminal_tools"] == ["done"]


@pytest.mark.parametrize(
    "message",
    [
        {"content": "###STOP###"},
        {"content": "###STOP###", "raw_data": 3},
        {"content": "###STOP###", "raw_data": {"message": {"tool_calls": []}}},
        {"content": "over", "raw_data": {"message": {"tool_calls": [{"id": "x"}]}}},
    ],
)
def test_other_messages_are_not_taken_for_an_ending_call(message: Message) -> None:
    assert tau2_bench.with_ending_call(message) is message


@pytest.mark.parametrize(
    ("agent", "fields", "prompt"),
    [
        ("my_agent", {}, POLICY),
        ("llm_agent_gt", {}, f"<policy>\n{POLICY}\n</policy>"),
        ("llm_agent", {"policy": "own"}, "<policy>\nown\n</policy>"),
        ("llm_agent_solo", {"task_id": 5}, f"<policy>\n{POLICY}\n</policy>"),
        (
            "llm_agent_solo",
            {"task_id": 4},
            f"<policy>\n{POLICY}\n</policy>\n<ticket>\nThe line is down.\nAnn, L1.\n</ticket>",
        ),
    ],
)
def test_the_system_prompt(agent: str, fields: dict[str, Any], prompt: str) -> None:
    setting = tau2_bench.setting_of(results(agent=agent))
    assert tau2_bench.system_prompt(simulation(**fields), setting) == prompt


def test_a_log_that_has_the_system_prompt(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be kind."}
    (transcript,) = transcripts(save(tmp_path / "a.json", results(simulation([system, *MESSAGES]))))
    assert transcript.messages[:2] == [system, {"role": "assistant", "content": "Hello?"}]
    assert transcript.metadata["missing"] == ["tool_schemas"]


def test_tools_of_the_environment() -> None:
    tools = {"get_line": {"name": "get_line", "doc": "Look up.", "params": {"type": "object"}}, "done": None, "": {}}
    assert tau2_bench.tools_of({"tool_defs": tools}) == [
        {
            "type": "function",
            "function": {"name": "get_line", "description": "Look up.", "parameters": {"type": "object"}},
        },
        {"type": "function", "function": {"name": "done", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert tau2_bench.tools_of({"tool_defs": [3]}) == []


@pytest.mark.parametrize(
    ("message", "reasoning"),
    [
        ({"reasoning": "so"}, "so"),
        ({"reasoning": None, "raw_data": {"message": {"reasoning_content": "so"}}}, "so"),
        ({"raw_data": {"message": {"reasoning_content": ""}}}, None),
        ({"raw_data": None}, None),
    ],
)
def test_visible_reasoning(message: Message, reasoning: str | None) -> None:
    assert tau2_bench.reasoning_of(message) == reasoning


def test_spoken_messages_are_read_as_what_was_said(tmp_path: Path) -> None:
    spoken = {"role": "user", "content": "UklGRg==", "is_audio": True, "audio_script_gold": "Hi there."}
    (transcript,) = transcripts(save(tmp_path / "a.json", results(simulation([GREETING, spoken, MESSAGES[-2]]))))
    assert transcript.messages[2] == {"role": "user", "content": "Hi there."}
    assert "images" in transcript.metadata["missing"]


# -- results in a folder -------------------------------------------------------------------------------------


def in_folder(folder: Path) -> None:
    index = [{"id": "s1", "task_id": "4", "trial": 0}, {"id": "s2", "task_id": "4", "trial": 1}]
    save(folder / "results.json", results(simulation_index=index))
    save(folder / "simulations" / "s1.json", simulation())
    save(folder / "simulations" / "s2.json", simulation(id="s2", trial=1))


def test_the_simulations_of_a_folder_take_what_they_need_from_the_results(tmp_path: Path) -> None:
    in_folder(tmp_path)
    first, second = transcripts(tmp_path)
    assert [first.id, second.id] == ["simulations/s1.json", "simulations/s2.json"]
    for transcript in (first, second):
        assert transcript.messages[0]["content"] == f"<policy>\n{POLICY}\n</policy>"
        assert transcript.metadata["model"] == "m-1"
        assert transcript.metadata["cluster"] == "tau2_bench:telecom:4"


def test_the_same_in_an_archive(tmp_path: Path) -> None:
    in_folder(tmp_path / "run")
    with zipfile.ZipFile(tmp_path / "run.zip", "w") as archive:
        for path in sorted((tmp_path / "run").rglob("*.json")):
            archive.write(path, path.relative_to(tmp_path).as_posix())
    found = transcripts(tmp_path / "run.zip")
    assert [t.id for t in found] == ["run.zip/run/simulations/s1.json", "run.zip/run/simulations/s2.json"]
    assert [t.metadata["model"] for t in found] == ["m-1", "m-1"]


def test_results_named_by_themselves_are_followed(tmp_path: Path) -> None:
    in_folder(tmp_path)
    found = transcripts(tmp_path / "results.json")
    assert [t.id for t in found] == ["simulations/s1.json", "simulations/s2.json"]
    assert [t.metadata["model"] for t in found] == ["m-1", "m-1"]


def test_a_simulation_named_by_itself_looks_into_no_folder_above(tmp_path: Path) -> None:
    in_folder(tmp_path)
    for path in (tmp_path / "simulations" / "s1.json", tmp_path / "simulations"):
        transcript = transcripts(path)[0]
        assert [m["role"] for m in transcript.messages][:2] == ["assistant", "user"]
        assert transcript.metadata["missing"] == ["system_prompt", "tool_schemas"]
        assert transcript.metadata["cluster"] == "tau2_bench:4"
        assert "model" not in transcript.metadata


def test_results_are_read_again_when_they_change(tmp_path: Path) -> None:
    in_folder(tmp_path)
    assert transcripts(tmp_path)[0].metadata["model"] == "m-1"
    changed = results(simulation_index=[{"id": "s1"}, {"id": "s2"}])
    changed["info"]["agent_info"]["llm"] = "m-3"
    save(tmp_path / "results.json", changed)
    assert transcripts(tmp_path)[0].metadata["model"] == "m-3"


def test_a_simulation_of_the_index_that_is_not_there(tmp_path: Path) -> None:
    index = [{"id": "../s1"}, {"id": "s9"}, {"id": None}, 3]
    items = list(read(save(tmp_path / "results.json", results(simulation_index=index))))
    assert [item.reason for item in items if isinstance(item, Excluded)] == ["no messages"] * 4


def test_an_index_beside_the_simulations_themselves_adds_nothing(tmp_path: Path) -> None:
    path = save(tmp_path / "a.json", results(simulation(), simulation_index=[{"id": "s1"}]))
    assert [t.id for t in transcripts(path)] == ["a.json[0]"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (3, "not a transcript"),
        (simulation(None), "no messages"),
        (simulation(None, ticks=[{"tick_id": 0}]), "no messages"),
        (simulation([]), "no dialogue"),
        (simulation([{"role": "user", "content": {}}, GREETING]), "bad content"),
    ],
)
def test_what_is_excluded(tmp_path: Path, value: Any, reason: str) -> None:
    used, excluded = read(save(tmp_path / "a.json", results(simulation(), value)))
    assert isinstance(used, Located)
    assert isinstance(excluded, Excluded)
    assert excluded.reason == reason


@pytest.mark.parametrize("value", [None, [], [3], {}, {"info": 3}, {"info": {"a": 1}}, {"id": "x", "messages": []}])
def test_other_values_are_not_taken_for_results(value: Any) -> None:
    assert not tau2_bench.sniff(Look("a.json", [value]))


def test_real_results(real_transcripts: Path) -> None:
    found = transcripts(real_transcripts / "tau2-bench")
    assert len(found) == 160
    # 4130 by the table, and the system prompt of each.
    assert sum(len(t.messages) for t in found) == 4130 + 160
    # 1632 by the table, and the call that ends each of the 40 runs without a user, which their harness wrote over.
    calls = [call["function"]["name"] for t in found for m in t.messages for call in m.get("tool_calls") or ()]
    assert len(calls) == 1632 + 40
    assert calls.count("done") == 40
    assert not [t for t in found if t.metadata.get("dropped")]


def test_labels_of_real_results(real_transcripts: Path) -> None:
    lines = (real_transcripts / "tau2-bench" / "labels.jsonl").read_bytes().splitlines()
    known = {label["simulation_id"]: label for label in map(orjson.loads, lines)}
    found = transcripts(real_transcripts / "tau2-bench")
    assert len(known) == len(found)
    for transcript in found:
        label, labels = known[transcript.metadata["extra"]["id"]], transcript.metadata["labels"]
        assert labels["reward"] == label["reward"]
        assert labels["termination_reason"] == label["termination_reason"]
        assert labels["db_check"]["db_match"] == label["db_match"]
