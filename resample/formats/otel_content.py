"""What a span says of a model's call, in any of the dialects that instrumentations write.

Each dialect is a pass of its own that gives messages as objects with `role` and `parts` (the current convention) or
`content` and `tool_calls` (the older ones); `otel_messages` makes OpenAI messages of both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from resample.formats.assemble import listed, text_or
from resample.formats.decode import decode
from resample.formats.exclusions import Problem
from resample.formats.otel_spans import DETAILS, Span
from resample.formats.records import peek

Item = dict[str, Any]
Attributes = dict[str, Any]

_MODEL_OPERATIONS = frozenset({"chat", "generate_content", "text_completion"})
_AGENT, _TOOL = "agent", "tool"
_PREFIXES = ("gen_ai.", "llm.")
_LONGEST_KEY = 24
"""Segments of a key that is taken apart."""


@dataclass
class Content:
    """The prompt of a call, and the reply to it."""

    prompt: list[Item] = field(default_factory=list)
    reply: list[Item] = field(default_factory=list)
    choices: bool = True
    """Several items of the reply are choices, of which the first one counts; or else they are one reply."""
    tools: list[Any] = field(default_factory=list)
    truncated: bool = False
    """Texts were cut short."""
    broken: bool = False
    """What comes after a place is lost: a list was cut short, or attributes were dropped."""


def kind_of(span: Span) -> str:
    """`model`, `agent`, `tool`, or an empty text for any other span."""
    attributes = span.attributes
    operation = text_or(attributes.get("gen_ai.operation.name"))
    kind = text_or(attributes.get("openinference.span.kind")) or text_or(attributes.get("traceloop.span.kind"))
    if (
        operation in _MODEL_OPERATIONS
        or kind.upper() == "LLM"
        or attributes.get("llm.request.type") in ("chat", "completion")
    ):
        return "model"
    if operation == "invoke_agent" or kind.lower() == _AGENT:
        return _AGENT
    if operation == "execute_tool" or kind.lower() == _TOOL:
        return _TOOL
    return "model" if not operation and not kind and _has_content(span) else ""


def _has_content(span: Span) -> bool:
    found = content_of_span(span)
    return bool(found.prompt or found.reply)


def content_of_span(span: Span) -> Content:
    """The first dialect that has anything to say."""
    if not any(key.startswith(_PREFIXES) for key in span.attributes) and not span.events:
        return Content()
    for dialect in _DIALECTS:
        content = dialect(span)
        if content.prompt or content.reply:
            # The current dialect has a whole conversation in an attribute: it is there, or it is not.
            content.broken |= span.cut and dialect is not current
            content.truncated |= content.broken or says_truncated(content) or meets_a_limit(content)
            content.tools = tools_of(span, content)
            return content
    return Content()


# -- dialects --------------------------------------------------------------------------------------------------------


def current(span: Span) -> Content:
    """`gen_ai.input.messages` and `gen_ai.output.messages`, on the span or on an event of it."""
    content = Content()
    details = [event["attributes"] for event in span.events if event["name"] == DETAILS]
    for attributes in (span.attributes, *details):
        system = parsed(attributes.get("gen_ai.system_instructions"), content)
        prompt = parsed(attributes.get("gen_ai.input.messages"), content)
        reply = parsed(attributes.get("gen_ai.output.messages"), content)
        if prompt or reply:
            content.prompt = [*_instructions(system), *_told(prompt, "user")]
            content.reply = _told(reply, "assistant")
            break
    return content


def _instructions(system: Any) -> list[Item]:
    """The system prompt stands by itself: a text, or parts."""
    if isinstance(system, str):
        return [{"role": "system", "content": system}] if system else []
    parts = listed(system)
    if any("role" in part for part in parts):
        return parts
    return [{"role": "system", "parts": parts}] if parts else []


_EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}


def span_events(span: Span) -> Content:
    """One event for each message of the prompt, and `gen_ai.choice` for the reply; or one for each of the two."""
    content = Content()
    for event in span.events:
        attributes = event["attributes"]
        body = parsed(attributes.get("gen_ai.event.content"), content)
        body = body if isinstance(body, dict) else _unjson(attributes, content)
        if event["name"] in _EVENT_ROLES:
            content.prompt.append({**body, "role": _EVENT_ROLES[event["name"]]})
        elif event["name"] == "gen_ai.choice":
            message = body.get("message")
            message = message if isinstance(message, dict) else {"content": message}
            content.reply.append({**body, **{k: v for k, v in message.items() if v is not None}, "role": "assistant"})
        elif event["name"] == "gen_ai.content.prompt":
            content.prompt += _told(parsed(attributes.get("gen_ai.prompt"), content), "user")
        elif event["name"] == "gen_ai.content.completion":
            content.reply += _told(parsed(attributes.get("gen_ai.completion"), content), "assistant")
    return content


def _unjson(attributes: Attributes, content: Content) -> Item:
    """An event's attributes hold lists and objects as JSON; the text of a message may look like it, and stays."""
    structured = ("tool_calls", "message")
    return {key: parsed(value, content) if key in structured else value for key, value in attributes.items()}


def whole_texts(span: Span) -> Content:
    """`gen_ai.prompt` and `gen_ai.completion`, each with all messages as JSON, or one text."""
    content = Content()
    content.prompt = _told(parsed(span.attributes.get("gen_ai.prompt"), content), "user")
    content.reply = _told(parsed(span.attributes.get("gen_ai.completion"), content), "assistant")
    return content


def _told(value: Any, role: str) -> list[Item]:
    if isinstance(value, dict):
        value = value.get("messages", [value])
    if isinstance(value, str):
        return [{"role": role, "content": value}] if value and not _looks_like_json(value) else []
    return [{"role": role, **item} for item in listed(value)]


def indexed(span: Span) -> Content:
    """`gen_ai.prompt.0.role`, `gen_ai.completion.0.content` and so on (OpenLLMetry); before that, `llm.prompts.0...`.

    Content that is a list stands there as JSON.
    """
    content = Content()
    for prompt, completion in (("gen_ai.prompt.", "gen_ai.completion."), ("llm.prompts.", "llm.completions.")):
        content.prompt = [_indexed_message(item, "user", content) for item in numbered(span.attributes, prompt)]
        content.reply = [_indexed_message(item, "assistant", content) for item in numbered(span.attributes, completion)]
        if content.prompt or content.reply:
            break
    return content


def _indexed_message(item: Item, role: str, content: Content) -> Item:
    said = item.get("content")
    if isinstance(said, str) and said.startswith("[{"):
        parts = parsed(said, content)
        if isinstance(parts, list) and all(isinstance(part, dict) and "type" in part for part in parts):
            said = parts
    return {"role": role, **item, "content": said, "tool_calls": in_order(item.get("tool_calls"))}


def open_inference(span: Span) -> Content:
    """`llm.input_messages.0.message.role` and so on (OpenInference)."""
    content = Content(choices=False)
    content.prompt = [_open_inference_message(item) for item in numbered(span.attributes, "llm.input_messages.")]
    content.reply = [
        {**_open_inference_message(item), "role": "assistant"}
        for item in numbered(span.attributes, "llm.output_messages.")
    ]
    return content


def _open_inference_message(item: Item) -> Item:
    message = item.get("message")
    message = message if isinstance(message, dict) else {}
    calls = [call.get("tool_call") for call in in_order(message.get("tool_calls"))]
    parts = [part.get("message_content") for part in in_order(message.get("contents"))]
    made: Item = {**message, "tool_calls": listed(calls)}
    if listed(parts):
        made["content"] = [_open_inference_part(part) for part in listed(parts)]
    return made


def _open_inference_part(part: Item) -> Item:
    image = part.get("image")
    if isinstance(image, dict):
        inner = image.get("image")
        return {"type": "image_url", "image_url": {"url": (inner if isinstance(inner, dict) else image).get("url")}}
    return part


_DIALECTS: tuple[Callable[[Span], Content], ...] = (current, open_inference, indexed, span_events, whole_texts)


# -- tools -----------------------------------------------------------------------------------------------------------


def tools_of(span: Span, content: Content) -> list[Any]:
    """The tools a model was given, in each dialect's form."""
    for attributes in (span.attributes, *(event["attributes"] for event in span.events)):
        if tools := listed(parsed(attributes.get("gen_ai.tool.definitions"), content)):
            return tools
    if functions := numbered(span.attributes, "llm.request.functions."):
        return [_with_json(tool, ("parameters", "input_schema"), content) for tool in functions]
    if found := listed([tool.get("tool") for tool in numbered(span.attributes, "llm.tools.")]):
        return [_open_inference_tool(tool, content) for tool in found]
    parameters = parsed(span.attributes.get("llm.invocation_parameters"), content)
    return listed(parameters.get("tools")) if isinstance(parameters, dict) else []


def _with_json(tool: Item, keys: tuple[str, ...], content: Content) -> Item:
    return {key: parsed(value, content) if key in keys else value for key, value in tool.items()}


def _open_inference_tool(tool: Item, content: Content) -> Any:
    """The schema is the whole definition, or that of the parameters only."""
    schema = parsed(tool.get("json_schema"), content)
    if (
        not isinstance(schema, dict)
        or not isinstance(tool.get("name"), str)
        or "function" in schema
        or "name" in schema
    ):
        return schema
    return {"name": tool["name"], "description": tool.get("description"), "parameters": schema}


# -- attributes that hold more than a value --------------------------------------------------------------------------


def parsed(value: Any, content: Content) -> Any:
    """Structured values are written as JSON. One that was cut short is read as far as it goes, and that is noted."""
    if not isinstance(value, str) or not _looks_like_json(value):
        return value
    data = value.encode()
    found = decode(data)
    if not isinstance(found, Problem):
        return found
    whole = next(iter(peek(data)), None)
    if not (listed(whole) or isinstance(whole, dict)):
        return value  # it only looked like it
    content.broken = True
    return whole


def _looks_like_json(text: str) -> bool:
    return text.lstrip()[:1] in ("[", "{")


def numbered(attributes: Attributes, prefix: str) -> list[Item]:
    """Attributes with numbers in their keys (`prefix0.role`, `prefix0.content`, ...) as a list of objects."""
    tree: Item = {}
    for key, value in attributes.items():
        if not key.startswith(prefix):
            continue
        segments = key[len(prefix) :].split(".", _LONGEST_KEY)
        place = tree
        for segment in segments[:-1]:
            inner = place.get(segment)
            if not isinstance(inner, dict):
                inner = place[segment] = {}
            place = inner
        place.setdefault(segments[-1], value)
    return in_order(tree)


def in_order(tree: Any) -> list[Item]:
    """The objects under keys that are numbers, in the order of these; a list stays."""
    if not isinstance(tree, dict):
        return listed(tree)
    places = sorted((int(key), key) for key in tree if key.isdecimal() and key.isascii() and len(key) < 10)
    return [tree[key] for _, key in places if isinstance(tree[key], dict)]


# -- texts that were cut short ---------------------------------------------------------------------------------------

_CUT = re.compile(r"(?:\.\.\.|…|[\[(<]\s*)\s*truncated\b.{0,40}\Z", re.IGNORECASE | re.DOTALL)


def says_truncated(content: Content) -> bool:
    """Some instrumentations say at the end of a text that it was cut."""
    return any(_CUT.search(text[-80:]) for text in _texts(content))


def meets_a_limit(content: Content) -> bool:
    """Exporters cut every text at one length: then several have just that, a round one, and none is longer."""
    texts = set(_texts(content))
    longest = max(map(len, texts), default=0)
    is_round = any(
        longest - mark >= 100 and ((longest - mark) % 64 == 0 or (longest - mark) % 50 == 0) for mark in (0, 3)
    )
    return is_round and sum(len(text) == longest for text in texts) > 1


def _texts(content: Content) -> Iterator[str]:
    for item in (*content.prompt, *content.reply):
        said = item.get("parts") if isinstance(item.get("parts"), list) else item.get("content")
        if isinstance(said, str):
            yield said
        for part in listed(said):
            yield from (
                value for key in ("content", "text", "response", "result") if isinstance(value := part.get(key), str)
            )
