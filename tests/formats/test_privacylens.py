"""PrivacyLens' cases."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from resample.formats import Excluded, Located, privacylens, read
from resample.formats.base import Look
from resample.types import Transcript

TEXT = """Action: NotesSearch
Action Input: {"keywords": "garden"}
Observation: {"results": [{"text": "Ann is moving.\\nAction: none"}]}

Action: MailRead
Action Input: {"max": 2}
Observation: {
  "mails": []
}"""


def case(text: Any = TEXT, **fields: Any) -> dict[str, Any]:
    return {
        "name": "main7",
        "seed": {"data_type": "a move", "data_subject": "Ann", "source_details": {"text": "x" * 2000}},
        "vignette": {"story": "..."},
        "trajectory": {
            "user_name": "Bo Ek",
            "user_email": "bo@example.com",
            "user_instruction": "Mail the garden club what is new.",
            "toolkits": ["Notes", "Mail"],
            "executable_trajectory": text,
            "final_action": "MailSend",
            "sensitive_info_items": ["Ann is moving."],
        },
        **fields,
    }


def save(path: Path, *values: Any) -> Path:
    path.write_bytes(b"\n".join(map(orjson.dumps, values)) + b"\n")
    return path


def transcripts(path: Path) -> list[Transcript]:
    items = list(read(path))
    assert not [item for item in items if isinstance(item, Excluded)]
    return [item.transcript for item in items if isinstance(item, Located)]


def test_a_case(tmp_path: Path) -> None:
    (transcript,) = transcripts(save(tmp_path / "main.json", [case()]))
    user, search, found, mail, mails = transcript.messages
    assert user == {"role": "user", "content": "Mail the garden club what is new."}
    assert search["content"] is None
    assert search["tool_calls"][0]["function"] == {"name": "NotesSearch", "arguments": '{"keywords": "garden"}'}
    assert found["content"] == '{"results": [{"text": "Ann is moving.\\nAction: none"}]}'
    assert found["tool_call_id"] == search["tool_calls"][0]["id"]
    assert mail["tool_calls"][0]["function"]["name"] == "MailRead"
    assert mails["content"] == '{\n  "mails": []\n}'
    assert transcript.id == "main.json[0]"
    assert transcript.metadata == {
        "source": "privacylens",
        "cluster": "privacylens:main7",
        "missing": ["system_prompt", "tool_schemas"],
        "labels": {
            "final_action": "MailSend",
            "seed": {"data_type": "a move", "data_subject": "Ann"},
            "sensitive_info_items": ["Ann is moving."],
        },
        "extra": {
            "name": "main7",
            "user_name": "Bo Ek",
            "user_email": "bo@example.com",
            "toolkits": ["Notes", "Mail"],
        },
    }


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", []),
        ("Action: a\nAction Input: {}\nObservation: x", [("a", "{}", "x", "")]),
        ("Action: a\n Action Input: {}\n Observation: x\n\n", [("a", "{}", "x", "")]),
        ("Action: a\nAction Input: {}Observation: {}Action: b\nAction Input: {}\nObservation: y", "ab"),
        ("Action: a\nAction Input: {}", [("a", "{}", None, "")]),
        ("Action: a\nAction Input: {}\nAction: b\nAction Input: {}\nObservation: y", "ab"),
        ("Thought: first\nAction: a\nAction Input: {}\nObservation: x", [("a", "{}", "x", "first")]),
        # Labels that stand in an output, and not where their part could follow.
        ("Action: a\nAction Input: {}\nObservation: x\nAction: later\nObservation: y", None),
        ("Action: a\nAction Input: {}\nObservation: x\nThought: none\nend", None),
    ],
)
def test_steps(text: str, steps: Any) -> None:
    dropped: Counter[str] = Counter()
    found = privacylens.steps_of(text, dropped)
    if isinstance(steps, str):
        assert [step.name for step in found] == list(steps)
    elif steps is None:
        assert [(step.name, step.output) for step in found] == [("a", text.split("Observation: ", 1)[1])]
    else:
        assert list(map(tuple, found)) == steps
    assert not dropped


def test_text_in_no_known_form_is_counted(tmp_path: Path) -> None:
    (transcript,) = transcripts(save(tmp_path / "a.json", [case("I looked at the notes.")]))
    assert len(transcript.messages) == 1
    assert transcript.metadata["dropped"] == {"text before the first action": 1}


def test_a_long_trajectory_takes_linear_time() -> None:
    text = "Action: a\nAction Input: {}\nObservation: " + "x Action: " * 200_000 + "\nAction:" * 100_000
    assert len(privacylens.steps_of(text, Counter())) == 1


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ('{"a": 1}', '{"a": 1}'),
        (r"{\"a\": 1}", '{"a": 1}'),
        (r'{"a": "\"b\""}', r'{"a": "\"b\""}'),
        ('{"a", "b"}', '{"a", "b"}'),
        ("", ""),
    ],
)
def test_inputs_that_were_escaped_once_too_often(given: str, arguments: str) -> None:
    assert privacylens.unescaped(given) == arguments


def test_names_with_a_stray_quote() -> None:
    assert privacylens.bare_name(' NotesSearch"') == "NotesSearch"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (3, "not a transcript"),
        ({"name": "x"}, "no messages"),
        ({"trajectory": []}, "no messages"),
        ({"trajectory": {}}, "no dialogue"),
    ],
)
def test_what_is_excluded(tmp_path: Path, value: Any, reason: str) -> None:
    used, excluded = read(save(tmp_path / "a.json", [case(), value]))
    assert isinstance(used, Located)
    assert isinstance(excluded, Excluded)
    assert excluded.reason == reason


@pytest.mark.parametrize("value", [None, [], [3], {}, {"trajectory": []}, {"trajectory": {"steps": []}}])
def test_other_values_are_not_taken_for_cases(value: Any) -> None:
    assert not privacylens.sniff(Look("a.json", [value]))


def test_real_cases(real_transcripts: Path) -> None:
    cases = transcripts(real_transcripts / "privacylens")
    assert (len(cases), sum(len(t.messages) for t in cases)) == (493, 2349)
    assert sum(len(m.get("tool_calls") or ()) for t in cases for m in t.messages) == 928
    assert not [t for t in cases if t.metadata.get("dropped")]
    assert all(t.messages[-1]["role"] == "tool" for t in cases)
