"""Claude Code's records as a tree: which of them the model had before it."""

from __future__ import annotations

from typing import Any

import pytest
from claude_code_records import (
    CAVEAT,
    CLEAR,
    boundary,
    nodes,
    record,
    reply,
    result,
    use,
    user,
    uuids,
)

from resample.formats.claude_code_tree import (
    NONE,
    Mark,
    branches,
    chain_to,
    is_one_chain,
    keep_preserved,
    parents_of,
    roots_of,
    since_compaction,
    split_at_clear,
    with_parallel,
)

SIDE: dict[str, Any] = {"isSidechain": True}


@pytest.mark.parametrize(
    ("records", "parents"),
    [
        ([], []),
        ([user("a", None, "x"), reply("b", "a", "y")], [NONE, 0]),
        ([user("a", None, "x"), reply("b", None, "y"), user("c", None, "z")], [NONE, 0, 1]),
        ([user("a", None, "x"), reply("b", "a", "y"), user("c", None, "z")], [NONE, 0, NONE]),
        ([user("a", None, "x"), reply("b", "a", "y"), user("c", None, [result("t")])], [NONE, 0, 1]),
        ([user("a", None, "x"), reply("b", "a", "y"), reply("c", "gone", "z")], [NONE, 0, 1]),
        ([reply("a", "gone", "x"), user("b", "a", "y")], [NONE, 0]),
        ([user("a", None, "x"), user("b", "a", "y", **SIDE), reply("c", "b", "z", **SIDE)], [NONE, NONE, 1]),
        ([user("a", None, "x", **SIDE), reply("b", "a", "y")], [NONE, NONE]),
        ([user("a", "a", "x")], [NONE]),
        ([user("a", "b", "x"), reply("b", None, "y")], [1, 0]),
        ([user("a", None, "x"), reply("b", "a", "y"), boundary("c", None, logicalParentUuid="b")], [NONE, 0, 1]),
        ([user("", None, "x"), reply("", None, "y"), user("", None, "z")], [NONE, 0, 1]),
        ([user("a", None, "x"), user("b", None, "y", sessionId="s2"), reply("c", None, "z")], [NONE, NONE, 0]),
        ([user("a", None, "x", **SIDE, agentId="1"), reply("b", None, "y", **SIDE, agentId="2")], [NONE, NONE]),
    ],
    ids=[
        *("nothing", "a chain", "by hand, without links", "from the start again", "an output", "a lost line"),
        *("a lost beginning", "a sub-agent's, called by the main one", "the main one, after a sub-agent's"),
        *("its own parent", "a ring", "a compaction", "without ids", "two sessions", "two agents"),
    ],
)
def test_parents(records: list[Any], parents: list[int]) -> None:
    assert parents_of(nodes(*records)) == parents


@pytest.mark.parametrize(
    ("parents", "roots"),
    [
        ([], []),
        ([NONE, 0, 1, 0], [0, 0, 0, 0]),
        ([NONE, 0, NONE, 2], [0, 0, 2, 2]),
        ([1, 2, 0], [0, 0, 0]),
        ([0], [0]),
        ([2, NONE, 1], [1, 1, 1]),
        ([1, 2, 1, 0], [1, 1, 1, 1]),
    ],
)
def test_roots(parents: list[int], roots: list[int]) -> None:
    assert roots_of(parents) == roots
    assert all(len(chain_to(index, parents)) <= len(parents) for index in range(len(parents)))


def test_a_long_ring_takes_linear_time() -> None:
    ring = nodes(*(user(str(i), str((i + 1) % 30_000), "x") for i in range(30_000)))
    (branch,) = branches(ring)
    assert len(branch.nodes) + branch.dropped["dead branch"] == 30_000


@pytest.mark.parametrize(
    ("records", "is_one"),
    [
        ([], True),
        ([user("a", "gone", "x")], True),
        ([user("a", None, "x"), reply("b", "a", "y")], True),
        ([user("a", None, "x"), reply("b", None, "y")], False),
        ([user("", None, "x"), reply("", None, "y")], False),
        ([user("a", None, "x"), reply("b", "a", "y", **SIDE)], False),
    ],
)
def test_one_chain(records: list[Any], is_one: bool) -> None:
    assert is_one_chain(nodes(*records)) is is_one


def test_the_branch_that_was_written_to_last() -> None:
    (branch,) = branches(
        nodes(
            user("a", None, "Try."),
            reply("b", "a", "A dead end."),
            user("c", "b", "And on."),
            record("p", "c", "progress"),
            user("d", "a", "Try this."),
            record("q", "d", "progress"),
            reply("e", "q", "Better."),
            record("r", "b", "system", subtype="turn_duration"),
        )
    )
    assert uuids(branch.nodes) == ["a", "d", "q", "e"]
    assert branch.dropped == {"dead branch": 2}
    assert not branch.lost_start


def test_sub_agents_are_conversations_of_their_own_and_come_last() -> None:
    found = list(
        branches(
            nodes(
                user("w", None, "Warm up.", **SIDE),
                user("a", None, "Go."),
                reply("b", "a", use("t")),
                user("c", "b", "Look.", **SIDE),
                reply("d", "c", "Seen.", **SIDE),
                user("e", "b", [result("t")]),
            )
        )
    )
    assert [uuids(branch.nodes) for branch in found] == [["a", "b", "e"], ["w"], ["c", "d"]]


@pytest.mark.parametrize(
    ("first", "lost"),
    [(user("a", "gone", "x"), True), (user("a", None, "x"), False), (user("a", "gone", "x", **SIDE), False)],
)
def test_a_lost_beginning(first: Any, lost: bool) -> None:
    more = {"isSidechain": first.get("isSidechain", False)}
    chain = nodes(first, reply("b", "a", "y", **more))
    assert next(branches(chain)).lost_start is lost
    assert next(branches([*chain, *nodes(user("c", "a", "z", **more))])).lost_start is lost


# -- parallel calls ----------------------------------------------------------------------------------------------------


def test_parallel_calls_are_no_dead_branches() -> None:
    (branch,) = branches(
        nodes(
            user("a", None, "Go."),
            reply("b", "a", use("t1"), id="m"),
            reply("c", "b", use("t2"), id="m"),
            reply("d", "c", use("t3"), id="m"),
            user("e", "d", [result("t3")]),
            user("f", "b", [result("t1")]),
            user("g", "c", [result("t2")]),
            reply("h", "f", "Done."),
        )
    )
    assert sorted(uuids(branch.nodes)) == sorted("abcdefgh")
    assert branch.dropped == {}


@pytest.mark.parametrize(
    ("off_chain", "kept", "count"),
    [
        ([reply("x", "a", use("t2"), id="m")], ["a", "b", "x"], 1),
        ([reply("x", "a", use("t2"), id="other")], ["a", "b"], 0),
        ([reply("x", "a", use("t2"), id="m", requestId="r")], ["a", "b"], 0),
        ([user("x", "b", [result("t1")])], ["a", "b", "x"], 1),
        ([user("x", "b", [result("t1")]), user("y", "b", [result("t1")])], ["a", "b", "x"], 1),
        ([user("x", "b", [result("t9")])], ["a", "b"], 0),
        ([user("x", "b", "No, wait.")], ["a", "b"], 0),
        ([reply("x", "a", use("t2"), id="m"), user("y", "x", [result("t2")])], ["a", "b", "x", "y"], 2),
    ],
    ids=[
        *("of the same reply", "of another", "of another request", "an output", "a second one", "an orphan"),
        *("words", "a call and its output"),
    ],
)
def test_what_belongs_to_a_chain_beside_it(off_chain: list[Any], kept: list[str], count: int) -> None:
    chain = nodes(user("a", None, "x"), reply("b", "a", use("t1"), id="m"))
    found, put_in = with_parallel(chain, nodes(*off_chain))
    assert (uuids(found), put_in) == (kept, count)


def test_only_the_output_is_taken_from_a_record_beside_the_chain() -> None:
    chain = nodes(reply("b", None, use("t1"), use("t2"), id="m"), user("c", "b", [result("t2")]))
    beside = nodes(user("x", "b", [result("t1"), result("t2"), {"type": "text", "text": "No!"}]))
    found, _ = with_parallel(chain, beside)
    assert found[1].record["message"]["content"] == [result("t1")]
    assert len(beside[0].record["message"]["content"]) == 3


# -- /clear ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "parts"),
    [
        ([user("a", None, "x"), reply("b", "a", "y")], [["a", "b"]]),
        ([user("a", None, "x"), user("c", "a", CLEAR), user("d", "c", "z")], [["a"], ["c", "d"]]),
        ([user("a", None, "x"), user("m", "a", CAVEAT, isMeta=True), user("c", "m", CLEAR)], [["a"], ["m", "c"]]),
        ([user("c", None, CLEAR), user("d", "c", "x"), user("e", "d", CLEAR)], [["c", "d"], ["e"]]),
        ([user("a", None, "x"), user("c", "a", [{"type": "text", "text": CLEAR}])], [["a"], ["c"]]),
        (
            [user("a", None, "x"), record("c", "a", "system", subtype="local_command", content=CLEAR)],
            [["a"], ["c"]],
        ),
        ([user("a", None, "x"), user("b", "a", f"What does {CLEAR} mean?")], [["a", "b"]]),
        ([user("a", None, "x"), record("c", "a", "system", subtype="informational", content=CLEAR)], [["a", "c"]]),
    ],
)
def test_clear_begins_a_new_conversation(records: list[Any], parts: list[list[str]]) -> None:
    assert [uuids(part) for part in split_at_clear(nodes(*records))] == parts


# -- compactions -------------------------------------------------------------------------------------------------------

BEFORE = [user("a", None, "One."), reply("b", "a", "1")]
AFTER = [user("x", "s", "Two."), reply("y", "x", "2")]
SUMMARY = user("s", "k", "One was said.", isCompactSummary=True)


@pytest.mark.parametrize(
    ("records", "left", "facts"),
    [
        (BEFORE, "ab", (False, 0, False, 0)),
        ([*BEFORE, boundary("k", "b"), SUMMARY, *AFTER], "ksxy", (True, 2, False, 0)),
        ([*BEFORE, SUMMARY, *AFTER], "sxy", (True, 2, False, 0)),
        ([*BEFORE, boundary("k", "b"), *AFTER], "kxy", (True, 2, True, 0)),
        ([*BEFORE, boundary("k", "b"), SUMMARY], "ab", (False, 0, False, 1)),
        ([*BEFORE, boundary("k", "b"), SUMMARY, AFTER[0]], "ab", (False, 0, False, 2)),
        ([*BEFORE, SUMMARY, *AFTER, boundary("l", "y"), user("z", "l", "Both.", isCompactSummary=True)], "sxy", None),
        ([*BEFORE, boundary("k", "b"), SUMMARY, *AFTER, boundary("l", "y"), SUMMARY, *AFTER], "lsxy", None),
        ([boundary("k", None), SUMMARY], "ks", (False, 0, False, 0)),
    ],
    ids=[
        *("none", "one", "a summary without a boundary", "a boundary without a summary", "at the end"),
        *("without a reply", "a second one at the end", "two", "and nothing else"),
    ],
)
def test_a_compaction(records: list[Any], left: str, facts: Any) -> None:
    remaining = since_compaction(nodes(*records))
    assert "".join(uuids(remaining.nodes)) == left
    if facts is not None:
        assert tuple(remaining)[1:] == facts


def test_an_error_is_no_reply_to_a_summary() -> None:
    error = reply("y", "x", "API Error: 500")
    error["message"]["model"] = "<synthetic>"
    assert uuids(since_compaction(nodes(*BEFORE, boundary("k", "b"), SUMMARY, AFTER[0], error)).nodes) == ["a", "b"]


def preserved(head: str, tail: str, anchor: str) -> dict[str, Any]:
    return {"preservedSegment": {"headUuid": head, "tailUuid": tail, "anchorUuid": anchor}}


@pytest.mark.parametrize("parent", ["s", "d"], ids=["after the summary", "after the tail"])
def test_a_compaction_may_keep_the_last_records(parent: str) -> None:
    records = nodes(
        *BEFORE,
        user("c", "b", "Two."),
        reply("d", "c", "2"),
        boundary("k", None, logicalParentUuid="d", compactMetadata=preserved("c", "d", "s")),
        SUMMARY,
        user("e", parent, "Three."),
        reply("f", "e", "3"),
    )
    (branch,) = branches(records)
    assert "".join(uuids(branch.nodes)) == "abkscdef"
    assert "".join(uuids(since_compaction(branch.nodes).nodes)) == "kscdef"


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [],
        {"preservedSegment": "x"},
        preserved("gone", "d", "s"),
        preserved("s", "b", "a"),
        {"preservedSegment": {"headUuid": ["a"], "tailUuid": {}, "anchorUuid": 3}},
    ],
)
def test_a_segment_that_is_not_there_changes_nothing(metadata: Any) -> None:
    records = nodes(*BEFORE, boundary("k", "b", compactMetadata=metadata), SUMMARY, *AFTER)
    parents = parents_of(records)
    before = list(parents)
    keep_preserved(records, parents)
    assert parents == before


def test_a_boundary_with_odd_parents_ends() -> None:
    records = nodes(*BEFORE, boundary("k", "b", compactMetadata=preserved("a", "b", "a")), SUMMARY, *AFTER)
    assert sum(len(branch.nodes) for branch in branches(records)) <= len(records)


@pytest.mark.parametrize(
    ("one", "mark"),
    [
        (user("a", None, "x"), None),
        (user("a", None, "x", isCompactSummary=True), Mark.SUMMARY),
        (user("a", None, "x", isCompactSummary="yes"), None),
        (boundary("a", None), Mark.BOUNDARY),
        (user("a", None, ["x", None, {"text": 3}, {"type": "text", "text": CLEAR}]), Mark.CLEAR),
        (record("a", None, "system", subtype=["compact_boundary"]), None),
        (record("a", None, "user", message="x", isCompactSummary=True), None),
    ],
)
def test_marks(one: Any, mark: Mark | None) -> None:
    assert nodes(one)[0].mark is mark
