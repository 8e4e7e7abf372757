"""The spans of an OTLP JSON file, one at a time, with their attributes as plain values.

The file is one document, or, as the collector's file exporter writes it, one per line. Attributes are lists of a key
and a typed value. What was logged of a call (`resourceLogs`) counts as a span: its details, in a record of their own,
or its messages, in one record each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from resample.formats.assemble import listed, text_or
from resample.formats.documents import Entry, entries
from resample.formats.exclusions import Excluded, Problem, Reason
from resample.formats.inputs import Input

DETAILS = "gen_ai.client.inference.operation.details"
MESSAGE_EVENTS = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
"""Events that are a message each, with its role."""
CHOICE = "gen_ai.choice"

_LATEST = 2**62
_DEEP = 64


class Span(NamedTuple):
    """One span, or the details of one."""

    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    events: list[dict[str, Any]]
    """Name and attributes of each."""
    time: int
    """When it began, in nanoseconds."""
    cut: bool
    """The exporter says that it has dropped attributes or events."""
    failed: bool
    line: int
    around: dict[str, Any]
    """Attributes of the resource, and the instrumentation's name."""


def spans(source: Input) -> Iterator[Span | Excluded]:
    """All spans in their order. What is no OTLP is an Excluded."""
    for entry in entries(source, "resourceSpans", "resourceLogs"):
        if isinstance(entry, Excluded):
            yield entry
            continue
        found = list(_resources(entry))
        if not found:
            yield entry.excluded(source, Problem(Reason.NOT_AN_OBJECT, "neither spans nor logs of OTLP"))
        for resource in found:
            yield from _of_resource(resource, entry.line)


def _resources(entry: Entry) -> Iterator[dict[str, Any]]:
    """The entry is a resource with its spans, or, in a list of documents, a document."""
    if not isinstance(entry.value, dict):
        return
    whole = [*listed(entry.value.get("resourceSpans")), *listed(entry.value.get("resourceLogs"))]
    for value in whole or [entry.value]:
        if value.keys() & {"resource", "scopeSpans", "instrumentationLibrarySpans", "scopeLogs"}:
            yield value


def _of_resource(value: dict[str, Any], line: int) -> Iterator[Span]:
    resource = value.get("resource")
    around = attributes_of(resource.get("attributes")) if isinstance(resource, dict) else {}
    for scope in [*listed(value.get("scopeSpans")), *listed(value.get("instrumentationLibrarySpans"))]:
        named = {**around, "scope": _name_of(scope.get("scope") or scope.get("instrumentationLibrary"))}
        yield from (_span(span, line, named) for span in listed(scope.get("spans")))
    for scope in listed(value.get("scopeLogs")):
        named = {**around, "scope": _name_of(scope.get("scope"))}
        yield from (_span(record, line, named) for record in logged_calls(listed(scope.get("logRecords"))))


def logged_calls(log: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Older instrumentations log each message of a call by itself: those that name the same span are one call.

    They are written at once, so that a batch has them all. Without a span nothing says which ones belong together.
    """
    calls: dict[tuple[str, str], dict[str, Any]] = {}
    for record in log:
        attributes = attributes_of(record.get("attributes"))
        event = text_or(record.get("eventName")) or text_or(attributes.get("event.name"))
        time = record.get("timeUnixNano") or record.get("observedTimeUnixNano")
        if event == DETAILS:
            yield {**record, "startTimeUnixNano": time}
        elif (event in MESSAGE_EVENTS or event == CHOICE) and (id := text_or(record.get("spanId"))):
            trace = text_or(record.get("traceId"))
            call: dict[str, Any] = {"traceId": trace, "spanId": id, "startTimeUnixNano": time, "events": []}
            body = plain(record.get("body"))
            told = {**attributes, **(body if isinstance(body, dict) else {})}
            calls.setdefault((trace, id), call)["events"].append({"name": event, "attributes": told})
    yield from calls.values()


def _name_of(scope: Any) -> str:
    return text_or(scope.get("name")) if isinstance(scope, dict) else ""


def _span(value: dict[str, Any], line: int, around: dict[str, Any]) -> Span:
    status = value.get("status")
    return Span(
        trace=text_or(value.get("traceId")),
        id=text_or(value.get("spanId")),
        parent=text_or(value.get("parentSpanId")),
        attributes=attributes_of(value.get("attributes")),
        events=[
            {"name": text_or(event.get("name")), "attributes": attributes_of(event.get("attributes"))}
            for event in listed(value.get("events"))
        ],
        time=_whole(value.get("startTimeUnixNano")),
        cut=any(_whole(value.get(key)) > 0 for key in ("droppedAttributesCount", "droppedEventsCount")),
        failed=isinstance(status, dict) and status.get("code") in (2, "STATUS_CODE_ERROR"),
        line=line,
        around=around,
    )


def _whole(value: Any) -> int:
    """64-bit numbers are written as texts; what is none is 0."""
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 20:
        value = int(value)
    return value if isinstance(value, int) and 0 <= value < _LATEST else 0


def _number(value: Any) -> Any:
    """The same for one that may be below zero; what is no number stays."""
    is_number = isinstance(value, str) and value.removeprefix("-").isdecimal() and value.isascii() and len(value) < 20
    return int(value) if is_number else value


# -- attributes ------------------------------------------------------------------------------------------------------


def attributes_of(attributes: Any) -> dict[str, Any]:
    """Attributes as a plain object; some exporters write them as one."""
    if isinstance(attributes, dict):
        return attributes
    return {item["key"]: plain(item.get("value")) for item in listed(attributes) if isinstance(item.get("key"), str)}


def plain(value: Any, depth: int = 0) -> Any:
    """A typed value of OTLP as a plain one."""
    if not isinstance(value, dict) or depth > _DEEP:
        return None
    for key in ("stringValue", "boolValue", "doubleValue", "bytesValue"):
        if key in value:
            return value[key]
    if "intValue" in value:
        return _number(value["intValue"])
    array, pairs = value.get("arrayValue"), value.get("kvlistValue")
    if isinstance(array, dict):
        return [plain(item, depth + 1) for item in listed(array.get("values"))]
    if isinstance(pairs, dict):
        items = [item for item in listed(pairs.get("values")) if isinstance(item.get("key"), str)]
        return {item["key"]: plain(item.get("value"), depth + 1) for item in items}
    return None
