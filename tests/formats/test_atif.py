"""ATIF trajectories: one file, several files, sub-agents, and Terminus."""

from __future__ import annotations

import base64
import random
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Excluded, Located, atif, atif_parts, atif_terminus, read
from resample.formats.base import Draft, Look
from resample.formats.checks import validate
from resample.formats.inputs import Input
from resample.prepare.prefix import style_of
from resample.text_actions import terminus_commands
from resample.types import Message, Transcript

SYSTEM = {"step_id": 1, "source": "system", "message": "Be brief."}
TASK = {"step_id": 2, "source": "user", "message": "Count the files."}
LISTS = {
    "step_id": 3,
    "source": "agent",
    "model_name": "m-1",
    "message": "",
    "reasoning_content": "ls will do",
    "tool_calls": [
        {"tool_call_id": "c1", "function_name": "run", "arguments": {"cmd": "ls"}},
        {"tool_call_id": "c2", "function_name": "run", "arguments": {"cmd": "pwd"}},
    ],
    "observation": {"results": [{"source_call_id": "c2", "content": "/app"}, {"source_call_id": "c1", "content": "a"}]},
    "metrics": {"prompt_tokens": 3},
}
ANSWERS = {"step_id": 4, "source": "agent", "message": "One.", "llm_call_count": 1}
TOOL = {"type": "function", "function": {"name": "run", "description": "Runs.", "parameters": {"type": "object"}}}
COMPACTED = {"source": "system", "message": "compacted", "extra": {"context_management": {"boundary": "replace"}}}


def trajectory(*steps: Any, agent: Any = None, **fields: Any) -> dict[str, Any]:
    agent = agent or {"name": "a", "version": "1", "model_name": "p/m-1", "tool_definitions": [TOOL]}
    return {"schema_version": "ATIF-v1.7", "session_id": "s", "agent": agent, "steps": list(steps), **fields}


def user(text: Any, **fields: Any) -> dict[str, Any]:
    return {"source": "user", "message": text, **fields}


def agent(text: Any, **fields: Any) -> dict[str, Any]:
    return {"source": "agent", "message": text, **fields}


def shows(*contents: Any) -> dict[str, Any]:
    return {"observation": {"results": [{"content": content} for content in contents]}}


def save(path: Path, *values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(map(orjson.dumps, values)) + b"\n")
    return path


def transcripts(path: Path) -> list[Transcript]:
    items = list(read(path, "atif"))
    assert not [item for item in items if isinstance(item, Excluded)]
    return [item.transcript for item in items if isinstance(item, Located)]


def of(tmp_path: Path, *steps: Any, **fields: Any) -> Transcript:
    return transcripts(save(tmp_path / "t.json", trajectory(*steps, **fields)))[0]


def said(transcript: Transcript) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in transcript.messages]


def test_a_trajectory(tmp_path: Path) -> None:
    path = save(tmp_path / "t.json", trajectory(SYSTEM, TASK, LISTS, ANSWERS, final_metrics={"total_steps": 4}))
    (located,) = [item for item in read(path) if isinstance(item, Located)]
    assert located.transcript.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Count the files."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "run", "arguments": '{"cmd":"ls"}'}},
                {"id": "c2", "type": "function", "function": {"name": "run", "arguments": '{"cmd":"pwd"}'}},
            ],
            "reasoning_content": "ls will do",
        },
        {"role": "tool", "content": "/app", "tool_call_id": "c2"},
        {"role": "tool", "content": "a", "tool_call_id": "c1"},
        {"role": "assistant", "content": "One."},
    ]
    assert located.transcript.tools == [TOOL]
    assert located.transcript.metadata == {
        "source": "atif",
        "model": "p/m-1",
        "cluster": "atif:session:s",
        "terminal_tools": ["finish", "submit"],
        "extra": {"agent": "a", "agent_version": "1", "session": "s", "schema_version": "ATIF-v1.7"},
    }


def test_what_a_log_lacks(tmp_path: Path) -> None:
    counted = {**ANSWERS, "metrics": {"extra": {"reasoning_output_tokens": 9}}}
    transcript = of(tmp_path, TASK, LISTS, counted, agent={"name": "a"})
    assert transcript.metadata["missing"] == ["reasoning", "system_prompt", "tool_schemas"]
    assert transcript.metadata["model"] == "m-1"


@pytest.mark.parametrize(
    ("metrics", "reasoning", "hidden"),
    [
        ({"extra": {"reasoning_tokens": 3}}, None, True),
        ({"extra": {"completion_tokens_details": {"reasoning_tokens": 3}}}, None, True),
        ({"extra": {"reasoning_tokens": 3}}, "so", False),
        ({"extra": {"reasoning_tokens": 0}}, None, False),
        ({"extra": 5}, None, False),
        (None, None, False),
    ],
)
def test_reasoning_that_is_only_counted(metrics: Any, reasoning: Any, hidden: bool) -> None:
    assert atif.hides_reasoning({"metrics": metrics, "reasoning_content": reasoning}) is hidden


# -- calls and outputs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "calls", "links"),
    [
        ([{}, {}], ["a", "b"], ["a", "b"]),
        ([{}], ["a", "b"], [None]),
        ([{}, {"source_call_id": "a"}], ["a", "b"], [None, "a"]),
        ([{}], [], [None]),
    ],
)
def test_results_without_an_id_are_taken_by_order(results: Any, calls: list[str], links: list[str | None]) -> None:
    assert atif.linked(results, calls) == links


@pytest.mark.parametrize(
    ("results", "outputs"),
    [
        ([("c2", "two"), ("c1", "one")], [("c2", "two"), ("c1", "one")]),
        ([(None, "one"), (None, "two")], [("c1", "one"), ("c2", "two")]),
        ([(None, "both")], [("c1", ""), ("c2", "both")]),
        ([("c1", "one"), (None, "rest")], [("c1", "one"), ("c2", "rest")]),
        ([("c1", None), ("c1", "one")], [("c1", "one")]),
        ([("c1", "one"), ("c2", "two"), (None, "late")], [("c1", "one"), ("c2", "two"), (None, "late")]),
        ([("zz", "whose?")], []),
        ([], []),
    ],
)
def test_outputs_of_two_calls(tmp_path: Path, results: Any, outputs: Any) -> None:
    observation = {"results": [{"source_call_id": id, "content": content} for id, content in results]}
    transcript = of(tmp_path, TASK, {**LISTS, "observation": observation})
    found = [(message.get("tool_call_id"), message["content"]) for message in transcript.messages[2:]]
    assert found == outputs


def test_results_of_one_call_are_one_output(tmp_path: Path) -> None:
    results = [{"source_call_id": "c1", "content": text} for text in ("x", "y")]
    transcript = of(tmp_path, TASK, {**LISTS, "observation": {"results": results}}, ANSWERS)
    tool = [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]
    assert said(transcript)[2] == ("tool", tool)


def test_results_that_come_with_a_later_step_go_to_their_call(tmp_path: Path) -> None:
    late = {"results": [{"source_call_id": "c1", "content": "late"}]}
    for step in ({"source": "system", "message": None}, user(None), agent("Well.")):
        transcript = of(tmp_path, TASK, {**LISTS, "observation": None}, {**step, "observation": late}, ANSWERS)
        assert said(transcript)[2] == ("tool", "late")


def test_calls_without_ids_get_some(tmp_path: Path) -> None:
    calls = [{"function_name": "run", "arguments": {}}, {"function_name": "run", "arguments": "{not json"}]
    transcript = of(tmp_path, TASK, agent("x", tool_calls=calls, **shows("1", "2")))
    made = transcript.messages[1]["tool_calls"]
    assert [call["id"] for call in made] == [m["tool_call_id"] for m in transcript.messages[2:]]
    assert made[1]["function"]["arguments"] == "{not json"


def test_what_was_shown_without_a_call_is_the_next_message(tmp_path: Path) -> None:
    transcript = of(tmp_path, TASK, agent("Look.", **shows("a", "b")), user("And?", **shows("c")), ANSWERS)
    assert said(transcript)[1:-1] == [("assistant", "Look."), ("user", "a\nb"), ("user", "And?"), ("user", "c")]


def test_an_output_that_stands_in_a_sub_agent_is_missing(tmp_path: Path) -> None:
    reference = {"source_call_id": "c1", "content": None, "subagent_trajectory_ref": [{"session_id": "z"}]}
    transcript = of(tmp_path, SYSTEM, TASK, {**LISTS, "observation": {"results": [reference]}}, ANSWERS)
    assert transcript.metadata["missing"] == ["truncated_outputs"]
    assert transcript.metadata["dropped"] == {"output of a sub-agent": 1}


# -- steps that are no messages of the model --------------------------------------------------------------------------


def test_later_system_steps_are_the_harness(tmp_path: Path) -> None:
    note = {"source": "system", "message": "recalling", **shows("internal")}
    transcript = of(tmp_path, SYSTEM, TASK, note, ANSWERS, {"source": "moon", "message": "?"})
    assert said(transcript) == [("system", "Be brief."), ("user", "Count the files."), ("assistant", "One.")]
    assert transcript.metadata["dropped"] == {"harness step": 1, "step of unknown source": 1}


def test_a_deterministic_dispatch_is_no_reply(tmp_path: Path) -> None:
    transcript = of(tmp_path, TASK, {**LISTS, "llm_call_count": 0}, agent("Hi", llm_call_count=0), ANSWERS)
    assert [role for role, _ in said(transcript)] == ["user", "user", "assistant"]
    assert transcript.metadata["dropped"] == {"deterministic dispatch": 2}


def test_steps_that_fold_several_calls_are_noted(tmp_path: Path) -> None:
    transcript = of(tmp_path, TASK, agent("Much.", llm_call_count=3), ANSWERS)
    assert transcript.metadata["extra"]["folded_steps"] == 1


# -- compaction and continuation --------------------------------------------------------------------------------------


def test_copied_steps_are_context_once(tmp_path: Path) -> None:
    copied = [{**step, "is_copied_context": True} for step in (TASK, ANSWERS)]
    alone = of(tmp_path, SYSTEM, *copied, user("More."), agent("Two."))
    assert [text for _, text in said(alone)] == ["Be brief.", "Count the files.", "One.", "More.", "Two."]
    twice = of(tmp_path, SYSTEM, TASK, ANSWERS, *copied, user("More."), agent("Two."))
    assert said(twice) == said(alone)
    assert twice.metadata["dropped"] == {"copied step": 2}


def test_a_compaction_replaces_what_was_before(tmp_path: Path) -> None:
    transcript = of(tmp_path, SYSTEM, TASK, LISTS, COMPACTED, user("Summary: one."), agent("Done."))
    assert [text for _, text in said(transcript)] == ["Be brief.", "Summary: one.", "Done."]
    assert transcript.metadata["dropped"] == {"step before a compaction": 2}
    assert "missing" not in transcript.metadata


@pytest.mark.parametrize(
    ("steps", "expected", "missing"),
    [
        ([{**COMPACTED, **shows("Sum.")}, agent("Done.")], ["Be brief.", "Sum.", "Done."], None),
        ([{**COMPACTED, **shows([{"type": "text", "text": "Sum."}])}, agent("x")], ["Be brief.", "Sum.", "x"], None),
        (
            [{**COMPACTED, "source": "agent", "llm_call_count": 0, **shows("Sum.")}, agent("Done.")],
            ["Be brief.", "Sum.", "Done."],
            None,
        ),
        ([COMPACTED, user("A"), agent("x"), COMPACTED, user("B"), agent("y")], ["Be brief.", "B", "y"], None),
        ([COMPACTED, agent("Done.")], ["Be brief.", "Done."], ["compacted_history"]),
        ([COMPACTED, {"source": "system", "message": "loaded"}, user("S"), agent("x")], ["Be brief.", "S", "x"], None),
        (
            [COMPACTED, {**SYSTEM, "message": "New.", "is_copied_context": True}, user("S"), agent("x")],
            ["New.", "S", "x"],
            None,
        ),
        ([agent("Done."), COMPACTED, user("S")], ["Be brief.", "Count the files.", "Done.", "S"], None),
    ],
)
def test_the_context_after_a_compaction(tmp_path: Path, steps: Any, expected: Any, missing: Any) -> None:
    transcript = of(tmp_path, SYSTEM, TASK, *steps)
    assert [text for _, text in said(transcript)] == expected
    assert transcript.metadata.get("missing") == missing


@pytest.mark.parametrize(
    ("steps", "harness"),
    [
        ([{**COMPACTED, **shows("Sum.")}, agent("Done.")], [1]),
        ([COMPACTED, user("Sum?"), agent("Done.")], None),
        ([agent("Looking.", **shows("Two calls a minute at most.")), agent("Done.")], [3]),
        ([agent("", llm_call_count=0, **shows("By rule: a.")), agent("Done.")], [2]),
        ([agent("What for?"), user("For a list."), agent("Done.")], None),
    ],
)
def test_what_no_user_said(tmp_path: Path, steps: Any, harness: Any) -> None:
    assert of(tmp_path, SYSTEM, TASK, *steps).metadata.get("harness") == harness


def test_the_date_of_the_first_step_that_has_one(tmp_path: Path) -> None:
    steps = [{**TASK, "timestamp": None}, {**ANSWERS, "timestamp": "2026-01-02T03:04:05Z"}]
    assert of(tmp_path, SYSTEM, *steps).metadata["date"] == "2026-01-02T03:04:05Z"


def test_context_management_without_such_a_boundary_is_left_out(tmp_path: Path) -> None:
    trimmed = {"source": "system", "message": "trimmed", "extra": {"context_management": {"type": "trim"}}}
    edited = {**ANSWERS, "extra": {"context_management": {"applied_edits": []}}}
    transcript = of(tmp_path, SYSTEM, TASK, trimmed, edited)
    assert [text for _, text in said(transcript)] == ["Be brief.", "Count the files.", "One."]
    assert transcript.metadata["dropped"] == {"context-management step": 1}


def test_files_that_a_named_file_refers_to_are_read_with_it(tmp_path: Path) -> None:
    result = {"subagent_trajectory_ref": [{"trajectory_path": "sub.json"}, {"trajectory_path": "../x.json"}]}
    compacted = {**COMPACTED, "observation": {"results": [result]}}
    first = save(tmp_path / "t.json", trajectory(TASK, ANSWERS, compacted, continued_trajectory_ref="t.cont-1.json"))
    save(tmp_path / "sub.json", trajectory(user("Sum up."), ANSWERS, session_id="other"))
    save(tmp_path / "t.cont-1.json", trajectory(TASK, ANSWERS, session_id=None, continued_trajectory_ref="t.json"))
    by_name, by_folder = transcripts(first), transcripts(tmp_path)
    assert [t.id for t in by_name] == ["t.json", "sub.json", "t.cont-1.json"]
    assert {t.metadata["cluster"] for t in by_name} == {"atif:session:s"}
    assert sorted(t.id for t in by_folder) == sorted(t.id for t in by_name)


def test_embedded_sub_agents_are_conversations_of_the_same_cluster(tmp_path: Path) -> None:
    inner: dict[str, Any] = trajectory(user("0"), ANSWERS, session_id="i0")
    for depth in range(1, 60):
        inner = trajectory(user(str(depth)), ANSWERS, session_id=f"i{depth}", subagent_trajectories=[inner, None])
    found = transcripts(save(tmp_path / "t.json", trajectory(TASK, ANSWERS, subagent_trajectories=[inner])))
    assert [t.id for t in found[:3]] == ["t.json", "t.json#0", "t.json#0#0"]
    assert len(found) == 61
    assert {t.metadata["cluster"] for t in found} == {"atif:session:s"}


@pytest.mark.parametrize(
    ("session", "id", "cluster"),
    [
        ("s", "t.json", "atif:session:s"),
        ("s-cont-1-summarization-2-answers", "t.json", "atif:session:s"),
        (None, "x/trajectory.cont-2.json", "atif:file:x/trajectory"),
        (None, "x/trajectory.json", "atif:file:x/trajectory"),
        ("s", "job/fix-bug__AbC1234/agent/trajectory.json", "atif:task:fix-bug"),
        ("s", "meta__llama/trajectory.json", "atif:session:s"),
        ([], "runs.jsonl:3", "atif:file:runs.jsonl:3"),
    ],
)
def test_clusters(session: Any, id: str, cluster: str) -> None:
    assert atif.cluster_of({"session_id": session}, id) == cluster


# -- Terminus ---------------------------------------------------------------------------------------------------------

TERMINUS = {"name": "terminus-2", "version": "2", "model_name": "m", "extra": {"parser": "json"}}
KEYS = {"keystrokes": "ls\n", "duration": 0.1}
REPLY = orjson.dumps({"analysis": "a", "plan": "p", "commands": [KEYS], "task_complete": False}).decode()


def test_terminus_writes_its_actions_as_text(tmp_path: Path) -> None:
    transcript = of(tmp_path, user("Reply in JSON."), agent(REPLY, **shows("$ ls")), agent(REPLY), agent=TERMINUS)
    assert said(transcript) == [
        ("user", "Reply in JSON."),
        ("assistant", REPLY),
        ("user", "$ ls"),
        ("assistant", REPLY),
    ]
    assert transcript.metadata["actions"] == "text:terminus"
    assert "missing" not in transcript.metadata
    assert len(style_of(transcript).calls(transcript.messages[1])) == 1


def test_replies_of_terminus_that_are_kept_in_parts_are_made_again(tmp_path: Path) -> None:
    keys = {"tool_call_id": "k", "function_name": "bash_command", "arguments": KEYS}
    done = {"tool_call_id": "d", "function_name": "mark_task_complete", "arguments": {}}
    shown = {"observation": {"results": [{"source_call_id": "k", "content": "$ ls"}]}}
    transcript = of(
        tmp_path,
        user("Reply in JSON."),
        agent("Analysis: a\nPlan: p", tool_calls=[keys], **shown),
        agent("Analysis: wait"),
        agent("Plan: end", tool_calls=[done]),
        agent=TERMINUS,
    )
    replies = [orjson.loads(message["content"]) for message in transcript.messages if message["role"] == "assistant"]
    assert replies == [
        orjson.loads(REPLY),
        {"analysis": "wait", "plan": "", "commands": [], "task_complete": False},
        {"analysis": "", "plan": "end", "commands": [], "task_complete": True},
    ]
    assert said(transcript)[2] == ("user", "$ ls")
    assert transcript.metadata["extra"]["rebuilt_replies"] == 3


@pytest.mark.parametrize(
    ("message", "analysis", "plan"),
    [
        ("Analysis: It is\nempty.\nPlan: List it.", "It is\nempty.", "List it."),
        ("Analysis: It is empty.", "It is empty.", ""),
        ("Plan: List it.", "", "List it."),
        ([{"type": "text", "text": "Plan: List it."}], "", "List it."),
        ("Something else.", "Something else.", ""),
        (None, "", ""),
    ],
)
def test_a_reply_from_its_parts(message: Any, analysis: str, plan: str) -> None:
    calls = [{"function_name": "bash_command", "arguments": KEYS}, {"function_name": "mark_task_complete"}]
    reply = atif_terminus.keystrokes_as_written(message, calls)
    whole = {"analysis": analysis, "plan": plan, "commands": [KEYS], "task_complete": True}
    assert orjson.loads(reply) == whole
    (written,) = terminus_commands(reply)
    assert written.arguments == {"commands": [KEYS], "task_complete": True}


@pytest.mark.parametrize(
    ("agent_info", "steps", "style"),
    [
        (TERMINUS, [agent("hm")], "text:terminus"),
        ({"name": "Terminus-2", "extra": {"parser": "xml"}}, [agent("<response>")], "text:terminus_xml"),
        ({"name": "terminus"}, [agent("<keystrokes>ls</keystrokes>")], "text:terminus_xml"),
        ({"name": "mine"}, [agent(REPLY)], "text:terminus"),
        ({"name": "mine"}, [agent(REPLY, tool_calls=[{}])], "tools"),
        ({"name": "mine"}, [user(REPLY), agent("No.")], "tools"),
        ({}, [], "tools"),
    ],
)
def test_how_an_agent_acts(agent_info: dict[str, Any], steps: Any, style: str) -> None:
    assert atif_terminus.style_of(agent_info, steps) == style


def test_nobody_talks_to_terminus(tmp_path: Path) -> None:
    """What its terminal shows is an output; a reply that it cannot read is answered by the harness."""
    steps = (user("Reply in JSON."), agent(REPLY, **shows("$")), agent("hm", **shows("No JSON.")), user("Answers."))
    transcript = of(tmp_path, *steps, agent(REPLY), agent=TERMINUS)
    assert [transcript.messages[index]["content"] for index in transcript.metadata["harness"]] == [
        "No JSON.",
        "Answers.",
    ]


def test_terminus_begins_a_new_context_with_its_task(tmp_path: Path) -> None:
    steps = (user("Reply in JSON."), agent(REPLY, **shows("$")), COMPACTED, user("Answers."), agent(REPLY))
    transcript = of(tmp_path, *steps, agent=TERMINUS)
    assert said(transcript) == [("user", "Reply in JSON."), ("user", "Answers."), ("assistant", REPLY)]
    assert transcript.metadata["missing"] == ["compacted_history"]  # the questions that it asked


# -- parts ------------------------------------------------------------------------------------------------------------


def image(path: Any, **source: Any) -> dict[str, Any]:
    return {"type": "image", "source": {"media_type": "image/jpeg", "path": path, **source}}


def test_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"\xff\xd8\xffjpeg")
    url = "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8\xffjpeg").decode()
    source, draft = Input(tmp_path / "t.json", "t.json"), Draft("t", "atif")
    cases: list[tuple[Any, list[Message]]] = [
        (None, []),
        ("x", [{"type": "text", "text": "x"}]),
        ({"a": 1}, [{"type": "text", "text": '{"a":1}'}]),
        (["x", 3], [{"type": "text", "text": "x"}]),
        ([image("images/a.jpg")], [{"type": "image_url", "image_url": {"url": url}}]),
        ([image("https://x/y.png")], [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]),
    ]
    for content, parts in cases:
        assert atif_parts.parts_of(content, draft, source) == parts
    assert not draft.missing
    monkeypatch.setattr(atif_parts, "_MOST", 6)  # one such image is room for, two are not
    for lost in (image("images/a.jpg"), image("../t.jpg"), image(None), {"type": "image"}):
        assert atif_parts.parts_of([lost], draft, source) == [{"type": "text", "text": "[image not shown]"}]
    assert atif_parts.parts_of([{"type": "audio"}], draft, source)[0]["text"] == "[audio not shown]"
    assert draft.missing == {"images"}


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (trajectory(TASK), True),
        ([trajectory(TASK)], True),
        ({"agent": {"name": "a"}, "steps": [TASK]}, True),
        ({"schema_version": "1.4", "agent": {}, "steps": [{"step_id": 1, "source": "user"}]}, True),
        ({"schema_version": "ATIF-v1.7"}, False),
        ({"steps": [TASK]}, False),
        ({"agent": "a", "steps": [{"action": "x"}]}, False),
        ({"messages": [{"role": "user", "content": "x"}]}, False),
        ([[], None, 3], False),
    ],
)
def test_sniff(value: Any, known: bool) -> None:
    assert atif.sniff(Look("x.json", [value])) is known


def test_lines_lists_and_archives(tmp_path: Path) -> None:
    one = trajectory(TASK, ANSWERS)
    assert [t.id for t in transcripts(save(tmp_path / "a.jsonl", one, one))] == ["a.jsonl:1", "a.jsonl:2"]
    assert [t.id for t in transcripts(save(tmp_path / "b.json", [one, one]))] == ["b.json[0]", "b.json[1]"]
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("d/t.json", orjson.dumps({**one, "continued_trajectory_ref": "u.json"}))
        archive.writestr("d/u.json", orjson.dumps(one))
    assert [t.id for t in transcripts(tmp_path / "z.zip")] == ["z.zip/d/t.json", "z.zip/d/u.json"]


def test_a_malformed_line_spoils_no_other(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jsonl", trajectory(TASK, ANSWERS), 5, trajectory())
    path.write_bytes(path.read_bytes() + b"{broken\n" + orjson.dumps(trajectory(TASK, ANSWERS)) + b"\n")
    items = list(read(path, "atif"))
    assert [i.line for i in items if isinstance(i, Located)] == [1, 5]
    reasons = [(i.line, i.reason) for i in items if isinstance(i, Excluded)]
    assert reasons == [(2, "not a transcript"), (3, "no dialogue"), (4, "malformed JSON")]


ODD = (None, True, -1, 0.5, "", "x", [], {}, [[]], [None], [{}], {"results": [{}]}, [{"type": []}], {"name": {}})


def odd(value: Any, chance: random.Random) -> Any:
    """The same with some values, at any depth, made something else."""
    if chance.random() < 0.1:
        return chance.choice(ODD)
    if isinstance(value, dict):
        return {key: odd(item, chance) for key, item in value.items() if chance.random() > 0.05}
    return [odd(item, chance) for item in value] if isinstance(value, list) else value


def test_odd_values(tmp_path: Path) -> None:
    chance = random.Random(7)
    copied = {**ANSWERS, "is_copied_context": True}
    parts = user([image("a"), {"type": "text", "text": "x"}])
    whole = trajectory(SYSTEM, TASK, LISTS, COMPACTED, copied, parts, LISTS, agent(REPLY, tool_calls=[{}]), ANSWERS)
    values = [
        odd({**whole, "agent": made, "subagent_trajectories": [whole]}, chance)
        for made in (whole["agent"], TERMINUS)
        for _ in range(300)
    ]
    for item in read(save(tmp_path / "odd.jsonl", *values), "atif"):
        if isinstance(item, Located):
            assert validate(item.transcript) is None
    for value in values:
        atif.sniff(Look("x", [value]))


def test_real_files(real_transcripts: Path) -> None:
    """SOURCES.md counts 19 steps. Left out are 2 steps of the harness and 1 of context management; the outputs of
    8 steps (1 native, 7 of Terminus) are messages of their own. Its 2 calls are the native ones."""
    found = transcripts(real_transcripts / "atif")
    messages = [message for transcript in found for message in transcript.messages]
    roles = Counter(message["role"] for message in messages)
    assert (len(found), len(messages)) == (3, 19 - 2 - 1 + 8)
    assert sum(len(message.get("tool_calls", ())) for message in messages) == 2
    assert roles == {"system": 1, "user": 12, "assistant": 10, "tool": 1}
    dropped = sum((Counter(transcript.metadata.get("dropped")) for transcript in found), Counter[str]())
    assert dropped == {"harness step": 2, "context-management step": 1}
    assert [transcript.metadata.get("actions") for transcript in found] == [None, "text:terminus", "text:terminus"]
    assert not any("missing" in transcript.metadata for transcript in found)
