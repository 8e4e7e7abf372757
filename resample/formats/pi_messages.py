"""What a pi session's messages are to the model: users, replies, results, and what the agent puts in users' words.

A summary, a shell command of the user, and a message of an extension reach the model as user messages; pi words the
first two, and its words are given here as it sends them. A summary is marked as the harness's; an extension's message
is not, as it may pass on what a person said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from resample.formats.assemble import AT, HARNESS, content_of, function_call, image_part, listed, text_or, text_part
from resample.types import Message, Missing

Record = dict[str, Any]


class Placed(NamedTuple):
    """A message as pi keeps it, with where and when it was written down."""

    message: Record
    line: int | None
    when: str
    """ISO 8601; empty where the log does not say."""


@dataclass
class Said:
    """What comes out beside the messages."""

    missing: set[Missing] = field(default_factory=set)
    dropped: Counter[str] = field(default_factory=Counter)


def convert(history: Iterable[Placed], said: Said) -> list[Message]:
    """The messages that the model had before it."""
    messages = []
    for placed in settled(list(history), said.dropped):
        converted = converted_from(placed.message, said)
        if converted is None:
            continue
        messages.append(converted if placed.line is None else {**converted, AT: placed.line})
    return messages


def converted_from(message: Record, said: Said) -> Message | None:
    """One message in OpenAI form, or None where it says nothing to the model."""
    role = message.get("role")
    maker = _MAKERS.get(role) if isinstance(role, str) else None
    if maker is None:
        said.dropped["unknown message"] += 1
        return None
    return maker(message, said)


# -- turns that came to no end -----------------------------------------------------------------------------------------

_UNFINISHED = frozenset({"aborted", "error", "pending", "deferred"})
_ANSWERED_SINCE = "2025-12-20"
"""From here on a call without result is answered for the model; before, it was taken out of the history."""
_SKIPPED_SINCE = "2026-01-19"
"""From here on a turn that was aborted, or failed, is taken out whole; before, what it had said stayed."""
_NO_RESULT = "No result provided"


def is_reply(message: Record) -> bool:
    return message.get("role") == "assistant"


def is_unfinished(message: Record) -> bool:
    """An aborted or failed request is logged as a turn, with what of the reply had come by then, or nothing."""
    reason = message.get("stopReason")
    return is_reply(message) and isinstance(reason, str) and reason in _UNFINISHED


def settled(history: list[Placed], dropped: Counter[str]) -> list[Placed]:
    """The history as later requests sent it: without unfinished turns, and with no call that has no result.

    How pi went about that changed (see the dates above). At the very end no request followed, and calls stay as they
    are; an unfinished turn there was never sent.
    """
    last_reply = max((i for i, placed in enumerate(history) if is_reply(placed.message)), default=-1)
    last_said = max((i for i, placed in enumerate(history) if not _is_result(placed)), default=-1)
    answered = results_by_reply(history)
    whole: list[Placed] = []
    answers: list[Placed] = []
    for index, placed in enumerate(history):
        if _is_result(placed):
            whole.append(placed)
            continue
        whole += answers
        answers = []
        later = not placed.when or placed.when >= _SKIPPED_SINCE
        if is_unfinished(placed.message) and (later or index == last_reply):
            dropped["unfinished turn"] += 1
        elif is_reply(placed.message) and index < last_said:
            sent = as_sent_then(placed, answered[index], dropped)
            whole += sent.reply
            answers = sent.answers
        else:
            whole.append(placed)
    return whole


def _is_result(placed: Placed) -> bool:
    return placed.message.get("role") == "toolResult"


def results_by_reply(history: list[Placed]) -> dict[int, set[str]]:
    """The ids that are answered between each reply and the next one, by the reply's position."""
    answered: dict[int, set[str]] = {}
    current: set[str] = set()
    for index, placed in enumerate(history):
        if is_reply(placed.message):
            current = answered[index] = set()
        elif _is_result(placed):
            current.add(text_or(placed.message.get("toolCallId")))
    return answered


class Sent(NamedTuple):
    """A reply as later requests sent it."""

    reply: list[Placed]
    """Itself, or nothing."""
    answers: list[Placed]
    """What pi put behind its results."""


def as_sent_then(placed: Placed, answered: set[str], dropped: Counter[str]) -> Sent:
    """A call that has no result was taken out, or in newer versions answered by pi itself.

    A turn that nothing is left of is taken out, too.
    """
    message = placed.message
    blocks = listed(message.get("content"))
    unanswered = [block for block in blocks if _is_unanswered(block, answered)]
    answers: list[Placed] = []
    if placed.when and placed.when < _ANSWERED_SINCE:
        dropped["call without a result"] += len(unanswered)
        if unanswered:
            message = {**message, "content": [b for b in blocks if not _is_unanswered(b, answered)]}
    else:
        results = [{"role": "toolResult", "toolCallId": call["id"], "content": _NO_RESULT} for call in unanswered]
        answers = [placed._replace(message=result) for result in results]
    if (is_unfinished(message) or unanswered) and not _says_something(message):
        dropped["unfinished turn"] += 1
        return Sent([], [])
    return Sent([placed._replace(message=message)], answers)


def _is_unanswered(block: Record, answered: set[str]) -> bool:
    call = text_or(block.get("id"))
    return _is_call(block) and bool(call) and call not in answered


def _is_call(block: Record) -> bool:
    return block.get("type") == "toolCall" and bool(text_or(block.get("name")))


def _says_something(message: Record) -> bool:
    content = message.get("content")
    blocks = listed(content)
    texts = [content] if isinstance(content, str) else [text_or(b.get("text")) for b in blocks]
    return any(text.strip() for text in texts) or any(map(_is_call, blocks))


# -- messages ----------------------------------------------------------------------------------------------------------


def _user(message: Record, said: Said) -> Message | None:
    return _in_users_words(content_of(parts_of(message.get("content"), said)), said)


def _system(message: Record, said: Said) -> Message | None:
    content = content_of(parts_of(message.get("content"), said))
    return {"role": message["role"], "content": content} if content else None


def _assistant(message: Record, said: Said) -> Message | None:
    content = message.get("content")
    blocks = listed(content)
    calls = [function_call(b.get("id"), b["name"], b.get("arguments")) for b in blocks if _is_call(b)]
    said.dropped["call without a name"] += sum(b.get("type") == "toolCall" for b in blocks) - len(calls)
    parts = parts_of(content if isinstance(content, str) else [b for b in blocks if not _is_inner(b)], said)
    reasoning = visible_reasoning(blocks)
    if hides_reasoning(message, reasoning):
        said.missing.add(Missing.REASONING)
    if not (parts or calls):
        said.dropped["thinking without a reply" if reasoning else "empty message"] += 1
        return None
    return {
        "role": "assistant",
        "content": content_of(parts) or None,
        "reasoning_content": reasoning or None,
        "tool_calls": calls,
    }


def _is_inner(block: Record) -> bool:
    return block.get("type") in ("toolCall", "thinking")


def _tool_result(message: Record, said: Said) -> Message:
    """The logged name and details are for the display: the model saw the content."""
    content = content_of(parts_of(message.get("content"), said))
    return {"role": "tool", "tool_call_id": text_or(message.get("toolCallId")), "content": content}


def _bash_execution(message: Record, said: Said) -> Message | None:
    """`!command` of the user is told to the model, `!!command` is not."""
    if message.get("excludeFromContext"):
        said.dropped["command kept from the model"] += 1
        return None
    return _in_users_words(told_of_command(message), said)


def _branch_summary(message: Record, said: Said) -> Message | None:
    summary = text_or(message.get("summary"))
    told = f"The following is a summary of a branch that this conversation came back from:\n\n<summary>\n{summary}"
    return _in_harness_words(f"{told}</summary>" if summary else "", said)


def _compaction_summary(message: Record, said: Said) -> Message | None:
    """A compaction without a summary leaves nothing of what it replaced."""
    summary = text_or(message.get("summary"))
    if not summary:
        said.missing.add(Missing.COMPACTED_HISTORY)
        return None
    told = "The conversation history before this point was compacted into the following summary:"
    return _in_harness_words(f"{told}\n\n<summary>\n{summary}\n</summary>", said)


def _in_users_words(content: str | list[dict[str, Any]], said: Said) -> Message | None:
    if not content:
        said.dropped["empty message"] += 1
        return None
    return {"role": "user", "content": content}


def _in_harness_words(content: str, said: Said) -> Message | None:
    message = _in_users_words(content, said)
    return None if message is None else {**message, HARNESS: True}


_MAKERS: dict[str, Callable[[Record, Said], Message | None]] = {
    "user": _user,
    "assistant": _assistant,
    "toolResult": _tool_result,
    "bashExecution": _bash_execution,
    "custom": _user,
    "hookMessage": _user,  # its name before version 3
    "branchSummary": _branch_summary,
    "compactionSummary": _compaction_summary,
    "system": _system,
    "developer": _system,
}


# -- passes ------------------------------------------------------------------------------------------------------------


def told_of_command(message: Record) -> str:
    """A shell command of the user and what came of it, in pi's words."""
    output = text_or(message.get("output"))
    told = f"Ran `{text_or(message.get('command'))}`\n" + (f"```\n{output}\n```" if output else "(no output)")
    code, whole = message.get("exitCode"), text_or(message.get("fullOutputPath"))
    if message.get("cancelled"):
        told += "\n\n(command cancelled)"
    elif isinstance(code, int) and code != 0:
        told += f"\n\nCommand exited with code {code}"
    if message.get("truncated") and whole:
        told += f"\n\n[Output truncated. Full output: {whole}]"
    return told


def parts_of(content: Any, said: Said) -> list[dict[str, Any]]:
    """Texts that are not empty, and images; an image may have been taken out of a log that was made smaller."""
    if isinstance(content, str):
        return [text_part(content)] if content else []
    parts = []
    for block in listed(content):
        kind, text = block.get("type"), text_or(block.get("text"))
        if kind == "image" and (data := text_or(block.get("data"))):
            parts.append(image_part(f"data:{text_or(block.get('mimeType'), 'image/png')};base64,{data}"))
        elif kind == "image":
            said.missing.add(Missing.IMAGES)
        elif kind == "text" and text:
            parts.append(text_part(text))
        elif kind != "text":
            said.dropped["unknown block"] += 1
    return parts


def visible_reasoning(blocks: Iterable[Record]) -> str:
    """Thinking that was redacted has a mark in place of its text."""
    thinking = [b for b in blocks if b.get("type") == "thinking" and not b.get("redacted")]
    return "\n\n".join(text for b in thinking if (text := text_or(b.get("thinking"))).strip())


def hides_reasoning(message: Record, visible: str) -> bool:
    """Thinking that is redacted, or of which there is a signature only, or tokens only."""
    blocks = listed(message.get("content"))
    thinking = [block for block in blocks if block.get("type") == "thinking"]
    if any(block.get("redacted") or not text_or(block.get("thinking")).strip() for block in thinking):
        return True
    usage = message.get("usage")
    counted = usage.get("reasoning") if isinstance(usage, dict) else None
    sealed = any(block.get("thoughtSignature") for block in blocks)
    return not visible and (sealed or (isinstance(counted, int | float) and counted > 0))
