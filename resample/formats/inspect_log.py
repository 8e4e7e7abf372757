"""Inspect's logs: `.eval` archives and `.json` documents, with samples that each are one conversation.

The conversation is the exact prompt of the candidate's last call with its reply, from the sample's events, and what
the sample's final `messages` have after it; only where there are no events, it is `messages`. The tools are those of
that call. Calls of graders, of other roles, and of agents that are a tool of the candidate's are left out, and
counted. A sample is one conversation; its epochs are one cluster. Scores, errors and limits are its labels.

How the samples are found stands in `inspect_files`, what the model saw in `inspect_sample`, and which messages in the
user's role are the harness's in `inspect_marks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from resample.formats.assemble import (
    HARNESS,
    any_schema,
    arguments_text,
    content_of,
    function_call,
    image_part,
    listed,
    located,
    small_extras,
    text_or,
    text_part,
)
from resample.formats.base import Draft, Located, Look
from resample.formats.dates import dated
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.formats.inspect_files import HEADERS, Sample, is_log, is_part, samples
from resample.formats.inspect_marks import agents_words, by_harness
from resample.formats.inspect_sample import Item, Resolver, TooLarge, conversation, modern
from resample.formats.replies import Reply
from resample.types import Message, Missing, ToolSchema

name = "inspect"
suffixes = (".eval", ".json")

_TERMINAL = ("submit",)
_SAMPLE_KEYS = frozenset({"id", "epoch", "input", "target"})


def sniff(look: Look) -> bool:
    """An archive with a header and samples, or their summaries; a log; or a sample that was taken out of an archive."""
    if look.members:
        return any(header in look.members for header in HEADERS) and any(map(is_part, look.members))
    return any(is_log(value) or (isinstance(value, dict) and value.keys() >= _SAMPLE_KEYS) for value in look.values)


def read(source: Input) -> Iterator[Located | Excluded]:
    """The samples of a log."""
    for sample in samples(source):
        if isinstance(sample, Excluded):
            yield sample
            continue
        draft = draft_of(sample)
        if isinstance(draft, Problem):
            detail = ": ".join(text for text in (sample.pointer, draft.detail) if text)
            yield Excluded.at(source.shown, sample.line, Problem(draft.reason, detail))
        else:
            yield located(draft, source, sample.line, sample.pointer)


def draft_of(sample: Sample) -> Draft | Problem:
    """A sample's conversation."""
    if not isinstance(sample.value, dict):
        return Problem(Reason.NOT_AN_OBJECT, f"{type(sample.value).__name__} instead of a sample")
    draft = Draft(id=sample.id, source=name, terminal_tools=_TERMINAL)
    try:
        value = modern(sample.value)
        resolve = Resolver(value.get("attachments"))
        spoken, event = conversation(value, resolve, draft.dropped)
        draft.tools = tools_of(resolve(event.get("tools"))) if event else []
    except TooLarge:
        return Problem(Reason.TOO_LARGE, "with its attachments put in their places")
    marks = by_harness(spoken, agents_words(sample.log.get("plan")))
    for index, item in enumerate(spoken):
        mark = {HARNESS: True} if index in marks else {}
        draft.messages += [{**message, **mark} for message in messages_of(item, draft)]
    if resolve.lost:
        draft.missing.add(Missing.TRUNCATED_OUTPUTS)
        draft.dropped["lost attachment"] += resolve.lost
    spec = sample.log.get("eval")
    _describe(draft, value, event or {}, {**sample.log, "eval": spec if isinstance(spec, dict) else {}})
    return draft


def _describe(draft: Draft, sample: Item, event: Item, log: Item) -> None:
    spec = log["eval"]
    task, id = text_or(spec.get("task")), sample.get("id")
    draft.model = text_or(event.get("model")) or text_or(spec.get("model")) or None
    if isinstance(id, str | int) and id != "":
        draft.cluster = ":".join(part for part in (name, task, str(id)) if part)
    draft.date = dated(sample.get("started_at")) or dated(spec.get("created"))
    draft.labels = labels_of(sample)
    draft.extra = {
        "task": task,
        "sample": id,
        "epoch": sample.get("epoch"),
        "uuid": sample.get("uuid"),
        "created": spec.get("created"),
        "run_id": spec.get("run_id"),
        "dataset": _under(spec.get("dataset"), "name"),
        "packages": spec.get("packages"),
        "log_status": log.get("status"),
        "error_retries": len(listed(sample.get("error_retries"))) or None,
        "compactions": sum(e.get("event") == "compaction" for e in listed(sample.get("events"))) or None,
    }


def _under(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


# -- passes ----------------------------------------------------------------------------------------------------------


def labels_of(sample: Item) -> dict[str, Any]:
    """The value of each score, and what ended the sample before its time. An answer is no label."""
    scores = sample.get("scores")
    values = {key: _under(score, "value") for key, score in scores.items()} if isinstance(scores, dict) else {}
    error, limit = sample.get("error"), sample.get("limit")
    return small_extras(
        {
            "scores": small_extras(values),
            "error": text_or(_under(error, "message") or error)[:500],
            "limit": _under(limit, "type") or limit,
            "invalidated": True if sample.get("invalidation") else None,
        }
    )


def tools_of(tools: Any) -> list[ToolSchema]:
    """The tools of a call. Fields of a parameter that are null stand for nothing."""
    return [schema for tool in listed(tools) if (schema := any_schema(_without_nulls(tool))) is not None]


def _without_nulls(value: Any, depth: int = 0) -> Any:
    if depth > 40 or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        return [_without_nulls(item, depth + 1) for item in value]
    return {key: _without_nulls(item, depth + 1) for key, item in value.items() if item is not None}


def messages_of(item: Item, draft: Draft) -> list[Message]:
    """A message of the log in OpenAI form; a reply in which the provider ran tools is several."""
    role = item.get("role")
    if role == "assistant":
        return reply_in_parts(item, draft)
    if role == "tool":
        id = text_or(item.get("tool_call_id"))
        return [{"role": "tool", "tool_call_id": id, "content": output_of(item, draft)}]
    if role in ("system", "user", "developer"):
        return [{"role": role, "content": content_of(_parts(item.get("content"), draft))}]
    draft.dropped["message of unknown role"] += 1
    return []


def output_of(item: Item, draft: Draft) -> str | list[dict[str, Any]]:
    """A model is shown the error of a call, if there is one, in place of its output.

    Where an API has a flag for errors, the text goes without the word before it; OpenAI's has none.
    """
    error = _under(item.get("error"), "message") or item.get("tool_error")
    return f"Error: {error}" if isinstance(error, str) and error else content_of(_parts(item.get("content"), draft))


def reply_in_parts(item: Item, draft: Draft) -> list[Message]:
    """A reply may hold calls that the provider ran, with their results: they are calls and outputs of their own.

    What the model wrote next stands in a message after them. A call without its result is left out, and missed.
    """
    reply = Reply()
    content = item.get("content")
    for part in listed(content) if isinstance(content, list) else [text_part(text_or(content))]:
        if part.get("type") == "reasoning":
            reply.reasoning.append(reasoning_of(part, draft))
        elif part.get("type") != "tool_use":
            reply.parts.extend(_part(part, draft))
        elif (output := _server_output(part)) is not None:
            id, tool = (
                text_or(part.get("id")),
                text_or(part.get("name")) or text_or(part.get("tool_type"), "server_tool"),
            )
            reply.calls.append(function_call(id, tool, part.get("arguments")))
            reply.answered([{"role": "tool", "tool_call_id": id, "content": output}])
        else:
            draft.missing.add(Missing.SERVER_TOOL_RESULTS)
            draft.dropped["server-side call"] += 1
    reply.calls.extend(call_of(call) for call in listed(item.get("tool_calls")))
    return reply.messages()


def _server_output(part: Item) -> str | None:
    return next((value for key in ("result", "error") if (value := text_or(part.get(key)))), None)


_UNPARSED = "Error parsing the following tool call arguments:\n\n"
_DETAILS = "\n\nError details: "


def call_of(call: Item) -> dict[str, Any]:
    """Arguments that could not be parsed stand only within the message about it, if they are not too long."""
    arguments = call.get("arguments")
    error = text_or(call.get("parse_error"))
    if not arguments and error.startswith(_UNPARSED) and _DETAILS in error:
        raw = error[len(_UNPARSED) : error.rindex(_DETAILS)]
        if not raw.endswith(" bytes)"):
            arguments = raw
    function = call.get("function")
    return function_call(call.get("id"), _under(function, "name") or function, arguments)


def reasoning_of(part: Item, draft: Draft) -> str:
    """Reasoning that is redacted is a text for the provider only; a summary of it may be readable."""
    text = text_or(part.get("reasoning"))
    if part.get("redacted") or not text:
        draft.missing.add(Missing.REASONING)
        return text_or(part.get("summary"))
    return text


# -- parts of content ------------------------------------------------------------------------------------------------


def _parts(content: Any, draft: Draft) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [text_part(content)]
    if not isinstance(content, list):
        return [] if content is None else [text_part(arguments_text(content) or "")]
    parts = [part if isinstance(part, dict) else text_part(str(part)) for part in content]
    return [made for part in parts for made in _part(part, draft)]


def _part(part: Item, draft: Draft) -> list[dict[str, Any]]:
    kind = text_or(part.get("type"))
    if kind in _MEDIA:
        made = _MEDIA[kind](part)
        if made is None:
            draft.missing.add(Missing.IMAGES)
        return [made or text_part(f"[{kind} not shown]")]
    if kind == "data":
        return opaque(part, draft)
    if isinstance(part.get("text"), str):
        return [text_part(part["text"])]
    draft.dropped[f"part of type {kind}"[:60] if kind else "part without a type"] += 1
    return []


def opaque(part: Item, draft: Draft) -> list[dict[str, Any]]:
    """What only the provider can read: among it, a history that it has compacted."""
    data = part.get("data")
    if isinstance(data, dict) and any("compact" in key for key in data):
        draft.missing.add(Missing.COMPACTED_HISTORY)
    draft.dropped["provider's own data"] += 1
    return []


def _image(part: Item) -> dict[str, Any] | None:
    """An image that is no longer there was a file of its own, or removed from the log."""
    url = text_or(part.get("image"))
    return image_part(url) if url.startswith(("data:", "http://", "https://")) else None


def _audio(part: Item) -> dict[str, Any] | None:
    head, comma, data = text_or(part.get("audio")).partition(";base64,")
    if not (comma and head.startswith("data:")):
        return None
    return {"type": "input_audio", "input_audio": {"data": data, "format": text_or(part.get("format"), "wav")}}


def _document(part: Item) -> dict[str, Any] | None:
    data = text_or(part.get("document"))
    if not data.startswith("data:"):
        return None
    return {"type": "file", "file": {"filename": text_or(part.get("filename"), "document"), "file_data": data}}


_MEDIA: dict[str, Callable[[Item], dict[str, Any] | None]] = {
    "image": _image,
    "audio": _audio,
    "document": _document,
    "video": lambda part: None,
}
