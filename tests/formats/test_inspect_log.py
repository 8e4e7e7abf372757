"""Inspect's logs: what the model saw, told from what stands in the sample."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from resample.formats import Excluded, Located, inspect_files, inspect_log, inspect_sample, read
from resample.formats.assemble import HARNESS
from resample.formats.base import Draft, Look
from resample.formats.documents import LARGE
from resample.formats.inspect_marks import agents_words, by_harness
from resample.types import Transcript

HASH = "0" * 31 + "a"
SYSTEM = {"id": "m1", "role": "system", "content": f"attachment://{HASH}"}
ASKED = {"id": "m2", "role": "user", "content": "Clean up.", "source": "input"}
CALL = {"id": "c1", "function": "bash", "arguments": {"cmd": "ls"}, "type": "function", "view": {"title": "x"}}
ACTING = {"id": "m3", "role": "assistant", "content": "", "tool_calls": [CALL], "source": "generate"}
OUTPUT = {"id": "m4", "role": "tool", "tool_call_id": "c1", "function": "bash", "content": "a.log"}
SAYING = {"id": "m5", "role": "assistant", "content": "Done.", "source": "generate"}
TOOL = {
    "name": "bash",
    "description": "Run it.",
    "parameters": {"type": "object", "properties": {"cmd": {"type": "string", "default": None}}},
}


def model_event(reply: Any, *given: Any, **fields: Any) -> dict[str, Any]:
    output = {"model": "m", "choices": [{"message": reply, "stop_reason": "stop"}]} if reply else {"choices": []}
    return {"event": "model", "model": "acme/m-1", "input": list(given), "tools": [TOOL], "output": output, **fields}


def span(id: str, kind: str | None, parent: str | None = None, name: str = "x") -> dict[str, Any]:
    return {"event": "span_begin", "id": id, "parent_id": parent, "type": kind, "name": name}


def sample(*events: Any, **fields: Any) -> dict[str, Any]:
    return {
        "id": 7,
        "epoch": 1,
        "input": "Clean up.",
        "target": "",
        "messages": [SYSTEM, ASKED, ACTING, OUTPUT, SAYING],
        "scores": {"match": {"value": "C", "answer": "x"}},
        "events": list(events),
        "attachments": {HASH: "You are careful."},
        **fields,
    }


HEADER = {
    "version": 2,
    "status": "success",
    "eval": {"task": "tidy", "model": "acme/m-0", "dataset": {"name": "d"}, "packages": {"inspect_ai": "1"}},
}


def archive(path: Path, members: dict[str, Any], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as opened:
        for member, value in members.items():
            opened.writestr(member, value if isinstance(value, bytes) else orjson.dumps(value))
    return path


def eval_log(path: Path, *samples: Any) -> Path:
    members = {f"samples/{s['id']}_epoch_{s['epoch']}.json": s for s in samples}
    return archive(path, {"header.json": HEADER, "summaries.json": [{"id": 7, "epoch": 1}], **members})


def json_log(path: Path, *samples: Any) -> Path:
    path.write_bytes(orjson.dumps({**HEADER, "samples": list(samples)}, option=orjson.OPT_INDENT_2))
    return path


def transcripts(path: Path) -> list[Transcript]:
    items = list(read(path))
    assert not [item for item in items if isinstance(item, Excluded)]
    return [item.transcript for item in items if isinstance(item, Located)]


def conversation(value: dict[str, Any]) -> Transcript:
    draft = inspect_log.draft_of(inspect_files.Sample(value, "id", 1, "", HEADER))
    assert isinstance(draft, Draft)
    return Transcript(draft.id, draft.messages, draft.tools, {"dropped": draft.dropped, "missing": draft.missing})


def said(value: dict[str, Any]) -> list[Any]:
    return [message["content"] for message in conversation(value).messages]


EVENTS = (model_event(ACTING, SYSTEM, ASKED), model_event(SAYING, SYSTEM, ASKED, ACTING, OUTPUT))
WHOLE = [
    {"role": "system", "content": "You are careful."},
    {"role": "user", "content": "Clean up."},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"cmd":"ls"}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "a.log"},
    {"role": "assistant", "content": "Done."},
]


@pytest.mark.parametrize("write", [eval_log, json_log])
def test_a_log(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path / ("a.eval" if write is eval_log else "a.json"), sample(*EVENTS), sample(*EVENTS, epoch=2))
    first, second = transcripts(path)
    assert first.messages == WHOLE
    schema = {"type": "object", "properties": {"cmd": {"type": "string"}}}
    assert first.tools == [
        {"type": "function", "function": {"name": "bash", "description": "Run it.", "parameters": schema}}
    ]
    assert first.metadata == {
        "source": "inspect",
        "model": "acme/m-1",
        "cluster": "inspect:tidy:7",
        "terminal_tools": ["submit"],
        "labels": {"scores": {"match": "C"}},
        "extra": {
            "task": "tidy",
            "sample": 7,
            "epoch": 1,
            "dataset": "d",
            "packages": {"inspect_ai": "1"},
            "log_status": "success",
        },
    }
    assert second.metadata["cluster"] == first.metadata["cluster"]
    assert first.id == ("a.eval#7_epoch_1" if write is eval_log else "a.json[0]")


# -- archives ----------------------------------------------------------------------------------------------------------


def test_entries_compressed_by_zstandard(tmp_path: Path) -> None:
    path = eval_log(tmp_path / "a.eval", sample(*EVENTS))
    data = orjson.dumps(sample(*EVENTS))
    packed = zstandard.ZstdCompressor().compress(data)
    name = "samples/8_epoch_1.json"
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as opened:
        opened.writestr(name, packed)
        entry = opened.getinfo(name)
        entry.compress_type, entry.file_size, entry.CRC = 93, len(data), zipfile.crc32(data)
    assert [t.messages for t in transcripts(path)] == [WHOLE, WHOLE]


def test_an_archive_within_an_archive(tmp_path: Path) -> None:
    inner = eval_log(tmp_path / "a.eval", sample(*EVENTS)).read_bytes()
    archive(tmp_path / "logs.zip", {"run/a.eval": inner})
    (tmp_path / "a.eval").unlink()
    assert [t.messages for t in transcripts(tmp_path)] == [WHOLE]


def test_a_crashed_run_has_its_header_in_the_journal_and_summaries_are_no_samples(tmp_path: Path) -> None:
    members = {
        "_journal/start.json": HEADER,
        "_journal/summaries/1.json": [{"id": 7, "epoch": 1}],
        "samples/7_epoch_1.json": sample(*EVENTS),
    }
    (transcript,) = transcripts(archive(tmp_path / "a.eval", members))
    assert transcript.metadata["cluster"] == "inspect:tidy:7"


def test_a_sample_in_chunks(tmp_path: Path) -> None:
    value = sample(scores={})
    shell = {key: value[key] for key in ("id", "epoch", "input", "target")} | {"message_refs": [[0, 5]]}
    system = {**SYSTEM, "content": "attachment://0"}
    event = model_event(SAYING, input_refs=[[0, 4]])
    folder = "samples/7_epoch_1"
    members = {
        "header.json": HEADER,
        f"{folder}/sample.json": shell,
        f"{folder}/skeleton.json": {},
        f"{folder}/messages/0.json": [system, ASKED],
        f"{folder}/messages/2.json": [ACTING, OUTPUT, SAYING],
        f"{folder}/events/0.json": [event],
        f"{folder}/events/stats.json": [{}],
        f"{folder}/attachments/0.json": ["You are careful."],
        "samples/a/b_epoch_1.json": sample(*EVENTS, id="a/b"),
    }
    first, second = transcripts(archive(tmp_path / "a.eval", members))
    assert [first.id, second.id] == ["a.eval#7_epoch_1", "a.eval#a/b_epoch_1"]
    assert first.messages == second.messages == WHOLE


@pytest.mark.parametrize(
    ("members", "reasons"),
    [
        ({"samples/1_epoch_1.json": b"{"}, ["malformed JSON"]),
        ({"samples/1_epoch_1.json": [3]}, ["not a transcript"]),
        ({"samples/1_epoch_1.json": {}, "samples/2_epoch_1.json": b"\xff"}, ["no dialogue", "invalid UTF-8"]),
        ({"summaries.json": []}, ["no dialogue"]),
        ({"samples/x/sample.json": {}, "samples/x/events/0.json": b"{"}, ["malformed JSON"]),
    ],
)
def test_what_an_archive_may_hold(tmp_path: Path, members: dict[str, Any], reasons: list[str]) -> None:
    path = archive(tmp_path / "a.eval", {"header.json": HEADER, **members})
    items = list(read(path, "inspect"))
    assert [item.reason for item in items if isinstance(item, Excluded)] == reasons


def test_a_damaged_sample_spoils_no_other(tmp_path: Path) -> None:
    path = eval_log(tmp_path / "a.eval", sample(*EVENTS), sample(*EVENTS, id=8))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as opened:
        start = opened.getinfo("samples/7_epoch_1.json").header_offset
    data[start + 70 : start + 90] = b"\0" * 20
    path.write_bytes(data)
    excluded, used = read(path)
    assert isinstance(excluded, Excluded)
    assert (excluded.reason, "samples/7_epoch_1.json" in excluded.detail) == ("unreadable file", True)
    assert isinstance(used, Located)


# -- documents ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [HEADER, {**HEADER, "samples": []}, {**HEADER, "samples": None}])
def test_a_log_without_samples_is_counted(tmp_path: Path, value: Any) -> None:
    (tmp_path / "a.json").write_bytes(orjson.dumps(value))
    (item,) = read(tmp_path)
    assert isinstance(item, Excluded)
    assert (item.reason, "a log without samples" in item.detail) == ("no dialogue", True)


def test_a_sample_that_was_taken_out_of_its_archive(tmp_path: Path) -> None:
    (tmp_path / "7_epoch_1.json").write_bytes(orjson.dumps(sample(*EVENTS)))
    (transcript,) = transcripts(tmp_path)
    assert transcript.messages == WHOLE
    assert transcript.metadata["cluster"] == "inspect:7"


@pytest.mark.parametrize(
    ("text", "finite"),
    [
        (b'{"a": NaN, "b": -Infinity}', b'{"a": null, "b": null}'),
        (b'{"a": "NaN \\" Infinity", "b": Infinity}', b'{"a": "NaN \\" Infinity", "b": null}'),
        (b'{"a": "NaN', b'{"a": "NaN'),
        (b'{"a": 1}', b'{"a": 1}'),
    ],
)
def test_scores_that_are_no_numbers(text: bytes, finite: bytes) -> None:
    assert inspect_files.with_finite_numbers(text) == finite


def test_pieces_of_a_file_end_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect_files, "_PIECE", 16)
    text = b'{"a": NaN, "b": "' + b"NaN" * 100 + b'",\n "c":\nNaN, "d": NaN}'
    finite = io.BufferedReader(inspect_files._Finite(io.BytesIO(text))).read()
    assert finite == b'{"a": null, "b": "' + b"NaN" * 100 + b'",\n "c":\nnull, "d": null}'


@pytest.mark.parametrize("indent", [orjson.OPT_INDENT_2, 0])
@pytest.mark.parametrize("large", [LARGE, 100])
def test_a_score_that_could_not_be_had_spoils_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int, large: int
) -> None:
    monkeypatch.setattr("resample.formats.documents.LARGE", large)
    value = sample(*EVENTS, scores={"match": {"value": "#"}}, store={"note": "NaN"})
    text = orjson.dumps({**HEADER, "samples": [value, value]}, option=indent).replace(b'"#"', b"NaN")
    (tmp_path / "a.json").write_bytes(text)
    archive(
        tmp_path / "b.eval",
        {"header.json": HEADER, "samples/7_epoch_1.json": orjson.dumps(value).replace(b'"#"', b"NaN")},
    )
    items = list(read(tmp_path, "inspect"))
    found = [item.transcript for item in items if isinstance(item, Located)]
    assert len(items) == len(found)
    assert [t.messages for t in found] == [WHOLE] * 3
    assert all("labels" not in t.metadata for t in found)


# -- what the model saw ------------------------------------------------------------------------------------------------


def test_attachments_are_put_back() -> None:
    resolve = inspect_sample.Resolver({HASH: "long", "b": 3})
    given = {"a": [f"attachment://{HASH}", f"tc://{HASH}", "attachment://b"], "c": f"see attachment://{HASH}", "d": 1}
    whole = {"a": ["long", "long", "attachment://b"], "c": f"see attachment://{HASH}", "d": 1}
    assert resolve(given) == whole
    assert resolve.lost == 0
    resolve(f"attachment://{'f' * 32}")
    assert resolve.lost == 1
    lost = conversation(sample(*EVENTS, attachments={}))
    assert lost.metadata["missing"] == {"truncated_outputs"}
    assert lost.metadata["dropped"]["lost attachment"] == 2


def test_a_few_references_to_much_text_are_too_large(tmp_path: Path) -> None:
    many = [{"role": "user", "content": f"attachment://{HASH}"}] * 300
    path = json_log(tmp_path / "a.json", sample(messages=many, attachments={HASH: "x" * 2**20}))
    (item,) = read(path)
    assert isinstance(item, Excluded)
    assert item.reason == "too large"


@pytest.mark.parametrize(
    ("refs", "found"),
    [
        ([[0, 2], [3, 4]], ["a", "b", "d"]),
        ([[2, 99]], ["c", "d"]),
        ([[-1, 2], [1], 3, ["a", 1], [True, 2]], []),
        (None, []),
    ],
)
def test_messages_in_a_pool(refs: Any, found: list[str]) -> None:
    assert inspect_sample.in_pool(refs, ["a", "b", "c", "d"]) == found


@pytest.mark.parametrize("key", ["events_data", "message_pool"])
def test_a_prompt_in_the_pool(key: str) -> None:
    pool = [SYSTEM, ASKED, ACTING, OUTPUT]
    event = model_event(SAYING, input_refs=[[0, 4]], call={"call_refs": [[0, 4]]})
    value = sample(event, **{key: {"messages": pool, "calls": []} if key == "events_data" else pool})
    assert conversation(value).messages[1]["content"] == "Clean up."
    assert len(conversation(value).messages) == 5


def test_older_logs_have_a_transcript_and_one_score() -> None:
    value = sample(score={"value": 1.0}, transcript={"events": list(EVENTS), "content": {HASH: "You are careful."}})
    for key in ("events", "scores", "attachments"):
        del value[key]
    value["events"] = None
    del value["events"]
    assert said(value) == ["You are careful.", "Clean up.", None, "a.log", "Done."]
    assert inspect_log.labels_of(inspect_sample.modern(value)) == {"scores": {"score": 1.0}}


def test_without_events_the_final_messages_are_all_there_is() -> None:
    assert said(sample()) == ["You are careful.", "Clean up.", None, "a.log", "Done."]
    assert said(sample(messages=[], output={"choices": [{"message": SAYING}]})) == ["Clean up.", "Done."]
    assert said(sample(messages=None, input=[ASKED], output=None)) == ["Clean up."]


def test_only_tool_messages_are_no_dialogue(tmp_path: Path) -> None:
    (item,) = read(json_log(tmp_path / "a.json", sample(messages=[OUTPUT, OUTPUT])))
    assert isinstance(item, Excluded)
    assert item.reason == "no dialogue"


def test_the_prompt_is_that_of_the_call_and_not_the_final_state() -> None:
    """After a compaction, or edits by a solver, the final messages are not what the model saw."""
    summary = {"role": "user", "content": "So far: nothing."}
    value = sample(EVENTS[0], {"event": "compaction"}, model_event(SAYING, SYSTEM, summary))
    assert said(value) == ["You are careful.", "So far: nothing.", "Done."]


def test_a_reply_that_its_agent_rewrote_is_known_by_its_id() -> None:
    submit = {**CALL, "function": "submit", "arguments": {"answer": "x"}}
    wrote = {**SAYING, "content": "I submit.", "tool_calls": [submit]}
    value = sample(model_event(wrote, SYSTEM, ASKED), messages=[SYSTEM, ASKED, {**SAYING, "content": "I submit.\n\nx"}])
    last = conversation(value).messages[-1]
    assert (last["content"], last["tool_calls"][0]["function"]["name"]) == ("I submit.", "submit")


def test_what_followed_the_last_call_stands_in_the_final_messages() -> None:
    more = {"role": "user", "content": "Go on."}
    value = sample(EVENTS[0], messages=[SYSTEM, ASKED, ACTING, OUTPUT, more])
    assert said(value) == ["You are careful.", "Clean up.", None, "a.log", "Go on."]


def test_messages_of_older_logs_have_no_ids() -> None:
    asked, saying = ({k: v for k, v in message.items() if k != "id"} for message in (ASKED, SAYING))
    grading = {"role": "assistant", "content": "GRADE: C"}
    value = sample(model_event(saying, asked), model_event(grading, asked), messages=[asked, saying])
    assert said(value) == ["Clean up.", "Done."]


def test_calls_of_scorers_and_other_roles_are_not_the_candidates() -> None:
    other = model_event({"role": "assistant", "content": "GRADE: C"}, ASKED)
    spans = (span("s", None, name="scorers"), span("t", "scorer", "s"))
    steps = ({"event": "step", "action": "begin", "type": "scorer"}, other, {"event": "step", "action": "end"})
    value = sample(*EVENTS, *spans, {**other, "span_id": "t"}, *steps, {**other, "role": "grader"})
    found = conversation(value)
    assert [m["content"] for m in found.messages][-1] == "Done."
    assert found.metadata["dropped"] == {"model call of a scorer": 2, "model call of another role": 1}


@pytest.mark.parametrize(
    ("roles", "target"),
    [
        ({"", "grader"}, ""),
        ({"auditor", "target", "judge", ""}, "target"),
        ({"grader", "solver", "writer"}, "solver"),
        ({"grader"}, ""),
        (set(), ""),
    ],
)
def test_the_role_under_test(roles: set[str], target: str) -> None:
    assert inspect_sample.target_role(roles) == target


def test_a_sub_agent_that_is_a_tool_has_a_context_of_its_own() -> None:
    inner = model_event({"id": "x", "role": "assistant", "content": "found it"}, ASKED, span_id="b")
    spans = (span("a", "tool"), span("b", "agent", "a"))
    found = conversation(sample(EVENTS[0], *spans, inner, EVENTS[1]))
    assert found.messages[-1]["content"] == "Done."
    assert found.metadata["dropped"] == {"model call inside a tool": 1}
    # Where the final messages say nothing of any call, it is the last one outside of a tool; or else the last one.
    assert said(sample(EVENTS[0], *spans, inner, messages=[]))[-1] is None
    assert said(sample(*spans, inner, messages=[]))[-1] == "found it"


def test_spans_that_are_each_others_parents() -> None:
    spans = (span("a", "tool", "b"), span("b", "agent", "a"))
    assert [place for _, place in inspect_sample.placed([*spans, {"event": "model", "span_id": "b"}])] == [0, 0, 1]


@pytest.mark.parametrize(
    "failed",
    [
        model_event(None),
        model_event(SAYING, error="rate limit"),
        model_event(SAYING, pending=True),
        {"event": "model"},
        {"event": "model", "output": {"choices": [3]}},
    ],
)
def test_calls_that_failed_or_went_on(failed: dict[str, Any]) -> None:
    dropped: Counter[str] = Counter()
    assert inspect_sample.calls_of(sample(failed), dropped) == []
    assert dropped == {"failed model call": 1}


# -- messages ----------------------------------------------------------------------------------------------------------


def made(*messages: Any) -> Transcript:
    return conversation(sample(messages=list(messages)))


GO_ON = "Please proceed to the next step using your best judgement."
PARAMS = {"attempts": {"incorrect_message": "No."}, "on_continue": "Use {submit}."}
PLAN = {"steps": [{"solver": "react", "params": PARAMS}]}


def harness_says(text: Any, *before: Any, asked: Any = ASKED, **fields: Any) -> bool:
    """Is such a message marked, after these?"""
    spoken = [asked, SAYING, *before, {"role": "user", "content": text, **fields}]
    value = inspect_files.Sample(sample(messages=[*spoken, SAYING]), "id", 1, "", {**HEADER, "plan": PLAN})
    draft = inspect_log.draft_of(value)
    assert isinstance(draft, Draft)
    return [bool(message.get(HARNESS)) for message in draft.messages] == [False] * (len(spoken) - 1) + [True, False]


@pytest.mark.parametrize(
    ("text", "before", "fields", "marked"),
    [
        (GO_ON, [], {}, True),
        ([{"type": "text", "text": GO_ON + " If you believe that you are done, submit."}], [], {}, True),
        (GO_ON, [], {"source": "operator"}, False),
        (GO_ON, [], {"source": "generate"}, False),
        ("\nYour submission was incorrect. Please proceed and attempt to find the correct answer.", [], {}, True),
        ("[usage] Tokens used so far: 1.", [], {}, True),
        ("[CONTEXT COMPACTION SUMMARY]\n\nDone so far", [], {}, True),
        ("No.", [], {}, True),
        ("Use submit.", [], {}, True),
        ("No, not that one.", [], {}, False),
        ("And the cellar?", [], {}, False),
        ("a.log is large.", [ACTING, OUTPUT], {}, True),
        ("a.log is large.", [ACTING, OUTPUT], {"source": "operator"}, False),
        ("Image from tool", [], {"tool_call_id": ["c1"]}, True),
    ],
)
def test_messages_that_no_user_said(text: Any, before: list[Any], fields: dict[str, Any], marked: bool) -> None:
    """A user, or a model that plays one, is not asked while the agent is at work."""
    assert harness_says(text, *before, **fields) is marked


def test_where_no_message_says_where_it_is_from_only_words_tell() -> None:
    asked = {**ASKED, "source": None}
    assert not harness_says("a.log is large.", ACTING, OUTPUT, asked=asked)
    assert harness_says(GO_ON, ACTING, OUTPUT, asked=asked)


def test_several_notes_behind_one_output() -> None:
    told = [ASKED, ACTING, OUTPUT, {"role": "user", "content": "x"}, {"role": "user"}]
    assert by_harness(told, frozenset()) == {3, 4}


@pytest.mark.parametrize("plan", [None, {"steps": 3}, {"steps": [{"params": [1]}, {"params": {"on_continue": 3}}]}])
def test_a_plan_that_says_nothing(plan: Any) -> None:
    assert agents_words(plan) == frozenset()


def test_the_date_of_a_sample_or_of_its_log(tmp_path: Path) -> None:
    log = {**HEADER, "eval": {**HEADER["eval"], "created": "2026-01-02T00:00:00Z"}}
    dates = []
    for fields in ({"started_at": "2026-01-02T03:04:05Z"}, {"started_at": None}):
        draft = inspect_log.draft_of(inspect_files.Sample(sample(**fields), "id", 1, "", log))
        assert isinstance(draft, Draft)
        dates.append(draft.date)
    assert dates == ["2026-01-02T03:04:05Z", "2026-01-02T00:00:00Z"]


def test_the_error_of_a_call_is_what_the_model_is_shown() -> None:
    found = made(
        {**OUTPUT, "error": {"type": "timeout", "message": "timed out"}},
        {**OUTPUT, "error": None},
        {**OUTPUT, "tool_error": "no such file"},
    )
    assert [m["content"] for m in found.messages] == ["Error: timed out", "a.log", "Error: no such file"]


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (CALL, '{"cmd":"ls"}'),
        ({**CALL, "arguments": '{"cmd": '}, '{"cmd": '),
        (
            {
                **CALL,
                "arguments": {},
                "parse_error": 'Error parsing the following tool call arguments:\n\n{"cmd": l\n\nError details: no',
            },
            '{"cmd": l',
        ),
        ({**CALL, "arguments": {}, "parse_error": "no"}, "{}"),
        (
            {
                **CALL,
                "arguments": {},
                "parse_error": "Error parsing the following tool call arguments:\n\nab\n\n"
                "(arguments middle-truncated from 9 bytes)\n\nError details: no",
            },
            "{}",
        ),
    ],
)
def test_arguments(call: dict[str, Any], arguments: str) -> None:
    assert inspect_log.call_of(call)["function"] == {"name": "bash", "arguments": arguments}


def test_a_search_that_the_provider_ran() -> None:
    search = {"type": "tool_use", "tool_type": "web_search", "id": "w", "name": "web_search", "arguments": '{"q":1}'}
    parts = [{"type": "text", "text": "Let me see."}, {**search, "result": "[1]"}, {"type": "text", "text": "One."}]
    found = made(ASKED, {"role": "assistant", "content": parts, "tool_calls": [CALL]})
    assert [m["role"] for m in found.messages] == ["user", "assistant", "tool", "assistant"]
    assert found.messages[1]["tool_calls"][0]["function"] == {"name": "web_search", "arguments": '{"q":1}'}
    assert (found.messages[2]["content"], found.messages[3]["content"]) == ("[1]", "One.")
    assert not found.metadata["missing"]

    found = made(ASKED, {"role": "assistant", "content": [{**search, "result": ""}, {"type": "text", "text": "One."}]})
    assert [m["content"] for m in found.messages] == ["Clean up.", "One."]
    assert found.metadata["missing"] == {"server_tool_results"}


@pytest.mark.parametrize(
    ("part", "reasoning", "missing"),
    [
        ({"reasoning": "so"}, "so", set()),
        ({"reasoning": "so", "signature": "x"}, "so", set()),
        ({"reasoning": "gAAAA", "redacted": True, "summary": "in short"}, "in short", {"reasoning"}),
        ({"reasoning": "gAAAA", "redacted": True}, None, {"reasoning"}),
        ({"reasoning": "", "signature": "x"}, None, {"reasoning"}),
    ],
)
def test_reasoning(part: dict[str, Any], reasoning: str | None, missing: set[str]) -> None:
    found = made(
        ASKED, {"role": "assistant", "content": [{"type": "reasoning", **part}, {"type": "text", "text": "x"}]}
    )
    assert found.messages[1]["reasoning_content"] == reasoning
    assert found.messages[1]["content"] == "x"
    assert found.metadata["missing"] == missing


PNG = "data:image/png;base64,AA=="


@pytest.mark.parametrize(
    ("part", "kept"),
    [
        ({"type": "image", "image": PNG}, {"type": "image_url", "image_url": {"url": PNG}}),
        ({"type": "image", "image": "https://x/y.png"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}),
        (
            {"type": "audio", "audio": "data:audio/mp3;base64,AA==", "format": "mp3"},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
        ),
        (
            {"type": "document", "document": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        ),
        ({"type": "image", "image": "<base64-data-removed>"}, None),
        ({"type": "audio", "audio": "a.mp3"}, None),
        ({"type": "video", "video": "a.mp4"}, None),
        ({"type": "document", "document": "a.pdf"}, None),
    ],
)
def test_parts_that_are_no_text(part: dict[str, Any], kept: Any) -> None:
    found = made({"role": "user", "content": [{"type": "text", "text": "look"}, part]}, SAYING)
    assert found.messages[0]["content"][1] == (kept or {"type": "text", "text": f"[{part['type']} not shown]"})
    assert found.metadata["missing"] == (set() if kept else {"images"})


def test_what_only_the_provider_can_read() -> None:
    parts = [{"type": "data", "data": {"compaction_metadata": {}}}, {"type": "text", "text": "on"}, {"type": "odd"}]
    found = made(ASKED, {"role": "assistant", "content": parts}, {"role": "narrator", "content": "x"})
    assert found.metadata["missing"] == {"compacted_history"}
    assert found.metadata["dropped"] == {
        "provider's own data": 1,
        "part of type odd": 1,
        "message of unknown role": 1,
    }
    assert not made({"role": "user", "content": [{"type": "data", "data": 3}]}).metadata["missing"]


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ({"scores": {"a": {"value": 0.5}, "b": {"value": None}, "c": 3}}, {"scores": {"a": 0.5}}),
        ({"error": {"message": "boom", "traceback": "x"}, "scores": None}, {"error": "boom"}),
        ({"limit": {"type": "message", "limit": 50.0}, "scores": 3}, {"limit": "message"}),
        ({"limit": "token", "error": "boom", "scores": {}}, {"limit": "token", "error": "boom"}),
        ({"invalidation": {"author": "x"}, "scores": {}}, {"invalidated": True}),
    ],
)
def test_labels(fields: dict[str, Any], labels: dict[str, Any]) -> None:
    assert inspect_log.labels_of(sample(**fields)) == labels


# -- sniffing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("look", "is_log"),
    [
        (Look("a.eval", [], frozenset({"header.json", "samples/1_epoch_1.json"})), True),
        (Look("a.eval", [], frozenset({"_journal/start.json", "samples/1_epoch_1.json"})), True),
        (Look("a.zip", [], frozenset({"header.json", "data/1.json"})), False),
        (Look("a.zip", [], frozenset({"samples/1.json"})), False),
        (Look("a.json", [HEADER]), True),
        (Look("a.json", [sample()]), True),
        (Look("a.json", [{"eval": 3, "samples": []}, {"messages": []}, 3, None, []]), False),
        (Look("a.json", [{"eval": {"task": "x"}}]), False),
    ],
)
def test_sniffing(look: Look, is_log: bool) -> None:
    assert inspect_log.sniff(look) is is_log


# -- real logs ---------------------------------------------------------------------------------------------------------


def test_real_logs(real_transcripts: Path) -> None:
    items = list(read(real_transcripts / "inspect"))
    found = [item.transcript for item in items if isinstance(item, Located)]
    excluded = [item for item in items if isinstance(item, Excluded)]
    # 136 by the table: one sample has only tool messages (11 of them), and is no dialogue.
    assert (len(found), [item.reason for item in excluded]) == (135, ["no dialogue"])
    assert sum(len(t.messages) for t in found) == 928 - 11
    # 200 by the table, and the submission of each METR epoch, which its agent took out of the final messages.
    calls = [call["function"]["name"] for t in found for m in t.messages for call in m.get("tool_calls") or ()]
    assert len(calls) == 200 + 6
    assert not [t.id for t in found if t.metadata.get("missing")]
    # Older logs know their graders' calls only by the step or span they stand in.
    assert sum((Counter(t.metadata.get("dropped")) for t in found), Counter()) == {"model call of a scorer": 4}
    assert b"attachment://" not in orjson.dumps([t.messages for t in found])


def test_labels_of_real_logs(real_transcripts: Path) -> None:
    lines = (real_transcripts / "inspect" / "labels.jsonl").read_bytes().splitlines()
    known = {(label["file"], str(label["sample_id"]), label["epoch"]): label for label in map(orjson.loads, lines)}
    checked = 0
    for item in read(real_transcripts / "inspect"):
        if isinstance(item, Located):
            extra, labels = item.transcript.metadata["extra"], item.transcript.metadata["labels"]
            label = known[Path(item.file).name, str(extra["sample"]), extra["epoch"]]
            assert labels.get("scores") == label["scores"]
            assert bool(labels.get("limit")) == bool(label["limit"])
            checked += 1
    assert checked == 135
