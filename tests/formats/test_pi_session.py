"""pi sessions: which of a tree's entries the model saw, and in what words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Excluded, Located, read
from resample.formats.base import Look
from resample.formats.pi_messages import (
    Placed,
    Said,
    convert,
    hides_reasoning,
    is_unfinished,
    parts_of,
    settled,
    told_of_command,
    visible_reasoning,
)
from resample.formats.pi_session import (
    Chain,
    Entry,
    chain_of,
    cluster_of,
    extras_of,
    first_kept,
    history_of,
    left_out,
    model_of,
    sniff,
    told_by,
)
from resample.types import Missing, Transcript

OLD, BETWEEN, NEW = "2025-11-20T10:00:00.000Z", "2026-01-05T10:00:00.000Z", "2026-03-01T10:00:00.000Z"
HEADER = {"type": "session", "version": 3, "id": "s1", "timestamp": NEW, "cwd": "/repo"}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def call(id: str, tool: str = "bash", **arguments: Any) -> dict[str, Any]:
    return {"type": "toolCall", "id": id, "name": tool, "arguments": arguments}


def user(said: str) -> dict[str, Any]:
    return {"role": "user", "content": [text(said)]}


def reply(*blocks: dict[str, Any], stop: str = "stop", model: str = "m1") -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks), "api": "a", "model": model, "stopReason": stop}


def result(id: str, said: str = "done") -> dict[str, Any]:
    return {"role": "toolResult", "toolCallId": id, "toolName": "bash", "content": [text(said)], "isError": False}


def node(id: str, parent: str | None, type: str = "message", **fields: Any) -> dict[str, Any]:
    return {"type": type, "id": id, "parentId": parent, "timestamp": NEW, **fields}


def tree(*values: dict[str, Any]) -> list[Entry]:
    return [Entry(value, line, after_gap=False) for line, value in enumerate(values, 1)]


def flat(type: str, **fields: Any) -> dict[str, Any]:
    """An entry of before 2026."""
    return {"type": type, "timestamp": OLD, **fields}


def save(path: Path, *lines: dict[str, Any] | bytes) -> Path:
    path.write_bytes(b"\n".join(one if isinstance(one, bytes) else orjson.dumps(one) for one in lines) + b"\n")
    return path


def session(path: Path, *lines: dict[str, Any] | bytes) -> Transcript:
    (found,) = [one for one in read(save(path / "s.jsonl", *lines)) if isinstance(one, Located)]
    assert found.transcript.metadata["source"] == "pi_session"
    return found.transcript


def spoken(transcript: Transcript) -> list[tuple[str, Any]]:
    return [(m["role"], m["content"]) for m in transcript.messages]


def test_a_session(tmp_path: Path) -> None:
    image = {"type": "image", "data": "QUJD", "mimeType": "image/png"}
    transcript = session(
        tmp_path,
        HEADER,
        node("a", None, "model_change", provider="p", modelId="m0"),
        node("b", "a", "thinking_level_change", thinkingLevel="high"),
        node("c", "b", message={"role": "user", "content": "Tidy up."}),
        node(
            "d",
            "c",
            message=reply(
                {"type": "thinking", "thinking": "Look first.", "thinkingSignature": "x"},
                text("I look."),
                call("c1", command="ls"),
                stop="toolUse",
            ),
        ),
        node("e", "d", message=result("c1", "a.txt")),
        node("f", "e", message={**result("c0"), "details": {"diff": "secret"}}),
        node("g", "f", message=reply(text("Tidy."), model="m2")),
        node("h", "g", "label", targetId="c", label="start"),
        node("i", "h", message={"role": "user", "content": [text("And this?"), image]}),
    )
    assert transcript.messages == [
        {"role": "user", "content": "Tidy up."},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "Look first.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"command":"ls"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "a.txt"},
        {"role": "assistant", "content": "Tidy."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "And this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
            ],
        },
    ]
    metadata = transcript.metadata
    assert transcript.id == "s.jsonl"
    assert metadata["model"] == "m2"
    assert metadata["cluster"] == "pi_session:s1"
    assert metadata["missing"] == ["system_prompt", "tool_schemas"]
    assert metadata["dropped"] == {"harness record": 3, "orphan result": 1}
    assert metadata["lines"] == [4, 5, 6, 8, 10]
    assert metadata["extra"] == {
        "id": "s1",
        "version": 3,
        "timestamp": NEW,
        "cwd": "/repo",
        "provider": "p",
        "thinking_level": "high",
    }


def test_a_malformed_line_costs_no_other(tmp_path: Path) -> None:
    path = save(
        tmp_path / "s.jsonl",
        HEADER,
        node("a", None, message=user("One.")),
        b'{"type": "message", "id": "b", "par',
        node("c", "b", message=reply(text("Two."))),
    )
    broken, found = read(path)
    assert isinstance(broken, Excluded)
    assert (broken.line, broken.reason) == (3, "malformed JSON")
    assert isinstance(found, Located)
    assert spoken(found.transcript) == [("user", "One."), ("assistant", "Two.")]
    assert "compacted_history" not in found.transcript.metadata["missing"]


def test_sessions_one_after_another(tmp_path: Path) -> None:
    one = [HEADER, node("a", None, message=user("One.")), node("b", "a", message=reply(text("Yes.")))]
    two = [{**HEADER, "id": "s2"}, node("a", None, message=user("Two.")), node("b", "a", message=reply(text("No.")))]
    found = [item.transcript for item in read(save(tmp_path / "s.jsonl", *one, *two)) if isinstance(item, Located)]
    assert [t.id for t in found] == ["s.jsonl", "s.jsonl:4"]
    assert [t.metadata["cluster"] for t in found] == ["pi_session:s1", "pi_session:s2"]
    assert [spoken(t)[0] for t in found] == [("user", "One."), ("user", "Two.")]


def test_nobody_speaks(tmp_path: Path) -> None:
    (item,) = read(save(tmp_path / "s.jsonl", HEADER, node("a", None, "model_change", modelId="m")))
    assert isinstance(item, Excluded)
    assert item.reason == "no dialogue"


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (HEADER, True),
        ({**HEADER, "version": None, "provider": "p"}, True),
        (node("a", None, message=result("c")), True),
        (node("a", None, message={"role": "bashExecution"}), True),
        (node("a", None, message=reply(text("x"))), True),
        ([HEADER, node("a", None, message={"role": "assistant", "content": "a relative's"})], False),
        (node("a", None, message=user("of another agent's log")), False),
        (node("a", None, message={"role": "assistant", "content": [{"type": "tool_use"}]}), False),
        ({"type": "session_start", "id": "x", "cwd": "/", "timestamp": NEW}, False),
        ({"type": "session.start", "data": {}}, False),
        ({**HEADER, "messages": []}, False),
        ({"type": ["session"], "message": {"role": {}}}, False),
        ({"type": "message", "message": {"role": []}}, False),
        ({"type": "message", "message": []}, False),
        ([[HEADER]], False),
    ],
)
def test_sniff(value: Any, known: bool) -> None:
    assert sniff(Look("x.jsonl", value if isinstance(value, list) else [value])) is known


# -- the tree ----------------------------------------------------------------------------------------------------------

SAID = {"message": user("x")}


@pytest.mark.parametrize(
    ("values", "chain", "whole"),
    [
        ([], [], True),
        ([HEADER, node("a", None, **SAID), node("b", "a", **SAID)], [1, 2], True),
        ([HEADER, node("a", None, **SAID), node("b", "a", **SAID), node("c", "a", **SAID)], [1, 3], True),
        ([HEADER, node("a", None, **SAID), node("b", None, **SAID)], [2], True),
        ([HEADER, flat("message", **SAID), flat("model_change"), flat("message", **SAID)], [1, 2, 3], True),
        ([node("b", "a", **SAID), node("a", "b", **SAID)], [0, 1], False),
        ([node("a", "a", **SAID)], [0], False),
        ([node("b", "gone", **SAID), node("c", "b", **SAID)], [0, 1], False),
        ([HEADER, node("b", "s1", **SAID)], [1], True),
        ([node("b", "a", **SAID), node("a", None, **SAID), node("c", "b", **SAID)], [1, 0, 2], True),
        ([node("a", None, **SAID), node("b", "a", "compaction"), node("c", "b", "branch_summary")], [0], True),
        ([node("a", None, **SAID), node("b", 7, **SAID), node("c", "b", message=None)], [1], True),
    ],
    ids=[
        *("nothing", "a chain", "a branch", "from the start again", "before ids", "a cycle", "its own parent"),
        *("a parent that is missing", "the header as parent", "out of order", "behind the last message", "odd values"),
    ],
)
def test_chain(values: list[dict[str, Any]], chain: list[int], whole: bool) -> None:
    assert chain_of(tree(*values)) == Chain(chain, whole)


def test_a_parent_on_a_line_that_could_not_be_read() -> None:
    one, two = tree(node("a", None, **SAID), node("c", "b", **SAID))
    assert chain_of([one, two]) == Chain([1], whole=False)
    assert chain_of([one, two._replace(after_gap=True)]) == Chain([0, 1], whole=True)


def test_a_long_chain_takes_no_recursion_and_linear_time() -> None:
    entries = tree(*(node(str(i), str(i - 1) if i else None, **SAID) for i in range(50_000)))
    assert len(chain_of(entries).entries) == 50_000


def test_a_missing_parent_is_a_history_that_stands_elsewhere(tmp_path: Path) -> None:
    lines = [HEADER, node("b", "a", message=user("Go on.")), node("c", "b", message=reply(text("On.")))]
    assert session(tmp_path, *lines).metadata["missing"] == ["compacted_history", "system_prompt", "tool_schemas"]


@pytest.mark.parametrize(
    ("kept", "replaced"),
    [
        ({"firstKeptEntryId": "c"}, True),
        ({"retainedTail": []}, True),
        ({"firstKeptEntryId": "gone"}, False),
        ({}, False),
    ],
)
def test_a_compaction_may_stand_for_a_history_that_is_elsewhere(tmp_path: Path, kept: Any, replaced: bool) -> None:
    lines = [
        node("c", "gone", message=user("Go on.")),
        node("d", "c", "compaction", summary="x", **kept),
        node("e", "d", message=reply(text("On."))),
    ]
    missing = session(tmp_path, HEADER, *lines).metadata["missing"]
    assert ("compacted_history" not in missing) is replaced


def test_a_system_prompt_in_the_log(tmp_path: Path) -> None:
    system = node("a", None, message={"role": "system", "content": "Be kind."})
    transcript = session(tmp_path, HEADER, system, node("b", "a", message=user("Hi.")))
    assert spoken(transcript) == [("system", "Be kind."), ("user", "Hi.")]
    assert transcript.metadata["missing"] == ["tool_schemas"]


@pytest.mark.parametrize("when", ["", "soon", "1", 1760000000000, None])
def test_no_date(when: Any) -> None:
    (entry,) = tree({**node("a", None, **SAID), "timestamp": when})
    told = told_by(entry)
    assert told is not None
    assert told.when == ""


def test_left_out() -> None:
    entries = tree(
        HEADER,
        node("a", None, **SAID),
        node("b", "a", **SAID),
        node("c", "a", "custom", data={}),
        node("d", "c", **SAID),
        node("e", "d", "compaction"),
        node("f", "a", "unheard_of"),
        node("g", "a", "branch_summary", summary="x"),
        {"type": []},
    )
    counts = {"dead branch": 1, "harness record": 3, "summary that nothing followed": 2}
    assert left_out(entries, chain_of(entries).entries) == counts


def test_going_back_in_a_session(tmp_path: Path) -> None:
    transcript = session(
        tmp_path,
        HEADER,
        node("a", None, message=user("Try.")),
        node("b", "a", message=reply(text("A dead end."))),
        node("c", "a", "branch_summary", fromId="b", summary="It was a dead end."),
        node("d", "c", "custom_message", customType="ext", content="Mind the gap.", display=False),
        node("e", "d", message=reply(text("Better."))),
    )
    summary = "The following is a summary of a branch that this conversation came back from:\n\n<summary>\n"
    assert spoken(transcript) == [
        ("user", "Try."),
        ("user", f"{summary}It was a dead end.</summary>"),
        ("user", "Mind the gap."),
        ("assistant", "Better."),
    ]
    assert transcript.metadata["dropped"] == {"dead branch": 1}
    assert transcript.metadata["harness"] == [1]  # an extension may pass on what a person said
    assert transcript.metadata["date"] == NEW


# -- compactions -------------------------------------------------------------------------------------------------------

COMPACTED = "The conversation history before this point was compacted into the following summary:\n\n<summary>\n"


def test_a_compaction(tmp_path: Path) -> None:
    transcript = session(
        tmp_path,
        HEADER,
        node("a", None, message=user("One.")),
        node("b", "a", message=reply(text("1"))),
        node("c", "b", "compaction", summary="An older one.", firstKeptEntryId="a"),
        node("d", "c", message=user("Two.")),
        node("e", "d", message=reply(text("2"))),
        node("f", "e", "compaction", summary="One was said.", firstKeptEntryId="d"),
        node("g", "f", message=user("Three.")),
        node("h", "g", message=reply(text("3"))),
        node("i", "h", "compaction", summary="Seen by nobody.", firstKeptEntryId="g"),
    )
    assert spoken(transcript) == [
        ("user", f"{COMPACTED}One was said.\n</summary>"),
        ("user", "Two."),
        ("assistant", "2"),
        ("user", "Three."),
        ("assistant", "3"),
    ]
    assert transcript.metadata["dropped"] == {"replaced by a compaction": 2, "summary that nothing followed": 1}
    assert transcript.metadata["harness"] == [0]
    assert transcript.metadata["lines"] == [7, 5, 6, 8, 9]
    assert transcript.metadata["missing"] == ["system_prompt", "tool_schemas"]


@pytest.mark.parametrize(
    ("kept", "first"),
    [
        ({"firstKeptEntryId": "b"}, 1),
        ({"firstKeptEntryId": "e"}, 3),
        ({"firstKeptEntryId": "gone"}, 3),
        ({"firstKeptEntryIndex": 3}, 2),
        ({"firstKeptEntryIndex": 0}, 0),
        ({"firstKeptEntryIndex": 99}, 3),
        ({"firstKeptEntryId": "a", "retainedTail": []}, 3),
        ({}, 3),
        ({"firstKeptEntryId": None, "firstKeptEntryIndex": "1"}, 3),
    ],
)
def test_first_kept(kept: dict[str, Any], first: int) -> None:
    entries = tree(
        HEADER,
        node("a", None, **SAID),
        node("b", "a", **SAID),
        node("c", "b", **SAID),
        node("d", "c", "compaction", summary="x", **kept),
        node("e", "d", **SAID),
    )
    assert first_kept(entries, chain_of(entries).entries, 3) == first


def test_a_compaction_that_carries_what_was_kept() -> None:
    entries = tree(
        node("a", None, message=user("One.")),
        node("b", "a", "compaction", summary="x", retainedTail=[user("Kept."), "odd"]),
        node("c", "b", message=user("Two.")),
    )
    dropped: Counter[str] = Counter()
    roles = [(p.message["role"], p.line) for p in history_of(entries, [0, 1, 2], dropped)]
    assert roles == [("compactionSummary", 2), ("user", 2), ("user", 3)]
    assert dropped == {"replaced by a compaction": 1}


def test_a_compaction_without_a_summary_leaves_nothing(tmp_path: Path) -> None:
    compaction = node("b", "a", "compaction", summary=None)
    lines = [node("a", None, message=user("One.")), compaction, node("c", "b", message=reply(text("2")))]
    transcript = session(tmp_path, HEADER, *lines)
    assert spoken(transcript) == [("assistant", "2")]
    assert "compacted_history" in transcript.metadata["missing"]


# -- turns that came to no end -----------------------------------------------------------------------------------------


def placed(when: str, *messages: dict[str, Any]) -> list[Placed]:
    return [Placed(message, line, when) for line, message in enumerate(messages, 1)]


def shape(history: list[Placed]) -> list[tuple[str, list[str]]]:
    """Roles, with the kinds of blocks or the text."""
    return [
        (p.message["role"], [b["type"] for b in c] if isinstance(c := p.message["content"], list) else [c])
        for p in history
    ]


ABORTED = reply(text("Let me"), call("c1"), stop="aborted")


@pytest.mark.parametrize(
    ("when", "left", "counts"),
    [
        (OLD, [("assistant", ["text"])], {"call without a result": 1}),
        (BETWEEN, [("assistant", ["text", "toolCall"]), ("toolResult", ["No result provided"])], {}),
        (NEW, [], {"unfinished turn": 1}),
        ("", [], {"unfinished turn": 1}),
    ],
)
def test_an_aborted_turn_as_it_was_sent_then(when: str, left: Any, counts: dict[str, int]) -> None:
    dropped: Counter[str] = Counter()
    history = settled(placed(when, user("Go."), ABORTED, user("Wait."), reply(text("Yes."))), dropped)
    assert shape(history) == [("user", ["text"]), *left, ("user", ["text"]), ("assistant", ["text"])]
    assert +dropped == counts


@pytest.mark.parametrize("when", [OLD, BETWEEN, NEW, ""])
@pytest.mark.parametrize(
    "turn", [reply(stop="aborted"), reply(text(" "), stop="error"), {**reply(stop="error"), "content": None}]
)
def test_a_failed_turn_that_said_nothing(when: str, turn: dict[str, Any]) -> None:
    dropped: Counter[str] = Counter()
    history = settled(placed(when, user("Go."), turn, reply(text("Yes."))), dropped)
    assert [p.message["role"] for p in history] == ["user", "assistant"]
    assert +dropped == {"unfinished turn": 1}


@pytest.mark.parametrize("when", [OLD, BETWEEN, NEW, ""])
def test_an_unfinished_turn_at_the_end_was_never_sent(when: str) -> None:
    dropped: Counter[str] = Counter()
    assert shape(settled(placed(when, user("Go."), ABORTED), dropped)) == [("user", ["text"])]
    assert dropped == {"unfinished turn": 1}


@pytest.mark.parametrize(
    ("when", "left"),
    [
        (OLD, [("assistant", ["toolCall"]), ("toolResult", ["text"])]),
        (
            NEW,
            [("assistant", ["toolCall", "toolCall"]), ("toolResult", ["text"]), ("toolResult", ["No result provided"])],
        ),
    ],
)
def test_a_call_without_a_result(when: str, left: Any) -> None:
    turn = reply(call("c1"), call("c2"), stop="toolUse")
    history = settled(placed(when, turn, result("c2"), user("Go on.")), Counter())
    assert shape(history) == [*left, ("user", ["text"])]


def test_a_call_at_the_end_waits_for_its_result() -> None:
    history = placed(NEW, user("Go."), reply(call("c1"), call("c2"), stop="toolUse"), result("c1"))
    assert settled(history, Counter()) == history


def test_a_call_of_an_id_that_was_answered_before() -> None:
    one = [reply(call("c1"), stop="toolUse"), result("c1")]
    history = settled(placed(NEW, *one, reply(call("c1"), stop="toolUse"), user("Stop.")), Counter())
    assert [p.message["role"] for p in history] == ["assistant", "toolResult", "assistant", "toolResult", "user"]
    assert history[3].message == {"role": "toolResult", "toolCallId": "c1", "content": "No result provided"}


@pytest.mark.parametrize(("stop", "is_one"), [("aborted", True), ("error", True), ("length", False), ([], False)])
def test_unfinished(stop: Any, is_one: bool) -> None:
    assert is_unfinished({"role": "assistant", "stopReason": stop}) is is_one
    assert not is_unfinished({"role": "user", "stopReason": stop})


# -- messages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"output": "a\nb", "exitCode": 0}, "Ran `ls`\n```\na\nb\n```"),
        ({"output": ""}, "Ran `ls`\n(no output)"),
        ({"output": "x", "exitCode": 2}, "Ran `ls`\n```\nx\n```\n\nCommand exited with code 2"),
        ({"exitCode": 2, "cancelled": True}, "Ran `ls`\n(no output)\n\n(command cancelled)"),
        (
            {"truncated": True, "fullOutputPath": "/tmp/o"},
            "Ran `ls`\n(no output)\n\n[Output truncated. Full output: /tmp/o]",
        ),
        ({"truncated": True, "exitCode": None}, "Ran `ls`\n(no output)"),
    ],
)
def test_told_of_command(fields: dict[str, Any], told: str) -> None:
    assert told_of_command({"role": "bashExecution", "command": "ls", **fields}) == told


def test_a_command_kept_from_the_model() -> None:
    said = Said()
    command = {"role": "bashExecution", "command": "ls"}
    (message,) = convert(placed(NEW, {**command, "excludeFromContext": True}, command), said)
    assert message["content"] == "Ran `ls`\n(no output)"
    assert said.dropped == {"command kept from the model": 1}


def test_messages_of_extensions_and_of_unknown_roles() -> None:
    said = Said()
    roles = ["custom", "hookMessage", "system", "notification", None, []]
    messages = convert(placed(NEW, *({"role": role, "content": "x"} for role in roles)), said)
    assert [m["role"] for m in messages] == ["user", "user", "system"]
    assert said.dropped == {"unknown message": 3}


@pytest.mark.parametrize(
    ("content", "parts", "missing", "dropped"),
    [
        ("x", [text("x")], set(), {}),
        ("", [], set(), {}),
        ([text("x"), text("")], [text("x")], set(), {}),
        ([{"type": "image", "mimeType": "image/png"}], [], {Missing.IMAGES}, {}),
        ([{"type": "audio"}, {}, 7, None], [], set(), {"unknown block": 2}),
        ({"type": "text"}, [], set(), {}),
        (None, [], set(), {}),
    ],
)
def test_parts(content: Any, parts: list[Any], missing: set[Missing], dropped: dict[str, int]) -> None:
    said = Said()
    assert parts_of(content, said) == parts
    assert (said.missing, said.dropped) == (missing, dropped)


THOUGHT = {"type": "thinking", "thinking": "Hm.", "thinkingSignature": "x"}
REDACTED = {"type": "thinking", "thinking": "[Reasoning redacted]", "redacted": True}


@pytest.mark.parametrize(
    ("message", "visible", "hidden"),
    [
        ({"content": [THOUGHT]}, "Hm.", False),
        ({"content": [THOUGHT, THOUGHT]}, "Hm.\n\nHm.", False),
        ({"content": [REDACTED, THOUGHT]}, "Hm.", True),
        ({"content": [{**THOUGHT, "thinking": ""}]}, "", True),
        ({"content": [{**call("c1"), "thoughtSignature": "x"}]}, "", True),
        ({"content": [text("x")], "usage": {"reasoning": 40}}, "", True),
        ({"content": [THOUGHT], "usage": {"reasoning": 40}}, "Hm.", False),
        ({"content": [text("x")], "usage": {"reasoning": 0}}, "", False),
        ({"content": "x", "usage": []}, "", False),
    ],
)
def test_reasoning(message: dict[str, Any], visible: str, hidden: bool) -> None:
    blocks = message["content"] if isinstance(message["content"], list) else []
    assert visible_reasoning(blocks) == visible
    assert hides_reasoning(message, visible) is hidden


def test_a_reply_of_nothing_but_thoughts_and_nameless_calls() -> None:
    said = Said()
    assert convert(placed(NEW, reply(THOUGHT), reply({"type": "toolCall", "id": "c1"}), reply()), said) == []
    assert +said.dropped == {"thinking without a reply": 1, "call without a name": 1, "empty message": 2}


# -- the rest ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replies", "model"),
    [
        ([reply(model="m1"), reply(model="m2")], "m2"),
        ([reply(model="m1"), reply(model="m2", stop="aborted")], "m1"),
        ([reply(model="m2", stop="aborted")], "m2"),
        ([{"role": "assistant", "model": 7}], "chosen"),
        ([], "chosen"),
    ],
)
def test_model(replies: list[dict[str, Any]], model: str) -> None:
    assert model_of(placed(NEW, *replies), [{"modelId": "first"}, {"modelId": "chosen"}, {}]) == model


@pytest.mark.parametrize(
    ("fields", "cluster"),
    [
        ({}, "pi_session:s1"),
        ({"parentSession": "/home/u/.pi/sessions/--repo--/2026-01-01T00-00-00-000Z_s0.jsonl"}, "pi_session:s0"),
        ({"branchedFrom": "C:\\sessions\\2025-12-01_s0.jsonl"}, "pi_session:s0"),
        ({"parentSession": "s0"}, "pi_session:s0"),
        ({"parentSession": 3}, "pi_session:s1"),
        ({"id": ""}, None),
        ({"id": None}, None),
    ],
)
def test_cluster(fields: dict[str, Any], cluster: str | None) -> None:
    assert cluster_of(tree({**HEADER, **fields})) == cluster


def test_extras() -> None:
    settings = [
        {"thinkingLevel": "low"},
        {"type": "session_info", "name": "Tidying"},
        {"type": "model_change", "provider": "p2"},
        {"thinkingLevel": []},
    ]
    extra = extras_of(tree({**HEADER, "provider": "p1", "thinkingLevel": "off"}), settings)
    assert (extra["thinking_level"], extra["title"], extra["provider"]) == ("low", "Tidying", "p2")


@pytest.mark.parametrize(
    ("value", "role"),
    [
        (node("a", None, message=user("x")), "user"),
        (node("a", None, "custom_message", content="x"), "custom"),
        (node("a", None, "branch_summary", summary="x"), "branchSummary"),
        (node("a", None, "branch_summary", summary=""), None),
        (node("a", None, "custom", message=user("x")), None),
        (node("a", None, message="x"), None),
        ({"type": {}}, None),
    ],
)
def test_told_by(value: dict[str, Any], role: str | None) -> None:
    (entry,) = tree(value)
    told = told_by(entry)
    assert (told.message["role"] if told else None) == role


ODD: list[Any] = [None, True, 7, "x", [], {}, [[]], {"a": {}}, [None, 7, "x", {"type": []}]]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    "place", ["id", "parentId", "type", "timestamp", "summary", "firstKeptEntryId", "retainedTail"]
)
def test_odd_values_of_an_entry(tmp_path: Path, place: str, odd: Any) -> None:
    for kind in ("message", "compaction", "branch_summary", "session"):
        changed = {**node("b", "a", kind, message=reply(text("x"))), place: odd}
        path = save(tmp_path / "s.jsonl", HEADER, node("a", None, message=user("x")), changed, node("c", "b", **SAID))
        assert list(read(path, "pi_session"))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    "place", ["role", "content", "toolCallId", "stopReason", "usage", "model", "output", "exitCode"]
)
def test_odd_values_of_a_message(tmp_path: Path, place: str, odd: Any) -> None:
    for message in (user("x"), reply(call("c1")), result("c1"), {"role": "bashExecution"}):
        path = save(
            tmp_path / "s.jsonl",
            HEADER,
            node("a", None, message=reply(call("c1"))),
            node("b", "a", message={**message, place: odd}),
            node("c", "b", message=user("x")),
        )
        assert all(isinstance(item, Located) for item in read(path, "pi_session"))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", ["type", "text", "id", "name", "arguments", "thinking", "data", "mimeType"])
def test_odd_values_of_a_block(tmp_path: Path, place: str, odd: Any) -> None:
    blocks = [text("x"), call("c1"), THOUGHT, {"type": "image", "data": "QQ=="}]
    message = reply(*({**block, place: odd} for block in blocks))
    path = save(tmp_path / "s.jsonl", HEADER, node("a", None, message=message), node("b", "a", message=user("x")))
    assert all(isinstance(item, Located) for item in read(path, "pi_session"))


def test_real_sessions(real_transcripts: Path) -> None:
    found = [item for item in read(real_transcripts / "pi-session") if isinstance(item, Located)]
    small, large = sorted((item.transcript for item in found), key=lambda t: len(t.messages))
    # 4 records, and the summary of the first compaction; nothing was said after the second one.
    assert len(small.messages) == 5
    assert small.metadata["dropped"] == {"harness record": 2, "summary that nothing followed": 1}
    # 914 records without 15 turns that failed or were aborted: 14 were empty, one was a call and nothing else. 7 others
    # are of November 2025, when what had been said was still sent, without the calls: 18 calls have no result.
    assert len(large.messages) == 914 - 15
    assert sum(len(m.get("tool_calls") or ()) for m in large.messages) == 391 - 18
    assert large.metadata["dropped"] == {"call without a result": 18, "harness record": 104, "unfinished turn": 15}
    assert [t.metadata["model"] for t in (small, large)] == ["pi-fixture-model", "claude-sonnet-4-5"]
