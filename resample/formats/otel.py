"""OpenTelemetry traces of GenAI calls, in OTLP JSON: one document, or one per line.

Each span of a model's call repeats the whole history before it, so the last one of a conversation is read, and only
that: its prompt, its reply and its tools. A conversation is that of the root agent of a trace, or of all traces that
name the same `gen_ai.conversation.id`; a sub-agent's calls are a conversation of their own. Conversations of one
trace, conversation or session are one cluster.

Recording content is optional: conversations without any are excluded, and counted. The file is read twice, first to
choose and then to read what was chosen, so that memory holds one conversation however many there are.
`otel_spans` reads spans, `otel_attributes` what their attributes hold, `otel_content` the dialects of
instrumentations, `otel_messages` their messages, and `otel_calls` chooses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from resample.formats.assemble import AT, listed, located, small_extras, text_or
from resample.formats.base import Draft, Located, Look
from resample.formats.dates import dated
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input
from resample.formats.otel_attributes import Content
from resample.formats.otel_calls import Calls, Silent, agent_of, conversation_of
from resample.formats.otel_content import content_of_span
from resample.formats.otel_messages import messages_of, schemas_of
from resample.formats.otel_spans import Span, spans
from resample.formats.records import in_lines
from resample.types import Message, Missing

name = "otel"
suffixes = (".json", ".jsonl")

_RESOURCES = ("resourceSpans", "resourceLogs")
_SCOPES = frozenset({"scopeSpans", "instrumentationLibrarySpans", "scopeLogs"})


def sniff(look: Look) -> bool:
    """Resources with spans or logs in scopes."""
    return any(_is_otlp(item) for value in look.values for item in (value if isinstance(value, list) else [value]))


def _is_otlp(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return any(resource.keys() & _SCOPES for key in _RESOURCES for resource in listed(value.get(key)))


def read(source: Input) -> Iterator[Located | Excluded]:
    """The conversations of a file."""
    with closing(Calls()) as calls:
        excluded = False
        for place, span in enumerate(spans(source)):
            if isinstance(span, Excluded):
                excluded = True
                yield span
            else:
                calls.add(place, span)
        last = calls.last_ones()
        found = next(last, None)
        if found is None and not excluded:
            yield Excluded.at(source.shown, None, Problem(Reason.NO_DIALOGUE, "no call of a model"))
        while isinstance(found, Silent):
            trace = f"trace {found.trace[:40]}" if found.trace else "spans without a trace"
            detail = f"{trace}: {found.calls} calls, and no content was recorded"
            yield Excluded.at(source.shown, found.line, Problem(Reason.NO_DIALOGUE, detail))
            found = next(last, None)
        for place, span in enumerate(spans(source) if found is not None else ()):
            if place == found and isinstance(span, Span):
                yield located(draft_of(span, place, source), source, span.line)
                found = next(last, None)


def draft_of(span: Span, place: int, source: Input) -> Draft:
    """The conversation that a span ends; `place` names one that has no id."""
    attributes = span.attributes
    draft = Draft(id=f"{source.name}#{span.trace}/{span.id or place}", source=name)
    content = content_of_span(span)
    reply = content.reply
    if content.choices and (others := len(reply) - _first_choice(reply)) > 0:
        draft.dropped["other choice"] += others
        reply = reply[:-others]
    answer = one_reply(messages_of(reply, draft))
    draft.messages = [*messages_of(content.prompt, draft), *answer]
    draft.tools = schemas_of(content.tools, draft)
    mark_losses(content, draft)
    if hides_reasoning(span, answer):
        draft.missing.add(Missing.REASONING)
    if in_lines(source.name):
        draft.messages = [{**message, AT: span.line} for message in draft.messages]
    draft.model = next((found for key in _MODELS if (found := text_or(attributes.get(key)))), None)
    draft.date = dated(span.time, per_second=10**9)
    draft.cluster = cluster_of(span)
    draft.labels = labels_of(span)
    draft.extra = {
        "trace": span.trace,
        "span": span.id,
        "conversation": conversation_of(span),
        "agent": agent_of(span),
        "service": span.around.get("service.name"),
        "instrumentation": span.around.get("scope"),
    }
    return draft


_MODELS = ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "llm.request.model")
_REASONING_TOKENS = ("gen_ai.usage.reasoning.output_tokens", "llm.token_count.completion_details.reasoning")


# -- passes ----------------------------------------------------------------------------------------------------------


def _first_choice(reply: list[dict[str, Any]]) -> int:
    """How many items the first choice takes: thinking may stand in an item before it."""
    thinking = 0
    while thinking < len(reply) and reply[thinking].get("role") in ("thinking", "reasoning"):
        thinking += 1
    return thinking + 1


def mark_losses(content: Content, draft: Draft) -> None:
    """What the span lacks of the history: texts, the beginning, or the end, and with it what the reply answered.

    A history that begins with an output is one that the provider keeps, and the log has only what was new.
    """
    if content.truncated or content.ends_early:
        draft.missing.add(Missing.TRUNCATED_OUTPUTS)
    if content.ends_early:
        draft.dropped["reply to a prompt that was cut short"] += 1
    spoken = (message for message in draft.messages if message["role"] not in ("system", "developer"))
    if content.starts_late or next(spoken, {}).get("role") == "tool":
        draft.missing.add(Missing.COMPACTED_HISTORY)


def one_reply(messages: list[Message]) -> list[Message]:
    """A reply may be told in several messages, one for each part of it: they are one, up to an output."""
    joined: list[Message] = []
    for message in messages:
        before = joined[-1] if joined else {}
        if message["role"] != "assistant" or before.get("role") != "assistant":
            joined.append(message)
            continue
        reasoning = [text for text in (before["reasoning_content"], message["reasoning_content"]) if text]
        joined[-1] = {
            "role": "assistant",
            "content": _both(before["content"], message["content"]),
            "tool_calls": [*before["tool_calls"], *message["tool_calls"]],
            "reasoning_content": "\n\n".join(reasoning) or None,
        }
    return joined


def _both(first: Any, second: Any) -> Any:
    if not first or not second:
        return first or second
    parts = [[{"type": "text", "text": said}] if isinstance(said, str) else said for said in (first, second)]
    return [*parts[0], *parts[1]]


def hides_reasoning(span: Span, answer: list[Message]) -> bool:
    """Tokens of a reasoning were counted, and none of it is shown."""
    counts = [span.attributes.get(key) for key in _REASONING_TOKENS]
    is_counted = any(isinstance(count, int) and count > 0 for count in counts)
    return is_counted and not any(message.get("reasoning_content") for message in answer)


def cluster_of(span: Span) -> str | None:
    """The conversation, the session, or the trace."""
    for kind, id in (
        ("conversation", conversation_of(span)),
        ("session", text_or(span.attributes.get("session.id"))),
        ("trace", span.trace),
    ):
        if id:
            return f"{name}:{kind}:{id}"
    return None


def labels_of(span: Span) -> dict[str, Any]:
    """How the call ended, and what an evaluation said of it, by its name."""
    labels = {
        "finish_reasons": span.attributes.get("gen_ai.response.finish_reasons"),
        "error_type": text_or(span.attributes.get("error.type")) or ("failed" if span.failed else None),
    }
    for event in span.events:
        told = event["attributes"]
        key = text_or(told.get("gen_ai.evaluation.name"))
        if event["name"] == "gen_ai.evaluation.result" and key:
            labels[key] = told.get("gen_ai.evaluation.score.value", told.get("gen_ai.evaluation.score.label"))
    return small_extras(labels)
