"""Which steps of an ATIF trajectory were in the model's context: compactions, copied steps, steps of the harness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from resample.formats.assemble import HARNESS, arguments_text, text_or
from resample.formats.atif_parts import Step, results_of, under, was_dispatched
from resample.formats.base import Draft
from resample.types import Message, Missing


def in_force(steps: Sequence[Step], draft: Draft, *, keeps_task: bool = False) -> list[Step]:
    """A compaction may replace all before it: the model then saw the system prompt, the summary, and what follows.

    The summary is the output of that step, or else the next message. An agent that `keeps_task` begins with its
    first message again. A compaction that nothing was said after changes nothing in this file; its continuation
    begins with the new context.
    """
    last = max(
        (i for i, step in enumerate(steps) if step.get("source") == "agent" and not was_dispatched(step)), default=-1
    )
    place = next((i for i in range(last - 1, -1, -1) if boundary(steps[i]) == "replace"), None)
    if place is None:
        return list(steps)
    before = _opening(steps[:place], keeps_task)
    after = list(steps[place + 1 :])
    if after[0].get("is_copied_context"):
        before = []  # the new context is all there
    results = results_of(steps[place])
    told = [result["content"] for result in results if result.get("content")]
    summary = [{"source": "user", "message": content, HARNESS: True} for content in told]
    if not summary and lacks_summary(after, keeps_task):
        draft.missing.add(Missing.COMPACTED_HISTORY)
    if gone := place - len(before):
        draft.dropped["step before a compaction"] += gone
    begins = next(i for i, step in enumerate(after) if step.get("source") != "system" or step.get("is_copied_context"))
    if before and begins:  # steps of the harness, not another system prompt
        draft.dropped["harness step"] += begins
        after = after[begins:]
    return [*before, *summary, *after]


def lacks_summary(after: Sequence[Step], keeps_task: bool) -> bool:
    """Is the new context less than what the model saw? Terminus' own has questions and answers, kept elsewhere."""
    first = next((step for step in after if step.get("source") != "system"), {})
    return first.get("source") == "agent" or (keeps_task and not first.get("is_copied_context"))


def _opening(steps: Sequence[Step], keeps_task: bool) -> list[Step]:
    """The steps that every context begins with: the system prompt, and for some agents the task."""
    first = next((i for i, step in enumerate(steps) if step.get("source") != "system"), len(steps))
    task = [step for step in steps[first : first + 1] if keeps_task and step.get("source") == "user"]
    return [*(step for step in steps[:first] if boundary(step) is None), *task]


def boundary(step: Step) -> str | None:
    """Steps in which the harness managed the context say so; None for any other step, such as a model's reply.

    It may do that in the agent's name, without a model.
    """
    by_harness = step.get("source") == "system" or (step.get("source") == "agent" and was_dispatched(step))
    managed = under(step.get("extra"), "context_management") if by_harness else None
    return None if managed is None else text_or(under(managed, "boundary"))


def without_repeats(steps: Sequence[Step], dropped: Counter[str]) -> list[Step]:
    """Copied steps are context from an earlier file; where that stands in the same file already, they repeat it."""
    kept: list[Step] = []
    said: set[bytes] = set()
    for step in steps:
        if not step.get("is_copied_context"):
            said.add(_mark(step))
        elif _mark(step) in said:
            dropped["copied step"] += 1
            continue
        kept.append(step)
    return kept


def _mark(step: Step) -> bytes:
    return (arguments_text([step.get(key) for key in ("source", "message", "tool_calls")]) or "").encode()


def without_later_system(messages: Sequence[Message], dropped: Counter[str]) -> list[Message]:
    """Only what stands before all dialogue is the system prompt: later system steps are what the harness did."""
    first = next((i for i, message in enumerate(messages) if message["role"] != "system"), len(messages))
    later = [message for message in messages[first:] if message["role"] != "system"]
    if gone := len(messages) - first - len(later):
        dropped["harness step"] += gone
    return [*messages[:first], *later]
