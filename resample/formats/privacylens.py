"""PrivacyLens: a user's instruction and what the agent has looked up for it, up to the act that may leak something.

A list of cases `{name, seed, vignette, trajectory}`. The trajectory is text (`Action:`, `Action Input:`,
`Observation:`), written by a model in an emulated sandbox; it becomes native calls with their outputs.

The data set ends before the final action: which tool that was to be is known (`labels.final_action`), what it was
to say is not, and nothing is made up here. So a transcript ends with a tool output. Cut before its last turn, the
candidate begins at the user's instruction, and its look-ups are answered from the recording where they are the same;
the final action is then its own. What would leak is in `labels.sensitive_info_items`.

The system prompt and the tools (of the toolkits in `extra.toolkits`) are not in the log: `transcripts.supply` gives
them. Without it only tools can be known that were called, of which the final one is none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from resample.formats.assemble import function_call, located, small_extras, text_or
from resample.formats.base import Draft, Located, Look
from resample.formats.documents import Entry, entries
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.types import Message, Missing

name = "privacylens"
suffixes = (".json", ".jsonl")

_TRAJECTORY = "executable_trajectory"
_SEED = ("data_type", "data_subject", "data_sender", "data_recipient", "transmission_principle")


def sniff(look: Look) -> bool:
    """Cases with a trajectory as text."""
    values = [item for value in look.values for item in (value[:2] if isinstance(value, list) else [value])]
    found = [value.get("trajectory") for value in values if isinstance(value, dict)]
    return any(isinstance(trajectory, dict) and _TRAJECTORY in trajectory for trajectory in found)


def read(source: Input) -> Iterator[Located | Excluded]:
    """The cases of a file that have a trajectory."""
    for entry in entries(source):
        yield entry if isinstance(entry, Excluded) else _case(entry, source)


def _case(entry: Entry, source: Input) -> Located | Excluded:
    case = entry.value
    if not isinstance(case, dict):
        return entry.excluded(source, Problem(Reason.NOT_AN_OBJECT))
    trajectory = case.get("trajectory")
    if not isinstance(trajectory, dict):
        return entry.excluded(source, Problem(Reason.NO_MESSAGES))
    case_name = case.get("name")
    dropped: Counter[str] = Counter()
    steps = steps_of(text_or(trajectory.get(_TRAJECTORY)), dropped)
    draft = Draft(
        id=entry.id,
        source=name,
        always_has_tools=True,
        messages=[
            {"role": "user", "content": text_or(trajectory.get("user_instruction"))},
            *(message for step in steps for message in _messages(step)),
        ],
        dropped=dropped,
        cluster=f"{name}:{case_name}" if isinstance(case_name, str) and case_name else None,
        labels=labels_of(case, trajectory),
        missing={Missing.SYSTEM_PROMPT},
        extra={"name": case_name, **facts_of(trajectory)},
    )
    return located(draft, source, entry.line, entry.pointer)


class Step(NamedTuple):
    """A call and its output."""

    name: str
    arguments: str
    output: str | None
    """None where the text ends before it."""
    thought: str = ""


def _messages(step: Step) -> Iterator[Message]:
    # Without ids: calls and outputs are one by one, so that their order tells.
    yield {
        "role": "assistant",
        "content": step.thought or None,
        "tool_calls": [function_call("", step.name, step.arguments)],
    }
    if step.output is not None:
        yield {"role": "tool", "tool_call_id": "", "content": step.output}


# -- passes --------------------------------------------------------------------------------------------------

_LABEL = re.compile(r"(?:^[ \t]*|(?<=\}))(Thought|Action Input|Action|Observation):", re.MULTILINE)


def steps_of(text: str, dropped: Counter[str]) -> list[Step]:
    """The trajectory is text: each step has its parts behind labels, at the start of a line or right after a `}`.

    The same words may stand in an output: a label counts only where its part can follow the one before it.
    """
    parts = _parts(list(_LABEL.finditer(text)), text)
    if text[: parts[0].at if parts else None].strip():
        dropped["text before the first action"] += 1
    steps: list[Step] = []
    thought = ""
    for index, part in enumerate(parts):
        if part.label == "Thought":
            thought = part.text
        elif part.label == "Action Input":
            output = parts[index + 1] if index + 1 < len(parts) else None
            heard = output.text if output is not None and output.label == "Observation" else None
            steps.append(Step(bare_name(parts[index - 1].text), unescaped(part.text), heard, thought))
            thought = ""
    return steps


class _Part(NamedTuple):
    label: str
    text: str
    at: int


_BEFORE = {"Action Input": "Action", "Observation": "Action Input"}
_AFTER = {"Action": ("Action Input",), "Thought": ("Action", "Action Input")}


def _parts(labels: list[re.Match[str]], text: str) -> list[_Part]:
    names = [label[1] for label in labels]
    counted: list[int] = []
    for index, label in enumerate(names):
        after = _AFTER.get(label, ())
        before = names[counted[-1]] if counted else None
        if _BEFORE.get(label, before) == before and tuple(names[index + 1 : index + 1 + len(after)]) == after:
            counted.append(index)
    ends = [labels[index].start() for index in counted[1:]] + [len(text)]
    return [
        _Part(names[index], text[labels[index].end() : end].strip(), labels[index].start())
        for index, end in zip(counted, ends, strict=False)
    ]


def bare_name(text: str) -> str:
    """Some tools' names have a stray quote."""
    return text.strip(" \t\"'`")


def unescaped(arguments: str) -> str:
    """Some inputs were escaped once too often (`{\\"key\\": 1}`). Other malformed ones stay to the letter."""
    if _is_json(arguments) or not _is_json(plain := arguments.replace('\\"', '"')):
        return arguments
    return plain


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def labels_of(case: dict[str, Any], trajectory: dict[str, Any]) -> dict[str, Any]:
    """What would leak, and by which act; the seed says whose data it is, and who must not have it."""
    items, seed = trajectory.get("sensitive_info_items"), case.get("seed")
    labels = small_extras({"final_action": trajectory.get("final_action")})
    if isinstance(seed, dict):
        labels["seed"] = small_extras({key: seed.get(key) for key in _SEED})
    if isinstance(items, list):
        labels["sensitive_info_items"] = [item for item in items if isinstance(item, str)]
    return labels


def facts_of(trajectory: dict[str, Any]) -> dict[str, Any]:
    """Whom the agent works for, and what with."""
    return {key: trajectory.get(key) for key in ("user_name", "user_email", "toolkits")}
