"""Which messages in the user's role of an Inspect sample are the harness's: no user, and no simulated one, said them.

A message says where it comes from (`source`): the sample's input, a model, an operator. What agents and solvers put in
says nothing, and neither does what a solver that plays the user puts in. So a message without a source is the
harness's only where

- it begins with words of Inspect's own agents, or of agents built upon it;
- it has the words that the log's plan gives an agent for going on, or for a submission that is refused;
- it carries the image that a tool gave (it names the call);
- or it stands behind a tool's output, in a sample whose input does say so: there an agent is at work, and a user, even
  one that is played, has a say only once the agent has spoken to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from resample.formats.assemble import listed, text_or
from resample.formats.harness import opens_with
from resample.formats.inspect_sample import Item

_OWN_WORDS = (
    "Please proceed to the next step using your best judgement.",
    "Your submission was incorrect. Please proceed and attempt to find the correct answer.",
    "Given the following question, initial answer and critique please generate an improved answer",
    "[CONTEXT COMPACTION SUMMARY]",
    "Context compaction approaching. Use memory()",
    "[Automatic reminder",
    "[usage] ",
)
_PARAMETERS = ("continue_message", "on_continue", "incorrect_message")
_DEEP = 8


def by_harness(spoken: Sequence[Item], given: frozenset[str]) -> set[int]:
    """The places of such messages; `given`: words that the plan gives."""
    told = any(item.get("role") == "user" and item.get("source") == "input" for item in spoken)
    marks: set[int] = set()
    for index, item in enumerate(spoken):
        if item.get("role") != "user" or item.get("source") is not None:
            continue
        content = item.get("content")
        own = opens_with(content, _OWN_WORDS) or text_or(content).strip() in given
        at_work = told and _follows_output(spoken, index)
        if own or item.get("tool_call_id") or at_work:
            marks.add(index)
    return marks


def _follows_output(spoken: Sequence[Item], index: int) -> bool:
    while index > 0 and spoken[index].get("role") == "user" and spoken[index].get("source") is None:
        index -= 1
    return spoken[index].get("role") == "tool"


def agents_words(plan: Any) -> frozenset[str]:
    """What the plan of a log tells an agent to say to its model. `{submit}` in it is the name of the tool."""
    steps = listed(plan.get("steps")) if isinstance(plan, dict) else []
    words = (text for step in steps for text in _words_in(step.get("params"), _DEEP))
    return frozenset(text.strip().replace("{submit}", "submit") for text in words if text.strip())


def _words_in(params: Any, depth: int) -> Iterator[str]:
    if isinstance(params, dict) and depth:
        yield from (text for key in _PARAMETERS if (text := text_or(params.get(key))))
        for value in params.values():
            yield from _words_in(value, depth - 1)
