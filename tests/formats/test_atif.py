"""ATIF: replies and their outputs in one step, compactions, copies, sub-agents, and Terminus."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Excluded, Located, atif, atif_terminus, read
from resample.formats.base import Draft, Look
from resample.formats.inputs import Input
from resample.text_actions import terminus_commands
from resample.types import Message, Transcript

TOOL = {"type": "function", "function": {"name": "bash", "description": "Run.", "parameters": {"type": "object"}}}
CALL = {"tool_call_id": "c1", "function_name": "bash", "arguments": {"command": "ls"}}
SYSTEM = {"step_id": 1, "source": "system", "message": "Be careful."}
ASKED = {"step_id": 2, "source": "user", "message": "Clean up."}
DONE = {"step_id": 9, "source": "agent", "message": "Done."}


def acting(*calls: Any, results: Any = None, **fields: Any) -> dict[str, Any]:
    step = {"step_id": 3, "source": "agent", "message": "Looking.", "tool_calls": list(calls), **fields}
    return step if results is None else {**step, "observation": {"results": results}}


def boundary(kind: str = "replace", **fields: Any) -> dict[str, Any]:
    managed = {"context_management": {"type": "compaction", "boundary": kind}}
    return {"step_id": 5, "source": "system", "message": "Compacted.", "extra": managed, **fields}


def trajectory(*steps: Any, agent: Any = None, **fields: Any) -> dict[str, Any]:
    known = {"name": "coder", "version": "2", "model_name": "acme/m-1", "tool_definitions": [TOOL]}
    return {
        "schema_version": "ATIF-v1.7",
        "session_id": "run-1",
        "agent": {**known, **(agent or {})},
        "steps": list(steps),
        **fields,
    }


def save(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(value))
    return path


def transcripts(path: Path) -> list[Transcript]:
    items = list(read(path))
    assert not [item for item in items if isinstance(item, Excluded)]
    return [item.transcript for item in items if isinstance(item, Located)]


def drafted(*steps: Any, agent: Any = None, **fields: Any) -> Draft:
    return next(atif.drafts(trajectory(*steps, agent=agent, **fields), "id", Input(Path("/none/a.json"), "a.json")))


def told(*steps: Any, **fields: Any) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in drafted(*steps, **fields).messages]


def test_a_trajectory(tmp_path: Path) -> None:
    steps = (
        SYSTEM,
        ASKED,
        acting(CALL, results=[{"source_call_id": "c1", "content": "a.log"}], reasoning_content="Hm."),
        DONE,
    )
    path = save(tmp_path / "trajectory.json", trajectory(*steps, extra={"reward": 1.0, "other": 2}))
    (transcript,) = transcripts(path)
    assert transcript.id == "trajectory.json"
    assert transcript.messages == [
        {"role": "system", "content": "Be careful."},
        {"role": "user", "content": "Clean up."},
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"command":"ls"}'}}
            ],
            "reasoning_content": "Hm.",
        },
        {"role": "tool", "tool_call_id": "c1", "content": "a.log"},
        {"role": "assistant", "content": "Done."},
    ]
    assert transcript.tools == [TOOL]
    assert transcript.metadata == {
        "source": "atif",
        "model": "acme/m-1",
        "cluster": "atif:session:run-1",
        "terminal_tools": ["finish", "submit"],
        "labels": {"reward": 1.0},
        "extra": {"agent": "coder", "agent_version": "2", "session": "run-1", "schema_version": "ATIF-v1.7"},
    }


def test_a_list_of_trajectories_and_what_is_none(tmp_path: Path) -> None:
    value = trajectory(ASKED, DONE)
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([orjson.dumps(value), b"{", orjson.dumps([value, 3])]))
    items = list(read(tmp_path))
    assert [i.transcript.id for i in items if isinstance(i, Located)] == ["a.jsonl:1", "a.jsonl:3[0]"]
    excluded = [(i.line, i.reason) for i in items if isinstance(i, Excluded)]
    assert excluded == [(2, "malformed JSON"), (3, "not a transcript")]


def test_a_system_prompt_that_is_not_there() -> None:
    assert drafted(ASKED, DONE).missing == {"system_prompt"}
    assert drafted(ASKED, DONE, agent={"name": "terminus-2"}).missing == set()


# -- which steps were in the context -----------------------------------------------------------------------------------


def test_system_steps_within_the_dialogue_are_the_harness_s() -> None:
    note = {"source": "system", "message": "Added context."}
    draft = drafted(SYSTEM, note, ASKED, note, DONE)
    assert [m["content"] for m in draft.messages] == ["Be careful.", "Added context.", "Clean up.", "Done."]
    assert draft.dropped == {"harness step": 1}


def test_outputs_in_a_system_step_are_those_of_earlier_calls(tmp_path: Path) -> None:
    later = {"source": "system", "message": "", "observation": {"results": [{"source_call_id": "c1", "content": "x"}]}}
    (found,) = transcripts(save(tmp_path / "a.json", trajectory(SYSTEM, ASKED, acting(CALL), later, DONE)))
    assert [m["role"] for m in found.messages] == ["system", "user", "assistant", "tool", "assistant"]


@pytest.mark.parametrize(
    ("steps", "contents", "missing"),
    [
        # The summary is what the step gave, or the next message.
        (
            [boundary(observation={"results": [{"content": "So far: a."}]}), DONE],
            ["Be careful.", "So far: a.", "Done."],
            set(),
        ),
        ([boundary(), {"source": "user", "message": "Sum."}, DONE], ["Be careful.", "Sum.", "Done."], set()),
        ([boundary(), DONE], ["Be careful.", "Done."], {"compacted_history"}),
        ([boundary(), {**SYSTEM, "message": "New."}, ASKED, DONE], ["New.", "Clean up.", "Done."], set()),
        # A harness may do it in the agent's name, without a model.
        (
            [
                {**boundary(), "source": "agent", "llm_call_count": 0, "observation": {"results": [{"content": "S"}]}},
                DONE,
            ],
            ["Be careful.", "S", "Done."],
            set(),
        ),
        # Nothing was said after it, or it did not replace anything.
        ([boundary()], ["Be careful.", "Clean up.", "Looking."], set()),
        ([boundary("append"), DONE], ["Be careful.", "Clean up.", "Looking.", "Done."], set()),
    ],
)
def test_compactions(steps: list[Any], contents: list[str], missing: set[str]) -> None:
    draft = drafted(SYSTEM, ASKED, acting(), *steps)
    assert [m["content"] for m in draft.messages] == contents
    assert draft.missing == missing


def test_the_last_compaction_counts() -> None:
    draft = drafted(SYSTEM, ASKED, DONE, boundary(), ASKED, DONE, boundary(), {**ASKED, "message": "last"}, DONE)
    assert [m["content"] for m in draft.messages] == ["Be careful.", "last", "Done."]
    assert draft.dropped == {"step before a compaction": 5}


def test_copied_steps_are_context_unless_the_original_stands_there_too() -> None:
    copied = {**ASKED, "is_copied_context": True}
    assert told(copied, copied, DONE) == [("user", "Clean up.")] * 2 + [("assistant", "Done.")]
    dropped: Counter[str] = Counter()
    assert atif.without_repeats([ASKED, DONE, copied, DONE], dropped) == [ASKED, DONE, DONE]
    assert dropped == {"copied step": 1}


# -- the agent's steps -------------------------------------------------------------------------------------------------


def test_a_step_without_a_model_is_no_reply() -> None:
    step = acting(CALL, results=[{"source_call_id": "c1", "content": "a.log"}], llm_call_count=0)
    draft = drafted(SYSTEM, ASKED, step, acting(llm_call_count=0), DONE)
    assert [(m["role"], m["content"]) for m in draft.messages][2:] == [("user", "a.log"), ("assistant", "Done.")]
    assert draft.dropped == {"deterministic dispatch": 2}


def test_steps_of_several_calls_are_noted() -> None:
    draft = drafted(SYSTEM, ASKED, acting(llm_call_count=3), {**DONE, "llm_call_count": 1}, acting(llm_call_count=True))
    assert draft.extra["folded_steps"] == 1


SECOND = {**CALL, "tool_call_id": "c2"}


@pytest.mark.parametrize(
    ("calls", "results", "outputs"),
    [
        ([CALL, SECOND], [("c2", "two"), ("c1", "one")], [("c2", "two"), ("c1", "one")]),
        ([CALL, SECOND], [(None, "one"), (None, "two")], [("c1", "one"), ("c2", "two")]),
        ([CALL], [(None, "one")], [("c1", "one")]),
        ([CALL, SECOND], [(None, "both")], [("c1", ""), ("c2", "both")]),
        ([CALL, SECOND], [("c1", "one"), (None, "rest")], [("c1", "one"), ("c2", "rest")]),
        ([CALL], [("c1", None), ("c1", "one")], [("c1", "one")]),
        (
            [{**CALL, "tool_call_id": ""}, {**CALL, "tool_call_id": None}],
            [(None, "1"), (None, "2")],
            [("call_1", "1"), ("call_2", "2")],
        ),
        ([CALL, CALL], [(None, "1"), (None, "2")], [("call_1", "1"), ("call_2", "2")]),
        ([], [(None, "one"), (None, "two")], [(None, "one\ntwo")]),
        ([CALL], [], []),
    ],
)
def test_outputs(calls: list[Any], results: list[Any], outputs: list[Any]) -> None:
    step = acting(*calls, results=[{"source_call_id": id, "content": content} for id, content in results])
    found: list[Message] = drafted(SYSTEM, ASKED, step).messages[3:]
    assert [(m.get("tool_call_id"), m["content"]) for m in found] == outputs
    assert {m["role"] for m in found} <= {"tool" if calls else "user"}


def test_the_output_of_a_sub_agent_may_be_only_a_reference() -> None:
    result = {"source_call_id": "c1", "subagent_trajectory_ref": [{"session_id": "x", "trajectory_path": "b.json"}]}
    draft = drafted(SYSTEM, ASKED, acting(CALL, results=[result]), DONE)
    assert draft.messages[3] == {"role": "tool", "tool_call_id": "c1", "content": ""}
    assert draft.missing == {"truncated_outputs"}
    assert draft.dropped == {"output of a sub-agent": 1}


def test_reasoning_that_is_only_counted() -> None:
    counted = {"metrics": {"extra": {"reasoning_tokens": 5}}}
    assert drafted(SYSTEM, ASKED, {**DONE, **counted}).missing == {"reasoning"}
    assert not drafted(SYSTEM, ASKED, {**DONE, **counted, "reasoning_content": "so"}).missing


def test_images_are_addresses_or_files_beside(tmp_path: Path) -> None:
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image", "source": {"media_type": "image/png", "path": "images/a.png"}},
        {"type": "image", "source": {"media_type": "image/png", "path": "https://x/y.png"}},
        {"type": "image", "source": {"media_type": "image/png", "path": "../secret.png"}},
        {"type": "audio", "source": {"media_type": "audio/wav", "path": "a.wav"}},
    ]
    save(tmp_path / "logs" / "images" / "a.png", 1)
    save(tmp_path / "secret.png", 1)
    save(tmp_path / "logs" / "a.json", trajectory(SYSTEM, {**ASKED, "message": parts}, DONE))
    (transcript,) = transcripts(tmp_path / "logs")
    assert transcript.messages[1]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,MQ=="}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "text", "text": "[image not shown]"},
        {"type": "text", "text": "[audio not shown]"},
    ]
    assert transcript.metadata["missing"] == ["images"]


@pytest.mark.parametrize("message", [None, 3, {"a": 1}, [None, "x", {"text": "y"}], []])
def test_odd_messages(message: Any) -> None:
    assert drafted(SYSTEM, {**ASKED, "message": message}, {**DONE, "source": ["agent"]}).dropped == {
        "step of unknown source": 1
    }


# -- files that belong together ----------------------------------------------------------------------------------------


def test_embedded_sub_agents_are_conversations_of_their_own(tmp_path: Path) -> None:
    innermost = trajectory(ASKED, DONE, session_id="x")
    inner = trajectory({**ASKED, "message": "Search."}, DONE, session_id="y", subagent_trajectories=[innermost])
    value = trajectory(SYSTEM, ASKED, DONE, subagent_trajectories=[inner, innermost, 3])
    found = transcripts(save(tmp_path / "a.json", value))
    assert [t.id for t in found] == ["a.json", "a.json#0", "a.json#0#0", "a.json#1"]
    assert {t.metadata["cluster"] for t in found} == {"atif:session:run-1"}


def continued(folder: Path) -> None:
    following = trajectory({**ASKED, "is_copied_context": True}, DONE, session_id="run-1-cont-1")
    following["continued_trajectory_ref"] = "a.json"
    save(folder / "a.json", trajectory(ASKED, DONE, continued_trajectory_ref="a.cont-1.json"))
    save(folder / "a.cont-1.json", following)


def test_a_run_that_goes_on_in_another_file(tmp_path: Path) -> None:
    continued(tmp_path)
    assert [t.id for t in transcripts(tmp_path)] == ["a.cont-1.json", "a.json"]
    named = transcripts(tmp_path / "a.json")
    assert [t.id for t in named] == ["a.json", "a.cont-1.json"]
    assert {t.metadata["cluster"] for t in named} == {"atif:session:run-1"}
    (tmp_path / "a.cont-1.json").unlink()
    assert [t.id for t in transcripts(tmp_path / "a.json")] == ["a.json"]


def test_the_same_in_an_archive(tmp_path: Path) -> None:
    continued(tmp_path / "run")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        for path in (tmp_path / "run").iterdir():
            opened.write(path, path.name)
    assert len(transcripts(tmp_path / "a.zip")) == 2


@pytest.mark.parametrize(
    ("session", "file", "cluster"),
    [
        ("s", "a.json", "atif:session:s"),
        ("s-cont-2", "a.json", "atif:session:s"),
        ("s-cont-1-summarization-1-answers", "a.json", "atif:session:s"),
        ("s", "jobs/x/hello-world__aB3dE5f/agent/trajectory.json", "atif:task:hello-world"),
        (None, "a.json", None),
    ],
)
def test_clusters(session: Any, file: str, cluster: str | None) -> None:
    assert atif.cluster_of({"session_id": session}, file) == cluster


# -- Terminus ----------------------------------------------------------------------------------------------------------

RAW = '{"analysis": "a", "plan": "p", "commands": [{"keystrokes": "ls\\n", "duration": 0.1}], "task_complete": false}'
SCREEN = {"results": [{"content": "New Terminal Output:\n\n$ ls"}]}
KEYS = {
    "tool_call_id": "call_0_1",
    "function_name": "bash_command",
    "arguments": {"keystrokes": "ls\n", "duration": 0.1},
}


def test_terminus_sees_the_terminal_in_the_next_message(tmp_path: Path) -> None:
    step = {"step_id": 2, "source": "agent", "message": RAW, "observation": SCREEN}
    (found,) = transcripts(save(tmp_path / "a.json", trajectory(ASKED, step, agent={"name": "terminus-2"})))
    assert found.messages[1:] == [
        {"role": "assistant", "content": RAW},
        {"role": "user", "content": "New Terminal Output:\n\n$ ls"},
    ]
    assert found.metadata["actions"] == "text:terminus"
    assert "missing" not in found.metadata


@pytest.mark.parametrize(
    ("message", "analysis", "plan"),
    [
        ("Analysis: It is\nempty.\nPlan: List it.", "It is\nempty.", "List it."),
        ("Analysis: It is empty.", "It is empty.", ""),
        ("Plan: List it.", "", "List it."),
        ("Something else.", "Something else.", ""),
        ("", "", ""),
    ],
)
def test_terminus_replies_in_parts_are_made_whole(message: str, analysis: str, plan: str) -> None:
    done = {"tool_call_id": "x", "function_name": "mark_task_complete", "arguments": {}}
    reply = atif_terminus.keystrokes_as_written(message, [KEYS, done])
    assert orjson.loads(reply) == {
        "analysis": analysis,
        "plan": plan,
        "commands": [{"keystrokes": "ls\n", "duration": 0.1}],
        "task_complete": True,
    }
    (written,) = terminus_commands(reply)
    assert written.arguments["task_complete"] is True


def test_terminus_steps_with_calls() -> None:
    results = [{"source_call_id": "call_0_1", "content": "New Terminal Output:"}]
    step = acting(KEYS, results=results, message="Analysis: a\nPlan: p")
    draft = drafted(ASKED, step, DONE, agent={"name": "terminus-2"})
    assert [(m["role"], "tool_calls" in m and m["tool_calls"]) for m in draft.messages[1:3]] == [
        ("assistant", []),
        ("user", False),
    ]
    assert draft.extra["rebuilt_replies"] == 1


@pytest.mark.parametrize(
    ("agent", "step", "style"),
    [
        ({"name": "Terminus"}, {"source": "agent", "message": "x"}, "text:terminus"),
        ({"name": "terminus-2", "extra": {"parser": "xml"}}, {"source": "agent", "message": "x"}, "text:terminus_xml"),
        ({"name": "mine"}, {"source": "agent", "message": RAW}, "text:terminus"),
        ({"name": "mine"}, {"source": "agent", "message": RAW, "tool_calls": [CALL]}, "tools"),
        ({"name": "mine"}, {"source": "user", "message": RAW}, "tools"),
        ({"name": 3, "extra": 3}, {"source": "agent", "message": "{x"}, "tools"),
    ],
)
def test_styles(agent: Any, step: Any, style: str) -> None:
    assert atif_terminus.style_of(agent, [step]) == style


# -- sniffing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "is_trajectory"),
    [
        (trajectory(), True),
        ([trajectory()], True),
        ({"schema_version": "1.4", "agent": {}, "steps": [{"step_id": 1, "source": "user"}]}, True),
        ({"schema_version": "1.4", "agent": {}, "steps": [{"name": "build"}]}, False),
        ({"schema_version": "ATIF-v1.4"}, False),
        ({"schema_version": 3, "agent": 3, "steps": 3}, False),
        ([3], False),
        (None, False),
    ],
)
def test_sniffing(value: Any, is_trajectory: bool) -> None:
    assert atif.sniff(Look("a.json", [value])) is is_trajectory


# -- real trajectories -------------------------------------------------------------------------------------------------


def test_real_trajectories(real_transcripts: Path) -> None:
    found = transcripts(real_transcripts / "atif")
    assert len(found) == 3
    # 19 steps by the table. Two are what the harness of OpenHands did, and one is a compaction that is the last step
    # of its file. One call and seven keystrokes have outputs, which stand in the same steps.
    assert sum((Counter(t.metadata.get("dropped")) for t in found), Counter()) == {
        "harness step": 2,
        "context-management step": 1,
    }
    assert sum(len(t.messages) for t in found) == 19 - 3 + 1 + 7
    assert sum(len(m.get("tool_calls") or ()) for t in found for m in t.messages) == 2
    assert [t.metadata.get("actions") for t in found] == [None, "text:terminus", "text:terminus"]
    assert [m["role"] for m in found[1].messages[:6]] == ["user", "user", "assistant", "user", "assistant", "user"]
