"""OpenHands V0: sessions, evaluation instances and the resolver's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from software_agent_logs import (
    BOTH,
    EVENTS,
    INSTANCE,
    TOOL,
    action,
    chat_call,
    observation,
    replied,
    response,
    save,
    transcripts,
)

from resample.formats import Excluded, openhands, openhands_dialogue, read
from resample.types import Message, Missing, Transcript

CALLS = BOTH["choices"][0]["message"]["tool_calls"]
SYSTEM, TASK = {"role": "system", "content": "You work in a shell."}, {"role": "user", "content": "Mend the fence."}
NOTES = "[Current working directory: /yard]\n[Command finished with exit code 0]"
BOTH_DONE = [
    {"role": "assistant", "content": "Two at once.", "tool_calls": CALLS},
    {"role": "tool", "tool_call_id": "c1", "content": f"fence.py\n{NOTES}"},
    {"role": "tool", "tool_call_id": "c2", "content": ""},
]
FINISH = [chat_call("c3", "finish", '{"message": "The fence stands."}')]
FINISHED = {"role": "assistant", "content": "All done.", "tool_calls": FINISH}


def session(tmp_path: Path, *events: Any, **around: Any) -> Transcript:
    """Read events as a session, or with something around them as an instance."""
    value = {**around, "history": list(events)} if around else list(events)
    (transcript,) = transcripts(save(tmp_path / "a.json", value))
    return transcript


def test_an_instance(tmp_path: Path) -> None:
    """What the harness recalled is not shown in evaluations."""
    (transcript,) = transcripts(save(tmp_path / "output.jsonl", INSTANCE))
    assert transcript.id == "output.jsonl:1"
    assert transcript.messages == [SYSTEM, TASK, *BOTH_DONE, FINISHED]
    assert transcript.tools == [TOOL]
    assert transcript.metadata == {
        "source": "openhands",
        "model": "m-1",
        "cluster": "openhands:yard__fence-7",
        "terminal_tools": ["finish"],
        "labels": {"patch": True},
        "dropped": {"event of the harness": 3},
        "extra": {"openhands_version": "0.40.0", "accumulated_cost": 0.25, "max_iterations": 50},
    }


@pytest.mark.parametrize("value", [[EVENTS], [{"trajectory": EVENTS}], EVENTS])
def test_a_session(tmp_path: Path, value: Any) -> None:
    """A list, an object with one, or an event per line. Here what was recalled was shown."""
    (transcript,) = transcripts(save(tmp_path / "a.jsonl", *value))
    recalled = {"role": "user", "content": "date: 2025-01-02\n\nUse oak."}
    assert transcript.messages == [SYSTEM, TASK, recalled, *BOTH_DONE, FINISHED]
    lined = value is EVENTS
    assert transcript.id == ("a.jsonl" if lined else "a.jsonl:1")
    assert transcript.metadata.get("lines") == ([1, 2, 4, 5, 6, 8, 10] if lined else None)


def test_a_list_of_instances(tmp_path: Path) -> None:
    first, second = transcripts(save(tmp_path / "a.json", [INSTANCE, {**INSTANCE, "instance_id": "other"}]))
    assert (first.id, second.id) == ("a.json[0]", "a.json[1]")


def test_the_resolvers_bare_events(tmp_path: Path) -> None:
    """No ids, no `args`, no reply of the model: actions become calls, and outputs answer the one before."""
    history = [
        {"action": "message", "content": "Mend it.", "images_urls": None, "wait_for_response": False},
        {"action": "run", "command": "ls", "thought": "I look.", "is_confirmed": "confirmed", "keep_prompt": True},
        {"observation": "run", "content": "fence.py", "command": "ls", "exit_code": 0, "command_id": -1},
        {"action": "message", "content": "May I?", "wait_for_response": True},
        {"action": "message", "content": "You may.", "wait_for_response": False},
        {"action": "finish", "thought": "Done.", "outputs": {}},
    ]
    issue = {"owner": "yard", "repo": "fence", "number": 7}
    log = {"issue": issue, "instruction": "x", "git_patch": "", "success": True, "history": history}
    (transcript,) = transcripts(save(tmp_path / "output.jsonl", log))
    run, finish = chat_call("action_1", "run", '{"command":"ls"}'), chat_call("action_2", "finish", "{}")
    assert transcript.messages == [
        {"role": "user", "content": "Mend it."},
        {"role": "assistant", "content": "I look.", "tool_calls": [run]},
        {"role": "tool", "tool_call_id": "action_1", "content": "fence.py"},
        {"role": "assistant", "content": "May I?"},
        {"role": "user", "content": "You may."},
        {"role": "assistant", "content": "Done.", "tool_calls": [finish]},
    ]
    assert transcript.metadata["cluster"] == "openhands:yard/fence#7"
    assert transcript.metadata["labels"] == {"success": True, "patch": False}
    assert transcript.metadata["extra"] == {"rebuilt_calls": 2}
    assert transcript.metadata["missing"] == [Missing.SYSTEM_PROMPT, Missing.TOOL_SCHEMAS]


# -- replies and calls ---------------------------------------------------------------------------------------


def test_calls_that_the_harness_made_of_text(tmp_path: Path) -> None:
    answer = response("r1", "I look.", chat_call("toolu_01", "bash", "{}"))
    transcript = session(tmp_path, EVENTS[1], replied(action(5, "run"), "toolu_01", answer))
    assert transcript.metadata["extra"]["calls_written_as_text"] is True


@pytest.mark.parametrize(
    ("message", "usage", "reasoning", "missing"),
    [
        ({"reasoning_content": "hm"}, {}, "hm", False),
        ({"thinking_blocks": [{"type": "redacted_thinking"}]}, {}, None, True),
        ({}, {"completion_tokens_details": {"reasoning_tokens": 9}}, None, True),
        ({"reasoning_content": "hm"}, {"completion_tokens_details": {"reasoning_tokens": 9}}, "hm", False),
    ],
)
def test_reasoning(tmp_path: Path, message: Any, usage: Any, reasoning: Any, missing: bool) -> None:
    answer = {**response("r1", "I look.", chat_call("c1", "bash", "{}"), **message), "usage": usage}
    transcript = session(tmp_path, EVENTS[0], EVENTS[1], replied(action(5, "run"), "c1", answer))
    assert transcript.messages[2].get("reasoning_content") == reasoning
    assert (Missing.REASONING in transcript.metadata.get("missing", ())) is missing


@pytest.mark.parametrize(
    "reply", [None, {}, {"choices": []}, {"id": "r1", "choices": [{"message": {"tool_calls": []}}]}]
)
def test_a_reply_that_is_not_there(tmp_path: Path, reply: Any) -> None:
    """The action is the call then, by the names that are left."""
    metadata = {"function_name": "bash", "tool_call_id": "c1", "model_response": reply}
    acting = {**action(5, "run", command="ls", thought="I look."), "tool_call_metadata": metadata}
    transcript = session(tmp_path, EVENTS[1], acting, observation(6, "run", "x", 5))
    call = chat_call("c1", "bash", '{"command":"ls"}')
    assert transcript.messages[1:] == [
        {"role": "assistant", "content": "I look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "x"},
    ]


def test_an_action_without_a_reply(tmp_path: Path) -> None:
    """Its observation is found by its cause, wherever it stands."""
    transcript = session(
        tmp_path,
        EVENTS[1],
        action(5, "read", path="/a", start=0, thought="", security_risk=None, impl_source="default"),
        action(6, "think", thought="hm"),
        observation(7, "think", "Your thought has been logged.", 6),
        observation(8, "read", "text", 5),
    )
    assert [(m["role"], m.get("tool_call_id"), m["content"]) for m in transcript.messages[1:]] == [
        ("assistant", None, None),
        ("tool", "action_1", "text"),
        ("assistant", None, "hm"),
        ("tool", "action_2", "Your thought has been logged."),
    ]
    assert transcript.messages[1]["tool_calls"] == [chat_call("action_1", "read", '{"path":"/a","start":0}')]


def test_an_error_without_a_cause_is_a_users_message(tmp_path: Path) -> None:
    """The reply that it is about was malformed, and the model does not see it again."""
    error = observation(9, "error", "No such tool.")
    transcript = session(tmp_path, *EVENTS[:2], *EVENTS[4:8], error, EVENTS[9])
    shown = {"role": "user", "content": "No such tool.\n[Error occurred in processing last action]"}
    assert transcript.messages == [SYSTEM, TASK, *BOTH_DONE, shown, FINISHED]
    assert transcript.metadata["harness"] == [5]


STAND_IN = "Please continue working on the task on whatever approach you think is suitable.\nNEVER ASK FOR HELP."


@pytest.mark.parametrize(
    ("event", "harness"),
    [
        (action(11, "message", "user", content="And the gate?"), None),
        (action(11, "message", "user", content=STAND_IN), [2]),
        (action(11, "message", "environment", content="Stop and think."), [2]),
        (observation(11, "agent_error", "broken"), [2]),
        (observation(11, "recall", "", query="oak", repo_instructions="Use oak."), [2]),
        (observation(11, "user_rejected", "no"), None),
        (observation(11, "run", "fence.py"), None),
    ],
)
def test_what_is_shown_in_the_users_role(tmp_path: Path, event: Any, harness: Any) -> None:
    """The user's: words, a rejection, and what came of a command of their own."""
    transcript = session(tmp_path, *EVENTS[:2], event, *EVENTS[4:])
    assert [message["role"] for message in transcript.messages[1:3]] == ["user", "user"]
    assert transcript.metadata.get("harness") == harness


def test_the_date_of_the_first_event_that_has_one(tmp_path: Path) -> None:
    dates = ["then", "2026-01-02T03:04:05.678", "2026-01-02T03:04:06"]
    events = [{**event, "timestamp": date} for event, date in zip(EVENTS[4:7], dates, strict=True)]
    transcript = session(tmp_path, *EVENTS[:2], *events, *EVENTS[7:])
    assert transcript.metadata["date"] == "2026-01-02T03:04:05.678"


def test_a_call_without_output_is_not_shown_once_the_session_went_on(tmp_path: Path) -> None:
    transcript = session(tmp_path, *EVENTS[:2], *EVENTS[4:6], action(8, "message", "user", content="Go on."))
    partly = {**BOTH_DONE[0], "tool_calls": CALLS[:1]}
    assert transcript.messages == [SYSTEM, TASK, partly, BOTH_DONE[1], {"role": "user", "content": "Go on."}]
    assert transcript.metadata["dropped"] == {"call without output": 1}


@pytest.mark.parametrize(("content", "shown"), [("All done.", "All done."), (None, "The fence stands.")])
def test_a_session_that_went_on_after_finishing(tmp_path: Path, content: Any, shown: str) -> None:
    answer = response("r2", content, *FINISH)
    more = action(11, "message", "user", content="And the gate?")
    transcript = session(tmp_path, EVENTS[1], replied(action(10, "finish"), "c3", answer), more)
    assert transcript.messages[1:] == [
        {"role": "assistant", "content": shown},
        {"role": "user", "content": "And the gate?"},
    ]


# -- what users and the harness do -----------------------------------------------------------------------------------


def test_a_users_own_commands_are_told(tmp_path: Path) -> None:
    transcript = session(
        tmp_path, EVENTS[1], action(3, "run", "user", command="ls"), observation(4, "run", "fence.py", 3)
    )
    assert [m["content"] for m in transcript.messages[1:]] == [
        "User executed the command:\nls",
        "\nObserved result of command executed by user:\nfence.py",
    ]


def test_images(tmp_path: Path) -> None:
    picture = "data:image/png;base64,AAAA"
    transcript = session(tmp_path, action(1, "message", "user", content="See.", image_urls=[picture, "", 3]))
    parts = [{"type": "text", "text": "See."}, {"type": "image_url", "image_url": {"url": picture}}]
    assert transcript.messages == [{"role": "user", "content": parts}]


@pytest.mark.parametrize("extensions", [None, True, False])
def test_recall_is_shown_as_the_config_says(tmp_path: Path, extensions: Any) -> None:
    metadata = {"agent_config": {"enable_prompt_extensions": extensions}}
    shown = session(tmp_path, *EVENTS[:4], instance_id="i", metadata=metadata).messages[2:]
    assert [m["content"] for m in shown] == (["date: 2025-01-02\n\nUse oak."] if extensions else [])


def test_recalled_knowledge() -> None:
    extras = {
        "repo_name": "yard/fence",
        "runtime_hosts": {"http://localhost:1": 1},
        "microagent_knowledge": [{"name": "oak", "content": "Oak is hard."}, {"name": "ash"}, 3],
        "additional_agent_instructions": "",
    }
    expected = 'repo_name: yard/fence\nruntime_hosts: {"http://localhost:1":1}\n\nOak is hard.'
    assert openhands_dialogue.recalled(extras) == expected
    assert openhands_dialogue.recalled({"runtime_hosts": {}, "microagent_knowledge": []}) == ""


def test_a_delegates_events_are_its_own(tmp_path: Path) -> None:
    call = response("r1", "You do it.", chat_call("c1", "delegate", "{}"))
    inside = [
        action(6, "message", content="I browse."),
        action(7, "delegate", agent="X"),
        observation(8, "delegate", "", 7),
        action(9, "finish"),
    ]
    outcome = observation(10, "delegate", "raw", 5, outputs={"content": "It is oak."})
    transcript = session(
        tmp_path, EVENTS[1], replied(action(5, "delegate", agent="X"), "c1", call), *inside, outcome, EVENTS[9]
    )
    assert [m["role"] for m in transcript.messages] == ["user", "assistant", "tool", "assistant"]
    assert transcript.messages[2]["content"] == "It is oak."
    assert transcript.metadata["dropped"] == {"event of a delegate": 4}


# -- condensation ------------------------------------------------------------------------------------------------


def history(*more: Any) -> list[Any]:
    chat = [action(n, "message", "user" if n % 2 else "agent", content=str(n)) for n in range(1, 8)]
    return [*chat[:5], *more, *chat[5:]]


def contents(messages: list[Message]) -> list[Any]:
    return [message["content"] for message in messages]


@pytest.mark.parametrize(
    ("forgotten", "left"),
    [
        ({"forgotten_event_ids": [2, 3, 99]}, ["1", "S", "4", "5", "6", "7"]),
        ({"forgotten_events_start_id": 2, "forgotten_events_end_id": 4}, ["1", "S", "5", "6", "7"]),
        ({"forgotten_events_start_id": 2, "forgotten_events_end_id": 10**18}, ["1", "S"]),
        ({"forgotten_events_start_id": 4, "forgotten_events_end_id": 2}, ["1", "S", *"234567"]),
        ({}, ["1", "S", *"234567"]),
    ],
)
def test_what_is_condensed_gives_way_to_its_summary(tmp_path: Path, forgotten: Any, left: list[str]) -> None:
    condensed = action(20, "condensation", summary="S", summary_offset=1, **forgotten)
    transcript = session(tmp_path, *history(action(19, "condensation_request"), condensed))
    assert contents(transcript.messages) == left
    assert transcript.metadata["dropped"].get("condensed event", 0) == 8 - len(left)


def test_only_the_last_summary_counts_and_all_that_was_forgotten(tmp_path: Path) -> None:
    first = action(20, "condensation", summary="S", summary_offset=1, forgotten_event_ids=[2])
    second = action(21, "condensation", summary="T", summary_offset=1, forgotten_event_ids=[3, 4])
    silent = action(22, "condensation", forgotten_event_ids=[5])
    transcript = session(tmp_path, *history(first, second, silent))
    assert contents(transcript.messages) == ["1", "T", "6", "7"]


# -- observations as they were shown -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "content", "extras", "expected"),
    [
        ("run", "x", {}, "x"),
        ("run", "x", {"metadata": {"exit_code": -1, "prefix": "<", "suffix": ">", "working_dir": ""}}, "<x>"),
        (
            "run",
            "x",
            {"metadata": {"exit_code": 2, "working_dir": "/w", "py_interpreter_path": "/p"}},
            "x\n[Current working directory: /w]\n[Python interpreter: /p]\n[Command finished with exit code 2]",
        ),
        ("error", "no", {}, "no\n[Error occurred in processing last action]"),
        ("user_rejected", "no", {}, "OBSERVATION:\nno\n[Last action has been rejected by the user]"),
        ("delegate", "raw", {"outputs": {"content": "good"}}, "good"),
        ("delegate", "raw", {"outputs": {}}, "raw"),
        ("edit", "x" * 12, {}, "xxxxx\n[... Observation truncated due to length ...]\nxxxxx"),
        ("read", "x" * 12, {}, "x" * 12),
        ("mcp", None, {}, ""),
    ],
)
def test_observed(kind: str, content: Any, extras: Any, expected: str) -> None:
    limit = 10 if kind == "edit" else None
    assert openhands_dialogue.observed(kind, content, extras, limit) == expected


def test_an_image_in_a_notebooks_output_is_shown_as_an_image() -> None:
    picture = "data:image/png;base64,AAAA"
    content = f"a\n![image]({picture})\nb"
    shown = openhands_dialogue.observed("run_ipython", content, {"image_urls": [picture]}, None)
    text = "a\n![image](data:image/png;base64, ...) already displayed to user\nb"
    assert shown == [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": picture}}]


def test_the_longest_observation_is_in_the_config(tmp_path: Path) -> None:
    metadata = {"llm_config": {"max_message_chars": 4}}
    transcript = session(tmp_path, *EVENTS[:2], *EVENTS[4:8], instance_id="i", metadata=metadata)
    assert transcript.messages[3]["content"].startswith("fe\n[... Observation truncated")


# -- small things ----------------------------------------------------------------------------------------------------


def test_the_oldest_evaluations_pair_actions_and_observations() -> None:
    pairs = [[EVENTS[4], EVENTS[5]], [EVENTS[6], None], EVENTS[9], 3]
    assert openhands.in_one_list(pairs) == [EVENTS[4], EVENTS[5], EVENTS[6], EVENTS[9]]


def test_states_are_no_part_of_the_history() -> None:
    dropped: Counter[str] = Counter()
    events = [EVENTS[8], action(1, "null"), action(2, "condensation"), EVENTS[9], {"action": 3}]
    assert openhands.without_harness(events, dropped) == events[2:]
    assert dropped == {"event of the harness": 2}


@pytest.mark.parametrize(
    ("around", "labels"),
    [
        ({"x": 1}, {}),
        ({"instance_id": "i", "error": "limit", "test_result": None}, {"error": "limit", "patch": False}),
        ({"test_result": {"report": {"resolved": True}}}, {"resolved": True, "patch": False}),
    ],
)
def test_labels(around: Any, labels: Any) -> None:
    assert openhands.labels_of(around) == labels


def test_malformed_events_are_counted(tmp_path: Path) -> None:
    transcript = session(tmp_path, EVENTS[1], {"id": 3, "source": "agent"}, {"action": ""}, {"observation": []})
    assert transcript.metadata["dropped"] == {"malformed event": 3}


def test_what_is_excluded(tmp_path: Path) -> None:
    items = list(read(save(tmp_path / "a.jsonl", INSTANCE, {"history": []}, 3, [])))
    assert [(i.line, i.reason) for i in items if isinstance(i, Excluded)] == [
        (2, "no dialogue"),
        (3, "not a transcript"),
        (4, "no dialogue"),
    ]


def test_real_sessions(real_transcripts: Path) -> None:
    found = transcripts(real_transcripts / "openhands")
    # The table counts 232 events: of three instances the recall and its outcome are no messages.
    assert (len(found), sum(len(t.messages) for t in found)) == (5, 226)
    assert sum(t.metadata.get("dropped", {}).get("event of the harness", 0) for t in found) == 6
    assert sum(len(m.get("tool_calls") or ()) for t in found for m in t.messages) == 108
    assert {t.metadata["model"] for t in found if t.tools} == {"meta-llama/llama-4-maverick"}
    known = map(orjson.loads, (real_transcripts / "openhands" / "labels.jsonl").read_bytes().splitlines())
    labels = [t.metadata["labels"] for t in found if "labels" in t.metadata]
    assert [(k["error"], k["has_patch"]) for k in known] == [(k.get("error"), k["patch"]) for k in labels]
